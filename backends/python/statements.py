"""Operations that read as Python statements: writes to arrays, checks, printing, calls of Python functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lms.core import primitives as p
from lms.core.ir import Node, Value
from lms.core.types import ArrayType, Scalar

from . import operations as ops
from .operations import COMPARE, Expr, dtype, message, strong

if TYPE_CHECKING:
    from .function import FunctionWriter


def only_assigned(v: Value, user: Node | None) -> bool:
    """Whether a handle is a view that is made to be assigned to, as in `a[1:3] = x`."""
    return v.node is not None and v.node.op is p.array.view and user is not None and user.op in (p.array.assign, p.array.add_into)


def store(w: FunctionWriter, node: Node) -> None:
    array, v, *index = node.operands
    sign = "+=" if node.op is p.array.accumulate else "="
    order = [array, *index, v] if sign == "+=" else [v, array, *index]
    parts = dict(zip(order, w.take(order), strict=True))
    place = f"{parts[array].at(ops.ATOM)}[{', '.join(parts[k].text for k in index) or '()'}]"
    effect(w, node, f"{place} {sign} {parts[v].text}", *(parts[k] for k in order))


def whole(w: FunctionWriter, node: Node) -> None:
    """`dst[...] = x` and its kin."""
    dst, *parts = w.take(node.operands)
    name, attrs = node.op.name, node.attrs
    if name in ("assign", "add_into"):
        place = dst.text if only_assigned(node.operands[0], node) and dst.text.endswith("]") else f"{dst.text}[...]"
        effect(w, node, f"{place} {'+=' if name == 'add_into' else '='} {parts[0].text}", dst, *parts)
    elif name == "contract_into":
        sign = "+=" if attrs.get("accumulate") else "="
        effect(w, node, f"{dst.text}[...] {sign} {ops.contract(attrs['spec'], parts).text}", dst, *parts)
    elif name == "argsort_into":
        effect(w, node, f'{dst.text}[...] = np.argsort({parts[0].text}, kind="stable")', dst, *parts)
    elif name == "add_at":
        key = ops.key(attrs["axis"], parts[0].text).replace(":", "slice(None)")
        key = f"({key})" if attrs["axis"] else key
        effect(w, node, f"np.add.at({dst.text}, {key}, {parts[1].text})", dst, *parts)
    else:
        effect(w, node, f"{name}({dst.text}, {parts[0].text}, {parts[1].text}, {attrs['axis']})", dst, *parts)


def effect(w: FunctionWriter, node: Node, text: str, *parts: Expr) -> None:
    w.statement(text, parts, w.effects.of(node))


def check(w: FunctionWriter, node: Node) -> None:
    w.settle(lambda v, x: bool(x.raises) and v in node.operands[1:])  # the message is only made if the check fails
    ok, *parts = w.take(node.operands)
    said = message(node.attrs["message"], parts, node.span.short if node.span else "")
    condition = node.operands[0].node
    flip = {" == ": " != ", " != ": " == "}
    symbol = {p.scalar.eq: " == ", p.scalar.ne: " != "}.get(condition.op) if condition else None
    if symbol and ok.prec == COMPARE and ok.text.count(symbol) == 1:
        effect(w, node, f"if {ok.text.replace(symbol, flip[symbol])}:", ok, *parts)
    else:
        effect(w, node, f"if not {ok.at(ops.NOT)}:", ok, *parts)
    error = node.attrs["error"]
    w.write(f"    raise {'np.linalg.' if error == 'LinAlgError' else ''}{error}({said})")


def print_(w: FunctionWriter, node: Node) -> None:
    parts = w.take(node.operands)
    end = node.attrs.get("end", "\n")
    more = "" if end == "\n" else f", end={end!r}"
    effect(w, node, f"print({message(node.attrs['template'], parts)}{more})", *parts)


def py_call(w: FunctionWriter, node: Node) -> None:
    parts = [strong(x, v.type) for x, v in zip(w.take(node.operands), node.operands, strict=True)]
    text = f"{w.module.given(node.attrs['function'])}({', '.join(x.text for x in parts)})"
    w.results(node, text, parts, w.effects.of(node))
    for v in node.results:
        name, t = w.bound[v].text, v.type
        if isinstance(t, ArrayType):
            w.write(f"{name} = np.array({name}, {dtype(t.dtype)})")
        elif isinstance(t, Scalar):
            w.write(f"{name} = {dtype(t)}({name})")


STATEMENTS: dict[str, Callable[[FunctionWriter, Node], None]] = {
    "store": store, "accumulate": store, "check": check, "print": print_, "py_call": py_call,
    **{name: whole for name in ("assign", "add_into", "contract_into", "argsort_into", "put", "add_at", "add_along")},
}
