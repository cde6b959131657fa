"""Range analysis and loop versioning: checks that cannot fail leave; those that can fail where Python does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Program, Value
from lms.core.types import ArrayType, f64, i32, i64
from lms.core.verify import verify
from lms.passes.base import Pass
from lms.passes.bounds import Bounds
from lms.passes.clone import clone
from lms.passes.fold import Fold
from lms.passes.licm import Licm
from lms.passes.options import DropIndexChecks
from lms.passes.version import Version
from tests.passes.programs import MAT, VEC, branch, loop, m, nodes, number, ops, outcome, program, same

s, a, c = p.scalar, p.array, p.control


def apply(step: Pass, prog: Program, *args: Any) -> Program:
    new = step.run(Licm().run(Fold().run(clone(prog))))
    verify(new, after=step.name)
    same(outcome(prog, args), outcome(new, args), exact=True)
    return new


def total(b: Builder, x: Value, count: Value, index: Any, start: Value | None = None) -> Any:
    """`for i in range(start, count): t += x[index(i)]`."""
    def step(i: Value, t: Value) -> Value:
        return b.emit1(s.add, t, b.emit1(a.load, x, b.emit1(a.index, index(i), b.dim(x, 0))))

    return loop(b, count, step, number(b, 0.0), start=start)


def less(b: Builder, x: Value, k: int) -> Value:
    return b.emit1(s.sub, x, b.const(k))


def more(b: Builder, x: Value, k: int) -> Value:
    return b.emit1(s.add, x, b.const(k))


IN_RANGE: dict[str, Any] = {
    "the loop over the array": lambda b, x: total(b, x, b.dim(x, 0), lambda i: i),
    "its neighbour": lambda b, x: total(b, x, less(b, b.dim(x, 0), 1), lambda i: more(b, i, 1)),
    "both neighbours": lambda b, x: total(b, x, less(b, b.dim(x, 0), 1), lambda i: less(b, i, 1), start=b.const(1)),
    "backwards": lambda b, x: total(b, x, b.dim(x, 0), lambda i: b.emit1(s.sub, less(b, b.dim(x, 0), 1), i)),
    "half": lambda b, x: total(b, x, b.dim(x, 0), lambda i: b.emit1(s.floordiv, i, b.const(2))),
    "around": lambda b, x: total(b, x, b.dim(x, 0), lambda i: b.emit1(s.mod, more(b, i, 1), b.dim(x, 0))),
    "clipped": lambda b, x: total(b, x, b.dim(x, 0), lambda i: b.emit1(
        s.minimum, more(b, i, 1), less(b, b.dim(x, 0), 1))),
    "clipped below": lambda b, x: total(b, x, b.dim(x, 0), lambda i: b.emit1(s.maximum, less(b, i, 1), b.const(0))),
    "twice": lambda b, x: total(b, x, b.emit1(s.floordiv, b.dim(x, 0), b.const(2)), lambda i: b.emit1(s.mul, i, b.const(2))),
}


@pytest.mark.parametrize("name", IN_RANGE)
def test_an_index_in_range_is_not_checked(name: str) -> None:
    for size in (0, 1, 2, 5):
        new = apply(Bounds(), program([VEC], IN_RANGE[name]), np.arange(float(size)))
        assert "index" not in ops(new), name


OUT_OF_RANGE: dict[str, Any] = {
    "one too many": lambda b, x: total(b, x, more(b, b.dim(x, 0), 1), lambda i: i),
    "the neighbour of the last": lambda b, x: total(b, x, b.dim(x, 0), lambda i: more(b, i, 1)),
    "twice": lambda b, x: total(b, x, b.dim(x, 0), lambda i: b.emit1(s.mul, i, b.const(2))),
    "clipped to the size": lambda b, x: total(b, x, b.dim(x, 0), lambda i: b.emit1(s.minimum, more(b, i, 1), b.dim(x, 0))),
    "may be negative": lambda b, x: total(b, x, b.dim(x, 0), lambda i: less(b, i, 1)),
}


@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_an_index_that_may_be_out_of_range_is_checked(name: str) -> None:
    for size in (0, 1, 2, 5):
        assert "index" in ops(apply(Bounds(), program([VEC], OUT_OF_RANGE[name]), np.arange(float(size)))), name


def test_a_guard_is_believed() -> None:
    def body(b: Builder, x: Value) -> Any:
        def step(i: Value, t: Value) -> Any:
            j = more(b, i, 1)
            inside = b.emit1(s.lt, j, b.dim(x, 0))
            return branch(b, inside, lambda: b.emit1(a.load, x, b.emit1(a.index, j, b.dim(x, 0))), lambda: t)

        return loop(b, b.dim(x, 0), step, number(b, 0.0))

    assert "index" not in ops(apply(Bounds(), program([VEC], body), np.arange(4.0)))


def test_a_guard_that_wraps_around_is_not_believed() -> None:
    """`if i >= 0 and i + 1 < n: x[i]` with the largest `i` there is: `i + 1` is negative."""

    def body(b: Builder, x: Value, i: Value) -> Any:
        low, high = b.emit1(s.ge, i, b.const(0)), b.emit1(s.lt, more(b, i, 1), b.dim(x, 0))
        return branch(b, b.emit1(s.and_, low, high), lambda: b.emit1(a.load, x, b.emit1(a.index, i, b.dim(x, 0))),
                      lambda: number(b, 0.0))

    prog = program([VEC, i64], body)
    for i in (0, 1, 2**63 - 1):
        apply(Bounds(), prog, np.arange(4.0), i)


def test_a_negative_index_counts_from_the_end() -> None:
    def body(b: Builder, x: Value) -> Any:
        def step(i: Value, t: Value) -> Value:
            back = b.emit1(a.index, less(b, b.emit1(s.neg, i), 1), b.dim(x, 0))
            return b.emit1(s.add, t, b.emit1(a.load, x, back))

        return loop(b, b.dim(x, 0), step, number(b, 0.0))

    new = apply(Bounds(), program([VEC], body), np.arange(4.0))
    assert "index" not in ops(new) and "add" in ops(new)


def test_a_while_loop_that_counts() -> None:
    def body(b: Builder, x: Value) -> Any:
        with b.reify([i64, f64]) as cond:
            cond.results = (b.emit1(s.lt, cond.params[0], b.dim(x, 0)),)
        with b.reify([i64, f64]) as inner:
            i, t = inner.params
            v = b.emit1(a.load, x, b.emit1(a.index, i, b.dim(x, 0)))
            inner.results = (more(b, i, 1), b.emit1(s.add, t, v))
        return b.emit(c.while_, b.const(0), number(b, 0.0), blocks=[cond, inner], types=(i64, f64))

    assert "index" not in ops(apply(Bounds(), program([VEC], body), np.arange(4.0)))


def test_an_index_that_passed_is_in_range() -> None:
    def body(b: Builder, x: Value, i: Value) -> Any:
        j = b.emit1(a.index, i, b.dim(x, 0))
        b.emit(c.check, b.emit1(s.ge, i, b.const(0)), error="IndexError", message="negative")
        return b.emit1(a.load, x, b.emit1(a.index, j, b.dim(x, 0))), b.emit1(a.load, x, b.emit1(a.index, i, b.dim(x, 0)))

    prog = program([VEC, i64], body)
    for i in (0, 3, -1, 4):
        assert ops(apply(Bounds(), prog, np.arange(4.0), i)).count("index") == 1


def test_checks_and_comparisons_are_decided() -> None:
    def body(b: Builder, x: Value) -> Any:
        def step(i: Value, t: Value) -> Value:
            nonzero = b.emit1(s.ne, more(b, i, 1), b.const(0))
            b.emit(c.check, nonzero, error="ZeroDivisionError", message="division by zero")
            return b.emit1(s.select, b.emit1(s.lt, i, b.const(0)), number(b, 1.0), t)

        return loop(b, b.dim(x, 0), step, number(b, 0.0))

    assert not {"check", "lt"} & set(ops(apply(Bounds(), program([VEC], body), np.arange(4.0))))


def test_sizes_that_were_checked_to_be_equal_are_one() -> None:
    def body(b: Builder, x: Value, y: Value) -> Any:
        same_size = b.emit1(s.eq, b.dim(x, 0), b.dim(y, 0))
        b.emit(c.check, same_size, error="ValueError", message="shapes differ")
        return total(b, x, b.dim(y, 0), lambda i: i)

    prog = program([VEC, ArrayType(f64, (m,))], body)
    for size in (4, 3):
        assert "index" not in ops(apply(Bounds(), prog, np.arange(4.0), np.arange(float(size))))


def test_small_integers_index_large_arrays() -> None:
    table = ArrayType(f64, (2**8,))
    from lms.core.types import u8

    def body(b: Builder, x: Value, k: Value) -> Any:
        i = b.emit1(s.convert, k, dtype=i64)
        return b.emit1(a.load, x, b.emit1(a.index, i, b.dim(x, 0)))

    assert "index" not in ops(apply(Bounds(), program([table, u8], body), np.arange(256.0), 200))
    assert "index" in ops(apply(Bounds(), program([table, i32], body), np.arange(256.0), 200))


# ------------------------------------------------------------------------------------------ versioning


def shifted(b: Builder, x: Value, y: Value, k: Value, count: Value) -> Any:
    def step(i: Value, t: Value) -> Value:
        j = b.emit1(a.index, b.emit1(s.add, i, k), b.dim(x, 0))
        v = b.emit1(a.load, x, j)
        b.emit(a.store, y, v, b.emit1(a.index, i, b.dim(y, 0)))
        return b.emit1(s.add, t, v)

    return loop(b, count, step, number(b, 0.0))


@pytest.mark.parametrize("k", [0, 1, 2, 3, -1, -9, 2**63 - 1, -2**63, 2**62])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 2**63 - 1, -2**63])
def test_a_versioned_loop_fails_exactly_where_the_loop_would(k: int, count: int) -> None:
    prog = program([VEC, ArrayType(f64, (m,)), i64, i64], shifted, mut=[1])
    new = apply(Version(), prog, np.arange(4.0), np.zeros(4), k, count)
    yes, no = nodes(new, "if")[0].blocks
    assert "index" not in [x.op.name for x in yes.nodes[0].blocks[0].nodes]
    assert "index" in [x.op.name for x in no.nodes[0].blocks[0].nodes]


def test_a_row_of_a_matrix_in_an_inner_loop() -> None:
    def body(b: Builder, x: Value, k: Value) -> Any:
        def outer(i: Value, t: Value) -> Any:
            def inner(j: Value, u: Value) -> Value:
                at = b.emit1(a.index, i, b.dim(x, 0)), b.emit1(a.index, j, b.dim(x, 1))
                return b.emit1(s.add, u, b.emit1(a.load, x, *at))

            return loop(b, k, inner, t)

        return loop(b, k, outer, number(b, 0.0))

    prog = program([MAT, i64], body)
    for k in (0, 2, 3, 4):
        new = apply(Version(), prog, np.arange(12.0).reshape(3, 4), k)
        assert "if" in ops(new)


def test_what_depends_on_data_stays_checked() -> None:
    def body(b: Builder, x: Value, at: Value) -> Any:
        return total(b, x, b.dim(at, 0), lambda i: b.emit1(a.load, at, i))

    prog = program([VEC, ArrayType(i64, (m,))], body)
    assert "if" not in ops(apply(Version(), prog, np.arange(4.0), np.array([0, 3, 9])))


# ------------------------------------------------------------------------------------ boundscheck=False


def test_believed_indices_still_count_from_the_end() -> None:
    prog = program([VEC, i64], lambda b, x, i: b.emit1(a.load, x, b.emit1(a.index, i, b.dim(x, 0))))
    for i in (0, 3, -1, -4):
        assert "index" not in ops(apply(DropIndexChecks(), prog, np.arange(4.0), i))
