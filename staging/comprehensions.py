"""Comprehensions over what exists later: one item is staged in a block, and stored into an array."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.errors import StagingError, StagingTypeError, here
from lms.core.ir import Value
from lms.core.types import ArrayType, Size

from . import iterables, ops, state
from .blocks import close_block, open_block
from .joins import describe
from .rep import Rep, lift_value


class Gathering:
    """A comprehension over something that exists later: its one item is staged in a block, and stored into an array."""

    def __init__(self, source: iterables.Later) -> None:
        b = current()
        self.span = here()
        self.count = iterables.counter(source.count)
        self.block = open_block(b, (self.count.type,), ("i",), expression=True)
        self.item = source.item(iterables.index_value(self.block.params[0]))

    def close(self, items: Any) -> Any:
        """The array of what the one item became."""
        b = current()
        (x,) = items
        if isinstance(x, list):
            x = ops.asarray(x)
        if not (isinstance(x, Rep | bool | int | float | complex) or hasattr(x, "dtype")):
            raise StagingTypeError(f"a comprehension over a staged sequence makes an array, and its items are {describe(x)}",
                                   self.span, fix="make one array for each part")
        v = lift_value(x)
        inner = v.type.dims if isinstance(v.type, ArrayType) else ()
        close_block(b, self.block)
        sizes = [self._outside(d) for d in inner]
        with b.at(self.span):
            n = b.size_of(self.count)
            element = v.type.dtype if isinstance(v.type, ArrayType) else v.type
            out = b.emit1(p.array.empty, self.count, *sizes, dims=(n, *inner), dtype=element)
            with b.into(self.block):
                _store(Rep(out), Rep(self.block.params[0]), Rep(v))
            b.emit(p.control.for_, b.const(0), self.count, b.const(1), blocks=(self.block,), types=())
        return Rep(out)

    def _outside(self, size: Size) -> Value:
        known = state.known_size(size)
        if known is None:
            raise StagingError("the items of this comprehension are arrays whose size is known only inside it", self.span,
                               fix="make the array before, and assign its rows in a loop")
        return known


def _store(out: Rep, k: Rep, x: Rep) -> None:
    b = current()
    if isinstance(x.type, ArrayType):
        out[k] = x
    else:
        b.emit(p.array.store, out.value, x.value, k.value)


def once(item: Any) -> Iterator[Any]:
    """The one item that stands for all."""
    yield item


def as_array(source: iterables.Later) -> Any:
    """What exists later, as an array: for functions that know nothing else of that kind."""
    gathering = Gathering(source)
    return gathering.close([gathering.item])
