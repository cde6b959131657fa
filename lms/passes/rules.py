"""The algebra that folding applies, one rule an operation: exact for every operand, NaN, infinities and -0.0 included.

What is not here is not exact: `x + 0.0` is 0.0 for -0.0, `x - x` and `0 * x` are NaN for infinity, `not (x < y)` is true for
NaN where `x >= y` is false. Integers wrap, so that all of ring algebra holds for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lms.core import primitives as p
from lms.core.ir import Node, Value
from lms.core.primitives import Primitive
from lms.core.types import ArrayType, Scalar, element

from .rewrite import const_of, within

if TYPE_CHECKING:
    from .fold import Folder

Rule = Callable[["Folder", Node], Value | None]
RULES: dict[Primitive, Rule] = {}
s, a, r = p.scalar, p.array, p.record


def rule(*ops: Primitive) -> Callable[[Rule], Rule]:
    def register(f: Rule) -> Rule:
        RULES.update(dict.fromkeys(ops, f))
        return f

    return register


def _kind(v: Value) -> str:
    return element(v.type).kind


def _exact(v: Value) -> bool:
    """Whether ring algebra holds: integers."""
    return _kind(v) in "iu"


def _made(v: Value, op: Primitive) -> Node | None:
    """The node that makes a value, if it is this operation."""
    return v.node if v.node is not None and v.node.op is op else None


def _is(v: Value, number: float) -> bool:
    """Whether a value is a number, to the sign of zero."""
    known = const_of(v)
    if known is None or isinstance(known, complex) or known != number:
        return False
    return number != 0 or not isinstance(known, float) or math.copysign(1.0, known) == math.copysign(1.0, number)


def _ordered(node: Node) -> tuple[Value, Value]:
    """The operands of a commutative operation, a constant last."""
    x, y = node.operands
    return (y, x) if const_of(x) is not None and const_of(y) is None else (x, y)


def _again(f: Folder, node: Node, op: Primitive, *operands: Value) -> Value:
    """Another operation in place of this one, as loose as it was."""
    return f.emit(op, *operands, **node.attrs)


# ------------------------------------------------------------------------------------------- arithmetic


@rule(s.add)
def _add(f: Folder, node: Node) -> Value | None:
    x, y = _ordered(node)
    if _is(y, -0.0) or _exact(y) and _is(y, 0):
        return x
    if (n := _made(y, s.neg)) and _kind(x) != "c":
        return _again(f, node, s.sub, x, n.operands[0])
    if (n := _made(x, s.neg)) and _kind(x) != "c":
        return _again(f, node, s.sub, y, n.operands[0])
    if _exact(x):
        if (total := _gathered(f, x, const_of(y), 1)) is not None:
            return total
        if (n := _made(x, s.sub)) and n.operands[1] is y:
            return n.operands[0]
        if (n := _made(y, s.sub)) and n.operands[1] is x:
            return n.operands[0]
    return None


@rule(s.sub)
def _sub(f: Folder, node: Node) -> Value | None:
    x, y = node.operands
    if _is(y, 0.0) or _exact(y) and _is(y, 0):
        return x
    if (_is(x, -0.0) or _exact(x) and _is(x, 0)) and _kind(x) in "if":
        return f.emit(s.neg, y)
    if (n := _made(y, s.neg)) and _kind(x) != "c":
        return _again(f, node, s.add, x, n.operands[0])
    if _exact(x):
        if x is y:
            return f.const(0, node.result)
        if (total := _gathered(f, x, const_of(y), -1)) is not None:
            return total
        if (n := _made(x, s.add)) and y in n.operands:
            return n.operands[0] if n.operands[1] is y else n.operands[1]
    return None


def _gathered(f: Folder, x: Value, c: Any, sign: int) -> Value | None:
    """`(x + b) + c` as `x + (b + c)`: integers wrap."""
    t = x.type
    if c is None or not isinstance(t, Scalar) or t.kind != "i":
        return None
    for op, inner in ((s.add, 1), (s.sub, -1)):
        if (n := _made(x, op)) and (b := const_of(n.operands[1])) is not None:
            total = (inner * b + sign * c + 2 ** (t.bits - 1)) % 2 ** t.bits - 2 ** (t.bits - 1)
            return n.operands[0] if total == 0 else f.emit(s.add, n.operands[0], f.const(total, x))
    return None


@rule(s.mul)
def _mul(f: Folder, node: Node) -> Value | None:
    x, y = _ordered(node)
    if _is(y, 1):
        return x
    if _is(y, -1) and _kind(x) in "if":
        return f.emit(s.neg, x)
    if _exact(x) and _is(y, 0):
        return f.const(0, node.result)
    if (n := _made(x, s.neg)) and (o := _made(y, s.neg)) and _kind(x) != "c":
        return _again(f, node, s.mul, n.operands[0], o.operands[0])
    return None


@rule(s.div)
def _div(f: Folder, node: Node) -> Value | None:
    x, y = node.operands
    if _is(y, 1):
        return x
    if _is(y, -1) and _kind(x) == "f":
        return f.emit(s.neg, x)
    known = const_of(y)
    if isinstance(known, float) and 1e-30 < abs(known) < 1e30 and abs(math.frexp(known)[0]) == 0.5:
        return _again(f, node, s.mul, x, f.const(1 / known, y))  # by a power of two: exact
    return _guarded(f, node) if f.final else None


def _guarded(f: Folder, node: Node) -> Value | None:
    """`x / (1 where x == 0 else y)` as `x where x == 0 else x / y`: the division need not wait for the comparison.

    Derivatives guard a division in this way, so that the untaken side has none; the last of them is taken now.
    """
    x, y = node.operands
    choice = _made(y, s.select)
    if choice is None or not _is(choice.operands[1], 1) or isinstance(node.result.type, ArrayType) or _kind(x) != "f":
        return None
    none = _made(choice.operands[0], s.eq)
    if none is None or none.operands[0] is not x or const_of(none.operands[1]) != 0:
        return None
    return f.emit(s.select, none.result, x, _again(f, node, s.div, x, choice.operands[2]))


@rule(s.floordiv, s.quot)
def _quotient(f: Folder, node: Node) -> Value | None:
    x, y = node.operands
    return x if _exact(x) and _is(y, 1) else None


@rule(s.mod, s.rem)
def _remainder(f: Folder, node: Node) -> Value | None:
    x, y = node.operands
    return f.const(0, node.result) if _exact(x) and _is(y, 1) else None


@rule(s.pow)
def _pow(f: Folder, node: Node) -> Value | None:
    x, y = node.operands
    if _kind(x) != "f":
        return None
    if _is(y, 2):
        return _again(f, node, s.mul, x, x)
    if _is(y, 1):
        return x
    if _is(y, 0.0) or _is(y, -0.0):
        return f.const(1, node.result)  # of NaN too
    if _is(y, -1):
        return _again(f, node, s.div, f.const(1, x), x)
    return None


@rule(s.neg)
def _neg(f: Folder, node: Node) -> Value | None:
    n = _made(node.operands[0], s.neg)
    return n.operands[0] if n else None


@rule(s.abs)
def _abs(f: Folder, node: Node) -> Value | None:
    n = _made(node.operands[0], s.neg) or (_made(node.operands[0], s.abs) if _kind(node.operands[0]) == "f" else None)
    return f.emit(s.abs, n.operands[0]) if n and _kind(n.operands[0]) == "f" else None


# ------------------------------------------------------------------------------------ logic and choices

_NEGATED = {s.eq: s.ne, s.ne: s.eq}
_NEGATED_INTS = {s.lt: s.ge, s.ge: s.lt, s.gt: s.le, s.le: s.gt}


@rule(s.not_)
def _not(f: Folder, node: Node) -> Value | None:
    x = node.operands[0]
    if n := _made(x, s.not_):
        return n.operands[0]
    if _kind(x) == "b" and x.node is not None:
        if x.node.op in _NEGATED:
            return f.emit(_NEGATED[x.node.op], *x.node.operands)
        if x.node.op in _NEGATED_INTS and _kind(x.node.operands[0]) in "iub":
            return f.emit(_NEGATED_INTS[x.node.op], *x.node.operands)
    return None


@rule(s.and_)
def _and(f: Folder, node: Node) -> Value | None:
    x, y = _ordered(node)
    if x is y or _kind(x) == "b" and const_of(y) is True or _kind(x) == "i" and _is(y, -1):
        return x
    if const_of(y) is False or _exact(y) and _is(y, 0):
        return f.const(0, node.result)
    return None


@rule(s.or_)
def _or(f: Folder, node: Node) -> Value | None:
    x, y = _ordered(node)
    if x is y or const_of(y) is False or _exact(y) and _is(y, 0):
        return x
    if _kind(x) == "b" and const_of(y) is True:
        return f.const(True, node.result)
    return None


@rule(s.xor)
def _xor(f: Folder, node: Node) -> Value | None:
    x, y = _ordered(node)
    if const_of(y) is False or _exact(y) and _is(y, 0):
        return x
    if x is y:
        return f.const(0, node.result)
    if _kind(x) == "b" and const_of(y) is True:
        return f.emit(s.not_, x)
    return None


@rule(s.shl, s.shr)
def _shift(f: Folder, node: Node) -> Value | None:
    x, y = node.operands
    return x if _is(y, 0) else None


@rule(s.lt, s.gt, s.ne)
def _differ(f: Folder, node: Node) -> Value | None:
    x, y = node.operands
    same = x is y and (node.op is not s.ne or _kind(x) in "iub")  # NaN differs from itself
    return f.const(False, node.result) if same else None


@rule(s.le, s.ge, s.eq)
def _agree(f: Folder, node: Node) -> Value | None:
    x, y = node.operands
    if node.op is s.eq and _kind(x) == "b":
        x, y = _ordered(node)
        if const_of(y) is True:
            return x
        if const_of(y) is False:
            return f.emit(s.not_, x)
    return f.const(True, node.result) if x is y and _kind(x) in "iub" else None


@rule(s.minimum, s.maximum)
def _extreme(f: Folder, node: Node) -> Value | None:
    x, y = node.operands
    return x if x is y and _exact(x) else None  # for floats the derivative tells `maximum(x, x)` from `x`


@rule(s.select)
def _select(f: Folder, node: Node) -> Value | None:
    c, x, y = node.operands
    known = const_of(c)
    if known is not None:
        return x if known else y
    if x is y:
        return x
    if n := _made(c, s.not_):
        return f.emit(s.select, n.operands[0], y, x)
    if node.result.type == c.type and const_of(x) is True and const_of(y) is False:
        return c
    if node.result.type == c.type and const_of(x) is False and const_of(y) is True:
        return f.emit(s.not_, c)
    return None


# ----------------------------------------------------------------------------- conversion, parts, fields


@rule(s.stop_gradient)
def _stop_gradient(f: Folder, node: Node) -> Value | None:
    return node.operands[0] if f.final else None


@rule(s.convert)
def _convert(f: Folder, node: Node) -> Value | None:
    x = node.operands[0]
    return x if element(x.type) == node.attrs["dtype"] else None


@rule(s.real, s.imag)
def _part(f: Folder, node: Node) -> Value | None:
    if n := _made(node.operands[0], s.complex_):
        return n.operands[node.op is s.imag]
    return node.operands[0] if node.op is s.real and _kind(node.operands[0]) == "f" else None


@rule(s.conj)
def _conj(f: Folder, node: Node) -> Value | None:
    n = _made(node.operands[0], s.conj)
    return n.operands[0] if n else None


@rule(a.index)
def _index(f: Folder, node: Node) -> Value | None:
    i, n = node.operands
    known, size = const_of(i), const_of(n)
    low = -size if isinstance(size, int) and a.wraps(node.attrs) else 0
    if isinstance(i.type, Scalar) and isinstance(known, int) and isinstance(size, int) and low <= known < size:
        return i if known >= 0 else f.const(known + size, i)
    if (inner := _made(i, a.index)) and inner.operands[1] is n and isinstance(i.type, Scalar):
        return i
    if isinstance(i.type, Scalar) and isinstance(size, int) and within(i, size, f.loops):
        return i
    return None


@rule(r.project)
def _project(f: Folder, node: Node) -> Value | None:
    n = _made(node.operands[0], r.construct)
    if n is None or n.attrs["tag"] != node.attrs["tag"]:
        return None
    field: Value = n.operands[node.attrs["field"]]
    return field


@rule(r.tag)
def _tag(f: Folder, node: Node) -> Value | None:
    n = _made(node.operands[0], r.construct)
    return f.const(n.attrs["tag"], node.result) if n else None
