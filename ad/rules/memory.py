"""Rules of operations on memory. The first operand is a handle; `shadow` is the memory of its cotangents.

Forward halves act on the handle as the program says. Backward halves read, clear and accumulate into the shadow, and
return cotangents for the operands after the first. A rule of an operation that makes an array gets, as `dz`, its shadow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lms.core import primitives as p
from lms.core.primitives import Primitive
from lms.core.types import fresh_symbol, i64

from ..continuations import R, Rule, Steps
from .apply import constant, dims, emit, full, function, sizes, stretch, where

_a = p.array
MEMORY: dict[Primitive, Rule] = {}


def on_memory(primitive: Primitive) -> Callable[[R], R]:
    """Register the rule of an operation on memory."""

    def register(rule: R) -> R:
        MEMORY[primitive] = rule
        return rule

    return register


@on_memory(_a.load)
def _load(shadow: Any, a: Any, *index: Any, residual: bool = False) -> Steps:
    dz = yield emit(_a.load, a, *index, **_marked(residual))
    emit(_a.accumulate, shadow, dz, *index)
    return tuple(None for _ in index)


@on_memory(_a.store)
def _store(shadow: Any, a: Any, v: Any, *index: Any, residual: bool = False) -> Steps:
    yield emit(_a.store, a, v, *index, **_marked(residual))
    dv = emit(_a.load, shadow, *index)
    if not residual:  # what is written once is not overwritten: nothing before the store may add to it
        emit(_a.store, shadow, full(v, 0.0), *index)
    return dv, *[None] * len(index)


@on_memory(_a.accumulate)
def _accumulate(shadow: Any, a: Any, v: Any, *index: Any) -> Steps:
    yield emit(_a.accumulate, a, v, *index)
    return emit(_a.load, shadow, *index), *[None] * len(index)


@on_memory(_a.assign)
def _assign(shadow: Any, a: Any, v: Any, residual: bool = False) -> Steps:
    yield emit(_a.assign, a, v, **_marked(residual))
    dv = emit(_a.copy, shadow)
    if not residual:
        emit(_a.assign, shadow, full(shadow, 0.0))
    return (dv,)


@on_memory(_a.add_into)
def _add_into(shadow: Any, a: Any, v: Any) -> Steps:
    yield emit(_a.add_into, a, v)
    return (emit(_a.copy, shadow),)


@on_memory(_a.take)
def _take(shadow: Any, a: Any, idx: Any, axis: int) -> Steps:
    dz = yield emit(_a.take, a, idx, axis=axis)
    emit(_a.add_at, shadow, idx, dz, axis=axis)
    return (None,)


@on_memory(_a.take_along)
def _take_along(shadow: Any, a: Any, idx: Any, axis: int) -> Steps:
    dz = yield emit(_a.take_along, a, idx, axis=axis)
    emit(_a.add_along, shadow, idx, dz, axis=axis)
    return (None,)


@on_memory(_a.add_at)
def _add_at(shadow: Any, a: Any, idx: Any, v: Any, axis: int) -> Steps:
    yield emit(_a.add_at, a, idx, v, axis=axis)
    return None, emit(_a.take, shadow, idx, axis=axis)


@on_memory(_a.add_along)
def _add_along(shadow: Any, a: Any, idx: Any, v: Any, axis: int) -> Steps:
    yield emit(_a.add_along, a, idx, v, axis=axis)
    return None, emit(_a.take_along, shadow, idx, axis=axis)


@on_memory(_a.put)
def _put(shadow: Any, a: Any, idx: Any, v: Any, axis: int) -> Steps:
    """Of equal indices the last has won, so it alone gets the cotangent."""
    yield emit(_a.put, a, idx, v, axis=axis)
    dv = emit(_a.take, shadow, idx, axis=axis)
    axes = tuple(range(axis, axis + len(dims(idx))))
    dv = where(stretch(_last(idx, a, axis), dv, axes), dv, full(dv, 0.0))
    emit(_a.put, shadow, idx, full(dv, 0.0), axis=axis)
    return None, dv


def _last(idx: Any, a: Any, axis: int) -> Any:
    """For every entry of an index array, whether no later entry is equal to it."""
    count: Any = constant(1)
    for n in sizes(idx):
        count = count * n
    size = fresh_symbol("entries") if any(not isinstance(d, int) for d in dims(idx)) else _product(dims(idx))
    number = emit(_a.reshape, emit(_a.iota, count, dims=(size,), dtype=i64), *sizes(idx), dims=dims(idx))
    winner = emit(_a.empty, sizes(a)[axis], dims=(dims(a)[axis],), dtype=i64)
    emit(_a.put, winner, idx, number, axis=0)
    return function(p.scalar.eq)(emit(_a.take, winner, idx, axis=0), number)


def _product(ns: Any) -> int:
    out = 1
    for n in ns:
        out *= n
    return out


@on_memory(_a.grow)
def _grow(shadow: Any, a: Any, n: Any, dims: Any, **attrs: Any) -> Steps:
    dz = yield emit(_a.grow, a, n, dims=dims, **attrs)
    both = function(p.scalar.minimum)(sizes(a)[0], n)
    size = (fresh_symbol("kept"), *_rest(a))
    emit(_a.add_into, _head(shadow, both, size), _head(dz, both, size))
    return (None,)


def _rest(a: Any) -> Any:
    return dims(a)[1:]


def _head(x: Any, n: Any, to: Any) -> Any:
    spec = (("slice", 1), *[("all",)] * (len(to) - 1))
    return emit(_a.view, x, constant(0), n, spec=spec, dims=to)


def _marked(residual: bool) -> dict[str, bool]:
    return {"residual": True} if residual else {}
