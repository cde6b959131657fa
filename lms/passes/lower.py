"""Lowering: whole-array operations become loops over memory, fused with what feeds them.

The walk copies each function. A node whose array is deferred (`fuse.plan`) is skipped; a consumer asks `element(v, index)`,
which computes it there. Rules live in tables: `ELEMENTS` says what an element of an operation is, `RULES` how an operation
fills memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from lms.core import primitives as p
from lms.core.builder import Builder, Replay
from lms.core.data import dataclass
from lms.core.effects import Effects
from lms.core.errors import VerifyError
from lms.core.ir import Block, Function, Node, Program, Value, walk
from lms.core.primitives import Primitive
from lms.core.types import ArrayType

from .fuse import Plan, plan, renames
from .nests import Body, Carried, Index, fill, fresh, nest
from .search import sought

Element = Callable[["Lowering", Node, Index], Value]
Rule = Callable[["Lowering", Node], None]

ELEMENTS: dict[Primitive, Element] = {}
RULES: dict[Primitive, Rule] = {}
CHECKS: dict[Primitive, Rule] = {}  # what an operation demands at its own place, also when its elements come later


def element_of(*ops: Primitive) -> Callable[[Element], Element]:
    """Register how one element of an operation is computed."""

    def register(f: Element) -> Element:
        ELEMENTS.update(dict.fromkeys(ops, f))
        return f

    return register


def lowers(*ops: Primitive) -> Callable[[Rule], Rule]:
    """Register how an operation is lowered at its place."""

    def register(f: Rule) -> Rule:
        RULES.update(dict.fromkeys(ops, f))
        return f

    return register


class Lowering(Replay):
    """Copies one function, lowered. Old values are looked up in `env`; deferred ones have no new value."""

    def __init__(self, builder: Builder, plan: Plan, effects: Effects, sought: frozenset[Value] = frozenset()) -> None:
        super().__init__(builder)
        self.plan, self.effects = plan, effects
        self.sought = sought  # extremes of vectors whose places are asked for
        self.chunks: dict[Value, Value] = {}  # and where these are
        self._memo: list[dict[tuple[Value, Index], Value]] = []

    # ------------------------------------------------------------------------------------- elements

    def element(self, v: Value, index: Index) -> Value:
        """One element of an array of the old program, as a value of the new one; a scalar is its own element."""
        if not isinstance(v.type, ArrayType):
            return self.value(v)
        for memo in reversed(self._memo):
            if (found := memo.get((v, index))) is not None:
                return found
        node = v.node
        if v in self.plan.deferred or (node is not None and renames(node)):
            assert node is not None
            with self.builder.at(node.span):
                made = ELEMENTS[node.op](self, node, index)
        else:
            made = self.builder.emit1(p.array.load, self.value(v), *index)
        if self._memo:
            self._memo[-1][v, index] = made
        return made

    @contextmanager
    def remembering(self) -> Iterator[None]:
        """Compute an element once while filling one block."""
        self._memo.append({})
        try:
            yield
        finally:
            self._memo.pop()

    def address(self, v: Value, index: Index) -> tuple[Value, Index]:
        """The array a view shows, and where in it: loops walk the base, whose strides are known best."""
        node = v.node
        while node is not None and renames(node) and v not in self.plan.deferred:
            index = mapped(self, node, index)
            v = node.operands[0]
            node = v.node
        return self.value(v), index

    # ----------------------------------------------------------------------------------------- loops

    def nest(self, sizes: Sequence[Value], body: Body, init: Sequence[Value] = ()) -> Carried:
        """A loop nest in which elements are computed once."""

        def inner(index: Index, carried: Carried) -> Sequence[Value]:
            with self.remembering():
                return body(index, carried)

        return nest(self.builder, sizes, inner, init)

    def fill(self, dst: Value, sizes: Sequence[Value], element: Callable[[Index], Value], **attrs: Any) -> Value:
        """Store an expression of the index everywhere in `dst`."""

        def inner(index: Index) -> Value:
            with self.remembering():
                return element(index)

        return fill(self.builder, dst, sizes, inner, **attrs)

    # ----------------------------------------------------------------------------------------- sizes

    def extent(self, v: Value, axis: int) -> Value:
        """The size of an axis of an old value: `dim` of the array, or of one that is not deferred."""
        b, t = self.builder, v.type
        assert isinstance(t, ArrayType)
        d = t.dims[axis]
        if isinstance(d, int):
            return b.const(d)
        for scope in reversed(b.scopes):
            if d in scope.sizes:
                return scope.sizes[d]
        if v not in self.plan.deferred:
            return b.dim(self.value(v), axis)
        assert v.node is not None
        made = self._deferred_size(v.node, axis)
        b.name_size(d, made)
        return made

    def _deferred_size(self, node: Node, axis: int) -> Value:
        """The size of an axis of an array that is not made, from its operands."""
        x = node.operands[0]
        name, attrs = node.op.name, node.attrs
        if node.op.elementwise or name == "copy":
            return self.extent(next(v for v in node.operands if isinstance(v.type, ArrayType)), axis)
        if name in ("broadcast", "iota", "reshape"):
            return self.value(node.operands[axis - (len(node.attrs["dims"]) - len(node.operands))])
        if name == "transpose":
            return self.extent(x, attrs["perm"][axis])
        if name == "view":
            return self._view_size(node, axis)
        if name == "take":
            at, rank = attrs["axis"], _rank(node.operands[1])
            if at <= axis < at + rank:
                return self.extent(node.operands[1], axis - at)
            return self.extent(x, axis if axis < at else axis - rank + 1)
        if name == "take_along":
            return self.extent(node.operands[1], axis)
        if name == "contract":
            left, right, out = attrs["spec"]
            letter = out[axis]
            return self.extent(x, left.index(letter)) if letter in left else self.extent(node.operands[1], right.index(letter))
        reduced = attrs["axes"] if "axes" in attrs else (attrs["axis"],)
        return self.extent(x, [k for k in range(_rank(x)) if k not in reduced][axis])

    def _view_size(self, node: Node, axis: int) -> Value:
        source, operand, out = 0, 1, 0
        for s in node.attrs["spec"]:
            if s[0] != "at":
                if out == axis:
                    return self.value(node.operands[operand + 1]) if s[0] == "slice" else self.extent(node.operands[0], source)
                out += 1
            source += s[0] != "new"
            operand += {"at": 1, "slice": 2}.get(s[0], 0)
        raise AssertionError(f"a view without axis {axis}")

    def extents(self, v: Value) -> list[Value]:
        return [self.extent(v, k) for k in range(_rank(v))]

    # ---------------------------------------------------------------------------------------- memory

    def new(self, node: Node) -> tuple[Value, list[Value]]:
        """The fresh array of a node that is made, and its sizes; its old value is bound to it."""
        v = node.result
        assert isinstance(v.type, ArrayType)
        sizes = [self._own_size(node, k) for k in range(v.type.rank)]
        made = fresh(self.builder, v.type, sizes, v.name)
        self.bind((v,), (made,))
        return made, sizes

    def _own_size(self, node: Node, axis: int) -> Value:
        """The size of an axis of a node's result, before that result exists."""
        t = node.result.type
        assert isinstance(t, ArrayType)
        d = t.dims[axis]
        if isinstance(d, int):
            return self.builder.const(d)
        for scope in reversed(self.builder.scopes):
            if d in scope.sizes:
                return scope.sizes[d]
        return self._deferred_size(node, axis)

    def made(self, v: Value) -> Value:
        """A handle to an array of the old program; one that was deferred is made here."""
        if v not in self.plan.deferred:
            return self.value(v)
        t = v.type
        assert isinstance(t, ArrayType)
        sizes = self.extents(v)
        return self.fill(fresh(self.builder, t, sizes, v.name), sizes, lambda index: self.element(v, index))

    def apart(self, v: Value, dst: Value) -> Callable[[Index], Value]:
        """How to read elements of `v` while `dst` is written out of step with them: a copy where they may be the same memory."""
        if not self.effects.may_alias(v, dst):  # the root of a deferred array is its own
            return lambda index: self.element(v, index)
        t = v.type
        assert isinstance(t, ArrayType)
        sizes = self.extents(v)
        copy = self.fill(fresh(self.builder, ArrayType(t.dtype, t.dims), sizes), sizes, lambda index: self.element(v, index))
        return lambda index: self.builder.emit1(p.array.load, copy, *index)

    # ----------------------------------------------------------------------------------------- nodes

    def node(self, node: Node) -> None:
        b = self.builder
        before, b.half = b.half, node.half or b.half
        with b.at(node.span):
            if (check := CHECKS.get(node.op)) is not None:
                check(self, node)
            if not (len(node.results) == 1 and node.result in self.plan.deferred):
                self._lower(node)
        b.half = before

    def _lower(self, node: Node) -> None:
        rule = RULES.get(node.op)
        if rule is not None:
            rule(self, node)
        elif node.op in ELEMENTS and node.op.effect.view is None and isinstance(node.result.type, ArrayType):
            out, sizes = self.new(node)
            self.fill(out, sizes, lambda index: ELEMENTS[node.op](self, node, index))
        elif node.op.lowered:
            self.emit_as(node, node.op, self.values(node.operands), node.attrs)
        else:
            raise VerifyError(f"no rule lowers {node.op.name}", node.span)

    def nested(self, block: Block) -> Block:
        memo, self._memo = self._memo, []  # an element found outside may be written before the block runs again
        try:
            return super().nested(block)
        finally:
            self._memo = memo


def _rank(v: Value) -> int:
    return v.type.rank if isinstance(v.type, ArrayType) else 0


def add_index(b: Builder, x: Value, y: Value) -> Value:
    """The sum of two indices, nothing where one is 0."""
    return y if x.number == 0 else x if y.number == 0 else b.emit1(p.scalar.add, x, y)


def scale_index(b: Builder, i: Value, step: int) -> Value:
    return i if step == 1 else b.emit1(p.scalar.mul, i, b.const(step))


def mapped(self: Lowering, node: Node, index: Index) -> Index:
    """The index into the operand of a view, transposition or reshape that shows `index` of the result."""
    if node.op is p.array.transpose:
        perm = node.attrs["perm"]
        return tuple(index[perm.index(k)] for k in range(len(perm)))
    if node.op is p.array.reshape:
        t, u = node.operands[0].type, node.result.type
        assert isinstance(t, ArrayType) and isinstance(u, ArrayType)
        kept = iter([i for i, d in zip(index, u.dims, strict=True) if d != 1])
        return tuple(self.builder.const(0) if d == 1 else next(kept) for d in t.dims)
    out: list[Value] = []
    operands, rest = iter(self.values(node.operands[1:])), iter(index)
    for s in node.attrs["spec"]:
        if s[0] == "at":
            out.append(next(operands))
        elif s[0] == "new":
            next(rest)
        elif s[0] == "all":
            out.append(next(rest))
        else:
            start, _ = next(operands), next(operands)
            out.append(add_index(self.builder, start, scale_index(self.builder, next(rest), s[1])))
    return tuple(out)


@element_of(p.array.view, p.array.transpose, p.array.reshape)
def _map_element(self: Lowering, node: Node, index: Index) -> Value:
    return self.element(node.operands[0], mapped(self, node, index))


@dataclass(frozen=True)
class Lower:
    """Array operations to loops. No elementwise operation on arrays, reduction, copy, gather, ... is left."""

    name: ClassVar[str] = "lower"

    def run(self, program: Program) -> Program:
        from . import contractions, lower_array, lower_gather, lower_linalg, lower_reduce  # noqa: F401  # they fill the tables

        effects = Effects(program)
        out = Program(entry=program.entry)
        builder = Builder(out)
        for name, function in program.functions.items():
            whole = any(_whole(node) for node in walk(function.body))
            out.functions[name] = self._function(function, builder, effects) if whole else function
        return out

    def _function(self, function: Function, builder: Builder, effects: Effects) -> Function:
        extremes = frozenset(v for node in walk(function.body) if (v := sought(node)) is not None)
        lowering = Lowering(builder, plan(function, effects), effects, extremes)
        params = function.body.params
        with builder.reify([v.type for v in params], [v.name for v in params]) as body:
            body.results = lowering.run(function.body, body.params)
        return Function(function.name, body, function.mut, function.span, function.doc)


def _whole(node: Node) -> bool:
    """Whether lowering has something to say about a node."""
    if node.op in (p.array.load, p.array.store, p.array.accumulate):
        made = node.operands[0].node
        return made is not None and renames(made)
    return not node.op.lowered or any(isinstance(v.type, ArrayType) for v in node.results) and (
        node.op.elementwise or node.op is p.array.index)
