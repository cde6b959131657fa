"""Operations on whole arrays of a few elements become operations on the elements, before anything is differentiated.

What is left is loads and stores at constant indices: `carry` and `scalars` then turn the arrays into values, so that the
derivative of a vector in space is that of three numbers, and a residual is a number where it was an array.
"""

from __future__ import annotations

from math import prod
from typing import ClassVar

from lms.core import primitives as p
from lms.core.builder import Builder, Replay
from lms.core.data import dataclass
from lms.core.effects import Effects
from lms.core.ir import Function, Node, Program, Value, walk
from lms.core.types import ArrayType, Scalar

from .fuse import Plan, renames
from .lower import Lowering
from .nests import BUDGET, UNROLL

a = p.array
# `reduce_max` and its kin are not among them: their derivative at a tie is not that of `maximum`
EXPANDED = frozenset({a.broadcast, a.copy, a.assign, a.add_into, a.concatenate, a.contract, a.reduce_sum})


def is_small(v: Value) -> bool:
    """Whether an array is of so few elements, in number and along each axis, that its lowering is straight-line code."""
    t = v.type
    if not isinstance(t, ArrayType) or not isinstance(t.dtype, Scalar):
        return False
    return all(isinstance(d, int) and 0 < d <= UNROLL for d in t.dims) and prod(d for d in t.dims if isinstance(d, int)) <= BUDGET


def _expands(node: Node) -> bool:
    if node.op in (a.load, a.store, a.accumulate):
        made = node.operands[0].node
        return made is not None and renames(made) and is_small(node.operands[0])
    if not (node.op.elementwise or node.op in EXPANDED):
        return False
    arrays = [v for v in (*node.operands, *node.results) if isinstance(v.type, ArrayType)]
    return bool(arrays) and all(map(is_small, arrays))


class _Expanding(Lowering):
    """A lowering of the small alone: all else is copied."""

    def node(self, node: Node) -> None:
        if _expands(node):
            super().node(node)
        else:
            Replay.node(self, node)


@dataclass(frozen=True)
class Unpack:
    """Operations on small arrays become operations on their elements."""

    name: ClassVar[str] = "unpack"

    def run(self, program: Program) -> Program:
        small = [name for name, function in program.functions.items() if any(map(_expands, walk(function.body)))]
        if small:
            effects, builder = Effects(program), Builder(program)
            for name in small:
                program.functions[name] = self._function(program.functions[name], builder, effects)
        return program

    def _function(self, function: Function, builder: Builder, effects: Effects) -> Function:
        from . import contractions, lower_array, lower_gather, lower_reduce  # noqa: F401  # they fill the tables

        expanding = _Expanding(builder, Plan(), effects)
        params = function.body.params
        with builder.reify([v.type for v in params], [v.name for v in params]) as body:
            body.results = expanding.run(function.body, body.params)
        return Function(function.name, body, function.mut, function.span, function.doc)
