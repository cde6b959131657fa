"""Literals, names, operators, tuples, lists, subscripts, fields: expressions whose parts are evaluated in order."""

from __future__ import annotations

from lms.core.errors import Span
from lms.core.types import SCALARS, Scalar

from ..diagnostics import Diagnostic
from ..parse import syntax as s
from ..parse.literals import negative
from ..parse.operators import COMPARISONS
from ..run.operations import converted, indexing, operator, unary_operator, within
from . import typed as t
from .checker import BOOL, F64, I64, U8, Checker, Expect, Scope, checks
from .types import (
    STRING,
    AnyType,
    Array,
    DataOf,
    Later,
    ListOf,
    Meta,
    RangeOf,
    TupleOf,
    dims_of,
    element,
    later,
    prune,
    rank,
    show,
    unify,
)

# ------------------------------------------------------------------------------------------------- literals


@checks(s.Int, s.Float)
def number(c: Checker, e: s.Int | s.Float, scope: Scope, want: Expect | None) -> t.Typed:
    """A number is of the type that its context wants; alone, `i64` or `f64`."""
    whole = isinstance(e, s.Int)
    type: AnyType = SCALARS[e.suffix] if e.suffix else Meta("int" if whole else "float", False)
    node = t.Constant(e.span, type, e.value)
    scope.context.literals.append((node, e))
    return node


@checks(s.Bool)
def boolean(c: Checker, e: s.Bool, scope: Scope, want: Expect | None) -> t.Typed:
    return t.Constant(e.span, BOOL, e.value)


@checks(s.Str)
def string(c: Checker, e: s.Str, scope: Scope, want: Expect | None) -> t.Typed:
    return t.Constant(e.span, STRING, e.value.replace("\\{", "{").replace("\\}", "}"))


@checks(s.Char)
def character(c: Checker, e: s.Char, scope: Scope, want: Expect | None) -> t.Typed:
    return t.Constant(e.span, U8, e.value)


# ---------------------------------------------------------------------------------------------------- names


@checks(s.Name)
def name(c: Checker, e: s.Name, scope: Scope, want: Expect | None) -> t.Typed:
    found = c.name(e.name, e.span, scope)
    if isinstance(found, t.Typed):
        binding = scope.find(e.name)
        if binding is not None:
            c.places[e] = binding.span
        return found
    return c.module.as_value(c, found, e, scope, want)  # type: ignore[no-any-return]  # a typed node


@checks(s.Field)
def field(c: Checker, e: s.Field, scope: Scope, want: Expect | None) -> t.Typed:
    if (entry := c.module.qualified(e, scope)) is not None:
        return c.module.as_value(c, entry, e, scope, want)  # type: ignore[no-any-return]  # a typed node
    value = c.expression(e.value, scope)
    have = prune(value.type)
    data = prune(have.inner) if isinstance(have, Later) else have
    if not isinstance(data, DataOf):
        raise Diagnostic("E0304", f"`{show(have)}` has no field `{e.name}`", e.name_span, fix="only a record has fields")
    constructors = data.declaration.constructors
    if len(constructors) != 1:
        raise Diagnostic("E0304", f"`{show(data)}` has {len(constructors)} alternatives, so a field needs `match`", e.name_span,
                         fix=f"`match ... {{ {constructors[0].name}(...) => ... }}`")
    fields = dict(data.fields(constructors[0]))
    if e.name not in fields:
        raise Diagnostic("E0304", f"`{show(data)}` has no field `{e.name}`", e.name_span, fix=f"its fields are {_listed(fields)}")
    return t.GetField(e.span, staged_field(fields[e.name], isinstance(have, Later)), value, e.name)


def staged_field(type: AnyType, is_later: bool) -> AnyType:
    return later(type) if is_later else type


def _listed(names: object) -> str:
    return ", ".join(f"`{n}`" for n in names)  # type: ignore[attr-defined]  # anything that can be iterated


@checks(s.With)
def update(c: Checker, e: s.With, scope: Scope, want: Expect | None) -> t.Typed:
    value = c.expression(e.value, scope)
    have = prune(value.type)
    data = prune(have.inner) if isinstance(have, Later) else have
    if not isinstance(data, DataOf) or len(data.declaration.constructors) != 1:
        raise Diagnostic("E0304", f"`with` changes a field of a record, found `{show(have)}`", e.value.span)
    fields = dict(data.fields(data.declaration.constructors[0]))
    args = []
    for change in e.changes:
        if not change.name:
            raise Diagnostic("E0205", "`with` names the fields it changes", change.span, fix="`p with (x = 2.0)`")
        if change.name not in fields:
            raise Diagnostic("E0304", f"`{show(data)}` has no field `{change.name}`", change.span,
                             fix=f"its fields are {_listed(fields)}")
        args.append(c.expression(change.value, scope, Expect(staged_field(fields[change.name], isinstance(have, Later)))))
    return t.Update(e.span, have, value, tuple(x.name for x in e.changes), tuple(args))


# ------------------------------------------------------------------------------------------ tuples and lists


@checks(s.Tuple)
def tuple_(c: Checker, e: s.Tuple, scope: Scope, want: Expect | None) -> t.Typed:
    goal = prune(want.type) if want else None
    wanted = goal.items if isinstance(goal, TupleOf) and len(goal.items) == len(e.items) else (None,) * len(e.items)
    items = tuple(c.expression(x, scope, want.but(w) if want and w is not None else None)
                  for x, w in zip(e.items, wanted, strict=True))
    return t.Tuple(e.span, TupleOf(tuple(x.type for x in items)), items)


@checks(s.List)
def list_(c: Checker, e: s.List, scope: Scope, want: Expect | None) -> t.Typed:
    goal = prune(want.type) if want else None
    item: AnyType = goal.item if isinstance(goal, ListOf) else Meta()
    fixed = isinstance(goal, ListOf) and not isinstance(prune(item), Meta)
    items = [c.expression(x, scope, want.but(item) if want and fixed else None) for x in e.items]
    if not fixed:
        for x in items:
            if isinstance(prune(x.type), Later):  # one of later makes all so
                unify(item, x.type)
        items = [c.fit(x, Expect(item, "the elements of a list have one type", items[0].span)) for x in items]
    return t.List(e.span, ListOf(item), tuple(items))


@checks(s.Range)
def range_(c: Checker, e: s.Range, scope: Scope, want: Expect | None) -> t.Typed:
    if e.start is None or e.stop is None:
        raise Diagnostic("E0111", "a range has two ends, except in a subscript", e.span, fix="`0..n`")
    parts = [c.expression(x, scope) for x in (e.start, e.stop, e.step) if x is not None]
    staged = any(isinstance(prune(p.type), Later) for p in parts)
    goal: AnyType = Later(I64) if staged else I64
    fitted = [c.fit(p, Expect(goal)) for p in parts[:2]]
    if e.step is not None:
        fitted.append(c.fit(parts[2], Expect(I64, "the step of a range is known now", e.step.span)))
    return t.Operation(e.span, RangeOf(staged), "range", tuple(fitted), indexing("range"), {"inclusive": e.inclusive})


# ------------------------------------------------------------------------------------------------ operators


@checks(s.Unary)
def unary(c: Checker, e: s.Unary, scope: Scope, want: Expect | None) -> t.Typed:
    if e.op == "-" and isinstance(e.operand, s.Int | s.Float):  # a negative number is a literal
        return number(c, negative(e.operand, e.span), scope, want)
    operand = c.expression(e.operand, scope)
    have = prune(operand.type)
    if e.op == "!":
        if isinstance(have, Meta):
            unify(have, BOOL)
        if element(operand.type) != BOOL:
            raise Diagnostic("E0301", f"expected `bool`, found `{show(have)}`", operand.span)
    elif not (isinstance(have, Meta) or ((x := element(have)) is not None and x.kind != "b")):
        raise Diagnostic("E0301", f"`-` takes a number, found `{show(have)}`", operand.span)
    return t.Operation(e.span, operand.type, e.op, (operand,), unary_operator(e.op))


@checks(s.Binary)
def binary(c: Checker, e: s.Binary, scope: Scope, want: Expect | None) -> t.Typed:
    if e.op in ("&&", "||"):
        from .control import logic

        return logic(c, e, scope)
    first, operators = e.left, [e]
    while isinstance(first, s.Binary) and first.op not in ("&&", "||"):  # one after another: a row may be long
        operators.append(first)
        first = first.left
    made = c.expression(first, scope)
    for o in reversed(operators):
        wanted = want if o is e and o.op not in COMPARISONS else None
        made = c.noted(o, combine(c, o.op, made, c.expression(o.right, scope), o.span, wanted))
    return made


def combine(c: Checker, op: str, left: t.Typed, right: t.Typed, span: Span, want: Expect | None = None) -> t.Typed:
    """`left op right`, when both have been checked."""
    x, y = prune(left.type), prune(right.type)
    if op == "+" and (x is STRING or isinstance(x, ListOf)):
        right = c.fit(right, Expect(x, f"the left of `+` is `{show(x)}`", left.span))
        return t.Operation(span, x, "+", (left, right), operator("+"))
    if op in ("==", "!=") and not (_numeric(x) and _numeric(y)):
        return _equality(c, op, left, right, span)
    for v, type in ((left, x), (right, y)):
        if not _numeric(type):
            raise Diagnostic("E0301", f"`{op}` takes numbers, found `{show(type)}`", v.span)
    goal = prune(want.type) if want else None
    for side in (x, y):  # what a `shift` gives is of the stage that the context wants
        if isinstance(side, Meta) and side.open and isinstance(goal, Later) and (wanted := element(goal)) is not None:
            unify(side, Later(wanted))
    x, y = prune(x), prune(y)
    staged = isinstance(x, Later) or isinstance(y, Later)
    if op == "**":
        right = _exponent(left, right, goal)
    left, right = _same_element(op, left, right, staged)
    x, y = prune(left.type), prune(right.type)
    return t.Operation(span, _result(op, x, y, left, right), op, (left, right), operator(op))


def _numeric(x: AnyType) -> bool:
    return isinstance(x, Meta) or element(x) is not None


def _exponent(left: t.Typed, right: t.Typed, goal: AnyType | None) -> t.Typed:
    """The exponent of a power: a float may have a whole one, which is converted."""
    a, whole, y = prune(_element_type(left.type)), element(right.type), prune(right.type)
    floats = a.kind == "float" if isinstance(a, Meta) else isinstance(a, Scalar) and a.is_float
    if whole is None or not whole.is_int or not floats:
        return right
    if isinstance(a, Meta):
        wanted = element(goal) if goal is not None else None
        unify(a, wanted if wanted is not None and wanted.is_float else F64)
    dtype = element(left.type)
    assert dtype is not None
    type: AnyType = Array(dtype, dims_of(y)) if rank(y) else dtype
    return t.Operation(right.span, Later(type) if isinstance(y, Later) else type, str(dtype), (right,), converted)


def _same_element(op: str, left: t.Typed, right: t.Typed, staged: bool) -> tuple[t.Typed, t.Typed]:
    """Both operands with elements of one type, and of later where one is. A number beside an array stays a number."""
    x, y = prune(left.type), prune(right.type)
    a, b = (_element_type(v) for v in (x, y))
    if isinstance(x, Meta) and isinstance(y, Meta):
        unify(x, y)
    elif not unify(a, b):
        shown = f"`{show(x)}` and `{show(y)}`"
        fix = ""
        if isinstance(prune(a), Scalar) and isinstance(prune(b), Scalar):
            fix = f"convert one of them: `{show(a)}(...)` or `{show(b)}(...)`"
        raise Diagnostic("E0305", f"the sides of `{op}` differ: {shown}", right.span,
                         notes=((f"this is `{show(x)}`", left.span),), fix=fix)
    if staged:
        left, right = (v if isinstance(prune(v.type), Later) else t.Lift(v.span, Later(_element_type(v.type)), v)
                       for v in (left, right))
    return left, right


def _element_type(x: AnyType) -> AnyType:
    x = prune(x)
    if isinstance(x, Later):
        x = prune(x.inner)
    return x.dtype if isinstance(x, Array) else x


def _result(op: str, x: AnyType, y: AnyType, left: t.Typed, right: t.Typed) -> AnyType:
    dtype: AnyType = BOOL if op in COMPARISONS else _element_type(x)
    kind = prune(dtype)
    if isinstance(kind, Scalar):
        of = _element_type(x)
        allowed = {"&": "biu", "|": "biu", "^": "biu", "<<": "iu", ">>": "iu", "==": "biuf", "!=": "biuf"}.get(op, "iuf")
        found = prune(of)
        if isinstance(found, Scalar) and found.kind not in allowed:
            what = {"biu": "whole numbers or bools", "iu": "whole numbers"}.get(allowed, "numbers")
            raise Diagnostic("E0301", f"`{op}` takes {what}, found `{show(of)}`", left.span,
                             fix="`&&` and `||` combine conditions" if op in "&|" else "")
    if op == "@":
        return _product(x, y, left, right)
    if rank(x) or rank(y):
        wide, other = (x, y) if rank(x) >= rank(y) else (y, x)
        return Later(Array(dtype, _broadcast(wide, other)))  # type: ignore[arg-type]  # an array's elements are scalars
    return Later(dtype) if isinstance(x, Later) else dtype


def _broadcast(wide: AnyType, other: AnyType) -> tuple[object, ...]:
    dims, rest = list(dims_of(wide)), dims_of(other)
    for k in range(1, len(rest) + 1):
        if dims[-k] == 1 or dims[-k] is None:
            dims[-k] = rest[-k]
    return tuple(dims)


def _product(x: AnyType, y: AnyType, left: t.Typed, right: t.Typed) -> AnyType:
    a, b = dims_of(x), dims_of(y)
    for v, dims in ((left, a), (right, b)):
        if not dims:
            raise Diagnostic("E0301", f"`@` takes arrays, found `{show(v.type)}`", v.span, fix="numbers are multiplied with `*`")
    if isinstance(a[-1], int) and isinstance(k := b[-2] if len(b) > 1 else b[-1], int) and a[-1] != k:
        raise Diagnostic("E0306", f"the inner sizes of `@` differ: {a[-1]} and {k}", right.span,
                         notes=((f"this is `{show(x)}`", left.span),))
    dims = (*a[:-1], *((*b[:-2], b[-1]) if len(b) > 1 else ()))
    dtype = element(x)
    assert dtype is not None
    return Later(Array(dtype, dims)) if dims else Later(dtype)


def _equality(c: Checker, op: str, left: t.Typed, right: t.Typed, span: Span) -> t.Typed:
    """`==` of what are no numbers: strings, tuples, lists and data of now."""
    x, y = prune(left.type), prune(right.type)
    for type in (x, y):
        if isinstance(type, Later) or not _comparable(type):
            raise Diagnostic("E0301", f"`{op}` cannot compare `{show(type)}`", left.span,
                             fix="take it apart with `match`" if isinstance(type, Later) else "")
    right = c.fit(right, Expect(x, f"the left of `{op}` is `{show(x)}`", left.span))
    return t.Operation(span, BOOL, op, (left, right), operator(op))


def _comparable(x: AnyType) -> bool:
    x = prune(x)
    match x:
        case TupleOf(items):
            return all(map(_comparable, items))
        case ListOf(item):
            return _comparable(item)
        case DataOf() | Scalar() | Meta():
            return True
    return x is STRING


# ----------------------------------------------------------------------------------------------- subscripts


@checks(s.Index)
def index(c: Checker, e: s.Index, scope: Scope, want: Expect | None) -> t.Typed:
    if isinstance(e.value, s.Name | s.Field) and (entry := c.module.generic(e.value, scope)) is not None:
        return c.module.instantiated(c, entry, e, scope)  # type: ignore[no-any-return]  # a typed node
    value = c.expression(e.value, scope)
    have = prune(value.type)
    if rank(have):
        return array_element(c, e, value, scope)
    if isinstance(have, TupleOf):
        return _tuple_item(e, value, have)
    if not isinstance(have, ListOf) and have is not STRING:
        raise Diagnostic("E0301", f"`{show(have)}` has no elements to take by `[...]`", e.value.span)
    if len(e.args) != 1:
        raise Diagnostic("E0301", f"`{show(have)}` takes one subscript, found {len(e.args)}", e.span)
    (arg,) = e.args
    if isinstance(arg, s.Range):
        ends = tuple(c.expression(x, scope, Expect(I64, "a list is cut now", e.span)) for x in (arg.start,
                arg.stop) if x is not None)
        shape = {"start": arg.start is not None, "stop": arg.stop is not None, "inclusive": arg.inclusive}
        return t.Operation(e.span, have, "slice", (value, *ends), indexing("slice"), shape)
    _no_negative(arg, "xs[len(xs) - 1]")
    at = c.expression(arg, scope, Expect(I64, f"the elements of `{show(have)}` are chosen now", e.value.span))
    return t.Operation(e.span, have.item if isinstance(have, ListOf) else U8, "item", (value, at), indexing("item"))


def _tuple_item(e: s.Index, value: t.Typed, have: TupleOf) -> t.Typed:
    arg = e.args[0]
    if len(e.args) != 1 or not isinstance(arg, s.Int) or arg.value >= len(have.items):
        raise Diagnostic("E0301", f"a tuple of {len(have.items)} is taken apart by a number from 0 to {len(have.items) - 1}",
                         e.span,
                         fix="`let (a, b) = pair`")
    number = t.Constant(arg.span, I64, arg.value)
    return t.Operation(e.span, have.items[arg.value], "item", (value, number), indexing("item"))


def _no_negative(arg: s.Expression, instead: str) -> None:
    if isinstance(arg, s.Unary) and arg.op == "-" and isinstance(arg.operand, s.Int):
        raise Diagnostic("E0307", "a subscript is counted from 0; negative ones are not allowed", arg.span,
                         fix=f"write `{instead}`")


def subscripts(c: Checker, e: s.Index, value: t.Typed, scope: Scope) -> tuple[tuple[t.Typed, ...], list[object], list[object]]:
    """The subscripts of an array: their parts in order, what each is, and the dimensions of what they choose."""
    have = prune(value.type)
    dims = list(dims_of(have))
    if len(e.args) > len(dims):
        raise Diagnostic("E0306",
                         f"`{show(have)}` has {len(dims)} dimension{'s' * (len(dims) > 1)}, found {len(e.args)} subscripts",
                         e.span)
    parts: list[t.Typed] = []
    kinds: list[object] = []
    left: list[object] = []
    first = gathered = 0
    for arg, d in zip(e.args, dims, strict=False):
        if isinstance(arg, s.Range):
            present = [x for x in (arg.start, arg.stop, arg.step) if x is not None]
            parts += [c.expression(x, scope, Expect(Later(I64))) for x in present[:2 if arg.step is None else 3]]
            kinds.append((arg.start is not None, arg.stop is not None, arg.step is not None, arg.inclusive))
            for end, extra in ((arg.start, 0), (arg.stop, int(arg.inclusive))):
                if isinstance(end, s.Int) and "array" not in kinds:
                    within(end.value + extra, d, arg.span)
            left.append(d if arg.start is None and arg.stop is None else None)
            continue
        _no_negative(arg, "a[n - 1]")
        part = c.expression(arg, scope)
        if rank(part.type):
            if "array" not in kinds:
                first = len(left)
            kinds.append("array")
            gathered = max(gathered, rank(part.type))  # several are broadcast, and choose elements together
        else:
            part = c.fit(part, Expect(Later(I64), "a subscript is a whole number", arg.span))
            kinds.append("item")
        parts.append(part)
    left[first:first] = [None] * gathered
    return tuple(parts), kinds, [*left, *dims[len(e.args):]]


def array_element(c: Checker, e: s.Index, value: t.Typed, scope: Scope) -> t.Typed:
    parts, kinds, dims = subscripts(c, e, value, scope)
    dtype = element(value.type)
    assert dtype is not None
    type = Later(Array(dtype, tuple(dims))) if dims else Later(dtype)  # type: ignore[arg-type]  # sizes
    return t.Operation(e.span, type, "load", (value, *parts), indexing("load"), {"kinds": kinds})
