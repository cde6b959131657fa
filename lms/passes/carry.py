"""Small arrays that loops carry and branches give become their elements, so that `scalars` can forget the arrays.

It is the handle that is passed on, and the memory behind it that is read later; to pass on the elements instead is the same
only if nobody writes to that memory afterwards. So every array that may stand behind the name must be local and complete:
written only in the block that makes it, and only before it is passed on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import ClassVar

from lms.core import primitives as p
from lms.core.data import dataclass
from lms.core.effects import Effects, Root
from lms.core.ir import Block, Function, Node, Program, Value, substitute, walk
from lms.core.types import ArrayType, Scalar, i64

from .rewrite import constant, int_of, make
from .scalars import LARGEST

a, c = p.array, p.control
Place = tuple[Block, int]
_FIRST = {c.for_: 3, c.while_: 0, c.if_: 1}  # the operand where what is carried begins


def _shape(v: Value) -> tuple[int, ...] | None:
    """The dimensions of an array of a few numbers."""
    t = v.type
    if not isinstance(t, ArrayType) or not isinstance(t.dtype, Scalar) or t.layout != "C":
        return None
    dims = tuple(d for d in t.dims if isinstance(d, int))
    return dims if len(dims) == t.rank and 0 < prod(dims) <= LARGEST else None


class _Carrying:
    """The positions of one function's control nodes that can be taken apart."""

    def __init__(self, function: Function, effects: Effects) -> None:
        self.effects = effects
        self.place: dict[Node, Place] = {}
        self.owner: dict[Block, Node] = {}
        self.uses: dict[Value, list[tuple[Node, int]]] = {}
        self.writers: dict[Root, list[Node]] = {}
        self.params = set(function.body.params)
        self._survey(function.body)

    def _survey(self, block: Block) -> None:
        for k, node in enumerate(block.nodes):
            self.place[node] = block, k
            for j, v in enumerate(node.operands):
                if isinstance(v.type, ArrayType):
                    self.uses.setdefault(v, []).append((node, j))
            if not node.blocks:
                for root in self.effects.of(node).changes:
                    self.writers.setdefault(root, []).append(node)
            for inner in node.blocks:
                self.owner[inner] = node
                self._survey(inner)

    def positions(self, node: Node) -> list[int]:
        """Which results of a control node can be given element by element."""
        return [k for k, v in enumerate(node.results) if self._can(node, k, v)]

    def _can(self, node: Node, k: int, result: Value) -> bool:
        names = [result, *self._carried(node, k)]
        given = [((block, len(block.nodes)), block.results[k]) for block in self._bodies(node)]
        if node.op is not c.if_:
            given.append((self.place[node], node.operands[_FIRST[node.op] + k]))
        if any(_shape(v) is None or v.type != result.type for v in (*names, *(v for _, v in given))):
            return False
        return all(map(self._is_read_by_element, names)) and all(
            self._is_complete(root, at) for at, v in given for root in self.effects.roots(v))

    @staticmethod
    def _bodies(node: Node) -> Sequence[Block]:
        return node.blocks if node.op is c.if_ else node.blocks[-1:]

    @staticmethod
    def _carried(node: Node, k: int) -> list[Value]:
        return [] if node.op is c.if_ else [block.params[(node.op is c.for_) + k] for block in node.blocks]

    def _is_read_by_element(self, v: Value) -> bool:
        """Whether an array is only read at known positions, or passed on."""
        for node, k in self.uses.get(v, ()):
            if node.op is a.load and k == 0 and all(int_of(i) is not None for i in node.operands[1:]):
                continue
            if node.op in _FIRST or node.op is a.dim or node.op in (c.vjp, c.jvp, c.call):
                continue
            return False
        return True

    def _is_complete(self, root: Root, at: Place) -> bool:
        """Whether memory is as it stays when it is passed on."""
        if isinstance(root, str):
            return False
        writers = self.writers.get(root, ())
        if root in self.params:
            return not writers
        if root.node is None or root.node not in self.place:
            return False
        block, _ = self.place[root.node]
        last = self._seen_from(block, at)
        return all(self.place[w][0] is block and self.place[w][1] < last for w in writers)

    def _seen_from(self, block: Block, at: Place) -> int:
        """Where in `block` a place inside it stands; the end, for a place that is reached when the block is over."""
        inner, k = at
        while inner is not block:
            if inner not in self.owner:
                return len(block.nodes)
            inner, k = self.place[self.owner[inner]]
        return k


def _elements(v: Value, like: Node, block: Block, nodes: list[Node]) -> list[Value]:
    """Loads of all elements of an array, at the end of `nodes`."""
    out = []
    for index in _indices(v, like, block, nodes):
        nodes.append(make(a.load, (v, *index), {}, like, block))
        out.append(nodes[-1].result)
    return out


def _array(elements: Sequence[Value], was: Value, like: Node, block: Block) -> tuple[Value, list[Node]]:
    """An array of these elements, and the nodes that make it."""
    dims = _shape(was)
    assert dims is not None and isinstance(was.type, ArrayType)
    nodes = [constant(d, i64, like, block) for d in dims]
    made = make(a.empty, tuple(n.result for n in nodes), {"dims": was.type.dims, "dtype": was.type.dtype}, like, block)
    made.result.name = was.name
    nodes.append(made)
    for x, index in zip(elements, _indices(was, like, block, nodes), strict=True):
        nodes.append(make(a.store, (made.result, x, *index), {}, like, block))
    return made.result, nodes


def _indices(v: Value, like: Node, block: Block, nodes: list[Node]) -> Iterator[tuple[Value, ...]]:
    dims = _shape(v)
    assert dims is not None
    for at in product(*map(range, dims)):
        index = [constant(i, i64, like, block) for i in at]
        nodes += index
        yield tuple(n.result for n in index)


def _take_apart(node: Node, k: int, block: Block) -> tuple[list[Node], list[Node]]:
    """Let a control node give the elements of result `k`; what now stands before it and after it."""
    was = node.results[k]
    dims = _shape(was)
    assert dims is not None and isinstance(was.type, ArrayType)
    t, count = was.type.dtype, prod(dims)
    before: list[Node] = []
    if node.op is not c.if_:
        at = _FIRST[node.op] + k
        first = _elements(node.operands[at], node, block, before)
        node.operands = (*node.operands[:at], *first, *node.operands[at + 1:])
        for inner in node.blocks:
            at = (node.op is c.for_) + k
            old, params = inner.params[at], tuple(Value(t, block=inner) for _ in range(count))
            inner.params = (*inner.params[:at], *params, *inner.params[at + 1:])
            array, nodes = _array(params, old, node, inner)
            inner.nodes[:0] = nodes
            substitute(inner, {old: array})
    for inner in node.blocks if node.op is c.if_ else node.blocks[-1:]:
        given = _elements(inner.results[k], node, inner, inner.nodes)
        inner.results = (*inner.results[:k], *given, *inner.results[k + 1:])
    results = tuple(Value(t, block=block) for _ in range(count))
    for v in results:
        v.node = node
    node.results = (*node.results[:k], *results, *node.results[k + 1:])
    node.attrs["types"] = tuple(v.type for v in node.results)
    array, after = _array(results, was, node, block)
    substitute(block, {was: array})
    return before, after


@dataclass(frozen=True)
class Carry:
    """Small arrays are carried and given by their elements."""

    name: ClassVar[str] = "carry"

    def run(self, program: Program) -> Program:
        effects: Effects | None = None
        for function in program.functions.values():
            if any(node.blocks and any(map(_shape, node.results)) for node in walk(function.body)):
                effects = effects or Effects(program)
                self._block(function.body, _Carrying(function, effects))
        return program

    def _block(self, block: Block, carrying: _Carrying) -> None:
        for node in [node for node in block.nodes if node.blocks]:
            for k in reversed(carrying.positions(node)):
                before, after = _take_apart(node, k, block)
                at = block.nodes.index(node)
                block.nodes[at:at + 1] = [*before, node, *after]
            for inner in node.blocks:
                self._block(inner, carrying)
