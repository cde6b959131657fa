"""What annotations say: which arguments are staged, with which type, and which are known now."""

from __future__ import annotations

from typing import Any

import numpy as np

from lms.core.data import dataclass
from lms.core.errors import StagingTypeError, here
from lms.core.types import SCALARS, ArrayType, Dim, Scalar, Size, SumType, bool_, c128, f64, i64, scalar_of, symbol

_BUILTIN: dict[Any, Scalar] = {float: f64, int: i64, bool: bool_, complex: c128}


@dataclass(frozen=True, slots=True)
class Annotation:
    """What one annotation says of an argument.

    `kind` is `rep` (staged) or `static` (known now); `type` is its type where the annotation states one (a `Type`, a class
    of records or containers, or None), `mut` whether it may be written to.
    """

    kind: str
    type: Any = None
    mut: bool = False


def scalar_type(x: Any) -> Scalar:
    """The scalar type that a name, a NumPy dtype, a Python type or one of `lms.f64` ... stands for."""
    if isinstance(x, Scalar):
        return x
    if isinstance(x, str) and x in SCALARS:
        return SCALARS[x]
    try:
        return _BUILTIN[x] if x in _BUILTIN else scalar_of(x)
    except (KeyError, TypeError):
        raise StagingTypeError(f"{x!r} is not a type of numbers", here(), fix=f"use one of {', '.join(SCALARS)}") from None


def size_of(x: Any) -> Size:
    """A dimension of an annotation: an int, a `Dim`, or text such as `"n"` or `"2*n+1"`."""
    if isinstance(x, int | np.integer):
        return int(x)
    if isinstance(x, Dim):
        return x
    if isinstance(x, str):
        return _parse_size(x)
    raise StagingTypeError(f"{x!r} is not a dimension", here(), fix="an int, a name such as \"n\", or `lms.dims(\"n\")`")


def _parse_size(text: str) -> Size:
    import ast

    def value(node: ast.expr) -> Any:
        match node:
            case ast.Name(id=name):
                return symbol(name)
            case ast.Constant(value=int(k)):
                return k
            case ast.BinOp(left=a, op=ast.Add(), right=b):
                return value(a) + value(b)
            case ast.BinOp(left=a, op=ast.Sub(), right=b):
                return value(a) - value(b)
            case ast.BinOp(left=a, op=ast.Mult(), right=b):
                return value(a) * value(b)
        raise StagingTypeError(f"{text!r} is not a dimension", here(), fix="sums of names and ints, such as \"2*n+1\"")

    try:
        size = value(ast.parse(text, mode="eval").body)
    except SyntaxError:
        raise StagingTypeError(f"{text!r} is not a dimension", here(), fix="sums of names and ints, such as \"2*n+1\"") from None
    assert isinstance(size, int | Dim)
    return size


def dims(names: str) -> Any:
    """Dimensions by name: several, or the one that is asked for. With `+`, `-` and `*` they make others.

        n, m = lms.dims("n m")

        @lms.stage
        def joined(x: Rep[Array[f64, n]], y: Rep[Array[f64, m]]) -> Rep[Array[f64, n + m]]:
            return np.concatenate([x, y])

        joined(np.ones(1), np.zeros(2))     # [1.0, 0.0, 0.0]
    """
    found = tuple(symbol(name) for name in names.replace(",", " ").split())
    return found[0] if len(found) == 1 else found


class Array:
    """`Array[f64, n, 3]`: the type of an array, its element type and its dimensions, in annotations.

    A dimension is an int, a name (`"n"`, or one of `lms.dims`), or a sum of such. Equal names are equal sizes: a call with others
    raises `lms.core.errors.ShapeError`, which is a `ValueError`.

        @lms.stage
        def dot(x: Rep[Array[f64, "n"]], y: Rep[Array[f64, "n"]]) -> Rep[f64]:
            return x @ y

        dot(np.ones(3), np.ones(3))     # 3.0
    """

    def __class_getitem__(cls, item: Any) -> ArrayType:
        dtype, *rest = item if isinstance(item, tuple) else (item,)
        return ArrayType(scalar_type(dtype), tuple(size_of(d) for d in rest))


class Mut:
    """`Mut[Array[f64, n]]`: an array argument that the function writes to.

        @lms.stage
        def double(x: Mut[Array[f64, "n"]]):
            x *= 2.0
            return x

        double(np.ones(2))      # [2.0, 2.0]
    """

    def __class_getitem__(cls, item: Any) -> Annotation:
        inner = staged_annotation(item)
        return Annotation(inner.kind, inner.type, mut=True)


class Static:
    """`Static[T]`: an argument known now; the function is specialised for each of its values.

        @lms.stage
        def scale(x: Rep[f64], by: Static[float]) -> Rep[f64]:
            return x * by

        scale(3.0, 2.0)     # 6.0
    """

    def __class_getitem__(cls, item: Any) -> Annotation:
        return Annotation("static", item)


def staged_annotation(item: Any) -> Annotation:
    """What `Rep[item]` says."""
    if isinstance(item, Annotation):
        return Annotation("rep", item.type, item.mut)
    return Annotation("rep", staged_type(item))


def staged_type(item: Any) -> Any:
    """The type that `item` in `Rep[item]` names: a `Type`, or a class (records, containers) left for the arguments to settle."""
    if isinstance(item, Scalar | ArrayType | SumType) or item is None:
        return item
    if isinstance(item, str) and item in SCALARS or item in _BUILTIN:
        return scalar_type(item)
    if isinstance(item, type) and issubclass(item, np.generic):
        return scalar_type(item)
    return item
