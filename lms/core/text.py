"""Programs as text. `parse_text` reads it back to an equal program: one that prints the same.

    data Tree = Leaf(word: i64) | Node(left: Tree, right: Tree)

    entry def f(%x: f64[n], mut %out: f64[n]) -> (f64) {
      %n: i64 = dim %x {axis=0}
      %zero: i64 = 0
      %s: f64 = for %i in %zero, %n, %one with %acc: f64 = %init {
        %xi: f64 = load %x, %i
        %next: f64 = add %acc, %xi {fast}
        yield %next
      }
      return %s
    }

Values keep their name hints, made unique; those without one are numbered. Fresh symbols such as `d$17` are renumbered
within each function, so the text of a program does not depend on what was staged before it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from .ir import Block, Function, Node, Program, Value, sum_types
from .types import ArrayType, Dim, FunctionType, Scalar, Size, SumType, Type, f32

STEP = "  "
_IDENTIFIER = re.compile(r"[A-Za-z_][\w.]*")


def print_program(program: Program, spans: bool = False) -> str:
    """The text of a program; `spans=True` adds to each line the place in the user's source, as a comment."""
    parts = [data_text(t) for t in sum_types(program).values()]
    for name, function in program.functions.items():
        parts.append(("entry " if name == program.entry else "") + print_function(function, spans))
    return "\n".join(parts)


def print_function(function: Function, spans: bool = False) -> str:
    """The text of one function."""
    return "".join(line + "\n" for line in Printer(spans).function(function))


def quote(name: str) -> str:
    """A name of a function or sum, in backquotes where it is not an identifier."""
    return name if _IDENTIFIER.fullmatch(name) else f"`{name}`"


def data_text(t: SumType) -> str:
    """The declaration of a sum type."""
    show = Printer()
    alternatives = (f"{quote(c.name)}({', '.join(f'{name}: {show.type(f)}' for name, f in c.fields)})" for c in t.constructors)
    return f"data {quote(t.name)} = {' | '.join(alternatives)}\n"


class Printer:
    """The names of one function's values and symbols, given at first sight; and text with them."""

    def __init__(self, spans: bool = False) -> None:
        self._spans = spans
        self._names: dict[Value, str] = {}
        self._taken: set[str] = set()
        self._tried: dict[str, int] = {}  # the last number each hint was tried with
        self._unnamed = 0
        self._symbols: dict[str, str] = {}

    # ------------------------------------------------------------------------------------------- names

    def name(self, v: Value) -> str:
        """`%hint`, `%hint_1`, ...; `%0`, `%1`, ... for values without a hint."""
        if v not in self._names:
            hint = re.sub(r"\W", "_", v.name, flags=re.ASCII)
            if not hint:
                hint, self._unnamed = str(self._unnamed), self._unnamed + 1
            elif hint[0].isdigit():
                hint = f"_{hint}"
            name, k = hint, self._tried.get(hint, 0)
            while name in self._taken:
                k += 1
                name = f"{hint}_{k}"
            self._tried[hint] = k
            self._taken.add(name)
            self._names[v] = f"%{name}"
        return self._names[v]

    def names(self, vs: Sequence[Value]) -> str:
        return ", ".join(map(self.name, vs))

    def typed(self, v: Value) -> str:
        return f"{self.name(v)}: {self.type(v.type)}"

    # -------------------------------------------------------------------------------- types and sizes

    def type(self, t: Type) -> str:
        if isinstance(t, ArrayType):
            return f"{self.type(t.dtype)}{self.sizes(t.dims)}" + ("'" if t.layout == "S" else "")
        if isinstance(t, FunctionType):
            return f"fn({', '.join(map(self.type, t.params))}) -> ({', '.join(map(self.type, t.results))})"
        return quote(t.name)

    def sizes(self, dims: Iterable[Size]) -> str:
        return f"[{', '.join(map(self.size, dims))}]"

    def size(self, size: Size) -> str:
        if isinstance(size, int):
            return str(size)
        for symbol in sorted(size.symbols, key=_age):
            if "$" in symbol and symbol not in self._symbols:
                hint = re.sub(r"\W", "_", symbol.partition("$")[0], flags=re.ASCII)
                self._symbols[symbol] = f"{hint}${len(self._symbols)}"
        terms = ((self._symbols.get(symbol, symbol), k) for symbol, k in size.terms)
        return str(Dim(size.const, tuple(sorted(terms, key=lambda term: _age(term[0])))))

    # -------------------------------------------------------------------------------------- functions

    def function(self, function: Function) -> Iterator[str]:
        params = ", ".join(("mut " if k in function.mut else "") + self.typed(v) for k, v in enumerate(function.body.params))
        results = ", ".join(self.type(v.type) for v in function.body.results)
        yield f"def {quote(function.name)}({params}) -> ({results}) {{" + self._place(function)
        if function.doc:
            yield STEP + _quoted(function.doc)
        yield from self.block(function.body, "return")
        yield "}"

    def block(self, block: Block, leave: str = "yield") -> Iterator[str]:
        """The lines of a block, indented; a block without results just ends."""
        for node in block.nodes:
            yield from (STEP + line for line in self.node(node))
        if block.results:
            yield f"{STEP}{leave} {self.names(block.results)}"

    def node(self, node: Node) -> Iterator[str]:
        """The lines of a node; the first states what it makes."""
        results = ", ".join(map(self.typed, node.results))
        lines = [results + " = " if results else ""]
        _FORMS.get(node.op.name, Printer._generic)(self, node, lines)
        lines[-1] += f" !{node.half}" if node.half else ""
        lines[0] += self._place(node)
        yield from lines

    def head(self, node: Node) -> str:
        """A node in one line, without its blocks; works for nodes that break the law, too."""
        results = ", ".join(map(self.typed, node.results))
        return (results + " = " if results else "") + " ".join(
            filter(None, (node.op.name, self.names(node.operands), self.attributes(node))))

    def _place(self, what: Node | Function) -> str:
        return f"  # {what.span}" if self._spans and what.span else ""

    # ------------------------------------------------------------------------------------------ forms

    def _generic(self, node: Node, lines: list[str]) -> None:
        lines[-1] += " ".join(filter(None, (node.op.name, self.names(node.operands), self.attributes(node))))
        for block in node.blocks:
            lines[-1] += f" ({', '.join(map(self.typed, block.params))})"
            self._braces(block, lines)

    def _const(self, node: Node, lines: list[str]) -> None:
        shown = literal(node.attrs["value"], node.attrs["type"])
        lines[-1] += " ".join(filter(None, (shown, self.attributes(node, "value", "type"))))

    def _call(self, node: Node, lines: list[str]) -> None:
        callee = f"{node.op.name} @{quote(node.attrs['callee'])}({self.names(node.operands)})"
        lines[-1] += " ".join(filter(None, (callee, self.attributes(node, "callee"))))

    def _if(self, node: Node, lines: list[str]) -> None:
        self._head(node, lines, self.name(node.operands[0]))
        self._braces(node.blocks[0], lines)
        if node.blocks[1].nodes or node.blocks[1].results:
            lines[-1] += " else"
            self._braces(node.blocks[1], lines)

    def _for(self, node: Node, lines: list[str]) -> None:
        (body,) = node.blocks
        self._head(node, lines, f"{self.name(body.params[0])} in {self.names(node.operands[:3])}",
                   self._carried(body.params[1:], node.operands[3:]))
        self._braces(body, lines)

    def _while(self, node: Node, lines: list[str]) -> None:
        condition, body = node.blocks
        self._head(node, lines, self._carried(condition.params, node.operands))
        self._braces(condition, lines)
        lines[-1] += " do" + (f" {', '.join(map(self.typed, body.params))}" if body.params else "")
        self._braces(body, lines)

    def _carried(self, params: Sequence[Value], inits: Sequence[Value]) -> str:
        pairs = (f"{self.typed(v)} = {self.name(init)}" for v, init in zip(params, inits, strict=True))
        return f"with {', '.join(pairs)}" if params else ""

    def _head(self, node: Node, lines: list[str], *parts: str) -> None:
        lines[-1] += " ".join(filter(None, (node.op.name, self.attributes(node), *parts)))

    def _braces(self, block: Block, lines: list[str]) -> None:
        lines[-1] += " {"
        lines.extend(self.block(block))
        lines.append("}")

    # ------------------------------------------------------------------------------------- attributes

    def attributes(self, node: Node, *shown: str) -> str:
        """`{axis=0, fast}`; without those already shown, and without `types` where the results say the same."""
        items = []
        for key, value in node.attrs.items():
            if key in shown or (key == "types" and tuple(value) == tuple(v.type for v in node.results)):
                continue
            items.append(key if value is True else f"{key}={self.sizes(value) if key == 'dims' else self.value(value)}")
        return f"{{{', '.join(items)}}}" if items else ""

    def value(self, value: Any) -> str:
        """An attribute's value."""
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, bool):
            return {None: "none", True: "true", False: "false"}[value]
        if isinstance(value, int):
            return str(value)
        if isinstance(value, float):
            return _float(value)
        if isinstance(value, complex):
            return f"complex({_float(value.real)}, {_float(value.imag)})"
        if isinstance(value, str):
            return _quoted(value)
        if isinstance(value, Scalar | ArrayType | SumType | FunctionType):
            return self.type(value)
        if isinstance(value, Dim):
            return f"<{self.size(value)}>"
        if isinstance(value, tuple | list | frozenset):
            return f"({', '.join(map(self.value, sorted(value) if isinstance(value, frozenset) else value))})"
        return f"py{_quoted(qualified(value))}"


_FORMS: dict[str, Callable[[Printer, Node, list[str]], None]] = {
    "const": Printer._const, "call": Printer._call, "vjp": Printer._call, "jvp": Printer._call,
    "if": Printer._if, "for": Printer._for, "while": Printer._while,
}


def _age(symbol: str) -> tuple[bool, int, str]:
    """Named symbols first, by name; then fresh ones, oldest first."""
    hint, fresh, number = symbol.partition("$")
    return (True, int(number), hint) if fresh and number.isdigit() else (False, 0, symbol)


def _quoted(text: str) -> str:
    import json  # which compiling does without

    return json.dumps(text, ensure_ascii=False)


def qualified(function: Any) -> str:
    """`module:qualname` of a Python function."""
    return f"{getattr(function, '__module__', '')}:{getattr(function, '__qualname__', repr(function))}"


def literal(value: Any, t: Scalar) -> str:
    """A constant of a scalar type, exactly."""
    if t.kind == "b":
        return "true" if value else "false"
    if t.kind in "iu":
        return str(int(value))
    if t.is_complex:
        value = complex(value)
        return f"complex({_float(value.real)}, {_float(value.imag)})"
    return _float(float(value), single=t == f32)


def _float(x: float, single: bool = False) -> str:
    if math.isnan(x):
        return "-nan" if math.copysign(1.0, x) < 0 else "nan"
    if single:
        short = str(np.float32(x))
        if math.isfinite(x) and np.float32(float(short)) == x:
            return short
    return repr(x)


