"""Types and dimensions as they are written, to types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lms.core.types import SCALARS, Scalar, Size, affine, symbol

from ..diagnostics import Diagnostic
from ..parse import syntax as s
from .types import (
    STRING,
    UNIT,
    AnyType,
    Array,
    DataOf,
    FunctionOf,
    Later,
    ListOf,
    Meta,
    TupleOf,
    can_be_later,
    later,
    prune,
    show,
)

NAMES: dict[str, AnyType] = {"string": STRING, "unit": UNIT, **SCALARS}


class TypeReader:
    """Reads types in a module, where some names stand for types (of a generic definition) and some for dimensions."""

    def __init__(self, module: Any, types: Mapping[str, AnyType], sizes: Mapping[str, Size]) -> None:
        self.module, self.types, self.sizes = module, types, sizes

    def read(self, e: s.TypeSyntax) -> AnyType:
        """The type. Raises `Diagnostic`."""
        match e:
            case s.TupleType(items=items):
                return TupleOf(tuple(map(self.read, items)))
            case s.ArrowType(params=params, result=result):
                return FunctionOf(tuple(map(self.read, params)), self.read(result))
            case s.NamedType():
                return self.named(e)
        raise Diagnostic("E0202", "a dimension stands where a type is expected", e.span, fix="write a type: `f64`, `Rep[f64[n]]`")

    def named(self, e: s.NamedType) -> AnyType:
        if e.name == "Rep":
            return self.rep(e)
        if e.name == "List":
            self.count(e, 1)
            return ListOf(self.read(e.args[0]))
        if e.name in self.types:
            self.count(e, 0)
            return self.types[e.name]
        if e.name in NAMES:
            found = NAMES[e.name]
            if not e.args:
                return found
            if not isinstance(found, Scalar):
                raise Diagnostic("E0203", f"`{e.name}` takes nothing in brackets", e.span)
            raise Diagnostic("E0202", f"the array `{e.name}[...]` exists later only", e.span, fix=f"write `Rep[{e.name}[...]]`")
        declaration = self.module.type(e.name)
        if declaration is None:
            raise self.unknown(e)
        if len(e.args) != len(declaration.params):
            self.count(e, len(declaration.params))
        return DataOf(declaration, tuple(map(self.read, e.args)))

    def unknown(self, e: s.NamedType) -> Diagnostic:
        if e.name in self.sizes:
            return Diagnostic("E0202", f"`{e.name}` is a dimension, and a type is expected", e.span)
        import difflib

        near = difflib.get_close_matches(e.name, [*NAMES, "Rep", "List", *self.types, *self.module.known_types()], 1)
        return Diagnostic("E0201", f"the type `{e.name}` is not defined", e.span, fix=f"did you mean `{near[0]}`?"
                          if near else "", consequence=e.name.partition(".")[0] in self.module.broken)

    def count(self, e: s.NamedType, n: int) -> None:
        if len(e.args) != n:
            takes = "nothing in brackets" if n == 0 else f"{n} type{'s' * (n > 1)} in brackets"
            raise Diagnostic("E0203", f"`{e.name}` takes {takes}, found {len(e.args)}", e.span)

    def rep(self, e: s.NamedType) -> AnyType:
        self.count(e, 1)
        inner = self.inside(e.args[0])
        if isinstance(prune(inner), Later):
            raise Diagnostic("E0405", f"`Rep` of `{show(inner)}`, which exists later already", e.span,
                             fix=f"write `{show(inner)}`")
        if not isinstance(inner, Meta) and not can_be_later(inner):
            raise Diagnostic("E0405", f"`Rep[{show(inner)}]` cannot be: `{show(inner)}` exists now only", e.span,
                             fix="what exists later is made of numbers, arrays and `data` without `Rep`")
        return later(inner)

    def inside(self, e: s.TypeSyntax) -> AnyType:
        """What stands in `Rep[...]`, and in the fields of `data`: arrays are allowed here."""
        if isinstance(e, s.NamedType) and e.args and isinstance(NAMES.get(e.name), Scalar):
            dtype = SCALARS[e.name]
            return Array(dtype, tuple(map(self.size, e.args)))
        if isinstance(e, s.TupleType):
            return TupleOf(tuple(map(self.inside, e.items)))
        return self.read(e)

    def size(self, e: s.TypeSyntax) -> Size | None:
        match e:
            case s.DimInt(value=value):
                return value
            case s.NamedType(name="_", args=()):
                return None
            case s.NamedType(name=name, args=()):
                if name not in self.sizes:
                    raise Diagnostic("E0201", f"the dimension `{name}` is not declared", e.span,
                                     fix=f"declare it behind the name of the function: `def f[{name}](...)`")
                return self.sizes[name]
            case s.DimBinary(op=op, left=left, right=right):
                a, b = self.size(left), self.size(right)
                if a is None or b is None:
                    return None
                if op == "*":
                    if not isinstance(a, int) and not isinstance(b, int):
                        raise Diagnostic("E0112", "a dimension is a sum: names are not multiplied with each other", e.span,
                                         fix="give the product a name of its own")
                    times, size = (a, b) if isinstance(a, int) else (b, a)
                    return affine([(times, size)])  # type: ignore[list-item]  # one of them is an int
                return affine([(1, a), (1 if op == "+" else -1, b)])
        raise Diagnostic("E0112", "expected a dimension", e.span, fix="a dimension is a sum of names and whole numbers: `n + 1`")


def declared_sizes(names: list[str]) -> dict[str, Size]:
    return {name: symbol(name) for name in names}


def type_of_expression(reader: TypeReader, e: s.Expression) -> AnyType | Size:
    """An argument in `f[...]` as a type or a dimension: it was read as an expression."""
    if isinstance(e, s.Int):
        return e.value
    return reader.read(as_type(e))


def as_type(e: s.Expression) -> s.TypeSyntax:
    match e:
        case s.Name(span=span, name=name):
            return s.NamedType(span, name)
        case s.Index(span=span, value=s.Name(name=name), args=args):
            return s.NamedType(span, name, tuple(map(as_type, args)))
        case s.Field(span=span, value=s.Name(name=module), name=name):
            return s.NamedType(span, f"{module}.{name}")
        case s.Tuple(span=span, items=items):
            return s.TupleType(span, tuple(map(as_type, items)))
        case s.Int(span=span, value=value):
            return s.DimInt(span, value)
        case s.Binary(span=span, op="+" | "-" | "*" as op, left=left, right=right):
            return s.DimBinary(span, op, as_type(left), as_type(right))
    raise Diagnostic("E0202", "expected a type", e.span, fix="`f64`, `Rep[f64]`, `Pair[i64, f64]`")
