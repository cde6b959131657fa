"""Well-typed Python programs as text: statements, functions, whole programs.

Every program is valid Python on floats and NumPy arrays. Values stay bounded because what is assigned in a loop goes
through `squash`; divisors are kept from zero; a `while` burns fuel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.expressions import Grammar, Helper
from tests.fuzz.scope import BOOL, FLOAT, INT, Kind, Matrix, Name, Permutation, Scope, Vector, matrix, vector
from tests.fuzz.worlds import Program

SQUASH = "def squash(v):\n    return v / (1.0 + v * v)\n"
N = vector("n")


def indented(lines: list[str]) -> list[str]:
    return ["    " + line for line in lines]


@dataclass
class Writer:
    """Statements, each a method that gives lines and adds the names it binds to the scope."""

    g: Grammar

    def block(self, scope: Scope, depth: int, most: int = 3) -> list[str]:
        """At least one statement, indented."""
        lines = [line for _ in range(self.g.draw(st.integers(1, most))) for line in self.statement(scope, depth)]
        return indented(lines)

    def statement(self, scope: Scope, depth: int) -> list[str]:
        options = [self.assign, self.assign, self.augment, self.integer, self.boolean, self.new_array, self.unpack]
        if len(scope.all(FLOAT)) > 1:
            options.append(self.swap_numbers)
        if any(a.writable for a in scope.all(Vector, Matrix)):
            options += [self.store, self.store, self.store, self.swap_elements, self.row]
        if scope.all(Vector, Matrix):
            options += [self.view, self.whole_array, self.rebind]
        if depth > 0:
            options += [self.branch, self.branch, self.loop, self.loop, self.loop, self.elements, self.fuelled]
            if scope.breakable:
                options += [self.leave, self.leave]
            options += [self.early, self.closure, self.searching, self.forever, self.several]
        if self.g.raising:
            options += [self.refuse]
        lines: list[str] = self.g.pick(options)(scope, depth)
        return lines

    def value(self, scope: Scope, depth: int = 3, old: bool = True) -> str:
        """A float to assign: bounded where it may be assigned again and again."""
        text = self.g.number(scope, depth)
        return f"squash({text})" if (scope.looping and old) or self.g.chance(2) else text

    # ---------------------------------------------------------------------------------------- scalars

    def assign(self, scope: Scope, depth: int) -> list[str]:
        known = [name.text for name in scope.all(FLOAT) if name.assignable]
        if known and self.g.chance(2):
            return [f"{self.g.pick(known)} = {self.value(scope)}"]
        text = self.value(scope, old=False)
        name = self.g.fresh("a")
        scope.add(name, FLOAT)
        return [f"{name} = {text}"]

    def augment(self, scope: Scope, depth: int) -> list[str]:
        if not (known := [name.text for name in scope.all(FLOAT) if name.assignable]):
            return self.assign(scope, depth)
        return [f"{self.g.pick(known)} {self.g.pick(['+=', '-=', '*='])} squash({self.g.number(scope, 2)})"]

    def integer(self, scope: Scope, depth: int) -> list[str]:
        known = [name.text for name in scope.all(INT) if name.assignable]
        text = f"({self.g.integer(scope, 2)}) % 5"
        if known and self.g.chance(2):
            return [f"{self.g.pick(known)} = {text}"]
        name = self.g.fresh("k")
        text = self.g.pick(["0", text])
        scope.add(name, INT)
        return [f"{name} = {text}"]

    def boolean(self, scope: Scope, depth: int) -> list[str]:
        known = [name.text for name in scope.all(BOOL) if name.assignable]
        text = self.g.condition(scope, 1)
        if known and self.g.chance(2):
            return [f"{self.g.pick(known)} = {text}"]
        name = self.g.fresh("p")
        text = self.g.pick(["False", text])
        scope.add(name, BOOL)
        return [f"{name} = {text}"]

    def swap_numbers(self, scope: Scope, depth: int) -> list[str]:
        names = [name.text for name in scope.all(FLOAT) if name.assignable]
        if len(names) < 2:
            return self.assign(scope, depth)
        a, b = self.g.pick(names), self.g.pick(names)
        return [f"{a}, {b} = {self.g.pick([f'{b}, {a}', f'{b}, squash({a} + {b})'])}"]

    def unpack(self, scope: Scope, depth: int) -> list[str]:
        """Several names at once, by tuple or by chain."""
        values = [self.value(scope, 1, old=False) for _ in range(3)]
        a, b, c = names = [self.g.fresh("a") for _ in values]
        for name in names:
            scope.add(name, FLOAT)
        x, y, z = values
        ways = [[f"{a}, ({b}, {c}) = {x}, ({y}, {z})"], [f"{a} = {b} = {c} = {x}"],
                [f"[{a}, *{b}s] = [{x}, {y}, {z}]", f"{b}, {c} = {b}s"]]
        lines: list[str] = self.g.pick(ways)
        return lines

    # ---------------------------------------------------------------------------------------- arrays

    def new_array(self, scope: Scope, depth: int) -> list[str]:
        sizes = [d for d in scope.sizes if d in ("n", "m")] + ["3"]
        dim = self.g.pick(sizes)
        size = scope.sizes.get(dim, dim)
        if self.g.chance(4):
            name = self.g.fresh("q")
            scope.add(name, Permutation("permutation", dim), assignable=False)
            return [f"{name} = np.zeros({size}, dtype=np.int64)", f"for z in range({size}):", f"    {name}[z] = {size} - 1 - z"]
        texts = [f"np.zeros({size})", f"np.ones({size})", f"np.full({size}, {self.g.number(scope, 1)})"]
        for v in scope.vectors(dim):
            texts += [f"np.copy({v})", f"{v}.copy()", f"np.zeros_like({v})", f"{v} * {self.g.number(scope, 1)}"]
        name = self.g.fresh("v")
        if self.g.chance(6):
            columns = self.g.pick(["2", *sizes])
            scope.add(name, matrix(dim, columns), writable=True)
            return [f"{name} = np.zeros(({size}, {scope.sizes.get(columns, columns)}))"]
        text = self.g.pick(texts)
        scope.add(name, vector(dim), writable=True)
        return [f"{name} = {text}"]

    def _writable(self, scope: Scope) -> Name:
        array: Name = self.g.pick([a for a in scope.all(Vector, Matrix) if a.writable])
        return array

    def store(self, scope: Scope, depth: int) -> list[str]:
        a = self._writable(scope)
        where = f"{a.text}[{self.g.place(scope, a)}]"
        if self.g.chance(3):
            return [f"{where} {self.g.pick(['+=', '-=', '*='])} squash({self.g.number(scope, 2)})"]
        return [f"{where} = {self.value(scope)}"]

    def swap_elements(self, scope: Scope, depth: int) -> list[str]:
        a = self._writable(scope)
        i, j = self.g.place(scope, a), self.g.place(scope, a)
        return [f"{a.text}[{i}], {a.text}[{j}] = {a.text}[{j}], {a.text}[{i}]"]

    def row(self, scope: Scope, depth: int) -> list[str]:
        """A row or a column of a matrix, or elements of a vector chosen by a permutation, changed at once."""
        a = self._writable(scope)
        if isinstance(a.kind, Matrix):
            row, column = self.g.index(scope, a.kind.rows), self.g.index(scope, a.kind.columns)
            places = [(f"[{row}]", a.kind.columns), (f"[{row}, :]", a.kind.columns), (f"[:, {column}]", a.kind.rows)]
            place, dim = self.g.pick(places)
        else:
            if not (chosen := [q.text for q in scope.all(Permutation) if q.kind.dim == a.kind.dim]):
                return self.store(scope, depth)
            place, dim = f"[{self.g.pick(chosen)}]", a.kind.dim
        value = f"squash({self.g.vector(scope, dim, 1)})" if scope.vectors(dim) else self.value(scope, 1)
        return [f"{a.text}{place} {self.g.pick(['=', '+=', '*='])} {value}"]

    def view(self, scope: Scope, depth: int) -> list[str]:
        """Another name for a part of an array."""
        a: Name = self.g.pick(scope.all(Vector, Matrix))
        name = self.g.fresh("w")
        if isinstance(a.kind, Matrix):
            row, column = self.g.index(scope, a.kind.rows), self.g.index(scope, a.kind.columns)
            text, kind = self.g.pick([(f"[{row}]", vector(a.kind.columns)), (f"[{row}, :]", vector(a.kind.columns)),
                                      (f"[:, {column}]", vector(a.kind.rows, strided=True))])
        else:
            assert isinstance(a.kind, Vector)
            options = [("[:]", a.kind), ("[::-1]", vector(a.kind.dim, strided=True))]
            if a.kind.dim == "n":
                scope.sizes["n - 1"] = f"({scope.sizes['n']} - 1)"
                options += [(part, vector("n - 1", a.kind.strided)) for part in ("[1:]", "[:-1]")]
            text, kind = self.g.pick(options)
        scope.add(name, kind, writable=a.writable)
        return [f"{name} = {a.text}{text}"]

    def whole_array(self, scope: Scope, depth: int) -> list[str]:
        """A vector changed in place."""
        vectors = [v for v in scope.all(Vector) if v.writable]
        if not vectors:
            return self.assign(scope, depth)
        v = self.g.pick(vectors)
        text = f"squash({self.g.vector(scope, v.kind.dim, 1)})"
        options = [f"{v.text}[:] = {text}", f"{v.text} += {text}", f"{v.text} *= {text}", f"{v.text}[:] = {self.value(scope, 1)}",
                   f"{v.text}[::2] = {self.value(scope, 1)}", f"{v.text}[::-1] = {text}"]
        if v.kind.dim == "n":
            options += [f"{v.text}[1:] = {v.text}[:-1]", f"{v.text}[:-1] += squash({v.text}[1:])"]
        return [self.g.pick(options)]

    def rebind(self, scope: Scope, depth: int) -> list[str]:
        """Array names exchanged, made one, or given a new array."""
        vectors = [v for v in scope.all(Vector) if v.assignable]
        if not vectors:
            return self.assign(scope, depth)
        a = self.g.pick(vectors)
        same = [v.text for v in vectors if v.kind == a.kind and v.writable == a.writable]
        b = self.g.pick(same)
        options = [f"{a.text}, {b} = {b}, {a.text}", f"{a.text} = {b}"]
        if a.writable and not a.kind.strided:
            options.append(f"{a.text} = squash({self.g.vector(scope, a.kind.dim, 1)})")
        return [self.g.pick(options)]

    # ---------------------------------------------------------------------------------------- control

    def branch(self, scope: Scope, depth: int) -> list[str]:
        lines = [f"if {self.g.condition(scope, 1)}:", *self.block(scope.inner(), depth - 1, 2)]
        if self.g.chance(3):
            lines += [f"elif {self.g.condition(scope, 0)}:", *self.block(scope.inner(), depth - 1, 2)]
        if self.g.chance(2):
            lines += ["else:", *self.block(scope.inner(), depth - 1, 2)]
        return lines

    def loop(self, scope: Scope, depth: int) -> list[str]:
        inner = scope.inner(looping=True, breakable=True)
        i = self.g.fresh("i")
        size = scope.sizes["n"]
        ranges = [(f"range({size})", "n"), ("range(k)", ""), (f"range({size} - 1, -1, -1)", "n"), ("range(3)", "3")]
        ranges += [(f"range(1, {size})", "n"), (f"range(0, {size}, 2)", "n"), ("range(k, 0, -1)", "")]
        text, dim = self.g.pick([*ranges, (f"range({self.g.integer(scope, 1)})", "")])
        inner.add(i, INT, assignable=False, index_of=dim)
        return [f"for {i} in {text}:", *self.block(inner, depth - 1)]

    def elements(self, scope: Scope, depth: int) -> list[str]:
        """A loop over the elements of an array."""
        if not (vectors := scope.all(Vector)):
            return self.loop(scope, depth)
        inner = scope.inner(looping=True, breakable=True)
        v = self.g.pick(vectors)
        e, i = self.g.fresh("e"), self.g.fresh("i")
        inner.add(e, FLOAT)
        head = f"for {e} in {v.text}:"
        if self.g.chance(2):
            inner.add(i, INT, assignable=False, index_of=v.kind.dim)
            head = f"for {i}, {e} in enumerate({v.text}):"
        elif self.g.chance(3):
            inner.add(i, FLOAT)
            head = f"for {e}, {i} in zip({v.text}, {self.g.pick(scope.vectors(v.kind.dim))}):"
        return [head, *self.block(inner, depth - 1)]

    def fuelled(self, scope: Scope, depth: int) -> list[str]:
        fuel = self.g.fresh("fuel")
        inner = scope.inner(looping=True, breakable=True)
        test = self.g.condition(scope, 1)
        inner.add(fuel, INT, assignable=False)
        return [f"{fuel} = 0", f"while {fuel} < {self.g.pick(['4', 'k'])} and {test}:", f"    {fuel} += 1",
                *self.block(inner, depth - 1)]

    def forever(self, scope: Scope, depth: int) -> list[str]:
        """`while True`, left from inside."""
        fuel = self.g.fresh("fuel")
        inner = scope.inner(looping=True, breakable=True)
        inner.add(fuel, INT, assignable=False)
        test = f"{fuel} > {self.g.pick(['3', 'k'])} or {self.g.condition(scope, 0)}"
        head = [f"{fuel} = 0", "while True:", f"    {fuel} += 1", f"    if {test}:"]
        return [*head, f"        {self.g.pick(['break', self.give(scope)])}", *self.block(inner, depth - 1)]

    def several(self, scope: Scope, depth: int) -> list[str]:
        """A loop over a list of now."""
        inner = scope.inner(looping=True, breakable=True)
        e, f = self.g.fresh("e"), self.g.fresh("e")
        inner.add(e, FLOAT)
        inner.add(f, FLOAT)
        pairs = ", ".join(f"({self.g.number(scope, 1)}, {self.g.number(scope, 0)})" for _ in range(2))
        return [f"for {e}, {f} in [{pairs}]:", *self.block(inner, depth - 1, 2)]

    def leave(self, scope: Scope, depth: int) -> list[str]:
        before = self.block(scope.inner(), 0, 1) if self.g.chance(2) else []
        return [f"if {self.g.condition(scope, 1)}:", *before, f"    {self.g.pick(['break', 'continue'])}"]

    def early(self, scope: Scope, depth: int) -> list[str]:
        return [f"if {self.g.condition(scope, 1)}:", *indented([self.give(scope)])]

    def closure(self, scope: Scope, depth: int) -> list[str]:
        """A function that sees the names around it as they are when it is called."""
        name, u = self.g.fresh("g"), self.g.fresh("u")
        inner = scope.inner(closed=True)
        inner.add(u, FLOAT)
        text = self.g.number(inner, 2)
        scope.functions.append(name)
        return [self.g.pick([f"{name} = lambda {u}: squash({text})", f"def {name}({u}): return squash({text})"])]

    def searching(self, scope: Scope, depth: int) -> list[str]:
        """A function with a loop and two ways out."""
        name, u, i = self.g.fresh("g"), self.g.fresh("u"), self.g.fresh("i")
        inner = scope.inner(closed=True, looping=True)
        inner.add(u, FLOAT)
        found = inner.inner()
        found.add(i, INT, assignable=False, index_of="n")
        text = [f"def {name}({u}, by=1.0):", f"    for {i} in range({scope.sizes['n']}):",
                f"        if {self.g.condition(found, 0)}:", f"            return squash({self.g.number(found, 1)})",
                f"        {u} = by * squash({u} + {self.g.number(found, 1)})", f"    return {u}"]
        scope.functions.append(name)
        return text

    def refuse(self, scope: Scope, depth: int) -> list[str]:
        """An error of the program's own, decided later: what is known to fail now fails before anything runs."""
        test = f"x[-1] {self.g.pick(['<', '>'])} {self.g.number(scope, 0)}"
        lines: list[str] = self.g.pick([[f"assert {test}, \"refused\""], [f"if {test}:", "    raise ValueError(\"refused\")"]])
        return lines

    def give(self, scope: Scope) -> str:
        """A `return` of the program's results."""
        return "return " + ", ".join(
            self.g.number(scope, 2) if kind == FLOAT else self.g.vector(scope, "n", self.g.pick([0, 1]))
            for kind in self.g.results
        )

    # ---------------------------------------------------------------------------------------- functions

    def straight_helper(self) -> Helper:
        """A function of two floats: inlined, or a staged function of its own."""
        name, scope = self.g.fresh("h"), Scope()
        scope.add("a", FLOAT)
        scope.add("b", FLOAT)
        head = self.g.pick([f"def {name}(a, b):", f"@lms.stage\ndef {name}(a: Rep[f64], b: Rep[f64]) -> Rep[f64]:"])
        early = [f"    if {self.g.condition(scope, 1)}:", f"        return {self.g.number(scope, 1)}"] if self.g.chance(2) else []
        body = [f"    c = {self.g.number(scope, 2)}", *early, f"    return squash(c + {self.g.number(scope, 1)})"]
        return Helper(name, (FLOAT, FLOAT), "\n".join([head, *body, ""]))

    def array_helper(self) -> Helper:
        """A function that writes to a vector."""
        name, scope = self.g.fresh("h"), Scope(sizes={"n": "len(v)"}, looping=True)
        scope.add("v", N, writable=True, assignable=False)
        scope.add("a", FLOAT)
        head = self.g.pick([f"def {name}(v, a):", f"@lms.stage\ndef {name}(v: Mut[Array[f64, \"n\"]], a: Rep[f64]) -> Rep[f64]:"])
        inner = scope.inner()
        inner.add("i", INT, assignable=False, index_of="n")
        loop = ["    for i in range(len(v)):", *indented(indented(self.store(inner, 0)))]
        body = [*indented(self.store(scope, 0)), *(loop if self.g.chance(2) else []), f"    return {self.g.number(scope, 2)}"]
        return Helper(name, (N, FLOAT), "\n".join([head, *body, ""]), writes=True)

    def recursive_helper(self) -> Helper:
        """A function that calls itself with a smaller int, with or without an array that it writes to."""
        name, scope = self.g.fresh("r"), Scope(looping=True)
        kind = self.g.pick(["", "Rep", "Mut"])
        writes = kind == "Mut"
        scope.add("a", FLOAT)
        scope.add("k", INT, assignable=False)
        array, body = "", list[str]()
        if kind:
            scope.sizes["n"] = "len(v)"
            scope.add("v", N, writable=writes, assignable=False)
            array = f'v: {kind}[Array[f64, "n"]], '
        if writes:
            body += self.store(scope, 0)
        head = [f"@lms.stage\ndef {name}({array}a: Rep[f64], k: Rep[i64]) -> Rep[f64]:",
                "    if k <= 0:", f"        return {self.g.number(scope, 2)}"]
        passed = f"{self.g.pick(['v', 'squash(v)'] if kind == 'Rep' else ['v'])}, " if kind else ""
        again = f"{name}({passed}squash({self.g.number(scope, 2)}), {self.g.pick(['k - 1', 'k // 2', 'k - 2'])})"
        body += [f"b = {again}"]
        scope.add("b", FLOAT)
        if writes:
            body += self.store(scope, 0)
        body += [f"return squash({self.g.number(scope, 2)})"]
        kinds = (N, FLOAT, INT) if kind else (FLOAT, INT)
        return Helper(name, kinds, "\n".join([*head, *indented(body), ""]), recursive=True, writes=writes)

    def main(self, results: list[tuple[Kind, ...]]) -> tuple[str, dict[str, str]]:
        """The function `f` with one kind of results, and its parameters with their annotations."""
        integer = self.g.pick(["Rep[i64]", "Rep[i64]" if self.g.raising else "int"])
        params = {"s": "Rep[f64]", "x": 'Rep[Array[f64, "n"]]', "k": integer}
        scope = Scope(sizes={"n": "len(x)"})
        scope.add("s", FLOAT)
        scope.add("x", N)
        scope.add("k", INT, assignable=False)
        if self.g.chance(2):
            params["out"] = 'Mut[Array[f64, "n"]]'
            scope.add("out", N, writable=True)
        if self.g.chance(3):
            params["y"] = 'Rep[Array[f64, "n", "m"]]'
            scope.add("y", matrix("n", "m"), assignable=False)
            scope.sizes["m"] = "y.shape[1]"
        self.g.results = self.g.pick(results)
        body = [line for _ in range(self.g.draw(st.integers(1, 6))) for line in self.statement(scope, 3)]
        head = f"def f({', '.join(f'{name}: {annotation}' for name, annotation in params.items())}):"
        return "\n".join([head, *indented([*body, self.give(scope)]), ""]), params


@st.composite
def programs(draw: Callable[..., Any], smooth: bool = False, raising: bool = False, single: bool = False) -> Program:
    """A whole program: helpers, the function `f`, and a seed for its arguments. `single`: its result is one float."""
    g = Grammar(draw, smooth, raising)
    writer = Writer(g)
    texts = [SQUASH]
    for make in (writer.straight_helper, writer.array_helper, writer.recursive_helper):
        if g.chance(3):
            g.helpers.append(make())
            texts.append(g.helpers[-1].text)
    text, params = writer.main([(FLOAT,)] if single else [(FLOAT,), (FLOAT, FLOAT), (FLOAT, N), (N,)])
    kinds: tuple[Kind, ...] = g.results
    return Program("\n\n".join([*texts, text]), tuple(params.items()), len(kinds), smooth, raising, draw(st.integers(0, 999)))
