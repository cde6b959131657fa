"""What a call must check of its arguments' sizes: which size gives a symbol its value, and which must then agree."""

from __future__ import annotations

from collections.abc import Sequence

from lms.core.data import dataclass
from lms.core.types import ArrayType, Dim, Size, Type, affine


@dataclass(frozen=True, slots=True)
class Bind:
    """`symbol = (size of axis - rest) / scale`; `rest` holds only symbols bound before. The division leaves nothing."""

    symbol: str
    param: int
    axis: int
    scale: int = 1
    rest: Size = 0


@dataclass(frozen=True, slots=True)
class Check:
    """The size of the axis is `size`, an expression of bound symbols."""

    param: int
    axis: int
    size: Size


Equation = Bind | Check


def equations(params: Sequence[Type]) -> list[Equation]:
    """In an order in which every symbol is bound before it is used. A sum of symbols that nothing tells apart is bound as one."""
    out: list[Equation] = []
    open_ = [(k, axis, size) for k, t in enumerate(params) if isinstance(t, ArrayType) for axis, size in enumerate(t.dims)]
    open_.sort(key=lambda item: not isinstance(item[2], Dim) or len(item[2].terms))  # plain symbols first
    bound: set[str] = set()
    whole: dict[tuple[tuple[str, int], ...], Size] = {}
    while open_:
        for item in open_:
            k, axis, size = item
            unknown = [] if isinstance(size, int) else [(s, c) for s, c in size.terms if s not in bound]
            if not unknown:
                out.append(Check(k, axis, size))
            elif len(unknown) == 1:
                (name, scale), = unknown
                bound.add(name)
                out.append(Bind(name, k, axis, scale, affine([(1, size), (-scale, Dim(0, ((name, 1),)))])))
            else:
                continue
            break
        else:  # every size left has two unknown symbols or more
            k, axis, size = item = open_[0]
            assert isinstance(size, Dim)
            if size.terms in whole:
                out.append(Check(k, axis, affine([(1, whole[size.terms]), (1, size.const)])))
            else:
                name = "+".join(s for s, _ in size.terms)
                whole[size.terms] = Dim(0, ((name, 1),))
                out.append(Bind(name, k, axis, 1, size.const))
        open_.remove(item)
    return out
