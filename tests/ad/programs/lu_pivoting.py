"""A circuit's currents by elimination with partial pivoting: the power in a few resistors, by their values."""

import numpy as np

import lms


def solve(a, b):
    a, b = a.copy(), b.copy()
    n = len(b)
    for k in range(n):
        p = k
        for i in range(k + 1, n):
            if abs(a[i, k]) > abs(a[p, k]):
                p = i
        if p != k:
            for j in range(n):
                a[k, j], a[p, j] = a[p, j], a[k, j]
            b[k], b[p] = b[p], b[k]
        for i in range(k + 1, n):
            factor = a[i, k] / a[k, k]
            for j in range(k, n):
                a[i, j] -= factor * a[k, j]
            b[i] -= factor * b[k]
    x = np.empty(n)
    for i in range(n - 1, -1, -1):
        x[i] = (b[i] - a[i, i + 1:] @ x[i + 1:]) / a[i, i]
    return x


@lms.stage
def program(r, volts):
    a = np.array([
        [1.0, -1.0, -1.0, 0.0],
        [0.0, 1.0, 0.0, -1.0],
        [r[0], r[1], 0.0, r[3]],
        [0.0, -r[1], r[2], -r[3]],
    ])
    current = solve(a, np.array([0.0, 0.2, volts, 0.0]))
    return current[1] ** 2 * r[1] + current[2] ** 2 * r[2]


POINT = (np.array([1.3, 2.7, 0.9, 1.8]), 5.0)
