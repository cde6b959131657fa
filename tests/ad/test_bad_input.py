"""What is asked of derivatives and cannot be: an error that names the argument and the line, never a wrong number."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lms
from lms import f64

ONES, TWO = np.ones(3), np.ones(2)


def of_python(x):
    return lms.py_call(math.sin, f64, x) * x


BAD: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "no number": (lambda: lms.grad(lambda x: x * 2)(ONES), TypeError, "result is one float; <lambda> gives f64"),
    "two numbers": (lambda: lms.grad(lambda x: (x, x))(1.0), TypeError, "gives f64, f64"),
    "an int": (lambda: lms.grad(lambda n: n * 2.0)(3), TypeError, "'n' of <lambda> holds no float to differentiate: it is i64"),
    "ints": (lambda: lms.grad(lambda n: n.sum())(np.arange(3)), TypeError, "'n' of <lambda> holds no float"),
    "text": (lambda: lms.grad(lambda x, mode: x, 1)(1.0, "a"), TypeError, "'mode' of <lambda> holds no float"),
    "no such argument": (lambda: lms.grad(lambda x: x, 2)(1.0), TypeError, "no argument 2: it takes x"),
    "no such name": (lambda: lms.jacobian(lambda x: x, "y")(1.0), TypeError, "no argument 'y': it takes x"),
    "argnums": (lambda: lms.grad(lambda x: x, 1.5)(1.0), TypeError, "`argnums` says which arguments.*found 1.5"),
    "no function": (lambda: lms.grad(3)(1.0), TypeError, "a function is differentiated, found 3"),
    "too few tangents": (lambda: lms.jvp(lambda x, y: x, (1.0, 2.0), (1.0,)), TypeError, "given 2 arguments and 1 tangents"),
    "a short tangent": (lambda: lms.jvp(lambda x: np.sum(x), (ONES,), (TWO,)), ValueError, "tangent of x .* shape.*2 and 3"),
    "a number's tangent": (lambda: lms.jvp(lambda x: x * 2, (1.0,), (ONES,)), TypeError, "the tangent of x is .*and x is f64"),
    "text as a tangent": (lambda: lms.jvp(lambda x: x, (1.0,), ("a",)), TypeError, "expected a number or an array, found .* str"),
    "an int's tangent": (lambda: lms.jvp(lambda x, n: x * n, (2.0, 3), (1.0, 1.0)), TypeError, "n is i64 and has no derivative"),
    "another dict": (lambda: lms.jvp(lambda p: p["a"], ({"a": 1.0},), ({"b": 1.0},)), TypeError, "'b', and p is a dict of 'a'"),
    "a short cotangent": (lambda: lms.vjp(lambda x: x * 2, ONES)[1](TWO), ValueError, "cotangent of the result of .*2 and 3"),
    "a number for an array": (lambda: lms.vjp(lambda x: x * 2, ONES)[1](1.0), TypeError, "cotangent of the result of .* is"),
    "half a cotangent": (lambda: lms.vjp(lambda x: (x * 2, x), 2.0)[1]((1.0,)), TypeError, "tuple of 0, and .* tuple of 0, 1"),
    "through Python": (lambda: lms.grad(of_python)(1.0), lms.StagingError, "Python's code is not seen"),
    "through Python, forward": (lambda: lms.jvp(of_python, (1.0,), (1.0,)), lms.StagingError, "py_call cannot be differentiated"),
    "a Hessian of an array": (lambda: lms.hessian(lambda x: x * 2)(ONES), TypeError, "result is one float"),
}


@pytest.mark.parametrize("name", BAD)
def test_error(name: str) -> None:
    call, kind, message = BAD[name]
    with pytest.raises(kind, match=message) as caught:
        call()
    source = inspect.getsourcelines(of_python if "Python" in name else call)[1]
    line = source + 1 if "Python" in name else source
    assert f"{__file__}:{line}:" in str(caught.value)


def test_none_does_not_move() -> None:
    assert lms.jvp(lambda x, y: np.sum(x) * y, (ONES, 2.0), (None, 1.0)) == (6.0, 3.0)
    np.testing.assert_array_equal(lms.vjp(lambda x: (x * 2, x * x), ONES)[1]((None, ONES))[0], 2 * ONES)
    assert lms.vjp(lambda x: {"u": x * x, "n": 3}, 2.0)[1]({"u": 1.0, "n": None}) == (4.0,)


def test_a_gradient_is_a_tangent() -> None:
    def f(p):
        return np.sum(p["w"] ** 2) * p["n"]

    p = {"w": ONES, "n": 3}
    assert lms.jvp(f, (p,), (lms.grad(f)(p),))[1] == 108.0


def test_a_tangent_of_another_precision() -> None:
    assert lms.jvp(lambda x: np.sum(x), (ONES,), (ONES.astype(np.float32),))[1] == 3.0
