"""Array primitives: shape, memory, views, reductions, contraction, gathering.

An operation gives a *fresh* array unless it is a `view` (`view`, `transpose`, `reshape`). Sizes are operands: an operation
that makes an array of shape `dims` (an attribute, for the type) takes one `i64` operand for every axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError, StagingTypeError
from ..types import ArrayType, Scalar, Size, SumType, Type, element, i64
from .record import Record as Record
from .record import construct as construct
from .record import fits as fits
from .record import project as project
from .record import tag as tag
from .scalar import arity, same_elements
from .table import Attrs, Effect, Primitive, row


def array(t: Type, rank: int | None = None) -> ArrayType:
    if not isinstance(t, ArrayType):
        raise StagingTypeError(f"expected an array, found {t}")
    if rank is not None and t.rank != rank:
        raise StagingTypeError(f"expected an array of rank {rank}, found {t}")
    return t


def sizes(types: Sequence[Type], n: int) -> None:
    if len(types) != n or any(t != i64 for t in types):
        raise StagingTypeError(f"expected {n} indices or sizes of type i64, found ({', '.join(map(str, types))})")


def _value_type(t: ArrayType, v: Type) -> None:
    if v != t.dtype:
        raise StagingTypeError(f"cannot store {v} in {t}")


# -------------------------------------------------------------------------------------- shape and making


def _const(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    arity(0, types)
    return (attrs["type"],)


def _const_eager(value: Any, type: Scalar) -> Any:
    return type.dtype.type(value)


def _dim(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    arity(1, types)
    if not 0 <= attrs["axis"] < array(types[0]).rank:
        raise StagingTypeError(f"{types[0]} has no axis {attrs['axis']}")
    return (i64,)


def _empty(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    sizes(types, len(attrs["dims"]))
    return (ArrayType(attrs["dtype"], tuple(attrs["dims"])),)


def _empty_eager(*n: Any, dims: Any, dtype: Scalar | SumType, residual: bool = False) -> Any:
    return np.zeros([int(k) for k in n], dtype.dtype if isinstance(dtype, Scalar) else object)


def _broadcast(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    x, dims, axes = types[0], tuple(attrs["dims"]), tuple(attrs["axes"])
    sizes(types[1:], len(dims))
    if isinstance(x, ArrayType):
        if len(axes) != x.rank or list(axes) != sorted(set(axes)):
            raise ShapeError(f"cannot broadcast {x} along axes {axes}")
        for size, axis in zip(x.dims, axes, strict=True):
            if size != 1 and size != dims[axis]:
                raise ShapeError(f"cannot broadcast {x} to [{', '.join(map(str, dims))}]")
    return (ArrayType(x.dtype if isinstance(x, ArrayType) else element(x), dims),)


def _broadcast_eager(x: Any, *n: Any, dims: Any, axes: tuple[int, ...]) -> Any:
    shape = [1] * len(n)
    for size, axis in zip(np.shape(x), axes, strict=True):
        shape[axis] = size
    return np.broadcast_to(np.reshape(x, shape), [int(k) for k in n]).copy()


def _iota(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    sizes(types, 1)
    return (ArrayType(attrs["dtype"], tuple(attrs["dims"])),)


def _copy(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    arity(1, types)
    t = array(types[0])
    return (ArrayType(t.dtype, t.dims),)


def _grow(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    t = array(types[0])
    sizes(types[1:], 1)
    return (ArrayType(t.dtype, (attrs["dims"][0], *t.dims[1:])),)


def _grow_eager(a: Any, n: Any, dims: Any, residual: bool = False) -> Any:
    out = np.zeros((int(n), *a.shape[1:]), a.dtype)
    out[: min(len(a), int(n))] = a[: int(n)]
    return out


const = row(Primitive("const", _const, _const_eager, lowered=True))
dim = row(Primitive("dim", _dim, lambda a, axis: np.int64(a.shape[axis]), Effect(unread=(0,)), lowered=True))
empty = row(Primitive("empty", _empty, _empty_eager, lowered=True))
broadcast = row(Primitive("broadcast", _broadcast, _broadcast_eager))
iota = row(Primitive("iota", _iota, lambda n, dims, dtype: np.arange(int(n), dtype=dtype.dtype)))
copy = row(Primitive("copy", _copy, lambda a: np.array(a, order="C")))
grow = row(Primitive("grow", _grow, _grow_eager))

# ------------------------------------------------------------------------------------------------ memory


def _load(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    t = array(types[0])
    sizes(types[1:], t.rank)
    return (t.dtype,)


def _store(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    t = array(types[0])
    sizes(types[2:], t.rank)
    _value_type(t, types[1])
    return ()


def _index_tuple(index: Sequence[Any]) -> tuple[int, ...]:
    return tuple(int(k) for k in index)


def _load_eager(a: Any, *index: Any, residual: bool = False) -> Any:
    return a[_index_tuple(index)]


def _store_eager(a: Any, v: Any, *index: Any, residual: bool = False) -> None:
    a[_index_tuple(index)] = v


def _accumulate_eager(a: Any, v: Any, *index: Any) -> None:
    with np.errstate(all="ignore"):
        a[_index_tuple(index)] += v


def _assign(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    arity(2, types)
    dst, src = array(types[0]), array(types[1])
    if dst.dtype != src.dtype:
        raise StagingTypeError(f"cannot assign {src} to {dst}")
    if dst.dims != src.dims:
        raise ShapeError(f"cannot assign {src} to {dst}: the shapes differ")
    return ()


def _assign_eager(dst: Any, src: Any, residual: bool = False) -> None:
    dst[...] = src


def _add_into_eager(dst: Any, src: Any) -> None:
    with np.errstate(all="ignore"):
        dst += src


def _index(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    arity(2, types)
    if same_elements(types, "i", "an index of type i64") != i64 or types[1] != i64:
        raise StagingTypeError(f"an index is an i64, found {types[0]}")
    return (ArrayType(i64, types[0].dims) if isinstance(types[0], ArrayType) else i64,)


def wraps(attrs: Attrs) -> bool:
    """Whether an `index` counts negative positions from the end; with `wraps=False` they are outside."""
    return bool(attrs.get("wraps", True))


def _index_eager(i: Any, n: Any, wraps: bool = True) -> Any:
    bad = (i < (-n if wraps else 0)) | (i >= n)
    if np.any(bad):
        worst = np.asarray(i)[np.asarray(bad)].flat[0] if np.ndim(i) else i
        raise IndexError(f"index {worst} is out of bounds for axis of size {n}")
    return np.where(i < 0, i + n, i)[()]


load = row(Primitive("load", _load, _load_eager, lowered=True))
store = row(Primitive("store", _store, _store_eager, Effect(writes=(0,)), lowered=True))
accumulate = row(Primitive("accumulate", _store, _accumulate_eager, Effect(accumulates=(0,)), lowered=True))
assign = row(Primitive("assign", _assign, _assign_eager, Effect(writes=(0,))))
add_into = row(Primitive("add_into", _assign, _add_into_eager, Effect(accumulates=(0,))))
index = row(Primitive("index", _index, _index_eager, Effect(raises=True), lowered=True))

# ------------------------------------------------------------------------------------------------- views

# One entry for every axis of the source, or `new` for an axis of size 1 that the source has not:
#   ("all",)          the whole axis
#   ("at",)           one position (operand: index); the axis disappears
#   ("slice", step)   operands start, size; `step` is a non-zero int; start counts from 0 and may be any valid position
#   ("new",)          a new axis
ViewSpec = tuple[tuple[Any, ...], ...]


def _view(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    """Attributes: `spec`, and `dims` of the result. Bounds are checked by the caller."""
    t, spec, dims = array(types[0]), attrs["spec"], tuple(attrs["dims"])
    sizes(types[1:], sum({"at": 1, "slice": 2}.get(s[0], 0) for s in spec))
    if sum(s[0] != "new" for s in spec) != t.rank or sum(s[0] != "at" for s in spec) != len(dims):
        raise StagingTypeError(f"the view {spec} does not fit {t}")
    return (ArrayType(t.dtype, dims, "C" if t.layout == "C" and view_is_contiguous(spec, t.dims) else "S"),)


def view_is_contiguous(spec: ViewSpec, dims: tuple[Size, ...]) -> bool:
    """Whether a view of a row-major array is row-major: single positions first, then at most one slice, then whole axes."""
    state = 0
    for s in (s for s in spec if s[0] != "new"):
        if s[0] == "at" and state == 0:
            continue
        if s[0] == "slice" and s[1] == 1 and state == 0 or s[0] == "all":
            state = 1
        else:
            return False
    return True


def _view_eager(a: Any, *operands: Any, spec: ViewSpec, dims: Any) -> Any:
    key: list[Any] = []
    rest = iter(operands)
    for s in spec:
        if s[0] == "all":
            key.append(slice(None))
        elif s[0] == "at":
            key.append(int(next(rest)))
        elif s[0] == "new":
            key.append(None)
        else:
            start, size, step = int(next(rest)), int(next(rest)), s[1]
            stop = start + size * step
            key.append(slice(start, stop if stop >= 0 else None, step) if size > 0 else slice(0, 0))
    out = a[tuple(key)]
    return out if isinstance(out, np.ndarray) else a[(*key, ...)]


def _transpose(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    arity(1, types)
    t, perm = array(types[0]), tuple(attrs["perm"])
    if sorted(perm) != list(range(t.rank)):
        raise StagingTypeError(f"{perm} is not a permutation of the axes of {t}")
    moved = [p for p in perm if t.dims[p] != 1]
    return (ArrayType(t.dtype, tuple(t.dims[p] for p in perm), t.layout if moved == sorted(moved) else "S"),)


def _reshape(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    t, dims = array(types[0]), tuple(attrs["dims"])
    sizes(types[1:], len(dims))
    if t.layout != "C":
        raise StagingTypeError(f"cannot reshape {t} in place: copy it first")
    return (ArrayType(t.dtype, dims),)


def _reshape_eager(a: Any, *n: Any, dims: Any) -> Any:
    return np.reshape(a, [int(k) for k in n])


view = row(Primitive("view", _view, _view_eager, Effect(view=0), lowered=True))
transpose = row(Primitive("transpose", _transpose, lambda a, perm: np.transpose(a, perm), Effect(view=0), lowered=True))
reshape = row(Primitive("reshape", _reshape, _reshape_eager, Effect(view=0), lowered=True))

# --------------------------------------------------------------------------- reduction and contraction


def _without(t: ArrayType, axes: Sequence[int], dtype: Scalar) -> Type:
    if not axes or list(axes) != sorted(set(axes)) or not 0 <= axes[0] <= axes[-1] < t.rank:
        raise StagingTypeError(f"{t} cannot be reduced over axes {tuple(axes)}")
    dims = tuple(d for k, d in enumerate(t.dims) if k not in axes)
    return ArrayType(dtype, dims) if dims else dtype


def _reduce(kinds: str, what: str) -> Any:
    def rule(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
        arity(1, types)
        t = array(types[0])
        return (_without(t, attrs["axes"], same_elements(types, kinds, what)),)

    return rule


def _argreduce(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    arity(1, types)
    return (_without(array(types[0]), (attrs["axis"],), i64),)


def _cumulate(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    arity(1, types)
    t = array(types[0])
    same_elements(types, "iufc", "numbers")
    _without(t, (attrs["axis"],), i64)
    return (ArrayType(t.dtype, t.dims),)


def _contract(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    """`spec = (left, right, out)`, letters as in `einsum`; each letter at most once an operand."""
    arity(2, types)
    left, right, out = attrs["spec"]
    a, b = array(types[0], len(left)), array(types[1], len(right))
    dtype = same_elements(types, "iufc", "numbers")
    size: dict[str, Size] = {}
    for letters, t in ((left, a), (right, b)):
        if len(set(letters)) != len(letters):
            raise StagingTypeError(f"an index is repeated in {letters!r}")
        for letter, d in zip(letters, t.dims, strict=True):
            if size.setdefault(letter, d) != d:
                raise ShapeError(f"{a} and {b} do not fit {left},{right}->{out}: {size[letter]} is not {d}")
    dims = tuple(size[letter] for letter in out)
    return (ArrayType(dtype, dims) if dims else dtype,)


def _contract_eager(a: Any, b: Any, spec: tuple[str, str, str]) -> Any:
    with np.errstate(all="ignore"):
        return np.einsum(f"{spec[0]},{spec[1]}->{spec[2]}", a, b)


def _contract_into(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    arity(3, types)
    expected = _contract(types[1:], attrs)[0]
    dst = array(types[0])
    if not isinstance(expected, ArrayType) or (expected.dtype, expected.dims) != (dst.dtype, dst.dims):
        raise ShapeError(f"cannot put {expected} into {dst}")
    return ()


def _contract_into_eager(dst: Any, a: Any, b: Any, spec: tuple[str, str, str], accumulate: bool) -> None:
    value = _contract_eager(a, b, spec)
    dst[...] = dst + value if accumulate else value


def _quiet_reduce(f: Any, **fixed: Any) -> Any:
    def eager(a: Any, axes: tuple[int, ...]) -> Any:
        with np.errstate(all="ignore"):
            return f(a, axis=tuple(axes), **fixed)

    return eager


def _typed_sum(f: Any) -> Any:
    return _quiet_reduce(lambda a, axis: f(a, axis=axis, dtype=a.dtype))


def _logsumexp(a: Any, axis: tuple[int, ...]) -> Any:
    top = np.max(a, axis=axis, keepdims=True)
    total = np.sum(np.exp(a - np.where(np.isfinite(top), top, 0)), axis=axis, dtype=a.dtype)
    top = np.squeeze(top, axis)
    return np.where(np.isinf(top), top, np.log(total) + top)[()].astype(a.dtype)


reduce_sum = row(Primitive("reduce_sum", _reduce("iufc", "numbers"), _typed_sum(np.sum)))
reduce_prod = row(Primitive("reduce_prod", _reduce("iufc", "numbers"), _typed_sum(np.prod)))
reduce_max = row(Primitive("reduce_max", _reduce("biuf", "real numbers"), _quiet_reduce(np.max)))
reduce_min = row(Primitive("reduce_min", _reduce("biuf", "real numbers"), _quiet_reduce(np.min)))
reduce_any = row(Primitive("reduce_any", _reduce("b", "bools"), _quiet_reduce(np.any)))
reduce_all = row(Primitive("reduce_all", _reduce("b", "bools"), _quiet_reduce(np.all)))
logsumexp = row(Primitive("logsumexp", _reduce("f", "floats"), _quiet_reduce(_logsumexp)))
argmax = row(Primitive("argmax", _argreduce, lambda a, axis: np.argmax(a, axis)))
argmin = row(Primitive("argmin", _argreduce, lambda a, axis: np.argmin(a, axis)))
cumsum = row(Primitive("cumsum", _cumulate, lambda a, axis: np.cumsum(a, axis, dtype=a.dtype)))
contract = row(Primitive("contract", _contract, _contract_eager))
contract_into = row(Primitive("contract_into", _contract_into, _contract_into_eager, Effect(writes=(0,)), lowered=True))

# --------------------------------------------------------------------------------- gathering and sorting


def _concatenate(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    """Attributes: `axis`, and `dims` of the result."""
    same_elements(types, "biufc", "scalars")
    axis, dims = attrs["axis"], tuple(attrs["dims"])
    for t in map(array, types):
        if t.rank != len(dims) or any(d != e for k, (d, e) in enumerate(zip(t.dims, dims, strict=True)) if k != axis):
            raise ShapeError(f"cannot concatenate {', '.join(map(str, types))} along axis {axis}")
    return (ArrayType(array(types[0]).dtype, dims),)


def _take(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    """`a` without `axis`, whose place the dimensions of the index take. The index is checked by the caller."""
    arity(2, types)
    a, idx, axis = array(types[0]), array(types[1]), attrs["axis"]
    if idx.dtype != i64:
        raise StagingTypeError(f"an index array holds i64, found {idx}")
    return (ArrayType(a.dtype, (*a.dims[:axis], *idx.dims, *a.dims[axis + 1:])),)


def _put(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    """`dst`, index, values: as `take`, the other way."""
    arity(3, types)
    (expected,) = _take(types[:2], attrs)
    v = array(types[2])
    assert isinstance(expected, ArrayType)
    if (v.dtype, v.dims) != (expected.dtype, expected.dims):
        raise ShapeError(f"cannot put {v} where {expected} is expected")
    return ()


def _key(idx: Any, axis: int) -> tuple[Any, ...]:
    return (*[slice(None)] * axis, idx)


def _apart(dst: Any, *operands: Any) -> list[Any]:
    """Operands as they are before `dst` is written."""
    return [np.array(v) if np.may_share_memory(dst, v) else v for v in operands]


def _put_eager(dst: Any, idx: Any, v: Any, axis: int) -> None:
    idx, v = _apart(dst, idx, v)
    # element by element along the index, so that of equal indices the last wins, by specification and not by accident
    moved = np.moveaxis(dst, axis, 0)
    values = np.moveaxis(v, range(axis, axis + np.ndim(idx)), range(np.ndim(idx)))
    for k in np.ndindex(np.shape(idx)):
        moved[idx[k]] = values[k]


def _add_at_eager(dst: Any, idx: Any, v: Any, axis: int) -> None:
    idx, v = _apart(dst, idx, v)
    with np.errstate(all="ignore"):
        np.add.at(dst, _key(idx, axis), v)


def _take_along(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    arity(2, types)
    a, idx = array(types[0]), array(types[1])
    if idx.dtype != i64 or idx.rank != a.rank or any(
        d != e for k, (d, e) in enumerate(zip(a.dims, idx.dims, strict=True)) if k != attrs["axis"]
    ):
        raise ShapeError(f"cannot take along axis {attrs['axis']} of {a} by {idx}")
    return (ArrayType(a.dtype, idx.dims),)


def _add_along(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    arity(3, types)
    (expected,) = _take_along(types[:2], attrs)
    v = array(types[2])
    assert isinstance(expected, ArrayType)
    if (v.dtype, v.dims) != (expected.dtype, expected.dims):
        raise ShapeError(f"cannot add {v} where {expected} is expected")
    return ()


def _add_along_eager(dst: Any, idx: Any, v: Any, axis: int) -> None:
    idx, v = _apart(dst, idx, v)
    with np.errstate(all="ignore"):
        for k in np.ndindex(np.shape(idx)):
            dst[(*k[:axis], idx[k], *k[axis + 1:])] += v[k]


def _argsort(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    arity(1, types)
    t = array(types[0])
    same_elements(types, "biuf", "real numbers")
    return (ArrayType(i64, t.dims),)


def _argsort_into(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    arity(2, types)
    dst, t = array(types[0], 1), array(types[1], 1)
    if dst.dtype != i64 or dst.dims != t.dims:
        raise ShapeError(f"cannot put the order of {t} into {dst}")
    return ()


def _argsort_into_eager(dst: Any, a: Any) -> None:
    dst[...] = np.argsort(a, kind="stable")


def _nonzero(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    arity(1, types)
    same_elements((array(types[0], 1),), "b", "bools")
    return (ArrayType(i64, tuple(attrs["dims"])),)


concatenate = row(Primitive("concatenate", _concatenate, lambda *a, axis, dims: np.concatenate(a, axis)))
take = row(Primitive("take", _take, lambda a, idx, axis: np.take(a, idx, axis)))
put = row(Primitive("put", _put, _put_eager, Effect(writes=(0,))))
add_at = row(Primitive("add_at", _put, _add_at_eager, Effect(accumulates=(0,))))
take_along = row(Primitive("take_along", _take_along, lambda a, idx, axis: np.take_along_axis(a, idx, axis)))
add_along = row(Primitive("add_along", _add_along, _add_along_eager, Effect(accumulates=(0,))))
argsort = row(Primitive("argsort", _argsort, lambda a, axis: np.argsort(a, axis, kind="stable")))
argsort_into = row(Primitive("argsort_into", _argsort_into, _argsort_into_eager, Effect(writes=(0,)), lowered=True))
nonzero = row(Primitive("nonzero", _nonzero, lambda a, dims: np.nonzero(a)[0]))
