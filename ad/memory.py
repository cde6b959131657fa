"""What one function does to its arrays: whose contents stay, and which are values rather than memory.

The cotangent of an array that is only used by pure operations of its own block, whole or in parts, is an array that is made
once (a *value*), so that gradients of array expressions fuse. Every other array is *memory*: its cotangents are accumulated
into a shadow, which is made where the array is made and travels with its handle.
"""

from __future__ import annotations

from lms.core import primitives as p
from lms.core.data import dataclass, field
from lms.core.effects import Effects, Root, Roots
from lms.core.ir import Block, Function, Node, Program, Value, walk
from lms.core.types import ArrayType, Scalar, SumType

from .activity import Activity
from .rules import MEMORY, RULES

PARTS = frozenset({p.array.view, p.array.load})  # what reads a part of an array


def overwritten(program: Program, effects: Effects) -> tuple[Roots, Roots]:
    """The roots that anything writes to, and those written more than once: residual memory is written once."""
    written: set[Root] = set()
    again: set[Root] = set()
    for function in program.functions.values():
        for node in walk(function.body):
            if not node.blocks:
                changes = effects.of(node).changes
                written |= changes
                if not node.attrs.get("residual"):
                    again |= changes
    return frozenset(written), frozenset(again)


@dataclass
class Memory:
    """The arrays of one function that is differentiated.

    `unsteady` are the roots whose contents may differ when the backward half runs. `paired` functions have their halves
    in two functions, so that their arrays travel by handle. The shadows of `lent` parameters are the caller's.
    """

    function: Function
    activity: Activity
    effects: Effects
    written: Roots
    unsteady: Roots
    paired: bool = False
    lent: frozenset[int] = frozenset()
    _home: dict[Value, Block] = field(default_factory=dict)
    _group: dict[Value, Value] = field(default_factory=dict)
    _memory: set[Value] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.paired:
            own = self.function.body.params
            for v in self.function.body.results:
                self.unsteady |= frozenset(r for r in self.effects.roots(v) if r not in own)
        self._settle(self.function.body, outermost=True)

    # -------------------------------------------------------------------------------------- questions

    def steady(self, v: Value) -> bool:
        """Whether the contents of an array are the same in the backward half."""
        return not self.effects.roots(v) & self.unsteady

    def is_memory(self, v: Value) -> bool:
        """Whether the cotangents of an active value are in a shadow."""
        return self._find(v) in self._memory if isinstance(v.type, ArrayType) else isinstance(v.type, SumType)

    # --------------------------------------------------------------------------------------- analysis

    def _find(self, v: Value) -> Value:
        while (up := self._group.get(v, v)) is not v:
            v = up
        return v

    def _join(self, v: Value, w: Value) -> None:
        """Either both are memory, or neither."""
        if isinstance(v.type, ArrayType):
            a, b = self._find(v), self._find(w)
            if a is not b:
                self._group[a] = b
                if a in self._memory:
                    self._memory.add(b)

    def _meet(self, v: Value, w: Value) -> None:
        """Two names of one carried value: a cotangent can stand for both if their sizes have the same names."""
        self._join(v, w)
        if v.type != w.type:
            self._demote(v)

    def _demote(self, v: Value) -> None:
        if isinstance(v.type, ArrayType):
            self._memory.add(self._find(v))

    def _define(self, v: Value, block: Block) -> None:
        self._home[v] = block
        if isinstance(v.type, ArrayType) and self.effects.roots(v) & self.written:
            self._demote(v)

    def _settle(self, block: Block, outermost: bool = False) -> None:
        for k, v in enumerate(block.params):
            self._define(v, block)
            if outermost and (self.paired or k in self.lent):
                self._demote(v)
        for node in block.nodes:
            for v in node.results:
                self._define(v, block)
            if node.op.effect.control:
                self._control(node, block)
            else:
                self._plain(node, block)
        for v in block.results:
            if (outermost and self.paired) or (not outermost and self._home.get(v) is not block):
                self._demote(v)

    def _plain(self, node: Node, block: Block) -> None:
        for k, v in enumerate(node.operands):
            as_value = node.op in RULES or (k > 0 and node.op in MEMORY) or (node.op is p.array.load and holds_numbers(v))
            if not (as_value and self._home.get(v) is block) and node.op is not p.array.dim:
                self._demote(v)
        if node.op.effect.view is not None:
            self._join(node.operands[0], node.result)
        if node.op in (p.record.project, p.array.load):
            for v in node.results:
                self._demote(v)

    def _control(self, node: Node, block: Block) -> None:
        for inner in node.blocks:
            self._settle(inner)
        if node.op in (p.control.for_, p.control.while_):
            skip = 1 if node.op is p.control.for_ else 0
            body = node.blocks[-1]
            carried = node.operands[3 if skip else 0:]
            for init, v, out, result in zip(carried, body.params[skip:], body.results, node.results, strict=True):
                if self._home.get(init) is not block:
                    self._demote(init)
                for w in (init, out, result):
                    self._meet(v, w)
        elif node.op is p.control.if_:
            for inner in node.blocks:
                for out, result in zip(inner.results, node.results, strict=True):
                    self._meet(out, result)
        else:
            for v in (*node.operands, *node.results):
                self._demote(v)


def is_allocation(v: Value) -> bool:
    """Whether an operation makes this array, and hands on none that is there already."""
    return (v.node is not None and isinstance(v.type, ArrayType) and not v.node.op.effect.control
            and v.node.op.effect.view is None and v.node.op not in (p.array.load, p.record.project))


def holds_numbers(v: Value) -> bool:
    return isinstance(v.type, ArrayType) and isinstance(v.type.dtype, Scalar)


def is_whole(node: Node) -> bool:
    """Whether a view shows every element of its source once."""
    return node.op is not p.array.view or all(s[0] in ("all", "new") for s in node.attrs["spec"])
