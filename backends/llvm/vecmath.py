"""The functions of `math`, as LLVM functions that loops can vectorise. One table: `symbol` names a function, `define` writes it.

Where no vector can be made (`serial.py`) libm is called: its latency is lower, and its bits are Python's. Elsewhere, where we
have a polynomial (`POLYNOMIALS`, inlined, and `LIBRARY`, called) scalar code, the body of a vector loop and its tail give the
same bits, on every target. The error is at most 4 ulp (`tests/backends/test_vecmath.py` measures it).
The rest are calls of libm, which loops replace by libmvec's vector versions where that library is found (within 4 ulp).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

from lms.core.types import SCALARS, Scalar

from .lines import Lines, V

# ----------------------------------------------------------------------------------------- constants per width


class _Width:
    """What the algorithms need to know of a float's format."""

    def __init__(self, bits: int) -> None:
        double = bits == 64
        self.bits = bits
        self.mantissa = 52 if double else 23
        self.bias = 1023 if double else 127
        self.one = self.bias << self.mantissa
        self.magic = 1.5 * 2.0**self.mantissa  # adding it rounds to an integer, held in the low bits
        self.magic_bits = (self.bias + self.mantissa) << self.mantissa | 1 << (self.mantissa - 1)
        self.tiny, self.up = (2.0**-1022, 54) if double else (2.0**-126, 25)
        # log 2 in two parts: the product of an exponent and the first is exact
        self.ln2 = (6.93147180369123816490e-01, 1.90821492927058770002e-10) if double else (0.693359375, -2.12194440e-4)
        self.log_ln2 = self.ln2 if double else (6.9313812256e-01, 9.0580006145e-06)
        self.exp_limits = (-746.0, 710.0) if double else (-104.0, 89.0)
        self.exp = _EXP64 if double else _EXP32
        self.log = _LOG64 if double else _LOG32
        self.sin = _SIN64 if double else _SIN32
        self.cos = _COS64 if double else _COS32
        self.root_half = 0x3FE6A09E667F3BCD if double else 0x3F3504F3
        self.pi_2 = ((1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33) if double else
                     (1.5707963705062866, -4.371138828673793e-08, -1.7151245100058819e-15))
        self.sin_limit = 2.0**30 if double else 2.0**16
        self.tanh_limit = 22.0 if double else 10.0


# (exp(r) - 1 - r) / r^2 for |r| <= log(2)/2
_EXP64 = [0.5, 0.1666666666666667, 0.04166666666666667, 0.008333333333326112, 0.001388888888888373, 0.0001984126987490126,
          2.4801587325605324e-05, 2.7557255297969643e-06, 2.755727357010214e-07, 2.5105259538448494e-08, 2.0914717341716378e-09]
_EXP32 = [0.5000000013498178, 0.16666666681659179, 0.04166646460202654, 0.008333310889582076, 0.0013933685862617174,
          0.00019891030654370327]
# (log((1+s)/(1-s)) - 2s) / s^3 in powers of s^2
_LOG64 = [6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01,
          1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01]
_LOG32 = [0.6666666655435334, 0.40000121957356166, 0.28550807482041596, 0.23330829986117116]
# (sin(r) - r) / r^3 and (cos(r) - 1 + r^2/2) / r^4 in powers of r^2, for |r| <= pi/4
_SIN64 = [-0.16666666666666666, 0.0083333333333307, -0.00019841269836385435, 2.7557315910939e-06, -2.5051092308431318e-08,
          1.5915309183057952e-10]
_COS64 = [0.041666666666666664, -0.0013888888888887241, 2.480158729853226e-05, -2.7557317151858866e-07, 2.0876121534608454e-09,
          -1.1380868171449914e-11]
_SIN32 = [-0.16666664539365847, 0.008332724613783694, -0.000195828306788358]
_COS32 = [0.04166666453632113, -0.0013888279330556918, 2.4542871110870263e-05]

_LOG2E, _2_PI, _PI = 1.4426950408889634, 0.6366197723675814, 3.141592653589793
_INF, _NAN = float("inf"), float("nan")

_width = cache(_Width)


# ------------------------------------------------------------------------------------------------- polynomials


def _clamp(f: Lines, x: V, low: float, high: float) -> V:
    """Within limits; nan falls through. Comparisons, because the minimum intrinsics cost more."""
    x = f.select(x > high, high, x)
    return f.select(x < low, low, x)


def _reduce_exp(f: Lines, x: V) -> tuple[V, V]:
    """k as an integer and r with x = k log 2 + r, |r| <= log(2)/2."""
    w = _width(f.bits)
    shifted = f.fma(x, _LOG2E, w.magic)
    k = shifted - w.magic
    r = f.fma(k, -w.ln2[1], f.fma(k, -w.ln2[0], x))
    return f.to_bits(shifted) - w.magic_bits, r


def _power_of_two(f: Lines, k: V) -> V:
    w = _width(f.bits)
    return f.from_bits((k << w.mantissa) + w.one)


def _exp(f: Lines) -> V:
    w = _width(f.bits)
    k, r = _reduce_exp(f, _clamp(f, f.params[0], *w.exp_limits))
    p = f.fma(r * r, f.poly(r, w.exp), r) + 1.0
    half = k >> 1  # two steps, so that neither overflows where the result does not, and subnormals round once
    return p * _power_of_two(f, half) * _power_of_two(f, k - half)


def _expm1_of(f: Lines, x: V) -> V:
    w = _width(f.bits)
    k, r = _reduce_exp(f, _clamp(f, x, -40.0, w.exp_limits[1]))
    p = f.fma(r * r, f.poly(r, w.exp), r)
    s = _power_of_two(f, k - 1)
    grown = f.fma(s, p, s - 0.5)
    return f.select(k.equals(0), p, grown + grown)


def _expm1(f: Lines) -> V:
    (x,) = f.params
    y = _expm1_of(f, x)
    return f.select(x.equals(0.0), x, y)  # keeps the sign of zero


def _tanh(f: Lines) -> V:
    (x,) = f.params
    a = f.abs(x)
    a = f.select(a > _width(f.bits).tanh_limit, _width(f.bits).tanh_limit, a)
    e = _expm1_of(f, a + a)
    return f.copysign(e / (e + 2.0), x)


def _log_parts(f: Lines, bits: V) -> tuple[V, V]:
    """Exponent (as a float) and m - 1, of a positive normal number 2^k m with m between sqrt(1/2) and sqrt(2)."""
    w = _width(f.bits)
    shifted = bits + (w.one - w.root_half)
    k = f.from_bits((shifted >> w.mantissa) - w.bias + w.magic_bits) - w.magic
    return k, f.from_bits((shifted & ((1 << w.mantissa) - 1)) + w.root_half) - 1.0


def _log_sum(f: Lines, k: V, m: V, correction: V | None = None) -> V:
    """k log 2 + log(1 + m), m between sqrt(1/2) - 1 and sqrt(2) - 1."""
    w = _width(f.bits)
    s = m / (m + 2.0)
    z = s * s
    half = m * m * 0.5
    tail = s * f.fma(z, f.poly(z, w.log), half)
    low = f.fma(k, w.log_ln2[1], tail if correction is None else tail + correction)
    return f.fma(k, w.log_ln2[0], m - (half - low))


def _log(f: Lines) -> V:
    w = _width(f.bits)
    (x,) = f.params
    small = x < w.tiny
    k, m = _log_parts(f, f.to_bits(f.select(small, x * 2.0**w.up, x)))
    y = _log_sum(f, f.select(small, k - float(w.up), k), m)
    special = f.select(x.equals(0.0), -_INF, f.select(x < 0.0, _NAN, x))
    return f.select((x > 0.0) & (x < _INF), y, special)


def _log1p(f: Lines) -> V:
    (x,) = f.params
    u = x + 1.0
    k, m = _log_parts(f, f.to_bits(u))
    lost = f.select(k >= 2.0, 1.0 - (u - x), x - (u - 1.0)) / u
    near = k.equals(0.0)
    y = _log_sum(f, k, f.select(near, x, m), f.select(near, 0.0, lost))
    special = f.select(x.equals(-1.0), -_INF, f.select(x < -1.0, _NAN, x))
    y = f.select((x > -1.0) & (x < _INF), y, special)
    return f.select(x.equals(0.0), x, y)


def _reduce_pi(f: Lines, x: V) -> tuple[V, V, V]:
    """The quadrant (in the low two bits) and r + low = x - quadrant * pi/2, in three steps of which the first is exact."""
    w = _width(f.bits)
    shifted = f.fma(x, _2_PI, w.magic)
    k = shifted - w.magic
    a = f.fma(k, -w.pi_2[0], x)
    p = k * w.pi_2[1]
    lost = f.fma(k, w.pi_2[1], -p)
    r = a - p
    back = a - r
    low = (a - (r + back)) + (back - p) - lost
    return f.to_bits(shifted), r, f.fma(k, -w.pi_2[2], low)


def _sin_cos(f: Lines, quarter: int) -> None:
    w = _width(f.bits)
    x = f.abs(f.params[0])
    quadrant, r, low = _reduce_pi(f, x)
    quadrant = quadrant + quarter
    z = r * r
    s = r + f.fma(r * z, f.poly(z, w.sin), low)
    half = z * 0.5
    one = 1.0 - half
    c = one + (((1.0 - one) - half) + f.fma(z * z, f.poly(z, w.cos), -(r * low)))
    y = f.select((quadrant & 1).equals(0), s, c)
    sign = (quadrant & 2) << (f.bits - 2)
    if not quarter:  # sin is odd
        sign = sign ^ (f.to_bits(f.params[0]) & -(1 << (f.bits - 1)))
    y = f.from_bits(f.to_bits(y) ^ sign)
    f.ret_but(y, x > w.sin_limit, ("cos" if quarter else "sin") + ("" if f.bits == 64 else "f"))


def _trigamma(f: Lines) -> V:
    """Ten terms of the sum of 1/(x+i)^2, and the asymptotic series for the rest; reflected for negative x."""
    (x,) = f.params
    mirrored = x < 0.0
    a = f.select(mirrored, 1.0 - x, x)
    terms = [1.0 / (y * y) for y in (a + float(i) for i in range(10))]
    r = 1.0 / (a + 10.0)
    z = r * r
    rest = f.fma(r * z, f.poly(z, _BERNOULLI), f.fma(z, 0.5, r))
    for term in reversed(terms):
        rest = rest + term
    turned = x - f.intrinsic("rint", x)
    s = f.call(symbol("sin", SCALARS[f"f{f.bits}"]), (turned * _PI,))
    return f.select(mirrored, _PI**2 / (s * s) - rest, rest)


_BERNOULLI = [1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510]

POLYNOMIALS: dict[str, Callable[[Lines], V]] = {
    "exp": _exp, "expm1": _expm1, "log": _log, "log1p": _log1p, "tanh": _tanh, "trigamma": _trigamma,
}
# These have a branch, for arguments so large that their quadrant takes more than double precision. So they are called, not
# inlined: from a library of our own, linked once, which has a function for every width of vector beside the scalar one.
LIBRARY: dict[str, int] = {"sin": 0, "cos": 1}

# ------------------------------------------------------------------------------------------------------- libraries

_MVEC1 = ("acos", "acosh", "asin", "asinh", "atan", "atanh", "cbrt", "cos", "cosh", "erf", "erfc", "exp", "exp10", "exp2",
          "expm1", "log", "log10", "log1p", "log2", "sin", "sinh", "tan", "tanh")
_MVEC2 = ("atan2", "hypot", "pow")
_LIBM1 = (*_MVEC1, "gamma", "lgamma")
_C_NAMES = {"gamma": "tgamma"}  # libm's `gamma` is a logarithm
_LIBM = frozenset((*_LIBM1, *_MVEC2))
_BINARY = frozenset(_MVEC2)
_SPECIAL = {"digamma": "lms_psi"}  # SciPy's, by address (`symbols.py`)
_NEEDS = {"trigamma": "sin"}
_LETTERS = {16: "b", 32: "d", 64: "e"}  # libmvec's name for a vector of so many bytes: SSE, AVX2, AVX-512


def widths() -> list[int]:
    """The vectors of this machine, in bytes."""
    from .jit import host

    features = host().features.split(",")
    return [16, *(size for size, feature in ((32, "+avx2"), (64, "+avx512f")) if feature in features)]


@cache
def libmvec() -> frozenset[str]:
    """The vector functions this machine's C library offers, by their mangled names; none where there is no libmvec."""
    import llvmlite.binding as llvm

    try:
        llvm.load_library_permanently("libmvec.so.1")
    except RuntimeError:
        return frozenset()
    names = (f"_ZGV{_LETTERS[size]}N{size // bytes_}{'v' * arity}_{name}{suffix}"
             for arity, table in ((1, _MVEC1), (2, _MVEC2)) for name in table
             for bytes_, suffix in ((8, ""), (4, "f")) for size in widths())
    return frozenset(name for name in names if llvm.address_of_symbol(name) is not None)


def _libm(f: Lines, name: str) -> V:
    """A call of libm's function, with its vector versions beside it for the vectoriser to take."""
    callee, vs = _C_NAMES.get(name, name) + ("" if f.bits == 64 else "f"), "v" * len(f.params)
    names = {size * 8 // f.bits: f"_ZGV{letter}N{size * 8 // f.bits}{vs}_{callee}" for size, letter in _LETTERS.items()}
    return _call(f, callee, {lanes: vector for lanes, vector in names.items() if vector in libmvec()})


def _ours(f: Lines, name: str) -> V:
    """A call of a function of our library, likewise."""
    callee = f"lms_{name}_f{f.bits}"
    return _call(f, callee, {size * 8 // f.bits: f"{callee}_v{size * 8 // f.bits}" for size in widths()})


def _call(f: Lines, callee: str, vectors: dict[int, str]) -> V:
    """A call that loops may replace: `vectors` are the names of its versions, by their number of lanes."""
    variants, t, vs = [], f.type("f"), "v" * len(f.params)
    for lanes, vector in vectors.items():
        variants.append(f"_ZGV_LLVM_N{lanes}{vs}_{callee}({vector})")
        f.declares.add(f"declare <{lanes} x {t}> @{vector}({', '.join([f'<{lanes} x {t}>'] * len(f.params))})")
        f.keeps.add(vector)
    vector_variants = f' "vector-function-abi-variant"="{",".join(variants)}"' if variants else ""
    f.declares.add(f"declare {t} @{callee}({', '.join([t] * len(f.params))})")
    return f.call(callee, f.params, "nounwind willreturn memory(none)" + vector_variants)


def _special(f: Lines, name: str) -> V:
    """SciPy's function, which works in double precision."""
    x = f.params[0].name
    if f.bits == 32:
        f.lines.append(f"  %wide = fpext float {x} to double")
        x = "%wide"
    f.declares.add(f"declare double @{_SPECIAL[name]}(double, i32)")
    f.lines.append(f"  %exact = call double @{_SPECIAL[name]}(double {x}, i32 0) nounwind willreturn memory(none)")
    if f.bits == 32:
        f.lines.append("  %narrow = fptrunc double %exact to float")
        return V(f, "%narrow", "f")
    return V(f, "%exact", "f")


# ------------------------------------------------------------------------------------------------------- the table

FUNCTIONS = frozenset((*POLYNOMIALS, *LIBRARY, *_LIBM1, *_BINARY, *_SPECIAL))


def symbol(op: str, scalar: Scalar, *, serial: bool = False) -> str:
    """The LLVM name of a primitive on floats, `lms.exp.f64`: `double (double)`, or of two where the primitive takes two.

    `serial` is for a place that no vector can take: libm's own function there, `lms.exp.f64.serial`.
    Raises `KeyError` for what is no function of this table.
    """
    if op not in FUNCTIONS:
        raise KeyError(op)
    return f"lms.{op}.{scalar.name}" + (".serial" if serial and op in _LIBM else "")


def define(symbols: Iterable[str]) -> str:
    """The text of these functions and of all they need, to be put into a module once, in any place."""
    needed = set(symbols)
    needed |= {name.replace(op, _NEEDS[op]) for name in needed if (op := name.split(".")[1]) in _NEEDS}
    functions = [_function(name, _has_fma()) for name in sorted(needed)]
    declares = sorted({d for f in functions for d in f.declares})
    keeps = sorted({k for f in functions for k in f.keeps})
    text = "".join(f.text for f in functions) + "\n".join(declares) + "\n"
    if keeps:
        text += (f"@llvm.compiler.used = appending global [{len(keeps)} x ptr] [{', '.join(f'ptr @{k}' for k in keeps)}], "
                 'section "llvm.metadata"\n')
    return text


@cache
def _has_fma() -> bool:
    from .jit import host

    features = host().features.split(",")
    return "+fma" in features or not host().triple.startswith("x86_64")


@cache
def _function(name: str, fma: bool) -> Lines:
    _, op, scalar, *serial = name.split(".")
    f = Lines(name, 64 if scalar == "f64" else 32, 2 if op in _BINARY else 1)
    if serial:
        f.ret(_call(f, _C_NAMES.get(op, op) + ("" if f.bits == 64 else "f"), {}))
    elif op in POLYNOMIALS:
        f.ret(POLYNOMIALS[op](f))
    elif op in LIBRARY and fma:  # their reduction needs products that are not rounded
        f.ret(_ours(f, op))
    elif op in _SPECIAL:
        f.ret(_special(f, op))
    else:
        f.ret(_libm(f, op))
    return f


# ----------------------------------------------------------------------------------------------------- our library


def library(name: str) -> tuple[str, tuple[str, ...]] | None:
    """The text of our library that has a function, `lms_sin_f64` or `lms_sin_f64_v8`, and the names it defines."""
    if not name.startswith("lms_") or name.split("_")[1] not in LIBRARY:
        return None
    op, kind = name.split("_")[1:3]
    bits, functions = int(kind[1:]), []
    for lanes in (1, *(size * 8 // bits for size in widths())):
        f = Lines(f"lms_{op}_f{bits}" + (f"_v{lanes}" if lanes > 1 else ""), bits, lanes=lanes)
        _sin_cos(f, LIBRARY[op])
        functions.append(f)
    declares = sorted({d for f in functions for d in f.declares})
    return "".join(f.written("") for f in functions) + "\n".join(declares) + "\n", tuple(f.name for f in functions)
