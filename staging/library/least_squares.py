"""Pseudoinverses and least squares, and what else singular values say of a matrix, under NumPy's and SciPy's names."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from lms.core import primitives as p
from lms.core.errors import StagingTypeError, here
from lms.core.lazy import Library
from lms.core.types import element, f64

from ..joins import promote
from ..rep import Rep
from ..shapes import array_type, rename, require_equal
from ..table import stages
from . import arrays
from . import elementary as el
from .creation import asarray, iota
from .elementwise import cast
from .matrices import emit, factors, matrix, shorter, turned

_scipy = Library("scipy.linalg")
_DEFAULT: Any = object()


def _epsilon(s: Rep) -> float:
    return 2.0**-52 if element(s.type) == f64 else 2.0**-23


def _counts(s: Rep, share: Any) -> Rep:
    """Which singular values are above a share of the largest: the others are taken for zero."""
    largest = arrays.sum(el.where(el.equal(iota(s.shape[-1]), 0), s, 0.0), -1, keepdims=True)
    return el.greater(s, el.multiply(share, largest))  # type: ignore[no-any-return]  # a staged value


def _longest(x: Rep) -> Any:
    return el.maximum(x.shape[-2], x.shape[-1])


def _inverted(x: Rep, share: Any) -> tuple[Rep, Rep]:
    """The pseudoinverse of a matrix, and which of its singular values count. The derivative is not that of the factors."""
    u, s, v = factors(el.stop_gradient(x), full=False)
    some = _counts(s, share)
    weights = el.where(some, el.divide(1.0, el.where(some, s, 1.0)), 0.0)
    made = arrays.matmul(el.multiply(Rep(turned(v.value)), weights[..., None, :]), Rep(turned(u.value)))
    (inverse,) = emit(p.linalg.pinv, x.value, made.value)
    return inverse, some


def _pinv(a: Any, share: Any) -> Rep:
    x = Rep(matrix(a, "pinv"))
    rows, columns = x.shape[-2:]
    if isinstance(rows, int) and isinstance(columns, int) and rows < columns:  # its derivative is that of a tall matrix
        return Rep(turned(_inverted(Rep(turned(x.value)), share)[0].value))
    return _inverted(x, share)[0]


@stages(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = _DEFAULT) -> Any:
    """The pseudoinverse of a matrix, or of each of a stack. Singular values up to `rcond` (1e-15) times the largest are zero.

    It has derivatives of every order where the rank stays what it is.
    """
    if rtol is None:
        x = asarray(a)
        return _pinv(x, el.multiply(_longest(x), _epsilon(Rep(matrix(x, "pinv")))))
    return _pinv(a, 1e-15 if rcond is None and rtol is _DEFAULT else rtol if rcond is None else rcond)


@stages(_scipy.pinv)
def _scipy_pinv(a: Any, *, atol: Any = None, rtol: Any = None, return_rank: bool = False, check_finite: bool = True) -> Any:
    if atol is not None or return_rank:
        raise StagingTypeError("pinv: `atol` and `return_rank` cannot be staged", here(), fix="give `rtol`, or ask `matrix_rank`")
    return pinv(a, rtol=rtol)


@stages(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """The least `x` of those that bring `a @ x` nearest to `b`; the squares left, the rank of `a`, its singular values.

    Singular values up to `rcond` (by default the machine's precision times the larger size) times the largest are zero. The
    squares are those of each column, and none where the rank is less than there are columns or there are no more rows.
    The derivatives, of every order, are those where the rank stays.
    """
    x, y = asarray(a), asarray(b)
    kind = promote(x, y, 1.0)
    if x.ndim != 2 or y.ndim not in (1, 2):
        raise StagingTypeError(f"lstsq: expected a matrix and a vector or matrix, found {x.type} and {y.type}", here())
    x, y = Rep(matrix(x, "lstsq", kind)), cast(y, kind)
    require_equal(x.value, 0, y.value, 0, "lstsq: rows do not fit")
    y = Rep(rename(y.value, (array_type(x.value).dims[0], *array_type(y.value).dims[1:])))
    share = el.multiply(_longest(x), _epsilon(x)) if rcond is None else rcond if not _negative(rcond) else _epsilon(x)
    inverse, some = _inverted(x, share)
    found = arrays.matmul(inverse, y)
    rank = arrays.sum(some)
    rows, columns = x.shape
    square = el.power(el.subtract(y, arrays.matmul(x, found)), 2)
    left = arrays.sum(square, 0) if y.ndim == 2 else arrays.sum(square, 0, keepdims=True)
    whole = el.logical_and(el.equal(rank, columns), el.greater(rows, columns))
    n, size = shorter(x.value)
    values = emit(p.linalg.svd, x.value, n, dims=(size,), full=False)[1]  # where nobody asks for them, nothing is done
    return found, left[: el.where(whole, left.shape[0], 0)], rank, values


def _negative(rcond: Any) -> bool:
    return isinstance(rcond, int | float) and rcond < 0


@stages(np.linalg.matrix_rank)
def matrix_rank(a: Any, tol: Any = None, hermitian: bool = False) -> Any:
    """How many singular values of a matrix are above `tol`: the machine's precision times the larger size and the largest."""
    x = asarray(a)
    _, s, _ = factors(el.stop_gradient(Rep(matrix(x, "matrix_rank"))), full=False)
    counted = _counts(s, el.multiply(_longest(x), _epsilon(s))) if tol is None else el.greater(s, tol)
    return arrays.sum(counted, -1)


@stages(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:  # NumPy's names
    """The condition number of a matrix: the largest singular value over the least."""
    if p not in (None, 2, -2):
        raise StagingTypeError(f"cond: p={p!r} cannot be staged", here(), fix="p is None, 2 or -2; or multiply two norms")
    _, s, _ = factors(x, full=False)
    return el.divide(s[..., -1], s[..., 0]) if p == -2 else el.divide(s[..., 0], s[..., -1])


@stages(np.linalg.multi_dot)
def multi_dot(matrices: Any) -> Any:
    """The product of two or more matrices, from left to right."""
    return reduce(arrays.dot, matrices)
