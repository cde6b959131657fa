"""Records in two halves: shadows are built, taken apart, stored and loaded beside the records, in the forward half.

Only floats in records have a backward half: their cotangent is in the cell that stands for them in the shadow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lms.core import primitives as p
from lms.core.ir import Node, Value
from lms.core.types import ArrayType, Scalar, SumType, is_differentiable

from .shadows import cell, field_of_shadow, shadow_sum

if TYPE_CHECKING:
    from .cotangents import Halves
    from .sweep import Sweep

_a = p.array
HALVES = frozenset({p.record.construct, p.record.project})


def carries_records(node: Node) -> bool:
    """Whether an operation moves records, or arrays of them."""
    return any(isinstance(v.type, SumType) or (isinstance(v.type, ArrayType) and isinstance(v.type.dtype, SumType))
               for v in (*node.operands, *node.results))


def halves(s: Sweep, node: Node) -> Halves:
    """The two halves of an operation on records."""
    if node.op is p.record.construct:
        return _construct(s, node)
    if node.op is p.record.project:
        return _project(s, node)
    return _move(s, node)


def _construct(s: Sweep, node: Node) -> Halves:
    b = s.builder
    s.plain(node)
    parts: list[Value] = []
    cells: list[tuple[Value, Value]] = []
    for v in node.operands:
        if isinstance(v.type, Scalar) and is_differentiable(v.type):
            parts.append(s.mark(cell(b, v.type)))
            cells.append((v, parts[-1]))
        elif is_differentiable(v.type):
            parts.append(s.shadow(v))
    t = node.attrs["type"]
    s.shadowed(node.results, [b.emit1(p.record.construct, *parts, type=shadow_sum(t), tag=node.attrs["tag"])])
    bar = yield
    for v, place in cells:
        if v in s.activity:
            bar.add(v, b.emit1(_a.load, place, b.const(0)))


def _project(s: Sweep, node: Node) -> Halves:
    b, (x,), out = s.builder, node.operands, node.result
    s.plain(node)
    assert isinstance(x.type, SumType)
    field = field_of_shadow(x.type, node.attrs["tag"], node.attrs["field"])
    dims = (1,) if isinstance(out.type, Scalar) else node.attrs.get("dims")
    attrs = {"tag": node.attrs["tag"], "field": field, **({"dims": dims} if dims is not None else {})}
    if not isinstance(out.type, Scalar):
        s.shadowed([out], [b.emit1(p.record.project, s.shadows[x], **attrs)])
        yield
        return
    bar = yield
    d = bar.take(out)
    if d is not None:
        b.emit(_a.accumulate, b.emit1(p.record.project, s.shadows[x], **attrs), d, b.const(0), fast=True)


def _move(s: Sweep, node: Node) -> Halves:
    """What moves records moves their shadows, in the same way."""
    s.plain(node)
    operands = [s.shadow(v) if is_differentiable(v.type) and not isinstance(v.type, Scalar) else s.value(v)
                for v in node.operands]
    out = s.builder.emit(node.op, *operands, **s.attrs(node.attrs))
    s.shadowed(node.results, out)
    for v in out:
        if node.op is _a.load and s.value(node.result) in s.repeatable:
            s.repeatable.add(v)
    yield
