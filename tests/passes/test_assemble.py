"""Assembling: arrays that are written piece by piece become concatenations, where the pieces are seen to be all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lms
from lms import Array, Rep, f64, i64
from lms.core.ir import Program
from lms.core.verify import verify
from lms.passes.assemble import Assemble
from lms.passes.clone import clone
from lms.passes.cse import Cse
from lms.passes.dce import Dce
from lms.passes.fold import Fold
from tests.passes.programs import ops, outcome, same


def assembled(f: Callable[..., Any], *args: Any) -> Program:
    """The program after the pass, which does what the one before it does; for other arguments too."""
    before = f.specialize(*args).staged
    after = clone(before)
    for step in (Fold(), Cse(), Dce(), Assemble()):
        after = step.run(after)
        verify(after, after=step.name)
    same(outcome(before, args), outcome(after, args), exact=True)
    return after


@lms.stage
def shifted(x: Rep[Array[f64, "n"]]):
    y = np.empty_like(x)
    y[0] = 1.0
    y[1:] = 2.0 * x[:-1]
    return y


@lms.stage
def shifted_back(x: Rep[Array[f64, "n"]]):
    y = np.empty_like(x)
    y[:-1] = x[1:]
    y[-1] = x[0]
    return y


@lms.stage
def rows(x: Rep[Array[f64, "n", "m"]]):
    y = np.zeros_like(x)
    y[1:] = x[:-1]
    y[0] = x[-1]
    return y


@lms.stage
def columns(x: Rep[Array[f64, "n", "m"]]):
    y = np.empty_like(x)
    y[:, 0] = x[:, 1]
    y[:, 1:] = 3.0 * x[:, 1:]
    return y


@lms.stage
def ends(x: Rep[Array[f64, 40]]):
    y = np.empty_like(x)
    y[0] = -x[0]
    y[-1] = x[-1]
    y[1:-1] = x[2:] - x[:-2]
    return y


@pytest.mark.parametrize("f", [shifted, shifted_back, rows, columns, ends], ids=lambda f: f.__name__)
def test_pieces_that_are_all_of_it(f: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    x = rng.random(40) if f is ends else rng.random((5, 3)) if f in (rows, columns) else rng.random(7)
    left = ops(assembled(f, x))
    assert "concatenate" in left and not {"assign", "store"} & set(left)
    np.testing.assert_array_equal(f(x), f.unstaged(x))
    lms.check_grads(lambda x: np.sum(np.sin(f(x)) * f(x)), (x,), order=1)


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_the_shortest(n: int) -> None:
    """With no element the checked index raises, as it did; with one the second piece is empty."""
    x = np.arange(1.0, n + 1)
    for f in (shifted, shifted_back):
        gradient = lms.grad(lambda x, f=f: np.sum(f(x) * f(x)))
        if n == 0:
            with pytest.raises(IndexError):
                gradient(x)
        else:
            expected = f.unstaged(x)
            back = np.zeros(n)
            if f is shifted:
                back[:-1] = 4.0 * expected[1:]
            else:
                back[1:] += 2.0 * expected[:-1]
                back[0] += 2.0 * expected[-1]
            np.testing.assert_array_equal(gradient(x), back)


def gap(y: Any, x: Any, k: Any) -> None:
    y[0] = x[0]
    y[2:] = x[2:]


def overlap(y: Any, x: Any, k: Any) -> None:
    y[0] = x[0]
    y[0:] = x


def unknown(y: Any, x: Any, k: Any) -> None:
    y[k] = x[0]
    y[1:] = x[1:]


def both_ends(y: Any, x: Any, k: Any) -> None:
    """Of one element, the ends are one."""
    y[0] = x[0]
    y[-1] = -x[-1]
    y[1:-1] = x[1:-1]


def read_before(y: Any, x: Any, k: Any) -> None:
    y[0] = x[0]
    y[1:] = x[1:] + y[0]


def written_later(y: Any, x: Any, k: Any) -> None:
    y[0] = x[0]
    y[1:] = x[1:]
    for i in lms.range(k):
        y[i] += 1.0


def backwards(y: Any, x: Any, k: Any) -> None:
    y[0] = x[0]
    y[1:][::-1] = x[1:]


@pytest.mark.parametrize("fill", [gap, overlap, unknown, both_ends, read_before, written_later, backwards],
                         ids=lambda f: f.__name__)
def test_pieces_that_may_not_be_are_left(fill: Callable[..., None]) -> None:
    @lms.stage
    def f(x: Rep[Array[f64, "n"]], k: Rep[i64]):
        y = np.zeros_like(x)
        fill(y, x, k)
        return y

    for n in (3, 1):
        x = np.arange(1.0, n + 1)
        assert "concatenate" not in ops(assembled(f, x, 0))
        expected = np.zeros_like(x)
        if fill is not written_later:
            fill(expected, x, 0)
            np.testing.assert_array_equal(f(x, 0), expected)


def test_a_piece_that_changes_in_between_is_left() -> None:
    """The row that was assigned is written to before the last piece is."""

    @lms.stage
    def f(x: Rep[Array[f64, "n"]]):
        y, part = np.zeros_like(x), x[1:] * 2.0
        y[1:] = part
        part[0] = 7.0
        y[0] = np.sum(part)
        return y

    x = np.arange(1.0, 5.0)
    assert "concatenate" not in ops(assembled(f, x))
    np.testing.assert_array_equal(f(x), f.unstaged(x))


def test_what_another_name_writes_to_is_left() -> None:
    @lms.stage
    def f(x: Rep[Array[f64, "n"]], k: Rep[i64]):
        y, z = np.zeros_like(x), np.zeros_like(x)
        y[0] = x[0]
        y[1:] = x[1:]
        w = y if k > 0 else z
        w[0] = 5.0
        return y, z

    x = np.arange(1.0, 5.0)
    for k in (0, 1):
        assert "concatenate" not in ops(assembled(f, x, k))
        np.testing.assert_array_equal(f(x, k), f.unstaged(x, k))
