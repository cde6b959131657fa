"""Reads the text of a program (`text.py`) back. What is malformed is an `LmsError` at its line and column."""

from __future__ import annotations

import importlib
import json
import linecache
import re
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from .data import dataclass
from .errors import LmsError, Span
from .ir import Block, Function, Node, Program, Value
from .primitives import PRIMITIVES, Primitive, array, control
from .types import (
    SCALARS,
    ArrayType,
    Constructor,
    Dim,
    FunctionType,
    Scalar,
    Size,
    SumType,
    Type,
    affine,
    bool_,
    fresh_symbol,
    i64,
    symbol,
)

T = TypeVar("T")

_TOKEN = re.compile(r"""
    (?P<space>[ \t]+ | \#[^\n]*)
  | (?P<newline>\n)
  | (?P<value>%\w+)
  | (?P<string>"(?:[^"\\\n]|\\.)*")
  | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
  | (?P<name>[A-Za-z_][\w.]*(?:\$\d+)? | `[^`\n]*`)
  | (?P<mark>-> | [-+*{}()\[\]<>:=,|!@'])
""", re.VERBOSE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    span: Span


def parse_program(text: str, file: str = "<program>") -> Program:
    """The program a text describes; `file` is what errors call it.

    Raises `LmsError`, with line and caret, for text that is malformed, ill-typed or out of scope, and for a `py_call` of
    a function that cannot be imported.

        assert str(parse_program(str(program))) == str(program)
    """
    try:
        return _Parser(_tokens(text, file)).program()
    except LmsError:
        linecache.cache.setdefault(file, (len(text), None, text.splitlines(keepends=True), file))  # so that it can show the line
        raise


def _tokens(text: str, file: str) -> list[Token]:
    tokens, at, line, start = list[Token](), 0, 1, 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        column = len(text[start:at].encode())
        if found is None:
            raise LmsError(f"unexpected character {text[at]!r}", Span(file, line, column, line, column + 1))
        kind = str(found.lastgroup)
        if kind != "space":
            tokens.append(Token(kind, found.group(), Span(file, line, column, line, column + len(found.group().encode()))))
        at = found.end()
        if kind == "newline":
            line, start = line + 1, at
    end = len(text[start:].encode())
    return [*tokens, Token("newline", "\n", Span(file, line, end, line, end)), Token("end", "", Span(file, line, end, line, end))]


class _Parser:
    """Recursive descent over tokens; `scope` holds the values of the function being read."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens, self.at = tokens, 0
        self.program_ = Program()
        self.sums: dict[str, SumType] = {}
        self.scope: dict[str, Value] = {}
        self.defined: list[str] = []  # the names in scope, in order
        self.symbols: dict[str, Dim] = {}

    # ------------------------------------------------------------------------------------------ tokens

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def fail(self, message: str, token: Token | None = None) -> NoReturn:
        raise LmsError(message, (token or self.token).span)

    def next(self) -> Token:
        token = self.token
        self.at += 1
        return token

    def accept(self, text: str) -> bool:
        if self.token.text == text and self.token.kind in ("mark", "name"):
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> Token:
        if not self.accept(text):
            self.fail(f"expected {text!r}, found {self.found()}")
        return self.tokens[self.at - 1]

    def found(self) -> str:
        return {"end": "the end of the text", "newline": "the end of the line"}.get(self.token.kind, repr(self.token.text))

    def kind(self, kind: str, what: str) -> Token:
        if self.token.kind != kind:
            self.fail(f"expected {what}, found {self.found()}")
        return self.next()

    def newlines(self) -> None:
        while self.token.kind == "newline":
            self.at += 1

    def end_of_line(self) -> None:
        self.kind("newline", "the end of the line")
        self.newlines()

    def name(self, what: str) -> str:
        return self.kind("name", what).text.strip("`")

    def separated(self, item: Callable[[], T], open: str, close: str) -> tuple[T, ...]:
        """`open item, item close`, perhaps without items."""
        self.expect(open)
        items = list[T]()
        while not self.accept(close):
            if items:
                self.expect(",")
            items.append(item())
        return tuple(items)

    # ----------------------------------------------------------------------------------------- program

    def program(self) -> Program:
        for k, token in enumerate(self.tokens):
            if token.text == "data" and token.kind == "name" and self.tokens[k - 1].kind in ("newline", "end"):
                name = self.tokens[k + 1].text.strip("`")
                self.sums[name] = SumType(name)
        self.newlines()
        while self.token.kind != "end":
            if self.accept("data"):
                self.data()
            else:
                self.function(entry=self.accept("entry"))
            self.end_of_line()
        return self.program_

    def data(self) -> None:
        self.symbols = {}
        t = self.sums[self.name("the name of a type")]
        self.expect("=")
        alternatives = [self.constructor()]
        while self.accept("|"):
            alternatives.append(self.constructor())
        t.constructors = tuple(alternatives)

    def constructor(self) -> Constructor:
        return Constructor(self.name("the name of an alternative"), self.separated(self.field, "(", ")"))

    def field(self) -> tuple[str, Type]:
        name = self.name("the name of a field")
        self.expect(":")
        return name, self.type()

    def function(self, entry: bool) -> None:
        self.scope, self.defined, self.symbols = {}, [], {}
        span = self.expect("def").span
        at = self.token
        name = self.name("the name of a function")
        if name in self.program_.functions:
            self.fail(f"{name} is defined twice", at)
        params = self.separated(self.param, "(", ")")
        self.expect("->")
        results = self.separated(self.type, "(", ")")
        body = Block(tuple(v for v, _ in params))
        mut = frozenset(k for k, (_, written) in enumerate(params) if written)
        self.expect("{")
        self.end_of_line()
        doc = json.loads(self.next().text) if self.token.kind == "string" else ""
        self.newlines()
        self.block(body, "return")
        if tuple(v.type for v in body.results) != results:
            self.fail(f"{name} returns ({', '.join(str(v.type) for v in body.results)}), not what it declares", at)
        self.program_.functions[name] = Function(name, body, mut, span, doc)
        self.program_.entry = name if entry else self.program_.entry

    def param(self) -> tuple[Value, bool]:
        written = self.accept("mut")
        return self.definition(), written

    # ---------------------------------------------------------------------------------- values, blocks

    def definition(self) -> Value:
        """`%x: f64`; the name becomes the hint, unless it is a number."""
        token = self.kind("value", "a new value")
        self.expect(":")
        return self.define(token, self.type())

    def define(self, token: Token, t: Type) -> Value:
        if token.text in self.scope:
            self.fail(f"{token.text} is defined twice", token)
        v = Value(t, "" if token.text[1:].isdigit() else token.text[1:])
        self.scope[token.text] = v
        self.defined.append(token.text)
        return v

    def use(self) -> Value:
        token = self.kind("value", "a value")
        if token.text not in self.scope:
            self.fail(f"{token.text} is not defined here", token)
        return self.scope[token.text]

    def uses(self) -> tuple[Value, ...]:
        """`%x, %y, %z`, perhaps none."""
        if self.token.kind != "value":
            return ()
        found = [self.use()]
        while self.accept(","):
            found.append(self.use())
        return tuple(found)

    def block(self, block: Block, leave: str = "yield") -> None:
        """The nodes of a block up to its closing brace; what they define ends with it."""
        while not self.accept("}"):
            if self.accept(leave):
                block.results = self.uses()
                self.end_of_line()
                self.expect("}")
                return
            block.nodes.append(self.node(block))
            self.end_of_line()

    def inner(self, params: tuple[Value, ...] = ()) -> Block:
        """`{`, a block, `}`; the parameters were the last to be defined."""
        self.expect("{")
        self.end_of_line()
        mark = len(self.defined) - len(params)
        block = Block(params)
        self.block(block)
        for name in self.defined[mark:]:
            del self.scope[name]
        del self.defined[mark:]
        return block

    # ------------------------------------------------------------------------------------------- nodes

    def node(self, block: Block) -> Node:
        start = self.token
        results = list[tuple[Token, Type]]()
        while self.token.kind == "value":
            token = self.next()
            self.expect(":")
            results.append((token, self.type()))
            if not self.accept(","):
                self.expect("=")
        types = tuple(t for _, t in results)
        op, operands, attrs, blocks = self.operation(types)
        if op.type is control.if_.type or op in (control.vjp, control.jvp, control.py_call):
            attrs.setdefault("types", types)
        self.check_types(op, operands, attrs, types, start)
        last = self.tokens[self.at - 1].span
        span = Span(start.span.file, start.span.line, start.span.column, last.line, last.end_column)
        node = Node(op, operands, attrs, blocks, tuple(self.define(*each) for each in results), span)
        for v in node.results:
            v.node, v.block = node, block
        if self.accept("!"):
            half = self.name("a half")
            if half not in ("forward", "backward"):
                self.fail("a half is forward or backward", self.tokens[self.at - 1])
            node.half = "forward" if half == "forward" else "backward"
        return node

    def check_types(self, op: Primitive, operands: tuple[Value, ...], attrs: dict[str, Any], types: tuple[Type, ...],
                    at: Token) -> None:
        try:
            derived = op.type(tuple(v.type for v in operands), attrs)
        except LmsError as e:
            self.fail(f"{op.name}: {e.message}", at)
        except (KeyError, IndexError, TypeError) as e:
            self.fail(f"{op.name}: an attribute is missing or wrong ({e})", at)
        if derived != types:
            self.fail(f"{op.name} gives ({', '.join(map(str, derived))}), not ({', '.join(map(str, types))})", at)

    def operation(self, types: tuple[Type, ...]) -> tuple[Primitive, tuple[Value, ...], dict[str, Any], tuple[Block, ...]]:
        """What stands on the right of `=`."""
        token = self.token
        if self.is_literal():
            value, t = self.value(), types[0] if types else None
            if len(types) != 1 or not isinstance(t, Scalar):
                self.fail("a constant has one result, of a scalar type", token)
            return array.const, (), {"value": self.fit(value, t, token), "type": t, **self.attributes()}, ()
        name = self.name("an operation")
        if name not in PRIMITIVES:
            self.fail(f"there is no operation called {name}", token)
        op = PRIMITIVES[name]
        if op in (control.call, control.vjp, control.jvp):
            self.expect("@")
            callee = self.name("the name of a function")
            operands = self.separated(self.use, "(", ")")
            return op, operands, {"callee": callee, **self.attributes()}, ()
        if op in (control.if_, control.for_, control.while_):
            attrs = self.attributes()
            operands, blocks = {"if": self.if_, "for": self.for_, "while": self.while_}[name]()
            return op, operands, attrs, blocks
        operands, attrs, blocks = self.uses(), self.attributes(), ()
        while self.token.text == "(":
            blocks = (*blocks, self.inner(self.separated(self.definition, "(", ")")))
        return op, operands, attrs, blocks

    def if_(self) -> tuple[tuple[Value, ...], tuple[Block, ...]]:
        condition, then = self.use(), self.inner()
        return (condition,), (then, self.inner() if self.accept("else") else Block())

    def for_(self) -> tuple[tuple[Value, ...], tuple[Block, ...]]:
        counter = self.kind("value", "a loop counter")
        self.expect("in")
        bounds = self.uses()
        carried, inits = self.carried()
        return (*bounds, *inits), (self.inner((self.define(counter, i64), *carried)),)

    def while_(self) -> tuple[tuple[Value, ...], tuple[Block, ...]]:
        carried, inits = self.carried()
        condition = self.inner(carried)
        if tuple(v.type for v in condition.results) != (bool_,):
            self.fail("the condition of a loop yields one bool", self.tokens[self.at - 1])
        self.expect("do")
        params = list[Value]()
        while self.token.kind == "value":
            params.append(self.definition())
            if not self.accept(","):
                break
        return inits, (condition, self.inner(tuple(params)))

    def carried(self) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
        """`with %acc: f64 = %init, ...`: the new values and what they start from."""
        pairs = list[tuple[Token, Type, Value]]()
        if self.accept("with"):
            while not pairs or self.accept(","):
                token = self.kind("value", "a carried value")
                self.expect(":")
                t = self.type()
                self.expect("=")
                pairs.append((token, t, self.use()))
        return tuple(self.define(token, t) for token, t, _ in pairs), tuple(init for _, _, init in pairs)

    # ----------------------------------------------------------------------------------------- literals

    def attributes(self) -> dict[str, Any]:
        """`{axis=0, fast}`, or nothing. A brace that ends its line opens a block instead."""
        if self.token.text != "{" or self.tokens[self.at + 1].kind == "newline":
            return {}
        return dict(self.separated(self.attribute, "{", "}"))

    def attribute(self) -> tuple[str, Any]:
        key = self.name("an attribute")
        return key, self.value() if self.accept("=") else True

    def is_literal(self) -> bool:
        token, after = self.token, self.tokens[self.at + 1]
        return token.kind == "number" or token.text in ("-", "true", "false", "nan", "inf") or (
            token.text == "complex" and after.text == "(")

    def value(self) -> Any:
        """An attribute's value."""
        token = self.token
        if token.text == "[":
            return self.separated(self.size, "[", "]")
        if token.text == "(":
            return self.separated(self.value, "(", ")")
        if token.kind == "string":
            return json.loads(self.next().text)
        if self.accept("<"):
            size = self.size()
            self.expect(">")
            return size
        if token.text in ("none", "true", "false"):
            return {"none": None, "true": True, "false": False}[self.next().text]
        if token.text == "complex":
            self.next()
            re, im = self.separated(self.number, "(", ")")
            return complex(re, im)
        if token.text == "py" and self.tokens[self.at + 1].kind == "string":
            self.next()
            return self.imported()
        if token.kind == "number" or token.text in ("-", "nan", "inf"):
            return self.number()
        return self.type()

    def number(self) -> int | float:
        negative = self.accept("-")
        token = self.next()
        if token.kind != "number" and token.text not in ("nan", "inf"):
            self.fail(f"expected a number, found {token.text!r}", token)
        value = int(token.text) if token.text.isdigit() else float(token.text)
        return -value if negative else value

    def fit(self, value: Any, t: Scalar, token: Token) -> Any:
        """A constant as the Python number that `Builder.const` would hold."""
        kinds = {bool: "b", int: "iufc", float: "fc", complex: "c"}
        if t.kind not in kinds.get(type(value), ""):
            self.fail(f"{token.text} is not a constant of type {t}", token)
        try:
            return t.dtype.type(value).item()
        except OverflowError:
            self.fail(f"{value} does not fit in {t}", token)

    def imported(self) -> Any:
        token = self.next()
        module, _, path = json.loads(token.text).partition(":")
        try:
            found: Any = importlib.import_module(module)
            for part in path.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError, ValueError):
            raise LmsError(f"the Python function {token.text} cannot be imported", token.span,
                           fix="define it at the top level of a module that can be imported") from None
        return found

    # -------------------------------------------------------------------------------- types and sizes

    def type(self) -> Type:
        token = self.token
        name = self.name("a type")
        if name == "fn" and self.token.text == "(":
            params = self.separated(self.type, "(", ")")
            self.expect("->")
            return FunctionType(params, self.separated(self.type, "(", ")"))
        t = SCALARS.get(name) or self.sums.get(name)
        if t is None:
            self.fail(f"there is no type called {name}", token)
        if self.token.text != "[":
            return t
        dims = self.separated(self.size, "[", "]")
        return ArrayType(t, dims, "S" if self.accept("'") else "C")

    def size(self) -> Size:
        """`3`, `n`, `2*n+1`, `d$0`: a sum of terms."""
        size = self.term(-1 if self.accept("-") else 1)
        while self.token.text in ("+", "-"):
            size = affine([(1, size), (1, self.term(1 if self.next().text == "+" else -1))])
        return size

    def term(self, sign: int) -> Size:
        if self.token.kind == "number":
            token = self.next()
            if not token.text.isdigit():
                self.fail("a size is a whole number", token)
            if not self.accept("*"):
                return sign * int(token.text)
            sign *= int(token.text)
        name = self.name("a size")
        if "$" in name and name not in self.symbols:
            self.symbols[name] = fresh_symbol(name.partition("$")[0])
        return affine([(sign, self.symbols.get(name) or symbol(name))])
