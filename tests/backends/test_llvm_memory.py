"""References counted right: random programs over arrays and records, with freed memory poisoned and nodes counted.

What is freed is overwritten and never used again, so a reference too few shows as a wrong value; a block or node that is
still there after a call without results shows a reference too many.
"""

from __future__ import annotations

import ctypes
import random
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lms.backends.interpret import run
from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Function, Program, Value
from lms.core.types import ArrayType, Constructor, SumType, Type, bool_, f64, i64, symbol

s, a, c, r = p.scalar, p.array, p.control, p.record
n = symbol("n")
VECTOR = ArrayType(f64, (n,))
LIST = SumType("List")
LIST.constructors = (Constructor("Nil", ()), Constructor("Cons", (("head", f64), ("tail", LIST))))
BOX = SumType("Box")
BOX.constructors = (Constructor("One", (("data", ArrayType(f64, (symbol("k"),))), ("items", LIST))),
                    Constructor("Two", (("left", BOX), ("right", BOX))))
CELLS = ArrayType(BOX, (3,))

COUNTERS = """
@lms_made = global i64 0
@lms_gone = global i64 0
define internal ptr @lms_counted(ptr %ctx, i64 %bytes) {
  %old = load i64, ptr @lms_made
  %new = add i64 %old, 1
  store i64 %new, ptr @lms_made
  %node = call ptr @lms_node(ptr %ctx, i64 %bytes)
  ret ptr %node
}
define internal void @lms_poison(ptr %ctx, ptr %node, i64 %bytes) {
  %old = load i64, ptr @lms_gone
  %new = add i64 %old, 1
  store i64 %new, ptr @lms_gone
  call void @llvm.memset.p0.i64(ptr %node, i8 -86, i64 %bytes, i1 false)
  ret void
}
define void @lms_counts(ptr %out) {
  %made = load i64, ptr @lms_made
  store i64 %made, ptr %out
  %next = getelementptr i64, ptr %out, i64 1
  %gone = load i64, ptr @lms_gone
  store i64 %gone, ptr %next
  store i64 0, ptr @lms_made
  store i64 0, ptr @lms_gone
  ret void
}
"""


def watched(text: str) -> str:
    """The text with every node counted, and poisoned instead of recycled."""
    text = re.sub(r"call ptr @lms_node\(", "call ptr @lms_counted(", text)
    return text.replace("call void @lms_recycle(", "call void @lms_poison(") + COUNTERS


class Generator:
    """A random program: `main(x, y, f)` gives a float, an array, a list and a box, of which the caller keeps some."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.program = Program(entry="main")
        self.b = Builder(self.program)
        self.helpers: list[Function] = []
        self.budget = 30

    def make(self, records: bool) -> Program:
        params = [VECTOR, LIST, BOX, f64]
        for k in range(self.random.randrange(3)):
            with self.b.function(f"helper{k}", params) as f:
                f.body.results = self.results(self.block(self.pools(f), 1), (VECTOR, LIST, BOX, f64))
            self.helpers.append(f)
            self.budget += 12
        with self.b.function("main", params) as f:
            types = (VECTOR, LIST, BOX, f64) if records else (VECTOR, f64)
            f.body.results = self.results(self.block(self.pools(f), 0), types)
        return self.program

    def pools(self, f: Function) -> dict[Type, list[Value]]:
        x, xs, box, z = f.body.params
        self.size = self.b.dim(x, 0)
        return {VECTOR: [x], LIST: [xs], BOX: [box], f64: [z], CELLS: []}

    def results(self, pools: dict[Type, list[Value]], types: tuple[Type, ...]) -> tuple[Value, ...]:
        return tuple(self.pick(pools, t) for t in types)

    def pick(self, pools: dict[Type, list[Value]], t: Type) -> Value:
        return self.random.choice(pools[t][-3:])

    def emit(self, op: Any, *xs: Any, **attrs: Any) -> Value:
        values = [x if isinstance(x, Value) else self.b.const(x, f64 if isinstance(x, float) else i64) for x in xs]
        return self.b.emit1(op, *values, **attrs)

    def block(self, pools: dict[Type, list[Value]], depth: int) -> dict[Type, list[Value]]:
        pools = {t: list(vs) for t, vs in pools.items()}
        for _ in range(self.random.randint(1, 6)):
            self.budget -= 1
            if self.budget > 0:
                nested = [self.loop, self.repeat, self.branch] if depth < 3 else []
                self.random.choice([self.array, self.write, self.view, self.cons, self.tail, self.box, self.both, self.open,
                                    self.select, self.cells, self.call, *nested])(pools, depth)
        return pools

    def array(self, pools: dict[Type, list[Value]], depth: int) -> None:
        out = self.emit(a.empty, self.size, dims=(n,), dtype=f64)
        with self.b.reify([i64]) as body:
            self.b.emit(a.store, out, self.pick(pools, f64), body.params[0])
        self.b.emit(c.for_, self.b.const(0), self.size, self.b.const(1), blocks=[body], types=())
        pools[VECTOR].append(out)

    def write(self, pools: dict[Type, list[Value]], depth: int) -> None:
        self.b.emit(a.accumulate, self.pick(pools, VECTOR), self.pick(pools, f64), self.b.const(1))
        pools[f64].append(self.emit(s.mul, self.emit(a.load, self.pick(pools, VECTOR), 1), 0.5))

    def view(self, pools: dict[Type, list[Value]], depth: int) -> None:
        pools[VECTOR].append(self.emit(a.view, self.pick(pools, VECTOR), spec=(("all",),), dims=(n,)))

    def cons(self, pools: dict[Type, list[Value]], depth: int) -> None:
        pools[LIST].append(self.emit(r.construct, self.pick(pools, f64), self.pick(pools, LIST), type=LIST, tag=1))

    def tail(self, pools: dict[Type, list[Value]], depth: int) -> None:
        xs = self.pick(pools, LIST)
        self.choose(pools, self.emit(s.eq, self.emit(r.tag, xs), 1),
                    lambda: (self.emit(r.project, xs, tag=1, field=1), self.emit(r.project, xs, tag=1, field=0)),
                    lambda: (xs, self.pick(pools, f64)))

    def box(self, pools: dict[Type, list[Value]], depth: int) -> None:
        pools[BOX].append(self.emit(r.construct, self.pick(pools, VECTOR), self.pick(pools, LIST), type=BOX, tag=0))

    def both(self, pools: dict[Type, list[Value]], depth: int) -> None:
        pools[BOX].append(self.emit(r.construct, self.pick(pools, BOX), self.pick(pools, BOX), type=BOX, tag=1))

    def open(self, pools: dict[Type, list[Value]], depth: int) -> None:
        box = self.pick(pools, BOX)

        def one() -> tuple[Value, ...]:
            data = self.emit(r.project, box, tag=0, field=0, dims=(symbol("k"),))
            return (self.emit(a.view, data, spec=(("all",),), dims=(n,)), self.emit(r.project, box, tag=0, field=1), box)

        self.choose(pools, self.emit(s.eq, self.emit(r.tag, box), 0), one, lambda: (
            self.pick(pools, VECTOR), self.pick(pools, LIST), self.emit(r.project, box, tag=1, field=self.random.randrange(2))))

    def choose(self, pools: dict[Type, list[Value]], condition: Value, *arms: Callable[[], tuple[Value, ...]]) -> None:
        blocks = []
        for arm in arms:
            with self.b.reify() as block:
                block.results = arm()
            blocks.append(block)
        for v in self.b.emit(c.if_, condition, blocks=blocks, types=tuple(v.type for v in blocks[0].results)):
            pools[v.type].append(v)

    def select(self, pools: dict[Type, list[Value]], depth: int) -> None:
        t = self.random.choice([LIST, BOX])
        flag = self.emit(s.lt, self.pick(pools, f64), self.pick(pools, f64))
        assert flag.type == bool_
        pools[t].append(self.emit(s.select, flag, self.pick(pools, t), self.pick(pools, t)))

    def cells(self, pools: dict[Type, list[Value]], depth: int) -> None:
        if not pools[CELLS] or self.random.random() < 0.3:
            cells = self.emit(a.empty, 3, dims=(3,), dtype=BOX)
            for k in range(3):
                self.b.emit(a.store, cells, self.pick(pools, BOX), self.b.const(k))
            pools[CELLS].append(cells)
        cells = self.pick(pools, CELLS)
        self.b.emit(a.store, cells, self.pick(pools, BOX), self.b.const(self.random.randrange(3)))
        pools[BOX].append(self.emit(a.load, cells, self.random.randrange(3)))

    def call(self, pools: dict[Type, list[Value]], depth: int) -> None:
        if self.helpers:
            f, types = self.random.choice(self.helpers), (VECTOR, LIST, BOX, f64)
            for v in self.b.emit(c.call, *(self.pick(pools, t) for t in types), callee=f.name, types=types):
                pools[v.type].append(v)

    def branch(self, pools: dict[Type, list[Value]], depth: int) -> None:
        types = self.some()
        flag = self.emit(s.lt, self.pick(pools, f64), self.pick(pools, f64))
        self.choose(pools, flag, *[lambda: self.results(self.block(pools, depth + 1), types)] * 2)

    def some(self) -> tuple[Type, ...]:
        return tuple(self.random.choice([VECTOR, LIST, BOX, f64]) for _ in range(self.random.randint(1, 4)))

    def loop(self, pools: dict[Type, list[Value]], depth: int) -> None:
        types = self.some()
        with self.b.reify([i64, *types]) as body:
            inner = {t: list(vs) for t, vs in pools.items()}
            for v in body.params[1:]:
                inner[v.type].append(v)
            body.results = self.results(self.block(inner, depth + 1), types)
        for v in self.b.emit(c.for_, self.b.const(0), self.b.const(self.random.randrange(4)), self.b.const(1),
                             *(self.pick(pools, t) for t in types), blocks=[body], types=types):
            pools[v.type].append(v)

    def repeat(self, pools: dict[Type, list[Value]], depth: int) -> None:
        types = (i64, *self.some())
        with self.b.reify(types) as condition:
            spare = self.emit(r.construct, 1.0, self.pick(pools, LIST), type=LIST, tag=1)
            condition.results = (self.emit(s.lt, condition.params[0], self.emit(s.add, self.emit(r.tag, spare), 1)),)
        with self.b.reify(types) as body:
            inner = {t: list(vs) for t, vs in pools.items()}
            for v in body.params[1:]:
                inner[v.type].append(v)
            body.results = (self.emit(s.add, body.params[0], 1), *self.results(self.block(inner, depth + 1), types[1:]))
        for v in self.b.emit(c.while_, self.b.const(0), *(self.pick(pools, t) for t in types[1:]), blocks=[condition, body],
                             types=types)[1:]:
            pools[v.type].append(v)


def arguments() -> tuple[Any, ...]:
    nil = r.Record(LIST, 0, ())
    xs = r.Record(LIST, 1, (np.float64(2.5), r.Record(LIST, 1, (np.float64(-1.0), nil))))
    return np.arange(4.0), xs, r.Record(BOX, 0, (np.ones(4), xs)), np.float64(0.75)


@pytest.mark.parametrize("records", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_random_ownership(seed: int, records: bool, native: Callable[..., Any]) -> None:
    program = Generator(seed).make(records)
    f = native(program, edit=watched, exports=("lms_counts",), poison=True)
    expected = run(program, arguments())
    found = f(*arguments())
    work = list(zip(expected, found, strict=True))
    while work:
        x, y = work.pop()
        if isinstance(x, r.Record):
            assert x.tag == y.tag
            work += zip(x.fields, y.fields, strict=True)
        else:
            np.testing.assert_array_equal(x, y)
    if not records:
        made, gone = (ctypes.c_int64 * 2)(), 0
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(f.code["lms_counts"])(ctypes.addressof(made))
        made, gone = made[0], made[1]
        assert (f.left, made) == (0, gone)
