"""The lanes of tangents: several directions at once, as numbers side by side and as the last axis of arrays.

With `n` lanes the tangent of a float is `n` floats, which the compiler packs into vector registers; that of an array has one
more axis, of size `n`, so that what belongs together lies together. With `n` of 0 there is one direction, and no axis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.data import dataclass
from lms.core.errors import Span, StagingError
from lms.core.ir import Value
from lms.core.types import ArrayType, Scalar, SumType, Type, element

from .tangents import Dot

_a = p.array

# Operations that are linear in the operands at these positions (all of them, where None) and take the rest as they are.
LINEAR: dict[p.Primitive, tuple[int, ...] | None] = {
    _a.broadcast: (0,), _a.copy: (0,), _a.grow: (0,), _a.reduce_sum: (0,), _a.cumsum: (0,), _a.take: (0,),
    _a.take_along: (0,), _a.concatenate: None, _a.view: (0,), _a.transpose: (0,), _a.reshape: (0,), _a.load: (0,),
    p.scalar.real: (0,), p.scalar.imag: (0,), p.scalar.conj: (0,), p.scalar.complex_: None,
    p.scalar.convert: (0,), p.scalar.neg: (0,), p.scalar.add: None, p.scalar.sub: None, p.scalar.select: (1, 2),
}
# Operations on memory: a write of a tangent beside every write. Position of the value written.
WRITES = {_a.store: 1, _a.accumulate: 1, _a.assign: 1, _a.add_into: 1, _a.put: 2, _a.add_at: 2, _a.add_along: 2}

_ALIKE = {p.scalar.select: 0, _a.take_along: 1, _a.add_along: 1}  # an operand, no tangent, that has the shape of the tangents


@dataclass(frozen=True)
class Lanes:
    """How tangents of `n` directions are computed with."""

    builder: Builder
    n: int

    # ------------------------------------------------------------------------------------ linear operations

    def linear(self, op: p.Primitive, operands: Sequence[Value], dots: Mapping[int, Dot], attrs: dict[str, Any],
               result: Type) -> Dot:
        """An operation on tangents, which stand for the operands at their positions; `result` is the type of its own result."""
        b = self.builder
        if op is _a.load and self.n and isinstance(result, Scalar):
            return tuple(b.emit1(op, dots[0][0], *operands[1:], lane, **attrs) for lane in self.numbers())
        if isinstance(result, Scalar) and all(isinstance(dot[0].type, Scalar) for dot in dots.values()):
            return tuple(b.emit1(op, *_replaced(operands, {k: dot[lane] for k, dot in dots.items()}), **attrs)
                         for lane in range(self.n or 1))
        wide, attrs = self._wider(op, _replaced(operands, {k: self.packed(dot) for k, dot in dots.items()}), attrs)
        return self.split(b.emit1(op, *wide, **attrs), result)

    def _wider(self, op: p.Primitive, operands: list[Value], attrs: dict[str, Any]) -> tuple[list[Value], dict[str, Any]]:
        """Operands and attributes of an array operation where its tangents have one more axis."""
        if not self.n or _holds_records(operands[0]):
            return operands, attrs
        if op in _ALIKE:
            operands[_ALIKE[op]] = self.stretched(operands[_ALIKE[op]])
        if op in (_a.broadcast, _a.reshape):
            operands = [*operands, self.builder.const(self.n)]
        changed: dict[str, Callable[[Any], Any]] = {
            "dims": lambda dims: (*dims, self.n), "spec": lambda spec: (*spec, ("all",)),
            "perm": lambda perm: (*perm, len(perm)),
            "axes": lambda axes: (*axes, len(attrs["dims"])) if op is _a.broadcast else axes,
        }
        return operands, {k: changed[k](v) if k in changed else v for k, v in attrs.items()}

    def contract(self, operands: Sequence[Value], at: int, dot: Dot, attrs: dict[str, Any], result: Type) -> Dot:
        """A contraction whose operand at position `at` is a tangent."""
        spec = list(attrs["spec"])
        if self.n:
            lane = next(c for c in "zyxwvutsrqponmlkjihgfedcba" if c not in "".join(spec))
            spec[at], spec[2] = spec[at] + lane, spec[2] + lane
        found = self.builder.emit1(_a.contract, *_replaced(operands, {at: dot[0]}), **{**attrs, "spec": tuple(spec)})
        return self.split(found, result)

    def write(self, op: p.Primitive, target: Value, operands: Sequence[Value], dot: Dot, attrs: dict[str, Any]) -> None:
        """A write of a tangent beside a write."""
        if self.n and isinstance(dot[0].type, Scalar):
            for lane, d in zip(self.numbers(), dot, strict=True):
                self.builder.emit(op, *_replaced(operands, {0: target, WRITES[op]: d}), lane, **attrs)
            return
        wide = _replaced(operands, {0: target, WRITES[op]: dot[0]})
        if self.n and op in _ALIKE:
            wide[_ALIKE[op]] = self.stretched(wide[_ALIKE[op]])
        self.builder.emit(op, *wide, **attrs)

    # -------------------------------------------------------------------------------------------- products

    def times(self, dot: Dot, partial: Value) -> Dot:
        """A tangent times a partial derivative, element by element."""
        if isinstance(partial.type, ArrayType):
            partial = self.stretched(partial)
        return tuple(self.builder.emit1(p.scalar.mul, d, partial) for d in dot)

    def inner(self, dot: Dot, partial: Value) -> Dot:
        """The sum over all elements of a tangent times a partial derivative."""
        product = self.times(dot, partial)
        if not isinstance(partial.type, ArrayType):
            return product
        total = self.builder.emit1(_a.reduce_sum, product[0], axes=tuple(range(partial.type.rank)), fast=True)
        return self.split(total, element(partial.type))

    def one_by_one(self, dots: Sequence[tuple[Type, Dot]], of_one: Callable[[Sequence[Value]], Sequence[Value]],
                   span: Span | None) -> list[Dot]:
        """What a function of tangents of one direction gives for each lane, side by side again."""
        if not self.n:
            return [(v,) for v in of_one([dot[0] for _, dot in dots])]
        if any(isinstance(t, SumType) for t, _ in dots):
            raise StagingError("a rule for forward mode is given records, which have one direction at a time", span,
                               fix="use `lms.jvp`, direction by direction")
        found = zip(*(of_one([self.lane(dot, k) for _, dot in dots]) for k in range(self.n)), strict=True)
        return [each if isinstance(each[0].type, Scalar) else (self.side_by_side(each),) for each in found]

    # ----------------------------------------------------------------------------------- lanes and arrays

    def numbers(self) -> list[Value]:
        """The last index of each lane."""
        return [self.builder.const(k) for k in range(self.n)]

    def stretched(self, x: Value) -> Value:
        """An array repeated along the lanes."""
        if not self.n:
            return x
        b, t = self.builder, x.type
        assert isinstance(t, ArrayType)
        sizes = (*b.dims(x), b.const(self.n))
        return b.emit1(_a.broadcast, x, *sizes, dims=(*t.dims, self.n), axes=tuple(range(t.rank)))

    def packed(self, dot: Dot) -> Value:
        """A tangent as one value: the lanes of a float as an array of them."""
        b = self.builder
        if not self.n or not isinstance(dot[0].type, Scalar):
            return dot[0]
        return b.emit1(_a.concatenate, *(b.emit1(_a.broadcast, d, b.const(1), dims=(1,), axes=()) for d in dot), axis=0,
                       dims=(self.n,))

    def split(self, v: Value, result: Type) -> Dot:
        """The tangent of a value of type `result` from one value."""
        if not self.n or not isinstance(result, Scalar):
            return (v,)
        return tuple(self.builder.emit1(_a.load, v, lane) for lane in self.numbers())

    def lane(self, dot: Dot, k: int) -> Value:
        """One direction of a tangent."""
        b, t = self.builder, dot[0].type
        if not isinstance(t, ArrayType):
            return dot[k]
        spec = (*[("all",)] * (t.rank - 1), ("at",))
        return b.emit1(_a.copy, b.emit1(_a.view, dot[0], b.const(k), spec=spec, dims=t.dims[:-1]))

    def side_by_side(self, arrays: Sequence[Value]) -> Value:
        """Arrays of one shape as one, with an axis of lanes."""
        b, t = self.builder, arrays[0].type
        assert isinstance(t, ArrayType)
        spec = (*[("all",)] * t.rank, ("at",))
        out = b.emit1(_a.empty, *b.dims(arrays[0]), b.const(self.n), dims=(*t.dims, self.n), dtype=t.dtype)
        for lane, v in zip(self.numbers(), arrays, strict=True):
            b.emit(_a.assign, b.emit1(_a.view, out, lane, spec=spec, dims=t.dims), v)
        return out


def _holds_records(x: Value) -> bool:
    """Whether an array is of records, whose lanes are in their fields."""
    return isinstance(x.type, ArrayType) and isinstance(x.type.dtype, SumType)


def _replaced(operands: Sequence[Value], by: Mapping[int, Value]) -> list[Value]:
    return [by.get(k, v) for k, v in enumerate(operands)]
