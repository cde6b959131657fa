"""Scalar operations as C expressions: NumPy's meaning to the bit. Integers wrap without being undefined; nothing traps.

What C has no operator for is a function `lms_...` (`helpers.py`); a module brings along those it names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lms.core.ir import Node
from lms.core.types import Scalar, bool_, i64

from .expressions import (
    AND,
    COMPARE,
    EQUAL,
    FULL,
    OR,
    PLUS,
    SHIFT,
    TIMES,
    UNARY,
    Expr,
    c_scalar,
    call,
    cast,
    infix,
    join,
    literal,
    negated,
    number,
    plus,
    range_of,
    spread,
    ternary,
    within,
)

_ARITHMETIC = {"add": ("+", PLUS), "sub": ("-", PLUS), "mul": ("*", TIMES), "div": ("/", TIMES)}
_COMPARE = {"lt": ("<", COMPARE), "le": ("<=", COMPARE), "gt": (">", COMPARE), "ge": (">=", COMPARE),
            "eq": ("==", EQUAL), "ne": ("!=", EQUAL)}
_ALWAYS = {"lt": False, "le": True, "gt": False, "ge": True, "eq": True, "ne": False}
LIBM = {"sqrt", "cbrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos", "atan",
         "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "tgamma", "lgamma",
         "floor", "ceil", "trunc", "rint", "atan2",
         "hypot", "copysign", "pow", "fabs", "fmod"}
_C_NAMES = {"abs": "fabs", "rem": "fmod", "gamma": "tgamma"}
_BITS = {"and": "&", "or": "|", "xor": "^"}


def elementwise(node: Node, parts: list[Expr]) -> Expr:
    """An elementwise operation on scalars."""
    name, t = node.op.name, node.operands[0].type
    if name == "select":
        return ternary(*parts)
    if name == "stop_gradient":
        return parts[0]
    assert isinstance(t, Scalar)
    if name == "convert":
        return convert(t, node.attrs["dtype"], parts[0])
    if name == "complex":
        result = node.result.type
        assert isinstance(result, Scalar)
        return join(f"({c_scalar(result)}){{{parts[0].text}, {parts[1].text}}}", parts)
    if t.is_complex:
        return _complex(name, t, parts)
    if name in _COMPARE:
        return _comparison(name, t, parts)
    if t == bool_:
        return _logic(name, parts)
    return (_float if t.is_float else _integer)(name, t, parts)


def accumulated(t: Scalar, x: Expr, y: Expr) -> Expr:
    """`x + y` of any scalar type; of bools, `or`."""
    if t.is_complex:
        return _complex("add", t, [x, y])
    if t == bool_:
        return _logic("or", [x, y])
    return (_float if t.is_float else _integer)("add", t, [x, y])


def product(t: Scalar, x: Expr, y: Expr) -> Expr:
    """`x * y` of any scalar type but bool."""
    if t.is_complex:
        return _complex("mul", t, [x, y])
    return (_float if t.is_float else _integer)("mul", t, [x, y])


def typed(op: str, t: Scalar, parts: Sequence[Expr], range: tuple[int, int] = FULL) -> Expr:
    """A helper for one type."""
    x = call(f"lms_{op}_{t.name}", parts)
    return join(x.text, parts, range=range)


# ----------------------------------------------------------------------------------------------- floats


def _float(name: str, t: Scalar, parts: list[Expr]) -> Expr:
    if name in _ARITHMETIC:
        return _infix(_ARITHMETIC[name], *parts)
    if name == "neg":
        return _minus(parts[0])
    c_name = _C_NAMES.get(name, name)
    if name == "pow" and (special := _power(t, *parts)) is not None:
        return special
    if c_name in LIBM:
        return call(c_name + ("f" if t.bits == 32 else ""), parts)
    if name in ("real", "imag"):
        return parts[0] if name == "real" else literal(0.0, t)
    if name in ("isnan", "isinf", "isfinite", "signbit"):
        return join(f"{name}({parts[0].text}) != 0", parts, EQUAL)
    return typed(name, t, parts)


def _infix(operator: tuple[str, int], x: Expr, y: Expr) -> Expr:
    return infix(*operator, x, y)


def _minus(x: Expr) -> Expr:
    inner = f"({x.text})" if x.text.startswith("-") else x.at(UNARY)
    return join(f"-{inner}", [x], UNARY)


def _power(t: Scalar, x: Expr, y: Expr) -> Expr | None:
    """The exponents that NumPy takes for what they are."""
    if y.text == literal(2.0, t).text:  # the correctly rounded product is what a correct `pow` gives
        return infix("*", TIMES, x, x) if x.prec >= 100 and x.text.isidentifier() else typed("square", t, [x])
    if y.text == literal(1.0, t).text:
        return x
    if y.text == literal(-1.0, t).text:
        return infix("/", TIMES, literal(1.0, t), x)
    return None


# --------------------------------------------------------------------------------------------- integers


def _integer(name: str, t: Scalar, parts: list[Expr]) -> Expr:
    if name in ("add", "sub", "mul"):
        return _ring(name, t, *parts)
    if name in ("floordiv", "mod", "quot", "rem"):
        return _division(name, t, *parts)
    if name in ("shl", "shr"):
        x, n = parts
        if t.kind == "u" and t.bits >= 32 and n.constant is not None and 0 <= n.constant < t.bits:
            return infix("<<" if name == "shl" else ">>", SHIFT, x, number(n.constant))
        return typed(name, t, parts)
    if name in _BITS:
        x, y = parts
        return join(f"{x.at(UNARY)} {_BITS[name]} {y.at(UNARY)}", parts, 30, range_of(t))
    if name == "not":
        x = join(f"~{parts[0].at(UNARY)}", parts, UNARY)
        return x if t.kind == "i" or t.bits >= 32 else cast(c_scalar(t), x)
    if name in ("abs", "iabs"):
        return typed("abs", t, parts)
    if name == "neg" and within(r := spread("sub", (0, 0), parts[0].range)) and t == i64:
        return number(-parts[0].constant) if parts[0].constant is not None else join(_minus(parts[0]).text, parts, UNARY, r)
    if name in ("minimum", "maximum"):
        return _extremum(name, t, *parts)
    return typed(name, t, parts, range_of(t))


def _extremum(name: str, t: Scalar, x: Expr, y: Expr) -> Expr:
    pick = min if name == "minimum" else max
    lo, hi = pick(x.range[0], y.range[0]), pick(x.range[1], y.range[1])
    if lo == hi and x.range != FULL and y.range != FULL and t == i64:
        return number(lo)
    for one, other in ((x, y), (y, x)):  # the size of an array, or zero
        if one.constant is not None and t == i64:
            beyond = other.range[0] >= one.constant if pick is max else other.range[1] <= one.constant
            if beyond:
                return other
    return typed(name, t, [x, y], (lo, hi))


def _ring(name: str, t: Scalar, x: Expr, y: Expr) -> Expr:
    """Sums, differences, products that wrap: plain where no one can tell."""
    range = spread(name, x.range, y.range)
    if t == i64 and within(range):
        if range[0] == range[1]:
            return number(range[0])
        return plus(x, y) if name == "add" else infix(*_ARITHMETIC[name], x, y, range)
    if t.kind == "u" and t.bits >= 32:
        return infix(*_ARITHMETIC[name], x, y)
    return typed(name, t, [x, y], range if within(range) and t == i64 else range_of(t))


def _division(name: str, t: Scalar, x: Expr, y: Expr) -> Expr:
    sign = "/" if name in ("floordiv", "quot") else "%"
    by = y.constant
    plain = by is not None and by > 0 and (t.kind == "u" or name in ("quot", "rem") or x.range[0] >= 0)
    if plain and by is not None and x.constant is None:
        quotients, rests = (min(x.range[0], 0), max(x.range[1], 0)), (0 if x.range[0] >= 0 else 1 - by, by - 1)
        small = t.kind == "i" or t.bits < 32
        return infix(sign, TIMES, x, y, (quotients if sign == "/" else rests) if small else FULL)
    if by is not None and by > 0 and name == "mod":
        return typed(name, t, [x, y], (0, by - 1))
    return typed(name, t, [x, y], range_of(t))


# ------------------------------------------------------------------------------------ comparison, logic


def _comparison(name: str, t: Scalar, parts: list[Expr]) -> Expr:
    x, y = parts
    if not t.is_float and x.text == y.text:  # compilers warn of it
        return Expr("true" if _ALWAYS[name] else "false")
    if not t.is_float and x.constant is not None and y.constant is not None and t.kind == "i":
        a, b = x.constant, y.constant
        holds = {"lt": a < b, "le": a <= b, "gt": a > b, "ge": a >= b, "eq": a == b, "ne": a != b}[name]
        return Expr("true" if holds else "false")
    if t.kind in "u" and y.text in ("0", "0u") and name in ("lt", "ge"):
        return Expr("true" if name == "ge" else "false")
    return infix(*_COMPARE[name], x, y)


def _logic(name: str, parts: list[Expr]) -> Expr:
    if name == "not":
        return join(negated(parts[0]), parts, UNARY)
    if name in ("and", "minimum"):
        return _infix(("&&", AND), *parts)
    if name in ("or", "maximum"):
        return _infix(("||", OR), *parts)
    if name == "xor":
        return join(f"{parts[0].at(UNARY)} != {parts[1].at(UNARY)}", parts, EQUAL)
    raise KeyError(name)


# ------------------------------------------------------------------------------------------- conversion


def convert(source: Scalar, target: Scalar, x: Expr) -> Expr:
    """Integers wrap, floats truncate, as NumPy's `astype` does on x86."""
    if source == target:
        return x
    if source.is_complex:
        return typed("as", target, [x])
    if target.is_complex:
        part = convert(source, target.real, x)
        return join(f"({c_scalar(target)}){{{part.text}, {literal(0.0, target.real).text}}}", [x])
    if target.kind == "b":
        return infix("!=", EQUAL, x, literal(0, source))
    if source.is_float and target.is_int:
        return join(f"lms_{target.name}_of_{source.name}({x.text})", [x], range=range_of(target))
    if x.constant is not None and target.is_float and abs(x.constant) < 2**24:
        return literal(float(x.constant), target)
    lo, hi = range_of(target)
    range = x.range if source.kind != "b" else (0, 1)
    inside = lo <= range[0] and range[1] <= hi
    return join(f"({c_scalar(target)}){x.at(UNARY)}", [x], UNARY, range if inside else (lo, hi))


# ------------------------------------------------------------------------------------------ complex numbers

_OF_COMPLEX: dict[str, Callable[[list[Expr]], Expr]] = {
    "real": lambda parts: join(f"{parts[0].at(100)}.re", parts),
    "imag": lambda parts: join(f"{parts[0].at(100)}.im", parts),
}


def _complex(name: str, t: Scalar, parts: list[Expr]) -> Expr:
    if name in _OF_COMPLEX:
        return _OF_COMPLEX[name](parts)
    if name == "abs":
        x = parts[0].at(100)
        return join(f"hypot{'f' if t.bits == 64 else ''}({x}.re, {x}.im)", parts) if parts[0].text.isidentifier() else typed(
            "abs", t, parts)
    if name == "ne":
        return join(f"!lms_eq_{t.name}({parts[0].text}, {parts[1].text})", parts, UNARY)
    return typed(name, t, parts)

