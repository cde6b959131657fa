"""Functions written to be stable: values and derivatives, of both orders, at the ends of the range and at infinity; and the table
of conventions for the functions that users call."""

import math

import numpy as np
import pytest
from scipy import special

import lms

INF, NAN, BIG, TINY = math.inf, math.nan, 1e308, 1e-308


def here(f):
    return lms.stage(f, backend="interpret")


def slopes(f, *args):
    return lms.grad(here(f), argnums=tuple(range(len(args))))(*args)


CONVENTIONS = {
    "abs": (lambda x: abs(x), [0.0], [0.0]), "sign": (lambda x: np.sign(x) * 1.0, [0.0], [0.0]),
    "floor": (lambda x: np.floor(x), [1.0], [0.0]), "ceil": (lambda x: np.ceil(x), [1.0], [0.0]),
    "round": (lambda x: round(x, 0), [0.5], [0.0]), "sqrt": (lambda x: np.sqrt(x), [0.0], [INF]),
    "cbrt": (lambda x: np.cbrt(x), [0.0], [INF]),
    "x**0.5": (lambda x: x**0.5, [0.0], [INF]),
    "log": (lambda x: np.log(x), [0.0], [INF]),
    "sqrt(x*x)": (lambda x: np.sqrt(x * x), [0.0], [NAN]), "norm": (lambda x: np.linalg.norm(x), [np.zeros(2)], [[0.0, 0.0]]),
    "hypot": (lambda x, y: np.hypot(x, y), [0.0, 0.0], [0.0, 0.0]),
    "atan2": (lambda x, y: np.arctan2(x, y), [0.0, 0.0], [0.0, 0.0]),
    "0**2": (lambda x, y: x**y, [0.0, 2.0], [0.0, 0.0]), "0**1": (lambda x, y: x**y, [0.0, 1.0], [1.0, 0.0]),
    "0**0": (lambda x, y: x**y, [0.0, 0.0], [0.0, 0.0]), "(-2)**3.0": (lambda x, y: x**y, [-2.0, 3.0], [12.0, NAN]),
    "(-2)**3": (lambda x: x**3, [-2.0], [12.0]), "xlogy(0, 0)": (lambda x, y: special.xlogy(x, y), [0.0, 0.0], [0.0, 0.0]),
    "xlogy(0, 2)": (lambda x, y: special.xlogy(x, y), [0.0, 2.0], [math.log(2.0), 0.0]),
    "xlog1py(0, -1)": (lambda x, y: special.xlog1py(x, y), [0.0, -1.0], [0.0, 0.0]),
    "xlog1py(0, 1)": (lambda x, y: special.xlog1py(x, y), [0.0, 1.0], [math.log(2.0), 0.0]),
    "maximum": (lambda x, y: np.maximum(x, y), [1.0, 1.0], [0.5, 0.5]), "max": (lambda x, y: max(x, y), [1.0, 1.0], [1.0, 0.0]),
    "if": (lambda x, y: x if x > y else y, [1.0, 1.0], [0.0, 1.0]),
    "array max": (lambda x: np.max(x), [np.array([1.0, 3.0, 3.0])], [[0.0, 1.0, 0.0]]),
    "relu": (lambda x: lms.relu(x), [0.0], [0.0]), "clip low": (lambda x: np.clip(x, 0.0, 1.0), [0.0], [1.0]),
    "clip high": (lambda x: np.clip(x, 0.0, 1.0), [1.0], [1.0]),
    "where": (lambda x: np.where(x > 0, np.log(x), 0.0), [0.0], [NAN]),
    "branch": (lambda x: np.log(x) if x > 0.0 else 0.0, [0.0], [0.0]),
    "logsumexp(-inf)": (lambda x: special.logsumexp(x), [np.array([-INF, -INF])], [[0.0, 0.0]]),
    "logsumexp(inf)": (lambda x: special.logsumexp(x), [np.array([INF, 0.0])], [[1.0, 0.0]]),
    "prod": (lambda x: np.prod(x), [np.array([0.0, 2.0, 3.0])], [[6.0, 0.0, 0.0]]),
    "sort": (lambda x: np.sort(x)[1], [np.array([2.0, 1.0, 1.0])], [[0.0, 0.0, 1.0]]),
    "median": (lambda x: np.median(x), [np.array([4.0, 1.0, 3.0, 2.0])], [[0.0, 0.0, 0.5, 0.5]]),
    "std": (lambda x: np.std(x), [np.ones(3)], [[0.0, 0.0, 0.0]]), "acos": (lambda x: np.arccos(x), [1.0], [-INF]),
    "remainder": (lambda x, y: x % y, [-5.5, 2.0], [1.0, 3.0]), "min(1, 1/x)": (lambda x: min(1.0, 1.0 / x), [0.0], [0.0]),
    "minimum(1, 1/x)": (lambda x: np.minimum(1.0, 1.0 / x), [0.0], [0.0]),
    "logaddexp": (lambda x, y: np.logaddexp(x, y), [3.0, 3.0], [0.5, 0.5]),
}


@pytest.mark.parametrize("name", CONVENTIONS)
def test_conventions(name) -> None:
    f, args, expected = CONVENTIONS[name]
    for found, wanted in zip(slopes(f, *args), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_of_equal_indices_the_last_store_wins() -> None:
    def f(v):
        a = np.zeros(1)
        a[np.array([0, 0])] = v
        return a[0]

    np.testing.assert_array_equal(slopes(f, np.array([1.0, 2.0]))[0], [0.0, 1.0])


STABLE = {  # the function, where, its value, its derivatives
    "sigmoid": (lambda x: lms.sigmoid(x), {-BIG: (0, 0, 0), -1000.0: (0, 0, 0), 0.0: (0.5, 0.25, 0), 1000.0: (1, 0, 0),
                                           BIG: (1, 0, 0),
                                           INF: (1, 0, 0), -INF: (0, 0, 0)}),
    "softplus": (lambda x: lms.softplus(x), {-BIG: (0, 0, 0), -1000.0: (0, 0, 0), 0.0: (math.log(2.0), 0.5, 0.25),
                                             1000.0: (1000, 1, 0),
                                             BIG: (BIG, 1, 0), INF: (INF, 1, 0), -INF: (0, 0, 0)}),
    "expit": (lambda x: special.expit(x), {-1000.0: (0, 0, 0), 0.0: (0.5, 0.25, 0), 1000.0: (1, 0, 0)}),
    "log1p": (lambda x: np.log1p(x), {1e-300: (1e-300, 1, -1), BIG: (math.log(BIG), 1 / BIG, 0), INF: (INF, 0, 0)}),
    "expm1": (lambda x: np.expm1(x), {1e-300: (1e-300, 1, 1), -BIG: (-1, 0, 0), -INF: (-1, 0, 0), 0.0: (0, 1, 1)}),
    "hypot": (lambda x: np.hypot(x, 1.0), {0.0: (1, 0, 1), BIG: (BIG, 1, 0), -BIG: (BIG, -1, 0), INF: (INF, 1, 0),
                                           -INF: (INF, -1, 0)}),
    "xlogy": (lambda x: special.xlogy(x, 2.0), {0.0: (0, math.log(2.0), 0), BIG: (BIG * math.log(2.0), math.log(2.0), 0)}),
    "xlogx": (lambda x: special.xlogy(x, x), {0.0: (0, 0, 0), 1.0: (0, 1, 1)}),
    "logsumexp": (lambda x: special.logsumexp(np.array([x, 0.0])), {BIG: (BIG, 1, 0), -BIG: (0, 0, 0), 0.0: (math.log(2.0),
                                                                    0.5, 0.25),
                                                                    1000.0: (1000, 1, 0), -INF: (0, 0, 0), INF: (INF, 1, 0)}),
    "softmax": (lambda x: special.softmax(np.array([x, 0.0]))[0], {BIG: (1, 0, 0), -BIG: (0, 0, 0), 0.0: (0.5, 0.25, 0),
                                                                   -INF: (0, 0, 0)}),
    "log_softmax": (lambda x: special.log_softmax(np.array([x, 0.0]))[0], {BIG: (0, 0, 0), -BIG: (-BIG, 1, 0),
                                                                           0.0: (-math.log(2.0), 0.5, -0.25)}),
    "norm": (lambda x: np.linalg.norm(np.array([x, 0.0])), {BIG: (BIG, 1, 0), -BIG: (BIG, -1, 0), TINY: (TINY, 1, 0),
                                                            1e-200: (1e-200, 1, 0),
                                                            0.0: (0, 0, 0)}),
    "tanh": (lambda x: np.tanh(x), {BIG: (1, 0, 0), -INF: (-1, 0, 0), 0.0: (0, 1, 0)}),
    "logaddexp": (lambda x: np.logaddexp(x, 0.0), {0.0: (math.log(2.0), 0.5, 0.25), BIG: (BIG, 1, 0), -BIG: (0, 0, 0),
                                                   INF: (INF, 1, 0)}),
}


@pytest.mark.parametrize("name", STABLE)
def test_at_the_ends_of_the_range(name) -> None:
    f, points = STABLE[name]
    value, slope, bend = here(f), lms.grad(here(f)), lms.grad(here(lambda x: lms.grad(f)(x)))
    for x, expected in points.items():
        np.testing.assert_allclose([value(x), slope(x), bend(x)], expected, rtol=1e-14, atol=1e-300, err_msg=f"{name} at {x}")


@pytest.mark.parametrize("name", ["logsumexp", "norm", "hypot", "sigmoid"])
def test_compiled(name) -> None:
    f, points = STABLE[name]
    slope = lms.grad(f)
    np.testing.assert_allclose([slope(x) for x in points], [expected[1] for expected in points.values()], rtol=1e-14, atol=1e-300)


def test_a_norm_neither_overflows_nor_vanishes_and_rounds_once() -> None:
    norm = here(lambda x: np.linalg.norm(x))
    x = np.random.default_rng(0).normal(size=50)
    for power in (0, 900, -900):
        assert norm(np.ldexp(x, power)) == pytest.approx(math.ldexp(float(np.linalg.norm(x)), power), rel=1e-15)
    assert norm(np.zeros(0)) == 0.0 and norm(np.array([INF, 1.0])) == INF and np.isnan(norm(np.array([NAN, 1.0])))
    rows = here(lambda x: np.linalg.norm(x, axis=1, keepdims=True))(np.array([[3.0, 4.0], [3e200, 4e200]]))
    np.testing.assert_allclose(rows, [[5.0], [5e200]], rtol=1e-15)


def along(axis):
    return lambda x: special.logsumexp(x, axis=axis)


def test_logsumexp_along_axes() -> None:
    x = np.random.default_rng(1).normal(size=(3, 4)) * 300.0
    for axis in (0, 1, None, (0, 1)):
        f = here(along(axis))
        np.testing.assert_allclose(f(x), special.logsumexp(x, axis=axis), rtol=1e-15)
        lms.check_grads(f, (x / 300.0,), order=1)
    gradient = lms.grad(lambda x: np.sum(special.logsumexp(x, axis=0) ** 2))
    lms.check_grads(here(lambda x: np.sin(gradient(x))), (x / 300.0,), order=1)
    np.testing.assert_allclose(lms.stage(lambda x: special.logsumexp(x, axis=0))(x), special.logsumexp(x, axis=0), rtol=1e-14)
    with pytest.raises(ValueError, match="logsumexp of an empty array"):
        here(lambda x: special.logsumexp(x))(np.zeros(0))
