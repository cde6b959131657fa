"""Calls that are run again in the backward half: their residuals are their arguments, as they were.

The forward half is the call itself; what the callee may read and something may change is copied before it, which makes the
snapshot. The backward half is one call of a function that holds both halves of what is to be run again (the attribute `again`:
the callee, or another function that gives the same). That works on copies of the snapshot, so memory stays as the primal left
it, and on the shadows that are there. It is such a call again: derivatives of derivatives keep no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lms.core import primitives as p
from lms.core.builder import Builder, building
from lms.core.errors import StagingError
from lms.core.ir import Node, Value
from lms.core.types import ArrayType, Scalar, SumType

from .cotangents import Cotangents, Halves, zero
from .shadows import shadow_type, zeros

if TYPE_CHECKING:
    from .reverse import ReverseMode
    from .sweep import Sweep

_a, _c = p.array, p.control


@dataclass(frozen=True)
class Whole:
    """What a function that holds both halves is made for: parameters with shadows, with cotangents, results with cotangents."""

    callee: str
    params: frozenset[int]
    handles: tuple[int, ...]
    flows: tuple[int, ...]
    results: tuple[int, ...]


def whole(mode: ReverseMode, key: Whole) -> str:
    """The function (operands, shadows of handles, cotangents of results) -> cotangents of flows; the results are not given."""
    from .sweep import Sweep

    if key in mode.wholes:
        return mode.wholes[key]
    activity, b = mode.activities.of(key.callee, key.params), mode.builder
    body = activity.function.body
    n, shadows = len(body.params), [shadow_type(body.params[k].type) for k in key.handles]
    types = [*(v.type for v in body.params), *shadows, *(body.results[k].type for k in key.results)]
    names = [*(v.name for v in body.params), *(f"d{body.params[k].name}" for k in key.handles),
             *(f"d{body.results[k].name}" for k in key.results)]
    s = Sweep(mode, activity, mode.memory(activity, lent=frozenset(key.handles)))
    with building(b), b.at(activity.function.span), b.function(f"{key.callee}_again", types, names) as f:
        mode.wholes[key] = f.name
        with b.on("forward"):
            s.bind(body.params, f.body.params[:n])
            s.shadowed([body.params[k] for k in key.handles], f.body.params[n : n + len(shadows)])
            s.give_shadows(body.params)
            frames = s.forward(body)
        with b.on("backward"):
            bar = Cotangents(s)
            for k, d in zip(key.results, f.body.params[n + len(shadows):], strict=True):
                bar.add(body.results[k], d)
            s.backward(frames, bar)
            f.body.results = tuple(bar.get(body.params[k]) for k in key.flows)
    s.drop_snapshots(f)
    return f.name


def run_again(s: Sweep, node: Node) -> Halves:
    """The halves of a call that is run again."""
    b, again = s.builder, node.attrs["again"]
    kept = [_snapshot(s, node, again, k) for k in range(len(node.operands))]
    active = [k for k, v in enumerate(node.operands) if v in s.activity]
    handles = tuple(k for k in active if s.memory.is_memory(node.operands[k]))
    flows = tuple(k for k in active if k not in handles)
    results = tuple(k for k, v in enumerate(node.results) if v in s.activity)
    _forward(s, node, [k for k in results if s.memory.is_memory(node.results[k])])
    bar = yield
    ds = [_cotangent(s, bar, node.results[k]) for k in results]
    if all(d is None for d in ds) and not handles:
        return
    operands = [_own(s, again, k, v) for k, v in enumerate(kept)]
    if "recorded" in node.attrs:
        operands[node.attrs["recorded"]] = s.value(node.results[-1])
    given = [zero(b, s.value(node.results[k])) if d is None else d for k, d in zip(results, ds, strict=True)]
    name = whole(s.mode, Whole(again, frozenset(active), handles, flows, results))
    out = b.emit(_c.call, *operands, *(s.shadow(node.operands[k]) for k in handles), *given, callee=name, again=name,
                 types=tuple(s.type(node.operands[k].type) for k in flows))
    for k, d in zip(flows, out, strict=True):
        bar.add(node.operands[k], d)


def _forward(s: Sweep, node: Node, handles: Sequence[int]) -> None:
    """The call itself; if it gives memory with a shadow, the shadow comes from the forward function of its pair."""
    from .calls import pair_of

    if not handles:
        attrs = {k: v for k, v in s.attrs(node.attrs).items() if k not in ("again", "recorded")}
        s.emit_as(node, node.op, s.values(node.operands), attrs)
        return
    pair = pair_of(s, node)
    types = [s.type(t) for t in node.attrs["types"]]
    types += [shadow_type(types[k]) for k in pair.result_handles]
    shadows = [s.shadow(node.operands[k]) for k in pair.handles]
    new = s.builder.emit(_c.call, *s.values(node.operands), *shadows, callee=pair.forward, types=(*types, pair.frame),
                         names=[v.name for v in node.results])
    s.bind(node.results, new[: len(node.results)])
    s.shadowed([node.results[k] for k in pair.result_handles], new[len(node.results) : -1])


def _snapshot(s: Sweep, node: Node, again: str, k: int) -> Value:
    """An operand as it is before the call; an array whose contents are not read needs no copy."""
    v, access = node.operands[k], s.mode.effects.function(again)
    if isinstance(v.type, SumType) or isinstance(getattr(v.type, "dtype", None), SumType):
        unsteady = s.mode.effects.within(v.type if isinstance(v.type, SumType) else v.type.dtype) & s.memory.unsteady  # type: ignore[union-attr,arg-type]
        if unsteady:
            raise StagingError("what is checkpointed here is given records whose arrays change, and a snapshot does not hold "
                               "those", node.span, fix="pass the arrays themselves, or leave the plan away")
    param = s.mode.program.functions[again].body.params[k]
    return s.steady_copy(v) if isinstance(v.type, ArrayType) and param in access.reads else s.value(v)


def _own(s: Sweep, again: str, k: int, v: Value) -> Value:
    """What the function that is run again may change: a copy of the snapshot, or any memory where it reads nothing."""
    b, access = s.builder, s.mode.effects.function(again)
    param = s.mode.program.functions[again].body.params[k]
    if param not in access.changes or not isinstance(v.type, ArrayType):
        return v
    if param in access.reads:
        return b.emit1(_a.copy, v)
    return b.emit1(_a.empty, *b.dims(v), dims=v.type.dims, dtype=v.type.dtype)


def _cotangent(s: Sweep, bar: Cotangents, result: Value) -> Value | None:
    """The cotangent of a result as a value. Taken from a shadow it leaves zeros: the shadow may be an argument's too."""
    d = bar.take(result)
    if d is None or not s.memory.is_memory(result):
        return d
    if not isinstance(result.type, ArrayType) or not isinstance(result.type.dtype, Scalar):
        raise StagingError(f"what is checkpointed here gives {result.type}, which holds floats in records",
                           result.node.span if result.node else None,
                           fix="give the floats themselves, or leave the plan away")
    b: Builder = s.builder
    taken = b.emit1(_a.copy, d)
    b.emit(_a.assign, d, zeros(b, d))
    return taken


__all__ = ["Whole", "run_again", "whole"]
