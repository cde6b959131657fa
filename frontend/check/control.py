"""Blocks, variables, choices, loops, and what leaves them: where stages meet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lms.core.errors import Span

from ..diagnostics import Diagnostic
from ..parse import syntax as s
from ..run.operations import storing
from . import typed as t
from .checker import BOOL, F64, I64, U8, Binding, Checker, Context, Copies, Expect, Scope, checks, staged_result
from .functions import declared
from .jumps import StagedJump, without_exits
from .patterns import left_out, pattern, refutable
from .places import begun, written
from .types import (
    NEVER,
    STRING,
    UNIT,
    AnyType,
    Array,
    Later,
    ListOf,
    Meta,
    RangeOf,
    TupleOf,
    can_be_later,
    element,
    holds_later,
    is_later,
    prune,
    rank,
    show,
    unify,
)
from .values import combine, subscripts

# ---------------------------------------------------------------------------------------------------- blocks


@checks(s.Block)
def block(c: Checker, e: s.Block, scope: Scope, want: Expect | None) -> t.Typed:
    inner = scope.inner()
    made: list[t.Typed] = []
    for k, statement in enumerate(e.statements):
        last = k == len(e.statements) - 1
        made.append(c.expression(statement, inner, want if last and isinstance(statement, s.Expression) else None))
    result: AnyType = made[-1].type if made and isinstance(e.statements[-1], s.Expression) else UNIT
    if made and any(prune(x.type) is NEVER for x in made[:-1]):
        result = NEVER
    return t.Block(e.span, result, tuple(made))


@checks(s.Let)
def let(c: Checker, e: s.Let, scope: Scope, want: Expect | None) -> t.Typed:
    goal = declared(c, e.type, scope)
    value = c.expression(e.value, scope, Expect(goal, "declared here", e.type.span) if goal is not None and e.type else None)
    if goal is None:
        _settle(value.type)
    made = pattern(c, e.pattern, value.type if goal is None else goal, scope)
    if (missing := refutable(made)) is not None:
        raise Diagnostic("E0310", f"this pattern leaves out `{missing[0]}`", e.pattern.span, fix="use `match`")
    return t.Bind(e.span, UNIT, made, value)


def _settle(x: AnyType) -> None:
    """A literal that is given a name without a type is an `i64` or an `f64`."""
    x = prune(x)
    if isinstance(x, Meta) and x.kind and not x.open:
        unify(x, I64 if x.kind == "int" else F64)
    elif isinstance(x, TupleOf):
        for item in x.items:
            _settle(item)


@checks(s.Var)
def var(c: Checker, e: s.Var, scope: Scope, want: Expect | None) -> t.Typed:
    goal = declared(c, e.type, scope)
    value = c.expression(e.value, scope, Expect(goal, "declared here", e.type.span) if goal is not None and e.type else None)
    _settle(value.type)
    type = value.type if goal is None else goal
    copies = Copies()
    value = begun(value, e.value, scope, copies)
    binding = scope.bind(e.name, type, e.name_span, "var", mut=True)
    binding.copies = copies
    c.types[e] = type
    return t.NewVariable(e.span, UNIT, binding.name, value, is_later(type))


@checks(s.Assign)
def assign(c: Checker, e: s.Assign, scope: Scope, want: Expect | None) -> t.Typed:
    if isinstance(e.target, s.Index):
        return _store(c, e, e.target, scope)
    assert isinstance(e.target, s.Name)
    place, type, binding = _variable(c, e.target, scope)
    c.types[e.target] = type
    why = Expect(type, f"`{e.target.name}` is `{show(type)}`", binding.span)
    if e.op:
        current = t.Get(e.target.span, type, place)
        value = c.expression(e.value, scope, None)
        value = combine(c, e.op, current, value, e.span, why)
    else:
        value = c.expression(e.value, scope, None)
    value = begun(_assigned(c, value, why, e), e.value, scope, binding.copies)
    later = is_later(type)
    context = scope.context
    if later:
        for loop in context.assigned:
            loop[id(binding)] = place
    elif len(context.staged) > binding.depth and binding.context is context:
        what, span = context.staged[binding.depth]
        raise Diagnostic("E0403",
                         f"`{e.target.name}` is a variable of now (`{show(type)}`), assigned under {what} that is decided later",
                         e.span, notes=((f"this {what.removeprefix('a ').removeprefix('an ')} is decided later", span),
                                        (f"`{e.target.name}` is made here", binding.span)),
                         fix=f"make it a variable of later: `var {e.target.name}: Rep[{show(type)}] = ...`")
    return t.Set(e.span, UNIT, place, value)


def _assigned(c: Checker, value: t.Typed, why: Expect, e: s.Assign) -> t.Typed:
    """The value as one of the variable's type; a variable of now that is given a value of later is explained."""
    assert isinstance(e.target, s.Name)
    if is_later(value.type) and not holds_later(why.type) and not isinstance(prune(why.type), Meta):
        raise Diagnostic("E0401", f"`{e.target.name}` is a variable of now (`{show(why.type)}`), and this is known later "
                         f"(`{show(value.type)}`)", value.span, notes=(("the variable is made here", why.span),),
                         fix=f"make it a variable of later: `var {e.target.name}: Rep[{show(why.type)}] = ...`")
    return c.fit(value, why)


def _variable(c: Checker, e: s.Name, scope: Scope) -> tuple[t.Typed, AnyType, Any]:
    found = scope.find(e.name)
    if found is None:
        entry = c.module.variable(e.name)
        if entry is not None:
            c.places[e] = entry.span
            return t.Global(e.span, entry.type, entry), entry.type, Binding(e.name, entry.type, 0, entry.span, "var", True)
        if c.module.value(e.name) is None:
            raise c.unknown(e.name, e.span, scope.all_names())
        raise Diagnostic("E0308", f"`{e.name}` cannot be assigned to", e.span, fix="only a `var` can")
    if found.kind != "var":
        raise Diagnostic("E0308", f"`{e.name}` cannot be assigned to: it is not a `var`", e.span,
                         notes=(("it is made here", found.span),), fix=f"make it one: `var {e.name} = ...`")
    c.places[e] = found.span
    return t.Local(e.span, found.type, found.index, found.name), found.type, found


def _store(c: Checker, e: s.Assign, target: s.Index, scope: Scope) -> t.Typed:
    """`a[i] = x`, `a[i] += x`."""
    array = c.expression(target.value, scope)
    if not rank(array.type):
        raise Diagnostic("E0301", f"only elements of an array can be assigned to, found `{show(array.type)}`", target.value.span,
                         fix="a list is made anew: `xs + [x]`")
    written(c, target.value, scope, target.span)
    parts, kinds, dims = subscripts(c, target, array, scope)
    dtype = element(array.type)
    assert dtype is not None
    value = c.expression(e.value, scope)
    whole = dims and rank(value.type)
    goal = Later(Array(dtype, tuple(dims)) if whole else dtype)  # type: ignore[arg-type]  # sizes
    value = c.fit(value, Expect(goal, f"the array is `{show(array.type)}`", target.value.span))
    return t.Operation(e.span, UNIT, "store", (array, *parts, value), storing(e.op), {"kinds": kinds, "op": e.op})


# --------------------------------------------------------------------------------------------------- choices


def condition(c: Checker, e: s.Expression, scope: Scope, what: str) -> tuple[t.Typed, bool]:
    """A condition, and whether it is decided later."""
    made = c.expression(e, scope)
    have = prune(made.type)
    if isinstance(have, Meta) and not have.kind:
        unify(have, BOOL)
        have = BOOL
    if have != BOOL and have != Later(BOOL):
        raise Diagnostic("E0301", f"the condition of {what} is `bool` or `Rep[bool]`, found `{show(have)}`", e.span,
                         fix="compare it with something: `x != 0`" if element(have) is not None and not rank(have) else
                         "`any(...)` or `all(...)` of an array is one `bool`" if rank(have) else "")
    return made, isinstance(have, Later)


@checks(s.If)
def if_(c: Checker, e: s.If, scope: Scope, want: Expect | None) -> t.Typed:
    test, later = condition(c, e.condition, scope, "`if`")
    if want is not None and later:
        _needed_now(want, "this `if`", e.condition)
    branch_want = want if want is not None and not isinstance(prune(want.type), Meta) else None
    if later:
        scope.context.staged.append(("an `if`", e.condition.span))
    if e.otherwise is None:
        then = c.expression(e.then, scope)
        other: t.Typed = t.Block(e.span, UNIT, ())
        if prune(then.type) is not NEVER:
            then = t.Block(then.span, UNIT, (then, t.Tuple(e.span, UNIT, ())))
        result: AnyType = UNIT
    else:
        then = c.expression(e.then, scope, branch_want)
        other = c.expression(e.otherwise, scope, branch_want)
        if branch_want is not None:
            result = branch_want.type
        else:
            then, other, result = c.join(then, other, later, "`if`")
    if later:
        scope.context.staged.pop()
    return t.Choose(e.span, result, test, then, other, later)


def _needed_now(want: Expect, what: str, decided: s.Node) -> None:
    """Refuse a choice made later where a value of now is needed: the heart of the two levels."""
    goal = prune(want.type)
    if isinstance(goal, Meta) or staged_result(goal) == goal or holds_later(goal) or goal is NEVER:
        return
    note = (want.why or "it is needed here", want.span)
    raise Diagnostic("E0402",
                     f"{what} is decided later (`Rep[bool]`), so its branches cannot make a value needed now (`{show(goal)}`)",
                     decided.span, notes=(note,) if want.span else (),
                     fix=f"make what needs it `Rep[{show(goal)}]`, or decide by something that is known now"
                     if can_be_later(goal) else "decide by something that is known now")


def logic(c: Checker, e: s.Binary, scope: Scope) -> t.Typed:
    """`&&`, `||`: the right side is run only if the left does not decide."""
    first, operators = e.left, [e]
    while isinstance(first, s.Binary) and first.op == e.op:
        operators.append(first)
        first = first.left
    tests = [(*condition(c, first, scope, f"`{e.op}`"), first.span)]
    depth = len(scope.context.staged)
    for o in reversed(operators):
        if tests[-1][1]:
            scope.context.staged.append((f"a `{e.op}`", o.left.span))
        test, later = condition(c, o.right, scope, f"`{e.op}`")
        tests.append((test, later or tests[-1][1], o.span))
    del scope.context.staged[depth:]
    return _decided(c, e.op, tests)


def _decided(c: Checker, op: str, tests: list[tuple[t.Typed, bool, Span]]) -> t.Typed:
    """Conditions in a row as choices: each hangs to the left, unless there are so many that they had better hang evenly."""
    if len(tests) == 1:
        return tests[0][0]
    middle = len(tests) - 1 if len(tests) <= 64 else len(tests) // 2
    left, right = _decided(c, op, tests[:middle]), _decided(c, op, tests[middle:])
    later = isinstance(prune(left.type), Later)
    goal = Expect(Later(BOOL) if later or isinstance(prune(right.type), Later) else BOOL)
    right = c.fit(right, goal)
    span = tests[-1][2]
    known = c.fit(t.Constant(span, BOOL, op == "||"), goal)
    then, other = (right, known) if op == "&&" else (known, right)
    return t.Choose(span, goal.type, left, then, other, later, f"an `{op}`")


@checks(s.Match)
def match(c: Checker, e: s.Match, scope: Scope, want: Expect | None) -> t.Typed:
    subject = c.expression(e.subject, scope)
    _settle(subject.type)
    context, have = scope.context, prune(subject.type)
    later = is_later(have) and not isinstance(have, TupleOf)
    if want is not None and later:
        _needed_now(want, "this `match`", e.subject)
    branch_want = want if want is not None and not isinstance(prune(want.type), Meta) else None
    arms: list[tuple[t.Pattern, t.Typed | None, t.Typed]] = []
    holds = holds_later(have)
    if holds:
        context.staged.append(("a `match`", e.subject.span))
    for arm in e.arms:
        inner = scope.inner()
        made = pattern(c, arm.pattern, have, inner)
        guard = None
        if arm.guard is not None:
            guard, guard_later = condition(c, arm.guard, inner, "a guard")
            later = later or guard_later
        arms.append((made, guard, c.expression(arm.body, inner, branch_want)))
    if holds:
        context.staged.pop()
    missing = left_out([[p] for p, guard, _ in arms if guard is None], [have])
    if missing is not None:
        raise Diagnostic("E0311", f"this `match` leaves out `{missing[0]}`", e.subject.span,
                         fix=f"add an arm: `{missing[0]} => ...`")
    later = later or (holds and any(_asks_later(p) for p, _, _ in arms))
    if branch_want is not None:
        return t.MatchOn(e.span, branch_want.type, subject, tuple(arms), later)
    return _joined_arms(c, e, subject, arms, later)


def _asks_later(p: t.Pattern) -> bool:
    """Whether a pattern asks something of a value of later."""
    own = p.kind in ("literal", "constructor") and isinstance(prune(p.type), Later)
    if own and p.kind == "constructor" and p.constructor is not None and len(p.constructor.data.constructors) == 1:
        own = False
    return own or any(map(_asks_later, p.parts))


def _joined_arms(c: Checker, e: s.Match, subject: t.Typed, arms: list[Any], later: bool) -> t.Typed:
    first = next((a for a in arms if prune(a[2].type) is not NEVER), arms[0])[2]
    goal: AnyType = first.type
    for _, _, body in arms:
        _, _, goal = c.join(t.Local(first.span, goal, 0, ""), body, later, "`match`")
    fitted = tuple((p, g, c.fit(body, Expect(goal))) for p, g, body in arms)
    return t.MatchOn(e.span, goal, subject, fitted, later)


# ----------------------------------------------------------------------------------------------------- loops


@checks(s.While)
def while_(c: Checker, e: s.While, scope: Scope, want: Expect | None) -> t.Typed:
    return leaving(c, e, scope, lambda: _while(c, e, scope))


def leaving(c: Checker, e: s.While | s.For, scope: Scope, check: Callable[[], t.Typed]) -> t.Typed:
    """The loop; once more without jumps, where one of its own turns out to be decided later."""
    state = scope.context.mark()
    try:
        return check()
    except StagedJump as jump:
        if jump.target is not e:
            raise
        scope.context.back_to(state)
        later = isinstance(e, s.For) and _source(c, e.clauses[0].source, scope)[2] == "later range"
        return c.expression(without_exits(e, jump.error, later), scope)


def _while(c: Checker, e: s.While, scope: Scope) -> t.Typed:
    context = scope.context
    context.assigned.append({})
    test, later = condition(c, e.condition, scope, "`while`")
    body = _body(c, e, scope, ("a `while`", e.condition.span) if later else None, later)
    variables = _outer(context.assigned.pop(), scope)
    return t.Loop(e.span, UNIT, test, body, later, variables)


def _body(c: Checker, e: s.While | s.For, scope: Scope, staged: tuple[str, Any] | None, later: bool) -> t.Typed:
    context = scope.context
    if staged:
        context.staged.append(staged)
    context.loops.append((later, len(context.staged), e))
    made = c.expression(e.body, scope)
    context.loops.pop()
    if staged:
        context.staged.pop()
    return made


def _outer(assigned: dict[int, t.Typed], scope: Scope) -> tuple[t.Typed, ...]:
    """The places of variables made outside the loop."""
    return tuple(p for p in assigned.values() if isinstance(p, t.Global) or (isinstance(p, t.Local) and p.index < scope.size))


@checks(s.For)
def for_(c: Checker, e: s.For, scope: Scope, want: Expect | None) -> t.Typed:
    return leaving(c, e, scope, lambda: _each(c, e, list(e.clauses), scope))


def _each(c: Checker, e: s.For, clauses: list[s.Clause], scope: Scope) -> t.Typed:
    clause = clauses[0]
    source, item, kind = _source(c, clause.source, scope)
    context, later = scope.context, kind in ("later range", "array")
    inner = scope.inner()
    context.assigned.append({})
    if later:
        context.staged.append(("a `for`", clause.source.span))
    made = pattern(c, clause.pattern, item, inner)
    if (missing := refutable(made)) is not None:
        raise Diagnostic("E0310", f"this pattern leaves out `{missing[0]}`", clause.pattern.span, fix="use a name and `match`")
    body = _each(c, e, clauses[1:], inner) if len(clauses) > 1 else _body(c, e, inner, None, later)
    if later:
        context.staged.pop()
    return t.Each(e.span, UNIT, made, source, body, kind, _outer(context.assigned.pop(), scope))


def _source(c: Checker, e: s.Expression, scope: Scope) -> tuple[t.Typed, AnyType, str]:
    """What a `for` goes over, the type of an item, and the kind of loop."""
    source = c.expression(e, scope)
    have = prune(source.type)
    match have:
        case RangeOf(later=later):
            return source, Later(I64) if later else I64, "later range" if later else "range"
        case ListOf(item):
            return source, item, "list"
        case Later(inner) if isinstance(a := prune(inner), Array):
            return source, Later(a.dtype) if len(a.dims) == 1 else Later(Array(a.dtype, a.dims[1:])), "array"
    if have is STRING:
        return source, U8, "list"
    fix = "`for i in 0..n`" if element(have) is not None else ""
    raise Diagnostic("E0301", f"`for` goes over a range, a list, a string or an array, found `{show(have)}`", e.span, fix=fix)


@checks(s.Comprehension)
def comprehension(c: Checker, e: s.Comprehension, scope: Scope, want: Expect | None) -> t.Typed:
    """A list over what is known now; over later ranges an array."""
    inner, context = scope.inner(), scope.context
    clauses: list[tuple[t.Pattern, t.Typed, str]] = []
    staged = 0
    for clause in e.clauses:
        source, item, kind = _source(c, clause.source, inner)
        if kind in ("later range", "array"):
            context.staged.append(("an array", clause.source.span))
            staged += 1
        elif staged:
            item, kind = Later(I64), "later range"
        made = pattern(c, clause.pattern, item, inner)
        if (missing := refutable(made)) is not None:
            raise Diagnostic("E0310", f"this pattern leaves out `{missing[0]}`", clause.pattern.span)
        clauses.append((made, source, kind))
    later = bool(staged)
    if later and clauses[0][2] not in ("later range", "array"):
        raise Diagnostic("E0406", "a comprehension goes over what is known now, or over ranges known later, not both", e.span,
                         fix="make all its ranges later: `0..lift(3)`")
    goal = prune(want.type) if want else None
    item_want = want.but(goal.item) if want and isinstance(goal, ListOf) and not isinstance(prune(goal.item), Meta) else None
    body = c.expression(e.body, inner, None if later else item_want)
    del context.staged[len(context.staged) - staged:]
    if not later:
        return t.Collect(e.span, ListOf(body.type), tuple(clauses), body)
    return _array_of(c, e, clauses, body)


def _array_of(c: Checker, e: s.Comprehension, clauses: list[Any], body: t.Typed) -> t.Typed:
    have = prune(body.type)
    _settle(have)
    if not isinstance(prune(have), Later):
        body = c.fit(body, Expect(Later(prune(have))))
    if (dtype := element(body.type)) is None or rank(body.type):
        raise Diagnostic("E0301", f"the elements of an array are numbers, found `{show(body.type)}`", e.body.span)
    if any(kind == "array" for _, _, kind in clauses[1:]):
        raise Diagnostic("E0406", "only the first clause of an array goes over an array", e.span, fix="use ranges and subscripts")
    return t.Collect(e.span, Later(Array(dtype, (None,) * len(clauses))), tuple(clauses), body)


@checks(s.Break, s.Continue)
def jump(c: Checker, e: s.Break | s.Continue, scope: Scope, want: Expect | None) -> t.Typed:
    word = "break" if isinstance(e, s.Break) else "continue"
    context = scope.context
    if not context.loops:
        raise Diagnostic("E0207", f"`{word}` stands outside a loop", e.span)
    later, depth, target = context.loops[-1]
    if later or len(context.staged) > depth:
        raise StagedJump(target, decided_later(word, context, e.span))
    return t.Jump(e.span, NEVER, word)


def decided_later(word: str, context: Context, span: Span) -> Diagnostic:
    what, where = context.staged[-1] if context.staged else ("a loop", span)
    return Diagnostic("E0404", f"`{word}` stands under {what} that is decided later", span, notes=(("it is decided later",
            where),))


@checks(s.Return)
def return_(c: Checker, e: s.Return, scope: Scope, want: Expect | None) -> t.Typed:
    context = scope.context
    if context.result is None:
        raise Diagnostic("E0207", "`return` stands outside a function", e.span)
    value = c.expression(e.value, scope, context.result) if e.value else c.fit(t.Tuple(e.span, UNIT, ()), context.result)
    if context.staged:
        raise StagedJump(context, decided_later("return", context, e.span))
    context.returns.append(value.type)
    return t.Jump(e.span, NEVER, "return", value)
