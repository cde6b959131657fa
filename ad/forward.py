"""Forward mode: a function becomes one that carries a tangent beside every active value.

The program is replayed; where a node's operands are active, the tangent of its results follows. Elementwise operations
reuse the reverse rules: resumed with a cotangent of one, a rule hands back the partial derivatives. Operations that are
linear are applied to the tangents. Every active array has a tangent array, made where the array is made. Several directions
go through in one sweep, in the lanes of the tangents: the function itself, and its partial derivatives, are computed once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lms.core import primitives as p
from lms.core.builder import Builder, Replay, building
from lms.core.errors import StagingError
from lms.core.ir import Block, Function, Node, Program, Value
from lms.core.types import ArrayType, Scalar, SumType, Type, is_differentiable
from lms.staging.rep import Rep

from .activity import INERT, Activities, Activity
from .calls import refuse_captured
from .continuations import TANGENTS, resume, start
from .lanes import LINEAR, WRITES, Lanes
from .memory import overwritten
from .rules import no_derivative
from .rules.apply import full
from .rules.complex import conj, direction, is_complex, partials_of
from .shadows import tangent_of, with_tangent
from .tangents import Dot, field_of_tangent, tangent_type, tangent_types, zero

_a = p.array


def _moves(v: Value) -> bool:
    return is_differentiable(v.type)


class ForwardMode:
    """The forward derivatives of one program's functions, each made once for a set of active parameters."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.builder = Builder(program)
        self.activities = Activities(program)
        self.written, _ = overwritten(program, self.activities.effects)
        self._names: dict[tuple[str, frozenset[int], int], str] = {}

    def expand(self, node: Node) -> None:
        """Turn a `jvp` node into a call of the derivative, in place."""
        callee, wrt = node.attrs["callee"], tuple(node.attrs["wrt"])
        a = self.activities.of(callee, frozenset(wrt))
        name = self._wrapped(callee, a, wrt, node.attrs.get("lanes", 0))
        node.op, node.attrs = p.control.call, {"callee": name, "types": tuple(v.type for v in node.results)}

    def _wrapped(self, callee: str, a: Activity, wrt: Sequence[int], lanes: int) -> str:
        """The derivative with the signature of a `jvp` node: a tangent for each of `wrt`, and one for each float result."""
        b, body = self.builder, a.function.body
        inner = self.derivative(callee, a, lanes)
        moving = [(k, t) for k in wrt for t in p.control.tangents(body.params[k].type, lanes)]
        types = [*(v.type for v in body.params), *(t for _, t in moving)]
        names = [*(v.name for v in body.params), *(f"d{body.params[k].name}" for k, _ in moving)]
        with building(b), b.at(a.function.span), b.function(f"{callee}_jvp", types, names, mut=a.function.mut,
                                                            span=a.function.span) as f:
            params = f.body.params[: len(body.params)]
            given: dict[int, Dot] = {}
            for (k, _), dx in zip(moving, f.body.params[len(body.params):], strict=True):
                given[k] = (*given.get(k, ()), tangent_of(b, dx) if isinstance(dx.type, SumType) else dx)
            dots = [dot for k in self._carriers(a) for dot in given.get(k) or zero(b, params[k], lanes)]
            active = sorted(a.results)
            types = [v.type for v in body.results]
            types += [t for k in active for t in tangent_types(body.results[k].type, lanes)]
            out = b.emit(p.control.call, *params, *dots, callee=inner, types=tuple(types))
            results, rest = out[: len(body.results)], iter(out[len(body.results):])
            found = {k: _next(rest, body.results[k].type, lanes) for k in active}
            dy = [(v, found.get(k) or zero(b, v, lanes)) for k, v in enumerate(results) if is_differentiable(v.type)]
            f.body.results = (*results, *(with_tangent(b, v, d) if isinstance(v.type, SumType) else d
                                          for v, dot in dy for d in dot))
        return f.name

    @staticmethod
    def _carriers(a: Activity) -> list[int]:
        """The parameters that come with a tangent: the active ones, and arrays that something active is written to."""
        return sorted(k for k in a.params | a.touched if is_differentiable(a.function.body.params[k].type))

    def derivative(self, callee: str, a: Activity, lanes: int) -> str:
        """The function (params, tangents of carriers) -> (results, tangents of active results)."""
        key = callee, a.params, lanes
        if key not in self._names:
            body = a.function.body
            carriers = [(k, t) for k in self._carriers(a) for t in tangent_types(body.params[k].type, lanes)]
            types = [*(v.type for v in body.params), *(t for _, t in carriers)]
            names = [*(v.name for v in body.params), *(f"d{body.params[k].name}" for k, _ in carriers)]
            n = len(body.params)
            mut = a.function.mut | {n + j for j, (k, _) in enumerate(carriers) if k in a.function.mut}
            b = self.builder
            with building(b), b.at(a.function.span), b.function(f"{callee}_dot", types, names, mut=frozenset(mut)) as f:
                self._names[key] = f.name
                replay = _Forward(self, a, lanes)
                for (k, _), dot in zip(carriers, f.body.params[n:], strict=True):
                    replay.dots[body.params[k]] = (*replay.dots.get(body.params[k], ()), dot)
                results = replay.run(body, f.body.params[:n])
                f.body.results = (*results, *(d for k in sorted(a.results) for d in replay.leaving(body.results[k])))
        return self._names[key]


def _next(rest: Iterator[Value], t: Type, lanes: int) -> Dot:
    """The next tangent of a value of type `t` among flat values."""
    return tuple(next(rest) for _ in tangent_types(t, lanes))


class _Forward(Replay):
    """Replays one function with tangents. `dots` maps the old values to the tangents of the new ones."""

    def __init__(self, mode: ForwardMode, activity: Activity, lanes: int) -> None:
        super().__init__(mode.builder)
        self.mode, self.activity, self.lanes = mode, activity, Lanes(mode.builder, lanes)
        self.dots: dict[Value, Dot] = {}

    def dot(self, v: Value) -> Dot:
        """The tangent of an old value, a zero made here if it has none."""
        if v not in self.dots:
            made = zero(self.builder, self.value(v), self.lanes.n)
            if isinstance(v.type, Scalar):
                return made
            self.dots[v] = made
        return self.dots[v]

    def types_of_tangents(self, types: Sequence[Type], active: Sequence[int]) -> list[Type]:
        return [t for k in active for t in tangent_types(types[k], self.lanes.n)]

    def take(self, active: Sequence[Value], found: Sequence[Value]) -> None:
        """Bind the tangents of these old values to flat new ones, in order."""
        rest = iter(found)
        for v in active:
            self.dots[v] = _next(rest, v.type, self.lanes.n)

    # ------------------------------------------------------------------------------------------ nodes

    def node(self, node: Node) -> None:
        with self.builder.at(node.span):
            if node.blocks:
                self._control(node)
            elif node.op is p.control.call:
                self._call(node)
            elif node.op in WRITES:
                self._write(node)
            elif node.op not in INERT and any(v in self.dots for v in node.operands) and any(
                is_differentiable(v.type) for v in node.results
            ):
                self._active(node)
            else:
                super().node(node)
            for v in node.results:
                if v in self.activity and isinstance(v.type, ArrayType) and v not in self.dots:
                    self.dot(v)  # memory that will hold tangents has them from the start

    def _active(self, node: Node) -> None:
        op, attrs = node.op, self.attrs(node.attrs)
        operands = self.values(node.operands)
        if op in LINEAR:
            super().node(node)
            self._linear(node, operands, attrs)
        elif op is _a.contract:
            super().node(node)
            x, y = node.operands
            terms = [self.lanes.contract(operands, 0, self.dots[x], attrs, node.result.type)] if x in self.dots else []
            terms += [self.lanes.contract(operands, 1, self.dots[y], attrs, node.result.type)] if y in self.dots else []
            self.dots[node.result] = self._sum(terms)
        elif op is p.record.construct:
            super().node(node)
            t = node.attrs["type"]
            fields = [d for v in node.operands if is_differentiable(v.type) for d in self.dot(v)]
            self.dots[node.result] = self.builder.emit(op, *fields, type=tangent_type(t, self.lanes.n), tag=node.attrs["tag"])
        elif op is p.record.project:
            super().node(node)
            self._project(node, attrs)
        elif op is p.scalar.abs and is_complex(operands[0].type):
            super().node(node)
            unit = conj(direction(Rep(operands[0]), Rep(self.value(node.result)))).value
            self.dots[node.result] = self._each(p.scalar.real, self.lanes.times(self.dots[node.operands[0]], unit))
        elif op in TANGENTS:
            super().node(node)
            self._by_tangents(node, operands, attrs)
        else:
            self._by_rule(node, operands, attrs)

    def _by_tangents(self, node: Node, operands: tuple[Value, ...], attrs: dict[str, Any]) -> None:
        """A rule for forward mode: from the results, the operands and the tangents of these, a tangent for every result."""
        moving = [v for v in node.operands if v in self.dots]

        def of_one(dots: Sequence[Value]) -> list[Value]:
            given = dict(zip(moving, map(Rep, dots), strict=True))
            found = TANGENTS[node.op](tuple(map(Rep, self.values(node.results))), tuple(map(Rep, operands)),
                                      tuple(given.get(v) for v in node.operands), **attrs)
            return [d.value for d in found]

        found = self.lanes.one_by_one([(v.type, self.dots[v]) for v in moving], of_one, node.span)
        self.dots.update(zip(node.results, found, strict=True))

    def _project(self, node: Node, attrs: dict[str, Any]) -> None:
        t, lanes = node.operands[0].type, self.lanes.n
        assert isinstance(t, SumType)
        first = field_of_tangent(t, attrs["tag"], attrs["field"], lanes)
        types = tangent_types(self.type(node.result.type), lanes)
        more = {"dims": types[0].dims} if isinstance(types[0], ArrayType) else {}
        (dot,) = self.dots[node.operands[0]]
        self.dots[node.result] = tuple(self.builder.emit1(node.op, dot, **{**attrs, **more, "field": first + k})
                                       for k in range(len(types)))

    def _linear(self, node: Node, operands: tuple[Value, ...], attrs: dict[str, Any]) -> None:
        op, positions = node.op, LINEAR[node.op]
        if op in (p.scalar.add, p.scalar.sub):
            x, y = node.operands
            if x in self.dots and y in self.dots:
                self.dots[node.result] = self._each(op, self.dots[x], self.dots[y])
            elif x in self.dots:
                self.dots[node.result] = self._own(self.dots[x], x, node.result)
            else:
                dy = self.dots[y]
                self.dots[node.result] = self._own(dy, y, node.result) if op is p.scalar.add else self._each(p.scalar.neg, dy)
            return
        dots = {k: self.dot(v) for k, v in enumerate(node.operands) if positions is None or k in positions}
        self.dots[node.result] = self.lanes.linear(op, operands, dots, attrs, node.result.type)

    def _each(self, op: p.Primitive, *dots: Dot) -> Dot:
        return tuple(self.builder.emit1(op, *lane) for lane in zip(*dots, strict=True))

    def _own(self, dot: Dot, *sharing: Value) -> Dot:
        """A tangent that two values share: a copy, if either is an array that anything writes to."""
        effects, written = self.mode.activities.effects, self.mode.written
        return self._each(_a.copy, dot) if any(effects.roots(v) & written for v in sharing) else dot

    def _by_rule(self, node: Node, operands: tuple[Value, ...], attrs: dict[str, Any]) -> None:
        """Resume the reverse rule with a cotangent of one: it hands back the partial derivatives."""
        rule = partials_of(node.op, (v.type for v in operands))
        if rule is None:
            raise no_derivative(node)
        name = node.op.name
        steps = rule(*(Rep(v) for v in operands), **{k: v for k, v in attrs.items() if k != "fast"})
        primal = start(steps, name, node.span)
        self.bind(node.results, (primal.value,))
        partials = resume(steps, full(primal, 1.0), len(operands), name, node.span)
        terms = [self.lanes.times(self.dots[v], partial.value)
                 for v, partial in zip(node.operands, partials, strict=True) if v in self.dots and partial is not None]
        if not terms:
            return
        total = self._sum(terms)
        if node.op in (_a.reduce_prod, _a.reduce_max, _a.reduce_min):
            total = self.lanes.linear(_a.reduce_sum, operands, {0: total}, {"axes": attrs["axes"]}, node.result.type)
        self.dots[node.result] = total

    def _sum(self, terms: Sequence[Dot]) -> Dot:
        total = terms[0]
        for term in terms[1:]:
            total = self._each(p.scalar.add, total, term)
        return total

    def _write(self, node: Node) -> None:
        super().node(node)
        target, value = node.operands[0], node.operands[WRITES[node.op]]
        if target not in self.dots or (node.op.effect.accumulates and value not in self.dots):
            return
        operands, attrs = self.values(node.operands), self.attrs(node.attrs)
        self.lanes.write(node.op, self.dots[target][0], operands, self.dot(value), attrs)

    # ---------------------------------------------------------------------------------------- control

    def leaving(self, v: Value) -> Dot:
        """The tangent of a result, stored in rows where the result is: that of `x[::-1] + 1` is a view of that of `x`."""
        dot = self.dot(v)
        rows = isinstance(v.type, ArrayType) and v.type.layout == "C"
        strided = any(isinstance(d.type, ArrayType) and d.type.layout != "C" for d in dot)
        return self._each(_a.copy, dot) if rows and strided else dot

    def _control(self, node: Node) -> None:
        """Blocks with tangents: results and carried values that are active get a second slot at the end."""
        active = [k for k, v in enumerate(node.results) if v in self.activity]
        head = {"for": 3, "while": 0, "if": 1}[node.op.name]
        operands = [*self.values(node.operands)]
        if node.op is not p.control.if_:
            operands += [d for k in active for d in self.leaving(node.operands[head + k])]
        skip = 1 if node.op is p.control.for_ else 0
        blocks = [self._block(inner, skip, active, carries=node.op is not p.control.if_,
                              returns=node.op is not p.control.while_ or k == 1) for k, inner in enumerate(node.blocks)]
        types = tuple(map(self.type, node.attrs["types"]))
        attrs = {**self.attrs(node.attrs), "types": (*types, *self.types_of_tangents(types, active))}
        names = [*(v.name for v in node.results), *self._names_of_tangents(node.results, active)]
        new = self.builder.emit(node.op, *operands, blocks=blocks, names=names, **attrs)
        self.bind(node.results, new[: len(node.results)])
        self.take([node.results[k] for k in active], new[len(node.results):])

    def _names_of_tangents(self, values: Sequence[Value], active: Sequence[int]) -> list[str]:
        return [f"d{values[k].name}" for k in active for _ in tangent_types(values[k].type, self.lanes.n)]

    def _block(self, block: Block, skip: int, active: Sequence[int], *, carries: bool, returns: bool) -> Block:
        carried = [skip + k for k in active] if carries else []
        types = [self.type(v.type) for v in block.params]
        names = [*(v.name for v in block.params), *self._names_of_tangents(block.params, carried)]
        outer = dict(self.dots)
        with self.builder.reify([*types, *self.types_of_tangents(types, carried)], names) as new:
            self.take([block.params[k] for k in carried], new.params[len(block.params):])
            results = self.run(block, new.params[: len(block.params)])
            new.results = (*results, *(d for k in active for d in self.leaving(block.results[k]))) if returns else results
        self.dots = outer
        return new

    def _ruled(self, node: Node) -> None:
        """A call of a function with a rule of the user's: for one float result the rule gives the partial derivatives."""
        b = self.builder
        first, second, *own = (b.program.functions[name] for name in node.attrs["halves"])
        floats = [v for v in node.results if is_differentiable(v.type)]
        if own:
            self._ruled_forward(node, own[0], floats)
            return
        if len(floats) != 1 or not isinstance(kind := floats[0].type, Scalar):
            raise StagingError(f"{node.attrs['callee']} has a derivative for reverse mode only, and gives more than one float",
                               node.span, fix="differentiate it in reverse mode (`lms.grad`, `lms.vjp`)")
        types = (*map(self.type, node.attrs["types"]), first.body.results[-1].type)
        *new, frame = b.emit(p.control.call, *self.values(node.operands), callee=first.name, types=types)
        self.bind(node.results, new)
        moving = [v for v in node.operands if is_differentiable(v.type)]
        wrt = moving[: len(second.body.results)]
        refuse_captured(node, [v for v in moving[len(wrt):] if v in self.dots])
        back_types = tuple(self.type(v.type) for v in wrt)

        def part(seed: complex) -> Dot | None:
            partials = b.emit(p.control.call, frame, b.const(seed, kind), callee=second.name, types=back_types)
            terms = [self._inner(self.dots[v], partial) for v, partial in zip(wrt, partials, strict=True) if v in self.dots]
            return self._sum(terms) if terms else None

        found = [dot for dot in map(part, (1.0, 1j) if is_complex(kind) else (1.0,)) if dot is not None]
        if found:
            self.dots[floats[0]] = self._each(p.scalar.complex_, *found) if len(found) == 2 else found[0]

    def _inner(self, dot: Dot, cotangent: Value) -> Dot:
        """How far a tangent goes in the direction of a cotangent."""
        if not is_complex(cotangent.type):
            return self.lanes.inner(dot, cotangent)
        return self._each(p.scalar.real, self.lanes.inner(dot, conj(Rep(cotangent)).value))

    def _ruled_forward(self, node: Node, rule: Function, floats: Sequence[Value]) -> None:
        """A call of a function with a rule for forward mode."""
        count = len(rule.body.params) - len(node.operands)
        operands = [v for v in node.operands if is_differentiable(v.type)]
        moving = operands[:count]
        refuse_captured(node, [v for v in operands[count:] if v in self.dots])
        types = [self.type(t) for t in node.attrs["types"]]
        types += [t for t in types if is_differentiable(t)]

        def of_one(dots: Sequence[Value]) -> tuple[Value, ...]:
            out = self.builder.emit(p.control.call, *self.values(node.operands), *dots, callee=rule.name, types=tuple(types))
            self.bind(node.results, out[: len(node.results)])
            return out[len(node.results):]

        found = self.lanes.one_by_one([(v.type, self.dot(v)) for v in moving], of_one, node.span)
        self.dots.update(zip(floats, found, strict=True))

    def _call(self, node: Node) -> None:
        if "halves" in node.attrs:
            self._ruled(node)
            return
        a = self._activity(node)
        if not a.results and not a.touched:
            super().node(node)
            return
        dots = [d for k in self.mode._carriers(a) for d in self.dot(node.operands[k])]
        types = tuple(map(self.type, node.attrs["types"]))
        active = sorted(a.results)
        with self.builder.on(node.half):
            new = self.builder.emit(p.control.call, *self.values(node.operands), *dots, **self._called(node, a),
                                    types=(*types, *self.types_of_tangents(types, active)),
                                    names=[v.name for v in node.results])
        self.bind(node.results, new[: len(node.results)])
        self.take([node.results[k] for k in active], new[len(node.results):])

    def _activity(self, node: Node) -> Activity:
        """The activity of a callee. Where a later piece of a loop begins with what an earlier one gives, all begin alike."""
        key = frozenset(k for k, v in enumerate(node.operands) if v in self.activity)
        becomes = node.attrs.get("revolve", ())[1:]
        while True:
            a = self.mode.activities.of(node.attrs["callee"], key)
            more = key | {becomes[r] for r in a.results} if becomes else key
            if more == key:
                return a
            key = more

    def _called(self, node: Node, a: Activity) -> dict[str, Any]:
        """What a call with tangents calls, and how it is run again: as the call without them (`checkpoint/again`)."""
        mode, lanes, attrs = self.mode, self.lanes.n, node.attrs
        called: dict[str, Any] = {key: mode.derivative(attrs[key], mode.activities.of(attrs[key], a.params), lanes)
                                  for key in ("callee", "again") if key in attrs}
        if "recorded" in attrs:
            called["recorded"] = attrs["recorded"]
        if "revolve" in attrs:
            first, places = len(node.operands), dict[int, range]()
            for k in mode._carriers(a):
                places[k] = range(first, first + len(tangent_types(node.operands[k].type, lanes)))
                first = places[k].stop
            called["revolve"] = (*attrs["revolve"], *(q for r in sorted(a.results) for q in places[attrs["revolve"][1 + r]]))
        return called
