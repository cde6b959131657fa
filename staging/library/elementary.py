"""The functions of each element, under NumPy's names: on NumPy values they run now, on staged values later.

Shapes broadcast, ints become floats where the function needs it, and the result has the operands' element type.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lms.core import primitives as p
from lms.core.lazy import special
from lms.core.primitives import Primitive

from ..joins import promote
from ..rep import Rep, lift
from ..table import stages
from . import elementwise as e

_s = p.scalar


def _function(name: str, op: Primitive, eager: Callable[..., Any], *same: Callable[..., Any],
              kinds: str = "f") -> Callable[..., Any]:
    def staged(x: Any, /) -> Any:
        return e.apply(op, x, kinds=kinds)

    staged.__name__ = staged.__qualname__ = name
    staged.__doc__ = f"`{name}` of each element."
    return stages(eager, *same)(staged)


def _pair(name: str, op: Primitive, eager: Callable[..., Any], *same: Callable[..., Any], kinds: str = "f") -> Callable[..., Any]:
    def staged(x: Any, y: Any, /) -> Any:
        return e.apply(op, x, y, kinds=kinds)

    staged.__name__ = staged.__qualname__ = name
    staged.__doc__ = f"`{name}` of each pair of elements."
    return stages(eager, *same)(staged)


def _comparison(name: str, op: Primitive, eager: Callable[..., Any], kinds: str = "biuf") -> Callable[..., Any]:
    def staged(x: Any, y: Any, /) -> Any:
        return e.compare(op, x, y, kinds)

    staged.__name__ = staged.__qualname__ = name
    staged.__doc__ = f"`{name}` of each pair of elements."
    return stages(eager)(staged)


sqrt = _function("sqrt", _s.sqrt, np.sqrt, math.sqrt, kinds="fc")
cbrt = _function("cbrt", _s.cbrt, np.cbrt, *([math.cbrt] if hasattr(math, "cbrt") else []))
exp = _function("exp", _s.exp, np.exp, math.exp, kinds="fc")
exp2 = _function("exp2", _s.exp2, np.exp2, *([math.exp2] if hasattr(math, "exp2") else []))
expm1 = _function("expm1", _s.expm1, np.expm1, math.expm1)
log2 = _function("log2", _s.log2, np.log2, math.log2)
log10 = _function("log10", _s.log10, np.log10, math.log10)
log1p = _function("log1p", _s.log1p, np.log1p, math.log1p)
sin = _function("sin", _s.sin, np.sin, math.sin, kinds="fc")
cos = _function("cos", _s.cos, np.cos, math.cos, kinds="fc")
tan = _function("tan", _s.tan, np.tan, math.tan)
asin = arcsin = _function("asin", _s.asin, np.arcsin, math.asin)
acos = arccos = _function("acos", _s.acos, np.arccos, math.acos)
atan = arctan = _function("atan", _s.atan, np.arctan, math.atan)
sinh = _function("sinh", _s.sinh, np.sinh, math.sinh)
cosh = _function("cosh", _s.cosh, np.cosh, math.cosh)
tanh = _function("tanh", _s.tanh, np.tanh, math.tanh)
asinh = arcsinh = _function("asinh", _s.asinh, np.arcsinh, math.asinh)
acosh = arccosh = _function("acosh", _s.acosh, np.arccosh, math.acosh)
atanh = arctanh = _function("atanh", _s.atanh, np.arctanh, math.atanh)
erf = _function("erf", _s.erf, special.erf, math.erf)
erfc = _function("erfc", _s.erfc, special.erfc, math.erfc)
lgamma = _function("lgamma", _s.lgamma, special.gammaln, math.lgamma, special.loggamma)
digamma = _function("digamma", _s.digamma, special.digamma)
isnan = _function("isnan", _s.isnan, np.isnan, math.isnan, kinds="fc")
isinf = _function("isinf", _s.isinf, np.isinf, math.isinf, kinds="fc")
isfinite = _function("isfinite", _s.isfinite, np.isfinite, math.isfinite, kinds="fc")
signbit = _function("signbit", _s.signbit, np.signbit)

atan2 = arctan2 = _pair("atan2", _s.atan2, np.arctan2, math.atan2)
hypot = _pair("hypot", _s.hypot, np.hypot)
copysign = _pair("copysign", _s.copysign, np.copysign, math.copysign)
minimum = _pair("minimum", _s.minimum, np.minimum, kinds="biuf")
maximum = _pair("maximum", _s.maximum, np.maximum, kinds="biuf")
less = _comparison("less", _s.lt, np.less)
less_equal = _comparison("less_equal", _s.le, np.less_equal)
greater = _comparison("greater", _s.gt, np.greater)
greater_equal = _comparison("greater_equal", _s.ge, np.greater_equal)
equal = _comparison("equal", _s.eq, np.equal, kinds="biufc")
not_equal = _comparison("not_equal", _s.ne, np.not_equal, kinds="biufc")
bitwise_and = _pair("bitwise_and", _s.and_, np.bitwise_and, kinds="biu")
bitwise_or = _pair("bitwise_or", _s.or_, np.bitwise_or, kinds="biu")
bitwise_xor = _pair("bitwise_xor", _s.xor, np.bitwise_xor, kinds="biu")


# ------------------------------------------------------------------------------------------- arithmetic


@stages(np.add)
def add(x: Any, y: Any, /) -> Any:
    """`x + y`."""
    return e.arithmetic(_s.add, _s.or_, x, y)


@stages(np.subtract)
def subtract(x: Any, y: Any, /) -> Any:
    """`x - y`."""
    return e.arithmetic(_s.sub, None, x, y)


@stages(np.multiply)
def multiply(x: Any, y: Any, /) -> Any:
    """`x * y`."""
    return e.arithmetic(_s.mul, _s.and_, x, y)


@stages(np.divide)
def divide(x: Any, y: Any, /) -> Any:
    """`x / y`, a float also for ints. Raises `ZeroDivisionError` for single ints only."""
    return e.divide(x, y)


@stages(np.floor_divide)
def floor_divide(x: Any, y: Any, /) -> Any:
    """`x // y`, rounded down. Raises `ZeroDivisionError` for ints."""
    return e.floor_divide(x, y)


@stages(np.remainder)
def remainder(x: Any, y: Any, /) -> Any:
    """`x % y`, with the sign of `y`. Raises `ZeroDivisionError` for ints."""
    return e.remainder(x, y)


@stages(np.fmod, math.fmod)
def fmod(x: Any, y: Any, /) -> Any:
    """The remainder of `x / y` rounded towards zero, with the sign of `x`."""
    return e.fmod(x, y)


@stages(np.power)
def power(x: Any, y: Any, /) -> Any:
    """`x ** y`."""
    return e.power(x, y)


@stages(math.pow)
def float_power(x: Any, y: Any, /) -> Any:
    """`x ** y` in floats."""
    return e.apply(_s.pow, x, y, kinds="fc")


@stages(np.left_shift)
def left_shift(x: Any, y: Any, /) -> Any:
    """`x << y`. Raises `ValueError` for a negative count."""
    return e.shift(_s.shl, x, y)


@stages(np.right_shift)
def right_shift(x: Any, y: Any, /) -> Any:
    """`x >> y`. Raises `ValueError` for a negative count."""
    return e.shift(_s.shr, x, y)


@stages(np.negative)
def negative(x: Any, /) -> Any:
    """`-x`."""
    return e.negative(x)


@stages(np.positive)
def positive(x: Any, /) -> Any:
    """`+x`."""
    return e.anew(x)


@stages(np.invert)
def invert(x: Any, /) -> Any:
    """`~x`: each bit the other way; for bools, not."""
    return e.apply(_s.not_, x, kinds="biu")


@stages(np.abs)
def abs(x: Any, /) -> Any:
    """The magnitude of each element."""
    return e.absolute(x)


@stages(np.fabs, math.fabs)
def fabs(x: Any, /) -> Any:
    """The magnitude of each element, a float."""
    return e.apply(_s.abs, x, kinds="f")


@stages(np.floor)
def floor(x: Any, /) -> Any:
    """The nearest whole number below, in the same type."""
    return e.rounded(_s.floor, x)


@stages(np.ceil)
def ceil(x: Any, /) -> Any:
    """The nearest whole number above, in the same type."""
    return e.rounded(_s.ceil, x)


@stages(np.trunc, np.fix)
def trunc(x: Any, /) -> Any:
    """Without the fraction."""
    return e.rounded(_s.trunc, x)


@stages(np.rint)
def rint(x: Any, /) -> Any:
    """The nearest whole number, halves to even."""
    return e.rounded(_s.rint, x)


@stages(np.sign)
def sign(x: Any, /) -> Any:
    """-1, 0 or 1, in the same type."""
    return e.apply(_s.minimum, x, 1, kinds="iu") if promote(x).kind == "u" else e.apply(_s.sign, x, kinds="if")


@stages(np.square)
def square(x: Any, /) -> Any:
    """`x * x`."""
    return multiply(x, x)


@stages(np.reciprocal)
def reciprocal(x: Any, /) -> Any:
    """`1 / x`."""
    return e.divide(1.0, x)


# ------------------------------------------------------------------------------- logic, selection, complex


@stages(np.logical_and)
def logical_and(x: Any, y: Any, /) -> Any:
    """Whether both are true."""
    return e.apply(_s.and_, e.truth(x), e.truth(y), kinds="b")


@stages(np.logical_or)
def logical_or(x: Any, y: Any, /) -> Any:
    """Whether one is true."""
    return e.apply(_s.or_, e.truth(x), e.truth(y), kinds="b")


@stages(np.logical_xor)
def logical_xor(x: Any, y: Any, /) -> Any:
    """Whether exactly one is true."""
    return e.apply(_s.xor, e.truth(x), e.truth(y), kinds="b")


@stages(np.logical_not)
def logical_not(x: Any, /) -> Any:
    """Whether it is false."""
    return e.apply(_s.not_, e.truth(x), kinds="b")


@stages(np.where)
def where(condition: Any, x: Any = None, y: Any = None, /) -> Any:
    """`x` where the condition holds, else `y`; both are evaluated. Shapes broadcast. Without these, `nonzero(condition)`."""
    if x is None and y is None:
        from .shaping import nonzero

        return nonzero(condition)
    return e.select(condition, x, y)


@stages(np.clip)
def clip(x: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    """`x` kept between two bounds, either of which may be None. At a bound the derivative is that of `x`."""
    low, high = a_min if min is None else min, a_max if max is None else max
    if low is not None:
        x = e.select(e.apply(_s.lt, x, low, kinds="biuf"), low, x)
    return x if high is None else e.select(e.apply(_s.gt, x, high, kinds="biuf"), high, x)


@stages(np.real)
def real(x: Any, /) -> Any:
    """The real part."""
    return e.apply(_s.real, x, kinds="c") if promote(x).is_complex else lift(x)


@stages(np.imag)
def imag(x: Any, /) -> Any:
    """The imaginary part, zero for real numbers."""
    from .creation import zeros_like

    return e.apply(_s.imag, x, kinds="c") if promote(x).is_complex else zeros_like(x)


@stages(np.conjugate)
def conj(x: Any, /) -> Any:
    """The complex conjugate."""
    return e.apply(_s.conj, x, kinds="c") if promote(x).is_complex else e.anew(x)


def _stop_gradient(x: Any) -> Any:
    return x


@stages(_stop_gradient)
def stop_gradient(x: Any, /) -> Any:
    """`x`, taken for a constant by `grad`.

        lms.grad(lambda x: x * lms.stop_gradient(x))(3.0)       # 3.0
    """
    return e.apply(_s.stop_gradient, x, kinds="biufc")


# ----------------------------------------------------------------------------------- stable compositions


@stages(np.log, math.log)
def log(x: Any, base: Any = None, /) -> Any:
    """The natural logarithm; or to a base, as in `math.log`."""
    if base is None:
        return e.apply(_s.log, x, kinds="fc")
    divisor = e.apply(_s.log, base, kinds="fc") if isinstance(base, Rep) else math.log(base)
    return e.divide(e.apply(_s.log, x, kinds="fc"), divisor)


@stages(np.deg2rad, np.radians, math.radians)
def radians(x: Any, /) -> Any:
    """Degrees in radians."""
    return multiply(x, math.pi / 180.0)


@stages(np.rad2deg, np.degrees, math.degrees)
def degrees(x: Any, /) -> Any:
    """Radians in degrees."""
    return multiply(x, 180.0 / math.pi)


@stages(np.logaddexp)
def logaddexp(x: Any, y: Any, /) -> Any:
    """`log(exp(x) + exp(y))`, without overflow."""
    both = logical_and(isinf(x), equal(x, y))
    d = where(both, 0.0, subtract(x, y))
    up = greater_equal(d, 0.0)
    sum_ = add(where(up, x, y), log1p(exp(where(up, negative(d), d))))
    return where(both, add(multiply(x, 0.5), multiply(y, 0.5)), sum_)


@stages(lambda x: np.logaddexp(x, 0.0))
def softplus(x: Any, /) -> Any:
    """`log(1 + exp(x))`, without overflow."""
    up = greater_equal(x, 0.0)
    return add(where(up, x, 0.0), log1p(exp(where(up, negative(x), x))))


@stages(special.expit)
def sigmoid(x: Any, /) -> Any:
    """`1 / (1 + exp(-x))`, without overflow.

        lms.sigmoid(0.0)        # 0.5
    """
    up = greater_equal(x, 0.0)
    small = exp(where(up, negative(x), x))
    return divide(where(up, 1.0, small), add(1.0, small))


@stages(lambda x: np.maximum(x, 0.0))
def relu(x: Any, /) -> Any:
    """`x` where it is positive, else 0. At 0 its derivative is 0.

        lms.relu(np.array([-1.0, 2.0]))     # [0.0, 2.0]
    """
    return where(less_equal(x, 0.0), 0.0, x)


@stages(special.xlogy)
def xlogy(x: Any, y: Any, /) -> Any:
    """`x * log(y)`, zero where `x` is. Where both are, so are the derivatives."""
    zero = logical_and(equal(x, 0), logical_not(logical_or(isnan(y), logical_and(greater(y, 0.0), isfinite(y)))))
    return where(zero, 0.0, multiply(x, log(where(zero, 1.0, y))))


@stages(special.xlog1py)
def xlog1py(x: Any, y: Any, /) -> Any:
    """`x * log1p(y)`, zero where `x` is. Where `1 + y` is too, so are the derivatives."""
    zero = logical_and(equal(x, 0), logical_not(logical_or(isnan(y), logical_and(greater(y, -1.0), isfinite(y)))))
    return where(zero, 0.0, multiply(x, log1p(where(zero, 0.0, y))))


def astype(x: Any, dtype: Any, /) -> Any:
    """The elements in another type; a fresh array."""
    from ..annotations import scalar_type

    return e.cast(x, scalar_type(dtype)) if isinstance(x, Rep) else np.asarray(x).astype(scalar_type(dtype).dtype)[()]


@stages(np.isclose)
def isclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8) -> Any:
    """Whether `|a - b| <= atol + rtol * |b|`, or both are equal."""
    near = less_equal(abs(subtract(a, b)), add(atol, multiply(rtol, abs(b))))
    return logical_or(equal(a, b), logical_and(near, less(abs(b), math.inf)))


