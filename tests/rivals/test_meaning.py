"""What a program means: perturbations do not mix, views see writes, and NaN stays NaN."""

from __future__ import annotations

import math

import numpy as np
import pytest

import lms
from lms import Array, Mut, Rep, f64, i64


def test_perturbation_confusion() -> None:
    # d/dx (x * d/dy (x + y)) = 1
    assert lms.grad(lambda x: x * lms.grad(lambda y: x + y)(2.0))(3.0) == 1.0


def test_perturbation_confusion_with_curvature() -> None:
    # d/dx (x * d/dy (x * y**2)) at y = 2x: d/dx (x * 4 x**2) is 12 x**2 = 108 at 3
    assert lms.grad(lambda x: x * lms.grad(lambda y: x * y * y)(2.0 * x))(3.0) == 108.0


@pytest.mark.parametrize("order, expected", [(1, 4 * 1.5**3), (2, 12 * 1.5**2), (3, 24 * 1.5)])
def test_higher_orders(order: int, expected: float) -> None:
    f = lambda x: x * x * x * x  # noqa: E731  # lambdas are what is tested
    for _ in range(order):
        f = lms.grad(f)
    assert f(1.5) == pytest.approx(expected, rel=1e-14)


def test_slice_write_read(capsys: pytest.CaptureFixture[str]) -> None:
    @lms.stage
    def f(a: Mut[Array[f64, "n"]]):
        x = a[1:3]
        a[1] = 5.0
        print(x[0])
        return x[0]

    assert f(np.arange(4.0)) == 5.0
    assert capsys.readouterr().out == "5.0\n"


def test_nan_minus_nan_is_nan() -> None:
    assert math.isnan(lms.stage(lambda x: x - x)(math.nan))
    assert math.isnan(lms.stage(lambda x: x * 0.0)(math.inf))
    assert math.isnan(lms.stage(lambda x: x / x)(0.0))


@lms.stage
def overwritten_load(x: Rep[f64], n: Rep[i64]):
    a = np.zeros(1)
    a[0] = x
    total = 0.0
    for _ in range(n):
        t = a[0]
        a[0] = 5.0 * x
        total += t * t * x
    return total


def test_w1_a_load_that_cannot_be_repeated() -> None:
    # first step x**3, later steps 25 x**3
    assert lms.grad(overwritten_load)(2.0, 1) == pytest.approx(3 * 4.0)
    assert lms.grad(overwritten_load)(2.0, 3) == pytest.approx(3 * 4.0 * 51)


def test_w2_mut_arguments_end_as_the_primal_leaves_them() -> None:
    @lms.stage
    def f(x: Rep[Array[f64, "n"]], out: Mut[Array[f64, "n"]]):
        for i in range(len(x)):
            out[i] = x[i] ** 2
        return out.sum()

    x, out = np.array([1.0, 2.0]), np.zeros(2)
    np.testing.assert_array_equal(lms.grad(f)(x, out), 2 * x)
    np.testing.assert_array_equal(out, x**2)


def test_w2_a_pullback_may_be_called_twice_and_owns_what_it_needs() -> None:
    x = np.array([1.0, 2.0])
    y, pull = lms.vjp(lambda x: np.sum(x * x), x)
    x[:] = 0.0
    assert y == 5.0
    for _ in range(2):
        (dx,) = pull(1.0)
        np.testing.assert_array_equal(dx, [2.0, 4.0])


def test_w4_aliased_mut_arguments_are_refused() -> None:
    @lms.stage
    def f(a: Mut[Array[f64, "n"]], b: Rep[Array[f64, "n"]]):
        a[0] = b[0] ** 2
        return b[0] * a[0]

    x = np.array([1.1, 2.0])
    with pytest.raises(ValueError, match="overlap"):
        f(x, x)
    y = np.arange(4.0)
    with pytest.raises(ValueError, match="overlap"):
        f(y[1:], y[:-1])


@lms.stage
def ping_pong(x: Rep[Array[f64, "n"]], steps: Rep[i64]):
    a, b = np.copy(x), np.zeros(len(x))
    for _ in range(steps):
        for i in range(len(x)):
            b[i] = a[i] * a[i] * 0.5
        a, b = b, a
    return a.sum()


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_w4_ping_pong_buffers(steps: int) -> None:
    x = np.array([0.5, 1.5])
    y, dy = x.copy(), np.ones(2)
    for _ in range(steps):
        dy = dy * y
        y = 0.5 * y * y
    assert ping_pong(x, steps) == pytest.approx(y.sum())
    np.testing.assert_allclose(lms.grad(ping_pong)(x, steps), dy, rtol=1e-14)


@lms.stage
def permuted(x: Rep[Array[f64, "n"]]):
    order = np.zeros(len(x), dtype=np.int64)
    for i in range(len(x)):
        order[i] = len(x) - 1 - i
    total = 0.0
    for i in range(len(x)):
        j = order[i]
        order[i] = 0
        total += x[j] * x[j] * (i + 1.0)
    return total


def test_w5_integer_arrays_decide_what_loads_mean() -> None:
    x = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(lms.grad(permuted)(x), 2 * x * [3.0, 2.0, 1.0])


def test_w6_a_temporary_in_a_loop_is_fresh_each_time() -> None:
    @lms.stage
    def f(x: Rep[f64], n: Rep[i64]):
        total = 0.0
        for i in range(n):
            tmp = np.zeros(2)
            tmp[0] = x * (i + 1.0)
            tmp[1] = tmp[0] * tmp[0]
            total += tmp[1] * x
        return total

    # sum (i+1)**2 x**3
    assert lms.grad(f)(2.0, 3) == pytest.approx(3 * 4.0 * 14)


def test_w7_a_captured_array_written_by_an_inner_gradient() -> None:
    @lms.stage
    def f(x: Rep[f64]):
        buf = np.zeros(1)
        buf[0] = x

        def inner(y):
            buf[0] = buf[0] * y
            return buf[0] * y

        return lms.grad(inner)(x) + buf[0]

    # inner = x y**2, its derivative 2 x y = 2 x**2; afterwards buf = x**2: f = 3 x**2
    assert f(1.5) == pytest.approx(6.75)
    assert lms.grad(f)(1.5) == pytest.approx(9.0)


def test_w9_an_operation_on_an_array_reads_it_at_its_place() -> None:
    @lms.stage
    def f(x: Rep[Array[f64, "n"]]):
        a = np.copy(x)
        y = a * 2.0
        a[0] = 5.0
        return y.sum()

    assert f(np.array([1.0, 2.0])) == 6.0
    np.testing.assert_array_equal(lms.grad(f)(np.array([1.0, 2.0])), [2.0, 2.0])


def test_w10_hoisting_must_not_raise() -> None:
    @lms.stage
    def f(a: Rep[Array[f64, "n"]], n: Rep[i64], k: Rep[i64]):
        s = 0.0
        for _ in range(n):
            s += a[k]
        return s

    assert f(np.ones(3), 0, 99) == 0.0
    with pytest.raises(IndexError):
        f(np.ones(3), 1, 99)


def test_w10_an_unused_division_by_zero_still_raises() -> None:
    @lms.stage
    def f(p: Rep[i64], x: Rep[f64]):
        c = p // (p - p)  # noqa: F841  # unused on purpose
        return x

    with pytest.raises(ZeroDivisionError):
        f(3, 1.0)


def test_w11_a_changed_global_is_seen() -> None:
    scale = 2.0

    @lms.stage
    def f(x: Rep[f64]):
        return scale * x

    assert f(1.0) == 2.0
    scale = 3.0
    assert f(1.0) == 3.0


def test_one_compile_serves_every_length() -> None:
    @lms.stage
    def f(x: Rep[Array[f64, "n"]]):
        return np.sum(np.exp(x))

    for n in (0, 1, 5, 1000):
        x = np.linspace(0, 1, n)
        assert f(x) == pytest.approx(np.exp(x).sum(), rel=1e-13)
        np.testing.assert_allclose(lms.grad(f)(x), np.exp(x), rtol=1e-14)


def test_an_untaken_branch_leaks_no_nan() -> None:
    @lms.stage
    def f(x: Rep[f64]):
        return math.log(x) if x > 0.0 else 0.0

    assert lms.grad(f)(0.0) == 0.0
    assert lms.grad(f)(2.0) == 0.5
