"""What the backward half will want of the forward half, estimated before either is emitted.

The rules themselves say it for certain, when they run; what is saved and what is repeated depends on them alone. This
is for choices between ways that are all right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from lms.core import primitives as p
from lms.core.effects import Roots
from lms.core.ir import Block, Node, Value, walk
from lms.core.types import ArrayType, Scalar

from ..activity import INERT
from ..memory import Memory
from ..residuals.worth import to_keep, to_make
from ..rules import MEMORY
from .dependence import Places

_s, _a, _c = p.scalar, p.array, p.control
MANY = 64  # trips of a loop, and sizes, that are known later
LINEAR = frozenset({_s.add, _s.sub, _s.neg, _s.convert, _s.real, _s.imag, _s.conj, _a.copy, _a.reduce_sum, _a.broadcast,
                    _a.view, _a.transpose, _a.reshape, _a.concatenate, _a.cumsum})
BY_RESULT = frozenset({_s.exp, _s.sqrt, _s.cbrt, _s.tanh})  # the rule uses the result, and not the operand


class Demand:
    """What one function's backward half wants: values of inner blocks, which would be saved, and contents of arrays."""

    def __init__(self, memory: Memory, places: Places) -> None:
        self.memory, self.activity, self.places = memory, memory.activity, places
        self.outermost = memory.function.body
        self.behind: dict[Value, set[Value]] = defaultdict(set)  # what must be had, and what is computed of it
        for node in walk(self.outermost):
            if not self._in_condition(node):
                for v in self._wants(node):
                    for leaf in self._leaves(v):
                        self.behind[leaf].add(v)

    def wants_contents(self, node: Node, roots: Roots | set[Value | str]) -> bool:
        """Whether the backward half wants what a node has read of some memory."""
        if node.op is _a.load:
            return node.result in self.behind
        return any(self._holds(v, roots) for v in self._read_whole(node))

    def _holds(self, v: Value, roots: Roots | set[Value | str]) -> bool:
        return bool(self.memory.effects.roots(v) & roots)

    def _read_whole(self, node: Node) -> Iterator[Value]:
        """The arrays whose contents the rule of an operation on values uses."""
        if node.op not in MEMORY and node.op.effect.view is None and not node.op.effect.control:
            yield from (v for v in self._wants(node) if isinstance(v.type, ArrayType) and v in node.operands)

    # ------------------------------------------------------------------------------------- estimates

    def trips(self, block: Block) -> float:
        """How often a block runs."""
        total = 1.0
        for inner in self.places.blocks(block):
            node = self.places.around[inner]
            if node is not None:
                total *= 0.5 if node.op is _c.if_ else _trips(node)
        return total

    def words(self, v: Value) -> float:
        total = 1.0
        for n in v.type.dims if isinstance(v.type, ArrayType) else ():
            total *= n if isinstance(n, int) else MANY
        return total

    def spared(self, reads: Iterable[Node], roots: Roots | set[Value | str]) -> float:
        """The words that need not be saved if these reads give the same in the backward half."""
        again = {n.result for n in reads if n.op is _a.load}
        total = sum(self.trips(b) * (_saved(leaves) - _saved({v: d for v, d in leaves.items() if v not in again}))
                    for b, leaves in self._by_block().items())
        whole = {(self.places.way[n][-1][0], v) for n in reads if n.op is not _a.load
                 for v in self._read_whole(n) if self._holds(v, roots)}
        return total + sum(self.trips(b) * self.words(v) for b, v in whole)

    def _by_block(self) -> dict[Block, dict[Value, set[Value]]]:
        """What is had by loading or saving, by block; what is computed further in counts as itself."""
        out: dict[Block, dict[Value, set[Value]]] = defaultdict(dict)
        for leaf, of in self.behind.items():
            assert leaf.block is not None
            out[leaf.block][leaf] = {d if d.block is leaf.block else leaf for d in of}
        return out

    # ------------------------------------------------------------------------------------- what is wanted

    def _in_condition(self, node: Node) -> bool:
        return any((around := self.places.around[block]) is not None and around.op is _c.while_ and block is around.blocks[0]
                   for block, _ in self.places.way[node])

    def _wants(self, node: Node) -> list[Value]:
        op, a = node.op, self.activity
        if op is _c.for_ or op is _c.if_:
            return [v for v in node.operands[:2 if op is _c.for_ else 1] if self._has_active(node)]
        if op.effect.control or op in INERT:
            return []
        changed = (*op.effect.writes, *op.effect.accumulates)
        if not (node.operands[changed[0]] in a if changed else any(v in a for v in node.results)):
            return []
        integers = [v for v in node.operands if _dtype(v) is not None and not _is_float(v)]
        if op in LINEAR or op in MEMORY:
            return integers
        if op in (_s.mul, _a.contract):
            x, y = node.operands
            return [v for v, other in ((x, y), (y, x)) if other in a]
        if op is _s.div:
            return [node.operands[1], *(node.results if node.operands[1] in a else ())]
        if op is _s.select:
            return [node.operands[0]]
        return list(node.results if op in BY_RESULT else node.operands)

    def _has_active(self, node: Node) -> bool:
        return any(v in self.activity for v in node.results) or any(
            v in self.activity for inner in node.blocks for n in walk(inner) for v in (*n.results, *n.operands))

    def _leaves(self, v: Value) -> set[Value]:
        """The values of inner blocks that must be saved, or loaded again, so that `v` can be had."""
        leaves: set[Value] = set()
        seen, stack = {v}, [v]
        while stack:
            w = stack.pop()
            if w.block is self.outermost or w.block is None or self._is_index(w) or not isinstance(w.type, Scalar):
                continue
            if w.node is not None and self._made_again(w.node):
                stack += [x for x in w.node.operands if x not in seen]
                seen.update(w.node.operands)
            else:
                leaves.add(w)
        return leaves

    def _made_again(self, node: Node) -> bool:
        if node.op is _a.load:
            return bool(node.attrs.get("residual")) or self.memory.steady(node.operands[0])
        price = to_make(node)
        if price is None or price >= to_keep(node.result):
            return False
        return _is_float(node.result) or not any(map(_is_float, node.operands))

    def _is_index(self, v: Value) -> bool:
        loop = self.places.around.get(v.block) if v.block is not None else None
        return loop is not None and loop.op is _c.for_ and v is loop.blocks[0].params[0]


def _saved(leaves: dict[Value, set[Value]]) -> int:
    """The numbers to save: what is wanted, or what it is computed of, whichever are fewer."""
    return min(len(leaves), len(set().union(*leaves.values()))) if leaves else 0


def _trips(loop: Node) -> float:
    bounds = [v.number for v in loop.operands[:3]] if loop.op is _c.for_ else [None]
    known = [n for n in bounds if n is not None]
    return float(len(range(*known))) if len(known) == 3 else MANY


def _dtype(v: Value) -> Scalar | None:
    t = v.type.dtype if isinstance(v.type, ArrayType) else v.type
    return t if isinstance(t, Scalar) else None


def _is_float(v: Value) -> bool:
    t = _dtype(v)
    return t is not None and (t.is_float or t.is_complex)
