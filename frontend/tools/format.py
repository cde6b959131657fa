"""`lms fmt`: the one way to lay out a file. Comments and the author's empty lines stay where they are.

The tree says where lines may be broken; the words come from the source, token by token, so that nothing can get lost. An author
decides three things by a new line: whether the statements of a block stand on lines of their own, whether `else` begins a line,
and whether the body of a `def` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..parse import syntax as s
from ..parse.operators import BINARY
from ..parse.parser import deep_recursion, parse, tokens
from .layout import BLANK, FILL, HARD, LINE, SOFT, STEP, WIDTH, Concat, Doc, Either, Group, Nest, first_line, hard, render, width
from .trivia import Tokens


def format_source(text: str, path: str = "<text>") -> str:
    """The text of a file as it should be laid out, on lines of at most 100 columns. Raises `SourceErrors` if it cannot be read.

        format_source("let x=f( 1,2 )")      # 'let x = f(1, 2)\\n'
    """
    while (out := _laid_out(text, path)) != text:  # where a line was broken, a block may now stand on lines of its own
        text = out
    return out


def _laid_out(text: str, path: str) -> str:
    module = parse(text, path)
    found, comments = tokens(text, path)
    with deep_recursion():
        out = render(_Printer(Tokens(found, comments)).module(module)).strip("\n")
    return out + "\n" if out else ""


class _Printer:
    """Makes the document of each node, in the order of the source."""

    def __init__(self, source: Tokens) -> None:
        self.take, self.source = source.take, source
        self.depth = 0  # of the block being written

    def module(self, module: s.Module) -> Doc:
        parts: list[Doc] = []
        for item in module.items:
            if parts:
                parts.append(BLANK if self.source.blank() else HARD)
            parts.append(self.statement(item))
        return Concat([*parts, self.source.rest()])

    # --------------------------------------------------------------------------------------- definitions

    def statements(self, items: Sequence[Any]) -> Concat:
        """The statements of a block: on one line where none of them begins one."""
        parts: list[Doc] = []
        for item in items:
            if parts:
                parts += [Either("", ";"), BLANK if self.source.blank() else HARD if self.source.newline() else LINE]
            parts.append(self.statement(item))
        return Concat(parts)

    def statement(self, item: Any) -> Doc:
        above = self.source.above()
        method: Callable[[Any, Any], Doc] | None = _STATEMENTS.get(type(item))
        return Concat([above, self.expression(item) if method is None else method(self, item)])

    def definition(self, d: s.Def) -> Doc:
        head = [*([self.take("export"), " "] if d.exported else []), self.take("def"), " ", self.take(d.name),
                self.generics(d.generics), self.parameters(d.params), self.annotation(d.result), " ", self.take("=")]
        if self.source.newline() and not isinstance(d.body, s.Block):
            return Concat([*head, Nest([HARD, self.operation(d.body)])])
        return Concat([*head, self.value(d.body, head)])

    def derivative(self, d: s.Derivative) -> Doc:
        return Concat([self.take("derivative"), " ", self.take(d.name), self.parameters(d.params), " ", self.take("="),
                       self.value(d.body)])

    def data(self, d: s.Data) -> Doc:
        head = [self.take("data"), " ", self.take(d.name), self.generics(d.generics), " ", self.take("="), " "]
        parts: list[Doc] = []
        for c in d.constructors:
            parts += [LINE, self.take("|"), " "] if parts else []
            parts.append(self.take(c.name))
            if c.fields or self.source.next("("):
                parts.append(self.parameters(c.fields))
        return Group([*head, Nest(parts)])

    def generics(self, generics: Sequence[s.Generic]) -> Doc:
        def one(g: s.Generic) -> Doc:
            return Concat([self.take(g.name), *([self.take(":"), " ", self.take(g.bound)] if g.bound else [])])

        return self.bracketed("[", generics, one, "]") if generics else ""

    def parameters(self, params: Sequence[s.Parameter]) -> Doc:
        return self.bracketed("(", params, self.parameter, ")")

    def parameter(self, p: s.Parameter) -> Doc:
        return Concat([*([self.take("mut"), " "] if p.mut else []), self.take(p.name), self.annotation(p.type),
                       *([" ", self.take("="), " ", self.expression(p.default)] if p.default else [])])

    def annotation(self, t: s.TypeSyntax | None) -> Doc:
        return Concat([self.take(":"), " ", self.type(t)]) if t else ""

    def import_(self, d: s.Import) -> Doc:
        head = [self.take("import"), " ", self.take(d.module)]
        return Concat([*head, *([" ", self.take("as"), " ", self.take(d.alias)] if self.source.next("as") else [])])

    def from_import(self, d: s.FromImport) -> Doc:
        head = [self.take("from"), " ", self.take(d.module), " ", self.take("import"), " "]
        names: list[Doc] = []
        for name in d.names:
            names += [self.take(","), LINE] if names else []
            names.append(self.take(name.name))
        return Group([*head, Nest([*names, self.source.drop(",")])])

    # ---------------------------------------------------------------------------------------- statements

    def let(self, d: s.Let) -> Doc:
        head = [self.take("let"), " ", self.pattern(d.pattern), self.annotation(d.type), " ", self.take("=")]
        return Concat([*head, self.value(d.value, head)])

    def var(self, d: s.Var) -> Doc:
        return Concat([self.take("var"), " ", self.take(d.name), self.annotation(d.type), " ", self.take("="),
                       self.value(d.value)])

    def assign(self, d: s.Assign) -> Doc:
        return Concat([self.expression(d.target), " ", self.take(d.op + "="), self.value(d.value)])

    # --------------------------------------------------------------------------------------- expressions

    def value(self, e: s.Expression, head: Sequence[Doc] = ()) -> Doc:
        """What stands behind `=` or `=>`, with the space or new line before it; `head` stands on the line already."""
        above, enclosed = self.source.above(), self.source.encloses(e.span)
        doc = self.operation(e)
        room = WIDTH - STEP * self.depth - width(Concat(head)) - 1
        if above.parts or (isinstance(e, s.Shift | s.Match | s.For | s.While) and 0 < room < first_line(doc)):
            return Nest([HARD, above, doc])
        breaks = isinstance(e, s.Binary | s.If) and isinstance(doc, Group) and not enclosed
        return Group([Nest([LINE, doc])]) if breaks else Concat([" ", doc])

    def operation(self, e: s.Expression) -> Doc:
        """An expression that stands at the beginning of its line: the lines it is broken into begin in the same column."""
        if isinstance(e, s.Binary) and not self.source.encloses(e.span):
            return self.binary(e, Concat)
        return self.expression(e)

    def expression(self, e: s.Expression) -> Doc:
        return self.parentheses(e, _EXPRESSIONS[type(e)])

    def parentheses(self, node: s.Node, inner: Callable[[Any, Any], Doc]) -> Doc:
        """A node in the parentheses of its own that the source gives it, if any."""
        if not self.source.encloses(node.span):
            return inner(self, node)
        opening = self.take("(")
        inside: list[Doc] = [SOFT, self.source.above(), self.parentheses(node, inner)]
        inside += [self.source.drop(","), self.source.rest()]
        return Group([opening, Nest(inside), SOFT, self.take(")")])

    def literal(self, e: s.Int | s.Float | s.Str | s.Char) -> Doc:
        return self.take(e.text)

    def boolean(self, e: s.Bool) -> Doc:
        return self.take("true" if e.value else "false")

    def name(self, e: s.Name) -> Doc:
        return self.take(e.name)

    def tuple(self, e: s.Tuple) -> Doc:
        return self.bracketed("(", e.items, self.expression, ")", single=True)

    def list(self, e: s.List) -> Doc:
        return self.bracketed("[", e.items, self.expression, "]", fill=all(isinstance(x, _PLAIN) for x in e.items))

    def comprehension(self, e: s.Comprehension) -> Doc:
        start = self.take("[")
        inside = Nest([SOFT, self.take("for"), " ", self.clauses(e.clauses), " ", self.take("=>"), self.value(e.body),
                       self.source.rest()])
        return Group([start, inside, SOFT, self.take("]")])

    def clauses(self, clauses: Sequence[s.Clause]) -> Doc:
        parts: list[Doc] = []
        for c in clauses:
            parts += [self.take(","), " "] if parts else []
            parts += [self.pattern(c.pattern), " ", self.take("in"), " ", self.expression(c.source)]
        return Concat(parts)

    def lambda_(self, e: s.Lambda) -> Doc:
        return Concat([self.take("fn"), self.parameters(e.params), self.annotation(e.result), " ", self.take("=>"),
                       self.value(e.body)])

    def unary(self, e: s.Unary) -> Doc:
        return Concat([self.take(e.op), self.expression(e.operand)])

    def binary(self, e: s.Binary, kind: type[Concat] = Nest) -> Doc:
        """Operators of one precedence stand in one group: either none of them ends a line or each does."""
        chain, left = [e], e.left
        while isinstance(left, s.Binary) and BINARY[left.op] == BINARY[e.op] and not self.source.encloses(left.span):
            chain.append(left)
            left = left.left
        parts = [self.expression(left)]
        for b in reversed(chain):
            parts += [" ", self.take(b.op), LINE, self.expression(b.right)]
        if _hugs(e.right, parts[-1]) and not hard(Concat(parts[:-1])):
            return Concat([" " if part is LINE else part for part in parts])
        return Group([parts[0], kind(parts[1:])])

    def range(self, e: s.Range) -> Doc:
        parts = [self.expression(e.start)] if e.start else []
        parts.append(self.take("..=" if e.inclusive else ".."))
        parts += [self.expression(e.stop)] if e.stop else []
        parts += [" ", self.take("by"), " ", self.expression(e.step)] if e.step else []
        return Concat(parts)

    def call(self, e: s.Call) -> Doc:
        return Concat([self.expression(e.function), self.arguments(e.args)])

    def arguments(self, args: Sequence[s.Argument]) -> Doc:
        return self.bracketed("(", args, self.argument, ")", last=args[-1].value if args else None)

    def argument(self, a: s.Argument) -> Doc:
        return Concat([*([self.take(a.name), " ", self.take("="), " "] if a.name else []), self.expression(a.value)])

    def index(self, e: s.Index) -> Doc:
        return Concat([self.expression(e.value), self.bracketed("[", e.args, self.expression, "]")])

    def field(self, e: s.Field) -> Doc:
        return Concat([self.expression(e.value), Nest([self.take("."), self.take(e.name)])])

    def with_(self, e: s.With) -> Doc:
        return Concat([self.expression(e.value), " ", self.take("with"), " ", self.arguments(e.changes)])

    def while_(self, e: s.While) -> Doc:
        return Concat([self.take("while"), " ", self.expression(e.condition), " ", self.block(e.body)])

    def for_(self, e: s.For) -> Doc:
        return Concat([self.take("for"), " ", self.clauses(e.clauses), " ", self.block(e.body)])

    def reset(self, e: s.Reset) -> Doc:
        return Concat([self.take("reset"), " ", self.block(e.body)])

    def shift(self, e: s.Shift) -> Doc:
        head = [self.take("shift"), " ", self.take("{"), " ", self.parameter(e.param), " ", self.take("=>")]
        return Concat([*head, self.braces(e.body.statements).laid_out()])

    def return_(self, e: s.Return) -> Doc:
        return Concat([self.take("return"), *([" ", self.expression(e.value)] if e.value else [])])

    def break_(self, e: s.Break) -> Doc:
        return self.take("break")

    def continue_(self, e: s.Continue) -> Doc:
        return self.take("continue")

    # -------------------------------------------------------------------------------------------- blocks

    def block(self, e: s.Block) -> Doc:
        opening = self.take("{")
        return Concat([opening, self.braces(e.statements).laid_out()])

    def braces(self, statements: Sequence[s.Statement]) -> _Braces:
        """What follows the `{` of a block, up to its `}`."""
        expanded = self.source.behind() or (self.source.newline() and bool(statements))
        self.depth += 1
        inside = self.statements(statements)
        rest = self.source.rest()
        self.depth -= 1
        if rest.parts:
            inside = Concat([inside, rest] if statements else rest.parts[1:])
        return _Braces(inside, self.take("}"), expanded or bool(rest.parts))

    def if_(self, e: s.If) -> Doc:
        """On one line; or with one branch a line; or with each branch in braces over several lines."""
        heads: list[Doc] = []
        bodies: list[_Braces] = []
        links: list[Doc] = []
        breaks, last = False, e
        while True:
            heads.append(Concat([self.take("if"), " ", self.expression(last.condition), " ", self.take("{")]))
            bodies.append(self.braces(last.then.statements))
            if last.otherwise is None:
                break
            breaks = breaks or self.source.newline()
            links.append(Concat([self.take("else"), " "]))
            if isinstance(last.otherwise, s.Block):
                heads.append(self.take("{"))
                bodies.append(self.braces(last.otherwise.statements))
                break
            last = last.otherwise
        if not links:
            return Concat([heads[0], bodies[0].laid_out()])
        branches = [Concat([link, head]) for link, head in zip(["", *links], heads, strict=True)]
        room = WIDTH - STEP * (self.depth + 1)
        pairs = list(zip(branches, bodies, strict=True))
        if any(b.expanded or hard(head) or width(head) + width(b.flat()) > room for head, b in pairs):
            parts = [x for head, b in pairs for x in (" ", head, b.expand())]
            return Concat(parts[1:])
        parts = [x for head, b in pairs for x in (HARD if breaks else LINE, head, b.flat())]
        return _Chain(parts[1:])

    def match(self, e: s.Match) -> Doc:
        head = [self.take("match"), " ", self.expression(e.subject), " ", self.take("{")]
        separator = HARD if self.source.newline() or self.source.behind() else LINE
        arms: list[Doc] = []
        self.depth += 1
        for arm in e.arms:
            if arms:
                comma = self.source.drop(",")
                arms += [comma, BLANK if self.source.blank() else separator]
            arms += [self.arm(arm), "" if arm is e.arms[-1] or separator is HARD else Either("", ",")]
        last = self.source.drop(",")
        rest = self.source.rest()
        self.depth -= 1
        return Group([*head, Nest([separator, *arms, last, rest]), separator, self.take("}")])

    def arm(self, a: s.Arm) -> Doc:
        head = [self.pattern(a.pattern), *([" ", self.take("if"), " ", self.expression(a.guard)] if a.guard else [])]
        return Concat([*head, " ", self.take("=>"), self.value(a.body)])

    # ------------------------------------------------------------------------------------------ patterns

    def pattern(self, p: s.Pattern) -> Doc:
        return self.parentheses(p, _Printer.bare_pattern)

    def bare_pattern(self, p: s.Pattern) -> Doc:
        match p:
            case s.AnyPattern():
                return self.take("_")
            case s.NamePattern():
                return self.take(p.name)
            case s.LiteralPattern(value=s.Bool(value=value)):
                return self.take("true" if value else "false")
            case s.LiteralPattern():
                text: str = p.value.text  # type: ignore[union-attr]  # all but `Bool` have one
                return Concat([self.take("-"), self.take(text[1:])]) if text.startswith("-") else self.take(text)
            case s.ConstructorPattern():
                names = [self.qualified(p.name)]
                return Concat([*names, self.bracketed("(", p.fields, self.field_pattern, ")") if self.source.next("(") else ""])
            case s.TuplePattern():
                return self.bracketed("(", p.items, self.pattern, ")", single=True)
            case s.ListPattern():
                items = [*p.items, *([p] if p.rest is not None else [])]
                return self.bracketed("[", items, lambda x: self.rest_pattern(p) if x is p else self.pattern(x), "]")
            case s.OrPattern():
                parts: list[Doc] = []
                for each in p.alternatives:
                    parts += [" ", self.take("|"), LINE] if parts else []
                    parts.append(self.pattern(each))
                return Group(parts)
        raise AssertionError(p)

    def rest_pattern(self, p: s.ListPattern) -> Doc:
        dots = self.take("..")
        if isinstance(p.rest, s.NamePattern):
            return Concat([dots, self.take(p.rest.name)])
        return Concat([dots, self.take("_") if self.source.next("_") else ""])

    def field_pattern(self, p: s.FieldPattern) -> Doc:
        return Concat([*([self.take(p.name), " ", self.take("="), " "] if p.name else []), self.pattern(p.pattern)])

    def qualified(self, name: str) -> Doc:
        parts: list[Doc] = []
        for part in name.split("."):
            parts += [self.take("."), self.take(part)] if parts else [self.take(part)]
        return Concat(parts)

    # --------------------------------------------------------------------------------------------- types

    def type(self, t: s.TypeSyntax) -> Doc:
        return self.parentheses(t, _Printer.bare_type)

    def bare_type(self, t: s.TypeSyntax) -> Doc:
        match t:
            case s.NamedType():
                return Concat([self.qualified(t.name), self.bracketed("[", t.args, self.type, "]") if t.args else ""])
            case s.TupleType():
                return self.bracketed("(", t.items, self.type, ")")
            case s.ArrowType():
                return Concat([self.bracketed("(", t.params, self.type, ")"), " ", self.take("->"), " ", self.type(t.result)])
            case s.DimInt():
                return self.take(self.source.tokens[self.source.at].text)
            case s.DimBinary():
                return Concat([self.type(t.left), " ", self.take(t.op), " ", self.type(t.right)])
        raise AssertionError(t)

    # ------------------------------------------------------------------------------------------ brackets

    def bracketed(self, opening: str, items: Sequence[Any], one: Callable[[Any], Doc], closing: str, *, single: bool = False,
                  fill: bool = False, last: s.Expression | None = None) -> Doc:
        """Items between brackets: on one line, or each on its own with a comma behind the last.

        `single`: one item has a comma even so, as a tuple of one does. `fill`: as many items on a line as fit. `last`: the
        last item, which may go over several lines where the others stand on one.
        """
        first = self.take(opening)
        docs: list[Doc] = []
        commas: list[Doc] = []
        for k, item in enumerate(items):
            docs.append(Concat([self.source.above(), one(item)]))
            if k < len(items) - 1 or (single and len(items) == 1):
                commas.append(self.take(","))
            else:
                commas.append(self.source.comma("" if _takes_no_comma(item) else ","))
        rest = self.source.rest()
        final = self.take(closing)
        if not items:
            return Concat([first, Nest([rest]), HARD, final]) if rest.hard else Concat([first, final])
        if last is not None and _hugs(last, docs[-1]) and not any(map(hard, docs[:-1])) and not rest.parts:
            parts = [x for doc, comma in zip(docs[:-1], commas, strict=False) for x in (doc, comma, " ")]
            return Concat([first, *parts, docs[-1], final])
        between = FILL if fill else LINE
        parts = [x for doc, comma in zip(docs, commas, strict=True) for x in (between, doc, comma)]
        return Group([first, Nest([SOFT, *parts[1:], rest]), SOFT, final])


class _Chain(Group):
    """An `if` with one branch a line, if not all on one."""

    __slots__ = ()


class _Braces:
    """The inside of a block and its `}`, to be written in one of two ways."""

    def __init__(self, inside: Concat, closing: Doc, expanded: bool) -> None:
        self.inside, self.closing = inside, closing
        self.expanded = expanded or inside.hard or inside.tail

    def flat(self) -> Doc:
        return Group([Nest([LINE, self.inside]), LINE, self.closing]) if self.inside.parts else self.closing

    def expand(self) -> Doc:
        if not (self.inside.parts or self.expanded):
            return self.closing
        return Concat([Nest([HARD, self.inside] if self.inside.parts else []), HARD, self.closing])

    def laid_out(self) -> Doc:
        return self.expand() if self.expanded else self.flat()


_PLAIN = (s.Int, s.Float, s.Bool, s.Char, s.Str, s.Name)


def _takes_no_comma(item: Any) -> bool:
    """Behind `..rest` in a list pattern, a comma would promise more."""
    return isinstance(item, s.ListPattern) and item.rest is not None


def _hugs(e: s.Expression, doc: Doc) -> bool:
    """Whether an expression goes over several lines, the last of them a block's, so that it needs no indentation of its own."""
    while isinstance(e, s.Binary | s.Unary | s.Lambda):
        e = e.right if isinstance(e, s.Binary) else e.operand if isinstance(e, s.Unary) else e.body
    if not hard(doc) or not isinstance(e, s.Block | s.If | s.Match | s.For | s.While | s.Reset | s.Shift):
        return False
    while isinstance(doc, Concat) and not isinstance(doc, _Chain):
        doc = doc.parts[-1]
    return not isinstance(doc, _Chain)


P = _Printer
_STATEMENTS: dict[type, Callable[[Any, Any], Doc]] = {
    s.Def: P.definition, s.Derivative: P.derivative, s.Data: P.data, s.Import: P.import_, s.FromImport: P.from_import,
    s.Let: P.let, s.Var: P.var, s.Assign: P.assign,
}
_EXPRESSIONS: dict[type, Callable[[Any, Any], Doc]] = {
    s.Int: P.literal, s.Float: P.literal, s.Str: P.literal, s.Char: P.literal, s.Bool: P.boolean, s.Name: P.name,
    s.Tuple: P.tuple, s.List: P.list, s.Comprehension: P.comprehension, s.Lambda: P.lambda_, s.Block: P.block,
    s.Unary: P.unary, s.Binary: P.binary, s.Range: P.range, s.Call: P.call, s.Index: P.index, s.Field: P.field, s.With: P.with_,
    s.If: P.if_, s.Match: P.match, s.While: P.while_, s.For: P.for_, s.Reset: P.reset, s.Shift: P.shift, s.Return: P.return_,
    s.Break: P.break_, s.Continue: P.continue_,
}
