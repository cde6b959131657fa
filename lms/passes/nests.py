"""Loop nests: what lowering writes whole-array operations as. Steps are 1, the last index runs fastest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Value
from lms.core.types import ArrayType, Scalar, SumType, i64

Index = tuple[Value, ...]
Carried = tuple[Value, ...]
Body = Callable[[Index, Carried], Sequence[Value]]

UNROLL = 4  # a static axis this short becomes straight-line code, up to BUDGET copies of the body in all
BUDGET = 16


def loop(b: Builder, n: Value, body: Callable[[Value, Carried], Sequence[Value]], init: Sequence[Value] = (),
         budget: int = BUDGET) -> Carried:
    """Emit `body` for each index below `n`, carrying values; give the last ones."""
    carried, count = tuple(init), n.number
    if count is not None and (count <= 1 or count <= min(UNROLL, budget)):
        for k in range(count):
            carried = tuple(body(b.const(k), carried))
        return carried
    types = tuple(v.type for v in carried)
    with b.reify((i64, *types)) as block:
        block.results = tuple(body(block.params[0], block.params[1:]))
    return b.emit(p.control.for_, b.const(0), n, b.const(1), *carried, blocks=[block], types=types)


def nest(b: Builder, sizes: Sequence[Value], body: Body, init: Sequence[Value] = ()) -> Carried:
    """Emit `body` for each index of an array of these sizes, in row-major order."""
    budgets = _budgets(sizes)

    def level(k: int, index: Index, carried: Carried) -> Sequence[Value]:
        if k == len(sizes):
            return body(index, carried)
        return loop(b, sizes[k], lambda i, inner: level(k + 1, (*index, i), inner), carried, budgets[k])

    return tuple(level(0, (), tuple(init)))


def _budgets(sizes: Sequence[Value]) -> list[int]:
    """For each axis, how many copies of the body it may make, given what the axes inside it make."""
    budgets, left = [], BUDGET
    for n in reversed(sizes):
        budgets.append(left)
        count = n.number
        if count is None or count > min(UNROLL, left):
            left = 0  # outside a real loop nothing is unrolled: the loop would be copied
        else:
            left //= max(count, 1)
    return budgets[::-1]


def fill(b: Builder, dst: Value, sizes: Sequence[Value], element: Callable[[Index], Value], **attrs: Any) -> Value:
    """Store an expression of the index everywhere in `dst`."""

    def body(index: Index, _: Carried) -> Carried:
        b.emit(p.array.store, dst, element(index), *index, **attrs)
        return ()

    nest(b, sizes, body)
    return dst


def fresh(b: Builder, t: ArrayType, sizes: Sequence[Value], name: str = "") -> Value:
    """A new array of a type, its elements not yet stored."""
    return b.emit1(p.array.empty, *sizes, dims=t.dims, dtype=t.dtype, name=name)


def lowest(b: Builder, t: Scalar | SumType) -> Value:
    """The identity of `maximum`."""
    assert isinstance(t, Scalar)
    return b.const(_limits(t)[0], t)


def highest(b: Builder, t: Scalar | SumType) -> Value:
    """The identity of `minimum`."""
    assert isinstance(t, Scalar)
    return b.const(_limits(t)[1], t)


def _limits(t: Scalar) -> tuple[float | int | bool, float | int | bool]:
    if t.is_float:
        return -float("inf"), float("inf")
    if t.kind == "b":
        return False, True
    top: int = 2 ** (t.bits - (t.kind == "i")) - 1
    return (-top - 1 if t.kind == "i" else 0), top
