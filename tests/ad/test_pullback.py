"""`vjp` outside staged code: the forward half runs once, and the pullback owns what the backward half takes of it."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lms
from lms import Array, Mut, Rep, f32, f64, i64


@dataclass(frozen=True)
class Leaf:
    weight: float


@dataclass(frozen=True)
class Fork:
    left: "Leaf | Fork"
    right: "Leaf | Fork"


Tree = Leaf | Fork


@lms.stage
def product(t: Rep[Tree], x: Rep[f64]) -> Rep[f64]:
    if isinstance(t, Leaf):
        return np.sin(t.weight * x)
    return product(t.left, x) * product(t.right, x)


def pendulum(x, n):
    v = x * 0.0
    for _ in range(n):
        v = v - 0.1 * np.sin(x)
        x = x + 0.1 * v
    return np.sum(x * x), v


def in_place(x):
    a = x.copy()
    for _ in range(3):
        for i in lms.range(1, len(a) - 1):
            a[i] = a[i - 1] * a[i + 1] + np.sin(a[i])
    return np.sum(a * a), a


def handles(x):
    a, b = x * 2.0, x * x
    y = a if x[0] > 0 else b
    y[0] = 5.0 * y[1]
    return np.sum(y * a * b)


def grows(x):
    y = x * 1.0
    while np.sum(y) < 10.0:
        y = y * y + x
    return y


def squares(x):
    while x < 100.0:
        x = x * x + 0.5
    return x


@lms.stage
def descends(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
    if n == 0:
        return x
    return descends(np.sin(x), n - 1) * x


@lms.stage
def cube(x):
    return x * x * x


@lms.derivative(cube)
def _cube(x):
    dz = yield cube(x)
    return 30.0 * x * x * dz


X = np.linspace(0.1, 1.0, 5)
CASES: dict[str, tuple[Any, tuple[Any, ...], Any]] = {
    "number": (lambda x: x * x * np.exp(x), (0.5,), 2.0),
    "array": (lambda x: np.exp(x) * x, (X,), X),
    "several": (lambda x, y: {"u": x * y, "v": (np.sum(x), 3)}, (X, 2.0), {"u": X, "v": (2.0, None)}),
    "itself": (lambda x: x, (X,), X),
    "views": (lambda x: (x.T, x[0]), (np.eye(2),), (np.ones((2, 2)), np.ones(2))),
    "same twice": (lambda x: (y := np.exp(x), y), (X,), (X, X)),
    "loop": (lms.stage(pendulum), (X, 4), (1.0, X)),
    "in place": (in_place, (X,), (1.0, X)),
    "handles": (handles, (X,), 1.0),
    "while": (squares, (1.3,), 1.0),
    "while with arrays": (grows, (np.array([0.9, 1.2]),), np.ones(2)),
    "recursion": (descends, (0.7, 3), 1.0),
    "records": (product, (Fork(Leaf(1.0), Fork(Leaf(2.0), Leaf(0.5))), 0.7), 1.0),
    "rule": (lambda x: cube(np.sin(x)), (0.5,), 1.0),
    "single precision": (lambda x: x * x.astype(f32), (X.astype(np.float32),), X.astype(np.float32)),
    "complex": (lambda z: z * np.exp(z), (0.5 + 1j,), 1 - 2j),
    "derivative": (lambda x: lms.grad(lambda x: np.sum(x**3))(x), (X,), X),
    "linear": (lambda a: np.linalg.solve(a, np.ones(2)), (np.array([[2.0, 1.0], [0.0, 1.0]]),), np.ones(2)),
    "nothing": (lambda x: np.zeros(0), (1.0,), np.zeros(0)),
}


def same(found: Any, expected: Any) -> None:
    for g, e in zip(lms.staging.trees.flatten(found)[0], lms.staging.trees.flatten(expected)[0], strict=True):
        if e is None:
            assert g is None
        else:
            np.testing.assert_allclose(g, e, rtol=1e-6 if getattr(e, "dtype", None) == np.float32 else 1e-12)
            assert type(g) is type(e)


@pytest.mark.parametrize("backend", ["llvm", "interpret"])
@pytest.mark.parametrize("name", CASES)
def test_as_in_staged_code(name: str, backend: str) -> None:
    f, args, cotangent = CASES[name]
    f = lms.stage(getattr(f, "unstaged", f), backend=backend) if f not in (descends, product) else f
    value, pull = lms.vjp(f, *args)
    inside = lms.stage(lambda args, cotangent: lms.vjp(f, *args)[1](cotangent), backend="interpret")
    expected = inside(args, cotangent) if name != "records" else lms.grad(product, (0, 1))(*args)
    same(value, f(*args))
    for _ in range(2):
        same(pull(cotangent), expected)


def test_the_forward_half_runs_once(capsys: pytest.CaptureFixture[str]) -> None:
    def f(x):
        print("forward")
        return np.sum(np.sin(x) * x)

    _, pull = lms.vjp(f, X)
    first, second = pull(1.0), pull(2.0)
    assert capsys.readouterr().out == "forward\n"
    np.testing.assert_allclose(2.0 * first[0], second[0])


def test_what_runs_again_prints_once(capsys: pytest.CaptureFixture[str]) -> None:
    @lms.stage
    def f(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
        if n == 0:
            print("forward")
            return x
        return f(np.sin(x), n - 1) * x

    _, pull = lms.vjp(f, 0.7, 3)
    assert pull(1.0) == pull(1.0)
    assert capsys.readouterr().out == "forward\n"


def test_python_is_called_once() -> None:
    calls = []

    def outside(x):
        calls.append(x)
        return x

    def f(x):
        return x * x * lms.py_call(outside, f64, lms.stop_gradient(x))

    _, pull = lms.vjp(f, 3.0)
    assert pull(1.0) == pull(1.0) == (18.0,)
    assert calls == [3.0]


@pytest.mark.parametrize("f", [in_place, handles, lambda x: np.exp(x), lambda x: x * x])
def test_nobody_can_change_what_the_pullback_owns(f) -> None:
    x = X.copy()
    value, pull = lms.vjp(f, x)
    ones = lms.staging.trees.map_leaves(lambda y: y * 0.0 + 1.0, value)
    before = pull(ones)[0].copy()
    x[:] = 0.0
    for part in lms.staging.trees.flatten(value)[0]:
        if isinstance(part, np.ndarray):
            part[...] = 0.0
    (found,) = pull(ones)
    np.testing.assert_array_equal(found, before)
    found[:] = 0.0
    np.testing.assert_array_equal(pull(ones)[0], before)


def test_captured_arrays_are_as_they_were() -> None:
    data = np.array([1.0, 2.0])
    _, pull = lms.vjp(lambda x: np.sum(data * np.exp(x * data)), 0.3)
    before = pull(1.0)
    data[:] = 0.0
    assert pull(1.0) == before


def test_an_argument_that_is_written_to() -> None:
    @lms.stage
    def f(x: Rep[f64], out: Mut[Array[f64, "n"]]):
        for i in range(len(out)):
            out[i] = out[i] * x
        return np.sum(out)

    out = np.array([1.0, 2.0, 3.0])
    value, pull = lms.vjp(f, 2.0, out)
    assert value == 12.0
    for _ in range(2):
        dx, d_out = pull(1.0)
        assert dx == 6.0
        np.testing.assert_array_equal(d_out, [2.0, 2.0, 2.0])
    np.testing.assert_array_equal(out, [2.0, 4.0, 6.0])


@pytest.mark.parametrize("plan", ["sqrt", "revolve(3)"])
def test_a_plan(plan: str) -> None:
    f, args, cotangent = CASES["loop"]
    same(lms.vjp(f, *args, checkpoint=plan)[1](cotangent), lms.vjp(f, *args)[1](cotangent))
    inside = lms.stage(lambda x: lms.vjp(f, x, 4, checkpoint=plan)[1](cotangent)[0])
    same(inside(X), lms.vjp(f, *args)[1](cotangent)[0])
    with pytest.raises(lms.StagingError, match="checkpoint='often' is no plan"):
        lms.vjp(f, *args, checkpoint="often")


def test_pullbacks_in_threads() -> None:
    def f(x):
        total = 0.0
        for i in lms.range(len(x)):
            total = total + np.sin(x[i]) * total + x[i]
        return total

    pulls = [lms.vjp(f, np.linspace(0.0, k, 2000))[1] for k in range(4)]
    expected = [lms.grad(f)(np.linspace(0.0, k, 2000)) for k in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda k: pulls[k % 4](1.0)[0], range(64)))
    for k, g in enumerate(found):
        np.testing.assert_allclose(g, expected[k % 4], rtol=1e-12)


def test_outside_of_staging() -> None:
    with lms.unstaged():
        value, pull = lms.vjp(lambda x: x * x, 3.0)
        assert (value, pull(1.0)) == (9.0, (6.0,))


RESIDENT = """
import resource
import lms
from lms import Rep, f64, i64

@lms.stage
def chain(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
    for i in range(n):
        x = lms.sin(x) + 0.1
    return x

for call in range(60):
    value, pull = lms.vjp(chain, 0.5, 1_000_000)
    pull(1.0)
    if call == 9:
        early = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - early)
"""


def test_what_is_kept_goes_with_the_pullback(tmp_path: Path) -> None:
    (tmp_path / "resident.py").write_text(RESIDENT)
    out = subprocess.run([sys.executable, tmp_path / "resident.py"], capture_output=True, text=True, check=True)
    assert int(out.stdout) <= 2048, "kilobytes above the peak after call 10: a pullback keeps 8 MB"
