"""Directions made orthonormal by the modified method of Gram and Schmidt, and a point's distance from what they span."""

import numpy as np

import lms


@lms.stage
def program(A, b):
    Q = A.copy()
    n = Q.shape[1]
    log_volume = 0.0
    for k in range(n):
        norm = np.sqrt((Q[:, k] ** 2).sum())
        log_volume += np.log(norm)
        Q[:, k] /= norm
        for j in range(k + 1, n):
            Q[:, j] -= (Q[:, k] @ Q[:, j]) * Q[:, k]
    rest = b.copy()
    for k in range(n):
        rest -= (Q[:, k] @ b) * Q[:, k]
    return np.sqrt(rest @ rest) + 0.1 * log_volume


rng = np.random.default_rng(9)
POINT = (rng.normal(size=(5, 3)), rng.normal(size=5))
ANALYTIC = True
