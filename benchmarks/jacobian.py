"""A Jacobian of three rows and eight columns, as we take it and column by column: an ODE of three states and five parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

import lms
from lms import Array, Rep, f64, i64

from .measure import Case
from .peers import peer

STEPS = 1_000


@lms.stage
def lorenz(p: Rep[Array[f64, 8]], n: Rep[i64]) -> Rep[Array[f64, 3]]:
    x, y, z, s, r, b, h, w = p
    for _ in range(n):
        dx = s * (y - x)
        dy = x * (r - z) - y + w * lms.sin(x)
        dz = x * y - b * z
        x, y, z = x + h * dx, y + h * dy, z + h * dz
    return np.array([x, y, z])


@lms.stage
def columns(p: Rep[Array[f64, 8]], n: Rep[i64]) -> Rep[Array[f64, 3, 8]]:
    out = np.zeros((3, 8))
    for k in range(8):
        direction = np.zeros(8)
        direction[k] = 1.0
        out[:, k] = lms.jvp(lorenz, (p, n), (direction, None))[1]
    return out


def cases() -> Iterator[Case]:
    p = np.array([1.0, 1.0, 1.0, 10.0, 28.0, 8.0 / 3.0, 1e-3, 0.1])
    jacobian = lms.jacobian(lorenz)
    contenders: dict[str, Callable[[], object]] = {
        "lms": lambda: jacobian(p, STEPS),
        "column by column": lambda: columns(p, STEPS),
        "the function": lambda: lorenz(p, STEPS),
    }
    np.testing.assert_allclose(jacobian(p, STEPS), columns(p, STEPS), rtol=1e-12)
    if jax := peer("jax"):
        def scan(p):
            *state, s, r, b, h, w = p

            def step(state, _):
                x, y, z = state
                dx, dy, dz = s * (y - x), x * (r - z) - y + w * jax.numpy.sin(x), x * y - b * z
                return (x + h * dx, y + h * dy, z + h * dz), None

            return jax.numpy.stack(jax.lax.scan(step, tuple(state), None, length=STEPS)[0])

        forward = jax.jit(jax.jacfwd(scan))
        contenders["jax jacfwd"] = lambda: jax.block_until_ready(forward(p))
    yield Case("the Jacobian of 1,000 steps by 8 numbers", contenders, {"column by column": 0.5, "jax jacfwd": 1.0})
