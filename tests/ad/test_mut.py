"""Derivatives beside arguments that are written to, and of loops with a stride."""

from __future__ import annotations

import numpy as np
import pytest

import lms
from lms import Array, Mut, Rep, f64, i64


@lms.stage
def strided(x: Rep[Array[f64, "n"]], stop: Rep[i64]):
    product = 1.0
    for i in range(0, stop, 2):
        product = product * x[i]
    return product


@pytest.mark.parametrize("stop", range(6))
def test_a_loop_with_a_stride(stop: int) -> None:
    # d prod / dx_i = prod_{j != i} x_j over even i, j < stop
    x = np.array([2.0, 3.0, 5.0, 7.0, 11.0, 13.0])
    even = range(0, stop, 2)
    expected = [float(np.prod([x[j] for j in even if j != i])) if i in even else 0.0 for i in range(6)]
    np.testing.assert_allclose(lms.grad(strided)(x, stop), expected, rtol=1e-15)


@lms.stage
def squared(out: Mut[Array[f64, "n"]], x: Rep[f64]):
    for i in range(len(out)):
        out[i] = out[i] * out[i] * x
    return np.sum(out)


def test_the_tangent_of_an_argument_that_is_written_to_stays_the_callers() -> None:
    # f = sum x out_i**2: df = sum 2 x out_i d out_i + out_i**2 dx
    out, d_out = np.array([1.0, 2.0]), np.array([0.5, 0.25])
    value, moved = lms.jvp(squared, (out, 3.0), (d_out, 2.0))
    assert (value, moved) == (15.0, 2 * 3.0 * (0.5 + 2.0 * 0.25) + 5.0 * 2.0)
    np.testing.assert_array_equal(d_out, [0.5, 0.25])
    np.testing.assert_array_equal(out, [3.0, 12.0])


@lms.stage
def chosen(x: Rep[Array[f64, "n"]], k: Rep[i64]):
    total = 0.0
    for i in range(k):
        y = x * 2.0
        z = x * 3.0
        if i % 2 == 0:
            z = y  # a branch that does nothing but give
        total += np.sum(z)
    return y, total


def test_a_branch_without_operations_gives_an_array() -> None:
    # 2 for even and 3 for odd i, and y = 2 x
    x = np.array([1.0, 5.0])
    np.testing.assert_array_equal(lms.grad(lambda x, k: chosen(x, k)[1])(x, 3), [7.0, 7.0])
    np.testing.assert_array_equal(lms.grad(lambda x, k: np.sum(chosen(x, k)[0]) + chosen(x, k)[1])(x, 3), [9.0, 9.0])
