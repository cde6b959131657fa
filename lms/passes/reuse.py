"""Memory used again: allocations of fixed size leave loops, and an array takes the place of one that dies.

These come after the last differentiation. Until then an allocation is a value with an identity, and one buffer for what two
iterations allocate would lose what the backward half reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import ClassVar, NamedTuple

from lms.core import primitives as p
from lms.core.data import dataclass
from lms.core.effects import Effects, Root, Roots
from lms.core.ir import Block, Function, Node, Program, Value, substitute, walk
from lms.core.types import ArrayType, Dim, Scalar, Size

from .rewrite import LARGEST, adopt

a, c = p.array, p.control

DIRECT = {a.load, a.store, a.accumulate}
WHOLE = {a.dim, a.contract_into, a.argsort_into, *p.linalg.LAPACK}  # use an array without giving it another name


class _Hoisting:
    """Moves allocations before the loops whose iterations each make the array anew and do not hand it on."""

    def __init__(self, function: Function, effects: Effects, taken: dict[Value, Value]) -> None:
        self.effects, self.taken = effects, taken  # `effects` are of before those arrays were taken for others
        self.kept = self.now(effects.escaping(function))
        self.params = frozenset(function.body.params)
        self.given: set[Size] = {d for v in function.body.params if isinstance(v.type, ArrayType) for d in v.type.dims
                                 if isinstance(d, Dim)}
        self.block(function.body)

    def block(self, block: Block) -> None:
        nodes: list[Node] = []
        for node in block.nodes:
            for inner in node.blocks:
                self.block(inner)
            if node.op in (c.for_, c.while_):
                nodes += self.leaving(node.blocks[-1], block)
            nodes.append(node)
        block.nodes[:] = nodes

    def leaving(self, body: Block, outside: Block) -> list[Node]:
        handed_on = self.now(root for v in body.results for root in self.effects.roots(v))
        out = [node for node in body.nodes if node.op is a.empty and node.result not in handed_on and self.fixed(node, body)]
        gone = set(out)
        if len(out) > 1:
            out = self.one_after_another(out, body)
        for node in out:
            adopt(node, outside)
        body.nodes[:] = [node for node in body.nodes if node not in gone]
        return out

    def now(self, roots: Iterable[Root]) -> Roots:
        return frozenset(self.taken.get(root, root) if isinstance(root, Value) else root for root in roots)

    def one_after_another(self, made: Sequence[Node], body: Block) -> list[Node]:
        """Of arrays made in each iteration those that are left when what is dead has been taken for what is not born yet."""
        lives = _lives(body)
        left: list[Node] = []
        env: dict[Value, Value] = {}
        free: dict[int, tuple[Node, int]] = {}  # by which was left: the buffer, and the last use of who has it
        for node in sorted(made, key=lambda node: lives[node.result].first):
            v, life = node.result, lives[node.result]
            dead = (k for k, (old, last) in free.items() if last < life.first and _alike(old, node))
            found = None if life.named else next(dead, None)
            if found is None:
                found = len(left)
                left.append(node)
            else:
                env[v] = left[found].result
            if not life.named:
                free[found] = left[found], life.last
        substitute(body, env)
        return left

    def fixed(self, node: Node, body: Block) -> bool:
        """Whether the size is the same each time, and small or that of an argument: allocating it for nothing is cheap."""
        if node.result in self.kept or any(v.block is body for v in node.operands) or not isinstance(node.attrs["dtype"], Scalar):
            return False
        dims = node.attrs["dims"]
        if all(isinstance(d, int) for d in dims):
            return bool(prod(dims) <= LARGEST)
        return len(dims) == 1 and (dims[0] in self.given or self.measures_argument(node.operands[0]))

    def measures_argument(self, v: Value) -> bool:
        return v.node is not None and v.node.op is a.dim and v.node.operands[0] in self.params


def _alike(x: Node, y: Node) -> bool:
    return x.result.type == y.result.type and x.operands == y.operands and x.attrs == y.attrs


@dataclass(slots=True)
class _Life:
    """From where to where, in its block, an array is used; whether anything but loads and stores knows it."""

    made: Node
    first: int = -1
    last: int = -1
    named: bool = False


def _lives(block: Block) -> dict[Value, _Life]:
    """The arrays that a block allocates."""
    found: dict[Value, _Life] = {}
    if not any(node.op is a.empty for node in block.nodes):
        return found
    for k, node in enumerate(block.nodes):
        if node.op is a.empty:
            found[node.result] = _Life(node)
        for inner in (node, *(n for b in node.blocks for n in walk(b))):
            for n, v in enumerate(inner.operands):
                if (life := found.get(v)) is not None:
                    life.first, life.last = k if life.first < 0 else life.first, k
                    life.named |= not (n == 0 and inner.op in DIRECT or inner.op in WHOLE)
            for v in (v for b in inner.blocks for v in b.results):
                if v in found:
                    found[v].named = True
    for v in block.results:
        if v in found:
            found[v].named = True
            found[v].last = len(block.nodes)
    return found


def _take_over(block: Block, env: dict[Value, Value]) -> None:
    """Let what a loop makes be written over what the loop is the last to read."""
    lives = _lives(block)
    dying: dict[int, list[Value]] = {}
    for v, life in lives.items():
        if not life.named:
            dying.setdefault(life.last, []).append(v)
    gone: set[Node] = set()
    for v, life in sorted(lives.items(), key=lambda item: item[1].first):
        loop = block.nodes[life.first] if 0 <= life.first < len(block.nodes) else None
        if loop is None or loop.op is not c.for_:
            continue
        for old in dying.get(life.first, []):
            if old is not v and old.type == v.type and _in_step(loop, old, v, env):
                env[v] = old
                gone.add(life.made)
                dying[life.first].remove(old)
                if not life.named:
                    dying.setdefault(life.last, []).append(old)
                    dying[life.last].remove(v)
                break
    block.nodes[:] = [node for node in block.nodes if node not in gone]
    for node in block.nodes:
        for inner in node.blocks:
            _take_over(inner, env)


def _reused(block: Block) -> dict[Value, Value]:
    """Let arrays take the place of those that die; what stands for what."""
    env: dict[Value, Value] = {}
    _take_over(block, env)
    substitute(block, env)
    return env


class _Touch(NamedTuple):
    """An access: its place in its block, the index, the block, and the counters of the loops around it (None: a `while`)."""

    place: int
    at: tuple[Value, ...]
    block: Block
    counters: tuple[Value | None, ...]


def _in_step(loop: Node, old: Value, new: Value, env: dict[Value, Value]) -> bool:
    """Whether each element of `old` is last read before the same element of `new` is first written."""
    reads: list[_Touch] = []
    writes: list[_Touch] = []
    if not _collect(loop, (), old, new, env, reads, writes) or not reads or not writes:
        return False
    touch = reads[0]
    alike = all((t.at, t.block) == (touch.at, touch.block) for t in (*reads, *writes))
    each_once = sorted(map(id, touch.at)) == sorted(map(id, touch.counters))  # in no two iterations the same element
    return alike and each_once and max(t.place for t in reads) < min(t.place for t in writes)


def _collect(node: Node, counters: tuple[Value | None, ...], old: Value, new: Value, env: dict[Value, Value],
             reads: list[_Touch], writes: list[_Touch]) -> bool:
    """Find the accesses to two arrays inside a node; False where one is written that should only be read, or used whole."""
    for block in node.blocks:
        counter = {c.for_: block.params[:1], c.while_: (None,)}.get(node.op, ())
        inside = (*counters, *counter)
        for k, inner in enumerate(block.nodes):
            for v in inner.operands:
                v = env.get(v, v)
                if v is old or v is new:
                    if inner.op not in DIRECT or v is old and inner.op is not a.load:
                        return False
                    index = inner.operands[1:] if inner.op is a.load else inner.operands[2:]
                    (reads if v is old else writes).append(_Touch(k, index, block, inside))
            if not _collect(inner, inside, old, new, env, reads, writes):
                return False
    return True


@dataclass(frozen=True)
class Reuse:
    """Fixed allocations leave loops; results overwrite what dies."""

    name: ClassVar[str] = "reuse"

    def run(self, program: Program) -> Program:
        effects = Effects(program)
        for function in program.functions.values():
            taken = _reused(function.body)
            _Hoisting(function, effects, taken)
            _reused(function.body)  # around the loops that allocations have left
        return program
