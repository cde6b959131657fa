"""Where to put a charge so that another flies through the origin: a descent on a flight whose force is itself a derivative."""

from __future__ import annotations

import itertools

import numpy as np

import lms
from lms import Rep, f64

from .descent import MODES, argmin, magnitude
from .protocol import Eval, Function

STEP = 0.1


def landing(w, mode):
    """The square of where the charge crosses the axis, by Euler's method; `w` moves one of the others."""
    charges = [np.array([10.0, 10.0 - w]), np.array([10.0, 0.0])]

    def potential(x):
        return sum(1.0 / magnitude(x - charge) for charge in charges)

    force = mode(potential)
    x, v = np.array([0.0, 8.0]), np.array([0.75, 0.0])
    there = x + STEP * v
    while there[1] > 0:
        x, v = there, v - STEP * force(x)
        there = x + STEP * v
    crossing = x[0] - x[1] / v[1] * v[0]
    return crossing ** 2


def program(outer: str, inner: str):
    @lms.stage
    def particle(w: Rep[f64]) -> Rep[f64]:
        best = argmin(lambda w: landing(w[0], MODES[inner]), np.array([w]), MODES[outer])
        return best[0]

    return particle


EVAL = Eval(
    {outer + inner: Function(lambda data: (float(data["w"]),), program(outer, inner), float)
     for outer, inner in itertools.product("fr", repeat=2)},
    smallest={"w": 0.0},
)
