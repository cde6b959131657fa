"""What operators and subscripts do to values: numbers of now are computed, values of later become nodes of the program.

`make(node)` gives the function that the evaluator calls with the operands; the types are known by then.
"""

from __future__ import annotations

import operator as py
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.errors import LmsError, Span, StagingError
from lms.core.types import Scalar
from lms.staging.library import elementwise, ops
from lms.staging.library.creation import copy
from lms.staging.library.indexing import get, put
from lms.staging.rep import Rep, Weak

from ..check import typed as t
from ..check.types import AnyType, Later, dims_of, element, prune, show
from ..diagnostics import Diagnostic
from .lending import Lent, claim, lend_views
from .machine import charge

Run = Callable[..., Any]
Make = Callable[[t.Operation], Run]


def strong(x: Any) -> Any:
    """A staged value whose type does not adapt: the checker has decided all types."""
    return Rep(x.value) if isinstance(x, Weak) else x


def emitted(span: Span, f: Callable[..., Any]) -> Run:
    """`f`, whose nodes are placed at `span`, and whose errors are ours."""

    def run(*args: Any) -> Any:
        with current().at(span):
            try:
                return strong(f(*args))
            except Diagnostic:
                raise
            except LmsError as e:
                raise Diagnostic("E0501", e.message, span, fix=e.fix) from None

    return run


# ------------------------------------------------------------------------------------------------ operators

_LATER: dict[str, Callable[..., Any]] = {
    "+": ops.add, "-": ops.subtract, "*": ops.multiply, "@": ops.matmul, "**": ops.power, "<<": ops.left_shift,
    ">>": ops.right_shift,
    "&": ops.bitwise_and, "|": ops.bitwise_or, "^": ops.bitwise_xor, "==": ops.equal, "!=": ops.not_equal, "<": ops.less,
    "<=": ops.less_equal, ">": ops.greater, ">=": ops.greater_equal,
}
_NOW: dict[str, Callable[..., Any]] = {
    "+": py.add, "-": py.sub, "*": py.mul, "&": py.and_, "|": py.or_, "^": py.xor, "==": py.eq, "!=": py.ne, "<": py.lt,
    "<=": py.le, ">": py.gt, ">=": py.ge,
}


def operator(op: str) -> Make:
    """The meaning of `left op right`."""

    def make(node: t.Operation) -> Run:
        left = prune(node.args[0].type)
        if isinstance(prune(node.type), Later):
            dtype = element(left)
            return emitted(node.span, later_operator(op, dtype))
        if isinstance(left, Scalar):
            return now(op, left, node.span)
        return joined if op == "+" else _NOW[op]

    return make


def joined(xs: Any, ys: Any) -> Any:
    """Two lists or two strings, one behind the other."""
    both = xs + ys
    charge(len(both) // 16)
    return both


def later_operator(op: str, dtype: Scalar | None) -> Callable[..., Any]:
    """An operator on values of later, whose elements are of a type."""
    if dtype is not None and op in "/%":
        return divided(op, dtype)
    return _whole_power_later if op == "**" and dtype is not None and dtype.is_int else _LATER[op]


def _whole_power_later(x: Any, y: Any) -> Any:
    known = elementwise.constant(y)
    if known is not None and known < 0:
        raise StagingError("a whole number to a negative power is no whole number", fix="convert it: `f64(x) ** y`")
    if known is None and any(isinstance(v, Rep) and v.ndim for v in (x, y)):
        raise StagingError("whole numbers in arrays have powers that are known now only",
                           fix="convert them: `f64(x) ** f64(y)`, or write a comprehension")
    return ops.power(x, y)


def divided(op: str, dtype: Scalar) -> Callable[..., Any]:
    """`/` and `%` of later: whole numbers are cut off towards zero, a remainder has the sign of the dividend."""
    if dtype.is_float:
        return ops.divide if op == "/" else ops.fmod

    def run(x: Any, y: Any) -> Any:
        elementwise.guard_division(y, "integer division or modulo by zero")
        return elementwise.apply(p.scalar.quot if op == "/" else p.scalar.rem, x, y, kinds="iu")

    return run


def now(op: str, dtype: Scalar, span: Span) -> Run:
    """The meaning of an operator on numbers that are known: whole numbers that do not fit are an error."""
    if op in ("==", "!=", "<", "<=", ">", ">=") or dtype.kind == "b":
        return _NOW[op]
    if dtype.is_float:
        return _floats(op, dtype)
    f = _INTEGERS.get(op, _NOW.get(op, py.add))
    low, high = (0, 2**dtype.bits) if dtype.kind == "u" else (-(2 ** (dtype.bits - 1)), 2 ** (dtype.bits - 1))

    def run(x: int, y: int) -> int:
        try:
            value = f(x, y)
        except ZeroDivisionError:
            raise Diagnostic("E0502", f"{x} {op} 0: division by zero", span) from None
        except ValueError as e:
            raise Diagnostic("E0502", str(e), span) from None
        if not low <= value < high:
            raise Diagnostic("E0503", f"{x} {op} {y} does not fit in `{dtype}`", span,
                             fix="compute with a wider type, or later, where numbers wrap")
        return int(value)

    return run


def _cut(x: int, y: int) -> int:
    q = abs(x) // abs(y)
    return q if (x < 0) == (y < 0) else -q


def _whole_power(x: int, y: int) -> int:
    if y < 0:
        raise ValueError(f"{x} ** {y}: a whole number to a negative power")
    if abs(x) > 1 and y > 64:
        return 2**64  # does not fit in anything
    return int(x**y)


def _shifted(f: Callable[[int, int], int]) -> Callable[[int, int], int]:
    def run(x: int, y: int) -> int:
        if y < 0:
            raise ValueError(f"shifted by {y}: a negative count")
        return f(x, min(y, 64))

    return run


_INTEGERS: dict[str, Callable[[int, int], int]] = {
    "/": _cut, "%": lambda x, y: x - y * _cut(x, y), "**": _whole_power, "<<": _shifted(py.lshift), ">>": _shifted(py.rshift)}
_FLOATS: dict[str, Any] = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "%": np.fmod, "**": np.power}


def _floats(op: str, dtype: Scalar) -> Run:
    f, kind = _FLOATS[op], dtype.dtype.type

    def run(x: float, y: float) -> float:
        with np.errstate(all="ignore"):
            return float(f(kind(x), kind(y)))

    return run


def unary_operator(op: str) -> Make:
    def make(node: t.Operation) -> Run:
        type = prune(node.type)
        if isinstance(type, Later):
            return emitted(node.span, ops.negative if op == "-" else ops.logical_not)
        if op == "!":
            return py.not_
        assert isinstance(type, Scalar)
        if type.is_float:
            return py.neg
        minus = now("-", type, node.span)
        return lambda x: minus(0, x)

    return make


# ----------------------------------------------------------------------------------------------- conversion


def converted(node: t.Operation) -> Run:
    """`f64(x)`: to another element type; of the same stage."""
    target, source = element(node.type), element(node.args[0].type)
    assert target is not None and source is not None
    if isinstance(prune(node.type), Later):
        return emitted(node.span, lambda x: elementwise.cast(x, target))
    return lambda x: number_of(x, target, node.span)


def number_of(x: Any, target: Scalar, span: Span) -> Any:
    """A number of now in another type."""
    if target.is_float:
        with np.errstate(all="ignore"):
            return float(target.dtype.type(x))
    if target.kind == "b":
        return bool(x)
    try:
        value = int(x)
    except (ValueError, OverflowError):
        raise Diagnostic("E0503", f"{x} is no whole number", span) from None
    low, high = (0, 2**target.bits) if target.kind == "u" else (-(2 ** (target.bits - 1)), 2 ** (target.bits - 1))
    if not low <= value < high:
        raise Diagnostic("E0503", f"{x} does not fit in `{target}`", span)
    return value


# ----------------------------------------------------------------------------------------------- subscripts


def size_of(node: t.Operation) -> Run:
    axis = node.options["axis"]
    return emitted(node.span, lambda x: Rep(current().dim(x.value, axis)))


def indexing(kind: str) -> Make:
    return {"range": _range, "slice": _slice, "item": _item, "load": _load}[kind]


def _range(node: t.Operation) -> Run:
    extra = 1 if node.options["inclusive"] else 0
    if not node.type.later:  # type: ignore[union-attr]  # the type of a range

        def run(start: int, stop: int, step: int = 1) -> range:
            if step == 0:
                raise Diagnostic("E0502", "the step of this range is 0", node.span)
            return range(start, stop + (extra if step > 0 else -extra), step)

        return run
    from lms.staging.control.iterables import Range

    def later(start: Any, stop: Any, step: int = 1) -> Any:
        if step == 0:
            raise Diagnostic("E0502", "the step of this range is 0", node.span)
        return Range(start, ops.add(stop, extra if step > 0 else -extra) if extra else stop, step)

    return emitted(node.span, later)


def _slice(node: t.Operation) -> Run:
    has_start, has_stop, inclusive = (node.options[k] for k in ("start", "stop", "inclusive"))

    def run(xs: Any, *ends: int) -> Any:
        start = ends[0] if has_start else 0
        stop = ends[-1] + inclusive if has_stop else len(xs)
        if not 0 <= start <= len(xs) or not stop <= len(xs) or stop < 0:
            raise Diagnostic("E0504", f"{start}..{stop} lies outside 0..{len(xs)}", node.span)
        return xs[start:stop]

    return run


def _item(node: t.Operation) -> Run:
    span, text = node.span, show(node.args[0].type) == "string"

    def run(xs: Any, k: int) -> Any:
        if not 0 <= k < len(xs):
            raise Diagnostic("E0504", f"there is no element {k}: the length is {len(xs)}", span)
        return byte(xs[k], span) if text else xs[k]

    return run


def byte(character: str, span: Span) -> int:
    """A character of a string as `u8`."""
    if ord(character) > 255:
        raise Diagnostic("E0503", f"`{character}` does not fit in `u8`", span)
    return ord(character)


def key_of(kinds: list[Any], values: list[Any]) -> Any:
    """Subscripts of an array as NumPy has them."""
    rest = iter(values)
    key: list[Any] = []
    for kind in kinds:
        if not isinstance(kind, tuple):
            key.append(next(rest))
            continue
        has_start, has_stop, has_step, inclusive = kind
        start = _end(next(rest)) if has_start else None
        stop = _end(next(rest)) if has_stop else None
        if inclusive and stop is not None:
            stop = ops.add(stop, 1)
        key.append(slice(start, stop, next(rest) if has_step else None))
    return tuple(key)


def told(node: t.Operation) -> Callable[[Sequence[Any]], None]:
    """Looks at the subscripts of a node when they are known: parts that are cut at numbers of now, in arrays of known sizes."""
    kinds, parts = node.options["kinds"], node.args[1:]
    asked: list[tuple[int, int, int]] = []  # which part, what is added to it, the size
    place = 0
    sizes = dims_of(node.args[0].type) if "array" not in kinds else ()  # a mask may stand for several axes
    for kind, size in zip(kinds, sizes, strict=False):
        ends = [k for k, there in enumerate(kind[:2]) if there] if isinstance(kind, tuple) else []
        for j, end in enumerate(ends):
            if isinstance(size, int) and isinstance(parts[place + j], t.Lift):
                asked.append((place + j, int(kind[3] and end == 1), size))
        place += sum(kind[:3]) if isinstance(kind, tuple) else 1

    def look(values: Sequence[Any]) -> None:
        for k, extra, size in asked:
            within(elementwise.constant(values[k]) + extra, size, node.span)

    return look


def within(end: int, size: Any, span: Span) -> None:
    """Refuse a part of an array that is known not to be there; later, as in NumPy, a part ends with the array."""
    if isinstance(size, int) and end > size:
        raise Diagnostic("E0306", f"this part goes to {end}, and the array has {size} element{'s' * (size != 1)} there", span,
                         fix="leave the end out to go as far as the array does: `a[1..]`")


def _end(k: Any) -> Any:
    """An end of a part, which is counted from 0."""
    known = elementwise.constant(k)
    if known is None or known < 0:
        elementwise.check(ops.greater_equal(k, 0), "IndexError", "a part of an array begins and ends at 0 or above, found {}", k)
    return k


def _load(node: t.Operation) -> Run:
    kinds, look = node.options["kinds"], told(node)

    def run(a: Any, *values: Any) -> Any:
        look(values)
        return lend_views(get(a, key_of(kinds, list(values)), wraps=False), (a,))

    return emitted(node.span, run)


def copied(node: t.Operation) -> Run:
    """An array as the beginning of a variable: a copy, where it may be read only and the variable is written to."""
    if not node.options["copies"].needed:
        return lambda x: x
    return emitted(node.span, lambda x: copy(x) if isinstance(x, Lent) else x)


def storing(op: str) -> Make:
    """`a[i] = x`, and `a[i] op= x`."""

    def make(node: t.Operation) -> Run:
        kinds, look = node.options["kinds"], told(node)
        dtype = element(node.args[0].type)
        assert dtype is not None
        f = None if not op else later_operator(op, dtype)

        def run(a: Any, *values: Any) -> Any:
            claim(a, node.span)
            *keys, value = values
            look(keys)
            key = key_of(kinds, keys)
            put(a, key, value if f is None else f(get(a, key, wraps=False), value), wraps=False)
            return ()

        return emitted(node.span, run)

    return make


# ---------------------------------------------------------------------------------------------------- lifts


def lifted(x: Any, type: AnyType, have: AnyType, span: Span) -> Any:
    """A value of now as one of later."""
    from ..check.types import Array, DataOf, ListOf, TupleOf
    from .data import staged_type

    type, have = prune(type), prune(have)
    if isinstance(x, Rep):
        return x
    if isinstance(type, TupleOf) and isinstance(have, TupleOf):
        return tuple(lifted(v, g, h, span) for v, g, h in zip(x, type.items, have.items, strict=True))
    if isinstance(type, ListOf) and isinstance(have, ListOf):
        return [lifted(v, type.item, have.item, span) for v in x]
    assert isinstance(type, Later)
    inner = prune(type.inner)
    if isinstance(inner, DataOf):
        return staged_type(inner).lift(x, span)
    dtype = inner.dtype if isinstance(inner, Array) else inner
    assert isinstance(dtype, Scalar)
    with current().at(span):
        return Rep(current().const(x, dtype))
