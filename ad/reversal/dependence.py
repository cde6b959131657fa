"""Whether memory that is read at one place may be overwritten later: places in a function, and what indices can be equal.

Both questions are asked of one function before it is differentiated, and every answer errs towards yes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lms.core import primitives as p
from lms.core.ir import Block, Node, Value
from lms.core.types import ArrayType

_s, _a, _c = p.scalar, p.array, p.control
LOOPS = (_c.for_, _c.while_)
DEPTH = 8  # of index arithmetic that is looked through


class Places:
    """Where the nodes of a function stand: the way down to each, as the nodes around it with their positions."""

    def __init__(self, body: Block) -> None:
        self.way: dict[Node, tuple[tuple[Block, int], ...]] = {}
        self.around: dict[Block, Node | None] = {body: None}
        self._enter(body, ())

    def _enter(self, block: Block, way: tuple[tuple[Block, int], ...]) -> None:
        for k, node in enumerate(block.nodes):
            self.way[node] = here = (*way, (block, k))
            for inner in node.blocks:
                self.around[inner] = node
                self._enter(inner, here)

    def blocks(self, block: Block) -> list[Block]:
        """A block and those around it, innermost first."""
        out = [block]
        while (node := self.around[out[-1]]) is not None:
            out.append(self.way[node][-1][0])
        return out

    def loops(self, block: Block) -> list[Node]:
        """The loops around the nodes of a block, outermost first."""
        nodes = (self.around[inner] for inner in reversed(self.blocks(block)))
        return [node for node in nodes if node is not None and node.op in LOOPS]

    def position(self, node: Node, block: Block) -> int:
        """Where a node, or what holds it, stands in a block around it."""
        return next(k for inner, k in self.way[node] if inner is block)

    def inside(self, node: Node, block: Block) -> bool:
        return any(inner is block for inner, _ in self.way[node])

    def follows(self, first: Node, second: Node) -> bool:
        """Whether `second` stands after `first`, in the text and not in another branch."""
        for (a, j), (b, k) in zip(self.way[first], self.way[second], strict=False):
            if a is not b:
                return False
            if j != k:
                return j < k
        return False


class Spread(NamedTuple):
    """What an index may be: `base` (0, if None) plus a number from `low` to `high`."""

    base: Value | None
    low: float
    high: float


class Access(NamedTuple):
    """What an operation touches: an array, and along each of its axes what the index may be; nothing is known of the rest."""

    array: Value
    along: tuple[tuple[Spread, ...], ...]


class Dependence:
    """What can be said about two accesses of one function."""

    def __init__(self, body: Block) -> None:
        self.places = Places(body)
        self._spreads: dict[Value, tuple[Spread, ...]] = {}

    def may_overwrite(self, read: Node, seen: Value, write: Node, written: Value, scope: Block) -> bool:
        """Whether `write` may change, after `read` has run, what that has read.

        `seen` and `written` are the handles they use, of memory that is made anew each time `scope` runs.
        """
        common = _common(self.places, read, write)
        loops = [n for n in common if n.op in LOOPS and self.places.inside(n, scope)]
        textual = self.places.follows(read, write)
        if not loops and not textual:
            return False
        mine, other = self._access(read, seen), self._access(write, written)
        if mine.array is not other.array or any(mine.array.block in n.blocks or self._within(mine.array, n) for n in loops):
            return True
        return self._later(loops, mine, other, textual)

    def _within(self, v: Value, loop: Node) -> bool:
        """Whether a value is made inside a loop."""
        return v.block is not None and any(block in loop.blocks for block in self.places.blocks(v.block))

    def _later(self, loops: Sequence[Node], mine: Access, other: Access, textual: bool) -> bool:
        """Whether there are iterations, the second not before the first, in which both touch one element."""
        indices = {n.blocks[0].params[0]: n for n in loops if n.op is _c.for_}
        apart = {v: (-math.inf, math.inf) for v in indices}  # by how much the index of the write is greater
        for here, there in zip(mine.along, other.along, strict=False):
            for x in here:
                for y in there:
                    low, high = x.low - y.high, x.high - y.low
                    if x.base is not y.base:
                        continue
                    if x.base in apart:
                        apart[x.base] = max(low, apart[x.base][0]), min(high, apart[x.base][1])
                    elif not low <= 0 <= high and (x.base is None or not any(self._within(x.base, n) for n in loops)):
                        return False
        if any(low > high for low, high in apart.values()):
            return False
        for n in loops:
            if n.op is not _c.for_:
                return True
            low, high = apart[n.blocks[0].params[0]]
            if n.operands[2].number < 0:
                low, high = -high, -low
            if high > 0:
                return True
            if high < 0:
                return False
        return textual

    # ------------------------------------------------------------------------------------------ indices

    def _access(self, node: Node, handle: Value) -> Access:
        t = handle.type
        assert isinstance(t, ArrayType)
        index: list[tuple[Spread, ...]]
        index = [(Spread(None, 0, n - 1 if isinstance(n, int) else math.inf),) for n in t.dims]
        if node.op is _a.load:
            index = [self.spread(v) for v in node.operands[1:]]
        elif node.op in (_a.store, _a.accumulate) and handle is node.operands[0]:
            index = [self.spread(v) for v in node.operands[2:]]
        while handle.node is not None and handle.node.op is _a.view:
            index = self._through(handle.node, index)
            handle = handle.node.operands[0]
        if handle.node is not None and handle.node.op in (_a.transpose, _a.reshape):
            index = []
            while handle.node is not None and handle.node.op in (_a.view, _a.transpose, _a.reshape):
                handle = handle.node.operands[0]
        return Access(handle, tuple(index))

    def _through(self, view: Node, index: Sequence[tuple[Spread, ...]]) -> list[tuple[Spread, ...]]:
        """The index into the source of a view, for one into the view."""
        operands, given = iter(view.operands[1:]), iter(index)
        out: list[tuple[Spread, ...]] = []
        for kind, *rest in view.attrs["spec"]:
            if kind == "at":
                out.append(self.spread(next(operands)))
            elif kind == "slice":
                start, _, inner = next(operands), next(operands), next(given)
                out.append(tuple(_shifted(self.spread(start), inner)) if rest[0] == 1 else ())
            else:
                inner = next(given)
                if kind == "all":
                    out.append(inner)
        return out

    def spread(self, v: Value, depth: int = DEPTH) -> tuple[Spread, ...]:
        """All that is known about an index."""
        if v not in self._spreads:
            self._spreads[v] = tuple(self._spread(v, depth))
        return self._spreads[v]

    def _spread(self, v: Value, depth: int) -> Iterator[Spread]:
        node = v.node
        if v.number is not None:
            yield Spread(None, v.number, v.number)
            return
        yield Spread(v, 0, 0)
        if depth == 0:
            return
        if node is None:
            yield from self._counted(v, depth)
        elif node.op is _s.add:
            x, y = (self.spread(w, depth - 1) for w in node.operands)
            yield from (s for s in _shifted(x, y) if s.base is not v)
        elif node.op is _s.sub:
            x, y = (self.spread(w, depth - 1) for w in node.operands)
            for s in y:
                if s.base is None:
                    yield from (Spread(r.base, r.low - s.high, r.high - s.low) for r in x)
        elif node.op is _a.index and any(s.base is None and s.low >= 0 for s in self.spread(node.operands[0], depth - 1)):
            yield from self.spread(node.operands[0], depth - 1)

    def _counted(self, v: Value, depth: int) -> Iterator[Spread]:
        """The bounds of a loop's index."""
        loop = self.places.around.get(v.block) if v.block is not None else None
        if loop is None or loop.op is not _c.for_ or v is not loop.blocks[0].params[0]:
            return
        up = loop.operands[2].number > 0
        for s in self.spread(loop.operands[0], depth - 1):
            yield Spread(s.base, s.low, math.inf) if up else Spread(s.base, -math.inf, s.high)
        for s in self.spread(loop.operands[1], depth - 1):
            yield Spread(s.base, -math.inf, s.high - 1) if up else Spread(s.base, s.low + 1, math.inf)


def source(v: Value) -> Value:
    """The array that a view is of."""
    while v.node is not None and v.node.op.effect.view is not None:
        v = v.node.operands[v.node.op.effect.view]
    return v


def _common(places: Places, a: Node, b: Node) -> list[Node]:
    """The nodes around both, outermost first."""
    out = []
    for (block, j), (other, k) in zip(places.way[a], places.way[b], strict=False):
        if block is not other or j != k:
            break
        out.append(block.nodes[j])
    return [n for n in out if n is not a and n is not b]


def _shifted(x: Sequence[Spread], y: Sequence[Spread]) -> Iterator[Spread]:
    """The sum of two indices, where one of them is a number."""
    for a in x:
        for b in y:
            if a.base is None or b.base is None:
                yield Spread(a.base or b.base, a.low + b.low, a.high + b.high)
