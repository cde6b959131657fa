"""Loops that run backwards although nothing asks for it run forwards: they meet the loops whose halves they are.

The backward half of a loop goes through its iterations last first. Where iterations pass nothing on but sums, and write only to
memory of their own, the order is free. Forwards, `fuse-loops` can join such a loop to the forward half, and what one saved
for the other is then one iteration's.
"""

from __future__ import annotations

from typing import ClassVar

from lms.core import primitives as p
from lms.core.data import dataclass
from lms.core.effects import Effects, Root
from lms.core.ir import Block, Node, Program, Value, walk
from lms.core.types import i64

from .rewrite import constant, int_of

s, a, c = p.scalar, p.array, p.control


def _sums(body: Block) -> bool:
    """Whether all that a loop carries are sums whose order is free, looked at nowhere else."""
    uses: dict[Value, int] = {}
    for node in walk(body):
        for v in (*node.operands, *(r for inner in node.blocks for r in inner.results)):
            uses[v] = uses.get(v, 0) + 1
    for v, out in zip(body.params[1:], body.results, strict=True):
        made = out.node
        if v is out:
            continue
        if made is None or made.op is not s.add or not made.attrs.get("fast") or v not in made.operands:
            return False
        if made not in body.nodes or uses.get(v, 0) != 1 or uses.get(out, 0) != 0:
            return False
    return len(set(body.results)) == len(body.results)


def _any_order(body: Block, effects: Effects) -> bool:
    """Whether iterations leave each other alone: all they share they read, or add to."""
    own: set[Root] = {node.result for node in body.nodes if node.op is a.empty}
    access = effects.block(body)
    if access.raises or access.io or access.writes - own or access.accumulates & access.reads - own:
        return False
    return all(n.attrs.get("fast") for n in walk(body) if n.op.effect.accumulates) and _sums(body)


def _count(start: Value) -> Value | None:
    """How many iterations lead from here down to 0."""
    node = start.node
    if node is None or node.op is not s.sub or int_of(node.operands[1]) != 1:
        return None
    n = node.operands[0]
    if n.node is not None and n.node.op is s.maximum:  # a loop to a negative number is one to 0
        x, y = n.node.operands
        n = x if int_of(y) == 0 else y if int_of(x) == 0 else n
    return n


def _runs_backwards(node: Node) -> bool:
    """Whether a node is a loop down to 0."""
    return node.op is c.for_ and int_of(node.operands[2]) == -1 and int_of(node.operands[1]) == -1


def _turn(block: Block, effects: Effects) -> None:
    nodes: list[Node] = []
    for node in block.nodes:
        for inner in node.blocks:
            _turn(inner, effects)
        if _runs_backwards(node):
            n = _count(node.operands[0])
            if n is not None and _any_order(node.blocks[0], effects):
                zero, one = constant(0, i64, node, block), constant(1, i64, node, block)
                nodes += [zero, one]
                node.operands = (zero.result, n, one.result, *node.operands[3:])
        nodes.append(node)
    block.nodes[:] = nodes


@dataclass(frozen=True)
class Turn:
    """Loops run forwards where they may."""

    name: ClassVar[str] = "turn"

    def run(self, program: Program) -> Program:
        if any(_runs_backwards(node) for function in program.functions.values() for node in walk(function.body)):
            effects = Effects(program)
            for function in program.functions.values():
                _turn(function.body, effects)
        return program
