"""Linear algebra under NumPy's and SciPy's names: the values are theirs, whatever runs the program."""

import inspect

import numpy as np
import pytest
import scipy.linalg

import lms
from lms import Array, Rep, StagingError, f32, f64

random = np.random.default_rng(7)
A = random.normal(size=(4, 4))
B = random.normal(size=(4, 3))
S = A @ A.T + 4.0 * np.eye(4)
TALL, WIDE = random.normal(size=(5, 3)), random.normal(size=(3, 5))
STACK = random.normal(size=(2, 3, 4, 4))
POSITIVE = STACK @ np.swapaxes(STACK, -1, -2) + np.eye(4)

CALLS = {
    "solve": (np.linalg.solve, A, B[:, 0]), "solve_matrix": (np.linalg.solve, A, B), "inv": (np.linalg.inv, A),
    "solve_stack": (np.linalg.solve, STACK, STACK[..., :2]), "solve_spread": (np.linalg.solve, STACK, B),
    "solve_spread_left": (np.linalg.solve, A, STACK[..., :2]), "solve_vector_of_stack": (np.linalg.solve, STACK, B[:, 0]),
    "inv_stack": (np.linalg.inv, STACK), "det": (np.linalg.det, A), "det_stack": (np.linalg.det, STACK),
    "slogdet": (lambda a: tuple(np.linalg.slogdet(a)), A), "slogdet_stack": (lambda a: tuple(np.linalg.slogdet(a)), STACK),
    "slogdet_negative": (lambda a: tuple(np.linalg.slogdet(a)), A[[1, 0, 2, 3]]),
    "det_singular": (np.linalg.det, np.ones((3, 3))),
    "slogdet_singular": (lambda a: tuple(np.linalg.slogdet(a)), np.ones((3, 3))),
    "cholesky": (np.linalg.cholesky, S), "cholesky_stack": (np.linalg.cholesky, POSITIVE),
    "cholesky_lower_half": (np.linalg.cholesky, np.tril(S)), "cholesky_scipy": (scipy.linalg.cholesky, S),
    "eigh": (lambda a: tuple(np.linalg.eigh(a)), S), "eigh_stack": (lambda a: tuple(np.linalg.eigh(a)), POSITIVE),
    "eigh_lower": (lambda a: tuple(np.linalg.eigh(a)), A), "eigh_upper": (lambda a: np.abs(np.linalg.eigh(a, UPLO="U")[1]), A),
    "eigvalsh": (np.linalg.eigvalsh, S), "svdvals": (scipy.linalg.svdvals, TALL),
    **{f"svd_{name}": (lambda a: tuple(np.linalg.svd(a, full_matrices=False)), a)
       for name, a in (("square", A), ("tall", TALL), ("wide", WIDE), ("stack", STACK[..., :3]))},
    **{f"svd_full_{name}": (lambda a: tuple(np.linalg.svd(a)), a) for name, a in (("square", A), ("tall", TALL), ("wide", WIDE))},
    "svd_values": (lambda a: np.linalg.svd(a, compute_uv=False), WIDE),
    **{f"qr_{name}": (lambda a: tuple(np.linalg.qr(a)), a)
       for name, a in (("square", A), ("tall", TALL), ("wide", WIDE), ("stack", STACK[..., :3]))},
    "qr_r": (lambda a: np.linalg.qr(a, mode="r"), TALL),
    **{f"triangular_{lower}{trans}{unit}": (
        lambda a, b, lower=lower, trans=trans, unit=unit: scipy.linalg.solve_triangular(a, b, trans, lower, unit), A, B)
       for lower in (True, False) for trans in (0, "T") for unit in (True, False)},
    **{f"norm_{order}": (lambda a, order=order: np.linalg.norm(a, order), TALL)
       for order in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)},
    **{f"norm_of_vector_{order}": (lambda a, order=order: np.linalg.norm(a, order), TALL[0])
       for order in (0, 0.5, 1, 2, 3, np.inf, -np.inf)},
    "norm_of_vectors": (lambda a: np.linalg.norm(a, 3, axis=1, keepdims=True), TALL),
    **{f"pinv_{name}": (np.linalg.pinv, a) for name, a in (
        ("tall", TALL), ("wide", WIDE), ("stack", STACK), ("deficient", TALL @ WIDE), ("zero", np.zeros((3, 2))),
        ("empty", np.zeros((0, 3))))},
    "pinv_share": (lambda a: np.linalg.pinv(a, 0.4), TALL), "pinv_default": (lambda a: np.linalg.pinv(a, rtol=None), TALL),
    "pinv_scipy": (scipy.linalg.pinv, TALL),
    **{f"lstsq_{name}": (lambda a, b: np.linalg.lstsq(a, b, rcond=None), a, b) for name, a, b in (
        ("tall", TALL, S[0, :1] * TALL[:, 0]), ("tall_matrix", TALL, STACK[0, 0, :, :1].T * np.ones((5, 1))),
        ("wide", WIDE, B[0]), ("square", A, B), ("deficient", TALL @ WIDE, TALL),
        ("ints", np.array([[1, 2], [3, 4]]), np.array([1, 2])))},
    "lstsq_share": (lambda a, b: np.linalg.lstsq(a, b, rcond=0.5), TALL, TALL[:, 0]),
    "matrix_rank": (np.linalg.matrix_rank, TALL @ WIDE), "matrix_rank_stack": (np.linalg.matrix_rank, STACK),
    "matrix_rank_tol": (lambda a: np.linalg.matrix_rank(a, tol=1.5), TALL),
    "cond": (np.linalg.cond, TALL), "cond_stack": (np.linalg.cond, STACK), "cond_least": (lambda a: np.linalg.cond(a, -2), TALL),
    "multi_dot": (lambda a, b: np.linalg.multi_dot([a, b, b.T, a]), A, B),
    **{name: (lambda a, name=name: getattr(np.linalg, name)(a), A)
       for name in ("trace", "diagonal", "matrix_transpose", "matrix_norm", "vector_norm") if hasattr(np.linalg, name)},
    **{name: (lambda a, b, name=name: getattr(np.linalg, name)(a, b), A, A.T)
       for name in ("matmul", "tensordot", "vecdot") if hasattr(np.linalg, name)},
    "triangular_vector": (lambda a, b: scipy.linalg.solve_triangular(a, b, lower=True), S, B[:, 0]),
    "cho_solve": (lambda a, b: scipy.linalg.cho_solve(scipy.linalg.cho_factor(a), b), S, B),
    "cho_solve_lower": (lambda a, b: scipy.linalg.cho_solve(scipy.linalg.cho_factor(a, lower=True), b), S, B[:, 0]),
    "scipy_solve": (scipy.linalg.solve, A, B), "scipy_inv": (scipy.linalg.inv, A), "scipy_det": (scipy.linalg.det, A),
    "scipy_solve_transposed": (lambda a, b: scipy.linalg.solve(a, b, transposed=True), A, B),
    "transposed_argument": (lambda a: np.linalg.inv(a.T), A), "of_a_view": (lambda a: np.linalg.inv(a[::2, 1::2]), A),
    "of_ints": (np.linalg.inv, np.array([[2, 1], [1, 1]])),
}


def close(found, wanted, rtol=1e-9):
    for x, y in zip(found, wanted, strict=True) if isinstance(wanted, tuple) else [(found, wanted)]:
        np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-11)
        assert np.shape(x) == np.shape(y)


@pytest.mark.parametrize("backend", ["interpret", "python", "llvm"])
@pytest.mark.parametrize("name", CALLS)
def test_the_values_of_numpy(name, backend) -> None:
    f, *args = CALLS[name]
    with np.errstate(all="ignore"):
        wanted = f(*args)
    close(lms.stage(lambda *xs: f(*xs), backend=backend)(*args), wanted)


@pytest.mark.parametrize("n", [0, 1, 2, 7, 130])
def test_every_size_with_one_program(n) -> None:
    a = np.random.default_rng(n).normal(size=(n, n)) + n * np.eye(n)
    b = np.random.default_rng(n + 1).normal(size=(n, 2))
    close(solved(a, b), (np.linalg.solve(a, b), np.linalg.det(a), np.linalg.cholesky(a @ a.T + np.eye(n)),
                         np.linalg.eigvalsh(a), np.linalg.qr(a)[1], np.linalg.svd(a)[1] if n else np.zeros(0)), 1e-8)


@lms.stage
def solved(a: Rep[Array[f64, "n", "n"]], b: Rep[Array[f64, "n", 2]]):
    positive = a @ a.T + np.eye(len(a))
    return (np.linalg.solve(a, b), np.linalg.det(a), np.linalg.cholesky(positive), np.linalg.eigvalsh(a),
            np.linalg.qr(a)[1], np.linalg.svd(a, compute_uv=False))


@lms.stage
def small(a: Rep[Array[f64, 2, 2]]):
    return np.linalg.inv(a)


def test_sizes_known_now() -> None:
    close(small(A[:2, :2].copy()), np.linalg.inv(A[:2, :2]))


def test_single_precision_stays_single() -> None:
    a, b = S.astype(np.float32), B.astype(np.float32)

    @lms.stage
    def f(a: Rep[Array[f32, "n", "n"]], b: Rep[Array[f32, "n", "m"]]):
        return (np.linalg.solve(a, b), np.linalg.inv(a), np.linalg.cholesky(a), *np.linalg.eigh(a),
                *np.linalg.svd(b, full_matrices=False), *np.linalg.qr(b))

    wanted = (np.linalg.solve(a, b), np.linalg.inv(a), np.linalg.cholesky(a), *np.linalg.eigh(a),
              *np.linalg.svd(b, full_matrices=False), *np.linalg.qr(b))
    for x, y in zip(f(a, b), wanted, strict=True):
        assert x.dtype == np.float32
        np.testing.assert_allclose(x, y, rtol=2e-4, atol=1e-5)


def test_results_have_numpy_s_names() -> None:
    assert type(lms.stage(lambda a: np.linalg.eigh(a))(S)) is type(np.linalg.eigh(S))
    assert lms.stage(lambda a: np.linalg.slogdet(a).logabsdet)(S) == pytest.approx(np.linalg.slogdet(S)[1])


def test_the_same_names_in_lms() -> None:
    for name in lms.linalg.__all__:
        assert callable(getattr(lms.linalg, name))
    np.testing.assert_array_equal(lms.linalg.inv(A), np.linalg.inv(A))
    close(lms.stage(lambda a, b: lms.linalg.solve(a, b))(A, B), np.linalg.solve(A, B))


# ------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("backend", ["interpret", "llvm"])
@pytest.mark.parametrize(("f", "args", "message"), [
    (lambda a: np.linalg.inv(a), (np.ones((3, 3)),), "Singular matrix"),
    (lambda a, b: np.linalg.solve(a, b), (np.ones((3, 3)), np.ones(3)), "Singular matrix"),
    (lambda a: np.linalg.inv(a), (np.stack([np.eye(2), np.ones((2, 2))]),), "Singular matrix"),
    (lambda a: np.linalg.cholesky(a), (np.array([[1.0, 0.0], [2.0, 1.0]]),), "Matrix is not positive definite"),
    (lambda a, b: scipy.linalg.solve_triangular(a, b), (np.tril(A, -1), B), "Singular matrix"),
    (lambda a: np.linalg.eigvalsh(a), (np.full((3, 3), np.nan),), "Eigenvalues did not converge"),
    (lambda a: np.linalg.svd(a, compute_uv=False), (np.full((3, 3), np.nan),), "SVD did not converge"),
])
def test_what_has_no_answer_is_numpy_s_error_with_the_line(f, args, message, backend) -> None:
    with pytest.raises(np.linalg.LinAlgError, match=message) as error:
        lms.stage(f, backend=backend)(*args)
    assert f"test_linalg.py:{inspect.getsourcelines(f)[1]}" in str(error.value)


def test_a_matrix_that_turns_out_not_to_be_square() -> None:
    f = lms.stage(lambda a: np.linalg.inv(a))
    close(f(A), np.linalg.inv(A))
    with pytest.raises(ValueError, match="inv takes square matrices"):
        f(TALL)


@pytest.mark.parametrize(("f", "args", "message"), [
    (lambda a: np.linalg.inv(np.zeros((2, 3)) + a[0, 0]), (A,), "expected a square matrix"),
    (lambda a: np.linalg.inv(a[0]), (A,), "expected a matrix, found f64"),
    (lambda a: np.linalg.inv(a), (A + 1j,), "linear algebra of complex numbers is not supported"),
    (lambda a: np.linalg.eigh(a, UPLO="X"), (A,), "UPLO is 'L' or 'U'"),
    (lambda a: np.linalg.qr(a, mode="complete"), (A,), "mode is 'reduced' or 'r'"),
    (lambda a: np.linalg.norm(a, 3), (A,), "norm: ord=3 of .* cannot be staged"),
    (lambda a: np.linalg.eig(a), (A,), r"np.linalg.eig cannot be staged"),
])
def test_what_cannot_be_staged(f, args, message) -> None:
    with pytest.raises(StagingError, match=message):
        lms.stage(f)(*args)


def test_norms_do_not_overflow() -> None:
    """The third power of these does."""
    assert lms.stage(lambda a: np.linalg.norm(a, 3))(TALL[0] * 1e200) == pytest.approx(np.linalg.norm(TALL[0], 3) * 1e200)


@pytest.mark.parametrize(("f", "message"), [
    (lambda a: np.linalg.cond(a, 1), "cond: p=1 cannot be staged"),
    (lambda a: np.linalg.lstsq(a, a[None]), "lstsq: expected a matrix and a vector or matrix, found"),
    (lambda a: np.linalg.lstsq(a, a[:3, 0]), "lstsq: rows do not fit"),
    (lambda a: scipy.linalg.pinv(a, atol=1e-3), "`atol` and `return_rank` cannot be staged"),
    (lambda a: np.linalg.norm(a[0], "largest"), "norm: ord='largest' cannot be staged"),
])
def test_what_least_squares_refuses(f, message) -> None:
    with pytest.raises((StagingError, ValueError), match=message):
        lms.stage(lambda: f(np.asarray(A)))()


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("assumed", ["gen", "sym", "her", "pos"])
def test_solve_reads_the_half_that_scipy_reads(assumed, lower):
    def f(a, b):
        return scipy.linalg.solve(a, b, assume_a=assumed, lower=lower)

    whole = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]])
    half = np.where(np.tri(3, k=0 if lower else -1) == lower, whole, 7.0) if assumed != "gen" else whole + np.tri(3)
    for a in (whole, half):
        for b in (np.arange(3.0), np.arange(6.0).reshape(3, 2)):
            np.testing.assert_allclose(lms.stage(f)(a, b), f(a, b), rtol=1e-12)


def test_solve_refuses_assumptions_it_does_not_know():
    with pytest.raises(lms.StagingError, match="assumed to be 'banded'"):
        lms.stage(lambda a, b: scipy.linalg.solve(a, b, assume_a="banded"))(np.eye(2), np.ones(2))
