"""Gradients of Python functions, end to end: containers, closures, nesting, memory that callers see, errors that point."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

import lms
from lms import Array, Mut, Rep, f64, i64


def test_nesting_needs_no_tags() -> None:
    """d/dx (x * d/dy (x + y)) is 1."""
    assert lms.grad(lambda x: x * lms.grad(lambda y: x + y)(x))(2.0) == 1.0


def test_higher_orders() -> None:
    f = lms.grad(lms.grad(lms.grad(lambda x: x**5)))
    assert f(2.0) == pytest.approx(60 * 2.0**2)


@pytest.mark.parametrize("outer", [lms.grad, "forward"])
@pytest.mark.parametrize("inner", [lms.grad, "forward"])
def test_every_nesting_of_the_modes(outer: Any, inner: Any) -> None:
    def derive(how: Any, f: Any) -> Any:
        return (lambda x: lms.jvp(f, (x,), (1.0,))[1]) if how == "forward" else lms.grad(f)

    def f(x):
        s = x
        for _ in lms.range(3):
            s = np.sin(s * x) + s if s > 0.1 else s * s
        return s

    def plain(x):
        s = x
        for _ in range(3):
            s = np.sin(s * x) + s if s > 0.1 else s * s
        return s

    e = 1e-4
    expected = (plain(0.7 + e) - 2 * plain(0.7) + plain(0.7 - e)) / e**2
    assert lms.stage(derive(outer, derive(inner, f)))(0.7) == pytest.approx(expected, rel=1e-5)


class Layer(NamedTuple):
    weights: Any
    bias: Any
    name: str


def test_the_gradient_is_a_container_like_the_argument() -> None:
    def loss(params, x):
        layer = params["layers"][0]
        return np.sum((x @ layer.weights + layer.bias) ** 2) * params["scale"]

    params = {"layers": [Layer(np.ones((2, 3)), np.zeros(3), "first")], "scale": 2.0, "steps": 7}
    x = np.array([1.0, 2.0])
    slope = lms.grad(loss)(params, x)
    assert isinstance(slope["layers"][0], Layer) and slope["layers"][0].name is None and slope["steps"] is None
    np.testing.assert_allclose(slope["layers"][0].weights, 2 * 2 * 3.0 * np.outer(x, np.ones(3)))
    np.testing.assert_allclose(slope["layers"][0].bias, np.full(3, 12.0))
    assert slope["scale"] == 27.0


def test_several_arguments_by_number_and_name() -> None:
    def f(x, y):
        return x * x * y

    assert lms.grad(f, (0, 1))(3.0, 2.0) == (12.0, 9.0)
    assert lms.grad(f, "y")(3.0, 2.0) == 9.0
    assert lms.value_and_grad(f, -1)(3.0, 2.0) == (18.0, 9.0)


def test_defaults_and_any_number_of_arguments() -> None:
    """Tangents and cotangents stand beside what is passed by position; what `*xs` takes has a number for each part."""
    def f(x, n=3, *, k=2.0):
        return k * x**n

    def g(*xs):
        return xs[0] * xs[1]

    assert lms.jvp(f, (2.0,), (1.0,)) == (16.0, 24.0)
    assert lms.vjp(f, 2.0)[1](1.0) == (24.0,)
    assert lms.hvp(f, (2.0,), (1.0,)) == 24.0
    assert lms.grad(f, "k")(2.0) == 8.0
    assert lms.jvp(g, (2.0, 5.0), (1.0, 0.0)) == (10.0, 5.0)
    assert lms.vjp(g, 2.0, 5.0)[1](1.0) == (5.0, 2.0)
    assert lms.grad(g)(2.0, 5.0) == 5.0
    assert lms.grad(g, (1, -2))(2.0, 5.0) == (2.0, 5.0)
    assert lms.grad(g, "xs[1]")(2.0, 5.0) == 2.0
    assert lms.hvp(g, (2.0, 5.0), (1.0, 0.0)) == (0.0, 1.0)
    assert lms.stage(lambda x: lms.jvp(f, (x,), (1.0,))[1] + lms.vjp(g, x, x)[1](1.0)[0])(2.0) == 26.0
    lms.check_grads(f, (2.0,))
    lms.check_grads(g, (2.0, 5.0))
    with pytest.raises(lms.StagingError, match="g is given 1 arguments and 2 tangents"):
        lms.jvp(g, (2.0,), (1.0, 1.0))


def test_something_else_beside_the_value() -> None:
    def f(x):
        return x * x, {"twice": 2.0 * x, "count": 3}

    assert lms.grad(f, has_aux=True)(3.0) == (6.0, {"twice": 6.0, "count": 3})
    assert lms.value_and_grad(f, has_aux=True)(3.0) == ((9.0, {"twice": 6.0, "count": 3}), 6.0)


@lms.stage
def squares(x: Rep[Array[f64, "n"]], out: Mut[Array[f64, "n"]]) -> Rep[f64]:
    total = 0.0
    for i in range(len(x)):
        out[i] = x[i] ** 2 + out[i]
        total += out[i] * x[i]
    return total


def test_w2_memory_afterwards_is_what_the_function_leaves() -> None:
    x, out = np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.5, 0.5])
    by_x, by_out = lms.grad(squares, (0, 1))(x, out)
    np.testing.assert_array_equal(out, x**2 + 0.5)
    np.testing.assert_allclose(by_x, 3 * x**2 + 0.5)
    np.testing.assert_allclose(by_out, x)  # with respect to what `out` held on entry


def test_w4_overlapping_arguments_are_refused() -> None:
    x = np.arange(4.0)
    with pytest.raises(ValueError, match="overlap|share"):
        lms.grad(squares)(x, x)


def test_w7_a_captured_array_that_the_inner_gradient_writes() -> None:
    def outer(x):
        buffer = np.zeros(2)
        buffer[0] = x

        def inner(y):
            buffer[0] = buffer[0] * y
            return buffer[0] * y

        return lms.grad(inner)(x) + buffer[0]  # 2 x y at y = x, and x y

    value, slope = lms.value_and_grad(outer)(1.5)
    assert value == pytest.approx(3 * 1.5**2)
    assert slope == pytest.approx(6 * 1.5)


def test_w2_a_pullback_may_be_called_again_and_its_inputs_changed() -> None:
    x = np.array([1.0, 2.0])
    y, pull = lms.vjp(lambda x: np.sum(x * x), x)
    x[:] = 0.0
    for seed in (1.0, 2.0, 1.0):
        np.testing.assert_array_equal(pull(seed)[0], seed * np.array([2.0, 4.0]))
    assert y == 5.0


def test_a_gradient_is_the_callers_own() -> None:
    def f(x, y):
        gx, gy = lms.grad(lambda a, b: np.sum(a + b), (0, 1))(x, y)
        gx[0] = 100.0
        return gy

    np.testing.assert_array_equal(lms.stage(f)(np.ones(2), np.ones(2)), [1.0, 1.0])


def test_any_length_from_one_compile() -> None:
    f = lms.grad(lambda x: np.sum(np.sin(x) * x))
    for n in (0, 1, 2, 5):
        x = np.linspace(0.0, 1.0, n)
        np.testing.assert_allclose(f(x), np.cos(x) * x + np.sin(x))


def test_break_continue_and_early_return() -> None:
    def f(x, n: Rep[i64]):
        s = x
        for i in range(n):
            if i == 1:
                continue
            s = s * x
            for j in range(i):
                if s > 3.0:
                    return s * s
                if j > 1:
                    break
                s = s + x
        return s

    def slope(x, n, e=1e-6):
        return (f(x + e, n) - f(x - e, n)) / (2 * e)

    for x, n in ((0.9, 0), (0.9, 4), (1.4, 5), (1.3, 7)):
        assert lms.grad(f)(x, n) == pytest.approx(slope(x, n), rel=1e-6)


@pytest.mark.parametrize(("f", "args", "message"), [
    (lambda n: n * 2, (3,), "holds no float"),
    (lambda x: (x, x), (1.0,), "one float"),
    (lambda x: x, (np.ones(3),), "one float"),
])
def test_what_has_no_gradient_is_refused(f: Any, args: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        lms.grad(f)(*args)


def test_an_argument_that_is_not_there() -> None:
    with pytest.raises(TypeError, match="no argument 'z': it takes x, y"):
        lms.grad(lambda x, y: x * y, "z")(1.0, 2.0)


def test_stop_gradient() -> None:
    assert lms.grad(lambda x: x * lms.stop_gradient(x * x))(2.0) == 4.0


@dataclass(frozen=True)
class Leaf:
    value: float


@dataclass(frozen=True)
class Node:
    left: "Tree"
    weight: float
    right: "Tree"


Tree = Leaf | Node


@lms.stage
def summed(t: Rep[Tree], x: Rep[f64]) -> Rep[f64]:
    match t:
        case Leaf(value):
            return np.sin(value) * x
        case Node(left, weight, right):
            return summed(left, x) * weight + summed(right, x)


@lms.stage
def mapped(t: Rep[Tree], x: Rep[f64]) -> Rep[Tree]:
    match t:
        case Leaf(value):
            return Leaf(value * x)
        case Node(left, weight, right):
            return Node(mapped(left, x), weight * weight, mapped(right, x))


TREE = Node(Leaf(0.3), 2.0, Node(Leaf(0.1), 1.5, Leaf(0.7)))


def test_trees_in_reverse_mode() -> None:
    slope = lms.grad(summed)(TREE, 2.0)
    assert isinstance(slope, Node) and isinstance(slope.right, Node)
    assert slope.weight == pytest.approx(2.0 * np.sin(0.3))
    assert slope.left.value == pytest.approx(2.0 * 2.0 * np.cos(0.3))
    assert slope.right.left.value == pytest.approx(1.5 * 2.0 * np.cos(0.1))


def test_a_tree_as_cotangent() -> None:
    ones = Node(Leaf(1.0), 1.0, Node(Leaf(1.0), 1.0, Leaf(1.0)))
    by_tree, by_x = lms.vjp(mapped, TREE, 2.0)[1](ones)
    assert by_tree == Node(Leaf(2.0), 4.0, Node(Leaf(2.0), 3.0, Leaf(2.0)))
    assert by_x == pytest.approx(0.3 + 0.1 + 0.7)


def test_trees_in_forward_mode() -> None:
    zero = Node(Leaf(0.0), 1.0, Node(Leaf(0.0), 0.0, Leaf(0.0)))
    assert lms.jvp(summed, (TREE, 2.0), (zero, 0.0))[1] == pytest.approx(2.0 * np.sin(0.3))
    _, moved = lms.jvp(mapped, (TREE, 2.0), (zero, 1.0))
    assert moved == Node(Leaf(0.3), 4.0, Node(Leaf(0.1), 0.0, Leaf(0.7)))


def test_functions_that_are_made_of_others() -> None:
    def f(a):
        square = np.pad(a[:, :2], ((0, 1), (0, 2)), mode="edge")
        np.fill_diagonal(square, a[0])
        bent = np.select([a > 1.0, a > 0.0], [a, a * a], 0.5 * a)
        spread = np.corrcoef(a)[0, 1] + np.cov(a, rowvar=False)[0, 1] + np.quantile(a, 0.3) + np.percentile(a, 70.0, axis=1).sum()
        known = np.nanmean(np.where(a > 0.0, a, np.nan)) + np.nanmax(a) * np.nanmin(a) + np.nansum(a * a)
        smooth = np.gradient(a[0], 0.5) @ np.gradient(a, axis=1)[1] + np.polyval(a[0], a[1, 1]) + np.vander(a[2], 3).sum()
        left, right = np.split(a, 2, axis=1)
        return spread + known + smooth + bent.sum() + np.linalg.matrix_power(square, 3).sum() + (left * right).sum()

    lms.check_grads(f, (np.random.default_rng(0).normal(size=(3, 4)),), order=1)
