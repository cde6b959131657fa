"""What an editor asks of a text: what stands under the cursor, of which type and stage, where it is defined, what could follow.

Lines count from 1 and columns from 0, in bytes of UTF-8, as in spans. Nothing here raises for a text with mistakes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Literal, NamedTuple

from lms.core.data import dataclass
from lms.core.errors import Span

from ..check.calls import Builtin
from ..check.modules import Definition, Module, Top
from ..check.program import check_text
from ..check.types import (
    AnyType,
    ConstructorDeclaration,
    DataDeclaration,
    DataOf,
    FunctionOf,
    Later,
    default,
    holds_later,
    is_later,
    prune,
    show,
)
from ..diagnostics import Diagnostic
from ..parse import syntax as s
from ..parse.walk import children
from ..parse.words import INTERFACES, KEYWORDS, STAGE, TYPES

Kind = Literal["function", "type", "constructor", "variable", "module", "keyword", "field"]


class Symbol(NamedTuple):
    """Something a file defines: its name, what it is, all of it, and the place of the name."""

    name: str
    kind: Kind
    span: Span
    name_span: Span
    inner: tuple[Symbol, ...] = ()


class Candidate(NamedTuple):
    """A word that could stand somewhere: what it is, its type or signature, and what is known of it."""

    word: str
    kind: Kind
    detail: str = ""
    doc: str = ""


class Hover(NamedTuple):
    """What to show of what stands under the cursor: a line of the language, the stage, documentation."""

    code: str
    stage: str
    doc: str
    span: Span


@dataclass
class Document:
    """A text that has been read and checked."""

    text: str
    path: str

    @cached_property
    def checked(self) -> tuple[Module, list[Diagnostic]]:
        return check_text(self.text, self.path)

    @property
    def module(self) -> Module:
        return self.checked[0]

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """The mistakes, in the order of the source."""
        return self.checked[1]

    def around(self, line: int, column: int) -> list[s.Node]:
        """The nodes that stand around a place, the innermost first."""
        found: list[s.Node] = []
        level: list[Any] = list(self.module.syntax.items)
        while inside := [node for node in level if _holds(node.span, line, column)]:
            found.insert(0, inside[-1])
            level = children(inside[-1])
        return found

    # --------------------------------------------------------------------------------------------- hover

    def hover(self, line: int, column: int) -> Hover | None:
        """What stands at a place: its type, when it is known, and what is written about it."""
        for node in self.around(line, column):
            match node:
                case s.Def() if _holds(node.name_span, line, column):
                    return self._of_entry(self.module.values.get(node.name), node.name_span)
                case s.NamedType():
                    return self._of_type(node)
                case s.Name() | s.Field():
                    return self._of_name(node, line, column)
                case s.Var() | s.Parameter() if _holds(node.name_span, line, column):
                    type = self.module.checker.types.get(node) or self._top_type(node.name)
                    return _of_value(node.name, type, node.name_span) if type is not None else None
                case s.NamePattern():
                    type = self.module.checker.types.get(node) or self._top_type(node.name)
                    return _of_value(node.name, type, node.span) if type is not None else None
                case s.ConstructorPattern():
                    return self._of_entry(self.module.constructor(node.name), node.span)
                case s.Expression() if node in self.module.checker.types:
                    return _of_value("", self.module.checker.types[node], node.span)
        return None

    def _of_name(self, node: s.Name | s.Field, line: int, column: int) -> Hover | None:
        span = node.name_span if isinstance(node, s.Field) else node.span
        if not _holds(span, line, column):
            return None
        if node in self.module.checker.types and not isinstance(self._entry(node), Definition | ConstructorDeclaration | Builtin):
            return _of_value(node.name, self.module.checker.types[node], span)
        return self._of_entry(self._entry(node), span)

    def _entry(self, node: s.Name | s.Field) -> Any:
        """What a name, or a name in a module, stands for at the top of the file, unless it is a local name."""
        if isinstance(node, s.Field):
            outer = self.module.values.get(node.value.name) if isinstance(node.value, s.Name) else None
            return outer.values.get(node.name) if isinstance(outer, Module) else None
        place = self.module.checker.places.get(node)
        entry = self.module.values.get(node.name, self.module.builtins.get(node.name))
        local = place is not None and place != getattr(getattr(entry, "syntax", None), "name_span", None)
        return None if local and not isinstance(entry, Builtin) else entry

    def _of_entry(self, entry: Any, span: Span) -> Hover | None:
        match entry:
            case Definition():
                types = [type for made in entry.instances.values() for _, type, _ in made.params]
                return Hover(signature(entry), _stage_of_function(types), entry.syntax.doc, span)
            case ConstructorDeclaration():
                return Hover(_shown_data(entry.data), "", entry.data.syntax.doc, span)
            case DataDeclaration():
                return Hover(_shown_data(entry), "", entry.syntax.doc, span)
            case Builtin():
                return Hover(f"{entry.name}(...)", "", entry.doc, span)
            case Module():
                return Hover(f"import {entry.path}", "", "", span)
        return None

    def _of_type(self, node: s.NamedType) -> Hover | None:
        if node.name == STAGE:
            return Hover(STAGE, "", "What exists later: when the generated program runs.", node.span)
        return self._of_entry(self.module.type(node.name), node.span)

    def _top_type(self, name: str) -> AnyType | None:
        top = self.module.values.get(name)
        return top.places[name].type if isinstance(top, Top) and name in top.places else None

    # ----------------------------------------------------------------------------------------- definition

    def definition(self, line: int, column: int) -> Span | None:
        """Where what stands at a place is defined."""
        for node in self.around(line, column):
            match node:
                case s.Name() | s.Field():
                    entry = self._entry(node)
                    named: Span | None = getattr(getattr(entry, "syntax", None), "name_span", None)
                    if found := self.module.checker.places.get(node, named):
                        return found
                case s.NamedType() if (declared := self.module.type(node.name)) is not None:
                    return declared.syntax.name_span
                case s.ConstructorPattern() if (constructor := self.module.constructor(node.name)) is not None:
                    return constructor.syntax.name_span
                case s.Import() | s.FromImport():
                    module = self.module.values.get(node.alias if isinstance(node, s.Import) else node.module)
                    return Span(module.path, 1, 0, 1, 0) if isinstance(module, Module) else None
        return None

    # -------------------------------------------------------------------------------------------- outline

    def symbols(self) -> list[Symbol]:
        """What the file defines, in the order of the source."""
        return [symbol for item in self.module.syntax.items for symbol in _symbols(item)]

    # ----------------------------------------------------------------------------------------- completion

    def completions(self, line: int, column: int) -> list[Candidate]:
        """The words that could stand at a place: behind a dot, the fields or the names of a module; else all that is bound."""
        lines = self.text.split("\n")
        before = lines[line - 1].encode()[:column].decode(errors="replace") if line <= len(lines) else ""
        if m := re.search(r"(\w+)\.\w*$", before):
            return self._behind_dot(m[1], line)
        found = {c.word: c for c in [*self._words(), *self._top(), *self._locals(line, column)]}
        return list(found.values())

    def _behind_dot(self, name: str, line: int) -> list[Candidate]:
        module = self.module.values.get(name)
        if isinstance(module, Module):
            return [_candidate(k, v) for k, v in module.values.items() if not k.startswith("_")]
        types = [(abs(node.span.line - line), prune(type)) for node, type in self.module.checker.types.items()
                 if isinstance(node, s.Name | s.NamePattern | s.Parameter) and node.name == name]
        for _, type in sorted(types, key=lambda pair: pair[0]):
            inner = prune(type.inner) if isinstance(type, Later) else type
            if isinstance(inner, DataOf) and len(inner.declaration.constructors) == 1:
                fields = inner.fields(inner.declaration.constructors[0])
                return [Candidate(field, "field", show(t)) for field, t in fields]
        return []

    def _words(self) -> Iterator[Candidate]:
        yield from (Candidate(word, "keyword") for word in KEYWORDS)
        yield from (Candidate(word, "type") for word in (STAGE, *TYPES, *INTERFACES))

    def _top(self) -> Iterator[Candidate]:
        for names in (self.module.builtins, self.module.values, self.module.data):
            yield from (_candidate(name, entry) for name, entry in names.items())

    def _locals(self, line: int, column: int) -> Iterator[Candidate]:
        """The names bound in the definition around a place, above it."""
        around = self.around(line, column)
        work: list[s.Node] = [around[-1]] if around else []
        while work:
            node = work.pop()
            work += children(node)
            if isinstance(node, s.NamePattern | s.Parameter | s.Var) and _start(node.span) < (line, column):
                type = self.module.checker.types.get(node)
                yield Candidate(node.name, "variable", show(default(type)) if type is not None else "")


def signature(definition: Definition) -> str:
    """The head of a function on one line."""
    d, text = definition.syntax, definition.module.syntax.text
    generics = f"[{', '.join(_piece(text, g.span) for g in d.generics)}]" if d.generics else ""
    params = ", ".join(_piece(text, p.span) for p in d.params)
    return f"def {d.name}{generics}({params})" + (f": {_piece(text, d.result.span)}" if d.result else "")


def _shown_data(declaration: DataDeclaration) -> str:
    return _piece(declaration.module.syntax.text, declaration.syntax.span)


def _piece(text: str, span: Span) -> str:
    """A stretch of a text, on one line."""
    lines = [line.encode() for line in text.split("\n")[span.line - 1:span.end_line]]
    lines[-1] = lines[-1][:span.end_column]
    lines[0] = lines[0][span.column:]
    return re.sub(r"\s+", " ", b" ".join(lines).decode(errors="replace")).strip()


def stage(type: AnyType) -> str:
    """When a value of a type is known."""
    if is_later(type):
        return "known later: when the generated program runs"
    known = prune(type)
    if isinstance(known, FunctionOf):
        makes = any(map(holds_later, (*known.params, known.result)))
        return "known now: calls make code of what is known later" if makes else "known now"
    return "known now, with parts known later" if holds_later(type) else "known now"


def _stage_of_function(types: list[AnyType]) -> str:
    if any(map(holds_later, types)):
        return "makes code of what is known later" + (
            ", specialised for what is known now" if not all(map(holds_later, types)) else "")
    return "runs now" if types else ""


def _of_value(name: str, type: AnyType, span: Span) -> Hover:
    known = default(type)
    return Hover(f"{name}: {show(known)}" if name else show(known), stage(known), "", span)


def _candidate(name: str, entry: Any) -> Candidate:
    match entry:
        case Definition():
            return Candidate(name, "function", signature(entry), entry.syntax.doc)
        case ConstructorDeclaration():
            return Candidate(name, "constructor", entry.data.name)
        case DataDeclaration():
            return Candidate(name, "type", "data")
        case Builtin():
            return Candidate(name, "function", "built in", entry.doc)
        case Module():
            return Candidate(name, "module")
    place = entry.places.get(name) if isinstance(entry, Top) else None
    return Candidate(name, "variable", show(default(place.type)) if place is not None else "")


def _symbols(item: s.Item) -> Iterator[Symbol]:
    match item:
        case s.Def() | s.Derivative():
            yield Symbol(item.name, "function", item.span, item.name_span)
        case s.Data():
            inner = tuple(Symbol(c.name, "constructor", c.span, c.name_span) for c in item.constructors)
            yield Symbol(item.name, "type", item.span, item.name_span, inner)
        case s.Var():
            yield Symbol(item.name, "variable", item.span, item.name_span)
        case s.Let():
            work: list[s.Node] = [item.pattern]
            while work:
                node = work.pop()
                work += reversed(children(node))
                if isinstance(node, s.NamePattern):
                    yield Symbol(node.name, "variable", item.span, node.span)


def _holds(span: Span, line: int, column: int) -> bool:
    return (span.line, span.column) <= (line, column) <= (span.end_line, span.end_column)


def _start(span: Span) -> tuple[int, int]:
    return span.line, span.column
