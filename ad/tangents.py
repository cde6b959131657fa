"""Tangents: their types, and zeros of them.

The tangent of a float or an array of floats has its type. The tangent of a sum is a sum with the same alternatives,
whose fields are the tangents of the fields that can carry one. A tangent may hold several directions, in *lanes*: then
a float has as many beside it, and an array of floats one more axis, the last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Value
from lms.core.types import ArrayType, Constructor, FunctionType, Scalar, SumType, Type, i64, is_differentiable

Dot = tuple[Value, ...]  # a tangent: a value for each lane of a float, one of an array or a record

# by identity: two programs may have different records of one name
_sums: dict[tuple[int, int], tuple[SumType, SumType]] = {}


def tangent_types(t: Type, lanes: int = 0) -> tuple[Type, ...]:
    """The types of tangents of a differentiable type; without `lanes` one."""
    return (t,) * (lanes or 1) if isinstance(t, Scalar) else (tangent_type(t, lanes),)


def tangent_type(t: Type, lanes: int = 0) -> Type:
    """The type of tangents of an array or a record; without lanes, of a float too."""
    if isinstance(t, Scalar):
        assert not lanes
        return t
    if isinstance(t, ArrayType):
        if isinstance(t.dtype, Scalar):
            return ArrayType(t.dtype, (*t.dims, lanes) if lanes else t.dims, t.layout)
        return ArrayType(_tangent_sum(t.dtype, lanes), t.dims, t.layout)
    assert isinstance(t, SumType) and not isinstance(t, FunctionType)
    return _tangent_sum(t, lanes)


def _tangent_sum(t: SumType, lanes: int) -> SumType:
    key = id(t), lanes
    if key not in _sums:
        tangent = SumType(f"{t.name}.tangent{lanes or ''}")
        _sums[key] = t, tangent
        tangent.constructors = tuple(
            Constructor(c.name, tuple((f"{name}{k or ''}", dt) for name, f in c.fields if is_differentiable(f)
                                      for k, dt in enumerate(tangent_types(f, lanes))))
            for c in t.constructors
        )
    return _sums[key][1]


def field_of_tangent(t: SumType, tag: int, field: int, lanes: int = 0) -> int:
    """Where the tangent of a field stands in the tangent's record: the first of its lanes."""
    return sum(len(tangent_types(f, lanes)) for _, f in t.constructors[tag].fields[:field] if is_differentiable(f))


def zero(b: Builder, like: Value, lanes: int = 0) -> Dot:
    """A zero tangent for the value `like`: fresh memory for arrays, a record of the same shape for records."""
    t = like.type
    if isinstance(t, Scalar):
        return (b.const(0.0, t),) * (lanes or 1)
    if isinstance(t, ArrayType):
        sizes = b.dims(like)
        if isinstance(t.dtype, Scalar):
            more = [b.const(lanes)] if lanes else []
            made = tangent_type(t, lanes)
            assert isinstance(made, ArrayType)
            return (b.emit1(p.array.broadcast, b.const(0.0, t.dtype), *sizes, *more, dims=made.dims, axes=()),)
        return (_zero_array_of_records(b, like, t.dims, _tangent_sum(t.dtype, lanes), sizes, lanes),)
    assert isinstance(t, SumType)
    return b.emit(p.control.call, like, callee=_zero_function(b, t, lanes), types=(_tangent_sum(t, lanes),))


def _zero_array_of_records(b: Builder, like: Value, dims: tuple[object, ...], tangent: SumType, sizes: tuple[Value, ...],
                           lanes: int) -> Value:
    out = b.emit1(p.array.empty, *sizes, dims=dims, dtype=tangent)

    def fill(index: tuple[Value, ...]) -> None:
        b.emit(p.array.store, out, *zero(b, b.emit1(p.array.load, like, *index), lanes), *index)

    if like.node is None or like.node.op is not p.array.empty:  # else nothing is in it yet
        each(b, sizes, fill)
    return out


def each(b: Builder, sizes: Sequence[Value], act: Callable[[tuple[Value, ...]], object], index: tuple[Value, ...] = ()) -> None:
    """Emit what `act` emits for every index, in loops."""
    if not sizes:
        act(index)
        return
    with b.reify([i64], ["i"]) as body:
        each(b, sizes[1:], act, (*index, *body.params))
    b.emit(p.control.for_, b.const(0), sizes[0], b.const(1), blocks=[body], types=())


def _zero_function(b: Builder, t: SumType, lanes: int) -> str:
    """The name of the function from a sum to its zero tangent, made where the program has none yet."""
    name = f"zero{lanes or ''}_{t.name}"
    if name in b.program.functions:
        return name
    with b.function(name, [t], ["x"]) as function:
        (x,) = function.body.params
        which = b.emit1(p.record.tag, x)
        function.body.results = (_zero_alternative(b, t, lanes, x, which, 0),)
    return name


def _zero_alternative(b: Builder, t: SumType, lanes: int, x: Value, which: Value, tag: int) -> Value:
    if tag == len(t.constructors) - 1:
        return _zero_record(b, t, lanes, x, tag)
    with b.reify() as this:
        this.results = (_zero_record(b, t, lanes, x, tag),)
    with b.reify() as rest:
        rest.results = (_zero_alternative(b, t, lanes, x, which, tag + 1),)
    is_this = b.emit1(p.scalar.eq, which, b.const(tag))
    return b.emit1(p.control.if_, is_this, blocks=[this, rest], types=(_tangent_sum(t, lanes),))


def _zero_record(b: Builder, t: SumType, lanes: int, x: Value, tag: int) -> Value:
    fields: list[Value] = []
    for k, (name, f) in enumerate(t.constructors[tag].fields):
        if is_differentiable(f):
            attrs = {"dims": f.dims} if isinstance(f, ArrayType) else {}
            fields += zero(b, b.emit1(p.record.project, x, tag=tag, field=k, name=name, **attrs), lanes)
    return b.emit1(p.record.construct, *fields, type=_tangent_sum(t, lanes), tag=tag)
