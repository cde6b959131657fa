"""Calls in two halves: a function becomes two, and one leaves a record for the other.

The record of an activation holds what the backward function takes from the forward one. The pair is registered before its
bodies are made, so recursion finds it: records then hold the records of inner activations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.data import dataclass, field
from lms.core.errors import StagingError
from lms.core.ir import Block, Node, Value
from lms.core.types import ArrayType, Constructor, SumType, Type, fresh_symbol, is_differentiable

from .activity import Activity
from .checkpoint.again import run_again
from .cotangents import Cotangents, Halves, zero
from .residuals.closing import Crossing
from .shadows import shadow_type

if TYPE_CHECKING:
    from .sweep import Sweep

PairKey = tuple[str, frozenset[int], frozenset[int]]


@dataclass
class Pair:
    """The two functions that a function becomes, and the record that one leaves for the other."""

    forward: str
    backward: str
    frame: SumType
    activity: Activity
    handles: list[int]  # parameters that come with a shadow
    flows: list[int]  # parameters whose cotangents the backward function returns
    result_flows: list[int] = field(default_factory=list)
    result_handles: list[int] = field(default_factory=list)


def _call_activity(s: Sweep, node: Node) -> Activity:
    active = frozenset(k for k, v in enumerate(node.operands) if v in s.activity)
    return s.mode.activities.useful(node.attrs["callee"], active)


def is_active_call(s: Sweep, node: Node) -> bool:
    """Whether a call has a backward half."""
    if not any(v in s.activity for v in node.operands):
        return False
    if "halves" in node.attrs:
        return True
    a = _call_activity(s, node)
    return bool(a.results or a.touched)


def pair_of(s: Sweep, node: Node) -> Pair:
    """The halves of a callee, made once for its active parameters and those whose contents may change in between."""
    a = _call_activity(s, node)
    unsteady = frozenset(k for k, v in enumerate(node.operands) if isinstance(v.type, ArrayType) and not s.memory.steady(v))
    key = node.attrs["callee"], a.params, unsteady
    if key not in s.mode.pairs:
        _make_pair(s, key, a)
    return s.mode.pairs[key]


def _make_pair(s: Sweep, key: PairKey, a: Activity) -> None:
    from .sweep import Sweep

    mode, b, primal = s.mode, s.builder, a.function
    body = primal.body
    roots = frozenset(r for k in key[2] for r in mode.effects.roots(body.params[k]))
    inner = Sweep(mode, a, mode.memory(a, roots, paired=True))
    carriers = [k for k in sorted(a.params | a.touched) if is_differentiable(body.params[k].type)]
    handles = [k for k in carriers if inner.memory.is_memory(body.params[k])]
    flows = [k for k in carriers if k not in handles]
    r_flows, r_handles = _results(inner, a)
    again = b.program.fresh_name(f"{primal.name}_backward").removeprefix(f"{primal.name}_backward")
    frame = SumType(f"{primal.name}.frame.{len(mode.pairs)}{again}")  # an order before may have made one of that name
    frame.constructors = (Constructor("none", ()),)  # for branches that make no such call
    back_types = [frame, *(body.results[k].type for k in r_flows)]
    types = [*(v.type for v in body.params), *(shadow_type(body.params[k].type) for k in handles)]
    names = [*(v.name for v in body.params), *(f"d{body.params[k].name}" for k in handles)]
    with b.at(primal.span), b.function(f"{primal.name}_backward", back_types, ["frame"], span=primal.span) as second:
        with b.on("forward"), b.function(f"{primal.name}_forward", types, names, mut=primal.mut, span=primal.span) as first:
            mode.pairs[key] = Pair(first.name, second.name, frame, a, handles, flows, r_flows, r_handles)
            n = len(body.params)
            inner.bind(body.params, first.body.params[:n])
            inner.shadowed([body.params[k] for k in handles], first.body.params[n:])
            inner.give_shadows(body.params)
            frames = inner.forward(body)
            first.body.results = (*inner.values(body.results), *(inner.shadow(body.results[k]) for k in r_handles))
        b.provisional.add(first.body)
        with b.on("backward"):
            bar = Cotangents(inner)
            for k, d in zip(r_flows, second.body.params[1:], strict=True):
                bar.add(body.results[k], d)
            inner.backward(frames, bar)
            second.body.results = tuple(bar.get(body.params[k]) for k in flows)
        b.provisional.discard(first.body)
    outer, b.scopes = b.scopes, []  # nothing around a function is at hand
    crossing = Crossing(inner, first.body, second.body)
    keep_frame(b, crossing, frame, first.body)
    crossing.close(lambda: [read_frame(b, second.body.params[0], k, v) for k, v in enumerate(crossing.saved)])
    b.scopes = outer
    inner.drop_snapshots(first, second)


def _results(s: Sweep, a: Activity) -> tuple[list[int], list[int]]:
    results = a.function.body.results
    active = sorted(a.results)
    handles = [k for k in active if s.memory.is_memory(results[k])]
    return [k for k in active if k not in handles], handles


def keep_frame(b: Builder, crossing: Crossing, frame: SumType, block: Block) -> None:
    """State the fields of an activation's record, and return one from the forward function."""
    names: dict[str, None] = {}
    for k, v in enumerate(crossing.saved):
        name = v.name or f"v{k}"
        while name in names:
            name += "_"
        names[name] = None
    fields = tuple((name, unsized(v.type)) for name, v in zip(names, crossing.saved, strict=True))
    frame.constructors = (Constructor("none", ()), Constructor("frame", fields))
    with b.into(block):
        record = b.emit1(p.record.construct, *crossing.saved, type=frame, tag=1)
    block.results = (*block.results, record)


def unsized(t: Type) -> Type:
    """A type whose sizes have names of their own."""
    return ArrayType(t.dtype, tuple(fresh_symbol() for _ in t.dims), t.layout) if isinstance(t, ArrayType) else t


def read_frame(b: Builder, frame: Value, k: int, like: Value) -> Value:
    dims = {"dims": like.type.dims} if isinstance(like.type, ArrayType) else {}
    return b.emit1(p.record.project, frame, tag=1, field=k, name=like.name, **dims)


def refuse_captured(node: Node, active: Sequence[Value]) -> None:
    """A function with a rule of the user's captures what is differentiated: the rule gives no cotangent for that."""
    if active:
        name = active[0].name or "a value"
        raise StagingError(f"{node.attrs['callee']} has a derivative of its own and captures {name}, which is differentiated",
                           node.span, fix=f"pass {name} to it as an argument, or wrap it in lms.stop_gradient")


def ruled(s: Sweep, node: Node) -> Halves:
    """A call of a function with a rule of the user's: the halves are there already (`custom`)."""
    b = s.builder
    first, second = (b.program.functions[name] for name in node.attrs["halves"][:2])
    moving = [v for v in node.operands if is_differentiable(v.type)]
    refuse_captured(node, [v for v in moving[len(second.body.results):] if v in s.activity])
    new = b.emit(p.control.call, *s.values(node.operands), callee=first.name, names=[v.name for v in node.results],
                 types=(*(s.type(t) for t in node.attrs["types"]), first.body.results[-1].type))
    s.bind(node.results, new[:-1])
    bar = yield
    floats = [v for v in node.results if is_differentiable(v.type)]
    found = [bar.take(v) for v in floats]
    if all(d is None for d in found):
        return
    ds = [zero(b, s.value(v)) if d is None else d for v, d in zip(floats, found, strict=True)]
    wrt = moving[: len(second.body.results)]
    out = b.emit(p.control.call, new[-1], *ds, callee=second.name, types=tuple(s.type(v.type) for v in wrt))
    for v, d in zip(wrt, out, strict=True):
        bar.add(v, d)


def call(s: Sweep, node: Node) -> Halves:
    """A call of the forward function, and one of the backward function with the record the first has left."""
    if "halves" in node.attrs:
        yield from ruled(s, node)
        return
    if "again" in node.attrs:
        yield from run_again(s, node)
        return
    b, pair = s.builder, pair_of(s, node)
    shadows = [s.shadow(node.operands[k]) for k in pair.handles]
    types = [s.type(t) for t in node.attrs["types"]]
    types += [shadow_type(types[k]) for k in pair.result_handles]
    new = b.emit(p.control.call, *s.values(node.operands), *shadows, callee=pair.forward, types=(*types, pair.frame),
                 names=[v.name for v in node.results])
    s.bind(node.results, new[: len(node.results)])
    s.shadowed([node.results[k] for k in pair.result_handles], new[len(node.results) : -1])
    bar = yield
    found = [bar.take(node.results[k]) for k in pair.result_flows]
    if all(d is None for d in found) and not pair.handles and not pair.result_handles:
        return
    ds = [zero(b, s.value(node.results[k])) if d is None else d for k, d in zip(pair.result_flows, found, strict=True)]
    out = b.emit(p.control.call, new[-1], *ds, callee=pair.backward,
                 types=tuple(s.type(node.operands[k].type) for k in pair.flows))
    for k, d in zip(pair.flows, out, strict=True):
        bar.add(node.operands[k], d)
