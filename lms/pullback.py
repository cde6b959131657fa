"""`vjp` outside staged code, as two programs: one runs the forward half and gives the value and the residuals, one takes these
and a cotangent and runs the backward half.

The residuals are arrays and numbers that Python owns, so the second may be called any number of times, in any thread, and what
was kept goes when the pullback goes. Where a residual is nothing that Python could hold (the frames of a recursion, arrays of
arrays), the arguments are kept in its place, and the second program runs the forward half again; it prints nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from inspect import Parameter
from inspect import Signature as PythonSignature
from typing import Any

from lms.ad import api as ad
from lms.ad.beside import beside, converted
from lms.ad.calls import unsized
from lms.ad.checkpoint.plans import Plans
from lms.ad.differentiate import Differentiate
from lms.ad.parted import written
from lms.core import primitives as p
from lms.core.builder import Builder, building, current
from lms.core.effects import Effects
from lms.core.ir import Function, Node, Program, Value, named, walk
from lms.core.types import ArrayType, Scalar, Type, i64, is_differentiable
from lms.passes.base import room
from lms.passes.clone import clone
from lms.staging import results
from lms.staging.annotations import staged_annotation
from lms.staging.arguments import Signature
from lms.staging.checkpoints import planned
from lms.staging.functions import Call
from lms.staging.rep import Rep
from lms.staging.tracer import tracer

from . import pipeline

_a, _c = p.array, p.control


class Backward:
    """The second program: what it is given, and which function of `program` runs the backward half.

    `result` is the specification of the value, which the cotangent is like; `arguments` are those of the arguments.
    """

    __slots__ = ("arguments", "function", "name", "program", "residuals", "result")  # no container, and nothing to look into

    def __init__(self, call: Call, name: str, program: Program, function: str, residuals: Sequence[Value],
                 arguments: Sequence[ad.Selected]) -> None:
        self.name, self.program, self.function = name, program, function
        self.residuals = [_apart(v.type) for v in residuals]
        self.result, self.arguments = call.result, [s.spec for s in arguments]

    @property
    def signature(self) -> Signature:
        """Residuals and sizes by position, then the cotangent."""

        def body(*args: Any) -> Any:
            return self.body(*args)

        types = (*self.residuals, *[i64] * len(self._unknown()))
        parameters = [Parameter(f"residual_{k}", Parameter.POSITIONAL_ONLY, annotation=staged_annotation(t))
                      for k, t in enumerate(types)]
        given = PythonSignature([*parameters, Parameter("cotangent", Parameter.POSITIONAL_ONLY)])
        body.__signature__ = given  # type: ignore[attr-defined]  # how functions state theirs
        body.__name__ = f"vjp({self.name})"
        made = Signature(body)
        made.span = None
        return made

    def _floats(self) -> list[Type]:
        return [t for t in results.leaf_types(self.result) if is_differentiable(t)]

    def _unknown(self) -> list[tuple[int, int]]:
        """The sizes of the value that are known when the program runs: of which float, along which axis."""
        return [(k, axis) for k, t in enumerate(self._floats()) if isinstance(t, ArrayType)
                for axis, d in enumerate(t.dims) if not isinstance(d, int)]

    def body(self, *args: Any) -> tuple[Any, ...]:
        """The cotangents of the arguments, from the residuals, sizes of the value, and a cotangent of it."""
        b, n = current(), len(self.residuals)
        sizes = iter([x.value for x in args[n:-1]])
        given = beside(self.result, args[-1], f"the result of {self.name}", "cotangent")
        seeds = [converted(x, _stand_in(t, sizes), path, "cotangent")
                 for (path, x), t in zip(given, self._floats(), strict=True)]
        function = self.program.functions[self.function]
        operands = [b.emit1(_a.copy, x.value) if k in function.mut else x.value for k, x in enumerate(args[:n])]
        out = b.emit(_c.call, *operands, *seeds, callee=_taken_over(self.program, self.function),
                     types=tuple(_apart(v.type) for v in function.body.results))
        wrt = sum(1 for spec in self.arguments for t in results.leaf_types(spec) if is_differentiable(t))
        rest = iter([Rep(v) for v in out[len(out) - wrt:]])
        return tuple(ad.like(spec, rest) for spec in self.arguments)


def forward(f: Callable[..., Any], count: int, checkpoint: str | None) -> Callable[..., Any]:
    """The first program's body: from the arguments to the value, residuals and sizes of the value, and a `Backward`."""

    def body(*primals: Any) -> tuple[Any, tuple[Any, ...], Backward]:
        call, signature = ad.prepare(f, primals, {})
        selected = ad.leading(call, signature, count)
        wrt = [k for s in selected for k in s.positions]
        program, first, second = _parted(call, wrt, checkpoint)
        b = current()
        if first is None:
            kept = [b.emit1(_a.copy, v) if isinstance(v.type, ArrayType) else v for v in call.operands]
            out = b.emit(_c.call, *call.operands, callee=call.function.name, types=call.types)
        else:
            n = len(call.types)
            made = b.emit(_c.call, *call.operands, callee=_taken_over(program, first),
                          types=(*call.types, *(_apart(v.type) for v in program.functions[first].body.results[n:])))
            out, kept = made[:n], _owned(program, first, made, n)
        back = Backward(call, signature.name, program, second, kept, selected)
        floats = [v for v in out if is_differentiable(v.type)]
        sizes = [b.dim(floats[k], axis) for k, axis in back._unknown()]
        return call.rebuild(out), tuple(map(Rep, (*kept, *sizes))), back

    return body


def _parted(call: Call, wrt: Sequence[int], checkpoint: str | None) -> tuple[Program, str | None, str]:
    """A program with both halves as functions. None for the first: the second is the whole derivative."""
    program = _differentiated(call, wrt, checkpoint, parted=True)
    both = _derivative(program)
    if both is not program.main:  # two halves that were inlined are no longer two
        first, second = (node.attrs["callee"] for node in both.body.nodes if node.op is _c.call)
        residuals = program.functions[first].body.results[len(call.types):]
        if all(map(_is_plain, residuals)) and written(program, first, second, len(call.types)) is not None:
            return program, first, second
    program = _differentiated(call, wrt, checkpoint, parted=False)
    return program, None, _derivative(program).name


def _differentiated(call: Call, wrt: Sequence[int], checkpoint: str | None, parted: bool) -> Program:
    """A program of its own, whose entry calls the derivative of a function. One that runs again prints nothing."""
    program = clone(Program({f.name: f for f in _reached(current().program, call.function.name)}))
    name = call.function.name
    if not parted and not any(n.op is _c.py_call for f in program.functions.values() for n in walk(f.body)):
        name = Plans(program).silent(name)
    body, b = program.functions[name].body, Builder(program)
    types = [*(v.type for v in body.params), *(v.type for v in body.results if is_differentiable(v.type))]
    attrs: dict[str, Any] = {"parted": True} if parted else {}
    with building(b), b.at(call.function.span), b.function("main", types, mut=call.function.mut) as main:
        main.body.results = b.emit(_c.vjp, *main.body.params, callee=name, wrt=tuple(wrt),
                                   types=tuple(v.type for v in body.results), **attrs, **planned(checkpoint))
    program.entry = main.name
    with room():
        return Differentiate(pipeline.simplify).run(program)


def _derivative(program: Program) -> Function:
    """The function that the entry does no more than call, or the entry itself where that was inlined."""
    main = program.main
    for node in main.body.nodes:
        if node.op is _c.call and node.operands == main.body.params and node.results == main.body.results:
            return program.functions[node.attrs["callee"]]
    return main


def _is_plain(v: Value) -> bool:
    """Whether Python can hold a value: a number, or an array of numbers without gaps."""
    t = v.type
    return isinstance(t, Scalar) or (isinstance(t, ArrayType) and isinstance(t.dtype, Scalar) and t.layout == "C")


def _owned(program: Program, first: str, made: Sequence[Value], n: int) -> list[Value]:
    """The residuals, which follow `n` results; copied where they are memory of an argument, of a result or of one another."""
    b, effects, body = current(), Effects(program), program.functions[first].body
    known = frozenset(r for v in (*body.params, *body.results[:n]) for r in effects.roots(v))
    out: list[Value] = []
    for v, mine in zip(made[n:], body.results[n:], strict=True):
        roots = effects.roots(mine) if isinstance(v.type, ArrayType) else frozenset()
        out.append(b.emit1(_a.copy, v) if roots & known else v)
        known |= roots
    return out


def _taken_over(program: Program, name: str) -> str:
    """A function of another program, and what it calls, among those of the one being staged; its name there."""
    into, names = tracer().program, dict[str, str]()
    functions = clone(Program({f.name: f for f in _reached(program, name)})).functions.values()
    for f in functions:
        names[f.name] = f.name = into.fresh_name(f.name)
        into.functions[f.name] = f
    for f in functions:
        for node in walk(f.body):
            _rename(node, names)
    return names[name]


def _rename(node: Node, names: dict[str, str]) -> None:
    if "callee" in node.attrs:
        node.attrs["callee"] = names[node.attrs["callee"]]


def _reached(program: Program, name: str) -> Iterator[Function]:
    """A function and all that it may call."""
    found, stack = {name}, [name]
    while stack:
        yield (f := program.functions[stack.pop()])
        for node in walk(f.body):
            more = [callee for callee in named(node) if callee not in found]
            found.update(more)
            stack += dict.fromkeys(more)


def _apart(t: Type) -> Type:
    """A type whose sizes, where they are known later, have names of their own."""
    if not isinstance(t, ArrayType):
        return t
    own = unsized(t)
    assert isinstance(own, ArrayType)
    return ArrayType(t.dtype, tuple(d if isinstance(d, int) else e for d, e in zip(t.dims, own.dims, strict=True)), t.layout)


def _stand_in(t: Type, sizes: Iterator[Value]) -> Value:
    """Something of the type of a float of the value; of an array only the shape is asked for."""
    b = current()
    if isinstance(t, Scalar):
        return b.const(0, t)
    if not isinstance(t, ArrayType) or not isinstance(t.dtype, Scalar):
        return Value(t)
    found = [b.const(d) if isinstance(d, int) else next(sizes) for d in t.dims]
    dims = tuple(d if isinstance(d, int) else b.size_of(n) for d, n in zip(t.dims, found, strict=True))
    return b.emit1(_a.empty, *found, dims=dims, dtype=t.dtype, name="result")
