"""Numbers, strings and characters: from spelling to value."""

from __future__ import annotations

import re

from lms.core.errors import Span
from lms.core.types import SCALARS

from .diagnostics import Diagnostic
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
        return Float(span, text, float(digits), suffix)
    value = int(digits, 0) if digits[:2].lower() in ("0x", "0b") else int(digits)
    if suffix:
        scalar = SCALARS[suffix]
        bits = scalar.bits - (scalar.kind == "i")
        if value > (1 << bits) - (scalar.kind == "u"):  # 128i8 is one too large, but -128i8 is not
            raise Diagnostic("E0106", f"`{m[1]}` does not fit in `{suffix}`", span, fix="write a wider type")
    return Int(span, text, value, suffix)


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
