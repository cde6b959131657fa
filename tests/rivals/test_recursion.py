"""Recursion that is decided at run time: on values, between functions, over trees. Other array languages refuse it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import lms
from lms import Rep, f64, i64


@lms.stage
def power(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
    if n == 0:
        return 1.0
    return x * power(x, n - 1)


@pytest.mark.parametrize("n", [0, 1, 5, 100])
def test_recursion_on_a_value(n: int) -> None:
    assert power(1.1, n) == pytest.approx(1.1**n, rel=1e-13)
    assert lms.grad(power)(1.1, n) == pytest.approx(n * 1.1 ** (n - 1), rel=1e-12)


@lms.stage
def even(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
    return 1.0 if n == 0 else x * odd(x, n - 1)


@lms.stage
def odd(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
    return x + 2.0 if n == 0 else even(x, n - 1) + x


def test_mutual_recursion() -> None:
    # even(x, 2) = x (1 + x), derivative 1 + 2x
    assert even(3.0, 2) == 12.0
    assert lms.grad(even)(3.0, 2) == 7.0


@lms.stage
def collatz(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
    if n == 1:
        return x
    if n % 2 == 0:
        return 0.5 * collatz(x, n // 2)
    return collatz(x, 3 * n + 1) + x * x


def test_recursion_that_branches_on_a_value() -> None:
    # 6, 3, 10, 5, 16, 8, 4, 2, 1: halve, add, halve, add, then four halves
    def plain(x: float, n: int) -> tuple[float, float]:
        if n == 1:
            return x, 1.0
        if n % 2 == 0:
            y, dy = plain(x, n // 2)
            return 0.5 * y, 0.5 * dy
        y, dy = plain(x, 3 * n + 1)
        return y + x * x, dy + 2 * x

    assert (collatz(1.5, 6), lms.grad(collatz)(1.5, 6)) == pytest.approx(plain(1.5, 6), rel=1e-15)


@dataclass
class Leaf:
    value: float


@dataclass
class Node:
    left: Leaf | Node
    right: Leaf | Node


Tree = Leaf | Node


@lms.stage
def evaluate(tree: Rep[Tree], x: Rep[f64]) -> Rep[f64]:
    match tree:
        case Leaf(value):
            return value * x
        case Node(left, right):
            return evaluate(left, x) * 0.5 + evaluate(right, x)


def balanced(depth: int) -> Tree:
    return Leaf(float(depth + 1)) if depth == 0 else Node(balanced(depth - 1), balanced(depth - 1))


def chain(depth: int) -> Tree:
    tree: Tree = Leaf(1.0)
    for _ in range(depth):
        tree = Node(Leaf(0.0), tree)
    return tree


def test_a_balanced_tree() -> None:
    # each level multiplies the sum of its leaves by 1.5
    assert evaluate(balanced(4), 2.0) == pytest.approx(2.0 * 1.5**4, rel=1e-15)
    assert lms.grad(evaluate, argnums=1)(balanced(4), 2.0) == pytest.approx(1.5**4, rel=1e-15)


def test_a_tree_of_depth_100_000() -> None:
    assert evaluate(chain(100_000), 3.0) == 3.0
    assert lms.grad(evaluate, argnums=1)(chain(100_000), 3.0) == 1.0


def test_the_gradient_of_a_tree_is_a_tree() -> None:
    gradient = lms.grad(evaluate)(Node(Leaf(1.0), Leaf(2.0)), 3.0)
    assert gradient == Node(Leaf(1.5), Leaf(3.0))


@lms.stage
def forever(x: Rep[f64]) -> Rep[f64]:
    return forever(x + 1.0) + 1.0


def test_runaway_recursion_is_an_error_and_not_a_crash() -> None:
    with pytest.raises(RecursionError):
        forever(0.0)
    assert power(2.0, 3) == 8.0
