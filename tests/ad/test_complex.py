"""Gradients by complex numbers: df/dx + i df/dy, in both modes, of every operation that takes them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lms
from lms.ad.rules import MEMORY, RULES
from lms.ad.rules.complex import HOLOMORPHIC, is_complex
from lms.backends.interpret import run
from lms.core import primitives as p
from lms.core.builder import current
from lms.core.types import ArrayType, c64, c128, f64
from lms.staging.rep import Rep
from tests.ad.emitted import emit, program
from tests.support.rows import Row, rows

Z, D = 3 + 4j, 0.3 - 0.7j


def squares(z):
    w, a = z, np.zeros(3, dtype=np.complex128)
    for i in range(3):
        a[i] = w
        w = w * w / 10 + z
        if w.real > 10:
            w = w / abs(w)
    return abs(a[2] + w) ** 2


def outward(z):
    w = z
    while abs(w) < 100.0:
        w = w * z + 1j
    return w.real


@lms.stage
def fall(z: lms.Rep[c128], k: lms.Rep[lms.i64]) -> lms.Rep[c128]:
    if k == 0:
        return z
    return np.sin(fall(z, k - 1) / 5) * z


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "square of the modulus": lambda z: (z * np.conj(z)).real,
    "modulus": lambda z: abs(z),
    "parts": lambda z: z.real**2 + z.imag * z.real,
    "exp": lambda z: np.exp(z / 5).imag,
    "log": lambda z: np.log(z).real,
    "sqrt": lambda z: np.sqrt(z).imag,
    "sin and cos": lambda z: np.sin(z / 3).real * abs(np.cos(z / 3)),
    "quotient": lambda z: (1 / (z + 1j)).real,
    "powers": lambda z: (z ** (0.5 + 0.2j)).real + (z**3).imag,
    "made of floats": lambda z: (z.real * np.exp(1j * z.imag)).real,
    "arrays": lambda z: abs(np.sum(np.array([z, z * z, 2.0]) * np.array([1j, 2.0, z]))),
    "product": lambda z: np.prod(np.array([z, z * z, 2.0])).real,
    "contraction": lambda z: np.dot(np.array([z, z * z]), np.array([1j * z, 2.0])).real,
    "a loop": squares,
    "a while": outward,
    "recursion": lambda z: abs(fall(z, 3)),
    "single precision": lambda z: (z.astype(c64) * (2 + 1j)).real.astype(f64) + z.imag,
}


def by_parts(f: Callable[[complex], float], z: complex, step: float = 1e-6) -> complex:
    """df/dx + i df/dy by differences."""
    return (f(z + step) - f(z - step)) / (2 * step) + 1j * (f(z + 1j * step) - f(z - 1j * step)) / (2 * step)


@pytest.mark.parametrize("backend", ["llvm", "interpret"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradient(name: str, backend: str) -> None:
    f = FUNCTIONS[name]
    staged = lms.stage(backend=backend)(f)
    expected = by_parts(staged, Z, 1e-2 if name == "single precision" else 1e-6)
    gradient = lms.grad(staged)(Z)
    tolerance = 1e-4 if name == "single precision" else 1e-7
    assert gradient == pytest.approx(expected, rel=tolerance)
    value, slope = lms.jvp(staged, (Z,), (D,))
    assert value == staged(Z)
    assert slope == pytest.approx((np.conj(gradient) * D).real, rel=1e-6 if name == "single precision" else 1e-12)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "single precision"])
def test_second_derivatives(name: str) -> None:
    """Forward over reverse, and reverse over reverse, along a direction."""
    gradient = lms.grad(FUNCTIONS[name])
    expected = (gradient(Z + 1e-6 * D) - gradient(Z - 1e-6 * D)) / 2e-6
    assert lms.hvp(FUNCTIONS[name], (Z,), (D,)) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    along = lms.grad(lambda z: (np.conj(D) * lms.grad(FUNCTIONS[name])(z)).real)  # the Hessian is symmetric
    assert along(Z) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_the_convention() -> None:
    """PyTorch's: 6 + 8j, the direction of steepest ascent; JAX gives the conjugate."""
    assert lms.grad(lambda z: abs(z) ** 2)(3 + 4j) == pytest.approx(6 + 8j)
    assert lms.grad(lambda z: z.real)(3 + 4j) == 1
    assert lms.grad(lambda z: z.imag)(3 + 4j) == 1j
    assert lms.grad(lambda z: (z * z).real)(3 + 4j) == 6 - 8j
    assert lms.grad(lambda z: abs(z))(0j) == 0
    np.testing.assert_array_equal(lms.grad(lambda z: np.sum((1j * z).real))(np.array([1 + 2j, 3.0])), [-1j, -1j])


def test_floats_on_the_way_have_float_gradients() -> None:
    assert lms.grad(lambda t: np.exp(1j * t).real)(0.5) == pytest.approx(-np.sin(0.5))
    assert isinstance(lms.grad(lambda t: abs(np.exp(2j * t) + t))(0.5), float)


def test_pullback_and_tangents_are_complex() -> None:
    _, pull = lms.vjp(lambda z: z * (1 + 2j), Z)
    assert pull(1j)[0] == (1 - 2j) * 1j
    assert lms.jvp(lambda z: z * z, (Z,), (1j,))[1] == 2 * Z * 1j


def test_a_rule_of_ones_own_in_both_modes() -> None:
    @lms.stage
    def energy(z):
        return (z * np.conj(z)).real

    @lms.derivative(energy)
    def _energy(z):
        dz = yield energy(z)
        return dz * (2 * z)

    assert lms.grad(energy)(Z) == 2 * Z
    assert lms.jvp(energy, (Z,), (D,))[1] == pytest.approx((np.conj(2 * Z) * D).real)


@lms.stage
def bent(z, w):
    return np.conj(z) * z.real * w


@lms.derivative(bent, mode="forward")
def _bent(primals, tangents):
    (z, w), (dz, dw) = primals, tangents
    return bent(z, w), (np.conj(dz) * z.real + np.conj(z) * dz.real) * w + np.conj(z) * z.real * dw


@pytest.mark.parametrize("z", [Z, np.array([Z, D]), np.array([Z], dtype=np.complex64)])
@pytest.mark.parametrize("w", [2.0, 1.0 - 2.0j])
def test_reverse_mode_of_a_rule_for_forward_mode(z, w) -> None:
    """One that is linear over the reals only; the arguments are floats, complex, or both."""
    def of(f):
        return lambda z, w: np.sum(abs(f(z, w) - (1 + 2j)) ** 2)

    def plain(z, w):
        return np.conj(z) * z.real * w

    tolerance = 1e-5 if getattr(z, "dtype", None) == np.complex64 else 1e-12
    for found, expected in zip(lms.grad(of(bent), (0, 1))(z, w), lms.grad(of(plain), (0, 1))(z, w), strict=True):
        np.testing.assert_allclose(found, expected, rtol=tolerance)
        assert type(found) is type(expected)


@pytest.mark.parametrize("w", [2.0, 1.0 - 2.0j])
def test_forward_mode_of_a_rule_for_reverse_mode_with_a_complex_result(w) -> None:
    @lms.stage
    def turned(z, w):
        return np.conj(z) * w

    @lms.derivative(turned)
    def _turned(z, w):
        dy = yield turned(z, w)
        dw = z * dy
        return w * np.conj(dy), dw if isinstance(w, complex) or w.dtype == np.complex128 else dw.real

    dw = 0.5 if isinstance(w, float) else 0.5 + 1j
    value, moved = lms.jvp(turned, (Z, w), (D, dw))
    assert value == np.conj(Z) * w
    assert moved == pytest.approx(np.conj(D) * w + np.conj(Z) * dw, rel=1e-14)


def test_what_is_refused() -> None:
    with pytest.raises(TypeError, match="result is one float"):
        lms.grad(lambda z: z * z)(Z)
    with pytest.raises(TypeError, match="c128 is complex"):
        lms.jacobian(lambda z: abs(z))(Z)
    assert lms.jacobian(lambda x: x * 1j)(1.0) == 1j  # by a float it may be


# ------------------------------------------------------------------------------------------ every operation


ROWS = [row for row in rows() if (row.op in RULES or row.op in MEMORY) and any(map(is_complex, row.types))
        and not any(np.asarray(a).dtype in (np.complex64, np.float32) for a in row.args)
        and row.attrs.get("dtype", c128) == c128]


def test_every_operation_is_here() -> None:
    parts = {p.scalar.real, p.scalar.imag, p.scalar.conj, p.scalar.abs}
    assert {row.op for row in ROWS} >= parts | HOLOMORPHIC - {p.array.reduce_prod, p.array.contract}  # which are above


def _real(x: Any) -> Any:
    """A float that depends on both parts of every element."""
    if is_complex(x.type):
        x = emit(p.scalar.real, x) + 0.7 * emit(p.scalar.imag, x)
    rank = x.type.rank if isinstance(x.type, ArrayType) else 0
    return emit(p.array.reduce_sum, x * x, axes=tuple(range(rank))) if rank else x * x


def _run(row: Row) -> Callable[..., Any]:
    def build(*operands: Rep) -> Any:
        own = [emit(p.array.copy, x) if k in row.written else x for k, x in enumerate(operands)]
        out = [Rep(v) for v in current().emit(row.op, *(x.value for x in own), **row.attrs)]
        whole: Any = 0.0
        for x in [*out, *(own[k] for k in row.written)]:
            if is_complex(x.type) or (isinstance(x.type, ArrayType) and x.type.dtype == f64) or x.type == f64:
                whole = _real(x) + whole
        return whole

    return build


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_operation(row: Row) -> None:
    wrt = [k for k, t in enumerate(row.types) if is_complex(t)]
    found = run(program(_run(row), row.types, order=1, wrt=wrt), row.fresh())
    primal = program(_run(row), row.types)
    random = np.random.default_rng(0)
    for g, k in zip(found, wrt, strict=True):
        d = random.normal(size=np.shape(row.args[k])) + 1j * random.normal(size=np.shape(row.args[k]))

        def at(by: float, k: int = k, d: Any = d) -> float:
            moved = list(row.fresh())
            moved[k] = moved[k] + by * d
            return float(run(primal, moved)[0])

        slope = (at(1e-6) - at(-1e-6)) / 2e-6
        assert np.sum(np.conj(g) * d).real == pytest.approx(slope, rel=1e-6, abs=1e-6)
