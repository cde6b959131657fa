"""Containers, static values, keywords and defaults on the native path: what matches goes through, the rest to Python."""

import gc
import sys
import threading
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

from lms.backends.llvm import CompiledFunction, NativeCallable, compile
from lms.backends.llvm.front import NOTHING, Front, Known, Leaf, Parts, Pattern, enter, fits
from lms.backends.llvm.native import LAYOUT_HOLDS, suspended
from lms.core.types import Type, f64, i64
from tests.support.build import Emit, vector

pytestmark = pytest.mark.skipif(not LAYOUT_HOLDS, reason="objects are laid out otherwise here")


def identity(*types: Type) -> CompiledFunction:
    """A program that gives back its arguments."""
    e = Emit()
    with e.function("same", *types) as f:
        e.ret(f, *f.body.params)
    return compile(e.program)


class Slow(Exception):
    """Raised by the slow path."""


class Mine(NativeCallable):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise Slow(args, kwargs)


def calls(compiled: CompiledFunction, patterns: list[Pattern], result: Pattern, names: str = "",
          defaults: tuple[Any, ...] = ()) -> Mine:
    mine = Mine()
    words = tuple(names.split()) or tuple(f"p{k}" for k in range(len(patterns)))
    front = Front(words, tuple(patterns), defaults or (NOTHING,) * len(words), result, len(compiled.module.results),
                  compiled.entry, compiled.keepalive)
    enter(mine, [], [front], [compiled])
    return mine


def parts(*inner: Pattern, cls: type = tuple, keys: Any = None) -> Parts:
    return Parts(cls, tuple(keys) if keys is not None else tuple(range(len(inner))), inner)


class Pair(NamedTuple):
    a: Any
    b: Any


@dataclass(frozen=True)
class Point:
    x: Any
    y: Any


@dataclass
class Slotted:
    __slots__ = ("x", "y")
    x: Any
    y: Any


A, B = np.arange(3.0), np.arange(4.0)
CASES: list[tuple[Any, Parts]] = [
    ((A, B), parts(Leaf(), Leaf())), ([A, B], parts(Leaf(), Leaf(), cls=list)), (Pair(A, B), parts(Leaf(), Leaf(), cls=Pair)),
    ({"a": A, "b": B}, parts(Leaf(), Leaf(), cls=dict, keys=("a", "b"))),
    (Point(A, B), parts(Leaf(), Leaf(), cls=Point, keys=("x", "y"))),
    (Slotted(A, B), parts(Leaf(), Leaf(), cls=Slotted, keys=("x", "y"))),
    ({1: [(A,), {}], None: Point(B, "relu")},
     parts(parts(parts(Leaf()), parts(cls=dict, keys=()), cls=list), parts(Leaf(), Known("relu"), cls=Point, keys=("x", "y")),
           cls=dict, keys=(1, None))),
]


def same(x: Any, y: Any) -> bool:
    if isinstance(y, np.ndarray):
        return isinstance(x, np.ndarray) and x.tolist() == y.tolist()
    if type(x) is not type(y):
        return False
    if isinstance(y, dict):
        return list(x) == list(y) and all(same(x[k], y[k]) for k in y)
    if isinstance(y, list | tuple):
        return len(x) == len(y) and all(map(same, x, y))
    if isinstance(y, Point | Slotted):
        return same((x.x, x.y), (y.x, y.y))
    return bool(x == y)


@pytest.mark.parametrize(("container", "pattern"), CASES, ids=lambda c: type(c).__name__)
def test_containers_go_in_and_come_out(container: Any, pattern: Parts) -> None:
    f = calls(identity(vector(f64, "n"), vector(f64, "m")), [pattern], pattern)
    for _ in range(100):
        assert same(f(container), container)
    assert same(f(p0=container), container)
    for other in (A, (A,), (A, B, A), [A], {}, {"a": A}, {"a": A, "c": B}, Pair(1, 2), None, "ab", 7):
        with pytest.raises(Slow):
            f(other)


def test_static_values_select_the_call() -> None:
    f = calls(identity(f64), [Leaf(), Known(5), Known("relu"), Known(None), Known(True), Known(len)],
              parts(Leaf(), Known("done"), Known(7)))
    relu = "".join(["re", "lu"])
    assert f(1.5, 5, relu, None, True, len) == (1.5, "done", 7)
    assert f(1.5, 10**3 - 995, "relu", None, True, len) == (1.5, "done", 7)
    for args in [(1.5, 6, relu, None, True, len), (1.5, 5, "tanh", None, True, len), (1.5, 5, relu, 0, True, len),
                 (1.5, 5, relu, None, 1, len), (1.5, 5, relu, None, True, max), (1.5, True, relu, None, True, len),
                 (1.5, 5.0, relu, None, True, len),
                 (1.5, 2**70, relu, None, True, len), (1.5, -1, relu, None, True, len), (1, 5, relu, None, True, len)]:
        with pytest.raises(Slow):
            f(*args)
    assert f(1.5, 5, relu, None, True, len) == (1.5, "done", 7)


def test_keywords_and_defaults() -> None:
    f = calls(identity(f64, i64), [Leaf(), Leaf(), Known(2)], parts(Leaf(), Leaf()), "x n k", (NOTHING, 9, 2))
    assert f(1.5) == f(1.5, 9, 2) == f(x=1.5) == f(k=2, x=1.5) == f(1.5, k=2, n=9) == (1.5, 9)
    assert f(1.5, 4) == f(n=4, x=1.5) == (1.5, 4)
    refused: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((), {}), ((1.5, 9, 2, 0), {}), ((1.5,), {"x": 2.0}), ((1.5,), {"z": 2.0}), ((1.5,), {"k": 3}), ((), {"n": 1})]
    for args, kwargs in refused:
        with pytest.raises(Slow):
            f(*args, **kwargs)


def test_classes_of_numbers() -> None:
    f = calls(identity(f64), [Leaf(float)], Leaf())
    assert f(1.5) == 1.5
    g = calls(identity(f64), [Leaf(np.float64)], Leaf())
    assert g(np.float64(1.5)) == 1.5
    for call, arg in [(f, np.float64(1.5)), (f, 1), (g, 1.5)]:
        with pytest.raises(Slow):
            call(arg)


def test_the_first_front_that_matches_answers() -> None:
    one, two = identity(f64), identity(i64)
    mine = Mine()
    rows = [Front(("x",), (parts(Leaf()),), (NOTHING,), parts(Leaf(), Known(k)), 1, c.entry, c.keepalive)
            for k, c in enumerate((one, two))]
    enter(mine, [one.entry], rows, [one.keepalive, two.keepalive])
    assert (mine(2.5), mine((2.5,)), mine((2,))) == (2.5, (2.5, 0), (2, 1))
    with pytest.raises(Slow):
        mine(("x",))
    with suspended(), pytest.raises(Slow):
        mine((2.5,))


def test_errors_come_through_and_nothing_leaks() -> None:
    e = Emit()
    with e.function("f", vector(), i64) as f:
        a, i = f.body.params
        e.ret(f, e.load(a, e.index(i, e.dim(a))), a)
    mine = calls(compile(e.program), [parts(Leaf(), Leaf(), cls=dict, keys=("x", "i"))], parts(Leaf(), parts(Leaf(), cls=list)))
    x = np.arange(500.0)
    good, bad, other = {"x": x, "i": 3}, {"x": x, "i": 500}, {"x": x, "i": "3"}

    def once() -> None:
        assert mine(good)[0] == 3.0
        with pytest.raises(IndexError, match="index 500"):
            mine(bad)
        with pytest.raises(Slow):
            mine(other)

    for _ in range(20):
        once()
    gc.collect()
    before, objects = [sys.getrefcount(v) for v in (x, good, bad, mine)], len(gc.get_objects())
    for _ in range(200):
        once()
    gc.collect()
    assert [sys.getrefcount(v) for v in (x, good, bad, mine)] == before
    assert len(gc.get_objects()) - objects < 50


def test_more_leaves_than_a_call_may_have_go_to_python() -> None:
    f = calls(identity(f64), [parts(*[Leaf()] * 300, cls=list)], Leaf())
    with pytest.raises(Slow):
        f([1.0] * 300)


def test_threads_take_containers_apart_at_once() -> None:
    f = calls(identity(vector(f64, "n"), vector(f64, "m")), [CASES[3][1]], CASES[3][1])
    wrong: list[Any] = []

    def work(k: int) -> None:
        mine = {"a": np.full(5, float(k)), "b": np.zeros(k + 2)}
        wrong.extend(1 for _ in range(500) if not same(f(mine), mine))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_what_can_be_a_table() -> None:
    assert all(fits(pattern) for _, pattern in CASES)
    assert not fits(Known(1.5))
    assert not fits(Known(2**64))
    assert not fits(parts(Leaf(), cls=set))
