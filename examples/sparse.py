"""A sparse matrix-vector product, specialised to its matrix.

The matrix is known now: a frozen list of rows. Rows with few entries become straight-line code with the numbers in it; a
dense row becomes a loop over a captured array. The vector is known later.
"""

from __future__ import annotations

import numpy as np

import lms
from lms import Array, Rep, f64

Matrix = tuple[tuple[float, ...], ...]
FEW = 3  # rows with at most this many entries are unrolled


@lms.stage
def product(matrix: lms.Static[Matrix], v: Rep[Array[f64, "n"]]) -> Rep[Array[f64, "m"]]:
    out = np.zeros(len(matrix))
    for i, row in enumerate(matrix):
        entries = [(j, a) for j, a in enumerate(row) if a != 0.0]
        if len(entries) <= FEW:
            out[i] = sum(a * v[j] for j, a in entries)
        else:
            dense = np.array(row)
            total = 0.0
            for j in lms.range(len(row)):
                total += dense[j] * v[j]
            out[i] = total
    return out


MATRIX = (
    (1.0, 0.0, 0.0, 0.0, 0.0),
    (0.0, 0.0, 0.0, 0.0, 0.0),
    (0.0, 2.0, 0.0, 0.0, -3.0),
    (1.0, 1.0, 1.0, 1.0, 1.0),
    (0.0, 0.0, 4.0, 0.0, 0.0),
)

if __name__ == "__main__":
    v = np.arange(1.0, 6.0)
    print(product(MATRIX, v), np.array(MATRIX) @ v)
    print(product.specialize(MATRIX, v).python)
