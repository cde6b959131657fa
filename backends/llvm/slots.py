"""Values in memory as compiled code sees them (`abi.py`), from Python: for records, messages and calls back into Python.

Records cross as `Record`s. Packing and unpacking go over lists of nodes, never down the recursion of the type: a chain of a
hundred thousand nodes is as good as any.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from lms.core.primitives.record import Record
from lms.core.types import ArrayType, Scalar, SumType, Type

from .abi import NODE_FIELDS, offsets

LENT = -1  # the count of references of nodes that the caller owns

_FORMATS = {"bool": "?7x", "i8": "b7x", "i16": "h6x", "i32": "i4x", "i64": "q",
            "u8": "B7x", "u16": "H6x", "u32": "I4x", "u64": "Q", "f32": "f4x", "f64": "d", "c64": "f4xf4x", "c128": "dd"}


def _format(t: Type) -> str:
    """How `struct` reads and writes the slots of a value."""
    if isinstance(t, Scalar):
        return _FORMATS[t.name]
    if isinstance(t, ArrayType):
        return "QQ" + "q" * (t.rank * (2 if t.layout == "S" else 1))
    return "Q"


class _Shape:
    """One alternative of a sum: how its node lies in memory."""

    def __init__(self, t: SumType, tag: int) -> None:
        self.types = tuple(f for _, f in t.constructors[tag].fields)
        self.struct = struct.Struct("<qii" + "".join(map(_format, self.types)))
        self.size = NODE_FIELDS + 8 * offsets(self.types)[-1]
        self.plain = all(isinstance(f, SumType) or (isinstance(f, Scalar) and not f.is_complex) for f in self.types)


def _shapes(t: SumType) -> list[_Shape]:
    return _shapes_of(t, t.constructors)


@lru_cache(maxsize=256)
def _shapes_of(t: SumType, constructors: tuple[Any, ...]) -> list[_Shape]:
    return [_Shape(t, tag) for tag in range(len(constructors))]


def _scalar(t: Scalar, value: Any) -> tuple[Any, ...]:
    if t.is_complex:
        value = complex(value)
        return (value.real, value.imag)
    return (value,)


def _array(t: ArrayType, value: np.ndarray[Any, Any]) -> tuple[int, ...]:
    strides = tuple(s // value.itemsize for s in value.strides) if t.layout == "S" else ()
    return (0, value.ctypes.data, *value.shape, *strides)


class Packed:
    """A record in memory of ours, which lives as long as this object. `address` is its node."""

    def __init__(self, record: Record) -> None:
        found: dict[int, tuple[Record, _Shape, int]] = {}
        work, total = [record], 0
        while work:
            node = work.pop()
            if id(node) in found:
                continue
            shape = _shapes(node.type)[node.tag]
            found[id(node)] = node, shape, total
            total += shape.size
            work.extend(f for f in node.fields if isinstance(f, Record))
        self._memory = ctypes.create_string_buffer(total + 16)
        base = (ctypes.addressof(self._memory) + 15) & ~15
        shift = base - ctypes.addressof(self._memory)
        self._keep = [node for node, shape, _ in found.values() if not shape.plain]
        for node, shape, at in found.values():
            values: list[Any] = []
            for t, f in zip(shape.types, node.fields, strict=True):
                if isinstance(t, SumType):
                    values.append(base + found[id(f)][2])
                elif isinstance(t, Scalar):
                    values.extend(_scalar(t, f))
                else:
                    assert isinstance(t, ArrayType)
                    values.extend(_array(t, f))
            shape.struct.pack_into(self._memory, at + shift, LENT, node.tag, 0, *values)
        self.address = base


def unpack(t: SumType, address: int) -> Record:
    """The record whose node lies at an address, copied out. A node met twice is one `Record`."""
    found: dict[int, Record] = {}
    work = [(t, address)]
    waiting: list[tuple[Record, _Shape, tuple[Any, ...]]] = []
    while work:
        kind, at = work.pop()
        if at in found:
            continue
        tag = ctypes.c_int32.from_address(at + 8).value
        shape = _shapes(kind)[tag]
        values = shape.struct.unpack(ctypes.string_at(at, shape.size))[3:]
        found[at] = node = Record(kind, tag, ())
        waiting.append((node, shape, values))
        k = 0
        for f in shape.types:
            if isinstance(f, SumType):
                work.append((f, values[k]))
            k += _width(f)
    for node, shape, values in waiting:
        fields, k = [], 0
        for f in shape.types:
            part = values[k:k + _width(f)]
            fields.append(found[part[0]] if isinstance(f, SumType) else _value(f, part))
            k += _width(f)
        node.fields = tuple(fields)
    return found[address]


def _width(t: Type) -> int:
    """How many values `struct` makes of a type."""
    if isinstance(t, ArrayType):
        return 2 + t.rank * (2 if t.layout == "S" else 1)
    return 2 if isinstance(t, Scalar) and t.is_complex else 1


def _value(t: Type, part: Sequence[Any]) -> Any:
    """A scalar as NumPy's, an array as a copy, a record unpacked."""
    if isinstance(t, SumType):
        return unpack(t, part[0])
    if isinstance(t, Scalar):
        return t.dtype.type(complex(*part) if t.is_complex else part[0])
    assert isinstance(t, ArrayType)
    return _copied(t, part)


def _copied(t: ArrayType, part: Sequence[int]) -> Any:
    data, shape = part[1], tuple(part[2:2 + t.rank])
    if isinstance(t.dtype, SumType):
        nodes = _copied_memory(np.dtype(np.uint64), data, shape, part[2 + t.rank:])
        out = np.empty(shape, object)
        for index in np.ndindex(shape):
            out[index] = unpack(t.dtype, int(nodes[index])) if nodes[index] else None
        return out
    return _copied_memory(t.dtype.dtype, data, shape, part[2 + t.rank:])


def _copied_memory(dtype: np.dtype[Any], data: int, shape: tuple[int, ...], steps: Sequence[int]) -> Any:
    if 0 in shape:
        return np.empty(shape, dtype)
    strides = [s * dtype.itemsize for s in steps] or list(np.empty((0, *shape[1:]), dtype).strides or [dtype.itemsize])
    if not steps:
        strides, size = [], dtype.itemsize
        for n in reversed(shape):
            strides.insert(0, size)
            size *= n
    low = data + sum(min(0, (n - 1) * s) for n, s in zip(shape, strides, strict=True))
    high = data + sum(max(0, (n - 1) * s) for n, s in zip(shape, strides, strict=True)) + dtype.itemsize
    memory = memoryview((ctypes.c_char * (high - low)).from_address(low))
    return np.ndarray(shape, dtype, memory, data - low, strides).copy(order="C")


def read(types: Sequence[Type], address: int) -> list[Any]:
    """The values whose slots lie in a row at an address, copied out."""
    layout = struct.Struct("<" + "".join(map(_format, types)))
    parts = layout.unpack(ctypes.string_at(address, layout.size))
    out, k = [], 0
    for t in types:
        out.append(_value(t, parts[k:k + _width(t)]))
        k += _width(t)
    return out


def write(types: Sequence[Type], values: Sequence[Any], address: int) -> list[Any]:
    """Put values into slots in a row at an address; what is returned must live as long as they are used."""
    layout = struct.Struct("<" + "".join(map(_format, types)))
    parts: list[Any] = []
    keep: list[Any] = []
    for t, value in zip(types, values, strict=True):
        if isinstance(t, SumType):
            keep.append(packed := Packed(value))
            parts.append(packed.address)
        elif isinstance(t, ArrayType):
            keep.append(value)
            parts.extend(_array(t, value))
        else:
            assert isinstance(t, Scalar)
            parts.extend(_scalar(t, value))
    memory = (ctypes.c_char * layout.size).from_address(address)
    layout.pack_into(memory, 0, *parts)
    return keep
