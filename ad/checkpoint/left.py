"""What a loop changes and then leaves: cotangents of such memory do not come back with what the loop carries.

`revolve` goes back by values: it knows the cotangents of what is carried after some iterations, and finds those before them. An
array that the loop enters with, writes to and replaces by another keeps what was written: whoever sees it afterwards, under
a name that the loop did not give, adds to the cotangents of an iteration in the middle.
"""

from __future__ import annotations

from collections.abc import Sequence

from lms.core.effects import Effects, Roots
from lms.core.ir import Function, Node, Value, walk
from lms.core.types import ArrayType, is_differentiable

from ..reversal.dependence import Places, source
from .apart import states


class Left:
    """The memory that the loops of one function leave."""

    def __init__(self, function: Function, effects: Effects) -> None:
        self.body, self.effects, self.places = function.body, effects, Places(function.body)

    def behind(self, loop: Node) -> Value | None:
        """The first parameter of its body that may begin as an array which is left and seen again."""
        first, _, params = states(loop)
        changes = self.effects.of(loop).changes
        for v, param in zip(loop.operands[first:], params, strict=True):
            roots = self.effects.roots(v)
            changed = isinstance(v.type, ArrayType) and is_differentiable(v.type) and bool(roots & changes)
            if changed and not self._stays(loop, param) and self._seen(loop, roots):
                return param
        return None

    def _stays(self, loop: Node, param: Value) -> bool:
        """Whether what is carried holds the memory to the end: no two of it are one array, so it is handed around."""
        first, _, params = states(loop)
        found: Roots = self.effects.roots(param)
        while (more := found.union(*(r for v in params if (r := self.effects.roots(v)) & found))) != found:
            found = more
        entered = [self.effects.roots(v) for v, within in zip(loop.operands[first:], params, strict=True)
                   if self.effects.roots(within) & found]
        return found <= frozenset().union(*entered)

    def _seen(self, loop: Node, roots: Roots) -> bool:
        """Whether memory is used after the loop by another name than those that the loop gives."""
        if any(not isinstance(r, Value) or r.node is None for r in roots):
            return True
        block = self.places.way[loop][-1][0]
        around = [n for n in self.places.loops(block) if self._older(n, roots)]
        for node in walk(self.body):
            if node is loop or any(self.places.inside(node, inner) for inner in loop.blocks):
                continue
            after = self.places.follows(loop, node) or any(self.places.inside(node, n.blocks[-1]) for n in around)
            if after and self._named(loop, node.operands, roots):
                return True
        return any(self._named(loop, outer.results, roots) for outer in self.places.blocks(block))

    def _older(self, loop: Node, roots: Roots) -> bool:
        """Whether memory may be older than the iteration of a loop around."""
        _, body, params = states(loop)
        made_inside = all(isinstance(r, Value) and r.block is not None and body in self.places.blocks(r.block) for r in roots)
        return not made_inside or any(self.effects.roots(v) & roots for v in params)

    def _named(self, loop: Node, values: Sequence[Value], roots: Roots) -> bool:
        return any(self.effects.roots(v) & roots and source(v) not in loop.results for v in values)
