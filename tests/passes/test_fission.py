"""Loop fission: what leaves a recurrence, what stays, and the same numbers either way."""

from __future__ import annotations

import math

import numpy as np
import pytest

import lms
from lms import Array, Rep, f64, i64
from lms.core.ir import Program, walk
from lms.passes.fission import Fission


@lms.stage
def discounted(x: Rep[Array[f64, "n"]], a: Rep[f64]):
    s = 0.0
    for i in range(len(x)):
        s = s * a + math.exp(x[i])
    return s


@lms.stage
def backwards(x: Rep[Array[f64, "n"]], lo: Rep[i64]):
    s = 1.0
    for i in range(len(x) - 1, lo, -1):
        s = s * 0.5 + math.sin(x[i]) * math.cos(x[i] + i)
    return s


def loops(program: Program) -> int:
    return sum(node.op.name == "for" for node in walk(program.main.body))


@pytest.mark.parametrize("n", [0, 1, 255, 256, 257, 1000])
def test_a_recurrence_keeps_its_order(n: int) -> None:
    x = np.linspace(-1.0, 1.0, n)
    assert discounted(x, 0.9) == pytest.approx(discounted.unstaged(x, 0.9), rel=1e-13)
    for lo in (-1, n // 3, n + 5):
        assert backwards(x, lo) == pytest.approx(backwards.unstaged(x, lo), rel=1e-13)


def test_the_costly_function_has_a_loop_of_its_own() -> None:
    program = discounted.specialize().program
    assert loops(program) == 3  # strips, exp, recurrence
    assert str(Fission().run(program)) == str(program)


def test_what_depends_on_the_iteration_before_stays() -> None:
    @lms.stage
    def f(x: Rep[f64], n: Rep[i64]):
        for _ in range(n):
            x = math.sin(x)
        return x

    assert loops(f.specialize().program) == 1


def test_what_reads_memory_the_loop_writes_stays() -> None:
    @lms.stage
    def f(x: Rep[Array[f64, "n"]]):
        a, s = np.copy(x), 0.0
        for i in range(1, len(a)):
            s = s * 0.5 + math.tanh(a[i - 1])
            a[i] = s
        return s

    x = np.linspace(0.0, 0.1, 300)
    assert f(x) == pytest.approx(f.unstaged(x), rel=1e-13)


def test_a_sum_that_may_be_reassociated_is_left_to_the_vectoriser() -> None:
    fast = lms.stage(discounted.unstaged, fastmath=True)
    assert fast(np.ones(10), 1.0) == pytest.approx(10 * math.e)
