"""Range analysis: checks and comparisons that follow from loops, branches and checks around them are decided.

`for i in 0..n` knows `0 <= i < n`; so do the branches of `if i + 1 < n`, what follows a `check`, a remainder, a
minimum.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from lms.core import primitives as p
from lms.core.data import dataclass
from lms.core.ir import Block, Function, Node, Program, Value
from lms.core.types import Scalar, Type, bool_, i64

from .linear import Facts, Lin, Linear
from .rewrite import const_of, constant, int_of, make

s, a, c = p.scalar, p.array, p.control
ORDER = {s.lt, s.le, s.gt, s.ge}
# results no larger in magnitude than these operands
BOUNDED = {s.minimum: slice(0, 2), s.maximum: slice(0, 2), s.mod: slice(1, 2), s.floordiv: slice(0, 1)}


class Ranges:
    def __init__(self, function: Function) -> None:
        self.linear = Linear()
        self.facts = Facts()
        self.env: dict[Value, Value] = {}
        self.equal: list[Value] = []  # what is in `env` only to the end of its block
        self.block(function.body)

    # ---------------------------------------------------------------------------------------- the walk

    def block(self, block: Block, *known: Lin) -> None:
        """Decide what can be decided in a block, at whose start some facts hold."""
        mark, equal = self.facts.mark(), len(self.equal)
        self.facts.learn(known)
        nodes: list[Node] = []
        for node in block.nodes:
            node.operands = tuple([self.env.get(v, v) for v in node.operands])
            if not self.decided(node, block, nodes):
                nodes.append(node)
                self.inside(node)
                self.facts.learn(self.told(node))
                self.unify(node)
        block.nodes[:] = nodes
        block.results = tuple([self.env.get(v, v) for v in block.results])
        self.facts.forget(mark)
        while len(self.equal) > equal:
            del self.env[self.equal.pop()]

    def unify(self, node: Node) -> None:
        """After a check that two integers are equal, one stands for both: loops over either have one range."""
        checked = node.operands[0].node if node.op is c.check else None
        if checked is not None and checked.op is s.eq and checked.operands[0].type == i64:
            x, y = checked.operands
            if int_of(y) is None:
                x, y = y, x
            if x is not y and x not in self.env:
                self.env[x] = y
                self.equal.append(x)

    def inside(self, node: Node) -> None:
        if node.op is c.if_:
            self.block(node.blocks[0], *self.holds(node.operands[0], True))
            self.block(node.blocks[1], *self.holds(node.operands[0], False))
        elif node.op is c.for_:
            self.block(node.blocks[0], *self.counter(node), *self.induction(node, node.blocks[0], 1))
        elif node.op is c.while_:
            condition, body = node.blocks
            self.block(condition, *self.induction(node, condition, 0))
            rename = dict(zip(condition.params, body.params, strict=True))
            held = [f for f in map(lambda f: _renamed(f, rename, condition), self.holds(condition.results[0], True)) if f]
            self.block(body, *self.induction(node, body, 0), *held)

    def decided(self, node: Node, block: Block, nodes: list[Node]) -> bool:
        """Whether a check is certain to pass, or a comparison (and what it selects) to come out one way; then it is gone."""
        if node.op is c.check:
            return self.certain(node.operands[0], True)
        if node.op is a.index and node.result.type == i64:
            i, n = node.operands
            if self.between(i, n):
                self.env[node.result] = i
                return True
            if a.wraps(node.attrs) and self.negative(i, n):
                wrapped = make(s.add, (i, n), {}, node, block)
                nodes.append(wrapped)
                self.env[node.result] = wrapped.result
                return True
        elif node.op in ORDER and node.operands[0].type == i64 and node.result.type == bool_:
            for outcome in (True, False):
                if self.certain(node.result, outcome):
                    known = constant(outcome, bool_, node, block)
                    nodes.append(known)
                    self.env[node.result] = known.result
                    return True
        elif node.op is s.select and (chosen := const_of(node.operands[0])) is not None:
            self.env[node.result] = node.operands[1 if chosen else 2]
            return True
        return False

    # ---------------------------------------------------------------------------------------- questions

    def between(self, i: Value, n: Value) -> bool:
        low, size = self.linear.of(i), self.linear.of(n)
        return self.facts.prove(low) and self.facts.prove(size.plus(low, -1).plus(Lin(-1, {})))

    def negative(self, i: Value, n: Value) -> bool:
        low, size = self.linear.of(i), self.linear.of(n)
        return self.facts.prove(low.times(-1).plus(Lin(-1, {}))) and self.facts.prove(size.plus(low))

    def certain(self, condition: Value, outcome: bool) -> bool:
        """Whether a condition surely has this outcome."""
        if const_of(condition) is outcome:
            return True
        node = condition.node
        if node is None:
            return False
        if node.op is s.not_:
            return self.certain(node.operands[0], not outcome)
        if node.op is (s.and_ if outcome else s.or_):
            return all(self.certain(v, outcome) for v in node.operands)
        if node.op is (s.or_ if outcome else s.and_):
            return any(self.certain(v, outcome) for v in node.operands)
        if node.op is s.ne and outcome and node.operands[0].type == i64:
            gap = self._gap(node)
            return any(self.facts.prove(gap.times(k).plus(Lin(-1, {}))) for k in (1, -1))
        wanted = list(self.holds(condition, outcome))
        return bool(wanted) and all(map(self.facts.prove, wanted))

    def _gap(self, node: Node) -> Lin:
        x, y = map(self.linear.of, node.operands)
        return x.plus(y, -1)

    # -------------------------------------------------------------------------------------------- facts

    def holds(self, condition: Value, outcome: bool) -> Iterator[Lin]:
        """What a condition's outcome says, of integers; all of it is needed to conclude the condition from it."""
        node = condition.node
        if node is None:
            return
        if node.op is s.not_:
            yield from self.holds(node.operands[0], not outcome)
        elif node.op is (s.and_ if outcome else s.or_):
            for v in node.operands:
                yield from self.holds(v, outcome)
        elif len(node.operands) == 2 and node.operands[0].type == i64:
            gap = self._gap(node)
            strict = {s.lt: (-1, 1), s.gt: (1, 1), s.le: (-1, 0), s.ge: (1, 0)}.get(node.op)
            if strict is not None:
                sign, least = strict if outcome else (-strict[0], 1 - strict[1])
                yield gap.times(sign).plus(Lin(-least, {}))
            elif node.op is (s.eq if outcome else s.ne):
                yield gap
                yield gap.times(-1)

    def counter(self, node: Node) -> Iterator[Lin]:
        start, stop, step = node.operands[:3]
        i, by = Lin(0, {node.blocks[0].params[0]: 1}), int_of(step) or 0
        sign = 1 if by > 0 else -1
        self.counts(node.blocks[0].params[0], start)
        if by:
            yield i.plus(self.linear.of(start), -1).times(sign)
            yield self.linear.of(stop).plus(i, -1).times(sign).plus(Lin(-1, {}))

    def induction(self, node: Node, block: Block, first: int) -> Iterator[Lin]:
        """A carried integer that only grows is never below what it was at first."""
        body = node.blocks[-1]
        inits = node.operands[3 * first:]
        for k, (init, out) in enumerate(zip(inits, body.results, strict=True)):
            if init.type == i64:
                step = _step(out, body.params[first + k])
                if step is not None and abs(step) < 256:
                    self.counts(block.params[first + k], init)
                    gap = Lin(0, {block.params[first + k]: 1}).plus(self.linear.of(init), -1)
                    yield gap.times(1 if step >= 0 else -1)

    def counts(self, v: Value, start: Value) -> None:
        """Note that a value counts from `start`: no machine runs long enough for it to become large."""
        if self.linear.width(start) < Linear.COUNT:
            self.linear.bits[v] = Linear.COUNT

    def told(self, node: Node) -> Iterator[Lin]:
        """What is known after a node: what it checked, and the range of what it computed."""
        if node.op is c.check:
            yield from self.holds(node.operands[0], True)
        if node.op in (a.empty, a.iota):
            for n in map(self.linear.of, node.operands):
                yield from (n, Lin(1 << Linear.SIZE, {}).plus(n, -1))
        if len(node.results) != 1 or node.result.type != i64:
            return
        self.linear.admit(node, self.facts)
        v, one = Lin(0, {node.result: 1}), Lin(-1, {})
        if node.op in BOUNDED:
            self.linear.bits[node.result] = max(map(self.linear.width, node.operands[BOUNDED[node.op]]))
        if node.op is a.index:
            i, n = map(self.linear.of, node.operands)
            self.linear.bits[node.result] = Linear.SIZE
            yield from (v, n.plus(v, -1).plus(one), n.plus(i, -1).plus(one), i.plus(n), v.plus(i, -1))
        elif node.op in (s.minimum, s.maximum):
            yield from self.extreme(node, v)
        elif node.op in (s.floordiv, s.mod):
            x, n = map(self.linear.of, node.operands)
            if node.op is s.mod and self.facts.prove(n):
                yield from (v, n.plus(v, -1).plus(one))  # of 0 nobody divides
            elif node.op is s.floordiv and not n.terms and n.const > 0:
                yield from (x.plus(v, -n.const), v.times(n.const).plus(Lin(n.const - 1, {})).plus(x, -1))
        elif node.op is s.and_ and (mask := int_of(node.operands[1])) is not None and mask >= 0:
            yield from (v, Lin(mask, {}).plus(v, -1))
        elif node.op is s.convert:
            yield from self.converted(node.operands[0].type, v, node.result)

    def converted(self, source: Type, v: Lin, result: Value) -> Iterator[Lin]:
        if isinstance(source, Scalar) and source.kind in "biu" and source.bits < 64:
            self.linear.bits[result] = source.bits
            if source.kind != "i":
                yield from (v, Lin(1 if source.kind == "b" else 2**source.bits - 1, {}).plus(v, -1))

    def extreme(self, node: Node, v: Lin) -> Iterator[Lin]:
        sign = 1 if node.op is s.maximum else -1
        x, y = map(self.linear.of, node.operands)
        yield v.plus(x, -1).times(sign)
        yield v.plus(y, -1).times(sign)
        self.facts.either[node.result] = sign, x, y


def _step(out: Value, param: Value) -> int | None:
    """By how much a carried value changes each time, where that is a constant."""
    if out is param:
        return 0
    node = out.node
    if node is None or node.op not in (s.add, s.sub) or param not in node.operands:
        return None
    x, y = node.operands
    by = int_of(y if x is param else x)
    return None if by is None or node.op is s.sub and x is not param else by if node.op is s.add else -by


def _renamed(fact: Lin, rename: dict[Value, Value], block: Block) -> Lin | None:
    """A fact about a loop's condition as one about its body; None if it speaks of values the body does not see."""
    terms = {}
    for atom, k in fact.terms.items():
        if isinstance(atom, Value):
            if atom.block is block and atom not in rename:
                return None
            atom = rename.get(atom, atom)
        terms[atom] = k
    return Lin(fact.const, terms)


@dataclass(frozen=True)
class Bounds:
    """Checks that cannot fail are dropped, comparisons that come out one way are decided."""

    name: ClassVar[str] = "bounds"

    def run(self, program: Program) -> Program:
        for function in program.functions.values():
            Ranges(function)
        return program
