"""What a staged function returns: any container of staged values, numbers, and values known now."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lms.core.builder import current
from lms.core.errors import LeakError, StagingTypeError, here
from lms.core.ir import Value
from lms.core.types import ArrayType, Scalar, SumType, scalar_of

from . import trees
from .annotations import Annotation, staged_type
from .arguments import NOTHING, Later, Now, class_hints, trees_path
from .joins import describe, scalar_like
from .reach import reaches
from .records import record_type
from .rep import Rep, lift_value


def declared(annotation: Any) -> Any:
    """The specification that a result's annotation states, None where it leaves the types open."""
    if isinstance(annotation, Annotation):
        annotation = annotation.type
    t = staged_type(annotation) if annotation is not NOTHING else None
    if isinstance(t, Scalar | ArrayType | SumType):
        return Later(t)
    if annotation is type(None) or (annotation is None):
        return Now(type(None), None)
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return declared(args[0])
    if (sum_type := record_type(annotation)) is not None:
        return Later(sum_type)
    if origin is tuple and args and args[-1] is not ...:
        return trees.Tree(tuple, tuple(range(len(args))), tuple(map(declared, args)))
    if isinstance(annotation, type) and (dataclasses.is_dataclass(annotation) or hasattr(annotation, "_fields")):
        hints = class_hints(annotation)
        names: tuple[str, ...] = tuple(hints) if dataclasses.is_dataclass(annotation) else annotation._fields
        return trees.Tree(annotation, names, tuple(declared(hints.get(k, NOTHING)) for k in names))
    if isinstance(annotation, type) and issubclass(annotation, np.generic):
        try:
            return Later(scalar_of(annotation))
        except (KeyError, TypeError):
            return None
    if origin in (types.UnionType, typing.Union):
        return None
    return None


def complete(spec: Any) -> bool:
    """Whether a specification leaves nothing open."""
    return isinstance(spec, Later | Now) or (isinstance(spec, trees.Tree) and all(map(complete, spec.parts)))


def collect(out: Any, wanted: Any, name: str) -> tuple[list[Value], Any]:
    """The staged leaves of a result, and the specification that rebuilds it.

    Literals take the declared types. Raises `StagingTypeError` where a typed value is not of the declared type.
    """
    values: list[Value] = []

    def visit(x: Any, d: Any, path: str) -> Any:
        if isinstance(d, Later):
            values.append(as_declared(x, d, path, name))
            return Later(values[-1].type)
        _finished(x, path, name)
        found = trees.children(x)
        if found is not None:
            cls, keys, parts, extra = found
            known = isinstance(d, trees.Tree) and len(d.parts) == len(parts)
            inner: Sequence[Any] = d.parts if known else [None] * len(parts)
            specs = [visit(v, e, trees_path(path, cls, k)) for k, v, e in zip(keys, parts, inner, strict=True)]
            return trees.Tree(cls, keys, tuple(specs), extra)
        if isinstance(x, Rep | np.ndarray) or scalar_like(x) is not None:
            values.append(lift_value(x))
            return Later(values[-1].type)
        if reaches(x):
            raise LeakError(f"{path} of {name} is {describe(x)} that holds a staged value, which ends with the call", here(),
                            fix="return the value itself")
        return Now(type(x), x)

    spec = visit(out, wanted, "the result")
    for v in values:
        current().see(v)
    return values, spec


def _finished(x: Any, path: str, name: str) -> None:
    """Refuse what stands for a text or an iterator of later: nothing outside knows what it is."""
    from .control.iterables import Later as Iterated
    from .control.messages import Template

    if isinstance(x, Template):
        raise LeakError(f"{path} of {name} is a text that holds numbers of later, and texts are made now", here(),
                        fix="return the numbers, and make the text of them outside; `print` of it works inside")
    if isinstance(x, Iterated):
        raise LeakError(f"{path} of {name} is an iterator over something of later, which ends with the call", here(),
                        fix="return an array: `np.array([f(v) for v in xs])`")


def as_declared(x: Any, d: Later, path: str, name: str) -> Value:
    """One leaf of a result, of its declared type."""
    t = d.type
    if isinstance(t, SumType):
        return lift_value(x, t)
    found = scalar_like(x)
    rank = getattr(x, "ndim", 0)
    if found is None or (rank != t.rank if isinstance(t, ArrayType) else rank != 0):
        raise StagingTypeError(f"{path} of {name} is declared {t}, found {describe(x)}", here())
    element = t.dtype if isinstance(t, ArrayType) else t
    v = lift_value(x, element if isinstance(t, Scalar) and not (isinstance(x, Rep) and not x.adapts) else None)
    if (v.type.dtype if isinstance(v.type, ArrayType) else v.type) != element:
        raise StagingTypeError(f"{path} of {name} is declared {t}, found {describe(x)}", here(),
                               fix=f"convert it: `.astype(\"{element}\")`, or change the annotation")
    return v


def rebuild(spec: Any, leaves: Iterator[Any]) -> Any:
    """The result, with the next of `leaves` for each staged leaf."""
    if isinstance(spec, Later):
        return next(leaves)
    if isinstance(spec, Now):
        return spec.value
    return trees.rebuild(spec.cls, spec.keys, [rebuild(part, leaves) for part in spec.parts], spec.extra)


def leaf_types(spec: Any) -> list[Any]:
    """The types of the staged leaves of a specification, in order."""
    if isinstance(spec, Later):
        return [spec.type]
    return [] if isinstance(spec, Now) else [t for part in spec.parts for t in leaf_types(part)]
