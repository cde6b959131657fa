"""Lowering of gathering, scattering, sorting and `nonzero`."""

from __future__ import annotations

from collections.abc import Callable

from lms.core import primitives as p
from lms.core.ir import Node, Value
from lms.core.types import ArrayType, i64

from .lower import Lowering, element_of, lowers
from .nests import Carried, Index, loop

Read = Callable[[Index], Value]


def _rank(v: Value) -> int:
    assert isinstance(v.type, ArrayType)
    return v.type.rank


def _through(read: Read, index: Index, axis: int, rank: int) -> Index:
    """Where `take` finds its element: the axes of the index array, `rank` of them from `axis` on, become one position."""
    return (*index[:axis], read(index[axis:axis + rank]), *index[axis + rank:])


@element_of(p.array.take)
def _take(self: Lowering, node: Node, index: Index) -> Value:
    a, at = node.operands
    return self.element(a, _through(lambda k: self.element(at, k), index, node.attrs["axis"], _rank(at)))


@element_of(p.array.take_along)
def _take_along(self: Lowering, node: Node, index: Index) -> Value:
    a, at = node.operands
    axis = node.attrs["axis"]
    return self.element(a, (*index[:axis], self.element(at, index), *index[axis + 1:]))


def _put_extents(self: Lowering, node: Node) -> list[Value]:
    return self.extents(node.operands[2])


@lowers(p.array.put, p.array.add_at)
def _put(self: Lowering, node: Node) -> None:
    dst, at, v = node.operands
    axis = node.attrs["axis"]
    where, what = self.apart(at, dst), self.apart(v, dst)
    op = p.array.store if node.op is p.array.put else p.array.accumulate

    def body(index: Index, _: Carried) -> Carried:
        base, place = self.address(dst, _through(where, index, axis, _rank(at)))
        self.builder.emit(op, base, what(index), *place)
        return ()

    self.nest(_put_extents(self, node), body)


@lowers(p.array.add_along)
def _add_along(self: Lowering, node: Node) -> None:
    dst, at, v = node.operands
    axis = node.attrs["axis"]
    where, what = self.apart(at, dst), self.apart(v, dst)

    def body(index: Index, _: Carried) -> Carried:
        base, place = self.address(dst, (*index[:axis], where(index), *index[axis + 1:]))
        self.builder.emit(p.array.accumulate, base, what(index), *place)
        return ()

    self.nest(self.extents(v), body)


@lowers(p.array.argsort)
def _argsort(self: Lowering, node: Node) -> None:
    """Line by line. `argsort_into` is always given lines without gaps: other lines are copied first."""
    b, x, axis = self.builder, self.made(node.operands[0]), node.attrs["axis"]
    t = x.type
    assert isinstance(t, ArrayType)
    sizes = self.extents(node.operands[0])
    out = b.emit1(p.array.empty, *sizes, dims=t.dims, dtype=i64, name=node.result.name)
    self.bind((node.result,), (out,))
    spec = tuple(("all",) if k == axis else ("at",) for k in range(t.rank))
    straight = axis == t.rank - 1 and t.layout == "C"

    def line(others: Index, _: Carried) -> Carried:
        views = [b.emit1(p.array.view, a, *others, spec=spec, dims=(t.dims[axis],)) if others else a for a in (out, x)]
        if straight:
            b.emit(p.array.argsort_into, *views)
            return ()
        order, keys = (b.emit1(p.array.empty, sizes[axis], dims=(t.dims[axis],), dtype=d) for d in (i64, t.dtype))
        _copy_line(self, keys, views[1], sizes[axis])
        b.emit(p.array.argsort_into, order, keys)
        _copy_line(self, views[0], order, sizes[axis])
        return ()

    self.nest([n for k, n in enumerate(sizes) if k != axis], line)


def _copy_line(self: Lowering, dst: Value, src: Value, n: Value) -> None:
    b = self.builder
    self.fill(dst, [n], lambda index: b.emit1(p.array.load, src, *index))


@lowers(p.array.nonzero)
def _nonzero(self: Lowering, node: Node) -> None:
    """Count, allocate, fill."""
    b, x = self.builder, node.operands[0]
    t = node.result.type
    assert isinstance(t, ArrayType)
    n = self.extent(x, 0)

    def count(index: Index, carried: Carried) -> Carried:
        return (b.emit1(p.scalar.add, carried[0], b.emit1(p.scalar.convert, self.element(x, index), dtype=i64)),)

    (total,) = self.nest([n], count, [b.const(0)])
    d = t.dims[0]
    if not isinstance(d, int):
        b.name_size(d, total)
    out = b.emit1(p.array.empty, total, dims=t.dims, dtype=i64, name=node.result.name)
    self.bind((node.result,), (out,))

    def body(i: Value, carried: Carried) -> Carried:
        with self.remembering():
            chosen = self.element(x, (i,))
        with b.reify() as yes:
            b.emit(p.array.store, out, i, carried[0])
            yes.results = (b.emit1(p.scalar.add, carried[0], b.const(1)),)
        with b.reify() as no:
            no.results = carried
        return b.emit(p.control.if_, chosen, blocks=[yes, no], types=(i64,))

    loop(b, n, body, [b.const(0)])
