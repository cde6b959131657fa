"""Least squares: the polynomial that is nearest to a step, by its coefficients."""

from __future__ import annotations

from typing import Any

import numpy as np

import lms
from lms import Array, Rep, f64, i64

from .protocol import Eval, Function


@lms.stage
def objective(x: Rep[Array[f64, "m"]], n: Rep[i64]) -> Rep[f64]:
    total = 0.0
    for i in range(n):
        t = -1.0 + i * 2.0 / (n - 1)
        residual = np.sign(t)
        power = 1.0
        for j in range(len(x)):
            residual -= x[j] * power
            power *= t
        total += residual * residual
    return 0.5 * total


def arguments(data: dict[str, Any]) -> tuple[Any, ...]:
    return np.array(data["x"]), data["n"]


def generate(n: int, m: int = 128, seed: int = 31337) -> dict[str, Any]:
    return {"x": np.random.default_rng(seed).random(m).tolist(), "n": n}


EVAL = Eval(
    {
        "primal": Function(arguments, objective, float),
        "gradient": Function(arguments, lms.grad(objective), np.ndarray.tolist),
    },
    smallest=generate(4, 2),
)
