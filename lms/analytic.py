"""Derivatives by a complex step, exact to rounding: where a program is an analytic function of its floats.

The imaginary part of f(x + ih d) is h times the derivative in the direction d, and nothing cancels (Squire and Trapp, 1998).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lms.backends.interpret import NumPy, execute
from lms.core import primitives as p
from lms.core.ir import Node, Program, walk
from lms.core.types import ArrayType, Scalar, Type

STEP = 1e-100
_s, _a = p.scalar, p.array

ANALYTIC = frozenset({
    _s.add, _s.sub, _s.mul, _s.div, _s.neg, _s.pow, _s.sqrt, _s.exp, _s.exp2, _s.expm1, _s.log, _s.log2, _s.log10, _s.log1p,
    _s.sin, _s.cos, _s.tan, _s.asin, _s.acos, _s.atan, _s.sinh, _s.cosh, _s.tanh, _s.asinh, _s.acosh, _s.atanh, _s.select,
    _a.const, _a.dim, _a.empty, _a.broadcast, _a.iota, _a.copy, _a.grow, _a.load, _a.store, _a.accumulate, _a.assign, _a.add_into,
    _a.view, _a.transpose, _a.reshape, _a.reduce_sum, _a.reduce_prod, _a.cumsum, _a.contract, _a.concatenate, _a.take, _a.put,
    _a.add_at, _a.take_along, _a.add_along, p.control.if_, p.control.for_, p.control.while_, p.control.call,
    p.record.construct, p.record.tag, p.record.project,
})


def is_analytic(program: Program) -> bool:
    """Whether no float decides anything, and all that floats go through is an analytic function."""
    nodes = (node for function in program.functions.values() for node in walk(function.body))
    return all(node.op in ANALYTIC or node.op is _s.convert and _widens(node)
               or not any(_is_float(v.type) for v in (*node.operands, *node.results)) for node in nodes)


def _widens(node: Node) -> bool:
    return _is_float(node.result.type)


def _is_float(t: Type) -> bool:
    inner = t.dtype if isinstance(t, ArrayType) else t
    return isinstance(inner, Scalar) and (inner.is_float or inner.is_complex)


class _Complexly(NumPy):
    """All floats are complex."""

    def plain(self, node: Node, operands: tuple[Any, ...]) -> tuple[Any, ...]:
        if node.op is _s.convert:
            return (as_complex(operands[0]),)
        found = super().plain(node, operands)
        return found if node.op.effect.view is not None else tuple(map(as_complex, found))


def as_complex(x: Any) -> Any:
    """A float, or an array of floats, as complex numbers."""
    kind = np.asarray(x).dtype.kind if isinstance(x, float | np.floating | np.ndarray) else ""
    return np.asarray(x, np.complex128)[()] if kind == "f" else x


def along(program: Program, leaves: Sequence[Any], directions: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """The float results, complex ones where the real line was left, and their derivatives in a direction.

    A direction of None is a leaf that does not move.
    """
    moved = [as_complex(x) if d is None else as_complex(x) + 1j * STEP * np.asarray(d)
             for x, d in zip(leaves, directions, strict=True)]
    found = execute(program, moved, _Complexly())
    floats = [y for y, v in zip(found, program.main.body.results, strict=True) if _is_float(v.type)]
    return [y if np.any(abs(np.imag(y)) > 1e-50) else np.real(y) for y in floats], [np.imag(y) / STEP for y in floats]
