"""Where loops keep residuals: arrays indexed by the iteration, sized before a `for`, chains in a `while`."""

from __future__ import annotations

from collections.abc import Sequence

from lms.core import primitives as p
from lms.core.ir import Block, Value
from lms.core.types import ArrayType, Scalar, Size, SumType, Type, element

from .chains import Chain, Passing, State, with_room
from .closing import Crossing, known_sizes, prologue
from .places import box, slot, unbox

_s, _a = p.scalar, p.array


class ForKeeper:
    """Residuals of a `for`: one array for each saved value, an element for each iteration.

    An array that the body makes with a size known before the loop becomes a slice of one that is made there; one whose
    contents are needed is copied into a slice; what is left is kept by handle.
    """

    def __init__(self, crossing: Crossing, start: Value, step: Value, trips: Value | None) -> None:
        self.crossing, self.b = crossing, crossing.sweep.builder
        self.start, self.step, self.trips = start, step, trips
        self._kept: dict[Value, tuple[Value, str]] = {}  # the array for each saved value, and how it stands there
        if trips is not None:
            self._number = self._iteration(crossing.forward)
            for v in crossing.saved:
                if isinstance(v.type, ArrayType) and (whole := self._allocate_before(v) or self._copy(v)) is not None:
                    self._kept[v] = whole, "slot"
            self._store([v for v in crossing.saved if v not in self._kept])

    def _iteration(self, block: Block) -> Value:
        """The number of the iteration, counted from zero, at the front of a block."""
        with prologue(self.b, block):
            return self._count(block.params[0])

    def _count(self, index: Value) -> Value:
        by = self.step.number
        distance = self.b.emit1(_s.sub, index, self.start) if by > 0 else self.b.emit1(_s.sub, self.start, index)
        return distance if abs(by) == 1 else self.b.emit1(_s.floordiv, distance, self.b.const(abs(by)))

    def _store(self, values: Sequence[Value]) -> None:
        """Keep values as elements of arrays; arrays by handle."""
        if not values:
            return
        b = self.b
        with b.into(self.crossing.forward):
            kept = [box(b, v) if isinstance(v.type, ArrayType) else v for v in values]
        arrays = self._allocate([v.type for v in kept])
        with b.into(self.crossing.forward):
            for whole, v, element in zip(arrays, values, kept, strict=True):
                b.emit(_a.store, whole, element, self._number, residual=True)
                self._kept[v] = whole, "element" if v is element else "box"

    def _allocate(self, types: Sequence[Type], sizes: Sequence[Value] = (), dims: tuple[Size, ...] = ()) -> list[Value]:
        """Arrays with an element, or an array of these sizes, for each iteration."""
        assert self.trips is not None
        elements = [t for t in types if isinstance(t, Scalar | SumType)]
        return self.crossing.sweep.region.allocate(elements, [self.trips, *sizes], (self.b.size_of(self.trips), *dims))

    def _allocate_before(self, v: Value) -> Value | None:
        """Move an allocation out of the loop: the array is a slice of one that holds those of all iterations."""
        node, t = v.node, v.type
        assert isinstance(t, ArrayType) and self.trips is not None
        if node is None or not (node.op is _a.empty or (node.op is _a.broadcast and not node.attrs["axes"])):
            return None
        filled = node.operands[:1] if node.op is _a.broadcast else ()
        if filled and filled[0].number is None:
            return None
        kept = bool(node.attrs.get("residual"))
        found = [self.crossing.invariant(n, sizes=kept) for n in node.operands[len(filled):]]
        sizes = [n for n in found if n is not None]
        if len(sizes) != len(found):
            return None
        if kept:
            (whole,) = self._allocate([t.dtype], sizes, t.dims)
        else:
            b = self.b
            dims = (b.size_of(self.trips), *t.dims)
            constant = [b.const(n.number, element(n.type)) for n in filled]
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
        (whole,) = self._allocate([t.dtype], sizes, t.dims)
        with self.b.into(self.crossing.forward):
            self.b.emit(_a.assign, slot(self.b, whole, self._number), v, residual=True)
        return whole

    def loads(self) -> list[Value]:
        """The saved values of one iteration, in the backward block."""
        if not self._kept:
            return []
        b = self.b
        k = self._count(self.crossing.backward.params[0])
        out = []
        for v in self.crossing.saved:
            whole, how = self._kept[v]
            if how == "slot":
                out.append(slot(b, whole, k))
            else:
                loaded = b.emit1(_a.load, whole, k, name=v.name, residual=True)
                out.append(unbox(b, loaded, v) if how == "box" else loaded)
        return out


class WhileKeeper:
    """Residuals of a `while`: a row of a chain for each trip; what has one type stands in one array."""

    def __init__(self, crossing: Crossing, count: Value) -> None:
        self.crossing, self.b = crossing, crossing.sweep.builder
        b, forward = self.b, crossing.forward
        self._places: list[tuple[int, int]] = []  # of each saved value: which array of the state, which column
        rows: dict[Type, list[Value]] = {}
        with b.into(forward):
            following = b.emit1(_s.add, count, b.const(1))
            for v in crossing.saved:
                kept = box(b, v) if isinstance(v.type, ArrayType) else v
                row = rows.setdefault(kept.type, [])
                self._places.append((1 + list(rows).index(kept.type), len(row)))
                row.append(kept)
        self.chain = Chain([t for t in rows if isinstance(t, Scalar | SumType)], [len(row) for row in rows.values()],
                           b.where())
        _, *types = self.chain.types()
        arrays = tuple(Value(t, block=forward) for t in types)
        forward.params = (*forward.params, *arrays)
        with b.into(forward):
            roomy = with_room(b, arrays, following) if rows else ()
            for array, row in zip(roomy, rows.values(), strict=True):
                for column, kept in enumerate(row):
                    b.emit(_a.store, array, kept, *self._at(array, count, column), residual=True)
        self.passing = Passing(self.chain, (count, *arrays), (following, *roomy))

    def _at(self, array: Value, row: Value, column: int) -> list[Value]:
        assert isinstance(array.type, ArrayType)
        return [row] if array.type.rank == 1 else [row, self.b.const(column)]

    def loads(self, state: State, row: Value) -> list[Value]:
        """The saved values of one trip, in the backward block."""
        b = self.b
        out = []
        for (k, column), v in zip(self._places, self.crossing.saved, strict=True):
            loaded = b.emit1(_a.load, state[k], *self._at(state[k], row, column), name=v.name, residual=True)
            out.append(unbox(b, loaded, v) if isinstance(v.type, ArrayType) else loaded)
        return out
