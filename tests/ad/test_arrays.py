"""Reverse mode on array operations: rules, arrays in loops and branches, operands that are written to."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lms
from lms import Array, f64, i64
from lms.core import primitives as p
from lms.core.builder import current
from lms.core.types import f32, fresh_symbol, symbol
from lms.staging.library import ops
from lms.staging.rep import Rep
from tests.ad.emitted import (
    check,
    check_forward,
    emit,
    floats,
    for_,
    if_,
    indices,
    load,
    size,
    store,
    total,
    while_,
)

a, s = p.array, p.scalar
rng = np.random.default_rng(0)
X, M, K, Q = rng.normal(size=5), rng.normal(size=(3, 4)), rng.normal(size=(4, 2)), rng.normal(size=(4, 4))
Y = X[::-1] * 0.7 + 0.05
INDEX = np.array([0, 2, 2, 1])
A, I, n, m = floats, indices, symbol("n"), symbol("m")  # noqa: E741  # as in mathematics
CASES: dict[str, tuple[Callable[..., Any], list[Any], list[Any]]] = {}


def case(types: list[Any], *args: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(build: Callable[..., Any]) -> Callable[..., Any]:
        CASES[build.__name__] = build, types, list(args)
        return build

    return add


def contraction(name: str, left: str, right: str, out: str) -> None:
    """One contraction, each letter with a size of its own."""
    sizes = dict(zip("ijk", (3, 4, 2), strict=True))
    types = [A(*letters) for letters in (left, right)]
    args = [np.cos(np.arange(np.prod([sizes[c] for c in letters])) + k).reshape([sizes[c] for c in letters])
            for k, letters in enumerate((left, right))]
    CASES[f"contract_{name}"] = (lambda x, y: total(emit(a.contract, x, y, spec=(left, right, out)))), types, args


for spec in ("ij,jk,ik", "i,i,", "ij,ji,", "i,j,ij", "ij,k,i", "ij,j,", "ij,kj,", "i,j,", "ijk,j,ki", "ij,ij,j"):
    contraction(spec.replace(",", "_"), *spec.split(","))


for op in (a.reduce_max, a.reduce_min, a.reduce_sum):
    for axes in ((0,), (1,), (0, 1)):
        CASES[f"{op.name}{axes}"] = (lambda x, op=op, axes=axes: total(emit(op, x, axes=axes))), [A("m", "n")], [M]


@case([A("n")], X)
def sum_of_exp(x):
    return emit(a.reduce_sum, np.exp(x) * x, axes=(0,))


@case([A("m", "n"), A("n"), A("k", "m")], M, Q[0].copy(), Q[:2, :3].copy())
def two_layers(w, x, v):
    hidden = np.tanh(emit(a.contract, w, x, spec=("ij", "j", "i")))
    return total(emit(a.contract, v, hidden, spec=("ki", "i", "k")))


@case([A("m", "n")], M)
def cumsum(x):
    return total(emit(a.cumsum, x, axis=1))


@case([A("m", "n")], M)
def transpose(x):
    y = emit(a.transpose, x, perm=(1, 0))
    return total(y * 2.0) + total(emit(a.contract, y, x, spec=("ij", "jk", "ik")))


@case([A("n"), A("m")], X, M[0].copy())
def concatenate(x, y):
    return total(np.sin(emit(a.concatenate, x, y, axis=0, dims=(n + m,))))


@case([A("m", "n")], M)
def reshape(x):
    return total(np.sin(emit(a.reshape, x, size(x) * size(x, 1), dims=(fresh_symbol(),))))


@case([A("m", "n"), I("k")], M, INDEX)
def take_rows(x, i):
    return total(emit(a.take, x, i, axis=0))


@case([A("m", "n"), I("k")], M, INDEX)
def take_columns(x, i):
    return total(emit(a.take, x, i, axis=1))


@case([A("m", "n"), I("k"), A("k", "n")], M, INDEX, Q)
def put_where_the_last_wins(x, i, v):
    y = emit(a.copy, x)
    emit(a.put, y, i, np.sin(v), axis=0)
    return total(y)


@case([A("m", "n"), I("k"), A("k", "n")], M, INDEX, Q)
def add_at(x, i, v):
    y = emit(a.copy, x)
    emit(a.add_at, y, i, np.sin(v), axis=0)
    return total(y)


@case([A("m", "n")], M)
def sort(x):
    return total(emit(a.take_along, x, emit(a.argsort, x, axis=1), axis=1) * 1.5)


@case([A("m", "n"), A("m", "n")], M, M * 0.5)
def add_along(x, v):
    y = emit(a.copy, x)
    emit(a.add_along, y, emit(a.argsort, x, axis=1), np.sin(v), axis=1)
    return total(y)


@case([A("n"), A("n")], X, Y)
def assign_and_add_into(x, y):
    z = np.exp(x)
    u = z * y
    emit(a.assign, z, np.sin(y) * u)
    w = total(z) + total(z * x)
    emit(a.add_into, z, x)
    return w + total(z)


@case([A("n"), A("n")], X, Y)
def a_difference_outlives_what_it_was_made_of(x, y):
    o = emit(a.copy, x)
    t = o - 0.3
    emit(a.assign, o, t * t + y)
    return total(t * o)


@case([A("n"), A("n")], X, Y)
def w9_operands_that_are_written_later(x, y):
    u = np.exp(x)
    v = x * u
    store(x, 3.0 * load(y, 1), 0)
    store(u, 2.0 * load(x, 0) * load(u, 2), 1)
    return total(v * x) + total(u * x)


@case([A("n"), A("n")], X, Y)
def select(x, y):
    return total(ops.where(x > y, x * y, np.sin(y)))


@case([A("n"), A("m", "n")], M[0].copy(), M)
def broadcast_along_a_new_axis(x, y):
    return total(emit(a.broadcast, x, size(y), size(x), dims=(m, n), axes=(1,)) * y)


@case([A(1, "n"), A("m", "n")], M[:1].copy(), M)
def broadcast_along_an_axis_of_one(x, y):
    return total(emit(a.broadcast, x, size(y), size(y, 1), dims=(m, n), axes=(0, 1)) * y)


@case([A("n", "n"), A("n", "m"), A("t", "m")], Q[:3, :3].copy(), Q[:3, :2].copy(), rng.normal(size=(5, 2)))
def recurrent_network(w, u, x):
    start = Rep(current().emit1(a.broadcast, current().const(0.1, f64), size(w).value, dims=(n,), axes=()))

    def step(t, h):
        now = Rep(current().emit1(a.view, x.value, t.value, spec=(("at",), ("all",)), dims=(m,)))
        return np.tanh(emit(a.contract, w, h, spec=("ij", "j", "i")) + emit(a.contract, u, now, spec=("ij", "j", "i")))

    return total(for_(0, size(x), [start], step)[0])


@case([A("n", "n"), A("n")], Q[:3, :3].copy(), M[:, 0].copy())
def recurrent_network_in_a_while(w, x):
    def step(h, k):
        return np.tanh(emit(a.contract, w, h, spec=("ij", "j", "i")) + x), k + 1

    return total(while_([x * 1.0, 0], lambda h, k: k < 4, step)[0])


def _either(x, y):
    return total(if_(load(x, 0) > 0.0, lambda: [x * y + np.sin(x)], lambda: [np.exp(y) * 2.0])[0])


@case([A("n"), A("n")], np.abs(X), Y)
def arrays_from_a_branch(x, y):
    return _either(x, y)


@case([A("n"), A("n")], -np.abs(X), Y)
def arrays_from_the_other_branch(x, y):
    return _either(x, y)


@case([A("n"), A("n")], X, Y)
def arrays_in_a_loop_with_a_branch(x, y):
    def body(i, c):
        z = np.exp(x * c) * y
        (r,) = if_(c > 0.5, lambda: [z * z], lambda: [np.sin(z)])
        return c * 0.5 + 0.01 * total(r)

    return for_(0, 4, [1.0], body)


@case([A("n")], X)
def grow(x):
    y = emit(a.grow, x * 2.0, size(x) + 2, dims=(n + 2,))
    store(y, load(x, 0) * load(y, 1), size(x) + 1)
    return total(y)


@case([A("n")], X)
def a_new_axis(x):
    return total(Rep(current().emit1(a.view, (x * x).value, spec=(("new",), ("all",)), dims=(1, n))))


def _zero_in(*zeros: int) -> np.ndarray:
    out = np.abs(M) + 0.5
    out.ravel()[list(zeros)] = 0.0
    return out


for _axes in ((0,), (1,), (0, 1)):
    for _zeros in ((), (1,), (1, 6), (1, 5)):
        CASES[f"reduce_prod{_axes}zeros{_zeros}"] = (
            lambda x, axes=_axes: total(emit(a.reduce_prod, x, axes=axes))), [A("m", "n")], [_zero_in(*_zeros)]


@pytest.mark.parametrize("name", CASES)
def test_to_second_order(name: str) -> None:
    build, types, args = CASES[name]
    check(build, types, args, order=2)


@pytest.mark.parametrize("name", CASES)
def test_forward(name: str) -> None:
    check_forward(*CASES[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_to_third_order(name: str) -> None:
    build, types, args = CASES[name]
    check(build, types, args, order=3)


def test_single_precision() -> None:
    def build(x):
        narrow = emit(s.convert, x, dtype=f32)
        return total(emit(s.convert, narrow * narrow, dtype=f64))

    (slope,) = check(build, [A("n")], [X.round(2)], tolerance=1.0)
    y = X.round(2) ** 2
    np.testing.assert_allclose(slope, (np.sin(y) + y * np.cos(y)) * 2 * X.round(2), rtol=1e-5, atol=1e-6)


def test_tangents_that_are_views_leave_in_rows():
    """The tangent of `x[::-1] + 1` is a view of that of `x`; where its primal leaves a block or a function, it is as that is."""
    def straight(x: Rep[Array[f64, "n"]], k: Rep[i64]):
        return x[::-1] + 1.0

    def branches(x: Rep[Array[f64, "n"]], k: Rep[i64]):
        if k > 1:
            y = x[::-1] + 1.0
        else:
            y = x * 2.0
        return y

    def loops(x: Rep[Array[f64, "n"]], k: Rep[i64]):
        y = x[::-1] + 1.0
        for _ in range(k):
            y = y[::-1] + 0.5
        while np.sum(y) < 0.0:
            y = y[::-1] + 3.0
        return y

    x, dx = np.array([1.0, -2.0, -9.0]), np.array([0.25, 0.5, 1.0])
    back = dx[::-1]
    for f, wanted in {straight: (back, back, back), branches: (dx * 2, dx * 2, back), loops: (dx, back, dx)}.items():
        for k, expected in enumerate(wanted):
            np.testing.assert_array_equal(lms.jvp(f, (x, k), (dx, None))[1], expected)
