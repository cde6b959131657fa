"""Derivatives of derivatives: every nesting of both modes, inside staged code and outside, on long and deep programs."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import lms
from lms import Array, Mut, Rep, f64, i64


@lms.stage
def loop(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
    for _ in range(n):
        x = x + lms.cos(x) / n
    return x


@lms.stage
def until(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
    k = 0
    while k < n:
        x = x + lms.cos(x) / n
        k += 1
    return x


@lms.stage
def fall(x: Rep[f64], k: Rep[i64], n: Rep[i64]) -> Rep[f64]:
    if k == 0:
        return x
    y = fall(x, k - 1, n)
    return y + lms.cos(y) / n


@lms.stage
def recursion(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
    return fall(x, n, n)


@lms.stage
def running(x: Rep[Array[f64, "n"]], out: Mut[Array[f64, "n"]]) -> Rep[f64]:
    t = 1.0
    for i in range(len(x)):
        t *= np.sin(x[i])
        out[i] = t * out[i]
    return t * out[0]


# ------------------------------------------------------------------------------------------------- nestings


def slope_forward(f: Any, x: Any, n: Any) -> Any:
    return lms.jvp(f, (x, n), (1.0, None))[1]


NESTINGS: dict[str, Callable[[Any], Callable[..., Any]]] = {
    "ff": lambda f: lambda x, n: slope_forward(lambda y, n: slope_forward(f, y, n), x, n),
    "fr": lambda f: lambda x, n: slope_forward(lms.grad(f), x, n),
    "rf": lambda f: lambda x, n: lms.grad(lambda y, n: slope_forward(f, y, n))(x, n),
    "rr": lambda f: lambda x, n: lms.grad(lms.grad(f))(x, n),
    "hvp": lambda f: lambda x, n: lms.hvp(f, (x, n), (1.0, None))[0],
    "hessian": lambda f: lambda x, n: lms.hessian(f)(x, n),
    "pullback": lambda f: lambda x, n: lms.vjp(lambda y: lms.vjp(f, y, n)[1](1.0)[0], x)[1](1.0)[0],
}


def slopes(x: float, n: int) -> tuple[float, float]:
    """The first and the second derivative of the three functions, by hand."""
    first, second = 1.0, 0.0
    for _ in range(n):
        second += (-np.cos(x) * first**2 - np.sin(x) * second) / n
        first -= np.sin(x) * first / n
        x += np.cos(x) / n
    return first, second


@pytest.mark.parametrize("where", ["inside", "outside"])
@pytest.mark.parametrize("nesting", NESTINGS)
@pytest.mark.parametrize("f", [loop, until, recursion], ids=lambda f: f.__name__)
def test_every_nesting(f: Any, nesting: str, where: str) -> None:
    second = NESTINGS[nesting](f)
    found = (lms.stage(second) if where == "inside" else second)(0.3, 7)
    assert found == pytest.approx(slopes(0.3, 7)[1], rel=1e-13)


LONG = {"loop": (loop, 1_000_000), "until": (until, 1_000_000), "recursion": (recursion, 100_000)}


@pytest.mark.parametrize("name", LONG)
def test_long_and_deep(name: str) -> None:
    """A million trips, calls a hundred thousand deep, at first and second order."""
    f, n = LONG[name]
    first, second = slopes(0.3, n)
    assert lms.grad(f)(0.3, n) == pytest.approx(first, rel=1e-10)
    for nesting in ("ff", "fr", "rf", "rr"):
        assert lms.stage(NESTINGS[nesting](f))(0.3, n) == pytest.approx(second, rel=1e-9), nesting


def test_third_order() -> None:
    step = 1e-4
    expected = (slopes(0.3 + step, 5)[1] - slopes(0.3 - step, 5)[1]) / (2 * step)
    for a in (lms.grad, lambda f: lambda x, n: slope_forward(f, x, n)):
        for nesting in ("ff", "fr", "rf", "rr"):
            third = a(lms.stage(NESTINGS[nesting](recursion)))
            assert third(0.3, 5) == pytest.approx(expected, rel=1e-6)


def test_memory_that_is_written() -> None:
    x, out = np.array([0.3, 0.4]), np.array([1.5, 2.0])
    along = lms.hvp(running, (x, out.copy()), (np.array([1.0, 0.0]), np.zeros(2)))
    both = [lms.grad(running)(x + by, out.copy()) for by in (np.array([1e-5, 0.0]), np.array([-1e-5, 0.0]))]
    np.testing.assert_allclose(along[0], (both[0] - both[1]) / 2e-5, rtol=1e-8)
    left = out.copy()
    lms.grad(lms.stage(running))(x, left)
    np.testing.assert_allclose(left, np.sin(0.3) * np.array([1.0, np.sin(0.4)]) * out)


def test_the_variables_of_two_derivatives_are_told_apart() -> None:
    """d/dx (x * d/dy (x + y)) is 1, by whatever modes."""
    def forward(f: Any) -> Any:
        return lambda x: lms.jvp(f, (x,), (1.0,))[1]

    for outer in (forward, lms.grad):
        for inner in (forward, lms.grad):
            assert outer(lambda x, inner=inner: x * inner(lambda y: x + y)(1.0))(1.0) == 1.0


def test_arguments_by_position() -> None:
    """Each of `*args` is an argument, and a default is none that was passed."""
    def several(*xs: Any) -> Any:
        return xs[0] * xs[1]

    def scaled(x: Any, by: Any = 3.0) -> Any:
        return x * by

    assert lms.jvp(several, (2.0, 3.0), (1.0, 0.0)) == (6.0, 3.0)
    assert lms.vjp(several, 2.0, 3.0)[1](1.0) == (3.0, 2.0)
    assert lms.grad(several, 1)(2.0, 3.0) == 2.0
    assert lms.hvp(several, (2.0, 3.0), (1.0, 0.0)) == (0.0, 1.0)
    assert lms.jvp(scaled, (2.0,), (1.0,)) == (6.0, 3.0)
    assert lms.vjp(scaled, 2.0)[1](1.0) == (3.0,)
    assert lms.hvp(scaled, (2.0,), (1.0,)) == 0.0


def test_a_derivative_is_made_once() -> None:
    assert lms.grad(loop) is lms.grad(loop)
    assert lms.grad(loop, argnums=[0]) is lms.grad(loop, argnums=(0,))
    assert lms.grad(loop) is not lms.value_and_grad(loop)


# -------------------------------------------------------------------------------------------------- threads


@pytest.mark.parametrize("n", [100, 100_000])
def test_threads_agree(n: int) -> None:
    """Threads that make and call the same gradients at once: the first of them compiles."""
    @lms.stage
    def mine(x: Rep[Array[f64, "n"]], out: Mut[Array[f64, "n"]]) -> Rep[f64]:
        t = 0.0
        for i in range(len(x)):
            t += np.sin(x[i]) * out[i]
            out[i] = t
        return t * out[0]

    def one(k: int) -> Any:
        x = np.linspace(0.0, 1.0 + k % 2, n)
        _, pull = lms.vjp(mine, x, np.ones(n))
        return lms.grad(mine)(x, np.ones(n)), lms.hvp(mine, (x, np.ones(n)), (x, x))[0], pull(2.0)[0]

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(one, range(8)))
    for k, several in enumerate(found):
        for a, b in zip(several, found[k % 2], strict=True):
            np.testing.assert_array_equal(a, b)
