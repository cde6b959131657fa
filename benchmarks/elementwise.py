"""a*b + exp(c) on ten million elements."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import lms
from lms import Array, Rep, f64

from .measure import Case
from .peers import peer

N = 10_000_000


@lms.stage
def ours(a: Rep[Array[f64, "n"]], b: Rep[Array[f64, "n"]], c: Rep[Array[f64, "n"]]):
    return a * b + np.exp(c)


def cases() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, N))
    contenders = {"lms": lambda: ours(a, b, c), "numpy": lambda: a * b + np.exp(c)}
    numba, jax = peer("numba"), peer("jax")
    if numba:
        f = numba.njit(lambda a, b, c: a * b + np.exp(c))
        contenders["numba"] = lambda: f(a, b, c)
    if jax:
        g = jax.jit(lambda a, b, c: a * b + jax.numpy.exp(c))
        ja, jb, jc = map(jax.numpy.asarray, (a, b, c))
        contenders["jax"] = lambda: g(ja, jb, jc).block_until_ready()
    yield Case("ten million elements", contenders, {"numpy": 1.0, "numba": 1.0, "jax": 1.0})
