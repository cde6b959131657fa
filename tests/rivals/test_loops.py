"""Programs that other tools refuse, crash on, or differentiate wrongly. Each has its closed form in a comment.

Every bound is known only at run time, and one compiled program serves all of them.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import lms
from lms import Array, Rep, f64, i64

Vector = Rep[Array[f64, "n"]]


@lms.stage
def product(x: Vector):
    out = 1.0
    for i in range(len(x)):
        out *= x[i]
    return out


def test_product_over_a_dynamic_length() -> None:
    # d prod / dx_i = prod_{j != i} x_j. Warp 1.19 gives [288, 48, 4] for [2, 3, 4].
    assert product(np.array([2.0, 3.0, 4.0])) == 24.0
    np.testing.assert_array_equal(lms.grad(product)(np.array([2.0, 3.0, 4.0])), [12.0, 8.0, 6.0])


def test_product_with_a_zero_does_not_divide() -> None:
    np.testing.assert_array_equal(lms.grad(product)(np.array([0.0, 2.0, 3.0])), [6.0, 0.0, 0.0])


def test_product_over_nothing() -> None:
    assert product(np.zeros(0)) == 1.0
    assert lms.grad(product)(np.zeros(0)).shape == (0,)


@lms.stage
def square_until(y: Rep[f64]):
    while y < 100.0:
        y *= y
    return y


@pytest.mark.parametrize("y", [1.5, 2.0, 9.0, 150.0])
def test_squaring_until_large(y: float) -> None:
    # y**(2**k) for the first k that passes 100; derivative 2**k y**(2**k - 1).
    # Warp: wrong. Taichi: refuses `while`. Dr.Jit: wrong past its hint. JAX: refuses reverse mode.
    k = 0
    while y ** (2**k) < 100.0:
        k += 1
    assert square_until(y) == pytest.approx(y ** (2**k), rel=1e-14)
    assert lms.grad(square_until)(y) == pytest.approx(2**k * y ** (2**k - 1), rel=1e-13)


@lms.stage
def decay(x: Rep[f64], n: Rep[i64]):
    for _ in range(n):
        x = 0.999999 * math.sin(x) + 1e-6 * x
    return x


@pytest.mark.parametrize("n", [0, 1, 2, 10, 33, 1_000, 1_000_000])
def test_a_dynamic_loop_of_many_steps(n: int) -> None:
    # Taichi 1.7 crashes from 33 steps on; textbook continuations on the native stack crash near 200,000.
    y, dy = 0.3, 1.0
    for _ in range(n):
        dy *= 0.999999 * math.cos(y) + 1e-6
        y = 0.999999 * math.sin(y) + 1e-6 * y
    assert decay(0.3, n) == pytest.approx(y, rel=1e-9)
    assert lms.grad(decay)(0.3, n) == pytest.approx(dy, rel=1e-9, abs=1e-300)


@lms.stage
def assigned(x: Vector):
    out = np.zeros(len(x))
    for i in range(len(x)):
        out[i] = x[i] * x[i]
    return out.sum()


@pytest.mark.parametrize("n", [0, 1, 7, 1000])
def test_assigning_elements_in_a_loop(n: int) -> None:
    # autograd#58, #177, #389 and Zygote#75, #331: assignment into an array is refused. d/dx_i = 2 x_i.
    x = np.linspace(-1.0, 2.0, n)
    np.testing.assert_allclose(lms.grad(assigned)(x), 2.0 * x, rtol=1e-15)


@lms.stage
def block_assigned(a: Rep[Array[f64, 2, 2]]):
    b = np.zeros((4, 4))
    b[:2, :2] = a
    return b.sum()


def test_autograd_58_a_block_assigned_into_an_array() -> None:
    # TypeError in autograd; the gradient of the sum is 1 everywhere.
    np.testing.assert_array_equal(lms.grad(block_assigned)(np.array([[1.0, 2.0], [3.0, 4.0]])), np.ones((2, 2)))


@lms.stage
def rows_assigned(p: Rep[Array[f64, "n", 3]]):
    res = np.zeros(len(p))
    for m in range(len(p)):
        res[m] = np.sum(p[m] * p[0])
    return np.sum(res)


def test_autograd_389_results_assigned_in_a_loop() -> None:
    # f = sum_m p_m . p_0; df/dp_m = p_0 for m > 0, df/dp_0 = sum_m p_m + p_0.
    p = np.arange(15.0).reshape(5, 3)
    expected = np.tile(p[0], (5, 1))
    expected[0] = p.sum(axis=0) + p[0]
    np.testing.assert_allclose(lms.grad(rows_assigned)(p), expected, rtol=1e-15)


@lms.stage
def cumulative(x: Vector):
    out = np.copy(x)
    for i in range(1, len(x)):
        out[i] = out[i - 1] * x[i]
    return out[len(x) - 1] + out[0]


def test_zygote_75_in_place_recurrence() -> None:
    # out_last = prod x, out_0 = x_0: "Mutating arrays is not supported".
    np.testing.assert_allclose(lms.grad(cumulative)(np.array([2.0, 3.0, 4.0])), [13.0, 8.0, 6.0], rtol=1e-15)


@lms.stage
def pushed(x: Rep[f64], n: Rep[i64]):
    history = np.zeros(n + 1)
    history[0] = x
    for i in range(n):
        history[i + 1] = history[i] * 1.5
    return history.sum()


def test_zygote_331_filling_a_history() -> None:
    # sum_{k<=n} 1.5**k
    assert lms.grad(pushed)(2.0, 4) == pytest.approx(sum(1.5**k for k in range(5)), rel=1e-14)


@lms.stage
def before_and_after(x: Rep[f64], n: Rep[i64]):
    b = x * x
    acc = 0.0
    for _ in range(n):
        acc += x
    return acc * b


def test_warp_1694_a_value_made_before_a_loop_and_used_after_it() -> None:
    # f = n x * x**2 = n x**3; f' = 3 n x**2 = 36 at x = 2, n = 3. Warp drops the path through b (or reads acc's initial value).
    assert lms.grad(before_and_after)(2.0, 3) == pytest.approx(36.0, rel=1e-15)


@lms.stage
def nested(x: Vector, starts: Rep[Array[i64, "m"]]):
    out = 1.0
    for k in range(len(starts) - 1):
        angle = out * 0.5
        for i in range(starts[k], starts[k + 1]):
            angle = angle * x[i]
        out = out + angle
    return out


def test_warp_1293_nested_dynamic_loops() -> None:
    # two branches of one and two elements: out = (1 + x0/2) (1 + x1 x2 / 2). Warp doubled the outer variable's gradient.
    x, starts = np.array([2.0, 3.0, 5.0]), np.array([0, 1, 3])
    a, b = 1 + x[0] / 2, 1 + x[1] * x[2] / 2
    assert nested(x, starts) == pytest.approx(a * b, rel=1e-15)
    np.testing.assert_allclose(lms.grad(nested)(x, starts), [b / 2, a * x[2] / 2, a * x[1] / 2], rtol=1e-15)


@lms.stage
def add_one(source: Vector):
    arr = np.zeros(len(source))
    arr[:] = source
    for i in range(len(arr)):
        arr[i] = arr[i] + 1.0
    return arr.sum()


def test_warp_1294_an_array_read_and_written_by_one_loop() -> None:
    # f = sum (x_i + 1); the gradient is 1. Warp gave 2.
    np.testing.assert_array_equal(lms.grad(add_one)(np.array([1.0, 2.0, 3.0])), np.ones(3))


@lms.stage
def overwritten(x: Vector):
    work = np.copy(x)
    y = 0.0
    for i in range(len(work)):
        y += work[i] * work[i]
        work[i] = 100.0
    return y


def test_warp_1350_an_array_overwritten_after_use() -> None:
    # f = sum x_i**2; f' = 2x, whatever stands in the array afterwards. Warp evaluates the adjoint at the overwritten state.
    x = np.array([3.0, -1.0])
    np.testing.assert_array_equal(lms.grad(overwritten)(x), 2.0 * x)


@lms.stage
def reciprocal_of_sum(x: Vector, n: Rep[i64]):
    total = 0.0
    for i in range(n):
        total += x[i]
    return 1.0 / total


@pytest.mark.parametrize("n", [1, 3])
def test_warp_1740_an_operation_on_a_finished_accumulator(n: int) -> None:
    # d/dx_i (1 / sum x) = -1 / (sum x)**2 for i < n. Warp gives -inf: it uses the accumulator's initial value.
    x = np.array([1.0, 0.9, 2.0])
    s = x[:n].sum()
    expected = np.where(np.arange(3) < n, -1.0 / s**2, 0.0)
    np.testing.assert_allclose(lms.grad(reciprocal_of_sum)(x, n), expected, rtol=1e-14)


@lms.stage
def added_in_place(x: Vector, y: Rep[Array[f64, "m"]]):
    z = np.copy(x)
    for i in range(len(z)):
        for j in range(len(y)):
            z[i] += y[j]
    return z.sum()


def test_taichi_8356_accumulating_in_an_inner_loop() -> None:
    # f = sum x + n sum y: the gradient in y is n. Taichi gives 1.
    dx, dy = lms.grad(added_in_place, argnums=(0, 1))(np.zeros(5), np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(dx, np.ones(5))
    np.testing.assert_array_equal(dy, np.full(3, 5.0))


@lms.stage
def two_inner_loops(x: Rep[f64], outer: Rep[i64], inner: Rep[i64]):
    y = np.zeros(1)
    for _ in range(outer):
        for _ in range(inner):
            y[0] += x
        for _ in range(inner):
            y[0] += x * x
    return y[0]


def test_taichi_3003_two_loops_in_a_loop() -> None:
    # y = outer inner (x + x**2): the derivative is 6 (1 + 2x) = 42 at x = 3 for 2 and 3 trips. Taichi: silently wrong.
    assert lms.grad(two_inner_loops)(3.0, 2, 3) == 42.0
    assert lms.grad(two_inner_loops)(3.0, 0, 3) == 0.0


@lms.stage
def mixed_statements(x: Vector, rounds: Rep[i64]):
    total = 0.0
    for _ in range(rounds):
        total += x[0]
        s = 0.0
        for k in range(len(x)):
            s += x[k] * x[k]
            for j in range(k):
                s += x[j] * x[k]
        total += s * s
    return total


def test_taichi_3912_statements_between_loops() -> None:
    # the "kernel simplicity rule": statements beside an inner loop were ignored by differentiation.
    # total = rounds (x_0 + s**2), s = sum_k x_k**2 + sum_{j<k} x_j x_k, ds/dx_i = 2 x_i + sum_{j != i} x_j
    x = np.array([0.5, -1.0, 2.0])
    s = x @ x + x[0] * x[1] + x[0] * x[2] + x[1] * x[2]
    expected = 4 * (2 * s * (x + x.sum()) + [1.0, 0.0, 0.0])
    np.testing.assert_allclose(lms.grad(mixed_statements)(x, 4), expected, rtol=1e-14)


@lms.stage
def with_break_and_continue(x: Vector):
    total = 0.0
    for i in range(len(x)):
        if x[i] < 0.0:
            continue
        if x[i] > 10.0:
            break
        total += x[i] * x[i]
    return total


def test_taichi_1074_break_and_continue() -> None:
    # the elements before the first one above 10, without the negative ones. Taichi: not supported under autodiff.
    x = np.array([1.0, -2.0, 3.0, 11.0, 4.0])
    assert with_break_and_continue(x) == 10.0
    np.testing.assert_array_equal(lms.grad(with_break_and_continue)(x), [2.0, 0.0, 6.0, 0.0, 0.0])


@lms.stage
def first_above(x: Vector, limit: Rep[f64]):
    for i in range(len(x)):
        for j in range(i + 1):
            if x[i] * x[j] > limit:
                return x[i] * x[j] + limit
    return limit * limit


def test_early_return_inside_nested_loops() -> None:
    x = np.array([1.0, 2.0, 3.0])
    assert first_above(x, 3.5) == 7.5  # 2 * 2 at i = j = 1
    dx, dlimit = lms.grad(first_above, argnums=(0, 1))(x, 3.5)
    np.testing.assert_array_equal(dx, [0.0, 4.0, 0.0])
    assert dlimit == 1.0
    assert lms.grad(first_above, argnums=1)(x, 50.0) == 100.0


@lms.stage
def argmax_style(x: Rep[f64], c: Rep[Array[f64, "n"]]):
    best = -1e20
    for i in range(len(c)):
        if c[i] == 0.0:
            continue
        v = x * c[i] * (i + 1.0)
        if v > best:
            best = v
    return best


def test_warp_1552_continue_in_an_argmax() -> None:
    # the gradient is the winner's factor, not the last element's.
    assert lms.grad(argmax_style)(2.0, np.array([1.0, 5.0, 0.0, 2.0])) == 10.0
    assert lms.grad(argmax_style)(-2.0, np.array([1.0, 5.0, 0.0, 2.0])) == 1.0
