"""Elementwise primitives: arithmetic, comparison, logic, the functions of `math`, conversion, selection.

Each takes scalars or arrays of one shape (broadcasting is an operation of its own) and gives the same shape.
Integers wrap; floats are IEEE; `floordiv` and `mod` are Python's (floor), `quot` and `rem` truncate as in C.
Division of integers by zero is guarded by a `check` when staged: the primitives themselves may assume it away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ShapeError, StagingTypeError
from ..lazy import special
from ..types import SCALARS, ArrayType, Scalar, SumType, Type, bool_, element, with_element
from .table import Attrs, Primitive, TypeRule, row

# ------------------------------------------------------------------------------------------- type rules


def same_shape(types: tuple[Type, ...]) -> Type:
    """The type (shape) that all operands share; the element types may differ."""
    first = types[0]
    for t in types[1:]:
        if t is not first and (isinstance(t, ArrayType) != isinstance(first, ArrayType) or (
            isinstance(t, ArrayType) and isinstance(first, ArrayType) and t.dims != first.dims
        )):
            raise ShapeError(f"shapes differ: {first} and {t}")
    return first


def same_elements(types: tuple[Type, ...], kinds: str, what: str) -> Scalar:
    """The element type that all operands share, of one of the kinds."""
    try:
        elements = [element(t) for t in types]
    except TypeError as e:
        raise StagingTypeError(str(e)) from None
    if elements.count(elements[0]) < len(elements):
        raise StagingTypeError(f"types differ: {' and '.join(map(str, elements))}")
    if elements[0].kind not in kinds:
        raise StagingTypeError(f"expected {what}, found {elements[0]}")
    return elements[0]


_WHAT = {"f": "a float", "i": "a signed integer", "c": "a complex number", "b": "a bool", "fc": "a float or complex number",
         "iufc": "a number", "iuf": "a real number", "iu": "an integer", "biu": "an integer or bool", "biufc": "a scalar",
         "biuf": "a real number or bool", "if": "a signed number", "ifc": "a signed number"}


def arity(n: int, types: tuple[Type, ...]) -> None:
    if len(types) != n:
        raise StagingTypeError(f"expected {n} operands, found {len(types)}")


def numeric(n: int, kinds: str) -> TypeRule:
    """`n` operands of one type to a result of that type."""

    def rule(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
        arity(n, types)
        return (with_element(same_shape(types), same_elements(types, kinds, _WHAT[kinds])),)

    return rule


def predicate(n: int, kinds: str) -> TypeRule:
    """`n` operands of one type to a bool for each element."""

    def rule(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
        arity(n, types)
        same_elements(types, kinds, _WHAT[kinds])
        return (with_element(same_shape(types), bool_),)

    return rule


def _to_real(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    arity(1, types)
    return (with_element(types[0], same_elements(types, "fc", _WHAT["fc"]).real),)


def _to_complex(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    arity(2, types)
    part = same_elements(types, "f", "a float")
    return (with_element(same_shape(types), SCALARS[f"c{2 * part.bits}"]),)


def _select(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    arity(3, types)
    if isinstance(types[1], SumType) and types[1] == types[2]:
        return (types[1],)
    same_elements(types[:1], "b", "a bool condition")
    same_shape(types)
    return (with_element(types[1], same_elements(types[1:], "biufc", "scalars")),)


def _convert(types: tuple[Type, ...], attrs: Attrs) -> tuple[Type, ...]:
    arity(1, types)
    source, target = same_elements(types, "biufc", "a scalar"), attrs["dtype"]
    if source.is_complex and not target.is_complex:
        raise StagingTypeError(f"cannot convert {source} to {target}: take `.real` or `abs`")
    return (with_element(types[0], target),)


# ------------------------------------------------------------------------------------------------- rows


def _row(name: str, rule: TypeRule, eager: Callable[..., Any], domain: tuple[float, float] = (-2.0, 2.0),
         commutative: bool = False) -> Primitive:
    return row(Primitive(name, rule, eager, elementwise=True, lowered=True, commutative=commutative, domain=domain))


def _quiet(f: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy without its warnings: IEEE results, integers that wrap."""

    def eager(*args: Any, **attrs: Any) -> Any:
        with np.errstate(all="ignore"):
            return f(*args, **attrs)

    eager.__name__ = getattr(f, "__name__", "eager")
    return eager


def _quot(x: Any, y: Any) -> Any:
    q = np.floor_divide(x, y)
    inexact = np.asarray((np.remainder(x, y) != 0) & ((x < 0) != (y < 0)))
    return q + inexact.astype(np.asarray(q).dtype)


def _convert_eager(x: Any, dtype: Scalar) -> Any:
    return np.asarray(x).astype(dtype.dtype)[()]


def _select_eager(c: Any, x: Any, y: Any) -> Any:
    return np.where(c, x, y) if np.ndim(c) else x if c else y


def _trigamma(x: Any) -> Any:
    return np.asarray(special.polygamma(1, x)).astype(np.asarray(x).dtype)[()]


def _complex_eager(x: Any, y: Any) -> Any:
    out: Any = np.empty(np.shape(x), np.result_type(x, np.complex64))
    out.real, out.imag = x, y  # not x + 1j*y, which loses signs of zero and makes nan of inf
    return out[()]


# arithmetic
add = _row("add", numeric(2, "iufc"), _quiet(np.add), commutative=True)
sub = _row("sub", numeric(2, "iufc"), _quiet(np.subtract))
mul = _row("mul", numeric(2, "iufc"), _quiet(np.multiply), commutative=True)
div = _row("div", numeric(2, "fc"), _quiet(np.divide), domain=(0.5, 2.0))
floordiv = _row("floordiv", numeric(2, "iuf"), _quiet(np.floor_divide), domain=(0.5, 2.0))
mod = _row("mod", numeric(2, "iuf"), _quiet(np.remainder), domain=(0.5, 2.0))
quot = _row("quot", numeric(2, "iu"), _quiet(_quot))
rem = _row("rem", numeric(2, "iuf"), _quiet(np.fmod), domain=(0.5, 2.0))
neg = _row("neg", numeric(1, "ifc"), _quiet(np.negative))
pow = _row("pow", numeric(2, "fc"), _quiet(np.power), domain=(0.5, 2.0))
abs = _row("abs", _to_real, _quiet(np.abs), domain=(0.5, 2.0))
iabs = _row("iabs", numeric(1, "i"), _quiet(np.abs))
sign = _row("sign", numeric(1, "if"), _quiet(np.sign), domain=(0.5, 2.0))
minimum = _row("minimum", numeric(2, "biuf"), _quiet(np.minimum), commutative=True)
maximum = _row("maximum", numeric(2, "biuf"), _quiet(np.maximum), commutative=True)
copysign = _row("copysign", numeric(2, "f"), _quiet(np.copysign), domain=(0.5, 2.0))

# the functions of one float
sqrt = _row("sqrt", numeric(1, "fc"), _quiet(np.sqrt), (0.5, 4.0))
cbrt = _row("cbrt", numeric(1, "f"), _quiet(np.cbrt), (0.5, 4.0))
exp = _row("exp", numeric(1, "fc"), _quiet(np.exp))
exp2 = _row("exp2", numeric(1, "f"), _quiet(np.exp2))
expm1 = _row("expm1", numeric(1, "f"), _quiet(np.expm1))
log = _row("log", numeric(1, "fc"), _quiet(np.log), (0.1, 4.0))
log2 = _row("log2", numeric(1, "f"), _quiet(np.log2), (0.1, 4.0))
log10 = _row("log10", numeric(1, "f"), _quiet(np.log10), (0.1, 4.0))
log1p = _row("log1p", numeric(1, "f"), _quiet(np.log1p), (-0.5, 4.0))
sin = _row("sin", numeric(1, "fc"), _quiet(np.sin))
cos = _row("cos", numeric(1, "fc"), _quiet(np.cos))
tan = _row("tan", numeric(1, "f"), _quiet(np.tan), (-1.2, 1.2))
asin = _row("asin", numeric(1, "f"), _quiet(np.arcsin), (-0.9, 0.9))
acos = _row("acos", numeric(1, "f"), _quiet(np.arccos), (-0.9, 0.9))
atan = _row("atan", numeric(1, "f"), _quiet(np.arctan))
sinh = _row("sinh", numeric(1, "f"), _quiet(np.sinh))
cosh = _row("cosh", numeric(1, "f"), _quiet(np.cosh))
tanh = _row("tanh", numeric(1, "f"), _quiet(np.tanh))
asinh = _row("asinh", numeric(1, "f"), _quiet(np.arcsinh))
acosh = _row("acosh", numeric(1, "f"), _quiet(np.arccosh), (1.5, 4.0))
atanh = _row("atanh", numeric(1, "f"), _quiet(np.arctanh), (-0.9, 0.9))
erf = _row("erf", numeric(1, "f"), _quiet(special.erf))
erfc = _row("erfc", numeric(1, "f"), _quiet(special.erfc))
gamma = _row("gamma", numeric(1, "f"), _quiet(special.gamma), (0.5, 4.0))
lgamma = _row("lgamma", numeric(1, "f"), _quiet(special.gammaln), (0.5, 4.0))
digamma = _row("digamma", numeric(1, "f"), _quiet(special.digamma), (0.5, 4.0))
trigamma = _row("trigamma", numeric(1, "f"), _quiet(_trigamma), (0.5, 4.0))
floor = _row("floor", numeric(1, "f"), _quiet(np.floor))
ceil = _row("ceil", numeric(1, "f"), _quiet(np.ceil))
trunc = _row("trunc", numeric(1, "f"), _quiet(np.trunc))
rint = _row("rint", numeric(1, "f"), _quiet(np.rint))
atan2 = _row("atan2", numeric(2, "f"), _quiet(np.arctan2), (0.5, 2.0))
hypot = _row("hypot", numeric(2, "f"), _quiet(np.hypot), (0.5, 2.0))

# comparison and logic
lt = _row("lt", predicate(2, "biuf"), _quiet(np.less))
le = _row("le", predicate(2, "biuf"), _quiet(np.less_equal))
gt = _row("gt", predicate(2, "biuf"), _quiet(np.greater))
ge = _row("ge", predicate(2, "biuf"), _quiet(np.greater_equal))
eq = _row("eq", predicate(2, "biufc"), _quiet(np.equal), commutative=True)
ne = _row("ne", predicate(2, "biufc"), _quiet(np.not_equal), commutative=True)
isnan = _row("isnan", predicate(1, "fc"), _quiet(np.isnan))
isinf = _row("isinf", predicate(1, "fc"), _quiet(np.isinf))
isfinite = _row("isfinite", predicate(1, "fc"), _quiet(np.isfinite))
signbit = _row("signbit", predicate(1, "f"), _quiet(np.signbit))
and_ = _row("and", numeric(2, "biu"), _quiet(np.bitwise_and), commutative=True)
or_ = _row("or", numeric(2, "biu"), _quiet(np.bitwise_or), commutative=True)
xor = _row("xor", numeric(2, "biu"), _quiet(np.bitwise_xor), commutative=True)
not_ = _row("not", numeric(1, "biu"), _quiet(np.invert))
shl = _row("shl", numeric(2, "iu"), _quiet(np.left_shift))
shr = _row("shr", numeric(2, "iu"), _quiet(np.right_shift))

# selection, conversion, complex parts
select = _row("select", _select, _quiet(_select_eager))
convert = _row("convert", _convert, _quiet(_convert_eager))
real = _row("real", _to_real, _quiet(lambda x: np.real(x).copy()[()]))
imag = _row("imag", _to_real, _quiet(lambda x: np.imag(x).copy()[()]))
conj = _row("conj", numeric(1, "c"), _quiet(np.conjugate))
complex_ = _row("complex", _to_complex, _quiet(_complex_eager))
stop_gradient = _row("stop_gradient", numeric(1, "biufc"), _quiet(lambda x: np.array(x)[()]))
