"""Operations on each element: operands get one element type, then one shape, then the operation."""

from __future__ import annotations

from typing import Any

import numpy as np

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.errors import StagingTypeError, here
from lms.core.ir import Value
from lms.core.primitives import Primitive
from lms.core.types import ArrayType, Scalar, bool_, c128, element, f64, i64

from ..joins import describe, is_weak, promote, weak_kind
from ..rep import Rep, Weak, lift_value
from ..shapes import broadcast

_KINDS = {"iufc": "a number", "fc": "a float or complex number", "f": "a real number", "iuf": "a real number",
          "biu": "an integer or bool", "iu": "an integer", "biuf": "a real number", "biufc": "a number", "b": "a bool"}


def admit(dtype: Scalar, kinds: str, *xs: Any) -> Scalar:
    """The nearest element type of one of the `kinds`: bools count as ints, ints as floats. Raises `StagingTypeError`."""
    if dtype.kind in kinds:
        return dtype
    if dtype.kind == "b" and "i" in kinds:
        return i64
    if dtype.kind in "biu" and "f" in kinds:
        return f64
    if dtype.kind in "biuf" and kinds == "c":
        return c128
    culprit = next((x for x in xs if isinstance(x, Rep)), xs[0])
    raise StagingTypeError(f"expected {_KINDS.get(kinds, kinds)}, found {describe(culprit)}", here())


def operand(x: Any, dtype: Scalar) -> Value:
    """One operand, converted; an array without axes is read."""
    v = lift_value(x, dtype)
    if isinstance(v.type, ArrayType) and v.type.rank == 0:
        return current().emit1(p.array.load, v)
    return v


def apply(op: Primitive, *xs: Any, kinds: str = "iufc", **attrs: Any) -> Rep:
    """The operation on all of `xs`, promoted and broadcast together."""
    dtype = admit(promote(*xs), kinds, *xs)
    out = current().emit1(op, *broadcast([operand(x, dtype) for x in xs]), **attrs)
    return Weak(out) if out.type in (i64, f64, c128) and all(weak_kind(x) for x in xs) else Rep(out)


def compare(op: Primitive, x: Any, y: Any, kinds: str) -> Rep:
    """A comparison. A Python int beside narrower integers need not fit: it is compared as it is."""
    dtype = admit(promote(x, y), kinds, x, y)
    if dtype.is_int and dtype.bits < 64 and any(weak_kind(v) is int and not _fits(v, dtype) for v in (x, y)):
        dtype = i64
    return Rep(current().emit1(op, *broadcast([operand(x, dtype), operand(y, dtype)])))


def _fits(x: Any, dtype: Scalar) -> bool:
    info, known = np.iinfo(str(dtype.dtype)), constant(x)
    return known is not None and info.min <= known <= info.max


def constant(x: Any) -> Any:
    """The number `x` is known to be now, else None."""
    if isinstance(x, Rep):
        return x.value.number
    return x if is_weak(x) or getattr(x, "ndim", 1) == 0 else None


def select(c: Any, x: Any, y: Any) -> Rep:
    """`x` where `c`, else `y`; both are evaluated. Records may be selected by a scalar condition."""
    condition = operand(truth(c), bool_)
    dtype = promote(x, y)
    return Rep(current().emit1(p.scalar.select, *broadcast([condition, operand(x, dtype), operand(y, dtype)])))


def truth(x: Any) -> Rep:
    """Whether each element is true: Python's rule for numbers."""
    v = lift_value(x)
    if isinstance(v.type, ArrayType) and v.type.rank == 0:
        v = current().emit1(p.array.load, v)
    return Rep(v) if element(v.type) == bool_ else apply(p.scalar.ne, Rep(v), 0, kinds="biufc")


def cast(x: Any, dtype: Scalar) -> Rep:
    """The elements in another type: truncates floats, wraps ints, as NumPy's `astype`; a fresh array."""
    v = lift_value(x)
    if element(v.type) == dtype:
        return anew(x)
    if dtype == bool_:
        return truth(Rep(v))
    return Rep(current().emit1(p.scalar.convert, v, dtype=dtype))


def anew(x: Any) -> Rep:
    """`x` as the result of an operation that has nothing to do: an array of its own, as NumPy gives."""
    v = lift_value(x)
    return Rep(current().emit1(p.array.copy, v)) if isinstance(v.type, ArrayType) else Rep(v)


def check(ok: Rep, error: str, message: str, *values: Any) -> None:
    """Raise `error` when the program runs and `ok` is false. `{}` in the message stand for the values."""
    b = current()
    flag = ok.value
    if isinstance(flag.type, ArrayType):
        flag = b.emit1(p.array.reduce_all, flag, axes=tuple(range(flag.type.rank)))
    b.emit(p.control.check, flag, *(lift_value(v) for v in values), error=error, message=message)


def guard_division(x: Any, message: str) -> None:
    """Integers are not divided by zero; a divisor that is known needs no check."""
    known = constant(x)
    if known is None or known == 0:
        check(apply(p.scalar.ne, x, 0, kinds="biu"), "ZeroDivisionError", message)


# ------------------------------------------------------------------------------------------- arithmetic


def arithmetic(op: Primitive, on_bools: Primitive | None, x: Any, y: Any) -> Rep:
    """`+ - *`: arrays of bools have NumPy's logic, single bools are Python's ints."""
    if promote(x, y) == bool_:
        out = broadcast([operand(x, bool_), operand(y, bool_)])
        if isinstance(out[0].type, ArrayType):
            if on_bools is None:
                raise StagingTypeError("arrays of bools cannot be subtracted", here(),
                                       fix="write `x ^ y`, or convert: `x.astype(lms.i64)`")
            return Rep(current().emit1(on_bools, *out))
    return apply(op, x, y)


def divide(x: Any, y: Any) -> Rep:
    """`/`: floats follow IEEE; single ints raise `ZeroDivisionError`, arrays of ints give inf as in NumPy."""
    if promote(x, y).kind in "biu" and not (getattr(x, "ndim", 0) or getattr(y, "ndim", 0)):
        guard_division(y, "division by zero")
    return apply(p.scalar.div, x, y, kinds="fc")


def floor_divide(x: Any, y: Any) -> Rep:
    if promote(x, y).kind in "biu":
        guard_division(y, "integer division or modulo by zero")
    return apply(p.scalar.floordiv, x, y, kinds="iuf")


def remainder(x: Any, y: Any) -> Rep:
    if promote(x, y).kind in "biu":
        guard_division(y, "integer modulo by zero")
    return apply(p.scalar.mod, x, y, kinds="iuf")


def fmod(x: Any, y: Any) -> Rep:
    """C's remainder, with the sign of `x`."""
    if promote(x, y).kind in "biu":
        guard_division(y, "integer modulo by zero")
    return apply(p.scalar.rem, x, y, kinds="iuf")


def power(x: Any, y: Any) -> Rep:
    """`**`. Small constant powers are exact products; integer powers of integers square and multiply, and wrap."""
    n = constant(y)
    dtype = promote(x, y)
    if dtype.kind in "biu":
        return _integer_power(x, y, n)
    if n is not None and not isinstance(n, complex) and promote(x, y) == promote(x, 1.0):
        if n == 2:
            return apply(p.scalar.mul, x, x, kinds="fc")
        if n == 1:
            return apply(p.scalar.mul, x, 1.0, kinds="fc")
    return apply(p.scalar.pow, x, y, kinds="fc")


def _integer_power(x: Any, y: Any, n: Any) -> Rep:
    if n is not None and n < 0:
        if getattr(x, "ndim", 0):
            raise StagingTypeError("integers to negative integer powers are not allowed", here(),
                                   fix="convert: `x.astype(lms.f64)`")
        return apply(p.scalar.pow, x, y, kinds="fc")
    if n is not None and n < 1024:
        return _power_by_squaring(x, int(n))
    if getattr(x, "ndim", 0) or getattr(y, "ndim", 0):
        raise StagingTypeError("an array of ints to a power that is known later is not supported", here(),
                               fix="convert: `x.astype(lms.f64)`, or write a loop")
    return _power_later(x, y)


def _power_by_squaring(x: Any, n: int) -> Rep:
    dtype = admit(promote(x, n), "iu")
    square, out = Rep(operand(x, dtype)), None
    if n == 1:
        return anew(square)
    while n:
        if n & 1:
            out = square if out is None else apply(p.scalar.mul, out, square)
        if n := n >> 1:
            square = apply(p.scalar.mul, square, square)
    return apply(p.scalar.add, apply(p.scalar.mul, square, 0), 1) if out is None else out


def _power_later(x: Any, y: Any) -> Rep:
    """Square and multiply in a loop over the bits of the exponent."""
    b = current()
    dtype = admit(promote(x, y), "iu")
    base, n = operand(x, dtype), operand(y, dtype)
    if dtype.kind == "i":
        check(apply(p.scalar.ge, Rep(n), 0, kinds="iu"), "ValueError", "integers to negative integer powers are not allowed")
    one, zero = b.const(1, dtype), b.const(0, dtype)
    types = (dtype, dtype, dtype)
    with b.reify(types, ("n", "square", "power")) as condition:
        condition.results = (b.emit1(p.scalar.gt, condition.params[0], zero),)
    with b.reify(types, ("n", "square", "power")) as body:
        m, square, out = body.params
        odd = b.emit1(p.scalar.ne, b.emit1(p.scalar.and_, m, one), zero)
        body.results = (b.emit1(p.scalar.shr, m, one), b.emit1(p.scalar.mul, square, square),
                        b.emit1(p.scalar.select, odd, b.emit1(p.scalar.mul, out, square), out))
    return Rep(b.emit(p.control.while_, n, base, one, blocks=(condition, body), types=types)[2])


def shift(op: Primitive, x: Any, y: Any) -> Rep:
    """`<<` and `>>`: a count as wide as the type or wider shifts everything out; a negative one is a `ValueError`."""
    dtype = admit(promote(x, y), "iu")
    n = constant(y)
    if n is None:
        if dtype.kind == "i":
            check(apply(p.scalar.ge, y, 0, kinds="iu"), "ValueError", "negative shift count")
    elif n < 0:
        raise StagingTypeError("negative shift count", here())
    elif n < dtype.bits:
        return apply(op, x, y, kinds="iu")
    fits = apply(p.scalar.lt, y, dtype.bits, kinds="iu")
    inside = apply(op, x, apply(p.scalar.minimum, y, dtype.bits - 1, kinds="iu"), kinds="iu")
    if op is p.scalar.shr and dtype.kind == "i":
        return inside
    return select(fits, inside, 0)


def absolute(x: Any) -> Rep:
    dtype = admit(promote(x), "iufc", x)
    if dtype.kind == "u":
        return anew(Rep(operand(x, dtype)))
    return apply(p.scalar.iabs if dtype.kind == "i" else p.scalar.abs, x)


def rounded(op: Primitive, x: Any) -> Rep:
    """floor, ceil, ...: ints are whole already."""
    return anew(Rep(operand(x, promote(x)))) if promote(x).is_int else apply(op, x, kinds="f")


def negative(x: Any) -> Rep:
    dtype = admit(promote(x), "iufc", x)
    return apply(p.scalar.sub, 0, x) if dtype.kind == "u" else apply(p.scalar.neg, x, kinds="ifc")


def dtype_of(x: Any) -> Scalar:
    """The element type of an operand."""
    return element(x.type) if isinstance(x, Rep) else promote(x)
