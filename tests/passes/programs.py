"""Helpers of the tests of passes: programs built by hand, run before and after on the reference back end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lms.backends import interpret
from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Node, Program, Value, walk
from lms.core.types import ArrayType, Scalar, Type, f64, i64, symbol
from lms.core.verify import verify

n, m, k = symbol("n"), symbol("m"), symbol("k")
VEC = ArrayType(f64, (n,))
MAT = ArrayType(f64, (n, m))


def program(types: Sequence[Type], body: Callable[..., Any], mut: Sequence[int] = ()) -> Program:
    """A program of one function: `body(b, *params)` gives its results."""
    out = Program(entry="main")
    b = Builder(out)
    with b.at(None), b.function("main", types, mut=frozenset(mut)) as f:
        results = body(b, *f.body.params)
        f.body.results = tuple(results) if isinstance(results, tuple | list) else (() if results is None else (results,))
    verify(out)
    return out


def ops(prog: Program) -> list[str]:
    """The names of all operations of a program, in order."""
    return [node.op.name for f in prog.functions.values() for node in walk(f.body)]


def nodes(prog: Program, name: str) -> list[Node]:
    return [node for f in prog.functions.values() for node in walk(f.body) if node.op.name == name]


def outcome(prog: Program, args: Sequence[Any]) -> Any:
    """What a program does to a copy of its arguments: results and arrays afterwards, or the exception."""
    given = [np.array(a) if isinstance(a, np.ndarray) else a for a in args]
    try:
        results = interpret.run(prog, given)
    except Exception as e:  # noqa: BLE001  # whichever it is, is what we compare
        return type(e).__name__, str(e).splitlines()[0]
    return [*results, *(a for a in given if isinstance(a, np.ndarray))]


def same(x: Any, y: Any, exact: bool = False) -> None:
    """Two outcomes agree: the same exception, or equal numbers (nearly, where sums were taken in another order)."""
    if isinstance(x, tuple) or isinstance(y, tuple):
        assert x == y
        return
    assert len(x) == len(y)
    for a, b in zip(x, y, strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        assert np.shape(a) == np.shape(b)
        if exact:
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def loop(b: Builder, count: Value, body: Callable[..., Any], *init: Value, start: Value | None = None) -> tuple[Value, ...]:
    """`for i in range(count)`, carrying values."""
    types = tuple(v.type for v in init)
    with b.reify((i64, *types)) as block:
        out = body(block.params[0], *block.params[1:])
        block.results = tuple(out) if isinstance(out, tuple | list) else (() if out is None else (out,))
    return b.emit(p.control.for_, start or b.const(0), count, b.const(1), *init, blocks=[block], types=types)


def branch(b: Builder, c: Value, yes: Callable[[], Any], no: Callable[[], Any]) -> tuple[Value, ...]:
    """`if c: ... else: ...`, each giving values."""
    blocks = []
    for side in (yes, no):
        with b.reify() as block:
            out = side()
            block.results = tuple(out) if isinstance(out, tuple | list) else (() if out is None else (out,))
        blocks.append(block)
    return b.emit(p.control.if_, c, blocks=blocks, types=tuple(v.type for v in blocks[0].results))


def number(b: Builder, value: float, t: Scalar = f64) -> Value:
    return b.const(value, t)


def everywhere(b: Builder, value: Value, like: Value) -> Value:
    """A scalar as an array of the shape of `like`."""
    assert isinstance(like.type, ArrayType)
    return b.emit1(p.array.broadcast, value, *b.dims(like), dims=like.type.dims, axes=())


def spread(b: Builder, x: Value, like: Value, axis: int) -> Value:
    """A vector along one axis of the shape of `like`."""
    assert isinstance(like.type, ArrayType)
    return b.emit1(p.array.broadcast, x, *b.dims(like), dims=like.type.dims, axes=(axis,))


def window(b: Builder, a: Value, start: int, size: Value, dims: Any, step: int = 1) -> Value:
    """`a[start : start + size]`, a view."""
    return b.emit1(p.array.view, a, b.const(start), size, spec=(("slice", step),), dims=(dims,))
