"""What is built in: conversions, printing, what speaks of stages; and the functions of `library`."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from lms.core.errors import Span
from lms.core.types import SCALARS, Scalar
from lms.staging.library import ops
from lms.staging.rep import Rep

from ..diagnostics import Diagnostic
from ..parse import syntax as s
from ..run.operations import converted, emitted, size_of
from . import typed as t
from .calls import CONSTANTS, Builtin, function_type, matched
from .checker import F64, I64, Checker, Expect, Scope, staged_result
from .library import call_function, functions
from .types import (
    NEVER,
    STRING,
    UNIT,
    AnyType,
    Array,
    Later,
    ListOf,
    Meta,
    default,
    element,
    holds_later,
    is_later,
    prune,
    rank,
    show,
    unify,
)

BUILTINS: dict[str, Builtin] = functions()

Check = Callable[[Checker, s.Call, Scope, "Expect | None"], t.Typed]


def builtin(*names: str) -> Callable[[Check], Check]:
    """Register the check of calls of these names: `(checker, call, scope, want)`."""

    def register(check: Check) -> Check:
        for name in names:
            BUILTINS[name] = Builtin(name, check, (check.__doc__ or "").strip())
        return check

    return register


def _arguments(c: Checker, e: s.Call, scope: Scope, names: tuple[str, ...], optional: int = 0) -> list[t.Typed | None]:
    given = matched(called(e), names, [k >= len(names) - optional for k in range(len(names))], e, None)
    return [None if g is None else c.expression(g, scope) for g in given]


def called(e: s.Call) -> str:
    return e.function.name if isinstance(e.function, s.Name | s.Field) else "this"


# ---------------------------------------------------------------------------------------------- own functions


@builtin(*SCALARS)
def conversion(c: Checker, e: s.Call, scope: Scope, want: Expect | None) -> t.Typed:
    """`f64(x)`: a number, or the numbers of an array, in another type. Floats are cut off towards zero."""
    (value,) = _arguments(c, e, scope, ("x",))
    assert value is not None
    target = SCALARS[called(e)]
    literal = isinstance(value, t.Constant) and isinstance(prune(value.type), Meta) and isinstance(
        value.value, int | float if target.is_float else int)
    if literal and not target.is_complex and target.kind != "b":
        unify(value.type, target)
        return value
    default(value.type)
    have = prune(value.type)
    if element(have) is None:
        raise Diagnostic("E0301", f"`{target}(...)` takes a number, found `{show(have)}`", value.span)
    inner = prune(have.inner) if isinstance(have, Later) else have
    type: AnyType = Array(target, inner.dims) if isinstance(inner, Array) else target
    return t.Operation(e.span, Later(type) if isinstance(have, Later) else type, str(target), (value,), converted)


@builtin("min", "max")
def extremes(c: Checker, e: s.Call, scope: Scope, want: Expect | None) -> t.Typed:
    """The smaller or larger of two numbers; of one array, its least or greatest element."""
    if len(e.args) == 2 and not any(a.name for a in e.args):
        f = "minimum" if called(e) == "min" else "maximum"
        return call_function(c, f, getattr(ops, f), e, scope, want)
    return call_function(c, called(e), getattr(ops, called(e)), e, scope, want)


@builtin("div_floor", "mod_floor")
def floors(c: Checker, e: s.Call, scope: Scope, want: Expect | None) -> t.Typed:
    """Division rounded down, and the remainder with the sign of the divisor."""
    from .values import combine

    left, right = _arguments(c, e, scope, ("x", "y"))
    assert left is not None and right is not None
    op = "/" if called(e) == "div_floor" else "%"
    made = combine(c, op, left, right, e.span)
    assert isinstance(made, t.Operation)
    f = ops.floor_divide if op == "/" else ops.remainder

    def make(node: t.Operation) -> Any:
        if isinstance(prune(node.type), Later):
            return emitted(node.span, f)

        def run(x: Any, y: Any) -> Any:
            if y == 0:
                raise Diagnostic("E0502", f"`{called(e)}`: division by zero", node.span)
            return x // y if op == "/" else x % y

        return run

    return t.Operation(e.span, made.type, called(e), made.args, make)


@builtin("len")
def length(c: Checker, e: s.Call, scope: Scope, want: Expect | None) -> t.Typed:
    """How many elements a list or string has (now), or the first size of an array (later)."""
    (value,) = _arguments(c, e, scope, ("x",))
    assert value is not None
    if rank(value.type):
        return t.Operation(e.span, Later(I64), "size", (value,), size_of, {"axis": 0})
    if not isinstance(prune(value.type), ListOf) and prune(value.type) is not STRING:
        raise Diagnostic("E0301", f"`len` takes a list, a string or an array, found `{show(value.type)}`", value.span)
    return t.Operation(e.span, I64, "len", (value,), lambda node: len)


@builtin("size")
def size(c: Checker, e: s.Call, scope: Scope, want: Expect | None) -> t.Typed:
    """`size(a, axis)`: the size of an axis."""
    value, axis = _arguments(c, e, scope, ("a", "axis"))
    assert value is not None and axis is not None
    if not isinstance(axis, t.Constant) or not isinstance(axis.value, int) or not 0 <= axis.value < rank(value.type):
        raise Diagnostic("E0314", f"`size` takes an array and an axis, a number below its {rank(value.type)} dimensions", e.span)
    return t.Operation(e.span, Later(I64), "size", (value,), size_of, {"axis": axis.value})


@builtin("array")
def array(c: Checker, e: s.Call, scope: Scope, want: Expect | None) -> t.Typed:
    """`array(xs)`: a list of numbers, or of lists of them, as an array of later."""
    goal = element(want.type) if want is not None else None
    given = matched("array", ("xs",), (False,), e, None)[0]
    assert given is not None
    value = c.expression(given, scope)
    dims: list[int | None] = []
    item, node = prune(value.type), value
    while isinstance(item, ListOf):
        dims.append(len(node.items) if isinstance(node, t.List) else None)
        node = node.items[0] if isinstance(node, t.List) and node.items else node
        item = prune(item.item)
    if isinstance(item, Meta) and item.kind and goal is not None and (goal.is_float or item.kind == "int"):
        unify(item, goal)
    dtype = element(default(item))
    if not dims or dtype is None or rank(item):
        raise Diagnostic("E0314", f"`array` takes a list of numbers, found `{show(value.type)}`", value.span)
    return t.Operation(e.span, Later(Array(dtype, tuple(dims))), "array", (value,), lambda n: emitted(n.span, partial(_made, n)))


def _made(node: t.Operation, xs: Any) -> Any:
    dtype = element(node.type)
    assert dtype is not None
    return ops.array(_numbers(xs, dtype, node.span))


def _numbers(xs: Any, dtype: Scalar, span: Span) -> Any:
    """The numbers of lists in each other, all as long as their neighbours."""
    if not isinstance(xs, list):
        return xs if isinstance(xs, Rep) else dtype.dtype.type(xs)
    lengths = [len(x) for x in xs if isinstance(x, list)]
    for n in lengths[1:]:
        if n != lengths[0]:
            raise Diagnostic("E0306", f"rows of an array are equally long, and these have {lengths[0]} and {n} elements", span)
    return [_numbers(x, dtype, span) for x in xs]


# ------------------------------------------------------------------------------------------------- constants


def _constant(name: str, value: float) -> None:
    def check(c: Checker, e: s.Call, scope: Scope, want: Expect | None) -> t.Typed:
        return t.Constant(e.span, F64, value)

    BUILTINS[name] = Builtin(name, check, f"{value}")
    CONSTANTS.add(name)


for _name_, _value_ in (("pi", math.pi), ("e", math.e), ("inf", math.inf), ("nan", math.nan)):
    _constant(_name_, _value_)


# --------------------------------------------------------------------------------------------------- printing


@builtin("print")
def print_(c: Checker, e: s.Call, scope: Scope, want: Expect | None) -> t.Typed:
    """Print values side by side: now at the top of a file, later in code of later. `{...}` in a string is replaced."""
    parts: list[t.Typed] = []
    for k, a in enumerate(e.args):
        if a.name:
            raise Diagnostic("E0205", f"`print` has no parameter `{a.name}`", a.span)
        if k:
            parts.append(t.Constant(a.span, STRING, " "))
        parts += _text(c, a.value, scope)
    return t.Special(e.span, UNIT, "print", tuple(parts))


def _text(c: Checker, e: s.Expression, scope: Scope) -> list[t.Typed]:
    """The parts of a text: strings and what stands in braces."""
    if not isinstance(e, s.Str):
        made = c.expression(e, scope)
        default(made.type)
        return [made]
    from ..parse.interpolation import pieces

    found: list[t.Typed] = []
    for piece in pieces(e):
        if isinstance(piece, str):
            found.append(t.Constant(e.span, STRING, piece))
        else:
            made = c.expression(piece, scope)
            default(made.type)
            found.append(made)
    return found


@builtin("error")
def error(c: Checker, e: s.Call, scope: Scope, want: Expect | None) -> t.Typed:
    """Stop with a message: the compiler if this runs now, the program (`ValueError`) if it runs later."""
    given = matched("error", ("message",), (False,), e, None)[0]
    assert given is not None
    return t.Special(e.span, NEVER, "error", tuple(_text(c, given, scope)))


@builtin("assert")
def assert_(c: Checker, e: s.Call, scope: Scope, want: Expect | None) -> t.Typed:
    """`assert(ok, message)`: an error unless `ok`, now or later."""
    test, message = matched("assert", ("ok", "message"), (False, True), e, None)
    assert test is not None
    from .control import condition

    made, _ = condition(c, test, scope, "`assert`")
    return t.Special(e.span, UNIT, "assert", (made, *(_text(c, message, scope) if message is not None else ())))


# ----------------------------------------------------------------------------------------------------- stages


@builtin("lift")
def lift(c: Checker, e: s.Call, scope: Scope, want: Expect | None) -> t.Typed:
    """A value known now as one of later."""
    (value,) = _arguments(c, e, scope, ("x",))
    assert value is not None
    goal = prune(want.type) if want is not None else None
    if isinstance(goal, Later) and isinstance(prune(value.type), Meta):
        unify(value.type, goal.inner)
    default(value.type)
    type = staged_result(value.type)
    if type is None or not is_later(type):
        raise Diagnostic("E0405", f"`{show(value.type)}` cannot be lifted: it exists now only", value.span)
    return value if is_later(value.type) else t.Lift(e.span, type, value)


@builtin("reify")
def reify(c: Checker, e: s.Call, scope: Scope, want: Expect | None) -> t.Typed:
    """A function of now on `Rep`s as a function of the generated program; what is called like it."""
    given = matched("reify", ("f",), (False,), e, None)[0]
    assert given is not None
    f = c.expression(given, scope, want)
    have = function_type(f, "reify")
    for p in have.params:
        if not holds_later(p):
            raise Diagnostic("E0405", f"`reify` takes a function of values of later, found `{show(have)}`", f.span,
                             fix=f"make the parameter `Rep[{show(p)}]`")
    return t.Special(e.span, have, "reify", (f,))
