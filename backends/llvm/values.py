"""Values of a program as LLVM values: one for a scalar or record, two for a complex number, several for an array handle."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from lms.core.data import dataclass
from lms.core.types import ArrayType, Scalar, SumType, Type


@dataclass(frozen=True, slots=True)
class Complex:
    """Real and imaginary part."""

    re: str
    im: str


@dataclass(frozen=True, slots=True)
class Array:
    """A handle: the block that owns the memory (or null), the first element, sizes, and strides (in elements) for layout `S`."""

    owner: str
    data: str
    dims: tuple[str, ...]
    strides: tuple[str, ...] | None = None


V = str | Complex | Array

# ------------------------------------------------------------------------------------------------ types


def llvm_type(t: Scalar) -> str:
    """The type of a scalar in a register; of a complex number, of each of its parts."""
    if t.kind == "b":
        return "i1"
    if t.is_int:
        return f"i{t.bits}"
    return "double" if t.real.bits == 64 else "float"


def memory_type(t: Scalar | SumType) -> str:
    """The type of an element in memory."""
    if isinstance(t, SumType):
        return "ptr"
    if t.is_complex:
        return f"{{ {llvm_type(t)}, {llvm_type(t)} }}"
    return "i8" if t.kind == "b" else llvm_type(t)


def item_size(t: Scalar | SumType) -> int:
    return t.bits // 8 if isinstance(t, Scalar) else 8


def parts(t: Type) -> list[str]:
    """The types of the registers a value takes: static sizes take none."""
    if isinstance(t, Scalar):
        return [llvm_type(t)] * (2 if t.is_complex else 1)
    if isinstance(t, ArrayType):
        dynamic = sum(not isinstance(d, int) for d in t.dims)
        return ["ptr", "ptr"] + ["i64"] * (dynamic + (t.rank if t.layout == "S" else 0))
    if isinstance(t, SumType):
        return ["ptr"]
    raise TypeError(f"no registers hold a value of type {t}")


def pack(v: V, t: Type) -> list[str]:
    """The registers of a value, in the order of `parts`."""
    if isinstance(v, Complex):
        return [v.re, v.im]
    if isinstance(v, Array):
        assert isinstance(t, ArrayType)
        dynamic = [size for size, d in zip(v.dims, t.dims, strict=True) if not isinstance(d, int)]
        return [v.owner, v.data, *dynamic, *(v.strides or ())]
    return [v]


def unpack(t: Type, registers: Iterator[str]) -> V:
    """A value from as many registers as its type takes."""
    if isinstance(t, Scalar):
        return Complex(next(registers), next(registers)) if t.is_complex else next(registers)
    if isinstance(t, ArrayType):
        owner, data = next(registers), next(registers)
        dims = tuple(str(d) if isinstance(d, int) else next(registers) for d in t.dims)
        return Array(owner, data, dims, tuple(next(registers) for _ in dims) if t.layout == "S" else None)
    return next(registers)


# -------------------------------------------------------------------------------------------- constants


def literal(value: object, t: Scalar) -> V:
    """A constant of a scalar type, exact."""
    if t.is_complex:
        z = complex(value)  # type: ignore[call-overload]  # a complex constant's value is a number
        return Complex(float_literal(z.real, t.real), float_literal(z.imag, t.real))
    if t.is_float:
        return float_literal(float(value), t)  # type: ignore[arg-type]  # a float constant's value is a number
    if t.kind == "b":
        return "true" if value else "false"
    return str(int(value))  # type: ignore[call-overload]  # an int constant's value is a number


def float_literal(value: float, t: Scalar) -> str:
    """A float constant, exact: LLVM reads the bits of a double whatever the width."""
    if t.bits == 32:
        try:
            value = struct.unpack("f", struct.pack("f", value))[0]
        except OverflowError:
            value = float("inf") if value > 0 else float("-inf")
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"
