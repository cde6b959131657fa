"""The types of `.lms` programs, at both stages.

Scalars are those of `lms.core.types`; `Later(T)` is written `Rep[T]`. A `Meta` is a type that is not known yet: that of a literal
(whose context decides), of what a `shift` gives, of a generic function's parameter at a call. Sizes are `core`'s, None where
unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lms.core.data import dataclass, field
from lms.core.types import SCALARS, Scalar, Size, affine, symbol

if TYPE_CHECKING:
    from ..parse import syntax as s


class Type:
    """Base of what is not a scalar."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Named(Type):
    """A type without parts: `string`, and that of what never gives a value."""

    name: str

    def __str__(self) -> str:
        return self.name


STRING = Named("string")
NEVER = Named("never")  # of `return`, `break`, `error(...)`


@dataclass(frozen=True, slots=True)
class Later(Type):
    """`Rep[T]`: a value of the next stage."""

    inner: AnyType

    def __str__(self) -> str:
        return f"Rep[{show(self.inner)}]"


@dataclass(frozen=True, slots=True)
class Array(Type):
    """`f64[n, m]`; exists later only."""

    dtype: Scalar
    dims: tuple[Size | None, ...]

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join('_' if d is None else shown_size(d) for d in self.dims)}]"


@dataclass(frozen=True, slots=True)
class TupleOf(Type):
    items: tuple[AnyType, ...]

    def __str__(self) -> str:
        return "unit" if not self.items else f"({', '.join(map(show, self.items))}{',' if len(self.items) == 1 else ''})"


UNIT = TupleOf(())


@dataclass(frozen=True, slots=True)
class ListOf(Type):
    item: AnyType

    def __str__(self) -> str:
        return f"List[{show(self.item)}]"


@dataclass(frozen=True, slots=True)
class RangeOf(Type):
    """Of `0..n`, known now or later."""

    later: bool

    def __str__(self) -> str:
        return "a range known later" if self.later else "a range"


@dataclass(frozen=True, slots=True)
class FunctionOf(Type):
    params: tuple[AnyType, ...]
    result: AnyType

    def __str__(self) -> str:
        return f"({', '.join(map(show, self.params))}) -> {show(self.result)}"


@dataclass(frozen=True, slots=True)
class TypeParameter(Type):
    """`T` of a generic definition, until it is instantiated."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(eq=False, slots=True)
class DataDeclaration:
    """A `data` definition: its alternatives with the types of their fields, in terms of its own parameters."""

    name: str
    syntax: s.Data
    params: tuple[str, ...]
    constructors: tuple[ConstructorDeclaration, ...] = ()
    module: Any = None


@dataclass(eq=False, slots=True)
class ConstructorDeclaration:
    name: str
    data: DataDeclaration
    tag: int
    syntax: s.Constructor
    fields: tuple[tuple[str, AnyType], ...] = ()
    made: type | None = None  # its Python class


@dataclass(frozen=True, slots=True)
class DataOf(Type):
    declaration: DataDeclaration
    args: tuple[AnyType, ...] = ()

    def __str__(self) -> str:
        return self.declaration.name + (f"[{', '.join(map(show, self.args))}]" if self.args else "")

    def fields(self, constructor: ConstructorDeclaration) -> tuple[tuple[str, AnyType], ...]:
        """The fields of one of its alternatives, in these types."""
        env = dict(zip(self.declaration.params, self.args, strict=True))
        return tuple((name, substitute(t, env)) for name, t in constructor.fields) if env else constructor.fields


@dataclass(eq=False, slots=True)
class Meta(Type):
    """A type to be found out. `kind` is what is known: an `int` or `float` literal, or nothing; `open`: so is its stage."""

    kind: str = ""
    open: bool = True
    value: AnyType | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return show(self.value) if self.value is not None else {"int": "a number", "float": "a float"}.get(self.kind, "_")


AnyType = Type | Scalar


def show(t: AnyType) -> str:
    return str(prune(t))


def shown_size(size: Size) -> str:
    return str(size).replace("'", "")


def prune(t: AnyType) -> AnyType:
    """The type itself, where a `Meta` has been found out."""
    while isinstance(t, Meta) and t.value is not None:
        t = t.value
    return t


def default(t: AnyType) -> AnyType:
    """The type with what is still open decided: whole literals are `i64`, others `f64`."""
    t = prune(t)
    if isinstance(t, Meta):
        t.value = {"int": SCALARS["i64"], "float": SCALARS["f64"]}.get(t.kind)
        return t if t.value is None else t.value
    return map_parts(t, default)


def map_parts(t: AnyType, f: Any) -> AnyType:
    """The type with `f` of its parts."""
    match t:
        case Later(inner):
            return later(f(inner))
        case TupleOf(items) if items:
            return TupleOf(tuple(map(f, items)))
        case ListOf(item):
            return ListOf(f(item))
        case FunctionOf(params, result):
            return FunctionOf(tuple(map(f, params)), f(result))
        case DataOf(declaration, args) if args:
            return DataOf(declaration, tuple(map(f, args)))
    return t


def substitute(t: AnyType, env: dict[str, AnyType]) -> AnyType:
    """The type with type parameters replaced."""
    t = prune(t)
    if isinstance(t, TypeParameter):
        return env.get(t.name, t)
    return map_parts(t, lambda x: substitute(x, env))


def rename_sizes(t: AnyType, names: dict[str, Size]) -> AnyType:
    """The type with the symbols of its dimensions replaced."""
    t = prune(t)
    if isinstance(t, Array):
        return Array(t.dtype, tuple(d if d is None else resize(d, names) for d in t.dims))
    return map_parts(t, lambda x: rename_sizes(x, names))


def resize(size: Size, names: dict[str, Size]) -> Size:
    if isinstance(size, int):
        return size
    return affine([(1, size.const), *((k, names.get(x, symbol(x))) for x, k in size.terms)])


# -------------------------------------------------------------------------------------------------- stages


def later(t: AnyType) -> AnyType:
    """`Rep[t]`; tuples and functions of later are tuples of `Rep`s."""
    t = prune(t)
    if isinstance(t, Later):
        return t
    return TupleOf(tuple(map(later, t.items))) if isinstance(t, TupleOf) else Later(t)


def is_later(t: AnyType) -> bool:
    """Whether a value of the type exists later, whole or in its parts."""
    t = prune(t)
    return isinstance(t, Later) or (isinstance(t, TupleOf) and bool(t.items) and all(map(is_later, t.items)))


def holds_later(t: AnyType) -> bool:
    """Whether a value of the type is or holds one of later."""
    t = prune(t)
    match t:
        case Later() | RangeOf(later=True):
            return True
        case TupleOf(items):
            return any(map(holds_later, items))
        case ListOf(item):
            return holds_later(item)
        case DataOf(declaration, args):
            return any(map(holds_later, args)) or _data_holds_later(declaration, set())
    return False


def _data_holds_later(declaration: DataDeclaration, seen: set[str]) -> bool:
    seen.add(declaration.name)
    for constructor in declaration.constructors:
        for _, t in constructor.fields:
            match t:
                case DataOf(inner, args):
                    if any(map(holds_later, args)) or (inner.name not in seen and _data_holds_later(inner, seen)):
                        return True
                case _ if holds_later(t):
                    return True
    return False


def can_be_later(t: AnyType) -> bool:
    """Whether `Rep` of the type makes sense: numbers, arrays, and data of those."""
    t = prune(t)
    match t:
        case Scalar() | Array() | Later():
            return True
        case TupleOf(items):
            return all(map(can_be_later, items))
        case DataOf(declaration, args):
            return all(map(can_be_later, args)) and _data_can_be_later(declaration, set())
        case Meta():
            return True
    return False


def _data_can_be_later(declaration: DataDeclaration, seen: set[str]) -> bool:
    seen.add(declaration.name)
    for constructor in declaration.constructors:
        for _, t in constructor.fields:
            match t:
                case DataOf(inner, args):
                    if not all(map(can_be_later, args)) or (inner.name not in seen and not _data_can_be_later(inner, seen)):
                        return False
                case TypeParameter():
                    pass
                case Later():
                    return False
                case _ if not can_be_later(t):
                    return False
    return True


def element(t: AnyType) -> Scalar | None:
    """The scalar that a number or an array, at either stage, is made of."""
    t = prune(t)
    if isinstance(t, Later):
        t = prune(t.inner)
    return t if isinstance(t, Scalar) else t.dtype if isinstance(t, Array) else None


def dims_of(t: AnyType) -> tuple[Size | None, ...]:
    """The sizes of an array; none of anything else."""
    t = prune(t)
    if isinstance(t, Later):
        t = prune(t.inner)
    return t.dims if isinstance(t, Array) else ()


def rank(t: AnyType) -> int:
    return len(dims_of(t))


# ------------------------------------------------------------------------------------------------ equality


def unify(a: AnyType, b: AnyType) -> bool:
    """Make two types the same, as far as that can be; whether they are. Sizes agree unless both are numbers that differ."""
    a, b = prune(a), prune(b)
    if a is b or a == b:
        return True
    if isinstance(a, Meta):
        return bind(a, b)
    if isinstance(b, Meta):
        return bind(b, a)
    match a, b:
        case Later(x), Later(y):
            return unify(x, y)
        case Array(d, dims), Array(e, others):
            return d == e and len(dims) == len(others) and all(map(sizes_agree, dims, others))
        case TupleOf(xs), TupleOf(ys):
            return len(xs) == len(ys) and all(map(unify, xs, ys))
        case ListOf(x), ListOf(y):
            return unify(x, y)
        case FunctionOf(ps, r), FunctionOf(qs, q):
            return len(ps) == len(qs) and all(map(unify, ps, qs)) and unify(r, q)
        case DataOf(d, xs), DataOf(e, ys):
            return d is e and all(map(unify, xs, ys))
    return False


def sizes_agree(a: Size | None, b: Size | None) -> bool:
    return not (isinstance(a, int) and isinstance(b, int)) or a == b


def bind(meta: Meta, t: AnyType) -> bool:
    """Decide an open type, if what is known of it allows."""
    if isinstance(t, Meta):
        if t.kind == "int" or (not t.kind and meta.kind):  # the one that says more stays
            t.kind = meta.kind or t.kind
        t.open = t.open or meta.open
        meta.value = t
        return True
    inner = prune(t.inner) if isinstance(t, Later) else t
    if meta.kind:
        if isinstance(inner, Array):
            inner = inner.dtype
        if isinstance(inner, Meta):
            inner.kind = inner.kind or meta.kind
        elif not fits_kind(meta.kind, inner):
            return False
    if occurs(meta, t):
        return False
    meta.value = t
    return True


def fits_kind(kind: str, t: AnyType) -> bool:
    return isinstance(t, Scalar) and (t.is_float if kind == "float" else t.is_float or t.is_int)


def occurs(meta: Meta, t: AnyType) -> bool:
    t = prune(t)
    if t is meta:
        return True
    match t:
        case Later(inner):
            return occurs(meta, inner)
        case TupleOf(items):
            return any(occurs(meta, x) for x in items)
        case ListOf(item):
            return occurs(meta, item)
        case FunctionOf(params, result):
            return any(occurs(meta, x) for x in (*params, result))
        case DataOf(_, args):
            return any(occurs(meta, x) for x in args)
    return False
