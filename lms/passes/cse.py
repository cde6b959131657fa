"""Common subexpressions: what was computed before, in a block that encloses this one, is not computed again.

An operation on an array that anything writes is a read at its place: the key of a node holds the version (the last
possible write) of each root it reads. Two fresh arrays become one only if neither is ever written to nor leaves the function.
Nodes that may raise are shared: the second would only raise what the first has raised.

An `if` that changes nothing is an expression like any other. In a branch, what an earlier branch of the same condition has
computed is known: what that gives is taken from it, and what is costly it gives from now on.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping, Sequence
from typing import ClassVar

from lms.core import primitives as p
from lms.core.data import dataclass
from lms.core.effects import Effects, Root, Roots
from lms.core.ir import Block, Function, Node, Program, Value
from lms.core.types import ArrayType, Scalar

from .fuse import COSTLY
from .rewrite import attributes, constant, makes_array

a, r = p.array, p.record
LARGEST = 250  # nodes of an `if` that is compared as a whole

Known = dict[Hashable, tuple[Value, ...]]


@dataclass(frozen=True, slots=True)
class _Taken:
    """A value inside a branch that was taken before: it can be given to who asks under the same condition."""

    value: Value
    branch: int
    node: Node    # the `if`
    block: Block  # where that stands


class _Sharing:
    """One function. `known` holds what is available in the block that is walked and in those around it."""

    def __init__(self, function: Function, effects: Effects) -> None:
        self.effects = effects
        self.written: Roots = effects.changed(function)
        self.kept: Roots = self.written | effects.escaping(function)  # arrays with an identity
        self.env: dict[Value, Value] = {}
        self.known: Known = {}
        self.added: list[Hashable] = []  # the keys of `known`, in order
        self.version: dict[Root, int] = {}
        self.clock = itertools.count(1)
        self.assumed: dict[Value, int] = {}  # the conditions around, and the branches that are walked
        self.before: dict[tuple[Value, int], dict[Hashable, _Taken]] = {}  # what branches of a condition have computed
        self.noted: list[tuple[dict[Hashable, _Taken], Hashable]] = []     # the keys in `before`, in order
        self.block(function.body)

    def block(self, block: Block) -> Known:
        """Share what a block computes; give what it alone computes."""
        before, noted = len(self.added), len(self.noted)
        nodes: list[Node] = []
        for node in block.nodes:
            node.operands = tuple([self.env.get(v, v) for v in node.operands])
            if not self.shared(node):
                nodes.append(node)
                if node.blocks:
                    self.inside(node, block)
                self.bump(self.effects.of(node).changes)
        block.nodes[:] = nodes
        block.results = tuple([self.env.get(v, v) for v in block.results])
        while len(self.noted) > noted:
            table, key = self.noted.pop()
            del table[key]
        mine = {key: self.known.pop(key) for key in self.added[before:]}
        del self.added[before:]
        return mine

    def inside(self, node: Node, place: Block) -> None:
        """Walk the blocks of a node."""
        changes = self.effects.of(node).changes
        for k, block in enumerate(node.blocks):
            if node.op is p.control.if_:
                before = dict(self.version) if changes else self.version
                self.branch(node, k, place)
                self.version = before  # what one branch writes, the other has not written
            else:
                self.bump(changes)  # by the iterations before
                self.block(block)

    def bump(self, roots: Roots) -> None:
        for root in roots:
            self.version[root] = next(self.clock)

    def shared(self, node: Node) -> bool:
        """Replace a node by an equal one before it; False where there is none."""
        key = self.form(node) if node.op is p.control.if_ else self.key(node)
        if key is None:
            return False
        found = self.known.get(key)
        if found is None and self.assumed:
            found = self.taken(key)
        if found is None:
            self.known[key] = node.results
            self.added.append(key)
            return False
        if tuple([v.type for v in found]) != tuple([v.type for v in node.results]):
            return False
        self.env.update(zip(node.results, found, strict=True))
        return True

    def key(self, node: Node, numbers: Mapping[Value, int] | None = None) -> Hashable | None:
        """What a node computes. `numbers` are what operands inside an `if` are known by, which is yet to be walked."""
        e = node.op.effect
        if node.blocks or e.control or e.io or e.writes or e.accumulates or node.op is a.empty:
            return None
        if node.op is a.dim:
            t = node.operands[0].type
            assert isinstance(t, ArrayType)
            return node.op, t.dims[node.attrs["axis"]]
        if makes_array(node) and any(self.effects.roots(v) & self.kept for v in node.results):
            return None
        operands: tuple[Hashable, ...] = node.operands
        if numbers is not None:
            operands = self.numbered(node.operands, numbers)
        elif self.assumed:
            operands = tuple([self.given(v) for v in node.operands])
        if node.op.commutative:
            operands = tuple(sorted(operands, key=hash))
        reads = self.effects.of(node).reads & self.written
        if node.attrs.get("residual"):
            reads = frozenset()  # written once
        versions = tuple(sorted((id(root), self.version.get(root, 0)) for root in reads)) if reads else ()
        return node.op, operands, attributes(node), versions

    # -------------------------------------------------------------------------------------- branches

    def form(self, node: Node) -> Hashable | None:
        """What an `if` computes, where it gives numbers and changes nothing."""
        access = self.effects.of(node)
        if access.changes or access.io or not node.results or not all(isinstance(v.type, Scalar) for v in node.results):
            return None
        return self._form(node, {})

    def _form(self, node: Node, numbers: dict[Value, int]) -> Hashable | None:
        lines: list[Hashable] = [self.numbered(node.operands, numbers)]
        for block in node.blocks:
            for inner in block.nodes:
                if inner.op is a.const:
                    continue
                line = self._form(inner, numbers) if inner.op is p.control.if_ else self.key(inner, numbers)
                if line is None or len(numbers) > LARGEST:
                    return None
                lines.append(line)
                for v in inner.results:
                    numbers[v] = len(numbers)
            lines.append(self.numbered(block.results, numbers))
        return tuple(lines)

    def numbered(self, values: Sequence[Value], numbers: Mapping[Value, int]) -> tuple[Hashable, ...]:
        """What values are, apart from where they stand: those of an `if` are known by number, and constants by themselves."""
        return tuple([numbers[v] if v in numbers else attributes(v.node) if v.node is not None and v.node.op is a.const
                      else self.env.get(v, v) for v in values])

    def branch(self, node: Node, k: int, place: Block) -> None:
        """Walk a branch, and note what others of the same condition may ask it for."""
        condition, block = node.operands[0], node.blocks[k]
        outer = self.assumed.get(condition)
        self.assumed[condition] = k
        found = self.block(block)
        if outer is None:
            del self.assumed[condition]
        else:
            self.assumed[condition] = outer
        table = self.before.setdefault((condition, k), {})
        for key, values in found.items():
            for v in values:
                asked = v in block.results or (v.node is not None and v.node.op.name in COSTLY)
                if asked and len(values) == 1 and isinstance(v.type, Scalar) and key not in table:
                    table[key] = _Taken(v, k, node, place)
                    self.noted.append((table, key))

    def given(self, v: Value) -> Value:
        """What a value is, in the branches that are walked: the result of an `if` is that of a branch."""
        while v.node is not None and v.node.op is p.control.if_ and (k := self.assumed.get(v.node.operands[0])) is not None:
            v = v.node.blocks[k].results[v.node.results.index(v)]
        return v

    def taken(self, key: Hashable) -> tuple[Value] | None:
        """The result of an earlier `if` that has computed this in a branch whose condition is that of a branch around."""
        for branch in self.assumed.items():
            found = self.before.get(branch, {}).get(key)
            if found is not None:
                return (self.result(found),)
        return None

    def result(self, taken: _Taken) -> Value:
        """A value of a branch, as a result of the `if`: what the other branch gives for it nobody looks at."""
        node = taken.node
        here, other = node.blocks[taken.branch], node.blocks[1 - taken.branch]
        if taken.value in here.results:
            return node.results[here.results.index(taken.value)]
        assert isinstance(taken.value.type, Scalar)
        nothing = constant(0, taken.value.type, node, other)
        other.nodes.append(nothing)
        here.results, other.results = (*here.results, taken.value), (*other.results, nothing.result)
        new = Value(taken.value.type, taken.value.name, node, taken.block)
        node.results, node.attrs = (*node.results, new), {**node.attrs, "types": (*node.attrs["types"], new.type)}
        return new


@dataclass(frozen=True)
class Cse:
    """Equal computations become one."""

    name: ClassVar[str] = "cse"

    def run(self, program: Program) -> Program:
        effects = Effects(program)
        for function in program.functions.values():
            _Sharing(function, effects)
        return program
