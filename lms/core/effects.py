"""Who reads and writes what: allocation roots of every handle, and the accesses of every node.

A *root* is where an array was allocated: the value that made it, a parameter of the function, or, for arrays reached
through records, one name for each sum type. A handle (view, carried array, result of a branch or call) has a *set* of
possible roots; two handles may alias when the sets meet. Everything that moves, shares or drops code asks here.
"""

from __future__ import annotations

from functools import reduce

from . import primitives as p
from .data import dataclass
from .ir import Block, Function, Node, Program, Value
from .types import ArrayType, Scalar, SumType, Type

Root = Value | str
Roots = frozenset[Root]
NONE: Roots = frozenset()
PURE, CONST, LOAD, PROJECT, CONSTRUCT = p.PURE, p.array.const, p.array.load, p.array.project, p.array.construct
CARRIED = {p.control.for_: 3, p.control.while_: 0, p.control.if_: 1}  # the first operand that goes into the blocks


@dataclass(frozen=True, slots=True)
class Access:
    """What running something may do: the roots it reads, writes and accumulates into; whether it may raise or do I/O."""

    reads: Roots = NONE
    writes: Roots = NONE
    accumulates: Roots = NONE
    raises: bool = False
    io: bool = False

    def __or__(self, other: Access) -> Access:
        return Access(self.reads | other.reads, self.writes | other.writes, self.accumulates | other.accumulates,
                      self.raises or other.raises, self.io or other.io)

    @property
    def changes(self) -> Roots:
        """The roots whose contents may differ afterwards."""
        return self.writes | self.accumulates if self.accumulates else self.writes

    @property
    def pure(self) -> bool:
        """Nothing but reads."""
        return not (self.writes or self.accumulates or self.raises or self.io)

    def conflicts(self, other: Access) -> bool:
        """Whether the order of two accesses can be observed. Accumulation commutes with accumulation, and with nothing else."""
        mine, theirs = self.changes, other.changes
        return bool(
            mine & (other.reads | other.writes) or theirs & (self.reads | self.writes)
            or (self.io and (other.io or other.raises or theirs)) or (other.io and (self.raises or mine))
            or (self.raises and (other.raises or theirs)) or (other.raises and mine)
        )


NO_ACCESS = Access()


def record_root(t: SumType) -> str:
    """The one root of all arrays in records of a type that came from outside."""
    return f"record {t.name}"


def _together(parts: list[Access]) -> Access:
    """What all of them may do."""
    if len(parts) < 2:
        return parts[0] if parts else NO_ACCESS
    return Access(NONE.union(*[x.reads for x in parts]), NONE.union(*[x.writes for x in parts]),
                  NONE.union(*[x.accumulates for x in parts]), any([x.raises for x in parts]), any([x.io for x in parts]))


@dataclass(slots=True)
class _Summary:
    """A function seen from its callers: roots of its results and its access, in terms of its own parameters."""

    results: tuple[Roots, ...]
    access: Access


class Effects:
    """The roots and accesses of a whole program. Make a new one after the program changes."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._roots: dict[Value, Roots] = {}
        self._held: dict[str, Roots] = {}  # what was put into records of each sum type
        self._summaries = {name: _Summary((NONE,) * len(f.body.results), NO_ACCESS) for name, f in program.functions.items()}
        self._access: dict[Node, Access] = {}
        self._accesses = {(NONE, NONE, NONE, False, False): NO_ACCESS}
        self._block_access: dict[Block, Access] = {}
        self._asked: set[str] = set()  # the functions whose summaries somebody has used
        self._changed = True
        while self._changed:
            self._changed = False
            for function in reversed(program.functions.values()):  # callees were mostly made after their callers
                self._function(function)

    # ------------------------------------------------------------------------------------- questions

    def roots(self, v: Value) -> Roots:
        """The roots a handle may have; empty for scalars."""
        return self._roots.get(v, NONE)

    def of(self, node: Node) -> Access:
        """What running a node (blocks and callees included) may do."""
        return self._access[node]

    def block(self, block: Block) -> Access:
        return self._block_access[block]

    def function(self, name: str) -> Access:
        """What calling a function may do, in terms of its own parameters."""
        return self._summaries[name].access

    def within(self, t: SumType) -> Roots:
        """The roots of arrays in records of a type, and in records that those refer to."""
        seen, stack = {t.name: t}, [t]
        while stack:
            for constructor in stack.pop().constructors:
                for _, f in constructor.fields:
                    inner = f.dtype if isinstance(f, ArrayType) else f
                    if isinstance(inner, SumType) and inner.name not in seen:
                        seen[inner.name] = inner
                        stack.append(inner)
        return reduce(frozenset.union, map(self._within, seen.values()), NONE)

    def held(self) -> Roots:
        """The roots of arrays that were put into records."""
        return reduce(frozenset.union, self._held.values(), NONE)

    def may_alias(self, a: Value, b: Value) -> bool:
        return bool(self.roots(a) & self.roots(b))

    def changed(self, function: Function) -> Roots:
        """The roots that something in the function may write to."""
        return self._block_access[function.body].changes

    def escaping(self, function: Function) -> Roots:
        """The roots that leave a function: by its results, in records, or because they came in."""
        out: Roots = NONE
        for v in (*function.body.params, *function.body.results):
            out |= self.roots(v)
        return out | self.held()

    # -------------------------------------------------------------------------------------- analysis

    def _join(self, v: Value, roots: Roots) -> None:
        old = self._roots.get(v)
        new = roots if old is None else old | roots
        if new != old:
            self._roots[v] = new
            self._changed = self._changed or old is not None  # seen with fewer roots before

    def _function(self, function: Function) -> None:
        for v in function.body.params:
            if isinstance(v.type, ArrayType):
                self._join(v, frozenset([v]))
        access = self._block(function.body)
        visible = frozenset(r for r in access.changes | access.reads if isinstance(r, str) or r in function.body.params)
        seen = Access(access.reads & visible, access.writes & visible, access.accumulates & visible, access.raises, access.io)
        new = _Summary(tuple(self.roots(v) for v in function.body.results), seen)
        if new != self._summaries[function.name]:
            self._summaries[function.name] = new
            self._changed = self._changed or function.name in self._asked

    def _block(self, block: Block) -> Access:
        found: dict[int, Access] = {}  # by identity: few differ
        for node in block.nodes:
            op = node.op
            if op.effect is PURE and (op.elementwise or op is CONST) and node.results[0].type.__class__ is Scalar:
                self._access[node] = NO_ACCESS  # most nodes, many times
                continue
            access = self._node(node)
            if access is not NO_ACCESS:
                found[id(access)] = access
        total = self._block_access[block] = _together([*found.values()])
        return total

    def _node(self, node: Node) -> Access:
        access = self._control(node) if node.op.effect.control else self._plain(node)
        self._access[node] = access
        return access

    def _plain(self, node: Node) -> Access:
        op, known = node.op, self._roots
        e = op.effect
        reads = writes = accumulates = NONE
        for k, v in enumerate(node.operands):
            if v.type.__class__ is not Scalar:
                roots = known.get(v, NONE)
                if k in e.writes:
                    writes |= roots
                elif k in e.accumulates:
                    accumulates |= roots
                elif k not in e.unread and k != e.view:
                    reads = reads | roots if reads else roots
        for v in node.results:
            if v.type.__class__ is ArrayType:
                if op is PROJECT:
                    self._join(v, self._within(node.operands[0].type))
                elif op is LOAD or e.view is not None:
                    self._join(v, self.roots(node.operands[e.view or 0]))
                else:
                    self._join(v, frozenset([v]))
        if op is CONSTRUCT:
            self._hold(node.attrs["type"], node.operands)
            reads = NONE
        if e is PURE and not reads:
            return NO_ACCESS
        key = reads, writes, accumulates, e.raises, e.io
        access = self._accesses.get(key)  # few differ
        if access is None:
            access = self._accesses[key] = Access(*key)
        return access

    def _within(self, t: Type) -> Roots:
        assert isinstance(t, SumType)
        return self._held.get(t.name, NONE) | {record_root(t)}

    def _hold(self, t: SumType, operands: tuple[Value, ...]) -> None:
        held = self._held.get(t.name, NONE)
        new = held
        for v in operands:
            new |= self.roots(v)
        if new != held:
            self._held[t.name] = new
            self._changed = True

    def _control(self, node: Node) -> Access:
        if node.op in (p.control.call, p.control.vjp, p.control.jvp):
            return self._call(node)
        carried = node.operands[CARRIED[node.op]:]
        skip = 1 if node.op is p.control.for_ else 0
        inside = []
        for block in node.blocks:
            for init, v in zip(carried, block.params[skip:], strict=True):
                self._join(v, self.roots(init))
            inside.append(self._block(block))
        for block in node.blocks if node.op is p.control.if_ else node.blocks[-1:]:
            for k, (v, out) in enumerate(zip(block.results, node.results, strict=True)):
                self._join(out, self.roots(v))
                if carried:
                    self._join(out, self.roots(carried[k]))
                    for loop in node.blocks:
                        self._join(loop.params[skip + k], self.roots(v))
        return _together(inside)

    def _call(self, node: Node) -> Access:
        callee = self.program.functions[node.attrs["callee"]]
        self._asked.add(callee.name)
        summary = self._summaries[callee.name]
        names: dict[Root, Roots] = {param: self.roots(arg) for param, arg in zip(callee.body.params, node.operands, strict=False)}

        for out, roots in zip(node.results, summary.results, strict=False):
            for r in roots:  # what the callee allocates is made by the call: named by the first result that has it
                if not isinstance(r, str):
                    names.setdefault(r, frozenset([out]))

        def outside(roots: Roots) -> Roots:
            mapped: Roots = NONE
            for r in roots:
                if r in names:
                    mapped |= names[r]
                elif isinstance(r, str):
                    mapped |= {r} | self._held.get(r.removeprefix("record "), NONE)
            return mapped

        for t, held in list(self._held.items()):  # what the callee puts into records, it may have been given, or give
            given = reduce(frozenset.union, (names[r] for r in held if r in names), held)
            if given != held:
                self._held[t] = given
                self._changed = True
        for k, v in enumerate(node.results):
            if isinstance(v.type, ArrayType):
                self._join(v, outside(summary.results[k]) if k < len(summary.results) else frozenset([v]))
        a = summary.access
        reads = reduce(frozenset.union, (self.roots(v) for v in node.operands), NONE) if node.op is not p.control.call else NONE
        return Access(outside(a.reads) | reads, outside(a.writes), outside(a.accumulates), a.raises, a.io)
