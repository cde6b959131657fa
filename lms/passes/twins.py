"""Residuals that hold the same become one.

Two rules that need one value each save it, and only once arrays are loops does it show that they store the same number at the
same place. Residual memory is written once, so whoever reads one may read the other.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar

from lms.core import primitives as p
from lms.core.data import dataclass
from lms.core.ir import Block, Function, Node, Program, Value, blocks, substitute, walk

from .rewrite import attributes

a = p.array


def _unite(function: Function) -> None:
    made = {node.result: node for node in walk(function.body) if node.op is a.empty and node.attrs.get("residual")}
    stores: dict[Value, list[tuple[Block, Node]]] = {v: [] for v in made}
    for block in list(blocks(function.body)):
        for v in block.results:
            stores.pop(v, None)
        for node in block.nodes:
            for k, v in enumerate(node.operands):
                if v in stores and not (k == 0 and node.op in (a.load, a.store, a.dim)):
                    del stores[v]  # somebody knows it by another name
            if node.op is a.store and node.operands[0] in stores:
                stores[node.operands[0]].append((block, node))
    first: dict[Hashable, Value] = {}
    env: dict[Value, Value] = {}
    for v, found in stores.items():
        if len(found) == 1:
            block, store = found[0]
            key = made[v].operands, attributes(made[v]), made[v].result.block, block, store.operands[1:]
            other = first.setdefault(key, v)
            if other is not v:
                env[v] = other
    for v, other in env.items():
        (block, store), (_, kept) = stores[v][0], stores[other][0]
        if block.nodes.index(store) < block.nodes.index(kept):  # the earlier stays: a load may stand between them
            store.operands = (other, *store.operands[1:])
            stores[other][0] = block, store
            store = kept
        block.nodes.remove(store)
    substitute(function.body, env)


@dataclass(frozen=True)
class Twins:
    """Residuals that are stored together are one."""

    name: ClassVar[str] = "twins"

    def run(self, program: Program) -> Program:
        for function in program.functions.values():
            _unite(function)
        return program
