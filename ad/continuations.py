"""Derivative rules: generators that hand over their primal at the one `yield` and receive its cotangent there.

The rest of the program is a continuation. A rule captures it by `yield` (shift); the driver of a block (reset) runs every
rule up to its `yield` in order, and when the continuation has run its own backward half, resumes the rules in reverse.

    @derivative(mul)
    def _mul(x, y):
        dz = yield x * y          # the rest of the program runs here, and hands back dz
        return dz * y, dz * x     # one cotangent for every operand, None for "no gradient"

A suspended rule holds no resource: the `yield` stands at the top level of the body, outside any `with`, `try`, `if` or
loop, which is checked when the rule registers.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, TypeVar

from lms.core.errors import Span, StagingError, is_ours
from lms.core.primitives import Primitive

Steps = Generator[Any, Any, Any]
Rule = Callable[..., Steps]
R = TypeVar("R", bound=Rule)

RULES: dict[Primitive, Rule] = {}
TANGENTS: dict[Primitive, Callable[..., tuple[Any, ...]]] = {}


def derivative(primitive: Primitive) -> Callable[[R], R]:
    """Register the rule of a primitive. Operands arrive by position, attributes by name. Raises `StagingError` for a bad form."""

    def register(rule: R) -> R:
        if not is_ours(rule.__code__):  # the tests check ours: it takes a parser
            check_form(rule)
        if primitive in RULES:
            raise StagingError(f"{primitive.name} has a derivative already")
        RULES[primitive] = rule
        return rule

    return register


def tangent(primitive: Primitive) -> Callable[[Any], Any]:
    """Register a rule for forward mode, where that of reverse mode does not give it: from results, operands and the tangents
    of these (None for zero) to the tangents of the results."""

    def register(rule: Any) -> Any:
        TANGENTS[primitive] = rule
        return rule

    return register


def check_form(rule: Rule) -> None:
    """Raise `StagingError` unless the rule has exactly one `yield`, at the top level of its body."""
    try:
        source = textwrap.dedent(inspect.getsource(rule))
        line = inspect.getsourcelines(rule)[1]
    except OSError:  # typed at a prompt: no source, so the form is checked when it runs
        return
    function = ast.parse(source).body[0]
    span = Span(inspect.getsourcefile(rule) or "", line)
    if not isinstance(function, ast.FunctionDef):
        raise StagingError("a derivative rule is a generator function", span, fix="write it with `def`")
    yields = sum(isinstance(n, ast.Yield | ast.YieldFrom) for n in ast.walk(function))
    if yields != 1 or not any(map(_hands_over, function.body)):
        raise StagingError(f"a derivative rule has exactly one `yield`, outside any with, if, for or try; found {yields} in "
                           f"{function.name!r}", span, fix="write `dz = yield z` as a statement of the rule's body")


def _hands_over(statement: ast.stmt) -> bool:
    value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign | ast.Expr) else None
    return isinstance(value, ast.Yield)


# --------------------------------------------------------------------------------------------- running them


def start(steps: Steps, name: str, span: Span | None = None) -> Any:
    """Run a rule up to its `yield`; give the primal."""
    try:
        return next(steps)
    except StopIteration:
        raise StagingError(f"the derivative of {name} ended without a `yield`", span) from None


def resume(steps: Steps, dz: Any, operands: int, name: str, span: Span | None = None) -> tuple[Any, ...]:
    """Run the rest of a rule; give a cotangent (or None) for every operand. One operand may come without its tuple."""
    try:
        steps.send(dz)
    except StopIteration as end:
        out = end.value if isinstance(end.value, tuple) else (end.value,)
        if len(out) != operands:
            raise StagingError(f"the derivative of {name} returned {len(out)} cotangents for {operands} operands", span) from None
        return out
    raise StagingError(f"the derivative of {name} yields twice", span)


def reset(frames: Sequence[Iterator[Any]]) -> None:
    """Resume suspended frames, last first: the backward half of a block."""
    for frame in reversed(frames):
        next(frame, None)
