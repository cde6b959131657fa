"""Factorisations of matrices in C: plain loops, for matrices of a program that stands alone. Large ones are LAPACK's business.

Each works in place on one row-major matrix without gaps, as the operations on memory in `core/primitives/linalg.py` do. What has
no answer becomes NaN, for the program's own check to find.
"""

from __future__ import annotations

from lms.core import primitives as p
from lms.core.errors import LmsError
from lms.core.ir import Node
from lms.core.types import Scalar

from .function import Array, FunctionWriter, rule


def _operands(w: FunctionWriter, node: Node) -> tuple[str, list[Array]]:
    """The name of the element type, and the arrays."""
    t, _ = w.array(node.operands[0])
    assert isinstance(t.dtype, Scalar)
    w.settle(lambda v, x: bool(x.reads & w.effects.of(node).changes))
    return t.dtype.name, [w.array(v)[1] for v in node.operands]


@rule(p.linalg.lu_into)
def _lu(w: FunctionWriter, node: Node) -> None:
    t, (f, pivots, _) = _operands(w, node)
    w.write(f"lms_lu_{t}({f.data}, {pivots.data}, {f.dims[0].text});")


@rule(p.linalg.triangular_into)
def _triangular(w: FunctionWriter, node: Node) -> None:
    t, (x, _, matrix) = _operands(w, node)
    flags = ", ".join("true" if node.attrs[name] else "false" for name in ("lower", "transposed", "unit"))
    w.write(f"lms_triangular_{t}({x.data}, {matrix.data}, {x.dims[0].text}, {x.dims[1].text}, {flags});")


@rule(p.linalg.cholesky_into)
def _cholesky(w: FunctionWriter, node: Node) -> None:
    t, (a, _) = _operands(w, node)
    w.write(f"lms_cholesky_{t}({a.data}, {a.dims[0].text});")


@rule(p.linalg.qr_into)
def _qr(w: FunctionWriter, node: Node) -> None:
    t, (q, r, a) = _operands(w, node)
    w.write(f"lms_qr_{t}({q.data}, {r.data}, {a.data}, {a.dims[0].text}, {a.dims[1].text});")


@rule(p.linalg.eigh_into, p.linalg.svd_into)
def _refused(w: FunctionWriter, node: Node) -> None:
    name = {"eigh_into": "eigenvalues", "svd_into": "singular values"}[node.op.name]
    raise LmsError(f"{name} have no counterpart in C, which has no LAPACK", node.span, fix="run this function as native code")
