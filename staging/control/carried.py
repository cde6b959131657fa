"""What a loop carries: the names its body assigns, with the types of the present attempt at staging it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lms.core import primitives as p
from lms.core.errors import Span, StagingTypeError
from lms.core.ir import Block, Value, walk
from lms.core.types import ArrayType, Size, Type, c128, f64, i64

from .. import trees
from ..joins import is_weak
from .choices import Site
from .state import (
    Frame,
    Maybe,
    Plan,
    Same,
    Slot,
    Undefined,
    Variable,
    join_slots,
    one_sided,
    same,
    slot,
    stageable,
    taken,
    unlike,
    unlike_shapes,
)


class Carried:
    """The names a loop carries, with the types of the present attempt."""

    def __init__(self, site: Site, frame: Frame, hint: Mapping[str, tuple[Plan, ...]] | None = None) -> None:
        self.site = site
        self.own: set[Size] = set()  # sizes that differ from one iteration to the next
        self.entry = dict(zip(site.names, taken(frame, site.names), strict=True))
        self.variables = {name: self._enter(name, x) for name, x in self.entry.items()
                          if name not in site.exits and not isinstance(x, Undefined)}
        self.hinted = False
        for name, plans in (hint or {}).items():
            self._start_from(name, plans)

    def _start_from(self, name: str, plans: tuple[Plan, ...]) -> None:
        """Let literals start with the types they had in the end, an attempt at the loop around ago: types only grow."""
        v = self.variables.get(name)
        if v is None or len(plans) != len(v.plans):
            return
        better = tuple(new if isinstance(old, Slot) and old.weak and isinstance(new, Slot) else old
                       for old, new in zip(v.plans, plans, strict=True))
        self.hinted = self.hinted or better != v.plans
        self.variables[name] = Variable(name, v.shape, better)

    @property
    def plans(self) -> dict[str, tuple[Plan, ...]]:
        """What was found: a hint for the next attempt at the loop around."""
        return {name: v.plans for name, v in self.variables.items()}

    def _enter(self, name: str, x: Any) -> Variable:
        leaves, shape = trees.flatten(x)
        return Variable(name, shape, tuple(slot(leaf) if stageable(leaf) else Same(leaf) for leaf in leaves))

    @property
    def types(self) -> list[Type]:
        return [t for v in self.variables.values() for t in v.types]

    @property
    def labels(self) -> list[str]:
        return [v.label for v in self.variables.values() for _ in v.types]

    def inside(self, params: Sequence[Value]) -> tuple[Any, ...]:
        """The values of the names at the start of an iteration. The loop goes on, so no exit has been taken."""
        values = iter(params)
        found = {name: v.rebuild(values) for name, v in self.variables.items()}
        return tuple(False if name in self.site.exits else found.get(name, self.entry[name]) for name in self.site.names)

    def settle(self, ends: dict[str, Any], body: Block) -> bool:
        """Compare with what the names are at the end of an iteration; whether the types hold. Else they have been widened."""
        if self._sometimes_bound(ends):
            return False
        new = {name: self._widen(v, ends[name]) for name, v in self.variables.items()}
        pairs = [pair for name, old in self.variables.items() for pair in zip(old.plans, new[name].plans, strict=True)]
        moves = [(a, b) for a, b in pairs if a != b]
        self.variables = new
        # where a literal has met nothing narrower than itself, it makes no difference that it could have adapted
        return not moves or all(_same_type(a, b) for a, b in moves) and not _adapts(body)

    def _sometimes_bound(self, ends: dict[str, Any]) -> bool:
        """Carry also the names that only some iterations bind, and whether one has."""
        found = [name for name, x in ends.items() if isinstance(x, Maybe) and name not in self.variables]
        self.variables.update((name, one_sided(name, ends[name])) for name in found)
        return bool(found)

    def _widen(self, v: Variable, end: Any) -> Variable:
        places = self.site.where(v.name)
        if isinstance(end, Undefined):
            raise StagingTypeError(f"{v.name!r} is deleted, or undefined on some path, at the end of an iteration",
                                   places[1] or self.site.span, fix=f"give {v.name!r} a value on every path")
        leaves, shape = trees.flatten(v.like(end))
        if shape != v.shape:
            raise unlike_shapes(v.name, self.entry[v.name], end, places)
        written = trees.paths(shape, v.name)
        before = self.entry[v.name]
        befores = [None] * len(leaves) if isinstance(before, Undefined) else trees.flatten(v.like(before))[0]
        return Variable(v.name, shape, tuple(self._widen_leaf(*each, places) for each in zip(
            written, v.plans, befores, leaves, strict=True)))

    def _widen_leaf(self, name: str, plan: Plan, before: Any, x: Any, places: tuple[Span | None, Span | None]) -> Plan:
        if isinstance(plan, Same):
            if same(plan.object, x):
                return plan
            raise unlike(name, before, x, places)
        if not stageable(x):
            raise unlike(name, before, x, places)
        end = slot(x)
        if end == plan:
            return plan
        literal = before if is_weak(before) and plan == slot(before) else None
        joined = join_slots(name, plan, end, places, literal, x)
        if isinstance(joined.type, ArrayType) and isinstance(plan.type, ArrayType):
            return self._own_sizes(plan.type, joined.type)
        if joined.type != plan.type and literal is None and not plan.weak:
            raise StagingTypeError(f"{name!r} is {plan.type} before the loop and {end.type} after an iteration", places[1] or
                                   self.site.span, notes=(("it starts here", places[0]),) if places[0] else (),
                                   fix=f"start with a value of type {end.type}, or convert: `.astype({plan.type})`")
        return joined

    def _own_sizes(self, plan: ArrayType, joined: ArrayType) -> Slot:
        """A carried array whose size changes has a symbol for it that is the loop's own; what was widened before keeps it."""
        dims = tuple(d if d == e or d in self.own else e for d, e in zip(plan.dims, joined.dims, strict=True))
        self.own.update(e for d, e in zip(plan.dims, dims, strict=True) if d != e)
        return Slot(ArrayType(plan.dtype, dims, joined.layout))


def _same_type(a: Plan, b: Plan) -> bool:
    return isinstance(a, Slot) and isinstance(b, Slot) and a.type == b.type


def _adapts(body: Block) -> bool:
    """Whether a number is converted to a narrower type: a literal may have adapted to it."""
    return any(node.op is p.scalar.convert and node.attrs["dtype"] not in (f64, i64, c128) for node in walk(body))
