"""`a[...]` and `a[...] = v`: positions and slices are views, index arrays and masks gather and scatter."""

from __future__ import annotations

from types import EllipsisType
from typing import Any, NoReturn

import numpy as np

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.data import dataclass, field
from lms.core.errors import StagingError, StagingTypeError, here
from lms.core.ir import Value
from lms.core.types import ArrayType, Size, bool_, element, fresh_symbol, i64

from ..joins import describe, promote, scalar_like
from ..rep import Rep, lift_value, scalar
from ..shapes import array_type, broadcast, broadcast_to, rename
from .slices import positions, strided


@dataclass(slots=True)
class _Basic:
    """The view that positions and slices ask for, and the index arrays that are left, by axis of that view."""

    spec: list[tuple[Any, ...]] = field(default_factory=list)
    operands: list[Value] = field(default_factory=list)
    dims: list[Size] = field(default_factory=list)
    arrays: list[tuple[int, Value]] = field(default_factory=list)
    scalars: list[int] = field(default_factory=list)  # the axes of the source that a position took
    writing: bool = False
    attrs: dict[str, Any] = field(default_factory=dict)  # of the checks of positions

    def checked(self, i: Value, n: Value) -> Value:
        """Positions on an axis of size `n`, counted from 0."""
        return current().emit1(p.array.index, i, n, **self.attrs)


def get(x: Rep, key: Any, wraps: bool = True) -> Rep:
    """`x[key]`. Negative positions count from the end, or are outside."""
    basic = _analyse(x, key, wraps=wraps)
    if not basic.arrays:
        if not basic.dims and all(s[0] == "at" for s in basic.spec):
            return Rep(current().emit1(p.array.load, x.value, *basic.operands))
        return Rep(_view(x.value, basic))
    base, index, axis = _gather(_view(x.value, basic), basic)
    return Rep(current().emit1(p.array.take, base, index, axis=axis))


def put(x: Rep, key: Any, item: Any, wraps: bool = True) -> None:
    """`x[key] = item`. Negative positions count from the end, or are outside."""
    from .creation import asarray

    b = current()
    _not_a_part(x)
    if isinstance(item, list | tuple):
        item = asarray(item)
    mask = _whole_mask(x, key)
    if mask is not None and not getattr(item, "ndim", 0):
        old = x.value
        shape = _element_of(item, x)
        new = b.emit1(p.scalar.select, mask, *broadcast([shape, old])[:1], old)
        b.emit(p.array.assign, old, new)
        return
    basic = _analyse(x, key, writing=True, wraps=wraps)
    if basic.arrays:
        _scatter(x, basic, item)
        return
    v = _element_of(item, x)
    if not basic.dims:
        if isinstance(v.type, ArrayType):
            if v.type.rank:
                raise StagingTypeError(f"cannot set an element of {describe(x)} to {describe(item)}", here())
            v = b.emit1(p.array.load, v)
        _store(x.value, v, basic)
        return
    if _is_that_view(v, x.value, basic):
        return  # `a[1:3] += v` has already happened in place
    target = _view(x.value, basic)
    sizes = list(b.dims(target))
    source = broadcast_to(v, sizes, array_type(target).dims, "cannot assign")
    b.emit(p.array.assign, target, b.emit1(p.array.copy, source) if may_overlap(source, target) else source)


def in_place(x: Rep, op: str, item: Any) -> Rep:
    """`x op= item` for an array: its elements change, it stays the same array."""
    from . import ops

    _not_a_part(x)
    if op in ("add", "subtract") and promote(x, item) == element(x.type) and element(x.type).kind != "b":
        b = current()
        v = lift_value(item, element(x.type))
        if op == "subtract":
            v = ops.negative(Rep(v)).value
        v = broadcast_to(v, b.dims(x.value), array_type(x.value).dims, f"cannot {op} in place")
        b.emit(p.array.add_into, x.value, b.emit1(p.array.copy, v) if may_overlap(v, x.value) else v)
    else:
        put(x, ..., getattr(ops, op)(x, item))
    return x


# ------------------------------------------------------------------------------------------------ keys


def _analyse(x: Rep, key: Any, writing: bool = False, wraps: bool = True) -> _Basic:
    """The view and the index arrays that a key asks for."""
    t = x.type
    if not isinstance(t, ArrayType):
        raise StagingTypeError(f"{describe(x)} has no elements", here())
    keys = [_key(k) for k in (key if isinstance(key, tuple) else (key,))]
    taken = sum(0 if k is None or k is ... else _axes(k) for k in keys)
    if taken > t.rank:
        raise StagingTypeError(f"too many indices: {describe(x)} has {t.rank}, found {taken}", here())
    dots = [n for n, k in enumerate(keys) if k is ...]
    if len(dots) > 1:
        raise StagingTypeError("an index can only have a single ellipsis ('...')", here())
    at = dots[0] if dots else len(keys)
    keys[at:at + 1] = [slice(None)] * (t.rank - taken)
    basic, axis = _Basic(writing=writing, attrs={} if wraps else {"wraps": False}), 0
    for k in keys:
        if k is None:
            basic.spec.append(("new",))
            basic.dims.append(1)
        else:
            _axis(x.value, axis, k, basic)
            axis += _axes(k)
    return basic


def _key(k: Any) -> Any:
    """One part of a key: a slice, None, `...`, a scalar `i64`, or an index array (a value)."""
    if k is None or isinstance(k, slice | EllipsisType):
        return k
    if isinstance(k, list | tuple):
        k = _array_of(k)
    found = scalar_like(k)
    if found is None or found.kind in "fc":
        raise StagingTypeError(f"an index is an int, a slice or an array of ints or bools, found {describe(k)}", here(),
                               fix="convert it: `int(...)`, or divide by `//`" if found is not None else "")
    if getattr(k, "ndim", 0) == 0:
        if found == bool_:
            raise StagingTypeError("a single bool is not an index", here(), fix="use `if`, or an array of bools")
        return int(k) if not isinstance(k, Rep) else scalar(k)
    v = lift_value(k)
    return v if found == bool_ else lift_value(v, i64)


def _array_of(items: Any) -> Any:
    from . import ops

    if any(isinstance(i, Rep) for i in items):
        return ops.stack(list(items))
    return np.asarray(items, dtype=None if items else np.int64)


def _axes(k: Any) -> int:
    """How many axes a part of a key takes: a mask takes one for each of its own."""
    return array_type(k).rank if isinstance(k, Value) and isinstance(k.type, ArrayType) and k.type.dtype == bool_ else 1


def _axis(a: Value, axis: int, k: Any, basic: _Basic) -> None:
    """Add what one part of a key asks of one axis (a mask: of several)."""
    b = current()
    dims = array_type(a).dims
    if isinstance(k, slice) and isinstance(k.step, Rep) and basic.writing:
        k = strided(k, a, axis).value
    if isinstance(k, slice):
        if k == slice(None) and k.step is None:
            basic.spec.append(("all",))
            basic.dims.append(dims[axis])
            return
        start, size, dim, step = positions(k, a, axis)
        basic.spec.append(("slice", step))
        basic.operands += [start, size]
        basic.dims.append(dim)
    elif isinstance(k, Value) and isinstance(k.type, ArrayType):
        basic.arrays.append((len(basic.dims), k))
        for further in range(_axes(k)):
            basic.spec.append(("all",))
            basic.dims.append(dims[axis + further])
    else:
        basic.spec.append(("at",))
        basic.scalars.append(axis)
        n = dims[axis]
        if isinstance(k, int) and isinstance(n, int) and (-n if p.array.wraps(basic.attrs) else 0) <= k < n:
            basic.operands.append(b.const(k % n))
        else:
            basic.operands.append(basic.checked(b.const(k) if isinstance(k, int) else k, b.dim(a, axis)))


def _view(a: Value, basic: _Basic) -> Value:
    if all(s == ("all",) for s in basic.spec) and basic.arrays:
        return a
    return current().emit1(p.array.view, a, *basic.operands, spec=tuple(basic.spec), dims=tuple(basic.dims))


# ------------------------------------------------------------------------------------------- storing


def _element_of(item: Any, x: Rep) -> Value:
    """What is stored, with the elements of the array: NumPy's rule for `same_kind` casts."""
    t = element(x.type)
    found = promote(item) if scalar_like(item) is not None else None
    if found is None:
        raise StagingTypeError(f"cannot store {describe(item)} in {describe(x)}", here())
    if "biufc".index(found.kind) > "biufc".index(t.kind) and not (found.kind in "iu" and t.kind in "iu"):
        raise StagingTypeError(f"cannot store {describe(item)} in {describe(x)}", here(),
                               fix=f"convert it: `.astype(\"{t}\")`, or make the array of {found}: `dtype=\"{found.dtype}\"`")
    return lift_value(item, t)


def _store(a: Value, v: Value, basic: _Basic) -> None:
    """Store one element; adding to what is there accumulates."""
    b = current()
    if (added := _added(a, v, basic)) is not None:
        b.emit(p.array.accumulate, a, added, *basic.operands)
    else:
        b.emit(p.array.store, a, v, *basic.operands)


def _added(a: Value, v: Value, basic: _Basic) -> Value | None:
    """The `d` of `a[i] = a[i] + d`, where nothing has happened since `a[i]` was read."""
    b = current()
    if v.node is None or v.node.op not in (p.scalar.add, p.scalar.sub) or v.block is not b.block or v.type == bool_:
        return None
    x, y = v.node.operands
    for old, d in ((x, y), (y, x)) if v.node.op is p.scalar.add else ((x, y),):
        load = old.node
        if load is None or load.op is not p.array.load or old.block is not b.block or load.operands != (a, *basic.operands):
            continue
        if d is old:
            return None
        for node in reversed(b.block.nodes):
            if node is load:
                return d if v.node.op is p.scalar.add else b.emit1(p.scalar.neg, d) if element(d.type).kind in "ifc" else None
            if node.blocks or not (node.op.effect.pure or node.op is p.array.index or node.op is p.control.check):
                break
    return None


def _is_that_view(v: Value, a: Value, basic: _Basic) -> bool:
    node = v.node
    if v is a:
        return all(s == ("all",) for s in basic.spec)
    return (node is not None and node.op is p.array.view and node.operands == (a, *basic.operands)
            and node.attrs["spec"] == tuple(basic.spec))


def base(v: Value) -> Value:
    """The array that a chain of views looks at."""
    while v.node is not None and v.node.op.effect.view is not None:
        v = v.node.operands[v.node.op.effect.view]
    return v


def may_overlap(source: Value, target: Value) -> bool:
    """Whether reading one array may see what is written to the other: same memory, or carried by a loop."""
    a, b = base(source), base(target)
    if a is b:
        return True
    carried = [v for v in (a, b) if v.node is None and v.block is not current().scopes[0].block]
    if carried:
        return a.node is None or b.node is None or any(_shares(v) for v in (a, b))
    return _shares(a) or _shares(b)


def _shares(v: Value) -> bool:
    """Whether a value may be another name of an array made elsewhere: what control, calls and records give."""
    return v.node is not None and (bool(v.node.blocks) or v.node.op in (p.control.call, p.array.project, p.array.load))


# ------------------------------------------------------------------------------------ index arrays, masks


def _whole_mask(x: Rep, key: Any) -> Value | None:
    """A mask over all of `x`, renamed to its sizes."""
    if isinstance(key, Rep | np.ndarray) and scalar_like(key) == bool_ and getattr(key, "ndim", 0) == x.ndim != 0:
        from ..shapes import like

        return like(lift_value(key), x.value, "the mask does not fit")
    return None


def _gather(a: Value, basic: _Basic) -> tuple[Value, Value, int]:
    """Several index arrays as one: the array with the indexed axes merged, the index, the axis."""
    b, arrays = current(), basic.arrays
    first = arrays[0][0]
    last = first
    indices: list[tuple[Value, int]] = []  # index array and its axis
    for axis, v in arrays:
        if axis != last:
            _unsupported("index arrays with slices between them")
        for part in _nonzero(v, a, axis) if array_type(v).dtype == bool_ else (v,):
            indices.append((part, last))
            last += 1
    checked = [basic.checked(v, b.dim(a, axis)) for v, axis in indices]
    if len(checked) == 1:
        return a, checked[0], first
    together = broadcast(checked, "index arrays do not fit")
    linear = together[0]
    for v, (_, axis) in zip(together[1:], indices[1:], strict=True):
        width = broadcast([b.dim(a, axis), v])[0]
        linear = b.emit1(p.scalar.add, b.emit1(p.scalar.mul, linear, width), v)
    return merged(a, first, last, basic.writing), linear, first


def merged(a: Value, first: int, last: int, writing: bool) -> Value:
    """The same elements with axes `first` to `last - 1` as one."""
    b = current()
    t = array_type(a)
    if t.layout != "C":
        if writing:
            _unsupported("storing at several index arrays in an array that is not contiguous")
        a = b.emit1(p.array.copy, a)
    n = b.dim(a, first)
    for axis in range(first + 1, last):
        n = b.emit1(p.scalar.mul, n, b.dim(a, axis))
    sizes = [*(b.dim(a, k) for k in range(first)), n, *(b.dim(a, k) for k in range(last, t.rank))]
    dims = (*t.dims[:first], b.size_of(n), *t.dims[last:])
    return b.emit1(p.array.reshape, a, *sizes, dims=dims)


def _nonzero(mask: Value, a: Value, axis: int) -> list[Value]:
    """The positions where a mask is true, one array of them for each of its axes."""
    from ..shapes import require_equal

    for k in range(array_type(mask).rank):
        require_equal(mask, k, a, axis + k, "the mask does not fit")
    return nonzero(mask)


def nonzero(mask: Value) -> list[Value]:
    """`np.nonzero` of an array of bools."""
    b = current()
    rank = array_type(mask).rank
    flat = mask if rank == 1 else merged(mask, 0, rank, writing=False)
    found = b.emit1(p.array.nonzero, flat, dims=(fresh_symbol("nonzero"),))
    if rank == 1:
        return [found]
    out: list[Value] = []
    for k in reversed(range(rank)):
        size = broadcast([b.dim(mask, k), found])[0]
        out.insert(0, b.emit1(p.scalar.mod, found, size) if k else found)
        if k:
            found = b.emit1(p.scalar.floordiv, found, size)
    return out


def _scatter(x: Rep, basic: _Basic, item: Any, op: str = "") -> None:
    """`x[...] = item` at index arrays, or `x[...] op= item` where equal indices add up."""
    from . import ops

    b = current()
    target, index, axis = _gather(_view(x.value, basic), basic)
    shaped = b.emit1(p.array.take, target, index, axis=axis)  # only its shape is used
    v = _element_of(item, x)
    if op == "subtract":
        v = ops.negative(Rep(v)).value
    v = broadcast_to(v, b.dims(shaped), array_type(shaped).dims, f"cannot {op} in place" if op else "cannot assign")
    b.emit(p.array.add_at if op else p.array.put, target, index, rename(v, array_type(shaped).dims), axis=axis)


def _not_a_part(x: Rep) -> None:
    """Refuse to write to `z.real` or `z.imag`: here they are copies, and `z` would not change."""
    node = base(x.value).node
    if node is not None and node.op in (p.scalar.real, p.scalar.imag):
        part = "real" if node.op is p.scalar.real else "imag"
        raise StagingError(f"`.{part}` of a complex array is a copy in staged code: writing to it would change no array", here(),
                           fix=f"store whole numbers: `z[...] = {'a + 1j * z.imag' if part == 'real' else 'z.real + 1j * a'}`")


def change_at(x: Rep, key: Any, op: str, item: Any) -> None:
    """`np.add.at(x, key, item)` or `np.subtract.at`: what `x[key] += item` does, but equal indices add up."""
    from . import ops

    basic = _analyse(x, key, writing=True)
    if basic.arrays:
        _scatter(x, basic, item, op)
    else:
        part = get(x, key)
        put(x, key, in_place(part, op, item) if part.ndim else getattr(ops, op)(part, item))


def _unsupported(what: str) -> NoReturn:
    raise StagingError(f"{what} cannot be staged", here(), fix="index in two steps, or write a loop")


class Indexed:
    """A list, tuple, dict, text or range of now, which is indexed."""

    __slots__ = ("container",)

    def __init__(self, container: Any) -> None:
        self.container = container

    def __getitem__(self, key: Any) -> Any:
        if _later(key):
            kind = type(self.container).__name__
            fix = _ARRAYS_FOR.get(kind, "make it an array before: `xs = np.array(xs)`, or `np.stack(xs)` of arrays")
            raise StagingError(f"a {kind} is known now, but {describe(key)} in its brackets is known later", here(), fix=fix)
        return self.container[key]


def indexed(x: Any) -> Any:
    """What stands in front of brackets."""
    return Indexed(x) if type(x) in _INDEXED else x


_INDEXED = (list, tuple, dict, str, range)
_ARRAYS_FOR = {"dict": "keep the values in an array, and number the keys",
               "str": "make it an array of numbers before: `codes = np.array([ord(c) for c in text])`"}


def _later(key: Any) -> bool:
    return isinstance(key, Rep) or (isinstance(key, tuple) and any(map(_later, key))) or (
        isinstance(key, slice) and any(isinstance(k, Rep) for k in (key.start, key.stop, key.step)))


