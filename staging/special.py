"""Functions of mathematics that are made of others: the rest of `math` and `scipy.special`."""

from __future__ import annotations

import math
from typing import Any

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.errors import StagingTypeError, here
from lms.core.lazy import special
from lms.core.types import i64

from . import elementary as el
from . import elementwise as e
from .joins import describe, promote
from .loops import fori_loop
from .rep import Rep
from .table import stages

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


@stages(math.fsum)
def fsum(xs: Any, /) -> Any:
    """The sum of a vector or a list as if with twice the digits: what an addition rounds off is added up as well.

    Source: A. Neumaier, Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen (1974).
    """

    def add(state: tuple[Any, Any], v: Any) -> tuple[Any, Any]:
        total, lost = state
        new = total + v
        more = el.greater_equal(el.abs(total), el.abs(v))
        return new, lost + el.where(more, (total - new) + v, (v - new) + total)

    zero = Rep(current().const(0.0, e.admit(promote(*xs) if isinstance(xs, list | tuple) else promote(xs), "f")))
    state: Any = zero, zero
    if isinstance(xs, list | tuple):
        for x in xs:
            state = add(state, zero + x)
    else:
        state = fori_loop(0, xs.shape[0], lambda k, state: add(state, zero + xs[k]), state)
    return state[0] + state[1]


__all__ = ["erfinv", "factorial", "fsum", "gamma", "polygamma", "remainder"]
