"""Closing a pair of halves: what the backward block takes from its forward block is recomputed, loaded again, or saved.

While a pair is open, the backward half names values of the forward half. Closing turns each name into a constant, an
index, cheap arithmetic on what is at hand, a load of memory that does not change, or a *residual*: a value that the
forward half puts where the backward half finds it. Where that is depends on the block: loops have `keepers`, branches and
calls give them as results (`control`, `calls`). The residuals are the closure environment of the continuation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Block, Node, Value, free_values, substitute, walk
from lms.core.types import ArrayType, Dim, Scalar, Size, element, symbol

from ..reversal.undo import settle
from .min_cut import INFINITE, Network
from .worth import to_keep, to_make

if TYPE_CHECKING:
    from ..sweep import Sweep

_s, _a = p.scalar, p.array
HANDLES = frozenset({_a.view, _a.transpose, _a.reshape, _a.dim, p.record.project, p.record.tag})
LONGEST = 3  # what a chain of operations that is done again may cost, beside keeping its end


@contextmanager
def prologue(b: Builder, block: Block) -> Iterator[None]:
    """What is emitted inside goes to the front of a block that is closed already."""
    n = len(block.nodes)
    with b.into(block):
        yield
    block.nodes[:] = block.nodes[n:] + block.nodes[:n]


class Crossing:
    """The values that a backward block takes from its forward block; `saved` are those that must be residuals.

    `given` are those that the backward block has under another name, such as the loop's index.
    """

    def __init__(self, sweep: Sweep, forward: Block, backward: Block, given: dict[Value, Value] | None = None) -> None:
        self.sweep, self.forward, self.backward = sweep, forward, backward
        self.env = dict(given or {})
        self._uses: dict[Value, list[Node]] | None = None  # in the forward half; made when first asked for
        self._given_away: set[Value] = set()
        self._sizes()
        drop_unused(backward)
        self._order = {v: k for k, v in enumerate((*forward.params, *(r for n in forward.nodes for r in n.results)))}
        needed = [v for v in free_values(backward) if v in self._order and v not in self.env]
        self.needed = sorted(needed, key=self._order.__getitem__)
        self.saved = sorted(self._choose(), key=self._order.__getitem__)

    def _sizes(self) -> None:
        """A size of a forward array is found elsewhere, or is a number that crosses in the array's place."""
        b = self.sweep.builder
        for block, node in list(_nodes(self.backward)):
            if node.op is _a.dim and node.operands[0].block is self.forward:
                array, axis = node.operands[0], node.attrs["axis"]
                assert isinstance(array.type, ArrayType)
                size = known_size(b, array.type.dims[axis])
                if size is None:
                    with b.into(self.forward):
                        size = b.emit1(_a.dim, array, axis=axis)
                block.nodes.remove(node)
                substitute(self.backward, {node.result: size})
        for node in self.forward.nodes:
            if node.op is _a.dim:
                t = node.operands[0].type
                assert isinstance(t, ArrayType)
                size = known_size(b, t.dims[node.attrs["axis"]])
                if size is not None:
                    self.env[node.result] = size

    def _here(self, v: Value) -> bool:
        return v.block is not self.forward or v in self.env

    def _price(self, v: Value) -> int | None:
        """What it costs to do the operation that made a forward value again, given its operands; None where it must not be."""
        node = v.node
        if node is None:
            return None
        price = to_make(node)
        if price is None or node.op in HANDLES or node.op is _a.const:
            return price
        if node.op is _a.broadcast and not node.attrs["axes"]:
            return price if self._stays_filled(v) else None
        if any(isinstance(x.type, ArrayType) for x in (v, *node.operands)) and v not in self.sweep.repeatable:
            return None
        if node.op is _a.index and isinstance(v.type, ArrayType):
            return None  # `_position` is that of one number
        return None if _decides(node) else price

    def _stays_filled(self, v: Value) -> bool:
        """Whether the forward half leaves an array as it was filled, and keeps no name of it: a shadow, mostly."""
        if self._uses is None:
            self._uses, self._given_away = {}, set(self.forward.results)
            for node in walk(self.forward):
                self._given_away.update(x for inner in node.blocks for x in inner.results)
                for x in node.operands:
                    self._uses.setdefault(x, []).append(node)
        return v not in self._given_away and all(self._only_looks(node, v) for node in self._uses.get(v, ()))

    def _only_looks(self, node: Node, v: Value) -> bool:
        effect = node.op.effect
        if effect.view is not None:
            return all(self._stays_filled(x) for x in node.results)
        changed = [node.operands[k] for k in (*effect.writes, *effect.accumulates)]
        return not effect.control and node.op is not p.record.construct and v not in changed

    def _choose(self) -> set[Value]:
        """The cheapest set of values to save, of which the rest can be made again: a cut of the graph that made them.

        A value has two nodes. The source reaches the first where the value must be had, and from there the second where it is
        made again, which takes its operands: what lies between the two is saved.
        """
        prices = self._prices()
        network = Network()
        source, sink = network.node(), network.node()
        had = {v: network.node() for v in prices}
        made = {v: network.node() for v, price in prices.items() if price is not None}
        for v in self.needed:
            network.arc(source, had[v], INFINITE)
        for v, price in prices.items():
            network.arc(had[v], made.get(v, sink), to_keep(v))
            if price is not None and v.node is not None:
                network.arc(made[v], sink, price)
                for x in v.node.operands:
                    if not self._here(x):
                        network.arc(made[v], had[x], INFINITE)
        _, reached = network.cut(source, sink)
        return {v for v, node in had.items() if node in reached and made.get(v, sink) not in reached}

    def _prices(self) -> dict[Value, int | None]:
        """The forward values that may have to be had, with the price of making them again. It is bounded along every chain."""
        found: dict[Value, int | None] = {}
        stack = list(self.needed)
        while stack:
            v = stack.pop()
            if v not in found and not self._here(v):
                price = found[v] = self._price(v)
                stack.extend(v.node.operands if v.node is not None and price is not None else ())
        chain: dict[Value, int] = {}
        for v in sorted(found, key=self._order.__getitem__):
            price = found[v]
            if price is not None and v.node is not None:
                chain[v] = price + max((chain.get(x, 0) for x in v.node.operands), default=0)
                if chain[v] > LONGEST * to_keep(v):
                    chain[v], found[v] = 0, None
        return found

    def close(self, loads: Callable[[], Sequence[Value]]) -> None:
        """Replace every crossing name. `loads` emits, in the backward block, what gives the saved values."""
        b = self.sweep.builder
        before = len(self.backward.nodes)
        with b.on("backward"), prologue(b, self.backward):
            self.env.update(zip(self.saved, loads(), strict=True))
            for v in self.needed:
                self.again(v)
        front = len(self.backward.nodes) - before
        substitute(self.backward, self.env)
        settle(self.backward, front, {w for v, w in self.env.items() if v in self.sweep.late})

    def again(self, v: Value) -> Value:
        """A forward value, made again where the builder stands."""
        if self._here(v):
            return self.env.get(v, v)
        node = v.node
        assert node is not None
        operands = [self.again(x) for x in node.operands]
        b = self.sweep.builder
        with b.at(node.span):
            if node.op is _a.index:
                self.env[v] = _position(b, operands[0], operands[1], **node.attrs)
            else:
                self.env[v] = b.emit1(node.op, *operands, name=v.name, **node.attrs)
        self.sweep.mode.again.append(node)
        return self.env[v]

    # ------------------------------------------------------------------------- what does not vary in a loop

    def invariant(self, v: Value, sizes: bool = False) -> Value | None:
        """A forward value as a value of the enclosing block, made there again, if nothing in it varies; with `sizes`, also of
        arrays inside, if the enclosing block knows them by name."""
        if v.block is not self.forward:
            return v
        node = v.node
        if node is not None and node.op is _a.dim and sizes:
            return known_size(self.sweep.builder, size_read(node))
        if node is None or not is_plain_integer(node):
            return None
        operands = [self.invariant(x, sizes) for x in node.operands]
        found = [x for x in operands if x is not None]
        return self.sweep.builder.emit1(node.op, *found, **node.attrs) if len(found) == len(operands) else None


def _decides(node: Node) -> bool:
    """Whether an operation makes integers or bools of floats. What was decided from floats is never decided again."""
    return node.op.elementwise and not _is_real(node.result) and any(map(_is_real, node.operands))


def _is_real(v: Value) -> bool:
    t = element(v.type)
    return t.is_float or t.is_complex


def _position(b: Builder, i: Value, n: Value, wraps: bool = True) -> Value:
    """An index that has been checked."""
    if not wraps:
        return i
    return b.emit1(_s.select, b.emit1(_s.lt, i, b.const(0)), b.emit1(_s.add, i, n), i)


def size_read(node: Node) -> Size:
    """The size that a `dim` gives."""
    t = node.operands[0].type
    assert isinstance(t, ArrayType)
    size: Size = t.dims[node.attrs["axis"]]
    return size


def is_plain_integer(node: Node) -> bool:
    """Whether an operation gives an integer of its operands, element by element, or a constant one."""
    t = node.results[0].type if len(node.results) == 1 else None
    return (node.op.elementwise or node.op is _a.const) and isinstance(t, Scalar) and t.is_int


def drop_unused(block: Block) -> None:
    """Drop what rules computed for operands that carry no derivative: nothing is saved for it."""
    used = set(block.results)
    kept: list[Node] = []
    for node in reversed(block.nodes):
        if node.op.effect.pure and not node.blocks and used.isdisjoint(node.results):
            continue
        kept.append(node)
        used.update(node.operands, free_values(*node.blocks))
    block.nodes[:] = kept[::-1]


def _nodes(block: Block) -> Iterator[tuple[Block, Node]]:
    for node in block.nodes:
        yield block, node
        for inner in node.blocks:
            yield from _nodes(inner)


def known_size(b: Builder, size: Size) -> Value | None:
    """The value of a dimension where the builder stands, if it is known there."""
    if not b.scopes:
        return None
    if isinstance(size, int):
        return b.const(size)
    for scope in reversed(b.scopes):
        if size in scope.sizes:
            return scope.sizes[size]
        for v in (*scope.block.params, *(r for n in scope.block.nodes for r in n.results)):
            if isinstance(v.type, ArrayType) and size in v.type.dims:
                return b.dim(v, v.type.dims.index(size))
    return _sum_of_sizes(b, size)


def _sum_of_sizes(b: Builder, size: Dim) -> Value | None:
    if size == symbol(size.symbols[0]):
        return None
    total = b.const(size.const)
    for name, k in size.terms:
        part = known_size(b, symbol(name))
        if part is None:
            return None
        total = b.emit1(_s.add, total, b.emit1(_s.mul, b.const(k), part))
    return total


def known_sizes(b: Builder, t: ArrayType) -> list[Value] | None:
    """The sizes of all axes, if all are known where the builder stands."""
    found = [known_size(b, d) for d in t.dims]
    return [v for v in found if v is not None] if None not in found else None
