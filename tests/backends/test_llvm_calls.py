"""Calls, recursion, records and the world outside, in native code against the interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lms.backends.llvm import recursion
from lms.core import primitives as p
from lms.core.ir import Value
from lms.core.primitives.record import Record
from lms.core.types import ArrayType, Constructor, Scalar, SumType, f64, i64, symbol
from tests.backends.build import VECTOR, Build, check

ROOT = Path(__file__).parents[2]
s, a, c = p.scalar, p.array, p.control

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
                f.body.results = b.choose(b(s.le, k, 0), lambda: (x,), lambda: (  # noqa: B023  # called at once
                    b(s.add, b.call(g, b(s.sub, k, 1), b(s.mul, x, 0.5), types=(f64,))[0], x),))  # noqa: B023  # called at once

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


def test_text_is_the_same_in_every_run() -> None:
    """The text is a key of the cache of object code: it must not depend on addresses or hashes."""
    script = "import sys; sys.path.insert(0, '.'); " \
             "from tests.passes.generate import Generator; from lms.passes.lower import Lower; " \
             "from lms.backends.llvm import emit; print([emit(Lower().run(Generator(k).program())) for k in range(12)])"
    texts = {subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT,
                            env={**os.environ, "PYTHONHASHSEED": str(k)}).stdout for k in range(3)}
    assert len(texts) == 1


def test_debug_lines(native: Callable[..., Any]) -> None:
    f = check(depth_program, native, (5,), debug=True)
    assert "!DILocation" in f.text


def test_without_a_stack_of_our_own(native: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recursion.platform, "machine", lambda: "riscv64")
    f = check(depth_program, native, (0,), (100,))
    with pytest.raises(RecursionError):
        f(1 << 40)
    assert f(100) == (100,)
