"""What the grammar's rules become: one method a rule, from its children (tokens and trees) to a node of `syntax`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from typing import Any

from lark import Transformer

from lms.core.errors import Span

from ..diagnostics import Diagnostic
from ..source import Token
from . import literals
from . import syntax as s
from .operators import BINARY, COMPARISONS

Children = list[Any]
parenthesised: ContextVar[list[s.Expression]] = ContextVar("lms_parenthesised")


def join(first: Span, last: Span) -> Span:
    return Span(first.file, first.line, first.column, last.end_line, last.end_column)


def _span(children: Sequence[Any]) -> Span:
    """From the first child to the last, of those that have a place."""
    present = [c for c in children if c is not None and c != ()]
    return join(present[0].span, present[-1].span)


def _nodes(children: Iterable[Any]) -> tuple[Any, ...]:
    return tuple([c for c in children if isinstance(c, s.Node)])


class Listing(tuple[Any, ...]):
    """Several nodes with the place they take up together, and whether a comma stands behind the last."""

    span: Span
    comma: bool


def _listing(children: Children) -> Listing:
    found = Listing(_nodes(children))
    found.span = _span(children)
    found.comma = isinstance(children[-1], Token)
    return found


class Builder(Transformer[Token, Any]):
    """Builds the tree of one item. Documentation and `export`'s place are the parser's business."""

    def module(self, c: Children) -> Any:
        return _nodes(c)

    generics = parameters = arguments = expressions = clauses = patterns = elements = pattern_fields = types = (
        lambda self, c: _listing(c))

    # ----------------------------------------------------------------------------------------- definitions

    def function_definition(self, c: Children) -> s.Def:
        export, _, name, generics, _, params, _, _, result, _, body = c
        return s.Def(_span(c), name.text, name.span, generics or (), params or (), result, body, export is not None)

    def derivative_definition(self, c: Children) -> s.Derivative:
        _, name, _, params, _, _, body = c
        return s.Derivative(_span(c), name.text, name.span, params or (), body)

    def data_definition(self, c: Children) -> s.Data:
        _, name, generics, _, *rest = c
        return s.Data(_span(c), name.text, name.span, generics or (), _nodes(rest))

    def constructor(self, c: Children) -> s.Constructor:
        name, _, fields, _ = c
        return s.Constructor(_span(c), name.text, name.span, fields or ())

    def import_module(self, c: Children) -> s.Import:
        _, name, _, alias = c
        return s.Import(_span(c), name.text, name.span, (alias or name).text)

    def import_names(self, c: Children) -> s.FromImport:
        names = tuple(s.Name(t.span, t.text) for t in c[3:] if t is not None and t.type == "NAME")
        return s.FromImport(_span(c), c[1].text, c[1].span, names)

    def generic(self, c: Children) -> s.Generic:
        return s.Generic(_span(c), c[0].text, c[2].text if c[2] else "")

    def parameter(self, c: Children) -> s.Parameter:
        mut, name, _, type, _, default = c
        return s.Parameter(_span(c), name.text, name.span, type, default, mut is not None)

    # ------------------------------------------------------------------------------------------ statements

    def let(self, c: Children) -> s.Let:
        _, pattern, _, type, _, value = c
        return s.Let(_span(c), pattern, type, value)

    def var(self, c: Children) -> s.Var:
        _, name, _, type, _, value = c
        return s.Var(_span(c), name.text, name.span, type, value)

    def assignment(self, c: Children) -> s.Assign:
        target, op, value = c
        if not isinstance(target, s.Name | s.Index):
            fix = "a record is changed with `p = p with (x = ...)`" if isinstance(target, s.Field) else "compare with `==`"
            raise Diagnostic("E0108", "only a variable or an element of an array can be assigned to", target.span, fix=fix)
        return s.Assign(_span(c), target, op.text[:-1], value)

    def block(self, c: Children) -> s.Block:
        return s.Block(_span(c), _nodes(c))

    # ----------------------------------------------------------------------------------------- expressions

    def lambda_(self, c: Children) -> s.Lambda:
        _, _, params, _, _, result, _, body = c
        return s.Lambda(_span(c), params or (), result, body)

    def jump(self, c: Children) -> s.Expression:
        if c[0].type == "RETURN":
            return s.Return(_span(c), c[1])
        return s.Break(c[0].span) if c[0].type == "BREAK" else s.Continue(c[0].span)

    def operand(self, c: Children) -> Any:
        return c

    def operation(self, c: Children) -> s.Expression:
        return Precedence(c).expression() if len(c) > 1 or isinstance(c[0], list) else c[0]

    def call(self, c: Children) -> s.Call:
        return s.Call(_span(c), c[0], c[2] or ())

    def index(self, c: Children) -> s.Index:
        return s.Index(_span(c), c[0], _nodes(c[1:]))

    def field(self, c: Children) -> s.Field:
        return s.Field(_span(c), c[0], c[2].text, c[2].span)

    def with_fields(self, c: Children) -> s.With:
        return s.With(_span(c), c[0], c[3] or ())

    def argument(self, c: Children) -> s.Argument:
        return s.Argument(c[0].span, "", c[0])

    def named_argument(self, c: Children) -> s.Argument:
        return s.Argument(_span(c), c[0].text, c[2])

    def range_from(self, c: Children) -> s.Range:
        _has_no_end(c[-1])
        return s.Range(_span(c), Precedence(c[:-1]).expression(), None)

    def range_to(self, c: Children) -> s.Range:
        return s.Range(_span(c), None, c[1], c[0].text == "..=")

    def range_all(self, c: Children) -> s.Range:
        _has_no_end(c[0])
        return s.Range(c[0].span, None, None)

    def name(self, c: Children) -> s.Name:
        return s.Name(c[0].span, c[0].text)

    def number(self, c: Children) -> s.Int | s.Float:
        return literals.number(c[0].text, c[0].span)

    def string(self, c: Children) -> s.Str:
        return literals.string(c[0].text, c[0].span)

    def character(self, c: Children) -> s.Char:
        return literals.character(c[0].text, c[0].span)

    def boolean(self, c: Children) -> s.Bool:
        return s.Bool(c[0].span, c[0].type == "TRUE")

    def parenthesised(self, c: Children) -> s.Expression:
        inner = c[1]
        if inner is None or len(inner) > 1 or inner.comma:
            return s.Tuple(_span(c), tuple(inner or ()))
        parenthesised.get().append(inner[0])
        value: s.Expression = inner[0]
        return value

    def list(self, c: Children) -> s.List:
        return s.List(_span(c), tuple(c[1] or ()))

    def comprehension(self, c: Children) -> s.Comprehension:
        return s.Comprehension(_span(c), tuple(c[2]), c[4])

    def match(self, c: Children) -> s.Match:
        return s.Match(_span(c), c[1], tuple(a for a in c[2:] if isinstance(a, s.Arm)))

    def while_loop(self, c: Children) -> s.While:
        return s.While(_span(c), c[1], c[2])

    def for_loop(self, c: Children) -> s.For:
        return s.For(_span(c), tuple(c[1]), c[2])

    def reset(self, c: Children) -> s.Reset:
        return s.Reset(_span(c), c[1])

    def shift(self, c: Children) -> s.Shift:
        body = _nodes(c[4:])
        return s.Shift(_span(c), c[2], s.Block(join(body[0].span, body[-1].span), body))

    def conditional(self, c: Children) -> s.If:
        return s.If(_span(c), c[1], c[2], c[4])

    def clause(self, c: Children) -> s.Clause:
        return s.Clause(_span(c), c[0], c[2])

    def arm(self, c: Children) -> s.Arm:
        return s.Arm(_span(c), c[0], c[2], c[4])

    # -------------------------------------------------------------------------------------------- patterns

    def alternatives(self, c: Children) -> s.Pattern:
        found = _nodes(c)
        first: s.Pattern = found[0]
        return first if len(found) == 1 else s.OrPattern(_span(c), found)

    def pattern_name(self, c: Children) -> s.Pattern:
        name = c[0].text
        if name == "_":
            return s.AnyPattern(c[0].span)
        return s.ConstructorPattern(c[0].span, name, ()) if name[0].isupper() else s.NamePattern(c[0].span, name)

    def pattern_qualified(self, c: Children) -> s.ConstructorPattern:
        return s.ConstructorPattern(_span(c), f"{c[0].text}.{c[2].text}", ())

    def pattern_literal(self, c: Children) -> s.LiteralPattern:
        token, span = c[-1], _span(c)
        value: s.Int | s.Float | s.Str | s.Char | s.Bool
        if token.type == "NUMBER":
            value = literals.number(token.text, span)
            if len(c) == 2 and c[0] is not None:
                value = literals.negative(value, span)
        elif token.type in ("STRING", "CHARACTER"):
            value = (literals.string if token.type == "STRING" else literals.character)(token.text, span)
        else:
            value = s.Bool(span, token.type == "TRUE")
        return s.LiteralPattern(span, value)

    def pattern_constructor(self, c: Children) -> s.ConstructorPattern:
        return s.ConstructorPattern(_span(c), c[0].name, c[2] or ())

    def pattern_tuple(self, c: Children) -> s.Pattern:
        items = c[1]
        if items is not None and len(items) == 1 and not items.comma:
            inner: s.Pattern = items[0]
            return inner
        return s.TuplePattern(_span(c), tuple(items or ()))

    def pattern_list(self, c: Children) -> s.ListPattern:
        items = list(c[1] or ())
        rest = [k for k, item in enumerate(items) if isinstance(item, _Rest)]
        if rest and rest != [len(items) - 1]:
            raise Diagnostic("E0114", "`..` stands once in a list pattern, and last", items[rest[0]].span,
                             fix="`[first, ..rest]`")
        last = items.pop().pattern if rest else None
        return s.ListPattern(_span(c), tuple(items), last)

    def rest(self, c: Children) -> _Rest:
        dots, name = c
        if dots.text != "..":
            raise Diagnostic("E0114", f"expected `..`, found `{dots.text}`", dots.span, fix="`[first, ..rest]`")
        named = name is not None and name.text != "_"
        return _Rest(_span(c), s.NamePattern(name.span, name.text) if named else s.AnyPattern(dots.span))

    def pattern_field(self, c: Children) -> s.FieldPattern:
        return s.FieldPattern(_span(c), c[0].text if c[0] else "", c[2])

    def qualified(self, c: Children) -> s.NamedType:
        return s.NamedType(_span(c), ".".join(t.text for t in c if t is not None and t.type == "NAME"))

    # ----------------------------------------------------------------------------------------------- types

    def named_type(self, c: Children) -> s.NamedType:
        return s.NamedType(_span(c), c[0].name, _nodes(c[1:]))

    def tuple_type(self, c: Children) -> s.TypeSyntax:
        items: tuple[s.TypeSyntax, ...] = tuple(c[1] or ())
        if len(items) == 1:
            inner: s.TypeSyntax = items[0]
            return inner
        return s.TupleType(_span(c), items)

    def function_type(self, c: Children) -> s.ArrowType:
        return s.ArrowType(_span(c), tuple(c[1] or ()), c[4])

    def size(self, c: Children) -> s.DimInt:
        value = literals.number(c[0].text, c[0].span)
        if not isinstance(value, s.Int) or value.suffix:
            raise Diagnostic("E0112", f"expected a whole number, found `{c[0].text}`", c[0].span)
        return s.DimInt(value.span, value.value)

    def type_argument(self, c: Children) -> s.TypeSyntax:
        for op in c[1::2]:
            if op.text not in ("+", "-", "*"):
                raise Diagnostic("E0112", f"`{op.text}` cannot stand in a dimension", op.span,
                                 fix="a dimension is a sum: `n + 1`, `2 * n`")
        terms: list[s.TypeSyntax] = []
        signs: list[Any] = []
        for op, operand in zip([None, *c[1::2]], c[::2], strict=True):
            if op is not None and op.text == "*":
                factor = terms.pop()
                terms.append(s.DimBinary(join(factor.span, operand.span), "*", factor, operand))
            else:
                terms.append(operand)
                signs.append(op)
        whole = terms[0]
        for op, term in zip(signs[1:], terms[1:], strict=True):
            whole = s.DimBinary(join(whole.span, term.span), op.text, whole, term)
        return whole


setattr(Builder, "lambda", Builder.lambda_)  # the rule's name is a word of Python


class _Rest(s.Node):
    """`..rest` in a list pattern, until the list is built."""

    __slots__ = ("pattern",)

    def __init__(self, span: Span, pattern: s.NamePattern | s.AnyPattern) -> None:
        super().__init__(span)
        object.__setattr__(self, "pattern", pattern)

    pattern: s.NamePattern | s.AnyPattern


class Precedence:
    """Operands and operators in a row, to a tree: `operand op operand ...`, where an operand is an expression, or a list of
    prefixes and the expression they stand before."""

    def __init__(self, row: Children) -> None:
        self.row, self.at = row, 0

    def expression(self) -> s.Expression:
        value = self.above(0)
        assert self.at == len(self.row)
        return value

    def above(self, level: int) -> s.Expression:
        """The operation that begins here, as far as its operators bind more tightly than `level`."""
        operand = self.row[self.at]
        self.at += 1
        left = self.prefixed(operand) if isinstance(operand, list) else operand
        compared = False
        while self.at < len(self.row):
            op = self.row[self.at]
            binds = BINARY[op.text]
            if binds <= level:
                break
            self.at += 1
            if op.text in COMPARISONS:
                if compared:
                    raise Diagnostic("E0107", "comparisons do not chain", op.span, fix="write `a < b && b < c`")
                compared = True
            right = self.above(binds - 1 if op.text == "**" else binds)
            left = _binary(op, left, right)
        return left

    def prefixed(self, operand: Children) -> s.Expression:
        """`-` and `!` before an operand and the `**` that bind more tightly."""
        *prefixes, value = operand
        if self.at < len(self.row) and self.row[self.at].text == "**":
            op = self.row[self.at]
            self.at += 1
            value = _binary(op, value, self.above(BINARY["**"] - 1))
        for prefix in reversed(prefixes):
            value = s.Unary(join(prefix.span, value.span), prefix.text, value)
        result: s.Expression = value
        return result


def _has_no_end(dots: Token) -> None:
    if dots.text != "..":
        raise Diagnostic("E0111", f"`{dots.text}` includes an end, and there is none", dots.span, fix="`a[1..]`, or `a[1..=n]`")


def _binary(op: Token, left: s.Expression, right: s.Expression) -> s.Expression:
    span = join(left.span, right.span)
    if op.text in ("..", "..="):
        return s.Range(span, left, right, op.text == "..=")
    if op.text == "by":
        if not isinstance(left, s.Range) or left.step is not None:
            raise Diagnostic("E0111", "`by` gives the step of a range", op.span, fix="`0..n by 2`")
        return s.Range(span, left.start, left.stop, left.inclusive, right)
    return s.Binary(span, op.text, left, right)
