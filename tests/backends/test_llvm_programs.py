"""Whole programs in native code against the interpreter: control flow, arrays, views, records, calls, failures, memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from lms.backends.interpret import run
from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Block, Function, Program, Value
from lms.core.primitives import Primitive
from lms.core.primitives.record import Record
from lms.core.types import ArrayType, Constructor, Scalar, SumType, Type, bool_, f64, i64, symbol

s, a, c = p.scalar, p.array, p.control
n, m = symbol("n"), symbol("m")
VECTOR, MATRIX = ArrayType(f64, (n,)), ArrayType(f64, (n, m))


class Build:
    """Builds programs node by node, with little ado."""

    def __init__(self) -> None:
        self.program = Program(entry="main")
        self.b = Builder(self.program)

    @contextmanager
    def function(self, *types: Type, name: str = "main", mut: Sequence[int] = ()) -> Iterator[Function]:
        with self.b.function(name, types, mut=frozenset(mut)) as f:
            yield f

    def __call__(self, op: Primitive, *xs: Value | int | float, **attrs: Any) -> Value:
        return self.b.emit1(op, *map(self.value, xs), **attrs)

    def do(self, op: Primitive, *xs: Value | int | float, **attrs: Any) -> None:
        self.b.emit(op, *map(self.value, xs), **attrs)

    def value(self, x: Value | int | float) -> Value:
        return x if isinstance(x, Value) else self.b.const(x, f64 if isinstance(x, float) else i64)

    def loop(self, start: Any, stop: Any, step: int, inits: Sequence[Any],
             body: Callable[..., Sequence[Any]]) -> tuple[Value, ...]:
        carried = [self.value(v) for v in inits]
        with self.b.reify([i64, *(v.type for v in carried)]) as block:
            block.results = tuple(map(self.value, body(*block.params)))
        return self.b.emit(c.for_, self.value(start), self.value(stop), self.value(step), *carried, blocks=[block],
                           types=tuple(v.type for v in carried))

    def repeat(self, inits: Sequence[Any], condition: Callable[..., Value],
               body: Callable[..., Sequence[Any]]) -> tuple[Value, ...]:
        carried = [self.value(v) for v in inits]
        blocks: list[Block] = []
        for f in (lambda *xs: (condition(*xs),), body):
            with self.b.reify([v.type for v in carried]) as block:
                block.results = tuple(map(self.value, f(*block.params)))
            blocks.append(block)
        return self.b.emit(c.while_, *carried, blocks=blocks, types=tuple(v.type for v in carried))

    def choose(self, condition: Value, *arms: Callable[[], Sequence[Any]]) -> tuple[Value, ...]:
        blocks = []
        for f in arms:
            with self.b.reify() as block:
                block.results = tuple(map(self.value, f()))
            blocks.append(block)
        return self.b.emit(c.if_, condition, blocks=blocks, types=tuple(v.type for v in blocks[0].results))

    def call(self, f: Function, *xs: Value | int | float, types: Sequence[Type] | None = None) -> tuple[Value, ...]:
        types = types if types is not None else tuple(v.type for v in f.body.results)
        return self.b.emit(c.call, *map(self.value, xs), callee=f.name, types=tuple(types))

    def empty(self, *sizes: Value | int, dtype: Scalar | SumType = f64) -> Value:
        values = [self.value(v) for v in sizes]
        return self(a.empty, *values, dims=tuple(self.b.size_of(v) for v in values), dtype=dtype)


Make = Callable[[Build], None]


def check(make: Make, native: Callable[..., Any], *calls: tuple[Any, ...], **options: Any) -> Any:
    """Run a program on several arguments both ways: equal results to the bit, equal arguments afterwards, no memory left."""
    build = Build()
    make(build)
    f = native(build.program, **options)
    for args in calls:
        mine, theirs = ([x.copy() if isinstance(x, np.ndarray) else x for x in args] for _ in range(2))
        try:
            expected: Any = run(build.program, theirs)
        except Exception as e:  # noqa: BLE001  # whatever the oracle raises
            with pytest.raises(type(e).__mro__[-4] if type(e).__module__.startswith("lms") else type(e)):
                f(*mine)
            continue
        found = f(*mine)
        for x, y in zip((*expected, *theirs), (*found, *mine), strict=True):
            equal(x, y)
        assert f.left == 0 or any(isinstance(x, Record) for x in expected)  # a record may hold arrays
    return f


def equal(x: Any, y: Any) -> None:
    work = [(x, y)]
    while work:
        x, y = work.pop()
        if isinstance(x, Record):
            assert x.tag == y.tag
            work += zip(x.fields, y.fields, strict=True)
        else:
            np.testing.assert_array_equal(x, y)
            assert np.asarray(x).dtype == np.asarray(y).dtype


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


# ------------------------------------------------------------------------------------------- ownership


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


# ------------------------------------------------------------------------------------- calls and recursion


def test_call(native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(VECTOR, f64, name="scale") as g:
            x, k = g.body.params
            out = b.empty(b.b.dim(x, 0))
            b.loop(0, b.b.dim(x, 0), 1, [], lambda i: b.do(a.store, out, b(s.mul, b(a.load, x, i), k), i) or ())
            g.body.results = (out, x, b(s.add, k, 1.0))
        with b.function(VECTOR) as f:
            first = b.call(g, f.body.params[0], 2.0, types=(VECTOR, VECTOR, f64))
            second = b.call(g, first[0], first[2], types=(VECTOR, VECTOR, f64))
            f.body.results = (*second, first[1])

    check(make, native, (np.arange(5.0),))


def test_call_with_one_array_twice(native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(VECTOR, VECTOR, name="shift", mut=[0]) as g:
            x, y = g.body.params
            b.loop(1, b.b.dim(x, 0), 1, [], lambda i: b.do(a.store, x, b(s.add, b(a.load, y, b(s.sub, i, 1)), 1.0), i) or ())
        with b.function(VECTOR, mut=[0]) as f:
            b.call(g, f.body.params[0], f.body.params[0])

    check(make, native, (np.zeros(100),))


def depth_program(b: Build) -> None:
    """f(k) = k if k == 0 else f(k - 1) + 1."""
    with b.function(i64, name="f") as f:
        (k,) = f.body.params
        f.body.results = b.choose(b(s.le, k, 0), lambda: (k,), lambda: (b(s.add, b.call(f, b(s.sub, k, 1), types=(i64,))[0], 1),))
    with b.function(i64) as main:
        main.body.results = b.call(f, main.body.params[0])


def test_recursion(native: Callable[..., Any]) -> None:
    f = check(depth_program, native, (0,), (1,), (1000,))
    assert f(100_000) == (100_000,)
    assert f(900_000) == (900_000,)
    for _ in range(3):
        with pytest.raises(RecursionError):
            f(1 << 40)
        assert f(100_000) == (100_000,)


def test_recursion_limit(native: Callable[..., Any]) -> None:
    f = check(depth_program, native, (5,), (99,), depth=100)
    with pytest.raises(RecursionError):
        f(100)


def test_recursive_entry_and_mutual(native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(i64, f64) as even:
            pass
        with b.function(i64, f64, name="odd") as odd:
            pass
        for f, g in ((even, odd), (odd, even)):
            with b.b.into(f.body):
                k, x = f.body.params
                f.body.results = b.choose(b(s.le, k, 0), lambda: (x,), lambda: (  # noqa: B023
                    b(s.add, b.call(g, b(s.sub, k, 1), b(s.mul, x, 0.5), types=(f64,))[0], x),))  # noqa: B023

    check(make, native, (0, 1.0), (1, 1.0), (50, 3.0))


def test_large_frames_leave_room(native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(i64, name="f") as f:
            (k,) = f.body.params
            v = b.empty(32)
            b.do(a.store, v, b(s.convert, k, dtype=f64), b(s.mod, k, 32))
            (r,) = b.choose(b(s.le, k, 0), lambda: (0.0,), lambda: b.call(f, b(s.sub, k, 1), types=(f64,)))
            f.body.results = (b(s.add, r, b(a.load, v, b(s.mod, b(s.mul, k, 3), 32))),)
        with b.function(i64) as main:
            main.body.results = b.call(f, main.body.params[0])

    f = check(make, native, (10,), (100,), depth=1 << 40)
    with pytest.raises(RecursionError):
        f(1 << 40)
    assert f(1000)


# --------------------------------------------------------------------------------------------- records

LIST = SumType("List")
LIST.constructors = (Constructor("Nil", ()), Constructor("Cons", (("head", f64), ("tail", LIST))))
TREE = SumType("Tree")
TREE.constructors = (Constructor("Leaf", (("data", ArrayType(f64, (symbol("k"),))),)),
                     Constructor("Node", (("left", TREE), ("z", Scalar("c128", "c", 128)), ("right", TREE))))


def build_list(b: Build, count: Value) -> Value:
    nil = b(p.record.construct, type=LIST, tag=0)
    return b.loop(0, count, 1, [nil], lambda i, t: (b(p.record.construct, b(s.convert, i, dtype=f64), t, type=LIST, tag=1),))[0]


def test_lists(native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(i64) as f:
            xs = build_list(b, f.body.params[0])
            total, rest = b.repeat([0.0, xs], lambda t, r: b(s.eq, b(p.record.tag, r), 1), lambda t, r: (
                b(s.add, t, b(p.record.project, r, tag=1, field=0)), b(p.record.project, r, tag=1, field=1)))
            f.body.results = (total, xs, rest)

    f = check(make, native, (0,), (1,), (10,))
    assert f(100_000)[0] == sum(range(100_000))


def test_dropped_lists_are_recycled(native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(i64, i64) as f:
            def body(i: Value, t: Value) -> tuple[Value, ...]:
                xs = build_list(b, f.body.params[0])
                return (b(s.add, t, b(p.record.project, xs, tag=1, field=0)),)

            f.body.results = b.loop(0, f.body.params[1], 1, [0.0], body)

    f = check(make, native, (3, 2), (100, 50))
    assert f(100_000, 300) == (99_999.0 * 300,)  # 960 MB if they stayed


def test_trees(native: Callable[..., Any]) -> None:
    k = symbol("k")

    def make(b: Build) -> None:
        with b.function(TREE, name="sum") as f:
            (t,) = f.body.params

            def leaf() -> tuple[Value, ...]:
                data = b(p.record.project, t, tag=0, field=0, dims=(k,))
                return b.loop(0, b(a.dim, data, axis=0), 1, [0.0], lambda i, x: (b(s.add, x, b(a.load, data, i)),))

            def node() -> tuple[Value, ...]:
                left, right = (b.call(f, b(p.record.project, t, tag=1, field=j), types=(f64,))[0] for j in (0, 2))
                return (b(s.add, b(s.add, left, b(s.imag, b(p.record.project, t, tag=1, field=1))), right),)

            f.body.results = b.choose(b(s.eq, b(p.record.tag, t), 0), leaf, node)
        with b.function(TREE, VECTOR) as main:
            t, x = main.body.params
            new = b.empty(b.b.dim(x, 0))
            b.loop(0, b.b.dim(x, 0), 1, [], lambda i: b.do(a.store, new, b(a.load, x, i), i) or ())
            leaf = b(p.record.construct, new, type=TREE, tag=0)
            both = b(p.record.construct, t, b(s.complex_, 1.0, 2.0), leaf, type=TREE, tag=1)
            main.body.results = (b.call(f, both, types=(f64,))[0], both)

    leaves = [Record(TREE, 0, (np.arange(float(j)),)) for j in range(4)]
    tree = leaves[0]
    for leaf in leaves[1:] * 3:
        tree = Record(TREE, 1, (tree, np.complex128(1 + 2j), leaf))
    check(make, native, (tree, np.ones(3)), (leaves[2], np.ones(0)))


def test_arrays_of_records(native: Callable[..., Any]) -> None:
    def make(b: Build) -> None:
        with b.function(i64) as f:
            (count,) = f.body.params
            cells = b.empty(count, dtype=LIST)
            b.loop(0, count, 1, [], lambda i: b.do(a.store, cells, build_list(b, i), i) or ())
            b.loop(1, count, 1, [], lambda i: b.do(a.store, cells, b(a.load, cells, b(s.sub, i, 1)), i) or ())
            f.body.results = (b(a.load, cells, b(s.sub, count, 1)), b(a.load, cells, 0))

    check(make, native, (1,), (5,), (300,))


# ---------------------------------------------------------------------------------------------- outside


def test_print(native: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    def make(b: Build) -> None:
        with b.function(VECTOR, i64) as f:
            x, count = f.body.params
            b.loop(0, count, 1, [], lambda i: b.do(c.print_, i, b(s.lt, i, 1), x, template="i = {} {} {}") or ())

    build = Build()
    make(build)
    f = native(build.program)
    f(np.arange(3.0), 2)
    assert capsys.readouterr().out == "i = 0 True [0. 1. 2.]\ni = 1 False [0. 1. 2.]\n"


def test_py_call(native: Callable[..., Any]) -> None:
    def twice(x: np.ndarray, k: float) -> tuple[np.ndarray, float]:
        return x * 2, 1 / float(k)

    def make(b: Build) -> None:
        with b.function(VECTOR, f64) as f:
            f.body.results = b.b.emit(c.py_call, *f.body.params, function=twice, types=(VECTOR, f64))

    build = Build()
    make(build)
    f = native(build.program)
    x, k = f(np.arange(3.0), 4.0)
    np.testing.assert_array_equal(x, [0, 2, 4])
    assert k == 0.25
    with pytest.raises(ZeroDivisionError):
        f(np.arange(3.0), 0.0)


def test_python_is_called_from_its_own_stack(native: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    def make(b: Build) -> None:
        with b.function(i64, name="f") as f:
            (k,) = f.body.params

            def more() -> tuple[Value, ...]:
                b.do(c.print_, k, template="{}", end=" ")
                return b.call(f, b(s.sub, k, 1), types=(i64,))

            f.body.results = b.choose(b(s.le, k, 0), lambda: (k,), more)
        with b.function(i64) as main:
            main.body.results = b.call(f, main.body.params[0])

    build = Build()
    make(build)
    f = native(build.program)
    assert f(5) == (0,)
    assert capsys.readouterr().out == "5 4 3 2 1 "


def test_debug_lines(native: Callable[..., Any]) -> None:
    f = check(depth_program, native, (5,), debug=True)
    assert "!DILocation" in f.text
