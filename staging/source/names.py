"""What names do in a stretch of source: which are assigned, which are read later, which a function inside captures."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence

from lms.core.data import dataclass, field

from .nodes import children, walk

Names = frozenset[str]
NONE: Names = frozenset()

_MAKERS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.GeneratorExp, ast.Nonlocal, ast.Global)
_OPAQUE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.ListComp, ast.SetComp, ast.DictComp,
           ast.GeneratorExp)


def exits_of(loop: ast.AST) -> tuple[str, ...]:
    """The flags that the lowering of jumps has given to a loop."""
    return getattr(loop, "exits", ())


def walk_here(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Every node that belongs to the same function: definitions inside are met and not entered."""
    waiting = [*nodes][::-1]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += _parts_here(node)[::-1]


def _parts_here(node: ast.AST) -> list[ast.AST]:
    """What directly below a node belongs to the same function."""
    if not isinstance(node, _OPAQUE):
        return children(node)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return [*node.decorator_list, *node.args.defaults, *(d for d in node.args.kw_defaults if d)]
    if isinstance(node, ast.Lambda):
        return [*node.args.defaults, *(d for d in node.args.kw_defaults if d)]
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list, *node.bases, *(k.value for k in node.keywords)]
    # `:=` in a comprehension binds outside
    return [node.generators[0].iter, *(inner for inner in walk(node) if isinstance(inner, ast.NamedExpr))]


def assigned(nodes: Iterable[ast.AST]) -> dict[str, ast.AST]:
    """The names that a stretch may bind or unbind, in order, each with the last node that does."""
    out: dict[str, ast.AST] = {}
    for node in walk_here(nodes):
        for name in _binds(node):
            out[name] = node
    return out


def _binds(node: ast.AST) -> Sequence[str]:
    if isinstance(node, ast.expr):
        return (node.id,) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) else ()
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return (node.name,)
    if isinstance(node, ast.ExceptHandler):
        return () if node.name is None else (node.name,)
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.split(".")[0] for alias in node.names]
    return exits_of(node) if isinstance(node, ast.For | ast.While) else ()


def read(nodes: Iterable[ast.AST]) -> Names:
    """The names that a stretch may read, those that definitions inside capture included."""
    out = set[str]()
    for node in walk(*nodes):
        if isinstance(node, ast.Name):
            if not isinstance(node.ctx, ast.Store):
                out.add(node.id)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            out.add(node.target.id)
        elif isinstance(node, ast.For | ast.While):
            out.update(exits_of(node))
    return frozenset(out)


def captured(nodes: Iterable[ast.AST], but: Sequence[ast.AST] = ()) -> Names:
    """The names that definitions and generators inside a stretch, all `but` some, take from around them."""
    out: Names = NONE
    for node in walk(*nodes):
        if node in but:
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            out |= free(node)
        elif isinstance(node, ast.ClassDef):
            out |= read(node.body)
        elif isinstance(node, ast.GeneratorExp):
            out |= read([node]) - frozenset(assigned([g.target for g in node.generators]))
    return out


def known_functions(body: Sequence[ast.stmt]) -> dict[str, list[ast.FunctionDef | ast.Lambda]]:
    """The functions that are run by a call of their name alone: `def`s and named lambdas that nothing else holds.

    What such a function captures is read where its name may be. A name that is read otherwise than in a call has escaped, and a
    function that makes functions of its own, or assigns to variables around it, is not followed.
    """
    found: dict[str, list[ast.FunctionDef | ast.Lambda]] = {}
    for node in walk_here(body):
        if isinstance(node, ast.FunctionDef) and not node.decorator_list:
            found.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
            match node.targets:
                case [ast.Name(name)]:
                    found.setdefault(name, []).append(node.value)
    if not found:
        return {}
    everything = [*walk(*body)]
    called = {id(n.func) for n in everything if isinstance(n, ast.Call)}
    held = {n.id for n in everything if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and id(n) not in called}
    return {name: made for name, made in found.items() if name not in held and not any(map(_makes_or_assigns, made))}


def _makes_or_assigns(function: ast.FunctionDef | ast.Lambda) -> bool:
    return any(isinstance(n, _MAKERS) for n in walk(function) if n is not function)


def free(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> Names:
    """The names that a function takes from around it."""
    body: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else list(node.body)
    args = node.args
    bound = {a.arg for a in (*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg) if a is not None}
    shared = {x for n in walk_here(body) if isinstance(n, ast.Nonlocal | ast.Global) for x in n.names}
    return (read(body) | frozenset(shared)) - frozenset((bound | set(assigned(body))) - shared)


@dataclass(slots=True)
class Liveness:
    """Which names may be read after each compound statement (`after`), and at the start of its `orelse` (`orelse`)."""

    always: Names
    calls: dict[str, Names]  # by the name of a function, what a call of it may read
    after: dict[ast.stmt, Names] = field(default_factory=dict)
    orelse: dict[ast.stmt, Names] = field(default_factory=dict)
    head: dict[ast.stmt, Names] = field(default_factory=dict)

    def block(self, body: Sequence[ast.stmt], out: Names) -> Names:
        """The names read from the start of `body` on, given those that are read after it."""
        for statement in reversed(body):
            out = self.statement(statement, out)
        return out

    @classmethod
    def of(cls, body: Sequence[ast.stmt], always: Names) -> Liveness:
        """The liveness of a function's body; `always` may be read at any time."""
        followed = known_functions(body)
        calls = {name: NONE.union(*map(free, made)) for name, made in followed.items()}
        live = cls(always | captured(body, but=[f for made in followed.values() for f in made]), calls)
        live.block(body, NONE)
        return live

    def _with_captures(self, live: Names) -> Names:
        """`live`, and what calls of the functions among it read."""
        while more := NONE.union(*(self.calls[name] for name in live & self.calls.keys())) - live:
            live |= more
        return live

    def statement(self, s: ast.stmt, out: Names) -> Names:
        """The names read from the start of `s` on, given those that are read after it."""
        return self._with_captures(self._statement(s, self._with_captures(out | self.always)))

    def _statement(self, s: ast.stmt, out: Names) -> Names:
        if isinstance(s, ast.If):
            self.after[s] = out
            self.orelse[s] = self.block(s.orelse, out)
            return read([s.test]) | self.block(s.body, out) | self.orelse[s]
        if isinstance(s, ast.While):
            return self._loop(s, out, [s.test], NONE)
        if isinstance(s, ast.For):
            return read([s.iter]) | self._loop(s, out, [], frozenset(assigned([s.target])))
        if isinstance(s, ast.Try):
            everywhere = out | read([s])
            self.after[s] = out
            for part in (s.body, s.orelse, s.finalbody, *(h.body for h in s.handlers)):
                self.block(part, everywhere)
            return everywhere
        if isinstance(s, ast.With):
            self.block(s.body, out | read(s.body))
            return read([s]) | out
        if isinstance(s, ast.Return | ast.Raise):
            return read([s]) | self.always
        return read([s]) | (out - self._kills(s))

    def _loop(self, s: ast.For | ast.While, out: Names, test: list[ast.expr], target: Names) -> Names:
        flags = frozenset(exits_of(s))
        self.after[s] = out
        head = read(test) | flags | self.block(s.orelse, out) | out
        while True:
            more = self._with_captures(head | (self.block(s.body, head) - target))
            if more == head:
                break
            head = more
        self.head[s] = head
        return head

    def _kills(self, s: ast.stmt) -> Names:
        """What a simple statement surely binds."""
        if isinstance(s, ast.Assign):
            stores = [n for n in walk(*s.targets) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
            return frozenset(n.id for n in stores)
        if isinstance(s, ast.AnnAssign) and s.value is not None and isinstance(s.target, ast.Name):
            return frozenset((s.target.id,))
        if isinstance(s, ast.FunctionDef | ast.ClassDef):
            return frozenset((s.name,))
        return NONE


def unsure(body: Sequence[ast.stmt], bound: Iterable[str]) -> Names:
    """The names that somewhere may be read, or carried through a construct, without surely being bound."""
    found = set[str]()
    _bind(body, set(bound), found)
    return frozenset(found)


def _bind(body: Sequence[ast.stmt], bound: set[str], found: set[str]) -> set[str]:
    """Follow `body`: the names surely bound after it; `found` collects what constructs assign and is not bound before."""
    for s in body:
        if isinstance(s, ast.If):
            found |= set(assigned([s])) - bound
            left, right = _bind(s.body, set(bound), found), _bind(s.orelse, set(bound), found)
            bound = right if _ends(s.body) else left if _ends(s.orelse) else left & right
        elif isinstance(s, ast.For | ast.While):
            found |= set(assigned([s])) - bound
            inner = set(bound) | (set(assigned([s.target])) if isinstance(s, ast.For) else set())
            _bind(s.body, inner, found)
            bound = _bind(s.orelse, set(bound), found) if s.orelse else bound
        elif isinstance(s, ast.Try):
            found |= set(assigned([s])) - bound
            for part in (s.body, s.orelse, *(h.body for h in s.handlers)):
                _bind(part, set(bound), found)
            bound = _bind(s.finalbody, set(bound), found)
        elif isinstance(s, ast.With):
            bound = _bind(s.body, bound | set(assigned(s.items)), found)
        elif isinstance(s, ast.Delete):
            gone = {t.id for t in s.targets if isinstance(t, ast.Name)}
            found |= gone
            bound = bound - gone
        else:
            bound = bound | set(assigned([s]))
    return bound


def _ends(body: Sequence[ast.stmt]) -> bool:
    return bool(body) and isinstance(body[-1], ast.Return | ast.Raise | ast.Break | ast.Continue)
