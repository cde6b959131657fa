"""y[0]' = x[0] and y[i]' = x[i] y[i-1] from y(0) = 0 to t = 2, by s steps of the classical Runge-Kutta method."""

from __future__ import annotations

from typing import Any

import numpy as np

import lms
from lms import Array, Rep, f64, i64

from .protocol import Eval, Function

END = 2.0


def slope(x, y):
    dy = np.empty_like(y)
    dy[0] = x[0]
    dy[1:] = x[1:] * y[:-1]
    return dy


@lms.stage
def solve(x: Rep[Array[f64, "n"]], s: Rep[i64]) -> Rep[Array[f64, "n"]]:
    h = END / s
    y = np.zeros_like(x)
    for _ in range(s):
        k1 = slope(x, y)
        k2 = slope(x, y + h / 2 * k1)
        k3 = slope(x, y + h / 2 * k2)
        k4 = slope(x, y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return y


@lms.stage
def last(x: Rep[Array[f64, "n"]], s: Rep[i64]) -> Rep[f64]:
    return solve(x, s)[-1]


def arguments(data: dict[str, Any]) -> tuple[Any, ...]:
    return np.array(data["x"]), data["s"]


def generate(n: int, s: int, seed: int = 31337) -> dict[str, Any]:
    return {"x": np.random.default_rng(seed).random(n).tolist(), "s": s}


EVAL = Eval(
    {
        "primal": Function(arguments, solve, np.ndarray.tolist),
        "gradient": Function(arguments, lms.grad(last), np.ndarray.tolist),
    },
    smallest=generate(2, 1),
)
