"""A calibration curve as a polynomial by Horner's rule, divided by a Chebyshev series by Clenshaw's recurrence."""

import numpy as np

import lms

XS = np.linspace(-0.9, 0.9, 7)


def horner(coefficients, x):
    total = 0.0
    for c in coefficients[::-1]:
        total = total * x + c
    return total


def clenshaw(coefficients, x):
    b1, b2 = 0.0, 0.0
    for k in range(len(coefficients) - 1, 0, -1):
        b1, b2 = 2.0 * x * b1 - b2 + coefficients[k], b1
    return x * b1 - b2 + coefficients[0]


@lms.stage
def program(p, q, shift):
    loss = 0.0
    for x in XS:
        fit = horner(p, x - shift) / (2.5 + clenshaw(q, x))
        loss = loss + (fit - np.sin(3.0 * x)) ** 2
    return loss


POINT = (np.array([0.1, 1.5, -0.3, -0.8, 0.2]), np.array([0.3, -0.2, 0.1, 0.05]), 0.07)
ANALYTIC = True
