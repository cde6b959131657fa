"""The cotangents of a backward block while it is being filled, and the frames it resumes."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.errors import Span
from lms.core.ir import Node, Value
from lms.core.types import ArrayType, Scalar

from .shadows import fresh, zeros

if TYPE_CHECKING:
    from .sweep import Sweep

Halves = Generator[None, "Cotangents", None]


class Frame(NamedTuple):
    """A node whose forward half has run, and what runs its backward half."""

    halves: Halves
    span: Span | None


class Cotangents:
    """The cotangents known so far in a backward block, by the values of the function that is differentiated.

    No entry is zero. Those of memory are in shadows. Those in `mine` are arrays made here, and are added to in place.
    """

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.terms: dict[Value, Value] = {}
        self.mine: set[Value] = set()

    def add(self, v: Value, d: Value | None) -> None:
        """One more contribution to the cotangent of `v`."""
        s = self.sweep
        if d is None or v not in s.activity:
            return
        if s.memory.is_memory(v):
            s.builder.emit(p.array.add_into, s.shadows[v], d, fast=True)
        elif v in self.mine:
            s.builder.emit(p.array.add_into, self.terms[v], d, fast=True)
        elif v in self.terms:
            self.terms[v] = s.builder.emit1(p.scalar.add, self.terms[v], d, fast=True)
        else:
            self.terms[v] = d

    def add_part(self, v: Value, d: Value, part: Node, place: Sequence[Value], attrs: dict[str, Any]) -> None:
        """A contribution to a part of `v`, which `part` has read: the view or the element at `place`."""
        s = self.sweep
        if v not in s.activity:
            return
        b, like = s.builder, s.value(v)
        if v not in self.terms and part.op is p.array.view and (padded := _padded(b, d, like, place, attrs["spec"])) is not None:
            self.terms[v] = padded
            self.mine.add(v)
            return
        if v not in self.mine:
            self.terms[v] = b.emit1(p.array.copy, self.terms[v]) if v in self.terms else zeros(b, like)
            self.mine.add(v)
        if part.op is p.array.view:
            b.emit(p.array.add_into, b.emit1(p.array.view, self.terms[v], *place, **attrs), d, fast=True)
        else:
            b.emit(p.array.accumulate, self.terms[v], d, *place, fast=True)

    def take(self, v: Value) -> Value | None:
        """The whole cotangent of `v`, where it is made: no use of it is left. None is zero."""
        if v not in self.sweep.activity:
            return None
        self.mine.discard(v)
        return self.sweep.shadows[v] if self.sweep.memory.is_memory(v) else self.terms.pop(v, None)

    def get(self, v: Value) -> Value:
        """The cotangent of a value outside memory, a zero made here if there is none."""
        return self.terms[v] if v in self.terms else zero(self.sweep.builder, self.sweep.value(v))


def zero(b: Builder, like: Value) -> Value:
    """A zero cotangent."""
    return b.const(0.0, like.type) if isinstance(like.type, Scalar) else fresh(b, like)


def _padded(b: Builder, d: Value, like: Value, place: Sequence[Value], spec: Sequence[Any]) -> Value | None:
    """A part in its place in the shape of `like`, with zeros around it; None where that is not a row of three pieces."""
    t = like.type
    assert isinstance(t, ArrayType)
    dtype = t.dtype
    assert isinstance(dtype, Scalar)
    cut = [k for k, entry in enumerate(spec) if entry[0] != "all"]
    if len(cut) != 1 or spec[cut[0]] != ("slice", 1):
        return None
    (axis,), (start, size) = cut, place
    after = b.emit1(p.scalar.sub, b.emit1(p.scalar.sub, b.dim(like, axis), start), size)
    dims = b.dims(like)

    def nothing(n: Value) -> Value:
        sizes = [*dims[:axis], n, *dims[axis + 1:]]
        shape = (*t.dims[:axis], b.size_of(n), *t.dims[axis + 1:])
        return b.emit1(p.array.broadcast, b.const(0.0, dtype), *sizes, dims=shape, axes=())

    return b.emit1(p.array.concatenate, nothing(start), d, nothing(after), axis=axis, dims=t.dims)
