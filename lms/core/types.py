"""The types of the next stage: scalars, arrays with dimensions, sums of records, functions.

A dimension (`Size`) is an `int` where it is known now, else a `Dim`: an affine expression of named symbols
such as `n` or `2*n+1`. One compiled program serves all values of a symbol.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Literal

import numpy as np

from .data import dataclass, field

# ---------------------------------------------------------------------------------------------- scalars


@dataclass(frozen=True, slots=True)
class Scalar:
    """A machine number: its name, its kind (`b` bool, `i` signed, `u` unsigned, `f` float, `c` complex), its width."""

    name: str
    kind: Literal["b", "i", "u", "f", "c"]
    bits: int

    def __str__(self) -> str:
        return self.name

    @property
    def dtype(self) -> np.dtype[np.generic]:
        return _DTYPES[self.name]

    @property
    def is_float(self) -> bool:
        return self.kind == "f"

    @property
    def is_complex(self) -> bool:
        return self.kind == "c"

    @property
    def is_int(self) -> bool:
        """A signed or unsigned integer; `bool` is not one."""
        return self.kind in "iu"

    @property
    def real(self) -> Scalar:
        """The type of the real part: `f64` for `c128`, itself otherwise."""
        return SCALARS[f"f{self.bits // 2}"] if self.kind == "c" else self


bool_ = Scalar("bool", "b", 8)
i8, i16, i32, i64 = (Scalar(f"i{b}", "i", b) for b in (8, 16, 32, 64))
u8, u16, u32, u64 = (Scalar(f"u{b}", "u", b) for b in (8, 16, 32, 64))
f32, f64 = (Scalar(f"f{b}", "f", b) for b in (32, 64))
c64, c128 = (Scalar(f"c{b}", "c", b) for b in (64, 128))

SCALARS: dict[str, Scalar] = {s.name: s for s in (bool_, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, c64, c128)}


_DTYPES: dict[str, np.dtype[np.generic]] = {
    name: np.dtype("bool" if s.kind == "b" else f"{s.kind}{s.bits // 8}") for name, s in SCALARS.items()}


def scalar_of(dtype: object) -> Scalar:
    """The scalar type of a NumPy dtype, native byte order. Raises `KeyError` for the rest (objects, strings, float16)."""
    d = np.dtype(dtype)  # type: ignore[call-overload]  # anything NumPy accepts as a dtype is accepted here
    if d.kind == "b":
        return bool_
    return SCALARS[f"{d.kind}{8 * d.itemsize}"]


# ------------------------------------------------------------------------------------------- dimensions


@dataclass(frozen=True, slots=True)
class Dim:
    """An affine expression of symbols, `const + sum(coefficient * symbol)`, with at least one symbol."""

    const: int
    terms: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        text = ""
        for symbol, k in self.terms:
            sign = "-" if k < 0 else "+" if text else ""
            text += f"{sign}{'' if abs(k) == 1 else f'{abs(k)}*'}{symbol}"
        return text + (f"{self.const:+d}" if self.const else "")

    def __add__(self, other: Size) -> Size:
        return affine([(1, self), (1, other)])

    def __radd__(self, other: int) -> Size:
        return affine([(1, self), (1, other)])

    def __sub__(self, other: Size) -> Size:
        return affine([(1, self), (-1, other)])

    def __rsub__(self, other: int) -> Size:
        return affine([(-1, self), (1, other)])

    def __mul__(self, k: int) -> Size:
        return affine([(k, self)])

    __rmul__ = __mul__

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(symbol for symbol, _ in self.terms)


Size = int | Dim


def affine(parts: Iterable[tuple[int, Size]]) -> Size:
    """The sum of `coefficient * size`, normalised: an `int` when no symbol is left."""
    const, terms = 0, dict[str, int]()
    for k, size in parts:
        if isinstance(size, int):
            const += k * size
        else:
            const += k * size.const
            for symbol, c in size.terms:
                terms[symbol] = terms.get(symbol, 0) + k * c
    left = tuple(sorted((s, c) for s, c in terms.items() if c))
    return Dim(const, left) if left else const


def symbol(name: str) -> Dim:
    """The dimension called `name`."""
    return Dim(0, ((name, 1),))


_fresh = itertools.count()


def fresh_symbol(hint: str = "d") -> Dim:
    """A dimension that equals no other until a check says so."""
    return symbol(f"{hint}${next(_fresh)}")


# ------------------------------------------------------------------------------------ arrays and records


@dataclass(frozen=True, slots=True)
class ArrayType:
    """A handle to elements in memory: dtype, dimensions, and layout class.

    `C` is row-major without gaps; `S` has a stride for every axis. Elements are scalars, or references to
    sum nodes (an array of records, as the environments of reversed loops need).
    """

    dtype: Scalar | SumType
    dims: tuple[Size, ...]
    layout: Literal["C", "S"] = "C"

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.dims))}]" + ("'" if self.layout == "S" else "")

    @property
    def rank(self) -> int:
        return len(self.dims)


@dataclass(frozen=True, slots=True)
class Constructor:
    """One alternative of a sum: a name and its fields in order."""

    name: str
    fields: tuple[tuple[str, Type], ...]


@dataclass(eq=False, slots=True)
class SumType:
    """A (recursive) sum of records, by reference. Nominal: two sums are equal when their names are.

    `constructors` is filled in after the type is made, so that fields may name the type itself. Records are immutable.
    """

    name: str
    constructors: tuple[Constructor, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SumType) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


@dataclass(frozen=True, slots=True)
class FunctionType:
    """The signature of a function: parameters and results."""

    params: tuple[Type, ...]
    results: tuple[Type, ...]

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.params))}) -> ({', '.join(map(str, self.results))})"


Type = Scalar | ArrayType | SumType | FunctionType


# -------------------------------------------------------------------------------------------- questions


def is_array(t: Type) -> bool:
    return isinstance(t, ArrayType)


def element(t: Type) -> Scalar:
    """The scalar a scalar or array type is made of. Raises `TypeError` for sums, functions and arrays of records."""
    if isinstance(t, Scalar):
        return t
    if isinstance(t, ArrayType) and isinstance(t.dtype, Scalar):
        return t.dtype
    raise TypeError(f"{t} has no scalar elements")


def with_element(t: Type, dtype: Scalar) -> Type:
    """The same shape (as a fresh, row-major array) with other elements."""
    return ArrayType(dtype, t.dims) if isinstance(t, ArrayType) else dtype


def is_differentiable(t: Type) -> bool:
    """Whether values of the type can carry a cotangent: floats, complex numbers, arrays of them, and sums that hold any."""
    if isinstance(t, Scalar):
        return t.is_float or t.is_complex
    if isinstance(t, ArrayType):
        return is_differentiable(t.dtype)
    return isinstance(t, SumType) and _holds_float(t, set())


def _holds_float(t: SumType, seen: set[str]) -> bool:
    seen.add(t.name)
    for constructor in t.constructors:
        for _, f in constructor.fields:
            inner = f.dtype if isinstance(f, ArrayType) else f
            if isinstance(inner, SumType):
                if inner.name not in seen and _holds_float(inner, seen):
                    return True
            elif is_differentiable(inner):
                return True
    return False
