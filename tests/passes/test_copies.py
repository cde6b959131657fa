"""Copies of arrays that are not used any more go; all others stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Value
from lms.core.verify import verify
from lms.passes.clone import clone
from lms.passes.copies import Copies
from tests.passes.programs import VEC, branch, loop, nodes, number, outcome, program, same, window

s, a = p.scalar, p.array
X = np.array([0.5, -1.5, 2.0])


def fresh(b: Builder, x: Value) -> Value:
    return b.emit1(a.cumsum, x, axis=0)


def copy(b: Builder, x: Value) -> Value:
    return b.emit1(a.copy, x)


def put(b: Builder, x: Value) -> None:
    b.emit(a.store, x, number(b, 7.0), b.const(0))


def used_last(b: Builder, x: Value) -> Any:
    return copy(b, fresh(b, x))


def renamed(b: Builder, x: Value) -> Any:
    y = fresh(b, x)
    return copy(b, b.emit1(a.reshape, y, b.dim(x, 0), dims=VEC.dims))


def elementwise(b: Builder, x: Value) -> Any:
    return copy(b, b.emit1(s.mul, x, x))


def twice(b: Builder, x: Value) -> Any:
    y = fresh(b, x)
    return copy(b, y), copy(b, y)


def again(b: Builder, x: Value) -> Any:
    return copy(b, copy(b, fresh(b, x)))


def read_after(b: Builder, x: Value) -> Any:
    y = fresh(b, x)
    z = copy(b, y)
    put(b, z)
    return z, b.emit1(a.load, y, b.const(0))


def read_by_a_view(b: Builder, x: Value) -> Any:
    y = fresh(b, x)
    part = window(b, y, 0, b.const(1), 1)
    z = copy(b, y)
    put(b, z)
    return z, b.emit1(a.load, part, b.const(0))


def given_away_too(b: Builder, x: Value) -> Any:
    y = fresh(b, x)
    return copy(b, y), y


def an_argument(b: Builder, x: Value) -> Any:
    z = copy(b, x)
    put(b, z)
    return z


def written_afterwards(b: Builder, x: Value) -> Any:
    z = copy(b, fresh(b, x))
    put(b, z)
    return z


def in_a_loop(b: Builder, x: Value) -> Any:
    def body(i: Value, t: Value) -> Value:
        z = copy(b, fresh(b, x))
        put(b, z)
        return b.emit1(s.add, t, b.emit1(a.load, z, i))

    return loop(b, b.dim(x, 0), body, number(b, 0.0))


def from_around(b: Builder, x: Value) -> Any:
    y = fresh(b, x)

    def body(i: Value, t: Value) -> Value:
        z = copy(b, y)
        b.emit(a.store, z, t, i)
        return b.emit1(s.add, t, b.emit1(a.load, z, b.const(0)))

    return loop(b, b.dim(x, 0), body, number(b, 0.0))


def read_in_a_block(b: Builder, x: Value) -> Any:
    zero = number(b, 0.0)
    y = fresh(b, x)
    z = copy(b, y)
    put(b, z)
    return (z, *branch(b, b.emit1(s.eq, zero, zero), lambda: b.emit1(a.load, y, b.const(0)), lambda: number(b, 0.0)))


@pytest.mark.parametrize(("make", "left"), [
    (used_last, 0), (renamed, 0), (elementwise, 1), (twice, 1), (again, 1), (read_after, 1),
    (read_by_a_view, 1), (given_away_too, 1), (an_argument, 1),
    (written_afterwards, 0), (in_a_loop, 0), (from_around, 1), (read_in_a_block, 1),
])
def test_copies(make: Callable[[Builder, Value], Any], left: int) -> None:
    prog = program([VEC], make)
    new = Copies().run(clone(prog))
    verify(new, after="copies")
    assert len(nodes(new, "copy")) == left
    same(outcome(prog, [X]), outcome(new, [X]), exact=True)
