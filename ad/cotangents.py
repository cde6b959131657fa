"""The cotangents of a backward block while it is being filled, and the frames it resumes."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, NamedTuple

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.errors import Span
from lms.core.ir import Value
from lms.core.types import Scalar

from .shadows import fresh

if TYPE_CHECKING:
    from .sweep import Sweep

Halves = Generator[None, "Cotangents", None]


class Frame(NamedTuple):
    """A node whose forward half has run, and what runs its backward half."""

    halves: Halves
    span: Span | None


class Cotangents:
    """The cotangents known so far in a backward block, by the values of the function that is differentiated.

    No entry is zero. Those of memory are in shadows.
    """

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.terms: dict[Value, Value] = {}

    def add(self, v: Value, d: Value | None) -> None:
        """One more contribution to the cotangent of `v`."""
        s = self.sweep
        if d is None or v not in s.activity:
            return
        if s.memory.is_memory(v):
            s.builder.emit(p.array.add_into, s.shadows[v], d, fast=True)
        elif v in self.terms:
            self.terms[v] = s.builder.emit1(p.scalar.add, self.terms[v], d, fast=True)
        else:
            self.terms[v] = d

    def take(self, v: Value) -> Value | None:
        """The whole cotangent of `v`, where it is made: no use of it is left. None is zero."""
        if v not in self.sweep.activity:
            return None
        return self.sweep.shadows[v] if self.sweep.memory.is_memory(v) else self.terms.pop(v, None)

    def get(self, v: Value) -> Value:
        """The cotangent of a value outside memory, a zero made here if there is none."""
        return self.terms[v] if v in self.terms else zero(self.sweep.builder, self.sweep.value(v))


def zero(b: Builder, like: Value) -> Value:
    """A zero cotangent."""
    return b.const(0.0, like.type) if isinstance(like.type, Scalar) else fresh(b, like)
