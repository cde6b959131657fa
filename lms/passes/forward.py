"""What was just stored need not be loaded: forwarding through local memory, and local arrays that need fewer axes.

`Forward` replaces a load by the value stored at the same handle and index before it in its block, when nothing between may
have written there. `Shrink` drops an axis of a local array that is only ever indexed, there, by the counter of one loop.
"""

from __future__ import annotations

from typing import ClassVar

from lms.core import primitives as p
from lms.core.data import dataclass
from lms.core.effects import Effects, Root, Roots
from lms.core.ir import Block, Function, Node, Program, Value, blocks
from lms.core.types import ArrayType

a, c = p.array, p.control
Place = tuple[Value, tuple[Value, ...]]


class _Forwarding:
    """Walks a function with what is known to be in memory: for each root, places and the values there."""

    def __init__(self, function: Function, effects: Effects) -> None:
        self.effects = effects
        self.env: dict[Value, Value] = {}
        self.block(function.body, {})

    def block(self, block: Block, known: dict[Root, dict[Place, Value]]) -> None:
        nodes: list[Node] = []
        for node in block.nodes:
            node.operands = tuple([self.env.get(v, v) for v in node.operands])
            if node.op is a.load and not node.attrs.get("residual"):
                place = node.operands[0], node.operands[1:]
                found = self.find(place, known)
                if found is not None and found.type == node.result.type:
                    self.env[node.result] = found
                    continue
                self.learn(place, node.result, known)
            else:
                self.written(node, known)
            nodes.append(node)
        block.nodes[:] = nodes
        block.results = tuple([self.env.get(v, v) for v in block.results])

    def find(self, place: Place, known: dict[Root, dict[Place, Value]]) -> Value | None:
        roots = self.effects.roots(place[0])
        found = {known.get(root, {}).get(place) for root in roots}
        return found.pop() if len(found) == 1 else None

    def learn(self, place: Place, v: Value, known: dict[Root, dict[Place, Value]]) -> None:
        for root in self.effects.roots(place[0]):
            known.setdefault(root, {})[place] = v

    def written(self, node: Node, known: dict[Root, dict[Place, Value]]) -> None:
        """Forget what a node may overwrite, learn what it stores, and walk its blocks."""
        changes: Roots = self.effects.of(node).changes
        if node.blocks:
            loop = node.op in (c.for_, c.while_)
            touched = self.effects.of(node).reads | changes
            inside = {root: known[root] for root in touched if root in known and not (loop and root in changes)}
            for inner in node.blocks:
                self.block(inner, {root: dict(places) for root, places in inside.items()} if inside else {})
        for root in changes:
            known.pop(root, None)
        if node.op is a.store:
            self.learn((node.operands[0], node.operands[2:]), node.operands[1], known)


@dataclass(frozen=True)
class Forward:
    """Loads of what was stored before them become the values."""

    name: ClassVar[str] = "forward"

    def run(self, program: Program) -> Program:
        effects = Effects(program)
        for function in program.functions.values():
            _Forwarding(function, effects)
        return program


# ----------------------------------------------------------------------------------------------- shrink


@dataclass(frozen=True)
class Shrink:
    """A local array that a loop fills and reads row by row becomes one row."""

    name: ClassVar[str] = "shrink"

    def run(self, program: Program) -> Program:
        for function in program.functions.values():
            _shrink(function)
        return program


def _shrink(function: Function) -> None:
    accesses: dict[Value, list[Node]] = {}
    shared: set[Value] = set(function.body.results)
    counter: dict[Value, Block] = {}  # where the loop of a counter stands
    for block in list(blocks(function.body)):
        for node in block.nodes:
            for k, v in enumerate(node.operands):
                if isinstance(v.type, ArrayType):
                    if k == 0 and node.op in (a.load, a.store, a.accumulate):
                        accesses.setdefault(v, []).append(node)
                    else:
                        shared.add(v)
            for inner in node.blocks:
                shared.update(inner.results)
            if node.op is c.for_:
                counter[node.blocks[0].params[0]] = block
    for array, nodes in accesses.items():
        if array.node is not None and array.node.op is a.empty and array not in shared:
            _drop_axes(array, nodes, counter)


def _drop_axes(array: Value, nodes: list[Node], counter: dict[Value, Block]) -> None:
    t, made = array.type, array.node
    assert isinstance(t, ArrayType) and made is not None
    indices = [node.operands[1:] if node.op is a.load else node.operands[2:] for node in nodes]
    alike = [k for k in range(t.rank) if len({index[k] for index in indices}) == 1]
    dropped = [k for k in alike if counter.get(indices[0][k]) is array.block]
    if len(dropped) == t.rank:
        dropped = dropped[:-1]
    if not dropped:
        return
    kept = [k for k in range(t.rank) if k not in dropped]
    made.operands = tuple(made.operands[k] for k in kept)
    made.attrs["dims"] = dims = tuple(t.dims[k] for k in kept)
    array.type = ArrayType(t.dtype, dims)
    for node, index in zip(nodes, indices, strict=True):
        head = node.operands[: len(node.operands) - t.rank]
        node.operands = (*head, *(index[k] for k in kept))
