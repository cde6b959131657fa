"""Making shapes agree: broadcasting along static 1s, and run-time checks where two sizes may differ."""

from __future__ import annotations

from collections.abc import Sequence

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.errors import ShapeError, here
from lms.core.ir import Value
from lms.core.types import ArrayType, Size


def array_type(v: Value) -> ArrayType:
    """The type of a value that is known to be an array."""
    assert isinstance(v.type, ArrayType), v.type
    return v.type


def shown(v: Value) -> str:
    """A value in an error: its name where it has one, and its type."""
    return f"{v.name}: {v.type}" if v.name else str(v.type)


def size_value(size: Size, v: Value, axis: int) -> Value:
    """The run-time size of an axis, an `i64`."""
    return current().const(size) if isinstance(size, int) else current().dim(v, axis)


def require_equal(v: Value, axis: int, w: Value, other: int, what: str) -> None:
    """Two axes have one size: known now, or checked later. Raises `ShapeError` now, `ValueError` later."""
    a, b = array_type(v).dims[axis], array_type(w).dims[other]
    if a == b:
        return
    if isinstance(a, int) and isinstance(b, int):
        raise ShapeError(f"{what}: {shown(v)} and {shown(w)} differ in size, {a} and {b}", here())
    sizes = size_value(a, v, axis), size_value(b, w, other)
    current().emit(p.control.check, current().emit1(p.scalar.eq, *sizes), *sizes, error="ValueError",
                   message=f"{what}: {_name(v)} and {_name(w)} differ in size, {{}} and {{}}")


def _name(v: Value) -> str:
    return v.name or str(v.type).replace("{", "").replace("}", "")


def rename(v: Value, dims: Sequence[Size]) -> Value:
    """The same array, its sizes called `dims` (which a check has shown to be equal)."""
    t = array_type(v)
    if t.dims == tuple(dims):
        return v
    return current().emit1(p.array.view, v, spec=(("all",),) * t.rank, dims=tuple(dims), name=v.name)


def like(v: Value, w: Value, what: str = "shapes do not fit") -> Value:
    """`v` with the dimensions of `w`, checked axis by axis; nothing broadcasts."""
    if array_type(v).rank != array_type(w).rank:
        raise ShapeError(f"{what}: {shown(v)} and {shown(w)}", here())
    for k in range(array_type(v).rank):
        require_equal(v, k, w, k, what)
    return rename(v, array_type(w).dims)


def broadcast(values: Sequence[Value], what: str = "operands could not be broadcast together") -> list[Value]:
    """All scalars, or all arrays of one shape. Only a static size of 1 stretches; symbols are checked equal.

    Raises `ShapeError` naming both arrays, or emits the check that raises `ValueError`.
    """
    arrays = [v for v in values if isinstance(v.type, ArrayType)]
    if not arrays:
        return list(values)
    rank = max(array_type(v).rank for v in arrays)
    target: list[tuple[Size, Value | None, int]] = []  # the size, and an axis that has it
    for axis in range(rank):
        best: tuple[Size, Value | None, int] = (1, None, 0)
        for v in arrays:
            k = axis - rank + array_type(v).rank
            if k < 0 or (size := array_type(v).dims[k]) == 1:
                continue
            if best[1] is None:
                best = (size, v, k)
            elif size != best[0]:
                require_equal(best[1], best[2], v, k, what)
                if isinstance(size, int):
                    best = (size, v, k)
        target.append(best)
    dims = tuple(size for size, _, _ in target)
    sizes: list[Value] | None = None
    out = []
    for v in values:
        if isinstance(v.type, ArrayType) and _stretches_nowhere(v.type.dims, dims):
            out.append(rename(v, dims))
            continue
        if sizes is None:
            sizes = [current().const(1) if w is None else size_value(size, w, k) for size, w, k in target]
        out.append(_stretch(v, dims, sizes))
    return out


def _stretches_nowhere(dims: Sequence[Size], target: Sequence[Size]) -> bool:
    return len(dims) == len(target) and all(d != 1 or e == 1 for d, e in zip(dims, target, strict=True))


def _stretch(v: Value, dims: tuple[Size, ...], sizes: Sequence[Value]) -> Value:
    axes: tuple[int, ...] = ()
    if isinstance(v.type, ArrayType):
        axes = tuple(range(len(dims) - v.type.rank, len(dims)))
        v = rename(v, [1 if d == 1 else dims[k] for d, k in zip(v.type.dims, axes, strict=True)])
    return current().emit1(p.array.broadcast, v, *sizes, dims=dims, axes=axes)


def broadcast_to(v: Value, sizes: Sequence[Value], dims: tuple[Size, ...], what: str) -> Value:
    """`v` stretched to given sizes. Raises `ShapeError`, or emits checks, where they do not fit."""
    if isinstance(v.type, ArrayType):
        if v.type.rank > len(dims):
            raise ShapeError(f"{what}: {shown(v)} has more axes than {len(dims)}", here())
        for k, d in enumerate(v.type.dims):
            e = dims[len(dims) - v.type.rank + k]
            if d in (1, e):
                continue
            if isinstance(d, int) and isinstance(e, int):
                raise ShapeError(f"{what}: {shown(v)} does not fit [{', '.join(map(str, dims))}]", here())
            pair = size_value(d, v, k), sizes[len(dims) - v.type.rank + k]
            current().emit(p.control.check, current().emit1(p.scalar.eq, *pair), *pair, error="ValueError",
                           message=f"{what}: {_name(v)} has size {{}} where {{}} is expected")
        if _stretches_nowhere(v.type.dims, dims):
            return rename(v, dims)
    return _stretch(v, dims, sizes)


def is_array(v: Value) -> bool:
    return isinstance(v.type, ArrayType)
