"""Records: dataclasses, and unions of them, as sum types; their objects as nodes, both ways, without recursion."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.errors import StagingError, StagingTypeError, here
from lms.core.ir import Value
from lms.core.primitives.record import Record
from lms.core.types import ArrayType, Constructor, Dim, Scalar, SumType, Type, bool_, c128, f64, fresh_symbol, i64, scalar_of

from .annotations import Annotation
from .arguments import NOTHING, class_hints
from .joins import describe
from .rep import Rep, lift_value

_types: dict[tuple[type, ...], SumType] = {}
_classes: dict[str, tuple[type, ...]] = {}
_NUMBERS: dict[Any, Scalar] = {float: f64, int: i64, bool: bool_, complex: c128}


# ---------------------------------------------------------------------------------------- classes as types


def record_type(annotation: Any) -> SumType | None:
    """The sum type of a union of dataclasses, or of a dataclass that holds itself; None for anything else."""
    if isinstance(annotation, SumType):
        return annotation
    members = _members(annotation)
    if members is None or (len(members) == 1 and not _recursive(members[0])):
        return None
    return _sum_type(members)


def classes_of(t: SumType) -> tuple[type, ...]:
    """The Python classes of the alternatives, in order of their tags. `NoneType` stands for `None`."""
    try:
        return _classes[t.name]
    except KeyError:
        raise StagingTypeError(f"{t} has no Python classes", here()) from None


def free_name(name: str, classes: tuple[type, ...]) -> str:
    """A name for a sum type that no other has, made known as the one of these classes."""
    free, k = name, 1
    while free in _classes:
        k += 1
        free = f"{name}_{k}"
    _classes[free] = classes
    return free


def _members(annotation: Any) -> tuple[type, ...] | None:
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return (annotation,)
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        args = typing.get_args(annotation)
        classes = [a for a in args if a is not type(None)]
        if classes and all(isinstance(a, type) and dataclasses.is_dataclass(a) for a in classes):
            return (*classes, *[type(None)] * (len(args) - len(classes)))
    return None


def _recursive(cls: type) -> bool:
    """Whether an object of the class can hold another one."""
    seen: set[type] = set()
    work = [cls]
    while work:
        for annotation in class_hints(work.pop()).values():
            for member in _members(annotation.type if isinstance(annotation, Annotation) else annotation) or ():
                if member is cls:
                    return True
                if member not in seen and member is not type(None):
                    seen.add(member)
                    work.append(member)
    return False


def _sum_type(members: tuple[type, ...]) -> SumType:
    if members in _types:
        return _types[members]
    name = free_name("_or_".join(m.__name__ for m in members), members)
    t = _types[members] = SumType(name)
    try:
        t.constructors = tuple(Constructor(m.__name__, tuple(_fields(m))) for m in members)
    except StagingError:
        del _types[members], _classes[name]
        raise
    return t


def _fields(cls: type) -> Iterator[tuple[str, Type]]:
    if cls is type(None):
        return
    hints = class_hints(cls)
    for f in dataclasses.fields(cls):
        yield f.name, _field_type(cls, f.name, hints.get(f.name, NOTHING))


def _field_type(cls: type, name: str, annotation: Any) -> Type:
    if isinstance(annotation, Annotation):
        annotation = annotation.type
    if isinstance(annotation, Scalar | SumType):
        return annotation
    if isinstance(annotation, ArrayType):
        return annotation
    if annotation in _NUMBERS:
        return _NUMBERS[annotation]
    if isinstance(annotation, type) and issubclass(annotation, np.generic):
        return scalar_of(annotation)
    if (members := _members(annotation)) is not None:
        return _sum_type(members)
    shown = getattr(annotation, "__name__", annotation)
    raise StagingTypeError(f"field {name!r} of {cls.__name__} cannot be staged: it is annotated {shown}", here(),
                           fix="use a number type, `Array[f64, \"n\"]`, or a dataclass")


# --------------------------------------------------------------------------------------- objects as nodes


def to_record(x: Any, t: SumType, path: str = "the argument") -> Record:
    """A Python object as nodes, iteratively; an object met twice is converted once.

    Raises `StagingTypeError` for an object of another class, and `StagingError` for one that holds itself.
    """
    if isinstance(x, Record):
        return x
    done: dict[tuple[int, str], Record] = {}
    entered: set[tuple[int, str]] = set()
    work: list[tuple[Any, SumType, bool]] = [(x, t, False)]
    while work:
        item, kind, parts_done = work.pop()
        key = id(item), kind.name
        if key in done:
            continue
        tag = tag_of_class(type(item), kind, item, path)
        fields = kind.constructors[tag].fields
        if parts_done:
            done[key] = Record(kind, tag, tuple(_field_value(getattr(item, name), ft, name, item, done) for name, ft in fields))
            continue
        entered.add(key)
        work.append((item, kind, True))
        for name, ft in reversed(fields):
            if isinstance(ft, SumType):
                part = getattr(item, name)
                if (id(part), ft.name) in entered and (id(part), ft.name) not in done:
                    raise StagingError(f"{path} holds a cycle: a {type(part).__name__} contains itself", here(),
                                       fix="records are trees: break the cycle")
                work.append((part, ft, False))
    return done[id(x), t.name]


def tag_of_class(cls: type, t: SumType, item: Any, path: str) -> int:
    """Which alternative a class is. Raises `StagingTypeError` when it is none."""
    for k, member in enumerate(classes_of(t)):
        if issubclass(cls, member):
            return k
    names = " or ".join(m.__name__ for m in classes_of(t))
    same = any(cls.__name__ == member.__name__ for member in classes_of(t))
    raise StagingTypeError(f"{path} holds {describe(item)} where {names} is expected", here(),
                           fix="it was made by another class of that name: make it by the one that is meant" if same else "")


def _field_value(x: Any, t: Type, name: str, owner: Any, done: Mapping[tuple[int, str], Record]) -> Any:
    if isinstance(t, SumType):
        return done[id(x), t.name]
    where = f"field {name!r} of {type(owner).__name__}"
    if isinstance(t, ArrayType):
        if not isinstance(x, np.ndarray) or x.ndim != t.rank or not isinstance(t.dtype, Scalar) or x.dtype != t.dtype.dtype:
            raise StagingTypeError(f"{where} is {t}, found {describe(x)}", here())
        return np.ascontiguousarray(x)
    assert isinstance(t, Scalar)
    if not isinstance(x, bool | int | float | complex | np.generic) or not np.can_cast(np.result_type(x), t.dtype, "same_kind"):
        if isinstance(x, Rep):
            raise StagingTypeError(f"{where} is staged, and the record is built now", here())
        raise StagingTypeError(f"{where} is {t}, found {describe(x)}", here())
    return t.dtype.type(x)


def from_record(record: Record) -> Any:
    """Nodes as Python objects, iteratively; objects are made without `__init__`, a node met twice is one object."""
    done: dict[int, Any] = {}
    work: list[tuple[Record, bool]] = [(record, False)]
    while work:
        node, children_done = work.pop()
        if id(node) in done:
            continue
        if not children_done:
            work.append((node, True))
            work.extend((f, False) for f in reversed(node.fields) if isinstance(f, Record))
            continue
        done[id(node)] = _object(node, done)
    return done[id(record)]


def _object(node: Record, done: Mapping[int, Any]) -> Any:
    cls = classes_of(node.type)[node.tag]
    if cls is type(None):
        return None
    new: Any = object.__new__(cls)
    for (name, t), value in zip(node.type.constructors[node.tag].fields, node.fields, strict=True):
        object.__setattr__(new, name, done[id(value)] if isinstance(value, Record) else _python(value, t))
    return new


def _python(value: Any, t: Type) -> Any:
    return value.item() if t in (f64, i64, bool_) and isinstance(value, np.generic) else value


# ------------------------------------------------------------------------------------------ staged records


def lift_record(x: Any, t: SumType) -> Value:
    """A record, staged or built now of staged parts, as a staged value of a sum type."""
    if isinstance(x, Rep | Value):
        v = x.value if isinstance(x, Rep) else x
        if v.type != t:
            raise StagingTypeError(f"expected {t}, found {describe(x)}", here())
        return v
    tag = tag_of_class(type(x), t, x, "this")
    operands = []
    for name, ft in t.constructors[tag].fields:
        v = lift_value(getattr(x, name), ft if isinstance(ft, Scalar | SumType) else None)
        if isinstance(v.type, ArrayType) and isinstance(ft, ArrayType) and v.type.layout == "S" and ft.layout == "C":
            v = current().emit1(p.array.copy, v)
        operands.append(v)
    return current().emit1(p.array.construct, *operands, type=t, tag=tag)


def common_record(a: Any, b: Any) -> SumType | None:
    """The sum type of two records, staged or built now, that differ in class; None where that is not what they are."""
    for x, y in ((a, b), (b, a)):
        if isinstance(x, Rep) and isinstance(x.type, SumType):
            known = type(y) in _classes.get(x.type.name, ()) and not isinstance(y, Rep)
            return x.type if known else None
    kinds = {type(a), type(b)}
    if len(kinds) == 1 or not all(k is type(None) or dataclasses.is_dataclass(k) for k in kinds):
        return None
    found = [t for members, t in _types.items() if kinds <= set(members)]
    return min(found, key=lambda t: len(t.constructors), default=None)


def tag(x: Rep) -> Rep:
    """Which alternative a record is, an `i64`."""
    return Rep(current().emit1(p.array.tag, x.value))


def is_instance(x: Rep, cls: Any) -> Rep | bool:
    """Whether a record is of a class (or one of several): decided now where only one answer is possible."""
    t = x.type
    assert isinstance(t, SumType)
    wanted = cls if isinstance(cls, tuple) else typing.get_args(cls) or (cls,)
    tags = [k for k, member in enumerate(classes_of(t)) if issubclass(member, tuple(wanted))]
    if not tags or len(tags) == len(t.constructors):
        return bool(tags)
    b = current()
    found = tag(x).value
    ok = b.emit1(p.scalar.eq, found, b.const(tags[0]))
    for k in tags[1:]:
        ok = b.emit1(p.scalar.or_, ok, b.emit1(p.scalar.eq, found, b.const(k)))
    return Rep(ok)


def project(x: Rep, k: int, name: str) -> Rep:
    """A field of a record that is known to be alternative `k`."""
    t = x.type
    assert isinstance(t, SumType)
    fields = t.constructors[k].fields
    position = [f for f, _ in fields].index(name)
    ft = fields[position][1]
    extra: dict[str, Any] = {}
    if isinstance(ft, ArrayType):
        extra["dims"] = tuple(fresh_symbol(f"{name}{axis}") if isinstance(d, Dim) else d for axis, d in enumerate(ft.dims))
    return Rep(current().emit1(p.array.project, x.value, tag=k, field=position, name=name, **extra))


def field(x: Rep, name: str) -> Rep:
    """`x.name` for a record of whatever alternative has it. Raises `TypeError` later if the record is another one."""
    t = x.type
    assert isinstance(t, SumType)
    holders = [k for k, c in enumerate(t.constructors) if name in dict(c.fields)]
    if not holders:
        raise AttributeError(f"{t} has no field {name!r}")
    kinds = {dict(t.constructors[k].fields)[name] for k in holders}
    if len(kinds) > 1:
        raise StagingTypeError(f"field {name!r} of {t} has several types: {', '.join(map(str, kinds))}", here(),
                               fix="use `match`, or ask with `isinstance` first")
    b = current()
    if len(holders) < len(t.constructors):
        ok = is_instance(x, tuple(classes_of(t)[k] for k in holders))
        assert isinstance(ok, Rep)
        names = " or ".join(t.constructors[k].name for k in holders)
        b.emit(p.control.check, ok.value, error="TypeError", message=f"only {names} has a field {name!r}")
    return _field_of(x, name, holders)


def _field_of(x: Rep, name: str, holders: list[int]) -> Rep:
    if len(holders) == 1:
        return project(x, holders[0], name)
    b = current()
    with b.reify() as then:
        first = project(x, holders[0], name).value
        then.results = (first,)
    with b.reify() as other:
        rest = _field_of(x, name, holders[1:]).value
        if isinstance(first.type, ArrayType) and isinstance(rest.type, ArrayType):
            rest = b.emit1(p.array.view, rest, spec=(("all",),) * first.type.rank, dims=first.type.dims)
        other.results = (rest,)
    ok = b.emit1(p.scalar.eq, tag(x).value, b.const(holders[0]))
    return Rep(b.emit(p.control.if_, ok, blocks=(then, other), types=(first.type,), names=(name,))[0])
