"""Calls that go straight into native code, and those that must not."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

import lms
from lms import Array, Rep, f64
from lms.api import Staged
from lms.backends.llvm.native import LAYOUT_HOLDS
from tests.support.native import without

pytestmark = pytest.mark.skipif(not LAYOUT_HOLDS, reason="objects are laid out otherwise here")


def natively() -> AbstractContextManager[None]:
    """Fails where a call of a staged function runs Python of ours."""
    return without(Staged.__call__)


class Layer(NamedTuple):
    w: Any
    b: Any


@dataclass
class State:
    x: Any
    v: Any


def test_containers_static_values_keywords_and_defaults() -> None:
    @lms.stage
    def step(state, dt: float = 0.5, steps: int = 2, *, form="euler") -> Any:
        return state

    @lms.stage
    def model(params, x, n: int = 2, activation="tanh"):
        for _ in range(n):
            for layer in params["layers"]:
                x = layer.w @ x + layer.b
                x = np.tanh(x) if activation == "tanh" else np.maximum(x, 0.0)
        return {"out": x, "sum": x.sum()}

    params = {"layers": [Layer(np.full((3, 3), 0.1), np.ones(3)), Layer(np.eye(3), np.zeros(3))]}
    x = np.arange(3.0)
    calls = [lambda: model(params, x), lambda: model(params, x, 3), lambda: model(x=x, params=params, activation="relu")]
    first = [call() for call in calls]
    with natively():
        again = [call() for call in calls]
        assert model(params, x, n=2)["sum"] == first[0]["sum"]
    for a, b in zip(first, again, strict=True):
        assert list(a) == list(b) == ["out", "sum"]
        assert a["out"].tolist() == b["out"].tolist()
        assert type(b["sum"]) is float
    assert first[0]["sum"] != first[1]["sum"] != first[2]["sum"]
    s = step(State(np.zeros(2), np.ones(2)))
    assert type(s) is State


def test_gradients_of_containers() -> None:
    g = lms.value_and_grad(lambda p, x: ((p["w"] @ x + p["b"]) ** 2).sum())
    p, x = {"w": np.ones((2, 3)), "b": np.zeros(2)}, np.arange(3.0)
    value, grad = g(p, x)
    with natively():
        value2, grad2 = g(p, x)
    assert value == value2 == 18.0
    assert list(grad2) == ["w", "b"]
    assert all((grad[k] == grad2[k]).all() for k in p)


def test_objects_come_back_as_their_class() -> None:
    @lms.stage
    def euler(s, dt: Rep[f64]):
        return State(s.x + dt * s.v, s.v)

    s = State(1.0, 2.0)
    assert euler(s, 0.5) == State(2.0, 2.0)
    with natively():
        assert euler(s, 0.5) == State(2.0, 2.0)
    assert euler(State(np.zeros(2), np.ones(2)), 0.5).x.tolist() == [0.5, 0.5]


def test_numbers_of_numpy_are_stronger_than_pythons() -> None:
    @lms.stage
    def scale(x, k):
        return x * k

    x = np.ones(2, np.float32)
    for _ in range(2):
        assert scale(x, 2.0).dtype == np.float32
        assert scale(x, np.float64(2.0)).dtype == np.float64
        assert scale(x, 2).dtype == np.float32
        assert scale(x, np.float32(2.0)).dtype == np.float32
        assert scale(2, 3) == 6
        assert type(scale(2, 3)) is int
        assert type(scale(2.0, 3)) is float


def test_an_axis_of_size_one_broadcasts() -> None:
    @lms.stage
    def add(x, y):
        return x + y

    for _ in range(2):
        assert add(np.ones(3), np.ones(3)).tolist() == [2.0, 2.0, 2.0]
        assert add(np.ones(3), np.ones(1)).tolist() == [2.0, 2.0, 2.0]
        assert add(np.ones((2, 1)), np.ones((1, 2))).shape == (2, 2)
        assert add({"a": 1}["a"], 2) == 3


def test_an_int_is_a_float_where_one_is_declared() -> None:
    @lms.stage
    def mean(a: Rep[f64], b: Rep[f64] = 4.0):
        return (a + b) / 2.0

    assert [mean(1.0, 2.0), mean(1, 2.0), mean(1, b=2), mean(2)] == [1.5, 1.5, 1.5, 3.0]
    with natively():
        assert [mean(1.0, 2.0), mean(1, 2.0), mean(1, b=2), mean(2)] == [1.5, 1.5, 1.5, 3.0]
        assert mean(np.float64(1.0), 2) == 1.5
        assert mean(2**62, 0) == 2.0**61
    assert mean(True, 1) == 1.0
    with pytest.raises((OverflowError, TypeError)):
        mean(10**400, 1)


FACTOR = 2.0


def test_what_the_program_read_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    @lms.stage
    def scaled(p):
        return [p["x"] * FACTOR]

    p = {"x": np.ones(2)}
    assert scaled(p)[0].tolist() == [2.0, 2.0]
    with natively():
        assert scaled(p)[0].tolist() == [2.0, 2.0]
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    assert scaled(p)[0].tolist() == [3.0, 3.0]
    monkeypatch.setitem(globals(), "FACTOR", 2.0)
    assert scaled(p)[0].tolist() == [2.0, 2.0]


DATA = np.arange(3.0)
WEIGHTS: list[float] = [1, 2.5]
DEPTHS = (("a", 2), ("b", True))


def test_what_the_program_captures_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Captured arrays are inputs, by reference; captured lists and tuples are looked into at every call."""
    @lms.stage
    def total(p):
        out = p["x"] * DATA
        for w in WEIGHTS:
            out = out * w
        return (out + len(DEPTHS) + DEPTHS[0][1]).sum()

    def expected() -> float:
        return float((2.0 * DATA * np.prod(WEIGHTS) + 4).sum())

    def agrees() -> None:
        assert total({"x": 2.0}) == expected()
        with natively():
            assert total({"x": 2.0}) == total(p={"x": 2.0}) == expected()

    monkeypatch.setitem(globals(), "DATA", DATA.copy())
    monkeypatch.setitem(globals(), "WEIGHTS", [1, 2.5])
    agrees()
    DATA[1] = 7.0
    agrees()
    for size in (5, 4, 3):
        monkeypatch.setitem(globals(), "DATA", np.arange(float(size)))
        agrees()
    for change in (lambda: WEIGHTS.append(0.5), lambda: WEIGHTS.__setitem__(0, 3), WEIGHTS.pop, WEIGHTS.reverse):
        change()
        agrees()
    monkeypatch.setitem(globals(), "WEIGHTS", (2, 2.5))
    agrees()
    with pytest.raises(TypeError, match="too many positional arguments"):
        total({"x": 2.0}, DATA)


def test_a_captured_array_that_is_replaced_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    @lms.stage
    def total(x):
        return x * DATA.sum()

    for k in range(12):
        monkeypatch.setitem(globals(), "DATA", np.ones(k + 2))
        assert [total(2.0) for _ in range(3)] == [2.0 * (k + 2)] * 3
    monkeypatch.setitem(globals(), "DATA", np.ones(3, np.float32))
    assert total(2.0) == 6.0


def test_methods_and_many_kinds_of_call() -> None:
    class Model:
        @lms.stage
        def scaled(self, x: Rep[f64], n: int):
            return x * n

    @lms.stage
    def power(x: Rep[f64], n: int):
        y = 1.0
        for _ in range(n):
            y = y * x
        return y

    model = Model()
    assert [model.scaled(2.0, 3) for _ in range(3)] == [6.0] * 3
    with pytest.warns(lms.SpecializationWarning):
        assert [power(2.0, n) for n in range(40)] == [2.0**n for n in range(40)]
    assert [power(2.0, n) for n in range(40)] == [2.0**n for n in range(40)]


def test_errors_of_native_calls_are_those_of_python() -> None:
    @lms.stage
    def at(p, i: Rep[lms.i64]):
        return p["x"][i]

    p = {"x": np.arange(3.0)}
    assert at(p, 1) == 1.0
    with natively(), pytest.raises(IndexError, match=r"test_fronts\.py:\d+: index 3 is out of bounds"):
        at(p, 3)
    with pytest.raises(TypeError, match="missing a required argument: 'i'"):
        at(p)  # on purpose
    with pytest.raises(TypeError):
        at(p, "1")
    with pytest.raises(KeyError):
        at({"y": np.arange(3.0)}, 1)
    assert at(p, 2) == 2.0


def test_arrays_of_declared_sizes() -> None:
    @lms.stage
    def dot(x: Rep[Array[f64, "n"]], y: Rep[Array[f64, "n"]]):
        return (x @ y,)

    assert dot(np.ones(3), np.ones(3)) == (3.0,)
    with natively():
        assert dot(np.ones(4), y=np.ones(4)) == (4.0,)
    assert dot(np.ones(1), np.ones(1)) == (1.0,)
    with pytest.raises(ValueError, match="size 2"):
        dot(np.ones(3), np.ones(2))
