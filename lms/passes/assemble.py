"""Assembling: a fresh array that is written piece by piece, and then only read, becomes the concatenation of its pieces.

    dy = np.empty_like(y); dy[0] = x[0]; dy[1:] = x[1:] * y[:-1]

What is made by one operation is a value: it has no shadow, and can be made again where that costs less than to keep it. The
pieces must be seen to lie one behind the other and to leave nothing out. A checked index tells how large an axis is at least.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import ClassVar

from lms.core import primitives as p
from lms.core.data import dataclass, field
from lms.core.effects import Effects, Root
from lms.core.ir import Block, Function, Node, Program, Value, walk
from lms.core.types import ArrayType, Dim, Scalar, Size

from .rewrite import adopt, int_of, make
from .scalars import LARGEST

s, a = p.scalar, p.array
MOST = 8    # pieces
DEPTH = 16  # of the expressions that say where a piece lies


@dataclass(slots=True)
class _Piece:
    """What a node writes: `value`, along one axis from `start` on."""

    write: Node
    value: Value
    start: Value
    size: Value | int
    view: Node | None = None  # what it is written through


@dataclass(slots=True)
class _Uses:
    """Where the values of a function are used: a block's result has no node."""

    of: dict[Value, list[tuple[Block, Node | None, int]]] = field(default_factory=dict)
    around: dict[Block, tuple[Block, Node]] = field(default_factory=dict)  # the block and the node that hold a block

    def scan(self, block: Block) -> None:
        for node in block.nodes:
            for k, v in enumerate(node.operands):
                self.of.setdefault(v, []).append((block, node, k))
            for inner in node.blocks:
                self.around[inner] = block, node
                self.scan(inner)
        for k, v in enumerate(block.results):
            self.of.setdefault(v, []).append((block, None, k))

    def within(self, block: Block, use: tuple[Block, Node | None, int]) -> Node | None:
        """The node of `block` in which a use happens; None for the block's result."""
        place, node, _ = use
        while place is not block:
            place, node = self.around[place]
        return node


class _Sizes:
    """What is known of sizes in a block: the least that each symbol can be, from the indices that were checked."""

    def __init__(self, block: Block) -> None:
        self.least: dict[str, int] = {}
        for node in block.nodes:
            if node.op is a.index:
                i, n = (self.of(v) for v in node.operands)
                if isinstance(i, int) and isinstance(n, Dim) and len(n.terms) == 1 and n.terms[0][1] == 1:
                    name, least = n.symbols[0], (i + 1 if i >= 0 else -i) - n.const
                    self.least[name] = max(least, self.least.get(name, 0))

    def never_negative(self, size: Size) -> bool:
        if isinstance(size, int):
            return size >= 0
        return all(k > 0 for _, k in size.terms) and size.const + sum(k * self.least.get(name, 0) for name, k in size.terms) >= 0

    def of(self, v: Value | int, depth: int = DEPTH) -> Size | None:
        """A number, as an expression of sizes, where it visibly is one."""
        if isinstance(v, int):
            return v
        node = v.node
        if node is None or depth == 0:
            return None
        if node.op is a.const:
            return int_of(v)
        if node.op is a.dim:
            t = node.operands[0].type
            assert isinstance(t, ArrayType)
            size: Size = t.dims[node.attrs["axis"]]
            return size
        if node.op not in (s.add, s.sub, s.minimum, s.maximum, a.index):
            return None
        x, y = (self.of(w, depth - 1) for w in node.operands)
        if x is None or y is None:
            return None
        if node.op is s.add:
            return x + y
        if node.op is s.sub:
            return x - y
        if node.op is a.index:
            return x if self.never_negative(x) else y + x if isinstance(x, int) else None
        first, second = (x, y) if node.op is s.minimum else (y, x)
        return x if self.never_negative(second - first) else y if self.never_negative(first - second) else None


class _Assembling:
    def __init__(self, function: Function, effects: Effects) -> None:
        self.effects = effects
        self.uses = _Uses()
        self.uses.scan(function.body)
        self.writers: dict[Root, set[Node]] = {}
        for node in walk(function.body):
            if not node.blocks:
                for root in effects.of(node).changes:
                    self.writers.setdefault(root, set()).add(node)
        for block in (function.body, *self.uses.around):
            if any(map(_begins, block.nodes)):
                self.block(block)

    def block(self, block: Block) -> None:
        sizes = _Sizes(block)
        for node in [node for node in block.nodes if _begins(node)]:
            pieces = self.pieces(node, block)
            if pieces and (ordered := _in_order(node.result, pieces, sizes)):
                self.assemble(node, ordered, block)

    def pieces(self, made: Node, block: Block) -> list[_Piece]:
        """What is written to a fresh array, if nothing else ever is and nothing is read before; else nothing."""
        whole, found, others = made.result, [], []
        for use in self.uses.of.get(whole, ()):
            piece = self.piece(use, block)
            if piece is None:
                others.append(use)
            else:
                found.append(piece)
        writes = {piece.write for piece in found}
        if not 0 < len(found) <= MOST or self.writers.get(whole) != writes or self.effects.roots(whole) != {whole}:
            return []
        place = {node: k for k, node in enumerate(block.nodes)}
        last = max(place[node] for node in writes)
        nodes = [self.uses.within(block, use) for use in others]
        early = any(node is not None and place[node] < last for node in nodes)
        changing = any(self.writers.get(root) for piece in found for root in self.effects.roots(piece.value))
        return [] if early or changing else found

    def piece(self, use: tuple[Block, Node | None, int], block: Block) -> _Piece | None:
        place, node, k = use
        if place is not block or node is None or k != 0:
            return None
        t = node.operands[0].type
        assert isinstance(t, ArrayType)
        if node.op is a.store and t.rank == 1:
            return _Piece(node, node.operands[1], node.operands[2], 1)
        if node.op is not a.view or len(self.uses.of.get(node.result, ())) != 1 or _axis(node) is None:
            return None
        (there, write, k), = self.uses.of[node.result]
        if there is not block or write is None or write.op is not a.assign or k != 0:
            return None
        return _Piece(write, write.operands[1], node.operands[1], node.operands[2] if len(node.operands) > 2 else 1, node)

    def assemble(self, made: Node, pieces: Sequence[_Piece], block: Block) -> None:
        """Put the concatenation in place of the last write."""
        place = {node: k for k, node in enumerate(block.nodes)}
        last = max((piece.write for piece in pieces), key=place.__getitem__)
        whole = made.result
        t = whole.type
        assert isinstance(t, ArrayType)
        axis = next((x for piece in pieces if piece.view is not None and (x := _axis(piece.view)) is not None), 0)
        new: list[Node] = []
        parts = tuple(_part(piece, t, axis, last, block, new) for piece in pieces)
        node = make(a.concatenate, parts, {"axis": axis, "dims": t.dims}, last, block)
        node.results, whole.node = (whole,), node
        new.append(node)
        gone = {made, *(piece.write for piece in pieces), *(piece.view for piece in pieces)}
        block.nodes[:] = [node for old in block.nodes for node in (new if old is last else () if old in gone else (old,))]
        for inner in new:
            adopt(inner, block)


def _begins(node: Node) -> bool:
    """Whether a node makes an array that is to be filled: too large for its elements to become values."""
    if not (node.op is a.empty or node.op is a.broadcast and not node.attrs["axes"]) or node.attrs.get("residual"):
        return False
    t = node.result.type
    assert isinstance(t, ArrayType)
    known = [d for d in t.dims if isinstance(d, int)]
    return isinstance(t.dtype, Scalar) and t.rank > 0 and (len(known) < t.rank or prod(known) > LARGEST)


def _axis(view: Node) -> int | None:
    """The one axis along which a view shows a part."""
    cut = [k for k, entry in enumerate(view.attrs["spec"]) if entry[0] != "all"]
    return cut[0] if len(cut) == 1 and view.attrs["spec"][cut[0]] in (("slice", 1), ("at",)) else None


def _in_order(whole: Value, pieces: Sequence[_Piece], sizes: _Sizes) -> list[_Piece]:
    """The pieces along the axis, if they are all of it."""
    t = whole.type
    assert isinstance(t, ArrayType)
    axes = {0 if piece.view is None else _axis(piece.view) for piece in pieces}
    spans = {}
    for piece in pieces:
        start, size = sizes.of(piece.start), sizes.of(piece.size)
        if start is None or size is None or start in spans:
            return []
        spans[start] = piece, start + size
    (axis, *others), out = axes, []
    at: Size = 0
    while not others and at in spans:
        piece, at = spans.pop(at)
        out.append(piece)
    return out if axis is not None and not spans and at == t.dims[axis] else []


def _part(piece: _Piece, t: ArrayType, axis: int, like: Node, block: Block, new: list[Node]) -> Value:
    """A piece as an operand of the concatenation: a number or a row, in the shape of a part of length 1."""
    v = piece.value
    if isinstance(v.type, ArrayType) and v.type.rank == t.rank:
        return v
    others = [k for k in range(t.rank) if k != axis]
    one = make(a.const, (), {"value": 1, "type": _index_type(piece)}, like, block)
    dims = [make(a.dim, (v,), {"axis": k}, like, block) for k in range(len(others))]
    sizes = {axis: one, **dict(zip(others, dims, strict=True))}
    stretched = make(a.broadcast, (v, *(sizes[k].result for k in range(t.rank))), {
        "dims": tuple(1 if k == axis else t.dims[k] for k in range(t.rank)), "axes": tuple(others)}, like, block)
    new += [one, *dims, stretched]
    return stretched.result


def _index_type(piece: _Piece) -> Scalar:
    assert isinstance(piece.start.type, Scalar)
    return piece.start.type


def _fresh(program: Program) -> Iterator[Function]:
    """The functions that fill arrays."""
    for function in program.functions.values():
        nodes = list(walk(function.body))
        if any(map(_begins, nodes)) and any(node.op in (a.store, a.assign) for node in nodes):
            yield function


@dataclass(frozen=True)
class Assemble:
    """Arrays that are written piece by piece become concatenations."""

    name: ClassVar[str] = "assemble"

    def run(self, program: Program) -> Program:
        functions = list(_fresh(program))
        if functions:
            effects = Effects(program)
            for function in functions:
                _Assembling(function, effects)
        return program
