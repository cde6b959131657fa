"""Reverse-mode derivatives from delimited continuations, in forty lines: `shift`, `reset` and three rules.

The derivative of an operation needs two things: run the operation; and, when the rest of the program has run and has run its
own backward half, propagate. "The rest of the program" is a continuation. `shift` captures it, `reset` delimits it; in
Python the one-shot continuation is a generator, suspended at its `yield`. Nothing here knows whether it computes now, on
floats, or later, on `Rep`s: staged, all that is left of it is a straight line of arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import Any

import lms
from lms import Rep, f64

Rule = Generator[Any, Any, tuple[Any, ...]]


class Number:
    """A value, and the rules that wait for the end of its program."""

    def __init__(self, value: Any, waiting: list[Any]) -> None:
        self.value, self.waiting = value, waiting

    def __add__(self, other: Number) -> Number:
        return shift(add, self, other)

    def __mul__(self, other: Number) -> Number:
        return shift(mul, self, other)


def shift(rule: Callable[..., Rule], *operands: Number) -> Number:
    """Run a rule up to its `yield`. The rest of it waits until the rest of the program has run."""
    suspended = rule(*(x.value for x in operands))
    z = Number(next(suspended), operands[0].waiting)
    z.waiting.append((suspended, z, operands))
    return z


def reset(program: Callable[..., Number], *values: Any) -> tuple[Any, ...]:
    """Run a program, then resume what it suspended, last first. Gives the derivatives by its arguments."""
    waiting: list[Any] = []
    arguments = [Number(x, waiting) for x in values]
    bar: dict[Number, Any] = {program(*arguments): 1.0}  # cotangents: what the uses of a number propagate to it, in all
    for suspended, z, operands in reversed(waiting):
        for x, dx in zip(operands, resume(suspended, bar.get(z, 0.0)), strict=True):
            bar[x] = bar.get(x, 0.0) + dx
    return tuple(bar.get(x, 0.0) for x in arguments)


def resume(suspended: Rule, dz: Any) -> tuple[Any, ...]:
    """Hand a rule its cotangent; give what it returns."""
    try:
        suspended.send(dz)
    except StopIteration as end:
        return tuple(end.value)
    raise TypeError("a rule yields once")


def add(x: Any, y: Any) -> Rule:
    dz = yield x + y
    return dz, dz


def mul(x: Any, y: Any) -> Rule:
    dz = yield x * y
    return dz * y, dz * x


def sin(x: Any) -> Rule:
    dz = yield lms.sin(x)
    return (dz * lms.cos(x),)


def example(x: Number, y: Number) -> Number:
    """sin(x * y) * x + y."""
    return shift(sin, x * y) * x + y


@lms.stage
def staged(x: Rep[f64], y: Rep[f64]) -> Any:
    """The same gradient, of values that exist later."""
    return reset(example, x, y)


if __name__ == "__main__":
    x, y = 0.5, 2.0
    exact = math.sin(x * y) + x * y * math.cos(x * y), x * x * math.cos(x * y) + 1.0
    for when, found in (("now", reset(example, x, y)), ("later", staged(x, y)), ("exact", exact)):
        print(f"{when:6}{found[0]:.12f} {found[1]:.12f}")
    print(staged.specialize(x=x, y=y).python)
