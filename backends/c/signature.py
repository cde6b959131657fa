"""What functions look like in C: which may fail, which need the context, what they take; and what a module's functions share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lms.core import primitives as p
from lms.core.data import dataclass
from lms.core.effects import Effects
from lms.core.ir import Function, Program, Value, sum_types, walk
from lms.core.types import ArrayType, Dim, Scalar, Size, SumType, Type, symbol

from ..cycles import cycles
from ..ownership import Borrowing, Ownership, borrowing, escaping_arrays
from .expressions import c_scalar
from .names import spelled, unique


@dataclass(frozen=True, slots=True)
class Options:
    """`boundscheck=False` drops every `index` check; `lines` adds `#line` directives for debuggers."""

    boundscheck: bool = True
    lines: bool = False


class Unit:
    """One program of a module, and what is known of it."""

    def __init__(self, program: Program, module: Module) -> None:
        self.program = program
        self.effects = Effects(program)
        self.recursive = cycles(program)
        self.borrowing: Borrowing = borrowing(program)
        self.signatures = {name: Signature(self, f, module) for name, f in program.functions.items()}
        changed = True
        while changed:
            changed = False
            for s in self.signatures.values():
                changed |= s.learn()

    def ordered(self) -> list[Signature]:
        """Callees before callers, as far as there is a before."""
        out: dict[str, Signature] = {}
        for root in self.signatures:
            stack = [(root, iter(self.calls(root)))]
            seen = {root}
            while stack:
                name, rest = stack[-1]
                for callee in rest:
                    if callee not in out and callee not in seen:
                        seen.add(callee)
                        stack.append((callee, iter(self.calls(callee))))
                        break
                else:
                    stack.pop()
                    out.setdefault(name, self.signatures[name])
        return list(out.values())

    def calls(self, name: str) -> list[str]:
        nodes = walk(self.program.functions[name].body)
        return list(dict.fromkeys(n.attrs["callee"] for n in nodes if n.op is p.control.call))


class Signature:
    """A function in C.

    `fails`: it gives a status. `context`: it takes one. `direct`: it returns its only result. `sizes` are the dimensions it takes
    as parameters, before all others; `owners` the array parameters that come with what keeps them alive; `into` the results
    that are made in the caller's memory.
    """

    def __init__(self, unit: Unit, function: Function, module: Module) -> None:
        self.unit, self.function, self.module = unit, function, module
        self.recursive = function.name in unit.recursive
        self.entry = function.name == unit.program.entry
        self.public = False
        self.allocates = False  # whether a call of it, an entry, takes memory
        self.into = _into(function, unit.borrowing) if self.entry and not self.recursive else frozenset[Value]()
        self.fails = self.recursive or self._fails()
        self.context = self.fails or self._counts()
        kept = escaping_arrays(function, unit.borrowing) if not self.entry or self.recursive else set()
        self.owners = frozenset(k for k, v in enumerate(function.body.params) if isinstance(v.type, ArrayType) and v in kept)
        self.sizes = _sizes([v.type for v in function.body.params])
        self.name = ""  # given when all entries have theirs

    @property
    def direct(self) -> bool:
        results = self.function.body.results
        return not self.fails and len(results) == 1 and not isinstance(results[0].type, ArrayType)

    @property
    def restrict(self) -> bool:
        """Whether arguments never overlap what is written: so the world is told, and so says the entry."""
        return self.entry and not self.recursive and bool(self.unit.effects.changed(self.function))

    def is_const(self, k: int) -> bool:
        """Whether a parameter is only read."""
        v = self.function.body.params[k]
        return isinstance(v.type, ArrayType) and isinstance(v.type.dtype, Scalar) and not (
            self.unit.effects.roots(v) & self.unit.effects.changed(self.function))

    def learn(self) -> bool:
        """Take over what is known of callees by now; whether that was new."""
        before = self.fails, self.context
        for name in self.unit.calls(self.function.name):
            callee = self.unit.signatures[name]
            self.fails |= callee.fails
            self.context |= callee.context
        return before != (self.fails, self.context)

    def _fails(self) -> bool:
        plan = Ownership(self.function, self.recursive, self.unit.borrowing)
        if plan.arena:
            return True
        for n in walk(self.function.body):
            if n.op is p.array.index and self.module.options.boundscheck:
                return True
            if n.op in (p.control.check, p.record.construct, p.array.argsort_into):
                return True
            if n.op is p.array.empty and n.result not in plan.on_stack and n.result not in self.into:
                return True
        return False

    def _counts(self) -> bool:
        """Whether it counts references: then it may free memory."""
        plan = Ownership(self.function, self.recursive, self.unit.borrowing)
        return any(v not in self.into for each in plan.releases.values() for values in each.values() for v in values)


class Module:
    """What all functions of a C file share."""

    def __init__(self, programs: Sequence[Program], options: Options) -> None:
        self.options = options
        self.taken: set[str] = set()
        self.records: dict[str, str] = {}
        self.sums: dict[str, SumType] = {}
        for program in programs:
            for t in sum_types(program).values():
                if t.name not in self.records:
                    self.sums[t.name] = t
                    self.records[t.name] = self.fresh(t.name, "record")
        self.constructors = self._constructors()
        self.kinds = {key: 2 + k for k, key in enumerate(self.constructors)}
        self.units = [Unit(program, self) for program in programs]

    def fresh(self, hint: str, otherwise: str) -> str:
        name = unique(hint, otherwise, self.taken)
        self.taken.add(name)
        return name

    def _constructors(self) -> dict[tuple[str, int], str]:
        """The name of each alternative, which is also the name of its fields' struct."""
        out: dict[tuple[str, int], str] = {}
        for name, t in self.sums.items():
            names = [spelled(c.name, "case") for c in t.constructors]
            twice = {n for n, k in Counter(names).items() if k > 1}
            for tag, n in enumerate(names):
                out[name, tag] = f"{n}_{tag}" if n in twice else n
        return out

    def c_type(self, t: Type) -> str:
        """The C type of a number or record."""
        if isinstance(t, Scalar):
            return c_scalar(t)
        assert isinstance(t, SumType)
        return f"{self.records[t.name]} *"


def _sizes(types: Sequence[Type]) -> list[Size]:
    """The dimensions that tell all others: symbols that stand alone somewhere, and what they do not tell."""
    dims = [d for t in types if isinstance(t, ArrayType) for d in t.dims if isinstance(d, Dim)]
    alone = list(dict.fromkeys(d for d in dims if d == symbol(d.symbols[0])))
    told = {d.symbols[0] for d in alone}
    rest = dict.fromkeys(d for d in dims if d not in alone and not told_by(d, told))
    return [*alone, *rest]


def known_outside(t: ArrayType, params: Sequence[Value]) -> bool:
    """Whether a caller knows the sizes of a result: they follow from the arguments'."""
    symbols = {s for v in params if isinstance(v.type, ArrayType) for d in v.type.dims if isinstance(d, Dim) for s in d.symbols}
    return isinstance(t.dtype, Scalar) and all(isinstance(d, int) or symbols.issuperset(d.symbols) for d in t.dims)


def _into(function: Function, borrowing: Borrowing) -> frozenset[Value]:
    """The results that can be made where the caller wants them: made once, at the top, and handed to nothing that keeps them."""
    body = function.body
    results, body.results = body.results, ()
    try:
        kept = escaping_arrays(function, borrowing)
    finally:
        body.results = results
    made = {node.result for node in body.nodes if node.op is p.array.empty}
    return frozenset(v for v in results if v in made and v not in kept and results.count(v) == 1
                     and isinstance(v.type, ArrayType) and known_outside(v.type, body.params))


def told_by(d: Dim, symbols: set[str]) -> bool:
    """Whether a dimension can be computed from symbols."""
    return d.const >= 0 and all(s in symbols and k > 0 for s, k in d.terms)
