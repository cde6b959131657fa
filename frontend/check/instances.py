"""Questions about a definition at the top of a file: the names it binds, where its sizes are found, what it exports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lms.core.errors import Span
from lms.core.types import Dim, Size, symbol

from ..diagnostics import Diagnostic
from ..parse import syntax as s
from ..parse.walk import children
from ..run.operations import size_of
from . import typed as t
from .checker import I64, Binding, Context
from .types import AnyType, Array, DataOf, Later, element, map_parts, prune


def bound_names(item: s.Let | s.Var) -> Iterator[tuple[str, Span]]:
    """The names that a `let` or `var` binds."""
    if isinstance(item, s.Var):
        yield item.name, item.name_span
        return
    work: list[s.Node] = [item.pattern]
    while work:
        node = work.pop()
        if isinstance(node, s.NamePattern):
            yield node.name, node.span
        work += reversed([x for x in children(node) if isinstance(x, s.Pattern | s.FieldPattern)])


def place_of(entry: Any) -> Span | None:
    syntax = getattr(entry, "syntax", None)
    return getattr(syntax, "name_span", None) or getattr(syntax, "span", None)


def inside_later(x: AnyType) -> AnyType:
    x = prune(x)
    return prune(x.inner) if isinstance(x, Later) else x


def holders(sizes: dict[str, Size], params: list[tuple[str, AnyType, bool]]) -> Iterator[tuple[str, int, int]]:
    """Where each dimension is found: a parameter and an axis whose size is just that."""
    for name in sizes:
        for k, (_, type, _) in enumerate(params):
            inner = inside_later(type)
            if isinstance(inner, Array):
                axis = next((a for a, d in enumerate(inner.dims) if isinstance(d, Dim) and d == symbol(name)), None)
                if axis is not None:
                    yield name, k, axis
                    break


def size_binding(name: str, position: int, axis: int, made: t.Instance, context: Context) -> Any:
    """A dimension as a value: the size of the parameter that has it."""
    param, type, _ = made.params[position]

    def make(span: Span) -> t.Typed:
        return t.Operation(span, Later(I64), "size", (t.Local(span, type, position, param),), size_of, {"axis": axis})

    return Binding(name, Later(I64), 0, made.syntax.name_span, "size", context=context, make=make)


def differentiable(type: AnyType) -> bool:
    """Whether a cotangent belongs to a value of the type."""
    found = element(type)
    return found.is_float if found is not None else isinstance(inside_later(type), DataOf)


def exportable(e: s.Def) -> None:
    """Refuse an export that is not one function."""
    for g in e.generics:
        if g.is_type:
            raise Diagnostic("E0701", f"`{e.name}` is exported, and generic over the type `{g.name}`", g.span,
                             fix=f"export it for each type: `export def {e.name}_f64(x: Rep[f64]): Rep[f64] = {e.name}(x)`")


def erase_sizes(x: AnyType) -> AnyType:
    """The type without the names of its dimensions: functions are the same for all of them."""
    x = prune(x)
    if isinstance(x, Array):
        return Array(x.dtype, tuple(d if isinstance(d, int) else None for d in x.dims))
    return map_parts(x, erase_sizes)
