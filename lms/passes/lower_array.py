"""Lowering of elementwise operations, making, copying, assigning, joining."""

from __future__ import annotations

from lms.core import primitives as p
from lms.core.ir import Node, Value
from lms.core.primitives import PRIMITIVES
from lms.core.types import ArrayType, i64

from .contractions import contract_into
from .lower import ELEMENTS, Lowering, add_index, element_of, lowers
from .nests import Carried, Index


def _elementwise(self: Lowering, node: Node, index: Index) -> Value:
    return self.builder.emit1(node.op, *(self.element(v, index) for v in node.operands), **node.attrs)


ELEMENTS.update({op: _elementwise for op in PRIMITIVES.values() if op.elementwise})


@element_of(p.array.broadcast)
def _broadcast(self: Lowering, node: Node, index: Index) -> Value:
    x, dims = node.operands[0], node.attrs["dims"]
    if not isinstance(x.type, ArrayType):
        return self.value(x)
    axes = zip(node.attrs["axes"], x.type.dims, strict=True)
    return self.element(x, tuple(index[a] if d == dims[a] else self.builder.const(0) for a, d in axes))


@element_of(p.array.iota)
def _iota(self: Lowering, node: Node, index: Index) -> Value:
    dtype = node.attrs["dtype"]
    return index[0] if dtype == i64 else self.builder.emit1(p.scalar.convert, index[0], dtype=dtype)


@element_of(p.array.copy)
def _copy(self: Lowering, node: Node, index: Index) -> Value:
    return self.element(node.operands[0], index)


@lowers(p.array.dim)
def _dim(self: Lowering, node: Node) -> None:
    size = self.extent(node.operands[0], node.attrs["axis"])
    self.bind((node.result,), (size,))


@lowers(p.array.load)
def _load(self: Lowering, node: Node) -> None:
    v, index = node.operands[0], self.values(node.operands[1:])
    if v in self.plan.deferred:
        with self.remembering():
            value = self.element(v, index)
    else:
        base, index = self.address(v, index)
        value = self.builder.emit1(p.array.load, base, *index, **node.attrs)
    self.bind((node.result,), (value,))


@lowers(p.array.store, p.array.accumulate)
def _store(self: Lowering, node: Node) -> None:
    base, index = self.address(node.operands[0], self.values(node.operands[2:]))
    self.builder.emit(node.op, base, self.value(node.operands[1]), *index, **node.attrs)


@lowers(p.array.grow)
def _grow(self: Lowering, node: Node) -> None:
    b, x = self.builder, node.operands[0]
    n = self.value(node.operands[1])
    assert isinstance(x.type, ArrayType) and isinstance(node.result.type, ArrayType)
    old = self.extents(x)
    if not isinstance(node.result.type.dims[0], int):
        b.name_size(node.result.type.dims[0], n)
    out, _ = self.new(node)
    if node.attrs.get("residual") and out.node is not None:
        out.node.attrs["residual"] = True
    kept = b.emit1(p.scalar.minimum, old[0], n)
    self.fill(out, [kept, *old[1:]], lambda index: self.element(x, index))


@lowers(p.array.assign)
def _assign(self: Lowering, node: Node) -> None:
    dst, src = node.operands
    if dst is src:
        return
    element = self.apart(src, dst)

    def body(index: Index, _: Carried) -> Carried:
        base, at = self.address(dst, index)
        self.builder.emit(p.array.store, base, element(index), *at, **node.attrs)
        return ()

    self.nest(self.extents(dst), body)


@lowers(p.array.add_into)
def _add_into(self: Lowering, node: Node) -> None:
    dst, src = node.operands
    if src in self.plan.added:
        assert src.node is not None
        contract_into(self, src.node, self.value(dst), accumulate=True)
        return
    element = self.apart(src, dst) if src is not dst else lambda index: self.element(src, index)

    def body(index: Index, _: Carried) -> Carried:
        base, at = self.address(dst, index)
        self.builder.emit(p.array.accumulate, base, element(index), *at, **node.attrs)
        return ()

    self.nest(self.extents(dst), body)


@lowers(p.array.concatenate)
def _concatenate(self: Lowering, node: Node) -> None:
    b, axis = self.builder, node.attrs["axis"]
    t = node.result.type
    assert isinstance(t, ArrayType)
    offset, d = b.const(0), t.dims[axis]
    total = next((scope.sizes[d] for scope in reversed(b.scopes) if d in scope.sizes), None)
    if total is None:
        total = b.const(0)
        for v in node.operands:
            total = add_index(b, total, self.extent(v, axis))
        if not isinstance(d, int):
            b.name_size(d, total)
    sizes = [total if k == axis else self.extent(node.operands[0], k) for k in range(t.rank)]
    out = b.emit1(p.array.empty, *sizes, dims=t.dims, dtype=t.dtype, name=node.result.name)
    self.bind((node.result,), (out,))
    for v in node.operands:
        _piece(self, out, v, axis, offset)
        offset = add_index(b, offset, self.extent(v, axis))


def _piece(self: Lowering, out: Value, v: Value, axis: int, offset: Value) -> None:
    """Store one operand of a concatenation from `offset` on."""

    def body(index: Index, _: Carried) -> Carried:
        at = (*index[:axis], add_index(self.builder, offset, index[axis]), *index[axis + 1:])
        self.builder.emit(p.array.store, out, self.element(v, index), *at)
        return ()

    self.nest(self.extents(v), body)


@lowers(p.array.index)
def _index(self: Lowering, node: Node) -> None:
    x, n = node.operands[0], self.value(node.operands[1])
    if not isinstance(x.type, ArrayType):
        self.emit_as(node, node.op, (self.value(x), n), node.attrs)
        return
    out = self.builder.emit1(p.array.empty, *self.extents(x), dims=x.type.dims, dtype=i64, name=node.result.name)
    self.bind((node.result,), (out,))
    self.fill(out, self.extents(x), lambda index: self.builder.emit1(p.array.index, self.element(x, index), n, **node.attrs))
