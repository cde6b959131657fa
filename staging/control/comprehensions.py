"""Comprehensions over what exists later: one item is staged in a block, and stored into an array."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.errors import StagingError, StagingTypeError, here
from lms.core.ir import Block, Value
from lms.core.types import ArrayType, Size, i64

from ..joins import describe
from ..library import creation
from ..rep import Rep, lift_value
from . import iterables, state
from .blocks import close_block, open_block


class Gathering:
    """A comprehension over something that exists later: its one item is staged in a block, and stored into an array.

    Each `if` that is decided later opens a block inside, and the array ends where the items that passed do.
    """

    def __init__(self, source: iterables.Later, number: int = -1) -> None:
        b = current()
        self.number = number
        self.span = here()
        self.count = iterables.counter(source.count)
        self.block = open_block(b, (self.count.type,), ("i",), expression=True)
        self.tests: list[tuple[Value, Block]] = []
        self.item = source.item(iterables.index_value(self.block.params[0]))

    def only_if(self, test: Rep) -> None:
        """What follows is for the items that pass a test."""
        self.tests.append((test.value, open_block(current(), expression=True)))

    def close(self, items: Any) -> Any:
        """The array of what the one item became."""
        b = current()
        if not items:  # an `if` of now lets nothing through
            close_block(b, self.block)
            return []
        v = self._value(*items)
        inner = v.type.dims if isinstance(v.type, ArrayType) else ()
        close_block(b, self.block)
        with b.at(self.span):
            sizes = [self._outside(d) for d in inner]
            element = v.type.dtype if isinstance(v.type, ArrayType) else v.type
            out = b.emit1(p.array.empty, self.count, *sizes, dims=(b.size_of(self.count), *inner), dtype=element)
            if self.tests:
                return self._selected(Rep(out), v)
            with b.into(self.block):
                _store(Rep(out), self.block.params[0], v)
            b.emit(p.control.for_, b.const(0), self.count, b.const(1), blocks=(self.block,), types=())
        return Rep(out)

    def _value(self, x: Any) -> Value:
        if isinstance(x, list):
            x = creation.asarray(x)
        if not (isinstance(x, Rep | bool | int | float | complex) or hasattr(x, "dtype")):
            raise StagingTypeError(f"a comprehension over a staged sequence makes an array, and its items are {describe(x)}",
                                   self.span, fix="make one array for each part")
        return lift_value(x)

    def _selected(self, out: Rep, v: Value) -> Any:
        """The items that pass, stored one after the other, and as much of the array as they fill."""
        b = current()
        filled = Value(i64, "filled", block=self.block)
        self.block.params = (*self.block.params, filled)
        with _within([self.block, *(block for _, block in self.tests)]):
            _store(out, filled, v)
            following = b.emit1(p.scalar.add, filled, b.const(1))
        for k in reversed(range(len(self.tests))):
            test, then = self.tests[k]
            then.results = (following,)
            with _within([self.block, *(block for _, block in self.tests[:k])]):
                with b.reify() as otherwise:
                    otherwise.results = (filled,)
                (following,) = b.emit(p.control.if_, test, blocks=(then, otherwise), types=(i64,), names=("filled",))
        self.block.results = (following,)
        (n,) = b.emit(p.control.for_, b.const(0), self.count, b.const(1), b.const(0), blocks=(self.block,), types=(i64,),
                      names=("filled",))
        return out[: Rep(n)]

    def _outside(self, size: Size) -> Value:
        known = state.known_size(size)
        if known is None:
            raise StagingError("the items of this comprehension are arrays whose size is known only inside it", self.span,
                               fix="make the array before, and assign its rows in a loop")
        return known


def _store(out: Rep, k: Value, x: Value) -> None:
    if isinstance(x.type, ArrayType):
        out[Rep(k)] = Rep(x)
    else:
        current().emit(p.array.store, out.value, x, k)


@contextmanager
def _within(blocks: Iterable[Block]) -> Iterator[None]:
    """Fill the last of some blocks, each inside the one before."""
    with ExitStack() as stack:
        for block in blocks:
            stack.enter_context(current().into(block))
        yield


def once(item: Any) -> Iterator[Any]:
    """The one item that stands for all."""
    yield item


def as_array(source: iterables.Later) -> Any:
    """What exists later, as an array: for functions that know nothing else of that kind."""
    gathering = Gathering(source)
    return gathering.close([gathering.item])
