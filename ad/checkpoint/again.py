"""Calls that are run again in the backward half: their residuals are their arguments, as they were.

The forward half is the call itself; what the callee may read and something may change is copied before it, which makes the
snapshot. The backward half is one call of a function that holds both halves of what is to be run again (the attribute `again`:
the callee, or another function that gives the same). That works on copies of the snapshot, so memory stays as the primal left
it, and on the shadows that are there. It is such a call again: derivatives of derivatives keep no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lms.core import primitives as p
from lms.core.builder import Builder, building
from lms.core.data import dataclass, replace
from lms.core.errors import StagingError
from lms.core.ir import Node, Value
from lms.core.types import ArrayType, Scalar, SumType

from ..cotangents import Cotangents, Halves, zero
from ..reversal.choice import NOTHING, chosen
from ..shadows import shadow_type, zeros
from .revolve import Backward

if TYPE_CHECKING:
    from ..reverse import ReverseMode
    from ..sweep import Sweep

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
    return mode.wholes.get(key) or _function(mode, key, both=True)


def carrier(mode: ReverseMode, key: Whole) -> str:
    """The function (operands, shadows of handles) -> results, shadows of those of `key.results`: for a forward half."""
    return mode.carriers.get(key) or _function(mode, key, both=False)


def _function(mode: ReverseMode, key: Whole, both: bool) -> str:
    from ..sweep import Sweep

    activity, b = mode.activities.useful(key.callee, key.params), mode.builder
    body = activity.function.body
    n, shadows = len(body.params), [shadow_type(body.params[k].type) for k in key.handles]
    types = [*(v.type for v in body.params), *shadows]
    names = [*(v.name for v in body.params), *(f"d{body.params[k].name}" for k in key.handles)]
    if both:
        types += [body.results[k].type for k in key.results]
        names += [f"d{body.results[k].name}" for k in key.results]
    memory = mode.memory(activity, lent=frozenset(key.handles))
    s = Sweep(mode, activity, memory, chosen(memory) if both else NOTHING)
    hint = f"{key.callee}_{'again' if both else 'carried'}"
    with building(b), b.at(activity.function.span), b.function(hint, types, names, mut=activity.function.mut) as f:
        (mode.wholes if both else mode.carriers)[key] = f.name
        with b.on("forward"):
            s.bind(body.params, f.body.params[:n])
            s.shadowed([body.params[k] for k in key.handles], f.body.params[n : n + len(shadows)])
            s.give_shadows(body.params)
            frames = s.forward(body)
        if both:
            with b.on("backward"):
                bar = Cotangents(s)
                for k, d in zip(key.results, f.body.params[n + len(shadows):], strict=True):
                    bar.add(body.results[k], d)
                s.backward(frames, bar)
                f.body.results = tuple(bar.get(body.params[k]) for k in key.flows)
        else:
            f.body.results = (*s.values(body.results), *(s.shadow(body.results[k]) for k in key.results))
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
    carried = tuple(k for k in results if s.memory.is_memory(node.results[k]))
    _forward(s, node, Whole(node.attrs["callee"], frozenset(active), handles, (), carried))
    bar = yield
    ds = [_cotangent(s, bar, node.results[k]) for k in results]
    if all(d is None for d in ds) and not handles:
        return
    key = Whole(again, frozenset(active), handles, flows, results)
    if "recorded" in node.attrs:
        kept[1] = s.value(node.results[node.attrs["recorded"]])
    if "revolve" in node.attrs:
        _revolve(s, node, key, kept, dict(zip(results, ds, strict=True)), bar)
        return
    given = [zero(b, s.value(node.results[k])) if d is None else d for k, d in zip(results, ds, strict=True)]
    operands = [own(s.mode, again, k, v) for k, v in enumerate(kept)]
    name = whole(s.mode, key)
    out = b.emit(_c.call, *operands, *(s.shadow(node.operands[k]) for k in handles), *given, callee=name, again=name,
                 types=tuple(s.type(node.operands[k].type) for k in flows))
    for k, d in zip(flows, out, strict=True):
        bar.add(node.operands[k], d)


def _revolve(s: Sweep, node: Node, key: Whole, kept: list[Value], ds: dict[int, Value | None], bar: Cotangents) -> None:
    """The backward half of many iterations; see `revolve`."""
    b, made = s.builder, Backward(s.mode, key, node.attrs["revolve"])
    name = made.name()
    given = [zero(b, s.value(node.results[r])) if (d := ds.get(r)) is None else d for r in made.key.results]
    into = [*made.summed, *(made.becomes[r] for r in made.key.results)]
    types = tuple(s.type(node.operands[k].type) for k in into)  # of the sizes before the loop, which may leave others
    out = b.emit(_c.call, *kept, *(s.shadow(node.operands[k]) for k in made.lent), *given, callee=name, again=name, types=types)
    for k, d in zip(into, out, strict=True):
        bar.add(node.operands[k], d)


def _forward(s: Sweep, node: Node, key: Whole) -> None:
    """The call itself, still to be run again in derivatives of the derivative; shadows travel with the memory that it gives."""
    if not key.results:
        s.emit_as(node, node.op, s.values(node.operands), s.attrs(node.attrs))
        return
    types = [s.type(t) for t in node.attrs["types"]]
    types += [shadow_type(types[k]) for k in key.results]
    attrs: dict[str, Any] = {name: carrier(s.mode, replace(key, callee=node.attrs[name])) for name in ("callee", "again")}
    attrs |= {k: v for k, v in node.attrs.items() if k == "recorded"}
    if "revolve" in node.attrs and all(node.attrs["revolve"][1 + k] in key.handles for k in key.results):
        places = [len(node.operands) + key.handles.index(node.attrs["revolve"][1 + k]) for k in key.results]
        attrs["revolve"] = (*node.attrs["revolve"], *places)
    operands = [*s.values(node.operands), *(s.shadow(node.operands[k]) for k in key.handles)]
    n = len(node.results)
    new = s.builder.emit(_c.call, *operands, types=tuple(types), names=[v.name for v in node.results], **attrs)
    s.bind(node.results, new[:n])
    s.shadowed([node.results[k] for k in key.results], new[n:])


def _snapshot(s: Sweep, node: Node, again: str, k: int) -> Value:
    """An operand as it is before the call; an array whose contents are not read needs no copy."""
    v, access = node.operands[k], s.mode.effects.function(again)
    record = v.type.dtype if isinstance(v.type, ArrayType) else v.type
    if isinstance(record, SumType) and s.mode.effects.within(record) & s.memory.unsteady:
        raise StagingError("what is checkpointed here is given records whose arrays change, and a snapshot does not hold "
                           "those", node.span, fix="pass the arrays themselves, or leave the plan away")
    param = s.mode.program.functions[again].body.params[k]
    return s.steady_copy(v) if isinstance(v.type, ArrayType) and param in access.reads else s.value(v)


def own(mode: ReverseMode, callee: str, k: int, v: Value) -> Value:
    """What a function may change that is run again: a copy of the snapshot, or any memory where it reads nothing."""
    b, access = mode.builder, mode.effects.function(callee)
    param = mode.program.functions[callee].body.params[k]
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
