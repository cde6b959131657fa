"""Jacobians and Hessians: containers, shapes, chunks of directions, memory that is written; against differences."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lms
from lms import Array, Mut, Rep, f64, i64
from lms.core import primitives as p
from lms.core.errors import StagingTypeError
from lms.core.ir import walk

X = np.linspace(0.1, 1.0, 5)
M = np.linspace(0.1, 1.0, 6).reshape(2, 3)


def differences(f: Callable[..., Any], x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    out = np.zeros(np.shape(f(x)) + x.shape)
    for index in np.ndindex(x.shape):
        d = np.zeros(x.shape)
        d[index] = step
        out[(..., *index)] = (f(x + d) - f(x - d)) / (2 * step)
    return out


def accumulate(x):
    a = np.zeros(4)
    a[np.array([0, 2, 0])] += x[:3]
    for i in range(len(x)):
        a[i % 4] += x[i] * a[(i + 1) % 4]
    a[np.array([3])] = x[4:5]
    return a


def several_kinds_of_control(y):
    a = np.zeros(3)
    x, v, z = y[0], y[1], y[2]
    for i in lms.range(10):
        x, v, z = x + 0.1 * v * z, v - 0.1 * np.sin(x), z + 0.01 * x * v
        if x > 0.2:
            a[i % 3] += x
    while x < 3.0:
        x = x * 1.2 + 0.1 * v
    a[0] += x
    return a


@lms.stage
def crossing(x: Rep[f64], y: Rep[f64], k: Rep[i64]) -> Rep[f64]:
    if k == 0:
        return x * y
    return crossing(np.sin(x) * y, y + x, k - 1) * x


PROGRAMS: dict[str, tuple[Callable[..., Any], np.ndarray]] = {
    "elementwise": (lambda x: np.sin(x) * x[0], X),
    "three chunks": (lambda x: np.sin(x) * x[0], np.linspace(0.1, 1.0, 20)),
    "reductions": (lambda x: np.cumsum(np.exp(x)) / np.sum(x) + np.max(x) * np.prod(x), X),
    "products": (lambda x: x @ x.T + np.dot(x[0], x[1]), M),
    "views": (lambda x: np.sin(x).T[1:] * 2 + x[::-1].T[:2], M),
    "gathers": (lambda x: x[np.array([0, 1, 1])] * np.concatenate([x[:2], np.sort(np.sin(4 * x))[:1]]), X),
    "where": (lambda x: np.where(x > 0.5, np.exp(x), x * x), X),
    "numbers": (lambda x: np.array([x[0] * x[1], np.sin(x[1])]), X[:2]),
    "writes": (accumulate, X),
    "control": (several_kinds_of_control, np.array([0.1, 0.2, 1.0])),
    "recursion": (lambda x: np.array([crossing(x[0], x[1], 3), crossing(x[1], x[0], 2)]), np.array([0.4, 0.7])),
    "few results": (lambda x: np.array([x.sum(), (x * x).sum()]), np.linspace(0.1, 1.0, 40)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_jacobian(name: str) -> None:
    f, x = PROGRAMS[name]
    expected = differences(lms.stage(f), x)
    np.testing.assert_allclose(lms.jacobian(f)(x), expected, atol=1e-8)
    inside = lms.stage(lambda x: lms.jacobian(f)(x))
    np.testing.assert_allclose(inside(x), expected, atol=1e-8)


@pytest.mark.parametrize("name", PROGRAMS)
def test_sizes_known_now(name: str) -> None:
    """With known sizes the mode and the chunks are chosen by them."""
    f, x = PROGRAMS[name]

    def fixed(x):
        return f(x)

    fixed.__annotations__["x"] = Rep[Array[(f64, *x.shape)]]
    np.testing.assert_allclose(lms.jacobian(fixed)(x), differences(lms.stage(f), x), atol=1e-8)


def test_containers() -> None:
    """A container like the result, of containers like the arguments; None beside what is no float."""
    def f(p, x):
        return {"u": x * p["a"], "v": (p["b"] * x.sum(), 3)}

    found = lms.jacobian(f, (0, 1))({"a": 2.0, "b": X[:2], "n": 3}, X[:3])
    np.testing.assert_allclose(found["u"][0]["a"], X[:3])
    np.testing.assert_allclose(found["u"][0]["b"], np.zeros((3, 2)))
    np.testing.assert_allclose(found["u"][1], 2 * np.eye(3))
    np.testing.assert_allclose(found["v"][0][0]["b"], X[:3].sum() * np.eye(2))
    np.testing.assert_allclose(found["v"][0][1], np.outer(X[:2], np.ones(3)))
    assert found["v"][1] is None and found["u"][0]["n"] is None


def test_numbers() -> None:
    assert lms.jacobian(lambda x, y: x * y, (0, 1))(2.0, 3.0) == (3.0, 2.0)
    assert lms.jacobian(lambda x, y: x * y, "y")(2.0, 3.0) == 2.0
    np.testing.assert_array_equal(lms.jacobian(lambda x: np.array([x, x * x]))(3.0), [1.0, 6.0])


def test_empty() -> None:
    assert lms.jacobian(lambda x: np.sin(x))(np.zeros(0)).shape == (0, 0)


def test_lanes_of_arrays_of_records() -> None:
    """What a `while` in two loops saves is an array of arrays of records."""
    def f(x):
        out = x * 1.0
        for i in range(1, len(x)):
            for j in range(len(x)):
                k = 0
                while k < 2 and out[0] < 5.0:
                    k += 1
                    out[j] = np.sin(out[i] * out[j]) * np.min(out + 0.1 * k)
        return np.sum(out)

    np.testing.assert_allclose(lms.hessian(f)(X[2:]), differences(lms.grad(f), X[2:]), atol=1e-8)


def test_hessians() -> None:
    def f(x, y):
        return np.sum(np.sin(x) * x[0]) * y

    expected = differences(lambda x: lms.grad(f)(x, 2.0), X)
    np.testing.assert_allclose(lms.hessian(f)(X, 2.0), expected, atol=1e-8)
    assert lms.hessian(f, "y")(X, 2.0) == 0.0
    third = lms.jacobian(lms.hessian(f))(X, 2.0)
    np.testing.assert_allclose(third, differences(lambda x: lms.hessian(f)(x, 2.0), X), atol=1e-8)


@lms.stage
def running(x: Rep[Array[f64, "n"]], out: Mut[Array[f64, "n"]]) -> Rep[f64]:
    t = 1.0
    for i in range(len(x)):
        t *= np.sin(x[i])
        out[i] = t * out[i]
    return t * out[0]


@pytest.mark.parametrize("n", [2, 20])
def test_memory_that_is_written(n: int) -> None:
    """Every sweep finds it as it was, and afterwards it is as the function leaves it."""
    x, out = np.linspace(0.9, 1.2, n), np.linspace(1.0, 2.0, n)
    expected, left = out.copy(), out.copy()
    running(x, expected)
    found = lms.hessian(running)(x, left)
    np.testing.assert_array_equal(left, expected)
    np.testing.assert_allclose(found, differences(lambda x: lms.grad(running)(x, out.copy()), x), atol=1e-8)
    by_out = out.copy()
    found = lms.jacobian(running, "out")(x, by_out)
    np.testing.assert_array_equal(by_out, expected)
    np.testing.assert_allclose(found, lms.grad(running, "out")(x, out.copy()), rtol=1e-13)


def test_the_function_is_computed_once_for_eight_columns() -> None:
    def f(x):
        y = x[0] * x[7]
        for _ in lms.range(100):
            y = np.sin(y) * x[3]
        return np.array([y, y * x[1], y * x[2], y * x[4], y * x[5]])

    f.__annotations__["x"] = Rep[Array[f64, 8]]
    program = lms.jacobian(f).specialize(np.ones(8)).program
    sines = [node for function in program.functions.values() for node in walk(function.body) if node.op is p.scalar.sin]
    assert len(sines) == 1


def test_few_results_are_taken_in_reverse() -> None:
    s = lms.jacobian(lambda x: np.array([x.sum(), (x * x).sum()])).specialize(np.ones(40))
    assert "vjp" in s.ir and "jvp" not in s.ir
    assert "jvp" in lms.jacobian(lambda x: np.sin(x)).specialize(np.ones(40)).ir


@pytest.mark.parametrize(("rows", "mode"), [(3, "vjp"), (4, "vjp"), (5, "jvp"), (8, "jvp")])
def test_a_row_costs_two_columns(rows: int, mode: str) -> None:
    def f(x: Rep[Array[f64, 8]]) -> Any:
        return np.sin(x[:rows] * x[7])

    assert f" = {mode} " in lms.jacobian(f).specialize(np.ones(8)).ir


def test_arrays_without_axes() -> None:
    x = np.array(2.0)
    np.testing.assert_array_equal(lms.jacobian(lambda x: x * np.ones(2))(x), [1.0, 1.0])
    assert lms.jacobian(lambda x: x * x)(x) == 4.0 and lms.hessian(lambda x: np.sum(x**3))(x) == 12.0
    by_x, by_y = lms.jacobian(lambda x, y: np.sum(x * y), argnums=(0, 1))(x, np.ones(50))  # in reverse
    assert by_x == 50.0 and (by_y == 2.0).all()


@pytest.mark.parametrize("derivative", [lms.grad, lms.jacobian, lms.sparse_jacobian])
@pytest.mark.parametrize("argnums", [(0, 0), (0, "x"), (0, -2)])
def test_an_argument_is_named_once(derivative: Any, argnums: Any) -> None:
    with pytest.raises(StagingTypeError, match="names the argument .* twice"):
        derivative(lambda x, y: x * y, argnums=argnums)(2.0, 3.0)


# ------------------------------------------------------------------------------------------- many rows


N16 = Array[f64, 16]


def handles(x: Rep[N16]):
    """Its backward half writes to memory that has two names, so it is not run again alone."""
    a, b = x * 2.0, x * x
    y = a if x[0] > 0.0 else b
    y[0] = 5.0 * y[1]
    return np.sum(y * a * b), y[0]


@lms.stage
def descends(x: Rep[N16], n: Rep[i64]) -> Rep[f64]:
    if n == 0:
        return np.sum(x)
    return descends(np.sin(x), n - 1) * x[0]


def records(x: Rep[N16]):
    return descends(x, 3), descends(x * x, 2)


def in_place(x: Rep[N16]):
    a = x.copy()
    for i in lms.range(1, 16):
        a[i] = a[i] * a[i - 1] + np.sin(a[i])
    return a[15], np.sum(a)


def until(x: Rep[N16]):
    total, y = 0.0, x * 1.0
    while total < 20.0:
        y = y * 1.1 + x
        total += np.sum(y)
    return total, y[2]


@pytest.mark.parametrize("backend", ["llvm", "interpret"])
@pytest.mark.parametrize("f", [handles, records, in_place, until])
def test_rows_share_a_forward_half(f, backend: str) -> None:
    x = np.linspace(0.2, 1.0, 16)
    rows = lms.jacobian(lms.stage(f, backend=backend))(x)
    for row, part in zip(rows, (lambda x: f(x)[0], lambda x: f(x)[1]), strict=True):
        np.testing.assert_allclose(row, lms.grad(part)(x), rtol=1e-12)
    second = lms.jacobian(lms.stage(lambda x: lms.jacobian(f)(x)[0], backend="interpret"))(x)
    np.testing.assert_allclose(second, lms.hessian(lambda x: f(x)[0])(x), rtol=1e-10)


def test_the_forward_half_of_a_reverse_sweep_runs_once() -> None:
    calls = []

    def outside(x):
        calls.append(x)
        return x

    def f(x: Rep[N16]):
        return x[0] * x[1] * lms.py_call(outside, f64, lms.stop_gradient(x[2])), x[3] * x[4]

    np.testing.assert_array_equal(lms.jacobian(f)(np.arange(16.0))[0], [2.0, *[0.0] * 15])
    assert calls == [2.0]


def test_memory_after_a_jacobian_by_rows() -> None:
    @lms.stage
    def f(x: Rep[N16], out: Mut[Array[f64, 2]]):
        out[0] = out[0] * x[0]
        out[1] += x[1] * out[0]
        return out[0] * x[2], out[1]

    x, out = np.arange(1.0, 17.0), np.array([2.0, 3.0])
    first, second = lms.jacobian(f)(x, out)
    np.testing.assert_array_equal(out, [2.0, 7.0])
    np.testing.assert_array_equal(first, [6.0, 0.0, 2.0, *[0.0] * 13])
    np.testing.assert_array_equal(second, [4.0, 2.0, *[0.0] * 14])
