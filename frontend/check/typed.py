"""The typed tree: what the checker makes of the syntax, and the evaluator runs.

Names are places: a local is the position of its value in the environment, counted from the outermost; a global is its
definition. What is implicit in the source stands here: lifts to the next stage, default arguments, which `if` is decided when.
A `type` may be a `Meta` while the definition around it is being checked; it is known when the evaluator sees it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lms.core.data import dataclass, field
from lms.core.errors import Span

from .types import AnyType, ConstructorDeclaration


@dataclass(eq=False, slots=True)
class Typed:
    span: Span
    type: AnyType


@dataclass(eq=False, slots=True)
class Constant(Typed):
    """A value known now; a number is of the node's type, whatever Python calls it."""

    value: Any


@dataclass(eq=False, slots=True)
class Local(Typed):
    index: int
    name: str
    lent: tuple[str, Span] | None = None  # whose it is, and where it was made, if its arrays may be read only


@dataclass(eq=False, slots=True)
class Global(Typed):
    """A variable at the top of a file: its place in the module's values."""

    place: Place


@dataclass(eq=False, slots=True)
class FunctionValue(Typed):
    """A function defined at the top of a file, for certain types."""

    instance: Instance


@dataclass(eq=False, slots=True)
class Lift(Typed):
    """A value known now as one of later, of the node's type."""

    value: Typed


@dataclass(eq=False, slots=True)
class Operation(Typed):
    """Something done at once to values: `name` for people, `run(types..., values...)` is chosen when the types are known."""

    name: str
    args: tuple[Typed, ...]
    make: Callable[[Operation], Callable[..., Any]]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class Tuple(Typed):
    items: tuple[Typed, ...]


@dataclass(eq=False, slots=True)
class List(Typed):
    items: tuple[Typed, ...]


@dataclass(eq=False, slots=True)
class Construct(Typed):
    constructor: ConstructorDeclaration
    args: tuple[Typed, ...]


@dataclass(eq=False, slots=True)
class GetField(Typed):
    value: Typed
    name: str


@dataclass(eq=False, slots=True)
class Update(Typed):
    """A record with other fields."""

    value: Typed
    names: tuple[str, ...]
    args: tuple[Typed, ...]


@dataclass(eq=False, slots=True)
class Function(Typed):
    """A lambda, or a local `def` (which may name itself: its own value follows its environment)."""

    name: str
    arity: int
    body: Typed | None
    itself: bool = False
    staged: bool = False  # a function of the generated program: it calls itself, on values of later


@dataclass(eq=False, slots=True)
class Call(Typed):
    function: Typed
    args: tuple[Typed, ...]


@dataclass(eq=False, slots=True)
class Special(Typed):
    """A call that takes over the evaluation: `grad`, `reify`, ...; `run(machine, node, values)` gives its value."""

    name: str
    args: tuple[Typed, ...]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class Block(Typed):
    """Statements in order; the value is that of the last, unless it binds."""

    statements: tuple[Statement, ...]


@dataclass(eq=False, slots=True)
class Bind(Typed):
    """`let pattern = value`: what the pattern binds goes to the end of the environment."""

    pattern: Pattern
    value: Typed


@dataclass(eq=False, slots=True)
class NewVariable(Typed):
    """`var name = value`; `later` says that it is a variable of the generated program."""

    name: str
    value: Typed
    later: bool


@dataclass(eq=False, slots=True)
class Get(Typed):
    """The value of a variable; `place` is a Local or a Global that holds it."""

    place: Typed


@dataclass(eq=False, slots=True)
class Set(Typed):
    place: Typed
    value: Typed


@dataclass(eq=False, slots=True)
class Choose(Typed):
    """`if`, decided now or (`later`) by the generated program; also `&&` and `||`."""

    condition: Typed
    then: Typed
    otherwise: Typed
    later: bool
    what: str = "an `if`"


@dataclass(eq=False, slots=True)
class MatchOn(Typed):
    subject: Typed
    arms: tuple[tuple[Pattern, Typed | None, Typed], ...]
    later: bool


@dataclass(eq=False, slots=True)
class Loop(Typed):
    """`while`; `variables` are the staged ones that its body assigns, as places."""

    condition: Typed
    body: Typed
    later: bool
    variables: tuple[Typed, ...] = ()


@dataclass(eq=False, slots=True)
class Each(Typed):
    """`for pattern in source`; `kind` is `list`, `range`, `later range` or `array`."""

    pattern: Pattern
    source: Typed
    body: Typed
    kind: str
    variables: tuple[Typed, ...] = ()


@dataclass(eq=False, slots=True)
class Collect(Typed):
    """A comprehension: a list over what is known now, an array over later ranges."""

    clauses: tuple[tuple[Pattern, Typed, str], ...]
    body: Typed


@dataclass(eq=False, slots=True)
class Delimit(Typed):
    """`reset`"""

    body: Typed


@dataclass(eq=False, slots=True)
class Capture(Typed):
    """`shift`: the continuation goes to the end of the environment of the body."""

    body: Typed


@dataclass(eq=False, slots=True)
class Jump(Typed):
    """`return`, `break` and `continue` under control that is decided now."""

    kind: str
    value: Typed | None = None


@dataclass(eq=False, slots=True)
class Catch(Typed):
    """Where jumps of a kind arrive: around a function's body (`return`)."""

    kind: str
    body: Typed


Statement = Typed


# ------------------------------------------------------------------------------------------------- patterns


@dataclass(eq=False, slots=True)
class Pattern:
    """A pattern with the type of what it is matched with."""

    kind: str  # any, name, literal, constructor, tuple, list, or
    type: AnyType
    span: Span
    parts: tuple[Pattern, ...] = ()
    value: Any = None  # of a literal
    constructor: ConstructorDeclaration | None = None
    rest: Pattern | None = None  # of a list

    def names(self) -> int:
        """How many names it binds, in order."""
        if self.kind == "name":
            return 1
        if self.kind == "or":
            return self.parts[0].names()
        return sum(p.names() for p in self.parts) + (self.rest.names() if self.rest else 0)


# ------------------------------------------------------------------------------------------------ definitions


@dataclass(eq=False, slots=True)
class Place:
    """Where the value of a top-level `let` or `var` is, once it has been evaluated."""

    name: str
    type: AnyType
    span: Span
    mutable: bool = False
    later: bool = False
    value: Any = None
    set: bool = False


@dataclass(eq=False, slots=True)
class Instance:
    """A top-level function for certain types: its parameters, result, and body once it has been checked."""

    name: str
    syntax: Any
    module: Any
    types: dict[str, AnyType]
    params: tuple[tuple[str, AnyType, bool], ...]  # name, type, mut
    result: AnyType | None
    sizes: tuple[tuple[str, int, int], ...] = ()  # dimension, which parameter, which axis
    body: Typed | None = None
    checked: str = ""  # "", "checking", "done"
    defaults: tuple[Typed | None, ...] = ()
    calls: set[Instance] = field(default_factory=set)
    shifts: bool = False
    rule: Instance | None = None
    needed: Span | None = None
    code: Any = None
    staged: Any = None
