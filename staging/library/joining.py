"""Arrays put together, in a row along an axis they have, or along a new one; taken apart again; and given a margin.

Where a sequence of arrays is wanted, one array is taken for the sequence of its rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.errors import ShapeError, StagingTypeError, here
from lms.core.ir import Value
from lms.core.types import affine

from ..joins import promote
from ..rep import Rep, convert
from ..shapes import array_type, rename, require_equal
from ..table import stages
from .arrays import one_axis
from .creation import asarray, copy, full
from .elementwise import check
from .shaping import atleast_1d, expand_dims, moveaxis, ravel, reshape


@stages(np.concatenate)
def concatenate(arrays: Sequence[Any], axis: Any = 0) -> Any:
    """Arrays in a row along one axis."""
    if isinstance(arrays, Rep):
        return _rows_along(arrays, axis)
    xs = [asarray(x) for x in arrays]
    if not xs:
        raise StagingTypeError("concatenate: no arrays", here())
    if axis is None:
        xs, axis = [ravel(x) for x in xs], 0
    kind = promote(*xs)
    if any_scalar(xs):
        raise StagingTypeError("concatenate: numbers have no axes", here(), fix="use `np.stack` or `np.array`")
    k = one_axis(xs[0], axis)
    first = convert(xs[0].value, kind)
    values = [first]
    for x in xs[1:]:
        v = convert(x.value, kind)
        if array_type(v).rank != array_type(first).rank:
            raise ShapeError(f"concatenate: {xs[0].type} and {x.type} differ in rank", here())
        for n in range(array_type(v).rank):
            if n != k:
                require_equal(first, n, v, n, "concatenate: shapes do not fit")
        values.append(rename(v, [d if n == k else array_type(first).dims[n] for n, d in enumerate(array_type(v).dims)]))
    size = affine([(1, array_type(v).dims[k]) for v in values])
    dims = tuple(size if n == k else d for n, d in enumerate(array_type(first).dims))
    return Rep(current().emit1(p.array.concatenate, *values, axis=k, dims=dims))


def _rows_along(x: Rep, axis: Any) -> Any:
    """The rows of one array, joined along an axis that they have."""
    if x.ndim < 2:
        raise StagingTypeError("concatenate: numbers have no axes", here(), fix="the array itself is what `np.stack` would give")
    x = _some(x, "concatenate")
    if axis is None:
        return copy(ravel(x))
    k = one_axis(x[0], axis)
    sizes = moveaxis(x, 0, k).shape
    return copy(reshape(moveaxis(x, 0, k), (*sizes[:k], sizes[k] * sizes[k + 1], *sizes[k + 2:])))


def _some(x: Rep, what: str) -> Rep:
    """The array, if it has rows. Raises `ValueError` later, or now where the number is known."""
    n = array_type(x.value).dims[0]
    if n == 0:
        raise ShapeError(f"{what}: no arrays", here())
    if not isinstance(n, int):
        check(x.shape[0] > 0, "ValueError", f"{what}: no arrays")
    return x


def any_scalar(xs: Sequence[Rep]) -> bool:
    return not min(x.ndim for x in xs)


@stages(np.stack)
def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Arrays or numbers of one shape along a new axis."""
    if isinstance(arrays, Rep):
        return copy(moveaxis(_some(arrays, "stack"), 0, axis))
    xs = [asarray(x) for x in arrays]
    kind = promote(*xs)
    if xs and not any(x.ndim for x in xs):
        return _vector([convert(x.value, kind) for x in xs])
    k = one_axis(xs[0], axis, xs[0].ndim + 1)
    return concatenate([expand_dims(x, k) for x in xs], k)


def _vector(values: Sequence[Value]) -> Rep:
    """Numbers as an array."""
    b = current()
    n = len(values)
    out = b.emit1(p.array.empty, b.const(n), dims=(n,), dtype=values[0].type)
    for k, v in enumerate(values):
        b.emit(p.array.store, out, v, b.const(k))
    return Rep(out)


@stages(np.vstack)
def vstack(arrays: Sequence[Any]) -> Any:
    """Arrays one below the other; vectors are rows."""
    if isinstance(arrays, Rep):
        return stack(arrays if arrays.ndim > 1 else expand_dims(arrays, 1)) if arrays.ndim < 3 else concatenate(arrays)
    return concatenate([x if x.ndim > 1 else expand_dims(atleast_1d(x), 0) for x in map(asarray, arrays)], 0)


@stages(np.hstack)
def hstack(arrays: Sequence[Any]) -> Any:
    """Arrays side by side."""
    if isinstance(arrays, Rep):
        return copy(_some(arrays, "hstack")) if arrays.ndim == 1 else concatenate(arrays, 0 if arrays.ndim == 2 else 1)
    xs = [atleast_1d(x) for x in arrays]
    return concatenate(xs, 0 if xs[0].ndim == 1 else 1)


@stages(np.column_stack)
def column_stack(arrays: Sequence[Any]) -> Any:
    """Vectors as the columns of a matrix."""
    if isinstance(arrays, Rep):
        return stack(expand_dims(arrays, 1) if arrays.ndim == 1 else arrays, 1) if arrays.ndim < 3 else concatenate(arrays, 1)
    return concatenate([x if x.ndim > 1 else expand_dims(x, 1) for x in map(asarray, arrays)], 1)


@stages(np.append)
def append(x: Any, values: Any, axis: Any = None) -> Any:
    """A fresh array with more at its end."""
    return concatenate([atleast_1d(x), atleast_1d(values)], axis)


# -------------------------------------------------------------------------------------- taken apart, widened


@stages(np.split)
def split(x: Any, parts: Any, axis: int = 0) -> list[Any]:
    """Views of an array's parts along an axis: so many of one size, or those between some places."""
    x = asarray(x)
    k = one_axis(x, axis)
    n = x.shape[k]
    if isinstance(parts, int):
        if isinstance(n, Rep):
            check(n % parts == 0, "ValueError", "split: an array split does not result in an equal division")
        elif n % parts:
            raise ShapeError("split: an array split does not result in an equal division", here())
        places: list[Any] = [j * (n // parts) for j in range(parts + 1)]
    else:
        places = [0, *parts, n]
    return [x[(*[slice(None)] * k, slice(a, b))] for a, b in itertools.pairwise(places)]


@stages(np.pad)
def pad(x: Any, width: Any, mode: str = "constant", *, constant_values: Any = 0) -> Any:
    """The array with a margin, `width` wide: one number, a pair, or a pair for each axis; of one number, or like its edge."""
    x = asarray(x)
    if mode not in ("constant", "edge") or isinstance(constant_values, list | tuple):
        raise StagingTypeError(f"pad: the mode {mode!r} cannot be staged, or a number for each side", here(),
                               fix='`mode="edge"`, or one number; else put it together with `np.concatenate`')
    for k, (before, after) in enumerate(np.broadcast_to(np.asarray(width), (x.ndim, 2)).tolist()):
        parts = [_margin(x, k, before, 0, mode, constant_values), x, _margin(x, k, after, -1, mode, constant_values)]
        x = concatenate([part for part in parts if part is not None], k)
    return x


def _margin(x: Rep, k: int, width: int, edge: int, mode: str, value: Any) -> Any:
    if not width:
        return None
    if mode == "constant":
        return full(tuple(width if j == k else n for j, n in enumerate(x.shape)), value, dtype=x.dtype)
    row = x[(*[slice(None)] * k, slice(0, 1) if edge == 0 else slice(-1, None))]
    return concatenate([row] * width, k)
