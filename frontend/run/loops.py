"""Choices and loops: decided now by the machine; decided later, handed to `staged_control`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lms.core.types import Scalar
from lms.staging.rep import Rep

from ..check import typed as t
from ..check.types import STRING, Later, prune
from .compile import Code, compile, compiles
from .machine import Frame, State, give, spend
from .matching import binder, test
from .operations import byte
from .staged_control import Running, StagedWhile, choose, collect, counted, loop


def known(test_: Any) -> bool | None:
    """A condition's value where it is known now, after all."""
    if not isinstance(test_, Rep):
        return bool(test_)
    number = test_.value.number
    return None if number is None else bool(number)


@compiles(t.Choose)
def choice(node: t.Choose) -> Code:
    condition, then, other, span = compile(node.condition), compile(node.then), compile(node.otherwise), node.span

    def finish(decided: Any, env: Any, k: Any) -> State:
        value = known(decided)
        if value is None:
            return choose(span, node.what, decided, lambda k: then.run(env, k), lambda k: other.run(env, k), k)
        return then.run(env, k) if value else other.run(env, k)

    def resume(frame: Frame, value: Any) -> State:
        return finish(value, frame[2], frame[1])

    if condition.direct is not None:
        ask = condition.direct
        if not node.later and then.direct is not None and other.direct is not None:
            yes, no = then.direct, other.direct
            return Code(lambda env: yes(env) if ask(env) else no(env))
        return Code(None, lambda env, k: finish(ask(env), env, k))
    return Code(None, lambda env, k: condition.run(env, (resume, k, env)))


@compiles(t.MatchOn)
def match(node: t.MatchOn) -> Code:
    subject = compile(node.subject)
    arms = [(pattern, binder(pattern), None if guard is None else compile(guard), compile(body)) for pattern, guard,
            body in node.arms]
    last = len(arms) - 1

    def arm(i: int, value: Any, env: Any, k: Any) -> State:
        """Go on with arm `i`, the arms before having been refused."""
        pattern, bind, guard, body = arms[i]
        fits: Any = True if i == last and guard is None else test(pattern, value)
        if (found := known(fits)) is False:
            return arm(i + 1, value, env, k)
        if guard is None:
            if found:
                return body.run(env + bind(value), k)
            return choose(pattern.span, "a `match`", fits, lambda k: body.run(env + bind(value), k),
                          lambda k: arm(i + 1, value, env, k), k)
        if found:
            inner = env + bind(value)
            return guard.run(inner, (guarded, k, i, value, env, inner))
        return choose(pattern.span, "a `match`", fits, lambda k: guard.run(env + bind(value), k),
                      lambda k: give(_false(), k), (guarded, k, i, value, env, None))

    def guarded(frame: Frame, decided: Any) -> State:
        _, k, i, value, env, inner = frame
        pattern, bind, _, body = arms[i]
        found = known(decided)
        if found is not None:
            return body.run(env + bind(value) if inner is None else inner, k) if found else arm(i + 1, value, env, k)
        return choose(pattern.span, "a `match`", decided, lambda k: body.run(env + bind(value) if inner is None else inner, k),
                      lambda k: arm(i + 1, value, env, k), k)

    def resume(frame: Frame, value: Any) -> State:
        return arm(0, value, frame[2], frame[1])

    if subject.direct is not None:
        look = subject.direct
        return Code(None, lambda env, k: arm(0, look(env), env, k))
    return Code(None, lambda env, k: subject.run(env, (resume, k, env)))


def _false() -> Any:
    from lms.core.builder import current
    from lms.core.types import bool_

    return Rep(current().const(False, bool_))


# ------------------------------------------------------------------------------------------------ while loops


@compiles(t.Loop)
def while_(node: t.Loop) -> Code:
    condition, body = compile(node.condition), compile(node.body)
    if node.later:
        places = [_place(v) for v in node.variables]

        def staged(env: Any, k: Any) -> State:
            running = Running(node.span, "a `while`", [v(env) for v in places], StagedWhile,
                              lambda k: condition.run(env, k), lambda item, k: body.run(env, k))
            return loop(running, k)

        return Code(None, staged)

    def begin(env: Any, k: Any) -> State:
        spend(node.span)
        return condition.run(env, (_while_asked, k, env, condition, body))

    return Code(None, begin)


def _while_asked(frame: Frame, value: Any) -> State:
    _, k, env, condition, body = frame
    if not known(value):
        return give((), k)
    return body.run(env, (_while_round, k, env, condition, body))  # type: ignore[no-any-return]  # a state


def _while_round(frame: Frame, value: Any) -> State:
    _, k, env, condition, body = frame
    return condition.run(env, (_while_asked, k, env, condition, body))  # type: ignore[no-any-return]  # a state


def _place(v: t.Typed) -> Callable[[Any], Any]:
    if isinstance(v, t.Local):
        index = v.index
        return lambda env: env[index]
    assert isinstance(v, t.Global)
    found = v.place
    return lambda env: found.value


# -------------------------------------------------------------------------------------------------- for loops


@compiles(t.Each)
def each(node: t.Each) -> Code:
    source, body, bind = compile(node.source), compile(node.body), binder(node.pattern)
    if node.kind in ("later range", "array"):
        places = [_place(v) for v in node.variables]

        def later(env: Any, k: Any, over: Any) -> State:
            running = Running(node.span, "a `for`", [v(env) for v in places], counted(over), None,
                              lambda item, k: body.run(env + bind(item), k))
            return loop(running, k)

        return _over(source, later)
    items = _items(node)
    return _over(source, lambda env, k, over: _each_round((_each_round, k, env, bind, body, items(over), 0), ()))


def _over(source: Code, go_on: Callable[[Any, Any, Any], State]) -> Code:
    def resume(frame: Frame, value: Any) -> State:
        return go_on(frame[2], frame[1], value)

    if source.direct is not None:
        look = source.direct
        return Code(None, lambda env, k: go_on(env, k, look(env)))
    return Code(None, lambda env, k: source.run(env, (resume, k, env)))


def _items(node: t.Each | t.Typed) -> Callable[[Any], Any]:
    source = node.source if isinstance(node, t.Each) else node
    if prune(source.type) is STRING:
        return lambda text: [byte(c, source.span) for c in text]
    return lambda xs: xs


def _each_round(frame: Frame, value: Any) -> State:
    _, k, env, bind, body, items, i = frame
    if i == len(items):
        return give((), k)
    state: State = body.run(env + bind(items[i]), (_each_round, k, env, bind, body, items, i + 1))
    return state


LOOPS = (_each_round, _while_round)


def go_round(k: Frame) -> State:
    """`continue`: the loop whose frame this is goes on."""
    return give((), k)


# ---------------------------------------------------------------------------------------------- comprehensions


@compiles(t.Collect)
def comprehension(node: t.Collect) -> Code:
    clauses = [(binder(pattern), compile(source), _items(source)) for pattern, source, _ in node.clauses]
    body = compile(node.body)
    type = prune(node.type)
    if isinstance(type, Later):
        from ..check.types import element

        dtype = element(type)
        assert isinstance(dtype, Scalar)
        return _array(node, clauses, body, dtype)

    def collecting(level: int, env: Any, k: Any) -> State:
        if level == len(clauses):
            return body.run(env, (collected, k))
        bind, source, items = clauses[level]
        return source.run(env, (sourced, k, level, env, bind, items))

    def collected(frame: Frame, value: Any) -> State:
        return give([value], frame[1])

    def sourced(frame: Frame, over: Any) -> State:
        _, k, level, env, bind, items = frame
        return each_item((each_item, k, level, env, bind, items(over), 0, ()), None)

    def each_item(frame: Frame, value: Any) -> State:
        _, k, level, env, bind, over, i, found = frame
        if value is not None:
            found = (found, value)
        if i == len(over):
            return give(_flat(found), k)
        return collecting(level + 1, env + bind(over[i]), (each_item, k, level, env, bind, over, i + 1, found))

    return Code(None, lambda env, k: collecting(0, env, k))


def _flat(found: tuple[Any, ...]) -> list[Any]:
    """A list from pieces in a chain, the last outermost: nothing is changed in place, for whoever comes back."""
    pieces = []
    while found:
        found, piece = found
        pieces.append(piece)
    return [x for piece in reversed(pieces) for x in piece]


def _array(node: t.Collect, clauses: list[Any], body: Code, dtype: Scalar) -> Code:
    from .compile import sequence

    def finish(sources: tuple[Any, ...], env: Any, k: Any) -> State:
        def fill(items: list[Any], k: Frame) -> State:
            inner = env
            for (bind, _, _), item in zip(clauses, items, strict=True):
                inner = inner + bind(item)
            return body.run(inner, k)

        return collect(node.span, sources, dtype, fill, k)

    return Code(None, sequence([source for _, source, _ in clauses], finish))
