"""Which scalar operations can be part of a vector: those in innermost counted loops that LLVM can vectorise.

Elsewhere libm is the better choice: its latency is lower than our polynomials', and its bits are those of Python's `math`.
"""

from __future__ import annotations

from lms.core import primitives as p
from lms.core.ir import Block, Function, Node, Value, walk
from lms.core.types import Scalar

_LOOPS = (p.control.for_, p.control.while_, p.control.call)
_SUMS = (p.scalar.add, p.scalar.mul)
_EXACT = (*_SUMS, p.scalar.minimum, p.scalar.maximum, p.scalar.and_, p.scalar.or_, p.scalar.xor)


def parallel_nodes(function: Function, fastmath: bool = False) -> set[Node]:
    """The elementwise nodes of innermost `for` loops that carry nothing but sums which may be reassociated."""
    found: set[Node] = set()
    for node in walk(function.body):
        if node.op is p.control.for_ and not any(inner.op in _LOOPS for inner in walk(node.blocks[0])):
            body = node.blocks[0]
            if all(_reduces(v, body, k, fastmath) for k, v in enumerate(body.params[1:])):
                found.update(inner for inner in walk(body) if inner.op.elementwise)
    return found


def _reduces(carried: Value, body: Block, k: int, fastmath: bool) -> bool:
    """Whether a carried value is only ever added to (multiplied, ...), in a way that does not mind the order."""
    uses = [node for node in walk(body) if carried in node.operands]
    results = [b.results for node in walk(body) for b in node.blocks] + [body.results]
    return all(_associates(node, fastmath) for node in uses) and len(uses) <= 1 and _leads(carried, body.results[k], uses, results)


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
