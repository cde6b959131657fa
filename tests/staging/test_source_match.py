"""`match`: on records and numbers of later, on any value of now."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import lms
from lms import Rep, f64, i64
from tests.support.differential import agrees, outcome, points_at, refused


@dataclass
class Leaf:
    value: float


@dataclass
class Node:
    left: Leaf | Node
    right: Leaf | Node


@dataclass
class Empty:
    pass


Tree = Leaf | Node
Three = Leaf | Node | Empty

TREES = [Leaf(1.0), Leaf(3.0), Node(Leaf(2.0), Leaf(5.0)), Node(Node(Leaf(1.0), Leaf(2.0)), Leaf(4.0))]


@lms.stage(backend="interpret")
def total(t: Rep[Tree]) -> Rep[f64]:
    match t:
        case Leaf(v):
            return v
        case Node(left, right):
            return total(left) + total(right)


@lms.stage(backend="interpret")
def guarded(t: Rep[Tree]) -> Rep[f64]:
    match t:
        case Leaf(v) if v > 2:
            return v
        case Leaf(value=v):
            return -v
        case Node(Leaf(a), Leaf(b) as leaf):
            return a * b + leaf.value
        case Node(left=inner, right=_):
            return guarded(inner)


@lms.stage(backend="interpret")
def unpacked(t: Rep[Tree]) -> Rep[f64]:
    s = 0.0
    while isinstance(t, Node):
        if isinstance(t.left, Leaf):
            s += t.left.value
        t = t.right
    return s + t.value


@pytest.mark.parametrize("f", [total, guarded, unpacked], ids=lambda f: f.__name__)
@pytest.mark.parametrize("t", TREES, ids=str)
def test_trees(f, t):
    assert outcome(f, (t,)) == outcome(f.unstaged, (t,))


def test_the_last_alternative_needs_no_test():
    def f(t: Rep[Tree]) -> Rep[f64]:
        match t:
            case Leaf(v):
                y = v
            case Node():
                y = 0.0
        return y

    for t in TREES:
        assert lms.stage(backend="interpret")(f)(t) == f(t)


def test_a_missing_alternative():
    def f(t: Rep[Tree]) -> Rep[f64]:
        match t:
            case Leaf(v):
                return v

    e = refused(f, Leaf(1.0))
    assert e.message == "this `match` has no case for Node"
    points_at(e, f, "Leaf(v)")


def test_alternatives_of_three():
    def f(t: Rep[Three]) -> Rep[f64]:
        match t:
            case Leaf(1.0):
                return 10.0
            case Leaf(v) | Node(Leaf(v), _):
                return v
            case _:
                return -1.0

    for t in [*TREES, Empty()]:
        assert lms.stage(backend="interpret")(f)(t) == f(t)


def test_numbers_of_later():
    def f(n: Rep[i64], x: Rep[f64]):
        match n:
            case 1:
                y = 10
            case 2 | 3:
                y = 20
            case k if k > 5:
                y = k
            case int():
                y = 0
        match x:
            case 1.5:
                y += 1
        return y

    agrees(f, *[(k, x) for k in range(8) for x in (1.0, 1.5)])


def test_values_of_now():
    def f(x: Rep[f64], command: str, n: int):
        match command.split(), n:
            case ["add", *rest], 1 | 2:
                return x + len(rest)
            case ["mul", _], k:
                return x * k
            case [a, _, c], _ if a == "z":
                return x * len(c)
            case [], _:
                return x - 1
            case _:
                pass
        match {"n": n, "c": command, "more": (1, 2)}:
            case {"n": 7, **rest}:
                return x * len(rest)
            case {"c": str(c), "more": (1, second)}:
                return x + len(c) + second
        return x

    agrees(f, *[(2.0, c, n) for c in ("add a b", "mul a", "z 1 22", "q", "", "a b c") for n in (1, 3, 7)])


def test_values_that_do_not_match_fall_through():
    def f(x: Rep[f64], n: int):
        match n:
            case 1:
                x = x + 1
            case None:
                x = x + 2
        return x

    agrees(f, (1.0, 1), (1.0, 2))


def test_jumps_out_of_cases():
    def f(n: Rep[i64]):
        out = 0
        for i in range(n):
            match i % 4:
                case 0:
                    continue
                case 1:
                    out += 1
                case 2 if i > 8:
                    break
                case 3 if i > 20:
                    return -1
            out = out * 2 + i
        return out

    agrees(f, *[(k,) for k in range(14)])


def test_isinstance():
    def f(t: Rep[Tree], x: Rep[f64], n: Rep[i64]):
        a = 1.0 if isinstance(t, Leaf) else 2.0
        a += 1 if isinstance(x, float) else 0
        return a + (10 if isinstance(n, (int, str)) else 0) + (100 if isinstance(n, float) else 0)

    for t in TREES:
        assert lms.stage(backend="interpret")(f)(t, 1.0, 2) == f(t, 1.0, 2)


def test_classes_of_now():
    def f(x: Rep[f64], shape: object):
        match shape:
            case Leaf(value=v):
                return x * v
            case Node(Leaf(a), Leaf()):
                return x + a
            case int(k) | float(k):
                return x - k
        return x

    for shape in (7, 2.5, None, "a"):
        agrees(lambda x, s=shape: f(x, s), (2.0,))
    for t in TREES:
        s = lms.stage(backend="interpret")(lambda x, t=t: f(x, t) if isinstance(t, object) else x)
        assert s(2.0) == f(2.0, t)
