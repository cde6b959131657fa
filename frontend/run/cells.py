"""Variables: those of now, and those of the generated program, which travel through branches and loops as values.

A *journal* stands for each block of later that is being filled: which variables of outside it has changed, and what they were.
At the end of a branch or loop that says what its results are.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from lms.core.builder import Builder, current, staging
from lms.core.errors import Span
from lms.staging import functions
from lms.staging.library import ops
from lms.staging.rep import Rep

from ..diagnostics import Diagnostic
from .operations import strong

Journal = dict["Variable", Any]


class Journals:
    """The journals of the open blocks of one program, innermost last."""

    def __init__(self) -> None:
        self.open: list[Journal] = []


_of: WeakKeyDictionary[Builder, Journals] = WeakKeyDictionary()


def journals() -> Journals:
    b = current()
    if b not in _of:
        _of[b] = Journals()
    return _of[b]


def depth() -> int:
    return len(journals().open) if staging() else 0


class Cell:
    """A variable of now."""

    __slots__ = ("depth", "name", "span", "value")

    def __init__(self, name: str, value: Any, span: Span) -> None:
        self.name, self.value, self.span = name, value, span
        self.depth = depth()

    def get(self) -> Any:
        return self.value

    def set(self, value: Any, span: Span) -> None:
        if depth() > self.depth:
            raise Diagnostic("E0403", f"`{self.name}` is a variable of now, assigned in code that runs later", span,
                             notes=((f"`{self.name}` is made here", self.span),),
                             fix=f"make it a variable of later: `var {self.name}: Rep[...] = ...`")
        if isinstance(value, Rep):
            raise Diagnostic("E0507",
                             f"`{self.name}` is a variable of the file, assigned by a function that is called from outside",
                             span, notes=((f"`{self.name}` is made here", self.span),), fix="give the new value as the result")
        self.value = value


class Variable:
    """A variable of the generated program. `node` made it; where a function inside another assigns to it, it lives in memory."""

    __slots__ = ("box", "depth", "function", "name", "node", "span", "value")

    def __init__(self, name: str, value: Any, span: Span, node: Any) -> None:
        self.name, self.span, self.node = name, span, node
        self.depth = depth()
        self.function = _function()
        self.box = None
        self.value = value
        if node in BOXED:
            with current().at(span):
                self.box = ops.full((1,), value)

    def get(self) -> Any:
        return self.value if self.box is None else strong(self.box[0])

    def set(self, value: Any, span: Span) -> None:
        if self.box is not None:
            with current().at(span):
                self.box[0] = value
            return
        if self.function is not _function():
            if not isinstance(self.value, Rep) or self.value.ndim or hasattr(self.value.type, "constructors"):
                raise Diagnostic("E0507", f"`{self.name}` is assigned in another function of the generated program", span,
                                 notes=(("it is made here", self.span),), fix="let the function give the new value as its result")
            BOXED.add(self.node)
            raise functions.Restart
        self.replace(value)

    def replace(self, value: Any) -> None:
        """Set it, and note in the journal what it was."""
        open_ = journals().open
        if len(open_) > self.depth and self not in open_[-1]:
            open_[-1][self] = self.value
        self.value = value


BOXED: set[Any] = set()  # the nodes whose variables live in memory


def _function() -> Any:
    entered = getattr(current(), "entered", None)
    return entered[-1][0] if entered else None


def begin() -> None:
    journals().open.append({})


def end() -> dict[Variable, Any]:
    """Close the innermost journal: the variables of outside that changed, and what they are now; they are reset to before."""
    changed = journals().open.pop()
    ends = {v: v.value for v in changed}
    for v, before in changed.items():
        v.value = before
    return ends
