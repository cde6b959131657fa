"""Large programs: deep, long, and in several threads."""

from __future__ import annotations

import gc
import sys
import threading
import time
from typing import Any

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Program, Value
from lms.core.types import f64
from lms.passes.base import DEPTH
from lms.pipeline import optimize
from tests.passes.programs import branch, number, ops, outcome, program, same

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


def test_five_hundred_branches_in_one_another() -> None:
    prog = deep(500)
    limit = sys.getrecursionlimit()
    new = optimize(prog)
    assert sys.getrecursionlimit() == limit
    assert ops(new).count("if") == 500


def long(nodes: int) -> Program:
    def body(b: Builder, x: Value) -> Value:
        values = [x]
        for k in range(nodes):
            values.append(b.emit1(s.mul if k % 2 else s.add, values[-1], values[k // 2]))
        return values[-1]

    return program([f64], body)


def test_time_grows_with_the_program_not_its_square() -> None:
    def seconds(nodes: int) -> float:
        prog = long(nodes)
        start = time.process_time()
        optimize(prog)
        return time.process_time() - start

    seconds(1000)
    assert seconds(20_000) < 12 * seconds(4_000)


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
