"""Inlining: a call of a function that is small, or called from few places, becomes its body. Recursion stays."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from lms.core import primitives as p
from lms.core.builder import Builder, Replay
from lms.core.data import dataclass
from lms.core.ir import Block, Function, Node, Program, Value, named, walk
from lms.core.types import ArrayType, Dim, Type, fresh_symbol

from .dce import CALLS, reachable
from .rewrite import same_shape_class

SMALL = 40    # nodes: a function as short is copied to wherever it is called
GROWTH = 400  # nodes that copies of a longer one, called from few places, may add to the program


def callees(function: Function) -> list[str]:
    """The functions that a function calls, or may call once it is differentiated."""
    return [name for n in walk(function.body) for name in named(n)]


def _stays(node: Node) -> bool:
    """Whether a call stays one until it is differentiated: it has a rule, or is checkpointed."""
    return "halves" in node.attrs or "again" in node.attrs


def cycles(program: Program) -> set[str]:
    """The functions that may call themselves, through others or not."""
    calls = {name: set(callees(f)) for name, f in program.functions.items()}
    found: set[str] = set()
    for name in calls:
        seen: set[str] = set()
        work = list(calls[name])
        while work:
            callee = work.pop()
            if callee not in seen:
                seen.add(callee)
                work.extend(calls[callee])
        if name in seen:
            found.add(name)
    return found


def order(program: Program) -> list[str]:
    """Callees before callers."""
    done: dict[str, None] = {}
    work = [(program.entry, False)]
    seen: set[str] = set()
    while work:
        name, finished = work.pop()
        if finished:
            done[name] = None
        elif name not in seen:
            seen.add(name)
            work.append((name, True))
            work.extend((callee, False) for callee in callees(program.functions[name]))
    return list(done)


class _Inliner(Replay):
    """Copies a function, the bodies of chosen callees in place of their calls."""

    def __init__(self, builder: Builder, chosen: dict[str, Function]) -> None:
        super().__init__(builder)
        self.chosen = chosen

    def node(self, node: Node) -> None:
        # a call with a derivative of its own stays one until it is differentiated
        known = node.op is p.control.call and not _stays(node)
        callee = self.chosen.get(node.attrs["callee"]) if known else None
        if callee is None:
            super().node(node)
            return
        args = self.values(node.operands)
        if not all(v.type == q.type or not isinstance(q.type, ArrayType) or same_shape_class(v.type, q.type)
                   for v, q in zip(args, callee.body.params, strict=True)):
            super().node(node)  # the body was staged for another layout
            return
        results = _Body(self, callee).results(args)
        for old, new in zip(node.results, results, strict=True):
            self.env[old] = self.renamed(new, self.type(old.type))

    def renamed(self, v: Value, t: Type) -> Value:
        """A value under the names of sizes that its surroundings have for it."""
        if v.type == t or not same_shape_class(v.type, t):
            return v
        assert isinstance(t, ArrayType)
        return self.builder.emit1(p.array.view, v, spec=(("all",),) * t.rank, dims=t.dims)


class _Body(Replay):
    """One copy of a callee's body: every size it names itself gets a name of this copy's."""

    def __init__(self, caller: _Inliner, callee: Function) -> None:
        super().__init__(caller.builder)
        self.caller, self.callee = caller, callee

    def results(self, args: tuple[Value, ...]) -> tuple[Value, ...]:
        params = self.callee.body.params
        self.bind(params, args)
        for name in _symbols(self.callee.body):
            self.symbols.setdefault(name, fresh_symbol(name.split("$")[0]))
        for q, v in zip(params, args, strict=True):
            self.env[q] = self.caller.renamed(v, self.type(q.type))
        for node in self.callee.body.nodes:
            self.node(node)
        return self.values(self.callee.body.results)


def _symbols(block: Block) -> dict[str, None]:
    """The size symbols that a body mentions."""
    found: dict[str, None] = {}

    def see(vs: tuple[Value, ...]) -> None:
        for v in vs:
            if isinstance(v.type, ArrayType):
                for d in v.type.dims:
                    if isinstance(d, Dim):
                        found.update(dict.fromkeys(d.symbols))

    see(block.params)
    for node in walk(block):
        see(node.results)
        for inner in node.blocks:
            see(inner.params)
    return found


@dataclass(frozen=True)
class Inline:
    """Calls become bodies where that is short. With `trivial=True`, only those of a few nodes."""

    trivial: bool = False
    name: ClassVar[str] = "inline"

    def run(self, program: Program) -> Program:
        if len(program.functions) == 1:
            return program
        used = reachable(program)
        program.functions = {name: f for name, f in program.functions.items() if name in used}
        recursive = cycles(program)
        uses: Counter[str] = Counter()
        differentiated: set[str] = set()
        for function in program.functions.values():
            for node in walk(function.body):
                if node.op in CALLS:
                    uses[node.attrs["callee"]] += 1
                    if node.op is not p.control.call or _stays(node):
                        differentiated.update(named(node))
        chosen: dict[str, Function] = {}
        for name in order(program):
            function = program.functions[name]
            if any(n.op is p.control.call and n.attrs["callee"] in chosen for n in walk(function.body)):
                function = program.functions[name] = self._inlined(function, program, chosen)
            size = sum(1 for _ in walk(function.body))
            few = size * (uses[name] - 1) <= GROWTH and not self.trivial and name not in differentiated
            if name != program.entry and name not in recursive and (few or size <= (8 if self.trivial else SMALL)):
                chosen[name] = function
        used = reachable(program)
        program.functions = {name: f for name, f in program.functions.items() if name in used}
        return program

    def _inlined(self, function: Function, program: Program, chosen: dict[str, Function]) -> Function:
        builder = Builder(program)
        inliner = _Inliner(builder, chosen)
        params = function.body.params
        with builder.reify([v.type for v in params], [v.name for v in params]) as body:
            body.results = inliner.run(function.body, body.params)
        return Function(function.name, body, function.mut, function.span, function.doc)
