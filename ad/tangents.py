"""Tangents: their types, and zeros of them.

The tangent of a float or an array of floats has its type. The tangent of a sum is a sum with the same alternatives,
whose fields are the tangents of the fields that can carry one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Value
from lms.core.types import ArrayType, Constructor, FunctionType, Scalar, SumType, Type, i64, is_differentiable

# by identity: two programs may have different records of one name
_sums: dict[int, tuple[SumType, SumType]] = {}


def tangent_type(t: Type) -> Type:
    """The type of tangents of a differentiable type."""
    if isinstance(t, Scalar):
        return t
    if isinstance(t, ArrayType):
        inner = tangent_type(t.dtype)
        assert isinstance(inner, Scalar | SumType)
        return ArrayType(inner, t.dims, t.layout)
    assert isinstance(t, SumType) and not isinstance(t, FunctionType)
    if id(t) not in _sums:
        tangent = SumType(f"{t.name}.tangent")
        _sums[id(t)] = t, tangent
        tangent.constructors = tuple(
            Constructor(c.name, tuple((name, tangent_type(f)) for name, f in c.fields if is_differentiable(f)))
            for c in t.constructors
        )
    return _sums[id(t)][1]


def field_of_tangent(t: SumType, tag: int, field: int) -> int:
    """Where the tangent of a field stands in the tangent's record."""
    return sum(is_differentiable(f) for _, f in t.constructors[tag].fields[:field])


def zero(b: Builder, like: Value, t: Type | None = None) -> Value:
    """A zero tangent for the value `like`: fresh memory for arrays, a record of the same shape for records."""
    t = t or like.type
    if isinstance(t, Scalar):
        return b.const(0.0, t)
    if isinstance(t, ArrayType):
        sizes = b.dims(like)
        if isinstance(t.dtype, Scalar):
            return b.emit1(p.array.broadcast, b.const(0.0, t.dtype), *sizes, dims=t.dims, axes=())
        return _zero_array_of_records(b, like, t, sizes)
    assert isinstance(t, SumType)
    (value,) = b.emit(p.control.call, like, callee=_zero_function(b, t), types=(tangent_type(t),))
    return value


def _zero_array_of_records(b: Builder, like: Value, t: ArrayType, sizes: tuple[Value, ...]) -> Value:
    out = b.emit1(p.array.empty, *sizes, dims=t.dims, dtype=tangent_type(t.dtype))
    if like.node is None or like.node.op is not p.array.empty:  # else nothing is in it yet
        each(b, sizes, lambda index: b.emit(p.array.store, out, zero(b, b.emit1(p.array.load, like, *index)), *index))
    return out


def each(b: Builder, sizes: Sequence[Value], act: Callable[[tuple[Value, ...]], object], index: tuple[Value, ...] = ()) -> None:
    """Emit what `act` emits for every index, in loops."""
    if not sizes:
        act(index)
        return
    with b.reify([i64], ["i"]) as body:
        each(b, sizes[1:], act, (*index, *body.params))
    b.emit(p.control.for_, b.const(0), sizes[0], b.const(1), blocks=[body], types=())


def _zero_function(b: Builder, t: SumType) -> str:
    """The name of the function from a sum to its zero tangent, made where the program has none yet."""
    name = f"zero_{t.name}"
    if name in b.program.functions:
        return name
    tangent = tangent_type(t)
    with b.function(name, [t], ["x"]) as function:
        (x,) = function.body.params
        which = b.emit1(p.record.tag, x)
        function.body.results = (_zero_alternative(b, t, tangent, x, which, 0),)
    return name


def _zero_alternative(b: Builder, t: SumType, tangent: Type, x: Value, which: Value, tag: int) -> Value:
    if tag == len(t.constructors) - 1:
        return _zero_record(b, t, tangent, x, tag)
    with b.reify() as this:
        this.results = (_zero_record(b, t, tangent, x, tag),)
    with b.reify() as rest:
        rest.results = (_zero_alternative(b, t, tangent, x, which, tag + 1),)
    return b.emit1(p.control.if_, b.emit1(p.scalar.eq, which, b.const(tag)), blocks=[this, rest], types=(tangent,))


def _zero_record(b: Builder, t: SumType, tangent: Type, x: Value, tag: int) -> Value:
    fields = []
    for k, (name, f) in enumerate(t.constructors[tag].fields):
        if is_differentiable(f):
            attrs = {"dims": f.dims} if isinstance(f, ArrayType) else {}
            fields.append(zero(b, b.emit1(p.record.project, x, tag=tag, field=k, name=name, **attrs)))
    return b.emit1(p.record.construct, *fields, type=tangent, tag=tag)
