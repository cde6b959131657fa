"""Arrays that are written to: whose they are. A `let` and a parameter that is not `mut` are read only, and so are their parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lms.core.errors import Span

from ..diagnostics import Diagnostic
from ..parse import syntax as s
from ..run.lending import owner
from ..run.operations import copied
from . import typed as t
from .types import Meta, prune, rank

if TYPE_CHECKING:
    from .checker import Checker, Copies, Scope


def root(e: s.Expression | None) -> s.Name | None:
    """The name of the array that `x`, `x[i]` and `x[a..b]` are parts of."""
    while isinstance(e, s.Index):
        e = e.value
    return e if isinstance(e, s.Name) else None


def written(c: Checker, e: s.Expression | None, scope: Scope, span: Span, message: str = "", where: tuple[Any, ...] = ()) -> None:
    """`e` is written to: it may not be read only, and a variable that began as something read only begins as a copy."""
    name = root(e)
    if name is None:
        return
    found = scope.find(name.name)
    if found is None:
        top = c.module.value(name.name)
        if not isinstance(top, t.Place) or top.mutable or not rank(top.type):
            return
        kind, made = "let", top.span
    elif found.mut or not rank(found.type):  # what a list holds is not its own
        found.copies.write()
        return
    else:
        kind, made = found.kind, found.span
    fix = f"declare it `mut {name.name}`" if kind == "parameter" else f"make it a `var`: `var {name.name} = ...`"
    raise Diagnostic("E0308", message or f"{owner(name.name, kind)}, which is read only", span,
                     notes=(*where, ("it is made here", made)), fix=fix)


def begun(value: t.Typed, source: s.Expression, scope: Scope, copies: Copies) -> t.Typed:
    """What a variable is given: a copy, if that may be read only and the variable is written to."""
    if not rank(value.type) and not isinstance(prune(value.type), Meta):
        return value
    for name in origins(source):
        found = scope.find(name.name)
        if found is not None and found.mut:
            copies.names(found.copies)
    return t.Operation(value.span, value.type, "copy", (value,), copied, {"copies": copies})


def origins(e: s.Expression | None) -> Iterator[s.Name]:
    """The names of the variables whose array an expression may be, or be a part of."""
    match e:
        case s.If(then=then, otherwise=otherwise):
            yield from origins(then)
            yield from origins(otherwise)
        case s.Block(statements=(*_, s.Expression() as last)):
            yield from origins(last)
        case s.Match(arms=arms):
            for arm in arms:
                yield from origins(arm.body)
        case _ if (name := root(e)) is not None:
            yield name
