"""Large programs: deep, long, and in several threads."""

from __future__ import annotations

import gc
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Program, Value
from lms.core.types import f64
from lms.passes.base import DEPTH
from lms.pipeline import optimize
from tests.passes.programs import VEC, branch, n, number, ops, outcome, program, same

s = p.scalar


def deep(levels: int) -> Program:
    """`if x > n: n` / `elif x > n - 1: ...`, each in the other's `else`."""

    def rest(b: Builder, x: Value, k: int) -> Any:
        if k == 0:
            return x
        return branch(b, b.emit1(s.gt, x, number(b, float(k))), lambda: number(b, float(k)), lambda: rest(b, x, k - 1))[0]

    before = sys.getrecursionlimit()
    sys.setrecursionlimit(DEPTH)
    try:
        return program([f64], lambda b, x: rest(b, x, levels))
    finally:
        sys.setrecursionlimit(before)


def test_three_hundred_branches_in_one_another() -> None:
    prog = deep(300)
    limit = sys.getrecursionlimit()
    new = optimize(prog)
    assert sys.getrecursionlimit() == limit
    assert ops(new).count("if") == 300


def long(nodes: int) -> Program:
    def body(b: Builder, x: Value) -> Value:
        values = [x]
        for k in range(nodes):
            values.append(b.emit1(s.mul if k % 2 else s.add, values[-1], values[k // 2]))
        return values[-1]

    return program([f64], body)


def test_time_grows_with_the_program_not_its_square(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMS_VERIFY", "0")

    def seconds(nodes: int) -> float:
        prog = long(nodes)
        start = time.process_time()
        optimize(prog)
        return time.process_time() - start

    seconds(500)
    assert seconds(8_000) < 10 * seconds(2_000)


def test_threads_leave_the_interpreter_as_they_found_it() -> None:
    prog, limit = long(300), sys.getrecursionlimit()
    threads = [threading.Thread(target=lambda: optimize(prog)) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert gc.isenabled() and sys.getrecursionlimit() == limit


def test_the_program_that_was_given_is_left_as_it_is() -> None:
    prog = deep(5)
    text = str(prog)
    new = optimize(prog)
    assert str(prog) == text
    for x in (0.5, 3.5, 9.0):
        same(outcome(prog, (x,)), outcome(new, (x,)), exact=True)


def test_a_long_program_keeps_no_loops_of_its_own() -> None:
    """What is left calls the loops; it compiles in linear time."""
    a = p.array

    def body(b: Builder, x: Value) -> Value:
        last = b.emit1(s.sub, b.dim(x, 0), b.const(1))
        for k in range(250):
            y = b.emit1(s.sin if k % 3 else s.tanh, x)
            back = b.emit1(a.view, y, last, b.dim(x, 0), spec=(("slice", -1),), dims=(n,))
            x = b.emit1(s.sub, b.emit1(s.cos, y), back)
        return b.emit1(a.reduce_sum, b.emit1(s.mul, x, x), axes=(0,))

    prog = program([VEC], body)
    new = optimize(prog)
    assert "call" in ops(new) and "for" not in [node.op.name for node in new.main.body.nodes]
    x = np.linspace(0.1, 1.0, 5)
    same(outcome(prog, (x,)), outcome(new, (x,)))
