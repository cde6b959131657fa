"""Loop versioning: the bounds checks of an innermost loop become one test before it.

Where an index is `c * counter + (something fixed)`, its first and last values say whether all are in range. The test selects
a copy of the loop without those checks; else the loop runs as it was, and fails exactly where Python would.
"""

from __future__ import annotations

from typing import ClassVar

from lms.core import primitives as p
from lms.core.data import dataclass, field
from lms.core.ir import Block, Node, Program, Value, walk
from lms.core.primitives import Primitive
from lms.core.types import Scalar, i64

from .clone import clone_block
from .rewrite import adopt, constant, int_of, make

s, a, c = p.scalar, p.array, p.control

LARGEST = 300        # nodes of a loop that is copied
FACTOR = 1 << 20     # of the counter, at most: with STEPS this keeps the ends of an index from wrapping around
STEPS = 1 << 40


@dataclass(slots=True)
class _Candidate:
    """A loop and the checks of its body whose index runs evenly."""

    loop: Node
    local: set[Value] = field(default_factory=set)   # what the body makes
    slopes: dict[Value, int | None] = field(default_factory=dict)
    checks: list[Node] = field(default_factory=list)

    def find(self) -> bool:
        body = self.loop.blocks[0]
        nodes = list(walk(body))
        if int_of(self.loop.operands[2]) != 1 or len(nodes) > LARGEST or any(n.op in (c.for_, c.while_) for n in nodes):
            return False
        self.slopes[body.params[0]] = 1
        self.local.update(body.params)
        for node in nodes:
            self.local.update(node.results)
            if len(node.results) == 1:
                self.slopes[node.result] = self.slope(node)
            if node.op is a.index and node.result.type == i64:
                i, n = node.operands
                if n not in self.local and self.of(i) is not None:
                    self.checks.append(node)
                    self.slopes[node.result] = None
        return bool(self.checks)

    def of(self, v: Value) -> int | None:
        """How much a value grows with the counter; None where that is not fixed."""
        return self.slopes.get(v) if v in self.local else 0

    def slope(self, node: Node) -> int | None:
        if node.op is a.const:
            return 0
        if node.op not in (s.add, s.sub, s.mul, s.neg) or node.result.type != i64:
            return None
        slopes = [self.of(v) for v in node.operands]
        if None in slopes:
            return None
        x, y = (slopes * 2)[:2]
        assert x is not None and y is not None
        if node.op is s.neg:
            total = -x
        elif node.op is s.mul:
            u, v = map(int_of, node.operands)
            if x == y == 0:
                return 0
            if u is None and v is None:
                return None
            total = x * v if v is not None else y * (u or 0)
        else:
            total = x + y if node.op is s.add else x - y
        return total if abs(total) <= FACTOR else None


class _Maker:
    """Writes the test before a loop."""

    def __init__(self, candidate: _Candidate, block: Block) -> None:
        self.it, self.block = candidate, block
        self.nodes: list[Node] = []
        loop = candidate.loop
        start, stop = loop.operands[:2]
        self.start = start
        self.last = self.emit(s.sub, stop, self.const(1))
        span = self.emit(s.sub, self.last, start)
        self.ok = self.both(self.emit(s.ge, span, self.const(0)), self.emit(s.le, span, self.const(STEPS)))
        self.tested: set[tuple[Value, Value]] = set()

    def emit(self, op: Primitive, *operands: Value) -> Value:
        self.nodes.append(make(op, operands, {}, self.it.loop, self.block))
        return self.nodes[-1].result

    def const(self, value: int, t: Scalar = i64) -> Value:
        self.nodes.append(constant(value, t, self.it.loop, self.block))
        return self.nodes[-1].result

    def both(self, x: Value, y: Value) -> Value:
        return self.emit(s.and_, x, y)

    def require(self, check: Node) -> None:
        """Both ends of the index are in range."""
        i, n = check.operands
        if (i, n) in self.tested:
            return
        self.tested.add((i, n))
        for end in (self.start, self.last) if self.it.of(i) else (self.start,):
            v = self.at(i, end, {})
            for condition in (self.emit(s.ge, v, self.const(0)), self.emit(s.lt, v, n)):
                self.ok = self.both(self.ok, condition)

    def at(self, v: Value, end: Value, done: dict[Value, Value]) -> Value:
        """The value an index has at one end of the loop."""
        if v not in self.it.local:
            return v
        node = v.node
        if node is None:
            return end
        if v not in done:
            if node.op is a.const:
                done[v] = self.const(int(node.attrs["value"]))
            else:
                done[v] = self.emit(node.op, *(self.at(u, end, done) for u in node.operands))
        return done[v]


def _versioned(candidate: _Candidate, block: Block) -> list[Node]:
    """The nodes that stand for a loop: the test, and the two loops."""
    loop, maker = candidate.loop, _Maker(candidate, block)
    for check in candidate.checks:
        maker.require(check)
    fast, slow = Block(), Block()
    env: dict[Value, Value] = {}
    body = clone_block(loop.blocks[0], env)
    _unchecked(body, {env[check.result] for check in candidate.checks}, {})
    copy = Node(loop.op, loop.operands, dict(loop.attrs), (body,), (), loop.span, loop.half)
    copy.results = tuple(Value(v.type, v.name, copy, fast) for v in loop.results)
    fast.nodes, fast.results = [copy], copy.results
    types = tuple(v.type for v in loop.results)
    choice = Node(c.if_, (maker.ok,), {"types": types}, (fast, slow), loop.results, loop.span, loop.half)
    loop.results = tuple(Value(v.type, v.name, loop) for v in choice.results)
    for v in choice.results:
        v.node = choice
    slow.nodes, slow.results = [loop], loop.results
    adopt(loop, slow)
    return [*maker.nodes, choice]


def _unchecked(block: Block, dropped: set[Value], env: dict[Value, Value]) -> None:
    """Take checked indices as they are."""
    nodes = []
    for node in block.nodes:
        node.operands = tuple(env.get(v, v) for v in node.operands)
        if node.op is a.index and node.result in dropped:
            env[node.result] = node.operands[0]
            continue
        for inner in node.blocks:
            _unchecked(inner, dropped, env)
        nodes.append(node)
    block.nodes[:] = nodes
    block.results = tuple(env.get(v, v) for v in block.results)


def _block(block: Block) -> None:
    nodes: list[Node] = []
    for node in block.nodes:
        for inner in node.blocks:
            _block(inner)
        if node.op is c.for_ and (candidate := _Candidate(node)).find():
            nodes += _versioned(candidate, block)
        else:
            nodes.append(node)
    block.nodes[:] = nodes


@dataclass(frozen=True)
class Version:
    """Innermost loops twice: unchecked where a test before them says so."""

    name: ClassVar[str] = "version"

    def run(self, program: Program) -> Program:
        for function in program.functions.values():
            _block(function.body)
        return program
