"""Lowering of reductions and scans.

A reduction along the last axis keeps its accumulator in a value carried by the innermost loop; one along leading axes
walks its operand in memory order and accumulates into the result. Sums and products of floats may be reassociated (`fast`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Node, Value
from lms.core.primitives import Primitive
from lms.core.types import ArrayType, Scalar, Type

from .fuse import contiguous
from .lower import CHECKS, ELEMENTS, Lowering, element_of, lowers
from .nests import Carried, Index, highest, lowest
from .search import extreme, first, first_nan, sought

s = p.scalar


def zero(b: Builder, t: Type) -> Value:
    assert isinstance(t, Scalar)
    return b.const(False if t.kind == "b" else 0, t)


def one(b: Builder, t: Type) -> Value:
    assert isinstance(t, Scalar)
    return b.const(True if t.kind == "b" else 1, t)


Identity = Callable[[Builder, Scalar], Value]
COMBINE: dict[Primitive, tuple[Primitive, Identity]] = {
    p.array.reduce_sum: (s.add, zero), p.array.reduce_prod: (s.mul, one),
    p.array.reduce_max: (s.maximum, lowest), p.array.reduce_min: (s.minimum, highest),
    p.array.reduce_any: (s.or_, zero), p.array.reduce_all: (s.and_, one),
}


def combine(b: Builder, op: Primitive, x: Value, y: Value) -> Value:
    """One step of a reduction; those of floats may be taken in any order."""
    loose = op in (s.add, s.mul, s.maximum, s.minimum) and isinstance(x.type, Scalar) and x.type.kind in "fc"
    return b.emit1(op, x, y, fast=True) if loose else b.emit1(op, x, y)


def _axes(node: Node) -> tuple[int, ...]:
    return tuple(node.attrs["axes"]) if "axes" in node.attrs else (node.attrs["axis"],)


def _join(index: Index, inner: Index, axes: Sequence[int], rank: int) -> Index:
    """The index of an operand from that of the result and that over the reduced axes."""
    kept, reduced = iter(index), iter(inner)
    return tuple(next(reduced) if k in axes else next(kept) for k in range(rank))


@element_of(*COMBINE)
def _reduce_element(self: Lowering, node: Node, index: Index) -> Value:
    op, identity = COMBINE[node.op]
    x, axes = node.operands[0], _axes(node)
    assert isinstance(x.type, ArrayType) and isinstance(x.type.dtype, Scalar)
    rank = x.type.rank

    def body(inner: Index, carried: Carried) -> Carried:
        return (combine(self.builder, op, carried[0], self.element(x, _join(index, inner, axes, rank))),)

    return self.nest([self.extent(x, k) for k in axes], body, [identity(self.builder, x.type.dtype)])[0]


@lowers(*COMBINE)
def _reduce(self: Lowering, node: Node) -> None:
    if node.result in self.sought:
        _extreme(self, node)
        return
    if not isinstance(node.result.type, ArrayType):
        self.bind((node.result,), (ELEMENTS[node.op](self, node, ()),))
        return
    out, sizes = self.new(node)
    if contiguous(node):
        self.fill(out, sizes, lambda index: ELEMENTS[node.op](self, node, index))
    else:
        _reduce_leading(self, node, out, sizes)


def _extreme(self: Lowering, node: Node) -> None:
    """The largest or smallest element of a vector, of which somebody asks later where it stands."""
    x, (op, identity) = node.operands[0], COMBINE[node.op]
    assert isinstance(x.type, ArrayType) and isinstance(x.type.dtype, Scalar)

    def element(i: Value) -> Value:
        with self.remembering():
            return self.element(x, (i,))

    best, self.chunks[node.result] = extreme(self.builder, op, identity(self.builder, x.type.dtype), self.extent(x, 0), element)
    self.bind((node.result,), (best,))


def _reduce_leading(self: Lowering, node: Node, out: Value, sizes: Sequence[Value]) -> None:
    """Walk the operand in memory order, accumulating into the result."""
    b = self.builder
    op, identity = COMBINE[node.op]
    x, axes = node.operands[0], _axes(node)
    assert isinstance(x.type, ArrayType) and isinstance(x.type.dtype, Scalar)
    dtype = x.type.dtype
    self.fill(out, sizes, lambda index: identity(b, dtype))

    def body(index: Index, _: Carried) -> Carried:
        kept = tuple(i for k, i in enumerate(index) if k not in axes)
        value = self.element(x, index)
        if op is s.add:
            b.emit(p.array.accumulate, out, value, *kept)
        else:
            b.emit(p.array.store, out, combine(b, op, b.emit1(p.array.load, out, *kept), value), *kept)
        return ()

    self.nest(self.extents(x), body)


@element_of(p.array.logsumexp)
def _logsumexp_element(self: Lowering, node: Node, index: Index) -> Value:
    """The largest comes out of the sum, unless it is infinite."""
    b, x, axes = self.builder, node.operands[0], _axes(node)
    assert isinstance(x.type, ArrayType) and isinstance(x.type.dtype, Scalar)
    t, rank = x.type.dtype, x.type.rank
    sizes = [self.extent(x, k) for k in axes]

    def larger(inner: Index, carried: Carried) -> Carried:
        return (combine(b, s.maximum, carried[0], self.element(x, _join(index, inner, axes, rank))),)

    (top,) = self.nest(sizes, larger, [lowest(b, t)])
    finite = b.emit1(s.select, b.emit1(s.isfinite, top), top, zero(b, t))

    def add(inner: Index, carried: Carried) -> Carried:
        moved = b.emit1(s.sub, self.element(x, _join(index, inner, axes, rank)), finite)
        return (combine(b, s.add, carried[0], b.emit1(s.exp, moved)),)

    (total,) = self.nest(sizes, add, [zero(b, t)])
    return b.emit1(s.add, b.emit1(s.log, total), finite)


@lowers(p.array.logsumexp)
def _logsumexp(self: Lowering, node: Node) -> None:
    if not isinstance(node.result.type, ArrayType):
        self.bind((node.result,), (ELEMENTS[node.op](self, node, ()),))
        return
    out, sizes = self.new(node)
    self.fill(out, sizes, lambda index: ELEMENTS[node.op](self, node, index))


def _demand(self: Lowering, node: Node) -> None:
    """A maximum over nothing is a `ValueError`, at the operation's own place."""
    b, x = self.builder, node.operands[0]
    assert isinstance(x.type, ArrayType)
    for k in _axes(node):
        d = x.type.dims[k]
        if isinstance(d, int) and d > 0:
            continue
        some = b.emit1(s.gt, self.extent(x, k), b.const(0))
        if "axis" in node.attrs:
            message = f"attempt to get {node.op.name} of an empty sequence"
        else:
            message = f"zero-size array to reduction operation {COMBINE[node.op][0].name} which has no identity"
        b.emit(p.control.check, some, error="ValueError", message=message)


CHECKS.update(dict.fromkeys((p.array.reduce_max, p.array.reduce_min, p.array.argmax, p.array.argmin), _demand))

# ------------------------------------------------------------------------------------ argmax and argmin


@element_of(p.array.argmax, p.array.argmin)
def _argreduce_element(self: Lowering, node: Node, index: Index) -> Value:
    b, x, axes = self.builder, node.operands[0], _axes(node)
    assert isinstance(x.type, ArrayType) and isinstance(x.type.dtype, Scalar)
    t, rank = x.type.dtype, x.type.rank
    if t.kind == "b" and node.op is p.array.argmax:
        top = sought(node)
        chunk = None if top is None else self.chunks.get(top)
        return first(b, self.extent(x, axes[0]), lambda i: self.element(x, _join(index, (i,), axes, rank)), chunk)
    better, identity = (s.gt, lowest) if node.op is p.array.argmax else (s.lt, highest)

    def body(inner: Index, carried: Carried) -> Carried:
        best, where = carried
        value = self.element(x, _join(index, inner, axes, rank))
        wins = b.emit1(better, value, best)
        if t.is_float:
            wins = b.emit1(s.or_, wins, first_nan(b, value, best))
        return b.emit1(s.select, wins, value, best), b.emit1(s.select, wins, inner[0], where)

    return self.nest([self.extent(x, axes[0])], body, [identity(b, t), b.const(0)])[1]


@lowers(p.array.argmax, p.array.argmin)
def _argreduce(self: Lowering, node: Node) -> None:
    if isinstance(node.result.type, ArrayType):
        out, sizes = self.new(node)
        self.fill(out, sizes, lambda index: ELEMENTS[node.op](self, node, index))
    else:
        self.bind((node.result,), (ELEMENTS[node.op](self, node, ()),))


@lowers(p.array.cumsum)
def _cumsum(self: Lowering, node: Node) -> None:
    b, x, axis = self.builder, node.operands[0], node.attrs["axis"]
    assert isinstance(x.type, ArrayType)
    sizes = self.extents(x)
    out = b.emit1(p.array.empty, *sizes, dims=x.type.dims, dtype=x.type.dtype, name=node.result.name)
    self.bind((node.result,), (out,))
    dtype = x.type.dtype

    def line(others: Index, _: Carried) -> Carried:
        def step(inner: Index, carried: Carried) -> Carried:
            index = (*others[:axis], inner[0], *others[axis:])
            total = b.emit1(s.add, carried[0], self.element(x, index))
            b.emit(p.array.store, out, total, *index)
            return (total,)

        self.nest([sizes[axis]], step, [zero(b, dtype)])
        return ()

    self.nest([n for k, n in enumerate(sizes) if k != axis], line)
