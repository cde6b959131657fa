"""Which loops are recurrences: those that carry more than sums whose order does not matter."""

from __future__ import annotations

from . import primitives as p
from .ir import Block, Node, Value, walk
from .types import Scalar

_LOOPS = (p.control.for_, p.control.while_, p.control.call)
_SUMS = (p.scalar.add, p.scalar.mul, p.scalar.minimum, p.scalar.maximum)
_EXACT = (*_SUMS, p.scalar.and_, p.scalar.or_, p.scalar.xor)


def innermost(loop: Node) -> bool:
    """Whether a node is a counted loop that holds no loop and no call."""
    return loop.op is p.control.for_ and not any(node.op in _LOOPS for node in walk(loop.blocks[0]))


def vectorizes(loop: Node, fastmath: bool = False) -> bool:
    """Whether an innermost counted loop carries nothing but sums (products, ...) that may be reassociated."""
    body = loop.blocks[0]
    return all(_reduces(v, body, k, fastmath) for k, v in enumerate(body.params[1:]))


def _reduces(carried: Value, body: Block, k: int, fastmath: bool) -> bool:
    """Whether a carried value is only ever added to, in a way that does not mind the order."""
    uses = [node for node in walk(body) if carried in node.operands]
    results = [b.results for node in walk(body) for b in node.blocks] + [body.results]
    return (len(uses) <= 1 and all(_associates(node, fastmath) for node in uses)
            and _leads(carried, body.results[k], uses, results))


def _associates(node: Node, fastmath: bool) -> bool:
    t = node.result.type if len(node.results) == 1 else None
    exact = isinstance(t, Scalar) and t.kind in "biu"
    return node.op in _EXACT if exact else node.op in _SUMS and (fastmath or bool(node.attrs.get("fast")))


def _leads(carried: Value, result: Value, uses: list[Node], results: list[tuple[Value, ...]]) -> bool:
    """Whether `result` is the carried value, the one sum it is used in, or a choice of these."""
    if result is carried:
        return True
    node = result.node
    if node is None:
        return False
    if node in uses:
        return sum(result in each for each in results) == 1
    if node.op is p.control.if_:
        at = node.results.index(result)
        return all(_leads(carried, b.results[at], uses, results) for b in node.blocks)
    return False
