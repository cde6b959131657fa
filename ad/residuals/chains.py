"""Chains: residual memory whose size is known when the loops around it have run.

A `while` does not know how often it will run, nor does a loop know what its inner loops will save in all. So what they save
goes into arrays that start small and double when they are full, a row for each trip: a *chain*. It begins before the outermost
loop of the function, which carries it, and hands it to the loops and branches inside, as they hand it to theirs. An inner loop
goes on where the run before it stopped: a `while` asks for room trip by trip, a `for` once, for a slice. Where each run began
and stopped are residuals of the block around it. A chain is written once and read at any index, so it serves derivatives of
every order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.data import dataclass
from lms.core.errors import Span
from lms.core.ir import Block, Value
from lms.core.types import ArrayType, Scalar, Size, SumType, Type, fresh_symbol, i64

from .closing import is_plain_integer, known_size, size_read
from .places import residual

if TYPE_CHECKING:
    from ..sweep import Sweep

_s, _a = p.scalar, p.array
FIRST = 64  # numbers that an array has room for at first, if its rows are not long
FIRST_ROWS = 8
Loop = Literal["", "for", "while"]
State = tuple[Value, ...]  # how many rows are in use, and the arrays


@dataclass
class Chain:
    """The arrays of a chain: their elements, how many stand in a row (1: a row is a number), and the loop that fills them."""

    elements: list[Scalar | SumType]
    widths: list[int]
    span: Span | None

    def types(self) -> list[Type]:
        """The types of a state. All arrays have the same room, under a name of its own."""
        room = fresh_symbol("room")
        return [i64, *(ArrayType(t, _row(room, n)) for t, n in zip(self.elements, self.widths, strict=True))]

    def first(self, b: Builder) -> State:
        """The state before anything is saved."""
        rows = max(FIRST_ROWS, FIRST // max(self.widths, default=1))
        with b.at(self.span):
            arrays = [residual(b, t, b.const(rows), *(b.const(n) for n in _row(0, n)[1:]))
                      for t, n in zip(self.elements, self.widths, strict=True)]
        return b.const(0), *arrays


def _row(room: Size, width: int) -> tuple[Size, ...]:
    return (room,) if width == 1 else (room, width)


def with_room(b: Builder, arrays: Sequence[Value], rows: Value) -> tuple[Value, ...]:
    """The arrays of a state, replaced by ones at least twice as long where they have not so many rows."""
    assert all(isinstance(a.type, ArrayType) for a in arrays)
    room, larger_room, either = b.emit1(_a.dim, arrays[0], axis=0), fresh_symbol("room"), fresh_symbol("room")
    with b.reify() as larger:
        n = b.emit1(_s.maximum, rows, b.emit1(_s.mul, room, b.const(2)))
        larger.results = tuple(b.emit1(_a.grow, a, n, dims=(larger_room,), residual=True) for a in arrays)
    with b.reify() as same:
        same.results = tuple(arrays)
    types = tuple(ArrayType(a.type.dtype, (either, *a.type.dims[1:])) for a in arrays if isinstance(a.type, ArrayType))
    return b.emit(p.control.if_, b.emit1(_s.gt, rows, room), blocks=[larger, same], types=types)


@dataclass
class Passing:
    """A chain in a block: its state at the start of the block, and at the end."""

    chain: Chain
    entry: State
    exit: State

    def unused(self) -> Passing:
        """The chain in a branch that leaves it alone."""
        return Passing(self.chain, self.entry, self.entry)


class Region:
    """A block of the forward half while it is filled, and the chains that pass through it."""

    def __init__(self, builder: Builder, block: Block | None = None, outer: Region | None = None, loop: Loop = "") -> None:
        self.builder, self.block, self.outer, self.loop = builder, block, outer, loop
        self.passing: list[Passing] = []

    @property
    def in_loop(self) -> bool:
        return bool(self.loop) or (self.outer is not None and self.outer.in_loop)

    def enter(self, chain: Chain) -> State:
        """The state of a chain where the builder stands: what the loop around it carries, or, where there is none, the first."""
        if not self.in_loop or not chain.elements:
            return chain.first(self.builder)
        if not self.loop:
            assert self.outer is not None
            return self.outer.enter(chain)
        assert self.block is not None
        entry = tuple(Value(t, block=self.block) for t in chain.types())
        self.block.params = (*self.block.params, *entry)
        return entry

    def leave(self, chain: Chain, entry: State, exit: State) -> None:
        """Hand the state of a chain on, to the loop or branch around it."""
        if self.in_loop and chain.elements:
            self.passing.append(Passing(chain, entry, exit))

    def allocate(self, elements: Sequence[Scalar | SumType], sizes: Sequence[Value], dims: tuple[Size, ...]) -> list[Value]:
        """Arrays for residuals, of one shape: of their own where nothing around runs again, or runs as often as is known (then
        `ForKeeper` makes one array of those of all iterations); else slices of a chain."""
        b = self.builder
        if not self.in_loop or (self.loop == "for" and all(map(self.is_fixed, sizes))):
            return [residual(b, t, *sizes, dims=dims) for t in elements]
        total = sizes[0]
        for n in sizes[1:]:
            total = b.emit1(_s.mul, total, n)
        chain = Chain(list(elements), [1] * len(elements), b.where())
        entry = used, *arrays = self.enter(chain)
        end = b.emit1(_s.add, used, total)
        roomy = with_room(b, arrays, end)
        self.leave(chain, entry, (end, *roomy))
        size = b.size_of(total)
        slices = [b.emit1(_a.view, a, used, total, spec=(("slice", 1),), dims=(size,)) for a in roomy]
        return slices if len(sizes) == 1 else [b.emit1(_a.reshape, a, *sizes, dims=dims) for a in slices]

    def is_fixed(self, v: Value) -> bool:
        """Whether a number is the same in all iterations of this loop."""
        if v.block is not self.block:
            return True
        if v.node is not None and v.node.op is _a.dim:
            return self._is_known_before(size_read(v.node))
        return v.node is not None and is_plain_integer(v.node) and all(map(self.is_fixed, v.node.operands))

    def _is_known_before(self, size: Size) -> bool:
        b, scopes = self.builder, self.builder.scopes
        b.scopes = scopes[: [scope.block for scope in scopes].index(self.block)] if self.block is not None else []
        try:
            return known_size(b, size) is not None
        finally:
            b.scopes = scopes

    def arrays(self) -> dict[Value, Value]:
        """The arrays as the block leaves them. The backward half sees them through the last state of all: they need not cross."""
        return {v: v for each in self.passing for v in each.exit[1:]}


@contextmanager
def inside(s: Sweep, block: Block, loop: Loop = "") -> Iterator[Region]:
    """Fill a block of the forward half."""
    outer, s.region = s.region, Region(s.builder, block, s.region, loop)
    try:
        yield s.region
    finally:
        s.region = outer


def leave_with(block: Block, passing: Sequence[Passing]) -> None:
    """Let a block give the states of chains, after its other results."""
    block.results = (*block.results, *(v for each in passing for v in each.exit))


def state_types(passing: Sequence[Passing]) -> list[Type]:
    return [t for each in passing for t in each.chain.types()]


def around(region: Region, passing: Sequence[Passing]) -> list[State]:
    """Where a loop stands that carries chains: their states before it."""
    return [region.enter(each.chain) for each in passing]


def hand_on(region: Region, passing: Sequence[Passing], before: Sequence[State], after: Sequence[Value]) -> dict[Value, Value]:
    """Let the states after the node that carries chains be those of the block where it stands. Gives their arrays, by what
    they are inside."""
    found: dict[Value, Value] = {}
    rest = iter(after)
    for each, entry in zip(passing, before, strict=True):
        exit = tuple(next(rest) for _ in entry)
        region.leave(each.chain, entry, exit)
        found.update(zip(each.exit[1:], exit[1:], strict=True))
    return found
