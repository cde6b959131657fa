"""Random .lms programs: by the grammar alone, by the types too, with a slip, with bytes gone wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random

COMMENTS = ("// note\n", "/* note */", "\n// on its own\n", "\n\n", "/// said\n", "\n//> 1\n")


def source(seed: int, examples: Sequence[str]) -> str:
    """The program of a seed: a third each by the grammar, by the types, and of examples with changed bytes."""
    random = Random(seed)
    kind = seed % 3
    if kind == 0:
        return Wild(random).program()
    if kind == 1:
        return Typed(random).program()
    return damaged(random, random.choice(examples))


def damaged(random: Random, text: str) -> str:
    """A text with bytes deleted, doubled, swapped, replaced, or taken from elsewhere in it."""
    content = bytearray(text.encode())
    for _ in range(random.choice((1, 1, 2, 5))):
        at, other = random.randrange(len(content) + 1), random.randrange(len(content) + 1)
        length = random.choice((1, 1, 3, 10, 40))
        piece = bytes(content[other:other + length])
        change = random.randrange(6)
        if change == 0:
            del content[at:at + length]
        elif change == 1:
            content[at:at] = piece
        elif change == 2:
            content[at:at + length] = piece
        elif change == 3:
            content[at:at] = bytes(random.randrange(256) for _ in range(length))
        elif change == 4:
            content[at:at] = random.choice("(){}[]|.,:;=->\"'/\\\n0 ").encode() * random.choice((1, 2, 30))
        else:
            content[at:at] = random.choice(("θ", "’", "\u2028", "\ufeff", "\U0001f600", "e\u0301", "\x00", "\r", "٣")).encode()
    return content.decode(errors="replace")


class Wild:
    """Programs by the grammar: they parse, and mean nothing."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def program(self) -> str:
        items = [self.item(self.random.choice((1, 2, 3, 5))) for _ in range(self.random.randrange(1, 6))]
        return self.sprinkled("\n".join(items) + "\n")

    def sprinkled(self, text: str) -> str:
        """Now and then, comments where a space stands."""
        if self.random.random() < 0.6:
            return text
        return "".join(self.random.choice(COMMENTS) if c == " " and self.random.random() < 0.03 else c for c in text)

    def some(self, make: Callable[[], str], least: int = 0, most: int = 3, between: str = ", ") -> str:
        return between.join(make() for _ in range(self.random.randint(least, most)))

    def name(self) -> str:
        return self.random.choice(("x", "y", "n", "f", "power", "θ", "_a", "i", "Tree", "Leaf", "data_", "by2"))

    def item(self, depth: int) -> str:
        r = self.random.randrange(10)
        match r:
            case 0:
                return f"import {self.name()}" + self.random.choice(("", " as la"))
            case 1:
                return f"from {self.name()} import {self.some(self.name, 1)}"
            case 2:
                return f"data {self.name()} = " + self.some(lambda: f"{self.name()}({self.some(self.parameter, 1)})", 1, 3, " | ")
            case 3:
                return f"derivative {self.name()}({self.some(self.parameter)}) = {self.expression(depth)}"
            case 4 | 5:
                generics = self.random.choice(("", "[n]", "[T: Num, n]"))
                result = self.random.choice(("", f": {self.type(2)}"))
                return (f"{self.random.choice(('', 'export '))}def {self.name()}{generics}({self.some(self.parameter)}){result} ="
                        f"{self.random.choice((' ', chr(10) + '  '))}{self.expression(depth)}")
        return self.statement(depth)

    def statement(self, depth: int) -> str:
        match self.random.randrange(8):
            case 0:
                return f"let {self.pattern(2)} = {self.expression(depth)}"
            case 1:
                return f"var {self.name()}: {self.type(2)} = {self.expression(depth)}"
            case 2:
                return f"{self.name()} {self.random.choice(('=', '+=', '**='))} {self.expression(depth)}"
            case 3:
                return f"{self.name()}[{self.some(lambda: self.expression(1), 1, 2)}] = {self.expression(depth)}"
        return self.expression(depth)

    def parameter(self) -> str:
        return self.random.choice(("", "mut ")) + self.name() + self.random.choice(
            ("", f": {self.type(2)}", f": {self.type(2)} = {self.expression(1)}"))

    def type(self, depth: int) -> str:
        match self.random.randrange(8) if depth else 0:
            case 1:
                return f"Rep[{self.type(depth - 1)}]"
            case 2:
                return f"f64[{self.random.choice(('n', 'n, m', '2 * n + 1', '3'))}]"
            case 3:
                return f"({self.some(lambda: self.type(depth - 1))})"
            case 4:
                return f"({self.some(lambda: self.type(depth - 1))}) -> {self.type(depth - 1)}"
            case 5:
                return f"List[{self.type(depth - 1)}]"
        return self.random.choice(("f64", "i64", "bool", "T", "string", "unit", "linalg.Matrix"))

    def pattern(self, depth: int) -> str:
        match self.random.randrange(9) if depth else self.random.randrange(3):
            case 0:
                return "_"
            case 1:
                return self.random.choice(("1", "-2", "1.5", "true", '"s"', "'c'"))
            case 3:
                return f"({self.some(lambda: self.pattern(depth - 1), 2)})"
            case 4:
                return f"[{self.some(lambda: self.pattern(depth - 1))}]"
            case 5:
                return f"[{self.pattern(depth - 1)}, ..{self.random.choice(('', 'rest', '_'))}]"
            case 6:
                return f"Leaf({self.some(lambda: self.pattern(depth - 1))})"
            case 7:
                return f"m.Node(left = {self.pattern(depth - 1)})"
        return self.random.choice(("x", "y", "rest"))

    def block(self, depth: int) -> str:
        between = self.random.choice(("; ", "\n", "\n\n"))
        inside = self.some(lambda: self.statement(depth - 1), 0, 3, between)
        return self.random.choice((f"{{ {inside} }}", f"{{\n{inside}\n}}")) if inside else "{}"

    def clause(self) -> str:
        return f"{self.pattern(1)} in {self.random.choice(('0..n', '1..=3', '0..n by 2', 'xs', 'f(x)'))}"

    def argument(self, depth: int) -> str:
        return self.random.choice(("", "", "axis = ")) + self.expression(depth)

    def expression(self, depth: int) -> str:
        if depth <= 0:
            return self.random.choice(("x", "y", "n", "1", "2.5", "1e-3f32", "0xff", "1_0u8", "true", '"s {x}"', "'c'", "()",
                                       "[]", "x.left", "a[1..]", "a[.., 0]", "f()"))
        down = depth - 1

        def e() -> str:
            return self.expression(down)

        match self.random.randrange(24):
            case 0 | 1 | 2 | 3:
                op = self.random.choice(("+", "-", "*", "/", "%", "@", "**", "<<", "&", "|", "^", "&&", "||"))
                return f"{self.tight(down)} {op} {self.tight(down)}"
            case 4:
                return f"{self.tight(down)} {self.random.choice(('<', '==', '!='))} {self.tight(down)}"
            case 5:
                return self.random.choice(("-", "!")) + self.tight(down)
            case 6 | 7:
                return f"{self.name()}({self.some(lambda: self.argument(down))})"
            case 8:
                return f"{self.name()}[{self.some(e, 1)}]"
            case 9:
                return f"({self.some(e, 2)},)"
            case 10:
                return f"[{self.some(e)}]"
            case 11:
                return f"[for {self.some(self.clause, 1, 2)} => {e()}]"
            case 12:
                return f"fn({self.some(self.parameter)}) => {e()}"
            case 13:
                return self.block(depth)
            case 14 | 15:
                otherwise = self.random.choice(("", f" else {self.block(depth)}", f"\nelse {self.block(depth)}",
                                                f" else if {e()} {self.block(depth)} else {self.block(depth)}"))
                return f"if {e()} {self.block(depth)}{otherwise}"
            case 16:
                arms = self.some(lambda: f"{self.pattern(2)}{self.random.choice(('', ' if x'))} => {e()}", 1, 3,
                                 self.random.choice((", ", "\n", "; ")))
                return f"match {e()} {{ {arms} }}"
            case 17:
                return f"while {e()} {self.block(depth)}"
            case 18:
                return f"for {self.some(self.clause, 1, 2)} {self.block(depth)}"
            case 19:
                return f"reset {self.block(depth)}"
            case 20:
                return f"shift {{ k => {self.statement(down)} }}"
            case 21:
                return f"{self.tight(down)} with (x = {e()})"
            case 22:
                return self.random.choice(("return", f"return {e()}", "break", "continue"))
        return f"({e()})"

    def tight(self, depth: int) -> str:
        """An expression that may stand beside an operator."""
        return self.random.choice((self.expression(0), f"({self.expression(depth)})", f"f({self.expression(depth)})"))


class Typed:
    """Programs that are right, or, one in four, have a slip: an expression of another type than is wanted."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.slips = random.random() < 0.25
        self.functions: list[tuple[str, tuple[str, ...], str]] = []
        self.fresh = 0

    def program(self) -> str:
        items = ["data Tree = Leaf(word: f64) | Node(left: Tree, right: Tree)", "data Point = Point(x: Rep[f64], y: Rep[f64])"]
        items += [self.function() for _ in range(self.random.randrange(1, 5))]
        items += [self.expression(self.random.choice(NOW), 3, {}) for _ in range(self.random.randrange(3))]
        return "\n\n".join(items) + "\n"

    def new(self, prefix: str) -> str:
        self.fresh += 1
        return f"{prefix}{self.fresh}"

    def function(self) -> str:
        name, result = self.new("f"), self.random.choice(TYPES)
        types = [self.random.choice(TYPES) for _ in range(self.random.randrange(4))]
        env = {self.new("p"): t for t in types}
        params = ", ".join(f"{p}: {t}" for p, t in env.items())
        body = self.expression(result, self.random.choice((1, 2, 3, 4)), env)
        crosses = all(t.startswith("Rep") or t in SCALARS for t in (*types, result))
        export = "export " if crosses and self.random.random() < 0.5 else ""
        sizes = "[n]" if ARRAY in types else ""
        text = f"{export}def {name}{sizes}({params}): {result.replace('[n]', '[_]') if not sizes else result} = {body}"
        if ARRAY not in (*types, result):
            self.functions.append((name, tuple(types), result))
        return text

    def expression(self, wanted: str, depth: int, env: dict[str, str]) -> str:
        """An expression of the wanted type, from the names that are bound."""
        if self.slips and self.random.random() < 0.03:
            wanted = self.random.choice(TYPES)
        if depth <= 0:
            return self.leaf(wanted, env)
        made = self.general(wanted, depth - 1, env) if self.random.random() < 0.35 else ""
        return made or self.special(wanted, depth - 1, env)

    def leaf(self, wanted: str, env: dict[str, str]) -> str:
        bound = [name for name, t in env.items() if t == wanted]
        if bound and self.random.random() < 0.8:
            return self.random.choice(bound)
        number = self.random.choice(("0", "1", "2", "3", "7"))
        return {
            "f64": f"{number}.5", "i64": number, "bool": self.random.choice(("true", "false")), "Rep[f64]": f"lift({number}.5)",
            "Rep[i64]": f"lift({number})", "Rep[bool]": "lift(true)", "List[f64]": "[1.0, 2.5]", "(f64, i64)": f"(1.0, {number})",
            "Tree": "Leaf(2.0)", "Point": "Point(1.0, 2.0)", "(f64) -> f64": "fn(z: f64) => z * 2.0",
            ARRAY: next((name for name, t in env.items() if t == ARRAY), "array([1.0, 2.0])"),
        }[wanted]

    def general(self, wanted: str, depth: int, env: dict[str, str]) -> str:
        """What gives a value of any type."""
        e = self.expression
        match self.random.randrange(8):
            case 0:
                name, t = self.new("v"), self.random.choice(TYPES)
                return f"{{\n  let {name} = {e(t, depth, env)}\n  {e(wanted, depth, {**env, name: t})}\n}}"
            case 1:
                return f"if {e('bool', depth, env)} {{ {e(wanted, depth, env)} }} else {{ {e(wanted, depth, env)} }}"
            case 2:
                fitting = [f for f in self.functions if f[2] == wanted]
                if fitting:
                    name, types, _ = self.random.choice(fitting)
                    return f"{name}({', '.join(e(t, depth, env) for t in types)})"
            case 3:
                a, b = self.new("a"), self.new("b")
                return f"{{ let ({a}, {b}) = {e('(f64, i64)', depth, env)}; {e(wanted, depth, {**env, a: 'f64', b: 'i64'})} }}"
            case 4:
                w, left, right = self.new("w"), self.new("l"), self.new("r")
                return (f"match {e('Tree', depth, env)} {{\n  Leaf({w}) => {e(wanted, depth, {**env, w: 'f64'})}\n"
                        f"  Node({left}, {right}) => {e(wanted, depth, {**env, left: 'Tree', right: 'Tree'})}\n}}")
            case 5:
                return f"reset {{ {e(wanted, depth, env)} }}"
            case 6:
                name, t = self.new("g"), self.random.choice(TYPES)
                return f"{{ let {name} = fn(q: {t}) => {e(wanted, depth, {**env, 'q': t})}; {name}({e(t, depth, env)}) }}"
            case 7:
                return f"({e(wanted, depth, env)})"
        return ""

    def special(self, wanted: str, depth: int, env: dict[str, str]) -> str:
        """What gives a value of this type: a template, its gaps filled."""
        inner = wanted.removeprefix("Rep[").removesuffix("]")

        def fill(m: re.Match[str]) -> str:
            kind, _, bound = m[1].partition(" with ")
            if kind.startswith("any of "):
                return self.random.choice(kind.removeprefix("any of ").split())
            t = {"wanted": wanted, "now": inner, "either": self.random.choice((inner, wanted))}.get(kind, kind)
            name, _, bound_type = bound.partition(": ")
            return self.expression(t, depth, {**env, name: bound_type} if name else env)

        return re.sub("«(.*?)»", fill, self.random.choice(TEMPLATES[wanted]))


ARRAY = "Rep[f64[n]]"
SCALARS = ("f64", "i64", "bool")
NOW = (*SCALARS, "List[f64]", "(f64, i64)", "Tree")
TYPES = (*NOW, "Rep[f64]", "Rep[f64]", "Rep[f64]", "Rep[i64]", "Rep[bool]", "Point", "(f64) -> f64", ARRAY)
NUMBER = ("«f64» «any of < <= == != >» «f64»", "«i64» «any of < <= == != >» «i64»")
TEMPLATES: dict[str, tuple[str, ...]] = {
    "f64": ("«f64» «any of + - * /» «f64»", "-(«f64»)", "f64(«i64»)", "exp(«f64»)", "reset { «f64» + shift { k => k(«f64») } }",
            "(«(f64) -> f64»)(«f64»)", "fold(«List[f64]», «f64», fn(s, x) => s + x)",
            "{ var t = «f64»; for x in «List[f64]» { t += x }; t }"),
    "i64": ("«i64» «any of + - * / % << & |» «i64»", "len(«List[f64]»)", "{ var c = 0; while c < 3 { c += 1 }; c }"),
    "bool": (*NUMBER, "(«bool») «any of && ||» («bool»)", "!(«bool»)"),
    "Rep[bool]": ("«Rep[f64]» «any of < <= == != >» «f64»", "«Rep[i64]» «any of < <= == != >» «Rep[i64]»",
                  "(«Rep[bool]») «any of && ||» («either»)", "!(«Rep[bool]»)"),
    "Rep[f64]": ("«wanted» «any of + - * /» «either»", "«any of exp sin tanh»(«wanted»)", "f64(«Rep[i64]»)", "(«Point»).x",
                 "if «Rep[bool]» { «wanted» } else { «either» }", "sum(«Rep[f64[n]]»)", "(«Rep[f64[n]]»)[«i64»]",
                 "{ var s: Rep[f64] = «wanted»; for i in 0..lift(5) { s += f64(i) * «f64» }; s }",
                 "{ var s: Rep[f64] = «f64»; while s < 100.0 { s = s * s + 3.0 }; s }",
                 "grad(fn(h: Rep[f64]) => «wanted with h: Rep[f64]»)(«wanted»)",
                 "reset { «wanted» * shift { k => k(«wanted») + k(«f64») } }"),
    "Rep[i64]": ("«wanted» «any of + - * / %» «either»", "lift(«i64»)", "if «Rep[bool]» { «wanted» } else { «wanted» }"),
    "List[f64]": ("[«f64», «f64»]", "[for i in 0..«any of 0 1 2 3» => «f64 with i: i64»]", "map(«wanted», «(f64) -> f64»)",
                  "«wanted» + «wanted»"),
    "(f64, i64)": ("(«f64», «i64»)",),
    "Tree": ("Leaf(«f64»)", "Node(«Tree», «Tree»)"),
    "Point": ("Point(«Rep[f64]», y = «f64»)", "(«Point») with (x = «Rep[f64]»)"),
    "(f64) -> f64": ("fn(z: f64) => «f64 with z: f64»",),
    "Rep[f64[n]]": ("«wanted» «any of + - *» «f64»", "«Rep[f64]» * «wanted»", "exp(«wanted»)", "«wanted»",
                    "[for i in 0..lift(4) => f64(i) * «f64»]"),
}
