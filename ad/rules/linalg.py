"""Rules of linear algebra, in both modes. The rules are staged operations, so they differentiate again.

`solve`, `det` and `logdet` get the factors of their matrix as operands of their own: what is solved for a derivative, of any
order, is solved with the same factors. `cholesky` and `eigh` read their matrix on and below the diagonal only, and so are
their derivatives: zero above it. The forward rules (`TANGENTS`) take results, operands and the operands' tangents, None for
zero, and give the tangents of the results.

Sources: M. B. Giles, Collected matrix derivative results for forward and reverse mode (2008); I. Murray, Differentiation of
the Cholesky decomposition (2016); S. F. Walter, L. Lehmann, Algorithmic differentiation of linear algebra functions (2012);
G. H. Golub, V. Pereyra, The differentiation of pseudo-inverses and nonlinear least squares problems (1973).
"""

from __future__ import annotations

from typing import Any

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.errors import StagingError
from lms.core.types import i64

from ..continuations import Steps, derivative, tangent
from .apply import dims, emit, full, several, sizes, stretch, where

_a, _la = p.array, p.linalg
Dots = tuple[Any, ...]

# ----------------------------------------------------------------------------------------- parts of matrices


def _lead(x: Any) -> str:
    return "abcdefgh"[: len(dims(x)) - 2]


def product(x: Any, y: Any) -> Any:
    """`x @ y`, of each pair of matrices."""
    lead = _lead(x)
    return emit(_a.contract, x, y, spec=(lead + "ik", lead + "kj", lead + "ij"))


def product_t(x: Any, y: Any) -> Any:
    """`x @ y.T`."""
    lead = _lead(x)
    return emit(_a.contract, x, y, spec=(lead + "ik", lead + "jk", lead + "ij"))


def t_product(x: Any, y: Any) -> Any:
    """`x.T @ y`."""
    lead = _lead(x)
    return emit(_a.contract, x, y, spec=(lead + "ki", lead + "kj", lead + "ij"))


def transposed(x: Any) -> Any:
    rank = len(dims(x))
    return emit(_a.copy, emit(_a.transpose, x, perm=(*range(rank - 2), rank - 1, rank - 2)))


def _number(x: Any, axis: int) -> Any:
    """For every element, its place along an axis."""
    count = emit(_a.iota, sizes(x)[axis], dims=(dims(x)[axis],), dtype=i64)
    return stretch(count, x, (axis,))


def _places(x: Any) -> tuple[Any, Any]:
    rank = len(dims(x))
    return _number(x, rank - 2), _number(x, rank - 1)


def lower_part(x: Any, *, diagonal: float) -> Any:
    """What is below the diagonal, and the diagonal times a number; zeros above."""
    i, j = _places(x)
    kept = where(j < i, x, full(x, 0.0))
    return where(i == j, x * diagonal, kept) if diagonal else kept


def _symmetric_lower(x: Any) -> Any:
    """`x + x.T` below the diagonal, `x` on it: the cotangent of a symmetric matrix, as that of its lower half."""
    return lower_part(x + transposed(x), diagonal=0.5)


def _mirrored(x: Any) -> Any:
    """The symmetric matrix with the lower half of `x`."""
    low = lower_part(x, diagonal=0.5)
    return low + transposed(low)


def _identity(x: Any) -> Any:
    """Ones on the diagonal, in the shape of `x`."""
    i, j = _places(x)
    return where(i == j, full(x, 1.0), full(x, 0.0))


def columns_times(x: Any, w: Any) -> Any:
    """`x @ diag(w)`."""
    rank = len(dims(x))
    return x * stretch(w, x, (*range(rank - 2), rank - 1))


def rows_times(x: Any, w: Any) -> Any:
    """`diag(w) @ x`."""
    return x * stretch(w, x, tuple(range(len(dims(x)) - 1)))


def on_diagonal(x: Any, w: Any) -> Any:
    """`diag(w)`, in the shape of the square matrix `x`."""
    return rows_times(_identity(x), w)


def diagonal(x: Any) -> Any:
    """The diagonal of a square matrix."""
    return emit(_a.reduce_sum, x * _identity(x), axes=(len(dims(x)) - 1,))


# -------------------------------------------------------------------------------------------------- solving


@derivative(_la.solve)
def _solve(a: Any, f: Any, pivots: Any, b: Any, transposed: bool) -> Steps:
    x = emit(_la.solve, a, f, pivots, b, transposed=transposed)
    dx = yield x
    db = emit(_la.solve, a, f, pivots, dx, transposed=not transposed)
    return -(product_t(x, db) if transposed else product_t(db, x)), None, None, db


@tangent(_la.solve)
def _solve_forward(results: Dots, operands: Dots, dots: Dots, transposed: bool) -> Dots:
    (x,), (a, f, pivots, _), (da, _, _, db) = results, operands, dots
    moved = [] if db is None else [db]
    if da is not None:
        moved.append(-(t_product(da, x) if transposed else product(da, x)))
    return (emit(_la.solve, a, f, pivots, sum(moved[1:], moved[0]), transposed=transposed),)


def _inverse_t(a: Any, f: Any, pivots: Any) -> Any:
    return emit(_la.solve, a, f, pivots, _identity(a), transposed=True)


def _scaled(x: Any, by: Any) -> Any:
    """Every matrix of a stack times its number."""
    return x * stretch(by, x, tuple(range(len(dims(x)) - 2)))


@derivative(_la.logdet)
def _logdet(a: Any, f: Any, pivots: Any) -> Steps:
    dz = yield emit(_la.logdet, a, f, pivots)
    return _scaled(_inverse_t(a, f, pivots), dz), None, None


@derivative(_la.det)
def _det(a: Any, f: Any, pivots: Any) -> Steps:
    z = emit(_la.det, a, f, pivots)
    dz = yield z
    return _scaled(_inverse_t(a, f, pivots), dz * z), None, None


def _trace_of_solution(a: Any, f: Any, pivots: Any, da: Any) -> Any:
    rank = len(dims(a))
    x = emit(_la.solve, a, f, pivots, da, transposed=False)
    return emit(_a.reduce_sum, x * _identity(x), axes=(rank - 2, rank - 1))


@tangent(_la.logdet)
def _logdet_forward(results: Dots, operands: Dots, dots: Dots) -> Dots:
    a, f, pivots = operands
    return (_trace_of_solution(a, f, pivots, dots[0]),)


@tangent(_la.det)
def _det_forward(results: Dots, operands: Dots, dots: Dots) -> Dots:
    a, f, pivots = operands
    return (results[0] * _trace_of_solution(a, f, pivots, dots[0]),)


def _half(x: Any, lower: bool, unit: bool) -> Any:
    """What a triangular solve reads of its matrix."""
    i, j = _places(x)
    kept = (j < i if unit else j <= i) if lower else (i < j if unit else i <= j)
    return where(kept, x, full(x, 0.0))


@derivative(_la.triangular)
def _triangular(t: Any, b: Any, lower: bool, transposed: bool, unit: bool) -> Steps:
    x = emit(_la.triangular, t, b, lower=lower, transposed=transposed, unit=unit)
    dx = yield x
    db = emit(_la.triangular, t, dx, lower=lower, transposed=not transposed, unit=unit)
    return -_half(product_t(x, db) if transposed else product_t(db, x), lower, unit), db


@tangent(_la.triangular)
def _triangular_forward(results: Dots, operands: Dots, dots: Dots, lower: bool, transposed: bool, unit: bool) -> Dots:
    (x,), (t, _), (dt, db) = results, operands, dots
    moved = [] if db is None else [db]
    if dt is not None:
        part = _half(dt, lower, unit)
        moved.append(-(t_product(part, x) if transposed else product(part, x)))
    return (emit(_la.triangular, t, sum(moved[1:], moved[0]), lower=lower, transposed=transposed, unit=unit),)


# --------------------------------------------------------------------------------------------- factorisations


def _solve_lower(low: Any, b: Any, turned: bool) -> Any:
    return emit(_la.triangular, low, b, lower=True, transposed=turned, unit=False)


def _between(low: Any, x: Any, turned: bool) -> Any:
    """`inv(L) @ x @ inv(L).T`, or with L transposed."""
    return transposed(_solve_lower(low, transposed(_solve_lower(low, x, turned)), turned))


@derivative(_la.cholesky)
def _cholesky(a: Any) -> Steps:
    """Murray (2016), equation 10."""
    low = emit(_la.cholesky, a)
    dl = yield low
    inner = lower_part(t_product(low, dl), diagonal=0.5)
    return (_symmetric_lower(_between(low, inner, turned=True)),)


@tangent(_la.cholesky)
def _cholesky_forward(results: Dots, operands: Dots, dots: Dots) -> Dots:
    (low,) = results
    return (product(low, lower_part(_between(low, _mirrored(dots[0]), turned=False), diagonal=0.5)),)


def _gaps(x: Any, w: Any) -> Any:
    """`1 / (w[j] - w[i])` in the shape of `x`, 0 on the diagonal. Infinite for equal values, so that what comes of it is NaN."""
    rank = len(dims(x))
    lead = tuple(range(rank - 2))
    i, j = _places(x)
    gap = stretch(w, x, (*lead, rank - 1)) - stretch(w, x, (*lead, rank - 2))
    return where(i == j, 0.0, 1.0 / where(i == j, 1.0, gap))


@derivative(_la.eigh)
def _eigh(a: Any) -> Steps:
    """`a = v.T diag(w) v`. Where vectors are used that belong to equal values, they have no derivative: it is NaN."""
    w, v = several(_la.eigh, a)
    dw, dv = yield w, v
    inner = None if dw is None else on_diagonal(v, dw)
    if dv is not None:
        turn = product_t(v, dv)
        turn = 0.5 * _gaps(v, w) * (turn - transposed(turn))
        inner = turn if inner is None else inner + turn
    return (_symmetric_lower(t_product(v, product(inner, v))),)


@tangent(_la.eigh)
def _eigh_forward(results: Dots, operands: Dots, dots: Dots) -> Dots:
    w, v = results
    moved = product_t(product(v, _mirrored(dots[0])), v)
    return diagonal(moved), t_product(_gaps(v, w) * moved, v)


def _thin(a: Any, full: bool, *xs: Any) -> list[Any]:
    """Factors and what belongs to them, of the thin form: of the full one if the matrix is square, which is checked."""
    m, n = dims(a)[-2:]
    if not full or m == n:
        return list(xs)
    why, fix = "the vectors that `full_matrices` adds to an svd have no derivative", "write `full_matrices=False`"
    if isinstance(m, int) and isinstance(n, int):
        raise StagingError(why, current().where(), fix=fix)
    emit(p.control.check, sizes(a)[-2] == sizes(a)[-1], error="ValueError", message=f"{why}: {fix}")
    lead = len(dims(a)) - 2
    return [None if x is None else _named(x, (*dims(x)[:lead], *[n] * (len(dims(x)) - lead))) for x in xs]


@derivative(_la.svd)
def _svd(a: Any, k: Any, dims: Any, full: bool) -> Steps:
    """`a = u diag(s) v`. Where vectors are used that belong to equal values, or to 0, they have no derivative: it is NaN."""
    u, s, v = several(_la.svd, a, k, dims=dims, full=full)
    du, ds, dv = yield u, s, v
    u, s, v, du, ds, dv = _thin(a, full, u, s, v, du, ds, dv)
    terms = [] if ds is None else [product(columns_times(u, ds), v)]
    if du is not None:
        turn = t_product(u, du)
        terms.append(product(product(u, columns_times(_gaps(turn, s * s) * (turn - transposed(turn)), s)), v))
        if not _is_square(u):
            terms.append(product(columns_times(du - product(u, turn), 1.0 / s), v))
    if dv is not None:
        turn = product_t(v, dv)
        terms.append(product(u, product(rows_times(_gaps(turn, s * s) * (turn - transposed(turn)), s), v)))
        if not _is_square(v):
            terms.append(product(u, rows_times(dv - t_product(turn, v), 1.0 / s)))
    return _named(sum(terms[1:], terms[0]), _shape(a)), None


@tangent(_la.svd)
def _svd_forward(results: Dots, operands: Dots, dots: Dots, dims: Any, full: bool) -> Dots:
    u, s, v, da = _thin(operands[0], full, *results, dots[0])
    inward, outward = t_product(u, da), product_t(da, v)
    moved = product_t(inward, v)
    gaps, back = _gaps(moved, s * s), transposed(moved)
    du = product(u, gaps * (columns_times(moved, s) + rows_times(back, s)))
    dv = t_product(gaps * (rows_times(moved, s) + columns_times(back, s)), v)
    if not _is_square(u):
        du = du + columns_times(outward - product(u, moved), 1.0 / s)
    if not _is_square(v):
        dv = dv + rows_times(inward - product(moved, v), 1.0 / s)
    return tuple(_named(d, _shape(x)) for d, x in zip((du, diagonal(moved), dv), results, strict=True))


def _is_square(x: Any) -> bool:
    return bool(dims(x)[-1] == dims(x)[-2])


def _shape(x: Any) -> tuple[Any, ...]:
    return dims(x)


def _named(x: Any, names: tuple[Any, ...]) -> Any:
    """The same array, its sizes called otherwise."""
    return x if names == dims(x) else emit(_a.view, x, spec=(("all",),) * len(names), dims=names)


def _tall(a: Any, k: Any, *xs: Any) -> list[Any]:
    """`q`, `r` and what belongs to them, where there are no more columns than rows: which is checked."""
    n = dims(a)[-1]
    if dims(xs[0])[-1] != n:
        emit(p.control.check, k == sizes(a)[-1], sizes(a)[-2], sizes(a)[-1], error="ValueError",
             message="qr has a derivative where there are no more columns than rows, found {} by {}")
    return [x if x is None else _named(x, (*dims(x)[:-1], n) if j % 2 == 0 else (*dims(x)[:-2], n, n)) for j, x in enumerate(xs)]


@derivative(_la.qr)
def _qr(a: Any, k: Any, dims: Any) -> Steps:
    """Walter and Lehmann (2012), section 3.3."""
    q, r = several(_la.qr, a, k, dims=dims)
    dq, dr = yield q, r
    q, r, dq, dr = _tall(a, k, q, r, dq, dr)
    inner = None if dr is None else product_t(r, dr)
    if dq is not None:
        turn = t_product(dq, q)
        inner = -turn if inner is None else inner - turn
    moved = product(q, _mirrored(inner))
    moved = moved if dq is None else dq + moved
    return transposed(_solve_upper(r, transposed(moved), turned=False)), None


def _solve_upper(r: Any, b: Any, turned: bool) -> Any:
    return emit(_la.triangular, r, b, lower=False, transposed=turned, unit=False)


@tangent(_la.qr)
def _qr_forward(results: Dots, operands: Dots, dots: Dots, dims: Any) -> Dots:
    a, k = operands
    q, r = _tall(a, k, *results)
    moved = transposed(_solve_upper(r, transposed(dots[0]), turned=True))
    inner = t_product(q, moved)
    low = lower_part(inner, diagonal=0.0)
    turn = low - transposed(low)
    dq = product(q, turn - inner) + moved
    return _named(dq, _shape(results[0])), _named(product(inner - turn, r), _shape(results[1]))


# ------------------------------------------------------------------------------------------- pseudoinverses


@derivative(_la.pinv)
def _pinv(a: Any, p: Any) -> Steps:
    """Golub and Pereyra (1973), equation 4.12, where the rank stays. Of a tall matrix nothing is made that is larger than it."""
    z = emit(_la.pinv, a, p)
    dz = yield z
    down = t_product(dz, product_t(z, z))
    across = t_product(z, product_t(z, dz))
    along = across - product(across, product(z, a))
    return down - product(a, product(z, down)) + along - t_product(z, product_t(dz, z)), None


@tangent(_la.pinv)
def _pinv_forward(results: Dots, operands: Dots, dots: Dots) -> Dots:
    (z,), a, da = results, operands[0], dots[0]
    moved = product(z, da)
    down = product_t(product_t(z, z), da)
    along = t_product(moved, z)
    return (down - product(product(down, a), z) + along - product(product(z, a), along) - product(moved, z),)
