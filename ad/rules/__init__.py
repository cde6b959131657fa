"""The derivatives of the primitives: one table for values, one for memory, and what has none."""

from __future__ import annotations

from lms.core import primitives as p
from lms.core.errors import StagingError
from lms.core.ir import Node
from lms.core.primitives import Primitive

from ..continuations import RULES
from . import array, complex, linalg, memory, product, scalar
from .memory import MEMORY

_s, _a = p.scalar, p.array

# Operations that carry no derivative, and why.
NONE: dict[Primitive, str] = {
    **dict.fromkeys((_s.floor, _s.ceil, _s.trunc, _s.rint, _s.sign, _s.floordiv), "its derivative is zero wherever it exists"),
    **dict.fromkeys((_s.lt, _s.le, _s.gt, _s.ge, _s.eq, _s.ne, _s.isnan, _s.isinf, _s.isfinite, _s.signbit, _a.argmax,
                     _a.argmin, _a.argsort, _a.nonzero, _a.reduce_any, _a.reduce_all, p.record.tag), "its result is no float"),
    **dict.fromkeys((_s.quot, _s.iabs, _s.and_, _s.or_, _s.xor, _s.not_, _s.shl, _s.shr, _a.index), "it takes integers"),
    **dict.fromkeys((_a.const, _a.dim, _a.empty, _a.iota), "it takes no float"),
    **dict.fromkeys((_a.contract_into, _a.argsort_into), "lowering makes it, after differentiation"),
    **dict.fromkeys((p.control.check, p.control.print_), "it has no result"),
    _s.stop_gradient: "it is there to have none",
    p.linalg.lu: "what is computed with the factors is differentiated by the matrix itself",
    **dict.fromkeys(p.linalg.LAPACK, "lowering makes it, after differentiation"),
    p.control.py_call: "Python's code is not seen",
}



def no_derivative(node: Node) -> StagingError:
    """The error where a value that is differentiated goes through an operation that has no rule."""
    return StagingError(f"{node.op.name} cannot be differentiated: {NONE.get(node.op, 'it has no rule')}", node.span,
                        fix="wrap its operand in lms.stop_gradient, or give a function around it a rule with @lms.derivative")


__all__ = ["MEMORY", "NONE", "RULES", "array", "complex", "linalg", "memory", "no_derivative", "product", "scalar"]
