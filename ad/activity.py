"""Which values carry derivatives: those of a differentiable type that depend on an active input.

Scalars and records follow the data; an array is active when anything active may be written to one of its roots.
Integers, bools and conditions never are. Calls are analysed once for each set of active parameters.
"""

from __future__ import annotations

from lms.core import primitives as p
from lms.core.data import dataclass, field
from lms.core.effects import Effects, Root, Roots
from lms.core.ir import Block, Function, Node, Program, Value, named
from lms.core.types import ArrayType, SumType, is_differentiable

_s = p.scalar

# Operations whose derivative is zero wherever it exists, or is declared to be.
INERT = frozenset({_s.stop_gradient, _s.sign, _s.floor, _s.ceil, _s.trunc, _s.rint, _s.floordiv,
                   p.array.empty, p.array.iota, p.array.const, p.array.argmax, p.array.argmin, p.linalg.lu})


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
        self._changed = False

    def of(self, name: str, params: frozenset[int]) -> Activity:
        """The activity of a function whose parameters at these positions are active."""
        key = name, params
        if key not in self._known:
            self._start(key)
            self._settle()
        return self._known[key]

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
        carried = node.operands[{"for": 3, "while": 0, "if": 1}[node.op.name]:]
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
