"""Dynamic time warping: the cheapest way to align one series with another, as a table filled row by row."""

import numpy as np

import lms


@lms.stage
def program(a, b):
    n, m = len(a), len(b)
    D = np.full((n + 1, m + 1), np.inf)
    D[0, 0] = 0.0
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            cost = (a[i - 1] - b[j - 1]) ** 2
            D[i, j] = cost + min(D[i - 1, j], D[i, j - 1], D[i - 1, j - 1])
    return D[n, m]


POINT = (np.array([0.0, 0.45, 1.13, 2.31, 1.87, 0.22]), np.array([0.11, 0.26, 0.74, 1.52, 2.6, 2.2, 0.93, -0.2]))
