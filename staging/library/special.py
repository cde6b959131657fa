"""Functions of mathematics that are made of others: the rest of `math` and `scipy.special`."""

from __future__ import annotations

import math
from typing import Any

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.errors import StagingTypeError, here
from lms.core.lazy import special
from lms.core.types import f64, i64

from ..control.loops import fori_loop, while_loop
from ..joins import describe, promote
from ..rep import Rep
from ..table import stages
from . import arrays
from . import elementary as el
from . import elementwise as e
from .creation import asarray, zeros

_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)


@stages(special.gamma)
def gamma(x: Any, /) -> Any:
    """The gamma function of each element: inf at 0, NaN at negative whole numbers."""
    return e.apply(p.scalar.gamma, x, kinds="f")


@stages(math.gamma)
def _math_gamma(x: Any, /) -> Any:
    """As Python's: a pole is a `ValueError`, a result that is too large an `OverflowError`."""
    pole = el.logical_and(el.less_equal(x, 0.0), el.equal(x, el.floor(x)))
    e.check(el.logical_not(pole), "ValueError", "math domain error")
    out = gamma(x)
    e.check(el.logical_or(el.isfinite(out), el.logical_not(el.isfinite(x))), "OverflowError", "math range error")
    return out


@stages(special.polygamma)
def polygamma(n: Any, x: Any) -> Any:
    """The derivative of `digamma` of the whole order `n`, known now; from order 2 on NaN for what is not positive."""
    if isinstance(n, Rep) or int(n) != n or n < 0:
        raise StagingTypeError(f"polygamma: the order is a whole number that is known now, found {describe(n)}", here())
    if n < 2:
        return e.apply(p.scalar.trigamma, x, kinds="f") if n else el.digamma(x)
    return higher_polygamma(int(n), x)


def higher_polygamma(order: int, x: Any) -> Any:
    """A few terms of the sum, and an asymptotic series for the rest; of staged values and of others.

    It is made of products and quotients, so it has derivatives. Source: Abramowitz and Stegun, 6.4.10 and 6.4.11.
    """
    shift, step = 14 + order, math.factorial(order)
    total = sum(_power(1.0 / (x + float(k)), order + 1) for k in range(shift))
    inverse = 1.0 / (x + float(shift))
    part = _power(inverse, order)
    total = total + part * (1.0 / order) + part * inverse * 0.5
    for k, bernoulli in enumerate(_BERNOULLI, 1):
        part = part * (inverse * inverse)
        total = total + part * (bernoulli * math.factorial(2 * k + order - 1) / (math.factorial(2 * k) * step))
    return el.where(x > 0.0, total * float(step if order % 2 else -step), math.nan)


def _power(x: Any, n: int) -> Any:
    out = x
    for _ in range(n - 1):
        out = out * x
    return out


@stages(special.erfinv)
def erfinv(x: Any, /) -> Any:
    """The `y` with `erf(y) == x`: infinite at -1 and 1, NaN beyond.

    A guess (Winitzki, 2008), improved by Halley's steps. What follows them is two of Newton's, which are differentiated: the
    first makes the derivative right, the second that of the derivative.
    """
    x = e.apply(p.scalar.mul, x, 1.0, kinds="f")
    size = el.stop_gradient(el.abs(x))
    inside = el.less(size, 1.0)
    s = el.where(inside, size, 0.5)
    log, middle = el.log1p(-s * s), 2.0 / (math.pi * 0.147)
    half = middle + 0.5 * log
    y = el.sqrt(el.maximum(el.sqrt(half * half - log / 0.147) - half, 0.0))
    for _ in range(3):
        step = _distance(y, s) / (2.0 / math.sqrt(math.pi) * el.exp(-y * y))
        y = y - step / (1.0 + y * step)
    y = el.stop_gradient(y)
    side = el.copysign(1.0, el.stop_gradient(x))
    z = el.where(inside, x * side, 0.5)
    for _ in range(2):
        y = y - _distance(y, z) / (2.0 / math.sqrt(math.pi) * el.exp(-y * y))
    edge = el.where(el.equal(size, 1.0), 1.0 / (1.0 - x * side), math.nan)
    return side * el.where(inside, y, edge)


def _distance(y: Any, s: Any) -> Any:
    """`erf(y) - s`, where that is small beside 1 from the other end."""
    return el.where(el.greater(s, 0.5), (1.0 - s) - el.erfc(y), el.erf(y) - s)


@stages(math.remainder)
def remainder(x: Any, y: Any, /) -> Any:
    """`x` less the nearest multiple of `y`, of two equally near the even one; exact. Raises `ValueError` as Python does."""
    bad = el.logical_or(el.isinf(x), el.equal(y, 0.0))
    nan = el.logical_or(el.isnan(x), el.isnan(y))
    e.check(el.logical_or(nan, el.logical_not(bad)), "ValueError", "math domain error")
    size, step = el.fabs(x), el.fabs(y)
    part = el.fmod(size, step)
    rest = step - part
    even = part - 2.0 * el.fmod(0.5 * (size - part), step)
    found = el.where(el.less(part, rest), part, el.where(el.greater(part, rest), -rest, even))
    return el.where(el.isinf(y), x, el.copysign(1.0, x) * found)


@stages(math.factorial)
def factorial(n: Any, /) -> Any:
    """The product of the whole numbers up to `n`, an `i64`. Raises `ValueError` below 0, `OverflowError` above 20."""
    if not promote(n).is_int or (isinstance(n, Rep) and n.ndim):
        raise StagingTypeError(f"factorial: expected an int, found {describe(n)}", here())
    n = el.astype(n, i64)
    e.check(el.greater_equal(n, 0), "ValueError", "factorial() not defined for negative values")
    e.check(el.less_equal(n, 20), "OverflowError", "{}! does not fit in i64", n)
    return fori_loop(1, n + 1, lambda k, product: product * k, 1)


MOST = 64  # parts without common digits that a sum of doubles can have: 2098 bits in pieces of 53 are 40


@stages(math.fsum)
def fsum(xs: Any, /) -> Any:
    """The sum of a vector or a list, rounded once. Raises `ValueError` for inf and -inf, `OverflowError` for what is no float.

    Source: J. R. Shewchuk, Adaptive precision floating-point arithmetic (1997); CPython's `math_fsum`.
    """
    x = el.astype(asarray(xs), f64)
    if not x.ndim:
        raise StagingTypeError(f"fsum: expected several numbers, found {describe(xs)}", here())
    still = el.stop_gradient(x)
    finite = el.isfinite(still)
    infinite = arrays.sum(el.where(el.isinf(still), still, 0.0))
    e.check(el.logical_not(el.isnan(infinite)), "ValueError", "-inf + inf in fsum")
    found = _rounded(*_parts_of(el.where(finite, still, 0.0)))
    e.check(el.isfinite(found), "OverflowError", "intermediate overflow in fsum")
    plain = arrays.sum(x)  # its derivatives are those of the sum
    moved = el.where(el.isfinite(plain), el.subtract(plain, el.stop_gradient(plain)), 0.0)
    return el.where(arrays.all(finite), el.add(found, moved), el.stop_gradient(arrays.sum(el.where(finite, 0.0, still))))


def _parts_of(x: Rep) -> tuple[Rep, Rep]:
    """The exact sum as numbers without common digits, the least first, and how many they are."""
    parts = zeros(MOST)

    def add(k: Rep, count: Rep) -> Any:
        def combine(j: Rep, state: tuple[Rep, Rep]) -> tuple[Any, Any]:
            v, kept = state
            w = parts[j]
            swapped = el.less(el.abs(v), el.abs(w))
            large, small = el.where(swapped, w, v), el.where(swapped, v, w)
            high = el.add(large, small)
            low = el.where(el.isfinite(high), el.subtract(small, el.subtract(high, large)), 0.0)
            parts[kept] = low
            return high, el.add(kept, el.astype(el.not_equal(low, 0.0), i64))

        last, kept = fori_loop(0, count, combine, (x[k], Rep(current().const(0))))
        parts[kept] = last
        return el.add(kept, 1)

    return parts, fori_loop(0, x.shape[0], add, Rep(current().const(0)))


def _rounded(parts: Rep, count: Rep) -> Any:
    """The sum of such parts, rounded once: half to even, whatever comes below."""
    n = el.maximum(el.subtract(count, 1), 0)

    def exact(state: tuple[Rep, Rep, Rep]) -> Any:
        _, low, n = state
        return el.logical_and(el.greater(n, 0), el.equal(low, 0.0))

    def add(state: tuple[Rep, Rep, Rep]) -> tuple[Any, ...]:
        high, _, n = state
        w = parts[el.subtract(n, 1)]
        both = el.add(high, w)
        return both, el.subtract(w, el.subtract(both, high)), el.subtract(n, 1)

    high, low, n = while_loop(exact, add, (parts[n], Rep(current().const(0.0, f64)), n))
    below = el.where(el.greater(n, 0), parts[el.maximum(el.subtract(n, 1), 0)], 0.0)
    twice = el.multiply(low, 2.0)
    away = el.add(high, twice)
    halfway = el.logical_and(el.greater(el.multiply(el.sign(low), el.sign(below)), 0.0), el.equal(twice, el.subtract(away, high)))
    return el.where(halfway, away, high)
