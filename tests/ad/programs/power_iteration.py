"""The growth rate of a population with ages: the largest eigenvalue of its Leslie matrix, by power iteration until it settles."""

import numpy as np

import lms


@lms.stage
def program(birth, survival):
    n = len(birth)
    L = np.zeros((n, n))
    L[0] = birth
    for k in range(n - 1):
        L[k + 1, k] = survival[k]
    v = np.ones(n) / np.sqrt(n)
    growth, before = 0.0, -1.0
    steps = 0
    while abs(growth - before) > 1e-13 and steps < 500:
        w = L @ v
        before = growth
        growth = v @ w
        v = w / np.linalg.norm(w)
        steps += 1
    return np.log(growth) + 0.1 * v[0]


POINT = (np.array([0.0, 1.1, 1.4, 0.6]), np.array([0.6, 0.7, 0.4]))
STEP = 1e-5
ULPS = 16  # the logarithm of a number near 1
