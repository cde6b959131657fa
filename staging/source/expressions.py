"""The user's expressions, rewritten in place: what may be staged asks at run time, in Python's order of evaluation."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from itertools import count
from typing import Any, cast

from lms.core.errors import Span

from ..rep import Rep
from . import names
from .nodes import at

RUNTIME = "_lms"

_comprehensions = count()
_OF_REP = frozenset(name for name in dir(Rep) if not name.startswith("__"))  # a record's field may be called so too


def lms(name: str) -> ast.expr:
    """One of the functions that rewritten code calls: see `control/runtime.py`."""
    return ast.Attribute(ast.Name(RUNTIME, ast.Load()), name, ast.Load())


def call(name: str, *args: ast.expr) -> ast.Call:
    return ast.Call(lms(name), list(args), [])


def pattern(target: ast.expr) -> ast.expr:
    """How an assignment takes its value apart: a part for each target, None for a name or whatever else holds one whole."""
    if not isinstance(target, ast.Tuple | ast.List) or any(isinstance(t, ast.Starred) for t in target.elts):
        return ast.Constant(None)
    return ast.Tuple([pattern(t) for t in target.elts], ast.Load())


def unpacked(target: ast.expr, value: ast.expr) -> ast.expr:
    """The value, for a target that may take it apart."""
    parts = pattern(target)
    if not isinstance(parts, ast.Tuple):
        return value
    flat = isinstance(value, ast.Tuple | ast.List) and not any(isinstance(part, ast.Tuple) for part in parts.elts)
    return value if flat else at(value, call("unpack", value, parts))


class Expressions(ast.NodeTransformer):
    """Rewrites expressions. `unsure` are the names that may be unbound where they are read."""

    def __init__(self, file: str, unsure: names.Names) -> None:
        self.file = file
        self.unsure = unsure

    def span(self, node: ast.AST | None) -> Span | None:
        if node is None or not hasattr(node, "lineno"):
            return None
        at = cast(ast.expr, node)  # or anything else that has a place
        return Span(self.file, at.lineno, at.col_offset, at.end_lineno or 0, at.end_col_offset or 0)

    def place(self, node: ast.expr) -> ast.expr:
        """The place of an expression, as an expression."""
        return call("span", *(ast.Constant(x) for x in (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)))

    # ------------------------------------------------------------------------------------- choices

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        test, body, orelse = self.visit(node.test), self.visit(node.body), self.visit(node.orelse)
        left = ast.IfExp(call("then"), call("side", body), ast.Constant(None))
        right = ast.IfExp(call("orelse"), call("side", orelse), ast.Constant(None))
        return at(node, call("meet", call("choose", self.place(node.test), test), left, right))

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        # `a and (b and c)`: what `b` binds with `:=` is in sight of `c`
        values: list[ast.expr] = [self.visit(value) for value in node.values]
        out = values.pop()
        for value in reversed(values):
            out = self._logic(node, isinstance(node.op, ast.And), value, out)
        return out

    def _logic(self, node: ast.expr, both: bool, left: ast.expr, right: ast.expr, end: str = "decide") -> ast.expr:
        begun = call("logic", self.place(node), ast.Constant(both), left)
        return at(node, call(end, begun, ast.IfExp(call("undecided"), right, ast.Constant(None))))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        operand = self.visit(node.operand)
        if isinstance(node.op, ast.Not):
            return at(node, call("logical_not", operand))
        return ast.copy_location(ast.UnaryOp(node.op, operand), node)

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        return self._compare(node, self.visit(node.left), node.ops, [self.visit(c) for c in node.comparators])

    def _compare(self, node: ast.Compare, left: ast.expr, ops: Sequence[ast.cmpop], right: list[ast.expr]) -> ast.expr:
        if len(ops) == 1:
            return self._one(node, left, ops[0], right[0])
        first = self._one(node, left, ops[0], at(node, call("keep", right[0])))
        rest = self._compare(node, at(node, call("kept")), ops[1:], right[1:])
        return self._logic(node, True, first, rest, end="decide_chain")

    def _one(self, node: ast.Compare, left: ast.expr, op: ast.cmpop, right: ast.expr) -> ast.expr:
        if isinstance(op, ast.In | ast.NotIn):
            found = at(node, call("contains", left, right))
            return found if isinstance(op, ast.In) else at(node, call("logical_not", found))
        if isinstance(op, ast.Is | ast.IsNot):
            found = at(node, call("identical", left, right))
            return found if isinstance(op, ast.Is) else at(node, call("logical_not", found))
        return ast.copy_location(ast.Compare(left, [op], [right]), node)

    # ------------------------------------------------------------------------------- names and calls

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if isinstance(node.ctx, ast.Load) and node.id in self.unsure:
            return at(node, call("read", node, ast.Constant(node.id)))
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if isinstance(node.func, ast.Name) and node.func.id == "super" and not node.args:
            return node  # Python finds the class and `self` by looking at the caller
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        if isinstance(owner, ast.Name) and owner.id.startswith(RUNTIME):
            node.args = [self.visit(a) for a in node.args]
            return node  # a call that the rewriting has put there
        args = [self.visit(a) for a in node.args]
        keywords = [ast.copy_location(ast.keyword(k.arg, self.visit(k.value)), k) for k in node.keywords]
        return at(node, ast.Call(lms("call"), [self.visit(node.func), *args], keywords))

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if node.attr in _OF_REP and isinstance(node.ctx, ast.Load):
            return at(node, call("attribute", self.visit(node.value), ast.Constant(node.attr)))
        return ast.copy_location(ast.Attribute(self._base(node), node.attr, node.ctx), node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        return ast.copy_location(ast.Subscript(self._base(node), self.visit(node.slice), node.ctx), node)

    def _base(self, node: ast.Attribute | ast.Subscript) -> ast.expr:
        base: ast.expr = self.visit(node.value)
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            return at(node, call("indexed", base))
        return base if isinstance(node.ctx, ast.Load) else at(node, call("may_change", base))

    # --------------------------------------------------------------------- containers, comprehensions

    def _made(self, node: ast.expr) -> ast.expr:
        new = self.generic_visit(node)
        assert isinstance(new, ast.expr)
        return at(node, call("made", new)) if isinstance(getattr(node, "ctx", ast.Load()), ast.Load) else new

    def visit_List(self, node: ast.List) -> ast.expr:
        return self._made(node)

    def visit_Set(self, node: ast.Set) -> ast.expr:
        return self._made(node)

    def visit_Dict(self, node: ast.Dict) -> ast.expr:
        return self._made(node)

    def visit_ListComp(self, node: ast.ListComp) -> ast.expr:
        node.elt = self.visit(node.elt)
        return self._comprehension(node, "list")

    def visit_SetComp(self, node: ast.SetComp) -> ast.expr:
        node.elt = self.visit(node.elt)
        return self._comprehension(node, "set")

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.expr:
        node.elt = self.visit(node.elt)
        return self._comprehension(node, "generator")

    def visit_DictComp(self, node: ast.DictComp) -> ast.expr:
        node.key, node.value = self.visit(node.key), self.visit(node.value)
        return self._comprehension(node, "dict")

    def _comprehension(self, node: Any, kind: str) -> ast.expr:
        alone = len(node.generators) == 1
        me = ast.Constant(next(_comprehensions))
        for k, g in enumerate(node.generators):
            g.iter = at(g.iter, call("each", self.visit(g.iter), ast.Constant(kind if alone else ""), ast.Constant(k == 0), me,
                                      pattern(g.target)))
            g.target = self.visit(g.target)
            g.ifs = [at(test, call("selects", self.visit(test), me)) for test in g.ifs]
        return at(node, call("gathered", node))

    # --------------------------------------------------------------------------------------- text

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        parts: list[ast.expr] = []
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                form = self.visit(part.format_spec) if part.format_spec is not None else ast.Constant("")
                conversion = ast.Constant("" if part.conversion < 0 else chr(part.conversion))
                parts.append(ast.Tuple([self.visit(part.value), conversion, form], ast.Load()))
            else:
                parts.append(part)
        return at(node, call("text", *parts))
