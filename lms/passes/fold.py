"""Folding: constants are computed now, and algebra that is exact for every operand (NaN, infinities and -0.0 too) is applied.

One walk in order, in place. `rules.py` is the table of scalar algebra; what concerns blocks and sizes is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from lms.core import primitives as p
from lms.core.data import dataclass
from lms.core.effects import Effects
from lms.core.ir import Block, Function, Node, Program, Value
from lms.core.primitives import Primitive
from lms.core.types import ArrayType, Scalar, bool_, element

from .rewrite import adopt, const_of, constant, counters, int_of, make, rename, same_shape_class
from .rules import RULES

s, a = p.scalar, p.array


class Folder:
    """Rewrites one function. `env` says which values were replaced; `out` is the block being filled."""

    def __init__(self, function: Function, effects: Effects, final: bool = False) -> None:
        self.final = final
        self.env: dict[Value, Value] = {}
        self.loops = counters(function.body)
        self.effects = effects
        self.written = effects.changed(function)
        self.unstable: set[Value] = set()  # new arrays that stand for written ones
        self.out: list[Node] = []
        self.place: Block | None = None
        self.like: Node | None = None

    # ---------------------------------------------------------------------------------- used by rules

    def emit(self, op: Primitive, *operands: Value, **attrs: Any) -> Value:
        """A node in place of the one being folded."""
        assert self.place is not None and self.like is not None
        node = make(op, operands, attrs, self.like, self.place)
        self.out.append(node)
        return node.result

    def const(self, value: Any, like: Value) -> Value:
        """A number of the type of `like`; everywhere in its shape, for an array."""
        assert self.place is not None and self.like is not None
        node = constant(value, element(like.type), self.like, self.place)
        self.out.append(node)
        if not isinstance(like.type, ArrayType):
            return node.result
        if like in self.like.results:  # which is on its way out; an elementwise operand has the same shape
            like = next(v for v in self.like.operands if isinstance(v.type, ArrayType))
        assert isinstance(like.type, ArrayType)
        sizes = [self.emit(a.dim, like, axis=k) for k in range(like.type.rank)]
        return self.emit(a.broadcast, node.result, *sizes, dims=like.type.dims, axes=())

    # -------------------------------------------------------------------------------------- the walk

    def block(self, block: Block) -> None:
        before, self.out, self.place = (self.out, self.place), [], block
        for node in block.nodes:
            self.node(node)
        block.nodes[:] = self.out
        block.results = self.values(block.results)
        self.out, self.place = before

    def values(self, vs: Sequence[Value]) -> tuple[Value, ...]:
        return tuple([self.env.get(v, v) for v in vs])

    def node(self, node: Node) -> None:
        node.operands = self.values(node.operands)
        self.like = node
        if node.blocks:
            if not self.control(node):
                self.keep(node)
            return
        if len(node.results) == 1:
            new = self.simplify(node)
            if new is not None and self.replace(node.result, new):
                return
        elif node.op is p.control.check and const_of(node.operands[0]) is True or self.adds_nothing(node):
            return
        self.keep(node)

    @staticmethod
    def adds_nothing(node: Node) -> bool:
        """Whether a gradient is accumulated that is zero."""
        return node.op is a.accumulate and bool(node.attrs.get("fast")) and const_of(node.operands[1]) == 0

    def keep(self, node: Node) -> None:
        assert self.place is not None
        adopt(node, self.place)
        self.out.append(node)

    def replace(self, old: Value, new: Value) -> bool:
        """Let `new` stand for `old`, renaming sizes where the types differ in them. False where it cannot."""
        if new.type != old.type:
            if not same_shape_class(new.type, old.type):
                return False
            assert self.place is not None and self.like is not None
            node = rename(new, old.type, self.like, self.place)
            self.out.append(node)
            new = node.result
        if not new.name:
            new.name = old.name
        if self.effects.roots(old) & self.written:
            self.unstable.add(new)
        self.env[old] = new
        return True

    # ---------------------------------------------------------------------------------------- values

    def simplify(self, node: Node) -> Value | None:
        known = self.compute(node)
        if known is not None:
            return known
        if node.op is a.dim:
            return self.size(node)
        rule = RULES.get(node.op)
        if rule is None or isinstance(node.result.type, ArrayType) and node.op.elementwise and not self.stable(node):
            return None
        before = len(self.out)
        new = rule(self, node)
        if new is not None and node.op.elementwise and isinstance(new.type, ArrayType) and new.node not in self.out[before:]:
            new = self.emit(a.copy, new)  # the operation gave an array of its own
        return new

    def stable(self, node: Node) -> bool:
        """Whether the arrays a rule may look at (operands, and what made them) are never written to."""
        for v in node.operands:
            made = v.node.operands if v.node is not None and v.node.op.elementwise else ()
            if any(self.may_change(u) for u in (v, *made) if isinstance(u.type, ArrayType)):
                return False
        return True

    def may_change(self, v: Value) -> bool:
        roots = self.effects.roots(v)
        unknown = not roots and (v.node is None or v.node.op.effect.view is not None)
        return unknown or v in self.unstable or bool(roots & self.written)

    def compute(self, node: Node) -> Value | None:
        """A scalar operation on constants, by its own meaning."""
        t = node.results[0].type
        if not node.op.elementwise or not isinstance(t, Scalar) or node.op in (s.shl, s.shr, s.stop_gradient):
            return None
        numbers = []
        for v in node.operands:
            if v.number is None:
                return None
            assert isinstance(v.type, Scalar)
            numbers.append(v.type.dtype.type(v.number))
        if t.is_int and not _computable(node, numbers, t):
            return None
        assert node.op.eager is not None
        attrs = {k: v for k, v in node.attrs.items() if k != "fast"}
        return self.const(node.op.eager(*numbers, **attrs), node.result)

    def size(self, node: Node) -> Value | None:
        """The size of an axis, where it is known or was an operand."""
        (x,), axis = node.operands, node.attrs["axis"]
        assert isinstance(x.type, ArrayType)
        d = x.type.dims[axis]
        if isinstance(d, int):
            return self.const(d, node.result)
        maker = x.node
        if maker is None:
            return None
        if maker.op is a.transpose:
            return self.emit(a.dim, maker.operands[0], axis=maker.attrs["perm"][axis])
        if maker.op is a.view:
            return self.viewed(maker, axis)
        if maker.op in (a.empty, a.iota, a.broadcast, a.reshape):
            size: Value = maker.operands[axis - x.type.rank]
            return size
        return None

    def viewed(self, view: Node, axis: int) -> Value | None:
        """The size of an axis of a view."""
        source, operand, out = 0, 1, 0
        for entry in view.attrs["spec"]:
            if entry[0] != "at":
                if out == axis and entry[0] != "new":
                    return view.operands[operand + 1] if entry[0] == "slice" else self.emit(a.dim, view.operands[0], axis=source)
                out += 1
            source += entry[0] != "new"
            operand += {"at": 1, "slice": 2}.get(entry[0], 0)
        return None

    # --------------------------------------------------------------------------------------- control

    def control(self, node: Node) -> bool:
        """Fold a node that holds blocks; True where it is gone."""
        if node.op is p.control.if_:
            return self.branch(node)
        if node.op is p.control.for_:
            return self.counted(node)
        return self.conditional(node)

    def forward(self, node: Node, values: Sequence[Value]) -> bool:
        """Let values stand for all results of a node."""
        if any(v.type != r.type and not same_shape_class(v.type, r.type) for r, v in zip(node.results, values, strict=True)):
            return False
        for r, v in zip(node.results, values, strict=True):
            self.replace(r, v)
        return True

    def splice(self, node: Node, block: Block, args: Sequence[Value]) -> bool:
        """Run a block here, once, in place of the node that holds it."""
        pairs = zip((*block.params, *node.results), (*args, *block.results), strict=True)
        if any(v.type != r.type and not same_shape_class(v.type, r.type) for r, v in pairs):
            return False
        for param, v in zip(block.params, args, strict=True):
            self.replace(param, v)
        for inner in block.nodes:
            self.node(inner)
        self.like = node
        return self.forward(node, self.values(block.results))

    def branch(self, node: Node) -> bool:
        chosen = const_of(node.operands[0])
        if chosen is not None and self.splice(node, node.blocks[0 if chosen else 1], ()):
            return True
        for block in node.blocks:
            self.block(block)
        self.like = node
        yes, no = node.blocks
        if not yes.nodes and not no.nodes and not node.results:
            return True
        for r, x, y in zip(node.results, yes.results, no.results, strict=True):
            if x is y and x.type == r.type:
                self.env[r] = x
            elif r.type == bool_ and const_of(x) is True and const_of(y) is False:
                self.env[r] = node.operands[0]
        return False

    def counted(self, node: Node) -> bool:
        start, stop, step = map(int_of, node.operands[:3])
        body, init = node.blocks[0], node.operands[3:]
        if step and start is not None and stop is not None:
            trips = max(0, -((start - stop) // step))
            if trips == 0 and self.forward(node, init):
                return True
            if trips == 1 and self.splice(node, body, (node.operands[0], *init)):
                return True
        for param, out, v, r in zip(body.params[1:], body.results, init, node.results, strict=True):
            if out is param and v.type == param.type == r.type:  # carried, never changed
                self.env[param] = self.env[r] = v
        self.block(body)
        self.like = node
        return not body.nodes and not node.results


    def conditional(self, node: Node) -> bool:
        condition, body = node.blocks
        rows = zip(condition.params, body.params, body.results, node.operands, node.results, strict=True)
        for seen, param, out, v, r in rows:
            if out is param and v.type == seen.type == param.type == r.type:
                self.env[seen] = self.env[param] = self.env[r] = v
        self.block(condition)
        self.block(body)
        self.like = node
        never = const_of(condition.results[0]) is False and all(inner.op is a.const for inner in condition.nodes)
        return never and self.forward(node, node.operands)


def _computable(node: Node, numbers: Sequence[Any], t: Scalar) -> bool:
    """Whether an operation that gives an int is defined for these operands, the same on every machine."""
    lowest = -(2 ** (t.bits - 1)) if t.kind == "i" else 0
    if node.op in (s.floordiv, s.mod, s.quot, s.rem):
        return bool(numbers[1] != 0) and not (numbers[1] == -1 and numbers[0] == lowest)
    if node.op is s.convert and isinstance(numbers[0], np.floating):
        return bool(np.isfinite(numbers[0])) and lowest <= int(numbers[0]) <= lowest + 2**t.bits - 1
    return True


@dataclass(frozen=True)
class Fold:
    """Constants and exact algebra. Once no derivative is left to take, with `final=True`, `stop_gradient` goes too."""

    final: bool = False
    name: ClassVar[str] = "fold"

    def run(self, program: Program) -> Program:
        effects = Effects(program)
        for function in program.functions.values():
            Folder(function, effects, self.final).block(function.body)
        return program
