"""Parts of arrays that nothing writes to: cotangents are added to the part, and no array of zeros travels through a loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lms
from lms import Array, Rep, f64, i64
from lms.core.ir import walk
from lms.core.types import ArrayType

X = np.array([0.3, -0.7, 1.1, 0.2, 0.9])


@lms.stage
def diffused(x: Rep[Array[f64, "n"]], s: Rep[i64]) -> Rep[f64]:
    """Each step reads three overlapping parts of the last."""
    u = np.sin(x)
    for _ in range(s):
        u = np.concatenate([u[:1] * 0.5, u[1:-1] + 0.1 * (u[2:] * u[:-2] - u[1:-1]), u[-1:]])
    return np.sum(u * u)


@lms.stage
def backwards(x: Rep[Array[f64, "n"]], s: Rep[i64]) -> Rep[f64]:
    u = x
    for _ in range(s):
        u = u * u[::-1] + 0.5 * u
    return np.sum(u[::2]) + u[1]


@lms.stage
def elements(x: Rep[Array[f64, "n"]], s: Rep[i64]) -> Rep[f64]:
    """Whole, in part and by the element, in one step and after it."""
    u = x + 0.0
    for k in range(s):
        u = np.cos(u) * u[k] + u[-1] * x
    return u[0] * u[1] + np.sum(u[2:])


@lms.stage
def branching(x: Rep[Array[f64, "n"]], s: Rep[i64]) -> Rep[f64]:
    u = x * x
    for k in range(s):
        if k % 2 == 0:
            u = u * u[0]
        else:
            u = u + np.sum(u[1:]) * np.exp(-u)
    return u[-1]


@lms.stage
def matrices(x: Rep[Array[f64, "n"]], s: Rep[i64]) -> Rep[f64]:
    u = x[:, None] * x[None, :]
    for _ in range(s):
        u = 0.5 * u + u[0] * u[:, 1][:, None] + np.sum(u[1:, :2]) * 0.01
    return np.sum(u[-1] * u[0]) + u[1, 2]


@lms.stage
def newton(x: Rep[Array[f64, "n"]], s: Rep[i64]) -> Rep[f64]:
    """A loop that ends when it likes, with what is read of two of its iterations."""
    u, before, k = x, x * 0.5, 0
    while k < s and np.sum(u * u) < 50.0:
        u, before = u + 0.3 * before[::-1] * np.sum(u[:2]), u
        k += 1
    return np.sum(u[1:] * before[:-1])


@pytest.mark.parametrize("f", [diffused, backwards, elements, branching, matrices, newton], ids=lambda f: f.__name__)
def test_gradients(f: Callable[..., Any]) -> None:
    lms.check_grads(f, (X, 3), order=2 if f in (diffused, newton) else 1)
    lms.check_grads(f, (X, 0), order=1)


@pytest.mark.parametrize("f", [diffused, backwards, branching, matrices], ids=lambda f: f.__name__)
def test_nothing_but_residuals_grows_with_the_loop(f: Callable[..., Any]) -> None:
    """An array for all iterations is one of residuals: a cotangent is at home in its own iteration."""
    program = lms.grad(f).specialize(X, 3).program
    largest = 2 if f is matrices else 1
    for node in walk(program.main.body):
        for v in node.results:
            if isinstance(v.type, ArrayType) and node.op.name == "empty" and v.type.rank > largest:
                assert node.attrs.get("residual")


def test_one_part_needs_no_zeros_first() -> None:
    """The cotangent of an array of which one part is read is that part's, with zeros around it."""

    @lms.stage
    def f(x: Rep[Array[f64, "n"]]):
        return np.sum(np.exp(x[1:-1]))

    ops = [node.op.name for node in walk(lms.grad(f).specialize(X).program.main.body)]
    assert "accumulate" not in ops
    np.testing.assert_allclose(lms.grad(f)(X), [0.0, *np.exp(X[1:-1]), 0.0], rtol=1e-14)


def test_a_part_of_an_argument_that_is_written_to_later() -> None:
    """What is written to has a shadow, as ever."""

    @lms.stage
    def f(x: Rep[Array[f64, "n"]]):
        y = x * 2.0
        first = np.sum(y[1:] * y[1:])
        y[1:] = y[:-1] * 3.0
        return first + np.sum(y[1:] * y[1:])

    expected = [72.0 * X[0], *(80.0 * X[1:-1]), 8.0 * X[-1]]
    np.testing.assert_allclose(lms.grad(f)(X), expected, rtol=1e-14)
    np.testing.assert_allclose(lms.vjp(f, X)[1](1.0)[0], expected, rtol=1e-14)  # what is saved is what was, not what is there now
    lms.check_grads(f, (X,), order=2)


def test_a_stage_is_made_again_of_the_state() -> None:
    """Of a step of Runge-Kutta the state is kept; the stages, concatenations and all, are made again."""

    @lms.stage
    def solved(x: Rep[Array[f64, "n"]], s: Rep[i64]) -> Rep[f64]:
        def slope(y):
            dy = np.empty_like(y)
            dy[0] = x[0]
            dy[1:] = x[1:] * y[:-1]
            return dy

        y = np.zeros_like(x)
        for _ in range(s):
            y = y + 0.1 * slope(y + 0.05 * slope(y))
        return y[-1]

    kept = [node for node in walk(lms.grad(solved).specialize(X, 3).program.main.body) if node.attrs.get("residual")]
    sizes = [node.result.type.dims[1:] for node in kept if node.op.name == "empty"]
    assert len([dims for dims in sizes if dims and dims != (1,)]) == 1
    lms.check_grads(solved, (X, 6), order=2)
