"""Primitives that hold blocks or call functions, and those that speak to the outside world.

    if    c                       blocks: then(), else()                         results: what the branches give
    for   start stop step x...    block: body(i, x...) -> x...                   results: the last x..., or the first
    while x...                    blocks: cond(x...) -> bool, body(x...) -> x... results: the last x...
    call  x...                    attribute `callee`                             results: the callee's
    vjp   x... dy...              attributes `callee`, `wrt`, `rows`             results: y..., then dx for each of `wrt`
    jvp   x... dx...              attributes `callee`, `wrt`, `lanes`            results: y..., then dy for each float y

`step` is a non-zero constant. A `while`'s condition writes nothing, and the body does not see its values.
`vjp` takes a cotangent for every float result of the callee, `jvp` a tangent for every one of `wrt`; both are expanded
by differentiation before anything is lowered. With `lanes`, a tangent holds so many directions (`tangents`); with `rows`, a
cotangent is that many, along a further first axis (`rows`).
`check` raises `error` with `message` (formatted with the operands) where its first operand is false.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import StagingTypeError
from ..types import ArrayType, Scalar, Size, Type, bool_, is_differentiable
from .table import Attrs, Effect, Primitive, row

CONTROL = Effect(control=True)


def _given(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    """Control: the builder states the results' types, for it has the blocks; the verifier checks them."""
    return tuple(attrs["types"])


def _vjp(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    results: tuple[Type, ...] = tuple(attrs["types"])
    n = len(types) - sum(map(is_differentiable, results))
    found = (types[k] for k in attrs["wrt"] if k < n)
    return (*results, *(found if attrs.get("rows") is None else (rows(t, attrs["rows"]) for t in found)))


def rows(t: Type, count: Size) -> ArrayType:
    """The type of so many values side by side, along a new first axis."""
    if isinstance(t, ArrayType):
        return ArrayType(t.dtype, (count, *t.dims))
    if not isinstance(t, Scalar):
        raise StagingTypeError(f"the cotangents of {t} come one by one")
    return ArrayType(t, (count,))


def tangents(t: Type, lanes: int) -> tuple[Type, ...]:
    """The types of a tangent: one like the value; or of `lanes` directions: as many numbers, an array with one more axis."""
    if not lanes:
        return (t,)
    if isinstance(t, ArrayType) and isinstance(t.dtype, Scalar):
        return (ArrayType(t.dtype, (*t.dims, lanes), t.layout),)
    if not isinstance(t, Scalar):
        raise StagingTypeError(f"a tangent of {t} has one direction")
    return (t,) * lanes


def _jvp(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    results: tuple[Type, ...] = tuple(attrs["types"])
    return (*results, *(dt for t in filter(is_differentiable, results) for dt in tangents(t, attrs.get("lanes", 0))))


def _check(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    if types[0] != bool_:
        raise StagingTypeError(f"a check takes a bool, found {types[0]}")
    return ()


ERRORS: dict[str, type[Exception]] = {
    e.__name__: e for e in (AssertionError, IndexError, ValueError, ZeroDivisionError, OverflowError, RuntimeError,
                            ArithmeticError, TypeError, KeyError, RecursionError, MemoryError, UnboundLocalError,
                            StopIteration, Exception, FloatingPointError, NotImplementedError, LookupError,
                            np.linalg.LinAlgError)
}


def _check_eager(ok: Any, *values: Any, error: str, message: str) -> None:
    if not ok:
        raise ERRORS[error](message.format(*(v.item() if isinstance(v, np.generic) else v for v in values)))


def _print_eager(*values: Any, template: str, end: str = "\n") -> None:
    print(template.format(*(v.item() if isinstance(v, np.generic) else v for v in values)), end=end)


def _py_call(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    return tuple(attrs["types"])


def _py_call_eager(*values: Any, function: Any, types: Any) -> Any:
    return function(*values)


if_ = row(Primitive("if", _given, effect=CONTROL, lowered=True))
for_ = row(Primitive("for", _given, effect=CONTROL, lowered=True))
while_ = row(Primitive("while", _given, effect=CONTROL, lowered=True))
call = row(Primitive("call", _given, effect=CONTROL, lowered=True))
vjp = row(Primitive("vjp", _vjp, effect=CONTROL))
jvp = row(Primitive("jvp", _jvp, effect=CONTROL))
check = row(Primitive("check", _check, _check_eager, Effect(raises=True), lowered=True))
print_ = row(Primitive("print", lambda types, attrs: (), _print_eager, Effect(io=True), lowered=True))
py_call = row(Primitive("py_call", _py_call, _py_call_eager, Effect(io=True, raises=True), lowered=True))
