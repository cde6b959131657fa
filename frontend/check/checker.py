"""The checker's heart: scopes, what is expected of an expression, and how a value becomes what is expected.

Each kind of syntax has a function registered for it (`@checks`), in `values`, `control`, `calls`, ...; it
gives a node of `typed`. Types flow both ways: an expectation goes down with the reason for it, which errors quote.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from lms.core.data import dataclass, field
from lms.core.errors import Span
from lms.core.types import SCALARS, Scalar

from ..diagnostics import Diagnostic
from ..parse import syntax as s
from ..parse.literals import brief, fits
from ..run.lending import owner
from . import typed as t
from .types import (
    NEVER,
    STRING,
    AnyType,
    Array,
    DataOf,
    FunctionOf,
    Later,
    ListOf,
    Meta,
    RangeOf,
    TupleOf,
    can_be_later,
    holds_later,
    prune,
    show,
    unify,
)


class Expect(NamedTuple):
    """The type that a place asks for, and why: a sentence and where."""

    type: AnyType
    why: str = ""
    span: Span | None = None

    def but(self, type: AnyType) -> Expect:
        return Expect(type, self.why, self.span)

    @property
    def notes(self) -> tuple[tuple[str, Span | None], ...]:
        return ((self.why, self.span),) if self.why else ()


@dataclass(eq=False, slots=True)
class Copies:
    """Whether a variable that begins as an array which is read only has to be a copy: something is written to it."""

    needed: bool = False
    others: list[Copies] = field(default_factory=list)

    def write(self) -> None:
        if not self.needed:
            self.needed = True
            for other in self.others:
                other.write()

    def names(self, other: Copies) -> None:
        """This variable may be another name of that one's array."""
        self.others.append(other)
        if self.needed:
            other.write()


@dataclass(eq=False, slots=True)
class Binding:
    """A local name: a value (`let`), a variable (`var`), or a size (`n` in `f64[n]`)."""

    name: str
    type: AnyType
    index: int
    span: Span
    kind: str = "let"
    mut: bool = False
    context: Context | None = None
    depth: int = 0  # how many staged branches and loops stand around it
    make: Callable[[Span], t.Typed] | None = None
    copies: Copies = field(default_factory=Copies)


@dataclass(eq=False, slots=True)
class Context:
    """The function whose body is being checked."""

    name: str
    instance: t.Instance | None
    result: Expect | None
    types: dict[str, AnyType] = field(default_factory=dict)
    staged: list[tuple[str, Span]] = field(default_factory=list)  # what around here is decided later: "`if`", where
    resets: list[tuple[AnyType, int]] = field(default_factory=list)  # answer types, and how deep in `staged`
    loops: list[Any] = field(default_factory=list)
    assigned: list[dict[int, t.Typed]] = field(default_factory=list)  # by each loop around here: staged variables
    shifts: bool = False  # whether a `shift` may capture what lies outside
    returns: list[AnyType] = field(default_factory=list)
    literals: list[tuple[t.Constant, s.Int | s.Float]] = field(default_factory=list)


    @property
    def _stacks(self) -> tuple[list[Any], ...]:
        return self.staged, self.resets, self.loops, self.assigned, self.returns, self.literals

    def mark(self) -> tuple[int, ...]:
        """How far things are, to come `back_to` it."""
        return tuple(map(len, self._stacks))

    def back_to(self, mark: tuple[int, ...]) -> None:
        for things, n in zip(self._stacks, mark, strict=True):
            del things[n:]


class Scope:
    """Names in a block, and the blocks around it. `size` is how long the environment is."""

    __slots__ = ("context", "names", "parent", "size")

    def __init__(self, parent: Scope | None, context: Context, size: int = 0) -> None:
        self.parent, self.context, self.size = parent, context, size
        self.names: dict[str, Binding] = {}

    def inner(self, context: Context | None = None) -> Scope:
        return Scope(self, context or self.context, self.size)

    def bind(self, name: str, type: AnyType, span: Span, kind: str = "let", mut: bool = False) -> Binding:
        made = Binding(name, type, self.size, span, kind, mut, self.context, len(self.context.staged))
        self.names[name] = made
        self.size += 1
        return made

    def find(self, name: str) -> Binding | None:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.parent
        return None

    def all_names(self) -> Iterable[str]:
        scope: Scope | None = self
        while scope is not None:
            yield from scope.names
            scope = scope.parent


Handler = Callable[..., t.Typed]
HANDLERS: dict[type, Handler] = {}


def checks(*kinds: type) -> Callable[[Handler], Handler]:
    """Register the function that checks a kind of expression or statement: `(checker, node, scope, want)`."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(kinds, handler))
        return handler

    return register


class Checker:
    """Checks expressions of one module. `types` and `places` are for editors: the type of every node, where names are defined."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.types: dict[s.Node, AnyType] = {}
        self.places: dict[s.Node, Span] = {}

    def expression(self, e: s.Node, scope: Scope, want: Expect | None = None) -> t.Typed:
        """The typed form of an expression; of the wanted type, lifted where that is allowed."""
        made = HANDLERS[type(e)](self, e, scope, want)
        if want is not None:
            made = self.fit(made, want)
        return self.noted(e, made)

    def noted(self, e: s.Node, made: t.Typed) -> t.Typed:
        """Note the type of an expression."""
        self.types[e] = made.type
        return made

    # ------------------------------------------------------------------------------------------- coercion

    def fit(self, made: t.Typed, want: Expect) -> t.Typed:
        """`made` as a value of the wanted type: the same, or lifted. Raises `Diagnostic`."""
        have, goal = prune(made.type), prune(want.type)
        if have is goal or have is NEVER:
            return made
        if lifts(have, goal):
            return t.Lift(made.span, goal, made)
        if isinstance(have, TupleOf) and isinstance(goal, TupleOf) and len(have.items) == len(goal.items):
            if isinstance(made, t.Tuple):
                items = tuple(self.fit(x, want.but(g)) for x, g in zip(made.items, goal.items, strict=True))
                return t.Tuple(made.span, TupleOf(tuple(x.type for x in items)), items)
            pairs = list(zip(have.items, goal.items, strict=True))
            moves = any(isinstance(prune(g), Later) and not isinstance(prune(h), Later) for h, g in pairs)
            if moves and all(lifts(h, g) or unify(h, g) for h, g in pairs):
                return t.Lift(made.span, goal, made)
        if isinstance(have, ListOf) and isinstance(goal, ListOf) and lifts(have.item, goal.item):
            return t.Lift(made.span, goal, made)
        if unify(have, goal):
            return made
        raise self.mismatch(made, have, goal, want)

    def mismatch(self, made: t.Typed, have: AnyType, goal: AnyType, want: Expect) -> Diagnostic:
        if isinstance(have, Later) and not holds_later(goal) and not isinstance(goal, Meta) and unify(have.inner, goal):
            return Diagnostic("E0401",
                              f"this is known later (`{show(have)}`), but a value needed now (`{show(goal)}`) is expected",
                              made.span, notes=want.notes,
                              fix=f"make what expects it `Rep[{show(goal)}]`, or compute this from values known now")
        fix = ""
        a, b = (x.inner if isinstance(x, Later) else x for x in (have, goal))
        if isinstance(prune(a), Scalar) and isinstance(prune(b), Scalar):
            fix = f"convert it: `{show(b)}(...)`"
        return Diagnostic("E0301", f"expected `{show(goal)}`, found `{show(have)}`", made.span, notes=want.notes, fix=fix)

    def join(self, a: t.Typed, b: t.Typed, staged: bool, what: str) -> tuple[t.Typed, t.Typed, AnyType]:
        """Two branches as values of one type: of later if one of them is, or (`staged`) the choice is made later."""
        x, y = prune(a.type), prune(b.type)
        goal = joined(x, y)
        if goal is None:
            raise Diagnostic("E0302", f"the two branches of this {what} differ: `{show(x)}` and `{show(y)}`", b.span,
                             notes=((f"here it is `{show(x)}`", a.span),), fix="give both the same type")
        if staged:
            goal = staged_result(goal)
            if goal is None:
                raise Diagnostic("E0402",
                                 f"this {what} is decided later, so it cannot choose between values of type `{show(x)}`, "
                                 "which exist now only", a.span, fix="choose by something that is known now")
        return self.fit(a, Expect(goal)), self.fit(b, Expect(goal)), goal

    # ---------------------------------------------------------------------------------------------- names

    def name(self, name: str, span: Span, scope: Scope) -> t.Typed | Any:
        """What a name stands for: a typed node for a value, or the module's entry for something defined at the top."""
        if (found := scope.find(name)) is not None:
            return self.local(found, span)
        entry = self.module.value(name)
        if entry is None:
            raise self.unknown(name, span, [*scope.all_names(), *self.module.known_names()])
        return entry

    def local(self, found: Binding, span: Span) -> t.Typed:
        if found.make is not None:
            return found.make(span)
        if found.kind == "var":
            return t.Get(span, found.type, t.Local(span, found.type, found.index, found.name))
        lent = None if found.mut else (owner(found.name, found.kind), found.span)
        return t.Local(span, found.type, found.index, found.name, lent)

    def unknown(self, name: str, span: Span, known: Iterable[str]) -> Diagnostic:
        if self.module.type(name) is not None:
            return Diagnostic("E0201", f"`{name}` is a type, and a value is expected", span,
                              fix="make one by an alternative of it: " + ", ".join(
                                  f"`{k.name}`" for k in self.module.type(name).constructors))
        near = difflib.get_close_matches(name, sorted(set(known)), 1)
        return Diagnostic("E0201", f"`{name}` is not defined", span, fix=f"did you mean `{near[0]}`?" if near else "",
                          consequence=name in self.module.broken)

    # ------------------------------------------------------------------------------------------ finishing

    def finish(self, context: Context) -> None:
        """When a function has been checked: literals whose context said nothing get their types, and must fit them."""
        from .types import default

        for node, literal in context.literals:
            node.type = default(node.type)
            check_literal(node.type, literal)
        context.literals.clear()


def lifts(have: AnyType, goal: AnyType) -> bool:
    """Whether a value of now is implicitly made one of later."""
    have, goal = prune(have), prune(goal)
    if not isinstance(goal, Later) or isinstance(have, Later | FunctionOf | RangeOf) or have is STRING or have is NEVER:
        return False
    if isinstance(have, Meta):
        inner = prune(goal.inner)
        if have.open:
            return False  # its stage is open: it is the one of later
        return unify(have, inner.dtype if isinstance(inner, Array) else inner)
    return isinstance(have, Scalar | DataOf) and can_be_later(have) and unify(have, goal.inner)


def joined(x: AnyType, y: AnyType) -> AnyType | None:
    """The type that values of two types both fit."""
    x, y = prune(x), prune(y)
    if x is NEVER or y is NEVER:
        return y if x is NEVER else x
    if isinstance(x, Later) != isinstance(y, Later):
        target, other = (x, y) if isinstance(x, Later) else (y, x)
        if lifts(other, target):
            return target
    if isinstance(x, TupleOf) and isinstance(y, TupleOf) and len(x.items) == len(y.items):
        parts = [joined(a, b) for a, b in zip(x.items, y.items, strict=True)]
        return None if any(p is None for p in parts) else TupleOf(tuple(p for p in parts if p is not None))
    if isinstance(x, Later) and isinstance(y, Later):
        a, b = prune(x.inner), prune(y.inner)
        if isinstance(a, Array) and isinstance(b, Array) and a.dtype == b.dtype and len(a.dims) == len(b.dims):
            return Later(Array(a.dtype, tuple(d if d == e else None for d, e in zip(a.dims, b.dims, strict=True))))
    return x if unify(x, y) else None


def staged_result(x: AnyType) -> AnyType | None:
    """The type of what a choice made later gives, from that of its branches; None for what exists now only."""
    x = prune(x)
    match x:
        case Later() | TupleOf(items=()):
            return x
        case TupleOf(items):
            parts = [staged_result(p) for p in items]
            return None if any(p is None for p in parts) else TupleOf(tuple(p for p in parts if p is not None))
        case Meta(open=True) if not x.kind:
            return x
        case Meta() | Scalar():
            return Later(x)
        case DataOf():
            if can_be_later(x):
                return Later(x)
            return x if len(x.declaration.constructors) == 1 else None
        case ListOf(item):
            inner = staged_result(item)
            return None if inner is None else ListOf(inner)
        case _ if x is NEVER:
            return x
    return None


def check_literal(type: AnyType, literal: s.Int | s.Float) -> None:
    """Refuse a number that its type cannot hold exactly."""
    x = prune(type)
    x = prune(x.inner) if isinstance(x, Later) else x
    x = x.dtype if isinstance(x, Array) else x
    if not isinstance(x, Scalar):
        return
    if not fits(literal.value, x):
        raise Diagnostic("E0303", f"`{brief(literal.text)}` does not fit in `{x}`", literal.span, fix="use a wider type")
    if x.is_float and isinstance(literal, s.Int) and int(x.dtype.type(literal.value)) != literal.value:
        raise Diagnostic("E0303", f"`{brief(literal.text)}` is not exact in `{x}`", literal.span,
                         fix=f"write it as a float: `{brief(literal.text)}.0`")


BOOL, I64, F64, U8 = SCALARS["bool"], SCALARS["i64"], SCALARS["f64"], SCALARS["u8"]
