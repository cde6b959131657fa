"""Arguments and results of programs that run on NumPy values, for the interpreter and the Python back end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from lms.core.errors import ShapeError, Span, StagingTypeError
from lms.core.ir import Function, Value
from lms.core.primitives.record import Record
from lms.core.types import ArrayType, Dim, Scalar, SumType, Type, symbol

Bound = dict[str, tuple[int, str]]  # what each symbol is, and the argument and axis that say so


def arguments(function: Function, args: Sequence[Any]) -> list[Any]:
    """The arguments as values of the parameters' types; arrays are the caller's own, so writes are seen by the caller.

    Raises `StagingTypeError` (a `TypeError`) for a wrong count, type or rank, and `ShapeError` (a `ValueError`) for a
    size that disagrees.
    """
    params = function.body.params
    if len(args) != len(params):
        raise StagingTypeError(f"{function.name} takes {len(params)} arguments, found {len(args)}", function.span)
    values = [_argument(function, k, v, arg) for k, (v, arg) in enumerate(zip(params, args, strict=True))]
    _check_sizes(function, values)
    return values


def _name(function: Function, k: int) -> str:
    return f"argument {function.body.params[k].name or k} of {function.name}"


def _argument(function: Function, k: int, param: Value, arg: Any) -> Any:
    t = param.type
    if isinstance(t, Scalar) and (isinstance(arg, bool | int | float | complex | np.generic) and np.ndim(arg) == 0):
        if np.can_cast(np.result_type(arg), t.dtype, "same_kind") or isinstance(arg, int):
            return t.dtype.type(arg)
    elif isinstance(t, SumType) and isinstance(arg, Record) and arg.type == t:
        return arg
    elif isinstance(t, ArrayType) and isinstance(arg, np.ndarray) and arg.ndim == t.rank and arg.dtype == dtype_of(t):
        if t.layout == "S" or arg.flags.c_contiguous:
            return arg
        if k in function.mut:
            raise StagingTypeError(f"{_name(function, k)}, {t}, is written to: pass a contiguous array", function.span)
        return np.array(arg, order="C")
    found = f"{arg.dtype} array of rank {arg.ndim}" if isinstance(arg, np.ndarray) else type(arg).__name__
    raise StagingTypeError(f"{_name(function, k)} is {t}, found {found}", function.span)


def dtype_of(t: ArrayType) -> np.dtype[Any]:
    return t.dtype.dtype if isinstance(t.dtype, Scalar) else np.dtype(object)


def _check_sizes(function: Function, values: Sequence[Any]) -> None:
    """Every symbol has one value: first those that stand alone, then what is an expression of them."""
    bound: Bound = {}
    sized = [(size, int(values[k].shape[axis]), f"axis {axis} of {_name(function, k)}")
             for k, v in enumerate(function.body.params) if isinstance(v.type, ArrayType)
             for axis, size in enumerate(v.type.dims)]
    sized.sort(key=lambda each: _order(each[0]))
    for size, found, where in sized:
        expected, said = _evaluate(size, found, where, bound)
        if found != expected:
            raise ShapeError(f"{where} has size {found}, and {size} is {expected}{said}", function.span)


def _order(size: int | Dim) -> tuple[int, bool]:
    return (0, False) if isinstance(size, int) else (len(size.terms), size != symbol(size.symbols[0]))


def _evaluate(size: int | Dim, found: int, where: str, bound: Bound) -> tuple[int, str]:
    """What a size is, and who says so; a symbol that is met for the first time gets its value here."""
    if isinstance(size, int):
        return size, ""
    unknown = [(s, c) for s, c in size.terms if s not in bound]
    known = size.const + sum(c * bound[s][0] for s, c in size.terms if s in bound)
    if unknown:
        (s, c), rest = unknown[0], unknown[1:]
        if rest or (found - known) % c or (found - known) // c < 0:
            return -1, " of no possible size"
        bound[s] = (found - known) // c, where
        return found, ""
    return known, "".join(f" by {w}" for w in dict.fromkeys(bound[s][1] for s in size.symbols))


def settle(value: Any, t: Type) -> Any:
    """A fresh result as its type says: arrays of rank 0 stay arrays, and row-major is row-major."""
    if isinstance(t, ArrayType):
        if not isinstance(value, np.ndarray):
            value = np.asarray(value, dtype_of(t))
        return np.asarray(value, order="C") if t.layout == "C" else value
    return value


def from_python(out: Any, types: Sequence[Type], span: Span | None) -> tuple[Any, ...]:
    """What a `py_call` gave, as values of its declared types; arrays are copied, so that they alias nothing."""
    values = () if not types else (out,) if len(types) == 1 else tuple(out)
    if len(values) != len(types):
        raise located(TypeError(f"py_call: {len(types)} results were declared, found {len(values)}"), span)
    return tuple(_from_python(v, t, span) for v, t in zip(values, types, strict=True))


def _from_python(value: Any, t: Type, span: Span | None) -> Any:
    if isinstance(t, SumType):
        if not (isinstance(value, Record) and value.type == t):
            raise located(TypeError(f"py_call: a result was declared {t}, found {type(value).__name__}"), span)
        return value
    assert isinstance(t, Scalar | ArrayType)
    rank, dtype = (t.rank, dtype_of(t)) if isinstance(t, ArrayType) else (0, t.dtype)
    if np.ndim(value) != rank or not np.can_cast(np.result_type(value), dtype, "same_kind"):
        found = f"{np.result_type(value)} of rank {np.ndim(value)}"
        raise located(TypeError(f"py_call: a result was declared {t}, found {found}"), span)
    return np.array(value, dtype, order="C") if isinstance(t, ArrayType) else dtype.type(value)


E = TypeVar("E", bound=Exception)


def located(error: E, span: Span | None) -> E:
    """The same exception with the user's line in its message."""
    if span is None:
        return error
    said = str(error.args[0]) if error.args else ""
    shown = span.show()
    return type(error)(f"{span}: {said}" + (f"\n{shown}" if shown else ""))


def fields_of(x: Any) -> tuple[Any, ...] | None:
    """The fields of a record."""
    return x.fields if isinstance(x, Record) else None


def rebuild(values: Sequence[Any], fields: Callable[[Any], tuple[Any, ...] | None],
            make: Callable[[Any, tuple[Any, ...]], Any]) -> list[Any]:
    """Values with every record in them made anew: `fields` takes one apart (None: not a record), `make` puts the copy together.

    Shared records stay shared; depth costs no stack.
    """
    done: dict[int, Any] = {}
    stack = list(values)
    while stack:
        value = stack[-1]
        parts = None if id(value) in done else fields(value)
        waiting = [part for part in parts or () if id(part) not in done and fields(part) is not None]
        if waiting:
            stack += waiting
            continue
        stack.pop()
        if parts is not None:
            done[id(value)] = make(value, tuple(done.get(id(part), part) for part in parts))
    return [done.get(id(value), value) for value in values]
