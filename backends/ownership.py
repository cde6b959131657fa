"""Who owns which reference, decided before the program runs.

Arrays and record nodes are counted. A value that makes or receives a reference *owns* it: a fresh array, a record, the
result of a call, a branch or a loop, a loop's carried value. A view, a projection and a parameter of the function *borrow*:
their holders live at least as long as they do. A block releases what it owns after the last use of it or of anything
borrowed from it; a block's results hand one reference each to whoever receives them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from lms.core import primitives as p
from lms.core.ir import Block, Function, Node, Program, Value, walk
from lms.core.types import ArrayType, Scalar, SumType, Type

_VIEWS = (p.array.view, p.array.transpose, p.array.reshape)
Borrowing = dict[str, frozenset[int]]
_LOCAL = {p.array.load: (0,), p.array.store: (0,), p.array.accumulate: (0,), p.array.dim: (0,),
          p.array.contract_into: (0, 1, 2), p.array.argsort_into: (0, 1), **dict.fromkeys(_VIEWS, (0,)),
          **dict.fromkeys(p.linalg.LAPACK, (0, 1, 2, 3))}
SMALL = 4096      # bytes of an array that needs no block of its own
STACK = 65536     # bytes of small arrays that a function keeps on its stack
ARENA = 16 << 20  # and in one block beyond
LINE = 64         # bytes between which the arrays in that block start


def managed(t: Type) -> bool:
    return isinstance(t, ArrayType | SumType)


class Ownership:
    """The plan of one function.

    `releases[block][i]` are the values to release after its node `i` (-1: at the start; the number of nodes: after the results
    are retained). `retains[block]` are the results that need a reference of their own. `moved[node]` are the operands
    whose reference the node takes over. `invariant[loop]` are the carried values that the body hands on unchanged.
    `on_stack` and `in_arena` are the arrays that need no counting: small, of static size, and either never out of their block or
    made once and never out of the function (then loops may carry them, beside others that are counted). Those in the arena have
    an offset in one block of memory, of `arena` bytes, that the function holds while it runs.
    `borrowing` are, by function, the parameters that it only looks at while it runs.
    """

    def __init__(self, function: Function, recursive: bool = False, borrowing: Borrowing | None = None) -> None:
        self.releases: dict[Block, dict[int, list[Value]]] = {}
        self.retains: dict[Block, list[Value]] = {}
        self.moved: dict[Node, frozenset[int]] = {}
        self.invariant = {node: _invariant(node) for node in walk(function.body) if node.op in (p.control.for_, p.control.while_)}
        self.on_stack: set[Value] = set()
        self.in_arena: dict[Value, int] = {}
        self.arena = 0
        limit, self._stack = (SMALL // 8, STACK // 8) if recursive else (SMALL, STACK)
        for v, size in small_arrays(function, limit, borrowing or {}).items():
            if not self._on_stack(v, size) and not recursive and self.arena + size <= ARENA:
                self.in_arena[v] = self.arena
                self.arena += -(-size // LINE) * LINE
        for v, size in carried_arrays(function, limit, borrowing or {}).items():
            self._on_stack(v, size)
        self._holders: dict[Value, frozenset[Value]] = {v: frozenset() for v in function.body.params}
        self._block(function.body, (), frozenset())

    def _on_stack(self, v: Value, size: int) -> bool:
        """Give a small array a place on the stack, if there is one left."""
        if size > self._stack:
            return False
        self._stack -= size
        self.on_stack.add(v)
        return True

    def holders(self, v: Value) -> frozenset[Value]:
        """The owning values that keep a value alive."""
        return self._holders.get(v, frozenset())

    def _block(self, block: Block, owned: Iterable[Value], unchanged: frozenset[int]) -> set[Value]:
        """Plan a block that owns some of its parameters; give the holders it uses."""
        mine: dict[Value, int] = dict.fromkeys(owned, -1)
        last: dict[Value, int] = {}
        inside: dict[int, set[Value]] = {}
        for v in mine:
            self._holders[v] = frozenset([v])
        for i, node in enumerate(block.nodes):
            if not _concerned(node):
                continue
            inside[i] = self._nested(node)
            last.update(dict.fromkeys(inside[i].union(*map(self.holders, node.operands)), i))
            for k, v in enumerate(node.results):
                if managed(v.type) and self._define(node, k, v):
                    mine[v] = i
        given = [v for k, v in enumerate(block.results) if managed(v.type) and k not in unchanged]
        end = len(block.nodes)
        for v in block.results:
            last.update(dict.fromkeys(self.holders(v), end))
        gone: set[Value] = set()
        ending: dict[int, set[Value]] = {}
        for v in mine:
            ending.setdefault(last.get(v, end), set()).add(v)
        for i, values in ending.items():
            if i in inside:
                moved = self._moves(block.nodes[i], values - inside[i])
                self.moved[block.nodes[i]] = frozenset(moved)
                gone.update(moved.values())
                if block.nodes[i].op is p.control.if_:
                    gone |= self._pass_on(block.nodes[i].blocks, values)
        retains = []
        for v in given:
            if v in mine and v not in gone:
                gone.add(v)
            else:
                retains.append(v)
        self.retains[block] = retains
        after: dict[int, list[Value]] = {}
        for v, i in mine.items():
            if v not in gone:
                after.setdefault(last.get(v, i), []).append(v)
        self.releases[block] = after
        return set(last)

    def _nested(self, node: Node) -> set[Value]:
        used: set[Value] = set()
        unchanged = self.invariant.get(node, frozenset())
        for block in node.blocks:
            params = block.params[1:] if node.op is p.control.for_ else block.params
            carried = node.operands[3:] if node.op is p.control.for_ else node.operands
            body = block is node.blocks[-1] or node.op is p.control.if_
            for k, v in enumerate(params):
                if managed(v.type) and (k in unchanged or not body):
                    # a condition only looks at what the loop owns
                    self._holders[v] = self.holders(carried[k]) if k in unchanged else frozenset()
            owned = [v for k, v in enumerate(params) if body and managed(v.type) and k not in unchanged]
            used |= self._block(block, owned, unchanged if node.op is not p.control.if_ else frozenset())
        return used

    def _define(self, node: Node, k: int, v: Value) -> bool:
        """Note what keeps a result alive; whether it owns its reference."""
        bases: tuple[Value, ...] | None = None
        if node.op in _VIEWS or node.op is p.record.project:
            bases = node.operands[:1]
        elif node.op is p.scalar.select:
            bases = node.operands[1:]
        elif k in self.invariant.get(node, ()):
            bases = (node.operands[k + (3 if node.op is p.control.for_ else 0)],)
        elif v in self.on_stack or v in self.in_arena:
            bases = ()
        self._holders[v] = frozenset([v]) if bases is None else frozenset().union(*map(self.holders, bases))
        return bases is None

    def _moves(self, node: Node, ending: set[Value]) -> dict[int, Value]:
        """Operands that a node keeps, and may take over because nothing else uses them any more."""
        counts = Counter(h for v in node.operands for h in self.holders(v))
        return {k: v for k in self.kept(node) if (v := node.operands[k]) in ending and counts[v] == 1}

    def _pass_on(self, branches: Sequence[Block], ending: set[Value]) -> set[Value]:
        """Let branches own what they give and nobody else uses any more: where one gives it, the others release it."""
        given = dict.fromkeys(v for b in branches for v in self.retains[b] if v in ending)
        for v in given:
            for b in branches:
                if v in self.retains[b]:
                    self.retains[b].remove(v)
                else:
                    self.releases[b].setdefault(len(b.nodes), []).append(v)
        return set(given)

    def kept(self, node: Node) -> list[int]:
        """The positions of operands a node keeps a reference to."""
        if node.op is p.record.construct:
            return [k for k, v in enumerate(node.operands) if managed(v.type)]
        if node.op is p.array.store:
            return [1] if managed(node.operands[1].type) else []
        if node.op in (p.control.for_, p.control.while_):
            start = 3 if node.op is p.control.for_ else 0
            return [k for k, v in enumerate(node.operands)
                    if k >= start and managed(v.type) and k - start not in self.invariant[node]]
        return []


def _concerned(node: Node) -> bool:
    """Whether a node has to do with arrays or records at all: most have not."""
    if node.blocks:
        return True
    for v in node.operands:
        if type(v.type) is not Scalar:
            return True
    return any(type(v.type) is not Scalar for v in node.results)


def _invariant(node: Node) -> frozenset[int]:
    body = node.blocks[-1]
    params = body.params[1:] if node.op is p.control.for_ else body.params
    return frozenset(k for k, (v, r) in enumerate(zip(params, body.results, strict=True)) if v is r)


def borrowing(program: Program) -> Borrowing:
    """The array parameters of each function that it only looks at while it runs; of functions that call others, none."""
    out: Borrowing = {}
    for name, function in program.functions.items():
        if not any(node.op is p.control.call for node in walk(function.body)):
            gone = escaping_arrays(function, {})
            out[name] = frozenset(k for k, v in enumerate(function.body.params) if v not in gone)
    return out


def small_arrays(function: Function, limit: int, borrowing: Borrowing) -> dict[Value, int]:
    """The arrays of at most so many bytes, with their size, that are made in a function and never leave their block."""
    escaping = escaping_arrays(function, borrowing)
    made = (node.result for node in walk(function.body) if node.op is p.array.empty)
    sizes = {v: static_bytes(v.type) for v in made if v not in escaping}
    return {v: size for v, size in sizes.items() if size is not None and size <= limit}


def carried_arrays(function: Function, limit: int, borrowing: Borrowing) -> dict[Value, int]:
    """The arrays of at most so many bytes that are made once, before the loops that carry them, and never leave the function."""
    made = [node.result for node in function.body.nodes if node.op is p.array.empty]
    sizes = {v: size for v in made if (size := static_bytes(v.type)) is not None and size <= limit}
    if not sizes:
        return {}
    leaving = _leaving(function, borrowing)
    inside = escaping_arrays(function, borrowing)
    return {v: size for v, size in sizes.items() if v in inside and v not in leaving}


def _leaving(function: Function, borrowing: Borrowing) -> set[Value]:
    """The arrays that a result of the function, a record or a callee may hold, followed through loops and branches."""
    before: dict[Value, list[Value]] = {}
    leaving: set[Value] = set(function.body.results)
    for node in walk(function.body):
        if not _concerned(node):
            continue
        if node.op in _VIEWS or node.op is p.scalar.select:
            before.setdefault(node.result, []).extend(node.operands)
        elif node.blocks:
            for earlier, later in _hands_on(node):
                before.setdefault(later, []).append(earlier)
        else:
            known = borrowing.get(node.attrs["callee"], ()) if node.op is p.control.call else _LOCAL.get(node.op, ())
            leaving.update(v for k, v in enumerate(node.operands) if k not in known)
    stack = list(leaving)
    while stack:
        for v in before.get(stack.pop(), ()):
            if v not in leaving:
                leaving.add(v)
                stack.append(v)
    return leaving


def _hands_on(node: Node) -> Iterator[tuple[Value, Value]]:
    """What a branch or a loop gives for what, in its blocks and as its results."""
    bodies = node.blocks if node.op is p.control.if_ else node.blocks[-1:]
    for body in bodies:
        yield from zip(body.results, node.results, strict=True)
    if node.op is not p.control.if_:
        skip, first = (1, 3) if node.op is p.control.for_ else (0, 0)
        yield from zip(node.operands[first:], node.results, strict=True)
        for block in node.blocks:
            yield from zip(node.operands[first:], block.params[skip:], strict=True)
            yield from zip(bodies[0].results, block.params[skip:], strict=True)


def escaping_arrays(function: Function, borrowing: Borrowing) -> set[Value]:
    """The arrays whose handles are kept by something: a block's result, a record, a carried value, a callee."""
    escaping: set[Value] = set(function.body.results)
    nodes = list(walk(function.body))
    for node in nodes:
        if not _concerned(node):
            continue
        known = borrowing.get(node.attrs["callee"], ()) if node.op is p.control.call else _LOCAL.get(node.op, ())
        escaping.update(v for k, v in enumerate(node.operands) if k not in known and isinstance(v.type, ArrayType))
        for block in node.blocks:
            escaping.update(block.results)
    for node in reversed(nodes):
        if node.op in _VIEWS and node.result in escaping:
            escaping.add(node.operands[0])
    return escaping


def static_bytes(t: Type) -> int | None:
    """The bytes of an array of scalars whose sizes are all known; else None."""
    if not isinstance(t, ArrayType) or not isinstance(t.dtype, Scalar):
        return None
    count = t.dtype.bits // 8
    for d in t.dims:
        if not isinstance(d, int) or d < 0:
            return None
        count *= d
    return count
