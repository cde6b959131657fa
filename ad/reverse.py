"""Reverse mode: the functions that `vjp` nodes become.

A block is differentiated by running its rules up to their `yield`s (the forward half), letting the rest of the program run,
then resuming them in reverse (the backward half). For a function both halves stand one after the other; where they land in
two blocks (`control`) or in two functions (`calls`), what one leaves for the other is saved by `residuals`.
"""

from __future__ import annotations

from collections.abc import Sequence

from lms.core import primitives as p
from lms.core.builder import Builder, building
from lms.core.effects import Effects, Roots
from lms.core.ir import Function, Node, Program, Value
from lms.core.types import ArrayType, SumType, is_differentiable

from . import calls
from .activity import Activities, Activity
from .checkpoint import Whole
from .cotangents import Cotangents, zero
from .memory import Memory, overwritten
from .residuals import Crossing
from .revolve import Plan
from .shadows import gradient, seed
from .sweep import Sweep


class ReverseMode:
    """The reverse derivatives of one program's functions, each made once for a set of active parameters."""

    def __init__(self, program: Program) -> None:
        self.program, self.builder = program, Builder(program)
        self.effects = Effects(program)
        self.activities = Activities(program, self.effects)
        self.written, self.again = overwritten(program, self.effects)
        self.pairs: dict[calls.PairKey, calls.Pair] = {}
        self.wholes: dict[Whole, str] = {}
        self.carriers: dict[Whole, str] = {}
        self.backwards: dict[tuple[Whole, Plan], str] = {}
        self._names: dict[tuple[str, tuple[int, ...], bool], str] = {}

    def expand(self, node: Node) -> None:
        """Turn a `vjp` node into a call of the derivative, in place. One that is `parted` has a function for each half."""
        key = node.attrs["callee"], tuple(node.attrs["wrt"]), node.attrs.get("parted", False)
        if key not in self._names:
            self._names[key] = (self._parted if key[2] else self._derivative)(*key[:2])
        node.op, node.attrs = p.control.call, {"callee": self._names[key], "types": tuple(v.type for v in node.results)}

    def memory(self, activity: Activity, unsteady: Roots = frozenset(), paired: bool = False,
               lent: frozenset[int] = frozenset()) -> Memory:
        return Memory(activity.function, activity, self.effects, self.written, self.again | unsteady, paired, lent)

    def _derivative(self, callee: str, wrt: tuple[int, ...]) -> str:
        """The function with the signature of a `vjp` node: both halves, one after the other."""
        a = self.activities.of(callee, frozenset(wrt))
        primal, b = a.function, self.builder
        seeds = [k for k, v in enumerate(primal.body.results) if is_differentiable(v.type)]
        types = [*(v.type for v in primal.body.params), *(primal.body.results[k].type for k in seeds)]
        names = [*(v.name for v in primal.body.params), *(f"d{primal.body.results[k].name}" for k in seeds)]
        sweep = Sweep(self, a, self.memory(a))
        with building(b), b.at(primal.span), b.function(f"{callee}_vjp", types, names, mut=primal.mut) as f:
            n = len(primal.body.params)
            with b.on("forward"):
                sweep.bind(primal.body.params, f.body.params[:n])
                sweep.give_shadows(primal.body.params)
                frames = sweep.forward(primal.body)
            with b.on("backward"):
                bar = Cotangents(sweep)
                for k, dy in zip(seeds, f.body.params[n:], strict=True):
                    _seed(sweep, bar, primal.body.results[k], dy)
                sweep.backward(frames, bar)
                dxs = [_found(sweep, bar, primal.body.params[k]) for k in wrt]
                dxs = _unshared(b, dxs)
            f.body.results = (*sweep.values(primal.body.results), *dxs)
        sweep.drop_snapshots(f)
        return f.name

    def _parted(self, callee: str, wrt: tuple[int, ...]) -> str:
        """As `_derivative`, in two calls: what one half leaves are further results of the first, and arguments of the second."""
        a = self.activities.of(callee, frozenset(wrt))
        primal, b = a.function, self.builder
        params, results = primal.body.params, primal.body.results
        seeds = [k for k, v in enumerate(results) if is_differentiable(v.type)]
        sweep = Sweep(self, a, self.memory(a))
        types, names = [results[k].type for k in seeds], [f"d{results[k].name}" for k in seeds]
        with building(b), b.at(primal.span), b.function(f"{callee}_backward", types, names) as second:
            with b.on("forward"), b.function(f"{callee}_forward", [v.type for v in params], [v.name for v in params],
                                             mut=primal.mut) as first:
                sweep.bind(params, first.body.params)
                sweep.give_shadows(params)
                frames = sweep.forward(primal.body)
            b.provisional.add(first.body)
            with b.on("backward"):
                bar = Cotangents(sweep)
                for k, dy in zip(seeds, second.body.params, strict=True):
                    _seed(sweep, bar, results[k], dy)
                sweep.backward(frames, bar)
                second.body.results = tuple(_unshared(b, [_found(sweep, bar, params[k]) for k in wrt]))
            b.provisional.discard(first.body)
        with building(b):
            given = self._close(sweep, first, second)
            types = [*(v.type for v in params), *types]
            with b.at(primal.span), b.function(f"{callee}_vjp", types, mut=primal.mut) as both:
                n = len(params)
                out = b.emit(p.control.call, *both.body.params[:n], callee=first.name,
                             types=(*(v.type for v in results), *(v.type for v in given)))
                dxs = b.emit(p.control.call, *out[len(results):], *both.body.params[n:], callee=second.name,
                             types=tuple(params[k].type for k in wrt))
                both.body.results = (*out[: len(results)], *dxs)
        sweep.drop_snapshots(first, second)
        return both.name

    def _close(self, sweep: Sweep, first: Function, second: Function) -> tuple[Value, ...]:
        """Let the first half give what crosses, and the second take it: its new parameters."""
        b = self.builder
        crossing = Crossing(sweep, first.body, second.body)
        first.body.results = (*sweep.values(sweep.activity.function.body.results), *crossing.saved)
        given = tuple(Value(calls.unsized(v.type), v.name, block=second.body) for v in crossing.saved)
        second.body.params = (*given, *second.body.params)

        def named(v: Value, like: Value) -> Value:
            if not isinstance(like.type, ArrayType):
                return v
            return b.emit1(p.array.view, v, spec=(("all",),) * like.type.rank, dims=like.type.dims)

        crossing.close(lambda: list(map(named, given, crossing.saved)))
        return given


def _seed(sweep: Sweep, bar: Cotangents, result: Value, dy: Value) -> None:
    if result in sweep.activity and isinstance(result.type, SumType):
        seed(sweep.builder, dy, sweep.shadows[result])
    else:
        bar.add(result, dy)


def _found(sweep: Sweep, bar: Cotangents, param: Value) -> Value:
    """The cotangent of a parameter, as a value of its type."""
    if isinstance(param.type, SumType):
        return gradient(sweep.builder, sweep.value(param), sweep.shadow(param))
    return bar.take(param) or zero(sweep.builder, sweep.value(param))


def _unshared(b: Builder, values: Sequence[Value]) -> list[Value]:
    """Arrays that nobody else holds: what is an argument, a view or given twice is copied."""
    out: list[Value] = []
    for v in values:
        mine = v.node is not None and v.node.op.effect.view is None and not v.node.op.effect.control
        out.append(b.emit1(p.array.copy, v) if isinstance(v.type, ArrayType) and (not mine or v in out) else v)
    return out


def expand_vjp(program: Program, node: Node) -> None:
    """Replace one `vjp` node, whose callee holds no derivative nodes itself, by a call of the derivative."""
    ReverseMode(program).expand(node)
