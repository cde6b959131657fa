"""`break`, `continue` and `return` that are decided later: the syntax without them, in terms of flags and branches.

A jump sets a flag of the generated program; what follows it stands under `if !flag`, and loops go on while the flag is not set.
The names of the flags begin with `%`, which no name of the user's does. As in Python's staging (`staging/source/jumps.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from lms.core.data import dataclass, replace
from lms.core.errors import Span

from ..diagnostics import Diagnostic
from ..parse import syntax as s
from ..parse.walk import below


class StagedJump(Exception):
    """A jump that is decided later was met: what it leaves (a loop, or the function's context) is to be checked without jumps."""

    def __init__(self, target: object, error: Diagnostic) -> None:
        super().__init__()
        self.target, self.error = target, error


@dataclass(frozen=True)
class Lowering:
    """What is being left out: the jumps of one loop, or (`result`) the returns of one function."""

    error: Diagnostic
    result: bool = False
    slot: bool = True  # whether the function gives something

    # ---------------------------------------------------------------------------------------------- what jumps

    def jumps(self, e: s.Node) -> bool:
        """Whether a jump of ours is in a part of the program."""
        if isinstance(e, s.Return):
            return self.result
        if isinstance(e, s.Break | s.Continue):
            return not self.result
        if isinstance(e, s.Lambda | s.Def | s.Reset | s.Shift):
            return False
        if isinstance(e, s.While | s.For) and not self.result:
            return False
        return any(map(self.jumps, below(e)))

    @property
    def flags(self) -> tuple[str, ...]:
        return ("%returned",) if self.result else ("%broken", "%skipped")

    # ---------------------------------------------------------------------------------------------- statements

    def statements(self, items: Sequence[s.Statement], tail: bool = False) -> tuple[s.Statement, ...]:
        """Statements without jumps. With `tail`, the value of the last becomes the function's result."""
        for k, item in enumerate(items):
            last = k == len(items) - 1
            if not self.jumps(item):
                continue
            made = self.statement(item, tail and last)
            rest = self.statements(items[k + 1:], tail)
            return (*items[:k], *made, *((self.unless(item.span, rest),) if rest else ()))
        if tail and self.slot and items and isinstance(items[-1], s.Expression):
            return (*items[:-1], assign(items[-1].span, "%result", items[-1]))
        return tuple(items)

    def statement(self, e: s.Statement, tail: bool) -> tuple[s.Statement, ...]:
        """One statement that jumps."""
        match e:
            case s.Return(span=span, value=value):
                given = assign(span, "%result", value) if self.slot and value is not None else value
                return (*((given,) if given is not None else ()), assign(span, "%returned", s.Bool(span, True)))
            case s.Break(span=span):
                return (assign(span, "%broken", s.Bool(span, True)),)
            case s.Continue(span=span):
                return (assign(span, "%skipped", s.Bool(span, True)),)
            case s.Block(span=span, statements=inner):
                return (s.Block(span, self.statements(inner, tail)),)
            case s.If():
                return (self.branch(e, tail),)
            case s.Match(span=span, subject=subject, arms=arms) if not self.jumps(subject):
                return (s.Match(span, subject, tuple(replace(a, body=self.block(a.body, tail)) for a in arms)),)
            case s.While(span=span, condition=condition, body=body) if not self.jumps(condition):
                asked = both(self.none_set(span), condition)
                return (s.While(span, asked, s.Block(body.span, self.statements(body.statements))),)
            case s.For(body=body):
                return (replace(e, body=s.Block(body.span, (self.unless(body.span, self.statements(body.statements)),))),)
        raise Diagnostic(self.error.code, f"{self.error.message}, inside an expression", self.error.span, notes=self.error.notes,
                         fix="give the jump a statement of its own")

    def branch(self, e: s.If, tail: bool) -> s.If:
        if self.jumps(e.condition):
            return self.statement(s.Tuple(e.span, (e,)), tail)[0]  # type: ignore[return-value]  # raises: a jump in an expression
        other = e.otherwise
        if isinstance(other, s.If):
            other = self.branch(other, tail)
        elif other is not None:
            other = self.block(other, tail)
        return s.If(e.span, e.condition, self.block(e.then, tail), other)

    def block(self, e: s.Expression, tail: bool) -> s.Block:
        inner = e.statements if isinstance(e, s.Block) else (e,)
        made = self.statements(inner, tail)
        return s.Block(e.span, made if tail or not made or not isinstance(made[-1], s.Expression) else (*made, s.Tuple(e.span,
                ())))

    def none_set(self, span: Span) -> s.Expression:
        flags = [s.Unary(span, "!", s.Name(span, name)) for name in self.flags]
        return flags[0] if len(flags) == 1 else both(flags[0], flags[1])

    def unless(self, span: Span, rest: Sequence[s.Statement]) -> s.Statement:
        """What runs only if there was no jump."""
        ends = (s.Tuple(span, ()),) if rest and isinstance(rest[-1], s.Expression) else ()
        return s.If(span, self.none_set(span), s.Block(span, (*rest, *ends)))


# ---------------------------------------------------------------------------------------------------- loops


def without_exits(e: s.While | s.For, error: Diagnostic, later: bool) -> s.Block:
    """A loop whose `break` and `continue` are decided later, with flags. `later`: its range exists later."""
    lowering, span = Lowering(error), e.span
    broken = flag(span, "%broken")
    body = (flag(span, "%skipped"), *lowering.statements(e.body.statements))
    going = s.Unary(span, "!", s.Name(span, "%broken"))
    if isinstance(e, s.While):
        return s.Block(span, (broken, s.While(span, both(going, e.condition), s.Block(e.body.span, body)), s.Tuple(span, ())))
    if len(e.clauses) == 1 and later and (counted := _counted(e.clauses[0], span)) is not None:
        first, bind, ask, step = counted
        inner = s.Block(e.body.span, (bind, s.Block(span, (*body, s.Tuple(span, ()))), step))
        return s.Block(span, (broken, *first, s.While(span, both(going, ask), inner), s.Tuple(span, ())))
    inside = s.Block(e.body.span, (s.If(span, going, s.Block(span, (*body, s.Tuple(span, ())))),))
    return s.Block(span, (broken, s.For(span, e.clauses, inside)))


def _counted(clause: s.Clause, span: Span) -> tuple[tuple[s.Statement, ...], s.Statement, s.Expression, s.Statement] | None:
    """A `for` over a range as a `while`: what comes first, what binds the item, the condition, and the step."""
    source = clause.source
    if not isinstance(source, s.Range) or source.start is None or source.stop is None:
        return None
    if source.step is not None and not (isinstance(source.step, s.Int) and source.step.value > 0):
        return None
    number = s.NamedType(span, "Rep", (s.NamedType(span, "i64"),))
    index, stop = s.Name(span, "%index"), s.Name(span, "%stop")
    first = (s.Let(span, s.NamePattern(span, "%stop"), number, source.stop), s.Var(span, "%index", span, number, source.start))
    ask = s.Binary(span, "<=" if source.inclusive else "<", index, stop)
    step = s.Assign(span, index, "+", source.step or s.Int(span, "1", 1))
    return first, s.Let(span, clause.pattern, None, index), ask, step


# ------------------------------------------------------------------------------------------------- functions


def without_returns(body: s.Expression, result: s.TypeSyntax, zero: s.Expression, error: Diagnostic) -> s.Block:
    """The body of a function whose `return`s are decided later. `zero` is a value of the result type that nobody reads."""
    span = body.span
    gives = not (isinstance(zero, s.Tuple) and not zero.items)
    lowering = Lowering(error, result=True, slot=gives)
    inner = body.statements if isinstance(body, s.Block) else (body,)
    made = lowering.statements(inner, tail=True)
    if not gives:
        return s.Block(span, (flag(span, "%returned"), *made, zero))
    return s.Block(span, (flag(span, "%returned"), s.Var(span, "%result", span, result, zero), *made, s.Name(span, "%result")))


# --------------------------------------------------------------------------------------------------- pieces


def flag(span: Span, name: str) -> s.Var:
    return s.Var(span, name, span, s.NamedType(span, "Rep", (s.NamedType(span, "bool"),)), s.Bool(span, False))


def assign(span: Span, name: str, value: s.Expression) -> s.Assign:
    return s.Assign(span, s.Name(span, name), "", value)


def both(a: s.Expression, b: s.Expression) -> s.Binary:
    return s.Binary(b.span, "&&", a, b)
