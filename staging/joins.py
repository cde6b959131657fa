"""Which type a value gets where Python leaves it open: weak literals, mixed operands, and variables where paths meet."""

from __future__ import annotations

import sys
from functools import lru_cache, reduce
from typing import Any

import numpy as np

from lms.core.errors import Span, StagingTypeError
from lms.core.ir import Value
from lms.core.types import SCALARS, ArrayType, Scalar, SumType, Type, bool_, c128, element, f64, fresh_symbol, i64, scalar_of

WEAK = (bool, int, float, complex)
_ALONE: dict[type, Scalar] = {bool: bool_, int: i64, float: f64, complex: c128}
_PYTHON: dict[str, type] = {"b": bool, "i": int, "f": float, "c": complex}


def is_weak(x: object) -> bool:
    """Whether `x` is a Python number, whose type adapts to what it meets. NumPy scalars have a type of their own."""
    return type(x) in _ALONE


def weak_kind(x: Any) -> type | None:
    """The Python type of a number whose type adapts: a Python number, or one that exists later (`rep.Weak`); else None."""
    if type(x) in _ALONE:
        return type(x)
    return _PYTHON[x.type.kind] if getattr(type(x), "adapts", False) else None


def has_other_operators(x: object) -> bool:
    """Whether `x` is one of NumPy's arrays whose operators mean something else. Before `np.ma` is imported none is masked."""
    masked = sys.modules.get("numpy.ma")
    return isinstance(x, np.matrix) or (masked is not None and isinstance(x, masked.MaskedArray))


def scalar_like(x: Any) -> Scalar | None:
    """The element type of a number, NumPy value, staged value or IR value; None for anything else."""
    if type(x) in _ALONE:
        return _ALONE[type(x)]
    if isinstance(x, Value):
        return None if isinstance(x.type, SumType) else element(x.type)
    if isinstance(value := getattr(x, "value", None), Value):
        return scalar_like(value)
    if has_other_operators(x):
        return None
    if isinstance(x, np.ndarray | np.generic):
        try:
            return scalar_of(x.dtype)
        except KeyError:
            return None
    if isinstance(x, WEAK):  # subclasses: enums, and what users derive from int and float
        return next(_ALONE[t] for t in WEAK if isinstance(x, t))
    return None


def promote(*xs: Any) -> Scalar:
    """The element type of an operation on all of `xs`: NumPy's rule for typed values; literals adapt.

    Raises `StagingTypeError` for something that is not a number.
    """
    strong: list[Scalar] = []
    weak: list[type] = []
    for x in xs:
        if (literal := weak_kind(x)) is not None:
            weak.append(literal)
            continue
        if (s := scalar_like(x)) is None:
            raise StagingTypeError(f"expected a number or an array, found {describe(x)}")
        strong.append(s)
    return _promoted(tuple(strong), tuple(weak))


@lru_cache(maxsize=4096)
def _promoted(strong: tuple[Scalar, ...], weak: tuple[type, ...]) -> Scalar:
    if not strong:
        return _ALONE[max(weak, key=WEAK.index)]
    return reduce(_adapt, weak, scalar_of(np.result_type(*(s.dtype for s in strong))))


def _adapt(s: Scalar, weak: type) -> Scalar:
    """What a typed operand becomes beside a literal: its kind may grow, its width does not."""
    if weak is int and s.kind == "b":
        return i64
    if weak is float and s.kind in "biu":
        return f64
    if weak is complex and s.kind != "c":
        return SCALARS[f"c{2 * s.bits}"] if s.kind == "f" else c128
    return s


def join_types(a: Any, b: Any, *, name: str = "", places: tuple[Span | None, Span | None] = (None, None)) -> Type:
    """The type of a variable that is `a` on one path and `b` on the other; each a `Type`, or a Python number (weak).

    Two numbers give the larger kind; a number and a type give the type, if the number fits its kind.
    Arrays that differ in a dimension get a fresh symbol there. Raises `StagingTypeError` naming both lines.
    """
    if is_weak(a) and is_weak(b):
        return promote(a, b)
    if is_weak(a) or is_weak(b):
        literal, typed = (a, b) if is_weak(a) else (b, a)
        if isinstance(typed, Scalar) and "biufc".index(typed.kind.replace("u", "i")) >= "biufc".index(_ALONE[type(literal)].kind):
            return typed
    elif a == b:
        assert isinstance(a, Scalar | ArrayType | SumType)
        return a
    elif isinstance(a, ArrayType) and isinstance(b, ArrayType) and a.dtype == b.dtype and a.rank == b.rank:
        dims = tuple(d if d == e else fresh_symbol() for d, e in zip(a.dims, b.dims, strict=True))
        return ArrayType(a.dtype, dims, "C" if a.layout == b.layout == "C" else "S")
    what = f"{name!r} has" if name else "the value has"
    notes = tuple((f"here it is {_shown(x)}", span) for x, span in zip((a, b), places, strict=True) if span)
    raise StagingTypeError(f"{what} two types where the paths meet: {_shown(a)} and {_shown(b)}", notes=notes,
                           fix=_cure(a, b))


def _shown(x: Any) -> str:
    return f"the number {x!r}" if is_weak(x) else str(x)


def _cure(a: Any, b: Any) -> str:
    if isinstance(a, ArrayType) != isinstance(b, ArrayType):
        return "make it an array of one shape, or a number, on both paths"
    target = b if is_weak(a) else a
    return f"convert one of them: `.astype({target.dtype if isinstance(target, ArrayType) else target})`, or `float(...)`"



def describe(x: Any) -> str:
    """How a value is called in an error."""
    if is_weak(x):
        return f"the {type(x).__name__} {x!r}"
    if has_other_operators(x):
        return f"a {type(x).__name__}"
    if isinstance(x, np.ndarray):
        return f"a NumPy array of dtype {x.dtype} and shape {x.shape}"
    value = x if isinstance(x, Value) else getattr(x, "value", None)
    if isinstance(value, Value):
        return f"{value.name + ': ' if value.name else 'a staged '}{value.type}"
    return f"a value of type {type(x).__qualname__}"
