"""Whole-array functions under NumPy's names that are made of the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.errors import ShapeError, StagingTypeError, here
from lms.core.types import bool_, i64

from ..control.loops import fori_loop
from ..joins import describe, promote
from ..rep import Rep, convert
from ..shapes import array_type, rename
from ..table import stages
from . import arrays, joining, shaping
from . import elementary as el
from .creation import asarray, filled, iota
from .elementwise import check


def require(ok: Any, message: str) -> None:
    """What must hold of sizes: a `ShapeError` now, or a `ValueError` later."""
    if isinstance(ok, Rep):
        check(ok, "ValueError", message)
    elif not ok:
        raise ShapeError(message, here())


@stages(np.cumprod)
def cumprod(x: Any, axis: Any = None) -> Any:
    """The products of the elements so far."""
    x = arrays.summable(asarray(x))
    return accumulate(shaping.ravel(x) if axis is None else x, axis or 0, el.multiply)


def accumulate(x: Any, axis: Any, combine: Callable[[Any, Any], Any]) -> Rep:
    """What `combine` makes of the elements so far, along an axis: `ufunc.accumulate`."""
    x = asarray(x)
    k = arrays.one_axis(x, axis)
    out = Rep(current().emit1(p.array.copy, x.value))
    rows = shaping.moveaxis(out, k, 0) if k else out

    def step(i: Any, none: tuple[()]) -> tuple[()]:
        rows[i] = combine(rows[i - 1], rows[i])
        return none

    fori_loop(1, x.shape[k], step, ())
    return out


@stages(np.ix_)
def ix_(*xs: Any) -> Any:
    """Index arrays, each along an axis of its own: together they pick rows, columns, and so on."""
    out = []
    for k, x in enumerate(map(asarray, xs)):
        if x.ndim != 1:
            raise StagingTypeError(f"ix_ takes vectors, found {describe(x)}", here())
        flat = shaping.flatnonzero(x) if promote(x) == bool_ else x
        out.append(flat[(*[None] * k, slice(None), *[None] * (len(xs) - k - 1))])
    return tuple(out)


@stages(np.median)
def median(x: Any, axis: Any = None) -> Any:
    """The middle element in order, or the mean of the two in the middle. Raises `ValueError` for an empty array."""
    x = asarray(x)
    if axis is None:
        x, axis = shaping.ravel(x), 0
    k = arrays.one_axis(x, axis)
    arrays.not_empty(x, k, "median")
    ordered, n = shaping.sort(x, k), x.shape[k]
    middle = tuple((*[slice(None)] * k, at) for at in (el.floor_divide(el.subtract(n, 1), 2), el.floor_divide(n, 2)))
    out = el.multiply(el.add(ordered[middle[0]], ordered[middle[1]]), 0.5)
    return el.where(arrays.any(el.isnan(x), k), np.nan, out) if promote(x).is_float else out


@stages(np.searchsorted)
def searchsorted(a: Any, v: Any, side: str = "left") -> Any:
    """Where each element of `v` would go in the increasing vector `a`."""
    a, v = asarray(a), asarray(v)
    below = el.less if side == "left" else el.less_equal
    return arrays.sum(below(a, shaping.expand_dims(v, -1) if v.ndim else v), -1)


@stages(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None) -> Any:
    """The piecewise linear function through the points `(xp, fp)`, `xp` increasing; constant outside."""
    x, xp, fp = asarray(x), asarray(xp), asarray(fp)
    last = el.subtract(xp.shape[0], 1)
    require(el.greater_equal(last, 1), "interp needs two points or more")
    k = el.clip(el.subtract(searchsorted(xp, x, "right"), 1), 0, el.subtract(last, 1))
    x0, x1, y0, y1 = xp[k], xp[el.add(k, 1)], fp[k], fp[el.add(k, 1)]
    inside = el.add(y0, el.multiply(el.divide(el.subtract(y1, y0), el.subtract(x1, x0)), el.subtract(x, x0)))
    out = el.where(el.less(x, xp[0]), fp[0] if left is None else left, inside)
    return el.where(el.greater_equal(x, xp[-1]), el.where(el.equal(x, xp[-1]), fp[-1], fp[-1] if right is None else right), out)


@stages(getattr(np, "trapezoid", None) or getattr(np, "trapz"))  # noqa: B009  # the name before NumPy 2, unknown to its types
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The integral of sampled values by the trapezoidal rule."""
    y = asarray(y)
    k = arrays.one_axis(y, axis)
    after, before = (y[tuple(s if j == k else slice(None) for j in range(y.ndim))] for s in (slice(1, None), slice(None, -1)))
    width = dx
    if x is not None:
        x = asarray(x)
        width = shaping.diff(x, axis=k if x.ndim > 1 else 0)
        if x.ndim == 1:
            width = width[tuple(slice(None) if j == k else None for j in range(y.ndim))]
    return arrays.sum(el.multiply(width, el.multiply(el.add(after, before), 0.5)), k)


@stages(np.convolve)
def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """The discrete convolution of two vectors: `"full"`, `"same"` or `"valid"`."""
    a, v = asarray(a), asarray(v)
    if a.ndim != 1 or v.ndim != 1:
        raise ShapeError("convolve takes two vectors", here())
    b = current()
    n, m = a.shape[0], v.shape[0]
    kind = promote(a, v)
    out = filled(el.subtract(el.add(n, m), 1), b.const(0, kind))
    index = el.add(iota(n)[:, None], iota(m)[None, :])
    products = arrays.outer(a, v)
    shape = shaping.ravel(products)
    b.emit(p.array.add_at, out.value, convert(_named(shaping.ravel(index), shape).value, i64), convert(shape.value, kind), axis=0)
    if mode == "full":
        return out
    small, large = el.minimum(n, m), el.maximum(n, m)
    if mode == "valid":
        return out[el.subtract(small, 1):large]
    if mode != "same":
        raise StagingTypeError(f"convolve: mode {mode!r} is none of 'full', 'same' and 'valid'", here())
    start = el.floor_divide(el.subtract(small, 1), 2)
    return out[start:el.add(start, large)]


def _named(x: Rep, like: Rep) -> Rep:
    return Rep(rename(x.value, array_type(like.value).dims))


@stages(np.cross, *([np.linalg.cross] if hasattr(np.linalg, "cross") else []))  # since NumPy 2
def cross(a: Any, b: Any) -> Any:
    """The vector product of vectors of three, along the last axis."""
    a, b = asarray(a), asarray(b)
    for v in (a, b):
        require(el.equal(v.shape[-1], 3) if v.ndim else False, "cross takes vectors of three")
    x, y, z = (a[..., k] for k in range(3))
    u, v, w = (b[..., k] for k in range(3))
    parts = (y * w - z * v, z * u - x * w, x * v - y * u)
    return joining.stack(parts, axis=parts[0].ndim)


@stages(np.kron)
def kron(a: Any, b: Any) -> Any:
    """The Kronecker product of two matrices, or two vectors."""
    a, b = asarray(a), asarray(b)
    if a.ndim != b.ndim or a.ndim not in (1, 2):
        raise ShapeError("kron takes two vectors or two matrices", here())
    spec = ("i", "k", "ik") if a.ndim == 1 else ("ij", "kl", "ikjl")
    whole = arrays.contract(a, b, spec, "kron")
    return shaping.reshape(whole, tuple(el.multiply(m, n) for m, n in zip(a.shape, b.shape, strict=True)))


@stages(np.polyval)
def polyval(coefficients: Any, x: Any) -> Any:
    """A polynomial's value, the highest power first, by Horner's rule."""
    c, x = asarray(coefficients), asarray(x)
    start = el.multiply(el.add(x, c[0]), 0)
    n = c.shape[0]
    if not isinstance(n, int):
        return fori_loop(0, n, lambda k, y: el.add(el.multiply(y, x), c[k]), start)
    y = start
    for k in range(n):
        y = el.add(el.multiply(y, x), c[k])
    return y


@stages(np.gradient)
def gradient(x: Any, spacing: Any = 1.0, *, axis: int | None = None) -> Any:
    """Central differences along one axis, one-sided at its ends. Raises `ValueError` for an axis shorter than two."""
    x = asarray(x)
    if (axis is None and x.ndim != 1) or asarray(spacing).ndim:
        raise StagingTypeError("gradient takes one axis, and one spacing", here(), fix="name the axis, and call it once for each")
    k = 0 if axis is None else arrays.one_axis(x, axis)
    require(el.greater_equal(x.shape[k], 2), "gradient: an axis needs two elements or more")
    rows = shaping.moveaxis(x, k, 0)
    inner = el.divide(el.subtract(rows[2:], rows[:-2]), el.multiply(2.0, spacing))
    first, last = (el.divide(el.subtract(b, a), spacing) for a, b in ((rows[0:1], rows[1:2]), (rows[-2:-1], rows[-1:])))
    return shaping.moveaxis(joining.concatenate([first, inner, last]), 0, k)


@stages(np.select)
def select(conditions: Any, choices: Any, default: Any = 0) -> Any:
    """For each element, the first of some choices whose condition holds."""
    if len(conditions) != len(choices):
        raise ShapeError(f"select: {len(conditions)} conditions and {len(choices)} choices", here())
    out = default
    for condition, choice in zip(reversed(conditions), reversed(choices), strict=True):
        out = el.where(condition, choice, out)
    return out


@stages(np.heaviside)
def heaviside(x: Any, at_zero: Any) -> Any:
    """0 below zero, 1 above, `at_zero` between."""
    x = el.add(asarray(x), 0.0)
    return el.where(el.isnan(x), x, el.where(el.equal(x, 0.0), at_zero, el.astype(el.greater(x, 0.0), np.float64)))


@stages(np.vander)
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The powers of a vector's elements, as columns."""
    x = asarray(x)
    n = x.shape[0] if N is None else N
    if not isinstance(n, int):
        raise StagingTypeError("vander: the number of columns is known later", here(), fix="give it: `np.vander(x, 3)`")
    columns = [el.add(el.multiply(x, 0), 1)]
    for _ in range(n - 1):
        columns.append(el.multiply(columns[-1], x))
    return joining.stack(columns[:n] if increasing else columns[:n][::-1], 1)


@stages(np.angle)
def angle(x: Any, deg: bool = False) -> Any:
    """The angle of a complex number, in radians or degrees."""
    x = asarray(x)
    out = el.arctan2(el.imag(x), el.real(x))
    return el.degrees(out) if deg else out
