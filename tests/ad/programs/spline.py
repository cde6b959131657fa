"""A natural cubic spline: its slopes by a tridiagonal solve, its pieces found by bisection, and the arc that a cam follows on it."""

import math

import numpy as np

import lms


def second_derivatives(x, y):
    n = len(x)
    m = np.zeros(n)
    c = np.zeros(n)
    d = np.zeros(n)
    for i in range(1, n - 1):
        left, right = x[i] - x[i - 1], x[i + 1] - x[i]
        pivot = 2.0 * (left + right) - left * c[i - 1]
        c[i] = right / pivot
        d[i] = (6.0 * ((y[i + 1] - y[i]) / right - (y[i] - y[i - 1]) / left) - left * d[i - 1]) / pivot
    for i in range(n - 2, 0, -1):
        m[i] = d[i] - c[i] * m[i + 1]
    return m


def evaluate(x, y, m, at):
    lo, hi = 0, len(x) - 1
    while hi - lo > 1:
        mid = (lo + hi) // 2
        if x[mid] > at:
            hi = mid
        else:
            lo = mid
    h = x[hi] - x[lo]
    a, b = (x[hi] - at) / h, (at - x[lo]) / h
    return a * y[lo] + b * y[hi] + ((a**3 - a) * m[lo] + (b**3 - b) * m[hi]) * h * h / 6.0


@lms.stage
def program(x, y, shift):
    m = second_derivatives(x, y)
    length = 0.0
    before = evaluate(x, y, m, shift)
    for k in lms.range(1, 41):
        here = evaluate(x, y, m, shift + 0.1 * k)
        length += math.sqrt(0.01 + (here - before) ** 2)
        before = here
    return length


POINT = (np.array([0.0, 0.72, 1.51, 2.33, 3.17, 4.6]), np.array([0.0, 0.8, 0.3, -0.6, 0.2, 0.9]), 0.105)
