"""Linear algebra under the names of NumPy and SciPy: `np.linalg.solve`, `scipy.linalg.cho_factor`, ...

Matrices stand in the last two axes, and axes before those are stacks, as in NumPy. Elements are `f32` or `f64`; ints become
`f64`. What has no answer raises `np.linalg.LinAlgError` when the program runs.

    lms.linalg.solve(np.array([[2.0, 0.0], [0.0, 4.0]]), np.ones(2))        # [0.5, 0.25]
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.errors import StagingTypeError, here
from lms.core.ir import Value
from lms.core.lazy import Library
from lms.core.types import Scalar

from ..joins import promote
from ..rep import Rep
from ..shapes import array_type, broadcast_to, rename
from ..table import STAGED, stages
from . import arrays, shaping
from . import elementary as el
from .creation import asarray, copy, iota
from .elementwise import check
from .least_squares import cond, lstsq, matrix_rank, multi_dot, pinv
from .matrices import demand, emit, factors, matrix, pair, shorter, square, turned

_la = p.linalg
_scipy = Library("scipy.linalg")


# ------------------------------------------------------------------------------------------------- solving


def lu_factors(a: Value, regular: bool = True) -> tuple[Value, Value]:
    """The factors of a matrix, and its pivots. Raises `LinAlgError`, later, where it is singular."""
    f, pivots = emit(_la.lu, a)
    if regular:
        check(el.not_equal(_diagonal(f), 0.0), "LinAlgError", "Singular matrix")
    return f.value, pivots.value


def _diagonal(x: Rep) -> Rep:
    """The diagonals of a stack of square matrices, as columns."""
    b, t = current(), array_type(x.value)
    place = b.emit1(p.array.broadcast, iota(x.shape[-1]).value, *b.dims(x.value)[:-1], b.const(1),
                    dims=(*t.dims[:-1], 1), axes=(t.rank - 2,))
    return Rep(b.emit1(p.array.take_along, x.value, place, axis=t.rank - 1))


def _solved(x: Rep, vector: bool) -> Rep:
    if not vector:
        return x
    b, t = current(), array_type(x.value)
    return Rep(b.emit1(p.array.reshape, x.value, *b.dims(x.value)[:-1], dims=t.dims[:-1]))


@stages(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """The `x` with `a @ x == b`, of a square matrix and a vector or matrix (of stacks of them, one by one).

    Raises `LinAlgError` for a singular matrix. The factors of `a` are used again by derivatives of every order.
    """
    left, right, vector = pair(a, b, "solve")
    f, pivots = lu_factors(left)
    (x,) = emit(_la.solve, left, f, pivots, right, transposed=False)
    return _solved(x, vector)


@stages(_scipy.solve)
def _scipy_solve(a: Any, b: Any, lower: bool = False, overwrite_a: bool = False, overwrite_b: bool = False,
                 check_finite: bool = True, assume_a: Any = None, transposed: bool = False) -> Any:
    """`solve`; a matrix that is assumed to be symmetric or triangular is read as SciPy reads it, one half of it."""
    if assume_a in ("pos", "positive definite"):
        return cho_solve(cho_factor(a, lower), b)
    if assume_a in ("upper triangular", "lower triangular"):
        return solve_triangular(a, b, int(transposed), assume_a.startswith("lower"))
    if assume_a in ("sym", "symmetric", "her", "hermitian"):
        a = el.add(shaping.tril(a), _matrix_transpose(shaping.tril(a, -1))) if lower else el.add(
            shaping.triu(a), _matrix_transpose(shaping.triu(a, 1)))
    elif assume_a not in (None, "gen", "general"):
        raise StagingTypeError(f"solve: a matrix that is assumed to be {assume_a!r} is not supported", here(),
                               fix="leave `assume_a` away, or set to zero what it says is not read")
    left, right, vector = pair(a, b, "solve")
    f, pivots = lu_factors(left)
    (x,) = emit(_la.solve, left, f, pivots, right, transposed=bool(transposed))
    return _solved(x, vector)


@stages(np.linalg.inv)
def inv(a: Any) -> Any:
    """The inverse of a square matrix. Raises `LinAlgError` for a singular one."""
    v = square(a, "inv")
    f, pivots = lu_factors(v)
    return emit(_la.solve, v, f, pivots, _identity(v).value, transposed=False)[0]


@stages(np.linalg.matrix_power)
def matrix_power(a: Any, n: int) -> Any:
    """A square matrix, multiplied by itself; its inverse for a negative `n`, which is known now."""
    if not isinstance(n, int):
        raise StagingTypeError("matrix_power: the power must be known now", here(), fix="multiply in a loop: `for _ in range(n)`")
    value = square(a, "matrix_power", promote(asarray(a)))
    if n == 0:
        return _identity(value)
    factor = inv(Rep(value)) if n < 0 else copy(Rep(value))
    out = None
    for bit in reversed(f"{abs(n):b}"):
        if bit == "1":
            out = factor if out is None else out @ factor
        factor = factor @ factor
    return out


@stages(_scipy.inv)
def _scipy_inv(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    return inv(a)


def _identity(v: Value) -> Rep:
    """Ones on the diagonal, in the shape of a stack of square matrices."""
    i = iota(Rep(v).shape[-1])
    one = el.astype(el.equal(i[:, None], i[None, :]), _element(v))
    t = array_type(v)
    return Rep(broadcast_to(rename(one.value, t.dims[-2:]), current().dims(v), t.dims, "eye"))


def _element(v: Value) -> Scalar:
    dtype = array_type(v).dtype
    assert isinstance(dtype, Scalar)
    return dtype


@stages(_scipy.solve_triangular)
def solve_triangular(a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False, overwrite_b: bool = False,
                     check_finite: bool = True) -> Any:
    """The `x` with `a @ x == b` (`a.T @ x == b` with `trans=1`), of a triangular matrix: what is on its other side is not read.

    Raises `LinAlgError` for a zero on the diagonal.
    """
    left, right, vector = pair(a, b, "solve_triangular")
    if not unit_diagonal:
        check(el.not_equal(_diagonal(Rep(left)), 0.0), "LinAlgError", "Singular matrix")
    (x,) = emit(_la.triangular, left, right, lower=bool(lower), transposed=trans in (1, 2, "T", "C"), unit=bool(unit_diagonal))
    return _solved(x, vector)


# ---------------------------------------------------------------------------------------------- determinants


@cache
def _classes() -> tuple[type, type, type, type]:
    """NumPy's classes for results that have several parts."""
    one = np.eye(1)
    return type(np.linalg.slogdet(one)), type(np.linalg.eigh(one)), type(np.linalg.svd(one)), type(np.linalg.qr(one))


@stages(np.linalg.det)
def det(a: Any) -> Any:
    """The determinant of a square matrix."""
    v = square(a, "det")
    return emit(_la.det, v, *lu_factors(v, regular=False))[0]


@stages(_scipy.det)
def _scipy_det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    return det(a)


@stages(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    """The sign of the determinant, and the logarithm of its magnitude: 0 and -inf for a singular matrix."""
    v = square(a, "slogdet")
    f, pivots = lu_factors(v, regular=False)
    (log,) = emit(_la.logdet, v, f, pivots)
    moved = el.not_equal(Rep(pivots), iota(Rep(v).shape[-1]))
    signs = el.multiply(_diagonal(el.sign(Rep(f)))[..., 0], el.where(moved, -1.0, 1.0))
    return _classes()[0](el.stop_gradient(arrays.prod(signs, -1)), log)


# -------------------------------------------------------------------------------------------- factorisations


def _lower_factor(a: Any, lower: bool) -> Rep:
    v = square(a, "cholesky")
    (low,) = emit(_la.cholesky, v if lower else turned(v))
    demand(_diagonal(low), "Matrix is not positive definite")
    return low


@stages(np.linalg.cholesky)
def cholesky(a: Any, *, upper: bool = False) -> Any:
    """The lower triangular `l` with `l @ l.T == a`; with `upper`, `l.T`. What is above the diagonal of `a` is not read.

    Raises `LinAlgError` for a matrix that is not positive definite.
    """
    low = _lower_factor(a, lower=not upper)
    return Rep(turned(low.value)) if upper else low


@stages(_scipy.cholesky)
def _scipy_cholesky(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    return cholesky(a, upper=not lower)


@stages(_scipy.cho_factor)
def cho_factor(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """What `cho_solve` takes: the Cholesky factor of a positive definite matrix, and whether it is the lower one."""
    return cholesky(a, upper=not lower), lower


@stages(_scipy.cho_solve)
def cho_solve(c_and_lower: Any, b: Any, overwrite_b: bool = False, check_finite: bool = True) -> Any:
    """The `x` with `a @ x == b`, given what `cho_factor` has made of `a`."""
    c, lower = c_and_lower
    for trans in (0, 1) if lower else (1, 0):
        b = solve_triangular(c, b, trans, lower)
    return b


def _symmetric(a: Any, uplo: str, name: str) -> tuple[Rep, Rep]:
    v = square(a, name)
    if uplo.upper() not in ("L", "U"):
        raise StagingTypeError(f"{name}: UPLO is 'L' or 'U', found {uplo!r}", here())
    w, rows = emit(_la.eigh, v if uplo.upper() == "L" else turned(v))
    demand(w, "Eigenvalues did not converge")
    return w, rows


@stages(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> Any:
    """The eigenvalues of a symmetric matrix, from the least to the greatest, and its eigenvectors, as columns.

    Only the lower half is read (the upper with `UPLO="U"`). Vectors of equal eigenvalues have no derivative: what goes through
    them is NaN.
    """
    w, rows = _symmetric(a, UPLO, "eigh")
    return _classes()[1](w, Rep(turned(rows.value)))


@stages(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    """The eigenvalues of a symmetric matrix, from the least to the greatest."""
    return _symmetric(a, UPLO, "eigvalsh")[0]


@stages(_scipy.eigh)
def _scipy_eigh(a: Any, *, lower: bool = True, eigvals_only: bool = False, overwrite_a: bool = False,
                check_finite: bool = True) -> Any:
    w, v = eigh(a, "L" if lower else "U")
    return w if eigvals_only else (w, v)


@stages(_scipy.eigvalsh)
def _scipy_eigvalsh(a: Any, *, lower: bool = True, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    return eigvalsh(a, "L" if lower else "U")


@stages(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """The factors `u`, `s`, `vh` of `a == u @ diag(s) @ vh`; the singular values alone without `compute_uv`.

    The derivative is that of the thin form, `full_matrices=False`; equal singular values are treated as `eigh` does.
    """
    if not compute_uv:
        return factors(a, full=False)[1]
    return _classes()[2](*factors(a, full_matrices))


@stages(_scipy.svd)
def _scipy_svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, overwrite_a: bool = False, check_finite: bool = True,
               lapack_driver: str = "gesdd") -> Any:
    return tuple(factors(a, full_matrices)) if compute_uv else factors(a, full=False)[1]


@stages(_scipy.svdvals, *([np.linalg.svdvals] if hasattr(np.linalg, "svdvals") else []))
def svdvals(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The singular values of a matrix, from the greatest to the least."""
    return factors(a, full=False)[1]


def _qr(a: Any) -> list[Rep]:
    v = matrix(a, "qr")
    n, size = shorter(v)
    return emit(_la.qr, v, n, dims=(size,))


@stages(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    """Orthonormal columns `q` and the upper triangular `r` with `q @ r == a`; `mode="r"` gives `r` alone.

    It has a derivative where the matrix has at least as many rows as columns, which are independent.
    """
    if mode not in ("reduced", "r"):
        raise StagingTypeError(f"qr: mode={mode!r} cannot be staged", here(), fix="mode is 'reduced' or 'r'")
    q, r = _qr(a)
    return r if mode == "r" else _classes()[3](q, r)


@stages(_scipy.qr)
def _scipy_qr(a: Any, overwrite_a: bool = False, lwork: Any = None, mode: str = "full", pivoting: bool = False,
              check_finite: bool = True) -> Any:
    if pivoting or mode not in ("economic", "r"):
        raise StagingTypeError(f"qr: mode={mode!r}, pivoting={pivoting} cannot be staged", here(),
                               fix="mode is 'economic' or 'r', without pivoting")
    return (_qr(a)[1],) if mode == "r" else tuple(_qr(a))


# ------------------------------------------------------------------- what NumPy has in two places, since version 2


def _vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    return arrays.norm(x if axis is not None else shaping.ravel(asarray(x)), ord, axis, keepdims)


def _matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    return arrays.norm(x, ord, None if asarray(x).ndim == 2 and not keepdims else (-2, -1), keepdims)


def _matrix_transpose(x: Any, /) -> Any:
    """Every matrix of a stack, transposed."""
    return shaping.swapaxes(x, -1, -2)


def _vecdot(a: Any, b: Any, /, *, axis: int = -1) -> Any:
    """The sums of products of vectors, along an axis."""
    return arrays.sum(el.multiply(el.conj(a), b), axis)


_AGAIN: dict[str, Any] = {
    "diagonal": shaping.diagonal, "matmul": arrays.matmul, "matrix_norm": _matrix_norm,
    "matrix_transpose": _matrix_transpose, "outer": arrays.outer, "tensordot": arrays.tensordot,
    "trace": shaping.trace, "vecdot": _vecdot, "vector_norm": _vector_norm,
}
STAGED.update((getattr(np.linalg, name), f) for name, f in _AGAIN.items() if hasattr(np.linalg, name))
if hasattr(np, "matrix_transpose"):  # from NumPy 2.0 on
    STAGED[np.matrix_transpose] = _matrix_transpose

__all__ = ["cho_factor", "cho_solve", "cholesky", "cond", "det", "eigh", "eigvalsh", "inv", "lstsq", "matrix_power",
           "matrix_rank", "multi_dot", "pinv", "qr", "slogdet", "solve", "solve_triangular", "svd", "svdvals"]
