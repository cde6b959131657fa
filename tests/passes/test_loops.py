"""Loop fusion, forwarding, shrinking, scalar replacement: memory that need not be, and orders that must stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Program, Value
from lms.core.types import ArrayType, bool_, f64, i64
from lms.core.verify import verify
from lms.passes.base import Pass
from lms.passes.clone import clone
from lms.passes.cse import Cse
from lms.passes.dce import Dce
from lms.passes.fold import Fold
from lms.passes.forward import Forward, Shrink
from lms.passes.loops import FuseLoops
from lms.passes.reuse import Reuse
from lms.passes.scalars import Scalars
from tests.passes.programs import MAT, VEC, branch, loop, m, n, nodes, number, ops, outcome, program, same, window

s, a, c = p.scalar, p.array, p.control


def apply(steps: list[Pass], prog: Program, *args: Any, exact: bool = True) -> Program:
    new = Cse().run(clone(prog))
    for step in steps:
        new = step.run(new)
        verify(new, after=step.name)
    same(outcome(prog, args), outcome(new, args), exact=exact)
    return new


def empty(b: Builder, like: Value) -> Value:
    assert isinstance(like.type, ArrayType)
    return b.emit1(a.empty, *b.dims(like), dims=like.type.dims, dtype=f64)


def each(b: Builder, dst: Value, f: Any) -> None:
    """`for i: dst[i] = f(i)`."""
    loop(b, b.dim(dst, 0), lambda i: b.emit(a.store, dst, f(i), i) or None)


def at(b: Builder, v: Value, *index: Value) -> Value:
    return b.emit1(a.load, v, *index)


def total(b: Builder, v: Value, **attrs: Any) -> Value:
    (t,) = loop(b, b.dim(v, 0), lambda i, t: b.emit1(s.add, t, at(b, v, i), **attrs), number(b, 0.0))
    return t


ALL: list[Pass] = [FuseLoops(), Forward(), Cse(), Dce(), Shrink()]

# -------------------------------------------------------------------------------------- what is fused


def test_a_chain_of_loops_becomes_one_without_memory() -> None:
    def body(b: Builder, x: Value) -> Value:
        y, z = empty(b, x), empty(b, x)
        each(b, y, lambda i: b.emit1(s.sin, at(b, x, i)))
        each(b, z, lambda i: b.emit1(s.cos, at(b, y, i)))
        return total(b, z, fast=True)

    new = apply(ALL, program([VEC], body), np.arange(5.0))
    assert ops(new).count("for") == 1 and not {"empty", "store"} & set(ops(new))


def test_what_stands_between_and_is_needed_moves_before() -> None:
    def body(b: Builder, x: Value, f: Value) -> Value:
        y = empty(b, x)
        each(b, y, lambda i: b.emit1(s.sin, at(b, x, i)))
        g = b.emit1(s.exp, f)
        z = empty(b, x)
        each(b, z, lambda i: b.emit1(s.mul, at(b, y, i), g))
        return z

    assert ops(apply(ALL, program([VEC, f64], body), np.arange(5.0), 0.5)).count("for") == 1


def test_rows_shrink_to_one() -> None:
    def body(b: Builder, x: Value) -> Value:
        e, out = empty(b, x), b.emit1(a.empty, b.dim(x, 0), dims=(n,), dtype=f64)
        loop(b, b.dim(x, 0), lambda i: loop(b, b.dim(x, 1), lambda j: b.emit(
            a.store, e, b.emit1(s.exp, at(b, x, i, j)), i, j) or None) or None)

        def row(i: Value) -> None:
            (t,) = loop(b, b.dim(x, 1), lambda j, t: b.emit1(s.add, t, at(b, e, i, j), fast=True), number(b, 0.0))
            loop(b, b.dim(x, 1), lambda j: b.emit(a.store, e, b.emit1(s.div, at(b, e, i, j), t), i, j) or None)
            (u,) = loop(b, b.dim(x, 1), lambda j, u: b.emit1(s.add, u, at(b, e, i, j), fast=True), number(b, 0.0))
            b.emit(a.store, out, u, i)

        loop(b, b.dim(x, 0), row)
        return out

    new = apply([*ALL], program([MAT], body), np.arange(6.0).reshape(2, 3))
    assert {v.attrs["dims"] for v in nodes(new, "empty")} == {(m,), (n,)}
    assert ops(new).count("for") == 3


def test_what_an_iteration_is_given_is_not_what_it_makes() -> None:
    """Each iteration makes the array that the next is given, which others read: the two are different memory."""
    def body(b: Builder, x: Value, k: Value) -> Any:
        def step(i: Value, u: Value, kept: Value) -> tuple[Value, Value]:
            v = empty(b, x)
            each(b, v, lambda j: b.emit1(s.sin, at(b, u, j)))
            (t,) = loop(b, b.dim(x, 0), lambda j, t: b.emit1(s.add, t, at(b, u, j), fast=True), kept)
            return v, t

        b.dims(x)
        start = empty(b, x)
        each(b, start, lambda i: at(b, x, i))
        return loop(b, k, step, start, number(b, 0.0))[1]

    assert ops(apply([FuseLoops()], program([VEC, i64], body), np.arange(5.0), 3)).count("for") == 3


# ----------------------------------------------------------------------------------- what is not fused


def test_what_an_iteration_is_given_and_changes_is_read_in_step() -> None:
    def body(b: Builder, x: Value, k: Value) -> Any:
        def step(i: Value, u: Value) -> Value:
            v = empty(b, x)
            last = b.emit1(s.sub, b.dim(x, 0), b.const(1))
            each(b, u, lambda j: b.emit1(s.sin, at(b, u, j)))
            each(b, v, lambda j: at(b, u, b.emit1(s.sub, last, j)))
            return v

        b.dims(x)
        start = empty(b, x)
        each(b, start, lambda i: at(b, x, i))
        return total(b, loop(b, k, step, start)[0])

    assert ops(apply([FuseLoops()], program([VEC, i64], body), np.arange(5.0), 3)).count("for") == 5


def shifted(k: int) -> Any:
    """`y[i] = sin(x[i])`, then `z[i] = y[i + k]` where there is one."""

    def body(b: Builder, x: Value) -> Value:
        y, z = empty(b, x), empty(b, x)
        each(b, y, lambda i: b.emit1(s.sin, at(b, x, i)))

        def read(i: Value) -> Value:
            j = b.emit1(s.minimum, b.emit1(s.maximum, b.emit1(s.add, i, b.const(k)), b.const(0)),
                        b.emit1(s.sub, b.dim(x, 0), b.const(1)))
            return at(b, y, j)

        each(b, z, read)
        return z

    return body


@pytest.mark.parametrize("k", [-1, 1])
def test_what_reads_its_neighbour_waits_for_it(k: int) -> None:
    assert ops(apply(ALL, program([VEC], shifted(k)), np.arange(5.0))).count("for") == 2


def test_a_total_is_known_after_its_loop() -> None:
    def body(b: Builder, x: Value) -> Value:
        t, y = total(b, x, fast=True), empty(b, x)
        each(b, y, lambda i: b.emit1(s.div, at(b, x, i), t))
        return y

    assert ops(apply(ALL, program([VEC], body), np.arange(1.0, 5.0))).count("for") == 2


def test_a_write_between_stays_between() -> None:
    def body(b: Builder, x: Value) -> Value:
        y, z = empty(b, x), empty(b, x)
        each(b, y, lambda i: b.emit1(s.sin, at(b, x, i)))
        b.emit(a.store, y, number(b, 7.0), b.const(1))
        each(b, z, lambda i: b.emit1(s.cos, at(b, y, i)))
        return z

    assert ops(apply(ALL, program([VEC], body), np.arange(5.0))).count("for") == 2


def test_two_views_of_one_array_are_not_in_step() -> None:
    def body(b: Builder, x: Value) -> None:
        size = b.emit1(s.sub, b.dim(x, 0), b.const(1))
        u, v = (b.emit1(a.view, x, b.const(k), size, spec=(("slice", 1),), dims=(n - 1,)) for k in (0, 1))
        loop(b, size, lambda i: b.emit(a.store, u, b.emit1(s.sin, at(b, u, i)), i) or None)
        loop(b, size, lambda i: b.emit(a.store, v, b.emit1(s.cos, at(b, v, i)), i) or None)

    assert ops(apply(ALL, program([VEC], body, mut=[0]), np.arange(5.0))).count("for") == 2


def test_an_error_does_not_overtake_what_the_caller_sees() -> None:
    def body(b: Builder, x: Value, y: Value, k: Value) -> None:
        each(b, x, lambda i: b.emit1(s.sin, at(b, y, i)))
        each(b, x, lambda i: at(b, y, b.emit1(a.index, k, b.dim(y, 0))))

    prog = program([VEC, VEC, i64], body, mut=[0])
    for k in (1, 9):
        assert ops(apply(ALL, prog, np.zeros(4), np.arange(4.0), k)).count("for") == 2


def test_a_strict_sum_does_not_slow_down_what_vectorises() -> None:
    def body(b: Builder, x: Value) -> Any:
        y = empty(b, x)
        each(b, y, lambda i: b.emit1(s.exp, at(b, x, i)))
        return total(b, y), y

    assert ops(apply(ALL, program([VEC], body), np.arange(4.0))).count("for") == 2


def test_other_ranges_are_other_loops() -> None:
    def body(b: Builder, x: Value, k: Value) -> Any:
        y = empty(b, x)
        each(b, y, lambda i: b.emit1(s.exp, at(b, x, i)))
        return loop(b, k, lambda i, t: b.emit1(s.add, t, at(b, y, i), fast=True), number(b, 0.0))

    assert ops(apply(ALL, program([VEC, i64], body), np.arange(4.0), 2)).count("for") == 2


# ------------------------------------------------------------------------------------------ forwarding


def test_a_stored_value_is_not_loaded_again() -> None:
    def body(b: Builder, x: Value, f: Value, i: Value, j: Value) -> Any:
        b.emit(a.store, x, f, i)
        first = at(b, x, i)
        b.emit(a.store, x, number(b, 9.0), j)
        return first, at(b, x, i), at(b, x, j)

    new = apply([Forward()], program([VEC, f64, i64, i64], body, mut=[0]), np.zeros(3), 0.5, 1, 1)
    assert ops(new).count("load") == 1


def test_a_loop_or_a_branch_that_writes_is_noticed() -> None:
    def body(b: Builder, x: Value, f: Value, k: Value, yes: Value) -> Any:
        b.emit(a.store, x, f, b.const(0))
        (t,) = loop(b, k, lambda i, t: [b.emit1(s.add, t, at(b, x, b.const(0))), b.emit(a.store, x, t, b.const(0))][:1], f)
        before = at(b, x, b.const(0))
        branch(b, yes, lambda: b.emit(a.accumulate, x, f, b.const(0)) or None, lambda: None)
        return t, before, at(b, x, b.const(0))

    for yes in (True, False):
        apply([Forward()], program([VEC, f64, i64, bool_], body, mut=[0]), np.zeros(3), 0.5, 3, yes)


# ------------------------------------------------------------------------------------------- shrinking


def test_an_array_that_is_read_in_another_loop_keeps_its_axes() -> None:
    def body(b: Builder, x: Value) -> Value:
        y = empty(b, x)
        each(b, y, lambda i: b.emit1(s.sin, at(b, x, i)))
        return total(b, y)

    new = apply([Shrink()], program([VEC], body), np.arange(4.0))
    assert [v.attrs["dims"] for v in nodes(new, "empty")] == [(n,)]


# ------------------------------------------------------------------------------------------- scalars


def test_a_small_array_becomes_values() -> None:
    def body(b: Builder, x: Value, k: Value) -> Any:
        y = b.emit1(a.empty, b.const(2), b.const(2), dims=(2, 2), dtype=f64)
        zero, one = b.const(0), b.const(1)
        b.emit(a.store, y, x, zero, zero)
        b.emit(a.store, y, b.emit1(s.sin, x), one, zero)

        def step(i: Value) -> None:
            v = at(b, y, one, zero)
            positive = b.emit1(s.gt, v, number(b, 0.5))
            branch(b, positive, lambda: b.emit(a.store, y, b.emit1(s.cos, v), zero, zero) or None,
                   lambda: b.emit(a.accumulate, y, number(b, 0.25), one, zero) or None)

        loop(b, k, step)
        return at(b, y, zero, zero), at(b, y, one, zero)

    for count in (0, 1, 4):
        new = apply([Fold(), Scalars(), Dce()], program([f64, i64], body), 0.25, count)
        assert not {"empty", "load", "store", "accumulate"} & set(ops(new))


@pytest.mark.parametrize("size", [7, 17])
def test_a_small_array_that_a_loop_fills_becomes_values(size: int) -> None:
    def body(b: Builder, x: Value, k: Value) -> Any:
        def fill() -> None:
            loop(b, b.const(size), lambda i: b.emit(a.store, y, x, i) or None)

        y = b.emit1(a.empty, b.const(size), dims=(size,), dtype=f64)
        fill()
        b.emit(a.accumulate, y, x, b.const(3))
        first = at(b, y, b.const(3))
        branch(b, b.emit1(s.gt, k, b.const(0)), lambda: fill(), lambda: b.emit(a.store, y, first, b.const(6)) or None)
        return first, at(b, y, b.const(3)), at(b, y, b.const(6))

    for k in (0, 1):
        new = apply([Fold(), Scalars(), Dce()], program([f64, i64], body), 0.25, k)
        assert ("empty" in ops(new)) == (size > 16)


@pytest.mark.parametrize("how", ["counter", "part", "index"])
def test_a_loop_that_fills_otherwise_is_left(how: str) -> None:
    def body(b: Builder, x: Value, k: Value) -> Any:
        y = b.emit1(a.empty, b.const(5), dims=(5,), dtype=i64)
        value = {"counter": lambda i: i, "part": lambda i: k, "index": lambda i: k}[how]
        index = (lambda i: b.emit1(s.sub, b.const(4), i)) if how == "index" else (lambda i: i)
        b.emit(a.store, y, k, b.const(0))
        loop(b, b.const(4 if how == "part" else 5), lambda i: b.emit(a.store, y, value(i), index(i)) or None)
        return at(b, y, b.const(1))

    assert "empty" in ops(apply([Scalars()], program([f64, i64], body), 0.5, 3))


@pytest.mark.parametrize("how", ["index", "returned", "carried", "viewed"])
def test_an_array_that_is_reached_otherwise_stays(how: str) -> None:
    def body(b: Builder, x: Value, k: Value) -> Any:
        y = b.emit1(a.empty, b.const(2), dims=(2,), dtype=f64)
        b.emit(a.store, y, x, b.const(0))
        b.emit(a.store, y, x, b.const(1))
        if how == "index":
            return at(b, y, k)
        if how == "returned":
            return y
        if how == "carried":
            return at(b, loop(b, b.const(2), lambda i, v: v, y)[0], b.const(1))
        return at(b, b.emit1(a.view, y, k, b.const(1), spec=(("slice", 1),), dims=(1,)), b.const(0))

    assert "empty" in ops(apply([Scalars()], program([f64, i64], body), 0.5, 1))


def test_a_while_loop_carries_the_elements() -> None:
    def body(b: Builder, x: Value) -> Any:
        y = b.emit1(a.empty, b.const(1), dims=(1,), dtype=f64)
        zero = b.const(0)
        b.emit(a.store, y, x, zero)
        with b.reify([i64]) as cond:
            cond.results = (b.emit1(s.lt, at(b, y, zero), number(b, 10.0)),)
        with b.reify([i64]) as inner:
            b.emit(a.accumulate, y, number(b, 3.0), zero)
            inner.results = (b.emit1(s.add, inner.params[0], b.const(1)),)
        (count,) = b.emit(c.while_, zero, blocks=[cond, inner], types=(i64,))
        return count, at(b, y, zero)

    assert "empty" not in ops(apply([Scalars()], program([f64], body), 0.5))


# ------------------------------------------------------------------------------------------- reuse (W6)


def test_a_result_is_written_over_what_dies() -> None:
    def body(b: Builder, x: Value) -> Value:
        y, z = empty(b, x), empty(b, x)
        each(b, y, lambda i: b.emit1(s.sin, at(b, x, i)))
        b.emit(c.print_, template="between", end="")
        each(b, z, lambda i: b.emit1(s.cos, at(b, y, i)))
        return z

    assert ops(apply([Reuse()], program([VEC], body), np.arange(5.0))).count("empty") == 1


@pytest.mark.parametrize("how", ["lives", "neighbour", "again"])
def test_what_is_still_read_is_not_overwritten(how: str) -> None:
    def body(b: Builder, x: Value) -> Any:
        y, z = empty(b, x), empty(b, x)
        each(b, y, lambda i: b.emit1(s.sin, at(b, x, i)))
        last = b.emit1(s.sub, b.dim(x, 0), b.const(1))
        if how == "again":  # each element is read in every iteration of an inner loop
            loop(b, b.dim(x, 0), lambda i: loop(b, b.const(3), lambda j: b.emit(
                a.store, z, b.emit1(s.cos, at(b, y, i)), i) or None) or None)
        else:
            each(b, z, lambda i: b.emit1(s.cos, at(b, y, b.emit1(s.sub, last, i) if how == "neighbour" else i)))
        return (total(b, y), z) if how == "lives" else z

    assert ops(apply([Reuse()], program([VEC], body), np.arange(5.0))).count("empty") == 2


def test_a_buffer_of_fixed_size_is_made_once() -> None:
    def body(b: Builder, x: Value, k: Value, handed_on: bool) -> Any:
        first = empty(b, x)
        each(b, first, lambda i: at(b, x, i))

        def step(i: Value, last: Value) -> Value:
            local = empty(b, x)
            each(b, local, lambda j: b.emit1(s.sin, at(b, last, j)))
            return local if handed_on else last

        return total(b, loop(b, k, step, first)[0])

    for handed_on in (True, False):
        prog = program([VEC, i64], lambda b, x, k, h=handed_on: body(b, x, k, h))
        new = apply([Reuse()], prog, np.arange(3.0), 3)
        in_loops = [v.op.name for f in nodes(new, "for") for v in f.blocks[0].nodes]
        assert ("empty" in in_loops) == handed_on


@pytest.mark.parametrize(("how", "left"), [("apart", 1), ("together", 2), ("other size", 2), ("viewed", 2)])
def test_arrays_of_an_iteration_that_live_one_after_another_are_one(how: str, left: int) -> None:
    def body(b: Builder, x: Value, w: Value, k: Value) -> Any:
        def step(i: Value, last: Value) -> Value:
            y = empty(b, x)
            each(b, y, lambda j: b.emit1(s.sin, at(b, x, j)))
            seen = window(b, y, 0, b.dim(x, 0), n) if how == "viewed" else y
            first = None if how == "together" else total(b, seen)
            z = empty(b, w if how == "other size" else x)
            each(b, z, lambda j: b.emit1(s.cos, at(b, w if how == "other size" else x, j)))
            second = total(b, z)
            return b.emit1(s.add, last, b.emit1(s.mul, second, total(b, y) if first is None else first))

        b.dims(x), b.dims(w)
        return loop(b, k, step, number(b, 0.0))

    prog = program([VEC, ArrayType(f64, (m,)), i64], body)
    assert ops(apply([Reuse()], prog, np.arange(3.0), np.arange(4.0), 2)).count("empty") == left


def test_a_buffer_is_shared_within_and_around_an_inner_loop() -> None:
    def body(b: Builder, x: Value, k: Value) -> Any:
        b.dims(x)

        def used(f: Any, last: Value) -> Value:
            y = empty(b, x)
            each(b, y, lambda j: b.emit1(f, at(b, x, j)))
            return b.emit1(s.add, last, total(b, y))

        def step(i: Value, last: Value) -> Value:
            (inner,) = loop(b, k, lambda j, t: used(s.exp, used(s.cos, t)), used(s.sin, last))
            return used(s.sqrt, inner)

        return loop(b, k, step, number(b, 0.0))

    assert ops(apply([Reuse()], program([VEC, i64], body), np.arange(3.0), 2)).count("empty") == 1


def test_what_an_iteration_hands_on_by_another_name_stays_in_it() -> None:
    """`z` takes the place of `y`, which dies; a view of it is carried to the next iteration."""
    def body(b: Builder, x: Value, k: Value) -> Any:
        def step(i: Value, last: Value) -> Value:
            y, z = empty(b, x), empty(b, x)
            each(b, y, lambda j: b.emit1(s.sin, at(b, last, j)))
            each(b, z, lambda j: b.emit1(s.cos, at(b, y, j)))
            return window(b, z, 0, b.dim(x, 0), n)

        return total(b, loop(b, k, step, x)[0])

    new = apply([Reuse()], program([VEC, i64], body), np.arange(3.0), 3)
    assert [v.op.name for v in nodes(new, "for")[0].blocks[0].nodes].count("empty") == 1


def test_a_large_buffer_of_its_own_size_waits_for_the_loop_to_run() -> None:
    def body(b: Builder, k: Value, size: Value) -> None:
        loop(b, k, lambda i: b.emit(a.store, b.emit1(a.empty, size, dims=(m,), dtype=f64), number(b, 1.0), b.const(0)) or None)

    new = apply([Reuse()], program([i64, i64], body), 0, 10**15)
    assert [v.op.name for v in nodes(new, "for")[0].blocks[0].nodes][0] == "empty"
