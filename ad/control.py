"""Control in two halves: each generator emits the forward node, yields, and emits the backward node.

Both halves of a block are built before the rest of the program is: the cotangents that a backward block starts from are
its parameters. The pair is closed at once (`residuals`); names that lead further out wait for the pair around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Block, Node, Value, free_values, substitute, walk
from lms.core.types import ArrayType, Type, i64

from .cotangents import Cotangents, Frame, Halves, zero
from .residuals.chains import Region, around, hand_on, inside, leave_with, state_types
from .residuals.closing import Crossing
from .residuals.keepers import ForKeeper, WhileKeeper
from .residuals.places import box, box_type, needs_box, stand_in, unbox
from .shadows import shadow_type

if TYPE_CHECKING:
    from .sweep import Sweep

_s, _a = p.scalar, p.array


def touches_memory(block: Block) -> bool:
    """Whether a backward block may read or change shadows: it matters then even if it starts from zero cotangents."""
    return any(n.op is p.control.call or (any(isinstance(v.type, ArrayType) for v in n.operands) and not n.attrs.get("residual"))
               for n in walk(block))


def outside(s: Sweep, *blocks: Block) -> list[Value]:
    """The active numbers that blocks use and do not make."""
    return [v for v in free_values(*blocks) if v in s.activity and not s.memory.is_memory(v)]


def split(s: Sweep, values: Sequence[Value]) -> tuple[list[int], list[int]]:
    """The positions of active values whose cotangents flow, and of active memory, whose shadows travel."""
    active = [k for k, v in enumerate(values) if v in s.activity]
    handles = [k for k in active if s.memory.is_memory(values[k])]
    return [k for k in active if k not in handles], handles


# ------------------------------------------------------------------------------------------------- loops


class Loop(NamedTuple):
    """What a loop's halves agree on: cotangents flow for results `flows`, shadows travel for `handles`."""

    node: Node
    body: Block
    params: tuple[Value, ...]  # the body's parameters that are carried
    flows: list[int]
    handles: list[int]
    free: list[Value]

    def carried_types(self, s: Sweep) -> list[Type]:
        return [*(s.type(v.type) for v in self.params), *(shadow_type(s.type(self.params[k].type)) for k in self.handles)]

    def names(self) -> list[str]:
        return [*(v.name for v in self.params), *(f"d{self.params[k].name}" for k in self.handles)]

    def result_types(self, s: Sweep) -> list[Type]:
        types = [s.type(t) for t in self.node.attrs["types"]]
        return [*types, *(shadow_type(types[k]) for k in self.handles)]

    def backward_types(self, s: Sweep) -> list[Type]:
        return [*(s.type(self.params[k].type) for k in self.flows), *(s.type(v.type) for v in self.free)]

    def initial(self, s: Sweep, first: int) -> list[Value]:
        inits = self.node.operands[first:]
        return [*s.values(inits), *(s.shadow(inits[k]) for k in self.handles)]


def loop_of(s: Sweep, node: Node, skip: int) -> Loop:
    body = node.blocks[-1]
    flows, handles = split(s, body.params[skip:])
    return Loop(node, body, body.params[skip:], flows, handles, outside(s, body))


def forward_body(s: Sweep, loop: Loop, block: Block, first: int) -> list[Frame]:
    """Fill the forward block of a loop, whose carried values begin at parameter `first`."""
    n = len(loop.params)
    s.bind(loop.params, block.params[first : first + n])
    s.shadowed([loop.params[k] for k in loop.handles], block.params[first + n : first + n + len(loop.handles)])
    frames = s.forward(loop.body)
    results = loop.body.results
    block.results = (*s.values(results), *(s.shadow(results[k]) for k in loop.handles))
    return frames


def backward_body(s: Sweep, loop: Loop, block: Block, frames: Sequence[Frame]) -> None:
    """Fill the backward block of a loop: parameters and results are the cotangents of `flows`, then those of `free`."""
    n = len(loop.flows)
    given = block.params[-(n + len(loop.free)):] if n + len(loop.free) else ()
    bar = Cotangents(s)
    bar.terms.update(zip(loop.free, given[n:], strict=True))
    for k, d in zip(loop.flows, given[:n], strict=True):
        bar.add(loop.body.results[k], d)
    s.backward(frames, bar)
    block.results = (*(bar.get(loop.params[k]) for k in loop.flows), *(bar.terms[v] for v in loop.free))


def bind_results(s: Sweep, loop: Loop, new: Sequence[Value]) -> None:
    n = len(loop.params)
    s.bind(loop.node.results, new[:n])
    s.shadowed([loop.node.results[k] for k in loop.handles], new[n : n + len(loop.handles)])


def run_backward(s: Sweep, loop: Loop, block: Block, bar: Cotangents, bounds: Sequence[Value], inits: Sequence[Value]) -> None:
    """Emit the reversed loop, and hand out the cotangents it ends with."""
    found = [bar.take(loop.node.results[k]) for k in loop.flows]
    if all(d is None for d in found) and not touches_memory(block):
        return
    b = s.builder
    ds = [zero(b, s.value(loop.node.results[k])) if d is None else d for k, d in zip(loop.flows, found, strict=True)]
    operands = [*ds, *(bar.get(v) for v in loop.free)]
    out = b.emit(p.control.for_, *bounds, *operands, blocks=[block], types=tuple(v.type for v in operands))
    bar.terms.update(zip(loop.free, out[len(ds):], strict=True))
    for k, d in zip(loop.flows, out, strict=False):
        bar.add(inits[k], d)


def trips(b: Builder, start: Value, stop: Value, step: Value) -> Value:
    """How often a `for` runs."""
    by = step.number
    distance = b.emit1(_s.sub, stop, start) if by > 0 else b.emit1(_s.sub, start, stop)
    if abs(by) != 1:
        rounded = b.emit1(_s.add, distance, b.const(abs(by) - 1))
        distance = b.emit1(_s.floordiv, rounded, b.const(abs(by)))
    return b.emit1(_s.maximum, distance, b.const(0))


def for_(s: Sweep, node: Node) -> Halves:
    """A loop and the same loop backwards. Residuals are arrays, indexed by the iteration."""
    b, loop = s.builder, loop_of(s, node, 1)
    start, stop, step = s.values(node.operands[:3])
    types = loop.result_types(s)
    with (b.reify([i64, *loop.carried_types(s)], [loop.body.params[0].name, *loop.names()]) as forward,
          inside(s, forward, "for") as region):
        s.env[loop.body.params[0]] = forward.params[0]
        frames = forward_body(s, loop, forward, 1)
    b.provisional.add(forward)
    with b.on("backward"), b.reify([i64, *loop.backward_types(s)], [loop.body.params[0].name]) as backward:
        backward_body(s, loop, backward, frames)
    b.provisional.discard(forward)
    crossing = Crossing(s, forward, backward, {forward.params[0]: backward.params[0], **region.arrays()})
    keeper = ForKeeper(crossing, start, step, trips(b, start, stop, step) if crossing.saved else None)
    passing = region.passing
    leave_with(forward, passing)
    before = around(s.region, passing)
    new = b.emit(p.control.for_, start, stop, step, *loop.initial(s, 3), *chain.from_iterable(before), blocks=[forward],
                 types=(*types, *state_types(passing)))
    crossing.env.update(hand_on(s.region, passing, before, new[len(types):]))
    crossing.close(keeper.loads)
    bind_results(s, loop, new)
    bar = yield
    last = b.emit1(_s.sub, trips(b, start, stop, step), b.const(1))
    bounds = (b.emit1(_s.add, start, b.emit1(_s.mul, last, step)), b.emit1(_s.sub, start, step), b.const(-step.number))
    run_backward(s, loop, backward, bar, bounds, node.operands[3:])


def while_(s: Sweep, node: Node) -> Halves:
    """A loop that counts its trips, and a `for` that runs them backwards. Residuals are rows of a chain, whose number it goes
    on counting."""
    b, loop = s.builder, loop_of(s, node, 0)
    carried, names, types = loop.carried_types(s), loop.names(), loop.result_types(s)
    with b.reify(carried, names) as condition:
        condition.results = s.run(node.blocks[0], condition.params[: len(loop.params)])
    with b.reify(carried, names) as forward, inside(s, forward, "while") as region:
        frames = forward_body(s, loop, forward, 0)
    count = Value(i64, "trips", block=forward)
    forward.params = (*forward.params, count)
    b.provisional.add(forward)
    with b.on("backward"), b.reify([i64, *loop.backward_types(s)]) as backward:
        backward_body(s, loop, backward, frames)
    b.provisional.discard(forward)
    crossing = Crossing(s, forward, backward, {count: backward.params[0], **region.arrays()})
    keeper = WhileKeeper(crossing, count)
    passing = [*region.passing, keeper.passing]
    leave_with(forward, passing)
    condition.params = (*condition.params, *(Value(t, block=condition) for t in state_types(passing)))
    before = around(s.region, passing)
    new = b.emit(p.control.while_, *loop.initial(s, 0), *chain.from_iterable(before), blocks=[condition, forward],
                 types=(*types, *state_types(passing)))
    crossing.env.update(hand_on(s.region, passing, before, new[len(types):]))
    own = new[len(new) - len(before[-1]):]
    crossing.close(lambda: keeper.loads(own, backward.params[0]))
    bind_results(s, loop, new)
    bar = yield
    bounds = b.emit1(_s.sub, own[0], b.const(1)), b.emit1(_s.sub, before[-1][0], b.const(1)), b.const(-1)
    run_backward(s, loop, backward, bar, bounds, node.operands)


# ---------------------------------------------------------------------------------------------- branches


class Side(NamedTuple):
    """One branch in both halves, while the pair is open."""

    forward: Block
    backward: Block
    bar: Cotangents
    region: Region


def _side(s: Sweep, block: Block, flows: Sequence[int], handles: Sequence[int], ds: Sequence[Value]) -> Side:
    """Both halves of a branch; `ds` are the cotangents of its results `flows`."""
    b = s.builder
    with b.reify() as forward, inside(s, forward) as region:
        frames = s.forward(block)
        forward.results = (*s.values(block.results), *(s.shadow(block.results[k]) for k in handles))
    b.provisional.add(forward)
    with b.on("backward"), b.reify() as backward:
        bar = Cotangents(s)
        for k, d in zip(flows, ds, strict=True):
            bar.add(block.results[k], d)
        s.backward(frames, bar)
    b.provisional.discard(forward)
    return Side(forward, backward, bar, region)


def if_(s: Sweep, node: Node) -> Halves:
    """A branch, and a branch on the same condition. Residuals are further results; the other side gives a stand-in."""
    b = s.builder
    flows, handles = split(s, node.results)
    free = outside(s, *node.blocks)
    condition = s.value(node.operands[0])
    # cotangents of the results are known when the backward half is emitted; until then they have stand-ins
    later = Block(tuple(Value(s.type(node.results[k].type)) for k in flows))
    b.provisional.add(later)
    sides = [_side(s, block, flows, handles, later.params) for block in node.blocks]
    b.provisional.discard(later)
    reached = [v for v in free if any(v in side.bar.terms for side in sides)]
    for side in sides:
        with b.on("backward"), b.into(side.backward):
            side.backward.results = tuple(side.bar.get(v) for v in reached)
    crossings = [Crossing(s, side.forward, side.backward, side.region.arrays()) for side in sides]
    kept = _keep_results(b, crossings)
    passing = [each for side in sides for each in side.region.passing]
    for side in sides:
        leave_with(side.forward, [each if each in side.region.passing else each.unused() for each in passing])
    types = [s.type(t) for t in node.attrs["types"]]
    types += [shadow_type(types[k]) for k in handles]
    new = b.emit(p.control.if_, condition, blocks=[side.forward for side in sides],
                 types=(*types, *kept, *state_types(passing)), names=[v.name for v in node.results])
    seen = hand_on(s.region, passing, [each.entry for each in passing], new[len(types) + len(kept):])
    for crossing in crossings:
        crossing.env.update(seen)
    _close_results(b, crossings, new[len(types) : len(types) + len(kept)])
    s.bind(node.results, new[: len(node.results)])
    s.shadowed([node.results[k] for k in handles], new[len(node.results) : len(types)])
    bar = yield
    found = [bar.take(node.results[k]) for k in flows]
    blocks = [side.backward for side in sides]
    if all(d is None for d in found) and not any(map(touches_memory, blocks)):
        return
    ds = [zero(b, s.value(node.results[k])) if d is None else d for k, d in zip(flows, found, strict=True)]
    for block in blocks:
        substitute(block, dict(zip(later.params, ds, strict=True)))
    out = b.emit(p.control.if_, condition, blocks=blocks, types=tuple(s.type(v.type) for v in reached))
    for v, d in zip(reached, out, strict=True):
        bar.add(v, d)


def _keep_results(b: Builder, crossings: Sequence[Crossing]) -> list[Type]:
    """Make the residuals of each branch results of the forward branch; arrays and records in boxes. Their types."""
    types: list[Type] = []
    for mine in crossings:
        for other in crossings:
            with b.into(other.forward):
                extra = [(box(b, v) if needs_box(v.type) else v) if other is mine else stand_in(b, v.type)
                         for v in mine.saved]
            other.forward.results = (*other.forward.results, *extra)
        types += [box_type(v.type) if needs_box(v.type) else v.type for v in mine.saved]
    return types


def _close_results(b: Builder, crossings: Sequence[Crossing], kept: Sequence[Value]) -> None:
    for crossing in crossings:
        mine, kept = kept[: len(crossing.saved)], kept[len(crossing.saved):]
        crossing.close(lambda mine=mine, crossing=crossing: [  # type: ignore[misc]  # bound now, of the types above
            unbox(b, r, v) if needs_box(v.type) else r for v, r in zip(crossing.saved, mine, strict=True)])
