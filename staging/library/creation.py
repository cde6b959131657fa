"""Making arrays: `zeros`, `arange`, `array`, ... In staged code they always exist later, and are mutable as in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from lms.core import primitives as p
from lms.core.builder import current, size_expression
from lms.core.errors import ShapeError, StagingTypeError, here
from lms.core.ir import Value
from lms.core.types import ArrayType, Scalar, Size, bool_, element, f64, i64

from ..annotations import scalar_type
from ..joins import describe, promote, scalar_like
from ..rep import Rep, lift_value, size_arg
from ..shapes import array_type, broadcast, broadcast_to
from ..table import holds_rep, stages
from . import elementary as el
from .elementwise import anew, cast, check, select

LARGEST = 2**42  # no axis has more elements: also where fusion would never make the array

Sizes = tuple[list[Value], tuple[Size, ...]]


def sizes_of(shape: Any) -> Sizes:
    """A shape as run-time sizes and as dimensions. Raises `ValueError` (later, if need be) for negative sizes."""
    items = shape if isinstance(shape, tuple | list) else (shape,)
    values, dims = [], []
    b = current()
    for item in items:
        v = size_arg(item)
        known = size_expression(v)
        if isinstance(known, int) and known < 0:
            raise ShapeError("negative dimensions are not allowed", here())
        if not _surely_a_size(v):
            check(el.greater_equal(Rep(v), 0), "ValueError", "negative dimensions are not allowed, found {}", Rep(v))
        values.append(v)
        dims.append(b.size_of(v, "d"))
    return values, tuple(dims)


def _surely_a_size(v: Value, depth: int = 8) -> bool:
    """Whether a value is visibly not negative: made of sizes by what cannot make it so."""
    node = v.node
    if node is None or depth == 0:
        return False
    if node.op is p.array.const:
        return bool(node.attrs["value"] >= 0)
    if node.op in (p.scalar.add, p.scalar.mul, p.scalar.minimum, p.scalar.floordiv, p.scalar.mod):
        return all(_surely_a_size(x, depth - 1) for x in node.operands)
    if node.op is p.scalar.maximum:
        return any(_surely_a_size(x, depth - 1) for x in node.operands)
    return node.op is p.array.dim


def filled(shape: Any, v: Value) -> Rep:
    """A fresh array, every element of it `v`. Too many elements are an error also where fusion never makes the array."""
    values, dims = sizes_of(shape)
    doubtful = [Rep(n) for n in values if not _surely_a_size(n)]
    if doubtful:
        what = f"{element(v.type)} array of shape ({', '.join('{}' for _ in values)})"
        for n in doubtful:
            check(el.less_equal(n, 2**60), "ValueError", f"the bytes of a {what} do not fit in 64 bits", *map(Rep, values))
            check(el.less_equal(n, LARGEST), "MemoryError", f"no memory for a {what}", *map(Rep, values))
    return Rep(current().emit1(p.array.broadcast, v, *values, dims=dims, axes=()))


def _dtype(dtype: Any, default: Scalar = f64) -> Scalar:
    return default if dtype is None else scalar_type(dtype)


@stages(np.zeros, always=True)
def zeros(shape: Any, dtype: Any = None, order: str = "C") -> Any:
    """An array of zeros."""
    return filled(shape, current().const(0, _dtype(dtype)))


@stages(np.ones, always=True)
def ones(shape: Any, dtype: Any = None, order: str = "C") -> Any:
    """An array of ones."""
    return filled(shape, current().const(1, _dtype(dtype)))


@stages(np.empty, always=True)
def empty(shape: Any, dtype: Any = None, order: str = "C") -> Any:
    """An array to be filled. It holds zeros until then."""
    return zeros(shape, dtype)


@stages(np.full, always=True)
def full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C") -> Any:
    """An array filled with one value."""
    kind = promote(fill_value) if dtype is None else scalar_type(dtype)
    v = lift_value(cast(fill_value, kind)) if isinstance(fill_value, Rep) else current().const(fill_value, kind)
    if isinstance(v.type, ArrayType):
        values, dims = sizes_of(shape)
        return Rep(broadcast_to(v, values, dims, "cannot fill"))
    return filled(shape, v)


def _like(x: Any, dtype: Any, fill: Any) -> Any:
    x = asarray(x)
    kind = element(x.type) if dtype is None else scalar_type(dtype)
    v = lift_value(cast(fill, kind)) if isinstance(fill, Rep) else current().const(fill, kind)
    if x.ndim == 0:
        return Rep(v)
    return Rep(current().emit1(p.array.broadcast, v, *current().dims(x.value), dims=array_type(x.value).dims, axes=()))


@stages(np.zeros_like, always=True)
def zeros_like(x: Any, dtype: Any = None) -> Any:
    """Zeros in the shape of `x`."""
    return _like(x, dtype, 0)


@stages(np.ones_like, always=True)
def ones_like(x: Any, dtype: Any = None) -> Any:
    """Ones in the shape of `x`."""
    return _like(x, dtype, 1)


@stages(np.empty_like, always=True)
def empty_like(x: Any, dtype: Any = None) -> Any:
    """An array to be filled, in the shape of `x`. It holds zeros until then."""
    return _like(x, dtype, 0)


@stages(np.full_like, always=True)
def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Any:
    """One value in the shape of `x`."""
    return _like(x, dtype, fill_value)


def iota(n: Any, dtype: Scalar = i64) -> Rep:
    """0, 1, ..., n - 1."""
    (value,), dims = sizes_of(n)
    return Rep(current().emit1(p.array.iota, value, dims=dims, dtype=dtype))


@stages(np.arange, always=True)
def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Any:
    """The numbers from `start` up to `stop` (not included) by `step`."""
    if stop is None:
        start, stop = 0, start
    kind, later = promote(start, stop, step), holds_rep((start, stop, step))
    if kind.is_int or kind == bool_:
        if not isinstance(step, Rep) and step == 0:
            raise StagingTypeError("arange: the step is zero", here())
        span = el.add(el.subtract(stop, start), el.subtract(step, el.sign(step))) if later else 0
        n = el.floor_divide(span, step) if later else len(range(start, stop, step))
        if isinstance(start, int) and start == 0 and isinstance(step, int) and step == 1:
            n = stop
        out = iota(n if not isinstance(n, Rep) else _not_negative(n), i64 if kind == bool_ else kind)
    else:
        n = el.ceil(el.divide(el.subtract(stop, start), step)) if later else int(np.ceil((stop - start) / step))
        out = iota(_not_negative(cast(n, i64)) if isinstance(n, Rep) else max(n, 0), kind)
    if not (isinstance(step, int) and step == 1 and isinstance(start, int) and start == 0):
        out = el.add(el.multiply(out, el.subtract(el.add(start, step), start) if kind.is_float else step), start)
    return out if dtype is None else cast(out, scalar_type(dtype))


def _not_negative(n: Rep) -> Rep:
    known = size_expression(n.value)
    return n if known is not None and not isinstance(known, int) and known.const >= 0 else el.maximum(n, 0)


@stages(np.linspace, always=True)
def linspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: Any = None) -> Any:
    """`num` numbers from `start` to `stop`, evenly spaced."""
    index = iota(num, f64)
    parts = el.maximum(el.subtract(num, 1), 1) if endpoint and isinstance(num, Rep) else max(num - 1, 1) if endpoint else num
    out = el.add(el.multiply(index, el.divide(el.subtract(stop, start), parts)), start)
    if endpoint:
        last = el.logical_and(el.equal(index, el.subtract(num, 1)), el.greater(num, 1))
        out = select(last, el.multiply(stop, 1.0), out)
    if dtype is None:
        return out
    kind = scalar_type(dtype)
    return cast(el.floor(out) if kind.is_int else out, kind)


@stages(np.eye, np.identity, always=True)
def eye(N: Any, M: Any = None, k: Any = 0, dtype: Any = None) -> Any:
    """Ones on a diagonal, zeros elsewhere."""
    rows, columns = iota(N), iota(N if M is None else M)
    kind = _dtype(dtype)
    return cast(el.equal(el.add(rows[:, None], k), columns[None, :]), kind)


@stages(np.array, always=True)
def array(x: Any, dtype: Any = None, copy: Any = True) -> Any:
    """A fresh array of the elements of `x`: an array, a number, or nested lists, staged or not."""
    out = asarray(x)
    kind = element(out.type) if dtype is None else scalar_type(dtype)
    return cast(out, kind) if copy or element(out.type) != kind else out


@stages(np.asarray, np.asanyarray, always=True)
def asarray(x: Any, dtype: Any = None) -> Any:
    """`x` as an array: itself if it is one."""
    if isinstance(x, list | tuple):
        if holds_rep(x):
            from .joining import stack

            x = stack([asarray(part) for part in x])
        else:
            x = np.asarray(x)
    if not isinstance(x, Rep) and scalar_like(x) is None:
        raise StagingTypeError(f"cannot make an array of {describe(x)}", here())
    out = Rep(lift_value(x))
    return out if dtype is None or element(out.type) == scalar_type(dtype) else cast(out, scalar_type(dtype))


@stages(np.ascontiguousarray, always=True)
def ascontiguousarray(x: Any, dtype: Any = None) -> Any:
    """`x` row by row in memory: itself if it lies so, else a fresh array."""
    out = asarray(x, dtype)
    return anew(out) if out.ndim and array_type(out.value).layout != "C" else out


@stages(np.copy, always=True)
def copy(x: Any, order: str = "K") -> Any:
    """A fresh array with the same elements."""
    return array(x)


@stages(np.broadcast_to)
def broadcast_array(x: Any, shape: Any) -> Any:
    """`x` stretched to a shape, as a fresh array."""
    values, dims = sizes_of(shape)
    v = broadcast_to(lift_value(x), values, dims, "cannot broadcast")
    return Rep(v)


@stages(np.meshgrid, always=True)
def meshgrid(*xs: Any, indexing: str = "xy") -> Any:
    """Coordinate matrices of two coordinate vectors."""
    if len(xs) != 2:
        raise StagingTypeError("meshgrid takes two vectors", here())
    x, y = asarray(xs[0]), asarray(xs[1])
    pair = (x[None, :], y[:, None]) if indexing == "xy" else (x[:, None], y[None, :])
    return [Rep(v) for v in broadcast([v.value for v in pair])]


def fresh(v: Value) -> Value:
    """A value that is certainly a new array."""
    return current().emit1(p.array.copy, v) if v.node is None or v.node.op.effect.view is not None else v
