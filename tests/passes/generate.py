"""Random programs, with what makes passes go wrong: views that overlap, writes between, empty loops, nodes that raise."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Program, Value
from lms.core.types import bool_, f64, i64
from tests.passes.programs import VEC, branch, loop, n, program

s, a = p.scalar, p.array
UNARY = [s.neg, s.sin, s.abs, s.tanh]
BINARY = [s.add, s.sub, s.mul, s.maximum, s.minimum]
WHOLE = ["array"] * 5 + ["reduce"] * 2 + ["assign", "add_into", "fresh", "copy", "slide"]


class Generator:
    """One program over two arrays of `n`, one of which may be written to, a float and an int."""

    def __init__(self, seed: int, whole: bool = True) -> None:
        self.random = random.Random(seed)
        self.whole = whole  # with operations on whole arrays
        self.budget = 40

    def program(self) -> Program:
        return program([VEC, VEC, f64, i64], self.body, mut=[0])

    def arguments(self) -> tuple[Any, ...]:
        size = self.random.choice([0, 1, 2, 5, 7])
        values = np.random.default_rng(self.random.randrange(1000))
        return values.uniform(-1, 1, size), values.uniform(-1, 1, size), 0.75, self.random.choice([-1, 0, 1, 2, 9])

    def body(self, b: Builder, x: Value, y: Value, f: Value, i: Value) -> tuple[Value, ...]:
        self.b = b
        self.size = b.dim(x, 0)
        local = self.fresh()
        self.tiny = [b.emit1(a.empty, b.const(3), dims=(3,), dtype=f64) for _ in range(2)]
        floats, ints, arrays = self.statements([f], [i], [x, y, local], [x, local], 0)
        return (floats[-1], self.random.choice(floats), self.random.choice(ints), self.random.choice(arrays))

    def fresh(self) -> Value:
        zero = self.b.const(self.random.choice([0.0, 1.0]), f64)
        return self.b.emit1(a.broadcast, zero, self.size, dims=(n,), axes=())

    def statements(self, floats: list[Value], ints: list[Value], arrays: list[Value], writable: list[Value],
                   depth: int) -> tuple[list[Value], list[Value], list[Value]]:
        floats, ints, arrays, writable = list(floats), list(ints), list(arrays), list(writable)
        for _ in range(self.random.randint(2, 8)):
            self.budget -= 1
            if self.budget < 0:
                break
            self.statement(floats, ints, arrays, writable, depth)
        return floats, ints, arrays

    def index(self, ints: list[Value]) -> Value:
        """An index that is checked: it may raise."""
        i = self.random.choice(ints)
        if self.random.random() < 0.3:
            i = self.b.const(self.random.choice([0, -1, 1]))
        return self.b.emit1(a.index, i, self.size)

    def statement(self, floats: list[Value], ints: list[Value], arrays: list[Value], writable: list[Value],
                  depth: int) -> None:
        b, pick = self.b, self.random.choice
        kind = pick(["scalar"] * 4 + ["int"] * 2 + ["load"] * 3 + ["store"] * 3
                    + ["constant", "if", "for", "for", "check", "view", "tiny", "tiny"] + (WHOLE if self.whole else []))
        if kind == "scalar":
            floats.append(b.emit1(pick(BINARY), pick(floats), pick(floats)) if self.random.random() < 0.7
                          else b.emit1(pick(UNARY), pick(floats)))
        elif kind == "constant":
            floats.append(b.const(pick([0.0, -0.0, 1.0, -1.0, 2.0, 0.5]), f64))
            ints.append(b.const(pick([0, 1, 2, -1])))
        elif kind == "int":
            ints.append(b.emit1(pick([s.add, s.sub, s.mul, s.minimum]), pick(ints), pick(ints)))
        elif kind == "load":
            floats.append(b.emit1(a.load, pick(arrays), self.index(ints)))
        elif kind == "store":
            b.emit(pick([a.store, a.accumulate]), pick(writable), pick(floats), self.index(ints))
        elif kind == "check":
            b.emit(p.control.check, b.emit1(s.lt, pick(floats), b.const(3.0, f64)), error="ValueError", message="too large")
        elif kind == "view":
            v, last = pick(arrays), b.emit1(s.sub, self.size, b.const(1))
            back = b.emit1(a.view, v, last, self.size, spec=(("slice", -1),), dims=(n,))
            arrays.append(back)
            if v in writable:
                writable.append(back)
        elif kind == "array":
            c = b.emit1(a.broadcast, pick(floats), self.size, dims=(n,), axes=())
            arrays.append(b.emit1(pick(BINARY), pick(arrays), pick([c, pick(arrays)])) if self.random.random() < 0.7
                          else b.emit1(pick(UNARY), pick(arrays)))
        elif kind == "reduce":
            floats.append(b.emit1(pick([a.reduce_sum, a.reduce_max]), pick(arrays), axes=(0,)))
        elif kind in ("assign", "add_into"):
            b.emit(a.assign if kind == "assign" else a.add_into, pick(writable), pick(arrays))
        elif kind == "slide":
            less = b.emit1(s.maximum, b.emit1(s.sub, self.size, b.const(1)), b.const(0))
            d = n - 1
            v, w = pick(writable), pick(arrays)
            parts = [b.emit1(a.view, u, b.emit1(s.minimum, b.const(k), self.size), less, spec=(("slice", 1),), dims=(d,))
                     for u, k in zip((v, w), pick([(0, 1), (1, 0)]), strict=True)]
            b.emit(pick([a.assign, a.add_into]), parts[0], pick([parts[1], b.emit1(s.sin, parts[1])]))
        elif kind == "tiny" and self.tiny:
            v, at = pick(self.tiny), b.const(pick([0, 1, 2]))
            if self.random.random() < 0.5:
                floats.append(b.emit1(a.load, v, at))
            else:
                b.emit(pick([a.store, a.store, a.accumulate]), v, pick(floats), at)
        elif kind == "fresh":
            arrays.append(v := self.fresh())
            writable.append(v)
        elif kind == "copy":
            arrays.append(v := b.emit1(a.copy, pick(arrays)))
            writable.append(v)
        elif kind == "if" and depth < 3:
            self.branch(floats, ints, arrays, writable, depth)
        elif kind == "for" and depth < 3:
            self.loop(floats, ints, arrays, writable, depth)

    def branch(self, floats: list[Value], ints: list[Value], arrays: list[Value], writable: list[Value],
               depth: int) -> None:
        b, pick = self.b, self.random.choice
        condition = pick([b.emit1(s.lt, pick(floats), pick(floats)), b.const(pick([True, False]), bool_)])

        def side() -> tuple[Value, Value]:
            f, i, _ = self.statements(floats, ints, arrays, writable, depth + 1)
            return f[-1], i[-1]

        f, i = branch(b, condition, side, side)
        floats.append(f)
        ints.append(i)

    def loop(self, floats: list[Value], ints: list[Value], arrays: list[Value], writable: list[Value],
             depth: int) -> None:
        b, pick = self.b, self.random.choice
        count = pick([self.size, self.size, b.const(pick([0, 1, 3])), b.emit1(s.minimum, pick(ints), b.const(3))])
        first = pick(writable)
        second = pick([v for v in writable if v.type == first.type])

        def body(i: Value, f: Value, g: Value, u: Value, v: Value) -> tuple[Value, ...]:
            inner, _, _ = self.statements([*floats, f, g], [*ints, i], [*arrays, u, v], [*writable, u, v], depth + 1)
            return (inner[-1], pick([g, inner[-1]]), *pick([(u, v), (v, u)]))

        f, g, u, _ = loop(b, count, body, pick(floats), pick(floats), first, second)
        floats += [f, g]
        arrays.append(u)
        writable.append(u)
