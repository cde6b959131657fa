"""Producer-consumer fusion: which arrays are never made, because whoever reads them can compute an element instead.

A producer is *deferred* when its consumers ask for "the element at this index" and may be answered later than its place:

* nothing between it and its last consumer may write what it reads (an operation on an array that anything writes is a
  read at its place), and a consumer that writes reads it in step, index by index;
* each of its elements is asked for once, or it is cheap enough to be computed again.

Blocks are planned backwards, consumers before producers, in linear time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from enum import IntEnum

from lms.core import primitives as p
from lms.core.data import dataclass, field
from lms.core.effects import Effects, Root, Roots
from lms.core.ir import Block, Function, Node, Value
from lms.core.primitives import Primitive
from lms.core.types import ArrayType

CHEAP = 4    # an element of at most this cost is computed again rather than stored
DEPTH = 24   # a chain of deferred producers is cut here: the kernels stay of a size compilers like


class Mode(IntEnum):
    """How a consumer asks for the elements of an operand."""

    ONCE = 0     # each element at most once
    HOIST = 1    # again in each iteration of inner loops, from which it can be moved out
    MANY = 2     # again and again
    HANDLE = 3   # it needs the array in memory


_MATH = (
    "pow cbrt exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf erfc "
    "gamma lgamma digamma trigamma atan2 hypot div sqrt floordiv mod quot rem"
)
COSTLY = dict.fromkeys(_MATH.split(), 20)

REDUCTIONS = {p.array.reduce_sum, p.array.reduce_prod, p.array.reduce_max, p.array.reduce_min, p.array.reduce_any,
              p.array.reduce_all, p.array.argmax, p.array.argmin}
PLAIN = {p.array.broadcast, p.array.iota, p.array.copy, p.array.take, p.array.take_along, p.array.contract} | REDUCTIONS


def renames(node: Node) -> bool:
    """Whether a node only gives elements other indices: views, transpositions, reshapes that add or drop axes of size 1."""
    if node.op is p.array.reshape:
        t, u = node.operands[0].type, node.result.type
        assert isinstance(t, ArrayType) and isinstance(u, ArrayType)
        return [d for d in t.dims if d != 1] == [d for d in u.dims if d != 1]
    return node.op in (p.array.view, p.array.transpose)


def produces(node: Node) -> bool:
    """Whether an element of the node's array can be computed alone."""
    if len(node.results) != 1 or not isinstance(node.result.type, ArrayType) or node.op.effect.raises:
        return False
    if node.op in REDUCTIONS:
        return contiguous(node)
    if node.op is p.array.contract:
        return not by_blas(node)
    return node.op.elementwise or node.op in PLAIN or renames(node)


def contiguous(node: Node) -> bool:
    """Whether a reduction runs along the last axis of its operand, so that a scalar accumulator walks memory in order."""
    t = node.operands[0].type
    assert isinstance(t, ArrayType)
    axes = node.attrs["axes"] if "axes" in node.attrs else (node.attrs["axis"],)
    return t.rank - 1 in axes or not isinstance(node.results[0].type, ArrayType)


def by_blas(node: Node) -> bool:
    """Whether a contraction goes to `contract_into`: floats, one contracted axis, a matrix or vector for result, not tiny."""
    left, right, out = node.attrs["spec"]
    t, u = node.operands[0].type, node.operands[1].type
    assert isinstance(t, ArrayType) and isinstance(u, ArrayType)
    size = {**dict(zip(left, t.dims, strict=True)), **dict(zip(right, u.dims, strict=True))}
    contracted = [c for c in size if c not in out]
    work = 1
    for d in size.values():
        work *= d if isinstance(d, int) else 1000
    shared = len(contracted) == 1 and contracted[0] in left and contracted[0] in right
    single = any((c in left) != (c in right) for c in out)
    return shared and single and work > 64 and getattr(t.dtype, "is_float", False)


def _broadcast_mode(node: Node) -> Mode:
    t = node.operands[0].type
    if not isinstance(t, ArrayType):
        return Mode.ONCE
    dims, axes = node.attrs["dims"], node.attrs["axes"]
    kept = [a for a, d in zip(axes, t.dims, strict=True) if d == dims[a]]
    grown = [k for k in range(len(dims)) if k not in kept and dims[k] != 1]
    return Mode.ONCE if not grown else Mode.HOIST if not kept or min(grown) > max(kept) else Mode.MANY


def _contract_mode(node: Node, k: int) -> Mode:
    if by_blas(node):
        return Mode.HANDLE
    letters = set("".join(node.attrs["spec"]))
    return Mode.ONCE if letters == set(node.attrs["spec"][k]) else Mode.MANY


_ELEMENT = {p.array.assign: (1,), p.array.add_into: (1,), p.array.load: (0,), p.array.put: (1, 2), p.array.add_at: (1, 2),
            p.array.add_along: (1, 2), p.array.copy: (0,), p.array.cumsum: (0,)}
_SPECIAL: dict[Primitive, Callable[[Node, int], Mode]] = {
    p.array.broadcast: lambda node, k: _broadcast_mode(node) if k == 0 else Mode.HANDLE,
    p.array.take: lambda node, k: Mode.MANY if k == 0 else Mode.ONCE,
    p.array.take_along: lambda node, k: Mode.MANY if k == 0 else Mode.ONCE,
    p.array.contract: _contract_mode,
    p.array.view: lambda node, k: Mode.ONCE if k == 0 else Mode.HANDLE,
    p.array.transpose: lambda node, k: Mode.ONCE,
    p.array.reshape: lambda node, k: Mode.ONCE if k == 0 and renames(node) else Mode.HANDLE,
    p.array.concatenate: lambda node, k: Mode.ONCE,
    p.array.nonzero: lambda node, k: Mode.MANY,
    p.array.logsumexp: lambda node, k: Mode.MANY,
    p.array.index: lambda node, k: Mode.ONCE if k == 0 else Mode.HANDLE,
}


def mode(node: Node, k: int) -> Mode:
    """How a node asks for the elements of its operand `k`."""
    if node.op.elementwise or node.op in REDUCTIONS or k in _ELEMENT.get(node.op, ()):
        return Mode.ONCE
    special = _SPECIAL.get(node.op)
    return special(node, k) if special else Mode.HANDLE


@dataclass(slots=True)
class Use:
    """A place that reads a value: the node and operand (a block's result has no node), and its block."""

    block: Block
    node: Node | None
    operand: int


@dataclass(slots=True)
class Plan:
    """The values of a function that are not made where they stand."""

    deferred: set[Value] = field(default_factory=set)
    added: set[Value] = field(default_factory=set)  # contractions made by who adds them to an array, into that array


class _Planner:
    def __init__(self, function: Function, effects: Effects) -> None:
        self.effects = effects
        self.written = effects.changed(function)
        self.plan = Plan()
        self.uses: dict[Value, list[Use]] = {}
        self.cost: dict[Value, int] = {}
        self.free: set[Value] = set()                   # cheap, and reads nothing that is written: may be computed anywhere
        self.place: dict[Node, int] = {}                # where in its block a node is evaluated
        self.sites: dict[Value, set[tuple[Node, int]]] = {}  # the consumers, seen through elementwise ones, that ask in step
        self.asked: dict[Value, Mode] = {}
        self.depth: dict[Value, int] = {}
        self._scan(function.body)
        self._block(function.body)

    def _scan(self, block: Block) -> None:
        for node in block.nodes:
            if node.op is not p.array.dim:
                for k, v in enumerate(node.operands):
                    if isinstance(v.type, ArrayType):
                        self.uses.setdefault(v, []).append(Use(block, node, k))
            if produces(node):
                arrays = [v for v in node.operands if isinstance(v.type, ArrayType)]
                cost = COSTLY.get(node.op.name, 0 if node.op is p.array.broadcast or renames(node) else 1)
                if node.op in REDUCTIONS or node.op is p.array.contract:
                    cost = 1000
                self.cost[node.result] = cost + sum(self.cost.get(v, 1) for v in arrays)
                never_written = node.result not in self.written
                if self.cost[node.result] <= CHEAP and never_written and all(v in self.free for v in arrays):
                    self.free.add(node.result)
            for inner in node.blocks:
                self._scan(inner)
        for v in block.results:
            if isinstance(v.type, ArrayType):
                self.uses.setdefault(v, []).append(Use(block, None, 0))

    def _block(self, block: Block) -> None:
        written: dict[Root, list[int]] = {}
        for k, node in enumerate(block.nodes):
            for root in self.effects.of(node).changes:
                written.setdefault(root, []).append(k)
        for k in range(len(block.nodes) - 1, -1, -1):
            node = block.nodes[k]
            self.place[node] = k
            if produces(node):
                self._producer(block, node, k, written)
            elif node.op is p.array.contract and isinstance(node.result.type, ArrayType):
                self._contraction(block, node, k, written)
            for inner in node.blocks:
                self._block(inner)

    def _producer(self, block: Block, node: Node, place: int, written: dict[Root, list[int]]) -> None:
        v = node.result
        uses = self.uses.get(v, [])
        last, depth, worst = place, 0, Mode.ONCE
        sites: set[tuple[Node, int]] = set()
        inside = True
        for use in uses:
            if use.node is None:
                return
            asked = mode(use.node, use.operand)
            through = use.node.result if len(use.node.results) == 1 else None
            deferred = through in self.plan.deferred
            if asked is Mode.HANDLE or renames(use.node) and not deferred:
                return
            if use.block is not block:
                if v not in self.free:
                    return
                inside = False
                continue
            worst = max(worst, asked)
            if deferred:
                assert through is not None
                last = max(last, self.place[use.node])
                depth = max(depth, self.depth[through])
                worst = max(worst, self.asked[through])
            if deferred and use.node.op.elementwise:
                assert through is not None
                sites |= self.sites[through]
            else:
                sites.add((use.node, 0 if use.node.op.elementwise else use.operand))
            last = max(last, self.place[use.node])
        alone = inside and len(sites) <= 1
        cheap = self.cost[v] <= CHEAP
        if not cheap and not (alone and worst <= (Mode.ONCE if self._loops(node) else Mode.HOIST)):
            return
        if depth >= DEPTH or self._overwritten(node, place, last, written, sites if alone else set()):
            return
        self.plan.deferred.add(v)
        self.place[node] = last
        self.sites[v], self.asked[v], self.depth[v] = sites, worst if alone else Mode.MANY, depth + 1

    def _contraction(self, block: Block, node: Node, place: int, written: dict[Root, list[int]]) -> None:
        """`dst += x @ y` needs no array for the product, if nothing is written between that it reads."""
        uses = self.uses.get(node.result, [])
        if len(uses) != 1 or (use := uses[0]).node is None or use.block is not block or use.operand != 1:
            return
        dst = use.node.operands[0]
        assert isinstance(dst.type, ArrayType)
        if use.node.op is p.array.add_into and dst.type.layout == "C" and not self._overwritten(
            node, place, self.place[use.node], written, set()
        ):
            self.plan.added.add(node.result)

    @staticmethod
    def _loops(node: Node) -> bool:
        return node.op in REDUCTIONS or node.op is p.array.contract

    def _overwritten(self, node: Node, place: int, last: int, written: dict[Root, list[int]],
                     sites: set[tuple[Node, int]]) -> bool:
        """Whether something writes what the node reads before its elements are asked for (or while, out of step)."""
        reads: Roots = self.effects.of(node).reads
        for root in reads:
            places = written.get(root, ())
            k = bisect_right(places, place)
            if k < len(places) and places[k] < last:
                return True
            if k < len(places) and places[k] == last and not self._in_step(node, root, sites):
                return True
        return False

    def _in_step(self, node: Node, root: Root, sites: set[tuple[Node, int]]) -> bool:
        """Whether the only consumer writes, element by element, the very handle this elementwise node reads."""
        if len(sites) != 1 or not node.op.elementwise:
            return False
        ((consumer, k),) = sites
        if consumer.op not in (p.array.assign, p.array.add_into) or k != 1:
            return False
        dst = consumer.operands[0]
        return all(v is dst or root not in self.effects.roots(v) for v in node.operands)


def plan(function: Function, effects: Effects) -> Plan:
    """Decide which arrays of a function are never made."""
    return _Planner(function, effects).plan
