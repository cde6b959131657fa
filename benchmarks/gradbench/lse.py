"""The logarithm of a sum of exponentials."""

from __future__ import annotations

from typing import Any

import numpy as np

import lms
from lms import Array, Rep, f64

from .protocol import Eval, Function


@lms.stage
def objective(x: Rep[Array[f64, "n"]]) -> Rep[f64]:
    largest = np.max(x)
    return largest + np.log(np.sum(np.exp(x - largest)))


def arguments(data: dict[str, Any]) -> tuple[Any, ...]:
    return (np.array(data["x"]),)


def generate(n: int, seed: int = 31337) -> dict[str, Any]:
    return {"x": np.random.default_rng(seed).random(n).tolist()}


EVAL = Eval(
    {
        "primal": Function(arguments, objective, float),
        "gradient": Function(arguments, lms.grad(objective), np.ndarray.tolist),
    },
    smallest=generate(2),
)
