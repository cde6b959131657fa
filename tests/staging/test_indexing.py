"""Indexing, slicing and storing, against NumPy."""

import numpy as np
import pytest

import lms
from lms import Array, Mut, Rep, f64, i64

A = np.arange(12.0).reshape(3, 4)
BACKENDS = ["interpret", "llvm"]


def same(f, *args, backend="interpret"):
    def fresh():
        return [a.copy() if isinstance(a, np.ndarray) else a for a in args]

    want = f(*fresh())
    got = lms.stage(backend=backend)(f)(*fresh())
    np.testing.assert_allclose(got, want, rtol=1e-13)
    assert np.shape(got) == np.shape(want)
    if isinstance(want, np.ndarray):
        assert got.dtype == want.dtype


READS = [
    lambda a: a[1], lambda a: a[-1], lambda a: a[1, 2], lambda a: a[-1, -4], lambda a: a[...], lambda a: a[..., 1],
    lambda a: a[:, None, 1:3], lambda a: a[1:, ::-1], lambda a: a[::2], lambda a: a[::-2], lambda a: a[5:],
    lambda a: a[:-1] - a[1:],
    lambda a: a[-2:], lambda a: a[:, -3:-1], lambda a: a[1:100], lambda a: a[2:1], lambda a: a[:, 3:0:-1], lambda a: a[:, 10::-3],
    lambda a: a[[0, 2]], lambda a: a[:, [1, 1, 3]], lambda a: a[[0, 1], [2, 3]], lambda a: a[np.array([[0, 1], [1, 2]])],
    lambda a: a[a > 3], lambda a: a[a[:, 0] > 2], lambda a: a[:, a[0] > 1], lambda a: a[0, [1, 2]], lambda a: a[None, 1],
    lambda a: a[1:][0], lambda a: a[1:, 1:][1, 1], lambda a: a.T[1], lambda a: a.T[1:3, ::2],
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("k", range(len(READS)))
def test_read(k, backend):
    same(READS[k], A, backend=backend)


def write_one(a):
    b = a.copy()
    b[0, 1] = 7
    b[-1, -1] += 5
    return b


def write_row(a):
    b = a.copy()
    b[0] = 7
    b[1:, 2] += 3
    return b


def write_mask(a):
    b = a.copy()
    b[b > 6] = -1
    b[b < 2] = b[b < 2] * 10
    return b


def write_view(a):
    b = a.copy()
    r = b[2]
    r += 1
    r[0] = 100
    return b


def write_rows(a):
    b = a.copy()
    b[[0, 1]] = b[[1, 0]]
    b[:, [0, 0, 1]] = 3.0
    return b


def write_overlapping(a):
    b = a.copy()
    b[:, 1:] = b[:, :-1]
    b[:-1] = b[1:]
    return b


def write_in_place(a):
    b = a.copy()
    b *= 2
    b -= a
    b /= 4
    b **= 2
    b[1] -= b[0]
    b[...] += b[::-1]
    return b


def write_pairs(a):
    b = a.copy()
    b[[0, 1, 2], [1, 2, 3]] = np.array([7.0, 8.0, 9.0])
    return b


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("f", [write_one, write_row, write_mask, write_view, write_rows, write_overlapping, write_in_place,
                               write_pairs])
def test_write(f, backend):
    same(f, A, backend=backend)


def test_slice_write_read_prints_the_new_value():
    def f(a):
        b = a.copy()
        x = b[1:3]
        b[1] = 5
        return x[0]

    same(f, np.arange(5.0))


@pytest.mark.parametrize("bounds", [(0, 2), (-3, -1), (1, 100), (-100, 2), (4, 1), (0, 0), (5, 9)])
def test_bounds_that_are_known_later(bounds):
    @lms.stage(backend="interpret")
    def f(a, i: lms.Rep[lms.i64], j: lms.Rep[lms.i64]):
        return a[i:j], a[j:i:-1], a[i::2]

    a = np.arange(5.0)
    i, j = bounds
    for got, want in zip(f(a, i, j), (a[i:j], a[j:i:-1], a[i::2]), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("k", [3, -4, 10**12])
def test_out_of_bounds(k, backend):
    @lms.stage(backend=backend)
    def read(a, i: lms.Rep[lms.i64]):
        return a[i]

    @lms.stage(backend=backend)
    def write(a: lms.Mut[lms.Array[lms.f64, "n"]], i: lms.Rep[lms.i64]):
        a[i] = 1.0

    for f in (read, write):
        with pytest.raises(IndexError) as e:
            f(np.zeros(3), k)
        assert __file__ in str(e.value)
        assert f(np.zeros(3), 1) in (0.0, None)


def test_writing_to_an_argument_must_be_declared():
    @lms.stage
    def f(a):
        b = a[1:]
        b[0] = 1.0
        return b

    with pytest.raises(lms.StagingError, match="a is written to") as e:
        f(np.zeros(3))
    assert "b[0] = 1.0" in str(e.value) and "^" in str(e.value) and "Mut" in str(e.value)


def test_mut_is_written_in_the_callers_array():
    @lms.stage
    def f(a: lms.Mut[lms.Array[lms.f64, "n"]], x: float):
        a[1:] += x
        return a

    a = np.zeros(3)
    assert f(a, 2.0) is a
    np.testing.assert_array_equal(a, [0.0, 2.0, 2.0])


def test_a_float_is_no_index():
    with pytest.raises(TypeError, match="an index is an int"):
        lms.stage(lambda a, x: a[x])(np.zeros(3), 1.0)


def test_storing_floats_in_ints_is_refused():
    def f(n: int):
        a = np.zeros(n, dtype=np.int64)
        a[0] = 1.5
        return a

    with pytest.raises(TypeError, match="cannot store"):
        lms.stage(f)(3)


def test_unequal_sizes_are_checked_at_run_time():
    @lms.stage(backend="interpret")
    def f(x, y):
        return x + y

    np.testing.assert_array_equal(f(np.ones(3), np.ones(3)), 2 * np.ones(3))
    with pytest.raises(ValueError, match="x and y differ in size, 3 and 4"):
        f(np.ones(3), np.ones(4))


def read_then_written(a):
    b = a.copy()
    b[1:] = b[:-1] + 1
    b[:, :-1] = b[:, 1:] * 2
    b += b[::-1]
    b[...] = b[:, ::-1] + b
    c = b[:3, :3]
    c[...] = c.T * 2 + c
    b[0] = b[1] + b[0, 0]
    b[b > 3] = b[b > 3] - 1
    return b


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_read_is_what_was_there_before(backend):
    same(read_then_written, A, backend=backend)


@lms.stage
def chosen_in_place(m: Mut[Array[f64, "n", "k"]], x: Mut[Array[f64, "n"]], idx: Rep[Array[i64, "j"]]):
    m[idx] *= 2.0
    m[:, idx] -= 1.0
    m[m > 3.0] = 0.0
    m[m < 0.0] *= -1.0
    x[idx] += 1.0
    x[x > 2.0] -= 10.0
    m[0][idx] += 7.0
    v = x[idx]
    v += 100.0  # a copy
    x[idx][0] = 5.0  # of a copy, lost
    return np.sum(v)


def test_what_an_index_array_or_a_mask_chooses_is_changed_in_place():
    idx, m, x = np.array([2, 0, 2]), np.arange(9.0).reshape(3, 3), np.arange(3.0)
    n, y = m.copy(), x.copy()
    assert chosen_in_place(m, x, idx) == chosen_in_place.unstaged(n, y, idx)
    np.testing.assert_array_equal(m, n)
    np.testing.assert_array_equal(x, y)


def test_the_gradient_of_elements_changed_in_place():
    @lms.stage
    def f(x: Rep[Array[f64, "n"]], idx: Rep[Array[i64, "m"]]):
        y = np.zeros(len(x))
        y[idx] += x[idx] * x[idx]
        return np.sum(y)

    np.testing.assert_array_equal(lms.grad(f)(np.array([1.0, 2.0, 3.0]), np.array([2, 0])), [2.0, 0.0, 6.0])


def sieve(n):
    prime = np.ones(n + 1, dtype=bool)
    prime[:2] = False
    i = 2
    while i * i <= n:
        if prime[i]:
            prime[i * i::i] = False
        i += 1
    return np.flatnonzero(prime)


@pytest.mark.parametrize("backend", BACKENDS)
def test_storing_with_a_step_that_is_known_later(backend):
    same(sieve, 50, backend=backend)
    same(lambda a, k: write_stepped(a, k), np.arange(10.0), 3, backend=backend)
    with pytest.raises(ValueError, match="must be positive, found 0"):
        lms.stage(backend=backend)(write_stepped)(np.arange(10.0), 0)


def write_stepped(a, k):
    b = a.copy()
    b[1:-2:k] = -1.0
    b[k::k] = 5.0
    return b


def test_reading_with_a_step_that_is_known_later():
    with pytest.raises(TypeError, match="must be known now"):
        lms.stage(lambda a, k: a[::k])(np.arange(5.0), 2)
