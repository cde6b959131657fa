"""Functions of the file when they are called: unfolded where they stand, or functions of the generated program.

A function that calls itself is one of the generated program if all its arguments exist later; with arguments of now too, if a
call is met inside another with the same ones. All others are unfolded, so that their `shift`s reach the caller's `reset`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from lms.ad import custom
from lms.core.builder import Builder, current
from lms.core.errors import LmsError, Span
from lms.staging import functions as staging_functions
from lms.staging.annotations import Annotation
from lms.staging.arguments import Signature
from lms.staging.rep import Rep

from ..check import typed as t
from ..check.types import AnyType, FunctionOf, Later, TupleOf, holds_later, is_later, prune
from ..diagnostics import Diagnostic
from ..parse.parser import deep_recursion
from .compile import compile
from .data import core_type
from .lending import CALLED, claim, lend
from .machine import Closure, Frame, State, give, halting, run, spend
from .operations import strong


def function_of(instance: t.Instance) -> TopFunction:
    """The function of an instance, always the same one."""
    if instance.code is None:
        instance.code = TopFunction(instance)
    made: TopFunction = instance.code
    return made


class TopFunction:
    """A function defined at the top of a file, for certain types."""

    def __init__(self, instance: t.Instance) -> None:
        self.instance, self.name = instance, instance.name
        self.types = [type for _, type, _ in instance.params]
        self.now = [k for k, type in enumerate(self.types) if not is_later(type)]
        self._body: Any = None
        self._recursive: bool | None = None
        self._staged: StagedFunction | None = None

    @property
    def code(self) -> Any:
        """The code of the body."""
        if self._body is None:
            assert self.instance.body is not None, self.name
            with deep_recursion():
                self._body = compile(self.instance.body).run
        return self._body

    @property
    def recursive(self) -> bool:
        """Whether it can be a function of the generated program, and calls itself directly or through others."""
        if self._recursive is None:
            result = self.instance.result
            passes = result is not None and (is_later(result) or result == TupleOf(())) and len(self.now) < len(self.types)
            self._recursive = passes and _reaches(self.instance) and not _shifts(self.instance)
        return self._recursive

    @property
    def staged(self) -> StagedFunction:
        """It as a function of the generated program."""
        if self._staged is None:
            span = self.instance.syntax.name_span
            made = StagedFunction(self.name, self.types, self.instance.result, self._enter, span, self.instance)
            if self.instance.rule is not None:
                made.rule = rule_of(self.instance.rule)
            self._staged = made
        return self._staged

    def _enter(self, args: tuple[Any, ...], k: Frame) -> State:
        return self.code, args, k

    def enter(self, args: tuple[Any, ...], k: Frame, span: Span) -> State:
        """Call it."""
        spend(span)
        for (name, _, mut), x in zip(self.instance.params, args, strict=True):
            if mut:
                claim(x, span, f"pass a copy of it: `{self.name}` writes to its parameter `{name}`")
        if self.instance.rule is not None and any(isinstance(x, Rep) for x in args):
            return give(self.staged.call(args, span), k)
        if not self.recursive:
            return self.code, args, k
        if not self.now:
            return give(self.staged.call(args, span), k)
        key = self, tuple(value_key(args[i]) for i in self.now)
        if key in STAGED:
            return give(self.staged.call(args, span), k)
        unfolding = _UNFOLDING.setdefault(current(), set())
        if key in unfolding:
            STAGED.add(key)
            raise staging_functions.Restart
        unfolding.add(key)
        return self.code, args, (_left, k, unfolding, key)

    def __repr__(self) -> str:
        return f"<function {self.name}>"


# Calls that are being unfolded in a program that is made: a function, and its arguments of now.
_UNFOLDING: WeakKeyDictionary[Builder, set[Any]] = WeakKeyDictionary()
STAGED: set[Any] = set()  # those that were met inside themselves: functions of the generated program


def _left(frame: Frame, value: Any) -> State:
    frame[2].discard(frame[3])
    return give(value, frame[1])


def value_key(x: Any) -> Any:
    """What tells a value of now from others."""
    if isinstance(x, list | tuple):
        return type(x), tuple(map(value_key, x))
    if isinstance(x, Closure):
        return x.code, tuple(id(v) for v in x.env)
    if isinstance(x, Rep):
        return x.value
    try:
        hash(x)
    except TypeError:
        return id(x)
    return type(x), x


def _reaches(instance: t.Instance) -> bool:
    """Whether a function can come to call itself."""
    seen: set[t.Instance] = set()
    work = list(instance.calls)
    while work:
        found = work.pop()
        if found is instance:
            return True
        if found not in seen:
            seen.add(found)
            work += found.calls
    return False


def _shifts(instance: t.Instance) -> bool:
    """Whether a call may capture a continuation of its caller."""
    seen = {instance}
    work = [instance]
    while work:
        found = work.pop()
        if found.shifts:
            return True
        new = found.calls - seen
        seen |= new
        work += new
    return False


# ----------------------------------------------------------------------- functions of the generated program


class Known:
    """A value of now among the arguments of a function of the generated program: one for each that differs."""

    def __init__(self, value: Any) -> None:
        self.value, self.key = value, value_key(value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Known) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return repr(self.value)


class StagedFunction:
    """A function of the generated program, made from one of now. It has what staging asks of a staged function."""

    __lms_staged__ = True
    rule: Any = None

    def __init__(self, name: str, types: Sequence[AnyType], result: AnyType | None,
                 enter: Callable[[tuple[Any, ...], Frame], State], span: Span, instance: t.Instance | None = None) -> None:
        self.__name__ = self.__qualname__ = self.name = name or "function"
        self.types, self.result, self.span = list(types), result, span
        names = [p[0] for p in instance.params] if instance is not None else [f"x{k}" for k in range(len(self.types))]
        muts = [p[2] for p in instance.params] if instance is not None else [False] * len(self.types)
        defaults = [default_value(d) for d in instance.defaults] if instance is not None else []
        self.enter_with = enter
        self.body = self._body()
        self.body.__doc__ = getattr(instance.syntax, "doc", None) or None if instance is not None else None
        self.body.__name__ = self.body.__qualname__ = self.__name__
        shown = signature_of(names, self.types, muts, result, defaults)
        self.body.__dict__["__signature__"] = shown  # what `inspect` reads
        self.signature = Signature(self.body)
        self.signature.span = span
        self.unstaged = self.body

    def _body(self) -> Callable[..., Any]:
        def body(*args: Any) -> Any:
            given = tuple(map(given_value, args, self.types))
            code, env, k = self.enter_with(given, halting(self.span))
            return outward(run(code, env, k))

        return body

    def call(self, args: tuple[Any, ...], span: Span) -> Any:
        """A call from code of the generated program."""
        from lms.core.builder import current

        given = [x if is_later(type) else Known(x) for x, type in zip(args, self.types, strict=True)]
        with current().at(span):
            try:
                return lend(inward(self(*given)), CALLED, span)
            except Diagnostic:
                raise
            except LmsError as e:
                raise Diagnostic("E0501", e.message, span, fix=e.fix, notes=e.notes) from None

    def enter(self, args: tuple[Any, ...], k: Frame, span: Span) -> State:
        return give(self.call(args, span), k)

    def __call__(self, *args: Any) -> Any:
        if self.rule is not None:
            return custom.call(self.body, self.signature, self.rule, args, {})
        return staging_functions.call(self.body, self.signature, args, {})

    def __repr__(self) -> str:
        return f"<staged {self.name}>"


def given_value(x: Any, type: AnyType) -> Any:
    """An argument as the machine has it: Python's functions can be called there too."""
    if isinstance(x, Known):
        return x.value
    return Foreign(x) if isinstance(prune(type), FunctionOf) and not hasattr(x, "enter") else strong(x)


def outward(x: Any) -> Any:
    """A result as staging has it: `()` is None."""
    return None if isinstance(x, tuple) and not x else x


def inward(x: Any) -> Any:
    """A result of staging as the machine has it."""
    if x is None:
        return ()
    return tuple(inward(v) for v in x) if isinstance(x, tuple) else strong(x)


def default_value(e: t.Typed | None) -> Any:
    """A default argument, where it is known without evaluating anything."""
    while isinstance(e, t.Lift):
        e = e.value
    return compile(e).run((), halting(e.span))[2] if isinstance(e, t.Constant) else inspect.Parameter.empty


def signature_of(names: Sequence[str], types: Sequence[AnyType], muts: Sequence[bool], result: AnyType | None,
                 defaults: Sequence[Any] = ()) -> inspect.Signature:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    given = [*defaults, *[inspect.Parameter.empty] * (len(names) - len(defaults))]
    params = [inspect.Parameter(name, kind, annotation=annotation(type, mut), default=default)
              for name, type, mut, default in zip(names, types, muts, given, strict=True)]
    result = None if result is None else prune(result)
    returned = inspect.Signature.empty if result is None else None if result == TupleOf(()) else annotation(result)
    return inspect.Signature(params, return_annotation=returned)


def annotation(type: AnyType, mut: bool = False) -> Any:
    """A type as an annotation of Python's."""
    type = prune(type)
    if isinstance(type, Later):
        return Annotation("rep", core_type(type.inner), mut)
    if isinstance(type, TupleOf) and is_later(type):
        return tuple[tuple(annotation(x) for x in type.items)]  # type: ignore[misc]  # made of values
    return inspect.Parameter.empty if holds_later(type) else Annotation("static")


# ----------------------------------------------------------------------------------------------- derivatives


def rule_of(rule: t.Instance) -> custom.Rules:
    """The rule `(value, fn(dy) => dx)` as a generator: what it gives first is the value, what comes back its cotangent."""
    assert rule.body is not None
    code = compile(rule.body).run
    span = rule.syntax.name_span

    def reverse(*args: Any) -> Any:
        given = tuple(x.value if isinstance(x, Known) else strong(x) for x in args)
        value, pull = run(code, given, halting(span))
        dz = yield outward(value)
        k = halting(span)
        state = pull.enter((strong(dz),), k, span)
        return outward_directions(run(*state))

    return custom.Rules(reverse=reverse)


def outward_directions(x: Any) -> Any:
    """A gradient or a direction as staging has it: None for what is no float."""
    return x if type(x) is not tuple else tuple(map(outward_directions, x)) if x else None


def staged_form(f: Any, type: AnyType, span: Span) -> Any:
    """A function of now as one that staging can call: what `grad` and `reify` take."""
    type = prune(type)
    assert isinstance(type, FunctionOf)
    if isinstance(f, TopFunction):
        return f.staged
    if isinstance(f, StagedFunction):
        return f
    if isinstance(f, Foreign):
        return f.f
    return staged_closure(f, type, span)


def staged_closure(f: Any, type: AnyType, span: Span | None = None) -> StagedFunction:
    """A function of the generated program that does what a function of now does."""
    type = prune(type)
    assert isinstance(type, FunctionOf)
    result, place = prune(type.result), span or f.span
    declared = result if is_later(result) or result == TupleOf(()) else None
    return StagedFunction(getattr(f, "name", ""), type.params, declared, lambda args, k: f.enter(args, k, place), place)


class Foreign:
    """A Python function among the values of now: it is called with staged values."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self.f, self.name = f, getattr(f, "__name__", "function")

    def enter(self, args: tuple[Any, ...], k: Frame, span: Span) -> State:
        from lms.core.builder import current

        with current().at(span):
            try:
                return give(lend(inward(self.f(*args)), CALLED, span), k)
            except Diagnostic:
                raise
            except LmsError as e:
                raise Diagnostic("E0501", e.message, span, fix=e.fix) from None
