"""The fastest way through a road network by Dijkstra's algorithm; roads take longer the more traffic they carry."""

import numpy as np

import lms

ROADS = [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (2, 4), (3, 4), (3, 5), (4, 5)]


@lms.stage
def program(lengths, traffic, congestion):
    n = 6
    times = np.full((n, n), np.inf)
    for k, (i, j) in enumerate(ROADS):
        t = lengths[k] * (1.0 + congestion * traffic[k] ** 2)
        times[i, j] = t
        times[j, i] = t
    best = np.full(n, np.inf)
    best[0] = 0.0
    done = np.zeros(n, dtype=bool)
    for _ in range(n):
        here = -1
        for i in range(n):
            if not done[i] and (here < 0 or best[i] < best[here]):
                here = i
        if np.isinf(best[here]):
            break
        done[here] = True
        for j in range(n):
            if best[here] + times[here, j] < best[j]:
                best[j] = best[here] + times[here, j]
    return best[5] + 0.1 * best[3]


POINT = (
    np.array([1.0, 2.5, 0.8, 3.1, 1.2, 2.9, 0.7, 2.2, 1.6]),
    np.array([0.5, 0.2, 0.7, 0.4, 0.3, 0.1, 0.6, 0.8, 0.9]),
    0.6,
)
