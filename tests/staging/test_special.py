"""The rest of `math` and `scipy.special`: values as Python's and SciPy's, derivatives by differences, errors as theirs."""

import math
import random

import numpy as np
import pytest
from scipy import special

import lms
from lms import Rep, StagingError, f32, f64, i64


def here(f):
    return lms.stage(f, backend="interpret")


def test_gamma() -> None:
    x = np.array([0.5, 1.0, 4.5, -0.5, -1.5, 20.0, 170.0])
    np.testing.assert_allclose(lms.stage(lambda x: special.gamma(x))(x), special.gamma(x), rtol=1e-14)
    assert lms.stage(lambda x: math.gamma(x))(5.0) == 24.0
    lms.check_grads(here(lambda x: math.gamma(x)), (2.5,), order=1)
    second = lms.grad(lms.grad(here(lambda x: special.gamma(x))))
    assert second(1.0) == pytest.approx(np.euler_gamma**2 + math.pi**2 / 6, rel=1e-14)


@pytest.mark.parametrize(("x", "error"), [(0.0, ValueError), (-2.0, ValueError), (172.0, OverflowError)])
def test_gamma_of_math_has_python_s_errors(x, error) -> None:
    with pytest.raises(error):
        math.gamma(x)
    with pytest.raises(error, match="math (domain|range) error"):
        here(lambda x: math.gamma(x))(x)


@pytest.mark.parametrize("order", [0, 1, 2, 3, 6])
def test_polygamma(order) -> None:
    x = np.linspace(0.1, 30.0, 100)
    f = here(lambda x: special.polygamma(order, x))
    np.testing.assert_allclose(f(x), special.polygamma(order, x), rtol=1e-13)
    np.testing.assert_allclose(lms.grad(here(lambda x: np.sum(f(x))))(x), special.polygamma(order + 1, x), rtol=1e-12)


def test_derivatives_of_the_logarithm_of_gamma_of_every_order() -> None:
    f = here(lambda x: math.lgamma(x))
    for order in range(4):
        f = lms.grad(f)
        assert f(1.7) == pytest.approx(float(special.polygamma(order, 1.7)), rel=1e-12)


def test_an_order_that_is_known_later_is_refused() -> None:
    with pytest.raises(StagingError, match="the order is a whole number that is known now"):
        here(lambda n, x: special.polygamma(n, x))(2.0, 1.0)


def test_erfinv() -> None:
    x = np.concatenate([np.linspace(-0.999999, 0.999999, 101), [1 - 1e-15, 1e-300, -1e-9]])
    f = here(lambda x: special.erfinv(x))
    np.testing.assert_allclose(f(x), special.erfinv(x), rtol=1e-14)
    np.testing.assert_array_equal(f(np.array([1.0, -1.0, 2.0, np.nan])), [np.inf, -np.inf, np.nan, np.nan])
    np.testing.assert_allclose(lms.stage(lambda x: lms.erfinv(x))(x), special.erfinv(x), rtol=1e-14)
    slope = lms.grad(f)
    for y in (0.0, 0.3, -0.7, 0.9999):
        exact = math.sqrt(math.pi) / 2 * math.exp(float(special.erfinv(y)) ** 2)
        assert slope(y) == pytest.approx(exact, rel=1e-12)
        assert lms.grad(slope)(y) == pytest.approx(2 * float(special.erfinv(y)) * exact**2, rel=1e-9, abs=1e-12)
    assert slope(1.0) == np.inf


def test_remainder() -> None:
    f = here(lambda x, y: math.remainder(x, y))
    draw = random.Random(0)
    for _ in range(300):
        x, y = round(draw.uniform(-50, 50) * 2) / 2, draw.choice([draw.uniform(-5, 5), 0.5, 1.0, 2.0])
        assert f(x, y) == math.remainder(x, y), (x, y)
    assert f(3.0, math.inf) == 3.0
    assert lms.grad(f, argnums=(0, 1))(5.5, 2.0) == (1.0, -3.0)
    for x, y in ((1.0, 0.0), (math.inf, 1.0)):
        with pytest.raises(ValueError, match="math domain error"):
            f(x, y)


def test_factorial() -> None:
    @lms.stage
    def f(n: Rep[i64]):
        return math.factorial(n)

    assert [f(n) for n in (0, 1, 5, 20)] == [math.factorial(n) for n in (0, 1, 5, 20)]
    with pytest.raises(ValueError, match="not defined for negative values"):
        f(-1)
    with pytest.raises(OverflowError, match="21! does not fit in i64"):
        f(21)
    with pytest.raises(StagingError, match="factorial: expected an int"):
        here(lambda x: math.factorial(x))(2.0)


def test_fsum() -> None:
    x = np.array([1e100, 1.0, -1e100] * 5 + [1e-3] * 10)
    assert here(lambda x: math.fsum(x))(x) == math.fsum(x) != np.sum(x)
    assert lms.stage(lambda a, b: math.fsum([a, b, 1e16, -1e16]))(0.1, 0.2) == math.fsum([0.1, 0.2, 1e16, -1e16])
    np.testing.assert_array_equal(lms.grad(here(lambda x: math.fsum(x) ** 2))(np.ones(3)), [6.0, 6.0, 6.0])
    assert here(lambda x: math.fsum(x))(np.zeros(0)) == 0.0
    assert here(lambda x: math.fsum(x))(np.array([1.0, np.nan, np.inf])) != 0.0
    assert here(lambda x: math.fsum(x))(np.array([1.0, np.inf])) == math.inf


def test_fsum_is_rounded_once() -> None:
    random, f = np.random.default_rng(0), lms.stage(lambda x: math.fsum(x))
    for _ in range(300):
        x = random.normal(size=20) * 10.0 ** random.integers(-300, 300, size=20)
        x = random.permutation(np.concatenate([x, -x[:8], 2.0 ** random.integers(-60, 60, size=5)]))
        assert f(x) == math.fsum(x)
    for x in ([1e16, 1.0, 1e-16], [1e16, 1.0, -1e-16], [1e308, -1e308, 5e-324], [2.0**53, 1.0, 2.0**-60], [-0.0]):
        assert f(np.array(x)) == math.fsum(x)


@pytest.mark.parametrize(("x", "error"), [([math.inf, -math.inf], ValueError), ([1e308, 1e308, -1e308], OverflowError)])
def test_fsum_beyond_floats(x, error) -> None:
    with pytest.raises(error, match="fsum"):
        math.fsum(x)
    with pytest.raises(error, match="fsum"):
        lms.stage(lambda x: math.fsum(x))(np.array(x))


def test_single_precision() -> None:
    @lms.stage
    def f(x: Rep[f32]):
        return special.erfinv(x), special.gamma(x), special.polygamma(2, x)

    found = f(np.float32(0.5))
    assert all(type(y) is np.float32 for y in found)
    np.testing.assert_allclose(found, [special.erfinv(0.5), special.gamma(0.5), special.polygamma(2, 0.5)], rtol=1e-5)


def test_what_has_no_staged_form_says_so() -> None:
    @lms.stage
    def f(x: Rep[f64]):
        return special.betainc(2.0, 3.0, x)

    with pytest.raises(StagingError, match=r"scipy.special.betainc cannot be staged(.|\n)*lms.py_call"):
        f(0.5)
