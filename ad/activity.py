"""Which values carry derivatives: those of a differentiable type that depend on an active input, and that a result depends on.

Scalars and records follow the data; an array is active when anything active may be written to one of its roots.
Integers, bools and conditions never are. Calls are analysed once for each set of active parameters.

Reverse mode asks as well what the results depend on that have a cotangent: elsewhere it is zero. Arrays are useful by their
roots: when anything useful may read one, whatever is written to it is. Records always are, and what they hold; so are all
operands of a call whose results or memory are.
"""

from __future__ import annotations

from collections.abc import Iterable

from lms.core import primitives as p
from lms.core.data import dataclass, field, replace
from lms.core.effects import Effects, Root, Roots
from lms.core.ir import Block, Function, Node, Program, Value, named
from lms.core.types import ArrayType, SumType, is_differentiable

_s = p.scalar

# Operations whose derivative is zero wherever it exists, or is declared to be.
INERT = frozenset({_s.stop_gradient, _s.sign, _s.floor, _s.ceil, _s.trunc, _s.rint, _s.floordiv,
                   p.array.empty, p.array.iota, p.array.const, p.array.argmax, p.array.argmin, p.linalg.lu})


CARRIED = {p.control.for_: 3, p.control.while_: 0, p.control.if_: 1}  # the operand where what is carried begins


@dataclass(slots=True)
class Activity:
    """The active values of one function, for one set of active parameters."""

    function: Function
    values: set[Value] = field(default_factory=set)
    roots: set[Root] = field(default_factory=set)
    params: frozenset[int] = frozenset()  # at entry
    results: frozenset[int] = frozenset()
    touched: frozenset[int] = frozenset()  # array parameters that hold active values afterwards

    def __contains__(self, v: Value) -> bool:
        return v in self.values


class Activities:
    """Activity of every function of a program, on demand and to a fixpoint (functions may call each other)."""

    def __init__(self, program: Program, effects: Effects | None = None) -> None:
        self.program = program
        self.effects = effects or Effects(program)
        self._known: dict[tuple[str, frozenset[int]], Activity] = {}
        self._useful: dict[tuple[str, frozenset[int], frozenset[int] | None], Activity] = {}
        self._changed = False

    def of(self, name: str, params: frozenset[int]) -> Activity:
        """The activity of a function whose parameters at these positions are active."""
        key = name, params
        if key not in self._known:
            self._start(key)
            self._settle()
        return self._known[key]

    def useful(self, name: str, params: frozenset[int], results: frozenset[int] | None = None) -> Activity:
        """What is active and useful where these results have cotangents; for None all, and what parameters hold at the end."""
        key = name, params, results
        if key not in self._useful:
            a = self.of(name, params)
            body, every = a.function.body, results is None
            useful = Useful(body, self.effects, range(len(body.results)) if results is None else results, memory=every)
            self._useful[key] = replace(a, values={v for v in a.values if v in useful})
        return self._useful[key]

    def _start(self, key: tuple[str, frozenset[int]]) -> Activity:
        name, params = key
        function = self.program.functions[name]
        activity = self._known[key] = Activity(function, params=params)
        for k in params:
            v = function.body.params[k]
            if is_differentiable(v.type):
                activity.values.add(v)
                activity.roots |= self._reach(v)
        self._changed = True
        return activity

    def _settle(self) -> None:
        self._changed = True
        while self._changed:
            self._changed = False
            for activity in list(self._known.values()):
                self._function(activity)

    def _function(self, a: Activity) -> None:
        before = len(a.values), len(a.roots)
        self._block(a, a.function.body)
        body = a.function.body
        results = frozenset(k for k, v in enumerate(body.results) if self._is(a, v))
        touched = frozenset(k for k, v in enumerate(body.params) if self._touched(a, v))
        if before != (len(a.values), len(a.roots)) or (results, touched) != (a.results, a.touched):
            a.results, a.touched = results, touched
            self._changed = True

    def _touched(self, a: Activity, v: Value) -> bool:
        """Whether a parameter gives access to memory that holds active values."""
        if isinstance(v.type, SumType):
            return is_differentiable(v.type) and bool(self.effects.within(v.type) & a.roots)
        return isinstance(v.type, ArrayType) and self._is(a, v)

    def _is(self, a: Activity, v: Value) -> bool:
        if v in a.values:
            return True
        if isinstance(v.type, ArrayType) and is_differentiable(v.type) and self.effects.roots(v) & a.roots:
            a.values.add(v)
            return True
        return False

    def _mark(self, a: Activity, v: Value) -> None:
        if v not in a.values and is_differentiable(v.type):
            a.values.add(v)
            a.roots |= self._reach(v)

    def _reach(self, v: Value) -> Roots:
        """The memory that a value gives access to."""
        return self.effects.within(v.type) if isinstance(v.type, SumType) else self.effects.roots(v)

    def _block(self, a: Activity, block: Block) -> None:
        for v in block.params:
            self._is(a, v)
        for node in block.nodes:
            self._node(a, node)

    def _node(self, a: Activity, node: Node) -> None:
        e = node.op.effect
        if e.control:
            self._control(a, node)
        elif node.op not in INERT and any(self._is(a, v) for v in node.operands):
            for k in (*e.writes, *e.accumulates):
                if any(self._is(a, v) for j, v in enumerate(node.operands) if j != k):
                    self._mark(a, node.operands[k])
            for v in node.results:
                self._mark(a, v)
        for v in node.results:
            self._is(a, v)

    def _control(self, a: Activity, node: Node) -> None:
        if node.op in (p.control.call, p.control.vjp, p.control.jvp):
            self._call(a, node)
            return
        carried = node.operands[CARRIED[node.op]:]
        skip = 1 if node.op is p.control.for_ else 0
        for block in node.blocks:
            for init, v in zip(carried, block.params[skip:], strict=True):
                if self._is(a, init):
                    self._mark(a, v)
            self._block(a, block)
        body = node.blocks[-1]
        for block in node.blocks if node.op is p.control.if_ else node.blocks[-1:]:
            for k, (v, out) in enumerate(zip(block.results, node.results, strict=True)):
                if self._is(a, v) or (carried and self._is(a, carried[k])):
                    self._mark(a, out)
                    if carried and not self._is(a, body.params[skip + k]):
                        self._mark(a, body.params[skip + k])
                        self._changed = True

    def _call(self, a: Activity, node: Node) -> None:
        if "halves" in node.attrs:  # a rule of the user's says what depends on what
            for v in node.results if any(self._is(a, v) for v in node.operands) else ():
                self._mark(a, v)
            return
        params = frozenset(k for k, v in enumerate(node.operands) if self._is(a, v))
        for callee in named(node):  # what is run again in the place of the callee may be known less well
            inner = self._known.get((callee, params)) or self._start((callee, params))
            for k in inner.results:
                self._mark(a, node.results[k])
            for k in inner.touched:
                self._mark(a, node.operands[k])


class Useful:
    """The values of one function that some wanted result depends on, by what carries derivatives.

    `results` are the wanted ones; with `memory`, so is what parameters that are arrays hold at the end.
    """

    def __init__(self, body: Block, effects: Effects, results: Iterable[int], memory: bool) -> None:
        self.effects = effects
        self.values: set[Value] = set()
        self.roots: set[Root] = set()
        for v in (*(body.results[k] for k in results), *(v for v in body.params if memory or isinstance(v.type, SumType))):
            self._want(v)
        self._changed = True
        while self._changed:
            self._changed = False
            self._block(body)

    def __contains__(self, v: Value) -> bool:
        if isinstance(v.type, ArrayType):
            return bool(self.effects.roots(v) & self.roots) or isinstance(v.type.dtype, SumType)
        return v in self.values or isinstance(v.type, SumType)

    def _want(self, v: Value) -> None:
        if not is_differentiable(v.type):
            return
        roots = self.effects.within(v.type) if isinstance(v.type, SumType) else self.effects.roots(v)
        if v not in self.values or not roots <= self.roots:
            self.values.add(v)
            self.roots |= roots
            self._changed = True

    def _block(self, block: Block) -> None:
        for node in reversed(block.nodes):
            if node.op in CARRIED:
                self._control(node)
            elif node.op not in INERT and self._matters(node):
                for v in node.operands:
                    self._want(v)

    def _matters(self, node: Node) -> bool:
        changed = self.effects.of(node).changes if node.op.effect.control else frozenset[Root]().union(
            *(self.effects.roots(node.operands[k]) for k in (*node.op.effect.writes, *node.op.effect.accumulates)))
        return bool(changed & self.roots) or any(v in self for v in node.results)

    def _control(self, node: Node) -> None:
        carried = node.operands[CARRIED[node.op]:]
        blocks = node.blocks if node.op is p.control.if_ else node.blocks[-1:]
        for block in blocks:
            params = block.params[node.op is p.control.for_:]
            for k, out in enumerate(node.results):
                if out in self or (params and params[k] in self):
                    for v in (block.results[k], *((params[k], carried[k]) if params else ())):
                        self._want(v)
            self._block(block)
