"""Whole programs in native code against the interpreter: control flow, arrays, views, memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lms.core import primitives as p
from lms.core.ir import Value
from lms.core.types import ArrayType, bool_, f64, i64, symbol
from tests.backends.build import MATRIX, VECTOR, Build, check, m, n

s, a, c = p.scalar, p.array, p.control

# ---------------------------------------------------------------------------------------------- loops


@pytest.mark.parametrize("step", [1, 2, 3, -1, -2, 7])
def test_for(step: int, native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(i64, i64) as f:
            f.body.results = b.loop(*f.body.params, step, [0, 1.0],
                                    lambda i, x, y: (b(s.add, x, b(s.mul, i, i)), b(s.mul, y, -0.5)))

    check(make, native, (0, 10), (10, 0), (-5, 5), (3, 3), (5, -6), (-300, 301))


def test_while(native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(f64) as f:
            f.body.results = b.repeat([f.body.params[0], 0], lambda x, k: b(s.lt, x, 100.0),
                                      lambda x, k: (b(s.mul, x, x), b(s.add, k, 1)))

    check(make, native, (1.5,), (200.0,), (1.0000001,), (np.inf,))


def test_long_while_polls(native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(i64) as f:
            f.body.results = b.repeat([0], lambda k: b(s.lt, k, f.body.params[0]), lambda k: (b(s.add, b(s.xor, k, 0), 1),))

    f = check(make, native, (10,), (1000,))
    assert f(1_000_000) == (1_000_000,)
    assert f.polls > 5
    f.interrupt_at = f.polls + 3
    with pytest.raises(KeyboardInterrupt):
        f(1 << 60)


def test_long_for_polls(native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(i64, f64) as f:
            f.body.results = b.loop(0, f.body.params[0], 1, [0.0], lambda i, x: (b(s.add, b(s.mul, x, 0.5), f.body.params[1]),))

    f = check(make, native, (10, 1.0), (0, 2.0))
    for trips in (65535, 65536, 65537, 131072, 1_000_000):
        assert f(trips, 2.0) == (4.0,)
    f.interrupt_at = f.polls + 3
    with pytest.raises(KeyboardInterrupt):
        f(1 << 60, 1.0)


def test_nested_loops_poll(native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(i64, i64) as f:
            rows, columns = f.body.params
            f.body.results = b.loop(0, rows, 1, [0], lambda i, x: b.loop(
                0, columns, 1, [x], lambda j, y: (b(s.xor, y, b(s.mul, i, j)),)))

    f = check(make, native, (0, 5), (3, 0), (10, 20))
    f(300, 2000)
    f.interrupt_at = f.polls + 3
    with pytest.raises(KeyboardInterrupt):
        f(1 << 40, 1 << 10)


def test_no_poll(native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(i64) as f:
            f.body.results = b.loop(0, f.body.params[0], 1, [0], lambda i, x: (b(s.xor, x, i),))

    assert check(make, native, (20,), poll=False).module.callbacks == frozenset()


def test_if(native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(f64, f64) as f:
            x, y = f.body.params
            f.body.results = b.choose(b(s.lt, x, y), lambda: (b(s.add, x, y), 1, x), lambda: (x, 2, y))

    check(make, native, (1.0, 2.0), (2.0, 1.0), (np.nan, 1.0))


# -------------------------------------------------------------------------------------------- arrays


def test_elementwise_vectorises(native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(VECTOR, VECTOR) as f:
            x, y = f.body.params
            out = b.empty(b.b.dim(x, 0))

            def body(i: Value) -> tuple[()]:
                b.do(a.store, out, b(s.add, b(s.mul, b(a.load, x, i), b(a.load, y, i)), 1.5), i)
                return ()

            b.loop(0, b.b.dim(x, 0), 1, [], body)
            f.body.results = (out,)

    rng = np.random.default_rng(0)
    f = check(make, native, *((rng.normal(size=k), rng.normal(size=k)) for k in (0, 1, 7, 64, 1000)))
    assert "llvm.loop.isvectorized" in str(f.optimised)
    assert "vector.memcheck" not in str(f.optimised)  # the alias scopes say that the arrays are apart


@pytest.mark.parametrize("fast", [False, True])
def test_sum_vectorises_only_if_fast(fast: bool, native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(VECTOR) as f:
            (x,) = f.body.params
            f.body.results = b.loop(0, b.b.dim(x, 0), 1, [0.0],
                                    lambda i, t: (b(s.add, t, b(a.load, x, i), **({"fast": True} if fast else {})),))

    f = check(make, native, (np.arange(100.0),), (np.zeros(0),))
    assert ("llvm.loop.isvectorized" in str(f.optimised)) == fast


def test_mut_argument_and_views(native: Callable[..., Any]) -> None:
    strided = ArrayType(f64, (n, m), "S")

    def make(b: Build) -> None:
        with b.function(MATRIX, strided, mut=[0]) as f:
            x, y = f.body.params
            rows, columns = b.b.dims(x)

            def body(i: Value) -> tuple[()]:
                row = b(a.view, x, i, spec=(("at",), ("all",)), dims=(m,))
                back = b(a.view, y, i, b(s.sub, columns, 1), columns, spec=(("at",), ("slice", -1)), dims=(m,))
                turned = b(a.transpose, y, perm=(1, 0))

                def inner(j: Value) -> tuple[()]:
                    b.do(a.accumulate, row, b(s.mul, b(a.load, back, j), 3.0), j)
                    b.do(a.accumulate, row, b(a.load, turned, j, i), j)
                    return ()

                b.loop(0, columns, 1, [], inner)
                return ()

            b.loop(0, rows, 1, [], body)
            f.body.results = (b(a.transpose, x, perm=(1, 0)),)

    rng = np.random.default_rng(1)
    big = rng.normal(size=(9, 8))
    check(make, native, (rng.normal(size=(3, 4)), big[1:7:2, ::-2]), (rng.normal(size=(3, 4)), np.asfortranarray(big[:3, :4])),
          (np.zeros((0, 4)), np.zeros((0, 4))))


@pytest.mark.parametrize("i", [0, 2, -1, -3, 3, -4, 1 << 62])
def test_index(i: int, native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(VECTOR, i64) as f:
            x, k = f.body.params
            f.body.results = (b(a.load, x, b(a.index, k, b.b.dim(x, 0))),)

    check(make, native, (np.arange(3.0), i))


def test_index_message(native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(VECTOR, i64) as f:
            x, k = f.body.params
            f.body.results = (b(a.load, x, b(a.index, k, b.b.dim(x, 0))),)

    f = check(make, native)
    with pytest.raises(IndexError, match="^index 7 is out of bounds for axis of size 3$"):
        f(np.zeros(3), 7)
    assert f(np.arange(3.0), -1) == (2.0,)


def test_check(native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(f64, i64) as f:
            x, k = f.body.params
            b.do(c.check, b(s.gt, x, 0.0), x, k, error="ValueError", message="x = {}, k = {}")
            f.body.results = (b(s.add, x, 1.0),)

    f = check(make, native, (1.0, 2), (-1.0, 2))
    with pytest.raises(ValueError, match="^x = -1.5, k = 9$"):
        f(-1.5, 9)


@pytest.mark.parametrize(("size", "error"), [(-1, ValueError), (1 << 61, ValueError), (1 << 60, ValueError),
                                             (10**14, MemoryError), (0, None)])
def test_sizes(size: int, error: type[Exception] | None, native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(i64) as f:
            f.body.results = (b(a.dim, b.empty(f.body.params[0], 2), axis=0),)

    f = check(make, native)
    if error is None:
        assert f(size) == (size,)
    else:
        with pytest.raises(error):
            f(size)
    assert f(3) == (3,)


def test_small_arrays_live_on_the_stack(native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(f64) as f:
            v = b.empty(3)
            for k in range(3):
                b.do(a.store, v, b(s.mul, f.body.params[0], float(k)), k)
            f.body.results = b.loop(0, 3, 1, [0.0], lambda i, t: (b(s.add, t, b(a.load, v, i)),))

    f = check(make, native, (2.0,))
    assert "lms_new" not in f.text


def test_small_arrays_that_a_loop_carries_live_on_the_stack(native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(i64) as f:
            x, y = b.empty(3), b.empty(3)
            for k in range(3):
                b.do(a.store, x, float(k), k)

            def body(i: Value, x: Value, y: Value) -> tuple[Value, ...]:
                for k in range(3):
                    b.do(a.store, y, b(s.add, b(a.load, x, k), b(a.load, x, (k + 1) % 3)), k)
                return y, x

            last, _ = b.loop(0, f.body.params[0], 1, [x, y], body)
            f.body.results = tuple(b(a.load, last, k) for k in range(3))

    f = check(make, native, (0,), (1,), (6,), (7,))
    assert "@lms_make" not in f.text


def test_a_carried_array_that_leaves_the_function_does_not(native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(i64) as f:
            x, y = b.empty(2), b.empty(2)
            for k in range(2):
                b.do(a.store, x, float(k), k)
                b.do(a.store, y, float(2 + k), k)
            f.body.results = b.loop(0, f.body.params[0], 1, [x, y], lambda i, x, y: (y, x))[:1]

    f = check(make, native, (0,), (1,), (4,))
    assert "@lms_make" in f.text


# ------------------------------------------------------------------------------------------- ownership


def test_a_branch_hands_on_what_nobody_else_uses(native: Callable[..., Any]) -> None:
    """Without counting; the branch that gives another array releases it."""
    def make(b: Build) -> None:
        with b.function(i64, i64) as f:
            count, size = f.body.params

            def body(i: Value, x: Value) -> tuple[Value, ...]:
                b.do(a.store, x, b(s.add, b(a.load, x, 0), b(s.convert, i, dtype=f64)), 0)

                def another() -> tuple[Value, ...]:
                    y = b.empty(size)
                    b.do(a.store, y, b(s.mul, b(a.load, x, 0), 0.5), 0)
                    return (y,)

                return b.choose(b(s.eq, b(s.mod, i, 3), 0), another, lambda: (x,))

            first = b.empty(size)
            b.do(a.store, first, 1.0, 0)
            (last,) = b.loop(0, count, 1, [first], body)
            f.body.results = (b(a.load, last, 0),)

    f = check(make, native, (0, 600), (1, 600), (10, 600))
    assert "call void @lms_retain(" not in f.text


def test_temporaries_die_in_their_iteration(native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(i64, i64) as f:
            size, count = f.body.params

            def body(i: Value, t: Value) -> tuple[Value, ...]:
                tmp = b.empty(size)
                b.do(a.store, tmp, b(s.convert, i, dtype=f64), 0)
                return (b(s.add, t, b(a.load, tmp, 0)),)

            f.body.results = b.loop(0, count, 1, [0.0], body)

    f = check(make, native, (1000, 10))
    assert f(1000, 100_000) == (sum(range(100_000)),)  # 800 MB if they stayed


def test_ping_pong(native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(VECTOR, i64) as f:
            x, count = f.body.params
            size = b.b.dim(x, 0)
            first, second = b.empty(size), b.empty(size)

            def fill(i: Value) -> tuple[()]:
                b.do(a.store, first, b(a.load, x, i), i)
                b.do(a.store, second, 0.0, i)
                return ()

            def body(t: Value, u: Value, v: Value) -> tuple[Value, ...]:
                b.loop(1, b(s.sub, size, 1), 1, [], lambda i: b.do(a.store, v, b(s.add, b(a.load, u, b(s.sub, i, 1)), b(
                    a.load, u, b(s.add, i, 1))), i) or ())
                return v, u

            b.loop(0, size, 1, [], fill)
            out = b.loop(0, count, 1, [first, second], body)
            f.body.results = out

    check(make, native, (np.arange(10.0), 0), (np.arange(10.0), 1), (np.arange(10.0), 5))


def test_growing_carried_array(native: Callable[..., Any]) -> None:
    own = symbol("own")

    def make(b: Build) -> None:
        with b.function(i64) as f:
            first = b.empty(0)
            start = b(a.view, first, 0, 0, spec=(("slice", 1),), dims=(own,))

            def body(i: Value, old: Value) -> tuple[Value, ...]:
                new = b.empty(b(s.add, b(a.dim, old, axis=0), 1))
                b.loop(0, b(a.dim, old, axis=0), 1, [], lambda j: b.do(a.store, new, b(a.load, old, j), j) or ())
                b.do(a.store, new, b(s.convert, i, dtype=f64), i)
                return (b(a.view, new, 0, b(a.dim, new, axis=0), spec=(("slice", 1),), dims=(symbol("next"),)),)

            with b.b.reify([i64, ArrayType(f64, (own,))]) as block:
                block.results = body(*block.params)
            f.body.results = b.b.emit(c.for_, b.value(0), f.body.params[0], b.value(1), start, blocks=[block],
                                      types=(ArrayType(f64, (symbol("end"),)),))

    check(make, native, (0,), (1,), (20,))


def test_branches_give_arrays(native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(VECTOR, bool_) as f:
            x, flag = f.body.params
            size = b.b.dim(x, 0)
            other = b.empty(size)
            b.loop(0, size, 1, [], lambda i: b.do(a.store, other, 7.0, i) or ())
            (out,) = b.choose(flag, lambda: (other,), lambda: (x,))
            (again,) = b.choose(flag, lambda: (b(a.view, out, 0, size, spec=(("slice", 1),), dims=(n,)),), lambda: (other,))
            f.body.results = (out, again, b(a.load, other, 0))

    check(make, native, (np.arange(3.0), np.bool_(True)), (np.arange(3.0), np.bool_(False)))


def test_errors_free_everything(native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(i64, i64) as f:
            size, k = f.body.params
            keep = b.empty(size)
            b.do(a.store, keep, 1.0, b(a.index, k, size))
            f.body.results = (keep,)

    f = check(make, native)
    for _ in range(3000):  # 24 GB if they stayed
        with pytest.raises(IndexError):
            f(1_000_000, -1 << 40)
