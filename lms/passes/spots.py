"""An array plus one that is zero but at one place becomes an array to which one number is added.

`max` hands its cotangent to one element: as an array, that is a comparison with the index everywhere, and one more pass over
memory.
"""

from __future__ import annotations

from typing import ClassVar

from lms.core import primitives as p
from lms.core.data import dataclass
from lms.core.ir import Block, Node, Program, Value
from lms.core.types import ArrayType, Scalar

from .rewrite import const_of, make

s, a = p.scalar, p.array


def _repeated(v: Value) -> Value | None:
    """The number that stands everywhere in an array."""
    node = v.node
    if node is None or node.op is not a.broadcast or node.attrs["axes"] or not isinstance(node.operands[0].type, Scalar):
        return None
    return node.operands[0]


def _counts(v: Value) -> bool:
    """Whether an array holds its own indices."""
    node = v.node
    while node is not None and node.op is a.broadcast and node.attrs["axes"] == (0,) and node.operands[0].type == v.type:
        node = node.operands[0].node
    return node is not None and node.op is a.iota


def _spot(v: Value) -> tuple[Value, Value] | None:
    """The index and the number, for a vector that is zero but at one place."""
    node = v.node
    if node is None or node.op is not s.select or not isinstance(v.type, ArrayType) or v.type.rank != 1:
        return None
    hit, inside, outside = node.operands
    number, zero = _repeated(inside), const_of(outside)
    if number is None or zero != 0 or hit.node is None or hit.node.op is not s.eq:
        return None
    x, y = hit.node.operands
    index = _repeated(y) if _counts(x) else _repeated(x) if _counts(y) else None
    return None if index is None else (index, number)


def _rewrite(block: Block) -> None:
    nodes: list[Node] = []
    for node in block.nodes:
        for inner in node.blocks:
            _rewrite(inner)
        nodes.append(node)
        if node.op is not s.add or not node.attrs.get("fast") or not isinstance(node.results[0].type, ArrayType):
            continue
        for x, y in (node.operands, node.operands[::-1]):
            if (found := _spot(y)) is not None:
                index, number = found
                node.op, node.operands, node.attrs = a.copy, (x,), {}
                nodes.append(make(a.accumulate, (node.result, number, index), {"fast": True}, node, block))
                break
    block.nodes[:] = nodes


@dataclass(frozen=True)
class Spots:
    """A number is added at its place."""

    name: ClassVar[str] = "spots"

    def run(self, program: Program) -> Program:
        for function in program.functions.values():
            _rewrite(function.body)
        return program
