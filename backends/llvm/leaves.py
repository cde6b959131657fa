"""The slow path of a call: what arguments become, or why they cannot.

The entry takes exact types only. Here an `int` becomes a `float` where one is asked for, an array that lies awkwardly is
copied (and copied back if it is written to), a record is packed; and what does not fit is explained by the parameter's name.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from lms.core.data import dataclass, field
from lms.core.errors import ShapeError, StagingTypeError
from lms.core.ir import Function
from lms.core.primitives.record import Record
from lms.core.types import ArrayType, Dim, Scalar, Size, SumType, Type

from .dims import Bind, equations
from .entry import capsule_name
from .slots import Packed

_capsule = ctypes.pythonapi.PyCapsule_New
_capsule.restype, _capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


@dataclass(slots=True)
class Arguments:
    """Arguments that the entry takes. `back` are the copies to be copied back: (copy, original)."""

    values: list[Any]
    back: list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]] = field(default_factory=list)
    keep: list[Any] = field(default_factory=list)

    def finish(self) -> None:
        """Give the caller's arrays what was written to their copies."""
        for copy, original in self.back:
            original[...] = copy

    def original(self, result: Any) -> Any:
        """The caller's own array where a result is the copy of one."""
        return next((original for copy, original in self.back if copy is result), result)


class Parameters:
    """The parameters of a function, with their names."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.types = tuple(v.type for v in function.body.params)
        self.equations = equations(self.types)
        self._names = [v.name for v in function.body.params]
        self._capsule_names = [capsule_name(t).encode() if isinstance(t, SumType) else b"" for t in self.types]

    def name(self, k: int) -> str:
        """The parameter in an error message."""
        return f"argument {self._names[k] or k} of {self.function.name}"

    def convert(self, args: Sequence[Any], capsules: bool = True) -> Arguments:
        """Arguments the entry takes, records packed into capsules.

        Raises `StagingTypeError` (a `TypeError`) for a wrong number, type, dtype or rank, `OverflowError` for an int that
        does not fit, `ShapeError` (a `ValueError`) for sizes that disagree, and `ValueError` for memory that cannot be
        written or that overlaps.
        """
        if len(args) != len(self.types):
            raise self._wrong(f"{self.function.name} takes {len(self.types)} arguments, found {len(args)}")
        out = Arguments([])
        for k, (t, arg) in enumerate(zip(self.types, args, strict=True)):
            value = self._one(k, t, arg, out)
            out.values.append(self._capsule(k, value, out) if capsules and isinstance(value, Record) else value)
        self._check_sizes(out.values)
        self._check_overlap(args)
        return out

    def _wrong(self, message: str, fix: str = "") -> StagingTypeError:
        return StagingTypeError(message, self.function.span, fix=fix)

    # ---------------------------------------------------------------------------------------- each

    def _one(self, k: int, t: Type, arg: Any, out: Arguments) -> Any:
        if isinstance(t, Scalar):
            return self._scalar(k, t, arg)
        if isinstance(t, ArrayType):
            return self._array(k, t, arg, out)
        if isinstance(t, SumType) and isinstance(arg, Record) and arg.type == t:
            return arg
        raise self._wrong(f"{self.name(k)} is {t}, found {_describe(arg)}")

    def _capsule(self, k: int, record: Record, out: Arguments) -> object:
        packed = Packed(record)
        out.keep.append(packed)
        return _capsule(packed.address, self._capsule_names[k], None)

    def _scalar(self, k: int, t: Scalar, arg: Any) -> Any:
        if isinstance(arg, np.ndarray) and arg.ndim == 0:
            arg = arg[()]
        fits = isinstance(arg, bool | int | float | complex | np.generic) and np.ndim(arg) == 0 and (
            np.can_cast(np.result_type(arg), t.dtype, "same_kind") or (type(arg) is int and t.kind != "b"))
        if not fits:
            fix = f"convert it: {'int' if t.is_int else 'float'}(...)" if isinstance(arg, str | np.ndarray) else ""
            raise self._wrong(f"{self.name(k)} is {t}, found {_describe(arg)}", fix)
        if t.is_int:
            n = int(arg)
            low = -(1 << (t.bits - 1)) if t.kind == "i" else 0
            if not low <= n < low + (1 << t.bits):
                raise OverflowError(f"{self.name(k)} is {t}: {n} does not fit")
            return n if t.name == "i64" else t.dtype.type(n)
        if t.kind == "b":
            return bool(arg)
        try:
            return float(arg) if t.name == "f64" else t.dtype.type(arg)
        except OverflowError:
            raise OverflowError(f"{self.name(k)} is {t}: an int of {int(arg).bit_length()} bits does not fit") from None

    def _array(self, k: int, t: ArrayType, arg: Any, out: Arguments) -> Any:
        name, written = self.name(k), k in self.function.mut
        assert isinstance(t.dtype, Scalar)
        dtype = t.dtype.dtype
        if not isinstance(arg, np.ndarray):
            raise self._wrong(f"{name} is {t}, found {_describe(arg)}", f"pass an array: np.asarray(..., np.{dtype.name})")
        if arg.dtype.newbyteorder("=") != dtype:
            raise self._wrong(f"{name} is {t}, found an array of {arg.dtype}",
                              f"pass {self._names[k] or 'it'}.astype(np.{dtype.name})")
        if arg.ndim != t.rank:
            raise self._wrong(f"{name} is {t}, of rank {t.rank}; found an array of rank {arg.ndim}, shape {arg.shape}")
        if written and not arg.flags.writeable:
            raise ShapeError(f"{name} is written to, and the array is read-only", self.function.span, fix="pass a copy")
        plain: np.ndarray[Any, Any] = arg.view(np.ndarray) if type(arg) is not np.ndarray else arg
        if plain.dtype.isnative and plain.dtype.num != dtype.num:
            plain = plain.view(dtype)  # another C name of the same number
        fits = plain.flags.aligned and plain.dtype.isnative and (
            plain.flags.c_contiguous if t.layout == "C" else all(s % plain.itemsize == 0 for s in plain.strides))
        if fits:
            if written and plain is not arg:
                out.back.append((plain, arg))  # the same memory; the caller gets back the object that came
            return plain
        copy = np.array(plain, dtype, order="C")
        if written:
            out.back.append((copy, arg))
        return copy

    # -------------------------------------------------------------------------------------- together

    def _check_sizes(self, values: Sequence[Any]) -> None:
        bound: dict[str, tuple[int, str]] = {}
        for e in self.equations:
            found = int(values[e.param].shape[e.axis])
            where = f"axis {e.axis} of {self.name(e.param)}"
            if isinstance(e, Bind):
                value, left = divmod(found - _value(e.rest, bound), e.scale)
                if left or value < 0:
                    raise ShapeError(f"{where} has size {found}, which no `{e.symbol}` makes "
                                     f"{self._size(e.param, e.axis)}", self.function.span)
                bound[e.symbol] = value, where
                continue
            expected = _value(e.size, bound)
            if found != expected:
                said = "" if not isinstance(e.size, Dim) else "".join(
                    f", since {bound[s][1]} makes {s} {bound[s][0]}" for s in e.size.symbols)
                shown = f" = {expected}" if isinstance(e.size, Dim) else ""
                raise ShapeError(f"{where} has size {found}; expected {e.size}{shown}{said}", self.function.span)

    def _size(self, k: int, axis: int) -> Size:
        t = self.types[k]
        assert isinstance(t, ArrayType)
        return t.dims[axis]

    def _check_overlap(self, args: Sequence[Any]) -> None:
        arrays = [(k, a) for k, a in enumerate(args) if isinstance(a, np.ndarray)]
        for m in sorted(self.function.mut):
            for k, a in arrays:
                if k != m and isinstance(args[m], np.ndarray) and np.may_share_memory(args[m], a):
                    raise ShapeError(f"{self.name(m)} is written to, and its memory overlaps that of {self.name(k)}",
                                     self.function.span, fix="pass a copy of one of them")


def _value(size: Size, bound: dict[str, tuple[int, str]]) -> int:
    return size if isinstance(size, int) else size.const + sum(c * bound[s][0] for s, c in size.terms)


def _describe(arg: Any) -> str:
    if isinstance(arg, np.ndarray):
        return f"an array of {arg.dtype}, shape {arg.shape}"
    name = type(arg).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
