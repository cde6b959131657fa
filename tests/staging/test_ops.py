"""Every function of the namespace against NumPy, staged and run now."""

import numpy as np
import pytest
from scipy import special

import lms
from lms.staging.table import STAGED

A = np.linspace(-1.7, 2.3, 12).reshape(3, 4)
P = np.abs(A) + 0.1
U = A / 3.0
B = np.array([[True, False], [False, False]])
K = np.array([[5, -3], [2, 7]])


def same(f, *args, backend="interpret", rtol=1e-12):
    want = f(*(a.copy() if isinstance(a, np.ndarray) else a for a in args))
    got = lms.stage(backend=backend)(lambda *xs: f(*xs))(*(a.copy() if isinstance(a, np.ndarray) else a for a in args))
    for x, y in zip(got, want, strict=True) if isinstance(want, tuple | list) else ((got, want),):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-14)
        assert np.shape(x) == np.shape(y)
        if isinstance(y, np.ndarray):
            assert x.dtype == y.dtype


ELEMENTWISE = {
    "sqrt": P, "cbrt": A, "exp": A, "exp2": A, "expm1": A, "log": P, "log2": P, "log10": P, "log1p": P, "sin": A, "cos": A,
    "tan": A,
    "arcsin": U, "arccos": U, "arctan": A, "sinh": A, "cosh": A, "tanh": A, "arcsinh": A, "arccosh": P + 1, "arctanh": U,
    "isnan": A, "isinf": A, "isfinite": A, "signbit": A, "sign": A, "negative": A, "abs": A, "floor": A, "ceil": A, "trunc": A,
    "rint": A,
    "square": A, "reciprocal": A, "radians": A, "degrees": A, "real": A, "imag": A, "conj": A, "logical_not": A,
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_functions_of_each_element(name):
    x = ELEMENTWISE[name]
    numpy_name = getattr(np, name)
    same(numpy_name, x)
    same(numpy_name, x[1, 2])
    ours = getattr(lms, name)
    same(ours, x)
    np.testing.assert_allclose(ours(x), numpy_name(x), rtol=1e-15)


PAIRS = ["add", "subtract", "multiply", "divide", "floor_divide", "remainder", "fmod", "arctan2", "hypot", "copysign",
         "minimum", "maximum",
         "less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "logaddexp", "logical_and", "logical_or",
         "logical_xor"]


@pytest.mark.parametrize("name", PAIRS)
def test_functions_of_pairs(name):
    f = getattr(np, name)
    same(f, A, P)
    same(f, A, P[0])
    same(f, A[:, :1], P[0])
    same(lambda x: f(x, 2.0), A)
    same(lambda x: f(1, x), A)
    same(f, 1.25, -0.5)


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "floor_divide", "remainder", "bitwise_and", "bitwise_or",
                                  "bitwise_xor",
                                  "maximum", "divide", "less"])
def test_pairs_of_ints(name):
    f = getattr(np, name)
    same(f, K, K.T)
    same(f, K.astype(np.int32), K.T)
    same(lambda k: f(k, 3), K.astype(np.int8))


def test_operators_of_ints():
    def f(k, n):
        return k << 2, k >> 1, ~k, k ** 3, -k, abs(k), n ** n, 2 ** n, n << n, n >> 1, n // 2, n % -3, divmod(n, -2)[0], n / 2, +n

    same(f, K, 5)
    same(f, K, -5 + 10)


def test_negative_shifts_and_powers_of_ints_raise():
    f = lms.stage(backend="interpret")(lambda n, k: n << k)
    with pytest.raises(ValueError, match="negative shift count"):
        f(1, -1)
    assert f(1, 70) == 0
    g = lms.stage(backend="interpret")(lambda n, k: n ** k)
    with pytest.raises(ValueError, match="negative"):
        g(2, -1)
    assert g(3, 5) == 243


@pytest.mark.parametrize("backend", ["interpret", "llvm"])
def test_division_of_ints_by_zero_raises(backend):
    for f in (lambda n, k: n // k, lambda n, k: n % k, lambda n, k: n / k):
        g = lms.stage(backend=backend)(f)
        with pytest.raises(ZeroDivisionError) as e:
            g(1, 0)
        assert __file__ in str(e.value)
        assert g(7, 2) == f(7, 2)


def test_floats_follow_ieee():
    f = lms.stage(lambda x, y: (x / y, x - x, x * 0))
    assert f(1.0, 0.0) == (np.inf, 0.0, 0.0)
    nan = f(np.nan, 1.0)
    assert all(np.isnan(v) for v in nan)


STABLE = [
    (lms.softplus, lambda x: np.logaddexp(x, 0)), (lms.sigmoid, special.expit), (lms.logsumexp, special.logsumexp),
    (lms.softmax, special.softmax), (lms.log_softmax, special.log_softmax), (lambda x: lms.xlogy(x, abs(x)),
    lambda x: special.xlogy(x, abs(x))),
]


@pytest.mark.parametrize("k", range(len(STABLE)))
@pytest.mark.parametrize("x", [np.array([-1000.0, -1.0, 0.0, 1.0, 1000.0]), np.array([0.3, 0.2])])
def test_stable_compositions(k, x):
    ours, theirs = STABLE[k]
    np.testing.assert_allclose(lms.stage(backend="interpret")(ours)(x), theirs(x), rtol=1e-13, atol=1e-300)
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-13, atol=1e-300)


def _filled(a, value):
    a = a.copy()
    np.fill_diagonal(a, value)
    return a


ARRAYS = [
    lambda a: a.sum(), lambda a: a.sum(axis=0), lambda a: a.sum(axis=(0, 1)), lambda a: np.sum(a, axis=-1, keepdims=True),
    lambda a: a.mean(), lambda a: a.mean(1, keepdims=True), lambda a: a.prod(axis=0), lambda a: a.max(), lambda a: a.min(axis=1),
    lambda a: a.argmax(), lambda a: np.argmin(a, axis=0), lambda a: np.cumsum(a), lambda a: a.cumsum(axis=1), lambda a: np.std(a),
    lambda a: a.var(axis=0, ddof=1), lambda a: np.any(a > 2), lambda a: (a > -9).all(axis=0), lambda a: np.count_nonzero(a > 0),
    lambda a: np.average(a, axis=0), lambda a: np.linalg.norm(a), lambda a: np.linalg.norm(a[0], 1), lambda a: np.ptp(a),
    lambda a: a @ a.T, lambda a: a @ a[0], lambda a: a[0] @ a[1], lambda a: np.dot(a, a.T), lambda a: np.inner(a, a),
    lambda a: np.vdot(a, a),
    lambda a: np.outer(a[0], a[1]), lambda a: np.tensordot(a, a, axes=([1], [1])), lambda a: np.tensordot(a, a.T, 1),
    lambda a: np.einsum("ij,kj->ik", a, a), lambda a: np.einsum("ij->ji", a), lambda a: np.einsum("ij,ij", a, a),
    lambda a: np.einsum("ij,jk,kl->il", a, a.T, a), lambda a: np.einsum("ij->i", a), lambda a: np.stack([a, a])[0] @ a.T,
    lambda a: np.matmul(np.stack([a, 2 * a]), np.stack([a.T, a.T])),
    lambda a: a.reshape(4, 3), lambda a: a.reshape(-1), lambda a: a.reshape((2, -1)), lambda a: a.T.reshape(-1),
    lambda a: np.ravel(a),
    lambda a: a.T, lambda a: np.transpose(np.stack([a, a]), (2, 0, 1)), lambda a: np.swapaxes(a, 0, 1),
    lambda a: np.moveaxis(a, 0, 1),
    lambda a: np.expand_dims(a, 1), lambda a: np.expand_dims(a, (0, -1)), lambda a: a[None].squeeze(axis=0), lambda a: np.flip(a),
    lambda a: np.flip(a, 1), lambda a: np.concatenate([a, a[:1]]), lambda a: np.concatenate([a, 2 * a], axis=1),
    lambda a: np.stack([a, a], axis=1), lambda a: np.vstack([a[0], a[1]]), lambda a: np.hstack([a, a]),
    lambda a: np.column_stack([a[0], a[1]]),
    lambda a: np.stack(a), lambda a: np.stack(a, axis=1), lambda a: np.stack(a[0]), lambda a: np.vstack(a),
    lambda a: np.vstack(a[0]), lambda a: np.hstack(a), lambda a: np.hstack(a[0]), lambda a: np.column_stack(a),
    lambda a: np.column_stack(a[0]), lambda a: np.concatenate(a), lambda a: np.concatenate(np.stack([a, 2 * a]), axis=1),
    lambda a: np.vstack(np.stack([a, 2 * a])), lambda a: np.hstack(np.stack([a, 2 * a])),
    lambda a: np.column_stack(np.stack([a, 2 * a])), lambda a: np.concatenate(a, axis=None),
    lambda a: np.stack([row / row.sum() for row in a]),
    lambda a: np.append(a[0], 1.0), lambda a: np.roll(a, 1), lambda a: np.roll(a, -3, axis=1), lambda a: np.repeat(a, 3, axis=1),
    lambda a: np.repeat(a, 2), lambda a: np.tile(a, 2), lambda a: np.tile(a, (2, 1)), lambda a: np.tile(a[0], (2, 2)),
    lambda a: np.take(a, [1, 2], axis=1), lambda a: np.take(a, 5), lambda a: np.sort(a[::-1], axis=0),
    lambda a: np.argsort(-a, axis=1),
    lambda a: np.take_along_axis(a, np.argsort(-a, axis=1), axis=1), lambda a: np.nonzero(a > 0), lambda a: np.flatnonzero(a > 0),
    lambda a: np.diff(a), lambda a: np.diff(a, axis=0), lambda a: np.diag(a), lambda a: np.diag(a[0]), lambda a: np.diag(a[0], 1),
    lambda a: np.diagonal(a, 1), lambda a: np.trace(a), lambda a: np.tril(a), lambda a: np.triu(a, 1),
    lambda a: np.where(a > 0, a, 0),
    lambda a: np.clip(a, 0, 1), lambda a: a.clip(-1, None), lambda a: np.isclose(a, a + 1e-12), lambda a: np.allclose(a, a),
    lambda a: np.zeros_like(a), lambda a: np.ones_like(a) * a, lambda a: np.full_like(a, 3), lambda a: np.broadcast_to(a[0],
    (2, 4)),
    lambda a: np.zeros((2, 3)) + a[0, 0], lambda a: np.full((2,), a[0, 0]), lambda a: np.eye(3) * a[0, 0],
    lambda a: np.linspace(a[0, 0], 1, 5),
    lambda a: np.arange(a.shape[0]) * a[0, 0], lambda a: np.arange(a[0, 0], 3.0, 0.5), lambda a: np.arange(1, 7, 2) + a[0, 0],
    lambda a: np.array([a[0], a[1]]), lambda a: np.array([[a[0, 0], 1], [2, a[1, 1]]]), lambda a: np.asarray(a),
    lambda a: np.copy(a),
    lambda a: np.round(a, 1), lambda a: a.round(), lambda a: np.maximum.reduce(a), lambda a: np.add.reduce(a, axis=1),
    lambda a: np.logaddexp.reduce(a), lambda a: np.logaddexp.reduce(a, axis=None), lambda a: np.multiply.accumulate(a, axis=1),
    lambda a: np.add.reduce(a, axis=None), lambda a: np.minimum.reduce(a, axis=(0, 1)), lambda a: a.ravel(order="F"),
    lambda a: np.reshape(a, (-1, 2), order="F"), lambda a: a.reshape(2, -1, order="F"), lambda a: a.flatten("F"),
    lambda a: np.ravel(a, "F"),
    lambda a: np.divide(1.0, a, out=np.zeros_like(a), where=a > 1), lambda a: np.log(a, where=a > 1, out=a.copy()),
    lambda a: np.maximum.accumulate(a), lambda a: np.minimum.accumulate(a, axis=1), lambda a: np.maximum.accumulate(a > 0),
    lambda a: np.multiply.outer(a[0], a[1]), lambda a: a.astype(int), lambda a: a.astype(np.float32), lambda a: a.copy(),
    lambda a: a.astype(bool), lambda a: a.flatten(), lambda a: a.dot(a.T), lambda a: a[:1, :1].item(), lambda a: a.item(1, 2),
    lambda a: np.array_equal(a, a), lambda a: np.sinc(a), lambda a: np.nan_to_num(a),
    lambda a: np.float64(a[0, 0]) + np.float32(1),
    lambda a: np.meshgrid(a[0], a[:, 0]), lambda a: np.bincount(np.array([0, 2, 2]) + 0 * a.argmax(), minlength=4),
    lambda a: np.logaddexp(a, a), lambda a: np.negative(a), lambda a: a + a.shape[0], lambda a: a * 1j, lambda a: abs(a * 1j),
    lambda a: np.cumprod(a), lambda a: np.cumprod(a, axis=1), lambda a: np.median(a), lambda a: np.median(a, axis=1),
    lambda a: np.searchsorted(np.sort(a[0]), a), lambda a: np.searchsorted(np.sort(a[0]), a[0], side="right"),
    lambda a: np.interp(a, np.arange(5.0) - 2, a.ravel()[:5]), lambda a: np.trapezoid(a),
    lambda a: np.trapezoid(a, a[0] ** 3, axis=1),
    lambda a: np.trapezoid(a, axis=0, dx=0.5), lambda a: np.convolve(a[0], a.ravel()), lambda a: np.convolve(a[0], a[1], "same"),
    lambda a: np.convolve(a.ravel(), a[0], "valid"), lambda a: np.cross(a[:, :3], a[:, 1:]),
    lambda a: np.cross(a[0, :3], a[:, 1:]),
    lambda a: np.kron(a, a[:2]), lambda a: np.kron(a[0], a[1]),
    lambda a: np.polyval(a[0], a), lambda a: np.polyval([1.0, 2.0, 3.0], a[0]), lambda a: np.polyval(a[1], 0.5),
    lambda a: np.gradient(a[0]), lambda a: np.gradient(a, 0.1, axis=0), lambda a: np.gradient(a, axis=1),
    lambda a: np.select([a > 1, a > 0], [a, a * a], -1.0), lambda a: np.heaviside(a, 0.5), lambda a: np.vander(a[0], 3),
    lambda a: np.vander(a[0], increasing=True, N=2), lambda a: np.quantile(a, 0.3), lambda a: np.quantile(a, 0.8, axis=1),
    lambda a: np.quantile(a, 1.0, axis=0, keepdims=True), lambda a: np.percentile(a, 30),
    lambda a: np.quantile(a, 0.5, keepdims=True),
    lambda a: np.cov(a), lambda a: np.cov(a, rowvar=False), lambda a: np.cov(a[0]) + 0.0, lambda a: np.cov(a[0], a[1], ddof=0),
    lambda a: np.corrcoef(a), lambda a: np.corrcoef(a[0], a[1]), lambda a: np.digitize(a, [-1.0, 0.5, 2.0]),
    lambda a: np.digitize(a, np.sort(a[0]), right=True), lambda a: np.nansum(np.where(a > 0, a, np.nan), axis=0),
    lambda a: np.nanmean(np.where(a > -9, a, np.nan)), lambda a: np.nanmax(np.where(a > 0, a, np.nan)),
    lambda a: np.nanmin(np.where(a < 2, a, np.nan), axis=1), lambda a: np.split(a, 3), lambda a: np.split(a, [1, 3], axis=1),
    lambda a: np.pad(a, 1), lambda a: np.pad(a, ((0, 2), (1, 0)), constant_values=3.0),
    lambda a: np.pad(a[0], (2, 1), mode="edge"),
    lambda a: np.angle(a + 1j), lambda a: np.angle(a * 1j - 2.0, deg=True), lambda a: np.angle(a),
    lambda a: np.imag(np.where(a > 0, np.inf, a)), lambda a: np.imag(a[0, 0]) + 0.0,
    lambda a: _filled(a, 7.0), lambda a: _filled(a, a[0, :3]), lambda a: np.linalg.matrix_power(a[:, :3], 3),
    lambda a: np.linalg.matrix_power(a[:, :3], 0), lambda a: np.linalg.matrix_power(a[:, :3], 1),
    lambda a: np.linalg.matrix_power(a[:, :3] + 9 * np.eye(3), -2),
    lambda a: np.exp(a * 1j), lambda a: (a * 1j).imag, lambda a: (a + 2j).conj().real,
]


@pytest.mark.parametrize("k", range(len(ARRAYS)))
def test_array_functions(k):
    same(ARRAYS[k], A)


@pytest.mark.parametrize("k", range(len(ARRAYS)))
def test_array_functions_in_native_code(k):
    same(ARRAYS[k], A, backend="llvm")


def test_promotion_is_numpys():
    dtypes = [np.int8, np.int32, np.int64, np.uint8, np.uint64, np.float32, np.float64, np.complex64, np.complex128, np.bool_]
    for s in dtypes:
        for t in dtypes:
            x, y = np.ones(2, s), np.ones(2, t)
            got = lms.stage(backend="interpret")(lambda x, y: x * y)(x, y)
            assert got.dtype == (x * y).dtype, (s, t)
        for literal in (2, 2.5, 2j):
            x = np.ones(2, s)
            assert lms.stage(backend="interpret")(lambda x, k=literal: x + k)(x).dtype in (
                (x + literal).dtype, np.dtype(np.float64), np.dtype(np.complex128)), (s, literal)


def test_a_length_is_a_python_int():
    x = np.ones(3, np.float32)
    assert lms.stage(lambda x: x / len(x))(x).dtype == np.float32
    assert lms.stage(lambda x: x * x.shape[0])(x).dtype == np.float32


def test_out_and_ufunc_at():
    def f(a):
        out = np.zeros(4)
        np.add(a[0], 1.0, out=out)
        np.add.at(out, np.array([0, 0, 1]), 2.0)
        return out

    same(f, A)


def test_derivatives_are_defined_where_a_mask_keeps_a_ufunc_away():
    def f(a):
        return np.sum(np.divide(1.0, a, out=np.zeros_like(a), where=a != 0) + np.sqrt(a, out=a.copy(), where=a > 0))

    np.testing.assert_array_equal(lms.grad(f)(np.array([0.0, 4.0])), [1.0, -1 / 16 + 1 / 4])


@pytest.mark.parametrize("f", [lambda a: a.ravel("K"), lambda a: np.reshape(a, 9, order="A")])
def test_an_order_of_memory_is_refused(f):
    with pytest.raises(lms.StagingError, match="depends on how an array lies in memory"):
        lms.stage(f)(A)


@pytest.mark.parametrize("f", [lambda a: max(a[0], key=lambda x: -x), lambda a: min(a[0], default=0.0)])
def test_the_best_of_an_array_by_a_key_is_refused(f):
    with pytest.raises(lms.StagingError, match="with a key or a default"):
        lms.stage(f)(A)


MADE = [
    lambda b: +b, np.positive, np.conj, lambda b: b.conj(), lambda b: b**1, lambda b: b * 1, np.round, np.floor, np.trunc,
    np.nan_to_num, np.abs, np.real, lambda b: np.tile(b, 1), lambda b: np.tile(b, (1, 1)), lambda b: np.roll(b, 0),
    np.array, np.asarray, np.copy,
    lambda b: b.astype(b.dtype), lambda b: b.astype(b.dtype, copy=False), lambda b: np.array(b, copy=None),
    np.ascontiguousarray, lambda b: np.ascontiguousarray(b.T), lambda b: np.ascontiguousarray(b[::-1]),
    lambda b: b.ravel(), lambda b: b.T.ravel(), lambda b: b.ravel("F"), lambda b: b.reshape(-1), lambda b: b.flatten(),
    lambda b: b.T, lambda b: b[::-1], lambda b: b[[0, 1]],
]


@pytest.mark.parametrize("make", MADE)
@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.uint8])
def test_what_shares_memory_with_its_argument_is_what_does_in_numpy(make, dtype):
    def f(a):
        b = a.copy()
        made = make(b)
        made[(0,) * made.ndim] = 99
        return b, made

    same(f, np.arange(9).reshape(3, 3).astype(dtype))


def _sets_a_part(z):
    z.real[0] = 5.0


def _adds_to_a_part(z):
    part = z.imag
    part[1:] += 2.0


@pytest.mark.parametrize("write", [_sets_a_part, _adds_to_a_part])
def test_writing_to_a_part_of_complex_numbers_is_refused(write):
    def f(z):
        z = z.copy()
        write(z)
        return z

    with pytest.raises(lms.StagingError, match=r"`\.(real|imag)` of a complex array is a copy"):
        lms.stage(f)(np.array([1j, 2.0, 3.0]))


def test_lists_are_stored():
    def f(a):
        b = a.copy()
        b[:, 1] = [1, 2, 3]
        b[0] = (a[0, 0], 5.0, a[1, 1])
        b[[1, 2], 0] = [7, 8]
        return b

    same(f, np.arange(9.0).reshape(3, 3) / 2)


def test_ix_crosses_index_arrays():
    def f(a, rows):
        b = a.copy()
        b[np.ix_(rows, rows + 1)] += 10.0
        return b, a[np.ix_(rows, a[0] > 0)]

    same(f, np.arange(9.0).reshape(3, 3), np.array([0, 1]))


ROWS, COLUMNS = np.array([0, 0, 2]), np.array([1, 1, 0])
KEYS = [(ROWS, COLUMNS), (ROWS[:, None], COLUMNS[None, :]), (slice(None), ROWS), (1, ROWS), (ROWS, slice(1, 3)), (2, 1), 1,
        slice(0, 2), (..., 0), [1, 1], np.array([True, False, True])]


@pytest.mark.parametrize("key", KEYS, ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.uint8])
def test_ufunc_at_takes_every_key_that_brackets_take(key, dtype):
    def f(a):
        a = a.copy()
        np.add.at(a, key, 3)
        np.subtract.at(a, key, 1)
        return a

    same(f, np.arange(9).reshape(3, 3).astype(dtype))


@pytest.mark.parametrize("f", [lambda a: np.linalg.eig(a), lambda a: np.fft.fft(a), lambda a: np.nanmedian(a),
                               lambda a: np.spacing(a), lambda a: np.add.reduceat(a, [0, 1])])
def test_what_cannot_be_staged_is_named(f):
    with pytest.raises(lms.StagingError, match=r"np\.\S+ cannot be staged") as e:
        lms.stage(f)(np.eye(3))
    assert __file__ in str(e.value) and "^" in str(e.value)


def test_empty_arrays_have_no_maximum():
    with pytest.raises(ValueError, match="empty"):
        lms.stage(lambda a: a.max())(np.zeros(0))


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="differ in size"):
        lms.stage(backend="interpret")(lambda a, b: a @ b)(np.ones((2, 3)), np.ones((4, 2)))
    with pytest.raises(ValueError, match="reshape"):
        lms.stage(lambda a: a.reshape(5, 2))(np.ones((3, 4)))


def test_the_table_speaks_for_numpy():
    missing = [name for name in lms.ops.__all__ if getattr(lms, name) not in STAGED and name != "astype"]
    assert not missing


@pytest.mark.parametrize("backend", ["interpret", "llvm"])
def test_a_python_int_that_does_not_fit_is_still_compared(backend):
    x = np.array([3, 255], np.uint8)
    same(lambda x: (x == 300, x < 256, x >= -1, x != 3), x, backend=backend)
    same(lambda x, n: (x == n, x < n), x, 300, backend=backend)

INF = np.array([np.inf, -np.inf, np.nan, 1.0, -2.5])
EDGES = [
    lambda x: np.isclose(x, np.inf), lambda x: np.isclose(x, x[::-1]), np.nan_to_num,
    lambda x: np.nan_to_num(x, nan=1.0, posinf=2.0),
    lambda x: np.median(x), lambda x: np.median(x[3:]), lambda x: np.clip(x, -1, 1), lambda x: np.sign(x),
    lambda x: np.where(x > 0)[0],
    lambda x: np.average(np.arange(6.0).reshape(2, 3) + x[3], axis=0, weights=np.array([1.0, 3.0])),
    lambda x: np.average(np.arange(6.0).reshape(2, 3) + x[3], axis=1, weights=np.array([1.0, 3.0, 2.0])),
    lambda x: np.linspace(-2.5 * x[3], 2.5, 6, dtype=int), lambda x: np.fabs(x), lambda x: np.fabs(np.arange(3) - 1),
    lambda x: np.linalg.norm(np.ones((2, 3)) * x[3]), lambda x: np.linalg.norm(np.ones((2, 3)) * x[3], 1, axis=0),
    lambda x: np.sign(np.arange(3).astype(np.uint8)), lambda x: np.maximum(x, 0), lambda x: np.max(x), lambda x: np.argmax(x),
    lambda x: np.sort(x), lambda x: np.argsort(x), lambda x: np.logaddexp(x, x), lambda x: np.hypot(x, 1),
    lambda x: np.round(x, -1),
    lambda x: x % 2, lambda x: x // 2, lambda x: np.floor(x), lambda x: np.minimum(x, x[::-1]), lambda x: x.any(),
    lambda x: (x != x).sum(),
]


@pytest.mark.parametrize("backend", ["interpret", "llvm"])
@pytest.mark.parametrize("k", range(len(EDGES)))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_edges(k, backend):
    same(lambda x: EDGES[k](x), INF, backend=backend)


@pytest.mark.parametrize("f, said", [
    (lambda a: np.sum(a, where=a > 0), "sum() with these arguments"), (lambda a: np.linalg.norm(a, 3), "ord=3"),
    (lambda a: np.moveaxis(a, (0, 1), (1, 0)), "an axis is an int"), (lambda a: np.sum(a, axis=5), "axis 5 is out of bounds"),
    (lambda a: np.round(a.astype(int), -1), "tens"), (lambda a: np.max(a, initial=3.0), "with these arguments"),
    (lambda a: np.einsum("ii->i", a), "at most once"), (lambda a: np.concatenate([a, a[0]]), "differ in rank"),
])
def test_arguments_that_are_not_known(f, said):
    with pytest.raises(lms.StagingError) as e:
        lms.stage(f)(np.eye(3))
    assert said in str(e.value) and __file__ in str(e.value) and "^" in str(e.value)
