"""Random programs over vectors and matrices: producers, consumers and writes in every order, for lowering and fusion."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Program, Value
from lms.core.types import ArrayType, Size, f64, fresh_symbol, i64
from tests.passes.programs import MAT, VEC, loop, m, n, program

s, a = p.scalar, p.array
UNARY = [s.neg, s.sin, s.exp, s.tanh]
BINARY = [s.add, s.sub, s.mul, s.maximum]


class ArrayGenerator:
    """One program over a vector of `n`, one of `m`, and a matrix of `n` by `m`, which are all written to."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def program(self) -> Program:
        return program([VEC, ArrayType(f64, (m,)), MAT, i64], self.body, mut=[0, 1, 2])

    def arguments(self) -> tuple[Any, ...]:
        rows, columns = self.random.choice([(3, 4), (1, 1), (1, 3), (4, 1), (0, 2), (2, 0), (6, 6)])
        values = np.random.default_rng(self.random.randrange(1000))
        return (values.uniform(-1, 1, rows), values.uniform(-1, 1, columns), values.uniform(-1, 1, (rows, columns)),
                self.random.choice([0, 1, 2]))

    def body(self, b: Builder, x: Value, y: Value, z: Value, k: Value) -> tuple[Value, ...]:
        self.b, self.k = b, k
        self.sizes: dict[Size, Value] = {n: b.dim(x, 0), m: b.dim(y, 0), 1: b.const(1)}
        self.pool: dict[tuple[Size, ...], list[Value]] = {(n,): [x], (m,): [y], (n, m): [z], (m, n): []}
        self.floats = [b.const(0.5, f64)]
        for _ in range(self.random.randint(6, 22)):
            self.statement()
        return (*(self.pick(dims) for dims in ((n,), (m,), (n, m))), self.random.choice(self.floats))

    def pick(self, dims: tuple[Size, ...]) -> Value:
        """A recent array of a shape, so that chains grow; sometimes any."""
        values = self.pool[dims]
        return values[-1] if self.random.random() < 0.6 else self.random.choice(values)

    def shape(self) -> tuple[Size, ...]:
        return self.random.choice([dims for dims, values in self.pool.items() if values])

    def put(self, v: Value) -> None:
        assert isinstance(v.type, ArrayType)
        self.pool[v.type.dims].append(v)

    def shaped(self, dims: tuple[Size, ...]) -> list[Value]:
        return [self.sizes[d] for d in dims]

    def spread(self, x: Value, dims: tuple[Size, ...], axes: tuple[int, ...]) -> Value:
        return self.b.emit1(a.broadcast, x, *self.shaped(dims), dims=dims, axes=axes)

    def statement(self) -> None:
        kinds = ["unary"] * 3 + ["binary"] * 4 + ["reduce"] * 3 + ["total", "spread", "spread", "turn", "product", "copy",
                                                                    "cumulate", "gather", "join"]
        kind = self.random.choice(kinds + ["assign", "add_into", "store", "back", "loop"])
        getattr(self, f"_{kind}")()

    # --------------------------------------------------------------------------------------- statements

    def _unary(self) -> None:
        v = self.pick(self.shape())
        self.put(self.b.emit1(self.random.choice(UNARY), self.b.emit1(s.tanh, v)))

    def _binary(self) -> None:
        dims = self.shape()
        other = self.pick(dims) if self.random.random() < 0.7 else self.spread(self.random.choice(self.floats), dims, ())
        self.put(self.b.emit1(self.random.choice(BINARY), self.pick(dims), other))

    def _reduce(self) -> None:
        v, axis = self.pick((n, m)), self.random.choice([0, 1])
        self.put(self.b.emit1(self.random.choice([a.reduce_sum, a.reduce_prod]), v, axes=(axis,)))

    def _total(self) -> None:
        v = self.pick(self.shape())
        assert isinstance(v.type, ArrayType)
        self.floats.append(self.b.emit1(s.tanh, self.b.emit1(a.reduce_sum, v, axes=tuple(range(v.type.rank)))))

    def _spread(self) -> None:
        axis = self.random.choice([0, 1])
        self.put(self.spread(self.pick(((n,), (m,))[axis]), (n, m), (axis,)))

    def _turn(self) -> None:
        dims = (n, m) if not self.pool[m, n] else self.random.choice([(n, m), (m, n)])
        turned = self.b.emit1(a.transpose, self.pick(dims), perm=(1, 0))
        self.put(turned if dims == (m, n) else self.b.emit1(s.sin, turned))

    def _product(self) -> None:
        kind = self.random.choice(["ij,j->i", "i,ij->j", "i,j->ij"])
        left, right, out = kind.replace("->", ",").split(",")
        size: dict[str, Size] = {"i": n, "j": m}
        operands = [self.pick(tuple(size[c] for c in part)) for part in (left, right)]
        self.put(self.b.emit1(s.tanh, self.b.emit1(a.contract, *operands, spec=(left, right, out))))

    def _copy(self) -> None:
        self.put(self.b.emit1(a.copy, self.pick(self.shape())))

    def _cumulate(self) -> None:
        v = self.pick(self.shape())
        assert isinstance(v.type, ArrayType)
        self.put(self.b.emit1(a.cumsum, v, axis=self.random.randrange(v.type.rank)))

    def _gather(self) -> None:
        """The elements of a vector in the order of another."""
        v = self.pick((n,))
        self.put(self.b.emit1(a.take, v, self.b.emit1(a.argsort, self.pick((n,)), axis=0), axis=0))

    def _join(self) -> None:
        """A vector turned by one place: two slices, joined."""
        b, v = self.b, self.pick((n,))
        size = self.sizes[n]
        one = b.emit1(s.minimum, size, b.const(1))
        rest = b.emit1(s.sub, size, one)
        head, tail = fresh_symbol("h"), fresh_symbol("t")
        parts = [b.emit1(a.view, v, start, count, spec=(("slice", 1),), dims=(d,))
                 for start, count, d in ((one, rest, tail), (b.const(0), one, head))]
        self.put(b.emit1(a.concatenate, *parts, axis=0, dims=(n,)))

    def _assign(self) -> None:
        dims = self.shape()
        v = self.pick(dims)
        self.b.emit(a.assign, self.pick(dims), self.b.emit1(s.tanh, v) if self.random.random() < 0.5 else v)

    def _add_into(self) -> None:
        dims = self.shape()
        self.b.emit(a.add_into, self.pick(dims), self.b.emit1(s.tanh, self.pick(dims)))

    def _store(self) -> None:
        """A write to one element, where there is one."""
        v = self.pick((n,))
        loop(self.b, self.b.emit1(s.minimum, self.sizes[n], self.b.const(1)),
             lambda i: self.b.emit(a.store, v, self.random.choice(self.floats), i) or None)

    def _back(self) -> None:
        b, v = self.b, self.pick((n,))
        last = b.emit1(s.sub, self.sizes[n], b.const(1))
        self.put(b.emit1(s.sin, b.emit1(a.view, v, last, self.sizes[n], spec=(("slice", -1),), dims=(n,))))

    def _loop(self) -> None:
        """A few times: a matrix changes by what a vector was, the vector by what the matrix is."""
        b, x, z = self.b, self.pick((n,)), self.pick((n, m))

        def step(i: Value) -> None:
            rows = self.spread(b.emit1(s.tanh, x), (n, m), (0,))
            b.emit(a.add_into, z, rows)
            b.emit(a.assign, x, b.emit1(s.tanh, b.emit1(a.reduce_sum, z, axes=(1,))))

        loop(b, self.k, step)
