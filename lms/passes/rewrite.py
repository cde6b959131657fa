"""What passes that change programs in place have in common: making nodes, asking what may raise, copying attributes."""

from __future__ import annotations

import struct
from collections.abc import Hashable, Mapping
from math import prod
from typing import Any

import numpy as np

from lms.core import primitives as p
from lms.core.builder import size_expression
from lms.core.ir import Block, Node, Value, walk
from lms.core.primitives import Primitive
from lms.core.types import ArrayType, Scalar, Size, Type, element

s, a = p.scalar, p.array

LARGEST = 1 << 17  # elements that may be allocated for nothing
EMPTY_RAISES = {a.reduce_max, a.reduce_min, a.argmax, a.argmin}  # over nothing, they raise `ValueError` once lowered
DIVISIONS = {s.floordiv, s.mod, s.quot, s.rem}


def make(op: Primitive, operands: tuple[Value, ...], attrs: dict[str, Any], like: Node, block: Block) -> Node:
    """A node that stands for `like`: its place in the source, its half, its type by the rule."""
    types = op.type(tuple(v.type for v in operands), attrs)
    node = Node(op, operands, attrs, (), tuple(Value(t, block=block) for t in types), like.span, like.half)
    for v in node.results:
        v.node = node
    return node


def constant(value: Any, t: Scalar, like: Node, block: Block) -> Node:
    """A node that makes a scalar constant."""
    return make(a.const, (), {"value": t.dtype.type(value).item(), "type": t}, like, block)


def adopt(node: Node, block: Block) -> None:
    """Note that a node now stands in `block`."""
    for v in node.results:
        v.block = block


def const_of(v: Value) -> Any:
    """The number a value is known to be, else None: a constant, or an array with the same constant everywhere."""
    if v.node is not None and v.node.op is a.broadcast and not isinstance(v.node.operands[0].type, ArrayType):
        v = v.node.operands[0]
    return v.number


def int_of(v: Value) -> int | None:
    """The value of an integer constant."""
    return int(v.number) if isinstance(v.number, int) else None


def frozen(value: Any) -> Hashable:
    """A hashable stand-in for an attribute that tells apart 0.0 and -0.0, 1 and True, and takes nan for itself."""
    if isinstance(value, float):
        return ("f", struct.pack("d", value))
    if isinstance(value, complex):
        return ("c", np.complex128(value).tobytes())
    if isinstance(value, list | tuple):
        return tuple(map(frozen, value))
    try:
        hash(value)
    except TypeError:
        return ("id", id(value))
    return (type(value).__name__, value)


def attributes(node: Node) -> Hashable:
    return () if not node.attrs else tuple((k, frozen(node.attrs[k])) for k in sorted(node.attrs))


def may_raise(node: Node) -> bool:
    """Whether a plain node may raise, before or after lowering."""
    if node.op.effect.raises:
        return True
    if node.op in EMPTY_RAISES:
        t = node.operands[0].type
        assert isinstance(t, ArrayType)
        axes = node.attrs["axes"] if "axes" in node.attrs else (node.attrs["axis"],)
        return not all(isinstance(t.dims[k], int) and t.dims[k] != 0 for k in axes)
    return False


def makes_array(node: Node) -> bool:
    """Whether a plain node allocates."""
    return node.op.effect.view is None and any(isinstance(v.type, ArrayType) for v in node.results) and node.op not in (
        a.load, p.record.project)


def speculative(node: Node, loops: Mapping[Value, Node]) -> bool:
    """Whether a pure node may run where the program would not have run it: it needs no guard that stands before it."""
    if node.op in DIVISIONS and not isinstance(node.operands[1].type, ArrayType):
        divisor = node.operands[1]
        return element(divisor.type).is_float or const_of(divisor) not in (None, 0, -1)
    if node.op in DIVISIONS:
        return False
    if node.op is a.load:
        t = node.operands[0].type
        assert isinstance(t, ArrayType)
        return all(within(i, d, loops) for i, d in zip(node.operands[1:], t.dims, strict=True))
    if node.op is a.view:
        return all(entry[0] != "at" for entry in node.attrs["spec"])
    if node.op in (a.broadcast, a.iota, a.concatenate, a.contract, a.grow) and isinstance(node.result.type, ArrayType):
        dims = node.result.type.dims  # of any size: it might not fit in memory
        return all(isinstance(d, int) for d in dims) and prod(d for d in dims if isinstance(d, int)) <= LARGEST
    return node.op not in (a.reshape, a.take, a.take_along, a.empty, p.record.project, *EMPTY_RAISES)


def within(i: Value, size: Size, loops: Mapping[Value, Node]) -> bool:
    """Whether an index is visibly in range: a constant, or the counter of a loop over just this size."""
    known = int_of(i)
    if known is not None:
        return isinstance(size, int) and 0 <= known < size
    loop = loops.get(i)
    if loop is None or int_of(loop.operands[2]) != 1:
        return False
    first, stop = int_of(loop.operands[0]), size_expression(loop.operands[1])
    if first is None or first < 0 or stop is None:
        return False
    return stop == size or (isinstance(stop, int) and isinstance(size, int) and stop <= size)


def counters(block: Block) -> dict[Value, Node]:
    """The `for` of each counter in a block and inside it."""
    return {node.blocks[0].params[0]: node for node in walk(block) if node.op is p.control.for_}


def same_shape_class(x: Type, y: Type) -> bool:
    """Whether a value of one type can be renamed to the other: arrays that differ in the names of their sizes only."""
    return isinstance(x, ArrayType) and isinstance(y, ArrayType) and (x.dtype, x.rank, x.layout) == (y.dtype, y.rank, y.layout)


def rename(v: Value, t: Type, like: Node, block: Block) -> Node:
    """A view that gives an array's sizes the names they have in `t`."""
    assert isinstance(t, ArrayType)
    return make(a.view, (v,), {"spec": (("all",),) * t.rank, "dims": t.dims}, like, block)
