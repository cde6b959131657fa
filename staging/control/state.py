"""Variables where paths meet: what is carried into blocks and out of them, leaf by leaf; names that a path leaves undefined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lms.core import primitives as p
from lms.core.builder import current, staging
from lms.core.data import dataclass
from lms.core.errors import LeakError, Span, StagingTypeError, UndefinedError, here
from lms.core.ir import Value
from lms.core.types import ArrayType, Scalar, Size, SumType, Type, fresh_symbol, symbol

from .. import trees
from ..joins import describe, is_weak, join_types, promote, scalar_like, weak_kind
from ..library.elementwise import check
from ..records import common_record
from ..rep import Rep, Weak, lift, lift_value

HIDDEN = "_lms_"
RESULT = "_lms_result"
RETURNED = "_lms_returned"
CHOICE = "choice?"  # the value of an expression; no name of Python's
JUMPS = ("_lms_broke", "_lms_continued")
"""How the names begin that the rewriting adds: flags and result slots, which may be undefined where nobody reads them."""

Frame = Mapping[str, Any]
Notes = tuple[tuple[str, Span | None], ...]


@dataclass(frozen=True, slots=True)
class Undefined:
    """Stands for a name that is not bound; `notes` say which path leaves it so."""

    name: str
    notes: Notes = ()


@dataclass(frozen=True, slots=True)
class Maybe:
    """The value of a name that is bound if `defined`, which the program finds out when it runs."""

    value: Any
    defined: Any


trees.register(Maybe, lambda m: ((m.value, m.defined), None), lambda _, parts: Maybe(*parts))


def surely(x: Any) -> Maybe:
    """`x` beside one that may be undefined."""
    return x if isinstance(x, Maybe) else Maybe(x, True)


def read(x: Any, name: str) -> Any:
    """The value of a name that may be undefined here. Raises `UndefinedError` now, or `UnboundLocalError` later."""
    if isinstance(x, Undefined):
        if not x.notes:
            raise UnboundLocalError(f"cannot access local variable '{name}' where it is not associated with a value")
        raise UndefinedError(f"{name!r} is not defined on every path that leads here", here(), notes=x.notes,
                             fix=f"give {name!r} a value before")
    if isinstance(x, Maybe):
        message = f"cannot access local variable '{name}' where it is not associated with a value"
        if not isinstance(x.defined, Rep):
            if not x.defined:
                raise UnboundLocalError(message)
        else:
            check(x.defined, "UnboundLocalError", message)
        return x.value
    return x


def taken(frame: Frame, names: Sequence[str]) -> tuple[Any, ...]:
    """The values that names have in a frame."""
    return tuple(_in_sight(frame[name], name) if name in frame else Undefined(name) for name in names)


def _in_sight(x: Any, name: str) -> Any:
    """`x`, unless it was made in a part of an expression that may not have been evaluated: `(t := v) if c else w`."""
    if isinstance(x, bool | int | float | str | Undefined) or x is None or not staging():
        return x
    try:
        for leaf in trees.flatten(x)[0]:
            if isinstance(leaf, Rep):
                current().see(leaf.value)
    except LeakError as e:
        where = e.notes[0][1] if e.notes else None
        return Undefined(name, (("it is bound in a part of an expression that may not be evaluated", where),))
    return x


# ------------------------------------------------------------------------------------------------ leaves


@dataclass(frozen=True, slots=True)
class Slot:
    """A leaf that travels as a value of the program. `weak`: a Python number, whose type adapts to what it meets."""

    type: Type
    weak: bool = False

    def wrap(self, v: Value) -> Rep:
        return Weak(v) if self.weak else Rep(v)

    def value(self, leaf: Any) -> Value:
        """The leaf as a value of the slot's type, made in the block being filled."""
        if isinstance(leaf, Undefined):
            return zero(self.type)
        return lift_value(leaf, None if isinstance(self.type, ArrayType) else self.type)

    @property
    def kind(self) -> Any:
        """What `join_types` calls it: a type, or a number for what adapts."""
        return {"b": bool, "i": int, "f": float, "c": complex}[self.type.kind](0) if self.weak and isinstance(
            self.type, Scalar) else self.type


@dataclass(frozen=True, slots=True)
class Same:
    """A leaf that is one object of now on all paths."""

    object: Any


Plan = Slot | Same


def stageable(x: Any) -> bool:
    """Whether a leaf can travel as a value of the program."""
    return isinstance(x, Rep) or scalar_like(x) is not None


_PLAIN = (bool, int, float, complex, str, bytes, np.generic)


def same(a: Any, b: Any) -> bool:
    """Whether two leaves are the same now, so that nothing need travel."""
    if a is b:
        return True
    if isinstance(a, Rep) and isinstance(b, Rep):
        return a.value is b.value
    if type(a) is not type(b) or not isinstance(a, _PLAIN):
        return False
    return repr(a) == repr(b)  # tells 0.0 from -0.0, and nan is itself


def slot(x: Any) -> Slot:
    """The slot that fits a leaf exactly."""
    if isinstance(x, np.ndarray):
        x = lift(x)
    if (kind := weak_kind(x)) is not None:
        t = promote(kind(0))
        return Slot(t, weak=t.kind != "b")
    if isinstance(x, Rep):
        return Slot(x.type)
    t = scalar_like(x)  # type: ignore[assignment]  # not None: the leaf is stageable
    return Slot(t)


def join(name: str, a: Any, b: Any, places: tuple[Span | None, Span | None]) -> Plan:
    """How a leaf travels that is `a` on one path and `b` on the other. Raises `StagingTypeError` naming both lines."""
    if same(a, b):
        return Same(a)
    if not (stageable(a) and stageable(b)):
        raise unlike(name, a, b, places)
    return join_slots(name, slot(a), slot(b), places, a, b)


def join_slots(name: str, s: Slot, t: Slot, places: tuple[Span | None, Span | None], a: Any = None, b: Any = None) -> Slot:
    """The slot that both fit: literals adapt, sizes that differ get a symbol."""
    if s.weak and t.weak:
        return Slot(promote(s.kind, t.kind), weak=True)
    mine = a if is_weak(a) else s.kind
    yours = b if is_weak(b) else t.kind
    try:
        joined = join_types(mine, yours, name="" if name.startswith((RESULT, CHOICE)) else name, places=places)
    except StagingTypeError as e:
        e.span = e.span or places[1] or places[0]
        raise
    return Slot(joined)


def unlike(name: str, a: Any, b: Any, places: tuple[Span | None, Span | None]) -> StagingTypeError:
    """Two leaves that no value of the program can stand for."""
    fix = "make the choice with a staged number, or outside the staged `if` or loop"
    if name.startswith(RESULT):
        fix = "return values of one type on every path"
    elif name.startswith(CHOICE):
        fix = "give both sides one type: a number for a number"
    elif a is None or b is None:
        fix = f"keep a flag and a value: `found = False; {name} = 0.0` before, `found, {name} = True, ...` where it is found"
    return _two_ways(name, _called(a), _called(b), places, fix)


def _two_ways(name: str, a: str, b: str, places: tuple[Span | None, Span | None], fix: str) -> StagingTypeError:
    where = places[1] or places[0]
    notes = tuple((f"here it is {x}", span) for x, span in zip((a, b), places, strict=True) if span and span != where)
    return StagingTypeError(f"{shown(name)} is {a} on one path and {b} on the other", where, notes=notes, fix=fix)


def shown(name: str) -> str:
    """How a name is called in an error."""
    for hidden, said in ((RESULT, "the result"), (CHOICE, "the value")):
        if name.startswith(hidden):
            return said + name.removeprefix(hidden)
    return repr(name)


def _called(x: Any) -> str:
    if isinstance(x, Undefined):
        return "not defined"
    return repr(x) if x is None or isinstance(x, str) else describe(x)


# ------------------------------------------------------------------------------- zeros that nobody reads


def known_size(size: Size) -> Value | None:
    """A size as a value, where the sizes around say it."""
    b = current()
    if isinstance(size, int):
        return b.const(size)
    total = b.const(size.const)
    for name, k in size.terms:
        one = _symbol(name)
        if one is None:
            return None
        total = b.emit1(p.scalar.add, total, b.emit1(p.scalar.mul, b.const(k), one))
    return total


def _symbol(name: str) -> Value | None:
    b, size = current(), symbol(name)
    for scope in reversed(b.scopes):
        if size in scope.sizes:
            return scope.sizes[size]
    for scope in reversed(b.scopes):
        for v in scope.block.params:
            if isinstance(v.type, ArrayType) and size in v.type.dims:
                return b.dim(v, v.type.dims.index(size))
    return None


def reachable(s: Slot) -> Slot:
    """The slot with a fresh symbol for every size that is not known here."""
    if not isinstance(s.type, ArrayType):
        return s
    dims = tuple(d if known_size(d) is not None else fresh_symbol() for d in s.type.dims)
    return Slot(ArrayType(s.type.dtype, dims, s.type.layout))


def zero(t: Type) -> Value:
    """A value of a type that nobody reads."""
    b = current()
    if isinstance(t, Scalar):
        return b.const(t.dtype.type(0), t)
    if isinstance(t, ArrayType):
        sizes = [known_size(d) for d in t.dims]
        # a size that is not known is a symbol of the slot's own, so any number will do
        return b.emit1(p.array.empty, *(b.const(0) if n is None else n for n in sizes), dims=tuple(
            0 if n is None else d for n, d in zip(sizes, t.dims, strict=True)), dtype=t.dtype)
    assert isinstance(t, SumType)
    tag = next(k for k, c in enumerate(t.constructors) if not any(_mentions(f, t) for _, f in c.fields))
    return b.emit1(p.array.construct, *(zero(f) for _, f in t.constructors[tag].fields), type=t, tag=tag)


def _mentions(f: Type, t: SumType) -> bool:
    return f == t or (isinstance(f, ArrayType) and f.dtype == t)


# ------------------------------------------------------------------------------------------------- names


@dataclass(frozen=True, slots=True)
class Variable:
    """How one name travels: the shape of its value, and a plan for each leaf."""

    name: str
    shape: trees.Shape
    plans: tuple[Plan, ...]

    def values(self, x: Any) -> list[Value]:
        """The travelling leaves of `x`, as values made in the block being filled."""
        whole = isinstance(self.shape, trees.Leaf)  # also where `x` is a record of now: it travels as one value
        leaves = [x] * len(self.plans) if isinstance(x, Undefined) else [x] if whole else trees.flatten(self.like(x))[0]
        return [plan.value(leaf) for plan, leaf in zip(self.plans, leaves, strict=True) if isinstance(plan, Slot)]

    def like(self, x: Any) -> Any:
        """`x` as one that may be undefined, where the name is."""
        return surely(x) if isinstance(self.shape, trees.Tree) and self.shape.cls is Maybe else x

    @property
    def label(self) -> str:
        """What its values are called in the program."""
        return self.name.removeprefix(HIDDEN).rstrip("?")

    @property
    def types(self) -> list[Type]:
        return [plan.type for plan in self.plans if isinstance(plan, Slot)]

    def rebuild(self, values: Any) -> Any:
        """The value made of what arrived; `values` is an iterator that gives up as many as there are slots."""
        return trees.unflatten(self.shape, [plan.wrap(next(values)) if isinstance(plan, Slot) else plan.object
                                            for plan in self.plans])


def join_variable(name: str, a: Any, b: Any, places: tuple[Span | None, Span | None], left: str = "") -> Variable | Undefined:
    """How a name travels that is `a` on one path and `b` on the other.

    `left` says that a path on which the name is undefined has left: by `return`, so that nobody will ask; or by a jump, so that
    the program knows whether the name is bound.
    """
    gone_a, gone_b = isinstance(a, Undefined), isinstance(b, Undefined)
    if gone_a and gone_b or (gone_a or gone_b) and not (left or name.startswith(HIDDEN)):
        return a if gone_a and a.notes else b if gone_b and b.notes else Undefined(name, _paths(a, b, places))
    if gone_a or gone_b:
        other = b if gone_a else a
        return one_sided(name, surely(other) if left == "jumped" else other)
    if isinstance(a, Maybe) or isinstance(b, Maybe):
        a, b = surely(a), surely(b)
    if (t := common_record(a, b)) is not None:
        return Variable(name, trees.LEAF, (Slot(t),))
    xs, shape = trees.flatten(a)
    ys, other = trees.flatten(b)
    if shape != other:
        raise unlike_shapes(name, a, b, places)
    written = list(trees.paths(shape, name))
    return Variable(name, shape, tuple(join(path, x, y, places) for path, x, y in zip(written, xs, ys, strict=True)))


def one_sided(name: str, x: Any) -> Variable:
    """How a name travels that is `x` on one path, and a zero that nobody reads on the other."""
    leaves, shape = trees.flatten(x)
    return Variable(name, shape, tuple(reachable(slot(leaf)) if stageable(leaf) else Same(leaf) for leaf in leaves))


def has_left(ends: Mapping[str, Any]) -> str:
    """How a path has left, if it surely has: `returned`, `jumped`, or not."""
    if ends.get(RETURNED) is True:
        return "returned"
    return "jumped" if any(x is True and name.startswith(JUMPS) for name, x in ends.items()) else ""


def _paths(a: Any, b: Any, places: tuple[Span | None, Span | None]) -> Notes:
    if isinstance(a, Undefined) and isinstance(b, Undefined):
        return ()
    first, second = (places[1], places[0]) if isinstance(a, Undefined) else places
    return (("one path defines it here", first), ("the other path does not define it", second))


def unlike_shapes(name: str, a: Any, b: Any, places: tuple[Span | None, Span | None]) -> StagingTypeError:
    """Two containers whose parts do not correspond, or a container and something else."""
    if trees.children(a) is None and trees.children(b) is None or a is None or b is None:
        return unlike(name, a, b, places)
    fix = "give it the same parts on both paths; what grows in a loop is an array"
    return _two_ways(name, _container(a), _container(b), places, fix)


def _container(x: Any) -> str:
    found = trees.children(x)
    if found is None:
        return _called(x)
    cls, keys, _, _ = found
    if cls is dict:
        return f"a dict with the keys {', '.join(map(repr, keys)) or '(none)'}"
    return f"a {cls.__name__} of {len(keys)}"
