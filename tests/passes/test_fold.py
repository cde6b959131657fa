"""Folding: what is exact is applied, what is not exact is left alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from lms.core import primitives as p
from lms.core.ir import Program
from lms.core.types import ArrayType, Constructor, Scalar, SumType, bool_, c128, f64, i8, i64
from lms.core.verify import verify
from lms.passes.clone import clone
from lms.passes.cse import Cse
from lms.passes.dce import Dce
from lms.passes.fold import Fold
from tests.passes.programs import VEC, branch, everywhere, loop, n, nodes, number, ops, outcome, program, same

s, a, r, c = p.scalar, p.array, p.record, p.control
SPECIAL = [0.0, -0.0, 1.0, -1.5, 2.0, math.inf, -math.inf, math.nan, 5e-324, 1e308]


def folded(prog: Program) -> Program:
    new = clone(prog)
    for step in (Fold(), Cse(), Fold(), Dce()):
        new = step.run(new)
        verify(new, after=step.name)
    return new


def unary(op: Any, constant: float, first: bool = False, t: Scalar = f64) -> Program:
    """`op(x, constant)`, or the other way round."""
    def body(b: Any, x: Any) -> Any:
        k = number(b, constant, t)
        return b.emit1(op, *((k, x) if first else (x, k)))

    return program([t], body)


# (operation, constant, constant first?, what is left)
FLOATS = [
    (s.add, -0.0, False, []), (s.add, -0.0, True, []), (s.sub, 0.0, False, []), (s.mul, 1.0, False, []), (s.mul, 1.0, True, []),
    (s.div, 1.0, False, []), (s.mul, -1.0, False, ["neg"]), (s.div, -1.0, False, ["neg"]), (s.sub, -0.0, True, ["neg"]),
    (s.div, 4.0, False, ["const", "mul"]), (s.pow, 2.0, False, ["mul"]), (s.pow, 1.0, False, []), (s.pow, 0.0, False, ["const"]),
    # these only look like identities
    (s.add, 0.0, False, ["const", "add"]), (s.sub, -0.0, False, ["const", "sub"]), (s.mul, 0.0, False, ["const", "mul"]),
    (s.sub, 0.0, True, ["const", "sub"]), (s.div, 3.0, False, ["const", "div"]), (s.pow, 0.5, False, ["const", "pow"]),
]


@pytest.mark.parametrize(("op", "constant", "first", "left"), FLOATS)
def test_algebra_of_floats_is_exact(op: Any, constant: float, first: bool, left: list[str]) -> None:
    prog = unary(op, constant, first)
    new = folded(prog)
    assert ops(new) == left
    for x in SPECIAL:
        (before,), (after,) = outcome(prog, (x,)), outcome(new, (x,))
        assert before == after or math.isnan(before) and math.isnan(after)
        assert math.copysign(1, before) == math.copysign(1, after) or math.isnan(before)


@pytest.mark.parametrize("op", [s.sub, s.div, s.eq, s.ne, s.le, s.ge, s.maximum])
def test_a_float_and_itself_are_left_alone(op: Any) -> None:
    """`x - x` of NaN is NaN, and `x == x` of NaN is false."""
    prog = program([f64], lambda b, x: b.emit1(op, x, x))
    assert ops(folded(prog)) == [op.name]


@pytest.mark.parametrize("op", [s.lt, s.gt])
def test_nothing_is_less_than_itself(op: Any) -> None:
    assert ops(folded(program([f64], lambda b, x: b.emit1(op, x, x)))) == ["const"]


INTS = [(s.add, 0, []), (s.sub, 0, []), (s.mul, 1, []), (s.mul, 0, ["const"]), (s.mul, -1, ["neg"]), (s.floordiv, 1, []),
        (s.quot, 1, []), (s.mod, 1, ["const"]), (s.rem, 1, ["const"]), (s.and_, 0, ["const"]), (s.and_, -1, []), (s.or_, 0, []),
        (s.xor, 0, []), (s.shl, 0, []), (s.shr, 0, []), (s.add, 3, ["const", "add"])]


@pytest.mark.parametrize(("op", "constant", "left"), INTS)
@pytest.mark.parametrize("t", [i8, i64])
def test_algebra_of_integers(op: Any, constant: int, left: list[str], t: Scalar) -> None:
    prog = unary(op, constant, t=t)
    new = folded(prog)
    assert ops(new) == left
    for x in (-128, -3, 0, 7, 127):
        same(outcome(prog, (t.dtype.type(x),)), outcome(new, (t.dtype.type(x),)))


def test_integers_wrap_while_constants_are_gathered() -> None:
    def body(b: Any, x: Any) -> Any:
        return b.emit1(s.sub, b.emit1(s.add, b.emit1(s.add, x, number(b, 100, i8)), number(b, 100, i8)), number(b, 72, i8))

    new = folded(program([i8], body))
    assert ops(new) == ["const", "add"] and nodes(new, "const")[0].attrs["value"] == -128
    same(outcome(program([i8], body), (np.int8(5),)), outcome(new, (np.int8(5),)))


def test_the_difference_of_an_integer_and_itself() -> None:
    assert ops(folded(program([i64], lambda b, x: b.emit1(s.sub, x, x)))) == ["const"]
    back = program([i64, i64], lambda b, x, y: b.emit1(s.sub, b.emit1(s.add, x, y), y))
    assert ops(folded(back)) == []


def test_constants_are_computed() -> None:
    prog = program([], lambda b: b.emit1(s.sin, b.emit1(s.add, number(b, 1.0), number(b, 2.0))))
    new = folded(prog)
    assert ops(new) == ["const"]
    same(outcome(prog, ()), outcome(new, ()), exact=True)


def test_what_machines_do_differently_is_left_to_them() -> None:
    nan_to_int = program([], lambda b: b.emit1(s.convert, number(b, math.nan), dtype=i64))
    assert "convert" in ops(folded(nan_to_int))
    assert "shl" in ops(folded(program([], lambda b: b.emit1(s.shl, b.const(1), b.const(70)))))
    assert "floordiv" in ops(folded(program([], lambda b: b.emit1(s.floordiv, b.const(1), b.const(0)))))


def test_logic() -> None:
    def body(b: Any, x: Any, y: Any, u: Any, v: Any) -> Any:
        yes = b.const(True, bool_)
        less = b.emit1(s.lt, x, y)
        ints = b.emit1(s.lt, u, v)
        unless = b.emit1(s.not_, less)
        return (b.emit1(s.not_, unless), b.emit1(s.and_, less, yes), b.emit1(s.select, unless, x, y), unless,
                b.emit1(s.not_, ints), b.emit1(s.not_, b.emit1(s.eq, x, y)))

    prog = program([f64, f64, i64, i64], body)
    new = folded(prog)
    assert ops(new) == ["lt", "not", "select", "ge", "ne"]  # the order of floats has no opposite: NaN
    for x in (1.0, math.nan):
        same(outcome(prog, (x, 2.0, 3, 3)), outcome(new, (x, 2.0, 3, 3)))


@pytest.mark.parametrize("chosen", [True, False])
def test_a_branch_that_is_known_is_spliced(chosen: bool) -> None:
    def body(b: Any, x: Any) -> Any:
        return branch(b, b.const(chosen, bool_), lambda: b.emit1(s.sin, x), lambda: b.emit1(s.cos, x))

    assert ops(folded(program([f64], body))) == ["sin" if chosen else "cos"]


def test_loops_of_no_and_one_iteration() -> None:
    def body(b: Any, x: Any, count: int) -> Any:
        return loop(b, b.const(count), lambda i, v: b.emit1(s.add, b.emit1(s.sin, v), b.emit1(s.convert, i, dtype=f64)), x)

    assert ops(folded(program([f64], lambda b, x: body(b, x, 0)))) == []
    once = program([f64], lambda b, x: body(b, x, 1))
    assert "for" not in ops(folded(once)) and "sin" in ops(folded(once))
    same(outcome(once, (0.5,)), outcome(folded(once), (0.5,)), exact=True)
    assert "for" in ops(folded(program([f64], lambda b, x: body(b, x, 2))))


def test_a_carried_value_that_never_changes_is_not_carried() -> None:
    prog = program([f64, i64], lambda b, x, k: loop(b, k, lambda i, u, v: (b.emit1(s.mul, u, v), v), x, x))
    new = folded(prog)
    assert len(nodes(new, "for")[0].results) == 1
    same(outcome(prog, (0.5, 3)), outcome(new, (0.5, 3)), exact=True)


def test_records_are_seen_through() -> None:
    pair = SumType("Pair")
    pair.constructors = (Constructor("Pair", (("x", f64), ("y", f64))),)

    def body(b: Any, x: Any, y: Any) -> Any:
        rec = b.emit1(r.construct, x, y, type=pair, tag=0)
        return b.emit1(s.sub, b.emit1(r.project, rec, tag=0, field=1), b.emit1(r.project, rec, tag=0, field=0))

    assert ops(folded(program([f64, f64], body))) == ["sub"]


def test_algebra_on_arrays_gives_arrays_of_their_own() -> None:
    def body(b: Any, x: Any) -> Any:
        y = b.emit1(s.mul, x, everywhere(b, number(b, 1.0), x))
        b.emit(a.store, y, number(b, 7.0), b.const(0))
        return y

    prog = program([VEC], body)
    same(outcome(prog, (np.ones(2),)), outcome(folded(prog), (np.ones(2),)))


def test_an_array_of_ones_that_is_written_to_is_no_longer_ones() -> None:
    def body(b: Any, x: Any) -> Any:
        ones = everywhere(b, number(b, 1.0), x)
        b.emit(a.store, ones, number(b, 7.0), b.const(0))
        return b.emit1(s.mul, x, ones)

    prog = program([VEC], body)
    same(outcome(prog, (np.ones(2),)), outcome(folded(prog), (np.ones(2),)))


def test_double_negation_of_an_array_that_changes_between() -> None:
    def body(b: Any, x: Any) -> Any:
        y = b.emit1(s.neg, x)
        b.emit(a.store, x, number(b, 7.0), b.const(0))
        return b.emit1(s.neg, y)

    prog = program([VEC], body, mut=[0])
    same(outcome(prog, (np.ones(2),)), outcome(folded(prog), (np.ones(2),)))


def test_sizes_and_indices_that_are_known() -> None:
    four = ArrayType(f64, (4,))

    def body(b: Any, x: Any) -> Any:
        last = b.emit1(a.index, b.const(-1), b.emit1(a.dim, x, axis=0))
        return b.emit1(a.load, x, last)

    new = folded(program([four], body))
    assert ops(new) == ["const", "load"] and nodes(new, "const")[0].attrs["value"] == 3
    wrong = program([four], lambda b, x: b.emit1(a.load, x, b.emit1(a.index, b.const(4), b.dim(x, 0))))
    assert "index" in ops(folded(wrong))
    same(outcome(wrong, (np.ones(4),)), outcome(folded(wrong), (np.ones(4),)))


def test_a_check_that_holds_goes_and_one_that_fails_stays() -> None:
    def body(b: Any, ok: bool) -> None:
        b.emit(c.check, b.const(ok, bool_), error="ValueError", message="no")

    assert ops(folded(program([], lambda b: body(b, True)))) == []
    assert ops(folded(program([], lambda b: body(b, False)))) == ["const", "check"]


def test_complex_numbers_are_taken_apart() -> None:
    def body(b: Any, x: Any, y: Any) -> Any:
        z = b.emit1(s.complex_, x, y)
        return b.emit1(s.real, z), b.emit1(s.imag, z), b.emit1(s.conj, b.emit1(s.conj, z))

    assert ops(folded(program([f64, f64], body))) == ["complex"]
    assert c128.real == f64


_ = n


def test_a_guarded_division_does_not_wait() -> None:
    """Once no derivative is left to take: exact for every operand."""
    def body(b: Any, x: Any, y: Any) -> Any:
        none = b.emit1(s.eq, x, number(b, 0.0))
        return b.emit1(s.div, x, b.emit1(s.select, none, number(b, 1.0), y))

    prog = program([f64, f64], body)
    assert folded(prog).main.body.results[0].node.op is s.div
    new = Fold(final=True).run(clone(prog))
    verify(new, after="fold")
    assert new.main.body.results[0].node.op is s.select
    for x in SPECIAL:
        for y in SPECIAL:
            before, after = (np.float64(outcome(p, (x, y))[0]) for p in (prog, new))
            assert before.tobytes() == after.tobytes() or np.isnan(before) and np.isnan(after)
