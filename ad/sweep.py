"""Both halves of a block: `forward` leaves one suspended frame for every active node, `backward` resumes them, last first.

A frame is a generator with one `yield`: it runs a rule, or it is one of those in `control`, `calls` and `records`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from lms.core import primitives as p
from lms.core.builder import Replay
from lms.core.ir import Block, Function, Node, Value
from lms.core.types import ArrayType
from lms.staging.rep import Rep

from . import calls, control, records
from .activity import INERT, Activity
from .continuations import Rule, Steps, resume, start
from .cotangents import Cotangents, Frame, Halves
from .memory import PARTS, Memory, is_whole
from .residuals.chains import Region
from .reversal.choice import NOTHING, Reversal
from .reversal.undo import undoing
from .rules import MEMORY, RULES, no_derivative
from .rules.complex import rule_of
from .shadows import fresh

if TYPE_CHECKING:
    from .reverse import ReverseMode

CONTROL: dict[p.Primitive, Callable[[Sweep, Node], Halves]] = {
    p.control.if_: control.if_, p.control.for_: control.for_, p.control.while_: control.while_, p.control.call: calls.call,
}


class Sweep(Replay):
    """Both halves of one function's derivative. `env` maps its values to those of the forward half, `shadows` to shadows."""

    def __init__(self, mode: ReverseMode, activity: Activity, memory: Memory, reversal: Reversal = NOTHING) -> None:
        super().__init__(mode.builder)
        self.mode, self.activity, self.memory, self.reversal = mode, activity, memory, reversal
        self.shadows: dict[Value, Value] = {}
        self.shadow_values: set[Value] = set()  # the new values that are kept by handle: shadows, and memory that is reversed
        self.repeatable: set[Value] = set()  # of what reads memory or makes arrays: what gives the same in the backward half
        self.late: set[Value] = set()  # of these: what does so where memory is as it was, and not before
        self.region = Region(mode.builder)  # the block that is filled by the forward half
        self.snapshots: list[tuple[Value, frozenset[Node]]] = []  # copies, with the forward nodes that use them anyway

    # ------------------------------------------------------------------------------------------ halves

    def forward(self, block: Block) -> list[Frame]:
        """Emit the forward half of a block's nodes; give their frames."""
        frames = []
        for node in block.nodes:
            with self.builder.at(node.span):
                if self.is_active(node):
                    halves = self.halves(node)
                    next(halves)
                    frames.append(Frame(halves, node.span))
                else:
                    self.plain(node)
                self.give_shadows(node.results)
        return frames

    def backward(self, frames: Sequence[Frame], bar: Cotangents) -> None:
        """Emit the backward half of the nodes that `frames` remember."""
        for frame in reversed(frames):
            with self.builder.at(frame.span):
                try:
                    frame.halves.send(bar)
                except StopIteration:
                    continue
                raise AssertionError("a frame yields once")

    def is_active(self, node: Node) -> bool:
        """Whether a node has a backward half."""
        return node in self.reversal.undone or self._carries(node)

    def _carries(self, node: Node) -> bool:
        """Whether a node has to do with derivatives."""
        op = node.op
        if node.blocks:
            return any(v in self.activity for v in node.results) or any(
                self.is_active(inner) for block in node.blocks for inner in block.nodes)
        if op is p.control.call:
            return calls.is_active_call(self, node)
        if op.effect.writes or op.effect.accumulates:
            return node.operands[0] in self.activity
        if any(v in self.activity for v in node.operands):
            return op not in INERT and any(v in self.activity for v in node.results)
        return False

    def plain(self, node: Node) -> None:
        """Emit a node that has no backward half."""
        super().node(node)
        if node in self.reversal.again:
            self._again(node)
        elif node.attrs.get("residual") or all(map(self.memory.steady, (*node.operands, *node.results))):
            self.repeatable.update(self.values(node.results))

    def _again(self, node: Node) -> None:
        """What a node gives is found again at its mirror."""
        self.repeatable.update(self.values(node.results))
        self.late.update(self.values(node.results))

    def bind(self, old: Sequence[Value], new: Sequence[Value]) -> None:
        super().bind(old, new)
        self.shadow_values.update(n for o, n in zip(old, new, strict=True) if o in self.reversal.handles)

    # ----------------------------------------------------------------------------------------- shadows

    def shadow(self, v: Value) -> Value:
        """The shadow of an old value; a fresh one for a value that nothing active reaches."""
        return self.shadows[v] if v in self.shadows else self.mark(fresh(self.builder, self.value(v)))

    def mark(self, shadow: Value) -> Value:
        self.shadow_values.add(shadow)
        return shadow

    def give_shadows(self, values: Sequence[Value]) -> None:
        """Make the shadows of active memory where the memory is made."""
        for v in values:
            if v in self.activity and self.memory.is_memory(v) and v not in self.shadows:
                made = v.node is not None and v.node.op is p.array.empty
                self.shadows[v] = self.mark(fresh(self.builder, self.value(v), filled=not made))

    def shadowed(self, old: Sequence[Value], new: Sequence[Value]) -> None:
        """Let `new` be the shadows of `old`."""
        for v, shadow in zip(old, new, strict=True):
            self.shadows[v] = self.mark(shadow)

    # ------------------------------------------------------------------------------------------- nodes

    def halves(self, node: Node) -> Halves:
        """The two halves of an active node."""
        if node in self.reversal.undone:
            return undoing(self, node, self._halves(node) if self._carries(node) else None)
        return self._halves(node)

    def _halves(self, node: Node) -> Halves:
        op = node.op
        if op.effect.control:
            return CONTROL[op](self, node)
        if op in records.HALVES or records.carries_records(node):
            return records.halves(self, node)
        if op.effect.view is not None and self.memory.is_memory(node.result):
            return self._handle(node)
        if op in MEMORY and self.memory.is_memory(node.operands[0]):
            return self._memory(node)
        if op in RULES and (op.effect.view is None or is_whole(node)):
            return self._rule(node)
        if op in PARTS:
            return self._part(node)
        raise no_derivative(node)

    def _handle(self, node: Node) -> Halves:
        """A view: the shadow of the view is the view of the shadow."""
        super().node(node)
        others = self.values(node.operands[1:])
        self.shadowed(node.results, self.builder.emit(
            node.op, self.shadows[node.operands[0]], *others, **self.attrs(node.attrs)))
        yield

    def _part(self, node: Node) -> Halves:
        """A part of a value is read: the cotangent is added to that part."""
        self.plain(node)
        place = self.values(node.operands[1:])
        bar = yield
        d = bar.take(node.result)
        if d is not None:
            bar.add_part(node.operands[0], d, node, place, self.attrs(node.attrs))

    def _memory(self, node: Node) -> Halves:
        """Run the rule of an operation on memory."""
        a, *rest = node.operands
        steps, primal = self._start(node, MEMORY[node.op], rest, Rep(self.shadows[a]), Rep(self.value(a)))
        if node.results:
            self.bind(node.results, (self._result(node.result, primal.value),))
            if node in self.reversal.again:
                self._again(node)
            elif node.attrs.get("residual") or self.memory.steady(a):
                self.repeatable.add(primal.value)
        bar = yield
        dz = bar.take(node.result) if node.results else None
        if node.results and dz is None:
            return
        self._resume(node, steps, None if dz is None else Rep(dz), rest, bar)

    def _rule(self, node: Node) -> Halves:
        """Run the rule of an operation on values."""
        rule = rule_of(node.op, [v.type for v in node.operands])
        assert rule is not None
        steps, primal = self._start(node, rule, node.operands)
        made = primal if isinstance(primal, tuple) else (primal,)
        self.bind(node.results, tuple(self._result(v, x.value) for v, x in zip(node.results, made, strict=True)))
        bar = yield
        found = [None if (d := bar.take(v)) is None else Rep(d) for v in node.results]
        if any(d is not None for d in found):
            self._resume(node, steps, tuple(found) if isinstance(primal, tuple) else found[0], node.operands, bar)

    def _start(self, node: Node, rule: Rule, operands: Sequence[Value], *first: Rep) -> tuple[Steps, Any]:
        """Run a rule's forward half on operands whose contents stay; give the primal, a tuple where it has several results."""
        copies = len(self.snapshots)
        copied = {v: self.value(v) if (node, v) in self.reversal.in_place else self.steady_copy(v)
                  for v in dict.fromkeys(operands)}  # of `x * x` one copy
        steady = [Rep(copied[v]) for v in operands]
        before = len(self.builder.block.nodes)
        attrs = self.attrs(node.attrs)
        fast = attrs.pop("fast", False)
        steps = rule(*first, *steady, **attrs)
        primal = start(steps, node.op.name, node.span)
        if fast and isinstance(primal, Rep) and any(isinstance(v.type, ArrayType) for v in operands):
            # numbers may share their node with strict arithmetic of the user's: they stay strict
            assert primal.value.node is not None
            primal.value.node.attrs["fast"] = True
        mine = frozenset(self.builder.block.nodes[before:])
        if any((node, v) in self.reversal.in_place for v in operands):
            self.shadow_values.update(v for made in mine if made.op.effect.view is not None for v in made.results)
        elif not first and all(made.op.effect.pure and not made.blocks for made in mine):
            self.repeatable.update(v for made in mine for v in made.results)
        self.snapshots[copies:] = [(made, mine) for made, _ in self.snapshots[copies:]]
        return steps, primal

    def _resume(self, node: Node, steps: Steps, dz: Any, operands: Sequence[Value], bar: Cotangents) -> None:
        """Run a rule's backward half, and hand out what it gives."""
        found = resume(steps, dz, len(operands), node.op.name, node.span)
        for v, d in zip(operands, found, strict=True):
            bar.add(v, None if d is None else d.value)

    def steady_copy(self, v: Value) -> Value:
        """The operand of a rule: a copy of an array whose contents may differ when the backward half runs."""
        new = self.value(v)
        if not isinstance(v.type, ArrayType) or self.memory.steady(v):
            return new
        copied = self.builder.emit1(p.array.copy, new)
        self.snapshots.append((copied, frozenset()))
        return copied

    def _result(self, v: Value, new: Value) -> Value:
        """What a rule gave, as the program's value: a copy, if the program will write to it."""
        if not isinstance(v.type, ArrayType) or self.memory.steady(v):
            return new
        copied = self.builder.emit1(p.array.copy, new)
        assert copied.node is not None
        self.snapshots.append((new, frozenset([copied.node])))
        return copied

    def drop_snapshots(self, *functions: Function, crossing: Collection[Value] = ()) -> None:
        """Undo the copies that no backward half reads. One does read those that are `crossing` as results of a function."""
        users: dict[Value, set[Node]] = {}
        places: dict[Node, Block] = {}
        blocks: list[Block] = []
        for function in functions:
            _index(function.body, users, places, blocks)
        for copied, anyway in reversed(self.snapshots):
            if copied not in crossing:
                self._drop(copied, anyway, users, places, blocks)

    def _drop(self, copied: Value, anyway: frozenset[Node], users: dict[Value, set[Node]], places: dict[Node, Block],
              blocks: Sequence[Block]) -> None:
        mine = users.get(copied, set())
        (made,) = (copied.node,) if copied.node is not None else (None,)
        if made is None or not mine <= anyway:
            return
        if made.op is p.array.copy and made not in anyway:
            source, gone = made.operands[0], made
            replaced = copied
        else:  # a result that was copied for the program: let the program have the result itself
            (gone,) = anyway
            source, replaced = copied, gone.result
        for user in users.get(replaced, set()):
            user.operands = tuple(source if v is replaced else v for v in user.operands)
            users.setdefault(source, set()).add(user)
        for block in blocks:
            if replaced in block.results:
                block.results = tuple(source if v is replaced else v for v in block.results)
        users.get(source, set()).discard(gone)
        places[gone].nodes.remove(gone)


def _index(block: Block, users: dict[Value, set[Node]], places: dict[Node, Block], blocks: list[Block]) -> None:
    blocks.append(block)
    for node in block.nodes:
        places[node] = block
        for v in node.operands:
            users.setdefault(v, set()).add(node)
        for inner in node.blocks:
            _index(inner, users, places, blocks)
