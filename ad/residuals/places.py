"""Where residuals stand: memory that is written once, a slot of it, and boxes, for what may not be there at all."""

from __future__ import annotations

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Value
from lms.core.types import ArrayType, Constructor, Scalar, Size, SumType, Type, symbol

_a = p.array


def residual(b: Builder, dtype: Scalar | SumType, *sizes: Value, dims: tuple[Size, ...] | None = None) -> Value:
    """Memory that is written once."""
    dims = dims or tuple(b.size_of(n) for n in sizes)
    return b.emit1(_a.empty, *sizes, dims=dims, dtype=dtype, residual=True)


def slot(b: Builder, whole: Value, k: Value) -> Value:
    """The array at position `k` of the first axis."""
    assert isinstance(whole.type, ArrayType)
    rank = whole.type.rank
    return b.emit1(_a.view, whole, k, spec=(("at",), *[("all",)] * (rank - 1)), dims=whole.type.dims[1:])


# ---------------------------------------------------------------------------------------------- boxes

# by identity of records: two programs may have different ones of one name
_boxes: dict[tuple[Scalar | int, int | None, str], tuple[Type, SumType]] = {}


def box_type(t: Type) -> SumType:
    """The record that holds one value of a type, or nothing: how handles are kept in arrays and returned by branches."""
    of = t.dtype if isinstance(t, ArrayType) else t
    assert isinstance(of, Scalar | SumType)
    key = of if isinstance(of, Scalar) else id(of), t.rank if isinstance(t, ArrayType) else None, getattr(t, "layout", "")
    if key not in _boxes:
        held: Type = ArrayType(of, tuple(symbol(f"d{k}") for k in range(t.rank)), t.layout) if isinstance(t, ArrayType) else t
        name = f"box_{of}" + (f"_{t.rank}{t.layout.replace('C', '')}" if isinstance(t, ArrayType) else "")
        _boxes[key] = t, SumType(name, (Constructor("none", ()), Constructor("some", (("value", held),))))
    return _boxes[key][1]


def box(b: Builder, v: Value) -> Value:
    return b.emit1(p.record.construct, v, type=box_type(v.type), tag=1)


def no_box(b: Builder, t: Type) -> Value:
    return b.emit1(p.record.construct, type=box_type(t), tag=0)


def needs_box(t: Type) -> bool:
    """Whether something has to stand for the absence of a value: numbers have zero, and some records (frames) begin with none."""
    return not isinstance(t, Scalar) and not (isinstance(t, SumType) and t.constructors and not t.constructors[0].fields)


def stand_in(b: Builder, t: Type) -> Value:
    """What a branch that has no value gives in its place."""
    if needs_box(t):
        return no_box(b, t)
    return b.const(0, t) if isinstance(t, Scalar) else b.emit1(p.record.construct, type=t, tag=0)


def unbox(b: Builder, boxed: Value, like: Value) -> Value:
    """The value in a box; an array has the dimensions that `like` had."""
    dims = {"dims": like.type.dims} if isinstance(like.type, ArrayType) else {}
    return b.emit1(p.record.project, boxed, tag=1, field=0, name=like.name, **dims)
