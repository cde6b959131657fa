"""Greedy colourings of sparse patterns: what has one colour is evaluated together.

Patterns are compressed rows: the columns of row `i` are `indices[start[i] : start[i + 1]]`. Gebremedhin, Manne and Pothen, What
Color Is Your Jacobian? (SIAM Review 47, 2005), algorithms 3.1 (columns) and 4.1 (stars).
"""

from __future__ import annotations

import numpy as np


def columns(start: np.ndarray, rows_of: np.ndarray, row_start: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """A colour for every column, such that columns of one colour share no row; `start` and `rows_of` are the rows of each."""
    rows = _split(row_start, indices)
    colour = [-1] * (len(start) - 1)
    for j, mine in enumerate(_split(start, rows_of)):
        taken = {colour[other] for row in mine for other in rows[row]}
        colour[j] = _first_free(taken)
    return np.array(colour, np.int64)


def stars(start: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """A colour for every column of a symmetric pattern: neighbours differ, and no path of four has two colours only."""
    neighbours = [[x for x in row if x != v] for v, row in enumerate(_split(start, indices))]
    colour = [-1] * len(neighbours)
    for v, around in enumerate(neighbours):
        taken = {colour[w] for w in around}
        for w in around:
            if colour[w] < 0:
                taken.update(colour[x] for x in neighbours[w])
                continue
            for x in neighbours[w]:
                if x != v and colour[x] not in taken and any(y != w and colour[y] == colour[w] for y in neighbours[x]):
                    taken.add(colour[x])
        colour[v] = _first_free(taken)
    return np.array(colour, np.int64)


def _split(start: np.ndarray, indices: np.ndarray) -> list[list[int]]:
    flat, bounds = indices.tolist(), start.tolist()
    return [flat[a:b] for a, b in zip(bounds, bounds[1:], strict=False)]


def _first_free(taken: set[int]) -> int:
    c = 0
    while c in taken:
        c += 1
    return c
