"""Slices of an axis whose size may be known later: Python's rules, clamping included."""

from __future__ import annotations

from typing import Any

from lms.core import primitives as p
from lms.core.builder import current, size_expression
from lms.core.errors import StagingTypeError, here
from lms.core.ir import Value
from lms.core.primitives import Primitive
from lms.core.types import Size

from ..joins import describe
from ..rep import Rep, size_arg
from ..shapes import array_type

_Int = int | Value  # known now, or later


def _op(op: Primitive, now: Any, a: _Int, b: _Int) -> _Int:
    if isinstance(a, int) and isinstance(b, int):
        return int(now(a, b))
    if op in (p.scalar.add, p.scalar.sub) and b == 0:
        return a
    if op is p.scalar.add and a == 0:
        return b
    return current().emit1(op, value(a), value(b))


def value(a: _Int) -> Value:
    return current().const(a) if isinstance(a, int) else a


def _add(a: _Int, b: _Int) -> _Int:
    return _op(p.scalar.add, lambda x, y: x + y, a, b)


def _sub(a: _Int, b: _Int) -> _Int:
    return _op(p.scalar.sub, lambda x, y: x - y, a, b)


def _min(a: _Int, b: _Int) -> _Int:
    return _op(p.scalar.minimum, min, a, b)


def _max(a: _Int, b: _Int) -> _Int:
    return _op(p.scalar.maximum, max, a, b)


def bound(k: Any) -> _Int | None:
    """One bound of a slice: None, an int, or an `i64` value."""
    if k is None:
        return None
    v = size_arg(k, "a bound of a slice")
    return v if v.number is None else int(v.number)


def positions(s: slice, a: Value, axis: int) -> tuple[Value, Value, Size, int]:
    """Where a slice of an axis starts, how many positions it has, that size as a dimension, and the step."""
    if isinstance(s.step, Rep):
        raise StagingTypeError(f"the step of a slice that is read must be known now, found {describe(s.step)}", here(),
                               fix="take a copy: `a[np.arange(start, stop, step)]`")
    step = 1 if s.step is None else int(s.step)
    if step == 0:
        raise StagingTypeError("slice step cannot be zero", here())
    size = array_type(a).dims[axis]
    n: _Int = size if isinstance(size, int) else current().dim(a, axis)
    start, stop = bound(s.start), bound(s.stop)
    if step < 0:
        first, count = _backward(start, stop, step, n)
        if start is None and stop is None and step == -1:
            return value(first), value(n), size, step
    else:
        first, count = _forward(start, stop, step, n)
    return value(first), value(count), _dimension(count, size), step


def strided(s: slice, a: Value, axis: int) -> Rep:
    """The positions of a slice whose step is known later, as an index array. Raises `ValueError` later for a step below 1."""
    from .creation import iota
    from .elementwise import check

    size = array_type(a).dims[axis]
    n: _Int = size if isinstance(size, int) else current().dim(a, axis)
    step = size_arg(s.step, "the step of a slice")
    positive = Rep(current().emit1(p.scalar.gt, step, value(0)))
    check(positive, "ValueError", "a step that is known later must be positive, found {}", Rep(step))
    first, span = _forward(bound(s.start), bound(s.stop), 1, n)
    rounded = _sub(_add(span, step), 1)
    count = current().emit1(p.scalar.floordiv, value(rounded), current().emit1(p.scalar.maximum, step, value(1)))
    return iota(Rep(count)) * Rep(step) + Rep(value(first))  # type: ignore[no-any-return]  # a staged value


def _dimension(count: _Int, whole: Size) -> Size:
    if isinstance(count, int):
        return count
    known = size_expression(count)
    return whole if known == whole else current().size_of(count)


def _forward(start: _Int | None, stop: _Int | None, step: int, n: _Int) -> tuple[_Int, _Int]:
    first = 0 if start is None else _clamped(start, n)
    from_front = start is None or (isinstance(start, int) and start >= 0)
    if step == 1 and from_front and (stop is None or (isinstance(stop, int) and stop < 0)):
        # `a[c:]`, `a[:-d]`, `a[c:-d]`: one form, so that equal sizes are seen to be equal
        cut = (start if isinstance(start, int) else 0) - (stop or 0)
        return first, n if cut == 0 else _max(_sub(n, cut), 0)
    last = n if stop is None else _clamped(stop, n)
    span = _sub(last, first)
    if step != 1:
        span = _op(p.scalar.floordiv, lambda x, y: x // y, _add(span, step - 1), step)
    return first, span if first == 0 and step == 1 else _max(span, 0)


def _clamped(k: _Int, n: _Int) -> _Int:
    """A bound as a position from 0 to n."""
    if isinstance(k, int):
        return _min(k, n) if k > 0 else 0 if k == 0 else _max(_add(n, k), 0)
    if k is n:
        return n
    return _from_end(k, _max(_add(k, n), 0), _min(k, n))


def _backward(start: _Int | None, stop: _Int | None, step: int, n: _Int) -> tuple[_Int, _Int]:
    end = _sub(n, 1)
    first = end if start is None else _clamped_back(start, n, end)
    last: _Int = -1 if stop is None else _clamped_back(stop, n, end)
    span = _op(p.scalar.floordiv, lambda x, y: x // y, _add(_sub(first, last), -step - 1), -step)
    return first, _max(span, 0)


def _clamped_back(k: _Int, n: _Int, end: _Int) -> _Int:
    """A bound as a position from -1 to n - 1."""
    if isinstance(k, int):
        return _min(k, end) if k >= 0 else _max(_add(n, k), -1)
    return _from_end(k, _max(_add(k, n), -1), _min(k, end))


def _from_end(k: Value, counted: _Int, plain: _Int) -> _Int:
    """A bound that is known later counts from the end if it is negative."""
    b = current()
    return b.emit1(p.scalar.select, b.emit1(p.scalar.lt, k, b.const(0)), value(counted), value(plain))
