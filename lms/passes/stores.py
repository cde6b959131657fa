"""Stores that need not be: what fills an array stands where the array is first wanted, what clears it after its last use goes,
and two writes to one place become one.

Backward halves are full of these: a shadow begins as zeros, cotangents are added to it, and when what it belongs to is
overwritten it is cleared. Late fills meet the loops that add, and `fuse-loops` joins the two; then zero and the first term are
stored together.
"""

from __future__ import annotations

from typing import ClassVar

from lms.core import primitives as p
from lms.core.data import dataclass
from lms.core.effects import Effects, Root, Roots
from lms.core.ir import Block, Function, Node, Program, Value, walk

from .rewrite import make

s, a, c = p.scalar, p.array, p.control
WRITES = (a.store, a.accumulate)


class _Placing:
    """Moves fills down, and drops what is written last and never read."""

    def __init__(self, function: Function, effects: Effects) -> None:
        self.effects = effects
        self.kept = effects.escaping(function)
        self.block(function.body)

    def block(self, block: Block) -> None:
        for node in block.nodes:
            for inner in node.blocks:
                self.block(inner)
        mine = self._local(block)
        if mine:
            self._drop_last(block, mine)
            self._sink(block, mine)

    def _local(self, block: Block) -> set[Root]:
        """The arrays that are made in a block and not known outside it."""
        made: set[Root] = {node.result for node in block.nodes if node.op is a.empty and node.result not in self.kept}
        for v in block.results:
            made -= self.effects.roots(v)
        return made

    def _touched(self, node: Node) -> Roots:
        access = self.effects.of(node)
        return access.reads | access.changes

    # ------------------------------------------------------------------------------------- the last write

    def _drop_last(self, block: Block, mine: set[Root]) -> None:
        read: set[Root] = set()
        for node in reversed(block.nodes):
            access = self.effects.of(node)
            dead = (access.changes & mine) - access.reads - read
            if dead:
                self._without(block, node, dead)
            read |= access.reads

    def _without(self, block: Block, node: Node, dead: set[Root] | Roots) -> None:
        """Take the stores to dead memory out of a node, or the node itself."""
        if node.op in WRITES:
            if self.effects.roots(node.operands[0]) <= dead:
                block.nodes.remove(node)
            return
        for inner in node.blocks:
            for store in [n for n in inner.nodes if self.effects.of(n).changes & dead]:
                self._without(inner, store, dead)
        if node.op is c.for_ and not node.results and not node.blocks[0].nodes:
            block.nodes.remove(node)

    # ----------------------------------------------------------------------------------------- late fills

    def _sink(self, block: Block, mine: set[Root]) -> None:
        """Move every loop that only stores numbers to just before the first node that needs them there."""
        waiting: list[Node] = []
        out: list[Node] = []
        for node in block.nodes:
            touched = self._touched(node)
            for fill in [fill for fill in waiting if self.effects.of(fill).changes & touched]:
                waiting.remove(fill)
                out.append(fill)
            (waiting if self._fills(node, mine) else out).append(node)
        block.nodes[:] = [*out, *waiting]

    def _fills(self, node: Node, mine: set[Root]) -> bool:
        """Whether a node is a nest of loops whose only effect is to store known numbers in local memory."""
        if node.op is not c.for_ or node.results:
            return False
        access = self.effects.of(node)
        return not access.reads and access.changes <= mine and not access.raises and all(
            n.op in (a.store, a.const, c.for_) and not n.results[1:] for n in walk(node.blocks[0]))


class _Clearing:
    """What is cleared and then added to holds what is added: `d[i] = 0.0; ...; d[i] += x` stores `x` at once.

    Between the two there may be nothing but additions, wherever they go. If `x` is what stood there, nothing is stored.
    """

    def __init__(self, function: Function, effects: Effects) -> None:
        self.effects = effects
        self.visible = effects.escaping(function)
        self.block(function.body)

    def block(self, block: Block) -> None:
        cleared: dict[Root, Node] = {}  # the last store of zero, as long as nobody has done more than add
        seen: dict[Root, Node] = {}  # the last load, as long as nobody has changed what it read
        was: dict[Node, Value] = {}  # what a store of zero replaces
        before: dict[Node, int] = {}
        gone: set[Node] = set()
        for k, node in enumerate(block.nodes):
            before[node] = k
            for inner in node.blocks:
                self.block(inner)
            access = self.effects.of(node)
            adds = node.op is a.accumulate and node.attrs.get("fast")
            zero = self._at(node, access.changes, cleared) if adds else None
            if zero is not None:
                x = node.operands[1]
                if x.node not in before or before[x.node] < before[zero]:
                    zero.operands = (zero.operands[0], x, *zero.operands[2:])
                    gone |= {node, zero} if was.get(zero) is x else {node}
                    cleared = {root: other for root, other in cleared.items() if other is not zero}
                    continue
            shown = self.visible if access.raises or access.io else frozenset[Root]()
            for root in (frozenset[Root]() if adds else access.reads | access.changes) | (cleared.keys() & shown):
                cleared.pop(root, None)
            if node.op is a.store and _is_zero(node.operands[1]) and not node.attrs.get("residual"):
                cleared.update(dict.fromkeys(access.changes, node))
                loaded = self._at(node, access.changes, seen)
                if loaded is not None:
                    was[node] = loaded.result
            for root in access.changes:
                seen.pop(root, None)
            if node.op is a.load:
                seen.update(dict.fromkeys(access.reads, node))
        block.nodes[:] = [node for node in block.nodes if node not in gone]

    def _at(self, node: Node, roots: Roots, noted: dict[Root, Node]) -> Node | None:
        """The node that is noted for all of these roots, if it is one at the same place."""
        found = {noted.get(root) for root in roots}
        other = found.pop() if len(found) == 1 else None
        return other if other is not None and _place(other) == _place(node) else None


def _place(node: Node) -> tuple[Value, ...]:
    """The array that a load or a write touches, and where."""
    return node.operands[0], *node.operands[1 if node.op is a.load else 2:]


class _Merging:
    """Makes one write of two to the same place, in one block, with nothing between them that touches the memory.

    Nor may anything between them raise, if the memory can be seen from outside.
    """

    def __init__(self, function: Function, effects: Effects) -> None:
        self.effects = effects
        self.visible = effects.escaping(function)
        self.block(function.body)

    def block(self, block: Block) -> None:
        open_: dict[Root, Node] = {}  # the last write to a root, as long as nobody has touched it since
        gone: set[Node] = set()
        out: list[Node] = []
        for node in block.nodes:
            for inner in node.blocks:
                self.block(inner)
            first = self._same_place(node, open_)
            if first is not None:
                gone.add(first)
                self._merge(first, node, block, out)
            access = self.effects.of(node)
            shown = self.visible if access.raises or access.io else frozenset[Root]()
            for root in access.reads | access.changes | {r for r in open_ if isinstance(r, str) or r in shown}:
                open_.pop(root, None)
            if node.op in WRITES:
                open_.update(dict.fromkeys(access.changes, node))
            out.append(node)
        block.nodes[:] = [node for node in out if node not in gone]

    def _same_place(self, node: Node, open_: dict[Root, Node]) -> Node | None:
        if node.op not in WRITES:
            return None
        found = {open_.get(root) for root in self.effects.of(node).changes}
        first = found.pop() if len(found) == 1 else None
        if first is None or _place(first) != _place(node):
            return None
        if self.effects.of(first).changes != self.effects.of(node).changes or first.attrs.get("residual"):
            return None
        return first if node.op is a.store or node.attrs.get("fast") else None

    def _merge(self, first: Node, second: Node, block: Block, out: list[Node]) -> None:
        if second.op is a.store:  # the second overwrites the first
            return
        x, y = first.operands[1], second.operands[1]
        if not _is_zero(x):
            total = make(s.add, (x, y), {"fast": True}, second, block)
            out.append(total)
            y = total.result
        second.op, second.operands = first.op, (second.operands[0], y, *second.operands[2:])
        second.attrs = dict(first.attrs)


def _is_zero(v: Value) -> bool:
    return bool(v.number == 0)


@dataclass(frozen=True)
class LateFills:
    """Local arrays are filled just before they are wanted, and not cleared when nobody wants them any more."""

    name: ClassVar[str] = "late-fills"

    def run(self, program: Program) -> Program:
        effects = Effects(program)
        for function in program.functions.values():
            _Placing(function, effects)
        return program


@dataclass(frozen=True)
class MergeStores:
    """Writes that follow each other at one place become one."""

    name: ClassVar[str] = "merge-stores"

    def run(self, program: Program) -> Program:
        effects = Effects(program)
        for function in program.functions.values():
            _Clearing(function, effects)
            _Merging(function, effects)
        return program
