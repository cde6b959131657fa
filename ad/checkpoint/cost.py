"""What a plan keeps, beside the most that the full tape could: a plan that keeps more is refused.

Both are sums of bytes, emitted where the loop stands, so that what is known of sizes and bounds decides while the program is
made, and the rest when it runs. Where the tape cannot be bounded (an inner `while`, a call, sizes made in the loop), nothing is
said; nor is it of what is small whatever the plan.
"""

from __future__ import annotations

from collections.abc import Sequence

from lms.core import primitives as p
from lms.core.builder import Builder, Replay
from lms.core.errors import StagingError
from lms.core.ir import Block, Node, Value
from lms.core.types import ArrayType, Scalar, Type, f64, i64

from ..control import trips
from ..residuals.closing import known_sizes

_s, _c = p.scalar, p.control
SMALL = 1 << 20  # bytes: a plan that keeps less is never refused
_VIEWS = (p.array.view, p.array.transpose, p.array.reshape, p.array.dim, p.array.const)


def refuse_excess(copy: Replay, node: Node, plan: str, k: int | None, n: Value, kept: Sequence[Type]) -> None:
    """Refuse a plan for a `for` of `n` iterations whose snapshots hold `kept`; `k` of them, or about sqrt(n) for None.

    `copy` knows what stands for the values around the loop where the plan is made.

    Raises `StagingError` where sizes and bounds are known now; else a check raises `ValueError`.
    """
    b = copy.builder
    snapshot, tape = _total(b, kept), _tape(copy, node.blocks[0])
    if snapshot is None or tape is None:
        return
    root = b.emit1(_s.convert, b.emit1(_s.sqrt, b.emit1(_s.convert, n, dtype=f64)), dtype=i64)
    count = root if k is None else b.emit1(_s.minimum, b.const(k), n)
    keeps, full = b.emit1(_s.mul, count, snapshot), b.emit1(_s.mul, n, tape)
    message = f'checkpoint="{plan}" cannot work here: snapshots take {{}} bytes, and the full tape of the loop no more than {{}}'
    known = [_number(v) for v in (keeps, full)]
    if None not in known:
        if int(known[0] or 0) > max(int(known[1] or 0), SMALL):
            raise StagingError(message.format(*known), node.span, fix="leave the plan away")
        return
    fits = b.emit1(_s.le, keeps, b.emit1(_s.maximum, full, b.const(SMALL)))
    b.emit(_c.check, fits, keeps, full, error="ValueError", message=message + ": leave the plan away")


def _total(b: Builder, types: Sequence[Type]) -> Value | None:
    """The bytes of some values, if all sizes are known here."""
    total = b.const(0)
    for t in types:
        bytes_ = _bytes(b, t)
        if bytes_ is None:
            return None
        total = b.emit1(_s.add, total, bytes_)
    return total


def _bytes(b: Builder, t: Type) -> Value | None:
    if isinstance(t, Scalar):
        return b.const(t.dtype.itemsize)
    if not isinstance(t, ArrayType) or not isinstance(t.dtype, Scalar):
        return None
    sizes = known_sizes(b, t)
    if sizes is None:
        return None
    total = b.const(t.dtype.dtype.itemsize)
    for size in sizes:
        total = b.emit1(_s.mul, total, size)
    return total


def _tape(copy: Replay, block: Block) -> Value | None:
    """The bytes of everything that one run of a block makes."""
    b = copy.builder
    total = _total(b, [v.type for v in block.params])
    for node in block.nodes:
        if total is None or node.op in (_c.while_, _c.call):
            return None
        made = _total(b, [] if node.op in _VIEWS else [v.type for v in node.results])
        parts = [made, *(_tape(copy, inner) for inner in node.blocks)]
        for part in parts:
            if part is None:
                return None
            if node.op is _c.for_ and part is not made:
                bounds = [_outside(copy, v) for v in node.operands[:3]]
                if None in bounds:
                    return None
                part = b.emit1(_s.mul, part, trips(b, *[v for v in bounds if v is not None]))
            total = b.emit1(_s.add, total, part)
    return total


def _outside(copy: Replay, v: Value) -> Value | None:
    """A bound of an inner loop where the plan is made, if it is known there."""
    number = _number(v)
    return copy.builder.const(number) if number is not None else copy.env.get(v)


_OF_NUMBERS = frozenset({_s.add, _s.sub, _s.mul, _s.minimum, _s.maximum, _s.floordiv, _s.sqrt, _s.convert})


def _number(v: Value) -> int | None:
    """The number that a value is, where it is known now."""
    if v.number is not None:
        return int(v.number)
    if v.node is None or v.node.op.eager is None or v.node.op not in _OF_NUMBERS:
        return None
    parts = [_number(x) for x in v.node.operands]
    if None in parts:
        return None
    return int(v.node.op.eager(*parts, **v.node.attrs))
