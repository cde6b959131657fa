"""`data` at run time: a Python class for each alternative; as a type of later, a sum of `lms.core`."""

from __future__ import annotations

import dataclasses
from typing import Any

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.data import dataclass
from lms.core.errors import LmsError, Span
from lms.core.types import ArrayType, Constructor, Scalar, SumType, Type, fresh_symbol
from lms.staging import records
from lms.staging.rep import Rep

from ..check.types import AnyType, Array, ConstructorDeclaration, DataDeclaration, DataOf, Later, prune, show
from ..diagnostics import Diagnostic
from .printing import shown


def identity(d: DataDeclaration) -> tuple[Any, ...]:
    """What makes two definitions the same: a file that is loaded again has the same classes."""
    return d.syntax.span.file, d.name, d.params, tuple((k.name, tuple((n, show(t)) for n, t in k.fields)) for k in d.constructors)


def class_of(k: ConstructorDeclaration) -> type:
    """The Python class of an alternative, always the same one."""
    if k.made is None:
        k.made = _classes.setdefault((identity(k.data), k.name), _class(k))
    return k.made


_classes: dict[tuple[Any, ...], type] = {}


def _class(k: ConstructorDeclaration) -> type:
    """A frozen dataclass with the fields of an alternative, compared by value."""
    names = [name for name, _ in k.fields]
    made = dataclasses.make_dataclass(k.name, names, frozen=True, repr=False, eq=False)
    made.__doc__ = k.data.syntax.doc or None
    made.__module__ = f"lms.{k.data.name}"
    made.__repr__ = shown  # type: ignore[assignment]  # a method
    made.__eq__ = equal  # type: ignore[method-assign,assignment]  # the same
    made.__hash__ = _hash  # type: ignore[method-assign,assignment]  # the same
    made.__lms_constructor__ = k  # type: ignore[attr-defined]  # for whoever prints or matches it
    return made


def equal(x: Any, y: Any) -> bool:
    """Whether two values of now are the same, through data, lists and tuples of any depth."""
    waiting = [(x, y)]
    while waiting:
        x, y = waiting.pop()
        if x is y:
            continue
        mine, other = _parts(x), _parts(y)
        if mine is None or other is None:
            if not (mine is other and x == y):
                return False
        elif type(x) is not type(y) or len(mine) != len(other):
            return False
        else:
            waiting += zip(reversed(mine), reversed(other), strict=True)
    return True


def _hash(x: Any) -> int:
    """A number that is the same for values that are; `TypeError` for those that hold lists, as of a list."""
    found, waiting = [], [x]
    while waiting:
        x = waiting.pop()
        parts = None if isinstance(x, list) else _parts(x)
        found.append(hash(x) if parts is None else hash((type(x), len(parts))))
        waiting += parts or ()
    return hash(tuple(found))


def _parts(x: Any) -> tuple[Any, ...] | list[Any] | None:
    """What a value holds; None for one that has no parts."""
    if isinstance(x, tuple | list):
        return x
    k = getattr(type(x), "__lms_constructor__", None)
    return None if k is None else tuple(getattr(x, name) for name, _ in k.fields)


@dataclass(frozen=True, eq=False)
class StagedType:
    """`Rep` of a `data`: its type in the program, and how its values are made and taken apart."""

    type: SumType
    constructors: tuple[ConstructorDeclaration, ...]

    def construct(self, tag: int, values: tuple[Any, ...]) -> Rep:
        operands = []
        for (_, ft), v in zip(self.type.constructors[tag].fields, values, strict=True):
            value = v.value
            if isinstance(ft, ArrayType) and value.type.layout == "S":
                value = current().emit1(p.array.copy, value)
            operands.append(value)
        return Rep(current().emit1(p.array.construct, *operands, type=self.type, tag=tag))

    def lift(self, x: Any, span: Span) -> Rep:
        """A value of now, whole."""
        with current().at(span):
            try:
                return Rep(records.lift_record(x, self.type))
            except LmsError as e:
                raise Diagnostic("E0501", e.message, span, fix=e.fix) from None

    def project(self, x: Rep, tag: int, name: str) -> Rep:
        return records.project(x, tag, name)


_known: dict[tuple[Any, ...], StagedType] = {}


def staged_type(t: DataOf) -> StagedType:
    """The type of later of a `data` type, always the same one."""
    key = (identity(t.declaration), show(t))
    if key not in _known:
        classes = tuple(class_of(k) for k in t.declaration.constructors)
        made = SumType(records.free_name(show(t), classes))
        _known[key] = StagedType(made, t.declaration.constructors)
        made.constructors = tuple(
            Constructor(k.name, tuple((name, core_type(f)) for name, f in t.fields(k))) for k in t.declaration.constructors)
    return _known[key]


def core_type(t: AnyType) -> Type:
    """A type that can exist later, as the program has it."""
    t = prune(t)
    match t:
        case Later(inner):
            return core_type(inner)
        case Scalar():
            return t
        case Array(dtype, dims):
            return ArrayType(dtype, tuple(fresh_symbol() if d is None else d for d in dims))
        case DataOf():
            return staged_type(t).type
    raise Diagnostic("E0405", f"`{show(t)}` cannot exist later inside `data`", None, fix="use numbers, arrays and `data`")
