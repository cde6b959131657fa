"""Dead code: values nobody reads, carried values nobody needs, stores to local arrays nobody loads, functions nobody calls.

Marking starts from what can be observed (results, errors, output, writes the caller sees) and follows operands, the blocks
around a node, and memory: once a root is read, every write to it is live. May-raise nodes are kept.
"""

from __future__ import annotations

from typing import ClassVar

from lms.core import primitives as p
from lms.core.data import dataclass
from lms.core.effects import Effects, Root
from lms.core.ir import Block, Function, Node, Program, Value, named, walk

from .rewrite import may_raise

c = p.control
CALLS = (c.call, c.vjp, c.jvp)


class _Marking:
    """Finds the live nodes and values of one function."""

    def __init__(self, function: Function, effects: Effects) -> None:
        self.effects = effects
        self.live: set[Value] = set()
        self.nodes: set[Node] = set()
        self.roots: set[Root] = set()
        self.owner: dict[Block, Node] = {}
        self.position: dict[Value, int] = {}  # of block parameters
        self.writers: dict[Root, list[Node]] = {}
        self.work: list[Value] = []
        visible = effects.escaping(function)
        starts = []
        for node in walk(function.body):
            for block in node.blocks:
                self.owner[block] = node
                self.position.update((v, k) for k, v in enumerate(block.params))
            if node.blocks:
                continue
            access = effects.of(node)
            changes = access.changes
            for root in changes:
                self.writers.setdefault(root, []).append(node)
            if access.io or access.raises or may_raise(node) or changes and any(
                isinstance(root, str) or root in visible for root in changes
            ):
                starts.append(node)
        self.home = {node: block for block in (function.body, *self.owner) for node in block.nodes}
        for node in starts:
            self.node(node)
        self.values(function.body.results)
        self.run()

    def values(self, vs: tuple[Value, ...]) -> None:
        self.work.extend(vs)

    def run(self) -> None:
        while self.work:
            v = self.work.pop()
            if v not in self.live:
                self.live.add(v)
                self.value(v)

    def value(self, v: Value) -> None:
        """What a live value needs."""
        node = v.node
        if node is None:
            owner = self.owner.get(v.block) if v.block is not None else None
            if owner is not None:
                self.node(owner)
                k = self.position[v] - (owner.op is c.for_)
                if k >= 0:
                    self.carried(owner, k)
            return
        self.node(node)
        if node.op in (c.for_, c.while_):
            self.carried(node, next(k for k, r in enumerate(node.results) if r is v))
        elif node.op is c.if_:
            k = next(k for k, r in enumerate(node.results) if r is v)
            self.work.extend(block.results[k] for block in node.blocks)

    def carried(self, node: Node, k: int) -> None:
        """A loop's k-th carried value: what enters, what goes round, what leaves."""
        counted = node.op is c.for_
        self.work.append(node.operands[3 * counted + k])
        self.work.append(node.blocks[-1].results[k])
        for block in node.blocks:
            self.work.append(block.params[counted + k])

    def node(self, node: Node) -> None:
        """What a live node needs whatever its results: operands, the blocks around it, the memory it reads."""
        if node in self.nodes:
            return
        self.nodes.add(node)
        owner = self.owner.get(self.home[node])
        if owner is not None:
            self.node(owner)
        if node.op is c.for_:
            self.values(node.operands[:3])
        elif node.op is c.while_:
            self.values(node.blocks[0].results)
        else:
            self.values(node.operands)
        if not node.blocks:
            for root in self.effects.of(node).reads:
                if root not in self.roots:
                    self.roots.add(root)
                    for writer in self.writers.get(root, ()):
                        self.node(writer)


def _sweep(block: Block, marking: _Marking) -> None:
    nodes = []
    for node in block.nodes:
        if node not in marking.nodes:
            continue
        nodes.append(node)
        for inner in node.blocks:
            _sweep(inner, marking)
        if node.op in (c.for_, c.while_):
            _shrink_loop(node, marking.live)
        elif node.op is c.if_:
            _shrink_if(node, marking.live)
    block.nodes[:] = nodes


def _shrink_loop(node: Node, live: set[Value]) -> None:
    first, offset = (3, 1) if node.op is c.for_ else (0, 0)
    kept = [k for k, v in enumerate(node.results) if v in live or any(b.params[offset + k] in live for b in node.blocks)]
    if len(kept) == len(node.results):
        return
    node.operands = (*node.operands[:first], *(node.operands[first + k] for k in kept))
    node.results = tuple(node.results[k] for k in kept)
    node.attrs["types"] = tuple(node.attrs["types"][k] for k in kept)
    for block in node.blocks:
        block.params = (*block.params[:offset], *(block.params[offset + k] for k in kept))
    body = node.blocks[-1]
    body.results = tuple(body.results[k] for k in kept)


def _shrink_if(node: Node, live: set[Value]) -> None:
    kept = [k for k, v in enumerate(node.results) if v in live]
    if len(kept) == len(node.results):
        return
    node.results = tuple(node.results[k] for k in kept)
    node.attrs["types"] = tuple(node.attrs["types"][k] for k in kept)
    for block in node.blocks:
        block.results = tuple(block.results[k] for k in kept)


def reachable(program: Program) -> set[str]:
    """The functions that the entry may call."""
    found, work = {program.entry}, [program.entry]
    while work:
        for node in walk(program.functions[work.pop()].body):
            for name in named(node):
                if name not in found:
                    found.add(name)
                    work.append(name)
    return found


@dataclass(frozen=True)
class Dce:
    """What nobody can observe is dropped."""

    name: ClassVar[str] = "dce"

    def run(self, program: Program) -> Program:
        used = reachable(program)
        program.functions = {name: f for name, f in program.functions.items() if name in used}
        effects = Effects(program)
        for function in program.functions.values():
            _sweep(function.body, _Marking(function, effects))
        return program
