"""The law of programs, executable: scope, types, blocks, writes. Runs between passes under test.

Types are derived again by the type rules and must equal those recorded. Where a value meets a declared type (a carried
value, a branch's result, an argument) a dimension may differ if the declared one has a symbol.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from . import primitives as p
from .data import dataclass, field
from .effects import Effects
from .errors import LmsError, VerifyError
from .ir import Block, Function, Node, Program, Value, walk
from .primitives.control import ERRORS
from .primitives.record import fits
from .text import Printer
from .types import ArrayType, FunctionType, Type, bool_, i64


def verify(program: Program, after: str = "") -> None:
    """Raise `VerifyError` if the program breaks the law; `after` names the pass to blame."""
    if program.entry not in program.functions:
        raise VerifyError(f"{_blame(after)}there is no function called {program.entry!r} to enter")
    defined = set[Value]()
    checkers = [_Checker(program, name, function, after, defined) for name, function in program.functions.items()]
    for checker in checkers:
        checker.function()
    effects = Effects(program)  # asks for sound programs
    for checker in checkers:
        checker.writes(effects)


def verify_lowered(program: Program, after: str = "") -> None:
    """Raise `VerifyError` for an operation that compiled back ends do not know: see `Primitive.lowered`."""
    for name, function in program.functions.items():
        checker = _Checker(program, name, function, after)
        for node in walk(function.body):
            if not node.op.lowered or node.op.elementwise and any(isinstance(v.type, ArrayType) for v in node.operands):
                checker.fail("it is not lowered", node)


def _blame(after: str) -> str:
    return f"after {after}: " if after else ""


def matches(found: Type, declared: Type) -> bool:
    """Whether a value can stand where a type is declared: dimensions may differ where the declared one has a symbol."""
    if isinstance(found, ArrayType) and isinstance(declared, ArrayType):
        return fits(found, declared) and all(
            d == e or not isinstance(e, int) for d, e in zip(found.dims, declared.dims, strict=True))
    return found == declared


@dataclass(slots=True)
class _Checker:
    """One function under examination; `visible` is what may be used at this point."""

    program: Program
    name: str
    subject: Function
    after: str
    defined: set[Value] = field(default_factory=set)  # anywhere in the program
    visible: set[Value] = field(default_factory=set)

    def fail(self, what: str, node: Node | None = None, value: Value | None = None) -> NoReturn:
        """Names the pass, the function and the node, as the function's text would."""
        show = Printer()
        with suppress(ValueError, IndexError, KeyError):  # too broken to print: the names below are of this line alone
            list(show.function(self.subject))  # gives every value the name it has in the text of the function
        line = f"\n    {show.head(node)}" if node else ""
        who = f"{show.name(value)} " if value else ""
        notes = (("made here", value.node.span),) if value and value.node else ()
        span = node.span if node else self.subject.span
        raise VerifyError(f"{_blame(self.after)}in {self.name}: {who}{what}{line}", span, notes=notes)

    # ---------------------------------------------------------------------------------------- structure

    def function(self) -> None:
        f = self.subject
        if f.name != self.name:
            self.fail(f"the function is called {f.name!r}")
        for k in f.mut:
            if not 0 <= k < len(f.body.params) or not isinstance(f.body.params[k].type, ArrayType):
                self.fail(f"parameter {k} is `mut` but no array")
        self.block(f.body)

    def block(self, block: Block, owner: Node | None = None) -> None:
        """Parameters, nodes in order, results; what the block defines ends with it."""
        for v in block.params:
            self.define(v, None, block, owner)
        for node in block.nodes:
            self.node(node, block)
        for v in block.results:
            self.use(v, owner)
        self.visible.difference_update(block.params, *(node.results for node in block.nodes))

    def define(self, v: Value, node: Node | None, block: Block, at: Node | None) -> None:
        if v in self.defined:
            self.fail("is defined twice", at, v)
        if v.node is not node:
            self.fail("points back to another node than the one that makes it", at, v)
        if v.block is not block:
            self.fail("points back to another block than the one it is in", at, v)
        self.defined.add(v)
        self.visible.add(v)

    def use(self, v: Value, node: Node | None) -> None:
        if v not in self.visible:
            self.fail("is used where it is not visible" if v in self.defined else "is used and not defined before", node, v)

    def node(self, node: Node, block: Block) -> None:
        for v in node.operands:
            self.use(v, node)
        for inner in node.blocks:
            self.block(inner, node)
        self.types(node)
        if node.op in (p.control.call, p.control.vjp, p.control.jvp):
            self.callee(node)
        elif node.op is p.control.if_:
            self.if_(node)
        elif node.op is p.control.for_:
            self.for_(node)
        elif node.op is p.control.while_:
            self.while_(node)
        elif node.op is p.control.check and node.attrs.get("error") not in ERRORS:
            self.fail(f"there is no error called {node.attrs.get('error')}", node)
        for v in node.results:
            self.define(v, node, block, node)

    # -------------------------------------------------------------------------------------------- types

    def types(self, node: Node) -> None:
        try:
            derived = node.op.type(tuple(v.type for v in node.operands), node.attrs)
        except LmsError as e:
            self.fail(f"{e.message}", node)
        except (KeyError, IndexError, TypeError, ValueError, AssertionError) as e:
            self.fail(f"an operand or attribute is missing or wrong ({type(e).__name__}: {e})", node)
        self.equal(derived, tuple(v.type for v in node.results), node)

    def equal(self, derived: Sequence[Type], recorded: Sequence[Type], node: Node) -> None:
        if tuple(derived) != tuple(recorded):
            self.fail(f"it gives {_show(derived)}, recorded as {_show(recorded)}", node)

    def meet(self, found: Sequence[Value], declared: Sequence[Value], what: str, node: Node) -> None:
        """Values meet declared ones: equal in number, each of a type that can stand there."""
        if len(found) != len(declared):
            self.fail(f"{what}: {len(declared)} expected, {len(found)} found", node)
        for v, expected in zip(found, declared, strict=True):
            if not matches(v.type, expected.type):
                self.fail(f"{what}: {v.type} cannot stand for {expected.type}", node)

    def blocks(self, node: Node, n: int) -> None:
        if len(node.blocks) != n:
            self.fail(f"it has {len(node.blocks)} blocks, not {n}", node)

    def if_(self, node: Node) -> None:
        self.blocks(node, 2)
        if [v.type for v in node.operands] != [bool_]:
            self.fail("it takes one bool", node)
        for branch, block in zip(("then", "else"), node.blocks, strict=True):
            if block.params:
                self.fail(f"the block {branch!r} takes parameters", node)
            self.meet(block.results, node.results, f"results of {branch!r}", node)

    def for_(self, node: Node) -> None:
        self.blocks(node, 1)
        (body,) = node.blocks
        bounds, inits = node.operands[:3], node.operands[3:]
        if len(bounds) != 3 or any(v.type != i64 for v in bounds):
            self.fail("it takes start, stop and step of type i64", node)
        if not bounds[2].number:
            self.fail("its step is not a constant other than 0", node)
        if not body.params or body.params[0].type != i64:
            self.fail("its body does not take a counter of type i64", node)
        self.carried(node, inits, body.params[1:])

    def while_(self, node: Node) -> None:
        self.blocks(node, 2)
        condition, body = node.blocks
        if [v.type for v in condition.results] != [bool_]:
            self.fail("its condition does not give one bool", node)
        self.meet(node.operands, condition.params, "parameters of the condition", node)
        self.meet(body.results, condition.params, "carried to the condition", node)
        self.carried(node, node.operands, body.params)

    def carried(self, node: Node, inits: Sequence[Value], params: Sequence[Value]) -> None:
        """What enters a loop, what an iteration hands to the next, and what leaves."""
        results = node.blocks[-1].results
        self.meet(inits, params, "carried into the loop", node)
        self.meet(results, params, "carried to the next iteration", node)
        self.meet(inits, node.results, "results of no iterations", node)
        self.meet(results, node.results, "results of the last iteration", node)

    def callee(self, node: Node) -> None:
        name = node.attrs["callee"]
        if name not in self.program.functions:
            self.fail(f"there is no function called {name!r}", node)
        signature = self.program.functions[name].type
        given = node.operands if node.op is p.control.call else node.operands[:len(signature.params)]
        self.signature(signature, tuple(v.type for v in given), tuple(node.attrs["types"]), node)

    def signature(self, callee: FunctionType, params: tuple[Type, ...], results: tuple[Type, ...], node: Node) -> None:
        for what, found, declared in (("takes", params, callee.params), ("gives", callee.results, results)):
            if len(found) != len(declared) or not all(map(fits, found, declared)):
                self.fail(f"the callee {what} {_show(declared if what == 'takes' else found)}, "
                          f"here {_show(found if what == 'takes' else declared)}", node)

    # ------------------------------------------------------------------------------------------- writes

    def writes(self, effects: Effects) -> None:
        """Parameters are written to only where they are `mut`; the condition of a `while` changes nothing that outlives it."""
        f = self.subject
        closed = {v for k, v in enumerate(f.body.params) if k not in f.mut}
        for node in walk(f.body):
            changes = effects.of(node).changes
            by_record = any(isinstance(root, str) for root in changes)  # which of a record's arrays is not known
            for root in changes:
                if root in closed and isinstance(root, Value) and not (node.blocks or by_record):
                    self.fail("is written to and not `mut`", node, root)
            if node.op is p.control.while_:
                condition = node.blocks[0]
                local = {v for inner in walk(condition) for v in inner.results}
                if effects.block(condition).changes - local:
                    self.fail("its condition writes", node)


def _show(types: Sequence[Type]) -> str:
    return f"({', '.join(map(str, types))})"
