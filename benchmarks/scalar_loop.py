"""A scalar loop of a million steps, and its gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

import lms
from lms import Rep, f64, i64

from .measure import Case
from .peers import peer

STEPS = 1_000_000


def body(x, n):
    for _ in range(n):
        x = 0.999 * x + 0.001 * x * x * math.sin(x)
    return x


def typed(x: Rep[f64], n: Rep[i64]):
    for _ in range(n):
        x = 0.999 * x + 0.001 * x * x * math.sin(x)
    return x


def taped(x, n):
    """Value and derivative with a tape, as one writes it by hand."""
    tape = np.empty(n)
    for i in range(n):
        tape[i] = x
        x = 0.999 * x + 0.001 * x * x * math.sin(x)
    d = 1.0
    for i in range(n - 1, -1, -1):
        t = tape[i]
        d *= 0.999 + 0.001 * (2.0 * t * math.sin(t) + t * t * math.cos(t))
    return x, d


def cases() -> Iterator[Case]:
    numba, jax = peer("numba"), peer("jax")
    for fast in (False, True):
        note = "fastmath" if fast else "strict"
        ours = lms.stage(typed, fastmath=fast)
        gradient = lms.value_and_grad(ours)
        forward: dict[str, Callable[[], object]] = {"lms": lambda f=ours: f(0.7, STEPS)}
        backward: dict[str, Callable[[], object]] = {"lms": lambda g=gradient: g(0.7, STEPS)}
        if numba:
            njit = numba.njit(fastmath=fast)
            plain, tape = njit(body), njit(taped)
            forward["numba"] = lambda f=plain: f(0.7, STEPS)
            backward["numba, taped by hand"] = lambda f=tape: f(0.7, STEPS)
        if jax and not fast:
            def scan(x):
                def step(c, _):
                    return 0.999 * c + 0.001 * c * c * jax.numpy.sin(c), None

                return jax.lax.scan(step, x, None, length=STEPS)[0]

            jgrad = jax.jit(jax.value_and_grad(scan))
            backward["jax scan"] = lambda g=jgrad: jax.block_until_ready(g(0.7))
        yield Case(f"a million steps ({note})", forward, {"numba": 1.0})
        yield Case(f"value and gradient ({note})", backward, {"numba, taped by hand": 1.0, "jax scan": 1.0})
