"""What linear algebra does with its operands: matrices and stacks of them, of one type, whose sizes agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.errors import ShapeError, StagingTypeError, here
from lms.core.ir import Value
from lms.core.types import Scalar, Size

from ..joins import promote
from ..rep import Rep, convert
from ..shapes import array_type, broadcast_to, rename, require_equal, shown, size_value
from . import arrays
from . import elementary as el
from .creation import asarray
from .elementwise import admit, check

_la = p.linalg



def kind_of(name: str, *xs: Rep) -> Scalar:
    """The type of the elements that LAPACK computes with."""
    kind = admit(promote(*xs), "fc")
    if kind.is_complex:
        raise StagingTypeError(f"{name}: linear algebra of complex numbers is not supported", here(),
                               fix="write real and imaginary parts as the blocks of a real matrix, or use `lms.py_call`")
    return kind


def matrix(x: Any, name: str, kind: Scalar | None = None) -> Value:
    """A matrix, or a stack of them."""
    x = asarray(x)
    if x.ndim < 2:
        raise StagingTypeError(f"{name}: expected a matrix, found {x.type}", here())
    return convert(x.value, kind or kind_of(name, x))


def square(x: Any, name: str, kind: Scalar | None = None) -> Value:
    """A square matrix, or a stack of them."""
    v = matrix(x, name, kind)
    t = array_type(v)
    rows, columns = t.dims[-2:]
    if isinstance(rows, int) and isinstance(columns, int) and rows != columns:
        raise ShapeError(f"{name}: expected a square matrix, found {shown(v)}", here())
    require_equal(v, t.rank - 2, v, t.rank - 1, f"{name} takes square matrices")
    return rename(v, (*t.dims[:-1], rows))


def pair(a: Any, b: Any, name: str) -> tuple[Value, Value, bool]:
    """A matrix and a right side, stacked alike; and whether that was a vector. Their numbers of rows agree."""
    a, b = asarray(a), asarray(b)
    kind = kind_of(name, a, b)
    left, right = square(a, name, kind), convert(b.value, kind)
    if b.ndim == 0:
        raise StagingTypeError(f"{name}: expected a vector or a matrix, found {b.type}", here())
    vector = b.ndim == 1
    if vector:
        right = Rep(right)[:, None].value
    require_equal(left, array_type(left).rank - 1, right, array_type(right).rank - 2, f"{name}: rows do not fit")
    t = array_type(right)
    right = rename(right, (*t.dims[:-2], array_type(left).dims[-1], t.dims[-1]))
    left, right = _stacked([left, right], name)
    return left, right, vector


def _stacked(values: Sequence[Value], name: str) -> list[Value]:
    """Matrices with the same axes before their own."""
    lead: list[tuple[Size, Value]] = []  # from the last axis on: a size, and its value
    for v in values:
        dims = array_type(v).dims[:-2]
        for k, d in enumerate(reversed(dims)):
            found = d, size_value(d, v, len(dims) - 1 - k)
            if k == len(lead):
                lead.append(found)
            elif lead[k][0] == 1:
                lead[k] = found
    out = []
    for v in values:
        t = array_type(v)
        dims = (*(d for d, _ in reversed(lead)), *t.dims[-2:])
        own = [size_value(d, v, t.rank - 2 + k) for k, d in enumerate(t.dims[-2:])]
        out.append(v if t.dims == dims else broadcast_to(v, [*(n for _, n in reversed(lead)), *own], dims, name))
    return out


def emit(op: p.Primitive, *operands: Value, **attrs: Any) -> list[Rep]:
    """The results of an operation."""
    return list(map(Rep, current().emit(op, *operands, **attrs)))


def turned(v: Value) -> Value:
    """Every matrix of a stack, transposed."""
    rank = array_type(v).rank
    return current().emit1(p.array.transpose, v, perm=(*range(rank - 2), rank - 1, rank - 2))


def shorter(v: Value) -> tuple[Value, Size]:
    """The smaller of a matrix's sizes."""
    t = array_type(v)
    rows, columns = (Rep(size_value(d, v, t.rank - 2 + k)) for k, d in enumerate(t.dims[-2:]))
    if rows.value is columns.value:
        return rows.value, t.dims[-1]
    n = el.minimum(rows, columns).value
    known = [d for d in t.dims[-2:] if isinstance(d, int)]
    return (current().const(min(known)), min(known)) if len(known) == 2 else (n, current().size_of(n, "k"))


def demand(x: Rep, message: str) -> None:
    """Raise `LinAlgError`, later, where a factorisation has left NaN."""
    check(el.logical_not(arrays.any(el.isnan(x))), "LinAlgError", message)


def factors(a: Any, full: bool) -> list[Rep]:
    """`u`, `s`, `vh` of the singular value decomposition of matrices; thin, unless `full`."""
    v = matrix(a, "svd")
    n, size = shorter(v)
    u, s, rows = emit(_la.svd, v, n, dims=(size,), full=full and array_type(v).dims[-1] != array_type(v).dims[-2])
    demand(s, "SVD did not converge")
    return [u, s, rows]
