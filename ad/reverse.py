"""Reverse mode: the functions that `vjp` nodes become.

A block is differentiated by running its rules up to their `yield`s (the forward half), letting the rest of the program run,
then resuming them in reverse (the backward half). For a function both halves stand one after the other; where they land in
two blocks (`control`) or in two functions (`calls`), what one leaves for the other is saved by `residuals`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lms.core import primitives as p
from lms.core.builder import Builder, building
from lms.core.effects import Effects, Roots
from lms.core.ir import Node, Program, Value
from lms.core.types import ArrayType, SumType, is_differentiable

from . import calls, parted
from .activity import Activities, Activity
from .checkpoint.again import Whole
from .checkpoint.revolve import Plan
from .cotangents import Cotangents, zero
from .memory import Memory, overwritten
from .reversal.choice import chosen
from .shadows import gradient, seed
from .sweep import Sweep


class ReverseMode:
    """The reverse derivatives of one program's functions, each made once for a set of active parameters."""

    def __init__(self, program: Program) -> None:
        self.program, self.builder = program, Builder(program)
        self.effects = Effects(program)
        self.activities = Activities(program, self.effects)
        self.written, self.overwritten = overwritten(program, self.effects)
        self.again: list[Node] = []  # what backward halves do a second time
        self.pairs: dict[calls.PairKey, calls.Pair] = {}
        self.wholes: dict[Whole, str] = {}
        self.carriers: dict[Whole, str] = {}
        self.backwards: dict[tuple[Whole, Plan], str] = {}
        self._names: dict[tuple[Any, ...], str] = {}

    def expand(self, node: Node) -> None:
        """Turn a `vjp` node into a call of the derivative, in place."""
        callee, wrt, rows = node.attrs["callee"], tuple(node.attrs["wrt"]), node.attrs.get("rows")
        wanted = self._wanted(node)
        key = callee, wrt, rows, node.attrs.get("parted"), wanted
        if key not in self._names:
            self._names[key] = (parted.by_rows(self, callee, wrt, rows) if rows is not None else
                                parted.in_two(self, callee, wrt) if "parted" in node.attrs else
                                self.derivative(callee, wrt, wanted))
        node.op, node.attrs = p.control.call, {"callee": self._names[key], "types": tuple(v.type for v in node.results)}

    def memory(self, activity: Activity, unsteady: Roots = frozenset(), paired: bool = False,
               lent: frozenset[int] = frozenset()) -> Memory:
        return Memory(activity.function, activity, self.effects, self.written, self.overwritten | unsteady, paired, lent)

    def _wanted(self, node: Node) -> frozenset[int]:
        """The results that have a cotangent which is not known to be zero."""
        body = self.program.functions[node.attrs["callee"]].body
        floats = [k for k, v in enumerate(body.results) if is_differentiable(v.type)]
        seeds = node.operands[len(body.params):]
        return frozenset(k for k, dy in zip(floats, seeds, strict=True) if not _is_zero(dy))

    def derivative(self, callee: str, wrt: tuple[int, ...], wanted: frozenset[int]) -> str:
        """The function with the signature of a `vjp` node, where these results are wanted: one half after the other."""
        a = self.activities.useful(callee, frozenset(wrt), wanted)
        primal, b = a.function, self.builder
        seeds = [k for k, v in enumerate(primal.body.results) if is_differentiable(v.type)]
        types = [*(v.type for v in primal.body.params), *(primal.body.results[k].type for k in seeds)]
        names = [*(v.name for v in primal.body.params), *(f"d{primal.body.results[k].name}" for k in seeds)]
        memory = self.memory(a)
        sweep = Sweep(self, a, memory, chosen(memory))
        with building(b), b.at(primal.span), b.function(f"{callee}_vjp", types, names, mut=primal.mut) as f:
            n = len(primal.body.params)
            with b.on("forward"):
                sweep.bind(primal.body.params, f.body.params[:n])
                sweep.give_shadows(primal.body.params)
                frames = sweep.forward(primal.body)
                results = [b.emit1(p.array.copy, v) if k in sweep.reversal.turned else v
                           for k, v in enumerate(sweep.values(primal.body.results))]
            with b.on("backward"):
                bar = Cotangents(sweep)
                for k, dy in zip(seeds, f.body.params[n:], strict=True):
                    seeded(sweep, bar, primal.body.results[k], dy)
                sweep.backward(frames, bar)
                dxs = [found_in(sweep, bar, primal.body.params[k]) for k in wrt]
                dxs = unshared(b, dxs)
            f.body.results = (*results, *dxs)
        sweep.drop_snapshots(f)
        return f.name


def _is_zero(dy: Value) -> bool:
    return bool(dy.number == 0.0)


def seeded(sweep: Sweep, bar: Cotangents, result: Value, dy: Value) -> None:
    """Begin with the cotangent of a result."""
    if result in sweep.activity and isinstance(result.type, SumType):
        seed(sweep.builder, dy, sweep.shadows[result])
    else:
        bar.add(result, dy)


def found_in(sweep: Sweep, bar: Cotangents, param: Value) -> Value:
    """The cotangent of a parameter, as a value of its type."""
    if isinstance(param.type, SumType):
        return gradient(sweep.builder, sweep.value(param), sweep.shadow(param))
    return bar.take(param) or zero(sweep.builder, sweep.value(param))


def unshared(b: Builder, values: Sequence[Value]) -> list[Value]:
    """Arrays that nobody else holds: what is an argument, a view or given twice is copied."""
    out: list[Value] = []
    for v in values:
        mine = v.node is not None and v.node.op.effect.view is None and not v.node.op.effect.control
        out.append(b.emit1(p.array.copy, v) if isinstance(v.type, ArrayType) and (not mine or v in out) else v)
    return out
