"""Patterns: what they bind, and whether the arms of a `match` leave anything out."""

from __future__ import annotations

from collections.abc import Sequence

from lms.core.errors import Span
from lms.core.types import Scalar

from ..diagnostics import Diagnostic
from ..parse import syntax as s
from . import typed as t
from .checker import BOOL, U8, Checker, Scope, check_literal
from .types import STRING, AnyType, ConstructorDeclaration, DataOf, Later, ListOf, Meta, TupleOf, later, prune, show, unify


def pattern(c: Checker, e: s.Pattern, type: AnyType, scope: Scope) -> t.Pattern:
    """A pattern for values of a type; its names are bound in the scope, in order."""
    type = prune(type)
    match e:
        case s.AnyPattern(span=span):
            return t.Pattern("any", type, span)
        case s.NamePattern(span=span, name=name):
            if name in scope.names and scope.names[name].index >= scope.size - 64 and scope.names[name].kind == "pattern":
                raise Diagnostic("E0206", f"`{name}` is bound twice in one pattern", span)
            scope.bind(name, type, span)
            c.types[e] = type
            return t.Pattern("name", type, span)
        case s.LiteralPattern(span=span, value=value):
            return t.Pattern("literal", type, span, value=_literal(value, type))
        case s.TuplePattern(span=span, items=items):
            if isinstance(type, Meta):
                unify(type, TupleOf(tuple(Meta() for _ in items)))
                type = prune(type)
            if not isinstance(type, TupleOf) or len(type.items) != len(items):
                raise Diagnostic("E0301", f"expected `{show(type)}`, found a pattern for a tuple of {len(items)}", span)
            parts = tuple(pattern(c, x, inner, scope) for x, inner in zip(items, type.items, strict=True))
            return t.Pattern("tuple", type, span, parts)
        case s.ListPattern(span=span, items=items, rest=rest):
            if not isinstance(type, ListOf):
                raise Diagnostic("E0301", f"expected `{show(type)}`, found a pattern for a list", span)
            parts = tuple(pattern(c, x, type.item, scope) for x in items)
            return t.Pattern("list", type, span, parts, rest=pattern(c, rest, type, scope) if rest is not None else None)
        case s.ConstructorPattern():
            return _constructor(c, e, type, scope)
        case s.OrPattern(span=span, alternatives=alternatives):
            return _alternatives(c, alternatives, span, type, scope)
    raise AssertionError(e)


def _literal(e: s.Int | s.Float | s.Str | s.Char | s.Bool, type: AnyType) -> object:
    inner = prune(type.inner) if isinstance(type, Later) else type
    wrong = Diagnostic("E0301", f"expected `{show(type)}`, found the pattern `{getattr(e, 'text', str(e.value).lower())}`",
                       e.span)
    match e:
        case s.Int() | s.Float():
            if isinstance(inner, Meta):
                unify(inner, Meta("int" if isinstance(e, s.Int) else "float", False))
            elif not isinstance(inner, Scalar) or inner.kind == "b" or (isinstance(e, s.Float) and not inner.is_float):
                raise wrong
            check_literal(inner, e)
        case s.Str():
            if inner is not STRING:
                raise wrong
        case s.Char():
            if inner != U8:
                raise wrong
        case s.Bool():
            if inner != BOOL:
                raise wrong
    return float(e.value) if isinstance(inner, Scalar) and inner.is_float else e.value


def _constructor(c: Checker, e: s.ConstructorPattern, type: AnyType, scope: Scope) -> t.Pattern:
    data = prune(type.inner) if isinstance(type, Later) else type
    found = c.module.constructor(e.name)
    if found is None:
        raise c.unknown(e.name, e.span, c.module.known_constructors())
    if not isinstance(data, DataOf) or found.data is not data.declaration:
        raise Diagnostic("E0301", f"expected `{show(type)}`, found `{found.name}` of `{found.data.name}`", e.span)
    fields = data.fields(found)
    by_name = {f.name: f for f in e.fields if f.name}
    given = [f for f in e.fields if not f.name]
    for name, f in by_name.items():
        if name not in dict(fields):
            raise Diagnostic("E0304", f"`{found.name}` has no field `{name}`", f.span)
    missing = len(given) + len(by_name) != len(fields) or any(fields[k][0] in by_name for k in range(len(given)))
    if missing:
        raise Diagnostic("E0204", f"`{found.name}` has {len(fields)} field{'s' * (len(fields) != 1)}, found {len(e.fields)}",
                         e.span,
                         notes=(("it is defined here", found.syntax.span),), fix="`_` stands for a field that does not matter")
    parts = []
    for k, (name, inner) in enumerate(fields):
        sub = given[k].pattern if k < len(given) else by_name[name].pattern
        parts.append(pattern(c, sub, later(inner) if isinstance(type, Later) else inner, scope))
    return t.Pattern("constructor", type, e.span, tuple(parts), constructor=found)


def _alternatives(c: Checker, alternatives: Sequence[s.Pattern], span: Span, type: AnyType, scope: Scope) -> t.Pattern:
    parts = []
    names: dict[str, AnyType] | None = None
    for alternative in alternatives:
        inner = scope.inner()
        parts.append(pattern(c, alternative, type, inner))
        found = {name: b.type for name, b in sorted(inner.names.items(), key=lambda kv: kv[1].index)}
        if names is not None and list(names) != list(found):
            raise Diagnostic("E0206", "the alternatives of a pattern bind the same names, in the same order", alternative.span)
        for name in names or ():
            if not unify(names[name], found[name]):  # type: ignore[index]  # names is not None here
                raise Diagnostic("E0301", f"`{name}` has two types in this pattern", alternative.span)
        names = found
    for name, bound in (names or {}).items():
        scope.bind(name, bound, alternatives[0].span)
    return t.Pattern("or", type, span, tuple(parts))


# ------------------------------------------------------------------------------------------- exhaustiveness

Row = list[t.Pattern]


def left_out(rows: list[Row], types: Sequence[AnyType]) -> list[str] | None:
    """Values of these types that no row fits, as patterns; None if every value fits one (Maranget, 2007)."""
    if not types:
        return None if rows else []
    rows = [[alternative, *row[1:]] for row in rows for alternative in _split(row[0])]
    first = prune(types[0])
    first = prune(first.inner) if isinstance(first, Later) else first
    whole = _signature(first)
    used = {_head(row[0]) for row in rows if row[0].kind not in ("any", "name")}
    if whole is None or not used:
        rest = left_out([row[1:] for row in rows if row[0].kind in ("any", "name")], types[1:])
        if rest is None:
            return None
        shown = next((name if not parts else f"{name}({', '.join('_' * len(parts))})" for key, name, parts in whole or ()
                      if key not in used), "_") if whole and used else "_"
        return [shown, *rest]
    for key, name, parts in whole:
        special = [inner for row in rows if (inner := _specialised(row, key, parts)) is not None]
        found = left_out(special, [*parts, *types[1:]])
        if found is not None:
            inside, rest = found[:len(parts)], found[len(parts):]
            return [_shown(key, name, inside), *rest]
    return None


def _split(p: t.Pattern) -> list[t.Pattern]:
    return [x for part in p.parts for x in _split(part)] if p.kind == "or" else [p]


def _signature(x: AnyType) -> list[tuple[object, str, list[AnyType]]] | None:
    """The ways a value of a type can look; None where there are too many to list."""
    match x:
        case DataOf():
            return [(k, k.name, [f for _, f in x.fields(k)]) for k in x.declaration.constructors]
        case TupleOf(items):
            return [("tuple", "", list(items))]
        case ListOf(item):
            return [("nil", "[]", []), ("cons", "", [item, x])]
    return [(True, "true", []), (False, "false", [])] if x == BOOL else None


def _head(p: t.Pattern) -> object:
    match p.kind:
        case "constructor":
            return p.constructor
        case "list":
            return "cons" if p.parts else "nil" if p.rest is None else None
    return "tuple" if p.kind == "tuple" else p.value


def _specialised(row: Row, key: object, parts: Sequence[AnyType]) -> Row | None:
    """The row for values that look like `key`, with the parts in front; None if it does not fit them."""
    p, rest = row[0], row[1:]
    if p.kind in ("any", "name"):
        return [*(t.Pattern("any", x, p.span) for x in parts), *rest]
    if p.kind == "list":
        return _specialised_list(p, rest, key)
    if _head(p) is not key and _head(p) != key:
        return None
    return [*p.parts, *rest]


def _specialised_list(p: t.Pattern, rest: Row, key: object) -> Row | None:
    if p.parts:
        if key != "cons":
            return None
        return [p.parts[0], t.Pattern("list", p.type, p.span, p.parts[1:], rest=p.rest), *rest]
    if p.rest is None:
        return rest if key == "nil" else None
    item = p.type.item if isinstance(p.type, ListOf) else p.type
    return rest if key == "nil" else [t.Pattern("any", item, p.span), t.Pattern("any", p.type, p.span), *rest]


def _shown(key: object, name: str, inside: list[str]) -> str:
    if key == "tuple":
        return f"({', '.join(inside)})"
    if key == "cons":
        tail = inside[1]
        return f"[{inside[0]}, ..]" if tail == "_" else f"[{inside[0]}]" if tail == "[]" else f"[{inside[0]}, {tail[1:]}"
    if isinstance(key, ConstructorDeclaration) and inside:
        return f"{name}({', '.join(inside)})"
    return name


def refutable(p: t.Pattern) -> list[str] | None:
    """What a pattern does not fit; None if it fits every value of its type."""
    return left_out([[p]], [p.type])
