"""The functions generated C brings along where it names them: arithmetic that C has no operator for.

`lms_add_i64` is the entry `add` of `_INTEGER` for `i64`; `helper` gives the text of any of them.
"""

from __future__ import annotations

import re

from lms.core.types import SCALARS, Scalar

from .expressions import c_scalar
from .factors import FACTORS

_INTEGER = {
    "add": "static inline {T} {f}({T} x, {T} y) {{ return ({T})(({W})x + ({W})y); }}",
    "sub": "static inline {T} {f}({T} x, {T} y) {{ return ({T})(({W})x - ({W})y); }}",
    "mul": "static inline {T} {f}({T} x, {T} y) {{ return ({T})(({W})x * ({W})y); }}",
    "neg": "static inline {T} {f}({T} x) {{ return ({T})(0 - ({W})x); }}",
    "abs": "static inline {T} {f}({T} x) {{ return x < 0 ? ({T})(0 - ({W})x) : x; }}",
    "sign": "static inline {T} {f}({T} x) {{ return ({T})((x > 0) - (x < 0)); }}",
    "minimum": "static inline {T} {f}({T} x, {T} y) {{ return x < y ? x : y; }}",
    "maximum": "static inline {T} {f}({T} x, {T} y) {{ return x > y ? x : y; }}",
    "shl": "static inline {T} {f}({T} x, {T} n) {{ return ({V})n < {bits} ? ({T})(({W})x << n) : 0; }}",
}
_SIGNED = {
    "shr": """static inline {T} {f}({T} x, {T} n) {{
    int by = ({V})n < {bits} ? (int)n : {last};
    return ({T})(x < 0 ? ~(~x >> by) : x >> by);
}}""",
    "quot": """/* Towards zero; by zero, zero. */
static inline {T} {f}({T} x, {T} y) {{ return y == 0 ? 0 : y == -1 ? ({T})(0 - ({W})x) : ({T})(x / y); }}""",
    "rem": "static inline {T} {f}({T} x, {T} y) {{ return y == 0 || y == -1 ? 0 : ({T})(x % y); }}",
    "floordiv": """/* Towards minus infinity. */
static inline {T} {f}({T} x, {T} y) {{
    {T} q = lms_quot_{t}(x, y), r = lms_rem_{t}(x, y);
    return r != 0 && (r < 0) != (y < 0) ? ({T})(q - 1) : q;
}}""",
    "mod": """/* The remainder with the sign of y. */
static inline {T} {f}({T} x, {T} y) {{
    {T} r = lms_rem_{t}(x, y);
    return r != 0 && (r < 0) != (y < 0) ? ({T})(r + y) : r;
}}""",
}
_DIVIDED = "static inline {T} {f}({T} x, {T} y) {{ return y == 0 ? 0 : ({T})(x / y); }}"
_LEFT = "static inline {T} {f}({T} x, {T} y) {{ return y == 0 ? 0 : ({T})(x % y); }}"
_UNSIGNED = {
    "shr": "static inline {T} {f}({T} x, {T} n) {{ return n < {bits} ? ({T})(x >> n) : 0; }}",
    "quot": _DIVIDED, "floordiv": _DIVIDED, "rem": _LEFT, "mod": _LEFT,
}
_FLOAT = {
    "square": "static inline {T} {f}({T} x) {{ return x * x; }}",
    "minimum": """/* NaN wins, whichever it is. */
static inline {T} {f}({T} x, {T} y) {{ return x < y || x != x ? x : y; }}""",
    "maximum": """/* NaN wins, whichever it is. */
static inline {T} {f}({T} x, {T} y) {{ return x > y || x != x ? x : y; }}""",
    "sign": "static inline {T} {f}({T} x) {{ return x > 0 ? 1 : x < 0 ? -1 : x == 0 ? 0 : x; }}",
    "floordiv": """/* Python's x // y. */
static inline {T} {f}({T} x, {T} y) {{
    if (y == 0) return x / y;
    {T} r = fmod{s}(x, y), q = (x - r) / y;
    if (r != 0 && (y < 0) != (r < 0)) q -= 1;
    if (q == 0) return copysign{s}(0, x / y);
    {T} whole = floor{s}(q);
    return q - whole > ({T})0.5 ? whole + 1 : whole;
}}""",
    "mod": """/* Python's x % y. */
static inline {T} {f}({T} x, {T} y) {{
    {T} r = fmod{s}(x, y);
    if (y == 0) return r;
    if (r == 0) return copysign{s}(0, y);
    return (y < 0) != (r < 0) ? r + y : r;
}}""",
    "digamma": """/* Rational functions near the root, else the asymptotic series after a shift; reflected for negative x. */
static double lms_digamma_f64(double x) {{
    static const double p[] = {{-0.0020713321167745952, -0.045251321448739056, -0.28919126444774784, -0.65031853770896507,
                               -0.32555031186804491, 0.25479851061131551}};
    static const double q[] = {{-0.55789841321675513e-6, 0.0021284987017821144, 0.054151797245674225, 0.43593529692665969,
                               1.4606242909763515, 2.0767117023730469, 1.0}};
    static const double s[] = {{8.33333333333333333333e-2, -2.10927960927960927961e-2, 7.57575757575757575758e-3,
                               -4.16666666666666666667e-3, 3.96825396825396825397e-3, -8.33333333333333333333e-3,
                               8.33333333333333333333e-2}};
    double y = 0;
    if (x != x || x == INFINITY) return x;
    if (x == -INFINITY) return NAN;
    if (x == 0) return copysign(INFINITY, -x);
    if (x < 0) {{
        double whole, r = modf(x, &whole);
        if (r == 0) return NAN;
        y = -3.14159265358979323846 / tan(3.14159265358979323846 * r);
        x = 1 - x;
    }}
    if (x <= 10 && x == floor(x)) {{
        for (int i = 1; i < (int)x; i++) y += 1.0 / i;
        return y - 0.577215664901532860606512090082402431;
    }}
    if (x < 1) {{
        y -= 1 / x;
        x += 1;
    }}
    else if (x < 10) {{
        while (x > 2) {{
            x -= 1;
            y += 1 / x;
        }}
    }}
    if (1 <= x && x <= 2) {{
        double root = x - 1569415565.0 / 1073741824.0;
        root -= 381566830.0 / 1073741824.0 / 1073741824.0;
        root -= 0.9016312093258695918615325266959189453125e-19;
        double a = p[0], b = q[0];
        for (int i = 1; i < 6; i++) a = a * (x - 1) + p[i];
        for (int i = 1; i < 7; i++) b = b * (x - 1) + q[i];
        return y + (root * 0.99558162689208984f + root * (a / b));
    }}
    double tail = 0;
    if (x < 1e17) {{
        double z = 1 / (x * x), sum = s[0];
        for (int i = 1; i < 7; i++) sum = sum * z + s[i];
        tail = z * sum;
    }}
    return y + (log(x) - 0.5 / x - tail);
}}""",
    "trigamma": """/* Ten terms of the sum of 1 / (x + i)^2, and the asymptotic series for the rest; reflected for negative x. */
static double lms_trigamma_f64(double x) {{
    static const double c[] = {{-3617.0 / 510, 7.0 / 6, -691.0 / 2730, 5.0 / 66, -1.0 / 30, 1.0 / 42, -1.0 / 30, 1.0 / 6}};
    double a = x < 0 ? 1 - x : x, r = 1 / (a + 10), z = r * r, sum = 0;
    for (int i = 0; i < 8; i++) sum = sum * z + c[i];
    double rest = r * z * sum + (z * 0.5 + r);
    for (int i = 9; i >= 0; i--) rest += 1 / ((a + i) * (a + i));
    if (x >= 0 || x != x) return rest;
    double sine = sin((x - rint(x)) * 3.14159265358979323846);
    return 9.86960440108935861883 / (sine * sine) - rest;
}}""",
}
_NARROW = {name: f"static float lms_{name}_f32(float x) {{ return (float)lms_{name}_f64(x); }}"
           for name in ("digamma", "trigamma")}
_COMPLEX = {
    "add": "static inline {T} {f}({T} x, {T} y) {{ return ({T}){{x.re + y.re, x.im + y.im}}; }}",
    "sub": "static inline {T} {f}({T} x, {T} y) {{ return ({T}){{x.re - y.re, x.im - y.im}}; }}",
    "mul": "static inline {T} {f}({T} x, {T} y) {{ return ({T}){{x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re}}; }}",
    "neg": "static inline {T} {f}({T} x) {{ return ({T}){{-x.re, -x.im}}; }}",
    "conj": "static inline {T} {f}({T} x) {{ return ({T}){{x.re, -x.im}}; }}",
    "abs": "static inline {R} {f}({T} x) {{ return hypot{s}(x.re, x.im); }}",
    "eq": "static inline bool {f}({T} x, {T} y) {{ return x.re == y.re && x.im == y.im; }}",
    "isnan": "static inline bool {f}({T} x) {{ return x.re != x.re || x.im != x.im; }}",
    "isinf": "static inline bool {f}({T} x) {{ return isinf(x.re) || isinf(x.im); }}",
    "isfinite": "static inline bool {f}({T} x) {{ return isfinite(x.re) && isfinite(x.im); }}",
    "div": """/* Smith's method: divide by the larger part of the divisor first. By zero, each part is divided by zero. */
static inline {T} {f}({T} x, {T} y) {{
    bool first = fabs{s}(y.re) >= fabs{s}(y.im);
    {R} large = first ? y.re : y.im, small = first ? y.im : y.re;
    if (y.re == 0 && y.im == 0) return ({T}){{x.re / fabs{s}(y.re), x.im / fabs{s}(y.re)}};
    {R} ratio = small / large, scale = 1 / (large + small * ratio);
    if (first) return ({T}){{(x.re + x.im * ratio) * scale, (x.im - x.re * ratio) * scale}};
    return ({T}){{(x.re * ratio + x.im) * scale, (x.im * ratio - x.re) * scale}};
}}""",
    "pow": """static inline {T} {f}({T} x, {T} y) {{
    if (y.re == 0 && y.im == 0) return ({T}){{1, 0}};
    if (x.re == 0 && x.im == 0) return y.re > 0 && y.im == 0 ? ({T}){{0, 0}} : ({T}){{NAN, NAN}};
    if (y.re == 1 && y.im == 0) return x;
    if (y.re == 2 && y.im == 0) return lms_mul_{t}(x, x);
    double _Complex z = cpow(CMPLX(x.re, x.im), CMPLX(y.re, y.im));
    return ({T}){{({R})creal(z), ({R})cimag(z)}};
}}""",
    **{name: f"""static inline {{T}} {{f}}({{T}} x) {{{{
    double _Complex z = c{name}(CMPLX(x.re, x.im));
    return ({{T}}){{{{({{R}})creal(z), ({{R}})cimag(z)}}}};
}}}}""" for name in ("sqrt", "exp", "log", "sin", "cos")},
}
_AS = {"c64": "static inline lms_c64 lms_as_c64(lms_c128 x) { return (lms_c64){(float)x.re, (float)x.im}; }",
       "c128": "static inline lms_c128 lms_as_c128(lms_c64 x) { return (lms_c128){x.re, x.im}; }"}


def helper(name: str) -> str | None:
    """The text of a helper; None for a name that is none."""
    if (m := re.fullmatch(r"lms_(\w+)_of_(f32|f64)", name)) and m[1] in SCALARS:
        return _truncation(SCALARS[m[1]], SCALARS[m[2]])
    m = re.fullmatch(r"lms_([a-z]+)_(\w+)", name)
    if m is None or m[2] not in SCALARS:
        return None
    op, t = m[1], SCALARS[m[2]]
    if op == "as":
        return _AS.get(t.name)
    if op in _NARROW and t.name == "f32":
        return _NARROW[op]
    if op in FACTORS:
        return FACTORS[op].format(**_words(name, t)) if t.is_float else None
    table = _COMPLEX if t.is_complex else _FLOAT if t.is_float else _INTEGER | (_SIGNED if t.kind == "i" else _UNSIGNED)
    return table[op].format(**_words(name, t)) if op in table else None


def _words(name: str, t: Scalar) -> dict[str, object]:
    wide = "uint64_t" if t.bits == 64 and t.is_int else "uint32_t"
    unsigned = f"uint{t.bits}_t" if t.is_int else ""
    return {"f": name, "t": t.name, "T": c_scalar(t), "R": c_scalar(t.real), "W": wide, "V": unsigned, "bits": t.bits,
            "last": t.bits - 1, "s": "f" if t.real.bits == 32 else ""}


def _truncation(target: Scalar, source: Scalar) -> str:
    """Floats as integers; what does not fit becomes what x86 makes of it."""
    name, a, b = f"lms_{target.name}_of_{source.name}", c_scalar(source), c_scalar(target)
    head = f"static inline {b} {name}({a} x) {{ "
    if target.kind == "i" and target.bits == 64:
        return head + "return x >= -9223372036854775808.0 && x < 9223372036854775808.0 ? (int64_t)x : INT64_MIN; }"
    if target.kind == "i" and target.bits == 32:
        return head + "return (double)x > -2147483649.0 && (double)x < 2147483648.0 ? (int32_t)x : INT32_MIN; }"
    if target.bits < 32:
        return head + f"return ({b})lms_i32_of_{source.name}(x); }}"
    if target.bits == 32:
        return head + f"return ({b})lms_i64_of_{source.name}(x); }}"
    big = f"({a})9223372036854775808.0"
    return head + (f"\n    return x >= {big} ? (uint64_t)lms_i64_of_{source.name}(x - {big}) ^ (uint64_t)INT64_MIN"
                   f"\n                   : (uint64_t)lms_i64_of_{source.name}(x);\n}}")


def closure(text: str) -> list[str]:
    """The helpers a text names, and those that they name, each after what it needs."""
    found: dict[str, str] = {}

    def visit(text: str) -> None:
        for name in dict.fromkeys(re.findall(r"\blms_\w+", text)):
            if name not in found and (body := helper(name)) is not None:
                found[name] = ""
                visit(body.replace(name, ""))
                del found[name]
                found[name] = body

    visit(text)
    return list(found.values())
