"""From text to tree: `parse` gives a `Module` or raises every mistake it found; `parse_partial` gives what it could read."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise
from typing import Any

from lark import Lark
from lark.exceptions import UnexpectedToken
from lark.lexer import PatternStr

from lms.core import disk
from lms.core.data import replace
from lms.core.errors import Span

from ..diagnostics import Diagnostic, SourceErrors, remember
from ..source import Comment, Source, Token, unix
from . import tree
from .lexer import CLOSES, OPENS, Lexer
from .syntax import (
    Data,
    Def,
    Derivative,
    Expression,
    Item,
    Let,
    Module,
    TypeSyntax,
    Var,
)
from .walk import below

GRAMMAR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "grammar.lark")
DEEPEST = 1000  # levels of nesting
_NAMED = frozenset(("DEF", "DATA", "LET", "VAR"))
_BEGINS = frozenset(("EXPORT", "DEF", "DATA", "DERIVATIVE", "IMPORT", "FROM", "LET", "VAR"))


def parse(text: str, path: str = "<text>") -> Module:
    """The tree of a file. Raises `SourceErrors` with every mistake: after one, reading goes on at the next definition.

        parse("def square(x: Rep[f64]): Rep[f64] = x * x").items[0].name      # 'square'
    """
    module, errors = parse_partial(text, path)
    if errors:
        raise SourceErrors(errors)
    return module


def parse_partial(text: str, path: str = "<text>") -> tuple[Module, list[Diagnostic]]:
    """The tree of what could be read, and the mistakes in the rest, in the order of the source."""
    remember(path, text)
    text = unix(text)
    tokens, comments, errors = _grammar()[1].tokens(Source.of(path, text))
    items: list[Item] = []
    marks: list[Expression] = []
    broken: set[str] = set()
    mark = tree.parenthesised.set(marks)
    malformed = {e.span.line for e in errors if e.span}
    try:
        with deep_recursion():
            for group in _groups(tokens):
                try:
                    items += _checked(_run("module", group))
                except Diagnostic as e:
                    broken |= {name.text for word, name in pairwise(group) if word.type in _NAMED and name.type == "NAME"}
                    if malformed.isdisjoint(range(group[0].span.line, group[-1].span.end_line + 1)):  # else it is a consequence
                        errors.append(e)
    finally:
        tree.parenthesised.reset(mark)
    errors.sort(key=lambda e: (e.span.line, e.span.column) if e.span else (0, 0))
    return Module(path, text, _documented(items, comments), tuple(comments), frozenset(marks), frozenset(broken)), errors


def parse_expression(text: str, path: str = "<text>") -> Expression:
    """One expression, as between the braces of `print`'s text. Raises `SourceErrors`."""
    return _one("expression", text, path)  # type: ignore[no-any-return]  # what the grammar's rule gives


def parse_type(text: str, path: str = "<text>") -> TypeSyntax:
    """One type. Raises `SourceErrors`."""
    return _one("type", text, path)  # type: ignore[no-any-return]  # what the grammar's rule gives


def tokens(text: str, path: str = "<text>") -> tuple[list[Token], list[Comment]]:
    """The tokens of a text, with a `SEP` where a statement ends, and its comments. What is malformed is left out."""
    return _grammar()[1].tokens(Source.of(path, unix(text)))[:2]


def keywords() -> frozenset[str]:
    """The words of the language that are no names."""
    return frozenset(_grammar()[1].keywords)


def parse_at(text: str, around: Span, offset: int) -> Expression:
    """An expression inside a token of a file, `offset` bytes behind where the token begins. Raises `Diagnostic`."""
    padded = "\n" * (around.line - 1) + " " * (around.column + offset) + text
    try:
        found: Expression = _one("expression", padded, around.file, shown=False)
        return found
    except SourceErrors as e:
        raise e.diagnostics[0] from None


def is_complete(text: str) -> bool:
    """Whether a prompt should stop reading: no bracket is open, and the last line does not ask for more."""
    tokens, _, errors = _grammar()[1].tokens(Source.of("<text>", text))
    if any(e.code == "E0105" for e in errors):
        return False
    _, errors = parse_partial(text, "<text>")
    return all(e.code != "E0102" for e in errors) or not tokens


@contextmanager
def deep_recursion() -> Iterator[None]:
    """Room for functions that call themselves once or a few times for each level of a tree; and no looking for garbage among
    the nodes of large ones, which are all in use: that would take more than its share the larger they get."""
    before, collecting = sys.getrecursionlimit(), gc.isenabled()
    sys.setrecursionlimit(max(before, 20 * DEEPEST))
    gc.disable()
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
        if collecting:
            gc.enable()


# ------------------------------------------------------------------------------------------------ the parser


@lru_cache(maxsize=1)
def _grammar() -> tuple[Lark, Lexer]:
    with open(GRAMMAR, encoding="utf-8") as file:
        text = file.read()
    place = disk.library()
    parser = Lark(text, parser="lalr", lexer="basic", start=["module", "expression", "type"], keep_all_tokens=True,
                  maybe_placeholders=True, transformer=tree.Builder(),
                  cache=place is not None and str(place / ("grammar" + disk.TABLE)))  # lark looks whether it fits the text
    patterns = {t.name: t.pattern.to_regexp() for t in parser.terminals}
    words = {t.pattern.value: t.name for t in parser.terminals
             if isinstance(t.pattern, PatternStr) and t.pattern.value.isalpha()}
    return parser, Lexer(patterns, words)


def _one(start: str, text: str, path: str, shown: bool = True) -> Any:
    if shown:
        remember(path, text)
    tokens, _, errors = _grammar()[1].tokens(Source.of(path, text))
    if errors:
        raise SourceErrors(errors)
    mark = tree.parenthesised.set([])
    try:
        found = _run(start, tokens)
        _checked((found,))
        return found
    except Diagnostic as e:
        raise SourceErrors([e]) from None
    finally:
        tree.parenthesised.reset(mark)


def _groups(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """The tokens of one definition after another, so that a mistake in one leaves the others alone.

    A definition begins after a `SEP` outside brackets, and wherever its first word stands at the beginning of a line.
    """
    group: list[Token] = []
    depth = 0
    for token in tokens:
        at_margin = token.span.column == 0 and token.type in _BEGINS
        if group and ((token.type == "SEP" and depth <= 0) or (at_margin and depth > 0)):
            yield group
            group, depth = [], 0
        if token.type == "SEP" and not group:
            continue
        depth += (token.type in OPENS) - (token.type in CLOSES)
        group.append(token)
    if group:
        yield group


def _run(start: str, tokens: Sequence[Token]) -> Any:
    """The tree of some tokens. Raises `Diagnostic`."""
    machine = _grammar()[0].parse_interactive(start=start)
    try:
        for token in tokens:
            machine.feed_token(token)  # type: ignore[arg-type]  # lark asks a token for its `type` only
        last = tokens[-1] if tokens else None
        end = Token("$END", "", last.span if last else _nowhere())
        return machine.feed_token(end)  # type: ignore[arg-type]  # as above
    except UnexpectedToken as e:
        raise _unexpected(e.token, _accepted(start, tokens, e.token), tokens) from None


def _accepted(start: str, tokens: Sequence[Token], wrong: Token) -> set[str]:
    """What could stand where the wrong token is: asked before it, since reading it may have finished what comes before."""
    machine = _grammar()[0].parse_interactive(start=start)
    for token in tokens:
        if token is wrong:
            break
        machine.feed_token(token)  # type: ignore[arg-type]  # as above
    return set(machine.accepts())  # type: ignore[no-untyped-call]  # lark's


def _nowhere() -> Any:
    return Source.of("<text>", "").span(0, 0)


def _checked(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse what is nested too deeply for the functions that will walk it, and definitions in the wrong place."""
    level, depth = list(items), 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise Diagnostic("E0109", f"this is nested more than {DEEPEST} levels deep", level[0].span,
                             fix="give a part of it a name with `let`, or move it into a function")
        lower = [c for node in level for c in below(node)]
        if depth > 1:
            for node in level:
                if isinstance(node, Def) and node.exported:
                    raise Diagnostic("E0113", "only a definition at the top of a file can be exported", node.name_span,
                                     fix="remove `export`")
        level = lower
    return items


def _documented(items: Sequence[Item], comments: Sequence[Comment]) -> tuple[Item, ...]:
    """The items with their documentation: the `///` lines directly above."""
    docs = {c.span.line: c.text[3:].removeprefix(" ") for c in comments if c.kind == "///" and c.own_line}
    if not docs:
        return tuple(items)
    found: list[Item] = []
    for item in items:
        if isinstance(item, Def | Data | Derivative | Let | Var):
            line, lines = item.span.line - 1, []
            while line in docs:
                lines.append(docs[line])
                line -= 1
            item = replace(item, doc="\n".join(reversed(lines)))
        found.append(item)
    return tuple(found)


# ------------------------------------------------------------------------------------------------ what went wrong

_WORDS = {  # how the terminals that a person would think of are called in messages
    "NAME": "a name", "NUMBER": "a number", "STRING": "a string", "CHARACTER": "a character", "SEP": "a new line or `;`",
    "$END": "the end of the file", "OPERATOR": "an operator", "LPAR": "`(`", "RPAR": "`)`", "LSQB": "`[`", "RSQB": "`]`",
    "LBRACE": "`{`", "RBRACE": "`}`", "COMMA": "`,`", "COLON": "`:`", "EQUAL": "`=`", "FATARROW": "`=>`", "__ANON_0": "`=>`",
    "ARROW": "`->`", "DOT": "`.`", "BAR": "`|`", "IN": "`in`", "IMPORT": "`import`",
}
_EXPRESSION = frozenset(("NAME", "NUMBER", "STRING", "LPAR", "LSQB"))  # where all of these may stand, an expression may
_OPERATORS = frozenset(("OPERATOR", "MINUS", "BAR", "DOTS", "DOT", "WITH", "AUGMENTED"))


def _unexpected(token: Token, accepted: set[str], tokens: Sequence[Token]) -> Diagnostic:
    expected = _expected(accepted)
    if token.type == "$END":
        opened = _innermost_open(tokens)
        notes = ((f"`{opened.text}` was opened here", opened.span),) if opened else ()
        end = "the definition" if opened else "the file"
        return Diagnostic("E0102", f"expected {expected}, found the end of {end}", token.span,
                          notes=notes, fix=f"close it with `{_closing(opened)}`" if opened else "")
    found = "the end of the line" if token.text == "\n" else f"`{token.text}`"
    return Diagnostic("E0101", f"expected {expected}, found {found}", token.span, fix=_advice(token, accepted, tokens))


def _expected(accepted: set[str]) -> str:
    words = []
    rest = set(accepted)
    if len(rest) > 2:
        rest -= {"DOT", "LSQB"} if "LPAR" not in rest else set()
    if rest >= _EXPRESSION:
        words.append("an expression")
        rest = {t for t in rest if t in ("RPAR", "RSQB", "RBRACE", "COMMA", "EQUAL", "FATARROW", "MUT") and t not in _EXPRESSION}
    elif "OPERATOR" in rest:
        words.append("an operator")
        rest -= _OPERATORS
        rest -= {"LPAR", "LSQB"}
    words += sorted({_WORDS.get(t, f"`{t.lower()}`") for t in rest})
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


def _innermost_open(tokens: Sequence[Token]) -> Token | None:
    stack: list[Token] = []
    for token in tokens:
        if token.type in OPENS:
            stack.append(token)
        elif token.type in CLOSES and stack:
            stack.pop()
    return stack[-1] if stack else None


def _closing(opened: Token | None) -> str:
    return {"(": ")", "[": "]", "{": "}"}[opened.text] if opened else ""


def _advice(token: Token, accepted: set[str], tokens: Sequence[Token]) -> str:
    """What is usually meant by a token at the wrong place."""
    at = next((k for k, t in enumerate(tokens) if t is token), 0)
    before = tokens[at - 1] if at else None
    if token.text == "\n" and before is not None and before.type in OPENS:
        return ""
    if token.type == "ELSE":
        return "an `else` stands behind the `}` of its `if`"
    if token.type == "LBRACE" and "EQUAL" in accepted:
        return "write `=` before the body: `def f(x: f64): f64 = { ... }`"
    if token.type == "EQUAL" and "OPERATOR" in accepted:
        return "compare with `==`; an assignment is a statement of its own"
    if token.type == "COLON" and (opened := _innermost_open(tokens[:at])) and opened.type == "LSQB":
        return "a slice is written with `..`: `a[1..n]`, `a[.., j]`"
    if token.type == "FATARROW":
        return "a function without a name is written `fn(x) => ...`"
    if token.type in ("NAME", "NUMBER", "LET", "VAR") and "SEP" in accepted:
        return "put the second statement on a line of its own, or `;` between the two"
    if token.type not in ("NAME", "NUMBER") and token.text.isidentifier() and "NAME" in accepted:
        return f"`{token.text}` is a word of the language; choose another name"
    return ""
