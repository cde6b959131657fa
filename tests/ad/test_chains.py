"""Where inner loops save: chains, which the loops around them carry. Every shape of loops in loops, branches and calls."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lms
from lms import Rep, f64, i64
from tests.support.c import needs_compiler

X = np.array([0.9, 0.4, 1.3, 0.7])
CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {}


def case(*args: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(f: Callable[..., Any]) -> Callable[..., Any]:
        CASES[f.__name__] = f, args
        return f

    return add


@case(0.7, 5)
def while_in_while(x, n: Rep[i64]):
    i, s = 0, x
    while i < n:
        j = 0
        while j < i:
            s = np.sin(s * x) + 0.1 * s * s
            j += 1
        s = s * np.exp(-0.1 * s)
        i += 1
    return s


@case(0.7, 4)
def three_deep(x, n: Rep[i64]):
    s = x
    i = 0
    while i < n:
        for j in lms.range(i):
            k = 0
            while k < j + 1:
                s = np.sin(s) * x + s
                k += 1
        i += 1
    return s


@case(X)
def while_in_for(x):
    s = 1.0
    for i in lms.range(len(x)):
        y = x[i]
        while y < 2.0:
            y = y * (1.2 + 0.1 * np.sin(s))
        s = s * y * 0.3
    return s


@case(X)
def a_triangle(x):
    s = 0.0
    for i in lms.range(len(x)):
        for j in lms.range(i):
            s = np.sin(s + x[i] * x[j]) * x[j]
    return s


@case(X)
def a_triangle_in_a_loop(x):
    s = 0.5
    for _ in lms.range(3):
        for i in lms.range(len(x)):
            for j in lms.range(i + 1, len(x)):
                s = np.sin(s + x[i]) * x[j]
    return s


@case(X)
def a_triangle_in_a_while(x):
    s = 0.5
    while s < 3.0:
        for i in lms.range(len(x)):
            for j in lms.range(i, -1, -2):
                s = s + np.sin(s * x[i]) ** 2 * x[j]
    return s


@case(X)
def loops_in_both_branches(x):
    s = 0.3
    for i in lms.range(len(x)):
        if x[i] > 0.8:
            y = x[i]
            while y < 3.0:
                y = y + np.sin(y * s) + 1.0
            s = s + 0.1 * y
        else:
            for j in lms.range(i + 2):
                s = s * np.cos(s * x[i]) + 0.1 * j
    return s


@case(0.45, 6)
def a_loop_in_one_branch_of_a_branch(x, n: Rep[i64]):
    s, k = x, 0
    while k < n:
        if k % 2 == 0:
            s = s + 0.1
            if s > 0.6:
                y = s
                while y > 0.2:
                    y = y * np.cos(y)
                    s = s + 0.1 * y * y
                s = s * 0.5
        k += 1
    return s


@case(0.4, 3)
def a_branch_around_loops(x, n: Rep[i64]):
    s = x
    if x < 0.5:
        i = 0
        while i < n:
            j = 0
            while j < i:
                s = np.sin(s) * x + s
                j += 1
            i += 1
    else:
        s = s * s
    return s


@case(X)
def exits(x):
    s = 1.0
    for i in lms.range(len(x)):
        k = 0
        while True:
            s = s * (1.0 + 0.1 * np.sin(s * x[i]))
            k += 1
            if k > i + 1:
                break
            if s > 1.2:
                continue
            s = s + 0.05 * s * x[i]
        if s > 4.0:
            return s * s
    return s


@case(X)
def two_loops_in_a_row(x):
    s = 0.2
    for i in lms.range(len(x)):
        y = x[i]
        while y > 0.1:
            y = y * 0.5 * np.cos(y * s)
            s = s + y
        z = s
        while z < 5.0:
            z = z * (1.5 + 0.1 * np.sin(z * y))
        s = 0.1 * z + s
    return s


@case(X, 0)
def no_trips(x, n: Rep[i64]):
    s = x[0]
    for i in lms.range(n):
        while s < 10.0:
            s = s * s + x[i]
    k = n
    while k < n + 3:
        for _ in lms.range(n):
            s = np.sin(s)
        while s > 100.0:
            s = np.sqrt(s)
        k += 1
    return s * s


@case(X, 4)
def arrays_of_inner_loops(x, n: Rep[i64]):
    s = 0.1
    k = 1
    while k < n:
        row = np.zeros(len(x))
        for i in lms.range(k):
            row[i] = np.sin(x[i] * (s + 1.0))
            for j in lms.range(i):
                row[j] = row[j] * row[i]
        s = s + (row * row).sum()
        k += 1
    return s


@lms.stage
def tower(x: Rep[f64], depth: Rep[i64]) -> Rep[f64]:
    if depth == 0:
        return x
    s, k = x, 0
    while k < depth:
        s = np.sin(s) + 0.1 * s * x
        k += 1
    return tower(s, depth - 1) * s


@case(0.8, 3)
def loops_in_recursion(x, n: Rep[i64]):
    return tower(x, n)


@case(0.8, 3)
def recursion_in_loops(x, n: Rep[i64]):
    s, k = x, 0
    while k < n:
        j = 0
        while j < k:
            s = tower(s, j) * 0.5 + x
            j += 1
        k += 1
    return s


@pytest.mark.parametrize("name", CASES)
def test_to_second_order(name: str) -> None:
    f, args = CASES[name]
    lms.check_grads(f, args, order=2)


@pytest.mark.parametrize("plan", ["sqrt", "revolve(2)"])
@pytest.mark.parametrize("name", ["while_in_while", "loops_in_both_branches", "exits"])
def test_with_plans(name: str, plan: str) -> None:
    f, args = CASES[name]
    np.testing.assert_allclose(lms.grad(f, checkpoint=plan)(*args), lms.grad(f)(*args), rtol=1e-12)


@pytest.mark.parametrize("backend", ["interpret", "python", pytest.param("c", marks=needs_compiler)])
@pytest.mark.parametrize("name", ["three_deep", "a_triangle_in_a_while", "loops_in_both_branches", "recursion_in_loops"])
def test_by_every_back_end(name: str, backend: str) -> None:
    f, args = CASES[name]
    with lms.unstaged():
        expected = f(*args)
    value, slope = lms.value_and_grad(lms.stage(f, backend=backend))(*args)
    assert value == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(slope, lms.grad(f)(*args), rtol=1e-12)


# ------------------------------------------------------------------------------------------------- memory


def blocks(f: Callable[..., Any], *args: Any) -> int:
    """How many arrays a gradient makes to save what it needs."""
    return sum(line.made for line in lms.memory(f, *args).lines if line.kept)


def many_short(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
    i = 0
    while i < n:
        y = x
        while y < 2.0:
            y = y * (1.5 + 0.1 * np.sin(y))
        x = 0.1 * np.sin(y) + 0.9
        i += 1
    return x


def many_triangles(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
    for i in range(n):
        for _ in range(i % 5):
            x = np.sin(x)
    return x


@pytest.mark.parametrize("f", [many_short, many_triangles])
def test_an_inner_loop_makes_no_arrays_of_its_own(f: Callable[..., Any]) -> None:
    """Twice as many runs of it double what is saved: each array grows once more."""
    few, many = blocks(f, 0.7, 1000), blocks(f, 0.7, 2000)
    assert many - few <= 6 and many < 60


def test_what_is_kept_is_what_is_needed() -> None:
    """At most twice the rows, and while they move, what they move from."""
    n = 4096
    trips = sum(i % 5 for i in range(n))
    assert lms.memory(many_triangles, 0.7, n).residuals <= 8 * (3 * 2 * trips + 3 * n)


def test_a_million_trips() -> None:
    slope = lms.grad(many_short)(0.7, 300_000)
    assert np.isfinite(slope)
    assert lms.grad(lambda x: lms.grad(many_short)(x, 20_000))(0.7) == pytest.approx(
        lms.jvp(lambda x: lms.grad(many_short)(x, 20_000), (0.7,), (1.0,))[1], rel=1e-9)


def test_two_threads_at_once() -> None:
    gradient = lms.stage(lms.grad(many_short))
    xs = np.linspace(0.3, 1.1, 8)
    expected = [gradient(x, 20_000) for x in xs]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda x: gradient(x, 20_000), xs)) == expected


RESIDENT = """
import resource
import numpy as np
import lms

@lms.stage
def f(x, n: lms.Rep[lms.i64], stop: lms.Rep[lms.i64]):
    s, i = 0.1, 0
    while i < n:
        j = 0
        while j < i:
            s = np.sin(s) + x[j % len(x)]
            j += 1
        for k in lms.range(i):
            s = s * np.cos(s)
        if i == stop:
            s = x[i]
        i += 1
    return s

gradient, x, failed = lms.grad(f), np.ones(5), 0
for call in range(1000):
    try:
        gradient(x, 300, 299 if call % 2 else 300)
    except IndexError:
        failed += 1
    if call == 99:
        early = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert failed == 500
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - early)
"""


def test_a_thousand_calls_keep_nothing_even_if_they_raise(tmp_path: Path) -> None:
    (tmp_path / "resident.py").write_text(RESIDENT)
    out = subprocess.run([sys.executable, tmp_path / "resident.py"], capture_output=True, text=True, check=True)
    assert int(out.stdout) <= 2048
