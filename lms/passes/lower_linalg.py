"""Lowering of linear algebra: stacks become loops, operands are copied into place, LAPACK works on one matrix at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Node, Value
from lms.core.types import ArrayType, Scalar

from .lower import Lowering, lowers
from .lower_reduce import combine, one, zero
from .nests import Carried, Index, fresh

s, la = p.scalar, p.linalg


def _type(v: Value) -> ArrayType:
    assert isinstance(v.type, ArrayType)
    return v.type


def _made(self: Lowering, v: Value, lead: Sequence[Value], last: Sequence[Value]) -> Value:
    """The array of a result, not yet filled."""
    t = _type(v)
    for d, n in zip(t.dims, (*lead, *last), strict=True):
        if not isinstance(d, int) and not any(d in scope.sizes for scope in self.builder.scopes):
            self.builder.name_size(d, n)
    out = fresh(self.builder, t, [*lead, *last], v.name)
    self.bind((v,), (out,))
    return out


def _at(self: Lowering, v: Value, index: Index) -> Value:
    """One array of a stack in memory."""
    if not index:
        return v
    t = _type(v)
    inner = t.rank - len(index)
    spec = (*[("at",)] * len(index), *[("all",)] * inner)
    return self.builder.emit1(p.array.view, v, *index, spec=spec, dims=t.dims[t.rank - inner:])


def _copied(self: Lowering, dst: Value, src: Value, sizes: Sequence[Value], index: Index, transposed: bool = False) -> None:
    """Fill a matrix (new) with one of a stack (old), or its transpose: the sizes are those of the result."""
    def element(at: Index) -> Value:
        return self.element(src, (*index, *(at[::-1] if transposed else at)))

    self.fill(dst, sizes, element)


def _sizes(self: Lowering, a: Value) -> tuple[list[Value], list[Value]]:
    """The sizes of a stack of matrices, and of a matrix."""
    extents = self.extents(a)
    return extents[:-2], extents[-2:]


@lowers(la.lu)
def _lu(self: Lowering, node: Node) -> None:
    (a,) = node.operands
    lead, (n, _) = _sizes(self, a)
    f, pivots = (_made(self, v, lead, last) for v, last in zip(node.results, ([n, n], [n]), strict=True))

    def body(index: Index, _: Carried) -> Carried:
        mine = _at(self, f, index)
        _copied(self, mine, a, [n, n], index, transposed=True)
        self.builder.emit(la.lu_into, mine, _at(self, pivots, index), mine)
        return ()

    self.nest(lead, body)


@lowers(la.cholesky)
def _cholesky(self: Lowering, node: Node) -> None:
    (a,) = node.operands
    b = self.builder
    lead, (n, _) = _sizes(self, a)
    out = _made(self, node.result, lead, [n, n])

    def body(index: Index, _: Carried) -> Carried:
        mine = _at(self, out, index)

        def element(at: Index) -> Value:
            kept, dtype = b.emit1(s.le, at[1], at[0]), _type(a).dtype
            return b.emit1(s.select, kept, self.element(a, (*index, *at)), zero(b, dtype))

        self.fill(mine, [n, n], element)
        b.emit(la.cholesky_into, mine, mine)
        return ()

    self.nest(lead, body)


@lowers(la.eigh)
def _eigh(self: Lowering, node: Node) -> None:
    (a,) = node.operands
    lead, (n, _) = _sizes(self, a)
    w, v = (_made(self, r, lead, last) for r, last in zip(node.results, ([n], [n, n]), strict=True))

    def body(index: Index, _: Carried) -> Carried:
        mine = _at(self, v, index)
        _copied(self, mine, a, [n, n], index, transposed=True)
        self.builder.emit(la.eigh_into, _at(self, w, index), mine, mine)
        return ()

    self.nest(lead, body)


@lowers(la.qr)
def _qr(self: Lowering, node: Node) -> None:
    a, short = node.operands
    lead, (m, n) = _sizes(self, a)
    k = self.value(short)
    q, r = (_made(self, v, lead, last) for v, last in zip(node.results, ([m, k], [k, n]), strict=True))
    work = _room(self, a, [m, n])

    def body(index: Index, _: Carried) -> Carried:
        _copied(self, work, a, [m, n], index)
        self.builder.emit(la.qr_into, _at(self, q, index), _at(self, r, index), work)
        return ()

    self.nest(lead, body)


@lowers(la.pinv)
def _pinv(self: Lowering, node: Node) -> None:
    inverse = node.operands[1]
    sizes = self.extents(inverse)
    out = _made(self, node.result, sizes[:-2], sizes[-2:])
    self.fill(out, sizes, lambda index: self.element(inverse, index))


@lowers(la.svd)
def _svd(self: Lowering, node: Node) -> None:
    """LAPACK's vectors are transposed, not the matrix: so the signs of the vectors are NumPy's."""
    a, short = node.operands
    b, full = self.builder, node.attrs["full"]
    lead, (m, n) = _sizes(self, a)
    k = self.value(short)
    left, right = (m, n) if full else (k, k)
    u, s_, v = (_made(self, v, lead, last) for v, last in zip(node.results, ([m, left], [k], [right, n]), strict=True))
    u_t, work, v_t = (_room(self, x, sizes, transposed=True) for x, sizes in ((u, [left, m]), (a, [n, m]), (v, [n, right])))

    def body(index: Index, _: Carried) -> Carried:
        _copied(self, work, a, [n, m], index, transposed=True)
        b.emit(la.svd_into, u_t, _at(self, s_, index), v_t, work, full=full)
        for turned, out, sizes in ((u_t, u, [m, left]), (v_t, v, [right, n])):
            self.fill(_at(self, out, index), sizes, _turned(b, turned))
        return ()

    self.nest(lead, body)


def _turned(b: Builder, matrix: Value) -> Callable[[Index], Value]:
    return lambda index: b.emit1(p.array.load, matrix, *index[::-1])


def _room(self: Lowering, like: Value, sizes: Sequence[Value], transposed: bool = False) -> Value:
    """Room for one matrix of a stack, or for its transpose."""
    t = _type(like)
    return fresh(self.builder, ArrayType(t.dtype, t.dims[-2:][:: -1 if transposed else 1]), sizes)


@lowers(la.triangular)
def _triangular(self: Lowering, node: Node) -> None:
    t, right = node.operands
    lead, (n, k) = _sizes(self, right)
    out, matrix = _made(self, node.result, lead, [n, k]), _in_memory(self, t)

    def body(index: Index, _: Carried) -> Carried:
        mine = _at(self, out, index)
        _copied(self, mine, right, [n, k], index)
        self.builder.emit(la.triangular_into, mine, mine, _at(self, matrix, index), **node.attrs)
        return ()

    self.nest(lead, body)


def _in_memory(self: Lowering, v: Value) -> Value:
    """A row-major array with the elements of an old one."""
    made = self.made(v)
    if _type(made).layout == "C":
        return made
    t, sizes = _type(v), self.extents(v)
    return self.fill(fresh(self.builder, ArrayType(t.dtype, t.dims), sizes), sizes, lambda index: self.element(v, index))


@lowers(la.solve)
def _solve(self: Lowering, node: Node) -> None:
    """`a = P L U`, whose factors are kept columns first: what is below their diagonal is U, transposed, and above it L."""
    _, factors, pivots, right = node.operands
    lead, (n, k) = _sizes(self, right)
    out, f = _made(self, node.result, lead, [n, k]), _in_memory(self, factors)
    transposed, emit = node.attrs["transposed"], self.builder.emit

    def body(index: Index, _: Carried) -> Carried:
        mine, matrix = _at(self, out, index), _at(self, f, index)
        _copied(self, mine, right, [n, k], index)
        if not transposed:
            _exchange(self, mine, pivots, n, k, index, backwards=False)
        for u in (True, False) if transposed else (False, True):
            emit(la.triangular_into, mine, mine, matrix, lower=u, unit=not u, transposed=not transposed)
        if transposed:
            _exchange(self, mine, pivots, n, k, index, backwards=True)
        return ()

    self.nest(lead, body)


def _exchange(self: Lowering, x: Value, pivots: Value, n: Value, k: Value, index: Index, backwards: bool) -> None:
    """Exchange row i of a matrix with row `pivots[i]`, for each i in turn."""
    b = self.builder

    def row(at: Index, _: Carried) -> Carried:
        i = b.emit1(s.sub, b.emit1(s.sub, n, b.const(1)), at[0]) if backwards else at[0]
        j = self.element(pivots, (*index, i))

        def element(column: Index, _: Carried) -> Carried:
            upper, lower = (b.emit1(p.array.load, x, r, *column) for r in (i, j))
            b.emit(p.array.store, x, lower, i, *column)
            b.emit(p.array.store, x, upper, j, *column)
            return ()

        self.nest([k], element)
        return ()

    self.nest([n], row)


@lowers(la.det, la.logdet)
def _measure(self: Lowering, node: Node) -> None:
    """The product of U's diagonal, its sign changed by every exchange of rows; or the sum of the logarithms."""
    _, f, pivots = node.operands
    b = self.builder
    lead, (n, _) = _sizes(self, f)
    t = _type(f).dtype
    assert isinstance(t, Scalar)
    log = node.op is la.logdet

    def term(at: Index, carried: Carried, index: Index) -> Carried:
        (i,) = at
        x = self.element(f, (*index, i, i))
        if log:
            return (combine(b, s.add, carried[0], b.emit1(s.log, b.emit1(s.abs, x))),)
        moved = b.emit1(s.ne, self.element(pivots, (*index, i)), i)
        return (combine(b, s.mul, carried[0], b.emit1(s.select, moved, b.emit1(s.neg, x), x)),)

    def measure(index: Index) -> Value:
        start = zero(b, t) if log else one(b, t)
        return self.nest([n], lambda at, carried: term(at, carried, index), [start])[0]

    if not lead:
        self.bind((node.result,), (measure(()),))
    else:
        self.fill(_made(self, node.result, lead, []), lead, measure)


