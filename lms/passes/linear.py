"""Linear inequalities over integers: what is known at a place of the program, and what follows from it.

An expression is `const + sum(coefficient * atom)`. Atoms are values that are not themselves sums, and the names of sizes,
which are never negative. A fact is an expression known to be at least 0.
"""

from __future__ import annotations

from collections.abc import Iterable

from lms.core import primitives as p
from lms.core.data import dataclass
from lms.core.ir import Node, Value
from lms.core.types import ArrayType, Size

s = p.scalar
Atom = Value | str
EFFORT = 120  # facts looked at for one question


@dataclass(frozen=True, slots=True)
class Lin:
    """A linear expression."""

    const: int
    terms: dict[Atom, int]

    def plus(self, other: Lin, k: int = 1) -> Lin:
        """`self + k * other`."""
        terms = dict(self.terms)
        for atom, c in other.terms.items():
            total = terms.get(atom, 0) + k * c
            if total:
                terms[atom] = total
            else:
                terms.pop(atom, None)
        return Lin(self.const + k * other.const, terms)

    def times(self, k: int) -> Lin:
        return Lin(self.const * k, {atom: c * k for atom, c in self.terms.items()} if k else {})


def of_size(size: Size) -> Lin:
    return Lin(size, {}) if isinstance(size, int) else Lin(size.const, dict(size.terms))


class Linear:
    """The linear expressions of values, taken in as the walk meets their nodes.

    Sums wrap at 64 bits and linear expressions do not: a sum is taken apart only where it cannot wrap. `bits` bounds the
    magnitude of atoms; what counts up from a small number stays small for as long as any machine runs.
    """

    SIZE, COUNT, SAFE, ANY = 48, 56, 62, 64

    def __init__(self) -> None:
        self._known: dict[Value, Lin] = {}
        self.bits: dict[Value, int] = {}

    def of(self, v: Value) -> Lin:
        """What an `i64` is, as a linear expression."""
        return self._known.get(v) or Lin(0, {v: 1})

    def width(self, v: Value) -> int:
        """A bound of the bits of a value's magnitude."""
        return self.size(self.of(v)).bit_length()

    def size(self, e: Lin) -> int:
        """A bound of an expression's magnitude."""
        widths = ((k, self.SIZE if isinstance(v, str) else self.bits.get(v, self.ANY)) for v, k in e.terms.items())
        return abs(e.const) + sum(abs(k) << width for k, width in widths)

    def admit(self, node: Node, facts: Facts) -> None:
        """Take in a node that computes an `i64`."""
        v = node.result
        if node.op is p.array.const:
            self._known[v] = Lin(int(node.attrs["value"]), {})
        elif node.op is p.array.dim:
            t = node.operands[0].type
            assert isinstance(t, ArrayType)
            self._known[v] = of_size(t.dims[node.attrs["axis"]])
        elif node.op in (s.add, s.sub, s.neg, s.mul):
            e = self._combined(node)
            safe = 1 << self.SAFE
            if e is not None and (self.size(e) < safe or all(facts.prove(Lin(safe, {}).plus(e, k)) for k in (1, -1))):
                self._known[v] = e

    def _combined(self, node: Node) -> Lin | None:
        x, y = map(self.of, (node.operands * 2)[:2])
        if node.op is s.neg:
            return x.times(-1)
        if node.op is s.mul:
            return y.times(x.const) if not x.terms else x.times(y.const) if not y.terms else None
        return x.plus(y, 1 if node.op is s.add else -1)


class Facts:
    """What is known; `mark` and `forget` bracket a block."""

    def __init__(self) -> None:
        self._by_atom: dict[Atom, list[Lin]] = {}
        self._log: list[Lin] = []
        self.either: dict[Atom, tuple[int, Lin, Lin]] = {}  # atoms that are the larger (1) or smaller (-1) of two

    def mark(self) -> int:
        return len(self._log)

    def forget(self, mark: int) -> None:
        while len(self._log) > mark:
            for atom in self._log.pop().terms:
                self._by_atom[atom].pop()

    def learn(self, facts: Iterable[Lin]) -> None:
        for fact in facts:
            if fact.terms:
                self._log.append(fact)
                for atom in fact.terms:
                    self._by_atom.setdefault(atom, []).append(fact)

    def prove(self, goal: Lin) -> bool:
        """Whether the goal is at least 0, as far as a short search finds."""
        self._effort = EFFORT
        return self._prove(goal, 5)

    def _prove(self, goal: Lin, depth: int) -> bool:
        self._effort -= 1
        if goal.const >= 0 and all(c > 0 and isinstance(atom, str) for atom, c in goal.terms.items()):
            return True
        if depth == 0 or self._effort <= 0:
            return False
        for atom, c in goal.terms.items():
            if isinstance(atom, str) and c > 0 and self._prove(goal.plus(Lin(0, {atom: -c})), depth - 1):
                return True  # a size is not negative
            if (either := self.either.get(atom)) is not None and either[0] * c < 0:
                cases = (goal.plus(Lin(0, {atom: -c})).plus(e, c) for e in either[1:])
                if all(self._prove(case, depth - 1) for case in cases):
                    return True
            known = self._by_atom.get(atom, ())
            for fact in reversed(known[-8:]):
                f = fact.terms[atom]
                if f * c > 0:  # both bound it from the same side: it cancels
                    rest = Lin(abs(f) - 1, {}).plus(goal, abs(f)).plus(fact, -abs(c))  # of integers: g >= 0 if k*g > -k
                    if self._prove(rest, depth - 1):
                        return True
                if self._effort <= 0:
                    return False
        return False
