"""The length of an orbit's arc by adaptive quadrature: Simpson's rule, halved where it does not agree with itself."""

import numpy as np

import lms
from lms import Rep, f64


def speed(t, a, b):
    return np.sqrt((a * np.sin(t)) ** 2 + (b * np.cos(t)) ** 2)


def simpson(lo, hi, a, b):
    return (hi - lo) / 6.0 * (speed(lo, a, b) + 4.0 * speed(0.5 * (lo + hi), a, b) + speed(hi, a, b))


@lms.stage
def integral(lo: Rep[f64], hi: Rep[f64], a: Rep[f64], b: Rep[f64], tolerance: Rep[f64]) -> Rep[f64]:
    middle = 0.5 * (lo + hi)
    whole, left, right = simpson(lo, hi, a, b), simpson(lo, middle, a, b), simpson(middle, hi, a, b)
    if abs(left + right - whole) < 15.0 * tolerance:
        return left + right + (left + right - whole) / 15.0
    return integral(lo, middle, a, b, tolerance / 2) + integral(middle, hi, a, b, tolerance / 2)


@lms.stage
def program(a: Rep[f64], b: Rep[f64], end: Rep[f64]):
    return integral(0.0, end, a, b, 1e-8)


POINT = (1.3, 0.4, 2.2)
STEP = 1e-4
