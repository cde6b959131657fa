"""Sharing: loops that are alike become calls of one function; what only looks alike does not."""

from __future__ import annotations

from typing import Any

import numpy as np

import lms
from lms.backends import llvm
from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Program, Value, walk
from lms.core.types import ArrayType, f64, i64, symbol
from lms.core.verify import verify
from lms.passes.clone import clone
from lms.passes.share import Share
from tests.passes.programs import VEC, loop, nodes, number, outcome, program, same

s, a, c = p.scalar, p.array, p.control
ALWAYS = Share(copies=3, worth=0)


def shared(prog: Program, *args: Any, step: Share = ALWAYS) -> Program:
    new = step.run(clone(prog))
    verify(new, after=step.name)
    same(outcome(prog, args), outcome(new, args), exact=True)
    return new


def empty(b: Builder, like: Value) -> Value:
    assert isinstance(like.type, ArrayType)
    return b.emit1(a.empty, *b.dims(like), dims=like.type.dims, dtype=f64)


def scaled(b: Builder, x: Value, factor: float, count: Value | None = None) -> Value:
    """`factor * x`, in a new array."""
    out = empty(b, x)
    loop(b, count or b.dim(x, 0), lambda i: b.emit(
        a.store, out, b.emit1(s.mul, number(b, factor), b.emit1(a.load, x, i)), i) and None)
    return out


def callees(prog: Program) -> list[str]:
    return [node.attrs["callee"] for node in nodes(prog, "call")]


X = np.linspace(0.0, 1.0, 5)


def test_alike_loops_become_one_function() -> None:
    def body(b: Builder, x: Value) -> Value:
        for _ in range(4):
            x = scaled(b, x, 1.5)
        return x

    new = shared(program([VEC], body), X)
    assert len(set(callees(new))) == 1 and len(callees(new)) == 4
    assert [node.op.name for node in walk(new.main.body)].count("for") == 0
    assert new.functions[callees(new)[0]].mut, "the function writes to the array it is given"


def test_constants_tell_loops_apart() -> None:
    def body(b: Builder, x: Value) -> Value:
        for factor in (1.5, 1.5, 1.5, 0.0, -0.0, 2.5):
            x = scaled(b, x, factor)
        return x

    assert len(set(callees(shared(program([VEC], body), X)))) == 4


def test_sizes_may_have_other_names() -> None:
    names = [symbol(name) for name in "pqr"]

    def body(b: Builder, *xs: Value) -> list[Value]:
        return [scaled(b, x, 2.0) for x in xs]

    new = shared(program([ArrayType(f64, (d,)) for d in names], body), X, X[:2], X[:0])
    assert len(set(callees(new))) == 1


def test_an_array_that_meets_itself_is_another_loop() -> None:
    def added(b: Builder, x: Value, y: Value) -> None:
        def step(i: Value) -> None:
            value = b.emit1(s.add, b.emit1(a.load, x, i), b.emit1(a.load, y, i))
            b.emit(a.store, x, value, i)

        loop(b, b.dim(x, 0), step)

    def body(b: Builder, x: Value) -> list[Value]:
        u, v, w = scaled(b, x, 2.0), scaled(b, x, 3.0), scaled(b, x, 4.0)
        for left, right in ((u, v), (v, w), (w, u), (u, u), (v, v), (w, w)):
            added(b, left, right)
        return [u, v, w]

    new = shared(program([VEC], body), X)
    both = [name for name in callees(new)[-6:]]
    assert len(set(both[:3])) == 1 and len(set(both[3:])) == 1 and both[0] != both[3]


def test_scalars_are_carried_through() -> None:
    def body(b: Builder, x: Value) -> Value:
        total = number(b, 0.0)
        for _ in range(3):
            (total,) = loop(b, b.dim(x, 0), lambda i, t: b.emit1(s.add, t, b.emit1(a.load, x, i)), total)
        return total

    new = shared(program([VEC], body), X)
    assert len(callees(new)) == 3
    assert llvm.compile(new)(X) == llvm.compile(program([VEC], body))(X)


def test_loops_that_may_fail_stay() -> None:
    def body(b: Builder, x: Value, n: Value) -> Value:
        out = scaled(b, x, 1.0)
        for _ in range(3):
            loop(b, n, lambda i: b.emit(a.store, out, number(b, 1.0), b.emit1(a.index, i, b.dim(out, 0))) and None)
        return out

    prog = program([VEC, i64], body)
    assert len(nodes(shared(prog, X, 3), "for")) == len(nodes(prog, "for"))
    shared(prog, X, 9)


def test_short_programs_stay() -> None:
    def body(b: Builder, x: Value) -> Value:
        for _ in range(4):
            x = scaled(b, x, 1.5)
        return x

    assert not callees(shared(program([VEC], body), X, step=Share()))


def test_many_small_arrays_share_a_block() -> None:
    """More than the stack holds: they lie in one block, and nothing is left of it."""
    row = ArrayType(f64, (400,))

    def body(b: Builder, x: Value) -> Value:
        for _ in range(60):
            x = scaled(b, x, 1.01)
        return scaled(b, x, 1.0)

    new = Share().run(program([row], body))
    f = llvm.compile(new)
    x = np.arange(400.0)
    want = x
    for _ in range(60):
        want = 1.01 * want
    for _ in range(3):
        np.testing.assert_array_equal(f(x), want)
    assert f.text.count("call noalias ptr @lms_new(") == 2, "the block, and the result"


def test_the_gradient_of_an_unrolled_chain_grows_by_little_a_step() -> None:
    def lines(steps: int) -> int:
        @lms.stage
        def chain(x: lms.Rep[lms.Array[lms.f64, 16]]) -> lms.Rep[lms.f64]:
            for _ in range(steps):
                x = np.sin(x) * 1.01 + np.roll(x, 1)
            return np.sum(x)

        return lms.grad(chain).specialize(np.zeros(16)).compiled.text.count("\n")

    few, more, most = lines(76), lines(86), lines(96)
    assert (most - more) / 10 < 30
    assert abs((most - more) - (more - few)) <= 0.2 * (most - more), "linear"
