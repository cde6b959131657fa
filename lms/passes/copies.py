"""A copy of an array that is not used any more is that array.

Gradients are copied before they are returned, for one array may be part of several; most are part of one. What is computed
element by element is left alone: lowering makes one loop of that and its copy.
"""

from __future__ import annotations

from typing import ClassVar

from lms.core import primitives as p
from lms.core.data import dataclass
from lms.core.effects import Effects, Root, Roots
from lms.core.ir import Block, Node, Program, Value, free_values, substitute, walk

from .rewrite import makes_array

a = p.array
FUSED = frozenset({a.broadcast, a.iota, a.copy, a.take, a.take_along})


def _last_uses(block: Block, effects: Effects) -> dict[Root, int]:
    """Where in a block each root is used last; what it gives away is used behind its end."""
    last: dict[Root, int] = {}
    for k, node in enumerate(block.nodes):
        for v in (*node.operands, *free_values(*node.blocks)):
            last.update(dict.fromkeys(effects.roots(v), k))
    for v in block.results:
        last.update(dict.fromkeys(effects.roots(v), len(block.nodes)))
    return last


def _instead(node: Node, k: int, block: Block, last: dict[Root, int], escaping: Roots, effects: Effects) -> Value | None:
    """What can stand for a copy, the k-th node of a block."""
    (x,) = node.operands
    roots = effects.roots(x)
    if x.type != node.result.type or len(roots) != 1:
        return None
    (root,) = roots
    if not isinstance(root, Value) or root.node is None or root.block is not block:
        return None
    if not makes_array(root.node) or root.node.op.elementwise or root.node.op in FUSED:
        return None
    return x if last[root] == k and root not in escaping else None


def _block(block: Block, escaping: Roots, effects: Effects) -> None:
    for node in block.nodes:
        for inner in node.blocks:
            _block(inner, escaping, effects)
    if not any(node.op is a.copy for node in block.nodes):
        return
    last, kept, env = _last_uses(block, effects), list[Node](), dict[Value, Value]()
    for k, node in enumerate(block.nodes):
        found = _instead(node, k, block, last, escaping, effects) if node.op is a.copy else None
        if found is None:
            kept.append(node)
        else:
            env[node.result] = env.get(found, found)
    block.nodes[:] = kept
    substitute(block, env)


@dataclass(frozen=True)
class Copies:
    """Arrays that are handed on are not copied."""

    name: ClassVar[str] = "copies"

    def run(self, program: Program) -> Program:
        if any(node.op is a.copy for function in program.functions.values() for node in walk(function.body)):
            effects = Effects(program)
            for function in program.functions.values():
                _block(function.body, effects.escaping(function), effects)
        return program
