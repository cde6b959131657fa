"""Checks, messages and printing in C: Python's formats as `printf`'s."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from lms.core import primitives as p
from lms.core.errors import LmsError
from lms.core.ir import Node
from lms.core.primitives import PRIMITIVES
from lms.core.types import Scalar, Type

from .expressions import Expr, negated
from .function import FunctionWriter, rule
from .names import quoted
from .scalars import elementwise

_SPEC = re.compile(r"(?P<align>[<>])?(?P<sign>[+ ])?(?P<zero>0)?(?P<width>\d+)?(?:\.(?P<precision>\d+))?(?P<type>[a-zA-Z%])?")


def status(error: str) -> str:
    """The status of an exception: `LMS_ZERO_DIVISION_ERROR`."""
    return "LMS_" + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", error).upper()


def formatted(template: str, parts: Sequence[Expr], types: Sequence[Type], node: Node) -> tuple[str, list[str]]:
    """A format for `printf` and its arguments, for a template of Python's."""
    text, arguments, following = "", list[str](), 0
    for plain, field, spec, conversion in string.Formatter().parse(template):
        text += plain.replace("%", "%%")
        if field is None:
            continue
        k = int(field) if field else following
        following += 1
        t = types[k]
        assert isinstance(t, Scalar)
        piece, more = _one(parts[k], t, spec or "", node, bool(conversion))
        text += piece
        arguments += more
    return text, arguments


def _one(x: Expr, t: Scalar, spec: str, node: Node, converted: bool) -> tuple[str, list[str]]:
    m = _SPEC.fullmatch(spec)
    kind = m["type"] or "" if m else ""
    if m is None or (t.is_complex or t.kind == "b" or converted) and spec:
        raise _unknown(spec, node)
    if t.kind == "b":
        return "%s", [f'{x.at(6)} ? "True" : "False"']
    if t.is_complex:
        return "%s", [f"lms_complex_text((char[64]){{0}}, {x.at(100)}.re, {x.at(100)}.im)"]
    flags = ("-" if m["align"] == "<" else "") + (m["sign"] or "") + (m["zero"] or "")
    width, precision = m["width"] or "", m["precision"]
    if t.is_int:
        if kind not in ("", "d") or precision is not None:
            if kind in "eEfFgG" and kind:
                return _float(f"(double){x.at(90)}", flags, width, precision, kind)
            raise _unknown(spec, node)
        length, c_type = ("%ll", "(long long)") if t.kind == "i" else ("%ll", "(unsigned long long)")
        return f"{length.replace('%', f'%{flags}{width}')}{'d' if t.kind == 'i' else 'u'}", [f"{c_type}{x.at(90)}"]
    if not spec:
        return "%s", [f"lms_text((char[32]){{0}}, {x.text})"]
    if kind not in tuple("eEfFgG"):
        raise _unknown(spec, node)
    return _float(x.text, flags, width, precision, kind)


def _float(x: str, flags: str, width: str, precision: str | None, kind: str) -> tuple[str, list[str]]:
    spec = f"%{flags}{width}.{precision or 6}{kind}"
    return "%s", [f"lms_format((char[400]){{0}}, 400, {quoted(spec)}, {x})"]


def _unknown(spec: str, node: Node) -> LmsError:
    return LmsError(f"the format {spec!r} has no counterpart in C", node.span,
                    fix="use a width, a precision and one of d, e, f, g; or nothing")


@rule(p.control.check)
def _check(w: FunctionWriter, node: Node) -> None:
    types = [v.type for v in node.operands[1:]]
    ok, *parts = w.take(node.operands)
    text, arguments = formatted(node.attrs["message"], parts, types, node)
    failed = _failed(node, ok)
    if failed == "false":
        return
    tail = "".join(f", {a}" for a in arguments)
    call = f"return lms_fail(lms, {status(node.attrs['error'])}, {w.place(node.span)}, {quoted(text)}{tail});"
    w.write(call if failed == "true" else f"if ({failed}) {call}")


_FLIP = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def _failed(node: Node, ok: Expr) -> str:
    """The condition under which a check fails."""
    if ok.text in ("true", "false"):
        return "false" if ok.text == "true" else "true"
    made = node.operands[0].node
    exact = made is not None and made.op.name in ("eq", "ne", "lt", "le", "gt", "ge") and (
        made.op.name in ("eq", "ne") or isinstance(t := made.operands[0].type, Scalar) and not t.is_float)
    if exact and ok.split and ok.split[1] in _FLIP:
        return ok.text.replace(f" {ok.split[1]} ", f" {_FLIP[ok.split[1]]} ", 1) if ok.text.count(f" {ok.split[1]} ") == 1 else (
            negated(ok))
    return negated(ok)


@rule(p.control.print_)
def _print(w: FunctionWriter, node: Node) -> None:
    types = [v.type for v in node.operands]
    text, arguments = formatted(node.attrs["template"], w.take(node.operands), types, node)
    end = node.attrs.get("end", "\n").replace("%", "%%")
    w.write(f"printf({', '.join([quoted(text + end), *arguments])});")


@rule(p.control.py_call)
def _py_call(w: FunctionWriter, node: Node) -> None:
    name = getattr(node.attrs["function"], "__name__", "a Python function")
    raise LmsError(f"C cannot call {name}, which is Python", node.span, fix="stage it, or leave `py_call` out")


def _elementwise(w: FunctionWriter, node: Node) -> None:
    w.offer(node, elementwise(node, w.take(node.operands)))


rule(*(op for op in PRIMITIVES.values() if op.elementwise))(_elementwise)
