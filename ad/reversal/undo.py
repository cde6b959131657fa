"""Undoing writes in the backward half, and reading again, there, what they had changed; `choice` says which and what."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from lms.core import primitives as p
from lms.core.ir import Block, Node, Value, free_values

if TYPE_CHECKING:
    from ..cotangents import Cotangents, Halves
    from ..sweep import Sweep

_a = p.array


def undoing(s: Sweep, node: Node, halves: Halves | None) -> Halves:
    """The halves of a write, of which the backward one begins by putting back what was overwritten."""
    put_back = _taken(s, node)
    if halves is None:
        s.plain(node)
    else:
        next(halves)
    bar: Cotangents = yield
    put_back()
    if halves is not None:
        try:
            halves.send(bar)
        except StopIteration:
            return
        raise AssertionError("a frame yields once")


def _taken(s: Sweep, node: Node) -> Callable[[], Any]:
    """Keep what a write is about to overwrite; give what stores it again."""
    b, (a, *rest) = s.builder, s.values(node.operands)
    if node.op in (_a.store, _a.accumulate):
        index = rest[1:]
        number = b.emit1(_a.load, a, *index)
        return lambda: b.emit(_a.store, a, number, *index)
    if node.op in (_a.assign, _a.add_into):
        whole = b.emit1(_a.copy, a)
        return lambda: b.emit(_a.assign, a, whole)
    places, axis = s.steady_copy(node.operands[1]), node.attrs["axis"]
    rows = b.emit1(_a.take, a, places, axis=axis)
    return lambda: b.emit(_a.put, a, places, rows, axis=axis)


def settle(block: Block, front: int, late: set[Value]) -> None:
    """Move, of the first `front` nodes, what reads reversed memory and what is computed of that, to where it is first used."""
    moved: dict[Value, Node] = {}
    rest: list[Node] = []
    for k, node in enumerate(block.nodes):
        if k < front and (not late.isdisjoint(node.results) or any(v in moved for v in node.operands)):
            moved.update(dict.fromkeys(node.results, node))
        else:
            rest.append(node)
    if not moved:
        return
    block.nodes[:] = []

    def place(values: Iterable[Value]) -> None:
        for v in values:
            node = moved.pop(v, None)
            if node is not None:
                place(node.operands)
                block.nodes.append(node)

    for node in rest:
        place((*node.operands, *free_values(*node.blocks)))
        block.nodes.append(node)
    place(block.results)
