"""Loop-invariant code motion: what every iteration would compute alike is computed once, before the loop.

A pure node leaves a loop when its operands come from outside and the loop writes nothing it reads. It will then run even
if the loop does not: a load must visibly be in range, an integer division have a constant divisor, and a node that may raise
leaves only a loop that certainly runs, from before everything else that can be observed.
"""

from __future__ import annotations

from typing import ClassVar

from lms.core import primitives as p
from lms.core.data import dataclass
from lms.core.effects import Effects, Roots
from lms.core.ir import Block, Function, Node, Program, walk

from .rewrite import adopt, counters, int_of, makes_array, may_raise, speculative

c = p.control


class _Motion:
    def __init__(self, function: Function, effects: Effects) -> None:
        self.effects = effects
        self.kept: Roots = effects.changed(function) | effects.escaping(function)
        self.loops = counters(function.body)
        self.block(function.body)

    def block(self, block: Block) -> None:
        nodes: list[Node] = []
        for node in block.nodes:
            for inner in node.blocks:
                self.block(inner)
            if node.op is c.for_:
                nodes += self.leaving(node, node.blocks[0], block, _runs(node))
            elif node.op is c.while_:
                nodes += self.leaving(node, node.blocks[0], block, True)
                nodes += self.leaving(node, node.blocks[1], block, False)
            nodes.append(node)
        block.nodes[:] = nodes

    def leaving(self, loop: Node, body: Block, outside: Block, certain: bool) -> list[Node]:
        """Take the invariant nodes out of a loop's block; `certain` if the block runs at least once."""
        changes = self.effects.of(loop).changes
        out: list[Node] = []
        stay: list[Node] = []
        quiet = True  # nothing before this node, in the block, can be observed
        for node in body.nodes:
            if self.invariant(node, body, changes, certain, quiet):
                adopt(node, outside)
                out.append(node)
            else:
                stay.append(node)
                access = self.effects.of(node)
                quiet = quiet and not (access.changes or access.io or access.raises or may_raise(node) or node.blocks)
        body.nodes[:] = stay
        return out

    def invariant(self, node: Node, body: Block, changes: Roots, certain: bool, quiet: bool) -> bool:
        e = node.op.effect
        if node.blocks or e.control or e.io or e.writes or e.accumulates or node.op is p.array.empty:
            return False
        if any(v.block is body for v in node.operands):
            return False
        if self.effects.of(node).reads & changes:
            return False
        if makes_array(node) and any(self.effects.roots(v) & self.kept for v in node.results):
            return False
        if may_raise(node):
            return certain and quiet
        return certain and quiet or speculative(node, self.loops)


def _runs(loop: Node) -> bool:
    """Whether a counted loop certainly runs."""
    start, stop, step = map(int_of, loop.operands[:3])
    return start is not None and stop is not None and step is not None and (stop - start) * step > 0


@dataclass(frozen=True)
class Licm:
    """What is alike in every iteration leaves the loop."""

    name: ClassVar[str] = "licm"

    def run(self, program: Program) -> Program:
        if any(node.op in (c.for_, c.while_) for function in program.functions.values() for node in walk(function.body)):
            effects = Effects(program)
            for function in program.functions.values():
                _Motion(function, effects)
        return program
