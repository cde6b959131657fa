"""Checkpointed loops as programs. Before a function is differentiated, a loop with a plan becomes calls to be run *again*:
calls whose residuals are their arguments (`again`). With `run(i, j, x)` for the iterations from i to j,

    sqrt          for each segment (i, j):  x = run(i, j, x) again run
    revolve(k)    x = run(0, n, x) again run, with k snapshots (`revolve`)

A snapshot is what such a call is given. How long a `while` is, is known when it has run: `sqrt` lengthens its segments as it
goes; run again, it obeys the numbers that were recorded, and decides nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from lms.core import primitives as p
from lms.core.builder import Builder, Replay, building
from lms.core.effects import Effects
from lms.core.errors import StagingError
from lms.core.ir import Function, Node, Program, Value, free_values, named, walk
from lms.core.types import ArrayType, Scalar, SumType, Type, f64, fresh_symbol, i64
from lms.staging.checkpoints import snapshots

from ..control import trips
from .apart import Apart
from .cost import refuse_excess
from .left import Left

_s, _a, _c = p.scalar, p.array, p.control
LOOPS = (_c.for_, _c.while_)
VIEWS = (_a.const, _a.view, _a.transpose, _a.reshape)
LEAF = 64  # iterations that `revolve` keeps in full at its end, where a snapshot is a few numbers
FIRST_SEGMENT = 8  # of a `while`
LARGEST = 2**62


class Plans:
    """The functions of one program with their loops as planned. The program's own functions stay as they are."""

    def __init__(self, program: Program) -> None:
        self.program, self.builder = program, Builder(program)
        self.effects = Effects(program)
        self.apart = Apart(program, self.effects)
        self._planned: dict[tuple[str, str | None], str] = {}
        self._quiet: dict[str, str] = {}

    def planned(self, name: str, outermost: str | None = None) -> str:
        """A function's form with its loops as planned; `outermost` is the plan of outer loops that have none of their own.

        Raises `StagingError` where a plan cannot work.
        """
        found = self.form(name, outermost)
        for function in self._reached(found):
            for node in walk(function.body):
                if "again" in node.attrs:
                    node.attrs["again"] = self.silent(node.attrs["again"])
        return found

    def form(self, name: str, outermost: str | None) -> str:
        """A function's form, that may still run again what prints."""
        key = name, outermost
        if key not in self._planned:
            reached = [n for f in self._reached(name) for n in walk(f.body)]
            for node in reached:
                if "again" in node.attrs and not node.half:  # those of a derivative are given what is apart
                    self.separate(node, node.operands)
            if any("checkpoint" in n.attrs or (outermost is not None and n.op in LOOPS) for n in reached):
                f = self.program.functions[name]
                with building(self.builder), self._opened(f, name) as new:
                    self._planned[key] = new.name
                    new.body.results = _Planner(self, f, outermost).run(f.body, new.body.params)
            else:
                self._planned[key] = name
        return self._planned[key]

    def _reached(self, name: str) -> list[Function]:
        """A function and those that it may call, or run again."""
        found, work = {name: self.program.functions[name]}, [name]
        while work:
            for node in walk(found[work.pop()].body):
                for callee in named(node):
                    if callee not in found:
                        found[callee] = self.program.functions[callee]
                        work.append(callee)
        return list(found.values())

    def _opened(self, like: Function, name: str) -> AbstractContextManager[Function]:
        """Open a function with the parameters of another."""
        params = like.body.params
        return self.builder.function(name, [v.type for v in params], [v.name for v in params], mut=like.mut, span=like.span,
                                     doc=like.doc)

    # ------------------------------------------------------------------------------- what is run again

    def silent(self, name: str) -> str:
        """A function's form that prints nothing, to be run again. Raises `StagingError` where it calls Python."""
        if name not in self._quiet:
            nodes = [n for f in self._reached(name) for n in walk(f.body)]
            for node in nodes:
                if node.op is _c.py_call:
                    raise StagingError("what is checkpointed runs this again, and Python may then do something else", node.span,
                                       fix="call Python outside of what is checkpointed, or leave the plan away")
            if any(n.op is _c.print_ for n in nodes):
                f = self.program.functions[name]
                with building(self.builder), self._opened(f, f"{name}_silent") as new:
                    self._quiet[name] = new.name
                    new.body.results = _Silencer(self.builder, self.silent).run(f.body, new.body.params)
            else:
                self._quiet[name] = name
            self._quiet[self._quiet[name]] = self._quiet[name]
        return self._quiet[name]

    def separate(self, node: Node, handles: Sequence[Value]) -> None:
        """Refuse to run again on copies what changes an array that it may know by two names."""
        changes = self.effects.of(node).changes
        arrays = [v for v in dict.fromkeys(handles) if isinstance(v.type, ArrayType)]
        for k, v in enumerate(arrays):
            for w in arrays[:k]:
                if (self.effects.roots(v) | self.effects.roots(w)) & changes and not self.apart.apart(v, w):
                    known = sorted(repr(x.name) for x in (v, w) if x.name)
                    names = " and ".join([*known, "another name"][:2]) if known else "two of its arrays"
                    raise StagingError(f"what is checkpointed here changes an array that {names} may share: run again, it would "
                                       "change copies, which share nothing", node.span,
                                       fix="use one name for the array, or leave the plan away")
        records = [v.type for v in handles if isinstance(v.type, SumType)]
        records += [v.type.dtype for v in arrays if isinstance(v.type, ArrayType) and isinstance(v.type.dtype, SumType)]
        if any(self.effects.within(t) & changes for t in records):
            raise StagingError("what is checkpointed here changes an array in a record, and a snapshot does not hold that",
                               node.span, fix="carry the array itself in a variable, or leave the plan away")


class _Silencer(Replay):
    """Copies a function without what it prints."""

    def __init__(self, builder: Builder, silent: Callable[[str], str]) -> None:
        super().__init__(builder)
        self.silent = silent

    def node(self, node: Node) -> None:
        if node.op is _c.call:
            attrs = self.attrs(node.attrs)
            attrs |= {key: self.silent(attrs[key]) for key in ("callee", "again") if key in attrs}
            self.emit_as(node, node.op, self.values(node.operands), attrs)
        elif node.op is not _c.print_:
            super().node(node)


class _Planner(Replay):
    """Copies a function, with calls in the place of loops that have a plan."""

    def __init__(self, plans: Plans, function: Function, outermost: str | None = None) -> None:
        super().__init__(plans.builder)
        self.plans, self.function, self.outermost = plans, function, outermost

    def node(self, node: Node) -> None:
        if node.op in LOOPS:
            plan = node.attrs.get("checkpoint", self.outermost)
            outer, self.outermost = self.outermost, None
            if plan is None:
                super().node(node)
            else:
                with self.builder.at(node.span):
                    _Outlined(self, node).emit(plan)
            self.outermost = outer
        elif node.op is _c.call and "halves" not in node.attrs:
            attrs = self.attrs(node.attrs)
            attrs |= {key: self.plans.form(attrs[key], self.outermost) for key in ("callee", "again") if key in attrs}
            self.emit_as(node, node.op, self.values(node.operands), attrs)
        else:
            super().node(node)

    def inside(self, env: dict[Value, Value]) -> _Planner:
        """One that copies what stands inside a loop into a function of its own."""
        inner = _Planner(self.plans, self.function)
        inner.env, inner.symbols = env, dict(self.symbols)
        return inner


class _Outlined:
    """A loop whose iterations become a function, run(from, to, snapshots, free..., carried...) -> carried."""

    def __init__(self, planner: _Planner, node: Node) -> None:
        self.planner, self.node, self.b = planner, node, planner.builder
        self.counted = node.op is _c.for_
        self.body = node.blocks[-1]
        first = 3 if self.counted else 0
        self.carried = self.body.params[1 if self.counted else 0:]
        self.inits = node.operands[first:]
        self.remade: list[Node] = []  # constants and views, made inside again: a copy of an array has views of its own
        self.free: dict[Value, None] = {}
        for v in (*node.operands[:first:2], *free_values(*node.blocks)):  # where a `for` starts, and its step
            self._take(v)
        planner.plans.separate(node, (*self.free, *self.carried))

    def _take(self, v: Value) -> None:
        if v.node is not None and v.node.op in VIEWS:
            if v.node not in self.remade:
                for w in v.node.operands:
                    self._take(w)
                self.remade.append(v.node)
        else:
            self.free[v] = None

    def emit(self, plan: str) -> None:
        """The loop as planned, where the builder stands."""
        planner, b = self.planner, self.b
        self.given = planner.values(tuple(self.free))
        inits = planner.values(self.inits)
        k = snapshots(plan)
        if k is not None:
            self._refuse_left()
        count = b.const(k or 0)
        run = self._run()
        if self.counted:
            n = trips(b, *planner.values(self.node.operands[:3]))
            if arrays := self._changed():  # the carried values alone are on the full tape too
                refuse_excess(planner, self.node, plan, k, n, [planner.type(v.type) for v in (*self.carried, *arrays)])
            out = (self._segments(run, n, inits) if k is None else
                   self._call(run, b.const(0), n, count, inits, again=run, **self._plan()))
        else:
            steps = self._steps()
            out = (self._lengthening_segments(steps, run, inits) if k is None else
                   self._call(steps, b.const(0), b.const(LARGEST), count, inits, again=run, recorded=True, **self._plan())[:-1])
        planner.bind(self.node.results, out)

    def _refuse_left(self) -> None:
        """Refuse to go back by values where memory is changed, and then left to other names."""
        v = Left(self.planner.function, self.planner.plans.effects).behind(self.node)
        if v is not None:
            array = repr(v.name) if v.name else "an array"
            raise StagingError(f"what is checkpointed here changes {array} and may go on with another in its place, while the "
                               "first may be used afterwards: `revolve` follows only what the loop carries", self.node.span,
                               fix="carry a copy of the array, or take the plan \"sqrt\"")

    # --------------------------------------------------------------------------------------- functions

    def _function(self, name: str) -> AbstractContextManager[Function]:
        values, effects = (*self.free, *self.carried), self.planner.plans.effects
        mut = frozenset(k for k, v in enumerate(values, 3) if effects.roots(v) & effects.of(self.node).changes)
        # sizes that change in the loop have other names inside it: there they are not those of its beginning
        return self.b.function(f"{self.planner.function.name}_{name}",
                               [i64, i64, i64, *(self.planner.type(v.type) for v in self.free), *self._types()],
                               ["i", "j", "snapshots", *(v.name for v in values)], span=self.node.span, mut=mut)

    def _inside(self, f: Function) -> _Planner:
        """What copies the loop into a function: `free` are its parameters."""
        inner = self.planner.inside(dict(zip(self.free, f.body.params[3:], strict=False)))
        for node in self.remade:
            inner.node(node)
        return inner

    def _run(self) -> str:
        """The iterations from i to j. Those of a `while` do not ask its condition, and give j too, as `_steps` does."""
        b, node = self.b, self.node
        with self._function("run") as f:
            inner = self._inside(f)
            i, j = f.body.params[:2]
            if self.counted:
                start, _, step = inner.values(node.operands[:3])
                bounds = [b.emit1(_s.add, start, b.emit1(_s.mul, n, step)) for n in (i, j)]
                body = inner.nested(self.body)
            else:
                bounds, step = [i, j], b.const(1)
                types = [inner.type(v.type) for v in self.carried]
                with b.reify([i64, *types], ["i", *(v.name for v in self.carried)]) as body:
                    body.results = inner.run(self.body, body.params[1:])
            out = b.emit(_c.for_, *bounds, step, *self._last(f), blocks=[body], types=self._types(),
                         names=[v.name for v in self.carried])
            f.body.results = out if self.counted else (*out, j)
        return f.name

    def _steps(self) -> str:
        """At most so many iterations of a `while`, and how many they were."""
        b, (condition, body) = self.b, self.node.blocks
        with self._function("steps") as f:
            inner = self._inside(f)
            types, names = [*(inner.type(v.type) for v in self.carried), i64], [*(v.name for v in self.carried), "trips"]
            with b.reify(types, names) as asks:
                (ok,) = inner.run(condition, asks.params[:-1])
                asks.results = (b.emit1(_s.and_, ok, b.emit1(_s.lt, asks.params[-1], f.body.params[1])),)
            with b.reify(types, names) as does:
                out = inner.run(body, does.params[:-1])
                does.results = (*out, b.emit1(_s.add, does.params[-1], b.const(1)))
            f.body.results = b.emit(_c.while_, *self._last(f), f.body.params[0], blocks=[asks, does],
                                    types=(*self._types(), i64), names=names)
        return f.name

    def _plan(self) -> dict[str, Any]:
        """How `revolve` goes back: how many iterations it keeps in full, and which parameter every result becomes."""
        first = 3 + len(self.free)
        becomes = (*range(first, first + len(self.carried)), *(() if self.counted else (0,)))  # where it stopped, it begins
        return {"revolve": (LEAF if self._small() else 1, *becomes)}

    def _changed(self) -> list[Value]:
        """The arrays that a snapshot holds beside the carried values: those that the loop reads and changes."""
        effects = self.planner.plans.effects
        access = effects.of(self.node)
        return [v for v in self.free if isinstance(v.type, ArrayType) and effects.roots(v) & access.changes & access.reads]

    def _small(self) -> bool:
        """Whether what an iteration keeps is a few numbers."""
        changed = self.planner.plans.effects.of(self.node).changes
        return not changed and all(isinstance(v.type, Scalar) for v in self.carried)

    def _last(self, f: Function) -> tuple[Value, ...]:
        return f.body.params[3 + len(self.free):]

    def _types(self) -> tuple[Type, ...]:
        """The types after some iterations: sizes that change in the loop get a new name wherever they are made."""
        out: list[Type] = []
        for v, result in zip(self.carried, self.node.results, strict=True):
            t, after = self.planner.type(v.type), self.planner.type(result.type)
            if isinstance(t, ArrayType) and isinstance(after, ArrayType):
                dims = tuple(d if d == e else fresh_symbol() for d, e in zip(t.dims, after.dims, strict=True))
                t = ArrayType(t.dtype, dims, t.layout)
            out.append(t)
        return tuple(out)

    def _call(self, callee: str, i: Value, j: Value, k: Value, carried: Sequence[Value], **attrs: Any) -> tuple[Value, ...]:
        """Iterations from i to j. `again`: what is run again instead; `recorded`: which takes the number of them for j."""
        types = self._types()
        if attrs.get("recorded"):
            types, attrs["recorded"] = (*types, i64), len(types)
        return self.b.emit(_c.call, i, j, k, *self.given, *carried, callee=callee, types=types,
                           names=[v.name for v in self.carried], **attrs)

    # ------------------------------------------------------------------------------------------- plans

    def _segments(self, run: str, n: Value, inits: Sequence[Value]) -> tuple[Value, ...]:
        """A `for` of about sqrt(n) segments of about sqrt(n) iterations."""
        b = self.b
        root = b.emit1(_s.convert, b.emit1(_s.sqrt, b.emit1(_s.convert, n, dtype=f64)), dtype=i64)
        length = b.emit1(_s.add, root, b.const(1))
        count = b.emit1(_s.floordiv, b.emit1(_s.add, n, root), length)
        types, names = [self.planner.type(v.type) for v in self.carried], [v.name for v in self.carried]
        with b.reify([i64, *types], ["segment", *names]) as f:
            i = b.emit1(_s.mul, f.params[0], length)
            j = b.emit1(_s.minimum, b.emit1(_s.add, i, length), n)
            f.results = self._call(run, i, j, b.const(0), f.params[1:], again=run)
        return b.emit(_c.for_, b.const(0), count, b.const(1), *inits, blocks=[f], types=self._types(), names=names)

    def _lengthening_segments(self, steps: str, run: str, inits: Sequence[Value]) -> tuple[Value, ...]:
        """A `while` of segments, each longer than the one before by an iteration: of n iterations, about sqrt(2 n) segments."""
        b, planner = self.b, self.planner
        types = [*(planner.type(v.type) for v in self.carried), i64]
        names = [*(v.name for v in self.carried), "length"]
        with b.reify(types, names) as asks:
            asks.results = planner.run(self.node.blocks[0], asks.params[:-1])
        with b.reify(types, names) as f:
            *carried, length = f.params
            *out, _ = self._call(steps, b.const(0), length, b.const(0), carried, again=run, recorded=True)
            f.results = (*out, b.emit1(_s.add, length, b.const(1)))
        return b.emit(_c.while_, *inits, b.const(FIRST_SEGMENT), blocks=[asks, f], types=(*self._types(), i64), names=names)[:-1]
