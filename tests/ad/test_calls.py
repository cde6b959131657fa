"""Reverse mode through calls: pairs of functions, recursion, records and trees, memory that callees write."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lms.backends.interpret import run
from lms.core import primitives as p
from lms.core.builder import current
from lms.core.primitives.record import Record
from lms.core.types import Constructor, SumType, f64, fresh_symbol, i64, symbol
from lms.staging.rep import Rep
from tests.ad.emitted import (
    call,
    check,
    check_forward,
    constant,
    floats,
    for_,
    function,
    if_,
    load,
    program,
    size,
    store,
    value,
    while_,
    zeros,
)

A, n = floats, symbol("n")
X = np.random.default_rng(0).normal(size=5)
CASES: dict[str, tuple[Callable[..., Any], list[Any], list[Any], list[Any]]] = {}


def case(types: list[Any], args: list[Any], *functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(build: Callable[..., Any]) -> Callable[..., Any]:
        CASES[build.__name__] = build, types, args, list(functions)
        return build

    return add


# --------------------------------------------------------------------------------------------- recursion


def _power(k, x):
    return if_(k < 1, lambda: [x], lambda: [np.sin(call("power", [f64], k - 1, x * 1.1)[0]) * x])


def _even(k, x):
    return if_(k < 1, lambda: [x], lambda: [call("odd", [f64], k - 1, x * x)[0] + x])


def _odd(k, x):
    return if_(k < 1, lambda: [np.sin(x)], lambda: [call("even", [f64], k - 1, np.sin(x))[0] * x])


POWER = function("power", [i64, f64], _power)
EVEN, ODD = function("even", [i64, f64], _even), function("odd", [i64, f64], _odd)


@case([f64], [0.7], POWER)
def recursion(x):
    return call("power", [f64], constant(4), x)


@case([f64], [0.7], EVEN, ODD)
def mutual_recursion(x):
    return call("even", [f64], constant(5), x)


@case([f64], [0.7], POWER)
def recursion_in_a_loop(x):
    return for_(0, 3, [x], lambda i, y: call("power", [f64], i + 1, y)[0] * x)


@case([f64], [0.7], POWER)
def recursion_in_a_while(x):
    return while_([x], lambda y: y < 3.0, lambda y: y + call("power", [f64], constant(2), y)[0] * x + 0.5)


# ------------------------------------------------------------------------------------------------ memory


def _first(a):
    store(a, load(a, 0) * load(a, 1), 0)
    return load(a, 0) * load(a, 2)


def _scaled(a, k):
    b = zeros(size(a), dims=(symbol("q"),))
    for_(0, size(a), [], lambda i: store(b, load(a, i) * k, i))
    return b


FIRST, SCALED = function("first", [A("q")], _first, [0]), function("scaled", [A("q"), f64], _scaled)


@case([A("n")], [X], FIRST)
def a_callee_writes(x):
    return for_(0, 3, [1.0], lambda i, s: s * call("first", [f64], x)[0] + load(x, 1))


@case([A("n"), f64], [X, 0.7], SCALED)
def a_callee_allocates(x, k):
    (r,) = call("scaled", [A("n")], call("scaled", [A("n")], x, k)[0], k)
    return for_(0, size(r), [0.0], lambda i, s: s + np.sin(load(r, i)) * load(x, i))


@case([A("n"), f64], [X, 0.7], SCALED, FIRST)
def what_a_callee_gave_is_written(x, k):
    (r,) = call("scaled", [A("n")], x, k)
    t = load(r, 1) * load(r, 2)
    store(r, 5.0 * t, 1)
    return t * call("first", [f64], r)[0] + load(r, 1) * load(r, 0)


def _halves(a, low, count):
    def split():
        w = zeros(count)
        for_(0, count, [], lambda i: store(w, load(a, low + i) * load(a, low + count - 1 - i), i))
        for_(0, count, [], lambda i: store(a, np.sin(load(w, i)) + load(a, low + i) * 0.5, low + i))
        half = Rep(current().emit1(p.scalar.floordiv, count.value, current().const(2)))
        left = call("halves", [f64], a, low, half)[0]
        return [left * call("halves", [f64], a, low + half, count - half)[0] + load(w, 0)]

    return if_(count < 2, lambda: [load(a, low) * 1.5], split)


@case([A("n")], [X], function("halves", [A("q"), i64, i64], _halves, [0]))
def recursion_that_mutates_and_allocates(x):
    return call("halves", [f64], x, constant(0), size(x))


# ----------------------------------------------------------------------------------------------- records

TREE = SumType("Tree")
TREE.constructors = (Constructor("Leaf", (("value", f64),)),
                     Constructor("Node", (("left", TREE), ("weight", f64), ("right", TREE))))
PAIR = SumType("Pair", (Constructor("Pair", (("array", A("d")), ("number", f64))),))


def project(x, tag, field, **dims):
    return Rep(current().emit1(p.record.project, value(x), tag=tag, field=field, **dims))


def construct(t, tag, *fields):
    return Rep(current().emit1(p.record.construct, *map(value, fields), type=t, tag=tag))


def is_leaf(t):
    return Rep(current().emit1(p.record.tag, value(t))) < 1


def _summed(t, x):
    return if_(is_leaf(t), lambda: [np.sin(project(t, 0, 0)) * x], lambda: [
        call("summed", [f64], project(t, 1, 0), x * 1.1)[0] * project(t, 1, 1)
        + call("summed", [f64], project(t, 1, 2), x)[0] * x])


def _grown(k, x):
    return if_(k < 1, lambda: [construct(TREE, 0, x * x)], lambda: [
        construct(TREE, 1, call("grown", [TREE], k - 1, x * 1.3)[0], x, call("grown", [TREE], k - 1, np.sin(x))[0])])


def _mapped(t):
    return if_(is_leaf(t), lambda: [construct(TREE, 0, project(t, 0, 0) * 2.0)], lambda: [
        construct(TREE, 1, call("mapped", [TREE], project(t, 1, 0))[0], np.sin(project(t, 1, 1)),
                  call("mapped", [TREE], project(t, 1, 2))[0])])


SUMMED, GROWN = function("summed", [TREE, f64], _summed), function("grown", [i64, f64], _grown)
MAPPED = function("mapped", [TREE], _mapped)


@case([f64], [0.7], SUMMED, GROWN)
def a_tree_is_made_and_read(x):
    return call("summed", [f64], call("grown", [TREE], constant(3), x)[0], x)


@case([f64], [0.7], SUMMED, GROWN, MAPPED)
def a_tree_is_mapped(x):
    return call("summed", [f64], call("mapped", [TREE], call("grown", [TREE], constant(3), x)[0])[0], x)


def _used(r):
    a = project(r, 0, 0, dims=(symbol("z"),))
    store(a, load(a, 1) * project(r, 0, 1), 0)
    return load(a, 0) * load(a, 2)


USED = function("used", [PAIR], _used)


@case([A("n")], [X], USED)
def an_array_in_a_record(x):
    r = construct(PAIR, 0, x * 2.0, load(x, 3))
    return call("used", [f64], r)[0] * load(project(r, 0, 0, dims=(n,)), 0) + load(x, 1)


@case([A("n")], [X], USED)
def an_array_in_a_record_and_outside(x):
    y = x * 3.0
    r = construct(PAIR, 0, y, load(x, 3))
    t = load(y, 1) * load(y, 0)
    return call("used", [f64], r)[0] * load(y, 0) * t + load(x, 1)


@case([A("n")], [X], USED)
def records_carried_and_chosen(x):
    r = construct(PAIR, 0, x * 2.0, load(x, 3))
    q = construct(PAIR, 0, zeros(size(x), dims=(n,)), 1.5)

    def body(i, r, q, s):
        (w,) = if_(i < 2, lambda: [r], lambda: [q])
        s = s + call("used", [f64], w)[0] * project(w, 0, 1)
        return q, w, s + load(project(r, 0, 0, dims=(fresh_symbol(),)), 1)

    return for_(0, 4, [r, q, 0.0], body)[2]


@pytest.mark.parametrize("name", CASES)
def test_to_second_order(name: str) -> None:
    build, types, args, functions = CASES[name]
    check(build, types, args, order=2, functions=functions)


@pytest.mark.parametrize("name", CASES)
def test_forward(name: str) -> None:
    build, types, args, functions = CASES[name]
    check_forward(build, types, args, functions)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_to_third_order(name: str) -> None:
    build, types, args, functions = CASES[name]
    check(build, types, args, order=3, functions=functions)


# --------------------------------------------------------------------------------- gradients of records


def leaf(x: float) -> Record:
    return Record(TREE, 0, (np.float64(x),))


def node(left: Record, weight: float, right: Record) -> Record:
    return Record(TREE, 1, (left, np.float64(weight), right))


def test_the_gradient_of_a_tree_is_a_tree() -> None:
    made = program(lambda t, x: call("summed", [f64], t, x), [TREE, f64], [SUMMED], order=1, wrt=[0])
    (slope,) = run(made, [node(node(leaf(0.3), 2.0, leaf(0.5)), 3.0, leaf(0.7)), 1.0])
    outer_left, outer_weight, outer_right = slope.fields
    inner_left, inner_weight, inner_right = outer_left.fields
    # summed = w (w' 1.21 sin a + 1.21 sin b) + sin c, for x = 1: the left branch sees x = 1.1, then 1.21 and 1.1
    assert outer_weight == pytest.approx(2.0 * 1.21 * np.sin(0.3) + 1.1 * 1.1 * np.sin(0.5))
    assert outer_right.fields[0] == pytest.approx(np.cos(0.7))
    assert inner_left.fields[0] == pytest.approx(3.0 * 2.0 * 1.21 * np.cos(0.3))
    assert inner_weight == pytest.approx(3.0 * 1.21 * np.sin(0.3))
    assert inner_right.fields[0] == pytest.approx(3.0 * 1.1 * 1.1 * np.cos(0.5))


def test_a_deep_tree() -> None:
    made = program(lambda t, x: call("summed", [f64], t, x), [TREE, f64], [SUMMED], order=1, wrt=[1])
    tree = leaf(0.5)
    for _ in range(20_000):
        tree = node(leaf(0.0), 1.0, tree)
    (slope,) = run(made, [tree, 1.0])
    assert slope == pytest.approx(np.sin(0.5) * 20_001)


def test_deep_recursion() -> None:
    down = function("down", [i64, f64], lambda k, x: if_(k < 1, lambda: [x], lambda: [call("down", [f64], k - 1, x)[0] * 1.0001]))
    made = program(lambda x: call("down", [f64], constant(20_000), x), [f64], [down], order=1, wrt=[0])
    assert run(made, [1.0])[0] == pytest.approx(1.0001**20_000)
