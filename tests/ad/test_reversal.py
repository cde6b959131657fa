"""Time reversal: what is saved with it and without, and that nobody can tell otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lms
from lms import Array, Mut, Rep, f64, i64
from lms.ad.reversal.choice import Choice

V = Rep[Array[f64, "n"]]
M = Rep[Array[f64, "n", "n"]]
N, S = 9, 7


def heat(u0: V, s: Rep[i64]) -> Rep[f64]:
    u = u0.copy()
    for _ in range(s):
        for i in range(1, len(u) - 1):
            u[i] = u[i] + 0.1 * (u[i + 1] - 2.0 * u[i] + u[i - 1]) * u[i]
    return np.sum(u * u)


def stencil(u0: V, s: Rep[i64]) -> Rep[f64]:
    u = u0.copy()
    for _ in range(s):
        for i in range(len(u) - 2, 0, -1):
            u[i] = np.sin(u[i - 1]) * np.sin(u[i]) * np.sin(u[i + 1])
    return np.sum(u)


def pingpong(u0: V, s: Rep[i64]) -> Rep[f64]:
    a, b = u0.copy(), u0.copy()
    for _ in range(s):
        for i in range(1, len(a) - 1):
            b[i] = a[i] * a[i - 1] + 0.1 * np.sin(a[i + 1])
        a, b = b, a
    return np.sum(a * a)


def fresh(u0: V, s: Rep[i64]) -> Rep[f64]:
    a = u0.copy()
    for _ in range(s):
        b = np.zeros_like(a)
        for i in range(1, len(a) - 1):
            b[i] = a[i] * a[i - 1] + 0.1 * np.sin(a[i + 1])
        a = b
    return np.sum(a * a)


def triangular(m: M, b: V) -> Rep[f64]:
    n = len(b)
    x = np.zeros(n)
    for i in range(n - 1, -1, -1):
        s = b[i]
        for j in range(i + 1, n):
            s -= m[i, j] * x[j]
        x[i] = s / m[i, i]
    return np.sum(x * x)


def lu(m: M) -> Rep[f64]:
    a = m.copy()
    n = len(a)
    for k in range(n):
        for i in range(k + 1, n):
            a[i, k] /= a[k, k]
            for j in range(k + 1, n):
                a[i, j] -= a[i, k] * a[k, j]
    total = 0.0
    for k in range(n):
        total += np.log(np.abs(a[k, k]))
    return total


def table(x: V, y: V) -> Rep[f64]:
    n = len(x)
    d = np.zeros((n + 1, n + 1))
    for i in range(1, n + 1):
        d[i, 0] = d[i - 1, 0] + x[i - 1]
        d[0, i] = d[0, i - 1] + y[i - 1]
    for i in range(1, n + 1):
        for j in range(1, n + 1):
            d[i, j] = np.sin(d[i - 1, j]) * d[i, j - 1] + d[i - 1, j - 1] * x[i - 1] * y[j - 1]
    return d[n, n]


def permutation(x: V, s: Rep[i64]) -> Rep[f64]:
    n = len(x)
    p, q = np.arange(n), np.zeros(n)
    for t in range(s):
        i, j = t % n, (3 * t + 1) % n
        p[i], p[j] = p[j], p[i]
        for k in range(n):
            q[k] += np.sin(x[p[k]]) * x[p[n - 1 - k]]
    return np.sum(q * q)


def until(u0: V, s: Rep[i64]) -> Rep[f64]:
    u, t = u0.copy(), 0
    while u[0] < 5.0 and t < s:
        for i in range(1, len(u) - 1):
            u[i] = u[i] * np.cos(u[i - 1]) + 0.1 * u[i + 1] * u[i]
        u[0] = u[0] + 0.3 * u[1] * u[1]
        t += 1
    return np.sum(u * u)


def branches(u0: V, s: Rep[i64]) -> Rep[f64]:
    u = u0.copy()
    for _ in range(s):
        for i in range(1, len(u) - 1):
            if u[i] > 0.5:
                u[i] = u[i] * u[i - 1]
            else:
                u[i + 1] = np.sin(u[i + 1]) * u[i]
    return np.sum(u * u)


def swaps(u0: V, s: Rep[i64]) -> Rep[f64]:
    u, total = u0.copy(), 0.0
    for t in range(s):
        i, j = t % len(u), (3 * t + 1) % len(u)
        u[i], u[j] = u[j], u[i]
        total += u[0] * u[1] * (t + 1)
    return total


def rows(u0: V, s: Rep[i64]) -> Rep[f64]:
    a = np.zeros((s + 1, len(u0)))
    a[0] = u0
    for t in range(s):
        a[t + 1] = np.sin(a[t]) * a[t, ::-1]
    return np.sum(a[s] * a[s])


def accumulated(u0: V, s: Rep[i64]) -> Rep[f64]:
    u = u0.copy()
    for _ in range(s):
        u[1:-1] += 0.1 * u[2:] * u[:-2]
        u[0] += np.sin(u[1]) * u[0]
    return np.sum(u * u)


X = np.linspace(0.3, 0.9, N)
A = N * np.eye(N) + np.sin(np.arange(float(N * N)).reshape(N, N))
PROGRAMS: dict[Callable[..., Any], tuple[Any, ...]] = {
    heat: (X, S), stencil: (X, S), pingpong: (X, S), fresh: (X, S), triangular: (A, X), lu: (A,), table: (X, X[::-1].copy()),
    permutation: (X, S), until: (X, S), branches: (X, S), swaps: (X, S), rows: (X, S), accumulated: (X, S)}
each = pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)


def never(*_: object) -> float:
    return 0.0


def most(self: object, group: object, reads: object, undone: Any) -> float:
    return 1.0 + len(undone)


def words(f: Callable[..., Any]) -> int:
    """What the gradient keeps, in numbers."""
    return lms.memory(lms.stage(f), *PROGRAMS[f]).residuals // 8


@pytest.mark.parametrize(("f", "kept"), [
    (heat, S * (N - 2)),  # what each store overwrites
    (pingpong, S * (N - 2) + 5 * S),  # the same, and which buffer is which
    (fresh, S + S),
    (triangular, N),  # quotients
    (lu, N * (N - 1) // 2 + N),
    (rows, S * (N + 2)),  # a factor
], ids=lambda x: getattr(x, "__name__", None))
def test_what_is_kept(f: Callable[..., Any], kept: int) -> None:
    assert words(f) <= kept


@pytest.mark.parametrize("f", [accumulated, branches, swaps], ids=lambda f: f.__name__)
def test_what_would_undo_nearly_as_much_as_it_spares_is_saved(f: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """To put back takes time too."""
    chosen = str(lms.grad(lms.stage(f)).specialize(*PROGRAMS[f]).program)
    monkeypatch.setattr(Choice, "pays", never)
    assert chosen == str(lms.grad(lms.stage(f)).specialize(*PROGRAMS[f]).program)


@each
def test_no_more_is_kept_than_without(f: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    reversed_ = words(f)
    monkeypatch.setattr(Choice, "pays", never)
    assert reversed_ <= words(f)


@each
@pytest.mark.parametrize("pays", [Choice.pays, most], ids=["pays", "most"])
def test_derivatives(f: Callable[..., Any], pays: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Choice, "pays", pays)
    by = tuple(k for k, x in enumerate(PROGRAMS[f]) if isinstance(x, np.ndarray))
    lms.check_grads(lms.stage(f), PROGRAMS[f], order=2)
    found = lms.grad(lms.stage(f), by)(*PROGRAMS[f])
    monkeypatch.setattr(Choice, "pays", never)
    for g, e in zip(found, lms.grad(lms.stage(f), by)(*PROGRAMS[f]), strict=True):
        np.testing.assert_allclose(g, e, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("f", [heat, pingpong, fresh, until, rows, accumulated], ids=lambda f: f.__name__)
@pytest.mark.parametrize("plan", ["sqrt", "revolve(2)"])
def test_with_a_plan(f: Callable[..., Any], plan: str) -> None:
    expected = lms.grad(lms.stage(f))(*PROGRAMS[f])
    np.testing.assert_allclose(lms.grad(lms.stage(f), checkpoint=plan)(*PROGRAMS[f]), expected, rtol=1e-12)


def test_loops_that_do_not_run() -> None:
    for f in (heat, pingpong, fresh, until, branches):
        np.testing.assert_allclose(lms.grad(lms.stage(f))(X, 0), lms.grad(lambda x: np.sum(x * x))(X))
    np.testing.assert_allclose(lms.grad(lms.stage(heat))(X[:2], 3), 2.0 * X[:2])
    np.testing.assert_allclose(lms.grad(lms.stage(fresh))(X[:2], 3), 0.0 * X[:2])


# ------------------------------------------------------------------------------------- what nobody may see


def test_what_is_loaded_before_and_used_after() -> None:
    """The backward half of the use comes before what was overwritten is there again: such a load is saved."""
    @lms.stage
    def f(x: V, s: Rep[i64]) -> Rep[f64]:
        a, total = x.copy(), 0.0
        for _ in range(s):
            old = a[0]
            a[0] = 0.5 * a[1] * a[2]
            total += old * old * a[0]
            a[1], a[2] = a[2], a[1] + old
        return total

    lms.check_grads(f, (X[:3], 4), order=2)


def test_arguments_are_not_rewound() -> None:
    @lms.stage
    def f(x: V, out: Mut[Array[f64, "n"]], s: Rep[i64]) -> Rep[f64]:
        for _ in range(s):
            for i in range(1, len(x) - 1):
                out[i] = np.sin(out[i - 1] * out[i]) * out[i + 1] * x[i]
        return np.sum(out * out)

    mine, theirs = X.copy(), X.copy()
    f(X, mine, S)
    lms.grad(f)(X, theirs, S)
    np.testing.assert_array_equal(mine, theirs)
    lms.check_grads(f, (X, X.copy(), 3), order=1)


def test_what_is_returned_is_what_the_program_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only integers may come beside the number, so a permutation: it is undone, and given as it was at the turn."""
    @lms.stage
    def f(x: V, s: Rep[i64]) -> tuple[Rep[f64], Rep[Array[i64, "n"]]]:
        n = len(x)
        p, total = np.zeros(n, dtype=np.int64), 0.0
        for k in range(n):
            p[k] = n - 1 - k
        for t in range(s):
            i, j = t % n, (3 * t + 1) % n
            p[i], p[j] = p[j], p[i]
            for k in range(n):
                total += np.sin(x[p[k]]) * x[p[n - 1 - k]] * k
        return total, p

    monkeypatch.setattr(Choice, "pays", most)
    _, left = f(X, S)
    gradient, found = lms.grad(f, has_aux=True)(X, S)
    np.testing.assert_array_equal(found, left)
    (value, _), again = lms.value_and_grad(f, has_aux=True)(X, S)
    assert value == f(X, S)[0]
    np.testing.assert_allclose(gradient, again, rtol=1e-14)
    lms.check_grads(lambda x: f(x, S)[0], (X,), order=2)


def test_an_error_in_the_middle() -> None:
    @lms.stage
    def f(x: V, out: Mut[Array[f64, "n"]], s: Rep[i64]) -> Rep[f64]:
        u = x.copy()
        for t in range(s):
            for i in range(1, len(u) - 1):
                u[i] = np.sin(u[i - 1]) * u[i] * u[i + 1]
            out[t] = u[1]
        return np.sum(u)

    mine, theirs = np.zeros(3), np.zeros(3)
    for g, out in ((f, mine), (lms.grad(f), theirs)):
        with pytest.raises(IndexError):
            g(X[:3], out, 4)
    np.testing.assert_array_equal(mine, theirs)
    assert mine.all()


def test_a_pullback_may_be_called_again() -> None:
    _, pull = lms.vjp(lms.stage(heat), X, S)
    first = pull(1.0)[0].copy()
    np.testing.assert_array_equal(pull(1.0)[0], first)
    np.testing.assert_allclose(first, lms.grad(lms.stage(heat))(X, S), rtol=1e-13)


def test_operands_of_two_memories_are_chosen_one_by_one() -> None:
    """One operand of a product is read where it stands, the other is overwritten by then."""
    @lms.stage
    def f(x: V, s: Rep[i64]) -> Rep[f64]:
        u, a = x.copy(), np.zeros((2, len(x)))
        a[0] = x
        for _ in range(s):
            a[0] = np.sin(u * a[0])
            u[1:] = u[:-1] * x[0]
        return np.sum(u) + np.sum(a * a)

    lms.check_grads(f, (X, 4), order=2)


def test_what_a_rule_made_of_memory_is_not_made_again() -> None:
    """A product of what is saved and an array that has changed since."""
    @lms.stage
    def f(x: V, s: Rep[i64]) -> Rep[f64]:
        u, w = x.copy(), x
        for _ in range(s):
            w = np.sin(np.sin(u * w) * w)
            u[1:] = np.cos(u[:-1] * w[0]) * w[1:]
            u[0] = w[1]
        return np.sum(u * w)

    lms.check_grads(f, (X, 4), order=2)


def test_a_callee_that_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Choice, "pays", most)

    @lms.stage
    def bump(a: Mut[Array[f64, "n"]], k: Rep[i64]) -> Rep[f64]:
        if k <= 0:
            return a[0]
        a[k] = np.sin(a[k - 1]) * a[k]
        return bump(a, k - 1) + a[k]

    @lms.stage
    def f(x: V, s: Rep[i64]) -> Rep[f64]:
        u, total = x.copy(), 0.0
        for _ in range(s):
            total += bump(u, 3) * u[1]
            u[1] = u[2] * u[2]
        return total

    lms.check_grads(f, (X, 3), order=2)
