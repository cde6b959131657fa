"""Primitives of records: sums of immutable records, by reference."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import StagingTypeError
from ..types import ArrayType, SumType, Type, i64
from .scalar import arity
from .table import Attrs, Primitive, row


class Record:
    """A sum node in the interpreter: its type, which alternative it is, its fields."""

    __slots__ = ("fields", "tag", "type")

    def __init__(self, type: SumType, tag: int, fields: tuple[Any, ...]) -> None:
        self.type, self.tag, self.fields = type, tag, fields

    def __repr__(self) -> str:
        return f"{self.type.constructors[self.tag].name}(...)"


def _sum(t: Type) -> SumType:
    if not isinstance(t, SumType):
        raise StagingTypeError(f"expected a record, found {t}")
    return t


def fits(t: Type, expected: Type) -> bool:
    """Whether a value of type `t` can stand where `expected` is stated: for arrays, dimensions are looked up at run time."""
    if isinstance(t, ArrayType) and isinstance(expected, ArrayType):
        return t.dtype == expected.dtype and t.rank == expected.rank and (t.layout == "C" or expected.layout == "S")
    return t == expected


def _construct(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    """Attributes: `type`, `tag`. Array fields of a sum are stated with dimensions of their own."""
    c = _sum(attrs["type"]).constructors[attrs["tag"]]
    arity(len(c.fields), types)
    for (name, expected), t in zip(c.fields, types, strict=True):
        if not fits(t, expected):
            raise StagingTypeError(f"field {name!r} of {c.name} is {expected}, found {t}")
    return (attrs["type"],)


def _tag(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    arity(1, types)
    _sum(types[0])
    return (i64,)


def _project(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    """Attributes: `tag`, `field`; `dims` for an array field, fresh symbols where the field's own are symbolic."""
    arity(1, types)
    t = _sum(types[0]).constructors[attrs["tag"]].fields[attrs["field"]][1]
    return (ArrayType(t.dtype, tuple(attrs["dims"]), t.layout) if isinstance(t, ArrayType) else t,)


def _project_eager(x: Record, tag: int, field: int, dims: Any = None) -> Any:
    return x.fields[field]


construct = row(Primitive("construct", _construct, lambda *f, type, tag: Record(type, tag, f), lowered=True))
tag = row(Primitive("tag", _tag, lambda x: np.int64(x.tag), lowered=True))
project = row(Primitive("project", _project, _project_eager, lowered=True))
