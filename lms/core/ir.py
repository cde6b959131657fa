"""What a program is: five types. Structured control flow, nodes in order, typed single-assignment values.

    Value     a result: its type, a name hint, and where it was defined
    Node      an operation: primitive, operands, attributes, nested blocks, results
    Block     parameters, nodes in order, results; sees the values of the blocks around it
    Function  a named block that sees nothing around it
    Program   functions by name, and the one to enter
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from .data import dataclass, field
from .types import ArrayType, FunctionType, SumType, Type

if TYPE_CHECKING:
    from .errors import Span
    from .primitives.table import Primitive


@dataclass(eq=False, slots=True)
class Value:
    """A typed value that is assigned once: a block's parameter (`node` is None) or a node's result."""

    type: Type
    name: str = ""
    node: Node | None = None
    block: Block | None = None

    def __repr__(self) -> str:
        return f"<{self.name or 'value'}: {self.type}>"

    @property
    def number(self) -> Any:
        """The number that it is known to be, as a `const` gives it; None where that is found out when the program runs."""
        return self.node.attrs["value"] if self.node is not None and self.node.op.name == "const" else None


@dataclass(eq=False, slots=True)
class Node:
    """One operation at its place in a block. `half` says which half of a derivative it belongs to, for pictures."""

    op: Primitive
    operands: tuple[Value, ...]
    attrs: dict[str, Any] = field(default_factory=dict)
    blocks: tuple[Block, ...] = ()
    results: tuple[Value, ...] = ()
    span: Span | None = None
    half: Literal["", "forward", "backward"] = ""

    @property
    def result(self) -> Value:
        """The only result."""
        (value,) = self.results
        return value


@dataclass(eq=False, slots=True)
class Block:
    """A sequence of nodes with parameters and results: a function's body, a branch, the body of a loop."""

    params: tuple[Value, ...] = ()
    nodes: list[Node] = field(default_factory=list)
    results: tuple[Value, ...] = ()

    def __post_init__(self) -> None:
        for param in self.params:
            param.block = self


@dataclass(eq=False, slots=True)
class Function:
    """A closed block with a name. `mut` holds the indices of the parameters it may write to."""

    name: str
    body: Block
    mut: frozenset[int] = frozenset()
    span: Span | None = None
    doc: str = ""

    @property
    def type(self) -> FunctionType:
        return FunctionType(tuple(p.type for p in self.body.params), tuple(r.type for r in self.body.results))


@dataclass(eq=False, slots=True)
class Program:
    """Functions by name, and the name of the one that is entered from outside."""

    functions: dict[str, Function] = field(default_factory=dict)
    entry: str = ""

    @property
    def main(self) -> Function:
        return self.functions[self.entry]

    def known_as(self, function: Function) -> str:
        """The name by which the user knows a function: those that are staged more than once, or derived, keep its place."""
        alike = [f.name for f in self.functions.values() if f.span is not None and f.span == function.span]
        return min(alike, key=len, default=function.name)

    def fresh_name(self, hint: str) -> str:
        """`hint`, or `hint_2`, `hint_3`, ... where it is taken."""
        name, k = hint, 1
        while name in self.functions:
            k += 1
            name = f"{hint}_{k}"
        return name

    def __str__(self) -> str:
        from .text import print_program  # text reads programs; programs only know where to find it

        return print_program(self)


# ------------------------------------------------------------------------------------------- traversal


def walk(block: Block) -> Iterator[Node]:
    """Every node of a block and of the blocks inside it, in order, outer before inner."""
    open_blocks = [iter(block.nodes)]
    while open_blocks:
        for node in open_blocks[-1]:
            yield node
            if node.blocks:
                open_blocks += [iter(inner.nodes) for inner in reversed(node.blocks)]
                break
        else:
            open_blocks.pop()


def blocks(block: Block) -> Iterator[Block]:
    """A block and those inside."""
    yield block
    for node in walk(block):
        yield from node.blocks


def named(node: Node) -> tuple[str, ...]:
    """The functions that a node names: a callee, its halves where it has a rule, what is run again where it is checkpointed."""
    if "callee" not in node.attrs:
        return ()
    again = node.attrs.get("again")
    return (node.attrs["callee"], *node.attrs.get("halves", ()), *([] if again is None else [again]))


def free_values(*blocks: Block) -> dict[Value, None]:
    """The values that blocks use and do not define, in order of first use."""
    free: dict[Value, None] = {}
    for block in blocks:
        _free(block, set(), free)
    return free


def _free(block: Block, bound: set[Value], free: dict[Value, None]) -> None:
    mine = set(block.params)
    bound |= mine
    for node in block.nodes:
        for v in node.operands:
            if v not in bound:
                free[v] = None
        for inner in node.blocks:
            _free(inner, bound, free)
        bound.update(node.results)
        mine.update(node.results)
    for v in block.results:
        if v not in bound:
            free[v] = None
    bound -= mine


def substitute(block: Block, env: dict[Value, Value]) -> None:
    """Replace uses of values, in place, in a block and in those inside it."""
    if not env:
        return
    for node in block.nodes:
        node.operands = tuple([env.get(v, v) for v in node.operands])
        for inner in node.blocks:
            substitute(inner, env)
    block.results = tuple([env.get(v, v) for v in block.results])


def sum_types(program: Program) -> dict[str, SumType]:
    """Every sum type the program mentions, by name, in order of first mention."""
    found: dict[str, SumType] = {}

    def visit(t: Type) -> None:
        if isinstance(t, ArrayType):
            visit(t.dtype)
        elif isinstance(t, SumType) and t.name not in found:
            found[t.name] = t
            for constructor in t.constructors:
                for _, f in constructor.fields:
                    visit(f)

    for function in program.functions.values():
        for v in function.body.params:
            visit(v.type)
        for node in walk(function.body):
            for inner in node.blocks:
                for v in inner.params:
                    visit(v.type)
            for v in node.results:
                visit(v.type)
    return found
