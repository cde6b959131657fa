"""`return`, `break` and `continue` lowered to branches, flags and a result slot, so that every block has one way out.

    if c: return a            if c: result = a
    rest                      else: rest
                              return result

What follows an exit that is only sometimes taken is guarded by its flag. A loop with exits is marked: `node.exits` are the flags
that end it. Flags are plain variables: where nothing is staged they are bools of now, and the guards cost nothing later.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from itertools import count

from lms.core.data import dataclass, field

from ..control.state import JUMPS, RESULT, RETURNED
from . import names
from .nodes import at, children, copied

_OPAQUE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def assign(name: str, value: ast.expr, node: ast.AST) -> ast.stmt:
    return at(node, ast.Assign([ast.Name(name, ast.Store())], value))


def flag(name: str, value: bool, node: ast.AST) -> ast.stmt:
    return assign(name, ast.Constant(value), node)


def guard(flags: Sequence[str], body: list[ast.stmt]) -> list[ast.stmt]:
    """`body` if no flag is up."""
    if not body:
        return []
    test = ast.UnaryOp(ast.Not(), any_of(flags))
    return [at(body[0], ast.If(test, body, []))]


def any_of(flags: Sequence[str]) -> ast.expr:
    names: list[ast.expr] = [ast.Name(name, ast.Load()) for name in flags]
    return names[0] if len(names) == 1 else ast.BoolOp(ast.Or(), names)


def exits(body: Sequence[ast.stmt]) -> bool:
    """Whether no path reaches the end of `body`."""
    return any(_exits(s) for s in body)


def _exits(s: ast.stmt) -> bool:
    match s:
        case ast.Return() | ast.Raise() | ast.Break() | ast.Continue():
            return True
        case ast.If():
            return exits(s.body) and exits(s.orelse)
        case ast.While(test=ast.Constant(value=value)):
            return bool(value) and not any(isinstance(j, ast.Break) for j in jumps(s.body, ast.Break))
        case ast.Try():
            return exits(s.finalbody) or (exits(s.body) or exits(s.orelse)) and all(exits(h.body) for h in s.handlers)
    return False


def jumps(body: Sequence[ast.AST], *kinds: type) -> list[ast.AST]:
    """The jumps of these kinds in a stretch: `return`s anywhere, `break` and `continue` of the loop around it."""
    found: list[ast.AST] = []
    for node in body:
        if isinstance(node, kinds):
            found.append(node)
        elif isinstance(node, ast.For | ast.While):
            found += jumps(node.body, *(k for k in kinds if k is ast.Return))
            found += jumps(node.orelse, *kinds)
        elif not isinstance(node, (*_OPAQUE, ast.expr)):
            found += jumps(children(node), *kinds)
    return found


@dataclass(frozen=True, slots=True)
class _Loop:
    """The flags of a loop: left by `break`; the rest of this iteration skipped by `continue`."""

    broke: str
    continued: str


@dataclass(slots=True)
class Lowering:
    """Lowers the jumps of one function."""

    number: count[int] = field(default_factory=count)

    def function(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """A body whose only `return` is its last statement."""
        last = body[-1]
        if not jumps(body[:-1], ast.Return) and (isinstance(last, ast.Return) or not jumps([last], ast.Return)):
            tail = [last] if isinstance(last, ast.Return) else []
            return self.block(body[: len(body) - len(tail)], None) + tail
        if not exits(body):
            body = [*body, at(last, ast.Return(ast.Constant(None)))]
        lowered = self.block(body, None)
        if RETURNED in names.read(lowered):
            lowered.insert(0, flag(RETURNED, False, body[0]))
        return [*lowered, at(body[-1], ast.Return(ast.Name(RESULT, ast.Load())))]

    def block(self, body: Sequence[ast.stmt], loop: _Loop | None) -> list[ast.stmt]:
        out: list[ast.stmt] = []
        for k, s in enumerate(body):
            if isinstance(s, ast.Return | ast.Break | ast.Continue):
                return out + self._jump(s, loop)
            if isinstance(s, ast.If):
                s = _spread(s)
            leaving, rest = jumps([s], ast.Return, ast.Break, ast.Continue), list(body[k + 1:])
            if isinstance(s, ast.If) and leaving and (exits(s.body) or exits(s.orelse)):
                side = s.orelse if exits(s.body) else s.body
                side += rest
                return [*out, *self._statement(s, loop)]
            out += self._statement(s, loop)
            if leaving:
                return out + guard(self._flags(leaving, loop), self.block(rest, loop))
        return out

    def _jump(self, s: ast.stmt, loop: _Loop | None) -> list[ast.stmt]:
        if isinstance(s, ast.Return):
            return [assign(RESULT, s.value or ast.Constant(None), s), flag(RETURNED, True, s)]
        assert loop is not None  # Python's parser has seen to it
        return [flag(loop.broke if isinstance(s, ast.Break) else loop.continued, True, s)]

    def _flags(self, leaving: Sequence[ast.AST], loop: _Loop | None) -> list[str]:
        kinds = {type(jump) for jump in leaving}
        flags = [RETURNED] if ast.Return in kinds else []
        if loop is not None:
            flags += [name for kind, name in ((ast.Break, loop.broke), (ast.Continue, loop.continued)) if kind in kinds]
        return flags

    def _statement(self, s: ast.stmt, loop: _Loop | None) -> list[ast.stmt]:
        if isinstance(s, ast.For | ast.While):
            return self._loop(s, loop)
        if isinstance(s, ast.Try) and s.orelse and (left := jumps(s.body, ast.Return, ast.Break, ast.Continue)):
            s.orelse = guard(self._flags(left, loop), s.orelse)
        if isinstance(s, ast.If | ast.Try | ast.With):
            for name in ("body", "orelse", "finalbody"):
                if getattr(s, name, None):
                    setattr(s, name, self.block(getattr(s, name), loop))
        if isinstance(s, ast.Try):
            for handler in s.handlers:
                handler.body = self.block(handler.body, loop)
        return [s]

    def _loop(self, s: ast.For | ast.While, outer: _Loop | None) -> list[ast.stmt]:
        if isinstance(s, ast.While) and any(isinstance(n, ast.NamedExpr) for n in names.walk_here([s.test])):
            s = _test_inside(s)
        k = next(self.number)
        mine = _Loop(*(f"{jump}{k}" for jump in JUMPS))
        ways_out = [mine.broke] if jumps(s.body, ast.Break) else []
        ways_out += [RETURNED] if jumps(s.body, ast.Return) else []
        after = self.block(s.orelse, outer)
        s.orelse = []
        s.body = self.block(s.body, mine)
        if mine.continued in names.read(s.body):
            s.body.insert(0, flag(mine.continued, False, s))
        s.exits = tuple(ways_out)  # type: ignore[union-attr]  # a mark of ours on Python's node
        before = [flag(mine.broke, False, s)] if mine.broke in ways_out else []
        return [*before, s, *(guard(ways_out, after) if ways_out else after)]


def _test_inside(s: ast.While) -> ast.While:
    """A loop whose condition binds names tests it in its body, where names are carried."""
    parts = s.test.values if isinstance(s.test, ast.BoolOp) and isinstance(s.test.op, ast.And) else [s.test]
    leave = [at(part, ast.If(ast.UnaryOp(ast.Not(), part), [*map(copied, s.orelse), ast.Break()], [])) for part in parts]
    always = ast.copy_location(ast.Constant(True), s.test)
    return ast.copy_location(ast.While(always, [*leave, *s.body], []), s)


def _spread(s: ast.If) -> ast.If:
    """`if a and (t := b) > c:` as two `if`s, one in the other, so that `t` is in sight of the body."""
    if not (isinstance(s.test, ast.BoolOp) and isinstance(s.test.op, ast.And)) or getattr(s, "case", False):
        return s  # a case of a `match` binds its names again, in its body
    first, *rest = s.test.values
    if not any(isinstance(n, ast.NamedExpr) for n in names.walk_here(rest)):
        return s
    more = rest[0] if len(rest) == 1 else ast.copy_location(ast.BoolOp(ast.And(), rest), s.test)
    inner = _spread(ast.copy_location(ast.If(more, s.body, [*map(copied, s.orelse)]), s))
    return ast.copy_location(ast.If(first, [inner], s.orelse), s)
