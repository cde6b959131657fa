"""Derivatives of linear algebra against differences: both modes, to second order."""

import numpy as np
import pytest
import scipy.linalg

import lms
from lms import StagingError

random = np.random.default_rng(3)
A = random.normal(size=(3, 3))
B = random.normal(size=(3, 2))
S = A @ A.T + 3.0 * np.eye(3)
TALL, WIDE = random.normal(size=(4, 3)), random.normal(size=(2, 3))
STACK = np.stack([S, S + A + A.T])

CALLS = {
    "solve": (np.linalg.solve, A, B), "solve_vector": (np.linalg.solve, A, B[:, 0]), "solve_stack": (np.linalg.solve, STACK, B),
    "inv": (np.linalg.inv, A), "inv_stack": (np.linalg.inv, STACK), "det": (np.linalg.det, A),
    "det_stack": (np.linalg.det, STACK),
    "slogdet": (lambda a: np.linalg.slogdet(a)[1], A), "slogdet_stack": (lambda a: np.linalg.slogdet(a)[1], STACK),
    "cholesky": (np.linalg.cholesky, S), "cholesky_stack": (np.linalg.cholesky, STACK),
    "cholesky_upper": (scipy.linalg.cholesky, S), "eigvalsh": (np.linalg.eigvalsh, S),
    "eigh": (lambda a: np.linalg.eigh(a)[1], S),
    "eigh_stack": (lambda a: np.linalg.eigh(a)[1] * np.linalg.eigh(a)[0][:, None], STACK),
    **{f"norm_{order}": (lambda a, order=order: np.linalg.norm(a, order), TALL) for order in ("nuc", 2)},
    "svd_values": (lambda a: np.linalg.svd(a, compute_uv=False), TALL),
    **{f"svd_{which}_{name}": (lambda a, which=which: np.linalg.svd(a, full_matrices=False)[which], a)
       for which in (0, 2) for name, a in (("tall", TALL), ("wide", WIDE), ("square", A))},
    "svd_full_square": (lambda a: np.sum(np.sin(np.linalg.svd(a)[0])) + np.sum(np.linalg.svd(a)[1] ** 3), A),
    "svd_stack": (lambda a: np.linalg.svd(a, full_matrices=False)[0], STACK[..., :2]),
    "qr": (lambda a: np.linalg.qr(a)[0], TALL), "qr_r": (lambda a: np.linalg.qr(a)[1], TALL),
    "qr_both": (lambda a: np.linalg.qr(a)[0] @ np.sin(np.linalg.qr(a)[1]), A), "qr_stack": (lambda a: np.linalg.qr(a)[1], STACK),
    "triangular": (lambda a, b: scipy.linalg.solve_triangular(a, b, lower=True), S, B),
    "triangular_unit": (lambda a, b: scipy.linalg.solve_triangular(a, b, trans=1, unit_diagonal=True), S, B[:, 0]),
    **{f"pinv_{name}": (np.linalg.pinv, a)
       for name, a in (("tall", TALL), ("wide", WIDE), ("square", A), ("stack", STACK[..., :2]))},
    **{f"lstsq_{name}": (lambda a, b: np.linalg.lstsq(a, b, rcond=None)[0], a, B[0, 0] * np.arange(1.0, 1.0 + len(a)))
       for name, a in (("tall", TALL), ("wide", WIDE))},
    "lstsq_left": (lambda a, b: np.linalg.lstsq(a, b, rcond=None)[1], TALL, np.arange(4.0)),
    "cond": (np.linalg.cond, TALL), "norm_3": (lambda a: np.linalg.norm(a, 3, axis=0), TALL),
    "cho_solve": (lambda a, b: scipy.linalg.cho_solve(scipy.linalg.cho_factor(a), b), S, B),
}


def staged(f, args, **options):
    """`f` with as many parameters as there are arguments."""
    return lms.stage((lambda a: f(a)) if len(args) == 1 else lambda a, b: f(a, b), **options)


@pytest.mark.parametrize("name", CALLS)
def test_by_differences(name) -> None:
    f, *args = CALLS[name]
    gradient = lms.grad(staged(lambda *xs: np.sum(np.cos(f(*xs))), args), argnums=tuple(range(len(args))))
    for g in (f, gradient):
        lms.check_grads(staged(g, args, backend="interpret"), args, order=1, tolerance=1e-6)


@pytest.mark.parametrize("name", ["solve", "cholesky", "eigh", "svd_0_tall", "qr", "slogdet", "pinv_wide"])
def test_by_differences_compiled(name) -> None:
    f, *args = CALLS[name]
    lms.check_grads(staged(f, args), args, order=2 if name == "solve" else 1, tolerance=1e-6)


def test_the_factors_are_made_once() -> None:
    """The gradient of a solution solves with the factors that the solution was found with."""
    gradient = lms.grad(lambda a, b: np.sum(np.linalg.solve(a, b) ** 2))
    assert gradient.specialize(A, B[:, 0]).python.count("factored(") == 2  # its definition, and a call
    second = lms.grad(lambda a, b: np.sum(gradient(a, b)))
    assert second.specialize(A, B[:, 0]).python.count("factored(") == 2


def test_only_the_half_that_is_read_has_a_gradient() -> None:
    for f in (np.linalg.cholesky, np.linalg.eigvalsh):
        gradient = lms.grad(lambda a, f=f: np.sum(np.sin(f(a))))(S)
        assert np.all(np.triu(gradient, 1) == 0.0) and np.all(gradient[np.tril_indices(3, -1)] != 0.0)


def test_equal_eigenvalues() -> None:
    """Their vectors have no derivative: NaN, and no number that is wrong. The values have one."""
    a = np.diag([1.0, 1.0, 3.0])

    def root(a):
        w, v = np.linalg.eigh(a)
        return np.sum(((v * np.sqrt(w)) @ v.T)[0])

    assert np.all(np.isnan(lms.grad(root)(a)[np.tril_indices(3)]))
    assert np.all(np.isfinite(lms.grad(root)(a + np.diag([0.0, 0.5, 0.0]))))
    assert np.isnan(lms.jvp(root, (a,), (a,))[1])
    assert np.all(np.isnan(lms.grad(lambda a: np.sum(np.linalg.svd(a)[0][0]))(a)))
    u, s, v = np.linalg.svd(a)
    np.testing.assert_allclose(lms.grad(lambda a: np.sum(np.linalg.svd(a, compute_uv=False)))(a), u @ v, atol=1e-15)


def test_equal_eigenvalues_of_a_trace() -> None:
    np.testing.assert_allclose(lms.grad(lambda a: np.sum(np.linalg.eigvalsh(a)))(np.eye(3)), np.eye(3), atol=1e-15)


def test_what_has_no_derivative() -> None:
    with pytest.raises(ValueError, match="full_matrices=False"):
        lms.grad(lambda a: np.sum(np.linalg.svd(a)[0]))(TALL)
    with pytest.raises(StagingError, match="full_matrices=False"):
        lms.grad(lambda x: np.sum(np.linalg.svd(x * np.ones((3, 2)))[0]))(2.0)
    with pytest.raises(ValueError, match="no more columns than rows, found 2 by 3"):
        lms.grad(lambda a: np.sum(np.linalg.qr(a)[1]))(WIDE)


def test_a_pseudoinverse_where_the_rank_stays() -> None:
    """Of rank two all along: singular values that are equal make no difference either."""
    left, right, move = TALL[:, :2], WIDE, random.normal(size=(4, 2))
    value, moved = lms.jvp(lambda t: np.linalg.pinv((left + t * move) @ right, rcond=1e-10), (0.0,), (1.0,))
    plus, minus = (np.linalg.pinv((left + t * move) @ right, rcond=1e-10) for t in (1e-6, -1e-6))
    np.testing.assert_allclose(value, np.linalg.pinv(left @ right, rcond=1e-10), atol=1e-12)
    np.testing.assert_allclose(moved, (plus - minus) / 2e-6, atol=1e-7)
    np.testing.assert_allclose(lms.grad(lambda a: np.sum(np.linalg.pinv(a)))(np.eye(3)), -np.ones((3, 3)), atol=1e-14)


def test_nothing_larger_than_a_tall_matrix_is_made() -> None:
    a = random.normal(size=(20_000, 2))
    report = lms.memory(lambda a: np.sum(np.sin(np.linalg.pinv(a))), a)
    assert report.peak < 20 * a.nbytes


def test_a_norm_of_nothing_but_zeros() -> None:
    np.testing.assert_array_equal(lms.grad(lambda x: np.linalg.norm(x, 3))(np.zeros(3)), np.zeros(3))
