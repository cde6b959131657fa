"""Sparse Jacobians and Hessians against dense ones: patterns, colourings, patterns that move, blocks."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import lms
from lms import Array, Mut, Rep, f64, i64
from lms.colouring import columns, stars

X = np.linspace(0.1, 1.0, 30)
M = np.linspace(0.1, 1.0, 12).reshape(3, 4)


def neighbours(x):
    out = np.zeros(len(x))
    for i in range(1, len(x) - 1):
        out[i] = x[i - 1] * x[i + 1] if x[i] > 0.5 else np.sin(x[i])
    return out


def searching(x):
    out = np.zeros(len(x))
    for i in range(len(x)):
        j, s = i, x[i]
        while s < 1.0 and j > 0:
            j -= 1
            s += x[j] * 0.5
        out[i] = s
    return out


def scattered(x):
    a = np.zeros(8)
    a[np.array([0, 2, 0])] += x[:3]
    a[np.array([3, 4])] = x[5:7] * x[6]
    np.add.at(a, np.array([7, 7]), x[8:10])
    return a[::-1] * 2.0


@lms.stage
def nested(x: Rep[Array[f64, "n"]], k: Rep[i64], a: Rep[f64]) -> Rep[f64]:
    if k == 0:
        return a
    return nested(x, k - 1, a * x[k])


@lms.stage
def rounded(x):
    return np.round(x)


@lms.derivative(rounded)
def _rounded(x):
    dz = yield rounded(x)
    return dz


JACOBIANS: dict[str, tuple[Callable[..., Any], np.ndarray]] = {
    "differences": (lambda x: x[1:] - x[:-1] * x[1:], X),
    "a branch in a loop": (neighbours, X),
    "a while in a loop": (searching, X),
    "gathers and scatters": (scattered, X),
    "products": (lambda x: (x @ x.T)[0] + x.sum(axis=1), M),
    "reductions": (lambda x: np.concatenate([np.cumsum(x[0]), np.max(x, axis=0), np.prod(x[:2], axis=0)]), M),
    "views": (lambda x: x.T[1:, ::-1] * x[0, 0], M),
    "where": (lambda x: np.where(x > 0.5, x * x, np.roll(x, 1)), X),
    "sort": (lambda x: np.sort(np.sin(7 * x))[:3], X),
    "recursion": (lambda x: np.array([nested(x, 3, x[0]), nested(x, 2, x[9])]), X),
    "one row": (lambda x: np.sum(x[:5]) * x[7], X),
    "one column in every row": (lambda x: x * x[0], X),
    "a linear system": (lambda x: np.linalg.solve(np.eye(4) + x[:, None] * np.ones(4), np.ones(4)), X[:4]),
    "a rule of one's own": (lambda x: rounded(x[0]) * x, X),
    "constants": (lambda x: np.ones(3) * np.floor(x[:3]), X),
}


@pytest.mark.parametrize("name", JACOBIANS)
def test_jacobian(name: str) -> None:
    f, x = JACOBIANS[name]
    sparse, dense = lms.sparse_jacobian(f), lms.jacobian(f)
    for point in (x, x[::-1].copy(), 0.3 + 0.1 * x):  # the pattern may be another at another point
        found, expected = sparse(point), dense(point)
        assert isinstance(found, scipy.sparse.csr_array)
        np.testing.assert_allclose(found.toarray(), expected.reshape(found.shape), rtol=1e-13, atol=1e-15)


def test_what_is_no_entry_is_not_stored() -> None:
    assert lms.sparse_jacobian(lambda x: x[1:] - x[:-1])(X).nnz == 58
    assert lms.sparse_jacobian(lambda x: x * np.floor(x[0]) + 1.0)(X).nnz == 30


def test_few_colours() -> None:
    assert lms.sparse_jacobian(lambda x: x[2:] - x[1:-1] * x[:-2]).colours(X) == 3
    assert lms.sparse_jacobian(lambda x: x * x[0]).colours(X) == 2
    assert lms.sparse_jacobian(lambda x: np.sum(x)).colours(X) == 1  # in reverse
    assert lms.sparse_hessian(lambda x: np.sum(x[1:]) * x[0] ** 2).colours(X) == 2  # an arrow


HESSIANS: dict[str, tuple[Callable[..., Any], np.ndarray]] = {
    "chain": (lambda x: np.sum(x[1:] ** 2 * np.sin(x[:-1])) + x[0] * x[-1], X),
    "arrow": (lambda x: np.sum(x[1:] ** 3) * x[0] ** 2, X),
    "separable": (lambda x: np.sum(np.exp(x)), X),
    "linear": (lambda x: np.sum(x), X),
    "grid": (lambda x: np.sum((x[1:] - x[:-1]) ** 4) + np.sum((x[:, 1:] * x[:, :-1]) ** 2), M),
    "loop": (lambda x: np.sum(neighbours(x) ** 2), X),
}


@pytest.mark.parametrize("name", HESSIANS)
def test_hessian(name: str) -> None:
    f, x = HESSIANS[name]
    found, expected = lms.sparse_hessian(f)(x), lms.hessian(f)(x)
    np.testing.assert_allclose(found.toarray(), expected.reshape(found.shape), rtol=1e-12, atol=1e-14)


def test_containers_and_several_arguments() -> None:
    def f(p, y):
        return {"u": p["a"] * y, "v": p["b"][1:] * p["n"]}

    p, y = {"a": 2.0, "b": X[:4], "n": 3}, X[:5]
    found = lms.sparse_jacobian(f, (0, "y"))(p, y).toarray()
    dense = lms.jacobian(f, (0, "y"))(p, y)
    rows = [np.concatenate([np.reshape(part, (size, -1)) for part in (block[0]["a"], block[0]["b"], block[1])], axis=1)
            for block, size in ((dense["u"], 5), (dense["v"], 3))]
    np.testing.assert_allclose(found, np.concatenate(rows))


def test_memory_that_is_written() -> None:
    @lms.stage
    def running(x: Rep[Array[f64, "n"]], out: Mut[Array[f64, "n"]]) -> Rep[Array[f64, "n"]]:
        for i in range(1, len(x)):
            out[i] = x[i] * out[i - 1] + out[i]
        return np.copy(out)

    out, left = np.ones(6), np.ones(6)
    running(X[:6], left)
    found = lms.sparse_jacobian(running, "out")(X[:6], out)
    np.testing.assert_array_equal(out, left)
    np.testing.assert_allclose(found.toarray(), lms.jacobian(running, "out")(X[:6], np.ones(6)))


def test_a_pattern_of_ones_own() -> None:
    band = scipy.sparse.diags_array([np.ones(29), np.ones(30)], offsets=[-1, 0])
    found = lms.sparse_jacobian(lambda x: x * x, pattern=band)(X)
    np.testing.assert_allclose(found.toarray(), np.diag(2 * X))
    assert lms.sparse_jacobian(lambda x: x * x, pattern=np.eye(30, dtype=bool)).pattern(X).nnz == 30
    with pytest.raises(ValueError, match="lacks entries"):
        lms.sparse_jacobian(lambda x: x * x[::-1], pattern=np.eye(30))(X)
    with pytest.raises(ValueError, match="has shape"):
        lms.sparse_jacobian(lambda x: x * x, pattern=np.eye(29))(X)
    with pytest.raises(ValueError, match="is square"):
        lms.sparse_hessian(lambda x: np.sum(x * x), pattern=np.ones((3, 30)))(X)


def test_bad_input() -> None:
    with pytest.raises(TypeError, match="'n' of <lambda> holds no float"):
        lms.sparse_jacobian(lambda x, n: x * n, "n")(X, 3)
    with pytest.raises(TypeError, match="result is one float"):
        lms.sparse_hessian(lambda x: x * x)(X)


def test_infinities_stay() -> None:
    found = lms.sparse_jacobian(lambda x: np.sqrt(x))(np.array([0.0, 4.0]))
    np.testing.assert_array_equal(found.toarray(), [[np.inf, 0.0], [0.0, 0.25]])


def test_single_precision() -> None:
    found = lms.sparse_jacobian(lambda x: x[1:] * x[:-1])(X.astype(np.float32))
    assert found.dtype == np.float32 and found.nnz == 58


# ----------------------------------------------------------------------------------------------- colouring


def _pattern(seed: int, n: int, symmetric: bool) -> Any:
    made = scipy.sparse.random_array((n, n), density=0.08, rng=np.random.default_rng(seed), format="csr")
    return scipy.sparse.csr_array(made + made.T + scipy.sparse.eye_array(n)) if symmetric else made


@pytest.mark.parametrize("seed", range(5))
def test_columns_of_one_colour_share_no_row(seed: int) -> None:
    pattern = _pattern(seed, 40, symmetric=False)
    back = pattern.tocsc()
    colour = columns(back.indptr, back.indices, pattern.indptr, pattern.indices)
    for row in range(40):
        mine = colour[pattern.indices[pattern.indptr[row]: pattern.indptr[row + 1]]]
        assert len(set(mine)) == len(mine)


@pytest.mark.parametrize("seed", range(5))
def test_stars_of_two_colours(seed: int) -> None:
    pattern = _pattern(seed, 40, symmetric=True)
    colour = stars(pattern.indptr, pattern.indices)
    around = [set(pattern.indices[a:b]) - {v} for v, (a, b) in enumerate(zip(pattern.indptr, pattern.indptr[1:], strict=False))]
    for v in range(40):
        assert all(colour[w] != colour[v] for w in around[v])
        for w in around[v]:
            for x in around[w] - {v}:
                for y in around[x] - {v, w}:
                    assert len({colour[v], colour[w], colour[x], colour[y]}) > 2


# -------------------------------------------------------------------------------------------------- blocks


def residual(camera, point, weight):
    return np.array([weight * (camera[0] * point[0] - camera[1]), weight * np.sin(camera[2] - point[1] ** 2)])


def test_blocks() -> None:
    """Many small residuals: the same matrix as of all of them in a loop."""
    random = np.random.default_rng(0)
    cameras, points, weights = random.normal(size=(4, 3)), random.normal(size=(6, 2)), random.normal(size=10)
    of_camera, of_point = random.integers(0, 4, 10), random.integers(0, 6, 10)

    def together(cameras, points, weights):
        out = np.zeros((10, 2))
        for i in range(10):
            out[i] = residual(cameras[of_camera[i]], points[of_point[i]], weights[i])
        return out

    blocks = lms.block_jacobian(residual)((cameras, points, weights), (of_camera, of_point, None))
    assert blocks.shape == (20, 34) and blocks.nnz == 120
    whole = lms.sparse_jacobian(together, (0, 1, 2))
    np.testing.assert_allclose(blocks.toarray(), whole(cameras, points, weights).toarray(), rtol=1e-13)
    assert whole.colours(cameras, points, weights) <= 8


def test_blocks_of_one_float_and_of_none() -> None:
    chain = lms.block_jacobian(lambda a, b: (a - b) ** 2)
    x = np.array([1.0, 2.0, 4.0])
    found = chain((x, x), (np.array([0, 1]), np.array([1, 2])))
    np.testing.assert_allclose(found.toarray(), [[-2, 0, 0, 0, 2, 0], [0, -4, 0, 0, 0, 4]])
    assert chain((x[:0], x[:0]), (None, None)).shape == (0, 0)
    with pytest.raises(ValueError, match="rows for 3, 2 residuals"):
        chain((x, x[:2]), (None, None))
    with pytest.raises(ValueError, match="2 arrays are given, and the rows of 1"):
        chain((x, x), (None,))


@pytest.mark.parametrize(("call", "message"), [
    (lambda: lms.sparse_jacobian(lambda x: x * x)(np.ones(3) + 0j), r"of floats by floats, and x is c128\[x0\]"),
    (lambda: lms.sparse_jacobian(lambda x: x * 1j)(np.ones(3)), r"of floats by floats, and the result is c128\[x0\]"),
    (lambda: lms.block_jacobian(lambda x: {"a": x})((np.ones((3, 2)),), (None,)), "<lambda> gives a value of type dict"),
    (lambda: lms.block_jacobian(lambda x: x * 1j)((np.ones((3, 2)),), (None,)), "residuals are a float or an array of floats"),
])
def test_of_floats_only(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()


def test_rows_and_columns_that_are_dense_or_empty() -> None:
    def arrow(x):
        out = x * x[0]
        out[0] = np.sum(x * x)
        return out

    x = np.arange(1.0, 9.0)
    np.testing.assert_allclose(lms.sparse_jacobian(arrow)(x).toarray(), lms.jacobian(arrow)(x))
    curved = lambda x: np.sum(x**3) + x[0] * np.sum(x**2)  # noqa: E731  # of one line
    np.testing.assert_allclose(lms.sparse_hessian(curved)(x).toarray(), lms.hessian(curved)(x))
    assert lms.sparse_jacobian(lambda x: np.zeros(5) + 0.0 * x[:5])(np.ones(8)).shape == (5, 8)
    assert lms.sparse_jacobian(lambda x: np.zeros(0))(np.ones(8)).shape == (0, 8)
    assert lms.sparse_jacobian(lambda x: np.concatenate([x, np.zeros(3)]))(np.zeros(0)).shape == (3, 0)
    assert lms.sparse_hessian(lambda x: np.sum(x))(np.zeros(0)).shape == (0, 0)
