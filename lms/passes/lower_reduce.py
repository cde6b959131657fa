"""Lowering of reductions, scans and contractions.

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

from .fuse import by_blas, contiguous
from .lower import CHECKS, ELEMENTS, Lowering, element_of, lowers
from .nests import Carried, Index, highest, lowest

s = p.scalar


def _zero(b: Builder, t: Type) -> Value:
    assert isinstance(t, Scalar)
    return b.const(False if t.kind == "b" else 0, t)


def _one(b: Builder, t: Type) -> Value:
    assert isinstance(t, Scalar)
    return b.const(True if t.kind == "b" else 1, t)


Identity = Callable[[Builder, Scalar], Value]
COMBINE: dict[Primitive, tuple[Primitive, Identity]] = {
    p.array.reduce_sum: (s.add, _zero), p.array.reduce_prod: (s.mul, _one),
    p.array.reduce_max: (s.maximum, lowest), p.array.reduce_min: (s.minimum, highest),
    p.array.reduce_any: (s.or_, _zero), p.array.reduce_all: (s.and_, _one),
}


def combine(b: Builder, op: Primitive, x: Value, y: Value) -> Value:
    """One step of a reduction; sums and products of floats may be taken in any order."""
    loose = op in (s.add, s.mul) and isinstance(x.type, Scalar) and x.type.kind in "fc"
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
    if not isinstance(node.result.type, ArrayType):
        self.bind((node.result,), (ELEMENTS[node.op](self, node, ()),))
        return
    out, sizes = self.new(node)
    if contiguous(node):
        self.fill(out, sizes, lambda index: ELEMENTS[node.op](self, node, index))
    else:
        _reduce_leading(self, node, out, sizes)


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
    better, identity = (s.gt, lowest) if node.op is p.array.argmax else (s.lt, highest)

    def body(inner: Index, carried: Carried) -> Carried:
        best, where = carried
        value = self.element(x, _join(index, inner, axes, rank))
        wins = b.emit1(better, value, best)
        if t.is_float:  # the first NaN wins, for good
            first = b.emit1(s.and_, b.emit1(s.isnan, value), b.emit1(s.not_, b.emit1(s.isnan, best)))
            wins = b.emit1(s.or_, wins, first)
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

        self.nest([sizes[axis]], step, [_zero(b, dtype)])
        return ()

    self.nest([n for k, n in enumerate(sizes) if k != axis], line)


# ---------------------------------------------------------------------------------------- contractions


def _letters(self: Lowering, node: Node) -> dict[str, Value]:
    """The size of each index of a contraction."""
    sizes: dict[str, Value] = {}
    for v, letters in zip(node.operands, node.attrs["spec"], strict=False):
        for k, letter in enumerate(letters):
            if letter not in sizes:
                sizes[letter] = self.extent(v, k)
    return sizes


@element_of(p.array.contract)
def _contract_element(self: Lowering, node: Node, index: Index) -> Value:
    left, right, out = node.attrs["spec"]
    x, y = node.operands
    sizes = _letters(self, node)
    summed = [c for c in sizes if c not in out]
    outer = dict(zip(out, index, strict=True))
    b = self.builder

    def term(inner: Index) -> Value:
        at = {**outer, **dict(zip(summed, inner, strict=True))}
        return combine(b, s.mul, self.element(x, tuple(at[c] for c in left)), self.element(y, tuple(at[c] for c in right)))

    if not summed:
        return term(())
    assert isinstance(x.type, ArrayType)

    def body(inner: Index, carried: Carried) -> Carried:
        return (combine(b, s.add, carried[0], term(inner)),)

    return self.nest([sizes[c] for c in summed], body, [_zero(b, x.type.dtype)])[0]


@lowers(p.array.contract)
def _contract(self: Lowering, node: Node) -> None:
    if not isinstance(node.result.type, ArrayType):
        self.bind((node.result,), (ELEMENTS[node.op](self, node, ()),))
        return
    out, sizes = self.new(node)
    if by_blas(node):
        contract_into(self, node, out, accumulate=False)
    else:
        self.fill(out, sizes, lambda index: ELEMENTS[node.op](self, node, index))


def contract_into(self: Lowering, node: Node, dst: Value, accumulate: bool) -> None:
    """Contract into memory: matrices and vectors as they are, more axes as a loop over them."""
    left, right, out = node.attrs["spec"]
    handles = [self.made(v) for v in node.operands]
    free = [c for c in left if c not in right], [c for c in right if c not in left]
    looped = [c for c in out if c in left and c in right] + [c for side in free for c in side[:-1] if c in out]
    sizes = _letters(self, node)

    def body(index: Index, _: Carried) -> Carried:
        at = dict(zip(looped, index, strict=True))
        spec = tuple("".join(c for c in part if c not in at) for part in (left, right, out))
        x, y = (_slice(self.builder, h, part, at) for h, part in zip(handles, (left, right), strict=True))
        target = _slice(self.builder, dst, out, at)
        self.builder.emit(p.array.contract_into, target, x, y, spec=spec, accumulate=accumulate)
        return ()

    self.nest([sizes[c] for c in looped], body)


def _slice(b: Builder, v: Value, letters: str, at: dict[str, Value]) -> Value:
    """The part of an array at the positions of some of its axes."""
    fixed = [at[c] for c in letters if c in at]
    if not fixed:
        return v
    assert isinstance(v.type, ArrayType)
    spec = tuple(("at",) if c in at else ("all",) for c in letters)
    dims = tuple(d for c, d in zip(letters, v.type.dims, strict=True) if c not in at)
    return b.emit1(p.array.view, v, *fixed, spec=spec, dims=dims)
