"""The table of primitives: one row each, with what is true of it whatever the back end and without derivatives.

A row states the name, the type rule, the meaning on NumPy values, the effect, and where tests sample it.
Derivatives, lowering and printing are tables of their own, beside the code they concern; tests go over the rows,
so a rule that is missing somewhere is a red test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..data import dataclass
from ..types import Type

Attrs = Mapping[str, Any]
TypeRule = Callable[[tuple[Type, ...], Attrs], tuple[Type, ...]]


@dataclass(frozen=True, slots=True)
class Effect:
    """What an operation does beside computing its results. Numbers are positions of operands.

    Every array operand that is not named here is *read*, unless the result is a view of it.
    `view` is the operand the result aliases; an array result without `view` is a fresh allocation.
    `unread` operands are handles of which only the shape or the address is used.
    """

    writes: tuple[int, ...] = ()
    accumulates: tuple[int, ...] = ()
    unread: tuple[int, ...] = ()
    view: int | None = None
    raises: bool = False
    io: bool = False
    control: bool = False

    @property
    def pure(self) -> bool:
        """No effect but reading: may be shared, moved and dropped as far as its reads allow."""
        return not (self.writes or self.accumulates or self.raises or self.io or self.control)


PURE = Effect()


@dataclass(frozen=True, eq=False, slots=True)
class Primitive:
    """An operation of the language.

    `eager` is its meaning on NumPy values, `eager(*operands, **attrs)`; control has none, the interpreter knows it.
    `elementwise` operations take scalars, or arrays of one shape, and treat each element alone.
    `lowered` operations are understood by every back end as they are; the rest are lowered to loops first.
    `domain` is the open interval tests draw each float operand from.
    """

    name: str
    type: TypeRule
    eager: Callable[..., Any] | None = None
    effect: Effect = PURE
    elementwise: bool = False
    commutative: bool = False
    lowered: bool = False
    domain: tuple[float, float] = (-2.0, 2.0)

    def __repr__(self) -> str:
        return self.name


PRIMITIVES: dict[str, Primitive] = {}


def row(primitive: Primitive) -> Primitive:
    """Add a primitive to the table. Third parties add theirs the same way."""
    if primitive.name in PRIMITIVES:
        raise ValueError(f"a primitive called {primitive.name!r} exists already")
    PRIMITIVES[primitive.name] = primitive
    return primitive
