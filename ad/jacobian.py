"""Jacobians: many directions of one function.

Forward, the directions go through in chunks: one sweep computes the function once, and its tangents in the lanes. In
reverse, the forward half runs once, the backward half for every element of the result. `dense` takes what is less work, by
the shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lms.core import primitives as p
from lms.core.builder import Builder, current
from lms.core.data import dataclass
from lms.core.errors import StagingTypeError, here
from lms.core.ir import Value
from lms.core.types import ArrayType, Scalar, Size, SumType, Type, f64, i64, is_differentiable
from lms.staging.functions import Call

from .lanes import Lanes
from .residuals.places import slot
from .rules.complex import is_complex
from .tangents import Dot

_a, _s = p.array, p.scalar

LANES = 8  # directions of one sweep at most: a cache line, one or two vector registers
DEAR = 2  # columns that cost as much as a row: the forward half is shared by all rows
FEW = 16  # results that are taken in reverse where the number of arguments is known later


@dataclass(frozen=True)
class Part:
    """Among some values, one that is a float or an array of floats; its elements are numbered from `first` on."""

    position: int
    type: Type
    sizes: tuple[Value, ...]
    first: Value
    count: Value

    @property
    def is_array(self) -> bool:
        return isinstance(self.type, ArrayType)  # one without axes too

    @property
    def dims(self) -> tuple[Size, ...]:
        return self.type.dims if isinstance(self.type, ArrayType) else ()

    @property
    def dtype(self) -> Scalar:
        t = self.type.dtype if isinstance(self.type, ArrayType) else self.type
        assert isinstance(t, Scalar)
        return t


def parts(values: Sequence[Value], positions: Sequence[int]) -> tuple[list[Part], Value]:
    """The values at some positions, end to end, and how many elements they have. Raises `StagingTypeError` for records."""
    b = current()
    out: list[Part] = []
    total = b.const(0)
    for k in positions:
        t = values[k].type
        inner = t.dtype if isinstance(t, ArrayType) else t
        if not (isinstance(inner, Scalar) and inner.is_float):
            what = "a record" if isinstance(inner, SumType) else "complex"
            raise StagingTypeError(f"a Jacobian is of floats and arrays of floats by the same, and {t} is {what}", here(),
                                   fix="take one direction at a time: `lms.jvp`, `lms.vjp`")
        sizes = b.dims(values[k]) if isinstance(t, ArrayType) else ()
        count = b.const(1)
        for n in sizes:
            count = b.emit1(_s.mul, count, n)
        out.append(Part(k, t, sizes, total, count))
        total = b.emit1(_s.add, total, count)
    return out, total


# -------------------------------------------------------------------------------------------------- dense


def dense(call: Call, positions: Sequence[int]) -> list[list[Value]]:
    """For each float result its Jacobian by each of the arguments at `positions`, whose axes come last."""
    arguments, columns = parts(call.operands, positions)
    if not _in_reverse(call, arguments):
        found = forward(call, arguments, columns, unit)
        return [[_columns_of(whole, part, arguments) for part in arguments] for whole in found]
    results, found = reverse(call, arguments, one_at_a_time)
    return [[_rows_of(whole, part, results) for whole in found] for part in results]


def _in_reverse(call: Call, arguments: Sequence[Part]) -> bool:
    """Whether there are so few results, all floats, that a sweep for each is less work."""
    if any(map(is_complex, call.types)):
        return False
    rows, columns = _count(_floats(call)), _count([part.type for part in arguments])
    return rows is not None and (rows <= FEW if columns is None else DEAR * rows <= columns)


def _floats(call: Call) -> list[Type]:
    return [t for t in call.types if is_differentiable(t)]


def _count(types: Sequence[Type]) -> int | None:
    """How many floats there are, if that is known now."""
    total = 0
    for t in types:
        n = 1
        for d in t.dims if isinstance(t, ArrayType) else ():
            if not isinstance(d, int):
                return None
            n *= d
        total += n
    return total


def _dims(t: Type) -> tuple[Size, ...]:
    return t.dims if isinstance(t, ArrayType) else ()


def _columns_of(whole: Value, part: Part, arguments: Sequence[Part]) -> Value:
    """The columns of one argument, in its shape."""
    b = current()
    if len(arguments) > 1:
        whole = b.emit1(_a.copy, _slice(whole, -1, part.first, part.count))
    assert isinstance(whole.type, ArrayType)
    if whole.type.rank == 1 and not part.dims:
        return b.emit1(_a.load, whole, b.const(0))
    sizes, dims = b.dims(whole)[:-1], whole.type.dims[:-1]
    return b.emit1(_a.reshape, whole, *sizes, *part.sizes, dims=(*dims, *part.dims))


def _rows_of(whole: Value, part: Part, results: Sequence[Part]) -> Value:
    """The rows of one result, in its shape."""
    b = current()
    if len(results) > 1:
        whole = b.emit1(_a.copy, _slice(whole, 0, part.first, part.count))
    assert isinstance(whole.type, ArrayType)
    if whole.type.rank == 1 and not part.dims:
        return b.emit1(_a.load, whole, b.const(0))
    sizes, dims = b.dims(whole)[1:], whole.type.dims[1:]
    return b.emit1(_a.reshape, whole, *part.sizes, *sizes, dims=(*part.dims, *dims))


def _slice(x: Value, axis: int, first: Value, count: Value) -> Value:
    assert isinstance(x.type, ArrayType)
    axis %= x.type.rank
    spec = tuple(("slice", 1) if k == axis else ("all",) for k in range(x.type.rank))
    dims = tuple(current().size_of(count) if k == axis else d for k, d in enumerate(x.type.dims))
    return current().emit1(_a.view, x, first, count, spec=spec, dims=dims)


# ------------------------------------------------------------------------------------------------ forward


Directions = Callable[[Part, Value, int], Dot]  # of an argument: those from a number on, so many


def forward(call: Call, arguments: Sequence[Part], count: Value, directions: Directions) -> list[Value]:
    """The derivatives of each float result in so many directions, which are the last axis of an array."""
    b = current()
    known = b.size_of(count)
    if isinstance(known, int) and known <= LANES:
        return [Lanes(b, known).packed(dot) for dot in _chunk(call, call.operands, arguments, b.const(0), known, directions)]
    n = -(-known // -(-known // LANES)) if isinstance(known, int) else LANES
    chunks = b.emit1(_s.floordiv, b.emit1(_s.add, count, b.const(n - 1)), b.const(n))
    padded = b.emit1(_s.mul, chunks, b.const(n))
    before = _copies(call, call.operands)
    outs = [_empty(b, v, padded) for v in _run(call) if is_differentiable(v.type)]
    with b.reify([i64], ["chunk"]) as body:
        first = b.emit1(_s.mul, body.params[0], b.const(n))
        for out, dot in zip(outs, _chunk(call, _copies(call, before), arguments, first, n, directions), strict=True):
            b.emit(_a.assign, _slice(out, -1, first, b.const(n)), Lanes(b, n).packed(dot))
    b.emit(p.control.for_, b.const(0), chunks, b.const(1), blocks=[body], types=())
    return [out if known == b.size_of(padded) else b.emit1(_a.copy, _slice(out, -1, b.const(0), count)) for out in outs]


def _chunk(call: Call, operands: Sequence[Value], arguments: Sequence[Part], first: Value, lanes: int,
           directions: Directions) -> list[Dot]:
    """The tangents of the float results in the directions from `first` on."""
    seeds = [d for part in arguments for d in directions(part, first, lanes)]
    out = current().emit(p.control.jvp, *operands, *seeds, callee=call.function.name, types=call.types, lanes=lanes,
                         wrt=tuple(part.position for part in arguments))
    rest = iter(out[len(call.types):])
    return [tuple(next(rest) for _ in p.control.tangents(t, lanes)) for t in _floats(call)]


def unit(part: Part, first: Value, lanes: int) -> Dot:
    """The directions along single elements, from the element numbered `first` on."""
    b = current()
    if not part.is_array:
        numbers = [b.emit1(_s.add, first, lane) for lane in Lanes(b, lanes).numbers()]
        return tuple(_hit(part, number, part.first) for number in numbers)
    dims, sizes = (*part.dims, lanes), (*part.sizes, b.const(lanes))
    lane = b.emit1(_a.iota, sizes[-1], dims=(lanes,), dtype=i64)
    offset = b.emit1(_a.broadcast, b.emit1(_s.sub, first, part.first), sizes[-1], dims=(lanes,), axes=())
    wanted = b.emit1(_a.broadcast, b.emit1(_s.add, lane, offset), *sizes, dims=dims, axes=(len(dims) - 1,))
    element = b.emit1(_a.broadcast, _numbered(part), *sizes, dims=dims, axes=tuple(range(len(part.dims))))
    return (_hit(part, element, wanted),)


def _hit(part: Part, element: Value, wanted: Value) -> Value:
    """One where the element is the wanted one, else zero."""
    return current().emit1(_s.convert, current().emit1(_s.eq, element, wanted), dtype=part.dtype)


def _numbered(part: Part) -> Value:
    """The elements of an array, numbered row by row."""
    b = current()
    flat = b.emit1(_a.iota, part.count, dims=(b.size_of(part.count),), dtype=i64)
    return b.emit1(_a.reshape, flat, *part.sizes, dims=part.dims)


# ------------------------------------------------------------------------------------------------ reverse


Cotangents = Callable[[Part, Value], Value]  # of a result: the one of a number


def reverse(call: Call, arguments: Sequence[Part], cotangents: Cotangents, count: Value | None = None
            ) -> tuple[list[Part], list[Value]]:
    """The results, and for each argument the derivatives of sums of their elements by it: one after another, first axis.

    There are as many as elements of results, or `count`. The forward half of the function runs once.
    """
    b = current()
    positions = [k for k, t in enumerate(call.types) if is_differentiable(t)]
    operands: Sequence[Value] = call.operands
    values = [Value(t) for t in call.types]
    if any(not isinstance(d, int) for k in positions for d in _dims(call.types[k])):  # it must run to tell
        operands = _copies(call, operands)
        values = list(_run(call))
    results, total = parts(values, positions)
    rows = total if count is None else count
    size = b.size_of(rows)
    if not results:
        return [], [b.emit1(_a.empty, rows, *part.sizes, dims=(size, *part.dims), dtype=part.dtype) for part in arguments]
    seeds = [b.emit1(_a.empty, rows, *part.sizes, dims=(size, *part.dims), dtype=part.dtype) for part in results]
    with b.reify([i64], ["row"]) as body:
        (row,) = body.params
        for seed, part in zip(seeds, results, strict=True):
            if part.is_array:
                b.emit(_a.assign, slot(b, seed, row), cotangents(part, row))
            else:
                b.emit(_a.store, seed, cotangents(part, row), row)
    b.emit(p.control.for_, b.const(0), rows, b.const(1), blocks=[body], types=())
    found = b.emit(p.control.vjp, *operands, *seeds, types=call.types, callee=call.function.name, rows=size,
                   wrt=tuple(part.position for part in arguments))
    return results, list(found[len(call.types):])


def one_at_a_time(part: Part, row: Value) -> Value:
    """A cotangent of one for the element numbered `row`, and zero for all others."""
    b = current()
    if not part.is_array:
        return _hit(part, row, part.first)
    wanted = b.emit1(_a.broadcast, b.emit1(_s.sub, row, part.first), *part.sizes, dims=part.dims, axes=())
    return _hit(part, _numbered(part), wanted)


def _run(call: Call) -> Sequence[Value]:
    """The function itself: what it gives, and what it leaves in the memory that it writes to."""
    return current().emit(p.control.call, *call.operands, callee=call.function.name, types=call.types)


def _copies(call: Call, operands: Sequence[Value]) -> list[Value]:
    """Operands of which those are copies that the function writes to."""
    return [current().emit1(_a.copy, v) if k in call.function.mut else v for k, v in enumerate(operands)]


def _empty(b: Builder, like: Value, columns: Value) -> Value:
    t = like.type
    sizes, dims, dtype = (b.dims(like), t.dims, t.dtype) if isinstance(t, ArrayType) else ((), (), t)
    return b.emit1(_a.empty, *sizes, columns, dims=(*dims, b.size_of(columns)), dtype=dtype)


# ------------------------------------------------------------------------------------------------ seeded


def along(call: Call, positions: Sequence[int], seed: Value) -> list[Value]:
    """The derivatives of each float result in directions that are the columns of `seed`: as many as lanes, or times that."""
    arguments, _ = parts(call.operands, positions)
    b = current()

    def directions(part: Part, first: Value, lanes: int) -> Dot:
        mine = b.emit1(_a.copy, _slice(_slice(seed, 0, part.first, part.count), 1, first, b.const(lanes)))
        if part.is_array:
            shaped = b.emit1(_a.reshape, mine, *part.sizes, b.const(lanes), dims=(*part.dims, lanes))
            return (_of_type(part, shaped),)
        return tuple(_of_type(part, b.emit1(_a.load, mine, b.const(0), lane)) for lane in Lanes(b, lanes).numbers())

    return forward(call, arguments, b.dim(seed, 1), directions)


def across(call: Call, positions: Sequence[int], seed: Value) -> list[Value]:
    """The derivatives, by each of the arguments, of sums of elements of the results with the weights in the rows of `seed`."""
    arguments, _ = parts(call.operands, positions)
    b = current()

    def cotangents(part: Part, row: Value) -> Value:
        spec = (("at",), ("all",))
        assert isinstance(seed.type, ArrayType)
        whole = b.emit1(_a.view, seed, row, spec=spec, dims=seed.type.dims[1:])
        if not part.is_array:
            return _of_type(part, b.emit1(_a.load, whole, part.first))
        mine = b.emit1(_a.copy, _slice(whole, 0, part.first, part.count))
        return _of_type(part, b.emit1(_a.reshape, mine, *part.sizes, dims=part.dims))

    return reverse(call, arguments, cotangents, b.dim(seed, 0))[1]


def _of_type(part: Part, x: Value) -> Value:
    return x if part.dtype == f64 else current().emit1(_s.convert, x, dtype=part.dtype)
