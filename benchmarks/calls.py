"""The cost of one call: two scalars, and two small arrays."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import lms
from lms import Array, Rep, f64

from .measure import Case
from .peers import peer


@lms.stage
def add(a: Rep[f64], b: Rep[f64]):
    return a + b


@lms.stage
def dot(x: Rep[Array[f64, "n"]], y: Rep[Array[f64, "n"]]):
    return np.dot(x, y)


def cases() -> Iterator[Case]:
    numba, jax = peer("numba"), peer("jax")
    x, y = np.arange(8.0), np.ones(8)
    scalars = {"lms": lambda: add(1.0, 2.0)}
    arrays = {"lms": lambda: dot(x, y), "numpy": lambda: np.dot(x, y)}
    if numba:
        nadd = numba.njit(lambda a, b: a + b)
        ndot = numba.njit(lambda a, b: np.dot(a, b))
        scalars["numba"] = lambda: nadd(1.0, 2.0)
        arrays["numba"] = lambda: ndot(x, y)
    if jax:
        jadd, jdot = jax.jit(lambda a, b: a + b), jax.jit(jax.numpy.dot)
        scalars["jax"] = lambda: jadd(1.0, 2.0).block_until_ready()
        arrays["jax"] = lambda: jdot(x, y).block_until_ready()
    yield Case("two scalars", scalars, {"numba": 0.7, "jax": 0.7})
    yield Case("two arrays of eight", arrays, {"numba": 0.7, "jax": 0.7})
