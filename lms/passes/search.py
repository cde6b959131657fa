"""Searches through vectors, a chunk of indices at a time: a loop over a chunk has no exit, and takes many at once.

The derivative of a maximum asks where it stands, once it is known. The loop that finds it notes the chunk it came from, and
only that chunk is looked through again.
"""

from __future__ import annotations

from collections.abc import Callable

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Node, Value
from lms.core.primitives import Primitive
from lms.core.types import ArrayType, i64

s, a = p.scalar, p.array
CHUNK = 4096  # indices that are looked at before it is asked whether one was found


def first_nan(b: Builder, x: Value, best: Value) -> Value:
    """Whether `x` is the first NaN: it wins, for good."""
    return b.emit1(s.and_, b.emit1(s.isnan, x), b.emit1(s.not_, b.emit1(s.isnan, best)))


def end(b: Builder, chunk: Value, size: Value) -> Value:
    """Where the chunk that begins here ends."""
    return b.emit1(s.minimum, b.emit1(s.add, chunk, b.const(CHUNK)), size)


def first(b: Builder, size: Value, holds: Callable[[Value], Value], chunk: Value | None = None) -> Value:
    """The first index of which something holds, else zero. The search ends with the chunk in which that is; where it is known
    which chunk that would be, no other is looked at."""

    def nearest(start: Value, stop: Value) -> Value:
        with b.reify((i64, i64)) as block:
            i, best = block.params
            block.results = (b.emit1(s.minimum, best, b.emit1(s.select, holds(i), i, size)),)
        return b.emit(p.control.for_, start, stop, b.const(1), size, blocks=[block], types=(i64,))[0]

    if size.number is not None and size.number <= CHUNK:
        found = nearest(b.const(0), size)
    elif chunk is not None:
        found = nearest(chunk, end(b, chunk, size))
    else:
        with b.reify((i64, i64)) as condition:
            start, found = condition.params
            condition.results = (b.emit1(s.and_, b.emit1(s.lt, start, size), b.emit1(s.eq, found, size)),)
        with b.reify((i64, i64)) as body:
            start = body.params[0]
            stop = end(b, start, size)
            body.results = (stop, nearest(start, stop))
        found = b.emit(p.control.while_, b.const(0), size, blocks=[condition, body], types=(i64, i64))[1]
    return b.emit1(s.select, b.emit1(s.eq, found, size), b.const(0), found)


def extreme(b: Builder, op: Primitive, identity: Value, size: Value, element: Callable[[Value], Value]) -> tuple[Value, Value]:
    """The largest of some floats (`maximum`) or the smallest (`minimum`), and the chunk of the first; NaN, if there is one."""
    t = identity.type
    with b.reify((i64, t, i64)) as chunk:
        start, best, where = chunk.params
        with b.reify((i64, t)) as body:
            i, top = body.params
            body.results = (b.emit1(op, top, element(i), fast=True),)
        top = b.emit(p.control.for_, start, end(b, start, size), b.const(1), identity, blocks=[body], types=(t,))[0]
        wins = b.emit1(s.or_, b.emit1(s.gt if op is s.maximum else s.lt, top, best), first_nan(b, top, best))
        chunk.results = (b.emit1(s.select, wins, top, best), b.emit1(s.select, wins, start, where))
    zero = b.const(0)
    best, where = b.emit(p.control.for_, zero, size, b.const(CHUNK), identity, zero, blocks=[chunk], types=(t, i64))
    return best, where


def sought(node: Node) -> Value | None:
    """The extreme of a vector whose place a node asks for: `argmax((x == max(x)) | isnan(x))`, as derivatives have it."""
    if node.op is not a.argmax:
        return None
    hits = node.operands[0].node
    sides = [v.node for v in hits.operands] if hits is not None and hits.op is s.or_ else []
    if [side.op for side in sides if side is not None] != [s.eq, s.isnan]:
        return None
    equal, nan = (side for side in sides if side is not None)
    x, everywhere = equal.operands
    repeated = everywhere.node
    top = repeated.operands[0] if repeated is not None and repeated.op is a.broadcast else None
    if top is None or top.node is None or top.node.op not in (a.reduce_max, a.reduce_min):
        return None
    t = x.type
    long = isinstance(t, ArrayType) and t.rank == 1 and not (isinstance(t.dims[0], int) and t.dims[0] <= CHUNK)
    return top if long and top.node.operands == nan.operands == (x,) else None
