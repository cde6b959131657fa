"""A logistic regression, of which C wants the loss and its gradient."""

import numpy as np

import lms
from lms import Array, Rep, f64


@lms.stage
def loss(w: Rep[Array[f64, "m"]], x: Rep[Array[f64, "n", "m"]], y: Rep[Array[f64, "n"]]) -> Rep[f64]:
    """The mean loss of weights w on rows x with labels y, each -1 or 1."""
    s = 0.0
    for i in lms.range(x.shape[0]):
        s += np.log1p(np.exp(-y[i] * (x[i] @ w)))
    return s / x.shape[0]
