"""Sharing, dropping and moving: each keeps reads, writes and errors at their place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Program
from lms.core.types import ArrayType, f64, i64
from lms.core.verify import verify
from lms.passes.base import Pass
from lms.passes.clone import clone
from lms.passes.cse import Cse
from lms.passes.dce import Dce
from lms.passes.inline import Inline
from lms.passes.licm import Licm
from tests.passes.programs import VEC, branch, everywhere, loop, m, n, nodes, number, ops, outcome, program, same

s, a, c = p.scalar, p.array, p.control


def apply(step: Pass, prog: Program, *args: Any) -> Program:
    """The new program, which does what the old one does."""
    new = step.run(clone(prog))
    verify(new, after=step.name)
    same(outcome(prog, args), outcome(new, args), exact=True)
    return new


def ones(size: int = 3) -> np.ndarray[Any, Any]:
    return np.arange(1.0, size + 1)


# ------------------------------------------------------------------------------------------------- CSE


def test_equal_operations_become_one() -> None:
    def body(b: Any, x: Any) -> Any:
        y, z = (b.emit1(s.exp, b.emit1(s.mul, x, everywhere(b, number(b, 2.0), x))) for _ in range(2))
        return b.emit1(a.reduce_sum, b.emit1(s.mul, y, z), axes=(0,))

    new = apply(Cse(), program([VEC], body), ones())
    assert ops(new).count("exp") == 1 and ops(new).count("broadcast") == 1


def test_commutative_operations_are_equal_either_way() -> None:
    prog = program([f64, f64], lambda b, x, y: b.emit1(s.sub, b.emit1(s.mul, x, y), b.emit1(s.mul, y, x)))
    assert ops(apply(Cse(), prog, 2.0, 3.0)) == ["mul", "sub"]


def test_minus_zero_is_not_zero() -> None:
    prog = program([], lambda b: (number(b, 0.0), number(b, -0.0)))
    assert ops(apply(Cse(), prog)) == ["const", "const"]


def test_a_write_between_keeps_two_reads_apart() -> None:
    """W9: `y = a * 2; a[0] = 5; z = a * 2`."""

    def body(b: Any, x: Any) -> Any:
        def total() -> Any:
            return b.emit1(a.reduce_sum, b.emit1(s.mul, x, everywhere(b, number(b, 2.0), x)), axes=(0,))

        before = total()
        b.emit(a.store, x, number(b, 5.0), b.const(0))
        return before, total(), total()

    new = apply(Cse(), program([VEC], body, mut=[0]), ones())
    assert ops(new).count("reduce_sum") == 2


@pytest.mark.parametrize("where", ["then", "loop", "view"])
def test_a_write_somewhere_between_counts(where: str) -> None:
    def body(b: Any, x: Any) -> Any:
        first = b.emit1(a.load, x, b.const(0))
        if where == "then":
            branch(b, b.emit1(s.gt, first, number(b, 0.0)),
                   lambda: b.emit(a.store, x, number(b, 9.0), b.const(0)) or None, lambda: None)
        elif where == "loop":
            loop(b, b.const(1), lambda i: b.emit(a.accumulate, x, number(b, 9.0), i) or None)
        else:
            v = b.emit1(a.view, x, b.const(0), b.const(1), spec=(("slice", 1),), dims=(1,))
            b.emit(a.store, v, number(b, 9.0), b.const(0))
        return b.emit1(s.sub, first, b.emit1(a.load, x, b.const(0)))

    assert ops(apply(Cse(), program([VEC], body, mut=[0]), ones())).count("load") == 2


def test_a_load_in_a_loop_that_writes_is_not_the_one_before_it() -> None:
    def body(b: Any, x: Any) -> Any:
        first = b.emit1(a.load, x, b.const(0))

        def step(i: Any, t: Any) -> Any:
            v = b.emit1(a.load, x, b.const(0))
            b.emit(a.store, x, b.emit1(s.mul, v, number(b, 2.0)), b.const(0))
            return b.emit1(s.add, t, v)

        return loop(b, b.const(3), step, first)

    assert ops(apply(Cse(), program([VEC], body, mut=[0]), ones())).count("load") == 2


def test_arrays_that_are_written_to_or_given_away_keep_their_identity() -> None:
    def body(b: Any, x: Any) -> Any:
        y, z = b.emit1(s.exp, x), b.emit1(s.exp, x)
        b.emit(a.store, y, number(b, 5.0), b.const(0))
        return b.emit1(a.load, z, b.const(0)), b.emit1(s.sin, x), b.emit1(s.sin, x)

    new = apply(Cse(), program([VEC], body), ones())
    assert ops(new).count("exp") == 2 and ops(new).count("sin") == 2


def test_the_second_of_two_equal_checks_goes() -> None:
    def body(b: Any, x: Any, i: Any) -> Any:
        first, second = (b.emit1(a.index, i, b.dim(x, 0)) for _ in range(2))
        return b.emit1(s.add, b.emit1(a.load, x, first), b.emit1(a.load, x, second))

    for i in (1, -1, 7):
        assert ops(apply(Cse(), program([VEC, i64], body), ones(), i)).count("index") == 1


def test_a_check_in_a_branch_does_not_cover_what_follows() -> None:
    def body(b: Any, x: Any, i: Any) -> Any:
        branch(b, b.emit1(s.gt, i, b.const(100)), lambda: [b.emit1(a.index, i, b.dim(x, 0))], lambda: [i])
        return b.emit1(a.index, i, b.dim(x, 0))

    assert ops(apply(Cse(), program([VEC, i64], body), ones(), 7)).count("index") == 2


# ------------------------------------------------------------------------------------------------- DCE


def test_what_nobody_reads_goes() -> None:
    def body(b: Any, x: Any) -> Any:
        b.emit1(s.exp, x)
        local = everywhere(b, number(b, 0.0), x)
        b.emit(a.store, local, number(b, 1.0), b.const(0))
        b.emit(a.add_into, local, x)
        return b.emit1(a.load, x, b.const(0))

    assert ops(apply(Dce(), program([VEC], body), ones())) == ["const", "load"]


def test_writes_the_caller_sees_stay() -> None:
    def body(b: Any, x: Any) -> None:
        v = b.emit1(a.view, x, b.const(1), b.const(1), spec=(("slice", 1),), dims=(1,))
        b.emit(a.store, v, number(b, 9.0), b.const(0))

    assert "store" in ops(apply(Dce(), program([VEC], body, mut=[0]), ones()))


def test_writes_to_what_is_read_later_or_returned_stay() -> None:
    def body(b: Any, x: Any) -> Any:
        local, out = b.emit1(a.copy, x), b.emit1(a.copy, x)
        loop(b, b.dim(x, 0), lambda i: b.emit(a.accumulate, local, number(b, 1.0), i) or None)
        b.emit(a.store, out, number(b, 9.0), b.const(0))
        return b.emit1(a.load, local, b.const(1)), out

    assert {"accumulate", "store", "for"} <= set(ops(apply(Dce(), program([VEC], body), ones())))


def test_an_error_nobody_waits_for_is_still_raised() -> None:
    """W10: `c = x[7]` unused."""
    prog = program([VEC, i64], lambda b, x, i: (b.emit1(a.index, i, b.dim(x, 0)), None)[1])
    assert "index" in ops(apply(Dce(), prog, ones(), 7))
    prog = program([VEC], lambda b, x: (b.emit1(a.reduce_max, x, axes=(0,)), None)[1])
    assert "reduce_max" in ops(apply(Dce(), prog, ones(0)))


def test_a_carried_value_nobody_needs_goes() -> None:
    prog = program([f64, i64], lambda b, x, k: loop(
        b, k, lambda i, u, v: (b.emit1(s.sin, u), b.emit1(s.cos, v)), x, x)[0])
    new = apply(Dce(), prog, 0.5, 3)
    assert "cos" not in ops(new) and len(nodes(new, "for")[0].results) == 1


def test_a_branch_keeps_the_results_that_are_used() -> None:
    prog = program([f64], lambda b, x: branch(b, b.emit1(s.gt, x, number(b, 0.0)), lambda: (b.emit1(s.sin, x), b.emit1(s.cos, x)),
                                              lambda: (x, b.emit1(s.exp, x)))[0])
    new = apply(Dce(), prog, 0.5)
    assert "cos" not in ops(new) and "exp" not in ops(new) and "sin" in ops(new)


def test_a_loop_that_only_feeds_itself_goes() -> None:
    def body(b: Any, x: Any, k: Any) -> Any:
        with b.reify([f64]) as cond:
            cond.results = (b.emit1(s.lt, cond.params[0], number(b, 10.0)),)
        with b.reify([f64]) as inner:
            inner.results = (b.emit1(s.add, inner.params[0], number(b, 1.0)),)
        b.emit(c.while_, x, blocks=[cond, inner], types=(f64,))
        loop(b, k, lambda i, v: b.emit1(s.sin, v), x)
        return x

    assert ops(apply(Dce(), program([f64, i64], body), 0.5, 3)) == []


# ------------------------------------------------------------------------------------------------ LICM


def body_of(prog: Program) -> list[str]:
    return [node.op.name for node in nodes(prog, "for")[0].blocks[0].nodes]


def test_what_is_alike_every_time_leaves_the_loop() -> None:
    def body(b: Any, x: Any, f: Any) -> Any:
        def step(i: Any, t: Any) -> Any:
            return b.emit1(s.add, t, b.emit1(s.mul, b.emit1(s.exp, f), b.emit1(a.reduce_sum, b.emit1(s.sin, x), axes=(0,))))

        return loop(b, b.dim(x, 0), step, f)

    for size in (0, 3):
        new = apply(Licm(), program([VEC, f64], body), ones(size), 0.5)
        assert body_of(new) == ["add"]


def test_through_two_loops_at_once() -> None:
    def body(b: Any, f: Any, k: Any) -> Any:
        return loop(b, k, lambda i, t: loop(b, k, lambda j, u: b.emit1(s.add, u, b.emit1(s.exp, f)), t), f)

    moved = ops(apply(Licm(), program([f64, i64], body), 0.5, 3))
    assert moved.index("exp") < moved.index("for")


def test_a_read_of_what_the_loop_writes_stays() -> None:
    def body(b: Any, x: Any) -> Any:
        def step(i: Any, t: Any) -> Any:
            total = b.emit1(a.reduce_sum, x, axes=(0,))
            b.emit(a.store, x, total, i)
            return b.emit1(s.add, t, total)

        return loop(b, b.dim(x, 0), step, number(b, 0.0))

    assert "reduce_sum" in body_of(apply(Licm(), program([VEC], body, mut=[0]), ones()))


def indexed(b: Builder, x: Any, k: Any, count: Any) -> Any:
    def step(i: Any, t: Any) -> Any:
        return b.emit1(s.add, t, b.emit1(a.load, x, b.emit1(a.index, k, b.dim(x, 0))))

    return loop(b, count, step, number(b, 0.0))


@pytest.mark.parametrize("k", [1, 7])
@pytest.mark.parametrize("count", [0, 2])
def test_an_error_does_not_leave_a_loop_that_may_not_run(k: int, count: int) -> None:
    """W10: `for i in range(n): s += a[k]` with `n == 0` and `k` out of range."""
    prog = program([VEC, i64, i64], lambda b, x, i, j: indexed(b, x, i, j))
    new = apply(Licm(), prog, ones(), k, count)
    assert "index" in body_of(new) and "load" in body_of(new)


def test_an_error_leaves_a_loop_that_certainly_runs() -> None:
    prog = program([VEC, i64], lambda b, x, k: indexed(b, x, k, b.const(3)))
    for k in (1, 7):
        assert body_of(apply(Licm(), prog, ones(), k)) == ["add"]


def test_an_error_does_not_overtake_a_write_the_caller_sees() -> None:
    def body(b: Any, x: Any, y: Any, k: Any) -> None:
        def step(i: Any) -> None:
            b.emit(a.store, y, number(b, 9.0), i)
            b.emit1(a.load, x, b.emit1(a.index, k, b.dim(x, 0)))

        loop(b, b.const(2), step)

    new = apply(Licm(), program([VEC, ArrayType(f64, (m,))], lambda b, x, y: body(b, x, y, b.const(7)), mut=[1]), ones(), ones())
    assert "index" in body_of(new)


def test_a_maximum_of_nothing_stays_in_a_loop_that_may_not_run() -> None:
    def body(b: Any, x: Any, k: Any) -> Any:
        return loop(b, k, lambda i, t: b.emit1(s.add, t, b.emit1(a.reduce_max, x, axes=(0,))), number(b, 0.0))

    for count in (0, 2):
        assert "reduce_max" in body_of(apply(Licm(), program([VEC, i64], body), ones(0), count))


def test_a_division_stays_behind_its_guard() -> None:
    def body(b: Any, x: Any, y: Any, k: Any) -> Any:
        def step(i: Any, t: Any) -> Any:
            b.emit(c.check, b.emit1(s.ne, y, b.const(0)), error="ZeroDivisionError", message="division by zero")
            return b.emit1(s.add, t, b.emit1(s.floordiv, x, y))

        return loop(b, k, step, x)

    for count in (0, 2):
        assert "floordiv" in body_of(apply(Licm(), program([i64, i64, i64], body), 5, 0, count))


def test_an_allocation_that_is_written_to_stays_in_its_loop() -> None:
    """W6: before differentiation an allocation is a value with an identity."""

    def body(b: Any, x: Any) -> Any:
        def step(i: Any, t: Any) -> Any:
            local = everywhere(b, number(b, 0.0), x)
            b.emit(a.accumulate, local, t, i)
            return b.emit1(s.add, number(b, 1.0), b.emit1(a.reduce_sum, local, axes=(0,)))

        return loop(b, b.dim(x, 0), step, number(b, 1.0))

    assert "broadcast" in body_of(apply(Licm(), program([VEC], body), ones()))


def test_an_array_that_may_not_fit_in_memory_waits_for_the_loop_to_run() -> None:
    def body(b: Any, size: Any, k: Any) -> Any:
        def step(i: Any, t: Any) -> Any:
            many = b.emit1(a.broadcast, number(b, 1.0), size, dims=(m,), axes=())
            return b.emit1(s.add, t, b.emit1(a.load, many, b.const(0)))

        return loop(b, k, step, number(b, 0.0))

    assert "broadcast" in body_of(apply(Licm(), program([i64, i64], body), 10**15, 0))


def test_a_condition_runs_at_least_once() -> None:
    def body(b: Any, x: Any, k: Any) -> Any:
        with b.reify([f64]) as cond:
            limit = b.emit1(a.load, x, b.emit1(a.index, k, b.dim(x, 0)))
            cond.results = (b.emit1(s.lt, cond.params[0], limit),)
        with b.reify([f64]) as inner:
            inner.results = (b.emit1(s.add, inner.params[0], number(b, 1.0)),)
        return b.emit(c.while_, number(b, 0.0), blocks=[cond, inner], types=(f64,))

    for k in (1, 7):
        new = apply(Licm(), program([VEC, i64], body), ones(), k)
        assert [x.op.name for x in nodes(new, "while")[0].blocks[0].nodes] == ["lt"]


# ---------------------------------------------------------------------------------------------- inline


def with_callee(callee: Any, types: Any, main: Any, params: Any) -> Program:
    prog = Program(entry="main")
    b = Builder(prog)
    with b.at(None):
        with b.function("callee", types) as f:
            f.body.results = tuple(callee(b, f, *f.body.params))
        with b.function("main", params) as g:
            g.body.results = tuple(main(b, f, *g.body.params))
    verify(prog)
    return prog


def call(b: Any, f: Any, *args: Any, types: Any) -> Any:
    return b.emit(c.call, *args, callee=f.name, types=types)


def test_a_small_function_is_inlined_and_forgotten() -> None:
    prog = with_callee(lambda b, f, x: [b.emit1(s.sin, x)], [f64],
                       lambda b, f, x: [b.emit1(s.add, *(call(b, f, v, types=(f64,))[0] for v in (x, b.emit1(s.cos, x))))], [f64])
    new = apply(Inline(), prog, 0.5)
    assert list(new.functions) == ["main"] and ops(new).count("sin") == 2


def test_recursion_stays() -> None:
    def callee(b: Any, f: Any, k: Any) -> Any:
        stop = b.emit1(s.le, k, b.const(0))
        return branch(b, stop, lambda: [k], lambda: [
            b.emit1(s.add, k, *call(b, f, b.emit1(s.sub, k, b.const(1)), types=(i64,)))])

    prog = with_callee_recursive(callee)
    assert "callee" in apply(Inline(), prog, 5).functions


def with_callee_recursive(callee: Any) -> Program:
    prog = Program(entry="main")
    b = Builder(prog)
    with b.at(None):
        with b.function("callee", [i64]) as f:
            f.body.results = tuple(callee(b, f, *f.body.params))
        with b.function("main", [i64]) as g:
            g.body.results = tuple(call(b, f, g.body.params[0], types=(i64,)))
    return prog


def test_sizes_that_a_callee_names_are_each_copys_own() -> None:
    """Two calls of a function that makes arrays whose sizes only it knows: the copies' sizes differ."""

    def callee(b: Any, f: Any, x: Any) -> Any:
        chosen = b.emit1(a.nonzero, b.emit1(s.gt, x, everywhere(b, number(b, 1.5), x)), dims=(m,))
        return [b.emit1(a.reduce_sum, chosen, axes=(0,)), b.emit1(a.dim, chosen, axis=0)]

    def main(b: Any, f: Any, x: Any, y: Any) -> Any:
        return [*call(b, f, x, types=(i64, i64)), *call(b, f, y, types=(i64, i64))]

    prog = with_callee(callee, [VEC], main, [VEC, ArrayType(f64, (m,))])
    new = apply(Inline(), prog, ones(3), ones(5))
    assert list(new.functions) == ["main"]
    same(outcome(prog, (ones(3), ones(5))), outcome(Cse().run(new), (ones(3), ones(5))))


def test_arrays_come_back_under_the_names_of_the_caller() -> None:
    def main(b: Any, f: Any, x: Any) -> Any:
        (y,) = call(b, f, x, types=(ArrayType(f64, (m,)),))
        return [y, b.emit1(a.dim, y, axis=0)]

    prog = with_callee(lambda b, f, x: [b.emit1(s.sin, x)], [ArrayType(f64, (n,))], main, [VEC])
    apply(Inline(), prog, ones(3))
