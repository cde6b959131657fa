"""The distance of points from the Mandelbrot set, by the iteration and its derivative, averaged over a small window."""

import numpy as np

import lms


def distance(cx, cy):
    x, y, dx, dy = 0.0, 0.0, 0.0, 0.0
    for _ in lms.range(200):
        if x * x + y * y > 1e4:
            break
        dx, dy = 2.0 * (x * dx - y * dy) + 1.0, 2.0 * (x * dy + y * dx)
        x, y = x * x - y * y + cx, 2.0 * x * y + cy
    else:
        return 0.0
    r = np.sqrt(x * x + y * y)
    return r * np.log(r) / np.sqrt(dx * dx + dy * dy)


@lms.stage
def program(cx, cy, width):
    total = 0.0
    for i in range(3):
        for j in range(3):
            total += distance(cx + (i - 1) * width, cy + (j - 1) * width)
    return total / 9.0


POINT = (-0.7436, 0.1318, 0.013)
STEP = 1e-6
