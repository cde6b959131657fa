"""Loop fusion: neighbouring loops over the same range become one, so that what one stores the other finds at once.

Two loops may be fused when memory that one of them changes and the other touches is touched by both at their own
counter, on the same axis of the same handle: what iteration `i` of the second needs, iteration `i` of the first has done.
What stands between them and the second needs moves before the first, if it may; the rest stays behind.

Fused are loops that share memory; a loop that vectorises is not mixed with one that does not, nor one that works on memory in
step with one that works on an older array of the same root: what is in the way of vectorising is then looked at while running.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar, NamedTuple

from lms.core import primitives as p
from lms.core.data import dataclass
from lms.core.effects import Effects, Root, Roots
from lms.core.ir import Block, Function, Node, Program, Value, free_values, substitute, walk
from lms.core.types import Scalar

from .rewrite import adopt, int_of

s, a, c = p.scalar, p.array, p.control

WINDOW = 24    # nodes between two loops that are looked at
LARGEST = 250  # nodes of a fused loop


class Touch(NamedTuple):
    """One access to memory: the roots it may concern, and by which handle, at which index (None: anywhere in it)."""

    roots: Roots
    handle: Value | None
    place: tuple[Value, ...]
    changes: bool


class Reach(NamedTuple):
    """What a node touches, and whether it can be noticed: by an error or output (`loud`), or by these or a write (`seen`)."""

    reads: Roots
    writes: Roots
    changes: Roots
    loud: bool
    seen: bool

    def with_(self, other: Reach) -> Reach:
        return Reach(self.reads | other.reads, self.writes | other.writes, self.changes | other.changes,
                     self.loud or other.loud, self.seen or other.seen)

    def clashes(self, other: Reach) -> bool:
        """Whether the order matters. Accumulations commute; an error leaves no trace in memory that nobody else sees."""
        mine, theirs = self.changes, other.changes
        return bool(
            mine and not (mine.isdisjoint(other.reads) and mine.isdisjoint(other.writes))
            or theirs and not (theirs.isdisjoint(self.reads) and theirs.isdisjoint(self.writes))
            or self.notices(other)
        )

    def notices(self, other: Reach) -> bool:
        """Whether an error or output of one stands against something the outside sees of the other."""
        return self.seen and other.seen and (self.loud or other.loud)


@dataclass(slots=True)
class _Loop:
    """What is known about a loop."""

    touches: list[Touch]
    size: int
    plain: bool          # straight-line code without a strict recurrence: it vectorises
    innermost: bool


class _Fusion:
    def __init__(self, function: Function, effects: Effects) -> None:
        self.effects = effects
        self.visible = effects.escaping(function)
        self.reach: dict[Node, Reach] = {}
        self.ranges: dict[Node, Hashable] = {}
        self.loops: dict[Node, _Loop] = {}
        self.free: dict[Node, frozenset[Value]] = {}
        self.place = function.body
        self.block(function.body)

    def block(self, block: Block) -> None:
        self.place = block
        out: list[Node] = []
        for node in block.nodes:
            if not (node.op is c.for_ and self.merged(node, out)):
                out.append(node)
        block.nodes[:] = out
        for node in out:
            for inner in node.blocks:
                self.block(inner)

    # ---------------------------------------------------------------------------------------- searching

    def merged(self, node: Node, out: list[Node]) -> bool:
        """Fuse a loop with one before it in `out`."""
        needs, first = self.uses(node), len(out)
        moved: list[Reach] = []
        places: list[int] = []
        moving, wanted = self.of(node), self.range(node)
        for k in range(len(out) - 1, max(-1, len(out) - 1 - WINDOW), -1):
            other = out[k]
            reach = self.of(other)
            depends = not needs.isdisjoint(other.results)
            if not depends and other.op is c.for_ and self.range(other) == wanted and self.fits(other, node) and not any(
                map(reach.clashes, moved)
            ):
                first = k
                break
            if depends or reach.clashes(moving):
                moved.append(reach)
                places.append(k)
                needs = needs | self.uses(other)
                moving = moving.with_(reach)
        if first == len(out):
            return False
        before = [out[k] for k in sorted(places)]
        after = [out[k] for k in range(first + 1, len(out)) if k not in places]
        self.join(out[first], node)
        out[first:] = [*before, out[first], *after]
        return True

    def of(self, node: Node) -> Reach:
        found = self.reach.get(node)
        if found is None:
            x = self.effects.of(node)
            loud = x.raises or x.io
            seen = loud or any(isinstance(r, str) or r in self.visible for r in x.changes)
            found = self.reach[node] = Reach(x.reads, x.writes, x.changes, loud, seen)
        return found

    def range(self, node: Node) -> Hashable:
        """From where to where a loop runs, by constants and values."""
        found = self.ranges.get(node)
        if found is None:
            found = self.ranges[node] = tuple([v if (n := int_of(v)) is None else n for v in node.operands[:3]])
        return found

    def uses(self, node: Node) -> frozenset[Value]:
        found = self.free.get(node)
        if found is None:
            found = self.free[node] = frozenset(node.operands) | frozenset(free_values(*node.blocks))
        return found

    # ------------------------------------------------------------------------------------------ judging

    def loop(self, node: Node) -> _Loop:
        found = self.loops.get(node)
        if found is None:
            nodes = list(walk(node.blocks[0]))
            innermost = not any(n.op in (c.for_, c.while_) for n in nodes)
            plain = innermost and not any(n.blocks or n.op.effect.control for n in nodes) and _reduces(node)
            touches = [t for n in nodes for t in self.touched(n)]
            found = self.loops[node] = _Loop(touches, len(nodes), plain, innermost)
        return found

    def touched(self, node: Node) -> list[Touch]:
        if node.blocks or node.op is a.empty:
            return []
        if node.op in (a.load, a.store, a.accumulate):
            index = node.operands[1:] if node.op is a.load else node.operands[2:]
            return [Touch(self.effects.roots(node.operands[0]), node.operands[0], index, node.op is not a.load)]
        access = self.effects.of(node)
        return [Touch(roots, None, (), changes) for roots, changes in ((access.reads, False), (access.changes, True)) if roots]

    def fits(self, first: Node, second: Node) -> bool:
        """Whether two loops may become one, and should."""
        if not self.shared(first, second) or self.of(first).notices(self.of(second)):
            return False
        x, y = self.loop(first), self.loop(second)
        if x.size + y.size > LARGEST or x.innermost != y.innermost or x.plain != y.plain:
            return False
        return self.in_step(first, second)

    def shared(self, first: Node, second: Node) -> bool:
        x, y = self.of(first), self.of(second)
        return bool((x.reads | x.changes) & (y.reads | y.changes))

    def in_step(self, first: Node, second: Node) -> bool:
        """Whether all memory that one changes and the other touches is touched at the counters."""
        i, j = first.blocks[0].params[0], second.blocks[0].params[0]
        x, y = self.of(first), self.of(second)
        common = x.changes & (y.reads | y.changes) | y.changes & (x.reads | x.changes)
        if not common:
            return True
        ours = [t for t in self.loop(first).touches if t.roots & common]
        theirs = [t for t in self.loop(second).touches if t.roots & common]
        pairs = [[[t for t in side if root in t.roots] for side in (ours, theirs)] for root in common]
        return all(self.apart(root, *pair) for root, pair in zip(common, pairs, strict=True)) or all(
            _alike(i, mine, j, others) for mine, others in pairs)

    def apart(self, root: Root, mine: Sequence[Touch], others: Sequence[Touch]) -> bool:
        """Whether of arrays that share a root, one for each iteration, one loop changes none that the other touches."""
        kinds = [{(age, t.changes) for t in side for age in self.ages(t, root)} for side in (mine, others)]
        return not any(age == other and (changes or changed) for age, changes in kinds[0] for other, changed in kinds[1])

    def ages(self, touch: Touch, root: Root) -> tuple[bool, ...]:
        """Which arrays of one root a name may mean, where each iteration makes a new one: what the block was given is older
        (True) than what is made in it (False)."""
        made_here = isinstance(root, Value) and root.block is self.place and root.node is not None and root.node.op is a.empty
        if made_here and touch.handle is root:
            return (False,)
        return (True,) if made_here and touch.handle in self.place.params else (False, True)

    # ------------------------------------------------------------------------------------------ joining

    def join(self, first: Node, second: Node) -> None:
        """Put the second loop's body after the first's."""
        x, y = first.blocks[0], second.blocks[0]
        counter = {y.params[0]: x.params[0]}
        substitute(y, counter)
        for node in y.nodes:
            adopt(node, x)
        for v in y.params[1:]:
            v.block = x
        x.nodes += y.nodes
        x.params = (*x.params, *y.params[1:])
        x.results = (*x.results, *y.results)
        first.operands = (*first.operands, *second.operands[3:])
        for v in second.results:
            v.node = first
        first.results = (*first.results, *second.results)
        first.attrs["types"] = (*first.attrs["types"], *second.attrs["types"])
        one, two = self.loop(first), self.loop(second)
        moved = [t._replace(place=tuple(counter.get(v, v) for v in t.place)) for t in two.touches]
        self.loops[first] = _Loop([*one.touches, *moved], one.size + two.size, one.plain, one.innermost)
        self.free[first] = self.uses(first) | self.uses(second)
        self.reach[first] = self.of(first).with_(self.of(second))


def _alike(i: Value, mine: Sequence[Touch], j: Value, others: Sequence[Touch]) -> bool:
    """Whether all accesses are by one handle, and at the counters on one axis."""
    handles = {t.handle for t in (*mine, *others)}
    if len(handles) != 1 or None in handles:
        return False
    axes = range(len(mine[0].place))
    return any(all(t.place[k] is i for t in mine) and all(t.place[k] is j for t in others) for k in axes)


def _reduces(node: Node) -> bool:
    """Whether what a loop carries may be computed in any order: integers, and floats marked `fast`, minima and maxima."""
    body = node.blocks[0]
    for v in body.results:
        if isinstance(v.type, Scalar) and v.type.kind in "fc":
            made = v.node
            if made is None or not (made.attrs.get("fast") or made.op in (s.minimum, s.maximum)):
                return False
    return True


@dataclass(frozen=True)
class FuseLoops:
    """Loops that work on the same memory in step become one."""

    name: ClassVar[str] = "fuse-loops"

    def run(self, program: Program) -> Program:
        effects = Effects(program)
        for function in program.functions.values():
            _Fusion(function, effects)
        return program
