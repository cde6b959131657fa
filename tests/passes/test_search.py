"""Where an extreme stands: the chunk it came from is looked through, and no other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lms
from lms import Array, Rep, f64
from lms.core import primitives as p
from lms.passes.search import CHUNK

c = p.control


@lms.stage
def largest(x: Rep[Array[f64, "n"]]) -> Rep[f64]:
    return np.max(x)


@lms.stage
def smallest(x: Rep[Array[f64, "n"]]) -> Rep[f64]:
    return np.min(x)


@pytest.mark.parametrize("n", [1, 2, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5])
@pytest.mark.parametrize(("f", "place"), [(largest, np.argmax), (smallest, np.argmin)], ids=["max", "min"])
def test_the_first_of_equals_in_any_chunk(n: int, f: Any, place: Any) -> None:
    rng = np.random.default_rng(n)
    smooth, ties = rng.random(n), rng.integers(0, 3, n).astype(float)
    extremes = [np.full(n, 7.0), np.full(n, -np.inf), np.full(n, np.inf), np.where(np.arange(n) < n // 2, -np.inf, np.inf)]
    nans = [np.where(np.arange(n) == k, np.nan, smooth) for k in (0, n // 2, n - 1)]
    late = np.where(np.arange(n) >= n // 2, np.nan, np.inf)
    for x in (smooth, smooth[::-1].copy(), np.sort(smooth), ties, *extremes, *nans, late):
        value, g = lms.value_and_grad(f)(x)
        expected = np.zeros(n)
        expected[place(x)] = 1.0
        np.testing.assert_array_equal(value, f(x))
        np.testing.assert_array_equal(g, expected)


def test_only_one_chunk_is_looked_through() -> None:
    """The loop that finds the maximum has a loop for each chunk; the search is one loop, and no `while`."""
    (f,) = lms.grad(largest).specialize(np.ones(3)).program.functions.values()
    loops = [node for node in f.body.nodes if node.op in (c.for_, c.while_)]
    assert all(node.op is c.for_ for node in loops)
    assert sum(any(inner.op is c.for_ for inner in node.blocks[0].nodes) for node in loops) == 1


def test_what_is_asked_of_something_else_is_looked_for_everywhere() -> None:
    @lms.stage
    def of_another(x: Rep[Array[f64, "n"]], y: Rep[Array[f64, "n"]]) -> Rep[f64]:
        top = np.max(x)
        return 1.0 * np.argmax((y == top) | np.isnan(y)) + top

    x, y = np.zeros(3 * CHUNK), np.zeros(3 * CHUNK)
    x[5], y[2 * CHUNK + 1] = 1.0, 1.0
    assert of_another(x, y) == 2 * CHUNK + 2


def test_higher_orders() -> None:
    def f(x: Rep[Array[f64, "n"]]) -> Rep[f64]:
        return np.max(x * x) * np.min(x)

    lms.check_grads(lms.stage(f), (np.array([0.5, -1.5, 1.0]),), order=2)
