"""`"x = {x}"`: the text and the expressions of a string, with their places in the file."""

from __future__ import annotations

from collections.abc import Iterator

from ..diagnostics import Diagnostic
from . import syntax as s
from .parser import parse_at


def pieces(e: s.Str) -> Iterator[str | s.Expression]:
    """The parts of a string in `print` and `error`, in order."""
    text, at, literal = e.text, 1, ""
    value = ""
    while at < len(text) - 1:
        c = text[at]
        if c == "\\":
            width = 4 if text[at + 1] == "x" else 6 if text[at + 1] == "u" else 2
            literal += text[at:at + width]
            at += width
        elif c == "{":
            end = _closing(text, at)
            if end is None or not text[at + 1:end].strip():
                raise Diagnostic("E0110", "expected an expression and `}` behind `{`"
                                 if end is None else "nothing stands between the braces",
                                 e.span, fix="a brace itself is written `\\{`")
            if value := _unescaped(literal, e):
                yield value
            literal = ""
            yield parse_at(text[at + 1:end], e.span, at + 1)
            at = end + 1
        elif c == "}":
            raise Diagnostic("E0110", "`}` closes nothing", e.span, fix="a brace itself is written `\\}`")
        else:
            literal += c
            at += 1
    if value := _unescaped(literal, e):
        yield value


def _closing(text: str, at: int) -> int | None:
    depth = 0
    for k in range(at, len(text) - 1):
        depth += (text[k] == "{") - (text[k] == "}")
        if depth == 0:
            return k
    return None


def _unescaped(literal: str, e: s.Str) -> str:
    from .literals import string

    return string(f'"{literal}"', e.span).value.replace("\\{", "{").replace("\\}", "}")
