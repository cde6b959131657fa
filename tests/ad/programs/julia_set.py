"""How long points near a Julia set stay: smooth counts of z -> z z + c on a few points of the plane."""

import numpy as np

import lms


@lms.stage
def program(c_re, c_im, zoom):
    c = complex(c_re, c_im)
    total = 0.0
    for row in lms.range(3):
        for column in lms.range(3):
            z = zoom * complex(column - 1.1, row - 0.9)
            steps = 0
            while abs(z) < 100.0 and steps < 60:
                z = z * z + c
                steps += 1
            if abs(z) >= 100.0:
                total += steps + 1 - np.log(np.log(abs(z))) / np.log(2.0)
    return total


POINT = (-0.4, 0.6, 0.9)
STEP = 1e-5
