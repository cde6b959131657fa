"""The gradient of sum_i log(sum_j exp(x_i w_j)), written as loops and as array expressions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

import lms
from lms import Array, Rep, f64

from .measure import Case
from .peers import peer

N, M = 512, 256


def loops(x: Rep[Array[f64, "n"]], w: Rep[Array[f64, "m"]]):
    total = 0.0
    for i in range(len(x)):
        s = 0.0
        for j in range(len(w)):
            s += math.exp(x[i] * w[j])
        total += math.log(s)
    return total


def arrays(x: Rep[Array[f64, "n"]], w: Rep[Array[f64, "m"]]):
    return np.sum(np.log(np.sum(np.exp(x[:, None] * w[None, :]), axis=1)))


def by_hand(x, w):
    """Value and gradient as one writes them for Numba."""
    total, dw = 0.0, np.zeros(len(w))
    e = np.empty(len(w))
    for i in range(len(x)):
        s = 0.0
        for j in range(len(w)):
            e[j] = math.exp(x[i] * w[j])
            s += e[j]
        total += math.log(s)
        for j in range(len(w)):
            dw[j] += x[i] * e[j] / s
    return total, dw


def cases() -> Iterator[Case]:
    numba, jax, torch = peer("numba"), peer("jax"), peer("torch")
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=N), rng.normal(size=M)
    peers: dict[str, Callable[[], object]] = {}
    if jax:
        jnp = jax.numpy
        jgrad = jax.jit(jax.value_and_grad(lambda w, x: jnp.sum(jnp.log(jnp.sum(jnp.exp(x[:, None] * w[None, :]), 1)))))
        jx, jw = jnp.asarray(x), jnp.asarray(w)
        peers["jax"] = lambda: jax.block_until_ready(jgrad(jw, jx))
    if torch:
        tx, tw = torch.tensor(x), torch.tensor(w, requires_grad=True)

        def backward() -> object:
            tw.grad = None
            torch.log(torch.exp(tx[:, None] * tw[None, :]).sum(1)).sum().backward()
            return tw.grad

        peers["torch"] = backward
    for fast in (False, True):
        more = dict(peers)
        if numba:
            f = numba.njit(by_hand, fastmath=fast)
            more["numba, by hand"] = lambda f=f: f(x, w)
        g = lms.value_and_grad(lms.stage(loops, fastmath=fast), argnums=1)
        note = "fastmath" if fast else "strict"
        yield Case(f"as loops ({note})", {"lms": lambda g=g: g(x, w), **more}, {"jax": 0.5} if fast else {})
    g = lms.value_and_grad(lms.stage(arrays), argnums=1)
    yield Case("as array expressions", {"lms": lambda: g(x, w), **peers}, {"jax": 0.5})
