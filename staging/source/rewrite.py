"""The user's statements and expressions, rewritten so that each construct asks at run time whether it runs now or later.

Everything stays in the function it was written in, in its order and at its place: no closures are made of branches and bodies,
so tracebacks, `pdb` and errors show the user's program. `if c: x = 1` becomes

    b = lms.Branch(site, c, locals())
    if b.then():
        x = 1
        (x,) = b.leave(locals())
    if b.orelse():
        (x,) = b.leave(locals())
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from itertools import count

from lms.core.errors import Span, StagingError

from ..control.choices import Site
from ..control.state import HIDDEN
from . import names
from .expressions import Expressions, call, lms, unpacked
from .jumps import Lowering, any_of
from .match import Matches
from .nodes import at, walk

HERE = f"{HIDDEN}here"  # the block that a call runs in

_REFUSED: dict[type[ast.AST], tuple[str, str]] = {
    ast.With: ("`with`", "call what it manages before and after, outside the staged function"),
    ast.AsyncWith: ("`async with`", "staged functions run to their end: await outside"),
    ast.AsyncFor: ("`async for`", "staged functions run to their end: await outside"),
    ast.Await: ("`await`", "staged functions run to their end: await outside"),
    ast.AsyncFunctionDef: ("`async def`", "staged functions run to their end: write `def`"),
    ast.Yield: ("`yield`", "return an array, or pass a function to call for each value"),
    ast.YieldFrom: ("`yield from`", "return an array, or pass a function to call for each value"),
    ast.TryStar: ("`except*`", "use `except`"),
}


class Rewriter(Expressions):
    """Rewrites one function, and the functions inside it."""

    def __init__(self, file: str, sites: list[Site], numbers: count[int], guards: int, unsure: names.Names = names.NONE,
                 homes: dict[str, str] | None = None) -> None:
        super().__init__(file, unsure)
        self.sites = sites
        self.numbers = numbers
        self.guards = guards  # how deep bodies are guarded against what is raised in them later
        self.homes = {} if homes is None else homes  # where the variables of functions around live, for `nonlocal`
        self.last: dict[str, ast.AST] = {}  # the latest assignment of each name, so far
        self.depth = 0
        self.globals: set[str] = set()
        self.nonlocals: set[str] = set()

    # ------------------------------------------------------------------------------------- functions

    def function(self, node: ast.FunctionDef) -> None:
        """Rewrite the body of a definition, in place."""
        refuse(node.body, self.file)
        doc = node.body[:1] if ast.get_docstring(node, clean=False) is not None else []
        body = Lowering().function(Matches(self.file).block(node.body[len(doc):]) or [at(node.body[0], ast.Pass())])
        declared = [n for n in names.walk_here(body) if isinstance(n, ast.Global | ast.Nonlocal)]
        self.globals = {x for n in declared if isinstance(n, ast.Global) for x in n.names}
        self.nonlocals = {x for n in declared if isinstance(n, ast.Nonlocal) for x in n.names}
        params = [a.arg for a in arguments(node.args)]
        mine = names.assigned(body)
        self.unsure = (self.unsure - frozenset(params) - (frozenset(mine) - self.nonlocals)) | (
            names.unsure(body, [*params, *self.globals, *self.nonlocals]))
        self.last = {a.arg: a for a in arguments(node.args)}
        self.live = names.Liveness.of(body, frozenset(self.nonlocals))
        home = self._home(body, {*params, *mine} - self.nonlocals - self.globals)
        node.body = [*doc, *home, *self.block(body)]

    def _home(self, body: list[ast.stmt], mine: set[str]) -> list[ast.stmt]:
        """Remember the block that variables live in which a function inside declares `nonlocal`, and that of the call."""
        inner = {x for n in walk(*body) if isinstance(n, ast.Nonlocal) for x in n.names} & mine
        self.homes = {name: home for name, home in self.homes.items() if name not in mine}
        out: list[ast.stmt] = []
        if inner:
            home = f"{HIDDEN}home{next(self.numbers)}"
            self.homes.update(dict.fromkeys(inner, home))
            out.append(at(body[0], ast.Assign([ast.Name(home, ast.Store())], call("home"))))
        if self.nonlocals:
            out.append(at(body[0], ast.Assign([ast.Name(HERE, ast.Store())], call("home"))))
        return out

    def inner(self, bound: names.Names) -> Rewriter:
        """A rewriter for a function inside, which sees what this one sees but `bound`."""
        return Rewriter(self.file, self.sites, self.numbers, self.guards, self.unsure - bound, self.homes)

    # ------------------------------------------------------------------------------------ statements

    def block(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        out: list[ast.stmt] = []
        for s in body:
            new = self.visit(s)
            out += new if isinstance(new, list) else [new]
            self.last.update(names.assigned([s]))
        return out

    def _site(self, s: ast.stmt, head: ast.AST, state: Sequence[str], live: names.Names, first: Sequence[ast.AST],
              second: Sequence[ast.AST], exits: tuple[str, ...] = ()) -> ast.expr:
        """The construct's `Site`, as an expression."""
        one, two = {**self.last, **names.assigned(first)}, {**self.last, **names.assigned(second)}
        places = {name: (self.span(one.get(name)), self.span(two.get(name))) for name in state}
        span = self.span(head) or Span(self.file, s.lineno)
        self.sites.append(Site(span, tuple(state), live & frozenset(state), places, exits))
        return ast.Subscript(lms("sites"), ast.Constant(len(self.sites) - 1), ast.Load())

    def _guarded(self, name: str, body: list[ast.stmt], source: Sequence[ast.AST]) -> list[ast.stmt]:
        """A body in which something may be raised later."""
        may = any(isinstance(n, ast.Call | ast.Raise | ast.Assert) for n in walk(*source))
        if self.depth >= self.guards or not may:
            return body
        error = f"{HIDDEN}e"
        handler = ast.ExceptHandler(lms("Dead"), error, [ast.Expr(method(name, "dead", ast.Name(error, ast.Load())))])
        return [ast.Try(body, [handler], [], [])]

    def _nested(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        self.depth += 1
        before = dict(self.last)
        out = self.block(body)
        self.last = before
        self.depth -= 1
        return out

    def visit_If(self, s: ast.If) -> list[ast.stmt]:
        found = names.assigned([*s.body, *s.orelse])
        after = self.live.after.get(s, names.NONE)
        wanted = after | self.live.orelse.get(s, names.NONE)
        state = [name for name in found if name in wanted and name not in self.globals]
        name = f"{HIDDEN}b{next(self.numbers)}"
        site = self._site(s, s.test, state, after, s.body, s.orelse)
        new: list[ast.stmt] = [ast.Assign([ast.Name(name, ast.Store())], call("Branch", site, self.visit(s.test), frame()))]
        then = [*(self._guarded(name, self._nested(s.body), s.body)), store(state, method(name, "leave", frame()))]
        orelse = [*(self._guarded(name, self._nested(s.orelse), s.orelse)), store(state, method(name, "leave", frame()))]
        new += [ast.If(method(name, "then"), then, []), ast.If(method(name, "orelse"), orelse, [])]
        return [at(s.test, x) for x in new]

    def visit_For(self, s: ast.For) -> list[ast.stmt]:
        ways_out = names.exits_of(s)
        state = self._carried(s, [s.target, *s.body])
        name = f"{HIDDEN}l{next(self.numbers)}"
        site = self._site(s, s.iter, state, self.live.after[s], [], [s.target, *s.body], ways_out)
        new: list[ast.stmt] = [ast.Assign([ast.Name(name, ast.Store())], call("For", site, self.visit(s.iter), frame()))]
        take = at(s.target, ast.Assign([self.visit(s.target)], unpacked(s.target, at(s.target, method(name, "item")))))
        body = [take, *self._nested([*s.body])]
        if ways_out:  # a loop that runs now, with an exit that is taken later
            body = self._exit_guard(s, ways_out, state, body)
        enter, leave = (store(state, method(name, m, frame())) for m in ("enter", "leave"))
        new.append(ast.While(method(name, "again"), [enter, *self._guarded(name, body, s.body), leave], []))
        return [at(s.iter, x) for x in new]

    def _exit_guard(self, s: ast.For, ways_out: Sequence[str], state: list[str], body: list[ast.stmt]) -> list[ast.stmt]:
        name = f"{HIDDEN}b{next(self.numbers)}"
        site = self._site(s, s.iter, state, frozenset(state), s.body, [])
        leave = store(state, method(name, "leave", frame()))
        test = call("logical_not", self.visit(at(s.iter, any_of(ways_out))))
        return [ast.Assign([ast.Name(name, ast.Store())], call("Branch", site, test, frame())),
                ast.If(method(name, "then"), [*self._guarded(name, body, s.body), leave], []),
                ast.If(method(name, "orelse"), [leave], [])]

    def visit_While(self, s: ast.While) -> list[ast.stmt]:
        ways_out = names.exits_of(s)
        state = self._carried(s, [s.test, *s.body])
        name = f"{HIDDEN}l{next(self.numbers)}"
        site = self._site(s, s.test, state, self.live.after[s], [], s.body, ways_out)
        test: ast.expr = s.test
        if ways_out:
            test = ast.BoolOp(ast.And(), [ast.UnaryOp(ast.Not(), any_of(ways_out)), s.test])
            test = at(s.test, test)
        body = [store(state, method(name, "body_", frame())), *self._guarded(name, self._nested(s.body), s.body)]
        new: list[ast.stmt] = [
            ast.Assign([ast.Name(name, ast.Store())], call("While", site, frame())),
            ast.While(method(name, "again"), [
                store(state, method(name, "enter", frame())),
                ast.If(method(name, "test", self.visit(test)), body, []),
                store(state, method(name, "leave", frame()))], [])]
        return [at(s.test, x) for x in new]

    def _carried(self, s: ast.For | ast.While, body: list[ast.AST]) -> list[str]:
        wanted = self.live.after[s] | self.live.head[s] | frozenset(names.exits_of(s))
        found = {**dict.fromkeys(names.exits_of(s)), **names.assigned(body)}
        return [name for name in found if name in wanted and name not in self.globals]

    def visit_Try(self, s: ast.Try) -> list[ast.stmt]:
        name = f"{HIDDEN}t{next(self.numbers)}"
        self.depth += 1
        body = self.block(s.body)
        handlers = []
        for h in s.handlers:
            caught = at(h, ast.Expr(method(name, "caught")))
            kind = self.visit(h.type) if h.type is not None else None
            handlers.append(ast.copy_location(ast.ExceptHandler(kind, h.name, [caught, *self.block(h.body)]), h))
        checked = at(s.body[-1], ast.Expr(method(name, "check")))
        final = self.block(s.finalbody)
        orelse = [checked, *self.block(s.orelse)] if handlers else []
        if not handlers:
            body.append(checked)
        new = ast.copy_location(ast.Try(body, handlers, orelse, final), s)
        self.depth -= 1
        return [at(s, ast.Assign([ast.Name(name, ast.Store())], call("Try"))), new]

    def visit_Assert(self, s: ast.Assert) -> ast.stmt:
        message = [self.visit(s.msg)] if s.msg is not None else []
        return at(s, ast.If(call("fails", self.visit(s.test)), [ast.Expr(call("fail", *message))], []))

    def visit_Raise(self, s: ast.Raise) -> ast.stmt:
        if s.exc is None:
            return s
        cause = self.visit(s.cause) if s.cause is not None else None
        return at(s, ast.Raise(call("error", self.visit(s.exc)), cause))

    def visit_AugAssign(self, s: ast.AugAssign) -> list[ast.stmt]:
        op = ast.Constant(type(s.op).__name__)
        if isinstance(s.target, ast.Name):
            old = self.visit(ast.copy_location(ast.Name(s.target.id, ast.Load()), s.target))
            new: ast.stmt = ast.Assign([ast.Name(s.target.id, ast.Store())], call("inplace", op, old, self.visit(s.value)))
            return [*self._foreign([s.target.id], s), at(s, new)]
        if isinstance(s.target, ast.Attribute):
            place = call("Attribute", self.visit(s.target.value), ast.Constant(s.target.attr))
        else:
            place = call("Item", self.visit(s.target.value), self.visit(s.target.slice))
        return [at(s, ast.Expr(call("change", place, op, self.visit(s.value))))]

    def visit_Assign(self, s: ast.Assign) -> list[ast.stmt]:
        value = self.visit(s.value)
        if len(s.targets) == 1:
            value = unpacked(s.targets[0], value)
        targets = [self.visit(t) for t in s.targets]
        return [*self._foreign(names.assigned(s.targets), s), ast.copy_location(ast.Assign(targets, value), s)]

    def visit_AnnAssign(self, s: ast.AnnAssign) -> list[ast.stmt]:
        if s.value is None:
            return [ast.copy_location(ast.Pass(), s)]
        return self.visit_Assign(ast.copy_location(ast.Assign([s.target], s.value), s))

    def _foreign(self, bound: Sequence[str] | dict[str, ast.AST], s: ast.stmt) -> list[ast.stmt]:
        """A check in front of an assignment to a name of another scope."""
        out: list[ast.stmt] = []
        for name in bound:
            if name in self.globals:
                out.append(at(s, ast.Expr(call("assigns_global", ast.Constant(name)))))
            elif name in self.nonlocals:
                home = self.homes.get(name)
                where = ast.Constant(None) if home is None else ast.Name(home, ast.Load())
                out.append(at(s, ast.Expr(call("assigns_nonlocal", ast.Constant(name), where, ast.Name(HERE, ast.Load())))))
        return out

    def visit_FunctionDef(self, s: ast.FunctionDef) -> ast.stmt:
        s.decorator_list = [self.visit(d) for d in s.decorator_list]
        self._defaults(s.args)
        if not any(isinstance(n, ast.Yield | ast.YieldFrom | ast.Await) for n in names.walk_here(s.body)):
            self.inner(names.NONE).function(s)
        return s

    def visit_AsyncFunctionDef(self, s: ast.AsyncFunctionDef) -> ast.stmt:
        return s  # made now, and called now if at all

    def visit_ClassDef(self, s: ast.ClassDef) -> ast.stmt:
        """The class is made now; its methods are staged where they are called."""
        s.body = [self.visit(inner) if isinstance(inner, ast.FunctionDef | ast.ClassDef) else inner for inner in s.body]
        return s

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        self._defaults(node.args)
        node.body = self.inner(frozenset(a.arg for a in arguments(node.args))).visit(node.body)
        return node

    def _defaults(self, args: ast.arguments) -> None:
        args.defaults = [self.visit(d) for d in args.defaults]
        args.kw_defaults = [self.visit(d) if d is not None else None for d in args.kw_defaults]


# ---------------------------------------------------------------------------------------------- helpers


def arguments(args: ast.arguments) -> list[ast.arg]:
    rest = [a for a in (args.vararg, args.kwarg) if a is not None]
    return [*args.posonlyargs, *args.args, *args.kwonlyargs, *rest]


def method(name: str, attribute: str, *args: ast.expr) -> ast.Call:
    """`name.attribute(*args)`."""
    return ast.Call(ast.Attribute(ast.Name(name, ast.Load()), attribute, ast.Load()), list(args), [])


def frame() -> ast.expr:
    """The names of the frame, as a dict."""
    return call("locals")


def store(state: Sequence[str], value: ast.expr) -> ast.stmt:
    """Bind the names to what `value` gives."""
    if not state:
        return ast.Expr(value)
    return ast.Assign([ast.Tuple([ast.Name(name, ast.Store()) for name in state], ast.Store())], value)


def refuse(body: Sequence[ast.AST], file: str) -> None:
    """Raise `StagingError` for what cannot be staged, at its place."""
    for node in names.walk_here(body):
        if type(node) in _REFUSED and not (isinstance(node, ast.AsyncFunctionDef)):
            what, fix = _REFUSED[type(node)]
            raise StagingError(f"{what} cannot be staged", place(file, node), fix=fix)


def place(file: str, node: ast.AST) -> Span:
    return Span(file, getattr(node, "lineno", 0), getattr(node, "col_offset", 0), getattr(node, "end_lineno", 0) or 0,
                getattr(node, "end_col_offset", 0) or 0)
