"""Shorter recurrences: a cotangent that a backward loop carries meets one multiplication an iteration, not a chain of them.

The backward half of a loop is linear in what it carries: `d = (d * a) * b - d * c`. What waits for the iteration before is
only `d`; so the factor `a * b - c` is computed apart, and `d` is multiplied by it once. Only the backward halves of derivatives,
whose sums may be taken in any order, are rewritten, and only where one carried value depends on itself alone.
"""

from __future__ import annotations

from typing import ClassVar

from lms.core import primitives as p
from lms.core.data import dataclass
from lms.core.ir import Block, Node, Program, Value, walk
from lms.core.types import Scalar

from .rewrite import constant, make

s, c = p.scalar, p.control
LINEAR = {s.add, s.sub, s.neg, s.mul, s.div, s.select}


class _Factor:
    """Writes, into a loop's body, the factor by which a carried value is multiplied in one iteration."""

    def __init__(self, param: Value, body: Block, nodes: list[Node]) -> None:
        self.param, self.body, self.out = param, body, nodes
        self.depends: set[Value] = {param}
        self.chain: dict[Value, int] = {param: 0}
        self.factors: dict[Value, Value] = {}

    def trace(self, result: Value) -> bool:
        """Find what depends on the carried value; whether the result does, linearly, by more than one operation."""
        for node in self.body.nodes:
            on = [v for v in node.operands if v in self.depends]
            inside = any(v in self.depends for inner in node.blocks for n in walk(inner) for v in n.operands)
            if on or inside:
                self.depends.update(node.results)
                if not inside and len(node.results) == 1 and self.linear(node):
                    self.chain[node.result] = 1 + max(self.chain[v] for v in on)
        return self.chain.get(result, 0) > 1

    def linear(self, node: Node) -> bool:
        """Whether a node of a backward half is linear in the carried value."""
        if node.half != "backward" or node.op not in LINEAR or not isinstance(node.result.type, Scalar):
            return False
        on = [v in self.depends for v in node.operands]
        if any(v in self.depends and v not in self.chain for v in node.operands):
            return False
        if node.op in (s.add, s.sub):
            return all(on)
        if node.op is s.mul:
            return on != [True, True]
        if node.op is s.select:
            return not on[0] and on[1] and on[2]
        return node.op is s.neg or on == [True, False]

    def of(self, result: Value) -> Value:
        """The factor between the carried value and the result."""
        needed: set[Value] = {result}
        for node in reversed(self.body.nodes):
            if len(node.results) == 1 and node.result in needed:
                needed.update(v for v in node.operands if v in self.depends)
        for node in list(self.body.nodes):
            if len(node.results) == 1 and node.result in needed and node.result in self.chain:
                self.factors[node.result] = self.made(node)
        return self.factors[result]

    def made(self, node: Node) -> Value:
        """The factor of one node's result. That of the carried value itself is 1, and not written where it multiplies."""
        if node.op is s.mul:
            x, y = node.operands
            factor, kept = (self.factors.get(x), y) if x in self.depends else (self.factors.get(y), x)
            return kept if factor is None else self.emit(node, factor, kept)
        return self.emit(node, *((self.factors.get(v) or self.one(node)) if v in self.depends else v for v in node.operands))

    def one(self, like: Node) -> Value:
        t = like.result.type
        assert isinstance(t, Scalar)
        self.out.append(constant(1, t, like, self.body))
        return self.out[-1].result

    def emit(self, like: Node, *operands: Value) -> Value:
        self.out.append(make(like.op, operands, {**like.attrs, "fast": True}, like, self.body))
        return self.out[-1].result


def _shorten(loop: Node) -> None:
    body = loop.blocks[0]
    results = list(body.results)
    for k, (param, result) in enumerate(zip(body.params[1:], body.results, strict=True)):
        if not (isinstance(param.type, Scalar) and param.type.is_float):
            continue
        extra: list[Node] = []
        factor = _Factor(param, body, extra)
        others = set(body.params[1:]) - {param}
        if not factor.trace(result) or _touches(result, others, body):
            continue
        made = result.node
        assert made is not None
        by = factor.of(result)
        extra.append(make(s.mul, (param, by), {"fast": True}, made, body))
        body.nodes += extra
        results[k] = extra[-1].result
    body.results = tuple(results)


def _touches(v: Value, params: set[Value], body: Block) -> bool:
    """Whether a value depends on other carried values."""
    seen: set[Value] = set()
    work = [v]
    while work:
        u = work.pop()
        if u in params:
            return True
        if u not in seen and u.node is not None and u.block is body:
            seen.add(u)
            if u.node.blocks:
                return True
            work.extend(u.node.operands)
    return False


@dataclass(frozen=True)
class Recurrences:
    """What a backward loop carries is multiplied once an iteration."""

    name: ClassVar[str] = "recurrences"

    def run(self, program: Program) -> Program:
        for function in program.functions.values():
            for node in list(walk(function.body)):
                if node.op is c.for_:
                    _shorten(node)
        return program
