"""Our own mathematical functions: within 4 ulp of the truth, right at the edges, the same bits in vectors and alone."""

import ctypes
from functools import cache
from typing import Any

import numpy as np
import pytest

from lms.backends.llvm import jit, support, vecmath
from lms.backends.llvm.vecmath import LIBRARY, POLYNOMIALS
from lms.core.types import Scalar, f32, f64

LD = np.longdouble
TINY = {32: 2.0**-126, 64: 2.0**-1022}
NUMPY: dict[str, Any] = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p,
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh,
    "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "cbrt": np.cbrt,
}
RANGES: dict[str, list[tuple[float, float]]] = {
    "exp": [(-1e-3, 1e-3), (-2, 2), (-700, 700), (-87, 88)], "exp2": [(-2, 2), (-100, 100)],
    "expm1": [(-1e-6, 1e-6), (-0.5, 0.5), (-40, 80)], "log": [(0.5, 2), (0.99, 1.01), (1e-30, 1e30)],
    "log2": [(0.5, 2), (1e-3, 1e3)],
    "log10": [(0.5, 2), (1e-3, 1e3)], "log1p": [(-1e-6, 1e-6), (-0.5, 1), (-0.999, 1e6)],
    "sin": [(-1, 1), (-100, 100), (-6e4, 6e4), (-1e6, 1e6)], "cos": [(-1, 1), (-100, 100), (-6e4, 6e4), (-1e6, 1e6)],
    "tan": [(-1.5, 1.5), (-100, 100)], "asin": [(-1, 1)], "acos": [(-1, 1)], "atan": [(-5, 5)], "sinh": [(-5, 5)],
    "cosh": [(-5, 5)],
    "tanh": [(-1e-3, 1e-3), (-1, 1), (-20, 20)], "asinh": [(-5, 5)], "acosh": [(1, 50)], "atanh": [(-0.99, 0.99)],
    "cbrt": [(-50, 50)],
}
OURS = POLYNOMIALS.keys() | LIBRARY.keys()
FLOATS = pytest.mark.parametrize("scalar", [f64, f32], ids=str)


@cache
def compiled(op: str, scalar: Scalar) -> Any:
    """The function over an array: a loop that LLVM vectorises; over one element it is scalar code."""
    name, t = vecmath.symbol(op, scalar), "double" if scalar is f64 else "float"
    text = f"""
define void @apply(ptr noalias %from, ptr noalias %to, i64 %n) {{
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  %p = getelementptr {t}, ptr %from, i64 %i
  %x = load {t}, ptr %p
  %y = call {t} @{name}({t} %x)
  %q = getelementptr {t}, ptr %to, i64 %i
  store {t} %y, ptr %q
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %out
out:
  ret void
}}
""" + vecmath.define([name])
    module = jit.optimise(text)
    code = jit.link(jit.object_code(module), ["apply"], support.resolve)
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(code["apply"])

    def apply(x: Any) -> Any:
        assert code  # the code lives as long as this function
        x = np.ascontiguousarray(x, scalar.dtype)
        y = np.empty_like(x)
        call(x.ctypes.data, y.ctypes.data, x.size)
        return y

    apply.text = str(module)
    return apply


def ulps(found: Any, truth: Any) -> Any:
    """The distance from the truth (of longer precision), in units of the last place of the nearest representable number."""
    nearest = truth.astype(found.dtype)
    error = np.abs(found.astype(LD) - truth) / np.spacing(np.abs(nearest)).astype(LD)
    return np.where(found == nearest, 0, error)


@FLOATS
@pytest.mark.parametrize("op", sorted(RANGES))
def test_error_is_at_most_4_ulp(op: str, scalar: Scalar) -> None:
    rng = np.random.default_rng(7)
    for low, high in RANGES[op]:
        x = rng.uniform(low, high, 20_000).astype(scalar.dtype)
        with np.errstate(all="ignore"):
            truth = NUMPY[op](x.astype(LD if scalar is f64 else np.float64))
            good = np.isfinite(truth.astype(scalar.dtype)) & (np.abs(truth) > TINY[scalar.bits])
        worst = ulps(compiled(op, scalar)(x)[good], truth[good].astype(LD)).max()
        assert worst <= 4, f"{op} on [{low}, {high}]: {worst:.2f} ulp"


EDGES = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 5e-324, -5e-324, 1e-310, 2.2250738585072014e-308, 1e-45, 1.1754944e-38,
         88.0, 88.72, 88.73, 89.0, 103.9, -87.3, -103.0, -103.9, -104.1, -150.0,
         709.0, 709.78, 709.79, 710.0, 711.0, -708.0, -744.0,
         -745.1, -745.2, -746.0, -800.0, 1e5, 65536.0, 65537.0, 1e10, 1e22, 1e300, -1e300, 1.7976931348623157e308, 3.4e38,
         2.0**30, 2.0**30 + 1, -2.0**45, 0.5, -0.5, -1.5, 22.0, 23.0, np.pi, np.pi / 2, 355.0, 1 - 2.0**-53, 1 + 2.0**-52]


@FLOATS
@pytest.mark.parametrize("op", sorted(OURS & NUMPY.keys()))
def test_edges_are_those_of_numpy(op: str, scalar: Scalar) -> None:
    with np.errstate(all="ignore"):
        x = np.array(EDGES).astype(scalar.dtype)
        expected = NUMPY[op](x.astype(LD if scalar is f64 else np.float64)).astype(scalar.dtype)
        step = np.spacing(np.abs(expected))
    found = compiled(op, scalar)(x)
    with np.errstate(all="ignore"):
        near = np.abs(found - expected) <= 4 * step
    same = (found == expected) & (np.signbit(found) == np.signbit(expected))
    wrong = ~(near & (expected != 0) | same | (np.isnan(found) & np.isnan(expected)))
    assert not wrong.any(), list(zip(x[wrong], found[wrong], expected[wrong], strict=True))


@FLOATS
@pytest.mark.parametrize("op", sorted(OURS))
def test_bits_do_not_depend_on_position_or_length(op: str, scalar: Scalar) -> None:
    x = np.concatenate([np.random.default_rng(3).uniform(0.01, 40, 250), [1e-300, 1e5, 3e9, 1e300]])
    with np.errstate(over="ignore"):
        x = x.astype(scalar.dtype)
    whole = compiled(op, scalar)(x)
    alone = np.array([compiled(op, scalar)(x[k:k + 1])[0] for k in range(x.size)])
    assert (whole.view(f"u{scalar.bits // 8}") == alone.view(f"u{scalar.bits // 8}")).all()


@FLOATS
@pytest.mark.parametrize("op", sorted(OURS))
def test_loops_over_polynomials_vectorise(op: str, scalar: Scalar) -> None:
    assert "llvm.loop.isvectorized" in compiled(op, scalar).text


@pytest.mark.parametrize("op", sorted(OURS))
def test_nothing_is_left_to_fast_math(op: str) -> None:
    text = vecmath.define([vecmath.symbol(op, f64)])
    assert not any(flag in text.split() for flag in ("fast", "reassoc", "contract", "nnan", "ninf", "arcp", "afn"))


def test_trigamma_and_what_is_not_in_the_table() -> None:
    from scipy import special

    x = np.concatenate([np.linspace(0.01, 30, 500), np.linspace(-5.7, -0.1, 77)])
    np.testing.assert_allclose(compiled("trigamma", f64)(x), special.polygamma(1, x), rtol=2e-14)
    with pytest.raises(KeyError):
        vecmath.symbol("add", f64)
