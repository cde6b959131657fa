"""Patterns at run time: whether a value fits, now or later, and what it binds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.errors import Span
from lms.core.types import Scalar, bool_
from lms.staging.control.choices import Logic
from lms.staging.library import ops
from lms.staging.rep import Rep

from ..check import typed as t
from ..check.types import DataOf, Later, prune
from .data import class_of, staged_type


def binder(pattern: t.Pattern) -> Callable[[Any], tuple[Any, ...]]:
    """What a pattern binds of a value that fits it."""
    if pattern.kind == "name":
        return lambda value: (value,)
    if pattern.kind in ("any", "literal"):
        return lambda value: ()
    return lambda value: bind(pattern, value)


def bind(pattern: t.Pattern, value: Any) -> tuple[Any, ...]:
    match pattern.kind:
        case "name":
            return (value,)
        case "any" | "literal":
            return ()
        case "or":
            fitting = next((x for x in pattern.parts if test(x, value) is True), pattern.parts[0])
            return bind(fitting, value)
        case "list":
            found = [y for part, x in zip(pattern.parts, value, strict=False) for y in bind(part, x)]
            if pattern.rest is not None:
                found += bind(pattern.rest, value[len(pattern.parts):])
            return tuple(found)
    return tuple(y for k, part in enumerate(pattern.parts) if part.names() for y in bind(part, _part(pattern, value, k)))


def _part(pattern: t.Pattern, value: Any, k: int) -> Any:
    if pattern.kind == "tuple":
        return value[k]
    constructor = pattern.constructor
    assert constructor is not None
    name = constructor.fields[k][0]
    if not isinstance(value, Rep):
        return getattr(value, name)
    with current().at(pattern.span):
        return _staged(pattern).project(value, constructor.tag, name)


def _staged(pattern: t.Pattern) -> Any:
    type = prune(pattern.type)
    inner = prune(type.inner) if isinstance(type, Later) else type
    assert isinstance(inner, DataOf)
    return staged_type(inner)


def test(pattern: t.Pattern, value: Any) -> Any:
    """Whether a value fits: a bool, or a staged one."""
    match pattern.kind:
        case "any" | "name":
            return True
        case "literal":
            return _equal(pattern, value)
        case "or":
            return _any_of([partial(test, part, value) for part in pattern.parts], pattern.span)
        case "list":
            n = len(pattern.parts)
            if len(value) < n or (pattern.rest is None and len(value) > n):
                return False
            return all_of([partial(test, part, x) for part, x in zip(pattern.parts, value, strict=False)], pattern.span)
    tests: list[Callable[[], Any]] = []
    if pattern.kind == "constructor":
        tests.append(lambda: _is(pattern, value))
    for k, part in enumerate(pattern.parts):
        if part.kind not in ("any", "name"):
            tests.append(partial(_test_part, pattern, value, k))
    return all_of(tests, pattern.span)


def _test_part(pattern: t.Pattern, value: Any, k: int) -> Any:
    return test(pattern.parts[k], _part(pattern, value, k))


def _equal(pattern: t.Pattern, value: Any) -> Any:
    if not isinstance(value, Rep):
        return bool(value == pattern.value)
    dtype = value.type
    assert isinstance(dtype, Scalar)
    with current().at(pattern.span):
        if dtype == bool_:
            return value if pattern.value else ops.logical_not(value)
        return ops.equal(value, Rep(current().const(pattern.value, dtype)))


def _is(pattern: t.Pattern, value: Any) -> Any:
    constructor = pattern.constructor
    assert constructor is not None
    if not isinstance(value, Rep):
        return type(value) is class_of(constructor)
    if len(constructor.data.constructors) == 1:
        return True
    b = current()
    with b.at(pattern.span):
        return Rep(b.emit1(p.scalar.eq, b.emit1(p.array.tag, value.value), b.const(constructor.tag)))


def all_of(tests: list[Callable[[], Any]], span: Span) -> Any:
    """The conjunction of tests in order; none is asked needlessly, at either stage."""
    if not tests:
        return True
    first = tests[0]()
    if first is False:
        return False
    if first is True or not tests[1:]:
        return all_of(tests[1:], span) if first is True else first
    return _decide(True, first, lambda: all_of(tests[1:], span), span)


def _any_of(tests: list[Callable[[], Any]], span: Span) -> Any:
    first = tests[0]()
    if first is True or not tests[1:]:
        return first
    return _any_of(tests[1:], span) if first is False else _decide(False, first, lambda: _any_of(tests[1:], span), span)


def _decide(both: bool, left: Any, right: Callable[[], Any], span: Span) -> Any:
    with current().at(span):
        decision = Logic(span, both, left)
        return decision.meet(right() if decision.open() else None)
