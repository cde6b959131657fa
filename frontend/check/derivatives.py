"""Derivatives: what `grad`, `vjp`, `jvp`, ... take, and the types of what they give."""

from __future__ import annotations

from collections.abc import Sequence

from ..diagnostics import Diagnostic
from ..parse import syntax as s
from . import typed as t
from .builtins import builtin, called
from .calls import function_type, matched
from .checker import Checker, Expect, Scope
from .types import UNIT, AnyType, Array, DataOf, FunctionOf, Later, TupleOf, dims_of, element, prune, rank, show

# ------------------------------------------------------------------------------------------------- gradients


@builtin("grad", "value_and_grad")
def grad(c: Checker, e: s.Call, scope: Scope, want: Expect | None) -> t.Typed:
    """The gradient of a function whose result is one float of later; `argnums` says by which arguments."""
    given, argnums, aux = matched(called(e), ("f", "argnums", "has_aux"), (False, True, True), e, None)
    f, have = _function(c, given, scope, called(e))
    has_aux = isinstance(aux, s.Bool) and aux.value
    result = prune(have.result)
    _one_float(prune(result.items[0]) if has_aux and isinstance(result, TupleOf) and result.items else result, have, f, called(e))
    numbers = _argnums(argnums, have, e)
    gradient = _selected([direction(p) for p in have.params], numbers)
    if called(e) == "value_and_grad":
        gradient = TupleOf((result, gradient))
    elif has_aux and isinstance(result, TupleOf):
        gradient = TupleOf((gradient, result.items[1] if len(result.items) == 2 else TupleOf(result.items[1:])))
    return t.Special(e.span, FunctionOf(have.params, gradient), called(e), (f,), {"argnums": numbers, "has_aux": has_aux})


def _one_float(value: AnyType, have: FunctionOf, f: t.Typed, name: str) -> None:
    found = element(value)
    if not isinstance(value, Later) or rank(value) or found is None or not found.is_float:
        raise Diagnostic("E0703", f"`{name}` takes a function whose result is one float of later, found `{show(have)}`", f.span,
                         fix="sum the result up, or make it `Rep[f64]`")


def _function(c: Checker, given: s.Expression | None, scope: Scope, name: str) -> tuple[t.Typed, FunctionOf]:
    assert given is not None
    f = c.expression(given, scope)
    return f, function_type(f, name)


def direction(x: AnyType) -> AnyType:
    """The type of a gradient by a value, and of a direction in which it moves: like the value, `()` for what is no float."""
    x = prune(x)
    if isinstance(x, TupleOf):
        return TupleOf(tuple(map(direction, x.items)))
    return x if _has_floats(x) else UNIT


def _has_floats(x: AnyType) -> bool:
    x = prune(x)
    if isinstance(x, TupleOf):
        return any(map(_has_floats, x.items))
    found = element(x)
    return isinstance(x, Later) and (found is None or found.is_float)


Numbers = int | tuple[int, ...]


def _argnums(e: s.Expression | None, have: FunctionOf, call: s.Call) -> Numbers:
    """The arguments by which a function is differentiated."""
    match e:
        case None:
            numbers: Numbers = 0
        case s.Int(value=value):
            numbers = value
        case s.Tuple(items=items) if items and all(isinstance(x, s.Int) for x in items):
            numbers = tuple(x.value for x in items if isinstance(x, s.Int))
        case _:
            raise Diagnostic("E0703", "`argnums` is a number, or several in parentheses", e.span, fix="`argnums = (0, 1)`")
    for k in (numbers,) if isinstance(numbers, int) else numbers:
        if k >= len(have.params) or not _has_floats(have.params[k]):
            raise Diagnostic("E0703", f"argument {k} of `{show(have)}` cannot be differentiated by: it holds no float of later",
                             call.span, fix="differentiate by another one: `grad(f, argnums = 1)`")
    return numbers


def _selected(types: Sequence[AnyType], numbers: Numbers) -> AnyType:
    return types[numbers] if isinstance(numbers, int) else TupleOf(tuple(types[k] for k in numbers))


# ------------------------------------------------------------------------------------- products with Jacobians


@builtin("jvp", "hvp")
def jvp(c: Checker, e: s.Call, scope: Scope, want: Expect | None) -> t.Typed:
    """`jvp(f, (x,), (dx,))`: the value of `f` at `x` and its derivative in the direction `dx`; `hvp`: that of its gradient."""
    given = matched(called(e), ("f", "primals", "tangents"), (False,) * 3, e, None)
    f, have = _function(c, given[0], scope, called(e))
    why = Expect(TupleOf(have.params), f"the function is `{show(have)}`", f.span)
    moved = direction(why.type)
    wanted = (why, why.but(moved))
    primals, tangents = (c.expression(g, scope, w) for g, w in zip(given[1:], wanted, strict=True) if g is not None)
    if called(e) == "jvp":
        result: AnyType = TupleOf((have.result, direction(have.result)))
    else:
        _one_float(prune(have.result), have, f, "hvp")
        assert isinstance(moved, TupleOf)
        result = moved.items[0] if len(moved.items) == 1 else moved
    return t.Special(e.span, result, called(e), (f, primals, tangents))


@builtin("vjp")
def vjp(c: Checker, e: s.Call, scope: Scope, want: Expect | None) -> t.Typed:
    """`vjp(f, x, y)`: the value of `f`, and a function from a cotangent of it to those of `x` and `y`, a tuple of them."""
    if not e.args or any(a.name for a in e.args):
        raise Diagnostic("E0204", "`vjp` takes a function and its arguments", e.span, fix="`vjp(f, x)`")
    f, have = _function(c, e.args[0].value, scope, "vjp")
    if len(e.args) - 1 != len(have.params):
        raise Diagnostic("E0204", f"`vjp` takes a function and its {len(have.params)} arguments, found {len(e.args) - 1}", e.span,
                         fix=f"the function is `{show(have)}`")
    primals = [c.expression(a.value, scope, Expect(p, f"the function is `{show(have)}`", f.span))
               for a, p in zip(e.args[1:], have.params, strict=True)]
    pull = FunctionOf((direction(have.result),), direction(TupleOf(have.params)))
    return t.Special(e.span, TupleOf((have.result, pull)), "vjp", (f, *primals))


# -------------------------------------------------------------------------------------------- whole Jacobians


@builtin("jacobian", "hessian")
def jacobian(c: Checker, e: s.Call, scope: Scope, want: Expect | None) -> t.Typed:
    """The derivative of each element of a result by each element of an argument, whose axes come last; `hessian`: the second."""
    given, argnums = matched(called(e), ("f", "argnums"), (False, True), e, None)
    f, have = _function(c, given, scope, called(e))
    numbers = _argnums(argnums, have, e)
    of = have.result
    if called(e) == "hessian":
        _one_float(prune(have.result), have, f, "hessian")
        of = _selected(have.params, numbers)
    found = _by_each(of, numbers, have, e)
    return t.Special(e.span, FunctionOf(have.params, found), called(e), (f,), {"argnums": numbers})


def _by_each(result: AnyType, numbers: Numbers, have: FunctionOf, e: s.Call) -> AnyType:
    """The type of the derivative of a result by the selected arguments."""
    result = prune(result)
    if isinstance(result, TupleOf):
        return TupleOf(tuple(_by_each(x, numbers, have, e) for x in result.items))
    if not _has_floats(result):
        return UNIT
    return _selected([_block(result, p, e) for p in have.params], numbers)


def _block(result: AnyType, argument: AnyType, e: s.Call) -> AnyType:
    argument = prune(argument)
    if isinstance(argument, TupleOf):
        return TupleOf(tuple(_block(result, x, e) for x in argument.items))
    for x in (result, argument):
        if isinstance(x, Later) and isinstance(prune(x.inner), DataOf):
            raise Diagnostic("E0703", f"`{called(e)}` is of floats and arrays of floats, found `{show(x)}`", e.span,
                             fix="take one direction at a time, by `jvp` or `vjp`")
    if not _has_floats(argument):
        return UNIT
    dtype, dims = element(result), (*dims_of(result), *dims_of(argument))
    assert dtype is not None
    return Later(Array(dtype, dims)) if dims else Later(dtype)
