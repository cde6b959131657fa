"""Gradient descent with a step that doubles and halves (Siskind and Pearlmutter), inside staged code."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import lms

PRECISION = 1e-5


def forward(f):
    """The gradient by forward mode: one direction after another."""
    def gradient(x):
        slopes = np.empty_like(x)
        for i in range(len(x)):
            direction = np.zeros_like(x)
            direction[i] = 1.0
            slopes[i] = lms.jvp(f, (x,), (direction,))[1]
        return slopes

    return gradient


MODES: dict[str, Callable] = {"f": forward, "r": lms.grad}


def magnitude(x):
    return np.sqrt(np.sum(x * x))


def argmin(f, x, mode):
    """Where `f` is least, by the gradient that `mode` makes."""
    gradient = mode(f)
    value, slope = f(x), gradient(x)
    step, better = PRECISION, 0
    while magnitude(slope) > PRECISION:
        if better == 10:
            step *= 2.0
            better = 0
        there = x - step * slope
        if magnitude(x - there) <= PRECISION:
            break
        value_there = f(there)
        if value_there < value:
            x, value, slope = there, value_there, gradient(there)
            better += 1
        else:
            step /= 2.0
            better = 0
    return x


def argmax(f, x, mode):
    return argmin(lambda y: -f(y), x, mode)
