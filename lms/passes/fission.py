"""Loop fission: costly functions leave a recurrence, so that they can be vectorised.

    for i: s = s * a + exp(x[i])        # the recurrence keeps the loop scalar, and `exp` with it

becomes, a strip of iterations at a time,

    for i in strip: t[i] = exp(x[i])
    for i in strip: s = s * a + t[i]

A function leaves an innermost counted loop when what it is computed from does not depend on the iteration before, cannot
raise, and reads only memory the loop does not write. The recurrence itself keeps its order, to the bit.
"""

from __future__ import annotations

from typing import ClassVar

from lms.core import primitives as p
from lms.core.builder import Builder, Replay
from lms.core.data import dataclass
from lms.core.effects import Effects
from lms.core.ir import Block, Function, Node, Program, Value, substitute, walk
from lms.core.recurrence import innermost, vectorizes
from lms.core.types import Scalar, i64

from .rewrite import adopt, int_of, may_raise

STRIP = 256  # iterations: the strip's results stay in the first-level cache
FEW = 16     # loops that are known to be shorter stay as they are

_s = p.scalar
_MATH = frozenset((_s.pow, _s.cbrt, _s.exp, _s.exp2, _s.expm1, _s.log, _s.log2, _s.log10, _s.log1p, _s.sin, _s.cos, _s.tan,
                   _s.asin, _s.acos, _s.atan, _s.sinh, _s.cosh, _s.tanh, _s.asinh, _s.acosh, _s.atanh, _s.erf, _s.erfc,
                   _s.atan2, _s.hypot))


@dataclass(frozen=True, slots=True)
class Fission:
    """Split innermost loops that are kept scalar by a recurrence."""

    name: ClassVar[str] = "fission"

    def run(self, program: Program) -> Program:
        """The program, changed in place."""
        if any(node.op in _MATH for f in program.functions.values() for node in walk(f.body)):
            effects = Effects(program)
            for function in program.functions.values():
                fission = _Fission(program, function, effects)
                fission.block(function.body)
                substitute(function.body, fission.renamed)
        return program


class _Fission:
    def __init__(self, program: Program, function: Function, effects: Effects) -> None:
        self.effects = effects
        self.builder = Builder(program)
        self.builder.provisional.update([function.body, *(b for node in walk(function.body) for b in node.blocks)])
        self.renamed: dict[Value, Value] = {}

    def block(self, block: Block) -> None:
        nodes: list[Node] = []
        for node in block.nodes:
            for inner in node.blocks:
                self.block(inner)
            taken = self.costly(node) if innermost(node) else []
            if taken:
                made = self.split(node, taken)
                for each in made.nodes:
                    adopt(each, block)
                nodes += made.nodes
                self.renamed.update(zip(node.results, made.results, strict=True))
            else:
                nodes.append(node)
        block.nodes[:] = nodes

    # ------------------------------------------------------------------------------------- what may leave

    def costly(self, loop: Node) -> list[Node]:
        """The nodes that leave a loop; none where it is no recurrence, is short, or holds loops."""
        body = loop.blocks[0]
        start, stop, step = (int_of(v) for v in loop.operands[:3])
        short = start is not None and stop is not None and abs(stop - start) <= FEW
        if step not in (1, -1) or short or vectorizes(loop):
            return []
        changes = self.effects.of(loop).changes
        free: dict[Value, bool] = {body.params[0]: True}  # inside the body: may it be computed ahead?
        free.update(dict.fromkeys(body.params[1:], False))
        taken: list[Node] = []
        for node in body.nodes:
            ahead = (not node.blocks and node.op.effect.pure and not may_raise(node)
                     and all(isinstance(v.type, Scalar) for v in node.results)
                     and not self.effects.of(node).reads & changes and all(free.get(v, True) for v in node.operands))
            free.update(dict.fromkeys(node.results, ahead))
            if ahead and node.op in _MATH and _varies(node, body):
                taken.append(node)
        return taken

    # ------------------------------------------------------------------------------------------ splitting

    def split(self, loop: Node, taken: list[Node]) -> Block:
        """The loop as strips of two loops, in a block whose results are the loop's."""
        b, body = self.builder, loop.blocks[0]
        around = Block()
        before, b.half = b.half, loop.half
        with b.at(loop.span), b.into(around):
            start, stop, step = loop.operands[:3]
            zero, one, strip = b.const(0), b.const(1), b.const(STRIP)
            length = b.emit1(p.scalar.mul, b.emit1(p.scalar.sub, stop, start), step)
            trips = b.emit1(p.scalar.maximum, length, zero)
            held = [b.emit1(p.array.empty, strip, dims=(STRIP,), dtype=node.result.type) for node in taken]
            with b.reify([i64, *(v.type for v in body.params[1:])], ["strip", *(v.name for v in body.params[1:])]) as outer:
                first, *carried = outer.params
                rest = b.emit1(p.scalar.sub, trips, first)
                count = b.emit1(p.scalar.minimum, rest, strip)
                origin = b.emit1(p.scalar.add, start, b.emit1(p.scalar.mul, first, step))
                self.ahead(body, taken, held, origin, step, zero, count, one)
                outer.results = self.rest(loop, taken, held, origin, step, (zero, count, one), carried)
            around.results = b.emit(p.control.for_, zero, trips, strip, *loop.operands[3:], blocks=[outer],
                                    names=[v.name for v in loop.results], types=tuple(v.type for v in loop.results))
        b.half = before
        return around

    def ahead(self, body: Block, taken: list[Node], held: list[Value], origin: Value, step: Value,
              zero: Value, count: Value, one: Value) -> None:
        """The loop that computes the taken nodes and all they need."""
        b, needed = self.builder, _slice(body, taken)
        with b.reify([i64], ["k"]) as inner:
            k = inner.params[0]
            copy = Replay(b, {body.params[0]: _place(b, origin, k, step)})
            for node in body.nodes:
                if node in needed:
                    copy.node(node)
            for node, array in zip(taken, held, strict=True):
                b.emit(p.array.store, array, copy.value(node.result), k)
        b.emit(p.control.for_, zero, count, one, blocks=[inner], types=())

    def rest(self, loop: Node, taken: list[Node], held: list[Value], origin: Value, step: Value,
             bounds: tuple[Value, Value, Value], carried: list[Value]) -> tuple[Value, ...]:
        """The loop as it was, with the taken nodes' values read back."""
        b, body = self.builder, loop.blocks[0]
        with b.reify([i64, *(v.type for v in carried)], ["k", *(v.name for v in carried)]) as inner:
            k = inner.params[0]
            copy = Replay(b, dict(zip(body.params, (_place(b, origin, k, step), *inner.params[1:]), strict=True)))
            for node in body.nodes:
                if node in taken:
                    copy.env[node.result] = b.emit1(p.array.load, held[taken.index(node)], k)
                else:
                    copy.node(node)
            inner.results = copy.values(body.results)
        return b.emit(p.control.for_, *bounds, *carried, blocks=[inner], types=tuple(v.type for v in carried))


def _place(b: Builder, origin: Value, k: Value, step: Value) -> Value:
    return b.emit1(p.scalar.add, origin, k) if int_of(step) == 1 else b.emit1(p.scalar.sub, origin, k)


def _varies(node: Node, body: Block) -> bool:
    """Whether the node belongs to the loop: something it is computed from does."""
    return any(v.block is body for v in node.operands)


def _slice(body: Block, taken: list[Node]) -> set[Node]:
    """The nodes of a body that these are computed from, themselves included."""
    needed, wanted = set(taken), {v for node in taken for v in node.operands}
    for node in reversed(body.nodes):
        if any(v in wanted for v in node.results):
            needed.add(node)
            wanted.update(node.operands)
    return needed

