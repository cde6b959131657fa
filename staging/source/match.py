"""`match` lowered to a chain of `if`s. What a pattern means, now or later, is in `control/matching.py`.

    match t:                      m = lms.Match(t)
        case Leaf(v): A           if m.case(("class", Leaf, (("as", None, "v"),), ())): v = m.get("v"); A
        case Node(l, r): B        elif m.case(...): l = m.get("l"); r = m.get("r"); B
                                  else: m.unmatched()
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from itertools import count

from lms.core.errors import StagingError

from .expressions import call
from .jumps import assign
from .nodes import at, walk

_number = count()


class Matches:
    """Lowers every `match` of a function."""

    def __init__(self, file: str) -> None:
        self.file = file

    def block(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        return [new for s in body for new in self._statement(s)]

    def _statement(self, s: ast.stmt) -> list[ast.stmt]:
        if isinstance(s, ast.Match):
            return self._match(s)
        if isinstance(s, ast.If | ast.For | ast.While | ast.Try | ast.With):
            for name in ("body", "orelse", "finalbody"):
                if getattr(s, name, None):
                    setattr(s, name, self.block(getattr(s, name)))
        if isinstance(s, ast.Try):
            for handler in s.handlers:
                handler.body = self.block(handler.body)
        return [s]

    def _match(self, s: ast.Match) -> list[ast.stmt]:
        name = f"_lms_m{next(_number)}"
        chain: list[ast.stmt] = [at(s.cases[-1].pattern, ast.Expr(_method(name, "unmatched")))]
        for case in reversed(s.cases):
            chain = [self._case(name, case, chain)]
        return [assign(name, at(s.subject, call("Match", s.subject)), s.subject), *chain]

    def _case(self, name: str, case: ast.match_case, otherwise: list[ast.stmt]) -> ast.stmt:
        captures = list(_captures(case.pattern))
        test: ast.expr = _method(name, "case", self.pattern(case.pattern), ast.Constant(case.guard is not None))
        if case.guard is not None:
            got = [ast.NamedExpr(ast.Name(c, ast.Store()), _method(name, "get", ast.Constant(c))) for c in captures]
            bind: list[ast.expr] = [_method(name, "let", value) for value in got]
            test = ast.BoolOp(ast.And(), [test, *bind, case.guard])
        bound = [assign(c, at(case.pattern, _method(name, "get", ast.Constant(c))), case.pattern) for c in captures]
        new = at(case.pattern, ast.If(test, [*bound, *self.block(case.body)], otherwise))
        new.case = True  # type: ignore[attr-defined]  # a mark of ours on Python's node
        return new

    def pattern(self, p: ast.pattern) -> ast.expr:
        """A pattern as nested tuples: its kind, then its parts."""
        match p:
            case ast.MatchValue(value=value):
                return _tuple("value", value)
            case ast.MatchSingleton(value=value):
                return _tuple("is", ast.Constant(value))
            case ast.MatchSequence(patterns=parts):
                return _tuple("sequence", self._all(parts))
            case ast.MatchMapping(keys=keys, patterns=parts, rest=rest):
                return _tuple("mapping", ast.Tuple(list(keys), ast.Load()), self._all(parts), ast.Constant(rest))
            case ast.MatchClass(cls=cls, patterns=parts, kwd_attrs=names, kwd_patterns=named):
                attributes = ast.Tuple([ast.Constant(n) for n in names], ast.Load())
                return _tuple("class", cls, self._all(parts), attributes, self._all(named))
            case ast.MatchStar(name=name):
                return _tuple("star", ast.Constant(name))
            case ast.MatchAs(pattern=inner, name=name):
                return _tuple("as", self.pattern(inner) if inner is not None else ast.Constant(None), ast.Constant(name))
            case ast.MatchOr(patterns=parts):
                return _tuple("or", self._all(parts))
        raise StagingError(f"the pattern {ast.unparse(p)} cannot be staged")

    def _all(self, parts: Sequence[ast.pattern]) -> ast.expr:
        return ast.Tuple([self.pattern(p) for p in parts], ast.Load())


def _captures(p: ast.pattern) -> list[str]:
    found: dict[str, None] = {}
    for node in walk(p):
        if isinstance(node, ast.MatchAs | ast.MatchStar) and node.name:
            found[node.name] = None
        elif isinstance(node, ast.MatchMapping) and node.rest:
            found[node.rest] = None
    return list(found)


def _tuple(kind: str, *parts: ast.expr) -> ast.expr:
    return ast.Tuple([ast.Constant(kind), *parts], ast.Load())


def _method(name: str, attribute: str, *args: ast.expr) -> ast.expr:
    # not rewritten again: the rewriting leaves calls of its own names alone
    return ast.Call(ast.Attribute(ast.Name(name, ast.Load()), attribute, ast.Load()), list(args), [])




