"""Programs for the back ends' tests, built node by node, and the comparison with the interpreter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from lms.backends.interpret import run
from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Block, Function, Program, Value
from lms.core.primitives import Primitive
from lms.core.primitives.record import Record
from lms.core.types import ArrayType, Scalar, SumType, Type, f64, i64, symbol

s, a, c = p.scalar, p.array, p.control
n, m = symbol("n"), symbol("m")
VECTOR, MATRIX = ArrayType(f64, (n,)), ArrayType(f64, (n, m))


class Build:
    """Builds programs node by node, with little ado."""

    def __init__(self) -> None:
        self.program = Program(entry="main")
        self.b = Builder(self.program)

    @contextmanager
    def function(self, *types: Type, name: str = "main", mut: Sequence[int] = ()) -> Iterator[Function]:
        with self.b.function(name, types, mut=frozenset(mut)) as f:
            yield f

    def __call__(self, op: Primitive, *xs: Value | int | float, **attrs: Any) -> Value:
        return self.b.emit1(op, *map(self.value, xs), **attrs)

    def do(self, op: Primitive, *xs: Value | int | float, **attrs: Any) -> None:
        self.b.emit(op, *map(self.value, xs), **attrs)

    def value(self, x: Value | int | float) -> Value:
        return x if isinstance(x, Value) else self.b.const(x, f64 if isinstance(x, float) else i64)

    def loop(self, start: Any, stop: Any, step: int, inits: Sequence[Any],
             body: Callable[..., Sequence[Any]]) -> tuple[Value, ...]:
        carried = [self.value(v) for v in inits]
        with self.b.reify([i64, *(v.type for v in carried)]) as block:
            block.results = tuple(map(self.value, body(*block.params)))
        return self.b.emit(c.for_, self.value(start), self.value(stop), self.value(step), *carried, blocks=[block],
                           types=tuple(v.type for v in carried))

    def repeat(self, inits: Sequence[Any], condition: Callable[..., Value],
               body: Callable[..., Sequence[Any]]) -> tuple[Value, ...]:
        carried = [self.value(v) for v in inits]
        blocks: list[Block] = []
        for f in (lambda *xs: (condition(*xs),), body):
            with self.b.reify([v.type for v in carried]) as block:
                block.results = tuple(map(self.value, f(*block.params)))
            blocks.append(block)
        return self.b.emit(c.while_, *carried, blocks=blocks, types=tuple(v.type for v in carried))

    def choose(self, condition: Value, *arms: Callable[[], Sequence[Any]]) -> tuple[Value, ...]:
        blocks = []
        for f in arms:
            with self.b.reify() as block:
                block.results = tuple(map(self.value, f()))
            blocks.append(block)
        return self.b.emit(c.if_, condition, blocks=blocks, types=tuple(v.type for v in blocks[0].results))

    def call(self, f: Function, *xs: Value | int | float, types: Sequence[Type] | None = None) -> tuple[Value, ...]:
        types = types if types is not None else tuple(v.type for v in f.body.results)
        return self.b.emit(c.call, *map(self.value, xs), callee=f.name, types=tuple(types))

    def empty(self, *sizes: Value | int, dtype: Scalar | SumType = f64) -> Value:
        values = [self.value(v) for v in sizes]
        return self(a.empty, *values, dims=tuple(self.b.size_of(v) for v in values), dtype=dtype)


Make = Callable[[Build], None]


def check(make: Make, native: Callable[..., Any], *calls: tuple[Any, ...], **options: Any) -> Any:
    """Run a program on several arguments both ways: equal results to the bit, equal arguments afterwards, no memory left."""
    build = Build()
    make(build)
    f = native(build.program, **options)
    for args in calls:
        mine, theirs = ([x.copy() if isinstance(x, np.ndarray) else x for x in args] for _ in range(2))
        try:
            expected: Any = run(build.program, theirs)
        except Exception as e:  # noqa: BLE001  # whatever the oracle raises
            with pytest.raises(type(e).__mro__[-4] if type(e).__module__.startswith("lms") else type(e)):
                f(*mine)
            continue
        found = f(*mine)
        for x, y in zip((*expected, *theirs), (*found, *mine), strict=True):
            equal(x, y)
        assert f.left == 0 or any(isinstance(x, Record) for x in expected)  # a record may hold arrays
    return f


def equal(x: Any, y: Any) -> None:
    work = [(x, y)]
    while work:
        x, y = work.pop()
        if isinstance(x, Record):
            assert x.tag == y.tag
            work += zip(x.fields, y.fields, strict=True)
        else:
            np.testing.assert_array_equal(x, y)
            assert np.asarray(x).dtype == np.asarray(y).dtype
