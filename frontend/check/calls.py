"""Calls: of functions of the file, of constructors, of values that are functions, and of what is built in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lms.core.errors import Span
from lms.core.types import Size, symbol

from ..diagnostics import Diagnostic
from ..parse import syntax as s
from . import typed as t
from .annotations import TypeReader, type_of_expression
from .checker import Checker, Expect, Scope, checks
from .instances import erase_sizes
from .modules import Definition, Module
from .places import root, written
from .types import (
    AnyType,
    Array,
    ConstructorDeclaration,
    DataOf,
    FunctionOf,
    Later,
    Meta,
    TypeParameter,
    default,
    element,
    later,
    map_parts,
    prune,
    rank,
    show,
    substitute,
    unify,
)


@checks(s.Call)
def call(c: Checker, e: s.Call, scope: Scope, want: Expect | None) -> t.Typed:
    entry = c.module.entry_of(e.function, scope)
    if isinstance(entry, Definition):
        c.places[e.function] = entry.syntax.name_span
        return _call_definition(c, entry, e, scope, want)
    if isinstance(entry, ConstructorDeclaration):
        c.places[e.function] = entry.syntax.name_span
        return _construct(c, entry, e, scope, want)
    if isinstance(entry, Builtin):
        return entry.check(c, e, scope, want)
    function = c.expression(e.function, scope)
    have = prune(function.type)
    if isinstance(have, Meta) and not have.kind:
        have = FunctionOf(tuple(Meta() for _ in e.args), Meta())
        unify(function.type, have)
    if not isinstance(have, FunctionOf):
        raise Diagnostic("E0301", f"only a function can be called, found `{show(have)}`", e.function.span)
    for a in e.args:
        if a.name:
            raise Diagnostic("E0205", "arguments are named only where a function of the file is called by its name", a.span)
    if len(e.args) != len(have.params):
        raise Diagnostic("E0204", f"expected {_counted(len(have.params))}, found {len(e.args)}", e.span,
                         fix=f"the function is `{show(have)}`")
    args = tuple(c.expression(a.value, scope, Expect(p, f"the function is `{show(have)}`", e.function.span))
                 for a, p in zip(e.args, have.params, strict=True))
    return t.Call(e.span, have.result, function, args)


class Builtin:
    """Something the language brings: `check(checker, call, scope, want)` gives the typed node of a call of it."""

    def __init__(self, name: str, check: Any, doc: str = "") -> None:
        self.name, self._check, self.doc = name, check, doc

    def check(self, c: Checker, e: s.Call, scope: Scope, want: Expect | None) -> t.Typed:
        made: t.Typed = self._check(c, e, scope, want)
        return made


def function_type(f: t.Typed, name: str) -> FunctionOf:
    have = prune(f.type)
    if not isinstance(have, FunctionOf):
        raise Diagnostic("E0301", f"`{name}` takes a function, found `{show(have)}`", f.span)
    return have


def _counted(n: int) -> str:
    return f"{n} argument{'s' * (n != 1)}"


# --------------------------------------------------------------------------------- functions of the file


def _call_definition(c: Checker, definition: Definition, e: s.Call, scope: Scope, want: Expect | None) -> t.Typed:
    params = definition.syntax.params
    given = matched(definition.name, [p.name for p in params], [p.default is not None for p in params], e,
                    definition.syntax.name_span)
    types = {g.name: Meta(open=False) for g in definition.syntax.generics if g.is_type}
    declared = _parameter_types(definition, dict(types))
    args: list[t.Typed | None] = []
    for p, type, value in zip(params, declared, given, strict=True):
        why = f"the parameter `{p.name}` of `{definition.name}` is declared here"
        if isinstance(value, s.Lambda) and want is not None:
            _from_result(definition, types, want)
        args.append(None if value is None else c.expression(value, scope, Expect(type, why, p.span)))
    _writable(c, definition, given, scope)
    sizes = _matched_sizes(definition, declared, args)
    made = _instance_for(c, definition, types, e, want)
    if scope.context.instance is not None:
        scope.context.instance.calls.add(made)
    result = c.module.result_of(made, e.span)
    if any(a is None for a in args):
        made.module.module.check_instance(made)
    complete = tuple(a if a is not None else d for a, d in zip(args, made.defaults or (None,) * len(args), strict=True))
    if any(a is None for a in complete):
        raise Diagnostic("E0312", f"`{definition.name}` calls itself in its own default argument", e.span)
    known = tuple(a for a in complete if a is not None)
    return t.Call(e.span, outside(result, sizes), t.FunctionValue(e.function.span, _signature(made), made), known)


def _parameter_types(definition: Definition, types: dict[str, AnyType]) -> list[AnyType]:
    reader = TypeReader(definition.module, types, definition.sizes)
    found = []
    for p in definition.syntax.params:
        if p.type is None:
            raise Diagnostic("E0309", f"the parameter `{p.name}` has no type", p.span, fix=f"`{p.name}: f64`")
        found.append(reader.read(p.type))
    return found


def matched(name: str, names: Sequence[str], optional: Sequence[bool], e: s.Call,
            where: Span | None) -> list[s.Expression | None]:
    """The argument of each parameter, by place or by name; None where its default is meant."""
    found: dict[str, s.Expression] = {}
    for k, a in enumerate(e.args):
        if not a.name:
            if any(b.name for b in e.args[:k]):
                raise Diagnostic("E0205", "an argument by place stands behind one by name", a.span)
            if k >= len(names):
                raise Diagnostic("E0204", f"`{name}` takes {_counted(len(names))}, found {len(e.args)}", e.span,
                                 notes=(("it is defined here", where),) if where else ())
            found[names[k]] = a.value
            continue
        if a.name not in names:
            raise Diagnostic("E0205", f"`{name}` has no parameter `{a.name}`", a.span,
                             fix=f"its parameters are {', '.join(f'`{n}`' for n in names)}")
        if a.name in found:
            raise Diagnostic("E0205", f"the argument `{a.name}` is given twice", a.span)
        found[a.name] = a.value
    missing = [n for n, o in zip(names, optional, strict=True) if n not in found and not o]
    if missing:
        raise Diagnostic("E0204", f"`{name}` takes {_counted(len(names))}, found {len(e.args)}: `{missing[0]}` is missing",
                         e.span,
                         notes=(("it is defined here", where),) if where else ())
    return [found.get(n) for n in names]


def _writable(c: Checker, definition: Definition, given: Sequence[s.Expression | None], scope: Scope) -> None:
    """What is passed to a `mut` parameter can be written to."""
    for p, value in zip(definition.syntax.params, given, strict=True):
        if p.mut and (name := root(value)) is not None and value is not None:
            written(c, value, scope, value.span, f"`{name.name}` is read only, and `{definition.name}` writes to it",
                    ((f"`{p.name}` is `mut`", p.span),))


def _instance_for(c: Checker, definition: Definition, types: dict[str, Meta], e: s.Node, want: Expect | None) -> t.Instance:
    if want is not None:
        _from_result(definition, types, want)
    found: dict[str, AnyType] = {}
    for g in definition.syntax.generics:
        if g.is_type:
            known = erase_sizes(default(types[g.name]))
            if isinstance(prune(known), Meta):
                raise Diagnostic("E0313", f"the type `{g.name}` of `{definition.name}` cannot be inferred here", e.span,
                                 fix=f"give it: `{definition.name}[f64](...)`")
            _bounded(g, known, definition, e)
            found[g.name] = known
    return c.module.instance(definition, found, e.span)  # type: ignore[no-any-return]  # an Instance


def _from_result(definition: Definition, types: dict[str, Meta], want: Expect) -> None:
    """Find out types that are still open from the result that is wanted."""
    if definition.syntax.result is not None and any(isinstance(prune(m), Meta) for m in types.values()):
        unify(TypeReader(definition.module, dict(types), definition.sizes).read(definition.syntax.result), want.type)


INTERFACES = {"Num": "numbers", "Ord": "what can be compared with `<`", "Eq": "what can be compared with `==`",
              "Bool": "conditions"}


def _bounded(g: s.Generic, type: AnyType, definition: Definition, e: s.Node) -> None:
    if not g.bound:
        return
    if g.bound not in INTERFACES:
        raise Diagnostic("E0201", f"the interface `{g.bound}` is not defined", g.span, fix="`Num`, `Ord`, `Eq` or `Bool`")
    found = element(type)
    ok = {"Num": found is not None and found.kind != "b", "Ord": found is not None and found.kind != "b" and not rank(type),
          "Eq": not isinstance(prune(type), FunctionOf), "Bool": found is not None
          and found.kind == "b" and not rank(type)}[g.bound]
    if not ok:
        raise Diagnostic("E0313",
                         f"`{definition.name}` takes {INTERFACES[g.bound]} for `{g.name}: {g.bound}`, found `{show(type)}`",
                         e.span, notes=((f"`{g.name}` is declared here", g.span),))


def _signature(made: t.Instance) -> FunctionOf:
    return FunctionOf(tuple(type for _, type, _ in made.params), made.result if made.result is not None else Meta())


# --------------------------------------------------------------------------------------------------- sizes


def _matched_sizes(definition: Definition, declared: Sequence[AnyType],
                   args: Sequence[t.Typed | None]) -> dict[str, Size | None]:
    """What each dimension of the function is for this call. Two sizes known now that differ are an error."""
    found: dict[str, Size | None] = {g.name: None for g in definition.syntax.generics if not g.is_type}
    holder: dict[str, Span] = {}
    for type, arg in zip(declared, args, strict=True):
        a, b = (_array(type), _array(arg.type)) if arg is not None else (None, None)
        if not isinstance(a, Array) or not isinstance(b, Array) or arg is None:
            continue
        for d, have in zip(a.dims, b.dims, strict=False):
            name = next((n for n in found if d == symbol(n)), None)
            if name is None or have is None:
                continue
            before = found[name]
            if isinstance(before, int) and isinstance(have, int) and before != have:
                raise Diagnostic("E0306", f"the dimension `{name}` of `{definition.name}` is {before} and {have} at once",
                                 arg.span,
                                 notes=((f"here it is {before}", holder[name]),))
            if not isinstance(before, int):
                found[name], holder[name] = have, arg.span
    return found


def _array(x: AnyType) -> AnyType:
    x = prune(x)
    return prune(x.inner) if isinstance(x, Later) else x


def outside(x: AnyType, sizes: dict[str, Size | None]) -> AnyType:
    """A type of the callee with the caller's dimensions."""
    x = prune(x)
    if isinstance(x, Array):
        return Array(x.dtype, tuple(_outside_size(d, sizes) for d in x.dims))
    return map_parts(x, lambda part: outside(part, sizes)) if sizes else x


def _outside_size(d: Size | None, sizes: dict[str, Size | None]) -> Size | None:
    if d is None or isinstance(d, int):
        return d
    from .types import resize

    known = {n: v for n, v in sizes.items() if v is not None}
    return resize(d, known) if all(n in known for n in d.symbols) else None


# ------------------------------------------------------------------------------------------- constructors


def _construct(c: Checker, k: ConstructorDeclaration, e: s.Call, scope: Scope, want: Expect | None) -> t.Typed:
    """`Leaf(w)`: of later if a part is of later where the field is of now."""
    if len(k.fields) != len(k.syntax.fields):
        raise Diagnostic("E0208", f"`{k.name}` could not be made out", e.span, consequence=True)
    given = matched(k.name, [n for n, _ in k.fields], [False] * len(k.fields), e, k.syntax.name_span)
    types: dict[str, AnyType] = {name: Meta(open=False) for name in k.data.params}
    goal = prune(want.type) if want else None
    inner = prune(goal.inner) if isinstance(goal, Later) else goal
    if isinstance(inner, DataOf) and inner.declaration is k.data:
        types = dict(zip(k.data.params, inner.args, strict=True))
    args = []
    for (name, field), value, p in zip(k.fields, given, k.syntax.fields, strict=True):
        assert value is not None
        expected = substitute(field, types)
        known = not isinstance(prune(expected), Meta | TypeParameter)
        made = c.expression(value, scope, None if not isinstance(value, s.Lambda) else Expect(expected))
        args.append((made, expected, Expect(expected, f"the field `{name}` of `{k.name}` is declared here", p.span), known))
    staged = isinstance(goal, Later) or any(
        isinstance(prune(m.type), Later) and not isinstance(prune(x), Later) and known for m, x, _, known in args)
    fitted = tuple(c.fit(m, w.but(later(x)) if staged else w) for m, x, w, _ in args)
    type: AnyType = DataOf(k.data, tuple(types[n] for n in k.data.params))
    return t.Construct(e.span, Later(type) if staged else type, k, fitted)


# ------------------------------------------------------------------------------- definitions as values


def entry_value(c: Checker, entry: Any, e: s.Expression, scope: Scope, want: Expect | None) -> t.Typed:
    """A name at the top that is not called."""
    match entry:
        case t.Place():
            c.places[e] = entry.span
            place = t.Global(e.span, entry.type, entry)
            return t.Get(e.span, entry.type, place) if entry.mutable else place
        case Definition():
            c.places[e] = entry.syntax.name_span
            return _definition_value(c, entry, e, scope, want)
        case ConstructorDeclaration():
            c.places[e] = entry.syntax.name_span
            if not entry.fields:
                call = s.Call(e.span, e, ())
                return _construct(c, entry, call, scope, want)
            return _as_function(c, e, entry.name, want, scope)
        case Builtin():
            if entry.name in CONSTANTS:
                return entry.check(c, s.Call(e.span, e, ()), scope, want)
            return _as_function(c, e, entry.name, want, scope)
        case Module():
            raise Diagnostic("E0301", "a module is not a value", e.span, fix="write `module.name`")
    raise AssertionError(entry)


CONSTANTS: set[str] = set()


def _definition_value(c: Checker, definition: Definition, e: s.Expression, scope: Scope, want: Expect | None) -> t.Typed:
    types = {g.name: Meta(open=False) for g in definition.syntax.generics if g.is_type}
    declared = _parameter_types(definition, dict(types))
    goal = prune(want.type) if want else None
    if types and isinstance(goal, FunctionOf) and len(goal.params) == len(declared):
        for x, y in zip(declared, goal.params, strict=True):
            unify(x, y)
    made = _instance_for(c, definition, types, e, None)
    if scope.context.instance is not None:
        scope.context.instance.calls.add(made)
    result = c.module.result_of(made, e.span)
    return t.FunctionValue(e.span, FunctionOf(_signature(made).params, result), made)


def instantiate(c: Checker, definition: Definition, e: s.Index, scope: Scope) -> t.Typed:
    """`f[f64]`: a generic function for these types."""
    context = scope.context
    reader = TypeReader(c.module, context.types, c.module.sizes_of(context))
    generics = definition.syntax.generics
    if len(e.args) > len(generics):
        raise Diagnostic("E0204", f"`{definition.name}` takes {len(generics)} in brackets, found {len(e.args)}", e.span,
                         notes=(("it is defined here", definition.syntax.name_span),))
    types: dict[str, Meta] = {}
    for g, arg in zip(generics, e.args, strict=False):
        if g.is_type:
            types[g.name] = Meta(value=type_of_expression(reader, arg))  # type: ignore[arg-type]  # which is asked for
    for g in generics:
        if g.is_type and g.name not in types:
            types[g.name] = Meta(open=False)
    made = _instance_for(c, definition, types, e, None)
    if context.instance is not None:
        context.instance.calls.add(made)
    return t.FunctionValue(e.span, FunctionOf(_signature(made).params, c.module.result_of(made, e.span)), made)


def _as_function(c: Checker, e: s.Expression, name: str, want: Expect | None, scope: Scope) -> t.Typed:
    """A built-in function or a constructor as a value: `fn(x) => exp(x)`."""
    goal = prune(want.type) if want else None
    if not isinstance(goal, FunctionOf):
        raise Diagnostic("E0309", f"the type of `{name}` as a value is not known here", e.span, fix=f"`fn(x: f64) => {name}(x)`")
    names = [f"%{k}" for k in range(len(goal.params))]
    params = tuple(s.Parameter(e.span, n, e.span) for n in names)
    body = s.Call(e.span, e, tuple(s.Argument(e.span, "", s.Name(e.span, n)) for n in names))
    from .functions import lambda_

    return lambda_(c, s.Lambda(e.span, params, None, body), scope, want)
