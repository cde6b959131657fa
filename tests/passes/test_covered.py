"""Fills that are written over: which arrays loops cover, and which keep their zeros.

The reference back end has zeros in all fresh memory, so what these tests ask is which fills are left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lms
from lms import Array, Rep, f64, i64
from lms.core import primitives as p
from lms.core.ir import Node, walk

V = Rep[Array[f64, "n"]]
c, a = p.control, p.array


def fills(f: Callable[..., Any], *args: Any) -> int:
    """The loops of a compiled function that only store zeros."""
    program = lms.stage(f).specialize(*args).program
    return sum(_stores_zeros(node) for g in program.functions.values() for node in walk(g.body))


def _stores_zeros(node: Node) -> bool:
    if node.op is not c.for_ or any(inner.op in (c.for_, a.load) for inner in node.blocks[0].nodes):
        return False
    values = [inner.operands[1].node for inner in node.blocks[0].nodes if inner.op is a.store]
    return bool(values) and all(v is not None and v.op is a.const and v.attrs["value"] == 0 for v in values)


def triples(x: V) -> Any:
    n = len(x)
    out = np.empty(3 * n + 1)
    for i in range(n):
        out[3 * i] = x[i]
        out[3 * i + 2] = x[i] * 2.0
        out[3 * i + 1] = np.sin(x[i])
    out[3 * n] = 7.0
    return out


def two_loops(x: V) -> Any:
    n = len(x)
    out = np.zeros(3 * n)
    for i in range(n):
        out[2 * n + i] = np.sin(x[i])
    for i in range(n):
        out[2 * i], out[2 * i + 1] = x[i], x[n - 1 - i]
    return out


def pairs(x: V) -> Any:
    out = np.zeros((len(x), 2, 2))
    for i in range(len(x)):
        for j in lms.range(2):
            out[i, j, 0] = np.sin(x[i])
            out[i, j, 1] = x[i]
    return out


def outer(x: V, y: Rep[Array[f64, "m"]]) -> Any:
    out = np.zeros((len(x), len(y)))
    for i in range(len(x)):
        for j in range(len(y)):
            out[i, j] = x[i] * y[j]
    return out


def skips_one(x: V) -> Any:
    n = len(x)
    out = np.zeros(3 * n)
    for i in range(n):
        out[3 * i] = x[i]
        out[3 * i + 1] = np.sin(x[i])
    return out


def ends_early(x: V) -> Any:
    n = len(x)
    out = np.zeros(2 * n + 1)
    for i in range(n):
        out[2 * i], out[2 * i + 1] = x[i], np.sin(x[i])
    return out


def reads_between(x: V) -> Any:
    n = len(x)
    out = np.zeros(2 * n)
    for i in range(n):
        out[2 * i] = x[i] + out[2 * n - 1 - i]
        out[2 * i + 1] = x[i]
    return out


def sometimes(x: V) -> Any:
    n = len(x)
    out = np.zeros(2 * n)
    for i in range(n):
        out[2 * i] = x[i]
        if x[i] > 0.0:
            out[2 * i + 1] = x[i]
    return out


def perhaps_never(x: V, times: Rep[i64]) -> Any:
    n = len(x)
    out = np.zeros(2 * n)
    for i in range(n):
        for _ in range(times):
            out[2 * i] = x[i]
            out[2 * i + 1] = np.sin(x[i])
    return out


def diagonal(x: V) -> Any:
    n = len(x)
    out = np.zeros((2 * n, n, n))
    for i in range(n):
        for j in range(n):
            out[2 * i, j, j] = x[j]
            out[2 * i + 1, j, j] = np.sin(x[i])
    return out


def backwards(x: V) -> Any:
    n = len(x)
    out = np.zeros(2 * n)
    for i in range(n):
        out[2 * i] += x[i]
        out[2 * i + 1] = x[i]
    return out


X, Y = np.array([0.5, -1.0, 2.0]), np.array([0.25, 4.0])


@pytest.mark.parametrize(("f", "args"), [(triples, (X,)), (two_loops, (X,)), (pairs, (X,)), (outer, (X, Y))])
def test_what_loops_cover_is_not_filled(f: Any, args: Any) -> None:
    assert fills(f, *args) == 0
    for some in (args, tuple(np.repeat(v, 50) for v in args), tuple(v[:1] for v in args), tuple(v[:0] for v in args)):
        np.testing.assert_array_equal(lms.stage(f)(*some), f(*some))


@pytest.mark.parametrize(("f", "args"), [(skips_one, (X,)), (ends_early, (X,)), (reads_between, (X,)), (sometimes, (X,)),
                                         (perhaps_never, (X, 0)), (diagonal, (X,)), (backwards, (X,))])
def test_what_may_be_left_out_is_filled(f: Any, args: Any) -> None:
    assert fills(f, *args) >= 1
    stale = lms.stage(f)
    for _ in range(3):  # memory that was given back is not clean
        np.testing.assert_array_equal(stale(*args), f(*args))
