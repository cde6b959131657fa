"""Expressions of generated programs: floats, ints, conditions and vectors, as text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.scope import BOOL, FLOAT, INT, Kind, Matrix, Name, Permutation, Scope, Vector


@dataclass
class Grammar:
    """What a program may be made of, and the draws that make one. The first of several alternatives is the simplest.

    `smooth` programs have transcendental functions and array reductions, which round as they like; `raising` ones have
    indices and divisors that nothing keeps in range.
    """

    draw: Callable[..., Any]
    smooth: bool = False
    raising: bool = False
    helpers: list[Helper] = field(default_factory=list)
    results: tuple[Kind, ...] = (FLOAT,)
    names: int = 0
    deciding: bool = False  # inside a condition, where nothing is written

    # ---------------------------------------------------------------------------------------- choosing

    def pick(self, options: list[Any]) -> Any:
        return self.draw(st.sampled_from(options))

    def chance(self, one_in: int) -> bool:
        return bool(self.draw(st.integers(0, one_in - 1)) == one_in - 1)

    def fresh(self, hint: str) -> str:
        self.names += 1
        return f"{hint}{self.names}"

    # ----------------------------------------------------------------------------------- float expressions

    def number(self, scope: Scope, depth: int) -> str:
        """A float expression."""
        options: list[Callable[[Scope, int], str]] = [self.leaf]
        if depth > 0:
            options += [self.sum, self.sum, self.product, self.quotient, self.choice, self.ternary, self.function]
            if self.smooth:
                options += [self.smooth_function, self.smooth_function, self.reduction]
            if self.callable(scope) or scope.functions:
                options += [self.call]
        if scope.all(Vector, Matrix):
            options += [self.element, self.element]
        return str(self.pick(options)(scope, depth))

    def leaf(self, scope: Scope, depth: int) -> str:
        if self.chance(5):
            return f"float({self.integer(scope, 0)})"
        return str(self.pick([name.text for name in scope.all(FLOAT)] * 3 + ["0.5", "2.0", "-1.5"]))

    def element(self, scope: Scope, depth: int) -> str:
        array = self.pick(scope.all(Vector, Matrix))
        return f"{array.text}[{self.place(scope, array)}]"

    def place(self, scope: Scope, array: Name) -> str:
        """The indices of one element."""
        if isinstance(array.kind, Matrix):
            return f"{self.index(scope, array.kind.rows)}, {self.index(scope, array.kind.columns)}"
        assert isinstance(array.kind, Vector)
        return self.index(scope, array.kind.dim)

    def sum(self, scope: Scope, depth: int) -> str:
        return f"({self.number(scope, depth - 1)} {self.pick(['+', '-'])} {self.number(scope, depth - 1)})"

    def product(self, scope: Scope, depth: int) -> str:
        return f"{self.number(scope, depth - 1)} * {self.number(scope, depth - 1)}"

    def quotient(self, scope: Scope, depth: int) -> str:
        by = self.number(scope, 0)
        return f"({self.number(scope, depth - 1)}) / ({self.pick(['4.0', f'1.0 + {by} * {by}', f'0.5 + abs({by})'])})"

    def choice(self, scope: Scope, depth: int) -> str:
        a, b = self.number(scope, depth - 1), self.number(scope, 0)
        options = [f"abs({a})", f"max({a}, {b})", f"min({a}, {b})", f"math.sqrt(0.25 + abs({a}))", f"min([{a}, {b}, 0.5])"]
        t = self.fresh("t")
        return str(self.pick([*options, f"({t} := {a}) * {t}", f"max([{t} * {b} for {t} in [{b}, 0.5]])"]))

    def ternary(self, scope: Scope, depth: int) -> str:
        return f"({self.number(scope, depth - 1)} if {self.condition(scope, 0)} else {self.number(scope, depth - 1)})"

    def function(self, scope: Scope, depth: int) -> str:
        inner = self.number(scope, depth - 1)
        return str(self.pick([f"(-({inner}))", f"squash({inner})", f"(({inner}) % 0.75)", f"(({inner}) % -1.5)"]))

    def smooth_function(self, scope: Scope, depth: int) -> str:
        inner = self.number(scope, depth - 1)
        options = [f"math.{f}({inner})" for f in ("sin", "cos", "tanh", "atan")]
        options += [f"math.exp(squash({inner}))", f"np.exp(squash({inner}))", f"math.log(1.0 + abs({inner}))"]
        return str(self.pick([*options, f"(0.5 + abs({inner})) ** 1.5", f"({inner}) ** 2"]))

    def reduction(self, scope: Scope, depth: int) -> str:
        if not (vectors := scope.all(Vector)):
            return self.leaf(scope, depth)
        dim = self.pick(vectors).kind.dim
        v, w = self.vector(scope, dim, depth - 1), self.vector(scope, dim, 0)
        options = [f"np.sum({v})", f"({v}).sum()", f"np.mean({v})", f"np.max({v})", f"np.min({v})", f"np.dot({v}, {w})"]
        return str(self.pick(options))

    def callable(self, scope: Scope) -> list[Helper]:
        """The helpers that may be called here."""
        return [h for h in self.helpers if h.fits(scope) and not (h.writes and (self.deciding or scope.closed))]

    def call(self, scope: Scope, depth: int) -> str:
        called = self.pick([*self.callable(scope), *scope.functions])
        return called.call(self, scope, depth - 1) if isinstance(called, Helper) else f"{called}({self.number(scope, depth - 1)})"

    # -------------------------------------------------------------------------- integers and conditions

    def integer(self, scope: Scope, depth: int) -> str:
        """A small int expression."""
        if depth <= 0:
            return str(self.pick(["0", *(name.text for name in scope.all(INT)), "1", "2", "3"]))
        a, b = self.integer(scope, depth - 1), self.integer(scope, depth - 1)
        options = [a, f"({a} + {b})", f"({a} - {b})", f"({a} * {b})", f"({a} // 2)", f"({a} % 3)", f"({a} // -2)", f"({a} % -3)"]
        options += [f"min({a}, {b})", f"max({a}, {b})", f"abs({a})", f"(-{a} // 3)"]
        options += [f"int({self.number(scope, 0)} * 3.0)", f"math.floor({self.number(scope, 0)} * 2.0)"]
        if self.raising and "k" in scope.names:
            options += [f"({a} // (k - {b}))", f"({a} % ({b} * k))"]
        return str(self.pick(options))

    def index(self, scope: Scope, dim: str) -> str:
        """An expression in the range of a dimension (unless the program may raise)."""
        size = scope.sizes.get(dim, dim)
        inside = [name.text for name in scope.all(INT) if name.index_of == dim]
        options = ["0", "-1", *inside, *inside, *(f"{size} - 1 - {i}" for i in inside)]
        options += [f"{p.text}[{i}]" for p in scope.all(Permutation) for i in inside or ["0"] if p.kind.dim == dim]
        if self.raising and self.chance(3):
            return self.integer(scope, 1)
        if self.chance(4):
            return f"{self.integer(scope, 1)} % {size}"
        return str(self.pick(options))

    def condition(self, scope: Scope, depth: int) -> str:
        before, self.deciding = self.deciding, True
        try:
            return self._condition(scope, depth)
        finally:
            self.deciding = before

    def _condition(self, scope: Scope, depth: int) -> str:
        if depth > 0 and self.chance(2):
            a, b = self._condition(scope, depth - 1), self._condition(scope, depth - 1)
            return str(self.pick([f"not ({a})", f"({a} and {b})", f"({a} or {b})"]))
        options = [self.float_test, self.int_test]
        if scope.all(BOOL):
            options.append(lambda scope: self.pick(scope.all(BOOL)).text)
        if scope.all(Vector):
            options.append(self.guarded_test)
        return str(self.pick(options)(scope))

    def float_test(self, scope: Scope) -> str:
        if self.chance(4):
            return f"{self.number(scope, 0)} < {self.number(scope, 1)} <= {self.number(scope, 0)}"
        return f"{self.number(scope, 1)} {self.pick(['<', '>', '<=', '>='])} {self.number(scope, 1)}"

    def int_test(self, scope: Scope) -> str:
        return f"{self.integer(scope, 1)} {self.pick(['<', '==', '!=', '>='])} {self.integer(scope, 0)}"

    def guarded_test(self, scope: Scope) -> str:
        """A load that only the operand on its left makes safe."""
        v, i = self.pick(scope.all(Vector)), self.integer(scope, 0)
        return f"(0 <= {i} < len({v.text}) and {v.text}[{i}] > {self.number(scope, 0)})"

    # ------------------------------------------------------------------------------- array expressions

    def vector(self, scope: Scope, dim: str, depth: int) -> str:
        """A vector expression of a length that some vector in scope has: fresh, or (depth 0) a name."""
        if depth <= 0:
            return str(self.pick(scope.vectors(dim)))
        a = self.vector(scope, dim, depth - 1)
        b = self.leaf(scope, 0) if self.chance(2) else self.vector(scope, dim, 0)
        options = [f"{a} * {b}", f"({a} + {b})", f"({a} - {b})", f"(-{a})", f"squash({a})", f"np.maximum({a}, {b})",
                   f"np.where({a} > 0.25, {a}, {b})", f"np.abs({a})", f"{a} / (0.5 + np.abs({a}))", f"({b} - {a})"]
        options += [f"{a}[{q.text}]" for q in scope.all(Permutation) if q.kind.dim == dim]
        if self.smooth:
            options += [f"np.sin({a})", f"np.exp(squash({a}))", f"np.tanh({a})", f"np.sqrt(0.5 + np.abs({a}))"]
            options += [product for m in scope.all(Matrix) for product in self.contractions(scope, m, dim)]
        return str(self.pick(options))

    def contractions(self, scope: Scope, m: Name, dim: str) -> list[str]:
        """Sums and products of a matrix that have the given length."""
        assert isinstance(m.kind, Matrix)
        found = []
        for axis, (kept, gone) in enumerate([(m.kind.columns, m.kind.rows), (m.kind.rows, m.kind.columns)]):
            if kept == dim:
                found.append(f"np.sum({m.text}, axis={axis})")
                found += [f"{m.text}{'' if axis else '.T'} @ {v}" for v in scope.vectors(gone)]
        return found


@dataclass
class Helper:
    """A function beside the main one: its text, and how it is called."""

    name: str
    params: tuple[Kind, ...]
    text: str
    recursive: bool = False
    writes: bool = False

    def fits(self, scope: Scope) -> bool:
        return all(self.arrays(scope, kind) for kind in self.params if isinstance(kind, Vector))

    def arrays(self, scope: Scope, kind: Vector) -> list[Name]:
        return [name for name in scope.all(kind) if name.writable or not self.writes]

    def call(self, g: Grammar, scope: Scope, depth: int) -> str:
        arguments = []
        for kind in self.params:
            if kind == FLOAT:
                arguments.append(f"squash({g.number(scope, depth)})" if self.recursive else g.number(scope, depth))
            elif kind == INT:
                arguments.append(f"{g.integer(scope, 0)} % 4")
            else:
                assert isinstance(kind, Vector)
                arguments.append(g.pick(self.arrays(scope, kind)).text)
        return f"{self.name}({', '.join(arguments)})"
