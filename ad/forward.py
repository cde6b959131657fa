"""Forward mode: a function becomes one that carries a tangent beside every active value.

The program is replayed; where a node's operands are active, the tangent of its results follows. Elementwise operations
reuse the reverse rules: resumed with a cotangent of one, a rule hands back the partial derivatives. Operations that are
linear are applied to the tangents. Every active array has a tangent array, made where the array is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lms.core import primitives as p
from lms.core.builder import Builder, Replay, building
from lms.core.errors import StagingError
from lms.core.ir import Block, Function, Node, Program, Value
from lms.core.types import ArrayType, Scalar, SumType, is_differentiable
from lms.staging.rep import Rep

from .activity import INERT, Activities, Activity
from .continuations import RULES, resume, start
from .memory import overwritten
from .rules.apply import full
from .rules.linalg import TANGENTS
from .shadows import tangent_of, with_tangent
from .tangents import field_of_tangent, tangent_type, zero

_a = p.array

# Operations that are linear in the operands at these positions (all of them, where None) and take the rest as they are.
LINEAR: dict[p.Primitive, tuple[int, ...] | None] = {
    _a.broadcast: (0,), _a.copy: (0,), _a.grow: (0,), _a.reduce_sum: (0,), _a.cumsum: (0,), _a.take: (0,),
    _a.take_along: (0,), _a.concatenate: None, _a.view: (0,), _a.transpose: (0,), _a.reshape: (0,), _a.load: (0,),
    p.scalar.convert: (0,), p.scalar.neg: (0,), p.scalar.add: None, p.scalar.sub: None, p.scalar.select: (1, 2),
}
# Operations on memory: a write of a tangent beside every write. Position of the value written.
WRITES = {_a.store: 1, _a.accumulate: 1, _a.assign: 1, _a.add_into: 1, _a.put: 2, _a.add_at: 2, _a.add_along: 2}


def _moves(v: Value) -> bool:
    return is_differentiable(v.type)


class ForwardMode:
    """The forward derivatives of one program's functions, each made once for a set of active parameters."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.builder = Builder(program)
        self.activities = Activities(program)
        self.written, _ = overwritten(program, self.activities.effects)
        self._names: dict[tuple[str, frozenset[int]], str] = {}

    def expand(self, node: Node) -> None:
        """Turn a `jvp` node into a call of the derivative, in place."""
        callee, wrt = node.attrs["callee"], tuple(node.attrs["wrt"])
        a = self.activities.of(callee, frozenset(wrt))
        n = len(a.function.body.params)
        name = self._wrapped(callee, a, wrt)
        assert len(node.operands) == n + len(wrt)
        node.op, node.attrs = p.control.call, {"callee": name, "types": tuple(v.type for v in node.results)}

    def _wrapped(self, callee: str, a: Activity, wrt: Sequence[int]) -> str:
        """The derivative with the signature of a `jvp` node: a tangent for each of `wrt`, and one for each float result."""
        b, body = self.builder, a.function.body
        inner = self.derivative(callee, a)
        types = [*(v.type for v in body.params), *(body.params[k].type for k in wrt)]
        names = [*(v.name for v in body.params), *(f"d{body.params[k].name}" for k in wrt)]
        with building(b), b.at(a.function.span), b.function(f"{callee}_jvp", types, names, mut=a.function.mut) as f:
            params = f.body.params[: len(body.params)]
            given = {k: tangent_of(b, dx) if isinstance(dx.type, SumType) else dx
                     for k, dx in zip(wrt, f.body.params[len(body.params):], strict=True)}
            dots = [given.get(k) or zero(b, params[k]) for k in self._carriers(a)]
            types = [v.type for v in body.results]
            types += [tangent_type(body.results[k].type) for k in sorted(a.results)]
            out = b.emit(p.control.call, *params, *dots, callee=inner, types=tuple(types))
            results = out[: len(body.results)]
            found = dict(zip(sorted(a.results), out[len(body.results):], strict=True))
            dy = [found.get(k) or zero(b, v) for k, v in enumerate(results) if is_differentiable(v.type)]
            dy = [with_tangent(b, v, d) if isinstance(v.type, SumType) else d
                  for v, d in zip(filter(_moves, results), dy, strict=True)]
            f.body.results = (*results, *dy)
        return f.name

    @staticmethod
    def _carriers(a: Activity) -> list[int]:
        """The parameters that come with a tangent: the active ones, and arrays that something active is written to."""
        return sorted(k for k in a.params | a.touched if is_differentiable(a.function.body.params[k].type))

    def derivative(self, callee: str, a: Activity) -> str:
        """The function (params, tangents of carriers) -> (results, tangents of active results)."""
        key = callee, a.params
        if key not in self._names:
            body, carriers = a.function.body, self._carriers(a)
            types = [*(v.type for v in body.params), *(tangent_type(body.params[k].type) for k in carriers)]
            names = [*(v.name for v in body.params), *(f"d{body.params[k].name}" for k in carriers)]
            n = len(body.params)
            mut = a.function.mut | {n + j for j, k in enumerate(carriers) if k in a.function.mut}
            b = self.builder
            with building(b), b.at(a.function.span), b.function(f"{callee}_dot", types, names, mut=frozenset(mut)) as f:
                self._names[key] = f.name
                replay = _Forward(self, a)
                for k, dot in zip(carriers, f.body.params[n:], strict=True):
                    replay.dots[body.params[k]] = dot
                results = replay.run(body, f.body.params[:n])
                f.body.results = (*results, *(replay.dot(body.results[k]) for k in sorted(a.results)))
        return self._names[key]


class _Forward(Replay):
    """Replays one function with tangents. `dots` maps the old values to the tangents of the new ones."""

    def __init__(self, mode: ForwardMode, activity: Activity) -> None:
        super().__init__(mode.builder)
        self.mode, self.activity = mode, activity
        self.dots: dict[Value, Value] = {}

    def dot(self, v: Value) -> Value:
        """The tangent of an old value, a zero made here if it has none."""
        if v not in self.dots:
            made = zero(self.builder, self.value(v))
            if isinstance(v.type, Scalar):
                return made
            self.dots[v] = made
        return self.dots[v]

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
            terms = [self.builder.emit1(op, self.dots[x], operands[1], **attrs)] if x in self.dots else []
            terms += [self.builder.emit1(op, operands[0], self.dots[y], **attrs)] if y in self.dots else []
            self.dots[node.result] = self._sum(terms)
        elif op is p.record.construct:
            super().node(node)
            t = node.attrs["type"]
            fields = [self.dot(v) for v in node.operands if is_differentiable(v.type)]
            self.dots[node.result] = self.builder.emit1(op, *fields, type=tangent_type(t), tag=node.attrs["tag"])
        elif op is p.record.project:
            super().node(node)
            t = node.operands[0].type
            assert isinstance(t, SumType)
            field = field_of_tangent(t, attrs["tag"], attrs["field"])
            self.dots[node.result] = self.builder.emit1(op, self.dots[node.operands[0]], **{**attrs, "field": field})
        elif op in TANGENTS:
            super().node(node)
            dots = tuple(Rep(self.dots[v]) if v in self.dots else None for v in node.operands)
            found = TANGENTS[op](tuple(map(Rep, self.values(node.results))), tuple(map(Rep, operands)), dots, **attrs)
            self.dots.update((v, d.value) for v, d in zip(node.results, found, strict=True))
        else:
            self._by_rule(node, operands, attrs)

    def _linear(self, node: Node, operands: tuple[Value, ...], attrs: dict[str, Any]) -> None:
        b, positions = self.builder, LINEAR[node.op]
        positions = tuple(range(len(operands))) if positions is None else positions
        if node.op in (p.scalar.add, p.scalar.sub):
            x, y = node.operands
            if x in self.dots and y in self.dots:
                self.dots[node.result] = b.emit1(node.op, self.dots[x], self.dots[y])
            elif x in self.dots:
                self.dots[node.result] = self._own(self.dots[x], x, node.result)
            else:
                dy = self.dots[y]
                self.dots[node.result] = self._own(dy, y, node.result) if node.op is p.scalar.add else b.emit1(p.scalar.neg, dy)
            return
        dots = [self.dot(v) if k in positions else new for k, (v, new) in enumerate(zip(node.operands, operands, strict=True))]
        self.dots[node.result] = b.emit1(node.op, *dots, **attrs)

    def _own(self, dot: Value, *sharing: Value) -> Value:
        """A tangent that two values share: a copy, if either is an array that anything writes to."""
        effects, written = self.mode.activities.effects, self.mode.written
        return self.builder.emit1(_a.copy, dot) if any(effects.roots(v) & written for v in sharing) else dot

    def _by_rule(self, node: Node, operands: tuple[Value, ...], attrs: dict[str, Any]) -> None:
        """Resume the reverse rule with a cotangent of one: it hands back the partial derivatives."""
        rule = RULES.get(node.op)
        if rule is None:
            raise StagingError(f"{node.op.name} has no derivative", node.span,
                               fix="wrap it in lms.stop_gradient, or give it a rule with @lms.derivative")
        b, name = self.builder, node.op.name
        steps = rule(*(Rep(v) for v in operands), **{k: v for k, v in attrs.items() if k != "fast"})
        primal = start(steps, name, node.span)
        self.bind(node.results, (primal.value,))
        partials = resume(steps, full(primal, 1.0), len(operands), name, node.span)
        terms = [(Rep(self.dots[v]) * partial).value
                 for v, partial in zip(node.operands, partials, strict=True) if v in self.dots and partial is not None]
        if not terms:
            return
        total = self._sum(terms)
        if node.op in (_a.reduce_prod, _a.reduce_max, _a.reduce_min):
            total = b.emit1(_a.reduce_sum, total, axes=attrs["axes"])
        self.dots[node.result] = total

    def _sum(self, terms: Sequence[Value]) -> Value:
        total = terms[0]
        for term in terms[1:]:
            total = self.builder.emit1(p.scalar.add, total, term)
        return total

    def _write(self, node: Node) -> None:
        super().node(node)
        target, value = node.operands[0], node.operands[WRITES[node.op]]
        if target not in self.dots or (node.op.effect.accumulates and value not in self.dots):
            return
        operands = list(self.values(node.operands))
        operands[0], operands[WRITES[node.op]] = self.dots[target], self.dot(value)
        self.builder.emit(node.op, *operands, **self.attrs(node.attrs))

    # ---------------------------------------------------------------------------------------- control

    def _control(self, node: Node) -> None:
        """Blocks with tangents: results and carried values that are active get a second slot at the end."""
        active = [k for k, v in enumerate(node.results) if v in self.activity]
        head = {"for": 3, "while": 0, "if": 1}[node.op.name]
        operands = [*self.values(node.operands)]
        if node.op is not p.control.if_:
            operands += [self.dot(node.operands[head + k]) for k in active]
        skip = 1 if node.op is p.control.for_ else 0
        blocks = [self._block(inner, skip, active, carries=node.op is not p.control.if_,
                              returns=node.op is not p.control.while_ or k == 1) for k, inner in enumerate(node.blocks)]
        types = tuple(map(self.type, node.attrs["types"]))
        attrs = {**self.attrs(node.attrs), "types": (*types, *(tangent_type(types[k]) for k in active))}
        names = [*(v.name for v in node.results), *(f"d{node.results[k].name}" for k in active)]
        new = self.builder.emit(node.op, *operands, blocks=blocks, names=names, **attrs)
        self.bind(node.results, new[: len(node.results)])
        for k, dot in zip(active, new[len(node.results):], strict=True):
            self.dots[node.results[k]] = dot

    def _block(self, block: Block, skip: int, active: Sequence[int], *, carries: bool, returns: bool) -> Block:
        carried = [block.params[skip + k] for k in active] if carries else []
        types = [*(self.type(v.type) for v in block.params), *(tangent_type(self.type(v.type)) for v in carried)]
        names = [*(v.name for v in block.params), *(f"d{v.name}" for v in carried)]
        outer = dict(self.dots)
        with self.builder.reify(types, names) as new:
            for v, dot in zip(carried, new.params[len(block.params):], strict=True):
                self.dots[v] = dot
            results = self.run(block, new.params[: len(block.params)])
            new.results = (*results, *(self.dot(block.results[k]) for k in active)) if returns else results
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
        if len(floats) != 1 or not isinstance(floats[0].type, Scalar):
            raise StagingError(f"{node.attrs['callee']} has a derivative for reverse mode only, and gives more than one float",
                               node.span, fix="differentiate it in reverse mode (`lms.grad`, `lms.vjp`)")
        types = (*map(self.type, node.attrs["types"]), first.body.results[-1].type)
        *new, frame = b.emit(p.control.call, *self.values(node.operands), callee=first.name, types=types)
        self.bind(node.results, new)
        wrt = [v for v in node.operands if is_differentiable(v.type)][: len(second.body.results)]
        partials = b.emit(p.control.call, frame, b.const(1.0, floats[0].type), callee=second.name,
                          types=tuple(self.type(v.type) for v in wrt))
        terms = [self._inner(partial, self.dots[v]) for v, partial in zip(wrt, partials, strict=True) if v in self.dots]
        if terms:
            self.dots[floats[0]] = self._sum(terms)

    def _ruled_forward(self, node: Node, rule: Function, floats: Sequence[Value]) -> None:
        """A call of a function with a rule for forward mode."""
        count = len(rule.body.params) - len(node.operands)
        moving = [v for v in node.operands if is_differentiable(v.type)][:count]
        types = [self.type(t) for t in node.attrs["types"]]
        types += [t for t in types if is_differentiable(t)]
        out = self.builder.emit(p.control.call, *self.values(node.operands), *(self.dot(v) for v in moving),
                                callee=rule.name, types=tuple(types))
        self.bind(node.results, out[: len(node.results)])
        self.dots.update(zip(floats, out[len(node.results):], strict=True))

    def _inner(self, x: Value, y: Value) -> Value:
        b = self.builder
        product = b.emit1(p.scalar.mul, x, y)
        rank = x.type.rank if isinstance(x.type, ArrayType) else 0
        return b.emit1(_a.reduce_sum, product, axes=tuple(range(rank)), fast=True) if rank else product

    def _call(self, node: Node) -> None:
        if "halves" in node.attrs:
            self._ruled(node)
            return
        key = frozenset(k for k, v in enumerate(node.operands) if v in self.activity)
        callee = node.attrs["callee"]
        a = self.mode.activities.of(callee, key)
        if not a.results and not a.touched:
            super().node(node)
            return
        name = self.mode.derivative(callee, a)
        dots = [self.dot(node.operands[k]) for k in self.mode._carriers(a)]
        types = tuple(map(self.type, node.attrs["types"]))
        active = sorted(a.results)
        new = self.builder.emit(p.control.call, *self.values(node.operands), *dots, callee=name,
                                types=(*types, *(tangent_type(types[k]) for k in active)),
                                names=[v.name for v in node.results])
        self.bind(node.results, new[: len(node.results)])
        for k, dot in zip(active, new[len(node.results):], strict=True):
            self.dots[node.results[k]] = dot


def expand_jvp(program: Program, node: Node) -> None:
    """Replace one `jvp` node, whose callee holds no derivative nodes itself, by a call of the derivative."""
    ForwardMode(program).expand(node)

