"""Reverse mode on programs that loop, branch and mutate. Each is checked to second order; `slow` to third."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lms.ad.differentiate import Differentiate
from lms.backends.interpret import run
from lms.core import primitives as p
from lms.core.builder import current
from lms.core.ir import walk
from lms.core.types import ArrayType, f64, i64
from lms.staging.rep import Rep
from tests.ad.emitted import (
    check,
    check_forward,
    emit,
    floats,
    for_,
    if_,
    load,
    program,
    size,
    store,
    while_,
    zeros,
)

X = np.random.default_rng(0).normal(size=5)
M = np.random.default_rng(1).normal(size=(4, 4)) + 4 * np.eye(4)
Case = tuple[Callable[..., Any], list[Any], list[Any]]
CASES: dict[str, Case] = {}


def case(types: list[Any], *args: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(build: Callable[..., Any]) -> Callable[..., Any]:
        CASES[build.__name__] = build, types, list(args)
        return build

    return add


def dims_of(x: Rep) -> tuple[Any, ...]:
    assert isinstance(x.type, ArrayType)
    return x.type.dims


@case([f64, f64], 0.7, 1.3)
def straight_line(x, y):
    return np.sin(x) * y + x / y


@case([floats("n")], X)
def product_over_a_dynamic_length(x):
    return for_(0, size(x), [1.0], lambda i, s: s * load(x, i))


@case([f64], 0.3)
def w1_loads_cannot_simply_be_repeated(x):
    buffer = zeros(1)

    def body(i, acc):
        store(buffer, x * acc + 1.0, 0)
        t = load(buffer, 0)
        store(buffer, 5.0 * x, 0)
        return acc * 0.2 + 0.1 * t * t * x + 0.1 * load(buffer, 0) * t

    return for_(0, 4, [x], body)


@case([floats("n")], X)
def swaps(x):
    def body(i):
        t, u = load(x, i), load(x, i + 1)
        store(x, u * t, i)
        store(x, np.sin(t), i + 1)

    for_(0, size(x) - 1, [], body)
    return for_(0, size(x), [0.0], lambda i, s: s + load(x, i) * load(x, i))


@case([floats("n")], X)
def stencil_in_place(x):
    def sweep(k):
        for_(1, size(x) - 1, [], lambda i: store(x, 0.5 * load(x, i) * load(x, i + 1) + load(x, i - 1), i))

    for_(0, 3, [], sweep)
    return for_(0, size(x), [0.0], lambda i, s: s + np.sin(load(x, i)))


@case([floats("n")], X)
def w4_ping_pong_buffers(x):
    n = size(x)
    a, b = zeros(n, dims=dims_of(x)), zeros(n, dims=dims_of(x))
    for_(0, n, [], lambda i: store(a, load(x, i), i))

    def step(t, a, b):
        for_(1, n - 1, [], lambda i: store(b, load(a, i) * load(a, i - 1) + np.sin(load(a, i + 1)), i))
        return b, a

    a, b = for_(0, 3, [a, b], step)
    return for_(0, n, [0.0], lambda i, s: s + load(a, i) * load(a, i) + load(b, i))


@case([f64], 1.1)
def squaring_until_large(x):
    return while_([x, 0], lambda y, k: y < 2.0, lambda y, k: (y * y * 0.5 + y * 0.6, k + 1))[0]


@case([f64], 1.2)
def while_in_while(x):
    def body(y, s):
        z, _ = while_([y * 0.5, 0.0], lambda z, q: z < 3.0, lambda z, q: (z * 1.5 + 0.1 * x, q))
        return y * 1.3 + 0.1 * z, s + z * y

    return while_([x, 0.0], lambda y, s: y < 5.0, body)[1]


@case([floats("n")], X)
def triangular_loops(x):
    return for_(0, size(x), [0.3], lambda i, s: for_(
        0, i, [s], lambda j, s: s * 0.9 + np.sin(load(x, j) * s) * load(x, i)))


@case([floats("n")], X)
def nested_loops(x):
    return for_(0, size(x), [0.3], lambda i, s: for_(
        0, size(x), [s], lambda j, s: s * 0.9 + np.sin(load(x, j) * s) * load(x, i)))


@case([floats("n")], X)
def w5_a_permutation_array(x):
    order = Rep(current().emit1(p.array.iota, current().dim(x.value, 0), dims=dims_of(x), dtype=i64))

    def body(i, s):
        j = (i * 3 + 1) % 5
        t, u = load(order, i), load(order, j)
        store(order, u, i)
        store(order, t, j)
        return s * load(x, load(order, 0)) + load(x, load(order, 2))

    return for_(0, size(x), [1.0], body)


@case([floats("n")], X)
def branches_that_store(x):
    buffer = zeros(3)

    def body(i, s):
        v = load(x, i)
        if_(v > 0.0, lambda: store(buffer, v * s, 1), lambda: store(buffer, load(buffer, 1) + v, 2))
        return s + load(buffer, 1) * load(buffer, 2) + v

    return for_(0, size(x), [1.0], body)


@case([floats("n", "n")], M)
def lu_in_place(m):
    n = size(m)

    def column(k):
        def row(i):
            f = load(m, i, k) / load(m, k, k)
            store(m, f, i, k)
            for_(k + 1, n, [], lambda j: store(m, load(m, i, j) - f * load(m, k, j), i, j))

        for_(k + 1, n, [], row)

    for_(0, n, [], column)
    return for_(0, n, [1.0], lambda i, s: s * load(m, i, i))


@case([floats("n")], X)
def heat(u):
    n = size(u)

    def step(k):
        new = zeros(n, dims=dims_of(u))
        for_(1, n - 1, [], lambda i: store(
            new, load(u, i) + 0.1 * (load(u, i - 1) - 2.0 * load(u, i) + load(u, i + 1)) * load(u, i), i))
        for_(1, n - 1, [], lambda i: store(u, load(new, i), i))

    for_(0, 4, [], step)
    return for_(0, n, [0.0], lambda i, s: s + load(u, i) * load(u, i))


@case([floats("n")], 0.5 * X)
def w6_arrays_of_an_iteration(x):
    def body(i, s):
        w = zeros(i + 1)
        for_(0, i + 1, [], lambda j: store(w, load(x, j) * s, j))
        return for_(0, i + 1, [s], lambda j, s: s + load(w, j) * load(w, j))

    return for_(0, size(x), [0.2], body)


@case([floats("n")], X)
def w8_accumulation(x):
    h = zeros(3)
    for_(0, size(x), [], lambda i: emit(p.array.accumulate, h, load(x, i) * load(x, i), i % 3))
    return load(h, 0) * load(h, 1) + load(h, 2)


@case([f64], 0.6)
def accumulation_of_what_is_outside(x):
    """The backward half of this loop only reads: it starts from no cotangent, and matters all the same."""
    h = zeros(3)
    for_(0, 3, [], lambda i: emit(p.array.accumulate, h, x * x, i))
    return load(h, 0) * load(h, 1) + load(h, 2)


@case([floats("n")], X)
def a_branch_that_reads(x):
    def body(i):
        (t,) = if_(load(x, 1) < -1.5, lambda: [2.0], lambda: [load(x, 0)])
        store(x, t * t * 0.7 + load(x, i), i)

    for_(0, 3, [], body)
    return load(x, 0) * load(x, 2)


@case([floats("n")], X)
def backwards_by_two(x):
    return for_(size(x) - 1, -1, [0.5], lambda i, s: np.sin(s * load(x, i)), step=-2)


@case([f64], 1.5)
def no_trips(x):
    return for_(0, 0, [x], lambda i, s: s * s)[0] * 2.0


@case([floats("n")], X)
def a_slice_is_written(x):
    n = size(x)
    view = Rep(current().emit1(p.array.view, x.value, current().const(1), (n - 1).value, spec=(("slice", 1),),
                               dims=(dims_of(x)[0] - 1,)))
    store(view, 3.0 * load(x, 0) * load(view, 1), 0)
    return load(x, 1) * load(x, 2) + for_(0, size(view), [0.0], lambda i, s: s + np.sin(load(view, i)))[0]


@case([floats("n")], 0.5 * X)
def arrays_of_an_iteration_in_nested_loops(x):
    def outer(t, s):
        def body(i, s):
            w = zeros(i + 1)
            for_(0, i + 1, [], lambda j: store(w, load(x, j) * s, j))
            return for_(0, i + 1, [s], lambda j, s: s * 0.8 + load(w, j) * load(w, j))

        return for_(0, 3, [s], body)

    return for_(0, 2, [0.2], outer)


@case([f64], 1.1)
def arrays_made_in_a_while(x):
    def body(y, k):
        w = zeros(k + 1)
        store(w, y * x, k)
        return y * 1.5 + load(w, k) * 0.1, k + 1

    return while_([x, 0], lambda y, k: y < 20.0, body)[0]


def _one_of_two(x):
    a = zeros(size(x), dims=dims_of(x))
    (chosen,) = if_(load(x, 0) > 0.0, lambda: [a], lambda: [x])
    store(chosen, load(x, 1) * 2.0, 0)
    return load(chosen, 0) * load(x, 0) + load(a, 0) + load(chosen, 1)


@case([floats("n")], np.abs(X))
def w4_a_handle_that_is_one_of_two(x):
    return _one_of_two(x)


@case([floats("n")], -np.abs(X))
def w4_a_handle_that_is_the_other(x):
    return _one_of_two(x)


@pytest.mark.parametrize("name", CASES)
def test_to_second_order(name: str) -> None:
    build, types, args = CASES[name]
    check(build, types, args, order=2)


@pytest.mark.parametrize("name", CASES)
def test_forward(name: str) -> None:
    check_forward(*CASES[name])


@pytest.mark.slow(sample=True)
@pytest.mark.parametrize("name", ["w1_loads_cannot_simply_be_repeated", "w4_ping_pong_buffers", "while_in_while",
                                  "w5_a_permutation_array", "triangular_loops"])
def test_to_third_order(name: str) -> None:
    build, types, args = CASES[name]
    check(build, types, args, order=3)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_all_to_third_order(name: str) -> None:
    build, types, args = CASES[name]
    check(build, types, args, order=3)


def test_a_loop_that_only_accumulates_saves_nothing() -> None:
    made = program(lambda x: for_(0, size(x), [0.0], lambda i, s: s + 3.0 * load(x, i)), [floats("n")], order=1, wrt=[0])
    assert not any(n.attrs.get("residual") for f in made.functions.values() for n in walk(f.body))


def test_what_is_loaded_from_memory_that_stays_is_loaded_again() -> None:
    made = program(lambda x: for_(0, size(x), [0.0], lambda i, s: s + load(x, i) * load(x, i)), [floats("n")], order=1, wrt=[0])
    assert not any(n.attrs.get("residual") for f in made.functions.values() for n in walk(f.body))


def test_a_condition_is_saved_and_never_decided_again() -> None:
    """W3: a comparison of floats is not repeated in the backward half."""
    made = program(CASES["branches_that_store"][0], [floats("n")], order=1, wrt=[0])
    comparisons = [n for n in walk(made.functions["f_vjp"].body) if n.op is p.scalar.gt]
    assert [n.half for n in comparisons] == ["forward"]


def test_the_gradient_of_an_array_expression_has_no_memory() -> None:
    """A gradient that is one expression stays one, so that it fuses."""
    made = program(lambda x: emit(p.array.reduce_sum, np.exp(x) * x, axes=(0,)), [floats("n")], order=1, wrt=[0])
    assert not any(n.op.effect.accumulates or n.op.effect.writes for n in walk(made.functions["f_vjp"].body))


def test_w3_the_forward_half_is_the_primal() -> None:
    """Only sums of cotangents may be reassociated, never the user's arithmetic."""
    made = program(CASES["while_in_while"][0], [f64], order=1, wrt=[0])
    forward = [n for n in walk(made.functions["f_vjp"].body) if n.half == "forward"]
    assert forward and not any(n.attrs.get("fast") for n in forward)


def test_many_trips() -> None:
    made = program(lambda x: for_(0, 20_000, [x], lambda i, s: np.sin(s) * 1.1), [f64], order=1, wrt=[0])
    (slope,) = run(made, [0.5])
    s, expected = 0.5, 1.0
    for _ in range(20_000):
        s, expected = np.sin(s) * 1.1, expected * np.cos(s) * 1.1
    assert slope == pytest.approx(expected, rel=1e-12)


def test_a_program_without_derivatives_is_left_alone() -> None:
    made = program(lambda x: x * x, [f64])
    before = str(made)
    assert str(Differentiate().run(made)) == before
