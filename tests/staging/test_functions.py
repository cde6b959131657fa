"""Arguments, specialisation, staged calls, recursion, containers."""

from __future__ import annotations

import dataclasses
import enum
import math
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from scipy import special

import lms
from lms import Array, Mut, Rep, Static, f32, f64, i64
from tests.support.specializations import specializations

if TYPE_CHECKING:
    from numpy.typing import NDArray


# ------------------------------------------------------------------------------------------- annotations


def test_ordinary_annotations_say_when():
    @lms.stage
    def simulate(x: np.ndarray, dt: float, steps: int):
        for _ in range(steps):
            x = x + dt * x
        return x

    np.testing.assert_allclose(simulate(np.ones(2), 0.5, 3), 1.5**3 * np.ones(2))
    simulate(np.ones(7), 0.25, 3)
    assert specializations(simulate) == 1
    simulate(np.ones(2), 0.5, 4)
    assert specializations(simulate) == 2


def test_unannotated_numbers_and_arrays_are_staged():
    @lms.stage
    def f(x, n, flag, name):
        return x * n if name == "a" else x

    assert f(2.0, 3, True, "a") == 6.0
    assert f(3.0, 4, False, "a") == 12.0
    assert specializations(f) == 1
    assert f(3.0, 4, False, "b") == 3.0
    assert specializations(f) == 2


def test_names_local_to_the_enclosing_function_resolve():
    n = lms.dims("n")

    @lms.stage
    def f(x: Rep[Array[f64, n]], y: Rep[Array[f64, n]]):
        return x + y

    with pytest.raises(ValueError, match="axis 0 of argument y of f has size 3"):
        f(np.ones(2), np.ones(3))


def test_an_annotation_for_type_checkers_only_says_nothing():
    @lms.stage
    def f(x: NDArray[np.float64]):
        return x + 1

    np.testing.assert_array_equal(f(np.zeros(2)), [1, 1])


def test_static_makes_anything_static():
    @lms.stage
    def f(x, w: Static[float]):
        return x * w

    assert f(2.0, 3.0) == 6.0 and f(2.0, 4.0) == 8.0
    assert specializations(f) == 2
    assert f(1.0, 0.0) == 0.0
    assert np.signbit(f(1.0, -0.0))


def test_rep_makes_ints_and_bools_staged():
    @lms.stage
    def f(n: Rep[i64], flag: Rep[lms.bool_]):
        return lms.where(flag, n, -n)

    assert [f(3, True), f(4, False)] == [3, -4]
    assert specializations(f) == 1


class Mode(enum.Enum):
    UP = 1
    DOWN = 2


@dataclasses.dataclass(frozen=True)
class Config:
    layers: int
    name: str


@dataclasses.dataclass
class Params:
    w: np.ndarray
    b: float
    steps: int = 2


class Point(NamedTuple):
    x: float
    y: float


def test_configuration_is_static():
    @lms.stage
    def f(x, config: Config, mode: Mode, sizes: tuple[int, ...], g):
        for _ in range(config.layers * sizes[0]):
            x = g(x)
        return x if mode is Mode.UP else -x

    assert f(1.0, Config(2, "a"), Mode.UP, (1, 2), lambda x: x * 2) == 4.0
    assert f(1.0, Config(1, "a"), Mode.DOWN, (2, 2), lambda x: x * 3) == -9.0


def test_dataclasses_of_arrays_travel_as_parameters():
    @lms.stage
    def f(p: Params) -> Params:
        for _ in range(p.steps):
            p = Params(p.w * p.b, p.b + 1, p.steps)
        return p

    out = f(Params(np.ones(2), 2.0))
    assert isinstance(out, Params) and out.b == 4.0 and out.steps == 2
    np.testing.assert_array_equal(out.w, [6, 6])


def test_any_container_in_and_out():
    @lms.stage
    def f(p):
        return {"sum": p["a"][0] + p["a"][1], "point": Point(p["q"].y, p["q"].x), "none": None, "t": (1, [p["s"]])}

    out = f({"a": [1.0, 2], "q": Point(3.0, 4.0), "s": "text"})
    assert out == {"sum": 3.0, "point": Point(4.0, 3.0), "none": None, "t": (1, ["text"])}


def test_defaults_and_keywords():
    @lms.stage
    def f(x, y: float = 2.0, *rest, scale: int = 1, **more):
        out = (x + y) * scale
        for r in rest:
            out = out + r
        return out + more.get("z", 0.0)

    assert f(1.0) == 3.0
    assert f(1.0, scale=2) == 6.0
    assert f(1.0, 2.0, 3.0, 4.0, z=5.0) == 15.0


def test_results_are_python_numbers_and_fresh_arrays():
    @lms.stage
    def f(x, n: Rep[i64], y: Rep[f32], a):
        return x, n, x > 1, y, a

    a = np.arange(3.0)
    x, n, b, y, c = f(2.0, 3, 1.5, a)
    assert (type(x), type(n), type(b), type(y)) == (float, int, bool, np.float32)
    assert c is not a and not np.shares_memory(a, c)
    np.testing.assert_array_equal(a, c)


# ----------------------------------------------------------------------------------------- what is refused


def refused(error: type[Exception], f: Any, *args: Any, said: str) -> str:
    with pytest.raises(error) as e:
        f(*args)
    text = str(e.value)
    assert said in text, text
    assert __file__ in text and "^" in text, text
    return text


def test_static_arguments_are_hashable():
    @lms.stage
    def f(x, sizes: Static[list]):
        return x

    refused(TypeError, f, 1.0, [1, 2], said="sizes is known now (static)")


def test_wrong_dtype_rank_and_size():
    @lms.stage
    def f(x: Rep[Array[f64, "n"]], y: Rep[Array[f64, "n"]]):
        return x + y

    a = np.ones(3)
    assert ".astype" in refused(TypeError, f, np.ones(3, np.float32), a, said="x is declared f64[n], found")
    refused(TypeError, f, np.ones((3, 3)), a, said="rank 1")
    refused(TypeError, f, [1.0, 2.0], a, said="np.asarray(x")
    refused(TypeError, f, 1.0, a, said="the float 1.0")
    with pytest.raises(ValueError, match="size 4"):
        f(a, np.ones(4))
    np.testing.assert_array_equal(f(a, a), 2 * a)


def test_a_wrong_number_of_arguments():
    f = lms.stage(lambda x: x)
    with pytest.raises(TypeError, match="too many positional arguments"):
        f(1.0, 2.0)


def test_ints_that_do_not_fit():
    f = lms.stage(lambda x: x)
    g = lms.stage(lambda x, n: x + n)

    def h(n: Rep[lms.u8]):
        return n + 300

    refused(lms.StagingError, lms.stage(h), 3, said="300 does not fit in u8")
    assert f(2**62) == 2**62 and g(1, 2) == 3


def test_an_object_array_is_refused():
    refused(TypeError, lms.stage(lambda x: x), np.array([object()]), said="an array of numbers or bools")


def test_many_specialisations_warn_once():
    @lms.stage
    def f(x, n: int):
        return x + n

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for n in range(40):
            f(1.0, n)
    assert [w.category for w in caught] == [lms.SpecializationWarning]
    assert "'n'" in str(caught[0].message) and "Rep[i64]" in str(caught[0].message)
    assert caught[0].filename == __file__


# --------------------------------------------------------------------------------------- calls, recursion


def test_recursion_on_static_arguments_unfolds():
    @lms.stage
    def power(b: Rep[f64], n: int) -> Rep[f64]:
        if n == 0:
            return 1.0
        return b * power(b, n - 1)

    assert power(2.0, 10) == 1024.0
    assert "while" not in power.specialize(n=3).ir


def test_recursion_on_staged_arguments_is_a_recursive_function():
    @lms.stage
    def fib(n: Rep[i64]) -> Rep[i64]:
        if n < 2:
            return n
        return fib(n - 1) + fib(n - 2)

    assert fib(15) == 610


def test_a_recursive_function_states_its_result_type():
    @lms.stage
    def f(n: Rep[i64]):
        if n < 2:
            return n
        return f(n - 1)

    refused(lms.StagingError, f, 3, said="result type")


def test_mutual_recursion():
    @lms.stage
    def even(n: Rep[i64]) -> Rep[lms.bool_]:
        if n == 0:
            return True
        return odd(n - 1)

    @lms.stage
    def odd(n: Rep[i64]) -> Rep[lms.bool_]:
        if n == 0:
            return False
        return even(n - 1)

    assert even(10) is True and even(7) is False


def test_recursion_on_smaller_arrays():
    @lms.stage
    def total(x: Rep[Array[f64, "n"]]) -> Rep[f64]:
        n = len(x)
        if n == 0:
            return 0.0
        if n == 1:
            return x[0]
        return total(x[: n // 2]) + total(x[n // 2:])

    assert total(np.arange(10.0)) == 45.0


def test_recursion_returns_arrays_of_its_arguments_size():
    @lms.stage
    def double(x: Rep[Array[f64, "n"]], k: Rep[i64]) -> Rep[Array[f64, "n"]]:
        if k == 0:
            return x
        return double(x * 2, k - 1)

    np.testing.assert_array_equal(double(np.ones(3), 4), 16 * np.ones(3))


def test_runaway_unfolding_is_an_error():
    @lms.stage
    def f(x: Rep[f64], n: int) -> Rep[f64]:
        return f(x, n + 1)

    with pytest.raises(lms.StagingError, match="deep"):
        f(1.0, 0)


def test_runaway_recursion_of_a_plain_function_is_an_error():
    def g(x):
        return g(x) + 1

    with pytest.raises(lms.StagingError, match="calls itself"):
        lms.stage(lambda x: g(x))(1.0)


# -------------------------------------------------------------------------------------------------- Mut


def test_mut_containers_and_overlap():
    @lms.stage
    def f(p: Mut[dict], x):
        p["a"][0] = x[0]

    p = {"a": np.zeros(2)}
    f(p, np.ones(2))
    assert p["a"][0] == 1.0
    with pytest.raises(ValueError, match="overlap"):
        f(p, p["a"])


def test_a_returned_argument_is_a_copy_unless_it_is_mut():
    a = np.zeros(3)
    assert lms.stage(lambda x: x)(a) is not a

    @lms.stage
    def f(x: Mut[Array[f64, "n"]]):
        return x

    assert f(a) is a


@pytest.mark.parametrize("x", [np.ma.masked_array([1.0, 2.0], [True, False]), np.zeros(2, np.float16), np.zeros(2, "M8[s]")])
def test_arrays_that_mean_something_else(x):
    refused(TypeError, lms.stage(lambda x: x), x, said="an array of numbers or bools")


def test_any_layout_and_byte_order():
    f, a = lms.stage(lambda x: x * 2), np.arange(6.0).reshape(2, 3)
    for x in (a, np.asfortranarray(a), a[::-1, ::2], np.broadcast_to(a[0], (2, 3)), a.astype(">f8"), a.T, np.zeros((0, 2))):
        np.testing.assert_array_equal(f(x), 2 * np.asarray(x, float))


def test_a_program_that_grows_without_end_is_an_error(monkeypatch):
    monkeypatch.setattr("lms.staging.tracer.NODE_BUDGET", 1000)

    def f(x):
        for _ in range(500):
            for _ in range(500):
                x = x * 1.5 + 1
        return x

    refused(lms.StagingError, lms.stage(f), 1.0, said="more than 1,000 operations")
    assert lms.stage(lambda x: x + 1)(1.0) == 2.0


def test_a_result_of_another_type_is_refused():
    def truncated(x: float) -> Rep[i64]:
        return x

    def typed(x: Rep[f64]) -> Rep[i64]:
        return x

    def promoted(n: Rep[i64]) -> Rep[f64]:
        return n

    def literal(x: float) -> Rep[f64]:
        return 1

    for f in (truncated, typed):
        with pytest.raises(TypeError, match="i64"):
            lms.stage(f)(1.5)
    with pytest.raises(TypeError, match="f64"):
        lms.stage(promoted)(1)
    assert type(lms.stage(literal)(2.0)) is float


@pytest.mark.parametrize("f, args, slope", [
    (np.sin, (0.0,), 1.0), (math.sin, (0.0,), 1.0), (lms.sin, (0.0,), 1.0), (math.hypot, (3.0, 4.0), 0.6), (abs, (-2.0,), -1.0),
    (np.arctan2, (0.0, 2.0), 0.5), (np.linalg.norm, (np.array([3.0, 4.0]),), [0.6, 0.8]), (sum, (np.ones(2),), [1.0, 1.0]),
    (special.gammaln, (2.0,), 1.0 - np.euler_gamma),
])
def test_functions_of_libraries_are_staged_and_differentiated(f, args, slope):
    np.testing.assert_allclose(lms.stage(f)(*args), f(*args))
    np.testing.assert_allclose(lms.grad(f)(*args), slope)
    np.testing.assert_allclose(lms.stage(lambda *xs: lms.grad(f)(*xs))(*args), slope)


@pytest.mark.parametrize("x, fix", [
    (3, "above a `def`"), (property(len), "below `@property`"), (classmethod(len), "below `@classmethod`"),
])
def test_what_is_no_function_is_not_staged(x, fix):
    with pytest.raises(lms.StagingError, match="a function is staged, found") as e:
        lms.stage(x)
    assert fix in str(e.value)


@pytest.mark.parametrize("f, what", [
    (lambda x: f"{x[0]}", "a text"), (lambda x: {"a": f"{x[0]}"}, "a text"), (lambda x: zip(x, x, strict=True), "an iterator"),
    (lambda x: enumerate(x), "an iterator"), (lambda x: range(len(x)), "an iterator"), (lambda x: map(abs, x), "an iterator"),
])
def test_texts_and_iterators_of_later_are_no_results(f, what):
    with pytest.raises(lms.StagingError, match=f"the result.* is {what}"):
        lms.stage(f)(np.ones(3))


def test_a_parameter_that_says_nothing_is_shown_where_it_is_defined():
    with pytest.raises(lms.StagingError, match="its annotation does not say what it is") as e:
        lms.stage(_product).specialize()
    assert "def _product(x, y):" in str(e.value) and "annotate it, `x: Rep[f64]`" in str(e.value)


def _product(x, y):
    return x * y
