"""From the typed tree to code for the machine: closures, made once for each function.

Code is *direct* where nothing in it can capture a continuation or call a function: then it is a Python function of the
environment, and its parts are called at once. Other code is `run(env, k)`, as the machine has it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from lms.core.builder import current
from lms.core.errors import Span
from lms.core.types import Scalar
from lms.staging.rep import Rep, lift_value

from ..check import typed as t
from ..check.types import AnyType, Array, DataOf, Later, holds_later, prune
from .cells import Cell, Variable
from .data import class_of, staged_type
from .lending import lend, owner
from .machine import Closure, Frame, Run, State, capture, give, reset_done
from .operations import lifted, strong

Direct = Callable[[tuple[Any, ...]], Any]


class Code:
    """The code of an expression: `direct(env)` where there is one, and always `run(env, k)`."""

    __slots__ = ("direct", "run")

    def __init__(self, direct: Direct | None, run: Run | None = None) -> None:
        self.direct = direct
        self.run: Run = run if run is not None else _through(direct)


def _through(direct: Direct | None) -> Run:
    assert direct is not None

    def run(env: Any, k: Any) -> State:
        return k[0], k, direct(env)

    return run


Compile = Callable[[Any], Code]
COMPILE: dict[type, Compile] = {}


def compiles(*kinds: type) -> Callable[[Compile], Compile]:
    """Register the function that makes code of a kind of typed node."""

    def register(f: Compile) -> Compile:
        COMPILE.update(dict.fromkeys(kinds, f))
        return f

    return register


def compile(node: t.Typed) -> Code:
    """The code of an expression."""
    return COMPILE[type(node)](node)


def sequence(codes: Sequence[Code], finish: Callable[[tuple[Any, ...], Any, Any], State]) -> Run:
    """Evaluate expressions in order, then `finish(values, env, k)`."""
    if all(c.direct is not None for c in codes):
        direct = [c.direct for c in codes if c.direct is not None]
        return lambda env, k: finish(tuple([f(env) for f in direct]), env, k)
    count = len(codes)

    def go_on(values: tuple[Any, ...], i: int, env: Any, k: Any) -> State:
        while i < count:
            c = codes[i]
            i += 1
            if c.direct is None:
                return c.run(env, (resume, k, values, i, env))
            values = (*values, c.direct(env))
        return finish(values, env, k)

    def resume(frame: Frame, value: Any) -> State:
        return go_on((*frame[2], value), frame[3], frame[4], frame[1])

    return lambda env, k: go_on((), 0, env, k)


def applied(codes: Sequence[Code], f: Callable[..., Any]) -> Code:
    """`f` of the values of some expressions."""
    if all(c.direct is not None for c in codes):
        parts = [c.direct for c in codes if c.direct is not None]
        if len(parts) == 1:
            (one,) = parts
            return Code(lambda env: f(one(env)))
        if len(parts) == 2:
            left, right = parts
            return Code(lambda env: f(left(env), right(env)))
        return Code(lambda env: f(*[part(env) for part in parts]))
    return Code(None, sequence(codes, lambda values, env, k: (k[0], k, f(*values))))


# --------------------------------------------------------------------------------------------------- values


@compiles(t.Constant)
def constant(node: t.Constant) -> Code:
    value, type = node.value, prune(node.type)
    inner = prune(type.inner) if isinstance(type, Later) else type
    dtype = inner.dtype if isinstance(inner, Array) else inner
    if isinstance(dtype, Scalar) and dtype.is_float:
        value = float(dtype.dtype.type(value))
    if isinstance(type, Later):
        span = node.span
        return Code(lambda env: lifted(value, type, dtype, span))
    return Code(lambda env: value)


@compiles(t.Local)
def local(node: t.Local) -> Code:
    index = node.index
    if node.lent is None or not holds_later(node.type):
        return Code(lambda env: env[index])
    owner, where = node.lent
    return Code(lambda env: lend(env[index], owner, where))


@compiles(t.Global)
def global_(node: t.Global) -> Code:
    place, span, whose = node.place, node.span, owner(node.place.name)
    return Code(lambda env: lend(staged_again(place.value, place.type, span), whose, place.span))


def staged_again(value: Any, type: AnyType, span: Span) -> Any:
    """The value of a name at the top; one of later has been computed, and is put into the program again."""
    type = prune(type)
    if not isinstance(type, Later) or isinstance(value, Rep | Cell | Variable):
        return value
    inner = prune(type.inner)
    if isinstance(inner, DataOf):
        return staged_type(inner).lift(value, span)
    dtype = inner.dtype if isinstance(inner, Array) else inner
    assert isinstance(dtype, Scalar)
    with current().at(span):
        if isinstance(inner, Array):
            return Rep(lift_value(value))
        return Rep(current().const(value, dtype))


@compiles(t.Get)
def get(node: t.Get) -> Code:
    place, type, span = node.place, node.type, node.span
    if isinstance(place, t.Local):
        index = place.index
        return Code(lambda env: env[index].get())
    assert isinstance(place, t.Global)
    found = place.place
    return Code(lambda env: staged_again(found.value.get(), type, span))


@compiles(t.Set)
def set_(node: t.Set) -> Code:
    place, span = node.place, node.span
    if isinstance(place, t.Local):
        index = place.index

        def store(env: Any, value: Any) -> None:
            env[index].set(value, span)
    else:
        assert isinstance(place, t.Global)
        found = place.place

        def store(env: Any, value: Any) -> None:
            found.value.set(value, span)

    code = compile(node.value)

    def finish(values: tuple[Any, ...], env: Any, k: Any) -> State:
        store(env, values[0])
        return give((), k)

    return Code(None, sequence([code], finish))


@compiles(t.Lift)
def lift(node: t.Lift) -> Code:
    type, have, span = prune(node.type), node.value.type, node.span
    return applied([compile(node.value)], lambda x: lifted(x, type, have, span))


@compiles(t.Operation)
def operation(node: t.Operation) -> Code:
    if len(node.args) == 2 and isinstance(node.args[0], t.Operation):
        return _row(node)
    return applied([compile(a) for a in node.args], node.make(node))


def _row(node: t.Operation) -> Code:
    """The code of `a + b + c`, which hangs to the left: one operator after another, for a row may be long."""
    operators = [node]
    while isinstance(first := operators[-1].args[0], t.Operation) and len(first.args) == 2:
        operators.append(first)
    start = compile(operators[-1].args[0])
    steps = [(compile(o.args[1]), o.make(o)) for o in reversed(operators)]
    count = len(steps)
    if start.direct is not None and all(part.direct is not None for part, _ in steps):
        begin, direct = start.direct, [(part.direct, f) for part, f in steps if part.direct is not None]

        def run(env: Any) -> Any:
            value = begin(env)
            for part, f in direct:
                value = f(value, part(env))
            return value

        return Code(run)

    def go_on(value: Any, i: int, env: Any, k: Any) -> State:
        while i < count:
            part, f = steps[i]
            if part.direct is None:
                return part.run(env, (resume, k, value, i, env))
            value = f(value, part.direct(env))
            i += 1
        return give(value, k)

    def resume(frame: Frame, right: Any) -> State:
        _, k, value, i, env = frame
        return go_on(steps[i][1](value, right), i + 1, env, k)

    def begun(frame: Frame, value: Any) -> State:
        return go_on(value, 0, frame[2], frame[1])

    if start.direct is not None:
        begin = start.direct
        return Code(None, lambda env, k: go_on(begin(env), 0, env, k))
    return Code(None, lambda env, k: start.run(env, (begun, k, env)))


@compiles(t.Tuple)
def tuple_(node: t.Tuple) -> Code:
    return applied([compile(x) for x in node.items], lambda *xs: xs) if node.items else Code(lambda env: ())


@compiles(t.List)
def list_(node: t.List) -> Code:
    return applied([compile(x) for x in node.items], lambda *xs: list(xs)) if node.items else Code(lambda env: [])


@compiles(t.Construct)
def construct(node: t.Construct) -> Code:
    type, k, args = prune(node.type), node.constructor, [compile(x) for x in node.args]
    if isinstance(type, Later):
        inner = prune(type.inner)
        assert isinstance(inner, DataOf)

        def make(*values: Any) -> Any:
            with current().at(node.span):
                return staged_type(inner).construct(k.tag, values)
    else:
        make = class_of(k)
    return applied(args, make) if args else Code(lambda env: make())


@compiles(t.GetField)
def get_field(node: t.GetField) -> Code:
    have, name = prune(node.value.type), node.name
    if isinstance(have, Later):
        return applied([compile(node.value)], lambda x: _project(x, have, name, node.span))
    return applied([compile(node.value)], lambda x: getattr(x, name))


def _project(x: Rep, type: Later, name: str, span: Span) -> Any:
    inner = prune(type.inner)
    assert isinstance(inner, DataOf)
    with current().at(span):
        return lend(staged_type(inner).project(x, 0, name), f"`{name}` is a field of a record of later", span)


@compiles(t.Update)
def update(node: t.Update) -> Code:
    have, names = prune(node.value.type), node.names
    parts = [compile(node.value), *(compile(a) for a in node.args)]

    def run(x: Any, *values: Any) -> Any:
        changes = dict(zip(names, values, strict=True))
        if not isinstance(have, Later):
            return dataclasses.replace(x, **changes)
        inner = prune(have.inner)
        assert isinstance(inner, DataOf)
        staged = staged_type(inner)
        with current().at(node.span):
            fields = [changes[n] if n in changes else staged.project(x, 0, n) for n, _ in staged.constructors[0].fields]
            return staged.construct(0, tuple(fields))

    return applied(parts, run)


# ------------------------------------------------------------------------------------------------- functions


@compiles(t.Function)
def function(node: t.Function) -> Code:
    """A closure; its body is compiled when it is first called."""
    body: list[Run] = []

    def enter(env: Any, k: Any) -> State:
        if not body:
            assert node.body is not None
            body.append(compile(node.body).run)
        return body[0](env, k)

    from .functions import staged_closure

    name, arity, span = node.name, node.arity, node.span
    if not node.itself:
        return Code(lambda env: Closure(enter, env, arity, name, span))

    def recursive(env: Any) -> Any:
        made = Closure(enter, (), arity, name, span)
        itself = staged_closure(made, node.type) if node.staged else made
        made.env = (*env, itself)
        return itself

    return Code(recursive)


@compiles(t.FunctionValue)
def function_value(node: t.FunctionValue) -> Code:
    from .functions import function_of

    instance = node.instance
    return Code(lambda env: function_of(instance))


@compiles(t.Call)
def call(node: t.Call) -> Code:
    span = node.span

    def finish(values: tuple[Any, ...], env: Any, k: Any) -> State:
        return values[0].enter(values[1:], k, span)  # type: ignore[no-any-return]  # a state

    return Code(None, sequence([compile(node.function), *(compile(a) for a in node.args)], finish))


def catch_done(frame: Frame, value: Any) -> State:
    return give(value, frame[1])


@compiles(t.Catch)
def catch(node: t.Catch) -> Code:
    body = compile(node.body)
    return Code(None, lambda env, k: body.run(env, (catch_done, k)))


@compiles(t.Jump)
def jump(node: t.Jump) -> Code:
    from .loops import LOOPS, go_round

    def leave(value: Any, k: Any) -> State:
        wanted = (catch_done,) if node.kind == "return" else LOOPS
        while k[0] not in wanted:
            k = k[1]
        if node.kind == "return":
            return give(value, k[1])
        return give((), k[1]) if node.kind == "break" else go_round(k)

    if node.value is None:
        return Code(None, lambda env, k: leave((), k))
    return Code(None, sequence([compile(node.value)], lambda values, env, k: leave(values[0], k)))


# --------------------------------------------------------------------------------------------------- blocks


@compiles(t.Block)
def block(node: t.Block) -> Code:
    """Statements in order. What binds makes the environment longer."""
    steps = [_step(x) for x in node.statements]
    binds_last = bool(node.statements) and isinstance(node.statements[-1], t.Bind | t.NewVariable)
    count = len(steps)
    if count == 0:
        return Code(lambda env: ())
    if count == 1 and not binds_last:
        return steps[0][0]

    def go_on(i: int, env: Any, k: Any) -> State:
        while True:
            code, bind = steps[i]
            i += 1
            last = i == count
            if last and bind is None:
                return code.run(env, k)
            if code.direct is None:
                return code.run(env, (resume, k, i, env))
            value = code.direct(env)
            if bind is not None:
                env = bind(env, value)
                if last:
                    return give((), k)

    def resume(frame: Frame, value: Any) -> State:
        _, k, i, env = frame
        bind = steps[i - 1][1]
        if bind is not None:
            env = bind(env, value)
        return give((), k) if i == count else go_on(i, env, k)

    return Code(None, lambda env, k: go_on(0, env, k))


Bind = Callable[[Any, Any], Any]


def _step(x: t.Typed) -> tuple[Code, Bind | None]:
    """The code of a statement, and how its value makes the environment longer."""
    from .matching import binder

    if isinstance(x, t.Bind):
        bind = binder(x.pattern)
        return compile(x.value), lambda env, value: env + bind(value)
    if isinstance(x, t.NewVariable):
        return compile(x.value), lambda env, value: (*env, new_variable(x, value))
    return compile(x), None


def new_variable(node: t.NewVariable, value: Any) -> Cell | Variable:
    if not node.later:
        return Cell(node.name, value, node.span)
    return Variable(node.name, strong(value), node.span, node)


# ------------------------------------------------------------------------------------------- continuations


@compiles(t.Delimit)
def delimit(node: t.Delimit) -> Code:
    body = compile(node.body)
    return Code(None, lambda env, k: body.run(env, (reset_done, k)))


@compiles(t.Capture)
def capture_(node: t.Capture) -> Code:
    body, span = compile(node.body), node.span

    def run(env: Any, k: Any) -> State:
        continuation, beyond = capture(k, span)
        return body.run((*env, continuation), beyond)

    return Code(None, run)
