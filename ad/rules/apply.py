"""What rules are written with: operations that stage on staged operands, and run now on NumPy values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.primitives import Primitive
from lms.core.types import ArrayType, Scalar, Size, element, i64, scalar_of
from lms.staging.rep import Rep, lift_value

# what reassociates: sums that differentiation makes
_FAST = frozenset({p.array.reduce_sum, p.array.contract, p.array.accumulate, p.array.add_into, p.array.add_at, p.array.add_along})


def emit(op: Primitive, *operands: Any, **attrs: Any) -> Any:
    """The operation: reflected where an operand is staged, else done now."""
    if not any(isinstance(x, Rep) for x in operands):
        assert op.eager is not None
        return op.eager(*operands, **attrs)
    if op in _FAST:
        attrs["fast"] = True
    out = current().emit(op, *(lift_value(x) for x in operands), **attrs)
    return Rep(out[0]) if out else None


def several(op: Primitive, *operands: Any, **attrs: Any) -> tuple[Any, ...]:
    """As `emit`, of an operation with more than one result."""
    if not any(isinstance(x, Rep) for x in operands):
        assert op.eager is not None
        return tuple(op.eager(*operands, **attrs))
    return tuple(map(Rep, current().emit(op, *(lift_value(x) for x in operands), **attrs)))


def function(op: Primitive) -> Callable[..., Any]:
    """An elementwise operation as a function. Literals take the type of the staged operands; shapes must agree already."""

    def apply(*operands: Any) -> Any:
        like = next((x for x in operands[::-1] if isinstance(x, Rep)), None)
        if like is None:
            return emit(op, *operands)
        return emit(op, *(x if isinstance(x, Rep) else full(like, x) for x in operands))

    apply.__name__ = op.name
    return apply


def dims(x: Any) -> tuple[Size, ...]:
    """The dimensions of an array as its type states them; `()` for a scalar."""
    if isinstance(x, Rep):
        return x.type.dims if isinstance(x.type, ArrayType) else ()
    return tuple(np.shape(x))


def sizes(x: Any) -> tuple[Any, ...]:
    """The sizes of an array's axes: operands of what makes an array of the same shape."""
    if isinstance(x, Rep):
        return tuple(map(Rep, current().dims(x.value))) if isinstance(x.type, ArrayType) else ()
    return tuple(map(np.int64, np.shape(x)))


def dtype(x: Any) -> Scalar:
    """The element type."""
    return element(x.type) if isinstance(x, Rep) else scalar_of(np.asarray(x).dtype)


def full(like: Any, value: float, shape: Any = None) -> Any:
    """A constant of the type of `like`, in its shape or that of `shape`."""
    shape = like if shape is None else shape
    if not isinstance(like, Rep):
        return np.full(np.shape(shape), value, np.asarray(like).dtype)[()]
    one = Rep(current().const(value, element(like.type)))
    return emit(p.array.broadcast, one, *sizes(shape), dims=dims(shape), axes=()) if dims(shape) else one


def stretch(x: Any, like: Any, axes: tuple[int, ...]) -> Any:
    """`x` repeated to the shape of `like`: its axes stand at `axes` there."""
    return emit(p.array.broadcast, x, *sizes(like), dims=dims(like), axes=axes) if dims(like) else x


def constant(value: int) -> Any:
    """An index: staged where a program is being staged."""
    from lms.core.builder import staging

    return Rep(current().const(value, i64)) if staging() else np.int64(value)


where = function(p.scalar.select)
