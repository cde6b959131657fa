"""`lms.memory`: what a call needs, by line; and that plans need as little as they say."""

import re

import numpy as np
import pytest

import lms
from lms import Array, Mut, Rep, f64, i64

N = 10_000


def scan(plan: str | None, backend: str = "llvm"):
    @lms.stage(backend=backend)
    def steps(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
        for _ in lms.range(n, checkpoint=plan):
            x = lms.sin(x) + 0.1  # the line
        return x

    return steps


def heat(plan: str | None):
    @lms.stage
    def steps(u: Rep[Array[f64, "m"]], n: Rep[i64]) -> Rep[f64]:
        for _ in lms.range(n, checkpoint=plan):
            u = u + 0.1 * np.roll(u, 1) * u
        return np.sum(u)

    return steps


def test_a_full_tape_by_line_and_formula() -> None:
    report = lms.memory(lms.grad(scan(None)), 0.5, N)
    (line,) = report.lines
    assert (line.kept, line.peak, line.made, line.formulas) == (True, 8 * N, 1, ("8 * n",))
    assert line.file == __file__ and "for _ in lms.range(n, checkpoint=plan)" in line.source
    assert report.residuals == report.peak == 8 * N
    assert re.search(r"80,000 +1 +yes +8 \* n +test_memory\.py:\d+: for _ in", str(report))


def test_a_number_stands_for_its_gradient() -> None:
    assert lms.memory(scan(None), 0.5, N).residuals == 8 * N
    assert lms.memory(lambda x: x * 2.0, np.ones(100)).residuals == 0


def test_arguments_stay_as_they_are() -> None:
    def f(x: Mut[Array[f64, "n"]]):
        x[0] = x[1] * x[0]
        return x[0]

    x = np.array([2.0, 3.0])
    lms.memory(f, x)
    np.testing.assert_array_equal(x, [2.0, 3.0])


def test_the_array_of_a_line_counts_there() -> None:
    def f(x):
        y = np.zeros(1000)
        for i in range(len(x)):
            y[i] = x[i] * 2.0
        return np.sort(y)

    report = lms.memory(f, np.ones(500))
    assert report.residuals == 0
    assert any(line.peak >= 8000 and "np.zeros" in line.source for line in report.lines)


def test_revolve_needs_less_than_a_hundredth_of_the_full_tape() -> None:
    full, few = (lms.memory(lms.grad(scan(plan)), 0.5, 100_000) for plan in (None, "revolve(20)"))
    assert full.peak >= 800_000
    assert few.peak < full.peak / 100


@pytest.mark.parametrize("plan", ["sqrt", "revolve(4)"])
@pytest.mark.parametrize("program", [scan, pytest.param(heat, marks=pytest.mark.slow)])
def test_plans_need_little_to_second_order(program, plan) -> None:
    def again(f):
        def length(x, n: Rep[i64]):
            slope = lms.grad(f)(x, n)
            return np.sum(slope * slope)

        return length

    x = 0.5 if program is scan else np.linspace(0.1, 0.2, 50)
    n = N if program is scan else 1000
    for f in (lambda plan: program(plan), lambda plan: again(program(plan))):
        full, few = (lms.memory(lms.grad(f(p)), x, n).peak for p in (None, plan))
        assert few < full / (20 if program is scan else 6), (few, full)


def test_no_more_than_k_snapshots() -> None:
    """Of an array: one more snapshot needs as much as the array, beside what one iteration keeps."""
    u = np.linspace(0.1, 0.2, 2000)
    snapshot = u.nbytes
    for k in (1, 4):
        report = lms.memory(lms.grad(heat(f"revolve({k})")), u, 60)
        assert report.peak < (k + 13) * snapshot, (k, report.peak / snapshot)


def test_what_a_call_raises() -> None:
    def f(x, i: Rep[i64]):
        return x[i] * x[i]

    with pytest.raises(IndexError):
        lms.memory(f, np.ones(3), 5)


def test_what_is_done_again_is_said_by_line() -> None:
    def f(x: Rep[Array[f64, "n"]]) -> Rep[f64]:
        total = 0.0
        for i in range(len(x)):
            total += x[i] / (1.0 + x[i] * x[i])  # this line
        return total

    report = lms.memory(f, np.ones(100))
    assert report.residuals == 0
    (line,) = report.again
    assert set(line.operations) == {"load", "mul", "add", "div"} and "# this line" in line.source
    text = r"not kept but done again by the backward half:\n  test_memory\.py:\d+: load, mul, add, div: total"
    assert re.search(text, str(report))
    assert lms.memory(lambda x: x * 2.0, np.ones(3)).again == ()
