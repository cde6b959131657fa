"""Numbers, strings and characters: from spelling to value."""

from __future__ import annotations

import math
import re

import numpy as np

from lms.core.errors import Span
from lms.core.types import SCALARS, Scalar

from ..diagnostics import Diagnostic
from .syntax import Char, Float, Int, Str

_NUMBER = re.compile(r"(0[xX][0-9a-fA-F_]+?|0[bB][01_]+?|[\d_]+(?:\.[\d_]+)?(?:[eE][+-]?[\d_]+)?)([iuf](?:8|16|32|64))?")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "\\": "\\", '"': '"', "'": "'", "{": "\\{", "}": "\\}"}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", re.DOTALL)


def number(text: str, span: Span) -> Int | Float:
    """`10`, `0xff`, `1u8`, `2.5`, `1e3f32`."""
    m = _NUMBER.fullmatch(text)
    if m is None:
        raise Diagnostic("E0106", f"`{text}` is no number", span, fix="a number ends in nothing, or in its type: `1u8`, `2.5f32`")
    digits, suffix = m[1].replace("_", ""), m[2] or ""
    hexadecimal = digits[:2] in ("0x", "0X")
    if not hexadecimal and (suffix.startswith("f") or re.search(r"[.eE]", digits)):
        if suffix and not suffix.startswith("f"):
            raise Diagnostic("E0106", f"`{text}` has a fraction or an exponent and cannot be of type `{suffix}`", span,
                             fix=f"write a whole number, or end it in f32 or f64: `{m[1]}f64`")
        value = float(digits)
        if not fits(value, SCALARS[suffix or "f64"]):
            raise Diagnostic("E0106", f"`{brief(m[1])}` does not fit in `{suffix or 'f64'}`", span,
                             fix="write a wider type" if suffix == "f32" and math.isfinite(value) else "`inf` is infinity")
        return Float(span, text, value, suffix)
    whole = _whole(digits)
    scalar = SCALARS[suffix or "f64"]
    if whole is None or not (fits(whole, scalar) or scalar.is_int and fits(-whole, scalar)):  # of 128i8, -128i8 is one
        raise Diagnostic("E0106", f"`{brief(m[1])}` does not fit in `{suffix or 'f64'}`", span,
                         fix="write a wider type" if suffix else "write a smaller number")
    return Int(span, text, whole, suffix)


def _whole(digits: str) -> int | None:
    """A whole number; None for one with more digits than any type has room for."""
    if len(digits) > 2000:
        return None
    return int(digits, 0) if digits[:2].lower() in ("0x", "0b") else int(digits)


def fits(x: int | float, scalar: Scalar) -> bool:
    """Whether a number is in the range of a type."""
    if scalar.is_float:
        try:
            with np.errstate(over="ignore"):
                return bool(np.isfinite(scalar.dtype.type(float(x))))
        except OverflowError:  # of a whole number
            return False
    assert isinstance(x, int)
    bits = scalar.bits - (scalar.kind == "i")
    return (0 if scalar.kind == "u" else -(1 << bits)) <= x < 1 << bits


def brief(text: str) -> str:
    """A number for a message, which may have hundreds of digits."""
    return text if len(text) <= 40 else f"{text[:16]}...{text[-8:]}"


def negative(x: Int | Float, span: Span) -> Int | Float:
    """A number with the sign before it."""
    if isinstance(x, Int):
        return Int(span, "-" + x.text, -x.value, x.suffix)
    return Float(span, "-" + x.text, -x.value, x.suffix)


def string(text: str, span: Span) -> Str:
    """A string with its quotes. `\\{` and `\\}` stay as they are: `print` tells them from `{`."""
    return Str(span, text, _unescape(text[1:-1], span))


def character(text: str, span: Span) -> Char:
    inner = _unescape(text[1:-1], span).removeprefix("\\") if text[1:-1] != "\\\\" else "\\"
    if len(inner) != 1 or ord(inner) > 255:
        raise Diagnostic("E0104", f"expected one byte between single quotes, found `{text}`", span,
                         fix='text of any length is a string: "..."')
    return Char(span, text, ord(inner))


def _unescape(text: str, span: Span) -> str:
    def value(m: re.Match[str]) -> str:
        name = m[1]
        if len(name) > 1:
            return chr(int(name[1:], 16))
        if name not in _ESCAPES:
            raise Diagnostic("E0110", f"`\\{name}` is not an escape", span, fix="a backslash itself is written `\\\\`")
        return _ESCAPES[name]

    return _ESCAPE.sub(value, text)
