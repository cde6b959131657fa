"""Values in memory as compiled code sees them (`abi.py`), from Python: for records, messages and calls back into Python.

Records cross as `Record`s. Packing and unpacking go over lists of nodes, never down the recursion of the type: a chain of a
hundred thousand nodes is as good as any.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from lms.core.primitives.record import Record
from lms.core.types import ArrayType, Scalar, SumType, Type

from .abi import NODE_FIELDS, offsets

_MEMORY = memoryview((ctypes.c_ubyte * (1 << 62)).from_address(0)).cast("B")  # so that an address is an index
_TAG = struct.Struct("<i")
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
        self.records: list[tuple[int, int, SumType]] = []  # fields that are records: which, where among the values, of what type
        self.others: list[tuple[int, int, int, Type]] = []  # the rest: which, from where to where among the values, of what type
        k = 0
        for i, f in enumerate(self.types):
            if isinstance(f, SumType):
                self.records.append((i, k, f))
            else:
                self.others.append((i, k, k + _width(f), f))
            k += _width(f)
        self.plain = all(isinstance(f, SumType) or (isinstance(f, Scalar) and not f.is_complex) for f in self.types)


class _Shapes(dict[str, list[_Shape]]):
    """The shapes of the sums that one record is made of, by the sum's name."""

    def of(self, t: SumType) -> list[_Shape]:
        found = self.get(t.name)
        if found is None:
            found = self[t.name] = [_Shape(t, tag) for tag in range(len(t.constructors))]
        return found


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
        shapes = _Shapes()
        places: dict[int, int] = {}
        nodes: list[tuple[Record, _Shape]] = []
        work, total = [record], 0
        while work:
            node = work.pop()
            if id(node) in places:
                continue
            shape = shapes.of(node.type)[node.tag]
            places[id(node)] = total
            nodes.append((node, shape))
            total += shape.size
            for i, _, _ in shape.records:
                work.append(node.fields[i])
        self._memory = ctypes.create_string_buffer(total + 16)
        base = (ctypes.addressof(self._memory) + 15) & ~15
        memory, at = memoryview(self._memory), base - ctypes.addressof(self._memory)
        self._keep = [node for node, shape in nodes if not shape.plain]  # their arrays are lent
        for node, shape in nodes:
            values: list[Any] = []
            for t, f in zip(shape.types, node.fields, strict=True):
                if isinstance(t, SumType):
                    values.append(base + places[id(f)])
                elif isinstance(t, ArrayType):
                    values += _array(t, f)
                else:
                    assert isinstance(t, Scalar)
                    values += _scalar(t, f)
            shape.struct.pack_into(memory, at, LENT, node.tag, 0, *values)
            at += shape.size
        self.address = base


def unpack(t: SumType, address: int) -> Record:
    """The record whose node lies at an address, copied out. A node met twice is one `Record`."""
    shapes = _Shapes()
    found: dict[int, Record] = {}
    waiting: list[tuple[Record, _Shape, tuple[Any, ...]]] = []
    work = [(t, address)]
    while work:
        kind, at = work.pop()
        if at in found:
            continue
        (tag,) = _TAG.unpack_from(_MEMORY, at + 8)
        shape = shapes.of(kind)[tag]
        values = shape.struct.unpack_from(_MEMORY, at)[3:]
        found[at] = node = Record(kind, tag, ())
        waiting.append((node, shape, values))
        for _, k, inner in shape.records:
            work.append((inner, values[k]))
    for node, shape, values in waiting:
        fields: list[Any] = [None] * len(shape.types)
        for i, k, _ in shape.records:
            fields[i] = found[values[k]]
        for i, low, high, f in shape.others:
            fields[i] = _value(f, values[low:high])
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
    parts = layout.unpack_from(_MEMORY, address)
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
    layout.pack_into(_MEMORY, address, *parts)
    return keep
