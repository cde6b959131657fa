"""A stiff-ish oscillator (Van der Pol) integrated by Dormand and Prince's method: steps adapt, and bad ones are rejected."""

import numpy as np

import lms

C = [0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0]
A = [
    [],
    [1 / 5],
    [3 / 40, 9 / 40],
    [44 / 45, -56 / 15, 32 / 9],
    [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
    [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
    [35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
]
B = [35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0]
E = [71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40]


def oscillator(t, y, mu):
    return np.array([y[1], mu * (1.0 - y[0] ** 2) * y[1] - y[0] + 0.1 * np.cos(t)])


@lms.stage
def program(y0, mu, end):
    t, y, h = 0.0, y0, 0.5
    rejected = 0
    while t < end:
        if t + h > end:
            h = end - t
        k = []
        for c, row in zip(C, A):
            state = y
            for a, slope in zip(row, k):
                state = state + h * a * slope
            k.append(oscillator(t + c * h, state, mu))
        error = 1e-12
        for e, slope in zip(E, k):
            error = error + e * slope
        error = np.max(np.abs(h * error) / (1e-4 + 1e-4 * np.abs(y)))
        if error <= 1.0:
            t += h
            for b, slope in zip(B, k):
                y = y + h * b * slope
        else:
            rejected += 1
        h = h * min(5.0, max(0.2, 0.9 * error ** (-0.2)))
    return y[0] ** 2 + 0.5 * y[1]


POINT = (np.array([1.5, 0.3]), 2.0, 5.0)
