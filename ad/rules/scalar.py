"""Rules of the elementwise operations. What stands before `yield` runs forward, what stands after it backward.

At points without a derivative: zero at kinks that are optima (`abs`, `hypot`), half each where `maximum` ties, infinite
where the function is vertical (`sqrt` at 0), and 0 for the exponent of `0 ** y`.
"""

from __future__ import annotations

import math
from typing import Any

from lms.core import primitives as p
from lms.staging.library.special import higher_polygamma

from ..continuations import Steps, derivative
from .apply import dtype, emit, function, where

_s = p.scalar
sqrt, exp, log, sin, cos, sinh, cosh = (function(op) for op in (_s.sqrt, _s.exp, _s.log, _s.sin, _s.cos, _s.sinh, _s.cosh))
hypot, copysign, floor, trunc, sign = (function(op) for op in (_s.hypot, _s.copysign, _s.floor, _s.trunc, _s.sign))
digamma, trigamma, power = function(_s.digamma), function(_s.trigamma), function(_s.pow)
_LN2, _LN10, _2_SQRTPI = math.log(2.0), math.log(10.0), 2.0 / math.sqrt(math.pi)

# ------------------------------------------------------------------------------------------- arithmetic


@derivative(_s.add)
def _add(x: Any, y: Any) -> Steps:
    dz = yield x + y
    return dz, dz


@derivative(_s.sub)
def _sub(x: Any, y: Any) -> Steps:
    dz = yield x - y
    return dz, -dz


@derivative(_s.mul)
def _mul(x: Any, y: Any) -> Steps:
    dz = yield x * y
    return dz * y, dz * x


@derivative(_s.div)
def _div(x: Any, y: Any) -> Steps:
    z = x / y
    dz = yield z
    none = dz == 0.0  # also where `y` is: what is not used has no derivative
    dx = dz / where(none, 1.0, y)
    return dx, where(none, 0.0, -dx * z)


@derivative(_s.neg)
def _neg(x: Any) -> Steps:
    dz = yield -x
    return (-dz,)


@derivative(_s.mod)
def _mod(x: Any, y: Any) -> Steps:
    dz = yield emit(_s.mod, x, y)
    return dz, -dz * floor(x / y)


@derivative(_s.rem)
def _rem(x: Any, y: Any) -> Steps:
    dz = yield emit(_s.rem, x, y)
    return dz, -dz * trunc(x / y)


@derivative(_s.pow)
def _pow(x: Any, y: Any) -> Steps:
    z = power(x, y)
    dz = yield z
    dx = where(y == 0.0, 0.0, dz * y * power(x, y - 1.0))
    flat = (x == 0.0) & (y >= 0.0)
    return dx, where(flat, 0.0, dz * z * log(where(flat, 1.0, x)))


@derivative(_s.abs)
def _abs(x: Any) -> Steps:
    dz = yield abs(x)
    return (dz * sign(x),)


@derivative(_s.minimum)
def _minimum(x: Any, y: Any) -> Steps:
    dz = yield function(_s.minimum)(x, y)
    half = 0.5 * dz
    return where(x == y, half, where(x < y, dz, 0.0)), where(x == y, half, where(y < x, dz, 0.0))


@derivative(_s.maximum)
def _maximum(x: Any, y: Any) -> Steps:
    dz = yield function(_s.maximum)(x, y)
    half = 0.5 * dz
    return where(x == y, half, where(x > y, dz, 0.0)), where(x == y, half, where(y > x, dz, 0.0))


@derivative(_s.copysign)
def _copysign(x: Any, y: Any) -> Steps:
    dz = yield copysign(x, y)
    return dz * sign(x) * copysign(1.0, y), None


@derivative(_s.select)
def _select(c: Any, x: Any, y: Any) -> Steps:
    dz = yield where(c, x, y)
    return None, where(c, dz, 0.0), where(c, 0.0, dz)


@derivative(_s.convert)
def _convert(x: Any, dtype: Any) -> Steps:
    z = emit(_s.convert, x, dtype=dtype)
    dz = yield z
    return (_back(dz, x),)


def _back(dz: Any, x: Any) -> Any:
    if not (dtype(x).is_float or dtype(x).is_complex):
        return None
    if dtype(dz).is_complex and dtype(x).is_float:
        dz = emit(_s.real, dz)
    return emit(_s.convert, dz, dtype=dtype(x))


# -------------------------------------------------------------------------- the functions of one float


@derivative(_s.sqrt)
def _sqrt(x: Any) -> Steps:
    z = sqrt(x)
    dz = yield z
    return (0.5 * dz / z,)


@derivative(_s.cbrt)
def _cbrt(x: Any) -> Steps:
    z = emit(_s.cbrt, x)
    dz = yield z
    return (dz / (3.0 * z * z),)


@derivative(_s.exp)
def _exp(x: Any) -> Steps:
    z = exp(x)
    dz = yield z
    return (dz * z,)


@derivative(_s.exp2)
def _exp2(x: Any) -> Steps:
    z = emit(_s.exp2, x)
    dz = yield z
    return (dz * z * _LN2,)


@derivative(_s.expm1)
def _expm1(x: Any) -> Steps:
    dz = yield emit(_s.expm1, x)
    return (dz * exp(x),)


@derivative(_s.log)
def _log(x: Any) -> Steps:
    dz = yield log(x)
    return (dz / x,)


@derivative(_s.log2)
def _log2(x: Any) -> Steps:
    dz = yield emit(_s.log2, x)
    return (dz / (x * _LN2),)


@derivative(_s.log10)
def _log10(x: Any) -> Steps:
    dz = yield emit(_s.log10, x)
    return (dz / (x * _LN10),)


@derivative(_s.log1p)
def _log1p(x: Any) -> Steps:
    dz = yield emit(_s.log1p, x)
    return (dz / (1.0 + x),)


@derivative(_s.sin)
def _sin(x: Any) -> Steps:
    dz = yield sin(x)
    return (dz * cos(x),)


@derivative(_s.cos)
def _cos(x: Any) -> Steps:
    dz = yield cos(x)
    return (-dz * sin(x),)


@derivative(_s.tan)
def _tan(x: Any) -> Steps:
    z = emit(_s.tan, x)
    dz = yield z
    return (dz * (1.0 + z * z),)


@derivative(_s.asin)
def _asin(x: Any) -> Steps:
    dz = yield emit(_s.asin, x)
    return (dz / sqrt((1.0 - x) * (1.0 + x)),)


@derivative(_s.acos)
def _acos(x: Any) -> Steps:
    dz = yield emit(_s.acos, x)
    return (-dz / sqrt((1.0 - x) * (1.0 + x)),)


@derivative(_s.atan)
def _atan(x: Any) -> Steps:
    dz = yield emit(_s.atan, x)
    return (dz / (1.0 + x * x),)


@derivative(_s.sinh)
def _sinh(x: Any) -> Steps:
    dz = yield sinh(x)
    return (dz * cosh(x),)


@derivative(_s.cosh)
def _cosh(x: Any) -> Steps:
    dz = yield cosh(x)
    return (dz * sinh(x),)


@derivative(_s.tanh)
def _tanh(x: Any) -> Steps:
    z = emit(_s.tanh, x)
    dz = yield z
    return (dz * (1.0 - z * z),)


@derivative(_s.asinh)
def _asinh(x: Any) -> Steps:
    dz = yield emit(_s.asinh, x)
    return (dz / hypot(x, 1.0),)


@derivative(_s.acosh)
def _acosh(x: Any) -> Steps:
    dz = yield emit(_s.acosh, x)
    return (dz / (sqrt(x - 1.0) * sqrt(x + 1.0)),)


@derivative(_s.atanh)
def _atanh(x: Any) -> Steps:
    dz = yield emit(_s.atanh, x)
    return (dz / ((1.0 - x) * (1.0 + x)),)


@derivative(_s.erf)
def _erf(x: Any) -> Steps:
    dz = yield emit(_s.erf, x)
    return (dz * (_2_SQRTPI * exp(-x * x)),)


@derivative(_s.erfc)
def _erfc(x: Any) -> Steps:
    dz = yield emit(_s.erfc, x)
    return (-dz * (_2_SQRTPI * exp(-x * x)),)


@derivative(_s.gamma)
def _gamma(x: Any) -> Steps:
    z = emit(_s.gamma, x)
    dz = yield z
    return (dz * z * digamma(x),)


@derivative(_s.lgamma)
def _lgamma(x: Any) -> Steps:
    dz = yield emit(_s.lgamma, x)
    return (dz * digamma(x),)


@derivative(_s.digamma)
def _digamma(x: Any) -> Steps:
    dz = yield digamma(x)
    return (dz * trigamma(x),)


@derivative(_s.trigamma)
def _trigamma(x: Any) -> Steps:
    dz = yield trigamma(x)
    return (dz * higher_polygamma(2, x),)


# --------------------------------------------------------------------------------- functions of two floats


@derivative(_s.atan2)
def _atan2(y: Any, x: Any) -> Steps:
    dz = yield emit(_s.atan2, y, x)
    r = hypot(x, y)
    scaled = dz / where(r == 0.0, 1.0, r)
    unit = where(r == 0.0, 1.0, r)
    return scaled * (x / unit), -scaled * (y / unit)


@derivative(_s.hypot)
def _hypot(x: Any, y: Any) -> Steps:
    z = hypot(x, y)
    dz = yield z
    u, v = _direction(x, y, z)
    return dz * u, dz * v


def _direction(x: Any, y: Any, z: Any) -> Any:
    """`x / z` and `y / z`, of length one; zero at the origin, along an axis where that is infinite."""
    far, none = function(_s.isinf)(z), z == 0.0
    whole = where(far | none, 1.0, z)

    def part(x: Any) -> Any:
        return where(far, where(function(_s.isinf)(x), sign(x), 0.0), where(none, 0.0, x / whole))

    return part(x), part(y)
