"""The type of what a function of the Python side gives: found by trying it on values of those types, in a program nobody keeps.

So the array and math functions have one table, that of staging: its names, its arguments, its shapes and its errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from lms.core.builder import building
from lms.core.ir import Program
from lms.core.types import SCALARS, ArrayType, Dim, Scalar, bool_, f64, fresh_symbol, i64
from lms.staging.rep import Rep
from lms.staging.tracer import Tracer

from .types import STRING, UNIT, AnyType, Array, Later, ListOf, TupleOf, prune

Shape = tuple[Any, ...]  # ("later", dtype, dims), ("value", x), ("now", dtype), ("tuple"|"list", parts)


def result_type(f: Callable[..., Any], args: Sequence[Shape], named: Mapping[str, Shape]) -> AnyType:
    """The type of `f(*args, **named)`. Raises what the function raises."""
    return _result_type(f, tuple(args), tuple(sorted(named.items())))


@lru_cache(maxsize=4096)
def _result_type(f: Callable[..., Any], args: tuple[Shape, ...], named: tuple[tuple[str, Shape], ...]) -> AnyType:
    program = Program()
    builder = Tracer(program)
    leaves: list[ArrayType | Scalar] = []
    for shape in (*args, *(s for _, s in named)):
        _leaves(shape, leaves)
    with building(builder), builder.function("trial", leaves) as main, np.errstate(all="ignore"):
        program.entry = main.name
        rest = iter(main.body.params)
        values = [_value(s, rest) for s in args]
        keywords = {name: _value(s, rest) for name, s in named}
        return type_of(f(*values, **keywords))


def shape_of(type: AnyType, value: Any = None) -> Shape | None:
    """An argument of a type as the trial sees it; None for what no such function takes. `value` is what is known of it."""
    type = prune(type)
    match type:
        case Later(inner):
            inner = prune(inner)
            if isinstance(inner, Array):
                return "later", inner.dtype, inner.dims
            return ("later", inner, None) if isinstance(inner, Scalar) else None
        case Scalar():
            return ("value", value) if value is not None else ("now", type)
        case TupleOf(items):
            values = value if isinstance(value, tuple) else (None,) * len(items)
            parts = tuple(shape_of(x, v) for x, v in zip(items, values, strict=True))
            return None if None in parts else ("tuple", parts)
        case ListOf(item):
            values = value if isinstance(value, tuple) else (None, None)
            parts = tuple(shape_of(item, v) for v in values)
            return None if None in parts else ("list", parts)
    return ("value", value) if type is STRING and value is not None else None


def _leaves(shape: Shape, leaves: list[Any]) -> None:
    match shape:
        case ("later", dtype, None):
            leaves.append(dtype)
        case ("later", dtype, dims):
            leaves.append(ArrayType(dtype, tuple(fresh_symbol() if d is None else d for d in dims)))
        case ("tuple" | "list", parts):
            for part in parts:
                _leaves(part, leaves)


def _value(shape: Shape, rest: Any) -> Any:
    match shape:
        case ("later", _, _):
            return Rep(next(rest))
        case ("value", x):
            return x
        case ("now", dtype):
            return True if dtype.kind == "b" else 1 if dtype == i64 else 0.5 if dtype == f64 else dtype.dtype.type(1)
        case ("tuple", parts):
            return tuple(_value(x, rest) for x in parts)
        case ("list", parts):
            return [_value(x, rest) for x in parts]
    raise AssertionError(shape)


def type_of(x: Any) -> AnyType:
    """The type of a value that staging gave; what is no `Rep` is known now."""
    if x is None:
        return UNIT
    if isinstance(x, Rep):
        t = x.type
        if isinstance(t, ArrayType) and isinstance(t.dtype, Scalar):
            return Later(Array(t.dtype, tuple(_known(d) for d in t.dims)))
        if isinstance(t, Scalar):
            return Later(t)
    if isinstance(x, tuple):
        return TupleOf(tuple(map(type_of, x)))
    if isinstance(x, list):
        return ListOf(type_of(x[0]) if x else f64)
    found: AnyType
    if isinstance(x, bool | np.bool_):
        found = bool_
    elif isinstance(x, int):
        found = i64
    elif isinstance(x, float):
        found = f64
    elif isinstance(x, np.generic):
        found = SCALARS[str(x.dtype).replace("float", "f").replace("uint", "u").replace("int", "i")]
    else:
        raise TypeError(f"it gives {type(x).__name__}, which has no type here")
    return found


def _known(d: Any) -> Any:
    return None if isinstance(d, Dim) and any("$" in s for s in d.symbols) else d
