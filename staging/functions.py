"""From Python functions to functions of a program: tracing, staged calls inside staged code, recursion.

A staged function is staged once for each combination of static arguments and argument types, in one program. Sizes that are
symbols are one combination, whatever the symbols. A call of a function that is still being staged is recursion.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from lms.core import primitives as p
from lms.core.builder import building, current
from lms.core.data import dataclass
from lms.core.effects import Effects
from lms.core.errors import ShapeError, StagingError, here, is_ours
from lms.core.ir import Function, Node, Program, Value, walk
from lms.core.types import ArrayType, Dim, Scalar, Size, SumType, Type, affine, fresh_symbol, symbol

from . import results, trees
from .arguments import Bound, Later, Now, Signature, identifier
from .dependencies import Dependency, Hidden, is_plain_object
from .rep import Rep, capture, lift_value
from .shapes import array_type, rename, require_equal, size_value
from .table import form
from .tracer import Tracer, tracer

DEPTH = 1_024  # how many functions may be staged inside each other


@dataclass(slots=True)
class Traced:
    """A program staged from a Python function, and how its calls go: leaves in, leaves out.

    The entry's parameters are the staged leaves of the arguments (`leaves`, named by `paths`), then the hidden arrays.
    """

    program: Program
    spec: tuple[Any, ...]
    leaves: tuple[Later, ...]
    paths: tuple[str, ...]
    hidden: tuple[Hidden, ...]
    result: Any
    dependencies: tuple[Dependency, ...]

    def current(self) -> bool:
        """Whether every global and closure cell that was read still holds what it held."""
        return all(d.holds() for d in self.dependencies)

    def rebuild(self, values: Sequence[Any]) -> Any:
        """The function's result from the program's results."""
        return results.rebuild(self.result, iter(values))


@dataclass(slots=True)
class Call:
    """A call of a function of the program, not made yet: what to emit, and how to read the results.

    `arguments` are the staged leaves of the arguments; `operands` are these and what the function captures.
    """

    function: Function
    arguments: tuple[Value, ...]
    operands: tuple[Value, ...]
    types: tuple[Type, ...]
    bound: Bound
    result: Any

    def emit(self, **attrs: Any) -> Any:
        """Make the call; give the result as the function's callers see it."""
        out = current().emit(p.control.call, *self.operands, callee=self.function.name, types=self.types, **attrs)
        return self.rebuild(out)

    def rebuild(self, values: Sequence[Value]) -> Any:
        """The result as a container of staged values."""
        return results.rebuild(self.result, map(Rep, values))


@dataclass(slots=True)
class _Entry:
    """A function of the program being staged or done: its sizes by declared name, its result once known."""

    function: Function
    result: Any
    named: dict[str, Size]
    dependencies: tuple[Dependency, ...] = ()
    finished: bool = False


# ------------------------------------------------------------------------------------------- from outside


class Restart(BaseException):
    """What is being staged found out that it must be made otherwise from the start. Not the user's business."""


def trace(function: Callable[..., Any], signature: Signature, bound: Bound) -> Traced:
    """Stage a call of `function` from outside: a program whose entry takes the staged leaves of the arguments."""
    while True:
        with suppress(Restart):
            return _trace(function, signature, bound)


def _trace(function: Callable[..., Any], signature: Signature, bound: Bound) -> Traced:
    program = Program()
    builder = Tracer(program)
    names = [identifier(path) for path in bound.paths]
    mut = frozenset(k for k, leaf in enumerate(bound.leaves) if leaf.mut)
    opened = builder.function(signature.name, [leaf.type for leaf in bound.leaves], names, mut=mut, span=signature.span,
                              doc=getattr(function, "__doc__", None) or "")
    with building(builder), _capturing(builder), _deep(), opened as main:
        program.entry = main.name
        out = run(function, signature, bound, _wrapped(bound, main))
        values, result = results.collect(out, results.declared(signature.result), signature.name)
        main.body.results = tuple(values)
    _settle_writes(program)
    hidden = tuple(h for h, _ in builder.hidden.values())
    inputs = {id(h.array): h.source for h in hidden if h.source is not None}
    read = [*(d for key, d in builder.dependencies.items() if key not in builder.inner), *_objects(bound.spec)]
    dependencies = tuple(d.fixed(inputs) for d in read)
    return Traced(program, bound.key, tuple(bound.leaves), tuple(bound.paths), hidden, result, dependencies)


def _objects(spec: Any) -> Iterator[Dependency]:
    """The objects among the static arguments (`self`, a model): what they hold is read while staging."""
    if isinstance(spec, dict):
        for name, part in spec.items():
            if isinstance(part, Now) and is_plain_object(part.value):
                yield Dependency({name: part.value}, name, part.value)
            elif isinstance(part, trees.Tree):
                yield from _objects({f"{name}[{k!r}]": inner for k, inner in zip(part.keys, part.parts, strict=True)})


@contextmanager
def _capturing(builder: Tracer) -> Iterator[None]:
    token = capture.set(builder.capture)
    try:
        yield
    finally:
        capture.reset(token)


@contextmanager
def _deep() -> Iterator[None]:
    """Room for functions that unfold while staging: our own limits speak before Python's."""
    with _limit:
        if not _raised:
            _raised.append(sys.getrecursionlimit())
            sys.setrecursionlimit(max(_raised[0], 40 * DEPTH))
        _raised.append(0)
    try:
        yield
    finally:
        with _limit:
            _raised.pop()
            if len(_raised) == 1:
                sys.setrecursionlimit(_raised.pop())


_limit = threading.Lock()
_raised: list[int] = []  # the limit as it was, and one more for every trace that is under way


def _wrapped(bound: Bound, function: Function) -> list[Rep]:
    """The parameters of a function as its body sees them."""
    return [leaf.wrap(v) for leaf, v in zip(bound.leaves, function.body.params, strict=True)]


def run(function: Callable[..., Any], signature: Signature, bound: Bound, leaves: Sequence[Any]) -> Any:
    """Run the (virtualised) function on its arguments, staged leaves replaced by `leaves`."""
    tracer().depend(function)
    args, kwargs = signature.arguments(bound, leaves)
    return _virtualized(form(function))(*args, **kwargs)


def _virtualized(function: Callable[..., Any]) -> Callable[..., Any]:
    from .source.virtualize import virtualize

    return function if is_ours(getattr(function, "__code__", _HERE)) else virtualize(function)


_HERE = _virtualized.__code__


# ------------------------------------------------------------------------------------ inside staged code


def call(function: Callable[..., Any], signature: Signature, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """A call of a staged function inside staged code."""
    return prepare(function, signature, args, kwargs).emit()


def prepare(function: Callable[..., Any], signature: Signature, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
    """The function of the program for these arguments, staged now unless it has been; the call is not made yet."""
    b = tracer()
    bound = signature.bind(args, kwargs)
    given = [_argument(value, leaf.type) for value, leaf in zip(bound.values, bound.leaves, strict=True)]
    sizes = _Sizes(given, bound.leaves)
    given = sizes.given
    statics = (function, *_without_types(bound))
    family = b.memo.setdefault(statics, {})
    types, shape = sizes.parameters(generalise=any(not e.finished for es in family.values() for e in es))
    for entry in family.setdefault(shape, []):
        if not entry.finished or all(d.holds() for d in entry.dependencies):
            break
    else:
        entry = _stage(b, function, signature, bound, types, sizes, family[shape])
    if entry.result is None:
        raise StagingError(f"{signature.name} calls itself, so its result type must be known before its body is", here(),
                           notes=(("it is defined here", signature.span),),
                           fix=f"annotate the result, with sizes by name: `def {signature.name}(...) -> Rep[f64]:`")
    result_types = sizes.outside(results.leaf_types(entry.result))
    named = iter(result_types)
    result = _retyped(entry.result, named)
    return Call(entry.function, tuple(given), (*given, *b.operands(entry.function.name)), tuple(result_types), bound, result)


def _argument(value: Any, t: Type) -> Value:
    if isinstance(t, Scalar):
        v = lift_value(value)
        if isinstance(v.type, ArrayType):
            v = current().emit1(p.array.load, v)
        return lift_value(Rep(v) if isinstance(value, Rep) else value, t)
    return lift_value(value, t if isinstance(t, SumType) else None)


def _without_types(bound: Bound) -> tuple[Any, ...]:
    """The arguments' specification without what `_Sizes` knows: the key of a family of functions that differ in types."""

    def strip(spec: Any) -> Any:
        if isinstance(spec, Later):
            return spec.mut, spec.weak
        return spec if isinstance(spec, Now) else trees.Tree(spec.cls, spec.keys, tuple(map(strip, spec.parts)), spec.extra)

    return tuple((name, strip(spec)) for name, spec in bound.spec.items())


def _stage(b: Tracer, function: Callable[..., Any], signature: Signature, bound: Bound, types: Sequence[Type], sizes: _Sizes,
           entries: list[_Entry]) -> _Entry:
    if len(b.entered) > DEPTH:
        raise StagingError(f"{signature.name} unfolds more than {DEPTH:,} deep: it recurses on arguments that are known now",
                           here(), fix="stage the argument that changes: annotate it `Rep[i64]`")
    wanted = sizes.inside(results.declared(signature.result))
    names = [identifier(path) for path in bound.paths]
    mut = frozenset(k for k, leaf in enumerate(bound.leaves) if leaf.mut)
    outer, b.dependencies = b.dependencies, {}
    with b.function(signature.name, types, names, mut=mut, span=signature.span,
                    doc=getattr(function, "__doc__", None) or "") as f:
        entry = _Entry(f, wanted if results.complete(wanted) else None, sizes.named)
        entries.append(entry)
        try:
            out = run(function, signature, bound, _wrapped(bound, f))
            values, result = results.collect(out, results.declared(signature.result), signature.name)
            f.body.results = _as_promised(values, entry.result, f)
        except BaseException:
            entries.remove(entry)
            raise
    entry.result = result if entry.result is None else entry.result
    entry.dependencies, entry.finished = tuple(b.dependencies.values()), True
    b.dependencies = outer | b.dependencies
    b.lift(f)
    return entry


def _as_promised(values: Sequence[Value], spec: Any, f: Function) -> tuple[Value, ...]:
    """Array results with the sizes that recursive calls were told, checked."""
    if spec is None:
        return tuple(values)
    out = []
    for v, t in zip(values, results.leaf_types(spec), strict=True):
        if isinstance(t, ArrayType):
            for axis, size in enumerate(t.dims):
                found = array_type(v).dims[axis]
                holder = next(((w, k) for w in f.body.params if isinstance(w.type, ArrayType)
                               for k, d in enumerate(w.type.dims) if d == size), None)
                if found != size and holder is not None:
                    require_equal(v, axis, *holder, f"the result of {f.name}")
            v = rename(v, t.dims)
            if v.type != t:
                v = current().emit1(p.array.copy, v)
        out.append(v)
    return tuple(out)


def _retyped(spec: Any, types: Iterator[Type]) -> Any:
    if isinstance(spec, Later):
        return Later(next(types), weak=spec.weak)
    if isinstance(spec, Now):
        return spec
    return trees.Tree(spec.cls, spec.keys, tuple(_retyped(s, types) for s in spec.parts), spec.extra)


class _Sizes:
    """The sizes of a call: what each declared name is for the caller, and what every size is called inside the callee."""

    def __init__(self, given: Sequence[Value], leaves: Sequence[Later]) -> None:
        self.names: dict[str, Size] = {}  # declared name -> size for the caller
        self.holders: dict[str, tuple[Value, int]] = {}
        self.given = [self._agree(v, leaf.type) for v, leaf in zip(given, leaves, strict=True)]
        self.callee: dict[Size, Size] = {}  # size for the caller -> size for the callee
        self.named: dict[str, Size] = {}

    def _agree(self, v: Value, stated: Type) -> Value:
        """An operand whose sizes are as declared, checked where that is not plain."""
        if not isinstance(stated, ArrayType) or stated == v.type:
            if isinstance(v.type, ArrayType):
                for axis, d in enumerate(v.type.dims):
                    if isinstance(d, Dim) and len(d.terms) == 1 and d == symbol(d.symbols[0]):
                        self.names.setdefault(d.symbols[0], d)
                        self.holders.setdefault(d.symbols[0], (v, axis))
            return v
        dims = list(array_type(v).dims)
        for axis, d in enumerate(stated.dims):
            if isinstance(d, Dim) and d == symbol(d.symbols[0]) and d.symbols[0] not in self.names:
                self.names[d.symbols[0]] = dims[axis]
                self.holders[d.symbols[0]] = v, axis
                continue
            expected = _size(d, self.names)
            if expected != dims[axis]:
                self._check(v, axis, d)
                dims[axis] = expected
        return rename(v, dims)

    def _check(self, v: Value, axis: int, d: Size) -> None:
        b = current()
        if isinstance(d, Dim) and d == symbol(d.symbols[0]):
            require_equal(v, axis, *self.holders[d.symbols[0]], f"both have the size {d}")
            return
        if isinstance(d, int):
            found = array_type(v).dims[axis]
            if isinstance(found, int):
                raise ShapeError(f"{v.name or 'an argument'}: {v.type} has size {found} where {d} is declared", here())
            want = b.const(d)
        else:
            want = b.const(d.const)
            for s, k in d.terms:
                w, a = self.holders[s]
                want = b.emit1(p.scalar.add, want, b.emit1(p.scalar.mul, b.const(k), size_value(array_type(w).dims[a], w, a)))
        have = b.dim(v, axis)
        b.emit(p.control.check, b.emit1(p.scalar.eq, have, want), have, want, error="ValueError",
               message=f"{v.name or 'an argument'} has size {{}} where {d} is {{}}")

    def parameters(self, generalise: bool) -> tuple[list[Type], tuple[Any, ...]]:
        """The types of the callee's parameters, and a key that is equal for calls that may share it.

        `generalise`: sizes that are known become symbols, so that recursion on ever smaller arrays comes back to itself.
        """
        order: dict[Size, int] = {}
        types: list[Type] = []
        key: list[Any] = []
        for v in self.given:
            t = v.type
            if not isinstance(t, ArrayType):
                types.append(t)
                key.append(t)
                continue
            dims: list[Size] = []
            for d in t.dims:
                if isinstance(d, int) and not (generalise and d != 1):
                    dims.append(d)
                else:
                    order.setdefault(d, len(order))
                    dims.append(self.callee.setdefault(d, fresh_symbol(identifier(v.name) or "d")))
            types.append(ArrayType(t.dtype, tuple(dims), t.layout))
            key.append((t.dtype, t.layout, tuple(-1 - order[d] if d in order else d for d in t.dims)))
        self.named = {name: self.callee.get(size, size) for name, size in self.names.items()}
        return types, tuple(key)

    def inside(self, spec: Any) -> Any:
        """A declared result as the callee sees it: names become the callee's sizes."""
        if not results.complete(spec):
            return spec
        return _retyped(spec, iter([_renamed(t, self.named) for t in results.leaf_types(spec)]))

    def outside(self, types: Sequence[Type]) -> list[Type]:
        """Result types as the caller sees them: sizes of arguments by the caller's names, others fresh for this call."""
        back: dict[str, Size] = {}
        for mine, theirs in self.callee.items():
            if isinstance(theirs, Dim):
                back[theirs.symbols[0]] = mine
        return [_renamed(t, back, fresh=True) for t in types]


def _size(d: Size, names: Mapping[str, Size]) -> Size:
    """A size with other names for its symbols."""
    return d if isinstance(d, int) else affine([(1, d.const), *((k, names.get(s, symbol(s))) for s, k in d.terms)])


def _renamed(t: Type, names: dict[str, Size], fresh: bool = False) -> Type:
    if not isinstance(t, ArrayType):
        return t
    dims: list[Size] = []
    for d in t.dims:
        if isinstance(d, Dim):
            for s in d.symbols:
                if s not in names and fresh:
                    names[s] = fresh_symbol(s.partition("$")[0])
        dims.append(_size(d, names))
    return ArrayType(t.dtype, tuple(dims), t.layout)


# ------------------------------------------------------------------------------------------------ writes


def _settle_writes(program: Program) -> None:
    """Inner functions may write to what they are given; the entry only to what is declared `Mut`. Raises `StagingError`."""
    effects = Effects(program)
    for function in program.functions.values():
        changed = effects.changed(function)
        written = frozenset(k for k, v in enumerate(function.body.params) if v in changed)
        if function.name != program.entry:
            function.mut |= written
        elif written - function.mut:
            _refuse_write(function.body.params[min(written - function.mut)], function, effects)


def _refuse_write(param: Value, function: Function, effects: Effects) -> None:
    node = _writer(param, function, effects)
    where = node.span if node else function.span
    notes = (("the function is defined here", function.span),) if function.span else ()
    raise StagingError(f"{param.name or 'an argument'} is written to, and is not declared so", where, notes=notes,
                       fix=f"annotate it `{param.name}: Mut[Array[...]]`, or work on a copy: `{param.name}.copy()`")


def _writer(param: Value, function: Function, effects: Effects) -> Node | None:
    """The innermost node that writes to a parameter."""
    found = [node for node in walk(function.body) if param in effects.of(node).changes]
    return found[-1] if found and found[-1].span else next((n for n in found if n.span), None)


