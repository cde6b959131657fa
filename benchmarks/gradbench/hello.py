"""Hello: a square and its derivative."""

from __future__ import annotations

import lms
from lms import Rep, f64

from .protocol import Eval, Function


@lms.stage
def square(x: Rep[f64]) -> Rep[f64]:
    return x * x


EVAL = Eval(
    {
        "square": Function(lambda x: (float(x),), square, float),
        "double": Function(lambda x: (float(x),), lms.grad(square), float),
    },
    smallest=1.0,
)
