"""The words of the Python back end: how each operation reads as a Python or NumPy expression.

Scalars are NumPy scalars, so integers wrap and floats are IEEE. An expression is *weak* where it may be a plain Python number
(a literal, a loop counter, a size): two weak operands would follow Python's arithmetic, so it is only used where both agree.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from lms.core.data import dataclass
from lms.core.effects import NONE, Roots
from lms.core.ir import Node
from lms.core.types import ArrayType, Scalar, SumType, Type, bool_, f64, i64

ATOM, UNARY, TIMES, PLUS, SHIFT, COMPARE, NOT, AND, OR, TERNARY = 100, 90, 80, 70, 60, 30, 20, 15, 10, 5
BIG = 2**63
FULL = (-BIG, BIG - 1)


@dataclass(frozen=True, slots=True)
class Expr:
    """A Python expression: its text and precedence, and what must be known to move it.

    `weak`: it may be a Python number; an integer then lies in `range`. `reads` are allocation roots, `raises` the serial numbers
    of what in it may raise, in order of evaluation, `names` the variables in it.
    """

    text: str
    prec: int = ATOM
    weak: bool = False
    range: tuple[int, int] = FULL
    reads: Roots = NONE
    raises: tuple[int, ...] = ()
    names: frozenset[str] = frozenset()

    def at(self, prec: int) -> str:
        """The text as an operand that must bind at least as tightly as `prec`."""
        return self.text if self.prec >= prec else f"({self.text})"


def join(text: str, parts: Sequence[Expr], prec: int = ATOM, weak: bool = False, range: tuple[int, int] = FULL) -> Expr:
    """An expression with parts, which are evaluated in that order."""
    return Expr(text, prec, weak, range, NONE.union(*(x.reads for x in parts)), tuple(k for x in parts for k in x.raises),
                frozenset().union(*(x.names for x in parts)))


def call(function: str, parts: Sequence[Expr], *more: str) -> Expr:
    return join(f"{function}({', '.join([*(x.text for x in parts), *more])})", parts)


def dtype(t: Type) -> str:
    assert isinstance(t, Scalar | SumType)
    return "object" if isinstance(t, SumType) else "np.bool_" if t == bool_ else f"np.{t.dtype.name}"


def strong(x: Expr, t: Type) -> Expr:
    """The expression as a NumPy scalar."""
    return join(f"{dtype(t)}({x.text})", [x]) if x.weak and isinstance(t, Scalar) else x


def constant(value: Any, t: Scalar) -> Expr:
    if t == bool_:
        return Expr(str(bool(value)), weak=True)
    if t == i64:
        return Expr(str(value), UNARY if value < 0 else ATOM, True, (value, value))
    if t.is_complex:
        z = complex(value)
        return Expr(f"{dtype(t)}(complex({_float(z.real)}, {_float(z.imag)}))")
    text = _float(float(value)) if t.is_float else str(value)
    return Expr(text, UNARY if text[0] == "-" else ATOM, weak=True) if t == f64 else Expr(f"{dtype(t)}({text})")


def _float(x: float) -> str:
    if math.isfinite(x):
        return repr(x)
    return ("-" if math.copysign(1.0, x) < 0 else "") + ("np.nan" if math.isnan(x) else "np.inf")


# ----------------------------------------------------------------------------------------- elementwise

BINARY: dict[str, tuple[str, int]] = {
    "add": ("+", PLUS), "sub": ("-", PLUS), "mul": ("*", TIMES), "div": ("/", TIMES), "floordiv": ("//", TIMES),
    "mod": ("%", TIMES), "shl": ("<<", SHIFT), "shr": (">>", SHIFT), "lt": ("<", COMPARE), "le": ("<=", COMPARE),
    "gt": (">", COMPARE), "ge": (">=", COMPARE), "eq": ("==", COMPARE), "ne": ("!=", COMPARE),
    "and": ("&", 50), "or": ("|", 40), "xor": ("^", 45),
}
FUNCTIONS: dict[str, str] = {
    **{name: f"np.{name}" for name in (
        "sqrt", "cbrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh",
        "floor", "ceil", "trunc", "rint", "hypot", "minimum", "maximum", "copysign", "sign", "abs",
        "isnan", "isinf", "isfinite", "signbit", "conj")},
    "pow": "np.power", "rem": "np.fmod", "iabs": "np.abs", "atan2": "np.arctan2",
    **{name: f"np.arc{name[1:]}" for name in ("asin", "acos", "atan", "asinh", "acosh", "atanh")},
    "erf": "special.erf", "erfc": "special.erfc", "gamma": "special.gamma",
    "lgamma": "special.gammaln", "digamma": "special.digamma", "quot": "quot",
}
LOGIC: dict[str, tuple[str, int]] = {"and": ("and", AND), "or": ("or", OR), "xor": ("!=", COMPARE)}
_NEEDS_NUMPY = {"div", "floordiv", "mod", "shl", "shr"}  # where Python's floats and ints raise, or do not wrap


def elementwise(node: Node, parts: list[Expr]) -> Expr:
    """An elementwise operation on scalars or on whole arrays."""
    name, t = node.op.name, node.operands[0].type
    if isinstance(t, ArrayType):
        x = _arrays(node, parts)
        return join(f"np.asarray({x.text})", [x]) if t.rank == 0 else _row_major(node, x)
    if isinstance(t, Scalar) and t == bool_ and name in LOGIC:
        return _infix(*LOGIC[name], parts)
    if name == "not" and t == bool_:
        return join(f"not {parts[0].at(NOT)}", parts, NOT, weak=True)
    if name in ("neg", "not"):
        symbol = "-" if name == "neg" else "~"
        (x,) = parts if t == f64 and name == "neg" else [strong(parts[0], t)]
        return join(f"{symbol}{x.at(UNARY)}", [x], UNARY, weak=x.weak)
    if name in BINARY:
        return _arithmetic(name, t, parts)
    return _SCALAR.get(name, _function)(node, parts)


def _infix(symbol: str, prec: int, parts: Sequence[Expr], weak: bool = True, range: tuple[int, int] = FULL) -> Expr:
    left = parts[0].at(prec + (prec == COMPARE))
    return join(f"{left} {symbol} {parts[1].at(prec + 1)}", parts, prec, weak, range)


def _arithmetic(name: str, t: Type, parts: list[Expr]) -> Expr:
    x, y = parts
    if BINARY[name][1] == COMPARE:
        return _infix(*BINARY[name], parts)
    if not (x.weak and y.weak):
        return _infix(*BINARY[name], parts, weak=False)
    if t == i64 and (bounds := _range(name, x.range, y.range)):
        return _infix(*BINARY[name], parts, weak=True, range=bounds)
    if t == f64 and name not in _NEEDS_NUMPY:
        return _infix(*BINARY[name], parts, weak=True)
    return _infix(*BINARY[name], [strong(x, t), y], weak=False)


def _range(name: str, x: tuple[int, int], y: tuple[int, int]) -> tuple[int, int] | None:
    """Between which integers the result lies, where Python's integers and 64 bits surely agree."""
    if name in ("add", "sub", "mul"):
        corners = [a + b if name == "add" else a - b if name == "sub" else a * b for a in x for b in y]
        lo, hi = min(corners), max(corners)
        return (lo, hi) if FULL[0] <= lo and hi <= FULL[1] else None
    if name in ("floordiv", "mod") and y[0] > 0:
        return (0, y[1] - 1) if name == "mod" else (min(x[0], 0), max(x[1], 0))
    return None


def _function(node: Node, parts: Sequence[Expr]) -> Expr:
    return call(FUNCTIONS[node.op.name], parts)


def _convert(node: Node, parts: Sequence[Expr]) -> Expr:
    (x,), source, target = parts, node.operands[0].type, node.attrs["dtype"]
    assert isinstance(source, Scalar)
    if source == target:
        return x
    if target == bool_:
        return join(f"{x.at(COMPARE + 1)} != 0", parts, COMPARE, weak=True)
    if source == bool_ or (target == f64 and source.is_int):
        return call(dtype(target), parts)
    x = strong(x, source)
    return join(f"{x.at(ATOM)}.astype({dtype(target)})", [x])


def _select(node: Node, parts: Sequence[Expr]) -> Expr:
    c, x, y = parts
    lo, hi = min(x.range[0], y.range[0]), max(x.range[1], y.range[1])
    return join(f"{x.at(TERNARY + 1)} if {c.at(TERNARY + 1)} else {y.at(TERNARY)}", parts, TERNARY, x.weak or y.weak, (lo, hi))


def _trigamma(node: Node, parts: Sequence[Expr]) -> Expr:
    t = node.operands[0].type
    text = f"special.polygamma(1, {parts[0].text})"
    return join(f"{text}.astype({dtype(t.dtype)})" if isinstance(t, ArrayType) else f"{dtype(t)}({text})", parts)


def _complex(node: Node, parts: Sequence[Expr]) -> Expr:
    t = node.result.type
    assert isinstance(t, Scalar)
    return call(dtype(t), [call("complex", parts)])


_SCALAR: dict[str, Callable[[Node, Sequence[Expr]], Expr]] = {
    "convert": _convert, "select": _select, "trigamma": _trigamma, "complex": _complex,
    "real": lambda node, parts: join(f"{parts[0].at(ATOM)}.real", parts),
    "imag": lambda node, parts: join(f"{parts[0].at(ATOM)}.imag", parts),
    "stop_gradient": lambda node, parts: parts[0],
}


def _arrays(node: Node, parts: list[Expr]) -> Expr:
    name = node.op.name
    if name in BINARY:
        return _infix(*BINARY[name], parts, weak=False)
    if name in ("neg", "not"):
        return join(f"{'-' if name == 'neg' else '~'}{parts[0].at(UNARY)}", parts, UNARY)
    if name == "select":
        return call("np.where", parts)
    if name == "convert":
        return join(f"{parts[0].at(ATOM)}.astype({dtype(node.attrs['dtype'])})", parts)
    if name in ("real", "imag"):
        return join(f"{parts[0].at(ATOM)}.{name}.copy()", parts)
    if name == "stop_gradient":
        return join(f"{parts[0].at(ATOM)}.copy()", parts)
    if name == "complex":
        return call("complex_of", parts)
    return _trigamma(node, parts) if name == "trigamma" else _function(node, parts)


def _row_major(node: Node, x: Expr) -> Expr:
    """NumPy keeps the order of transposed operands; a fresh array of ours is row-major."""
    strided = any(isinstance(v.type, ArrayType) and v.type.layout == "S" for v in node.operands)
    return call("np.ascontiguousarray", [x]) if strided else x


# ----------------------------------------------------------------------------------------------- arrays


def shape(parts: Sequence[Expr]) -> str:
    return parts[0].text if len(parts) == 1 else f"({', '.join(x.text for x in parts)})"


def _typed(t: Scalar | SumType) -> tuple[str, ...]:
    return () if t == f64 else (f"dtype={dtype(t)}",)


def spread(node: Node, x: Expr) -> Expr:
    """The operand of a `broadcast` such that NumPy would broadcast it."""
    axes, rank = node.attrs["axes"], len(node.attrs["dims"])
    if not axes or axes[0] == rank - len(axes):
        return x
    return join(f"{x.at(ATOM)}[{', '.join(':' if k in axes else 'None' for k in range(axes[0], rank))}]", [x])


def _broadcast(node: Node, parts: list[Expr]) -> Expr:
    x, sizes, t = parts[0], parts[1:], node.operands[0].type
    if not isinstance(t, ArrayType):
        assert isinstance(t, Scalar)
        if x.text in ("0.0", "1.0"):
            return join(f"np.{'zeros' if x.text == '0.0' else 'ones'}({shape(sizes)})", sizes)
        return join(f"np.full({', '.join([shape(sizes), x.text, *_typed(t)])})", [*sizes, x])
    return join(f"np.broadcast_to({spread(node, x).text}, {shape(sizes)}).copy()", parts)


def _view(node: Node, parts: list[Expr]) -> Expr:
    a, rest, keys = parts[0], iter(parts[1:]), []
    for kind, *step in node.attrs["spec"]:
        if kind == "all":
            keys.append(":")
        elif kind == "new":
            keys.append("None")
        elif kind == "at":
            keys.append(next(rest).text)
        else:
            keys.append(_slice(next(rest), next(rest), step[0]))
    if all(s[0] == "at" for s in node.attrs["spec"]):
        keys.append("...")
    while len(keys) > 1 and keys[-1] == ":":
        keys.pop()
    return join(f"{a.at(ATOM)}[{', '.join(keys)}]", parts)


def _slice(start: Expr, size: Expr, step: int) -> str:
    if step < 0:
        return f"span({start.text}, {size.text}, {step})"
    first = start.range[0] if start.weak and start.range[0] == start.range[1] else None
    count = size if step == 1 else _infix("*", TIMES, [size, constant(step, i64)])
    if first is not None and size.weak and size.range[0] == size.range[1]:
        stop = str(first + size.range[0] * step)
    else:
        stop = count.at(PLUS) if first == 0 else f"{start.at(PLUS)} + {count.at(PLUS + 1)}"
    return f"{'' if first == 0 else start.text}:{stop}" + (f":{step}" if step != 1 else "")


def _axis(axes: Sequence[int], rank: int) -> tuple[str, ...]:
    if len(axes) == rank:
        return ()
    return (f"axis={axes[0]}" if len(axes) == 1 else f"axis={tuple(axes)}",)


def _reduce(method: str) -> Callable[[Node, list[Expr]], Expr]:
    def reduce(node: Node, parts: list[Expr]) -> Expr:
        t = node.operands[0].type
        assert isinstance(t, ArrayType) and isinstance(t.dtype, Scalar)
        axes = node.attrs["axes"] if "axes" in node.attrs else (node.attrs["axis"],)
        words = [*_axis(axes, t.rank if method != "cumsum" else -1)]
        if method in ("sum", "prod", "cumsum") and t.dtype.is_int and t.dtype.bits < 64:
            words.append(f"dtype={dtype(t.dtype)}")  # NumPy would widen
        return _row_major(node, join(f"{parts[0].at(ATOM)}.{method}({', '.join(words)})", parts)) if isinstance(
            node.result.type, ArrayType) else join(f"{parts[0].at(ATOM)}.{method}({', '.join(words)})", parts)

    return reduce


def _logsumexp(node: Node, parts: list[Expr]) -> Expr:
    t = node.operands[0].type
    assert isinstance(t, ArrayType) and isinstance(t.dtype, Scalar)
    x = call("special.logsumexp", parts, *_axis(node.attrs["axes"], t.rank))
    return x if isinstance(node.result.type, ArrayType) else join(f"{dtype(t.dtype)}({x.text})", [x])


def contract(spec: tuple[str, str, str], parts: Sequence[Expr]) -> Expr:
    """`x @ w` where that is what it is, else `einsum`."""
    left, right, out = spec
    plain = len(left) <= 2 and len(right) <= 2 and left[-1:] == right[:1] != "" and out == left[:-1] + right[1:]
    if plain and left[:-1] != right[1:] or plain and len(left) == len(right) == 1:
        return _infix("@", TIMES, parts, weak=False)
    return join(f'np.einsum("{left},{right}->{out}", {parts[0].text}, {parts[1].text}, order="C")', parts)


def _take(node: Node, parts: list[Expr]) -> Expr:
    (a, k), idx, axis = parts, node.operands[1].type, node.attrs["axis"]
    assert isinstance(idx, ArrayType)
    if idx.rank and axis == 0:
        return _row_major(node, join(f"{a.at(ATOM)}[{k.text}]", parts))
    return call("np.take", parts, f"axis={axis}")


def _transpose(node: Node, parts: list[Expr]) -> Expr:
    perm = tuple(node.attrs["perm"])
    return join(f"{parts[0].at(ATOM)}.T", parts) if perm == (1, 0) else call("np.transpose", parts, str(perm))


def key(axis: int, text: str) -> str:
    """What selects `text` along an axis."""
    return ", ".join([*[":"] * axis, text])


ARRAYS: dict[str, Callable[[Node, list[Expr]], Expr]] = {
    "dim": lambda node, parts: join(f"{parts[0].at(ATOM)}.shape[{node.attrs['axis']}]", parts, ATOM, True, (0, 2**62)),
    "empty": lambda node, parts: join(f"np.zeros({', '.join([shape(parts), *_typed(node.attrs['dtype'])])})", parts),
    "broadcast": _broadcast,
    "iota": lambda node, parts: call("np.arange", parts, f"dtype={dtype(node.attrs['dtype'])}"),
    "copy": lambda node, parts: join(f"{parts[0].at(ATOM)}.copy()", parts),
    "grow": lambda node, parts: call("grow", parts),
    "load": lambda node, parts: join(f"{parts[0].at(ATOM)}[{', '.join(x.text for x in parts[1:]) or '()'}]", parts),
    "view": _view,
    "transpose": _transpose,
    "reshape": lambda node, parts: join(f"{parts[0].at(ATOM)}.reshape({', '.join(x.text for x in parts[1:]) or '()'})", parts),
    **{f"reduce_{name}": _reduce(name) for name in ("sum", "prod", "max", "min", "any", "all")},
    **{name: _reduce(name) for name in ("argmax", "argmin", "cumsum")},
    "logsumexp": _logsumexp,
    "contract": lambda node, parts: contract(node.attrs["spec"], parts),
    "concatenate": lambda node, parts: join(
        f"np.concatenate(({', '.join(x.text for x in parts)},), axis={node.attrs['axis']})", parts),
    "take": _take,
    "take_along": lambda node, parts: call("np.take_along_axis", parts, f"axis={node.attrs['axis']}"),
    "argsort": lambda node, parts: call("np.argsort", parts, f"axis={node.attrs['axis']}", 'kind="stable"'),
    "nonzero": lambda node, parts: join(f"np.nonzero({parts[0].text})[0]", parts),
    "tag": lambda node, parts: join(f"{parts[0].at(ATOM)}.tag", parts, ATOM, True, (0, 2**31)),
}


def message(template: str, parts: Sequence[Expr], where: str = "") -> str:
    """A message as a literal, an f-string where values are put in."""
    text = (where.replace("{", "{{").replace("}", "}}") + ": " if where else "") + template
    pieces = text.replace("{{", "\0").replace("}}", "\1").split("{}")
    if len(pieces) != len(parts) + 1 or any("{" in x or "}" in x for x in pieces):
        return f"{json.dumps(text, ensure_ascii=False)}.format({', '.join(x.text for x in parts)})"
    if not parts:
        return json.dumps(text.replace("{{", "{").replace("}}", "}"), ensure_ascii=False)
    if any(c in x.text for x in parts for c in "\"\\{}"):
        return f"{json.dumps(text, ensure_ascii=False)}.format({', '.join(x.text for x in parts)})"
    escaped = [json.dumps(x, ensure_ascii=False)[1:-1].replace("\\u0000", "{{").replace("\\u0001", "}}") for x in pieces]
    return 'f"' + escaped[0] + "".join(f"{{{x.text}}}{after}" for x, after in zip(parts, escaped[1:], strict=True)) + '"'
