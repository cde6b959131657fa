"""Sharing between branches: an `if` is an expression, and a branch knows what one of the same condition has computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lms
from lms import Array, Rep
from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Program, Value
from lms.core.types import f64
from lms.core.verify import verify
from lms.passes.clone import clone
from lms.passes.cse import Cse
from lms.passes.dce import Dce
from lms.passes.fold import Fold
from tests.passes.programs import VEC, branch, number, ops, outcome, program, same

s, a = p.scalar, p.array


def shared(prog: Program, *arguments: Any) -> list[str]:
    """The operations that are left; what they give is what the program gave, for all arguments."""
    new = clone(prog)
    for step in (Cse(), Fold(), Dce()):
        new = step.run(new)
        verify(new, after=step.name)
    for args in arguments:
        same(outcome(prog, args), outcome(new, args), exact=True)
    return ops(new)


def positive(b: Builder, x: Value) -> Value:
    return b.emit1(s.gt, x, number(b, 0.0))


def roots_and_sines(b: Builder, x: Value, how: Value) -> tuple[Value, ...]:
    return branch(b, how, lambda: [b.emit1(s.sqrt, b.emit1(s.add, x, number(b, 1.0)))], lambda: [b.emit1(s.sin, x)])


def test_the_second_of_two_equal_ifs_goes() -> None:
    def body(b: Builder, x: Value) -> Any:
        how = positive(b, x)
        return roots_and_sines(b, x, how)[0], roots_and_sines(b, x, how)[0]

    left = shared(program([f64], body), (2.0,), (-2.0,))
    assert (left.count("if"), left.count("sqrt"), left.count("sin")) == (1, 1, 1)


@pytest.mark.parametrize("what", ["condition", "operand", "constant", "sides"])
def test_ifs_that_differ_stay(what: str) -> None:
    def body(b: Builder, x: Value, y: Value) -> Any:
        how = positive(b, x)
        first = branch(b, how, lambda: [b.emit1(s.mul, x, number(b, 2.0))], lambda: [y])[0]
        other = positive(b, y) if what == "condition" else how
        sides = [lambda: [b.emit1(s.mul, y if what == "operand" else x, number(b, 3.0 if what == "constant" else 2.0))],
                 lambda: [y]]
        return first, branch(b, other, *(reversed(sides) if what == "sides" else sides))[0]

    assert shared(program([f64, f64], body), (2.0, 1.0), (-2.0, 1.0), (2.0, -1.0)).count("if") == 2


def test_a_write_between_keeps_two_ifs_apart() -> None:
    def body(b: Builder, x: Value) -> Any:
        how = positive(b, b.emit1(a.load, x, b.const(0)))

        def read() -> Value:
            return branch(b, how, lambda: [b.emit1(a.load, x, b.const(1))], lambda: [number(b, 0.0)])[0]

        before = read()
        b.emit(a.store, x, number(b, 5.0), b.const(1))
        return before, read(), read()

    left = shared(program([VEC], body, mut=[0]), (np.array([1.0, 2.0]),), (np.array([-1.0, 2.0]),))
    assert left.count("if") == 2


def test_an_if_that_writes_runs_each_time() -> None:
    def body(b: Builder, x: Value, y: Value) -> Any:
        for _ in range(2):
            branch(b, positive(b, y), lambda: b.emit(a.accumulate, x, y, b.const(0)) or None, lambda: None)

    assert shared(program([VEC, f64], body, mut=[0]), (np.array([1.0, 2.0]), 3.0), (np.ones(1), -3.0)).count("if") == 2


def test_a_branch_is_given_what_is_costly() -> None:
    """The sine of a root that the first `if` gives: it has computed that, and gives it as well; sums are made again."""

    def body(b: Builder, x: Value) -> Any:
        how = positive(b, x)

        def first() -> list[Value]:
            root = b.emit1(s.sqrt, x)
            return [root, b.emit1(s.add, b.emit1(s.sin, root), b.emit1(s.mul, root, root))]

        def second() -> list[Value]:
            return [b.emit1(s.sub, b.emit1(s.sin, root), b.emit1(s.mul, root, root))]

        root, total = branch(b, how, first, lambda: [x, x])
        return total, branch(b, how, second, lambda: [b.emit1(s.sin, root)])[0]

    left = shared(program([f64], body), (2.0,), (-2.0,))
    assert left.count("sin") == 2  # one a branch of the first, or of the second: not both in one
    assert left.count("mul") == 2


def test_the_other_branch_knows_nothing() -> None:
    def body(b: Builder, x: Value) -> Any:
        how = positive(b, x)
        one = branch(b, how, lambda: [b.emit1(s.exp, x)], lambda: [x])[0]
        two = branch(b, how, lambda: [x], lambda: [b.emit1(s.exp, x)])[0]
        after = branch(b, positive(b, one), lambda: [b.emit1(s.exp, x)], lambda: [x])[0]
        return one, two, after

    assert shared(program([f64], body), (2.0,), (-2.0,)).count("exp") == 3


def test_a_loop_whose_body_branches_twice() -> None:
    """The branches of one iteration share; those of the next are others."""

    @lms.stage
    def f(x: Rep[Array[lms.f64, "n"]]) -> Rep[lms.f64]:
        total = 0.0
        for v in x:
            up = v > 0.0
            size = np.sqrt(v * v + 1.0) if up else 1.0
            total += np.cos(size) * size if up else -v
        return total

    x = np.array([1.5, -2.0, 0.25, 3.0])
    size = np.sqrt(x * x + 1.0)
    assert f(x) == pytest.approx(np.sum(np.where(x > 0, np.cos(size) * size, -x)), rel=1e-14)
    slope = np.where(x > 0, (np.cos(size) - size * np.sin(size)) * x / size, -1.0)
    np.testing.assert_allclose(lms.grad(f)(x), slope, rtol=1e-13)
