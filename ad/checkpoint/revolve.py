"""Binomial checkpointing: the backward half of many iterations, with few snapshots (Griewank and Walther, Algorithm 799, 2000).

With `run(i, j, k, free..., x...) -> x...` for the iterations from i to j, `backward(i, j, k, free, x, dx)` is

    while i < j:
        if few are left:  dx, j = the two halves of run(i, j), i
        else:             m = split(i, j, k); dx, j = backward(m, j, k - 1, run(i, m, x), dx), m

so that every activation holds one snapshot, `x` at i. Cotangents of what is carried come and go as values; those of arrays that
are only free in the loop are in their shadows.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lms.core import primitives as p
from lms.core.builder import Builder, building
from lms.core.data import replace
from lms.core.ir import Value
from lms.core.types import ArrayType, Scalar, Type, fresh_symbol, i64, is_differentiable

from ..cotangents import zero
from ..shadows import shadow_type

if TYPE_CHECKING:
    from ..reverse import ReverseMode
    from .again import Whole

_s, _c = p.scalar, p.control
Plan = tuple[int, ...]  # how many iterations are few; for every result of `run`, the parameter that it becomes


class Backward:
    """The function for one `run` and one set of active parameters."""

    def __init__(self, mode: ReverseMode, key: Whole, plan: Plan) -> None:
        self.mode, self.b, self.plan = mode, mode.builder, plan
        self.leaf, self.becomes = plan[0], plan[1:]
        self.key = self._complete(key)
        self.body = mode.program.functions[key.callee].body
        self.lent = [k for k in self.key.handles if k not in self.becomes]
        self.summed = [k for k in self.key.flows if k not in self.becomes]

    def _complete(self, key: Whole) -> Whole:
        """What is carried and becomes active is active from the start: a later piece starts with it."""
        body = self.mode.program.functions[key.callee].body
        params = key.params
        while True:
            results = self.mode.activities.of(key.callee, params).results
            more = params | {self.becomes[r] for r in results if is_differentiable(body.params[self.becomes[r]].type)}
            if more == params:
                break
            params = more
        memory = [k for k in sorted(params) if not isinstance(body.params[k].type, Scalar)]
        found = sorted(r for r in results if self.becomes[r] in params)
        return replace(key, params=params, handles=tuple(memory), results=tuple(found),
                       flows=tuple(k for k in sorted(params) if k not in memory))

    def name(self) -> str:
        """The function (operands, shadows of `lent`, cotangents of results) -> cotangents of `summed`, of what results become."""
        known = self.mode.backwards
        if (self.key, self.plan) not in known:
            self._make()
        return known[self.key, self.plan]

    def _make(self) -> None:
        b, body, key = self.b, self.body, self.key
        n = len(body.params)
        f_types = [*(v.type for v in body.params), *(shadow_type(body.params[k].type) for k in self.lent), *self._carried()]
        names = [*(v.name for v in body.params), *(f"d{body.params[k].name}" for k in self.lent)]
        span = self.mode.program.functions[key.callee].span
        with building(b), b.at(span), b.on("backward"), b.function(f"{key.callee}_backward", f_types, names, span=span) as f:
            self.mode.backwards[key, self.plan] = f.name
            self.params, self.shadows = f.body.params[:n], f.body.params[n : n + len(self.lent)]
            i, j = self.params[:2]
            sums = [b.const(0.0, self._scalar(k)) for k in self.summed]
            types = [i64, *(v.type for v in sums), *self._carried()]
            with b.reify(types) as going:
                going.results = (b.emit1(_s.lt, i, going.params[0]),)
            with b.reify(types) as piece:
                piece.results = self._piece(*self._parted(piece.params))
            out = b.emit(_c.while_, j, *sums, *f.body.params[n + len(self.lent):], blocks=[going, piece],
                         types=(*types[: 1 + len(sums)], *self._carried()))
            f.body.results = out[1:]

    def _scalar(self, k: int) -> Scalar:
        t = self.body.params[k].type
        assert isinstance(t, Scalar)
        return t

    def _carried(self) -> tuple[Type, ...]:
        """The types of the cotangents of what is carried: sizes that change have a name of their own at each place."""
        out: list[Type] = []
        for r in self.key.results:
            t, after = self.body.params[self.becomes[r]].type, self.body.results[r].type
            if isinstance(t, ArrayType) and isinstance(after, ArrayType):
                dims = tuple(d if d == e else fresh_symbol() for d, e in zip(t.dims, after.dims, strict=True))
                t = ArrayType(t.dtype, dims)
            out.append(t)
        return tuple(out)

    def _parted(self, values: Sequence[Value]) -> tuple[Value, Sequence[Value], Sequence[Value]]:
        n = 1 + len(self.summed)
        return values[0], values[1:n], values[n:]

    # ------------------------------------------------------------------------------------------ pieces

    def _piece(self, j: Value, sums: Sequence[Value], ds: Sequence[Value]) -> tuple[Value, ...]:
        """The last iterations before j: where they begin, and the cotangents there."""
        b, (i, _, k) = self.b, self.params[:3]
        few = b.emit1(_s.le, b.emit1(_s.sub, j, i), b.const(self.leaf))
        with b.reify() as whole:
            whole.results = (i, *self._few(j, ds))
        with b.reify() as part:
            m = b.emit(_c.call, i, j, k, b.const(self.leaf), callee=binomial(b), types=(i64,))[0]
            part.results = (m, *self._many(m, j, ds))
        types = (i64, *(v.type for v in sums), *self._carried())
        begin, *found = b.emit(_c.if_, few, blocks=[whole, part], types=types)
        added = [b.emit1(_s.add, v, w, fast=True) for v, w in zip(sums, found, strict=False)]
        return begin, *added, *found[len(sums):]

    def _few(self, j: Value, ds: Sequence[Value]) -> tuple[Value, ...]:
        """Both halves of all that is left, in one function."""
        from .again import whole

        b, key = self.b, self.key
        operands = self._operands(j, self.params[2])
        lent = dict(zip(self.lent, self.shadows, strict=True))
        own = {k: zero(b, operands[k]) for k in key.handles if k not in lent}
        name = whole(self.mode, key)
        flows = b.emit(_c.call, *operands, *(lent.get(k) or own[k] for k in key.handles), *ds, callee=name, again=name,
                       types=tuple(self._scalar(k) for k in key.flows))
        found = {**own, **dict(zip(key.flows, flows, strict=True))}
        return self._ordered(found)

    def _many(self, m: Value, j: Value, ds: Sequence[Value]) -> tuple[Value, ...]:
        """The iterations from m on, from a snapshot that is made by running again up to it."""
        b, key = self.b, self.key
        operands = self._operands(m, self.params[2])
        types = tuple(v.type for v in self.body.results)
        with b.on("forward"):
            state = b.emit(_c.call, *operands, callee=key.callee, again=key.callee, revolve=self.plan, types=self._made(types))
        k = b.emit1(_s.sub, self.params[2], b.const(1))
        given = [m, j, k, *operands[3:]]
        for r, v in enumerate(state):
            given[self.becomes[r]] = v
        name = self.mode.backwards[key, self.plan]
        return b.emit(_c.call, *given, *self.shadows, *ds, callee=name, again=name,
                      types=(*(self._scalar(k) for k in self.summed), *self._carried()))

    def _made(self, types: Sequence[Type]) -> tuple[Type, ...]:
        """The types of what a call gives: sizes that are not the parameters' have new names."""
        known = {d for v in self.body.params if isinstance(v.type, ArrayType) for d in v.type.dims}

        def renamed(t: ArrayType) -> ArrayType:
            return ArrayType(t.dtype, tuple(d if isinstance(d, int) or d in known else fresh_symbol() for d in t.dims), t.layout)

        return tuple(renamed(t) if isinstance(t, ArrayType) else t for t in types)

    def _operands(self, j: Value, k: Value) -> list[Value]:
        """The parameters, as `run` may change them, for the iterations up to j."""
        from .again import own

        return [self.params[0], j, k, *(own(self.mode, self.key.callee, n, self.params[n]) for n in range(3, len(self.params)))]

    def _ordered(self, found: dict[int, Value]) -> tuple[Value, ...]:
        return (*(found[k] for k in self.summed), *(found[self.becomes[r]] for r in self.key.results))


def binomial(b: Builder) -> str:
    """The name of split(i, j, k, leaf): the iteration between i and j before which the next of k snapshots is taken."""
    name = "checkpoint_split"
    if name in b.program.functions:
        return name
    with b.function(name, [i64, i64, i64, i64], ["i", "j", "snapshots", "leaf"]) as f:
        i, j, k, leaf = f.body.params
        one = b.const(1)
        add, sub, mul, div, most = (functools.partial(b.emit1, op) for op in (_s.add, _s.sub, _s.mul, _s.floordiv, _s.maximum))
        length = div(add(sub(j, i), sub(leaf, one)), leaf)
        k = b.emit1(_s.minimum, k, length)
        # how far k snapshots reach where no iteration is run more than `times` times: binomial(k + times, k)
        with b.reify([i64, i64], ["times", "reach"]) as short:
            short.results = (b.emit1(_s.lt, short.params[1], length),)
        with b.reify([i64, i64], ["times", "reach"]) as more:
            times = add(more.params[0], one)
            more.results = (times, div(mul(more.params[1], add(k, times)), times))
        times, reach = b.emit(_c.while_, b.const(0), one, blocks=[short, more], types=(i64, i64), names=["times", "reach"])
        both = add(k, times)
        fewer_snapshots, fewer_times = div(mul(reach, k), both), div(mul(reach, times), both)
        twice_fewer = div(mul(fewer_times, sub(times, one)), most(sub(both, one), one))
        left = most(most(sub(length, fewer_snapshots), twice_fewer), one)
        f.body.results = (sub(j, mul(sub(length, left), leaf)),)
    return name
