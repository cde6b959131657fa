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

from .diagnostics import Diagnostic
from .printing import shown
from .types import AnyType, Array, ConstructorDeclaration, DataDeclaration, DataOf, Later, prune, show


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
    made = dataclasses.make_dataclass(k.name, names, frozen=True, repr=False)
    made.__doc__ = k.data.syntax.doc or None
    made.__module__ = f"lms.{k.data.name}"
    made.__repr__ = shown  # type: ignore[assignment]  # a method
    made.__lms_constructor__ = k  # type: ignore[attr-defined]  # for whoever prints or matches it
    return made


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
