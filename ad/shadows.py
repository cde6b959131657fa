"""Shadows: where cotangents of memory are accumulated. Their types, and fresh ones that hold zeros.

The shadow of an array of floats is an array of its shape. The shadow of an array of records is an array of shadows. The
shadow of a record is a record with the same alternatives: a cell (an array of one) for every float, a shadow for the rest
that can carry one. Records stay immutable; what they refer to is not.
"""

from __future__ import annotations

from typing import Any

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Value
from lms.core.types import ArrayType, Constructor, Scalar, SumType, Type, fresh_symbol, is_differentiable

from .tangents import each, field_of_tangent, tangent_type

# by identity: two programs may have different records of one name
_sums: dict[int, tuple[SumType, SumType]] = {}


def shadow_type(t: Type) -> Type:
    """The type of the shadow of an array or a record."""
    if isinstance(t, ArrayType):
        return t if isinstance(t.dtype, Scalar) else ArrayType(shadow_sum(t.dtype), t.dims, t.layout)
    assert isinstance(t, SumType), t
    return shadow_sum(t)


def shadow_sum(t: SumType) -> SumType:
    """The record type of the shadows of a record type."""
    if id(t) not in _sums:
        shadow = SumType(f"{t.name}.shadow")
        _sums[id(t)] = t, shadow
        shadow.constructors = tuple(
            Constructor(c.name, tuple((name, _field(f)) for name, f in c.fields if is_differentiable(f)))
            for c in t.constructors
        )
    return _sums[id(t)][1]


def _field(t: Type) -> Type:
    return ArrayType(t, (1,)) if isinstance(t, Scalar) else shadow_type(t)


def field_of_shadow(t: SumType, tag: int, field: int) -> int:
    """Where the shadow of a field stands in the shadow's record."""
    return sum(is_differentiable(f) for _, f in t.constructors[tag].fields[:field])


def zeros(b: Builder, like: Value) -> Value:
    """An array of zeros in the shape of `like`."""
    t = like.type
    assert isinstance(t, ArrayType) and isinstance(t.dtype, Scalar)
    return b.emit1(p.array.broadcast, b.const(0.0, t.dtype), *b.dims(like), dims=t.dims, axes=())


def cell(b: Builder, t: Scalar) -> Value:
    """An array of one zero: the shadow of a float in a record."""
    return b.emit1(p.array.broadcast, b.const(0.0, t), b.const(1), dims=(1,), axes=())


def fresh(b: Builder, like: Value, filled: bool = True) -> Value:
    """A shadow of zeros for an array or record. An array of records that is empty still has an empty shadow (`filled` false)."""
    t = like.type
    if isinstance(t, ArrayType) and isinstance(t.dtype, Scalar):
        return zeros(b, like)
    if isinstance(t, ArrayType):
        assert isinstance(t.dtype, SumType)
        shadow = b.emit1(p.array.empty, *b.dims(like), dims=t.dims, dtype=shadow_sum(t.dtype), **_residual(like))
        if filled:
            _fill(b, like, shadow)
        return shadow
    assert isinstance(t, SumType)
    return b.emit(p.control.call, like, callee=_maker(b, t), types=(shadow_sum(t),))[0]


def _residual(like: Value) -> dict[str, Any]:
    return {"residual": True} if like.node is not None and like.node.attrs.get("residual") else {}


def _fill(b: Builder, like: Value, shadow: Value) -> None:
    each(b, b.dims(like), lambda index: b.emit(p.array.store, shadow, fresh(b, b.emit1(p.array.load, like, *index)), *index))


# ------------------------------------------------------------------------------- functions over records


def by_alternative(b: Builder, x: Value, t: SumType, results: tuple[Type, ...], each: Any, tag: int = 0) -> tuple[Value, ...]:
    """What `each(tag)` emits and gives for the alternative that `x` is."""
    if tag == len(t.constructors) - 1:
        return tuple(each(tag))
    with b.reify() as this:
        this.results = tuple(each(tag))
    with b.reify() as rest:
        rest.results = by_alternative(b, x, t, results, each, tag + 1)
    is_this = b.emit1(p.scalar.eq, b.emit1(p.record.tag, x), b.const(tag))
    return b.emit(p.control.if_, is_this, blocks=[this, rest], types=results)


def project(b: Builder, x: Value, tag: int, field: int, like: Value | None = None) -> Value:
    """A field of a record. The sizes of an array are those of `like`, or have fresh names."""
    assert isinstance(x.type, SumType)
    t = x.type.constructors[tag].fields[field][1]
    if not isinstance(t, ArrayType):
        return b.emit1(p.record.project, x, tag=tag, field=field)
    known = like.type if like is not None else t
    dims = known.dims if isinstance(known, ArrayType) and like is not None else tuple(
        d if isinstance(d, int) else fresh_symbol() for d in t.dims)
    return b.emit1(p.record.project, x, tag=tag, field=field, dims=dims)


def _maker(b: Builder, t: SumType) -> str:
    """The name of the function from a record to a shadow of zeros, made where the program has none yet."""
    name = f"shadow_{t.name}"
    if name in b.program.functions:
        return name
    with b.function(name, [t], ["x"]) as function:
        (x,) = function.body.params

        def each(tag: int) -> tuple[Value, ...]:
            fields = [cell(b, f) if isinstance(f, Scalar) else fresh(b, project(b, x, tag, k))
                      for k, (_, f) in enumerate(t.constructors[tag].fields) if is_differentiable(f)]
            return (b.emit1(p.record.construct, *fields, type=shadow_sum(t), tag=tag),)

        function.body.results = by_alternative(b, x, t, (shadow_sum(t),), each)
    return name


def gradient(b: Builder, x: Value, shadow: Value) -> Value:
    """What a shadow holds, as a record like `x`: its floats are the cotangents, the rest is that of `x`."""
    t = x.type
    assert isinstance(t, SumType)
    return b.emit(p.control.call, x, shadow, callee=_reader(b, t), types=(t,))[0]


def _reader(b: Builder, t: SumType) -> str:
    name = f"gradient_{t.name}"
    if name in b.program.functions:
        return name
    with b.function(name, [t, shadow_sum(t)], ["x", "shadow"]) as function:
        x, shadow = function.body.params

        def each(tag: int) -> tuple[Value, ...]:
            fields = []
            for k, (_, f) in enumerate(t.constructors[tag].fields):
                value = project(b, x, tag, k)
                if is_differentiable(f):
                    inner = project(b, shadow, tag, field_of_shadow(t, tag, k), None if isinstance(f, Scalar) else value)
                    value = (b.emit1(p.array.load, inner, b.const(0)) if isinstance(f, Scalar)
                             else gradient(b, value, inner) if isinstance(f, SumType) else inner)
                fields.append(value)
            return (b.emit1(p.record.construct, *fields, type=t, tag=tag),)

        function.body.results = by_alternative(b, x, t, (t,), each)
    return name


def seed(b: Builder, cotangent: Value, shadow: Value) -> None:
    """Add a cotangent, a record like the value, to the value's shadow."""
    assert isinstance(cotangent.type, SumType)
    b.emit(p.control.call, cotangent, shadow, callee=_adder(b, cotangent.type), types=())


def _adder(b: Builder, t: SumType) -> str:
    name = f"seed_{t.name}"
    if name in b.program.functions:
        return name
    with b.function(name, [t, shadow_sum(t)], ["d", "shadow"]) as function:
        d, shadow = function.body.params

        def each(tag: int) -> tuple[Value, ...]:
            for k, (_, f) in enumerate(t.constructors[tag].fields):
                if is_differentiable(f):
                    value = project(b, d, tag, k)
                    inner = project(b, shadow, tag, field_of_shadow(t, tag, k), None if isinstance(f, Scalar) else value)
                    if isinstance(f, Scalar):
                        b.emit(p.array.accumulate, inner, value, b.const(0))
                    elif isinstance(f, SumType):
                        seed(b, value, inner)
                    else:
                        b.emit(p.array.add_into, inner, value)
            return ()

        by_alternative(b, d, t, (), each)
    return name


def tangent_of(b: Builder, x: Value) -> Value:
    """A tangent from a record like the value: its floats."""
    assert isinstance(x.type, SumType)
    return b.emit(p.control.call, x, callee=_narrower(b, x.type), types=(tangent_type(x.type),))[0]


def _narrower(b: Builder, t: SumType) -> str:
    name, tangent = f"tangent_{t.name}", tangent_type(t)
    if name in b.program.functions:
        return name
    with b.function(name, [t], ["x"]) as function:
        (x,) = function.body.params

        def each_field(tag: int) -> tuple[Value, ...]:
            fields = [project(b, x, tag, k) for k, (_, f) in enumerate(t.constructors[tag].fields) if is_differentiable(f)]
            fields = [tangent_of(b, v) if isinstance(v.type, SumType) else v for v in fields]
            return (b.emit1(p.record.construct, *fields, type=tangent, tag=tag),)

        function.body.results = by_alternative(b, x, t, (tangent,), each_field)
    return name


def with_tangent(b: Builder, x: Value, dx: Value) -> Value:
    """A tangent as a record like the value `x`: its floats are those of the tangent, the rest is that of `x`."""
    assert isinstance(x.type, SumType)
    return b.emit(p.control.call, x, dx, callee=_widener(b, x.type), types=(x.type,))[0]


def _widener(b: Builder, t: SumType) -> str:
    name = f"with_tangent_{t.name}"
    if name in b.program.functions:
        return name
    with b.function(name, [t, tangent_type(t)], ["x", "dx"]) as function:
        x, dx = function.body.params

        def each_field(tag: int) -> tuple[Value, ...]:
            fields = []
            for k, (_, f) in enumerate(t.constructors[tag].fields):
                value = project(b, x, tag, k)
                if is_differentiable(f):
                    dot = project(b, dx, tag, field_of_tangent(t, tag, k), None if isinstance(f, Scalar) else value)
                    value = with_tangent(b, value, dot) if isinstance(f, SumType) else dot
                fields.append(value)
            return (b.emit1(p.record.construct, *fields, type=t, tag=tag),)

        function.body.results = by_alternative(b, x, t, (t,), each_field)
    return name
