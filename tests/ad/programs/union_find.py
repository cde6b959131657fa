"""Clusters of points: a minimum spanning tree by Kruskal's algorithm with union and find, and the length of its edges."""

import numpy as np

import lms


def find(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@lms.stage
def program(points, stretch):
    n = points.shape[0]
    m = n * (n - 1) // 2
    lengths = np.zeros(m)
    ends = np.zeros((m, 2), dtype=np.int64)
    k = 0
    for i in range(n):
        for j in range(i):
            d = (points[i] - points[j]) * stretch
            lengths[k] = np.sqrt(d @ d)
            ends[k, 0] = i
            ends[k, 1] = j
            k += 1
    parent = np.arange(n)
    total, joined = 0.0, 0
    for e in np.argsort(lengths):
        a, b = find(parent, ends[e, 0]), find(parent, ends[e, 1])
        if a != b:
            parent[a] = b
            joined += 1
            total += np.log(1.0 + lengths[e]) * joined
        if joined == n - 1:
            break
    return total


rng = np.random.default_rng(13)
POINT = (rng.normal(size=(7, 2)), np.array([1.0, 0.7]))
