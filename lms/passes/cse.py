"""Common subexpressions: what was computed before, in a block that encloses this one, is not computed again.

An operation on an array that anything writes is a read at its place: the key of a node holds the version (the last
possible write) of each root it reads. Two fresh arrays become one only if neither is ever written to nor leaves the function.
Nodes that may raise are shared: the second would only raise what the first has raised.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar

from lms.core import primitives as p
from lms.core.effects import Effects, Root, Roots
from lms.core.ir import Block, Function, Node, Program, Value
from lms.core.types import ArrayType

from .rewrite import attributes, makes_array

a, r = p.array, p.record


class _Sharing:
    """One function. `known` holds what is available in the block that is walked and in those around it."""

    def __init__(self, function: Function, effects: Effects) -> None:
        self.effects = effects
        self.written: Roots = effects.changed(function)
        self.kept: Roots = self.written | effects.escaping(function)  # arrays with an identity
        self.env: dict[Value, Value] = {}
        self.known: dict[Hashable, tuple[Value, ...]] = {}
        self.added: list[Hashable] = []  # the keys of `known`, in order
        self.version: dict[Root, int] = {}
        self.clock = itertools.count(1)
        self.block(function.body)

    def block(self, block: Block) -> None:
        before = len(self.added)
        nodes: list[Node] = []
        for node in block.nodes:
            node.operands = tuple([self.env.get(v, v) for v in node.operands])
            if not self.shared(node):
                nodes.append(node)
                self.inside(node)
        block.nodes[:] = nodes
        block.results = tuple([self.env.get(v, v) for v in block.results])
        while len(self.added) > before:
            del self.known[self.added.pop()]

    def inside(self, node: Node) -> None:
        """Walk the blocks of a node, and note what it may have written."""
        changes = self.effects.of(node).changes
        loop = node.op in (p.control.for_, p.control.while_)
        for block in node.blocks:
            if loop:
                self.bump(changes)  # by the iterations before
            before = dict(self.version) if node.op is p.control.if_ and changes else self.version
            self.block(block)
            self.version = before  # what one branch writes, the other has not written
        self.bump(changes)

    def bump(self, roots: Roots) -> None:
        for root in roots:
            self.version[root] = next(self.clock)

    def shared(self, node: Node) -> bool:
        """Replace a node by an equal one before it; False where there is none."""
        key = self.key(node)
        if key is None:
            return False
        found = self.known.get(key)
        if found is None:
            self.known[key] = node.results
            self.added.append(key)
            return False
        if tuple([v.type for v in found]) != tuple([v.type for v in node.results]):
            return False
        self.env.update(zip(node.results, found, strict=True))
        return True

    def key(self, node: Node) -> Hashable | None:
        e = node.op.effect
        if node.blocks or e.control or e.io or e.writes or e.accumulates or node.op is a.empty:
            return None
        if node.op is a.dim:
            t = node.operands[0].type
            assert isinstance(t, ArrayType)
            return node.op, t.dims[node.attrs["axis"]]
        if makes_array(node) and any(self.effects.roots(v) & self.kept for v in node.results):
            return None
        operands: Hashable = node.operands
        if node.op.commutative:
            operands = tuple(sorted(node.operands, key=id))
        reads = self.effects.of(node).reads & self.written
        if node.attrs.get("residual"):
            reads = frozenset()  # written once
        versions = tuple(sorted((id(root), self.version.get(root, 0)) for root in reads)) if reads else ()
        return node.op, operands, attributes(node), versions


@dataclass(frozen=True)
class Cse:
    """Equal computations become one."""

    name: ClassVar[str] = "cse"

    def run(self, program: Program) -> Program:
        effects = Effects(program)
        for function in program.functions.values():
            _Sharing(function, effects)
        return program
