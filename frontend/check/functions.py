"""Functions inside functions, `reset` and `shift`."""

from __future__ import annotations

from typing import Any

from lms.core.errors import Span
from lms.core.types import Scalar, Size

from ..diagnostics import Diagnostic
from ..parse import syntax as s
from ..parse.walk import children
from . import typed as t
from .annotations import TypeReader
from .checker import Checker, Context, Expect, Scope, checks
from .jumps import StagedJump, without_returns
from .types import UNIT, AnyType, Array, DataOf, FunctionOf, Later, Meta, TupleOf, default, is_later, prune, show, unify


def declared(c: Checker, e: s.TypeSyntax | None, scope: Scope) -> AnyType | None:
    """The type that is written, if one is."""
    if e is None:
        return None
    context = scope.context
    found = TypeReader(c.module, context.types, c.module.sizes_of(context)).read(e)
    c.types[e] = found
    return found


@checks(s.Lambda)
def lambda_(c: Checker, e: s.Lambda, scope: Scope, want: Expect | None) -> t.Typed:
    goal = prune(want.type) if want else None
    wanted = goal.params if isinstance(goal, FunctionOf) else ()
    if isinstance(goal, FunctionOf) and len(goal.params) != len(e.params):
        raise Diagnostic("E0204", f"expected a function of {len(goal.params)}, found one of {len(e.params)}", e.span,
                         notes=want.notes if want else ())
    types: list[AnyType] = []
    for k, p in enumerate(e.params):
        given = declared(c, p.type, scope)
        if given is None and k < len(wanted):
            wanted = (*wanted[:k], default(wanted[k]), *wanted[k + 1:])
        if given is None and (k >= len(wanted) or isinstance(prune(wanted[k]), Meta)):
            raise Diagnostic("E0309", f"the type of `{p.name}` cannot be inferred", p.span, fix=f"annotate it: `{p.name}: f64`")
        types.append(wanted[k] if given is None else given)
    result = declared(c, e.result, scope)
    if result is None and isinstance(goal, FunctionOf):
        result = goal.result
    type, body = function_body(c, "a function", e.params, types, result, e.body, scope, e.result.span if e.result else None,
                               e.result)
    return t.Function(e.span, type, "", len(types), body)


def function_body(c: Checker, name: str, params: tuple[s.Parameter, ...], types: list[AnyType], result: AnyType | None,
                  body: s.Expression, scope: Scope, span: Any, result_syntax: s.TypeSyntax | None = None) -> tuple[FunctionOf,
                          t.Typed]:
    """The type and the checked body of a function inside another."""
    type, made, _ = _checked_body(c, name, params, types, result, body, scope, span, result_syntax)
    return type, made


def returning(c: Checker, body: s.Expression, scope: Scope, want: Expect, result: s.TypeSyntax | None) -> t.Typed:
    """The body of a function; once more without `return`s, where one turns out to be decided later."""
    context = scope.context
    state, size, names = context.mark(), scope.size, dict(scope.names)
    try:
        return c.expression(body, scope, want)
    except StagedJump as jump:
        if jump.target is not context:
            raise
        context.back_to(state)
        scope.size, scope.names = size, names
        zero = zero_of(want.type, c.module, body.span)
        if zero is None or result is None:
            fix = "declare the result type" if result is None else "give the result by `if ... { ... } else { ... }`"
            raise Diagnostic(jump.error.code, jump.error.message, jump.error.span, notes=jump.error.notes, fix=fix) from None
        return c.expression(without_returns(body, result, zero, jump.error), scope, want)


def zero_of(type: AnyType, module: Any, span: Span) -> s.Expression | None:
    """A value of a type that nobody will read; None where there is none at hand."""
    type = prune(type)
    if isinstance(type, TupleOf):
        parts = [zero_of(x, module, span) for x in type.items]
        return None if any(x is None for x in parts) else s.Tuple(span, tuple(x for x in parts if x is not None))
    return _zero(prune(type.inner), module, span) if isinstance(type, Later) else None


def _zero(inner: AnyType, module: Any, span: Span) -> s.Expression | None:
    match inner:
        case Scalar():
            return s.Bool(span, False) if inner.kind == "b" else s.Int(span, "0", 0)
        case Array(dtype, dims):
            sizes = s.Tuple(span, tuple(_size(d, span) for d in dims))
            one = s.Call(span, s.Name(span, str(dtype)), (s.Argument(span, "", s.Int(span, "0", 0)),))
            return s.Call(span, s.Name(span, "%full"), (s.Argument(span, "", sizes), s.Argument(span, "", one)))
        case DataOf(declaration):
            for k in declaration.constructors:
                names = any(isinstance(prune(x), DataOf) for _, x in k.fields)  # itself, for one thing
                if not names and not declaration.params and module.values.get(k.name) is k:
                    parts = [_zero(prune(x), module, span) for _, x in k.fields]
                    given = tuple(s.Argument(span, "", x) for x in parts if x is not None)
                    return s.Call(span, s.Name(span, k.name), given) if len(given) == len(parts) else None
    return None


def _size(d: Size | None, span: Span) -> s.Expression:
    """A dimension as an expression; one that is not known is 0."""
    if d is None or isinstance(d, int):
        return s.Int(span, str(d or 0), d or 0)
    total: s.Expression = s.Int(span, str(d.const), d.const)
    for name, factor in d.terms:
        term = s.Binary(span, "*", s.Int(span, str(factor), factor), s.Name(span, name))
        total = s.Binary(span, "+", total, term)
    return total


def _checked_body(c: Checker, name: str, params: tuple[s.Parameter, ...], types: list[AnyType], result: AnyType | None,
                  body: s.Expression, scope: Scope, span: Any,
                  result_syntax: s.TypeSyntax | None = None) -> tuple[FunctionOf, t.Typed, Context]:
    outer = scope.context
    known: AnyType = Meta() if result is None else result
    want = Expect(known, f"the result of {name} is declared here" if span else "", span)
    context = Context(name, outer.instance, want, outer.types)
    context.assigned = []
    inner = scope.inner(context)
    for p, type in zip(params, types, strict=True):
        inner.bind(p.name, type, p.name_span, "parameter", p.mut)
        c.types[p] = type
    made = returning(c, body, inner, want, result_syntax)
    c.finish(context)
    if context.returns:
        made = t.Catch(made.span, known, "return", made)
    return FunctionOf(tuple(types), known), made, context


@checks(s.Def)
def local_function(c: Checker, e: s.Def, scope: Scope, want: Expect | None) -> t.Typed:
    """A function inside another: of one type, and it may name itself."""
    if e.generics:
        raise Diagnostic("E0113", "a generic function stands at the top of a file", e.generics[0].span)
    types: list[AnyType] = []
    for p in e.params:
        given = declared(c, p.type, scope)
        if given is None:
            raise Diagnostic("E0309", f"the type of `{p.name}` is not given", p.span, fix=f"annotate it: `{p.name}: f64`")
        if p.default is not None:
            raise Diagnostic("E0113", "default arguments belong to functions at the top of a file", p.span)
        types.append(given)
    result = declared(c, e.result, scope)
    binding = scope.bind(e.name, FunctionOf(tuple(types), Meta() if result is None else result), e.name_span)
    span = e.result.span if e.result else None
    type, body, context = _checked_body(c, f"`{e.name}`", e.params, types, result, e.body, scope, span, e.result)
    unify(binding.type, type)
    passes = result is not None and (is_later(result) or result == UNIT) and bool(types) and all(map(is_later, types))
    staged = passes and not context.shifts and _names(e.body, e.name)
    function = t.Function(e.name_span, type, e.name, len(types), body, itself=True, staged=staged)
    return t.Bind(e.span, UNIT, t.Pattern("name", type, e.name_span), function)


def _names(e: s.Node, name: str) -> bool:
    """Whether an expression names something."""
    work: list[s.Node] = [e]
    while work:
        node = work.pop()
        if isinstance(node, s.Name) and node.name == name:
            return True
        work += children(node)
    return False


# ---------------------------------------------------------------------------------------------- continuations


@checks(s.Reset)
def reset(c: Checker, e: s.Reset, scope: Scope, want: Expect | None) -> t.Typed:
    answer: AnyType = want.type if want is not None else Meta()
    scope.context.resets.append((answer, len(scope.context.staged)))
    loops, scope.context.loops = scope.context.loops, []
    body = c.expression(e.body, scope, (want or Expect(answer)).but(answer))
    scope.context.loops = loops
    scope.context.resets.pop()
    return t.Delimit(e.span, answer, body)


@checks(s.Shift)
def shift(c: Checker, e: s.Shift, scope: Scope, want: Expect | None) -> t.Typed:
    """`k` takes what the `shift` stands for and gives what the `reset` around it gives."""
    context = scope.context
    if context.resets and len(context.staged) > context.resets[-1][1]:
        what, span = context.staged[context.resets[-1][1]]
        raise Diagnostic("E0601", f"this `shift` would capture past {what} that is decided later", e.span,
                         notes=(("it is decided later", span),),
                         fix="capture the continuation first and make it a function: `shift { k => let j = reify(k); ... }`")
    given = declared(c, e.param.type, scope)
    hole: AnyType = want.type if want is not None else Meta()
    if given is not None:
        if not isinstance(given, FunctionOf) or len(given.params) != 1:
            raise Diagnostic("E0602", f"a continuation is a function of one value, found `{show(given)}`", e.param.span,
                             fix=f"`{{ {e.param.name}: (Rep[f64]) -> unit => ... }}`")
        if not unify(hole, given.params[0]):
            raise Diagnostic("E0301", f"expected `{show(hole)}`, and the continuation takes `{show(given.params[0])}`",
                             e.param.span,
                             notes=want.notes if want else ())
        answer = given.result
        if context.resets and not unify(answer, context.resets[-1][0]):
            raise Diagnostic("E0603", f"the `reset` around this gives `{show(context.resets[-1][0])}`, and the continuation is "
                             f"declared to give `{show(answer)}`", e.param.span)
    elif context.resets:
        answer = context.resets[-1][0]
    else:
        raise Diagnostic("E0602",
                         "the `reset` of this `shift` is in another function, so the type of its continuation is not known",
                         e.span, fix=f"annotate it: `shift {{ {e.param.name}: (Rep[f64]) -> unit => ... }}`")
    if not context.resets:
        context.shifts = True
        if context.instance is not None:
            context.instance.shifts = True
    inner = scope.inner()
    inner.bind(e.param.name, FunctionOf((hole,), answer), e.param.name_span)
    loops, context.loops = context.loops, []
    body = c.expression(e.body, inner, Expect(answer, "the answer of the `reset`"))
    context.loops = loops
    return t.Capture(e.span, hole, body)




