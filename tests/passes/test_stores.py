"""Fills, clears, double writes, one-hot arrays and loops that run backwards: what goes, and what has to stay."""

from __future__ import annotations

from typing import Any

import numpy as np

import lms
from lms import Array, Rep, f64, i64
from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Program, Value, walk
from lms.core.types import ArrayType
from lms.core.types import f64 as F64
from lms.core.verify import verify
from lms.passes.base import Pass
from lms.passes.clone import clone
from lms.passes.loops import FuseLoops
from lms.passes.spots import Spots
from lms.passes.stores import LateFills, MergeStores
from lms.passes.turn import Turn
from tests.passes.programs import VEC, branch, everywhere, loop, nodes, number, ops, outcome, program, same

s, a, c = p.scalar, p.array, p.control
X = np.array([0.5, -1.5, 2.0])


def apply(steps: list[Pass], prog: Program, *args: Any) -> Program:
    new = clone(prog)
    for step in steps:
        new = step.run(new)
        verify(new, after=step.name)
    same(outcome(prog, args), outcome(new, args))
    return new


def empty(b: Builder, like: Value) -> Value:
    assert isinstance(like.type, ArrayType)
    return b.emit1(a.empty, *b.dims(like), dims=like.type.dims, dtype=F64)


def fill(b: Builder, dst: Value, value: float = 0.0) -> None:
    zero = number(b, value)
    loop(b, b.dim(dst, 0), lambda i: b.emit(a.store, dst, zero, i) or None)


def add(b: Builder, dst: Value, x: Value) -> None:
    loop(b, b.dim(dst, 0), lambda i: b.emit(a.accumulate, dst, b.emit1(a.load, x, i), i, fast=True) or None)


def total(b: Builder, x: Value) -> Value:
    (t,) = loop(b, b.dim(x, 0), lambda i, t: b.emit1(s.add, t, b.emit1(a.load, x, i), fast=True), number(b, 0.0))
    return t


# ------------------------------------------------------------------------------------------- late fills


def test_zeros_meet_what_is_added_first() -> None:
    def body(b: Builder, x: Value) -> Any:
        one, two = empty(b, x), empty(b, x)
        fill(b, one)
        fill(b, two)
        add(b, two, x)
        add(b, one, two)
        return total(b, one)

    new = apply([LateFills(), FuseLoops(), MergeStores()], program([VEC], body), X)
    assert "accumulate" not in ops(new), "zero and the first term are one store"


def test_a_clear_that_nobody_sees_goes() -> None:
    def body(b: Builder, x: Value) -> Any:
        local = empty(b, x)
        add(b, local, x)
        t = total(b, local)
        fill(b, local)
        b.emit(a.store, local, t, b.const(0))
        return t

    new = apply([LateFills()], program([VEC], body), X)
    assert len(nodes(new, "for")) == 2 and not nodes(new, "store")


def test_a_clear_that_somebody_sees_stays() -> None:
    """Of an argument, of a result, before a read, and where the next iteration reads what this one left."""
    def body(b: Builder, x: Value) -> Any:
        result, kept, carried = empty(b, x), empty(b, x), empty(b, x)
        fill(b, carried)

        def step(i: Value, t: Value) -> Value:
            seen = b.emit1(s.add, t, b.emit1(a.load, carried, i), fast=True)
            b.emit(a.store, carried, number(b, 3.0), b.emit1(s.minimum, b.emit1(s.add, i, b.const(1)), b.const(2)))
            return seen

        (t,) = loop(b, b.dim(x, 0), step, number(b, 0.0))
        add(b, kept, x)
        fill(b, kept, 2.0)
        fill(b, result, 5.0)
        fill(b, x, 7.0)
        return result, b.emit1(s.add, t, total(b, kept))

    apply([LateFills()], program([VEC], body, mut=[0]), X)


def test_a_fill_before_a_branch_that_may_read_stays_before_it() -> None:
    def body(b: Builder, x: Value) -> Any:
        local = empty(b, x)
        fill(b, local, 2.0)
        first = b.emit1(a.load, x, b.const(0))
        (t,) = branch(b, b.emit1(s.gt, first, number(b, 0.0)), lambda: total(b, local), lambda: number(b, 1.0))
        add(b, local, x)
        return b.emit1(s.add, t, total(b, local))

    prog = program([VEC], body)
    apply([LateFills()], prog, X)
    apply([LateFills()], prog, -X)


# ----------------------------------------------------------------------------------------- merged stores


def test_two_writes_to_one_place() -> None:
    def body(b: Builder, x: Value) -> Any:
        local, i, one = empty(b, x), b.const(1), b.emit1(a.load, x, b.const(0))
        b.emit(a.store, local, one, i)
        b.emit(a.accumulate, local, one, i, fast=True)
        b.emit(a.accumulate, local, number(b, 2.0), i, fast=True)
        b.emit(a.store, local, one, b.const(2))
        b.emit(a.store, local, number(b, 4.0), b.const(2))
        return local

    new = apply([MergeStores()], program([VEC], body), X)
    assert ops(new).count("store") == 2 and "accumulate" not in ops(new)


def test_a_write_that_is_read_or_that_an_error_shows_stays() -> None:
    def body(b: Builder, x: Value) -> Any:
        i = b.const(0)
        b.emit(a.store, x, number(b, 1.0), i)
        b.emit(p.control.check, b.emit1(s.lt, b.emit1(a.load, x, b.const(1)), number(b, 0.0)), error="ValueError", message="no")
        b.emit(a.store, x, number(b, 2.0), i)
        seen = b.emit1(a.load, x, i)
        b.emit(a.store, x, number(b, 3.0), i)
        return seen

    prog = program([VEC], body, mut=[0])
    new = apply([MergeStores()], prog, X)
    assert ops(new).count("store") == 3
    given = [np.array([5.0, 1.0, 1.0]), np.array([5.0, 1.0, 1.0])]
    from lms.backends import interpret

    for each, p_ in zip(given, (prog, new), strict=True):
        try:
            interpret.run(p_, [each])
        except Exception as e:  # noqa: BLE001  # the check, as the interpreter raises it
            assert "no" in str(e)
    assert given[0].tolist() == given[1].tolist() == [1.0, 1.0, 1.0]


def test_what_is_cleared_and_added_again_stays() -> None:
    """Additions in between may go to any place, this one too."""
    def body(b: Builder, x: Value) -> Any:
        i, j = b.const(1), b.dim(x, 0)
        old = b.emit1(a.load, x, i)
        b.emit(a.store, x, number(b, 0.0), i)
        b.emit(a.accumulate, x, number(b, 2.0), b.emit1(s.sub, j, b.const(2)), fast=True)
        b.emit(a.accumulate, x, old, i, fast=True)

    assert ops(apply([MergeStores()], program([VEC], body, mut=[0]), X)).count("store") == 0


def test_what_is_cleared_and_added_to_is_stored() -> None:
    def body(b: Builder, x: Value) -> Any:
        i, j = b.const(1), b.const(2)
        half = b.emit1(s.mul, b.emit1(a.load, x, i), number(b, 0.5))
        b.emit(a.store, x, number(b, 0.0), i)
        b.emit(a.accumulate, x, half, j, fast=True)
        b.emit(a.accumulate, x, half, i, fast=True)

    new = apply([MergeStores()], program([VEC], body, mut=[0]), X)
    assert (ops(new).count("store"), ops(new).count("accumulate")) == (1, 1)


def test_what_is_cleared_and_read_or_strictly_added_to_is_cleared() -> None:
    def read(b: Builder, x: Value, i: Value) -> Any:
        return b.emit1(a.load, x, i)

    def strict(b: Builder, x: Value, i: Value) -> Any:
        return b.emit(a.accumulate, x, number(b, 1.0), i)

    def late(b: Builder, x: Value, i: Value) -> Any:
        return b.emit(a.store, x, number(b, 1.0), b.const(0))

    for between in (read, strict, late):
        def body(b: Builder, x: Value, between: Any = between) -> Any:
            i = b.const(1)
            old = b.emit1(a.load, x, i)
            b.emit(a.store, x, number(b, 0.0), i)
            between(b, x, i)
            b.emit(a.accumulate, x, old, i, fast=True)

        assert "accumulate" in ops(apply([MergeStores()], program([VEC], body, mut=[0]), X))


def test_strict_sums_keep_their_order() -> None:
    def body(b: Builder, x: Value) -> Any:
        local, i = empty(b, x), b.const(1)
        b.emit(a.store, local, number(b, 1e16), i)
        b.emit(a.accumulate, local, number(b, 1.0), i)
        b.emit(a.accumulate, local, number(b, 1.0), i)
        return b.emit1(a.load, local, i)

    assert ops(apply([MergeStores()], program([VEC], body), X)).count("accumulate") == 2


# ------------------------------------------------------------------------------------------------- spots


def test_a_number_at_one_place_is_added_there() -> None:
    def body(b: Builder, x: Value) -> Any:
        assert isinstance(x.type, ArrayType)
        (n,) = b.dims(x)
        count = b.emit1(a.iota, n, dims=x.type.dims, dtype=lms.i64)
        hit = b.emit1(s.eq, count, b.emit1(a.broadcast, b.const(2), n, dims=x.type.dims, axes=()))
        spot = b.emit1(s.select, hit, everywhere(b, b.emit1(a.load, x, b.const(0)), x), everywhere(b, number(b, 0.0), x))
        return b.emit1(s.add, spot, b.emit1(s.mul, x, x), fast=True), b.emit1(s.add, spot, x)

    new = apply([Spots()], program([VEC], body), X)
    assert ops(new).count("accumulate") == 1, "the strict sum stays a sum"


def test_the_gradient_of_logsumexp_makes_three_passes() -> None:
    """And looks for the maximum in the chunk that it came from."""
    @lms.stage
    def lse(x: Rep[Array[f64, "n"]]) -> Rep[f64]:
        top = np.max(x)
        return top + np.log(np.sum(np.exp(x - top)))

    found = lms.grad(lse).specialize(X).program
    (f,) = found.functions.values()
    assert sum(node.op is c.for_ for node in f.body.nodes) == 3 + 1
    assert sum(node.op is c.while_ for node in f.body.nodes) == 0
    lms.check_grads(lse, (X,), order=2)
    assert lms.grad(lms.stage(lambda x: np.max(x)))(np.array([1.0, 3.0, 3.0])).tolist() == [0.0, 1.0, 0.0]
    assert lms.grad(lms.stage(lambda x: np.min(x)))(np.array([1.0, np.nan, np.nan])).tolist() == [0.0, 1.0, 0.0]


# -------------------------------------------------------------------------------------------------- turn


def test_both_halves_of_a_loop_become_one() -> None:
    """Least squares: the powers that the way back needs are one iteration's, not all."""
    @lms.stage
    def fit(x: Rep[Array[f64, "m"]], n: Rep[i64]) -> Rep[f64]:
        total = 0.0
        for i in range(n):
            r, power = 1.0, 1.0
            for j in range(len(x)):
                r -= x[j] * power
                power *= 0.1 * i
            total += r * r
        return total

    found = lms.grad(fit).specialize(X, 4).program
    assert not any(isinstance(v.type, ArrayType) and v.type.rank > 1 for f in found.functions.values() for node in walk(f.body)
                   for v in node.results)
    lms.check_grads(fit, (X, 4), order=2)
    assert lms.grad(fit)(X, 0).tolist() == lms.grad(fit)(X, -3).tolist() == [0.0, 0.0, 0.0]


def backwards(b: Builder, n: Value, body: Any, *init: Value) -> tuple[Value, ...]:
    types = tuple(v.type for v in init)
    with b.reify((lms.i64, *types)) as block:
        block.results = tuple(body(block.params[0], *block.params[1:]) or ())
    start = b.emit1(s.sub, n, b.const(1))
    return b.emit(c.for_, start, b.const(-1), b.const(-1), *init, blocks=[block], types=types)


def steps(prog: Program) -> list[Any]:
    """By how much each loop counts."""
    return [node.operands[2].node.attrs["value"] for node in nodes(prog, "for")]


def test_loops_whose_order_shows_are_not_turned() -> None:
    def body(b: Builder, x: Value) -> Any:
        n, twice = b.dim(x, 0), number(b, 2.0)
        mine = empty(b, x)
        (product,) = backwards(b, n, lambda i, t: [b.emit1(s.add, b.emit1(s.mul, t, twice), b.emit1(a.load, x, i), fast=True)],
                               number(b, 0.0))
        (strict,) = backwards(b, n, lambda i, t: [b.emit1(s.add, t, b.emit1(a.load, x, i))], number(b, 1e16))
        backwards(b, n, lambda i: b.emit(a.store, mine, b.emit1(a.load, x, i), b.const(0)))
        backwards(b, n, lambda i: b.emit(a.accumulate, mine, b.emit1(a.load, mine, b.const(0)), i, fast=True))
        return product, strict, mine

    new = apply([Turn()], program([VEC], body), X)
    assert steps(new) == [-1, -1, -1, -1]


def test_sums_are_turned() -> None:
    def body(b: Builder, x: Value) -> Any:
        out = empty(b, x)
        fill(b, out)

        def step(i: Value, t: Value) -> list[Value]:
            v = b.emit1(a.load, x, i)
            b.emit(a.accumulate, out, v, b.const(0), fast=True)
            return [b.emit1(s.add, v, t, fast=True)]

        return *backwards(b, b.dim(x, 0), step, number(b, 0.0)), out

    new = apply([Turn()], program([VEC], body), X)
    assert steps(new) == [1, 1]
