"""Arrays that may be read only, wherever they are handed on: through functions, tuples, lists, branches, loops and views.

The name of a `let`, or of a parameter without `mut`, *lends* its array: what it hands out is the same array without the right to
write. A `var` that begins as such is a copy if it is written to (`check/places`); every other write to one is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from lms.core.errors import Span
from lms.core.ir import Value
from lms.staging import trees
from lms.staging.library.indexing import base
from lms.staging.rep import Rep

from ..diagnostics import Diagnostic

CALLED = "what a function of the generated program gives"


def owner(name: str, kind: str = "let") -> str:
    """What may only be read, for messages."""
    return f"`{name}` is a {'parameter' if kind == 'parameter' else '`let`'}"


class Lent(Rep):
    """An array that may be read only. `owner` is whose it is, for the message, and `where` it was lent."""

    __slots__ = ("owner", "where")
    owner: str
    where: Span | None

    def __init__(self, value: Value, owner: str, where: Span | None) -> None:
        super().__init__(value)
        object.__setattr__(self, "owner", owner)  # a staged record has no fields that can be set
        object.__setattr__(self, "where", where)

    def writing(self, span: Span, fix: str = "") -> None:
        """What to do before somebody writes to it: nothing can be done."""
        raise Diagnostic("E0308", f"this writes to an array that is read only: {self.owner}", span,
                         notes=(("it comes from here", self.where),) if self.where else (),
                         fix=fix or "write to a copy: `var y = x` makes one of what is read only, and so does `copy(x)`")


class Held(Lent):
    """The array of a variable at the top of a file: `own` makes the statement start again, with one that it may write to."""

    __slots__ = ("own",)
    own: Callable[[], None]

    def __init__(self, value: Value, own: Callable[[], None]) -> None:
        super().__init__(value, "a variable of the file", None)
        object.__setattr__(self, "own", own)

    def writing(self, span: Span, fix: str = "") -> None:
        self.own()


def lend(x: Any, owner: str, where: Span | None) -> Any:
    """A value without the right to write to its arrays. What lists and data hold stays as it was put there."""
    if isinstance(x, Rep):
        return x if isinstance(x, Lent) or not x.ndim else Lent(x.value, owner, where)
    if type(x) is tuple:
        return tuple(lend(v, owner, where) for v in x)
    return x


def lent_in(values: Iterable[Any]) -> Iterator[Lent]:
    """The arrays that may be read only, in values and what they hold."""
    for x in values:
        yield from (leaf for leaf in trees.leaves(x) if isinstance(leaf, Lent))


def lend_like(x: Any, *others: Any) -> Any:
    """A value that may be one of the others: its arrays are read only if one of theirs is."""
    found = next(lent_in(others), None)
    return x if found is None else _deeply(x, found)


def _deeply(x: Any, like: Lent) -> Any:
    return trees.map_leaves(lambda leaf: lend(leaf, like.owner, like.where), x)


def lend_views(x: Any, args: tuple[Any, ...]) -> Any:
    """What an operation gives: read only where it is memory of an argument that is."""
    lent = {base(a.value): a for a in lent_in(args)}
    if not lent:
        return x
    if isinstance(x, Rep):
        owner = lent.get(base(x.value))
        return x if owner is None or not x.ndim else lend(x, owner.owner, owner.where)
    return type(x)(lend_views(v, args) for v in x) if type(x) in (tuple, list) else x


def claim(x: Any, span: Span, fix: str = "") -> None:
    """Refuse a write to what is read only."""
    if isinstance(x, Lent):
        x.writing(span, fix)
