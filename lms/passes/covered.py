"""Fills that are written over before anybody reads them: memory that loops fill piece by piece need not be zero before.

    d = zeros(3 n + 1);  for i in range(n): d[3 i], d[3 i + 1], d[3 i + 2] = ...;  d[3 n] = ...

The pieces are ranges of positions, from one linear expression to another. A loop that stores at `a i + c`, for each `c` of `a`
numbers in a row, fills one range; ranges that follow each other from 0 to the size fill the array.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import ClassVar

from lms.core import primitives as p
from lms.core.data import dataclass
from lms.core.effects import Effects
from lms.core.ir import Block, Function, Node, Program, Value, blocks, walk
from lms.core.types import ArrayType

from .bounds import Ranges
from .linear import Lin, of_size
from .rewrite import int_of

a, c = p.array, p.control
Piece = tuple[Lin, Lin]


def _filled(node: Node, block: Block) -> Value | None:
    """The array of this block that a nest of loops stores constants in, if that is all it does."""
    if node.op is not c.for_ or node.results:
        return None
    arrays = set()
    for inner in walk(node.blocks[0]):
        if inner.op is a.store:
            value = inner.operands[1].node
            if value is None or value.op is not a.const:
                return None
            arrays.add(inner.operands[0])
        elif inner.op not in (a.const, c.for_) or inner.op is c.for_ and inner.results:
            return None
    array = arrays.pop() if len(arrays) == 1 else None
    return array if array is not None and array.node is not None and array.node.op is a.empty and array.block is block else None


class _Covering:
    """Finds the fills of a function that are written over. `ranges` knows the linear expressions of indices."""

    def __init__(self, function: Function, effects: Effects, ranges: Ranges) -> None:
        self.effects, self.linear = effects, ranges.linear
        for block in list(blocks(function.body)):
            fills = [(k, array) for k, node in enumerate(block.nodes) if (array := _filled(node, block)) is not None]
            gone = {block.nodes[k] for k, array in fills if self._is_covered(array, block.nodes[k + 1:])}
            block.nodes[:] = [node for node in block.nodes if node not in gone]

    def _is_covered(self, array: Value, after: Sequence[Node]) -> bool:
        """Whether these nodes store everywhere in an array before they do anything else with it."""
        pieces: list[Piece] = []
        for node in after:
            if not self._only_stores(node, array):
                return False
            if found := list(self._pieces(node, array)):
                pieces += found
                if self._reach(array, pieces):
                    return True
        return False

    def _only_stores(self, node: Node, array: Value) -> bool:
        access = self.effects.of(node)
        if self.effects.roots(array) & (access.reads | access.accumulates):
            return False
        inside = [node, *(inner for block in node.blocks for inner in walk(block))]
        passed = [v for each in inside for v in each.operands[each.op is a.store:] if each.op is not a.dim]
        return array not in [*passed, *(v for each in inside for block in each.blocks for v in block.results)]

    def _reach(self, array: Value, pieces: Sequence[Piece]) -> bool:
        """Whether ranges that follow each other lead from the front of an array to its end."""
        assert isinstance(array.type, ArrayType) and array.node is not None
        end = Lin(0, {})
        ends = [of_size(array.type.dims[0]), self.linear.of(array.node.operands[0])]
        left = list(pieces)
        while end not in ends:
            following = next((piece for piece in left if piece[0] == end), None)
            if following is None:
                return False
            left.remove(following)
            end = following[1]
        return True

    # ------------------------------------------------------------------------------------------- pieces

    def _pieces(self, node: Node, array: Value) -> Iterator[Piece]:
        """The ranges of the first axis that a node is certain to store to, in all places of the other axes."""
        if node.op is a.store and node.operands[0] is array:
            found = self._position(node, array, ())
            if found is not None and found[1] == 1:
                yield found[0], found[0].plus(Lin(1, {}))
        if node.op is not c.for_ or int_of(node.operands[2]) != 1:
            return
        counter, (start, stop) = node.blocks[0].params[0], map(self.linear.of, node.operands[:2])
        places: dict[tuple[int, int], list[Lin]] = {}  # by what an iteration moves them, and how many make a row
        for store, loops in _stores(node.blocks[0], ()):
            if store.operands[0] is array and (found := self._position(store, array, loops)) is not None:
                at, width = found
                step = at.terms.get(counter, 0)
                places.setdefault((step, width), []).append(at.plus(Lin(0, {counter: -step})))
        for (step, width), mine in places.items():
            for low in mine if step > 0 else ():
                first, end = (_over(low.plus(bound, step), width) for bound in (start, stop))
                if first is not None and end is not None and all(low.plus(Lin(k, {})) in mine for k in range(step)):
                    yield first, end

    def _position(self, store: Node, array: Value, loops: Sequence[Node]) -> tuple[Lin, int] | None:
        """Where a store goes, counting along the axes that no inner loop runs through, and how many such places are a row.

        None if there is another loop around it, which may not run, or if rows have no known length.
        """
        t, left = array.type, {loop.blocks[0].params[0]: loop for loop in loops}
        assert isinstance(t, ArrayType)
        at, width = Lin(0, {}), 1
        for axis in reversed(range(t.rank)):
            index, size = store.operands[2 + axis], t.dims[axis]
            if axis and index in left and self._runs_through(left[index], of_size(size)):
                del left[index]
                continue
            at = at.plus(self.linear.of(index), width)
            if axis:
                if not isinstance(size, int) or size == 0:
                    return None
                width *= size
        return None if left else (at, width)

    def _runs_through(self, loop: Node, size: Lin) -> bool:
        start, stop, step = loop.operands[:3]
        return int_of(start) == 0 and int_of(step) == 1 and self.linear.of(stop) == size


def _over(e: Lin, width: int) -> Lin | None:
    """A number of places as a number of rows."""
    if any(v % width for v in (e.const, *e.terms.values())):
        return None
    return Lin(e.const // width, {x: v // width for x, v in e.terms.items()})


def _stores(block: Block, loops: Sequence[Node]) -> Iterator[tuple[Node, Sequence[Node]]]:
    """The stores that a block is certain to do if the loops in it run, with these loops."""
    for node in block.nodes:
        if node.op is a.store:
            yield node, loops
        elif node.op is c.for_:
            yield from _stores(node.blocks[0], (*loops, node))


@dataclass(frozen=True)
class Covered:
    """Fills of memory that is written over go."""

    name: ClassVar[str] = "covered"

    def run(self, program: Program) -> Program:
        found = [function for function in program.functions.values() if _written_over(function)]
        ranges = [Ranges(f) for f in found]
        if found:
            effects = Effects(program)
            for function, known in zip(found, ranges, strict=True):
                _Covering(function, effects, known)
        return program


def _written_over(function: Function) -> bool:
    """Whether something stores in an array that a fill fills, beside the fill, and nothing adds to it: shadows are left alone."""
    fills = [(node, array) for block in blocks(function.body) for node in block.nodes
             if (array := _filled(node, block)) is not None]
    writes = [node for node in walk(function.body) if node.op in (a.store, a.accumulate)] if fills else []
    stored = Counter(node.operands[0] for node in writes)
    added = {node.operands[0] for node in writes if node.op is a.accumulate}
    return any(array not in added and stored[array] > sum(node.op is a.store for node in walk(fill.blocks[0]))
               for fill, array in fills)
