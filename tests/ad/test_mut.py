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
