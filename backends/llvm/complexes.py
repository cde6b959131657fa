"""Complex scalar operations in LLVM, by NumPy's formulas; the transcendental ones are libm's, in double precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from lms.core import primitives as p
from lms.core.primitives import Primitive
from lms.core.types import Scalar

from . import vecmath
from .values import Complex, V, float_literal, llvm_type
from .writer import Writer

Rule = Callable[[Writer, Scalar, Sequence[V], str], V]
COMPLEX: dict[Primitive, Rule] = {}


def complex_rule(*ops: Primitive) -> Callable[[Rule], Rule]:
    def register(f: Rule) -> Rule:
        for op in ops:
            COMPLEX[op] = f
        return f

    return register


def _pair(v: V) -> Complex:
    assert isinstance(v, Complex)
    return v


def _parts(op: str, w: Writer, t: Scalar, zs: Sequence[V], flags: str) -> V:
    """An operation that works on each part alone."""
    (x, y), lt = map(_pair, zs), llvm_type(t)
    return Complex(w.op(f"{op} {flags}{lt} {x.re}, {y.re}"), w.op(f"{op} {flags}{lt} {x.im}, {y.im}"))


COMPLEX[p.scalar.add] = partial(_parts, "fadd")
COMPLEX[p.scalar.sub] = partial(_parts, "fsub")


@complex_rule(p.scalar.neg)
def _neg(w: Writer, t: Scalar, zs: Sequence[V], flags: str) -> V:
    x, lt = _pair(zs[0]), llvm_type(t)
    return Complex(w.op(f"fneg {lt} {x.re}"), w.op(f"fneg {lt} {x.im}"))


@complex_rule(p.scalar.conj)
def _conj(w: Writer, t: Scalar, zs: Sequence[V], flags: str) -> V:
    x = _pair(zs[0])
    return Complex(x.re, w.op(f"fneg {llvm_type(t)} {x.im}"))


@complex_rule(p.scalar.mul)
def mul(w: Writer, t: Scalar, zs: Sequence[V], flags: str) -> V:
    (x, y), lt = map(_pair, zs), llvm_type(t)

    def product(a: str, b: str) -> str:
        return w.op(f"fmul {flags}{lt} {a}, {b}")

    return Complex(w.op(f"fsub {flags}{lt} {product(x.re, y.re)}, {product(x.im, y.im)}"),
                   w.op(f"fadd {flags}{lt} {product(x.re, y.im)}, {product(x.im, y.re)}"))


@complex_rule(p.scalar.div)
def div(w: Writer, t: Scalar, zs: Sequence[V], flags: str) -> V:
    """Smith's method: divide by the larger part of the divisor first. By zero, each part is divided by zero."""
    (x, y), lt = map(_pair, zs), llvm_type(t)

    def op(name: str, a: str, b: str) -> str:
        return w.op(f"{name} {flags}{lt} {a}, {b}")

    def size(a: str) -> str:
        return _intrinsic(w, "fabs", t, a)

    def pick(c: str, a: str, b: str) -> str:
        return w.op(f"select i1 {c}, {lt} {a}, {lt} {b}")

    first = w.op(f"fcmp oge {lt} {size(y.re)}, {size(y.im)}")
    large, small = pick(first, y.re, y.im), pick(first, y.im, y.re)
    zero = float_literal(0.0, t.real)
    nothing = w.op(f"and i1 {w.op(f'fcmp oeq {lt} {y.re}, {zero}')}, {w.op(f'fcmp oeq {lt} {y.im}, {zero}')}")
    ratio = op("fdiv", small, large)
    scale = op("fdiv", float_literal(1.0, t.real), op("fadd", large, op("fmul", small, ratio)))
    re = op("fmul", op("fadd", pick(first, x.re, op("fmul", x.re, ratio)), pick(first, op("fmul", x.im, ratio), x.im)), scale)
    im = op("fmul", op("fsub", pick(first, x.im, op("fmul", x.im, ratio)), pick(first, op("fmul", x.re, ratio), x.re)), scale)
    by = size(y.re)
    return Complex(pick(nothing, op("fdiv", x.re, by), re), pick(nothing, op("fdiv", x.im, by), im))


def _intrinsic(w: Writer, name: str, t: Scalar, x: str) -> str:
    lt = llvm_type(t)
    w.module.declares.add(f"declare {lt} @llvm.{name}.f{t.real.bits}({lt})")
    return w.op(f"call {lt} @llvm.{name}.f{t.real.bits}({lt} {x})")


@complex_rule(p.scalar.abs)
def _abs(w: Writer, t: Scalar, zs: Sequence[V], flags: str) -> V:
    x, lt = _pair(zs[0]), llvm_type(t)
    symbol = vecmath.symbol("hypot", t.real)
    w.module.functions.add(symbol)
    return w.op(f"call {lt} @{symbol}({lt} {x.re}, {lt} {x.im})")


def _libm(name: str, w: Writer, t: Scalar, zs: Sequence[V], flags: str) -> V:
    """A complex function of the C library. Parts are passed and returned in registers of their own on x86-64 and AArch64."""
    arguments = []
    for z in map(_pair, zs):
        for part in (z.re, z.im):
            arguments.append(part if t.bits == 128 else w.op(f"fpext float {part} to double"))
    w.module.declares.add(f"declare {{ double, double }} @{name}({', '.join(['double'] * len(arguments))})")
    given = ", ".join(f"double {a}" for a in arguments)
    out = w.op(f"call {{ double, double }} @{name}({given}) nounwind willreturn memory(none)")
    re, im = (w.op(f"extractvalue {{ double, double }} {out}, {k}") for k in (0, 1))
    if t.bits == 64:
        re, im = w.op(f"fptrunc double {re} to float"), w.op(f"fptrunc double {im} to float")
    return Complex(re, im)


for _name in ("sqrt", "exp", "log", "sin", "cos"):
    COMPLEX[p.PRIMITIVES[_name]] = partial(_libm, f"c{_name}")


@complex_rule(p.scalar.pow)
def _pow(w: Writer, t: Scalar, zs: Sequence[V], flags: str) -> V:
    """`cpow`, but for the cases NumPy sets apart: exponent 0, base 0, exponents 1 and 2."""
    (x, y), lt = map(_pair, zs), llvm_type(t)
    zero, one, nan = (float_literal(v, t.real) for v in (0.0, 1.0, float("nan")))

    def same(z: Complex, re: float) -> str:
        parts = w.op(f"fcmp oeq {lt} {z.re}, {float_literal(re, t.real)}"), w.op(f"fcmp oeq {lt} {z.im}, {zero}")
        return w.op(f"and i1 {parts[0]}, {parts[1]}")

    def pick(c: str, a: Complex, b: Complex) -> Complex:
        return Complex(w.op(f"select i1 {c}, {lt} {a.re}, {lt} {b.re}"), w.op(f"select i1 {c}, {lt} {a.im}, {lt} {b.im}"))

    out = _pair(_libm("cpow", w, t, zs, flags))
    out = pick(same(y, 1.0), x, pick(same(y, 2.0), _pair(mul(w, t, (x, x), "")), out))
    positive = w.op(f"and i1 {w.op(f'fcmp ogt {lt} {y.re}, {zero}')}, {w.op(f'fcmp oeq {lt} {y.im}, {zero}')}")
    out = pick(same(x, 0.0), pick(positive, Complex(zero, zero), Complex(nan, nan)), out)
    return pick(same(y, 0.0), Complex(one, zero), out)


def _both(test: str, joined: str, w: Writer, t: Scalar, zs: Sequence[V], flags: str) -> V:
    (x, y), lt = map(_pair, zs), llvm_type(t)
    return w.op(f"{joined} i1 {w.op(f'fcmp {test} {lt} {x.re}, {y.re}')}, {w.op(f'fcmp {test} {lt} {x.im}, {y.im}')}")


COMPLEX[p.scalar.eq] = partial(_both, "oeq", "and")
COMPLEX[p.scalar.ne] = partial(_both, "une", "or")


@complex_rule(p.scalar.isnan)
def _isnan(w: Writer, t: Scalar, zs: Sequence[V], flags: str) -> V:
    x = _pair(zs[0])
    return w.op(f"fcmp uno {llvm_type(t)} {x.re}, {x.im}")


def _magnitude(test: str, joined: str, w: Writer, t: Scalar, zs: Sequence[V], flags: str) -> V:
    x, lt, inf = _pair(zs[0]), llvm_type(t), float_literal(float("inf"), t.real)
    re, im = (w.op(f"fcmp {test} {lt} {_intrinsic(w, 'fabs', t, v)}, {inf}") for v in (x.re, x.im))
    return w.op(f"{joined} i1 {re}, {im}")


COMPLEX[p.scalar.isinf] = partial(_magnitude, "oeq", "or")
COMPLEX[p.scalar.isfinite] = partial(_magnitude, "one", "and")
