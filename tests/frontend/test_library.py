"""The array and math functions of the Python side are called by the same names here, and give the same."""

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import scipy.special
from scipy import special

from lms.files import loads
from lms.frontend.check import library
from lms.frontend.check.builtins import BUILTINS
from lms.staging.library import linalg, ops
from tests.staging.test_table import held, listed

PAGE = (Path(__file__).parents[2] / "docs" / "language.md").read_text(encoding="utf-8")
X, Y = np.array([0.3, 0.5, 0.2]), np.array([0.1, 0.6, 0.4])
A = np.array([[2.0, 0.5, 0.1], [0.5, 3.0, 0.2], [0.1, 0.2, 4.0]])
WHOLE, B = np.array([5, 2, 7]), np.array([True, False, True])
NAMES = {"x": X, "y": Y, "a": A, "i": WHOLE, "b": B, "s": 0.7, "k": 6}
PARAMETERS = "x: Rep[f64[3]], y: Rep[f64[3]], a: Rep[f64[3, 3]], i: Rep[i64[3]], b: Rep[bool[3]], s: Rep[f64], k: Rep[i64]"

CALLS = {  # the arguments, where one array of floats is not what a function takes; some have names
    **dict.fromkeys(("add allclose append array_equal arctan2 atan2 convolve copysign corrcoef cross dist divide dot equal "
                     "float_power floor_divide fmod greater greater_equal heaviside hypot inner isclose kron less less_equal "
                     "logaddexp maximum minimum mod multiply not_equal outer pow power remainder subtract trapezoid "
                     "true_divide vdot xlog1py xlogy betaln").split(), "x, y"),
    **dict.fromkeys(("bitwise_and bitwise_or bitwise_xor left_shift right_shift bitwise_left_shift "
                     "bitwise_right_shift").split(), "i, i"),
    **dict.fromkeys("invert bitwise_not bitwise_invert flatnonzero nonzero".split(), "i"),
    **dict.fromkeys("logical_and logical_or logical_xor".split(), "b, b"), "logical_not": "b",
    **dict.fromkeys(("cholesky cov det diagonal eigh eigvalsh inv qr slogdet squeeze svd svdvals trace transpose tril "
                     "triu cond matrix_rank pinv matrix_norm matrix_transpose").split(), "a"),
    "lstsq": "a, x", "multi_dot": "(a, a, x)", "vecdot": "a, a", "vector_norm": "a",
    **dict.fromkeys("matmul solve tensordot".split(), "a, a"), "solve_triangular": "a, x, lower = true",
    "cho_factor": "a, lower = true", "cho_solve": "(a, true), x", "matrix_power": "a, 3",
    **dict.fromkeys("zeros ones empty".split(), "(2, 3)"), "full": "(2, 3), s", "full_like": "a, s", "eye": "3", "identity": "3",
    "arange": "1.0, 4.0, 0.5", "linspace": "0.0, 1.0, 5", "broadcast_to": "x, (2, 3)", "reshape": "a, (1, 9)", "roll": "x, 1",
    "repeat": "x, 2", "tile": "x, 2", "flip": "x", "expand_dims": "x, 0", "moveaxis": "a, 0, 1", "swapaxes": "a, 0, 1",
    "take": "x, (0, 2)", "take_along_axis": "x, argsort(y), axis = 0", "pad": "x, 1", "split": "x, 3",
    **dict.fromkeys("concatenate stack hstack vstack column_stack".split(), "(x, y)"), "meshgrid": "x, y", "ix_": "i, i",
    "diff": "x",
    "where": "b, x, y", "clip": "x, 0.25, 0.4", "select": "[b, b], [x, y]", "interp": "s, [0.0, 1.0], [2.0, 3.0]",
    "einsum": "\"ij,j->i\", a, x",
    "bincount": "i, minlength = 8", "polyval": "x, 2.0", "polygamma": "1, x", "digitize": "x, [0.0, 0.25, 0.5]",
    "percentile": "x, 40.0", "quantile": "x, 0.4", "nan_to_num": "x", "average": "x", "norm": "x", "vander": "x",
    "erfinv": "x", "factorial": "k", "searchsorted": "[0.0, 0.25, 0.5], x", "gcd": "k, k", "modf": "s", "fsum": "[s, s]",
    "ptp": "x", "fill_diagonal": "a, 1.0",
    **dict.fromkeys("acosh arccosh".split(), "x + 1.5"), "degrees": "x", "logit": "x",
}
EAGER = {"fill_diagonal": lambda a, v: np.where(np.eye(3) > 0, v, a), "lgamma": special.gammaln,
         "cho_factor": lambda a, lower: (np.tril(scipy.linalg.cho_factor(a, lower)[0]), lower)}


def test_the_table_is_whole() -> None:
    every = set().union(held(np), held(math), held(special), held(scipy.linalg), held(np.linalg), ops.__all__,
                        linalg.__all__)
    ours = {name for name in BUILTINS if name in library.functions()} | library.OWN
    assert every - set(library.LEFT_OUT) == ours
    assert not ours & set(library.LEFT_OUT)


def test_what_is_left_out_is_told() -> None:
    section = PAGE.split("## Built in")[1]
    assert not {name for name in library.LEFT_OUT if f"`{name}`" not in section}
    assert listed("lms")  # the page that names them all


def python(name: str) -> object:
    for names in (EAGER, np, special, math, np.linalg, scipy.linalg, ops):
        found = names.get(name) if isinstance(names, dict) else getattr(names, name, None)
        if found is not None:
            return found
    raise AssertionError(name)


def same(found: object, expected: object) -> None:
    if isinstance(expected, tuple | list):
        assert len(found) == len(expected)  # type: ignore[arg-type]  # of what both give several
        for x, y in zip(found, expected, strict=True):  # type: ignore[call-overload]  # the same
            same(x, y)
        return
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-12, atol=1e-14)
    assert np.shape(found) == np.shape(expected)


def arguments(name: str) -> str:
    return CALLS.get(name, "x")


@pytest.mark.parametrize("name", sorted(library.functions()))
def test_a_function_gives_what_it_gives_in_python(name: str) -> None:
    call = f"{name}({arguments(name)})"
    if name == "fill_diagonal":
        call = "{ var c = a; fill_diagonal(c, 1.0); c }"
    with np.errstate(all="ignore"):
        names = NAMES | {"true": True, "argsort": np.argsort}
        expected = eval(f"f({arguments(name)})", {"f": python(name)}, names)
    found = loads(f"export def it({PARAMETERS}) = {call}", backend="interpret").it(*NAMES.values())
    if name in ("empty", "empty_like"):
        assert found.shape == np.shape(expected)
        return
    same(found, expected)


@pytest.mark.parametrize("call", [
    "solve(a, x)", "solve(a, a)", "inv(a)", "det(a)", "slogdet(a)[1]", "cholesky(a + transpose(a))", "solve_triangular(a, x)",
    "cho_solve(cho_factor(a + transpose(a), lower = true), x)", "eigvalsh(a + transpose(a))", "svdvals(a)",
    "matrix_power(a, 3)", "qr(a)[1]", "norm(x)", "einsum(\"ij,j->i\", a, x)", "expit(x)", "erf(x)", "logsumexp(x)", "cumprod(x)",
    "interp(x, [0.0, 1.0], [2.0, 3.0])", "sort(x)", "median(x)", "pad(x, 1)", "where(x > 0.25, x * x, x)", "take(x, [0, 2])",
])
def test_gradients_of_the_functions(call: str) -> None:
    text = f"export def value(a: Rep[f64[3, 3]], x: Rep[f64[3]]): Rep[f64] = sum({call})\n"
    text += "export def slope(a: Rep[f64[3, 3]], x: Rep[f64[3]]): (Rep[f64[3, 3]], Rep[f64[3]]) = "
    module = loads(text + "grad(value, argnums = (0, 1))(a, x)", backend="interpret")
    for k, slope in enumerate(module.slope(A, X)):
        expected = np.zeros(slope.shape)
        for place in np.ndindex(slope.shape):
            step = np.zeros(slope.shape)
            step[place] = 1e-5
            moved = [module.value(*(v + sign * step if j == k else v for j, v in enumerate((A, X)))) for sign in (1, -1)]
            expected[place] = (moved[0] - moved[1]) / 2e-5
        np.testing.assert_allclose(slope, expected, rtol=1e-6, atol=1e-7)
