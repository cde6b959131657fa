"""Arrays of a few elements that go round loops and out of branches: numbers, where nobody can tell the difference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lms
from lms import Array, Rep, f64, i64
from lms.core import primitives as p
from lms.core.ir import Program, walk
from lms.core.types import ArrayType
from lms.passes.base import run
from lms.passes.clone import clone
from lms.pipeline import DIFFERENTIATED


def passed_on(program: Program) -> int:
    """How many arrays loops carry and branches give."""
    return sum(isinstance(v.type, ArrayType) for f in program.functions.values() for node in walk(f.body)
               if node.blocks for v in node.results)


def becomes(f: lms.Staged, *args: Any) -> Program:
    """The program as it is differentiated; what is compiled agrees with Python."""
    expected = f.unstaged(*args)
    np.testing.assert_allclose(f(*args), expected, rtol=1e-14)
    return run(DIFFERENTIATED, clone(f.specialize(*args).staged))


@lms.stage
def orbit(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
    position, velocity = np.array([x, 0.0]), np.array([0.0, 1.0])
    for _ in range(n):
        velocity = velocity - 0.01 * position / np.sum(position * position) ** 1.5
        position = position + 0.01 * velocity
    return position[0] * position[1]


@lms.stage
def until(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
    a = np.array([x, 2.0 * x, 3.0])
    while np.sum(a) < n:
        a = a * a if a[0] > 1.0 else a + 1.0
    return a[1] - a[2]


@lms.stage
def swapped(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
    a, b = np.array([x, 1.0]), np.array([2.0, x * x])
    for _ in range(n):
        a, b = b, a
    return a[0] - 2.0 * b[1]


@lms.stage
def pivots(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
    m = np.array([[x, 1.0], [2.0, x * x]])
    for _ in range(n):
        m = m @ m / np.sum(m)
    return m[0, 1]


@pytest.mark.parametrize("f", [orbit, until, swapped, pivots], ids=lambda f: f.__name__)
def test_elements_are_passed_on(f: lms.Staged) -> None:
    program = becomes(f, 0.7, 5)
    assert passed_on(program) == 0
    assert not any(node.op is p.array.empty for fn in program.functions.values() for node in walk(fn.body))
    lms.check_grads(f, (0.7, 5), order=2)


def written_while_carried(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
    a = np.array([x, 1.0])
    b = a
    for k in range(n):
        a[0] += k
        a, b = b, np.array([a[0] * 0.5, a[1]])
    return a[0] + 10.0 * b[0]


def written_after_the_branch(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
    a, b = np.array([x, 1.0]), np.array([2.0, x])
    chosen = a if n > 2 else b
    a[0] = 7.0
    b[0] = 8.0
    return chosen[0] * x


def written_after_the_loop_began(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
    a = np.array([x, 1.0])
    last = np.array([0.0, 0.0])
    for k in range(n):
        last = a
        if k > 1:
            a[1] = x * k
    return last[1] * last[0]


def written_through_the_result(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
    a, b = np.array([x, 1.0]), np.array([2.0, x])
    chosen = a if n > 2 else b
    chosen[0] = x * x
    return a[0] + 3.0 * b[0]


def known_later(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
    a = np.array([x, 1.0, 2.0])
    for k in range(n):
        a = a * x
        x = x + 0.01 * a[k % 3]
    return a[n % 3]


@pytest.mark.parametrize("n", [0, 6])
@pytest.mark.parametrize("f", [written_while_carried, written_after_the_branch, written_after_the_loop_began,
                               written_through_the_result, known_later], ids=lambda f: f.__name__)
def test_what_is_written_afterwards_or_reached_anywhere_stays_memory(f: Callable[..., Any], n: int) -> None:
    staged = lms.stage(f)
    program = becomes(staged, 0.7, n)
    assert passed_on(program) > 0
    lms.check_grads(staged, (0.7, n))


def test_arguments_are_never_taken_for_numbers_that_stay() -> None:
    @lms.stage
    def moving(a: lms.Mut[Array[f64, 2]], n: Rep[i64]) -> Rep[f64]:
        last = np.array([0.0, 0.0])
        for _ in range(n):
            last = a
            a[0] += 1.0
        return last[0]

    assert moving(np.array([1.0, 2.0]), 3) == 4.0


def test_the_convention_of_max_at_a_tie_is_kept() -> None:
    """`np.max` of three is not the `maximum` of three: all of the derivative goes to the first of equal ones."""
    @lms.stage
    def top(x: Rep[Array[f64, 3]], n: Rep[i64]) -> Rep[f64]:
        y = x
        for _ in range(n):
            y = y * 2.0
        return np.max(y)

    assert lms.grad(top)(np.array([1.0, 3.0, 3.0]), 2).tolist() == [0.0, 4.0, 0.0]
