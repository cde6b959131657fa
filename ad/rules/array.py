"""Rules of whole-array operations. A cotangent is a fresh array of the operand's shape, never written to."""

from __future__ import annotations

import math
from typing import Any

from lms.core import primitives as p
from lms.core.types import i64

from ..continuations import Steps, derivative, tangent
from .apply import constant, dims, emit, full, function, sizes, stretch, where

_a = p.array

# --------------------------------------------------------------------------------------------- shape


@derivative(_a.broadcast)
def _broadcast(x: Any, *n: Any, dims: Any, axes: tuple[int, ...]) -> Steps:
    dz = yield emit(_a.broadcast, x, *n, dims=dims, axes=axes)
    return (_unbroadcast(dz, x, dims, axes), *[None] * len(n))


def _unbroadcast(dz: Any, x: Any, to: Any, axes: tuple[int, ...]) -> Any:
    """The sum over the axes along which `x` was repeated."""
    stretched = tuple(axis for axis, size in zip(axes, dims(x), strict=True) if size == 1 and to[axis] != 1)
    summed = tuple(k for k in range(len(to)) if k not in axes or k in stretched)
    total = emit(_a.reduce_sum, dz, axes=summed) if summed else dz
    if not stretched:
        return total
    kept = tuple(k for k, axis in enumerate(axes) if axis not in stretched)
    return stretch(total, x, kept)


@derivative(_a.copy)
def _copy(x: Any) -> Steps:
    dz = yield emit(_a.copy, x)
    return (dz,)


@derivative(_a.transpose)
def _transpose(x: Any, perm: tuple[int, ...]) -> Steps:
    dz = yield emit(_a.transpose, x, perm=perm)
    return (emit(_a.copy, emit(_a.transpose, dz, perm=tuple(perm.index(k) for k in range(len(perm))))),)


@derivative(_a.reshape)
def _reshape(x: Any, *n: Any, dims: Any) -> Steps:
    dz = yield emit(_a.reshape, x, *n, dims=dims)
    return (_shaped(dz, x), *[None] * len(n))


@derivative(_a.view)
def _view(x: Any, *n: Any, spec: Any, dims: Any) -> Steps:
    """A view of the whole array: axes of size 1 are added, sizes are named anew. Other views are memory."""
    dz = yield emit(_a.view, x, *n, spec=spec, dims=dims)
    return (_shaped(dz, x), *[None] * len(n))


def _shaped(dz: Any, x: Any) -> Any:
    return emit(_a.reshape, dz, *sizes(x), dims=dims(x))


@derivative(_a.concatenate)
def _concatenate(*xs: Any, axis: int, dims: Any) -> Steps:
    dz = yield emit(_a.concatenate, *xs, axis=axis, dims=dims)
    start = constant(0)
    parts = []
    for x in xs:
        parts.append(emit(_a.copy, _part(dz, x, axis, start)))
        start = start + sizes(x)[axis]
    return tuple(parts)


def _part(dz: Any, x: Any, axis: int, start: Any) -> Any:
    spec = tuple(("slice", 1) if k == axis else ("all",) for k in range(len(dims(x))))
    return emit(_a.view, dz, start, sizes(x)[axis], spec=spec, dims=dims(x))


# ------------------------------------------------------------------------------ reduction and contraction


@derivative(_a.reduce_sum)
def _reduce_sum(x: Any, axes: tuple[int, ...]) -> Steps:
    dz = yield emit(_a.reduce_sum, x, axes=axes)
    return (stretch(dz, x, _kept(x, axes)),)


def _kept(x: Any, axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(k for k in range(len(dims(x))) if k not in axes)


@derivative(_a.logsumexp)
def _logsumexp(x: Any, axes: tuple[int, ...]) -> Steps:
    """Each element has its share of the sum. Where that is infinite all goes to what is, where it is zero nothing to any."""
    top, kept = emit(p.scalar.stop_gradient, emit(_a.reduce_max, x, axes=axes)), _kept(x, axes)
    far = function(p.scalar.isinf)(top)
    apart = x - stretch(where(far, 0.0, top), x, kept)
    terms = emit(p.scalar.exp, function(p.scalar.minimum)(apart, 1.0))  # more than 0 is infinite
    total = emit(_a.reduce_sum, terms, axes=axes)
    dz = yield where(far, top, emit(p.scalar.log, total) + top)
    each = stretch(where(far, 0.0, 1.0 / total), x, kept)
    return (where(terms > 1.0, 1.0, terms * each) * stretch(dz, x, kept),)


@tangent(_a.logsumexp)
def _logsumexp_forward(results: Any, operands: Any, dots: Any, axes: tuple[int, ...]) -> Any:
    (z,), (x,), kept = results, operands, _kept(operands[0], axes)
    far = function(p.scalar.isinf)(z)
    apart = function(p.scalar.minimum)(x - stretch(where(far, 0.0, z), x, kept), 1.0)
    share = emit(p.scalar.exp, apart) * stretch(where(far, full(z, 0.0), 1.0), x, kept)
    return (emit(_a.reduce_sum, dots[0] * where(x == math.inf, 1.0, share), axes=axes),)


@derivative(_a.reduce_max)
def _reduce_max(x: Any, axes: tuple[int, ...]) -> Steps:
    """The first of equal largest gets all, as in the loop one would write."""
    xs, zs = _one_by_one(_a.reduce_max, x, axes)
    dz = yield zs[-1]
    return (_to_first(dz, xs, zs, axes),)


@derivative(_a.reduce_min)
def _reduce_min(x: Any, axes: tuple[int, ...]) -> Steps:
    xs, zs = _one_by_one(_a.reduce_min, x, axes)
    dz = yield zs[-1]
    return (_to_first(dz, xs, zs, axes),)


def _one_by_one(op: p.Primitive, x: Any, axes: tuple[int, ...]) -> tuple[list[Any], list[Any]]:
    """Reduce the last axis first, so that "first" means row-major order; what went in and what came out of each step."""
    xs, zs = [], [x]
    for axis in reversed(axes):
        xs.append(zs[-1])
        zs.append(emit(op, zs[-1], axes=(axis,)))
    return xs, zs


_or, _equal, _isnan = function(p.scalar.or_), function(p.scalar.eq), function(p.scalar.isnan)


def _to_first(dz: Any, xs: list[Any], zs: list[Any], axes: tuple[int, ...]) -> Any:
    """The cotangent at the first element of each row that is the result: a nan, where there is one."""
    for x, z, axis in zip(reversed(xs), reversed(zs), axes, strict=False):
        kept = _kept(x, (axis,))
        n = sizes(x)[axis]
        count = stretch(emit(_a.iota, n, dims=(dims(x)[axis],), dtype=i64), x, (axis,))
        first = emit(_a.argmax, _or(_equal(x, stretch(z, x, kept)), _isnan(x)), axis=axis)
        dz = where(count == stretch(first, x, kept), stretch(dz, x, kept), full(dz, 0.0, x))
    return dz


@derivative(_a.cumsum)
def _cumsum(x: Any, axis: int) -> Steps:
    dz = yield emit(_a.cumsum, x, axis=axis)
    return (emit(_a.copy, _flip(emit(_a.cumsum, _flip(dz, axis), axis=axis), axis)),)


def _flip(x: Any, axis: int) -> Any:
    spec = tuple(("slice", -1) if k == axis else ("all",) for k in range(len(dims(x))))
    n = sizes(x)[axis]
    return emit(_a.view, x, n - 1, n, spec=spec, dims=dims(x))


@derivative(_a.contract)
def _contract(x: Any, y: Any, spec: tuple[str, str, str]) -> Steps:
    left, right, out = spec
    dz = yield emit(_a.contract, x, y, spec=spec)
    return _uncontract(dz, y, x, (out, right, left)), _uncontract(dz, x, y, (out, left, right))


def _uncontract(dz: Any, y: Any, x: Any, spec: tuple[str, str, str]) -> Any:
    """The cotangent of `x`: contract that of the result with the other operand; repeat along what `x` alone summed over."""
    out, other, mine = spec
    reached = "".join(c for c in mine if c in out or c in other)
    if out:
        total = emit(_a.contract, dz, y, spec=(out, other, reached))
    else:
        alone = tuple(k for k, c in enumerate(other) if c not in mine)
        rest = "".join(c for c in other if c in mine)
        total = emit(_a.reduce_sum, y, axes=alone) if alone else y
        if rest and rest != reached:
            total = emit(_a.copy, emit(_a.transpose, total, perm=tuple(rest.index(c) for c in reached)))
        total = total * stretch(dz, total, ())
    return total if reached == mine else stretch(total, x, tuple(mine.index(c) for c in reached))


