"""The table from builtins, `math` and SciPy to staged calls; what is virtualised; what is refused."""

import math
import random
import time
from functools import partial, reduce

import numpy as np
import pytest
from scipy import special

import lms
from lms import Rep, f64, i64


def same(f, *args, backend="interpret"):
    want = f(*args)
    got = lms.stage(backend=backend)(lambda *xs: f(*xs))(*args)
    np.testing.assert_allclose(got, want, rtol=1e-13)
    if isinstance(want, bool | int | float) and not isinstance(want, np.generic):
        assert type(got) is type(want)


X, Y, N, M = 1.75, -2.5, 7, -3
A = np.array([3.0, -1.0, 2.0])

CALLS = [
    (lambda x: len(x), A), (lambda x: abs(x), Y), (lambda n: abs(n), M), (min, X, Y), (max, X, Y),
    (lambda x, y: min([x, y, 0.5]), X, Y),
    (lambda a: min(a), A), (lambda a: max(a), A), (lambda a: sum(a), A), (lambda x, y: sum([x, y, 1]), X, Y),
    (lambda x: sum((x, x), 3.0), X),
    (pow, X, Y), (lambda x: pow(x, 3), X), (lambda n: pow(n, 3), N), (lambda x, y: divmod(x, y)[0], X, Y),
    (lambda n, m: divmod(n, m)[1], N, M),
    (round, 2.5), (round, -3.5), (lambda x: round(x, 1), 1.26), (lambda n: round(n), N), (int, X), (int, Y),
    (lambda n: int(n), N),
    (float, N), (float, X), (lambda x: bool(x), X), (lambda n: bool(n), 0), (lambda a: any(a > 2), A), (lambda a: all(a > 2), A),
    (lambda x, y: any([x > 0, y > 0]), X, Y), (lambda x, y: all((x > 0, y > 0)), X, Y), (lambda x: isinstance(x, float), X),
    (lambda n: isinstance(n, int), N), (lambda n: isinstance(n, float), N), (lambda b: isinstance(b, bool), True),
    (lambda a: isinstance(a, np.ndarray), A), (lambda x: isinstance(x, (int, str)), X), (lambda a: sorted(a)[0], A),
    (lambda a: min(a, key=lambda v: -v) if False else max(a[0], a[1], key=lambda v: -v), A), (lambda x: complex(x, 2).imag, X),
    (lambda x: reduce(lambda a, b: a * b, [x, x, x]), X), (lambda x: partial(pow, x)(2), X),
    (lambda x: list(map(lambda v: v + 1, [x]))[0], X),
]


@pytest.mark.parametrize("k", range(len(CALLS)))
def test_builtins(k):
    f, *args = CALLS[k]
    same(f, *args)


MATH = ["sqrt", "exp", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh",
        "tanh", "asinh",
        "atanh", "erf", "erfc", "lgamma", "floor", "ceil", "trunc", "degrees", "radians", "fabs", "isnan", "isinf", "isfinite"]


@pytest.mark.parametrize("name", MATH)
def test_math(name):
    same(getattr(math, name), 0.4)
    assert type(lms.stage(lambda x: getattr(math, name)(x))(0.4)) is type(getattr(math, name)(0.4))


def test_math_of_several():
    same(math.atan2, X, Y)
    same(math.hypot, X, Y, 3.0)
    same(math.fmod, X, Y)
    same(math.copysign, X, Y)
    same(math.pow, X, 2.5)
    same(math.gcd, 84, 36)
    same(lambda x: math.log(x, 2), X)
    same(lambda x: math.isclose(x, x + 1e-12), X)
    same(lambda x, y: math.prod([x, y]), X, Y)
    same(lambda x, y: math.dist([x, y], [1.0, 2.0]), X, Y)
    same(lambda x: math.acosh(x), X)


SPECIAL = ["erf", "erfc", "expit", "gammaln", "digamma", "psi", "log1p", "expm1", "ndtr", "logit", "entr", "cbrt", "exp2"]


@pytest.mark.parametrize("name", SPECIAL)
def test_scipy_special(name):
    same(getattr(special, name), 0.3)
    same(getattr(special, name), np.array([0.3, 0.6]))


def test_scipy_special_of_several():
    same(special.xlogy, 0.0, 2.0)
    same(special.betaln, 1.5, 2.5)
    same(special.softmax, A)


@pytest.mark.parametrize("backend", ["interpret", "llvm"])
def test_int_of_what_is_no_int(backend):
    f = lms.stage(backend=backend)(lambda x: int(x))
    assert f(-2.9) == -2
    with pytest.raises(ValueError, match="NaN"):
        f(math.nan)
    with pytest.raises(OverflowError):
        f(math.inf)


# ------------------------------------------------------------------------------- what runs, what is refused


def helper(x, k=2):
    if x > 0:
        return x * k
    return -x


def test_python_functions_are_virtualised_when_a_staged_value_reaches_them():
    f = lms.stage(lambda x: helper(x) + helper(x, k=3))
    assert f(1.0) == 5.0 and f(-1.0) == 2.0


def test_functions_no_staged_value_reaches_run_now():
    ran = []

    def table(n):
        ran.append(n)
        return [k * k for k in range(n)]

    f = lms.stage(lambda x: x + table(3)[2])
    assert f(1.0) == 5.0 and f(2.0) == 6.0
    assert ran == [3]


def test_methods_closures_partials_and_callable_objects_are_virtualised():
    class Scale:
        def __init__(self, k):
            self.k = k

        def __call__(self, x):
            return x * self.k if x > 0 else x

        def twice(self, x):
            return self(self(x))

    def make(x):
        def inner():
            return x if x > 0 else -x

        return inner

    f = lms.stage(lambda x: Scale(3.0)(x) + Scale(2.0).twice(x) + make(x)() + partial(helper, k=x)(x))
    for x in (1.5, -2.0):
        assert f(x) == Scale(3.0)(x) + Scale(2.0).twice(x) + make(x)() + helper(x, k=x)


IMPURE = [
    (lambda x: x + random.random(), "random.random"), (lambda x: x + np.random.normal(), "np.random.normal"),
    (lambda x: x + np.random.default_rng(0).normal(), "np.random"), (lambda x: x + time.time(), "time.time"),
    (lambda x: x + float(input()), "input"), (lambda x: open("x"), "open"),
]


@pytest.mark.parametrize("k", range(len(IMPURE)))
def test_impure_calls_are_refused(k):
    f, name = IMPURE[k]
    with pytest.raises(lms.StagingError, match=name) as e:
        lms.stage(f)(1.0)
    assert __file__ in str(e.value) and "fix:" in str(e.value) and "^" in str(e.value)


REFUSED = [
    (lambda x: special.jv(x, x), "scipy.special.jv"), (lambda x: str(x), "value is asked for now"), (lambda x: {x: 1}, "hash"),
    (lambda x: [1, 2][x], "list"), (lambda x: np.array([1, "a"]) if x else x, ""),
    (lambda x: float(np.zeros(3) + x), "float()"), (lambda x: pow(x, 2, 5), "modulus"),
    (lambda x: x(1), "is not a function"),
]


@pytest.mark.parametrize("k", range(len(REFUSED)))
def test_what_is_refused(k):
    f, said = REFUSED[k]
    with pytest.raises((lms.StagingError, TypeError)) as e:
        lms.stage(f)(1)
    assert said in str(e.value)
    assert __file__ in str(e.value) and "^" in str(e.value)


@pytest.mark.parametrize("backend", ["interpret", "llvm"])
def test_py_call(backend):
    @lms.stage(backend=backend)
    def f(x: Rep[f64], n: Rep[i64]):
        y = lms.py_call(math.gamma, f64, x)
        z, k = lms.py_call(lambda x, n: (x * 2, int(n) + 1), (f64, i64), x, n)
        return y + z, k

    assert f(5.0, 2) == (34.0, 3)


def test_print_now(capsys):
    @lms.stage
    def f(x):
        lms.print_now("staging", x)
        return x

    f(1.0)
    f(2.0)
    assert capsys.readouterr().out == "staging Rep[f64](x)\n"


def test_scipy_without_source():
    f = eval("lambda x: special.expit(x) + np.exp(x)", {"special": special, "np": np})
    assert lms.stage(f)(0.0) == 1.5
