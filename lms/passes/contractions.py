"""Lowering of contractions: matrices and vectors of floats go to `contract_into`, the rest to plain loops."""

from __future__ import annotations

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Node, Value
from lms.core.types import ArrayType

from .fuse import by_blas
from .lower import ELEMENTS, Lowering, element_of, lowers
from .lower_reduce import combine, zero
from .nests import Carried, Index

s = p.scalar


def _letters(self: Lowering, node: Node) -> dict[str, Value]:
    """The size of each index of a contraction."""
    sizes: dict[str, Value] = {}
    for v, letters in zip(node.operands, node.attrs["spec"], strict=False):
        for k, letter in enumerate(letters):
            if letter not in sizes:
                sizes[letter] = self.extent(v, k)
    return sizes


@element_of(p.array.contract)
def _contract_element(self: Lowering, node: Node, index: Index) -> Value:
    left, right, out = node.attrs["spec"]
    x, y = node.operands
    sizes = _letters(self, node)
    summed = [c for c in sizes if c not in out]
    outer = dict(zip(out, index, strict=True))
    b = self.builder

    def term(inner: Index) -> Value:
        at = {**outer, **dict(zip(summed, inner, strict=True))}
        return combine(b, s.mul, self.element(x, tuple(at[c] for c in left)), self.element(y, tuple(at[c] for c in right)))

    if not summed:
        return term(())
    assert isinstance(x.type, ArrayType)

    def body(inner: Index, carried: Carried) -> Carried:
        return (combine(b, s.add, carried[0], term(inner)),)

    return self.nest([sizes[c] for c in summed], body, [zero(b, x.type.dtype)])[0]


@lowers(p.array.contract)
def _contract(self: Lowering, node: Node) -> None:
    if not isinstance(node.result.type, ArrayType):
        self.bind((node.result,), (ELEMENTS[node.op](self, node, ()),))
        return
    if node.result in self.plan.added:
        return
    out, sizes = self.new(node)
    if by_blas(node):
        contract_into(self, node, out, accumulate=False)
    else:
        self.fill(out, sizes, lambda index: ELEMENTS[node.op](self, node, index))


def contract_into(self: Lowering, node: Node, dst: Value, accumulate: bool) -> None:
    """Contract into memory: matrices and vectors as they are, more axes as a loop over them."""
    left, right, out = node.attrs["spec"]
    handles = [self.made(v) for v in node.operands]
    free = [c for c in left if c not in right], [c for c in right if c not in left]
    looped = [c for c in out if c in left and c in right] + [c for side in free for c in side[:-1] if c in out]
    sizes = _letters(self, node)

    def body(index: Index, _: Carried) -> Carried:
        at = dict(zip(looped, index, strict=True))
        spec = tuple("".join(c for c in part if c not in at) for part in (left, right, out))
        x, y = (_slice(self.builder, h, part, at) for h, part in zip(handles, (left, right), strict=True))
        target = _slice(self.builder, dst, out, at)
        self.builder.emit(p.array.contract_into, target, x, y, spec=spec, accumulate=accumulate)
        return ()

    self.nest([sizes[c] for c in looped], body)


def _slice(b: Builder, v: Value, letters: str, at: dict[str, Value]) -> Value:
    """The part of an array at the positions of some of its axes."""
    fixed = [at[c] for c in letters if c in at]
    if not fixed:
        return v
    assert isinstance(v.type, ArrayType)
    spec = tuple(("at",) if c in at else ("all",) for c in letters)
    dims = tuple(d for c, d in zip(letters, v.type.dims, strict=True) if c not in at)
    return b.emit1(p.array.view, v, *fixed, spec=spec, dims=dims)
