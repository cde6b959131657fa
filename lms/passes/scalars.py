"""Scalar replacement: a small local array whose elements are only reached at constant indices becomes values.

A loop that stores one value everywhere in such an array counts as stores at constant indices.

Each element is a variable that loops carry and branches give; memory is forgotten. An element that is read before it is
written is zero, as the reference back end has it.
"""

from __future__ import annotations

from math import prod
from typing import ClassVar

from lms.core import primitives as p
from lms.core.data import dataclass
from lms.core.ir import Block, Function, Node, Program, Value, walk
from lms.core.types import Scalar

from .rewrite import constant, int_of, make

s, a, c = p.scalar, p.array, p.control

LARGEST = 16  # elements
Element = tuple[Value, int]          # an array and a position in it, row by row
State = dict[Element, Value]


def _candidates(function: Function) -> dict[Value, list[int]]:
    """The arrays that can be replaced, with their sizes."""
    found: dict[Value, list[int]] = {}
    for node in walk(function.body):
        if node.op is a.empty and isinstance(node.attrs["dtype"], Scalar):
            dims = node.attrs["dims"]
            if all(isinstance(d, int) for d in dims) and 0 < prod(dims) <= LARGEST:
                found[node.result] = list(dims)
    if found:
        for v in _reached_otherwise(function, found):
            found.pop(v, None)
    return found


def _reached_otherwise(function: Function, found: dict[Value, list[int]]) -> list[Value]:
    """The candidates that are used as a whole, or at an index that is not known."""
    out = list(function.body.results)
    filling: set[Node] = set()
    for node in walk(function.body):
        for inner in node.blocks:
            out += inner.results
        if _filled(node) in found:
            filling.add(node.blocks[0].nodes[0])
        for k, v in enumerate(node.operands):
            if v in found and node not in filling:
                alone = k == 0 and node.op in (a.load, a.store, a.accumulate)
                if not alone or _position(node, found[v]) is None:
                    out.append(v)
    return out


def _filled(node: Node) -> Value | None:
    """The array that a loop fills with one value, if that is all it does."""
    if node.op is not c.for_ or node.results or len(node.blocks[0].nodes) != 1:
        return None
    (inner,), (k,) = node.blocks[0].nodes, node.blocks[0].params
    if inner.op is not a.store or inner.operands[2:] != (k,) or inner.operands[1] is k:
        return None
    array: Value = inner.operands[0]
    dims = array.node.attrs["dims"] if array.node is not None and array.node.op is a.empty else ()
    whole = [int_of(v) for v in node.operands] == [0, *dims, 1]
    return array if whole else None


def _position(node: Node, dims: list[int]) -> int | None:
    """Which element a node reads or writes, row by row."""
    at = 0
    for v, d in zip(node.operands[1:] if node.op is a.load else node.operands[2:], dims, strict=True):
        i = int_of(v)
        if i is None or not 0 <= i < d:
            return None
        at = at * d + i
    return at


class _Replacing:
    def __init__(self, function: Function, arrays: dict[Value, list[int]]) -> None:
        self.arrays = arrays
        self.env: dict[Value, Value] = {}
        self.written: dict[Block, dict[Element, None]] = {}
        self._survey(function.body)
        self.block(function.body, {})

    def _survey(self, block: Block) -> dict[Element, None]:
        """What each block writes of arrays made outside it."""
        found: dict[Element, None] = {}
        mine: set[Value] = set()
        for node in block.nodes:
            if node.op is a.empty:
                mine.add(node.result)
            elif node.op in (a.store, a.accumulate) and node.operands[0] in self.arrays:
                v = node.operands[0]
                at = _position(node, self.arrays[v])
                assert at is not None
                found[v, at] = None
            elif (filled := _filled(node)) in self.arrays:
                assert filled is not None
                found.update(dict.fromkeys(self._elements(filled)))
            else:
                for inner in node.blocks:
                    found.update(self._survey(inner))
        self.written[block] = {e: None for e in found if e[0] not in mine}
        return self.written[block]

    def block(self, block: Block, state: State) -> None:
        """Replace in a block; `state` has the elements' values, and is updated to those at its end."""
        nodes: list[Node] = []
        for node in block.nodes:
            node.operands = tuple([self.env.get(v, v) for v in node.operands])
            array = node.operands[0] if node.operands else None
            if node.op is a.empty and node.result in self.arrays:
                self.begin(node, block, state, nodes)
            elif array in self.arrays and node.op in (a.load, a.store, a.accumulate):
                assert array is not None
                at = _position(node, self.arrays[array])
                assert at is not None
                self.access(node, (array, at), block, state, nodes)
            elif (filled := _filled(node)) in self.arrays:
                assert filled is not None
                value = node.blocks[0].nodes[0].operands[1]
                state.update(dict.fromkeys(self._elements(filled), self.env.get(value, value)))
            else:
                if node.blocks:
                    self.inside(node, block, state)
                nodes.append(node)
        block.nodes[:] = nodes
        block.results = tuple([self.env.get(v, v) for v in block.results])

    def begin(self, node: Node, block: Block, state: State, nodes: list[Node]) -> None:
        t = node.attrs["dtype"]
        zero = constant(0, t, node, block)
        nodes.append(zero)
        state.update(dict.fromkeys(self._elements(node.result), zero.result))

    def _elements(self, array: Value) -> list[Element]:
        return [(array, k) for k in range(prod(self.arrays[array]))]

    def access(self, node: Node, element: Element, block: Block, state: State, nodes: list[Node]) -> None:
        if node.op is a.load:
            self.env[node.result] = state[element]
        elif node.op is a.store:
            state[element] = node.operands[1]
        else:
            attrs = {"fast": True} if node.attrs.get("fast") else {}
            total = make(s.add, (state[element], node.operands[1]), attrs, node, block)
            nodes.append(total)
            state[element] = total.result

    def inside(self, node: Node, block: Block, state: State) -> None:
        """Carry what a loop writes; give what branches write."""
        elements = list(dict.fromkeys(e for inner in node.blocks for e in self.written[inner]))
        elements = [e for e in elements if e in state]
        types = tuple(state[e].type for e in elements)
        loop = node.op in (c.for_, c.while_)
        if loop:
            node.operands = (*node.operands, *(state[e] for e in elements))
        for inner in node.blocks:
            local = dict(state)
            if loop:
                fresh = tuple(Value(t, block=inner) for t in types)
                inner.params = (*inner.params, *fresh)
                local.update(zip(elements, fresh, strict=True))
            self.block(inner, local)
            if not (node.op is c.while_ and inner is node.blocks[0]):
                inner.results = (*inner.results, *(local[e] for e in elements))
        if elements:
            made = tuple(Value(t, node=node, block=block) for t in types)
            node.results = (*node.results, *made)
            node.attrs["types"] = (*node.attrs["types"], *types)
            state.update(zip(elements, made, strict=True))


@dataclass(frozen=True)
class Scalars:
    """Small local arrays become values."""

    name: ClassVar[str] = "scalars"

    def run(self, program: Program) -> Program:
        for function in program.functions.values():
            arrays = _candidates(function)
            if arrays:
                _Replacing(function, arrays)
        return program
