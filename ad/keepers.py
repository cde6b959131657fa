"""Where loops keep residuals: arrays indexed by the iteration, sized before a `for`, growing in a `while`."""

from __future__ import annotations

from collections.abc import Sequence

from lms.core import primitives as p
from lms.core.ir import Block, Value
from lms.core.types import ArrayType, Scalar, SumType, Type, fresh_symbol

from .residuals import Crossing, box, box_type, known_sizes, prologue, residual, slot, unbox

_s, _a = p.scalar, p.array
FIRST_CAPACITY = 8


class ForKeeper:
    """Residuals of a `for`: one array for each saved value, an element for each iteration.

    An array that the body makes with a size known before the loop becomes a slice of one that is made there; one whose
    contents are needed is copied into a slice; what is left is kept by handle.
    """

    def __init__(self, crossing: Crossing, start: Value, step: Value, trips: Value | None) -> None:
        self.crossing, self.b = crossing, crossing.sweep.builder
        self.start, self.step, self.trips = start, step, trips
        self._loads: list[tuple[Value, Value, str]] = []  # array, what it holds, how
        if trips is not None:
            self._number = self._iteration(crossing.forward)
            self._loads = [self._keep(v) for v in crossing.saved]

    def _iteration(self, block: Block) -> Value:
        """The number of the iteration, counted from zero, at the front of a block."""
        with prologue(self.b, block):
            return self._count(block.params[0])

    def _count(self, index: Value) -> Value:
        assert self.step.node is not None
        by = int(self.step.node.attrs["value"])
        distance = self.b.emit1(_s.sub, index, self.start) if by > 0 else self.b.emit1(_s.sub, self.start, index)
        return distance if abs(by) == 1 else self.b.emit1(_s.floordiv, distance, self.b.const(abs(by)))

    def _keep(self, v: Value) -> tuple[Value, Value, str]:
        assert self.trips is not None
        t = v.type
        if isinstance(t, Scalar | SumType):
            return self._store(v, residual(self.b, t, self.trips)), v, "element"
        assert isinstance(t, ArrayType)
        whole = self._allocate_before(v) or self._copy(v)
        if whole is not None:
            return whole, v, "slot"
        with self.b.into(self.crossing.forward):
            boxed = box(self.b, v)
        return self._store(boxed, residual(self.b, box_type(t), self.trips)), v, "box"

    def _store(self, v: Value, whole: Value) -> Value:
        with self.b.into(self.crossing.forward):
            self.b.emit(_a.store, whole, v, self._number, residual=True)
        return whole

    def _allocate_before(self, v: Value) -> Value | None:
        """Move an allocation out of the loop: the array is a slice of one that holds those of all iterations."""
        node, t = v.node, v.type
        assert isinstance(t, ArrayType) and self.trips is not None
        if node is None or not (node.op is _a.empty or (node.op is _a.broadcast and not node.attrs["axes"])):
            return None
        filled = node.operands[:1] if node.op is _a.broadcast else ()
        if filled and (filled[0].node is None or filled[0].node.op is not _a.const):
            return None
        found = [self.crossing.invariant(n) for n in node.operands[len(filled):]]
        sizes = [n for n in found if n is not None]
        if len(sizes) != len(found):
            return None
        b = self.b
        dims = (b.size_of(self.trips), *t.dims)
        constant = [b.const(n.node.attrs["value"], n.node.attrs["type"]) for n in filled if n.node is not None]
        whole = b.emit1(node.op, *constant, self.trips, *sizes, **{**node.attrs, "dims": dims})
        node.op, node.operands = _a.view, (whole, self._number)
        node.attrs = {"spec": (("at",), *[("all",)] * t.rank), "dims": t.dims}
        return whole

    def _copy(self, v: Value) -> Value | None:
        t = v.type
        assert isinstance(t, ArrayType) and self.trips is not None
        if v in self.crossing.sweep.shadow_values or not isinstance(t.dtype, Scalar):
            return None
        sizes = known_sizes(self.b, t)
        if sizes is None:
            return None
        whole = residual(self.b, t.dtype, self.trips, *sizes, dims=(self.b.size_of(self.trips), *t.dims))
        with self.b.into(self.crossing.forward):
            self.b.emit(_a.assign, slot(self.b, whole, self._number), v, residual=True)
        return whole

    def loads(self) -> list[Value]:
        """The saved values of one iteration, in the backward block."""
        if not self._loads:
            return []
        b = self.b
        k = self._count(self.crossing.backward.params[0])
        out = []
        for whole, v, how in self._loads:
            if how == "slot":
                out.append(slot(b, whole, k))
            else:
                loaded = b.emit1(_a.load, whole, k, name=v.name, residual=True)
                out.append(unbox(b, loaded, v) if how == "box" else loaded)
        return out


class WhileKeeper:
    """Residuals of a `while`: arrays that the loop carries, and replaces by ones twice as long when they are full."""

    def __init__(self, crossing: Crossing, count: Value, condition: Block) -> None:
        self.crossing, self.b = crossing, crossing.sweep.builder
        b, forward, size = self.b, crossing.forward, fresh_symbol("room")
        with b.into(forward):
            kept = [box(b, v) if isinstance(v.type, ArrayType) else v for v in crossing.saved]
        self.elements = [v.type for v in kept]
        if not kept:
            return
        for block in (condition, forward):
            more = tuple(Value(ArrayType(t, (size,)), block=block) for t in self.elements)  # type: ignore[arg-type]  # boxed
            block.params = (*block.params, *more)
        arrays = forward.params[-len(kept):]
        with b.into(forward):
            roomy = self._grown(arrays, count)
            for array, v in zip(roomy, kept, strict=True):
                b.emit(_a.store, array, v, count, residual=True)
        forward.results = (*forward.results, *roomy)

    def _grown(self, arrays: Sequence[Value], count: Value) -> tuple[Value, ...]:
        b = self.b
        room = b.emit1(_a.dim, arrays[0], axis=0)
        size = fresh_symbol("room")
        with b.reify() as larger:
            twice = b.emit1(_s.mul, room, b.const(2))
            larger.results = tuple(b.emit1(_a.grow, a, twice, dims=(size,)) for a in arrays)
        with b.reify() as same:
            same.results = tuple(arrays)
        full = b.emit1(_s.eq, count, room)
        return b.emit(p.control.if_, full, blocks=[larger, same], types=self.types())

    def types(self) -> tuple[Type, ...]:
        """The arrays, of a size with a name of its own."""
        size = fresh_symbol("room")
        return tuple(ArrayType(t, (size,)) for t in self.elements)  # type: ignore[arg-type]  # boxed

    def initial(self) -> list[Value]:
        """The arrays before the first iteration."""
        return [residual(self.b, t, self.b.const(FIRST_CAPACITY)) for t in self.elements]  # type: ignore[arg-type]  # boxed

    def loads(self, arrays: Sequence[Value], k: Value) -> list[Value]:
        """The saved values of iteration `k`, in the backward block."""
        b = self.b
        out = []
        for array, v in zip(arrays, self.crossing.saved, strict=True):
            loaded = b.emit1(_a.load, array, k, name=v.name, residual=True)
            out.append(unbox(b, loaded, v) if isinstance(v.type, ArrayType) else loaded)
        return out

