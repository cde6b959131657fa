"""What a loop adds up at one place in memory it adds up in a value, and the place is touched once, when the loop is over.

    for j: d[i] += x[i, j] * d[j]       becomes       t = sum over j of x[i, j] * d[j];  d[i] += t        where no j is i

Accumulation commutes with accumulation, wherever it goes. What else touches the memory in the loop must be loads and stores at
places that are certain to be others. The loop is then a reduction, which vectorises; else each iteration waits for memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from lms.core import primitives as p
from lms.core.data import dataclass
from lms.core.effects import Effects
from lms.core.ir import Block, Function, Node, Program, Value, walk
from lms.core.types import Scalar

from .bounds import Ranges
from .linear import Lin
from .rewrite import constant, int_of, make

s, a, c = p.scalar, p.array, p.control
_ONE = Lin(-1, {})


def _adds(node: Node) -> bool:
    return node.op is a.accumulate and bool(node.attrs.get("fast"))


def _fixed(loop: Node) -> list[Node]:
    """The accumulations of a loop's body whose place does not depend on the iteration."""
    if loop.op is not c.for_:
        return []
    body = loop.blocks[0]
    return [node for node in body.nodes if _adds(node) and all(v.block is not body for v in _place(node))]


def _place(node: Node) -> tuple[Value, ...]:
    """The array that is added to, and where."""
    return node.operands[0], *node.operands[2:]


class _Summing(Ranges):
    """Finds them with what is known of indices; changes the loops, and notes what stands around them afterwards."""

    def __init__(self, function: Function, effects: Effects) -> None:
        self.effects, self.visible = effects, effects.escaping(function)
        self.home: list[Block] = []
        self.made: set[Node] = set()
        self.around: dict[Block, dict[Node, tuple[list[Node], list[Node]]]] = {}
        super().__init__(function)
        for block, changed in self.around.items():
            block.nodes[:] = [each for node in block.nodes for before, after in [changed.get(node, ([], []))]
                              for each in (*before, node, *after)]

    def block(self, block: Block, *known: Lin) -> None:
        self.home.append(block)
        super().block(block, *known)
        self.home.pop()

    def inside(self, node: Node) -> None:
        super().inside(node)
        if fixed := _fixed(node):
            mark = self.facts.mark()
            runs = self._runs(node)
            self.facts.learn(self.counter(node))
            places: dict[tuple[Value, ...], list[Node]] = {}
            for each in fixed:
                if self._alone(each, node.blocks[0]):
                    places.setdefault(_place(each), []).append(each)
            self.facts.forget(mark)
            if places:
                before, after = self.around.setdefault(self.home[-1], {}).setdefault(node, ([], []))
                added = [(same[0], self._carry(node, same, before)) for same in places.values()]
                after += self._add(node, added, runs)

    # --------------------------------------------------------------------------------------- questions

    def _runs(self, loop: Node) -> bool:
        """Whether a loop is certain to run."""
        start, stop, step = loop.operands[:3]
        gap = self.linear.of(stop).plus(self.linear.of(start), -1).times(1 if (int_of(step) or 0) > 0 else -1)
        return int_of(step) is not None and self.facts.prove(gap.plus(_ONE))

    def _alone(self, node: Node, body: Block) -> bool:
        """Whether nothing in the body reads or writes where this node accumulates."""
        roots, access = self.effects.roots(node.operands[0]), self.effects.block(body)
        if access.raises and roots & self.visible:
            return False
        for other in walk(body):
            if other.blocks or other in self.made:
                continue
            access = self.effects.of(other)
            if roots & access.accumulates and not _adds(other):
                return False
            if roots & (access.reads | access.writes) and not self._elsewhere(other, node):
                return False
        return True

    def _elsewhere(self, other: Node, node: Node) -> bool:
        """Whether a load or a store is certain to be at another place of the same array."""
        if other.op not in (a.load, a.store) or other.operands[0] is not node.operands[0]:
            return False
        index = other.operands[1 if other.op is a.load else 2:]
        return any(self._differ(x, y) for x, y in zip(index, node.operands[2:], strict=True))

    def _differ(self, x: Value, y: Value) -> bool:
        gap = self.linear.of(x).plus(self.linear.of(y), -1)
        return any(self.facts.prove(gap.times(k).plus(_ONE)) for k in (1, -1))

    # ----------------------------------------------------------------------------------------- changes

    def _carry(self, loop: Node, nodes: Sequence[Node], before: list[Node]) -> Value:
        """Let a loop carry what these nodes add up; its sum."""
        body, t = loop.blocks[0], nodes[0].operands[1].type
        assert isinstance(t, Scalar)
        before.append(constant(0, t, loop, self.home[-1]))
        total = Value(t, block=body)
        body.params = (*body.params, total)
        for node in nodes:
            step = make(s.add, (total, node.operands[1]), {"fast": True}, node, body)
            body.nodes[body.nodes.index(node)] = step
            self.made.add(step)
            total = step.result
        body.results = (*body.results, total)
        result = Value(t, node=loop, block=self.home[-1])
        loop.operands = (*loop.operands, before[-1].result)
        loop.results = (*loop.results, result)
        loop.attrs["types"] = (*loop.attrs["types"], t)
        return result

    def _add(self, loop: Node, added: Sequence[tuple[Node, Value]], runs: bool) -> list[Node]:
        """Add the sums in their places. The index of a loop that does not run may be any number."""
        home = self.home[-1]
        block = home if runs else Block()
        sums = [make(a.accumulate, (array, total, *index), {"fast": True}, like, block)
                for like, total in added for array, *index in [_place(like)]]
        if runs:
            return sums
        block.nodes[:] = sums
        start, stop, step = loop.operands[:3]
        some = make(s.lt if (int_of(step) or 0) > 0 else s.gt, (start, stop), {}, loop, home)
        return [some, Node(c.if_, (some.result,), {"types": ()}, (block, Block()), (), loop.span, loop.half)]


@dataclass(frozen=True)
class Sums:
    """Loops add up in values what they add up in one place of memory."""

    name: ClassVar[str] = "sums"

    def run(self, program: Program) -> Program:
        effects: Effects | None = None
        for function in program.functions.values():
            if any(_fixed(node) for node in walk(function.body)):
                effects = effects or Effects(program)
                _Summing(function, effects)
        return program
