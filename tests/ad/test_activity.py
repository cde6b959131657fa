"""Only what depends on an input and matters to a result has a backward half, and only that keeps anything."""

from __future__ import annotations

import numpy as np
import pytest

import lms
from lms import Array, Mut, Rep, f64, i64

X = np.linspace(0.3, 1.7, 6)
N = 50


def kept(f, *args: object, **options: object) -> int:
    """Bytes of residuals of the gradient."""
    return lms.memory(lms.grad(f, **options), *args).residuals


def test_loops_that_accumulate_keep_nothing() -> None:
    def squares(x: Rep[Array[f64, "n"]], w: Rep[Array[f64, "n"]]) -> Rep[f64]:
        total = 0.0
        for i in range(len(x)):
            total += w[i] * x[i] * x[i] / (1.0 + x[i])
        return total

    assert kept(squares, X, X + 1.0) == 0
    assert kept(squares, X, X + 1.0, argnums=(0, 1)) == 0
    lms.check_grads(squares, (X, X + 1.0), order=2)


def test_loops_that_are_linear_keep_nothing() -> None:
    def filtered(x: Rep[Array[f64, "n"]], w: Rep[Array[f64, "n"]]) -> Rep[f64]:
        a, b = x[0], 0.0
        for i in range(len(x)):
            a, b = 0.5 * a + w[i] * b + x[i], a - b * w[i]
        return a + b

    assert kept(filtered, X, X) == 0
    assert kept(filtered, X, X, argnums=1) > 0
    lms.check_grads(filtered, (X, X), order=2)


def test_a_product_keeps_only_the_factor_that_is_needed() -> None:
    def product(x: Rep[f64], w: Rep[f64], n: Rep[i64]) -> Rep[f64]:
        y = x
        for _ in range(n):
            w = lms.sin(w)
            y = y * w
        return y

    assert kept(product, 0.5, 0.7, N) == 8 * N, "w, and not y"
    assert kept(product, 0.5, 0.7, N, argnums=1) == 24 * N, "y, and w before the sine and after it"


def test_what_is_carried_and_matters_to_nothing() -> None:
    """The sum of sines is there for people to look at; its cotangent is zero."""
    def watched(x: Rep[f64], n: Rep[i64]):
        seen = 0.0
        for _ in range(n):
            seen += lms.sin(x) * x
            x = 0.5 * x + 1.0
        return x, seen

    value, gradient = lms.value_and_grad(watched, has_aux=True)(0.3, 4)
    assert value == lms.stage(watched)(0.3, 4) and gradient == 0.5**4
    assert kept(watched, 0.3, N, has_aux=True) == 0


def test_memory_that_nobody_reads() -> None:
    def logged(x: Rep[f64], log: Mut[Array[f64, "n"]]) -> Rep[f64]:
        for i in range(len(log)):
            log[i] = lms.exp(x) * x
            x = 1.1 * x
        return x

    log = np.zeros(N)
    assert lms.grad(logged)(0.3, log) == pytest.approx(1.1**N)
    assert log[0] == pytest.approx(np.exp(0.3) * 0.3), "and the memory is as the function leaves it"
    assert kept(logged, 0.3, log) == 0


def test_memory_that_is_read_later() -> None:
    def table(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
        log, unused = np.zeros(n), np.zeros(n)
        for i in range(n):
            log[i] = lms.exp(x) * x
            unused[i] = lms.sin(log[i])
            x = 1.1 * x
        return log[n - 1] * log[0]

    lms.check_grads(table, (0.3, 5), order=2)


def test_the_last_of_what_a_loop_makes() -> None:
    """It is carried only to be given at the end: the cotangent goes into the last iteration alone."""
    def last(x: Rep[Array[f64, "n"]]) -> Rep[f64]:
        best, other = 0.0, 1.0
        for i in range(len(x)):
            best = x[i] * x[i]
            other = other * x[i]
        return best

    np.testing.assert_allclose(lms.grad(last)(X), [0, 0, 0, 0, 0, 2 * X[-1]])
    lms.check_grads(last, (X,), order=2)


def test_a_while_and_a_branch_that_carry_more_than_matters() -> None:
    def searched(x: Rep[f64], y: Rep[f64]) -> Rep[f64]:
        error, steps = 1.0, 0.0
        while error > 1e-10:
            new = 0.5 * (x + y / x)
            error = abs(new - x)
            if error > 0.1:
                steps += lms.sin(new)
            else:
                steps *= new
            x = new
        return x

    assert lms.grad(searched, argnums=1)(1.0, 2.0) == pytest.approx(0.5 / np.sqrt(2.0))
    lms.check_grads(searched, (1.0, 2.0))


def test_calls_that_matter_in_part() -> None:
    @lms.stage
    def both(x: Rep[f64], n: Rep[i64]) -> tuple[Rep[f64], Rep[f64]]:
        if n == 0:
            return x, x
        a, b = both(x * 0.9, n - 1)
        return lms.sin(a), b * a

    def first(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
        return both(x, n)[0]

    lms.check_grads(first, (0.7, 4), order=2)
