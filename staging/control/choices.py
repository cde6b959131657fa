"""Choices: `if`, conditional expressions, `and`, `or`, `not`, comparisons; what never returns: `raise` and a failed `assert`.

Each asks whether its condition is known now. If so it does what Python does; if the condition is a `Rep`, both branches are
run, each in a block of its own, and the variables they assign meet where the branches do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from lms.core import primitives as p
from lms.core.builder import Builder, current
from lms.core.data import dataclass, field
from lms.core.errors import Span, StagingError, StagingTypeError, here
from lms.core.ir import Block, Node, Value, walk
from lms.core.types import Scalar, SumType, bool_

from ..joins import describe
from ..library import arrays, elementary, elementwise
from ..rep import Rep
from .blocks import blocks, close_block, home, inside, open_block, splice, unwind
from .messages import operands_of, template
from .state import CHOICE, HIDDEN, Frame, Undefined, Variable, has_left, join_variable, one_sided, taken


class Dead(BaseException):  # not an Exception: the user's `except Exception` must not see it
    """Unwinds Python to the end of the staged block in which something is raised later: what follows it never runs."""

    def __init__(self, b: Builder) -> None:
        super().__init__()
        self.block = home(b)

    def ends(self, block: Block) -> None:
        """Refuse to end `block` for the sake of an error inside an expression of it."""
        if self.block is not block:
            raise StagingError("this raises later, too deep inside nested `if`s and loops", here(),
                               fix="move the inner ones into a function of their own")


@dataclass(frozen=True, slots=True)
class Site:
    """What the rewriting knows of one construct: its place, the names it may assign, those that are read after it.

    `places` says for each name where it is assigned: in the first branch (or before the loop), and in the second (in the loop).
    """

    span: Span
    names: tuple[str, ...] = ()
    live: frozenset[str] = frozenset()
    places: dict[str, tuple[Span | None, Span | None]] = field(default_factory=dict)
    exits: tuple[str, ...] = ()

    def where(self, name: str) -> tuple[Span | None, Span | None]:
        return self.places.get(name, (self.span, self.span))


def truth(x: Any) -> Any:
    """Whether `x` is true: a bool if it is known now, else a staged one."""
    if not isinstance(x, Rep):
        return bool(x)
    if isinstance(x.type, SumType):
        return True
    if x.ndim:
        raise StagingTypeError(f"{describe(x)} is an array: whether it is true is ambiguous", here(),
                               fix="say `.any()` or `.all()`")
    return elementwise.truth(x)


def logical_not(x: Any) -> Any:
    """`not x`."""
    t = truth(x)
    return elementary.logical_not(t) if isinstance(t, Rep) else not t


# ---------------------------------------------------------------------------------------------- branches


class Branch:
    """An `if` statement. The user's branches run between `then()` or `orelse()` and `leave(locals())`."""

    def __init__(self, site: Site, test: Any, frame: Frame) -> None:
        self.site = site
        self.test = truth(test)
        self.staged = isinstance(self.test, Rep)
        if self.staged:
            self.b = current()
            self.entry = taken(frame, site.names)
            self.paths: list[Path] = []

    def then(self) -> bool:
        return self._open() if self.staged else bool(self.test)

    def orelse(self) -> bool:
        return self._open() if self.staged else not self.test

    def _open(self) -> bool:
        self.paths.append(Path(open_block(self.b)))
        return True

    def dead(self, e: Dead) -> None:
        """The path ends in an error: what it assigned does not matter."""
        if not self.staged:
            raise e
        e.ends(self.paths[-1].block)
        unwind(self.b, self.paths[-1].block)
        self.paths[-1].dead = True

    def leave(self, frame: Frame) -> tuple[Any, ...]:
        """The values the names have from here on."""
        if not self.staged:
            return taken(frame, self.site.names)
        path = self.paths[-1]
        path.ends = dict(zip(self.site.names, taken(frame, self.site.names), strict=True))
        close_block(self.b, path.block)
        if len(self.paths) == 1:
            return self.entry
        return tuple(x if name in self.site.live else before for name, before, x in zip(
            self.site.names, self.entry, self._join(), strict=True))

    def _join(self) -> tuple[Any, ...]:
        first, second = self.paths
        skip = frozenset(self.site.names) - self.site.live
        names = tuple(Undefined(n) if n in skip else n for n in self.site.names)
        with self.b.at(self.site.span):
            return merge(self.b, self.test.value, first, second, names, self.site.where)


@dataclass(slots=True)
class Path:
    """One way through a choice: its block, what the names are at its end, and whether it ends in an error."""

    block: Block
    ends: dict[str, Any] = field(default_factory=dict)
    dead: bool = False


Names = tuple[str | Undefined, ...]
Places = Callable[[str], tuple[Span | None, Span | None]]


def merge(b: Builder, test: Value, first: Path, second: Path, names: Names, where: Places) -> tuple[Any, ...]:
    """Emit the `if` of two closed paths; the values the names have after it. Names that are `Undefined` do not travel."""
    if first.dead or second.dead:
        return _merge_dead(b, test, first, second, names)
    plans = [name if isinstance(name, Undefined) else _join(name, first, second, where) for name in names]
    variables = [v for v in plans if isinstance(v, Variable)]
    for path in (first, second):
        with b.into(path.block):
            path.block.results = tuple(v for x in variables for v in x.values(path.ends[x.name]))
    types = tuple(t for x in variables for t in x.types)
    results: Iterator[Value] = iter(())
    if types or first.block.nodes or second.block.nodes:
        results = iter(b.emit(p.control.if_, test, blocks=(first.block, second.block), types=types,
                              names=[x.label for x in variables for _ in x.types]))
    return tuple(x.rebuild(results) if isinstance(x, Variable) else x for x in plans)


def _join(name: str, first: Path, second: Path, where: Places) -> Variable | Undefined:
    """How a name travels. What is bound on a path that has returned, nobody reads, but for the result."""
    x, y = first.ends[name], second.ends[name]
    ways = has_left(first.ends), has_left(second.ends)
    if not name.startswith(HIDDEN):
        for path, way, mine, other in ((first, ways[0], x, y), (second, ways[1], y, x)):
            if way and isinstance(mine, Undefined) and not isinstance(other, Undefined):
                return join_variable(name, x, y, where(name), way)
            if way == "returned" and not _agree(name, x, y, where) and not isinstance(other, Undefined):
                path.ends[name] = Undefined(name)
                return one_sided(name, other)
    return join_variable(name, x, y, where(name))


def _agree(name: str, x: Any, y: Any, where: Places) -> bool:
    try:
        join_variable(name, x, y, where(name))
    except StagingTypeError:
        return False
    return True


def _merge_dead(b: Builder, test: Value, first: Path, second: Path, names: Names) -> tuple[Any, ...]:
    """A choice of which one path, or both, ends in an error: the other goes on, alone."""
    if first.dead and second.dead:
        b.emit(p.control.if_, test, blocks=(first.block, second.block), types=())
        if not inside(b):
            raise StagingError("every path raises here, so there is no result", here())
        raise Dead(b)
    ended, goes_on = (first, second) if first.dead else (second, first)
    check = _only_check(ended.block)
    if check is None:
        with b.reify() as nothing:
            pass
        b.emit(p.control.if_, test, blocks=(first.block, nothing) if first.dead else (nothing, second.block), types=())
    else:
        ok = b.emit1(p.scalar.not_, test) if first.dead else test
        with b.at(check.span):
            b.emit(p.control.check, ok, *check.operands[1:], **check.attrs)
    splice(b, goes_on.block)
    return tuple(goes_on.ends.get(name, name) if isinstance(name, str) else name for name in names)


def _only_check(block: Block) -> Node | None:
    """The failing check that is all a block does, if its message can be made outside."""
    *constants, last = block.nodes
    mine = {v for node in block.nodes for v in node.results}
    if last.op is p.control.check and all(n.op is p.array.const for n in constants) and not mine & set(last.operands[1:]):
        return last
    return None


# ------------------------------------------------------------------------------------------- expressions


class Choice:
    """`x if test else y`: each side is evaluated between `then()` or `orelse()` and `meet`, in place."""

    def __init__(self, span: Span, test: Any) -> None:
        self.span = span
        self.test = truth(test)
        self.staged = isinstance(self.test, Rep)
        self.paths: list[Path] = []

    def then(self) -> bool:
        return self._open() if self.staged else bool(self.test)

    def orelse(self) -> bool:
        if self.staged:
            return self._open()
        return not self.test

    def _open(self) -> bool:
        self.paths.append(Path(open_block(current(), expression=True)))
        return True

    def side(self, x: Any) -> Any:
        """The value of the side that was just evaluated."""
        if self.staged:
            self.paths[-1].ends = {CHOICE: x}
            close_block(current(), self.paths[-1].block)
        return x

    def meet(self, x: Any, y: Any) -> Any:
        if not self.staged:
            return x if self.test else y
        b = current()
        with b.at(self.span):
            first, second = self.paths
            (value,) = merge(b, self.test.value, first, second, (CHOICE,), lambda _: (self.span, self.span))
        return value


class Logic:
    """`x and y`, `x or y`: the right side is evaluated only if the left does not decide, at both stages."""

    def __init__(self, span: Span, both: bool, left: Any) -> None:
        self.span, self.both, self.left = span, both, left
        self.test = truth(left)
        self.staged = isinstance(self.test, Rep)
        self.block: Block | None = None

    def open(self) -> bool:
        """Whether the right side is evaluated."""
        if self.staged:
            self.block = open_block(current(), expression=True)
            return True
        return self.test is self.both

    def meet(self, right: Any) -> Any:
        if not self.staged:
            return right if self.test is self.both else self.left
        b = current()
        assert self.block is not None
        with b.at(self.span):
            bools = isinstance(right, bool) or isinstance(right, Rep) and right.type == bool_
            if self.left.type == bool_ and bools and cheap(self.block):
                close_block(b, self.block)
                splice(b, self.block)
                if not isinstance(right, Rep):
                    return self.left if right is self.both else right
                return Rep(b.emit1(p.scalar.and_ if self.both else p.scalar.or_, self.test.value, right.value))
            close_block(b, self.block)
            mine, other = Path(self.block, {CHOICE: right}), Path(_empty(b), {CHOICE: self.left})
            first, second = (mine, other) if self.both else (other, mine)
            (value,) = merge(b, self.test.value, first, second, (CHOICE,), lambda _: (self.span, self.span))
        return value


def _empty(b: Builder) -> Block:
    with b.reify() as block:
        return block


def cheap(block: Block) -> bool:
    """Whether a block may as well be run when it need not be: nothing it does is seen, nothing takes long."""
    return len(block.nodes) <= 16 and all(n.op.effect.pure and (n.op.elementwise or n.op in (p.array.const, p.array.dim))
                                          and all(isinstance(v.type, Scalar) for v in n.results) for n in walk(block))




def identical(x: Any, y: Any) -> Any:
    """`x is y`; a record that may be None, or a staged bool beside `True` or `False`, is asked later."""
    from ..records import is_instance

    staged, other = (x, y) if isinstance(x, Rep) else (y, x)
    if isinstance(staged, Rep) and isinstance(staged.type, SumType) and other is None:
        return is_instance(staged, type(None))
    if isinstance(staged, Rep) and staged.type == bool_ and isinstance(other, bool):
        return elementary.equal(staged, other)
    return x is y


def contains(x: Any, xs: Any) -> Any:
    """`x in xs`, where either may be staged."""
    if isinstance(xs, Rep):
        return arrays.any(elementary.equal(xs, x))
    if not isinstance(x, Rep) or not isinstance(xs, list | tuple | set | frozenset | dict | range):
        return x in xs
    if isinstance(xs, range):
        return _in_range(x, xs)
    found: Any = False
    for y in xs:
        equal = x == y
        found = equal if found is False else elementary.logical_or(found, equal)
    return found


def _in_range(x: Rep, xs: range) -> Any:
    if not xs:
        return False
    low, high = min(xs[0], xs[-1]), max(xs[0], xs[-1])
    found = elementary.logical_and(x >= low, x <= high)
    return found if abs(xs.step) == 1 else elementary.logical_and(found, (x - low) % abs(xs.step) == 0)


# ----------------------------------------------------------------------------------------------- errors


def raise_later(error: Any) -> Dead:
    """`raise error`, under a staged condition: the program raises it when it gets here. What to raise now instead."""
    if isinstance(error, type) and issubclass(error, BaseException):
        kind, args = error, ()
    elif isinstance(error, BaseException):
        kind, args = type(error), error.args
    else:
        raise TypeError("exceptions must derive from BaseException")
    if p.control.ERRORS.get(kind.__name__) is not kind:
        raise StagingError(f"{kind.__name__} cannot be raised later", here(),
                           fix=f"raise one of Python's own: {', '.join(sorted(p.control.ERRORS))}")
    b = current()
    if home(b) in blocks(b).expressions:
        raise StagingError("this raises later, in a part of an expression", here(), fix="use an `if` statement")
    b.emit(p.control.check, b.const(False, bool_), *operands_of(args), error=kind.__name__, message=template(args))
    return Dead(b)


# ------------------------------------------------------------------------------------------- combinators


def cond(test: Any, then: Callable[..., Any], orelse: Callable[..., Any], *args: Any) -> Any:
    """`then(*args)` if `test`, else `orelse(*args)`; needs no source. Both give values of one structure and types.

        lms.stage(lambda x: lms.cond(x > 0, lambda x: x, lambda x: -x, x))(-3.0)        # 3.0
    """
    choice = Choice(here() or _NOWHERE, test)
    x = choice.side(then(*args)) if choice.then() else None
    y = choice.side(orelse(*args)) if choice.orelse() else None
    return choice.meet(x, y)


_NOWHERE = Span("<unknown>", 0)
