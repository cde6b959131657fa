"""Linear algebra primitives: factorisations of matrices, and what is solved and measured with them.

All take matrices in the last two axes; axes before those are a stack of problems. Elements are `f32` or `f64`. An operation
that finds no answer leaves NaN where it would be: staging puts the check that raises behind it. The operations on memory at
the end are what lowering makes: each is one call of LAPACK, on one row-major matrix without gaps.

The factors `f` of `lu` are kept columns first, as LAPACK has them: `f.T` holds U on and above its diagonal and, below, L without
its diagonal of ones. What takes `a`, `f` and `pivots` computes with the factors; `a` says by what to differentiate.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ShapeError, StagingTypeError
from ..lazy import Library
from ..types import ArrayType, Scalar, Size, Type, i64
from .array import array, sizes
from .scalar import arity, same_elements
from .table import Attrs, Effect, Primitive, TypeRule, row

_lapack, _linalg = Library("scipy.linalg.lapack"), Library("scipy.linalg")


def _matrix(t: Type, square: bool = False) -> ArrayType:
    a = array(t)
    if a.rank < 2:
        raise StagingTypeError(f"expected a matrix, found {t}")
    if square and a.dims[-1] != a.dims[-2]:
        raise ShapeError(f"expected a square matrix, found {t}")
    same_elements((t,), "f", "floats")
    return a


def _stack(t: ArrayType, *dims: Size) -> ArrayType:
    """A stack like `t`, of arrays of other sizes."""
    return ArrayType(t.dtype, (*t.dims[:-2], *dims))


def _lu(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    arity(1, types)
    a = _matrix(types[0], square=True)
    return _stack(a, *a.dims[-2:]), ArrayType(i64, a.dims[:-1])


def _factored(types: tuple[Type, ...]) -> ArrayType:
    """A matrix, its factors, its pivots."""
    a = _matrix(types[0], square=True)
    if array(types[1]).dims != a.dims or types[2] != ArrayType(i64, a.dims[:-1]):
        raise ShapeError(f"{types[1]} and {types[2]} are no factors of {a}")
    same_elements(types[:2], "f", "floats")
    return a


def _right_side(a: ArrayType, b: Type) -> Type:
    t = _matrix(b)
    same_elements((a, b), "f", "floats")
    if t.dims[:-1] != a.dims[:-1]:
        raise ShapeError(f"cannot solve with {a} for {b}")
    return ArrayType(t.dtype, t.dims)


def _solve(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    """`a, f, pivots, b`; attribute `transposed`."""
    arity(4, types)
    return (_right_side(_factored(types), types[3]),)


def _measure(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    arity(3, types)
    a = _factored(types)
    assert isinstance(a.dtype, Scalar)
    return (ArrayType(a.dtype, a.dims[:-2]) if a.rank > 2 else a.dtype,)


def _triangular(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    """`t, b`; attributes `lower`, `transposed`, and `unit`: the diagonal is ones, whatever stands there."""
    arity(2, types)
    return (_right_side(_matrix(types[0], square=True), types[1]),)


def _cholesky(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    arity(1, types)
    a = _matrix(types[0], square=True)
    return (_stack(a, *a.dims[-2:]),)


def _eigh(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    arity(1, types)
    a = _matrix(types[0], square=True)
    return ArrayType(a.dtype, a.dims[:-1]), _stack(a, *a.dims[-2:])


def _short(types: tuple[Type, ...], attrs: Attrs) -> tuple[ArrayType, Size]:
    """A matrix, and its smaller size: an operand, and attribute `dims`."""
    a = _matrix(types[0])
    sizes(types[1:], 1)
    return a, attrs["dims"][0]


def _svd(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    a, k = _short(types, attrs)
    m, n = a.dims[-2:]
    s = ArrayType(a.dtype, (*a.dims[:-2], k))
    return (_stack(a, m, m), s, _stack(a, n, n)) if attrs["full"] else (_stack(a, m, k), s, _stack(a, k, n))


def _qr(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    a, k = _short(types, attrs)
    return _stack(a, a.dims[-2], k), _stack(a, k, a.dims[-1])


def _pinv(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    """`a, p`."""
    arity(2, types)
    a, inverse = _matrix(types[0]), _matrix(types[1])
    same_elements(types, "f", "floats")
    if inverse.dims != (*a.dims[:-2], *a.dims[:-3:-1]):
        raise ShapeError(f"{inverse} is no pseudoinverse of {a}")
    return (ArrayType(inverse.dtype, inverse.dims),)


# ---------------------------------------------------------------------------------- meanings on NumPy values


def _each(f: Any, a: Any, *rest: Any) -> Any:
    """`f` of every matrix of a stack, its results stacked again."""
    lead = np.shape(a)[:-2]
    if not lead:
        return f(a, *rest)
    found = [f(a[k], *(x[k] for x in rest)) for k in np.ndindex(lead)]
    if not isinstance(found[0], tuple):
        return np.reshape(found, (*lead, *np.shape(found[0])))
    return tuple(np.reshape(part, (*lead, *np.shape(part[0]))) for part in zip(*found, strict=True))


def _lu_eager(a: Any) -> Any:
    f, pivots = _each(_lu_one, a)
    return f, np.asarray(pivots, np.int64)


def _lu_one(a: Any) -> Any:
    if not len(a):
        return a.copy(), np.zeros(0, np.int64)
    routine = _lapack.sgetrf if a.dtype == np.float32 else _lapack.dgetrf
    f, pivots, _ = routine(a)
    return np.ascontiguousarray(f.T), pivots.astype(np.int64)


def _solve_eager(a: Any, f: Any, pivots: Any, b: Any, transposed: bool) -> Any:
    return np.linalg.solve(np.swapaxes(a, -1, -2) if transposed else a, b)


def _logdet_eager(a: Any, f: Any, pivots: Any) -> Any:
    return np.linalg.slogdet(a)[1]


def _triangular_eager(t: Any, b: Any, lower: bool, transposed: bool, unit: bool) -> Any:
    def one(t: Any, b: Any) -> Any:
        if not b.size:
            return b.copy()
        with np.errstate(all="ignore"):
            routine = _lapack.strtrs if t.dtype == np.float32 else _lapack.dtrtrs
            trsm = routine(t, b, lower=lower, trans=int(transposed), unitdiag=int(unit))
            return np.full_like(b, np.nan) if trsm[1] else trsm[0]

    return _each(one, t, b)


def _cholesky_eager(a: Any) -> Any:
    def one(a: Any) -> Any:
        try:
            return np.linalg.cholesky(a)
        except np.linalg.LinAlgError:
            return np.full_like(a, np.nan)

    return _each(one, a)


def _eigh_eager(a: Any) -> Any:
    def one(a: Any) -> Any:
        try:
            w, v = np.linalg.eigh(a)
            return w, np.ascontiguousarray(v.T)
        except np.linalg.LinAlgError:
            return np.full_like(a[0], np.nan), np.full_like(a, np.nan)

    return _each(one, a)


def _svd_eager(a: Any, k: Any, dims: Any, full: bool) -> Any:
    def one(a: Any) -> Any:
        try:
            return tuple(np.linalg.svd(a, full_matrices=full))
        except np.linalg.LinAlgError:
            (m, n), r = a.shape, min(a.shape)
            shapes = ((m, m), (r,), (n, n)) if full else ((m, r), (r,), (r, n))
            return tuple(np.full(shape, np.nan, a.dtype) for shape in shapes)

    return _each(one, a)


def _svd_turned(a: Any, full: bool) -> Any:
    u, s, v = _svd_eager(a.T, 0, (), full)
    return u.T, s, v.T


def _qr_eager(a: Any, k: Any, dims: Any) -> Any:
    return _each(lambda a: tuple(np.linalg.qr(a)), a)


def _row(name: str, rule: TypeRule, eager: Any) -> Primitive:
    return row(Primitive(name, rule, eager))


lu = _row("lu", _lu, _lu_eager)
solve = _row("solve", _solve, _solve_eager)
det = _row("det", _measure, lambda a, f, pivots: np.linalg.det(a))
logdet = _row("logdet", _measure, _logdet_eager)
triangular = _row("triangular", _triangular, _triangular_eager)
cholesky = _row("cholesky", _cholesky, _cholesky_eager)
eigh = _row("eigh", _eigh, _eigh_eager)  # a = v.T @ diag(w) @ v: the vectors are the rows
svd = _row("svd", _svd, _svd_eager)
qr = _row("qr", _qr, _qr_eager)
pinv = _row("pinv", _pinv, lambda a, p: np.array(p))  # p, made already: `a` says by what to differentiate

# ----------------------------------------------------------------------------------------- calls of LAPACK
# What is overwritten with a result of its own stands twice among the operands: once to be written, once to be read.


def _into(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    for t in types:
        if array(t).layout != "C":
            raise StagingTypeError(f"LAPACK takes row-major matrices, found {t}")
    return ()


def _writing(meaning: Any, count: int) -> Any:
    """The operation that puts the results of `meaning` into the first operands."""

    def eager(*operands: Any, **attrs: Any) -> None:
        found = meaning(*operands[count:], **attrs)
        for dst, value in zip(operands[:count], found if isinstance(found, tuple) else (found,), strict=True):
            dst[...] = value

    return eager


def _lapack_row(name: str, meaning: Any, writes: int) -> Primitive:
    return row(Primitive(name, _into, _writing(meaning, writes), Effect(writes=tuple(range(writes))), lowered=True))


lu_into = _lapack_row("lu_into", lambda a: _lu_eager(a.T), 2)  # f, pivots, a.T
triangular_into = _lapack_row("triangular_into", lambda b, t, **attrs: _triangular_eager(t, b, **attrs), 1)  # x, b, t
cholesky_into = _lapack_row("cholesky_into", _cholesky_eager, 1)  # l, a below its diagonal
eigh_into = _lapack_row("eigh_into", lambda a: _eigh_eager(a.T), 2)  # w, v, a.T
svd_into = _lapack_row("svd_into", _svd_turned, 3)  # u.T, s, v.T, a.T: which is lost
qr_into = _lapack_row("qr_into", lambda a: _qr_eager(a, 0, ()), 2)  # q, r, a: which is lost

LAPACK = (lu_into, triangular_into, cholesky_into, eigh_into, svd_into, qr_into)
