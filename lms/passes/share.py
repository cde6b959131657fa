"""Sharing: loops that are alike become calls of one function, so that machine code is made for them once.

An unrolled model repeats its layers, each with the same loops over other arrays. Two loops are alike when they differ in the
names of values only: same operations, same types, same constants, same arguments equal to, or overlapping, one another.
Only loops of plain arithmetic on arrays of scalars are shared, and only in programs which it makes much shorter:
elsewhere a call would cost time and win nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from itertools import combinations
from typing import ClassVar

from lms.core import primitives as p
from lms.core.data import dataclass
from lms.core.effects import Effects
from lms.core.errors import Span
from lms.core.ir import Block, Function, Node, Program, Value, walk
from lms.core.types import ArrayType, Scalar, Type

from .clone import clone_block
from .rewrite import adopt, attributes, frozen

a, c = p.array, p.control
MEMORY = {a.load, a.store, a.accumulate, a.dim}


class _Shape:
    """What a loop is but for the names of values: a key, and the values from outside in order of first use."""

    def __init__(self, loop: Node, effects: Effects) -> None:
        self.loop = loop
        self.free: dict[Value, int] = {}
        self.mut: set[int] = set()
        self.constants: dict[Value, None] = {}
        self.plain = all(isinstance(v.type, Scalar) for v in loop.results)
        self._known: dict[Value, int] = {}
        self._key: list[Hashable] = []
        self._node(loop)
        roots = [effects.roots(v) for v in self.free]
        overlaps = [pair for pair in combinations(range(len(roots)), 2) if roots[pair[0]] & roots[pair[1]]]
        names: dict[str, int] = {}
        self.key: Hashable = (*self._key, *(_renamed(v.type, names) for v in self.free), *overlaps)

    def _node(self, node: Node) -> None:
        scalars = node.op.effect.pure and all(isinstance(v.type, Scalar) for v in node.results)
        self.plain = self.plain and (scalars or node.op in MEMORY or node.op in (c.for_, c.if_))
        if node.op in (a.store, a.accumulate) and node.operands[0] not in self._known:
            self._value(node.operands[0])
            self.mut.add(self.free[node.operands[0]])
        self._key += (node.op, *map(self._value, node.operands), attributes(node))
        for block in node.blocks:
            self._define(block.params)
            for inner in block.nodes:
                self._node(inner)
            self._key += map(self._value, block.results)
        self._define(node.results)

    def _define(self, values: tuple[Value, ...]) -> None:
        for v in values:
            self._known[v] = len(self._known)
            self._key.append(v.type)

    def _value(self, v: Value) -> Hashable:
        """A value by its number: of those made inside, those from outside, or as the constant it is."""
        if v in self._known:
            return self._known[v]
        if v.number is not None:
            self.constants[v] = None
            return "constant", frozen(v.number), v.type
        if isinstance(v.type, ArrayType):
            self.plain = self.plain and isinstance(v.type.dtype, Scalar)
        else:
            self.plain = self.plain and isinstance(v.type, Scalar)
        return "outside", self.free.setdefault(v, len(self.free))


def _renamed(t: Type, names: dict[str, int]) -> Hashable:
    """A type with its sizes' symbols numbered: a function may be called with others."""
    if not isinstance(t, ArrayType):
        return t
    dims = [d if isinstance(d, int) else (d.const, *((names.setdefault(s, len(names)), k) for s, k in d.terms)) for d in t.dims]
    return t.dtype, t.layout, *dims


@dataclass(frozen=True)
class Share:
    """Alike loops become one function, if there are `copies` of them, in programs that lose `worth` nodes by it."""

    copies: int = 3
    worth: int = 200
    name: ClassVar[str] = "share"

    def run(self, program: Program) -> Program:
        effects = Effects(program)
        kinds: dict[Hashable, list[_Shape]] = {}
        for function in program.functions.values():
            for loop in _outermost(function.body):
                shape = _Shape(loop, effects)
                if shape.plain:
                    kinds.setdefault(shape.key, []).append(shape)
        chosen = [alike for alike in kinds.values() if len(alike) >= self.copies]
        if sum((len(alike) - 1) * sum(1 for _ in walk(alike[0].loop.blocks[0])) for alike in chosen) < self.worth:
            return program
        calls = dict(pair for alike in kinds.values() for pair in _shared(program, alike))  # so that few loops stay behind
        for function in list(program.functions.values()):
            _replace(function.body, calls)
        return program


def _outermost(block: Block) -> Iterator[Node]:
    """The loops of a block that are in no other loop."""
    for node in block.nodes:
        if node.op is c.for_:
            yield node
        elif node.op is c.if_:
            for inner in node.blocks:
                yield from _outermost(inner)


def _shared(program: Program, alike: list[_Shape]) -> Iterator[tuple[Node, Node]]:
    """Make a function of the first of some alike loops; each loop, and the call that takes its place."""
    first = alike[0].loop
    name = program.fresh_name("alike")
    mine = {shape.loop.span for shape in alike}
    program.functions[name] = _function(name, alike[0], first.span if len(mine) == 1 else None)
    for shape in alike:
        loop, attrs = shape.loop, {"callee": name, "types": tuple(v.type for v in first.results)}
        call = Node(c.call, tuple(shape.free), attrs, (), loop.results, loop.span, loop.half)
        for v in call.results:
            v.node = call
        yield loop, call


def _function(name: str, shape: _Shape, span: Span | None) -> Function:
    """A loop as a function: what it has from outside are parameters, constants are its own."""
    body = Block(tuple(Value(v.type, v.name) for v in shape.free))
    outside = [v.node for v in shape.constants if v.node is not None]
    whole = clone_block(Block((), [*outside, shape.loop], shape.loop.results), dict(zip(shape.free, body.params, strict=True)))
    for node in whole.nodes:
        adopt(node, body)
        node.span = span
    body.nodes, body.results = whole.nodes, whole.results
    return Function(name, body, frozenset(shape.mut), span)


def _replace(block: Block, calls: dict[Node, Node]) -> None:
    for k, node in enumerate(block.nodes):
        if node in calls:
            block.nodes[k] = calls[node]
        else:
            for inner in node.blocks:
                _replace(inner, calls)
