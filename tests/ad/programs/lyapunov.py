"""How fast a driven logistic map forgets where it started: the exponent, by logarithms of slopes, along a letter's rhythm."""

import numpy as np

import lms

RHYTHM = "AABAB"


@lms.stage
def program(a, b, x):
    total = 0.0
    for k in lms.range(8):
        for letter in RHYTHM:
            r = a if letter == "A" else b
            x = r * x * (1.0 - x)
            total += np.log(abs(r * (1.0 - 2.0 * x)))
    return total / (8 * len(RHYTHM))


POINT = (3.1, 2.9, 0.4)
STEP = 1e-5
