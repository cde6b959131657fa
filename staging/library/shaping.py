"""Whole-array functions under NumPy's names: other shapes, other orders, parts picked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lms.core import primitives as p
from lms.core.builder import current, size_expression
from lms.core.errors import ShapeError, StagingError, StagingTypeError, here
from lms.core.ir import Value
from lms.core.types import Size, element, i64

from ..rep import Rep, convert, size_arg
from ..shapes import array_type, rename, require_equal
from ..table import stages
from . import elementary as el
from .arrays import one_axis, sum
from .creation import asarray, filled, iota, sizes_of
from .elementwise import anew, check, constant
from .indexing import nonzero as _nonzero

# ------------------------------------------------------------------------------------------------ shapes


@stages(np.reshape)
def reshape(x: Any, shape: Any, order: str = "C", *, newshape: Any = None) -> Any:
    """The same elements in another shape, row by row, or column by column with `order="F"`; one size may be -1.

    Raises `ValueError` if they do not fit.
    """
    x = asarray(x)
    b = current()
    wanted = list(shape) if isinstance(shape, tuple | list) else [shape]
    if by_columns(order):
        return transpose(reshape(transpose(x), wanted[::-1]))
    total = size_arg(x.size)
    known = [k for k in wanted if not (isinstance(k, int) and k == -1)]
    others = size_arg(_product(known))
    if len(known) < len(wanted) - 1:
        raise ShapeError("reshape: only one size may be -1", here())
    if len(known) < len(wanted):
        wanted[_unknown(wanted)] = _quotient(x, total, others)
    values, dims = sizes_of(tuple(wanted))
    if len(wanted) == x.ndim == 1:
        dims = array_type(x.value).dims
    _same_count(x, total, size_arg(_product([Rep(v) for v in values])) if len(known) == len(wanted) else None, dims)
    source = x.value if x.ndim == 0 or array_type(x.value).layout == "C" else b.emit1(p.array.copy, x.value)
    if x.ndim == 0:
        return Rep(b.emit1(p.array.broadcast, source, *values, dims=dims, axes=()))
    return Rep(b.emit1(p.array.reshape, source, *values, dims=dims))


def by_columns(order: str) -> bool:
    """Whether an `order` of elements is that of Fortran. Raises `StagingError` for one that depends on the memory."""
    if order not in ("C", "F"):
        raise StagingError(f"order={order!r} depends on how an array lies in memory", here(), fix='write order="C" or order="F"')
    return order == "F"


def _unknown(wanted: Sequence[Any]) -> int:
    return next(k for k, n in enumerate(wanted) if isinstance(n, int) and n == -1)


def _product(sizes: Sequence[Any]) -> Any:
    n: Any = 1
    for k in sizes:
        n = k if isinstance(n, int) and n == 1 else n * k
    return n


def _quotient(x: Rep, total: Value, others: Value) -> Any:
    """The size that -1 stands for."""
    t, o = constant(Rep(total)), constant(Rep(others))
    if o == 1:
        return Rep(total)
    if t is not None and o is not None:
        if o <= 0 or t % o:
            raise ShapeError(f"cannot reshape {x.type}: its {t} elements are no multiple of {o}", here())
        return t // o
    fits = el.logical_and(el.greater(Rep(others), 0), el.equal(el.remainder(Rep(total), el.maximum(Rep(others), 1)), 0))
    check(fits, "ValueError", "cannot reshape: {} elements are no multiple of {}", Rep(total), Rep(others))
    return Rep(current().emit1(p.scalar.floordiv, total, el.maximum(Rep(others), 1).value))


def _same_count(x: Rep, total: Value, asked: Value | None, dims: Sequence[Size]) -> None:
    if asked is None or asked is total:
        return
    a, b = size_expression(total), size_expression(asked)
    if a is not None and a == b:
        return
    if isinstance(a, int) and isinstance(b, int):
        raise ShapeError(f"cannot reshape {x.type} to [{', '.join(map(str, dims))}]: {a} elements are not {b}", here())
    check(el.equal(Rep(total), Rep(asked)), "ValueError", "cannot reshape: {} elements do not fit a shape of {}",
          Rep(total), Rep(asked))


@stages(np.ravel)
def ravel(x: Any, order: str = "C") -> Any:
    """All elements in one row; the same memory where that is possible."""
    return reshape(x, -1, order) if asarray(x).ndim != 1 else asarray(x)


@stages(np.transpose)
def transpose(x: Any, axes: Any = None) -> Any:
    """A view with the axes in another order (reversed, by default)."""
    x = asarray(x)
    perm = tuple(reversed(range(x.ndim))) if axes is None else tuple(one_axis(x, k) for k in axes)
    return Rep(current().emit1(p.array.transpose, x.value, perm=perm)) if x.ndim > 1 else x


@stages(np.swapaxes)
def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """A view with two axes exchanged."""
    x = asarray(x)
    perm = list(range(x.ndim))
    i, j = one_axis(x, axis1), one_axis(x, axis2)
    perm[i], perm[j] = perm[j], perm[i]
    return transpose(x, perm)


@stages(np.moveaxis)
def moveaxis(x: Any, source: int, destination: int) -> Any:
    """A view with one axis moved."""
    x = asarray(x)
    perm = [k for k in range(x.ndim) if k != one_axis(x, source)]
    perm.insert(one_axis(x, destination), one_axis(x, source))
    return transpose(x, perm)


@stages(np.expand_dims)
def expand_dims(x: Any, axis: Any) -> Any:
    """A view with new axes of size 1."""
    x = asarray(x)
    given = axis if isinstance(axis, tuple | list) else (axis,)
    new = {one_axis(x, k, x.ndim + len(given)) for k in given}
    if not x.ndim:
        return reshape(x, (1,) * len(new))
    return x[tuple(None if k in new else slice(None) for k in range(x.ndim + len(new)))]


@stages(np.squeeze)
def squeeze(x: Any, axis: Any = None) -> Any:
    """A view without axes of size 1: all of them (sizes must be known), or those given. Raises `ValueError` for another size."""
    x = asarray(x)
    dims = array_type(x.value).dims if x.ndim else ()
    if axis is None and not all(isinstance(d, int) for d in dims):
        raise ShapeError(f"squeeze: the sizes of {x.type} are known later", here(), fix="say which axes: `squeeze(x, axis=0)`")
    given = [k for k, d in enumerate(dims) if d == 1] if axis is None else axis if isinstance(axis, tuple | list) else (axis,)
    gone = {one_axis(x, k) for k in given}
    for k in gone:
        if isinstance(dims[k], int) and dims[k] != 1:
            raise ShapeError(f"squeeze: axis {k} of {x.type} has not size 1", here())
        if not isinstance(dims[k], int):
            check(el.equal(x.shape[k], 1), "ValueError", "squeeze: the size is {}, not 1", x.shape[k])
    return x[tuple(0 if k in gone else slice(None) for k in range(x.ndim))] if gone else x


@stages(np.atleast_1d)
def atleast_1d(x: Any) -> Any:
    """`x` as an array of one axis or more."""
    x = asarray(x)
    return x if x.ndim else reshape(x, (1,))


@stages(np.flip)
def flip(x: Any, axis: Any = None) -> Any:
    """A view with the order along some axes reversed."""
    x = asarray(x)
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    turned = {one_axis(x, k) for k in axes}
    return x[tuple(slice(None, None, -1) if k in turned else slice(None) for k in range(x.ndim))]


# ------------------------------------------------------------------------------------ moved and repeated


@stages(np.roll)
def roll(x: Any, shift: Any, axis: Any = None) -> Any:
    """The elements moved along an axis; what leaves at the end comes in at the beginning."""
    x = asarray(x)
    if axis is None:
        return roll(x, shift, 0) if x.ndim == 1 else reshape(roll(ravel(x), shift, 0), x.shape)
    b, k = current(), one_axis(x, axis)
    t = array_type(x.value)
    size = b.dim(x.value, k)
    n = t.dims[k]
    if isinstance(n, int) and isinstance(shift, int):
        moved: Any = b.const(shift % n if n else 0)
    else:
        moved = b.emit1(p.scalar.mod, size_arg(shift), el.maximum(Rep(size), 1).value)
    rest = b.emit1(p.scalar.sub, size, moved)
    if constant(Rep(moved)) is not None and isinstance(n, int):
        moved, rest = b.const(constant(Rep(moved))), b.const(n - constant(Rep(moved)))
    spec = tuple(("slice", 1) if j == k else ("all",) for j in range(t.rank))

    def part(start: Value, length: Value) -> Value:
        dims = tuple(b.size_of(length) if j == k else d for j, d in enumerate(t.dims))
        return b.emit1(p.array.view, x.value, start, length, spec=spec, dims=dims)

    return Rep(b.emit1(p.array.concatenate, part(rest, moved), part(b.const(0), rest), axis=k, dims=t.dims))


@stages(np.repeat)
def repeat(x: Any, repeats: Any, axis: Any = None) -> Any:
    """Each element several times."""
    x = asarray(x) if axis is not None else ravel(asarray(x))
    k = 0 if axis is None else one_axis(x, axis)
    return _repeated(x, repeats, k, k + 1)


def _repeated(x: Rep, n: Any, new: int, merged: int) -> Rep:
    """A new axis of size `n` at `new`, merged with the axis `merged - 1` (or the one after it)."""
    b = current()
    t = array_type(x.value)
    (times,), (dim,) = sizes_of(n)
    at = new + 1 if merged == new + 1 else new
    dims = (*t.dims[:at], dim, *t.dims[at:])
    sizes = [*(b.dim(x.value, j) for j in range(at)), times, *(b.dim(x.value, j) for j in range(at, t.rank))]
    axes = tuple(j for j in range(len(dims)) if j != at)
    wide = Rep(b.emit1(p.array.broadcast, x.value, *sizes, dims=dims, axes=axes))
    shape = list(x.shape)
    shape[new] = shape[new] * n
    return reshape(wide, tuple(shape))  # type: ignore[no-any-return]  # a staged value in, a staged value out


@stages(np.tile)
def tile(x: Any, reps: Any) -> Any:
    """The array again and again."""
    x = asarray(x)
    times = tuple(reps) if isinstance(reps, tuple | list) else (reps,)
    x = atleast_1d(x)
    while x.ndim < len(times):
        x = expand_dims(x, 0)
    times = (1,) * (x.ndim - len(times)) + times
    for k, n in enumerate(times):
        if not (isinstance(n, int) and n == 1):
            x = _repeated(x, n, k, k)
    return anew(x) if all(isinstance(n, int) and n == 1 for n in times) else x


# ------------------------------------------------------------------------------- picking, ordering, parts


@stages(np.take)
def take(x: Any, indices: Any, axis: Any = None, mode: str = "raise") -> Any:
    """The elements at some positions of an axis. Raises `IndexError`."""
    x = asarray(x)
    if axis is None:
        x, axis = ravel(x), 0
    k = one_axis(x, axis)
    index = asarray(indices)
    if mode != "raise":
        n = x.shape[k]
        index = el.remainder(index, n) if mode == "wrap" else el.clip(index, 0, n - 1)
    return x[(*[slice(None)] * k, index)]


@stages(np.take_along_axis)
def take_along_axis(x: Any, indices: Any, axis: int = -1) -> Any:
    """For each position of the other axes, the elements at its own positions. Raises `IndexError`."""
    b = current()
    x, index = asarray(x), asarray(indices)
    k = one_axis(x, axis)
    for n in range(x.ndim):
        if n != k:
            require_equal(x.value, n, index.value, n, "take_along_axis: shapes do not fit")
    v = b.emit1(p.array.index, convert(index.value, i64), b.dim(x.value, k))
    v = rename(v, [d if n == k else array_type(x.value).dims[n] for n, d in enumerate(array_type(v).dims)])
    return Rep(b.emit1(p.array.take_along, x.value, v, axis=k))


@stages(np.argsort)
def argsort(x: Any, axis: Any = -1, kind: Any = None, *, stable: Any = None) -> Any:
    """The positions in increasing order of the elements; equal ones keep their order."""
    x = asarray(x) if axis is not None else ravel(asarray(x))
    return Rep(current().emit1(p.array.argsort, x.value, axis=one_axis(x, -1 if axis is None else axis)))


@stages(np.sort)
def sort(x: Any, axis: Any = -1, kind: Any = None, *, stable: Any = None) -> Any:
    """The elements in increasing order, a fresh array."""
    x = asarray(x) if axis is not None else ravel(asarray(x))
    k = one_axis(x, -1 if axis is None else axis)
    order = current().emit1(p.array.argsort, x.value, axis=k)
    return Rep(current().emit1(p.array.take_along, x.value, order, axis=k))


@stages(np.nonzero)
def nonzero(x: Any) -> Any:
    """The positions of the true elements, one array for each axis."""
    from .elementwise import truth

    return tuple(map(Rep, _nonzero(truth(asarray(x)).value)))


@stages(np.flatnonzero)
def flatnonzero(x: Any) -> Any:
    """The positions of the true elements of all elements in a row."""
    return nonzero(ravel(x))[0]


@stages(np.diff)
def diff(x: Any, n: int = 1, axis: int = -1) -> Any:
    """The differences of neighbours."""
    x = asarray(x)
    k = one_axis(x, axis)
    for _ in range(n):
        after = x[tuple(slice(1, None) if j == k else slice(None) for j in range(x.ndim))]
        before = x[tuple(slice(None, -1) if j == k else slice(None) for j in range(x.ndim))]
        x = el.subtract(after, before) if element(x.type).kind != "b" else el.not_equal(after, before)
    return x


@stages(np.fill_diagonal)
def fill_diagonal(x: Any, value: Any) -> None:
    """Store a number, or one for each place, on the diagonal of a matrix, in place."""
    if not isinstance(x, Rep) or x.ndim != 2:
        raise StagingTypeError("fill_diagonal takes a matrix", here())
    places = iota(el.minimum(*x.shape))
    x[places, places] = value


@stages(np.diagonal)
def diagonal(x: Any, offset: int = 0) -> Any:
    """The diagonal of a matrix, a fresh array."""
    x = asarray(x)
    if x.ndim != 2:
        raise StagingTypeError(f"diagonal: expected a matrix, found {x.type}", here())
    rows, columns = x.shape
    if offset < 0:
        return diagonal(transpose(x), -offset)
    if isinstance(rows, int) and isinstance(columns, int):
        i = iota(max(min(rows, columns - offset), 0))
    else:
        i = iota(el.maximum(el.minimum(rows, el.subtract(columns, offset)), 0))
    return x[i, el.add(i, offset) if offset else i]


@stages(np.diag)
def diag(x: Any, k: int = 0) -> Any:
    """The diagonal of a matrix; or the matrix that has a vector on its diagonal."""
    x = asarray(x)
    if x.ndim == 2:
        return diagonal(x, k)
    n = x.shape[0] + abs(k)
    out = zeros_in(x, (n, n))
    i = iota(x.shape[0])
    out[el.add(i, max(-k, 0)), el.add(i, max(k, 0))] = x
    return out


def zeros_in(x: Rep, shape: Any) -> Rep:
    """Zeros of the element type of `x`."""
    return filled(shape, current().const(0, element(x.type)))


@stages(np.trace)
def trace(x: Any, offset: int = 0) -> Any:
    """The sum of the diagonal."""
    return sum(diagonal(x, offset))


def _triangle(x: Any, k: Any, lower: bool) -> Any:
    x = asarray(x)
    distance = el.subtract(iota(x.shape[-1])[None, :], iota(x.shape[-2])[:, None])
    keep = el.less_equal(distance, k) if lower else el.greater_equal(distance, k)
    return el.where(keep, x, 0)


@stages(np.tril)
def tril(x: Any, k: Any = 0) -> Any:
    """The part on and below a diagonal, zeros elsewhere."""
    return _triangle(x, k, lower=True)


@stages(np.triu)
def triu(x: Any, k: Any = 0) -> Any:
    """The part on and above a diagonal, zeros elsewhere."""
    return _triangle(x, k, lower=False)


@stages(np.allclose)
def allclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8) -> Any:
    """Whether all elements are close."""
    from .arrays import all

    return all(el.isclose(a, b, rtol, atol))


@stages(np.bincount)
def bincount(x: Any, weights: Any = None, minlength: Any = 0) -> Any:
    """How often each number from 0 to `minlength - 1` occurs. Raises `IndexError` for others; `minlength` must be given."""
    x = asarray(x)
    n = size_arg(minlength, "minlength")
    out = zeros_in(asarray(1.0 if weights is not None else 1), Rep(n))
    b = current()
    check(el.greater_equal(x, 0), "ValueError", "bincount: an element is negative")
    index = b.emit1(p.array.index, convert(x.value, i64), n)
    amount = el.multiply(weights, 1.0).value if weights is not None else el.add(el.multiply(x, 0), 1).value
    b.emit(p.array.add_at, out.value, index, rename(amount, array_type(index).dims), axis=0)
    return out
