"""Time reversal: the backward half finds an array as it was, because stores put back what they overwrote.

What the backward half needs of an array that is written to is saved, one residual for every load. For *private* memory (made by
the function, in no record, changed by no callee) there is another way: load it again, at the mirror of the load, and undo on
the way there the writes that came after it, each of which has saved what it overwrote. A write that changes nothing
of what is loaded again is not undone: tables filled once, factorisations in place and triangular solves save next to nothing.

It is chosen before anything is emitted, for each group of arrays that a handle may confuse:

    reads       loads that the backward half wants, where nothing that is undone stands between the load and the end of
                its users; and operations on whole arrays, which read them where they stand
    undone      writes that may change, after such a read, what it has read (`dependence`)
    pays        the words that need not be saved, half as many again as those that are, with the trips of their loops (`wanted`)

Everything else is saved: what a caller can see (arguments, captured arrays), what is in records, what a callee changes, and where
the halves are two functions (calls that are not inlined, pullbacks). An array that is returned is copied at the turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lms.core import primitives as p
from lms.core.data import dataclass, field
from lms.core.effects import Root
from lms.core.ir import Block, Node, Value, walk

from ..memory import Memory, holds_numbers, is_allocation
from .dependence import Dependence, source
from .wanted import Demand

_a = p.array
UNDOING = 1.5  # a word that is saved is stored and loaded; one that is undone is put back too
UNDOABLE = frozenset({_a.store, _a.accumulate, _a.assign, _a.add_into, _a.put, _a.add_at})


@dataclass(frozen=True)
class Reversal:
    """What one function does over again. `again`: nodes whose results are made again; `in_place`: those that read whole arrays
    where they stand; `undone`: writes that are undone; `handles`: names of the memory; `turned`: results that need a copy."""

    again: frozenset[Node] = frozenset()
    in_place: frozenset[tuple[Node, Value]] = frozenset()
    undone: frozenset[Node] = frozenset()
    handles: frozenset[Value] = frozenset()
    turned: frozenset[int] = frozenset()


NOTHING = Reversal()


def chosen(memory: Memory) -> Reversal:
    """What is reversed in the function that `memory` describes."""
    groups = _private(memory)
    if not groups:
        return NOTHING
    choice = Choice(memory)
    found = [r for r in map(choice.of, groups) if r is not None]
    return Reversal(*(frozenset().union(*parts) for parts in zip(*map(_parts, found), strict=True))) if found else NOTHING


def _parts(r: Reversal) -> tuple[frozenset[Any], ...]:
    return r.again, r.in_place, r.undone, r.handles, r.turned


# ------------------------------------------------------------------------------------- private memory


@dataclass(eq=False)
class Group:
    """Allocations that some handle may confuse, the handles, and what is done to them."""

    roots: set[Root]
    handles: list[Value] = field(default_factory=list)
    reads: list[Node] = field(default_factory=list)
    writes: list[Node] = field(default_factory=list)


def _private(memory: Memory) -> list[Group]:
    """The written memory that nobody else can see, in groups."""
    effects, body = memory.effects, memory.function.body
    private: set[Root] = {v for node in walk(body) if not node.attrs.get("residual")
                          for v in node.results if is_allocation(v) and holds_numbers(v)}
    if not private & effects.changed(memory.function):
        return []
    group = {root: Group({root}) for root in private}
    handles = [*body.params, *_values(body)]
    outside: set[Root] = set(effects.held())
    for v in handles:
        roots = effects.roots(v)
        if not roots <= private:
            outside |= roots
        _join(group, [r for r in roots if r in group])
    for node in walk(body):
        if not node.blocks and node.op not in UNDOABLE:
            outside |= effects.of(node).changes
    for v in handles:
        if effects.roots(v) & private:
            group[next(iter(effects.roots(v) & private))].handles.append(v)
    for node in walk(body):
        if not node.blocks:
            access = effects.of(node)
            for g in {group[r] for r in access.changes & private}:
                g.writes.append(node)
            for g in {group[r] for r in access.reads & private}:
                g.reads.append(node)
    return [g for g in dict.fromkeys(group.values()) if g.writes and g.reads and not g.roots & outside]


def _values(block: Block) -> Iterator[Value]:
    for node in walk(block):
        yield from node.results
        for inner in node.blocks:
            yield from inner.params


def _join(group: dict[Root, Group], roots: Sequence[Root]) -> None:
    for r in roots[1:]:
        one, other = group[roots[0]], group[r]
        if one is not other:
            one.roots |= other.roots
            for root in other.roots:
                group[root] = one


# ------------------------------------------------------------------------------------------ the choice


class Choice:
    """What is reversed of one function: for each group, either nothing, or what saves most."""

    def __init__(self, memory: Memory) -> None:
        self.memory, self.effects, self.body = memory, memory.effects, memory.function.body
        self.dependence = Dependence(self.body)
        self.places = self.dependence.places
        self.demand = Demand(memory, self.places)
        self.users: dict[Value, list[Node]] = {}
        for node in walk(self.body):
            for v in node.operands:
                self.users.setdefault(v, []).append(node)

    def of(self, group: Group) -> Reversal | None:
        results = [k for k, v in enumerate(self.body.results) if self.effects.roots(v) & group.roots]
        wanted = [n for n in group.reads if self.demand.wants_contents(n, group.roots)]
        best, most = None, 0.0
        for reads in (self._without_undoing(group, wanted), wanted):
            undone = self._undone(group, reads)
            if undone and (len(results) > 1 or any(getattr(self.body.results[k].type, "layout", "") != "C" for k in results)):
                continue  # a copy is no view, and no other name
            reads = [n for n in reads if n.op is not _a.load or self._lasts(n, undone)]
            undone = self._undone(group, reads)
            words = self.pays(group, reads, undone)
            if words > most:
                again = frozenset(n for n in reads if n.op is _a.load)
                in_place = {(n, v) for n in set(reads) - again for v in n.operands if self.effects.roots(v) & group.roots}
                most, best = words, Reversal(again, frozenset(in_place), frozenset(undone), frozenset(group.handles),
                                             frozenset(results if undone else ()))
        return best

    def pays(self, group: Group, reads: Sequence[Node], undone: Sequence[Node]) -> float:
        """The words that are saved less, in the time that saving takes."""
        return self.demand.spared(reads, group.roots) - UNDOING * sum(map(self._cost, undone)) - self._kept(group)

    def _without_undoing(self, group: Group, reads: Sequence[Node]) -> list[Node]:
        return [n for n in reads if not self._undone(group, [n])]

    def _undone(self, group: Group, reads: Sequence[Node]) -> list[Node]:
        """The writes that may change, later, what one of the reads has seen."""
        return [w for w in group.writes if any(self._overwrites(w, n, group) for n in reads)]

    def _overwrites(self, write: Node, read: Node, group: Group) -> bool:
        written, made = write.operands[0], source(write.operands[0])
        for seen in read.operands:
            if not self.effects.roots(seen) & group.roots:
                continue
            scope = self._around(group)
            if made in group.roots:  # the allocation of this very run of its block, which hands on what is finished
                assert made.block is not None
                scope = made.block
                if scope not in self.places.blocks(self._home(seen)) or self._home(seen) is scope and source(seen).node is None:
                    continue
            if self.dependence.may_overwrite(read, seen, write, written, scope):
                return True
        return False

    def _home(self, v: Value) -> Block:
        home = source(v).block
        assert home is not None
        return home

    def _around(self, group: Group) -> Block:
        """The innermost block that all handles are inside: what it makes anew each time it runs, no earlier run knows."""
        around = [self.places.blocks(v.block) for v in group.handles if v.block is not None]
        return next(b for b in around[0] if all(b in others for others in around))

    def _lasts(self, load: Node, undone: Sequence[Node]) -> bool:
        """Whether nothing that is undone stands between a load and the end of its users (in its block, in forward order)."""
        block, at = self.places.way[load][-1]
        writes = [k for w in undone if self.places.inside(w, block) and (k := self.places.position(w, block)) > at]
        if not writes:
            return True
        first = min(writes)
        return all(self.places.position(user, block) < first for user in self._uses(load))

    def _uses(self, load: Node) -> Iterator[Node]:
        """The nodes whose backward halves may need what was loaded, or what is computed of it alone."""
        seen, stack = {load.result}, [load.result]
        while stack:
            v = stack.pop()
            for user in self.users.get(v, ()):
                if not (user.op in (_a.store, _a.accumulate) and v is user.operands[1] and v not in user.operands[2:]):
                    yield user
                if not user.op.effect.control and not user.op.effect.writes and not user.op.effect.accumulates:
                    stack += [w for w in user.results if w not in seen]
                    seen.update(user.results)

    def _cost(self, write: Node) -> float:
        v = write.operands[1] if write.op in (_a.store, _a.accumulate, _a.assign, _a.add_into) else write.operands[2]
        return self.demand.trips(self.places.way[write][-1][0]) * self.demand.words(v)

    def _kept(self, group: Group) -> float:
        """What is kept alive of arrays that each iteration of a loop makes."""
        made = [r for r in group.roots if isinstance(r, Value) and r.block is not None and self.places.loops(r.block)]
        return sum(self.demand.trips(r.block) * self.demand.words(r) for r in made if r.block is not None)
