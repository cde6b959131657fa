"""The rule of `reduce_prod`: the product of the others, those before times those after. Nothing is divided by `x`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.types import i64
from lms.staging.rep import Rep

from ..continuations import Steps, derivative
from .apply import constant, dims, dtype, emit, sizes, stretch

_a = p.array


@derivative(_a.reduce_prod)
def _reduce_prod(x: Any, axes: tuple[int, ...]) -> Steps:
    xs = [x]
    for axis in reversed(axes):
        xs.append(emit(_a.reduce_prod, xs[-1], axes=(axis,)))
    dz = yield xs[-1]
    for y, axis in zip(reversed(xs[:-1]), axes, strict=True):
        kept = tuple(k for k in range(len(dims(y))) if k != axis)
        dz = stretch(dz, y, kept) * _others(y, axis)
    return (dz,)


def _others(x: Any, axis: int) -> Any:
    """For every element, the product of the others along the axis."""
    n, out, one = sizes(x)[axis], emit(_a.copy, x), _ones(x, axis)

    def before(k: Any, product: Any) -> Any:
        _put(out, axis, k, product)
        return product * _get(x, axis, k)

    def after(k: Any, product: Any) -> Any:
        _put(out, axis, k, _get(out, axis, k) * product)
        return product * _get(x, axis, k)

    _loop(constant(0), n, 1, one, before)
    _loop(n - 1, constant(-1), -1, one, after)
    return emit(_a.copy, out)


def _ones(x: Any, axis: int) -> Any:
    """Ones in the shape of `x` without an axis."""
    rest = [k for k in range(len(dims(x))) if k != axis]
    one = Rep(current().const(1.0, dtype(x))) if isinstance(x, Rep) else dtype(x).dtype.type(1.0)
    if not rest:
        return one
    return emit(_a.broadcast, one, *(sizes(x)[k] for k in rest), dims=tuple(dims(x)[k] for k in rest), axes=())


def _loop(start: Any, stop: Any, step: int, init: Any, body: Callable[[Any, Any], Any]) -> None:
    """A loop of now, or of later."""
    if not isinstance(init, Rep):
        for now in range(int(start), int(stop), step):
            init = body(now, init)
        return
    b = current()
    with b.reify([i64, init.type]) as block:
        k, carried = map(Rep, block.params)
        block.results = (body(k, carried).value,)
    b.emit(p.control.for_, start.value, stop.value, b.const(step), init.value, blocks=[block], types=(init.type,))


def _get(x: Any, axis: int, k: Any) -> Any:
    return emit(_a.load, x, k) if len(dims(x)) == 1 else emit(_a.copy, _slice(x, axis, k))


def _put(x: Any, axis: int, k: Any, v: Any) -> None:
    if len(dims(x)) == 1:
        emit(_a.store, x, v, k)
    else:
        emit(_a.assign, _slice(x, axis, k), v)


def _slice(x: Any, axis: int, k: Any) -> Any:
    spec = tuple(("at",) if j == axis else ("all",) for j in range(len(dims(x))))
    return emit(_a.view, x, k, spec=spec, dims=tuple(d for j, d in enumerate(dims(x)) if j != axis))

