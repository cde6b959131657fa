"""C expressions with what must be known to move them: how tightly they bind, what they read, what they can be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lms.core.data import dataclass, replace
from lms.core.effects import NONE, Roots
from lms.core.types import Scalar, Type, i64

ATOM, UNARY, TIMES, PLUS, SHIFT, COMPARE, EQUAL, AND, OR, TERNARY = 100, 90, 80, 70, 60, 50, 45, 20, 15, 5
FULL = (-(2**63), 2**63 - 1)
SIZES = (0, 2**62)  # between which the size of an array lies


@dataclass(frozen=True, slots=True)
class Expr:
    """An expression without side effects: its text and precedence; an integer lies in `range`.

    `reads` are allocation roots, `names` the variables in it; `split` is an operator and the text on either side.
    """

    text: str
    prec: int = ATOM
    range: tuple[int, int] = FULL
    reads: Roots = NONE
    names: frozenset[str] = frozenset()
    split: tuple[str, str, str] | None = None

    def at(self, prec: int) -> str:
        """The text as an operand that must bind at least as tightly as `prec`."""
        return self.text if self.prec >= prec else f"({self.text})"

    @property
    def constant(self) -> int | None:
        """The value of an integer that is known."""
        return self.range[0] if self.range[0] == self.range[1] else None


def variable(name: str, range: tuple[int, int] = FULL) -> Expr:
    return Expr(name, range=range, names=frozenset({name}))


def join(text: str, parts: Sequence[Expr], prec: int = ATOM, range: tuple[int, int] = FULL) -> Expr:
    """An expression with parts."""
    return Expr(text, prec, range, NONE.union(*(x.reads for x in parts)), frozenset().union(*(x.names for x in parts)))


def call(function: str, parts: Sequence[Expr], *more: str) -> Expr:
    return join(f"{function}({', '.join([*(x.text for x in parts), *more])})", parts)


def infix(symbol: str, prec: int, x: Expr, y: Expr, range: tuple[int, int] = FULL) -> Expr:
    """`x symbol y`, with the parentheses that readers and compilers ask for."""
    if prec in (COMPARE, EQUAL):
        left = right = PLUS
    elif prec in (AND, OR):
        left = right = EQUAL
    elif prec == SHIFT:
        left = right = UNARY
    else:
        left, right = prec, prec + 1
    whole = join(f"{x.at(left)} {symbol} {y.at(right)}", [x, y], prec, range)
    return replace(whole, split=(x.text, symbol, y.text))


def ternary(c: Expr, x: Expr, y: Expr) -> Expr:
    lo, hi = min(x.range[0], y.range[0]), max(x.range[1], y.range[1])
    return join(f"{c.at(EQUAL)} ? {x.at(TERNARY + 1)} : {y.at(TERNARY)}", [c, x, y], TERNARY, (lo, hi))


def cast(t: str, x: Expr) -> Expr:
    return join(f"({t}){x.at(UNARY)}", [x], UNARY, x.range)


def negated(c: Expr) -> str:
    """`!c`."""
    if c.prec == UNARY and c.text.startswith("!"):
        return c.text[1:]
    return f"!{c.at(UNARY)}"


# ------------------------------------------------------------------------------------------------ types

_INTS = {f"{kind}{bits}": f"{'u' if kind == 'u' else ''}int{bits}_t" for kind in "iu" for bits in (8, 16, 32, 64)}
_TYPES = {"bool": "bool", "f32": "float", "f64": "double", "c64": "lms_c64", "c128": "lms_c128", **_INTS}


def c_scalar(t: Scalar) -> str:
    """The C type of a number."""
    return _TYPES[t.name]


def range_of(t: Type) -> tuple[int, int]:
    """What an integer of a type may be."""
    if isinstance(t, Scalar) and t.is_int and t.bits < 64:
        return (0, 2**t.bits - 1) if t.kind == "u" else (-(2 ** (t.bits - 1)), 2 ** (t.bits - 1) - 1)
    return FULL


# --------------------------------------------------------------------------------------------- literals


def literal(value: Any, t: Scalar) -> Expr:
    """A constant, exact."""
    if t.is_complex:
        z = complex(value)
        return Expr(f"({c_scalar(t)}){{{_float(z.real, t.real)}, {_float(z.imag, t.real)}}}")
    if t.is_float:
        text = _float(float(value), t)
        return Expr(text, UNARY if text[0] == "-" else ATOM)
    if t.kind == "b":
        return Expr("true" if value else "false")
    return number(int(value), t)


def number(n: int, t: Scalar = i64) -> Expr:
    """An integer constant."""
    if t.kind == "u":
        return Expr(f"{n}u" if t.bits >= 32 else str(n), range=(n, n) if n < 2**63 else FULL)
    if n == -(2 ** (t.bits - 1)) and t.bits >= 32:
        return Expr(f"INT{t.bits}_MIN", range=(n, n))
    return Expr(str(n), UNARY if n < 0 else ATOM, (n, n))


def _float(x: float, t: Scalar) -> str:
    sign, suffix = "-" if math.copysign(1.0, x) < 0 else "", "f" if t.bits == 32 else ""
    if t.bits == 32 and math.isfinite(x):
        with np.errstate(over="ignore"):
            narrow = np.float32(x)
        text = str(abs(narrow))
    else:
        text = repr(abs(x))
    if text in ("inf", "nan"):
        return f"{sign}INFINITY" if text == "inf" else f"{sign}NAN"
    if "." not in text and "e" not in text:
        text += ".0"
    return sign + text + suffix


# ------------------------------------------------------------------------------------------- arithmetic


def within(range: tuple[int, int]) -> bool:
    return FULL[0] <= range[0] and range[1] <= FULL[1]


def spread(op: str, x: tuple[int, int], y: tuple[int, int]) -> tuple[int, int]:
    """Between which integers a sum, difference or product lies, were there no last one."""
    corners = [a + b if op == "add" else a - b if op == "sub" else a * b for a in x for b in y]
    return min(corners), max(corners)


def plus(x: Expr, y: Expr) -> Expr:
    """A sum of 64-bit integers that is known to fit."""
    if x.constant is not None and y.constant is not None:
        return number(x.constant + y.constant)
    if x.constant == 0:
        return y
    if y.constant == 0:
        return x
    if x.constant is not None:
        x, y = y, x
    if y.constant is not None and y.constant < 0:
        return infix("-", PLUS, x, number(-y.constant), _clip(spread("add", x.range, y.range)))
    return infix("+", PLUS, x, y, _clip(spread("add", x.range, y.range)))


def times(x: Expr, y: Expr) -> Expr:
    """A product of 64-bit integers that is known to fit."""
    if x.constant is not None and y.constant is not None:
        return number(x.constant * y.constant)
    if x.constant == 1:
        return y
    if y.constant == 1:
        return x
    if 0 in (x.constant, y.constant):
        return number(0)
    return infix("*", TIMES, x, y, _clip(spread("mul", x.range, y.range)))


def _clip(range: tuple[int, int]) -> tuple[int, int]:
    return max(range[0], FULL[0]), min(range[1], FULL[1])
