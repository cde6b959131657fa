"""What it costs to keep a value for the backward half, and what to make it again: the prices by which residuals are chosen.

The unit is half an addition of floats. To keep a number is to store and to load it, and memory: 24 additions for a float of 8
bytes, so short arithmetic is done again, and long chains, divisions by the handful or a transcendental function are kept. The
price of an array is that of its elements, to make it (a pass that mostly fuses with what reads it) as to keep it. Sizes that
are not known are taken for `TYPICAL`: what is compared mostly has the same ones.
"""

from __future__ import annotations

from math import prod

from lms.core import primitives as p
from lms.core.ir import Node, Value
from lms.core.primitives import Primitive
from lms.core.types import ArrayType, Scalar, Type

_s, _a = p.scalar, p.array
TYPICAL = 32
SLOT, BYTE = 16, 4  # to keep a number: for the number, and for each of its bytes
COPY = 4
ALLOCATION, VIEW = 160, 240  # to keep an array, beside its elements; rather the whole than a part of it
VIEWS = frozenset({_a.view, _a.transpose, _a.reshape})

# Of one number, or one element.
PRICES: dict[Primitive, int] = {
    **dict.fromkeys((_s.add, _s.sub, _s.mul, _s.neg, _s.abs, _s.iabs, _s.sign, _s.minimum, _s.maximum, _s.select, _s.convert,
                     _s.copysign, _s.and_, _s.or_, _s.xor, _s.not_, _s.lt, _s.le, _s.gt, _s.ge, _s.eq, _s.ne, _s.shl, _s.shr,
                     _s.isnan, _s.isinf, _s.isfinite, _s.signbit, _s.real, _s.imag, _s.conj, _s.complex_, _s.stop_gradient), 2),
    **dict.fromkeys((_s.floor, _s.ceil, _s.trunc, _s.rint), 4),
    **dict.fromkeys((_s.div, _s.sqrt, _s.floordiv, _s.mod, _s.quot, _s.rem), 12),
    **dict.fromkeys((_s.exp, _s.exp2, _s.expm1, _s.log, _s.log2, _s.log10, _s.log1p, _s.sin, _s.cos, _s.tanh, _s.atan,
                     _s.hypot, _s.cbrt), 60),
    **dict.fromkeys((_s.tan, _s.asin, _s.acos, _s.sinh, _s.cosh, _s.asinh, _s.acosh, _s.atanh, _s.atan2, _s.erf, _s.erfc), 80),
    _s.pow: 120,
    _a.index: 4,
    _a.load: 4,
    _a.broadcast: 1,
    _a.iota: 1,
    _a.copy: 4,
    _a.concatenate: 4,
}
# Whatever the sizes are.
FREE: dict[Primitive, int] = {_a.const: 0, _a.dim: 1, _a.view: 1, _a.transpose: 1, _a.reshape: 1, p.record.project: 1,
                              p.record.tag: 1}


def to_keep(v: Value) -> int:
    """The price of a residual."""
    t = v.type
    if isinstance(t, ArrayType):
        made_there = v.node is not None and v.node.op in (_a.empty, _a.broadcast)  # in its slot, without a copy
        view = v.node is not None and v.node.op in VIEWS
        return (VIEW if view else ALLOCATION) + _elements(t) * ((0 if made_there else COPY) + BYTE * _bytes(t.dtype))
    return SLOT + BYTE * _bytes(t)


def to_make(node: Node) -> int | None:
    """The price of doing an operation again, whose operands are at hand; None for what is never done again."""
    if node.op in FREE:
        return FREE[node.op]
    price = PRICES.get(node.op)
    if price is None:
        return None
    t = node.result.type
    return price * _elements(t) if isinstance(t, ArrayType) else price


def _bytes(t: Type) -> int:
    return t.dtype.itemsize if isinstance(t, Scalar) else 8


def _elements(t: ArrayType) -> int:
    return prod(d if isinstance(d, int) else TYPICAL for d in t.dims)
