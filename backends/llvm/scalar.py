"""Real scalar operations in LLVM: NumPy's meaning to the bit, special values included; nothing is poison, nothing traps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from lms.core import primitives as p
from lms.core.ir import Node
from lms.core.primitives import Primitive
from lms.core.types import Scalar, SumType

from . import complexes, vecmath
from .values import Complex, V, float_literal, literal, llvm_type
from .writer import Writer, rule

# Writes one operation on operands of type `t`, all of them registers, with fast-math flags
Real = Callable[[Writer, Scalar, Sequence[str], str], str]
REAL: dict[Primitive, Real] = {}


def real(*ops: Primitive) -> Callable[[Real], Real]:
    def register(f: Real) -> Real:
        for op in ops:
            REAL[op] = f
        return f

    return register


def emit(w: Writer, node: Node) -> Sequence[V]:
    """An elementwise operation on scalars: by `complexes` where a complex number is an operand, else by `REAL`."""
    values, t = [w.get(v) for v in node.operands], node.operands[0].type
    w.serial = node not in w.parallel
    assert isinstance(t, Scalar)
    if t.is_complex:
        return [complexes.COMPLEX[node.op](w, t, values, w.flags(node))]
    return [REAL[node.op](w, t, [w.scalar(v) for v in node.operands], w.flags(node))]


def call_math(w: Writer, name: str, t: Scalar, xs: Sequence[str], flags: str = "") -> str:
    """A function of the table of math functions."""
    symbol = vecmath.symbol(name, t, serial=w.serial)
    w.module.functions.add(symbol)
    lt = llvm_type(t)
    return w.op(f"call {flags}{lt} @{symbol}({', '.join(f'{lt} {x}' for x in xs)})")


def intrinsic(w: Writer, name: str, t: Scalar, *xs: str, flags: str = "") -> str:
    lt = llvm_type(t)
    types = ", ".join([lt] * len(xs))
    suffix = f"{'f' if t.is_float else 'i'}{t.bits}"
    w.module.declares.add(f"declare {lt} @llvm.{name}.{suffix}({types})")
    return w.op(f"call {flags}{lt} @llvm.{name}.{suffix}({', '.join(f'{lt} {x}' for x in xs)})")


# ------------------------------------------------------------------------------------------- arithmetic


def _arithmetic(float_op: str, int_op: str, w: Writer, t: Scalar, xs: Sequence[str], flags: str) -> str:
    x, y = xs
    return w.op(f"{float_op} {flags}{llvm_type(t)} {x}, {y}" if t.is_float else f"{int_op} {llvm_type(t)} {x}, {y}")


for _op, _f, _i in ((p.scalar.add, "fadd", "add"), (p.scalar.sub, "fsub", "sub"), (p.scalar.mul, "fmul", "mul"),
                    (p.scalar.div, "fdiv", "")):
    REAL[_op] = partial(_arithmetic, _f, _i)


@real(p.scalar.neg)
def _neg(w: Writer, t: Scalar, xs: Sequence[str], flags: str) -> str:
    return w.op(f"fneg {flags}{llvm_type(t)} {xs[0]}" if t.is_float else f"sub {llvm_type(t)} 0, {xs[0]}")


@real(p.scalar.abs, p.scalar.iabs)
def _abs(w: Writer, t: Scalar, xs: Sequence[str], flags: str) -> str:
    if t.is_float:
        return intrinsic(w, "fabs", t, xs[0])
    lt = llvm_type(t)
    return w.op(f"select i1 {w.op(f'icmp slt {lt} {xs[0]}, 0')}, {lt} {w.op(f'sub {lt} 0, {xs[0]}')}, {lt} {xs[0]}")


def _select(w: Writer, condition: str, lt: str, x: str, y: str) -> str:
    return w.op(f"select i1 {condition}, {lt} {x}, {lt} {y}")


@real(p.scalar.sign)
def _sign(w: Writer, t: Scalar, xs: Sequence[str], flags: str) -> str:
    (x,), lt = xs, llvm_type(t)
    if not t.is_float:
        below = w.op(f"ashr {lt} {x}, {t.bits - 1}")
        above = w.op(f"icmp sgt {lt} {x}, 0")
        return w.op(f"or {lt} {below}, {w.op(f'zext i1 {above} to {lt}')}")
    one, minus, zero = (float_literal(v, t) for v in (1.0, -1.0, 0.0))
    still = _select(w, w.op(f"fcmp oeq {lt} {x}, {zero}"), lt, zero, x)
    below = _select(w, w.op(f"fcmp olt {lt} {x}, {zero}"), lt, minus, still)
    return _select(w, w.op(f"fcmp ogt {lt} {x}, {zero}"), lt, one, below)


def _extremum(less: bool, w: Writer, t: Scalar, xs: Sequence[str], flags: str) -> str:
    (x, y), lt = xs, llvm_type(t)
    if t.is_float and flags:  # in any order, so that loops are vectorised: then zeros are told apart by sign
        return intrinsic(w, "minimum" if less else "maximum", t, x, y)
    if t.is_float:  # nan wins, whichever operand it is; of equal operands the second, as NumPy's vector code has it
        first = w.op(f"fcmp {'olt' if less else 'ogt'} {lt} {x}, {y}")
        return _select(w, w.op(f"or i1 {first}, {w.op(f'fcmp uno {lt} {x}, {x}')}"), lt, x, y)
    sign = "s" if t.kind == "i" else "u"
    return _select(w, w.op(f"icmp {sign}{'lt' if less else 'gt'} {lt} {x}, {y}"), lt, x, y)


REAL[p.scalar.minimum] = partial(_extremum, True)
REAL[p.scalar.maximum] = partial(_extremum, False)


# --------------------------------------------------------------------------------------------- division


def _int_division(w: Writer, t: Scalar, x: str, y: str) -> tuple[str, str]:
    """Quotient and remainder towards zero; x / 0 is 0 with remainder 0, and the least number by -1 is itself."""
    lt, sign = llvm_type(t), "s" if t.kind == "i" else "u"
    if y.lstrip("-").isdigit() and y not in ("0", "-1"):
        return w.op(f"{sign}div {lt} {x}, {y}"), w.op(f"{sign}rem {lt} {x}, {y}")
    zero = w.op(f"icmp eq {lt} {y}, 0")
    special = zero if sign == "u" else w.op(f"or i1 {zero}, {w.op(f'icmp eq {lt} {y}, -1')}")
    safe = _select(w, special, lt, "1", y)
    q, r = w.op(f"{sign}div {lt} {x}, {safe}"), w.op(f"{sign}rem {lt} {x}, {safe}")
    if sign == "s":
        q = _select(w, special, lt, w.op(f"sub {lt} 0, {x}"), q)
    return _select(w, zero, lt, "0", q), r


def _floored(w: Writer, t: Scalar, x: str, y: str) -> tuple[str, str]:
    """Quotient towards minus infinity, and the remainder with the sign of y."""
    q, r = _int_division(w, t, x, y)
    lt = llvm_type(t)
    if t.kind == "u":
        return q, r
    opposite = w.op(f"icmp slt {lt} {w.op(f'xor {lt} {r}, {y}')}, 0")
    off = w.op(f"and i1 {opposite}, {w.op(f'icmp ne {lt} {r}, 0')}")
    return w.op(f"add {lt} {q}, {w.op(f'sext i1 {off} to {lt}')}"), w.op(f"add {lt} {r}, {_select(w, off, lt, y, '0')}")


def _float_divmod(w: Writer, t: Scalar, x: str, y: str) -> tuple[str, str]:
    """Python's and NumPy's `divmod` of floats, y zero included."""
    lt, zero = llvm_type(t), float_literal(0.0, t)
    mod = w.op(f"frem {lt} {x}, {y}")
    exact = w.op(f"fcmp oeq {lt} {mod}, {zero}")
    opposite = w.op(f"xor i1 {w.op(f'fcmp olt {lt} {y}, {zero}')}, {w.op(f'fcmp olt {lt} {mod}, {zero}')}")
    off = w.op(f"and i1 {opposite}, {w.op(f'fcmp une {lt} {mod}, {zero}')}")
    div = w.op(f"fdiv {lt} {w.op(f'fsub {lt} {x}, {mod}')}, {y}")
    div = _select(w, off, lt, w.op(f"fsub {lt} {div}, {float_literal(1.0, t)}"), div)
    shifted = _select(w, off, lt, w.op(f"fadd {lt} {mod}, {y}"), mod)
    floor = intrinsic(w, "floor", t, div)
    up = w.op(f"fcmp ogt {lt} {w.op(f'fsub {lt} {div}, {floor}')}, {float_literal(0.5, t)}")
    floor = _select(w, up, lt, w.op(f"fadd {lt} {floor}, {float_literal(1.0, t)}"), floor)
    quotient = w.op(f"fdiv {lt} {x}, {y}")
    nothing = w.op(f"fcmp oeq {lt} {div}, {zero}")
    floor = _select(w, nothing, lt, intrinsic(w, "copysign", t, zero, quotient), floor)
    by_zero = w.op(f"fcmp oeq {lt} {y}, {zero}")
    remainder = _select(w, exact, lt, intrinsic(w, "copysign", t, zero, y), shifted)
    return _select(w, by_zero, lt, quotient, floor), _select(w, by_zero, lt, mod, remainder)


@real(p.scalar.floordiv)
def _floordiv(w: Writer, t: Scalar, xs: Sequence[str], flags: str) -> str:
    return (_float_divmod if t.is_float else _floored)(w, t, *xs)[0]


@real(p.scalar.mod)
def _mod(w: Writer, t: Scalar, xs: Sequence[str], flags: str) -> str:
    return (_float_divmod if t.is_float else _floored)(w, t, *xs)[1]


@real(p.scalar.quot)
def _quot(w: Writer, t: Scalar, xs: Sequence[str], flags: str) -> str:
    return _int_division(w, t, *xs)[0]


@real(p.scalar.rem)
def _rem(w: Writer, t: Scalar, xs: Sequence[str], flags: str) -> str:
    return w.op(f"frem {llvm_type(t)} {xs[0]}, {xs[1]}") if t.is_float else _int_division(w, t, *xs)[1]


# ---------------------------------------------------------------------------------- functions of floats


def _intrinsic(name: str, w: Writer, t: Scalar, xs: Sequence[str], flags: str) -> str:
    return intrinsic(w, name, t, *xs, flags=flags if name == "sqrt" else "")


for _op, _name in ((p.scalar.sqrt, "sqrt"), (p.scalar.floor, "floor"), (p.scalar.ceil, "ceil"), (p.scalar.trunc, "trunc"),
                   (p.scalar.rint, "roundeven"), (p.scalar.copysign, "copysign")):
    REAL[_op] = partial(_intrinsic, _name)


def _function(name: str, w: Writer, t: Scalar, xs: Sequence[str], flags: str) -> str:
    return call_math(w, name, t, xs)


for _name in (vecmath.FUNCTIONS & p.PRIMITIVES.keys()) - {"pow"}:
    REAL[p.PRIMITIVES[_name]] = partial(_function, _name)


@real(p.scalar.pow)
def _pow(w: Writer, t: Scalar, xs: Sequence[str], flags: str) -> str:
    x, y = xs
    lt = llvm_type(t)
    if y == float_literal(2.0, t):  # the correctly rounded product is what a correct `pow` gives
        return w.op(f"fmul {flags}{lt} {x}, {x}")
    if y == float_literal(1.0, t):
        return x
    if y == float_literal(-1.0, t):
        return w.op(f"fdiv {flags}{lt} {float_literal(1.0, t)}, {x}")
    return call_math(w, "pow", t, xs)


# ----------------------------------------------------------------------------------- comparison and logic


def _compare(name: str, w: Writer, t: Scalar, xs: Sequence[str], flags: str) -> str:
    if t.is_float:
        return w.op(f"fcmp {'une' if name == 'ne' else 'o' + name} {llvm_type(t)} {xs[0]}, {xs[1]}")
    sign = "" if name in ("eq", "ne") else "s" if t.kind == "i" else "u"
    return w.op(f"icmp {sign}{name} {llvm_type(t)} {xs[0]}, {xs[1]}")


for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    REAL[p.PRIMITIVES[_name]] = partial(_compare, _name)


@real(p.scalar.isnan)
def _isnan(w: Writer, t: Scalar, xs: Sequence[str], flags: str) -> str:
    return w.op(f"fcmp uno {llvm_type(t)} {xs[0]}, {float_literal(0.0, t)}")


def _magnitude(test: str, w: Writer, t: Scalar, xs: Sequence[str], flags: str) -> str:
    return w.op(f"fcmp {test} {llvm_type(t)} {intrinsic(w, 'fabs', t, xs[0])}, {float_literal(float('inf'), t)}")


REAL[p.scalar.isinf] = partial(_magnitude, "oeq")
REAL[p.scalar.isfinite] = partial(_magnitude, "one")


@real(p.scalar.signbit)
def _signbit(w: Writer, t: Scalar, xs: Sequence[str], flags: str) -> str:
    return w.op(f"icmp slt i{t.bits} {w.op(f'bitcast {llvm_type(t)} {xs[0]} to i{t.bits}')}, 0")


def _bits(name: str, w: Writer, t: Scalar, xs: Sequence[str], flags: str) -> str:
    return w.op(f"{name} {llvm_type(t)} {xs[0]}, {xs[1]}")


for _op, _name in ((p.scalar.and_, "and"), (p.scalar.or_, "or"), (p.scalar.xor, "xor")):
    REAL[_op] = partial(_bits, _name)


@real(p.scalar.not_)
def _not(w: Writer, t: Scalar, xs: Sequence[str], flags: str) -> str:
    return w.op(f"xor {llvm_type(t)} {xs[0]}, {'true' if t.kind == 'b' else '-1'}")


def _shift(left: bool, w: Writer, t: Scalar, xs: Sequence[str], flags: str) -> str:
    """A count that is negative or too large shifts everything out."""
    (x, n), lt = xs, llvm_type(t)
    if left:
        within = w.op(f"icmp ult {lt} {n}, {t.bits}")
        return _select(w, within, lt, w.op(f"shl {lt} {x}, {_select(w, within, lt, n, '0')}"), "0")
    within = w.op(f"icmp ult {lt} {n}, {t.bits}")
    if t.kind == "i":
        return w.op(f"ashr {lt} {x}, {_select(w, within, lt, n, str(t.bits - 1))}")
    return _select(w, within, lt, w.op(f"lshr {lt} {x}, {_select(w, within, lt, n, '0')}"), "0")


REAL[p.scalar.shl] = partial(_shift, True)
REAL[p.scalar.shr] = partial(_shift, False)


# ----------------------------------------------------------------------------------- selection, conversion


@rule(p.scalar.select)
def _select_rule(w: Writer, node: Node) -> Sequence[V]:
    condition, t = w.scalar(node.operands[0]), node.operands[1].type
    x, y = (w.get(v) for v in node.operands[1:])
    if isinstance(t, SumType):
        return [_select(w, condition, "ptr", str(x), str(y))]
    assert isinstance(t, Scalar)
    lt = llvm_type(t)
    if isinstance(x, Complex) and isinstance(y, Complex):
        return [Complex(_select(w, condition, lt, x.re, y.re), _select(w, condition, lt, x.im, y.im))]
    return [_select(w, condition, lt, str(x), str(y))]


@rule(p.scalar.convert)
def _convert_rule(w: Writer, node: Node) -> Sequence[V]:
    source, target, x = node.operands[0].type, node.attrs["dtype"], w.get(node.operands[0])
    assert isinstance(source, Scalar)
    if isinstance(x, Complex):
        return [Complex(convert(w, source.real, target.real, x.re), convert(w, source.real, target.real, x.im))]
    if target.is_complex:
        return [Complex(convert(w, source, target.real, x := str(x)), float_literal(0.0, target.real))]
    return [convert(w, source, target, str(x))]


def convert(w: Writer, source: Scalar, target: Scalar, x: str) -> str:
    """A real scalar as another type: integers wrap, floats truncate, as NumPy's `astype` does on x86."""
    a, b = llvm_type(source), llvm_type(target)
    if source == target:
        return x
    if target.kind == "b":
        return w.op(f"fcmp une {a} {x}, {float_literal(0.0, source)}" if source.is_float else f"icmp ne {a} {x}, 0")
    if source.is_float and target.is_float:
        return w.op(f"{'fpext' if target.bits > source.bits else 'fptrunc'} {a} {x} to {b}")
    if target.is_float:
        return w.op(f"{'sitofp' if source.kind == 'i' else 'uitofp'} {a} {x} to {b}")
    if source.is_float:
        return _float_to_int(w, source, target, x)
    if a == b:
        return x
    if int(b[1:]) < int(a[1:]):
        return w.op(f"trunc {a} {x} to {b}")
    return w.op(f"{'sext' if source.kind == 'i' else 'zext'} {a} {x} to {b}")


def _truncate(w: Writer, source: Scalar, bits: int, x: str) -> str:
    """A float as a signed integer; what does not fit (nan too) is the least integer, as the machine's instruction has it."""
    a, limit = llvm_type(source), float_literal(2.0 ** (bits - 1), source)
    if bits == 32 and source.bits == 64:  # down to -2147483648.99...
        fits = w.op(f"fcmp olt {a} {intrinsic(w, 'fabs', source, w.op(f'fadd {a} {x}, {float_literal(0.5, source)}'))}, "
                    f"{float_literal(2.0**31 + 0.5, source)}")
    else:
        fits = w.op(f"fcmp olt {a} {intrinsic(w, 'fabs', source, x)}, {limit}")
    return _select(w, fits, f"i{bits}", w.op(f"freeze i{bits} {w.op(f'fptosi {a} {x} to i{bits}')}"), str(-(2 ** (bits - 1))))


def _float_to_int(w: Writer, source: Scalar, target: Scalar, x: str) -> str:
    if target.kind == "i" and target.bits >= 32:
        return _truncate(w, source, target.bits, x)
    if target.bits < 32:
        return w.op(f"trunc i32 {_truncate(w, source, 32, x)} to i{target.bits}")
    if target.bits == 32:
        return w.op(f"trunc i64 {_truncate(w, source, 64, x)} to i32")
    a, limit = llvm_type(source), float_literal(2.0**63, source)
    high = w.op(f"fcmp oge {a} {x}, {limit}")
    low = _select(w, high, a, w.op(f"fsub {a} {x}, {limit}"), x)
    return w.op(f"xor i64 {_truncate(w, source, 64, low)}, {_select(w, high, 'i64', str(-(2**63)), '0')}")


@rule(p.scalar.stop_gradient)
def _stop_gradient(w: Writer, node: Node) -> Sequence[V]:
    return [w.get(node.operands[0])]


@rule(p.array.const)
def _const(w: Writer, node: Node) -> Sequence[V]:
    return [literal(node.attrs["value"], node.attrs["type"])]


@rule(p.scalar.complex_)
def _complex(w: Writer, node: Node) -> Sequence[V]:
    return [Complex(w.scalar(node.operands[0]), w.scalar(node.operands[1]))]


@rule(p.scalar.real)
def _real(w: Writer, node: Node) -> Sequence[V]:
    x = w.get(node.operands[0])
    return [x.re if isinstance(x, Complex) else x]


@rule(p.scalar.imag)
def _imag(w: Writer, node: Node) -> Sequence[V]:
    x, t = w.get(node.operands[0]), node.operands[0].type
    assert isinstance(t, Scalar)
    return [x.im if isinstance(x, Complex) else float_literal(0.0, t)]


for _op in {*REAL, *complexes.COMPLEX}:
    rule(_op)(emit)
