"""The syntax of a `.lms` file as a tree: what the parser gives, and what the checker, the formatter and editors read.

Every node has a `span`, its place in the source (columns count UTF-8 bytes, as in `lms.core.errors`). Nodes are compared by
identity, so they serve as keys of tables; `walk.same` compares two trees and ignores places and the spelling of literals.

    Module       the items of a file, its comments, and which expressions stood in parentheses
    Definition   Def, Data, Derivative, Import, FromImport
    Statement    Let, Var, Assign, Def, or an expression
    Expression   literals: Int Float Bool Str Char;  Name Tuple List Comprehension Lambda Block
                 Unary Binary Range Call Index Field With;  If Match While For;  Reset Shift;  Return Break Continue
    Pattern      AnyPattern NamePattern LiteralPattern ConstructorPattern TuplePattern ListPattern OrPattern
    TypeSyntax   NamedType TupleType ArrowType;  DimInt DimBinary in their brackets

What is parsed and what is decided later: `a[i]` is `Index` whether `a` is an array, a tuple, a list or a generic function;
`C(x)` is `Call` whether `C` is a function or a constructor; in `f64[n]` the `n` is a `NamedType` until the checker knows that
it is a dimension; an upper-case name in a pattern is a `ConstructorPattern` without fields.
"""

from __future__ import annotations

from typing import Literal

from lms.core.data import dataclass, field
from lms.core.errors import Span

from ..source import Comment


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """Anything with a place in the source."""

    span: Span


# ---------------------------------------------------------------------------------------------- expressions


class Expression(Node):
    """Anything that has a value: that of `while`, `for`, an `if` without `else` and an empty block is `()`, of type `unit`."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, eq=False)
class Int(Expression):
    """`10`, `0xff`, `1_000u8`: `text` is the spelling, `suffix` a scalar type or empty."""

    text: str
    value: int
    suffix: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Float(Expression):
    """`1.0`, `1e-3`, `2.5f32`."""

    text: str
    value: float
    suffix: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Bool(Expression):
    value: bool


@dataclass(frozen=True, slots=True, eq=False)
class Str(Expression):
    """A string; `text` is the spelling with its quotes. `{...}` in it means something to `print` and `error` only."""

    text: str
    value: str


@dataclass(frozen=True, slots=True, eq=False)
class Char(Expression):
    """`'a'`: a number of type `u8`."""

    text: str
    value: int


@dataclass(frozen=True, slots=True, eq=False)
class Name(Expression):
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Tuple(Expression):
    """`()`, the unit; `(a,)`; `(a, b)`."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, eq=False)
class List(Expression):
    """`[a, b]`: a list of the present stage."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Clause(Node):
    """`pattern in source`, of a `for`."""

    pattern: Pattern
    source: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Comprehension(Expression):
    """`[for i in 0..n, j in 0..m => body]`."""

    clauses: tuple[Clause, ...]
    body: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Parameter(Node):
    """`mut name: type = default`, of a function; the field of a constructor; the parameter of a lambda or a `shift`."""

    name: str
    name_span: Span
    type: TypeSyntax | None = None
    default: Expression | None = None
    mut: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Lambda(Expression):
    params: tuple[Parameter, ...]
    result: TypeSyntax | None
    body: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Block(Expression):
    """`{ statements }`: has the value of its last statement where that is an expression."""

    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Unary(Expression):
    """`-x`, `!x`."""

    op: Literal["-", "!"]
    operand: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Binary(Expression):
    """`left op right`, where `op` is a key of `operators.BINARY` other than `..`, `..=` and `by`."""

    op: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Range(Expression):
    """`start..stop by step`; `..=` is `inclusive`. Ends are left out only in subscripts: `a[..]`, `a[1..]`, `a[..3]`."""

    start: Expression | None
    stop: Expression | None
    inclusive: bool = False
    step: Expression | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Argument(Node):
    """An argument of a call, `value` or `name = value`."""

    name: str
    value: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Call(Expression):
    function: Expression
    args: tuple[Argument, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Index(Expression):
    """`value[args]`: a subscript, or a generic function given its types and dimensions."""

    value: Expression
    args: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Field(Expression):
    """`value.name`: the field of a record, or a name in a module."""

    value: Expression
    name: str
    name_span: Span


@dataclass(frozen=True, slots=True, eq=False)
class With(Expression):
    """`value with (x = 2.0)`: the record with other fields."""

    value: Expression
    changes: tuple[Argument, ...]


@dataclass(frozen=True, slots=True, eq=False)
class If(Expression):
    condition: Expression
    then: Block
    otherwise: Block | If | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Arm(Node):
    """`pattern if guard => body`."""

    pattern: Pattern
    guard: Expression | None
    body: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Match(Expression):
    subject: Expression
    arms: tuple[Arm, ...]


@dataclass(frozen=True, slots=True, eq=False)
class While(Expression):
    condition: Expression
    body: Block


@dataclass(frozen=True, slots=True, eq=False)
class For(Expression):
    """`for i in 0..n, j in 0..m { ... }`: several clauses are loops in loops."""

    clauses: tuple[Clause, ...]
    body: Block


@dataclass(frozen=True, slots=True, eq=False)
class Reset(Expression):
    body: Block


@dataclass(frozen=True, slots=True, eq=False)
class Shift(Expression):
    """`shift { k => statements }`."""

    param: Parameter
    body: Block


@dataclass(frozen=True, slots=True, eq=False)
class Return(Expression):
    value: Expression | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Break(Expression):
    pass


@dataclass(frozen=True, slots=True, eq=False)
class Continue(Expression):
    pass


# ----------------------------------------------------------------------------------- statements and definitions


@dataclass(frozen=True, slots=True, eq=False)
class Let(Node):
    """`let pattern: type = value`."""

    pattern: Pattern
    type: TypeSyntax | None
    value: Expression
    doc: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Var(Node):
    """`var name: type = value`."""

    name: str
    name_span: Span
    type: TypeSyntax | None
    value: Expression
    doc: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Assign(Node):
    """`target = value`; `op` is empty, or the operator of `target += value`."""

    target: Expression
    op: str
    value: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Generic(Node):
    """`T: Num` (a type, upper case, with an interface or none) or `n` (a dimension, lower case)."""

    name: str
    bound: str = ""

    @property
    def is_type(self) -> bool:
        return self.name[0].isupper()


@dataclass(frozen=True, slots=True, eq=False)
class Def(Node):
    """`export def name[generics](params): result = body`; `doc` is the text of the `///` lines above it."""

    name: str
    name_span: Span
    generics: tuple[Generic, ...]
    params: tuple[Parameter, ...]
    result: TypeSyntax | None
    body: Expression
    exported: bool = False
    doc: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Constructor(Node):
    """An alternative of a `data`: `Leaf(word: i64)`, `Nil`."""

    name: str
    name_span: Span
    fields: tuple[Parameter, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Data(Node):
    name: str
    name_span: Span
    generics: tuple[Generic, ...]
    constructors: tuple[Constructor, ...]
    doc: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Derivative(Node):
    """`derivative f(x) = (value, fn(dy) => dx)`: how the function `f` is differentiated."""

    name: str
    name_span: Span
    params: tuple[Parameter, ...]
    body: Expression
    doc: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Import(Node):
    """`import module as alias`; `alias` is the module's own name where none is given."""

    module: str
    module_span: Span
    alias: str


@dataclass(frozen=True, slots=True, eq=False)
class FromImport(Node):
    """`from module import a, b`: `names` with their places."""

    module: str
    module_span: Span
    names: tuple[Name, ...]


# ------------------------------------------------------------------------------------------------- patterns


class Pattern(Node):
    """What stands left of `=>` in a `match`, and of `=` in a `let`."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, eq=False)
class AnyPattern(Pattern):
    """`_`"""


@dataclass(frozen=True, slots=True, eq=False)
class NamePattern(Pattern):
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class LiteralPattern(Pattern):
    value: Int | Float | Str | Char | Bool


@dataclass(frozen=True, slots=True, eq=False)
class FieldPattern(Node):
    """`pattern` or `name = pattern` in a constructor's parentheses."""

    name: str
    pattern: Pattern


@dataclass(frozen=True, slots=True, eq=False)
class ConstructorPattern(Pattern):
    """`Node(l, r)`, `Nil`, `trees.Leaf(word = w)`: `name` may be `module.name`."""

    name: str
    fields: tuple[FieldPattern, ...]


@dataclass(frozen=True, slots=True, eq=False)
class TuplePattern(Pattern):
    items: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ListPattern(Pattern):
    """`[a, b, ..rest]`: `rest` is None for a list of exactly these, `AnyPattern` for `..`."""

    items: tuple[Pattern, ...]
    rest: NamePattern | AnyPattern | None = None


@dataclass(frozen=True, slots=True, eq=False)
class OrPattern(Pattern):
    alternatives: tuple[Pattern, ...]


# ---------------------------------------------------------------------------------------------------- types


class TypeSyntax(Node):
    """A type, or a dimension, as it is written."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, eq=False)
class NamedType(TypeSyntax):
    """`f64`, `Tree`, `Rep[f64[n, m]]`, `linalg.Matrix`; `n` alone, until the checker knows it for a dimension."""

    name: str
    args: tuple[TypeSyntax, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class TupleType(TypeSyntax):
    items: tuple[TypeSyntax, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ArrowType(TypeSyntax):
    """`(A, B) -> C`"""

    params: tuple[TypeSyntax, ...]
    result: TypeSyntax


@dataclass(frozen=True, slots=True, eq=False)
class DimInt(TypeSyntax):
    value: int


@dataclass(frozen=True, slots=True, eq=False)
class DimBinary(TypeSyntax):
    """`n + 1`, `2 * n`"""

    op: Literal["+", "-", "*"]
    left: TypeSyntax
    right: TypeSyntax


# -------------------------------------------------------------------------------------------------- modules


Definition = Def | Data | Derivative | Import | FromImport
Statement = Let | Var | Assign | Def | Expression
Item = Definition | Statement


@dataclass(frozen=True, slots=True, eq=False)
class Module:
    """A file: its items in order; the expressions that stood in parentheses of their own; names of what could not be read."""

    path: str
    text: str
    items: tuple[Item, ...]
    comments: tuple[Comment, ...] = ()
    parenthesised: frozenset[Expression] = field(default=frozenset(), repr=False)
    broken: frozenset[str] = frozenset()
