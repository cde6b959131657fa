"""Compile time of the gradient of an unrolled chain x = sin(x) * 1.01 + roll(x, 1), U steps."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

import lms
from lms import Array, Rep, f64

from .measure import verdict

SIZES = (10, 50, 100, 200, 400, 800)


def chain(steps: int):
    def f(x: Rep[Array[f64, 16]]):
        for _ in range(steps):
            x = np.sin(x) * 1.01 + np.roll(x, 1)
        return np.sum(x)

    return f


def run() -> Iterator[str]:
    x = np.linspace(0.0, 1.0, 16)
    for steps in SIZES:
        begin = time.perf_counter()
        lms.grad(lms.stage(chain(steps)))(x)
        seconds = time.perf_counter() - begin
        goal = f"   {verdict(seconds, 5, ' s')}" if steps == SIZES[-1] else ""
        yield f"  U = {steps:4}  {seconds:8.3f} s  {1e3 * seconds / steps:6.2f} ms a step{goal}"
