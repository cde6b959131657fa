"""A user's own rule for a staged function: `@lms.derivative(f)`.

The rule is staged where the function is called: what stands before its `yield` becomes a function that runs `f` and leaves
a record, what stands after it a function from that record and the cotangents of the results to those of the arguments. The
call says which two they are (`halves`); differentiation calls them, and otherwise they are never run. Both are ordinary
functions, so derivatives of derivatives are theirs, and the rule's again where it calls `f`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.data import dataclass
from lms.core.errors import ShapeError, Span, StagingError, StagingTypeError, here, is_ours
from lms.core.ir import Function, Node, Value, free_values
from lms.core.types import ArrayType, Scalar, SumType, Type, is_differentiable
from lms.staging import functions, results, shapes, trees
from lms.staging.arguments import Later, Signature, definition
from lms.staging.functions import Call
from lms.staging.joins import describe
from lms.staging.library import elementary as el
from lms.staging.library.derivatives import columns
from lms.staging.rep import Rep, lift_value
from lms.staging.tracer import tracer

from .calls import keep_frame, read_frame
from .continuations import Rule, Steps, resume, start
from .cotangents import zero
from .residuals.closing import Crossing
from .rules.complex import complex_, is_complex


@dataclass(frozen=True)
class Rules:
    """What a user gave a function: a generator for reverse mode, `(primals, tangents) -> (result, tangent)` for forward."""

    reverse: Rule | None = None
    forward: Callable[..., Any] | None = None


def call(function: Callable[..., Any], signature: Signature, rules: Rules, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """A call of a function with a rule, from staged code."""
    made = functions.prepare(function, signature, args, kwargs)
    rule = rules.reverse
    if rule is None:
        assert rules.forward is not None
        rule = transposed(rules.forward, lambda *xs, **named: call(function, signature, rules, xs, named))
    halves: tuple[str, ...] = _halves(made, signature, rule, rules)
    if rules.forward is not None:
        halves = (*halves, _tangent(made, signature, rules.forward))
    out = current().emit(p.control.call, *made.operands, callee=made.function.name, types=made.types, halves=halves)
    return made.rebuild(out)


def _halves(made: Call, signature: Signature, rule: Rule, rules: Rules) -> tuple[str, str]:
    """The names of the two functions, staged now unless they have been. The rule itself may call the function."""
    known: dict[Any, tuple[str, str]] = tracer().memo.setdefault("rules", {})
    key = made.function.name, rules
    if key not in known:
        _stage(made, signature, rule, known, key)
    return known[key]


class _Opened:
    """What `Crossing` asks of a sweep: nothing here is known to be repeatable."""

    def __init__(self) -> None:
        self.builder = current()
        self.repeatable: set[Value] = set()
        self.shadow_values: set[Value] = set()
        self.late: set[Value] = set()
        self.mode = self  # and what is made again is nobody's to report
        self.again: list[Node] = []


def _stage(made: Call, signature: Signature, rule: Rule, known: dict[Any, tuple[str, str]], key: Any) -> None:
    b, primal, name = tracer(), made.function, signature.name
    if primal.mut:
        raise StagingError(f"{name} has a derivative of its own, so it may not write to its arguments", here())
    frame = SumType(f"{primal.name}.rule.{len(known)}")
    floats = [t for t in _types(made.result) if is_differentiable(t)]
    params = primal.body.params[: len(made.arguments)]
    with b.function(f"{primal.name}_pullback", [frame, *floats], ["frame"], span=primal.span) as second:
        with b.function(f"{primal.name}_ruled", [v.type for v in params], [v.name for v in params], span=primal.span) as first:
            known[key] = first.name, second.name
            # the rule reads its arguments later, when the caller may have written to them
            steady = [b.emit1(p.array.copy, v) if isinstance(v.type, ArrayType) else v for v in first.body.params]
            arguments, keywords = signature.arguments(made.bound, _wrapped(made, steady))
            steps = rule(*arguments, **keywords)
            out = start(steps, name)
            values, spec = results.collect(out, made.result, name)
            if [_shapeless(v.type) for v in values] != [_shapeless(t) for t in _types(made.result)]:
                raise StagingTypeError(f"the rule of {name} yields {describe(out)}, and {name} gives {_shown(made.result)}",
                                       _place(rule), fix=f"yield what {name} gives: `yield {name}(...)`")
            first.body.results = tuple(values)
        b.provisional.add(first.body)
        place, count = _place(rule), len(made.bound.spec) - _known(made)
        found = resume(steps, _cotangent(spec, iter(second.body.params[1:])), count, name, place)
        second.body.results = tuple(_returned(made, found, first.body.params, name, place))
        b.provisional.discard(first.body)
    outer, b.scopes = b.scopes, []
    crossing = Crossing(_Opened(), first.body, second.body)  # type: ignore[arg-type]  # it asks for no more
    _give_copies(first, set(crossing.saved), set(steady))
    keep_frame(b, crossing, frame, first.body)
    crossing.close(lambda: [read_frame(b, second.body.params[0], k, v) for k, v in enumerate(crossing.saved)])
    b.scopes = outer
    b.lift(first)
    _take_the_same(made, first, b.operands(first.name), name)
    if free_values(second.body):
        raise StagingError(f"the derivative of {name} uses a staged value that is not its own", here(),
                           fix=f"pass it to {name} as an argument")


def _give_copies(first: Function, saved: set[Value], own: set[Value]) -> None:
    """Let the caller, who may write to them, have copies of the results where the rule keeps arrays for later."""
    if not any(isinstance(v.type, ArrayType) for v in saved - own) and not own.intersection(first.body.results):
        return
    b = current()
    with b.into(first.body):
        first.body.results = tuple(b.emit1(p.array.copy, v) if isinstance(v.type, ArrayType) else v for v in first.body.results)


def _tangent(made: Call, signature: Signature, rule: Callable[..., Any]) -> str:
    """The name of the function (arguments, captures, tangents) -> (results, tangents), staged now unless it has been."""
    b, name, n = tracer(), signature.name, len(made.arguments)
    known: dict[Any, str] = b.memo.setdefault("tangents", {})
    key = made.function.name, rule
    if key in known:
        return known[key]
    params = made.function.body.params[:n]
    moving = [v for v in params if is_differentiable(v.type)]
    types = [v.type for v in (*params, *moving)]
    with b.function(f"{made.function.name}_tangent", types, [v.name for v in params], span=made.function.span) as f:
        known[key] = f.name
        primals, named = signature.arguments(made.bound, _wrapped(made, f.body.params[:n]))
        dots = iter(f.body.params[n:])
        tangents = tuple(_cotangent(spec, dots) for spec in made.bound.spec.values())
        out = rule(primals, tangents, **named)
        if not isinstance(out, tuple) or len(out) != 2:
            raise StagingTypeError(f"the forward rule of {name} gives {describe(out)}", _place(rule),
                                   fix="return (result, tangent)")
        values, spec = results.collect(out[0], made.result, name)
        leaves = zip(values, _flattened(spec, out[1], _place(rule), f"the tangent in the rule of {name}"), strict=True)
        what = f"the tangent of the result in the rule of {name}"
        f.body.results = (*values, *(_converted(x, v, what, _place(rule)) for v, x in leaves if is_differentiable(v.type)))
    b.lift(f)
    mine = f.body.params[n : n + len(moving)]
    f.body.params = (*f.body.params[:n], *_captured(made, f, b.operands(f.name), n + len(moving), name), *mine)
    return f.name


def transposed(forward: Callable[..., Any], function: Callable[..., Any]) -> Rule:
    """A reverse rule from a forward one, which is linear in its tangents: the cotangent times the derivative by each element.

    A complex element has two derivatives, along 1 and along i: the parts of its cotangent.
    """

    def rule(*args: Any) -> Steps:
        dy = yield function(*args)
        return tuple(_by_argument(forward, args, k, dy) for k, x in enumerate(args) if _holds_staged(x))

    return rule


def _holds_staged(x: Any) -> bool:
    return any(isinstance(leaf, Rep) for leaf in trees.flatten(x)[0])


def _by_argument(forward: Callable[..., Any], args: tuple[Any, ...], k: int, dy: Any) -> Any:
    leaves, shape = trees.flatten(args[k])
    still = tuple(trees.map_leaves(_still, x) for x in args)
    out: list[Any] = []
    for j, leaf in enumerate(leaves):
        def along(direction: Any, j: int = j) -> Any:
            moved = trees.unflatten(shape, [direction if i == j else _still(x) for i, x in enumerate(leaves)])
            return _inner(dy, forward(args, (*still[:k], moved, *still[k + 1:]))[1])

        out.append(None if _still(leaf) is None else _by_elements(leaf, along))
    return trees.unflatten(shape, out)


def _by_elements(leaf: Rep, along: Callable[[Any], Any]) -> Any:
    if not is_complex(leaf.type):
        return columns(leaf, along)
    parts = el.real(leaf)
    return complex_(columns(parts, lambda d: along(el.multiply(d, 1 + 0j))), columns(parts, lambda d: along(el.multiply(d, 1j))))


def _still(x: Any) -> Any:
    """The tangent of what does not move: zero, or None beside what is no float."""
    if not isinstance(x, Rep) or not is_differentiable(x.type):
        return None
    return Rep(zero(current(), x.value))


def _inner(dy: Any, dot: Any) -> Any:
    pairs = zip(trees.flatten(dy)[0], trees.flatten(dot)[0], strict=True)
    total: Any = 0.0
    for u, v in pairs:
        if u is not None and v is not None:
            product = el.real(el.conj(u) * v)
            total = (product.sum() if getattr(product, "ndim", 0) else product) + total
    return total


def _take_the_same(made: Call, first: Function, captured: Sequence[Value], name: str) -> None:
    """Let the first half take what the function itself captures, in the same order."""
    n = len(made.arguments)
    first.body.params = (*first.body.params[:n], *_captured(made, first, captured, n, name))


def _captured(made: Call, f: Function, captured: Sequence[Value], n: int, name: str) -> tuple[Value, ...]:
    """Parameters for all that the function captures; those of `f` for the same begin at position `n`."""
    wanted = made.operands[len(made.arguments):]
    if not set(captured) <= set(wanted):
        raise StagingError(f"the derivative of {name} uses a staged value that is not its own", here(),
                           fix=f"pass it to {name} as an argument")
    mine = dict(zip(captured, f.body.params[n:], strict=True))
    return tuple(mine.get(v) or Value(v.type, v.name, block=f.body) for v in wanted)


def _types(spec: Any) -> list[Type]:
    return list(results.leaf_types(spec))


def _shapeless(t: Type) -> Any:
    return (t.dtype, t.rank) if isinstance(t, ArrayType) else t


def _shown(spec: Any) -> str:
    return ", ".join(map(str, _types(spec))) or "nothing"


def _wrapped(made: Call, leaves: Sequence[Value]) -> list[Rep]:
    """The arguments as the function's own body sees them: a Python number adapts to what it meets."""
    return [leaf.wrap(v) for leaf, v in zip(made.bound.leaves, leaves, strict=True)]


def _cotangent(spec: Any, rest: Iterator[Value]) -> Any:
    """The cotangent of a result, as the rule gets it: a container like the result, None for what is no float."""
    if isinstance(spec, Later):
        return spec.wrap(next(rest)) if is_differentiable(spec.type) else None
    if isinstance(spec, trees.Tree):
        return trees.rebuild(spec.cls, spec.keys, [_cotangent(part, rest) for part in spec.parts], spec.extra)
    return None


def _known(made: Call) -> int:
    """How many arguments are known now, and take no cotangent."""
    return sum(not any(True for _ in _leaves(spec)) for spec in made.bound.spec.values())


def _leaves(spec: Any) -> Iterator[Later]:
    if isinstance(spec, Later):
        yield spec
    elif isinstance(spec, trees.Tree):
        for part in spec.parts:
            yield from _leaves(part)


def _returned(made: Call, found: Sequence[Any], arguments: Sequence[Value], name: str, place: Span | None) -> Iterator[Value]:
    """A cotangent for every float leaf of the arguments, a zero where the rule gives None."""
    params = iter(arguments)
    given = iter(found)
    for parameter, spec in made.bound.spec.items():
        leaves = list(_leaves(spec))
        if not leaves:
            continue
        what = f"the cotangent of {parameter!r} in the rule of {name}"
        flat = _flattened(spec, next(given), place, what)
        for x, v in zip(flat, params, strict=False):
            if is_differentiable(v.type):
                yield _converted(x, v, what, place)


def _flattened(spec: Any, x: Any, place: Span | None, what: str) -> list[Any]:
    """The leaves of a cotangent, which is a container like the argument, or None."""
    if isinstance(spec, Later):
        return [x]
    if not isinstance(spec, trees.Tree):
        return []
    found = trees.children(x)
    if x is not None and (found is None or (found[0], found[1]) != (spec.cls, spec.keys)):
        raise StagingTypeError(f"{what} is {describe(x)}, and that is a {spec.cls.__name__} of {len(spec.parts)}", place,
                               fix="give a container like the argument, or None")
    parts = found[2] if found is not None else [None] * len(spec.parts)
    return [leaf for part, y in zip(spec.parts, parts, strict=True) for leaf in _flattened(part, y, place, what)]


def _converted(x: Any, like: Value, what: str, place: Span | None) -> Value:
    """A cotangent of the type of the argument; sizes that may differ are checked when the program runs."""
    t = like.type
    if x is None:
        return zero(current(), like)
    try:
        v = lift_value(x, t if isinstance(t, Scalar) else None)
    except StagingError as e:
        raise StagingTypeError(f"{what} is {describe(x)}, where {t} is expected", place) from e
    if _shapeless(v.type) != _shapeless(t):
        raise StagingTypeError(f"{what} is {describe(x)}, where {t} is expected", place)
    if not isinstance(t, ArrayType) or not isinstance(v.type, ArrayType):
        return v
    if any(isinstance(d, int) and isinstance(e, int) and d != e for d, e in zip(v.type.dims, t.dims, strict=True)):
        raise ShapeError(f"{what} is {v.type}, where {t} is expected", place)
    return shapes.like(v, like, what)


def _place(rule: Callable[..., Any]) -> Span | None:
    """The line of a rule's definition."""
    code = getattr(rule, "__code__", None)
    return None if code is None or is_ours(code) else definition(code)


def check_parameters(rule: Callable[..., Any], signature: Signature, mode: str) -> None:
    """Raise `StagingError` unless a rule can be called as its mode asks, and returns no more than there are parameters."""
    parameters = signature.signature.parameters.values()
    own = inspect.signature(rule)
    if mode == "forward":
        shown, given = "(primals, tangents)", [None, None]
    else:
        shown = f"({', '.join(map(str, (q.name for q in parameters)))})"
        given = [None for q in parameters if q.kind in (q.POSITIONAL_ONLY, q.POSITIONAL_OR_KEYWORD)]
    named = {q.name: None for q in parameters if q.kind is q.KEYWORD_ONLY}
    try:
        own.bind(*given, **named)
    except TypeError as e:
        raise StagingError(f"the rule takes {own}, and {signature.name} needs {shown}: {e}", _place(rule),
                           fix=f"write `def {getattr(rule, '__name__', 'rule')}{shown}:`") from None
