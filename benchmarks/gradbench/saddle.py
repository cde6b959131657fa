"""A saddle point, by a descent whose every value is an ascent: derivatives of a program that contains derivatives."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import lms
from lms import Array, Rep, f64

from .descent import MODES, argmax, argmin
from .protocol import Eval, Function


def f(x, y):
    return x[0] ** 2 + x[1] ** 2 - (y[0] ** 2 + y[1] ** 2)


def program(outer: str, inner: str):
    @lms.stage
    def saddle(start: Rep[Array[f64, 2]]) -> Rep[Array[f64, 4]]:
        def highest(x):
            return f(x, argmax(lambda y: f(x, y), start, MODES[inner]))

        x = argmin(highest, start, MODES[outer])
        y = argmax(lambda y: f(x, y), start, MODES[outer])
        return np.concatenate((x, y))

    return saddle


def arguments(data: dict[str, Any]) -> tuple[Any, ...]:
    return (np.array(data["start"], dtype=float),)


EVAL = Eval(
    {outer + inner: Function(arguments, program(outer, inner), np.ndarray.tolist)
     for outer, inner in itertools.product("fr", repeat=2)},
    smallest={"start": [1.0, 1.0]},
)
