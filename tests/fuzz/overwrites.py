"""Programs that overwrite arrays of their own, as text: stencils, swaps, buffers exchanged, tables, views, in all loops.

What is loaded before a store and used after it, what an index can and cannot meet, and which of two buffers a name means are
what derivatives of memory are about; other programs seldom come to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.fuzz.programs import SQUASH, indented
from tests.fuzz.worlds import Program


class Counter(NamedTuple):
    """The index of a loop: from `low` to n - 1 - `high`."""

    name: str
    low: int
    high: int


class Overwrites:
    """Statements on two vectors `u` and `v`, a matrix `a`, a permutation `q` and a number `s`."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        self.draw, self.made = draw, 0

    def pick(self, options: list[Any]) -> Any:
        return options[self.draw(st.integers(0, len(options) - 1))]

    def name(self, kind: str) -> str:
        self.made += 1
        return f"{kind}{self.made}"

    # ----------------------------------------------------------------------------------- expressions

    def index(self, counters: list[Counter]) -> str:
        options = ["0", "n - 1"]
        for c in counters:
            options += [c.name, c.name, c.name]
            options += [f"{c.name} - 1"] if c.low > 0 else [f"({c.name} + 1) % n"]
            options += [f"{c.name} + 1"] if c.high > 0 else [f"q[{c.name}]"]
        return str(self.pick(options))

    def element(self, counters: list[Counter]) -> str:
        array = self.pick(["u", "u", "v", "a"])
        if array == "a":
            return f"a[{self.index(counters)}, {self.index(counters)}]"
        return f"{array}[{self.index(counters)}]"

    def number(self, counters: list[Counter], known: list[str], depth: int = 2) -> str:
        if depth == 0 or self.draw(st.booleans()):
            return str(self.pick(["s", "0.7", self.element(counters), self.element(counters), *known, *known]))
        x, y = self.number(counters, known, depth - 1), self.number(counters, known, depth - 1)
        return str(self.pick([f"({x} * {y})", f"({x} * {y})", f"({x} + {y})", f"({x} - {y})", f"math.sin({x})",
                              f"math.exp(-{x} * {x})", f"{x} / (1.5 + {y} * {y})"]))

    # ------------------------------------------------------------------------------------ statements

    def block(self, depth: int, counters: list[Counter], known: list[str]) -> list[str]:
        known = list(known)
        return [line for _ in range(self.draw(st.integers(1, 3))) for line in self.statement(depth, counters, known)]

    def statement(self, depth: int, counters: list[Counter], known: list[str]) -> list[str]:
        options = [self.store, self.store, self.store, self.remember, self.total, self.exchange, self.whole, self.view]
        options += [self.loop, self.loop, self.loop, self.branch, self.fuelled, self.table] if depth > 0 else []
        options += [self.elements, self.handed_on] if depth > 0 else []
        lines: list[str] = self.pick(options)(depth, counters, known)
        return lines

    def store(self, depth: int, counters: list[Counter], known: list[str]) -> list[str]:
        return [f"{self.element(counters)} {self.pick(['=', '=', '+='])} squash({self.number(counters, known)})"]

    def remember(self, depth: int, counters: list[Counter], known: list[str]) -> list[str]:
        """What is loaded now is used later, when it may have been overwritten."""
        text = self.element(counters)
        known.append(self.name("t"))
        return [f"{known[-1]} = {text}"]

    def total(self, depth: int, counters: list[Counter], known: list[str]) -> list[str]:
        return [f"s = squash(s + {self.number(counters, known)})"]

    def exchange(self, depth: int, counters: list[Counter], known: list[str]) -> list[str]:
        i, j = self.index(counters), self.index(counters)
        return [self.pick(["u, v = v, u", f"u[{i}], u[{j}] = u[{j}], u[{i}]", f"q[{i}], q[{j}] = q[{j}], q[{i}]"])]

    def whole(self, depth: int, counters: list[Counter], known: list[str]) -> list[str]:
        i, x = self.index(counters), self.number(counters, known, 1)
        return [self.pick([f"u[1:] = squash(u[:-1] * {x})", f"u[:] = squash(v * u + {x})", "v[:-1] += squash(u[1:] * v[:-1])",
                           f"a[{i}] = squash(u * a[{i}])", f"a[{i}] += squash(a[0] * {x})", "v[q] = squash(u * v)",
                           "v = u.copy()", "v = np.zeros_like(u)", "u = squash(u * v)"])]

    def view(self, depth: int, counters: list[Counter], known: list[str]) -> list[str]:
        """Another name for a part of an array, written to and read while the array is too."""
        p, x, i = self.name("p"), self.number(counters, known, 1), self.index(counters)
        of = self.pick(["u[1:]", "u[::-1]", "v[::2]", "u", f"a[{i}]", f"a[:, {i}]", "a.T[0]"])
        changed = [f"{p}[0] = squash({x})", f"{p}[-1] += squash({p}[0] * {x})", f"{p} *= squash({x})",
                   f"{p}[:] = squash({p}[::-1])"]
        lines = [self.pick(changed), *self.store(depth, counters, known), f"s = squash(s + {p}[0] * {p}[-1])"]
        return [f"{p} = {of}", *(line for line in lines if self.draw(st.booleans()))]

    def loop(self, depth: int, counters: list[Counter], known: list[str]) -> list[str]:
        i = self.name("i")
        options = [("range(n)", 0, 0), ("range(1, n - 1)", 1, 1), ("range(1, n)", 1, 0), ("range(n - 1, -1, -1)", 0, 0),
                   ("range(n - 2, 0, -1)", 1, 1), ("range(min(k, n))", 0, 0)]
        if counters:
            c = self.pick(counters)
            options += [(f"range({c.name})", 0, max(c.high, 1)), (f"range({c.name} + 1, n)", 1, 0),
                        (f"range(n - 1, {c.name}, -1)", 1, 0)]
        text, low, high = self.pick(options)
        body = self.block(depth - 1, [*counters, Counter(i, low, high)], known)
        if self.draw(st.integers(0, 4)) == 0:
            body.append(f"if {self.number(counters, [], 1)} > 0.9: break")
        return [f"for {i} in {text}:", *indented(body)]

    def elements(self, depth: int, counters: list[Counter], known: list[str]) -> list[str]:
        """A loop over the elements of an array that may change meanwhile, or lose its name."""
        e = self.name("e")
        return [f"for {e} in {self.pick(['u', 'v', 'a[0]'])}:", *indented(self.block(depth - 1, counters, [*known, e]))]

    def handed_on(self, depth: int, counters: list[Counter], known: list[str]) -> list[str]:
        """A new array in each iteration, while the one before may still be written to, and be somebody else's."""
        w, z, i = self.name("w"), self.name("z"), self.name("i")
        inner = [*counters, Counter(i, 0, 0)]
        body = [f"{z} = {self.pick([f'{w}.copy()', f'{w} * 0.9', 'np.zeros(n)', f'squash({w} + v)'])}",
                f"{self.pick([w, z])}[{i}] = squash({w}[{i}] * {self.number(inner, known, 1)})",
                *(self.block(depth - 1, inner, known) if self.draw(st.booleans()) else []),
                self.pick([f"{w} = {z}", f"u, {w} = {w}, {z}", f"if s > 0.1: {w} = {z}"])]
        return [f"{w} = {self.pick(['u', 'u', 'v', 'x.copy()'])}", f"for {i} in range({self.pick(['n', 'min(k, n)'])}):",
                *indented(body), f"s = squash(s + {w}[0])"]

    def branch(self, depth: int, counters: list[Counter], known: list[str]) -> list[str]:
        return [f"if {self.number(counters, known, 1)} > 0.1:", *indented(self.block(depth - 1, counters, known)),
                "else:", *indented(self.block(depth - 1, counters, known))]

    def fuelled(self, depth: int, counters: list[Counter], known: list[str]) -> list[str]:
        f = self.name("fuel")
        return [f"{f} = 0", f"while {f} < {self.pick(['3', 'k'])} and {self.element(counters)} < 1.2:", f"    {f} += 1",
                *indented(self.block(depth - 1, counters, known))]

    def table(self, depth: int, counters: list[Counter], known: list[str]) -> list[str]:
        """An array that is made here, filled, read, and perhaps handed on."""
        w, i = self.name("w"), self.name("i")
        c = Counter(i, 1, 0)
        lines = [f"{w} = np.zeros(n)", f"{w}[0] = {self.number(counters, known, 1)}", f"for {i} in range(1, n):",
                 f"    {w}[{i}] = squash({w}[{i} - 1] * {self.number([*counters, c], known)})"]
        lines += self.pick([[f"    s = squash(s + {w}[{i}] * {w}[{i} - 1])"], [f"{w}[0] = {w}[1] * s"], []])
        return [*lines, *self.pick([[f"u = {w}"], [f"s = s + squash({w}[n - 1] * {w}[0])"], [f"v = {w}", f"{w} = u"]])]


@st.composite
def overwrites(draw: Any, single: bool = False) -> Program:
    """A program of a number, a vector and an int, that gives a number, or also a vector."""
    g = Overwrites(draw)
    lines = ["n = len(x)", "u = x.copy()", "v = x * s", "a = np.zeros((n, n))", "q = np.zeros(n, dtype=np.int64)",
             "for z in range(n):", "    q[z] = n - 1 - z", "    a[z, z] = x[z] + 0.5"]
    lines += [line for _ in range(draw(st.integers(1, 4))) for line in g.loop(2, [], [])]
    more = "" if single or draw(st.booleans()) else ", u"
    lines.append(f"return s + np.sum(u * v) + u[q[0]] * a[0, n - 1] + np.sum(a * a){more}")
    text = "\n".join([SQUASH, "", 'def f(s: Rep[f64], x: Rep[Array[f64, "n"]], k: Rep[i64]):', *indented(lines), ""])
    params = (("s", "Rep[f64]"), ("x", 'Rep[Array[f64, "n"]]'), ("k", "Rep[i64]"))
    return Program(text, params, 1 + bool(more), True, False, draw(st.integers(0, 10**6)))
