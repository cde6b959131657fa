"""A user's file, as type checkers see it: a staged function has the types of its unstaged self."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import lms
from lms import Array, Mut, Rep, Static, f64, i64

n, m = lms.dims("n m")


@lms.stage
def energy(positions: Rep[Array[f64, n, 3]], charge: Rep[f64], steps: int = 3) -> Rep[f64]:
    total = 0.0
    for i in range(len(positions)):
        total += charge * float(np.sum(positions[i] ** 2)) * steps
    return total


@lms.stage
def shift(a: Mut[Array[f64, n, m]], by: Rep[f64], labels: Static[tuple[str, ...]] = ()) -> Rep[i64]:
    a += by
    return len(labels)


def use(x: NDArray[np.float64]) -> float:
    value: float = energy(x, 2.0)
    count: int = shift(x, 1.0)
    gradient = lms.grad(energy)(x, 2.0)
    print(energy.specialize(steps=4).ir, gradient)
    return value + count
