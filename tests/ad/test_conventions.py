"""The derivative at points where there is none, or more than one: the table we follow, row by row."""

import numpy as np
import pytest

from lms.backends.interpret import run
from lms.core import primitives as p
from lms.core.types import f64
from tests.ad.emitted import emit, floats, for_, if_, program

s, a = p.scalar, p.array
INF, NAN = float("inf"), float("nan")


def slopes(build, *args):
    return [float(g) for g in run(program(build, [f64] * len(args), order=1, wrt=range(len(args))), args)]


def of(op):
    return lambda *xs: emit(op, *xs)


@pytest.mark.parametrize(("op", "args", "expected"), [
    (s.abs, (0.0,), (0.0,)),
    (s.sqrt, (0.0,), (INF,)),
    (s.cbrt, (0.0,), (INF,)),
    (s.log, (0.0,), (INF,)),
    (s.acos, (1.0,), (-INF,)),
    (s.hypot, (0.0, 0.0), (0.0, 0.0)),
    (s.atan2, (0.0, 0.0), (0.0, 0.0)),
    (s.pow, (0.0, 2.0), (0.0, 0.0)),
    (s.pow, (0.0, 1.0), (1.0, 0.0)),
    (s.pow, (0.0, 0.0), (0.0, 0.0)),
    (s.pow, (-2.0, 3.0), (12.0, NAN)),
    (s.maximum, (1.0, 1.0), (0.5, 0.5)),
    (s.minimum, (1.0, 1.0), (0.5, 0.5)),
    (s.maximum, (2.0, 1.0), (1.0, 0.0)),
    (s.mod, (-5.5, 2.0), (1.0, 3.0)),
], ids=str)
def test_scalar(op, args, expected) -> None:
    np.testing.assert_array_equal(slopes(of(op), *args), expected)


def test_the_root_of_a_square_at_zero() -> None:
    assert np.isnan(slopes(lambda x: np.sqrt(x * x), 0.0)[0])


def test_the_branch_not_taken_never_runs() -> None:
    """`log(x)` for positive x else 0, at 0: an `if` gives 0, where `select` would give nan."""
    assert slopes(lambda x: if_(x > 0.0, lambda: [np.log(x)], lambda: [0.0]), 0.0) == [0.0]


def test_a_comparison_follows_its_branch_where_values_tie() -> None:
    assert slopes(lambda x: if_(x > 1.0, lambda: [3.0 * x], lambda: [2.0 * x + 1.0]), 1.0) == [2.0]


@pytest.mark.parametrize(("x", "expected"), [([0.0, 2.0, 3.0], [6.0, 0.0, 0.0]), ([0.0, 2.0, 0.0], [0.0, 0.0, 0.0]),
                                             ([1e-200, 1e-200, 3.0], [3e-200, 3e-200, 0.0])])
def test_products_with_zeros(x, expected) -> None:
    made = program(lambda x: emit(a.reduce_prod, x, axes=(0,)), [floats("n")], order=1, wrt=[0])
    np.testing.assert_allclose(run(made, [np.array(x)])[0], expected, rtol=1e-15)


@pytest.mark.parametrize(("op", "x"), [(a.reduce_max, [1.0, 3.0, 3.0]), (a.reduce_min, [2.0, 1.0, 1.0])])
def test_the_first_of_equal_elements(op, x) -> None:
    made = program(lambda x: emit(op, x, axes=(0,)), [floats("n")], order=1, wrt=[0])
    np.testing.assert_array_equal(run(made, [np.array(x)])[0], [0.0, 1.0, 0.0])


def test_sorting_ties_by_position() -> None:
    def second(x):
        order = emit(a.argsort, x, axis=0)
        return emit(a.load, emit(a.take_along, x, order, axis=0), 1)

    made = program(second, [floats("n")], order=1, wrt=[0])
    np.testing.assert_array_equal(run(made, [np.array([2.0, 1.0, 1.0])])[0], [0.0, 0.0, 1.0])


def test_a_seed_of_zero_gives_zero() -> None:
    made = program(lambda x: for_(0, 3, [x], lambda i, y: np.sin(y) * x) + [x], [f64], order=1, wrt=[0])
    assert run(made, [0.5])[0] != 0.0
    assert slopes(lambda x: emit(s.mul, x, 0.0), 3.0) == [0.0]
