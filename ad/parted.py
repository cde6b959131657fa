"""Derivatives whose halves are two functions: what one leaves for the other are results of the first, arguments of the second.

So the second can be called again: by Python, which keeps the residuals (`lms.vjp`), or for many cotangents, one after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lms.core import primitives as p
from lms.core.builder import Builder, building
from lms.core.effects import Effects
from lms.core.ir import Function, Program, Value
from lms.core.types import ArrayType, Scalar, Size, i64, is_differentiable

from .cotangents import Cotangents
from .residuals.closing import Crossing
from .residuals.places import slot
from .sweep import Sweep

if TYPE_CHECKING:
    from .reverse import ReverseMode

_a, _c = p.array, p.control


def halves(mode: ReverseMode, callee: str, wrt: tuple[int, ...]) -> tuple[Function, Function]:
    """The functions (operands) -> results, residuals and (residuals, cotangents of results) -> cotangents of `wrt`."""
    from .reverse import found_in, seeded, unshared

    primal, b = mode.program.functions[callee], mode.builder
    params, results = primal.body.params, primal.body.results
    a = mode.activities.useful(callee, frozenset(wrt), frozenset(range(len(results))))
    seeds = [k for k, v in enumerate(results) if is_differentiable(v.type)]
    sweep = Sweep(mode, a, mode.memory(a))
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
                seeded(sweep, bar, results[k], dy)
            sweep.backward(frames, bar)
            second.body.results = tuple(unshared(b, [found_in(sweep, bar, params[k]) for k in wrt]))
        b.provisional.discard(first.body)
    with building(b):
        saved = _close(sweep, first, second)
    sweep.drop_snapshots(first, second, crossing=frozenset(saved))
    return first, second


def _close(sweep: Sweep, first: Function, second: Function) -> Sequence[Value]:
    """Let the first half give what crosses, and the second take it; the values that do."""
    from .calls import unsized

    b = sweep.builder
    crossing = Crossing(sweep, first.body, second.body)
    first.body.results = (*sweep.values(sweep.activity.function.body.results), *crossing.saved)
    given = tuple(Value(unsized(v.type), v.name, block=second.body) for v in crossing.saved)
    second.body.params = (*given, *second.body.params)

    def named(v: Value, like: Value) -> Value:
        if not isinstance(like.type, ArrayType):
            return v
        return b.emit1(_a.view, v, spec=(("all",),) * like.type.rank, dims=like.type.dims)

    crossing.close(lambda: list(map(named, given, crossing.saved)))
    return crossing.saved


def written(program: Program, first: str, second: str, results: int) -> frozenset[int] | None:
    """The residuals that the second half writes to, of which every call of it needs copies. None where copies would not do.

    The first half gives so many `results` before them. Copies share no memory, and those of records refer to the same.
    """
    effects, saved = Effects(program), program.functions[first].body.results[results:]
    params, changes = program.functions[second].body.params, effects.function(second).changes
    mine = frozenset(k for k in range(len(saved)) if params[k] in changes)
    shared = any(effects.roots(saved[k]) & effects.roots(v) for k in mine for j, v in enumerate(saved) if j != k)
    return None if shared or any(isinstance(root, str) for root in changes) else mine


class Parted:
    """Both halves of a function, and how they are called."""

    def __init__(self, mode: ReverseMode, callee: str, wrt: tuple[int, ...]) -> None:
        self.mode, self.b, self.primal, self.wrt = mode, mode.builder, mode.program.functions[callee], wrt
        self.first, self.second = halves(mode, callee, wrt)
        self.count = len(self.primal.body.results)
        kept = len(self.first.body.results) - self.count
        self.kept, self.seeds = self.second.body.params[:kept], self.second.body.params[kept:]

    def forward(self, operands: Sequence[Value]) -> tuple[Value, ...]:
        """What the function gives, and the residuals."""
        types = tuple(v.type for v in (*self.primal.body.results, *self.kept))
        return self.b.emit(_c.call, *operands, callee=self.first.name, types=types)

    def backward(self, operands: Sequence[Value]) -> tuple[Value, ...]:
        """The cotangents of `wrt`, from residuals and cotangents of the results."""
        types = tuple(self.primal.body.params[k].type for k in self.wrt)
        return self.b.emit(_c.call, *operands, callee=self.second.name, types=types)

    def own(self, values: Sequence[Value], mine: frozenset[int]) -> list[Value]:
        """Values of which those at some positions are copies."""
        return [self.b.emit1(_a.copy, v) if k in mine else v for k, v in enumerate(values)]


def in_two(mode: ReverseMode, callee: str, wrt: tuple[int, ...]) -> str:
    """The function with the signature of a `vjp` node, in two calls."""
    both = Parted(mode, callee, wrt)
    b, params, count = both.b, both.primal.body.params, both.count
    types = [v.type for v in (*params, *both.seeds)]
    with building(b), b.at(both.primal.span), b.function(f"{callee}_vjp", types, mut=both.primal.mut) as f:
        out = both.forward(f.body.params[: len(params)])
        f.body.results = (*out[:count], *both.backward((*out[count:], *f.body.params[len(params):])))
    return f.name


def by_rows(mode: ReverseMode, callee: str, wrt: tuple[int, ...], rows: Size) -> str:
    """The function with the signature of a `vjp` node for many cotangents: they, and what comes of each, have an axis more.

    It is the first axis, of size `rows`. The forward half runs once, the backward half for each.
    """
    both = Parted(mode, callee, wrt)
    b, params, count = both.b, both.primal.body.params, both.count
    mine = written(mode.program, both.first.name, both.second.name, count)
    types = [*(v.type for v in params), *(_c.rows(v.type, rows) for v in both.seeds)]
    with building(b), b.at(both.primal.span), b.function(f"{callee}_rows", types, mut=both.primal.mut) as f:
        operands, given = f.body.params[: len(params)], f.body.params[len(params):]
        before = both.own(operands, both.primal.mut) if mine is None else []
        out = both.forward(operands)
        n = b.dim(given[0], 0)
        outs = [_room(b, operands[k], n, rows) for k in wrt]
        with b.reify([i64], ["row"]) as body:
            row = body.params[0]
            ds = [b.emit1(_a.load, d, row) if isinstance(v.type, Scalar) else slot(b, d, row)
                  for d, v in zip(given, both.seeds, strict=True)]
            if mine is None:
                dxs = _whole(both, callee, both.own(before, both.primal.mut), ds)
            else:
                dxs = both.backward((*both.own(out[count:], mine), *ds))
            for target, dx in zip(outs, dxs, strict=True):
                if isinstance(dx.type, Scalar):
                    b.emit(_a.store, target, dx, row)
                else:
                    b.emit(_a.assign, slot(b, target, row), dx)
        b.emit(_c.for_, b.const(0), n, b.const(1), blocks=[body], types=())
        f.body.results = (*out[:count], *outs)
    return f.name


def _whole(both: Parted, callee: str, operands: Sequence[Value], ds: Sequence[Value]) -> tuple[Value, ...]:
    """Both halves once more, where the second cannot be called again."""
    types = tuple(v.type for v in (*both.primal.body.results, *(both.primal.body.params[k] for k in both.wrt)))
    name = both.mode.derivative(callee, both.wrt, frozenset(range(both.count)))
    return both.b.emit(_c.call, *operands, *ds, callee=name, types=types)[both.count:]


def _room(b: Builder, like: Value, n: Value, rows: Size) -> Value:
    t = _c.rows(like.type, rows)
    sizes = b.dims(like) if isinstance(like.type, ArrayType) else ()
    return b.emit1(_a.empty, n, *sizes, dims=t.dims, dtype=t.dtype)
