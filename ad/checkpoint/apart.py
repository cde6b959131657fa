"""Whether two handles are surely different memory: what is run again works on copies, and copies do not overlap."""

from __future__ import annotations

from lms.core import primitives as p
from lms.core.effects import Effects
from lms.core.ir import Block, Node, Program, Value, blocks

from ..memory import is_allocation

_c = p.control


class Apart:
    """The handles of a program. Carried ones are apart if they enter apart and no iteration brings them together."""

    def __init__(self, program: Program, effects: Effects) -> None:
        self.program, self.effects = program, effects
        self.owner: dict[Block, Node] = {}
        self.around: dict[Block, Block] = {}
        for f in program.functions.values():
            for block in blocks(f.body):
                for node in block.nodes:
                    self.owner.update(dict.fromkeys(node.blocks, node))
                    self.around.update(dict.fromkeys(node.blocks, block))
        self.assumed: set[frozenset[Value]] = set()

    def apart(self, v: Value, w: Value) -> bool:
        """Whether `v` and `w` cannot overlap."""
        if v is w:
            return False
        if not self.effects.may_alias(v, w) or frozenset((v, w)) in self.assumed:
            return True
        if self._made_after(v, w) or self._made_after(w, v):
            return True
        return self._together(v, w)

    def _made_after(self, v: Value, w: Value) -> bool:
        """Whether `v` is an allocation, and `w` is another one, or was there when the block around both began."""
        return is_allocation(v) and (is_allocation(w) or w.node is None and self._inside(v.block, w.block))

    def _inside(self, block: Block | None, outer: Block | None) -> bool:
        while block is not None and block is not outer:
            block = self.around.get(block)
        return block is not None

    def _together(self, v: Value, w: Value) -> bool:
        """Two parameters of one loop, or two results of one loop or branch: apart if those that they stand for are."""
        if v.block is w.block and v.node is None and w.node is None and v.block in self.owner:
            loop = self.owner[v.block]
            skip = 1 if loop.op is _c.for_ else 0
            return self._carried(loop, v.block.params.index(v) - skip, v.block.params.index(w) - skip)
        if v.node is None or v.node is not w.node:
            return False
        j, k = v.node.results.index(v), v.node.results.index(w)
        if v.node.op is _c.if_:
            return all(self.apart(block.results[j], block.results[k]) for block in v.node.blocks)
        if v.node.op is _c.call:
            return self._returned(v.node, j, k)
        return v.node.op in (_c.for_, _c.while_) and self._carried(v.node, j, k)

    def _returned(self, call: Node, j: int, k: int) -> bool:
        """Two results of a call, which are apart for a callee whose parameters are."""
        body = self.program.functions[call.attrs["callee"]].body
        pair = frozenset((body.results[j], body.results[k]))
        if pair in self.assumed:
            return True
        self.assumed.add(pair)  # by induction over the activations
        reached = self.effects.roots(body.results[j]) | self.effects.roots(body.results[k])
        given = [call.operands[n] for n, param in enumerate(body.params) if param in reached]
        holds = self.apart(body.results[j], body.results[k]) and all(
            self.apart(v, w) for n, v in enumerate(given) for w in given[:n])
        if not holds:
            self.assumed.discard(pair)
        return holds

    def _carried(self, loop: Node, j: int, k: int) -> bool:
        first, body, params = states(loop)
        pair = frozenset((params[j], params[k]))
        if pair in self.assumed:
            return True
        self.assumed.add(pair)  # by induction over the iterations
        holds = self.apart(loop.operands[first + j], loop.operands[first + k]) and self.apart(body.results[j], body.results[k])
        if not holds:
            self.assumed.discard(pair)
        return holds


def states(loop: Node) -> tuple[int, Block, tuple[Value, ...]]:
    """Where the operands begin that a loop carries, its body, and the parameters there."""
    body = loop.blocks[-1]
    return (3, body, body.params[1:]) if loop.op is _c.for_ else (0, body, body.params)
