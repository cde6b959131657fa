"""Which scalar operations can be part of a vector: those in innermost counted loops that are no recurrences.

Elsewhere libm is the better choice: its latency is lower than our polynomials', and its bits are those of Python's `math`.
"""

from __future__ import annotations

from lms.core.ir import Function, Node, walk
from lms.core.recurrence import innermost, vectorizes


def parallel_nodes(function: Function, fastmath: bool = False) -> set[Node]:
    """The elementwise nodes of the loops that LLVM can vectorise."""
    return {inner for node in walk(function.body) if innermost(node) and vectorizes(node, fastmath)
            for inner in walk(node.blocks[0]) if inner.op.elementwise}
