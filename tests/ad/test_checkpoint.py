"""Checkpointed loops and calls: the gradients, values, memory and output of the same program without a plan, to second order."""

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lms
from lms import Array, Mut, Rep, f64, i64

PLANS = ("sqrt", "revolve(3)", "revolve(1)")
Case = tuple[Callable[..., Any], Callable[[], tuple[Any, ...]], tuple[Any, ...]]


def staged(plan: str | None, backend: str = "interpret") -> dict[str, Case]:
    """Programs whose loops have a plan: the function, its arguments, by which it is differentiated."""

    @lms.stage(backend=backend)
    def counts(x: Rep[f64], hist: Mut[Array[i64, "m"]], a: Mut[Array[f64, "k"]], n: Rep[i64]) -> Rep[f64]:
        total = 0.0
        for i in lms.range(n, checkpoint=plan):
            hist[i % 3] += 1
            a[i % len(a)] *= 1.1 + 0.01 * x
            x = lms.sin(x) + 0.1 * a[(i * 7) % len(a)]
            total += x * hist[i % 3]
            if i == 3:
                print("three", i)
        return total

    @lms.stage(backend=backend)
    def ping_pong(u: Mut[Array[f64, "m"]], n: Rep[i64]) -> Rep[f64]:
        a, b = u, np.zeros(len(u))
        for _ in lms.range(n, checkpoint=plan):
            for i in range(1, len(u) - 1):
                b[i] = a[i] + 0.2 * (a[i - 1] - 2 * a[i] + a[i + 1]) + 0.01 * a[i] * a[i]
            a, b = b, a
        return np.sum(a * a * a)

    @lms.stage(backend=backend)
    def fresh(u: Rep[Array[f64, "m"]], n: Rep[i64]) -> Rep[f64]:
        for _ in lms.range(n, checkpoint=plan):
            new = np.zeros(len(u))
            for i in range(1, len(u) - 1):
                new[i] = u[i] + 0.2 * (u[i - 1] - 2 * u[i] + u[i + 1]) + 0.01 * u[i] * u[i]
            u = new
        return np.sum(u * u * u)

    @lms.stage(backend=backend)
    def whole(u: Rep[Array[f64, "m"]], w: Rep[Array[f64, "m", "m"]], n: Rep[i64]) -> Rep[f64]:
        for _ in lms.range(n, checkpoint=plan):
            u = np.tanh(w @ u + 0.1)
        return np.sum(u * u * u)

    @lms.stage(backend=backend)
    def grows(u: Rep[Array[f64, "m"]], n: Rep[i64]) -> Rep[f64]:
        for _ in lms.range(n, checkpoint=plan):
            u = np.concatenate([np.sin(u), u[:2]])
        return np.sum(u * u * u)

    @lms.stage(backend=backend)
    def leaves_early(x: Rep[f64], w: Rep[Array[f64, "m"]]) -> Rep[f64]:
        total = 0.0
        for i in lms.range(40, checkpoint=plan):
            j = 0
            while j < i % 4:
                x = x * 0.9 + lms.sin(w[j])
                j += 1
            if x > 7.5:
                break
            total += x * x
        return total + x

    @lms.stage(backend=backend)
    def until(x: Rep[f64], limit: Rep[f64]) -> Rep[f64]:
        def step(s):
            return s[0] + lms.sin(s[0]) * 0.05 + 0.01, s[1] + s[0] * s[0]

        return lms.while_loop(lambda s: s[0] < limit, step, (x, 0.0), checkpoint=plan)[1]

    @lms.stage(backend=backend)
    def written(x: Rep[f64], out: Mut[Array[f64, "n"]]) -> Rep[f64]:
        for i in lms.range(len(out), checkpoint=plan):
            x = lms.sin(x) + 0.3
            out[i] = x
        return np.sum(out * out)

    @lms.stage(backend=backend)
    def nested(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
        for i in lms.range(n):
            for j in lms.range(i, checkpoint=plan):
                x = x + 0.1 * lms.sin(x * j)
            for j in lms.range(5, 0, -2, checkpoint=plan):
                x = lms.cos(x) + j * 0.1
        return x

    @lms.stage(backend=backend)
    def recursive(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
        if n == 0:
            return x
        for k in lms.range(n, checkpoint=plan):
            x = lms.sin(x) + 0.1 * k
        return recursive(x, n - 1) * x

    return {
        "counts": (counts, lambda: (0.5, np.zeros(3, dtype=np.int64), np.arange(1.0, 6.0), 30), (0, "a")),
        "ping_pong": (ping_pong, lambda: (np.linspace(0, 1, 7) ** 2, 11), (0,)),
        "fresh": (fresh, lambda: (np.linspace(0, 1, 7) ** 2, 11), (0,)),
        "whole": (whole, lambda: (np.linspace(0, 1, 4) ** 2, np.cos(np.arange(16.0)).reshape(4, 4), 9), (0, 1)),
        "grows": (grows, lambda: (np.linspace(0, 1, 4), 9), (0,)),
        "leaves_early": (leaves_early, lambda: (0.5, np.array([1.0, 2.0, 3.0, 1.5])), (0, 1)),
        "until": (until, lambda: (0.5, 2.5), (0,)),
        "written": (written, lambda: (0.5, np.ones(13)), (0, 1)),
        "nested": (nested, lambda: (0.5, 9), (0,)),
        "recursive": (recursive, lambda: (0.5, 6), (0,)),
    }


NAMES = list(staged(None))


def second(f: Any, by: tuple[Any, ...], backend: str) -> Any:
    """The gradient of a number that depends on the whole gradient of `f`."""

    def weighted(*args: Any) -> Any:
        total = 0.0
        for g in lms.grad(f, by)(*args):
            total = total + np.sum(lms.sin(g))
        return total

    weighted.__signature__ = signature(f.unstaged)
    return lms.grad(lms.stage(weighted, backend=backend), by)


def agree(with_plan: Any, without: Any, arguments: Callable[[], tuple[Any, ...]]) -> None:
    mine, theirs = arguments(), arguments()
    found, expected = with_plan(*mine), without(*theirs)
    for g, e in zip(lms.staging.trees.flatten(found)[0], lms.staging.trees.flatten(expected)[0], strict=True):
        np.testing.assert_allclose(g, e, rtol=1e-12, atol=1e-12)
    for x, y in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(x, y, err_msg="memory afterwards is not what the program leaves")


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_that_without_a_plan(name: str, plan: str, capsys: pytest.CaptureFixture[str]) -> None:
    f, arguments, by = staged(plan)[name]
    agree(lms.value_and_grad(f, by), lms.value_and_grad(staged(None)[name][0], by), arguments)
    printed = capsys.readouterr().out
    assert printed == ("three 3\n" * 2 if name == "counts" else ""), "once by each"


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[] if name == "until" else pytest.mark.slow) for name in NAMES])
def test_second_derivatives_are_those_without_a_plan(name: str, plan: str) -> None:
    f, arguments, by = staged(plan)[name]
    agree(second(f, by, "interpret"), second(staged(None)[name][0], by, "interpret"), arguments)


@pytest.mark.parametrize("backend", ["python", "llvm"])
@pytest.mark.parametrize("plan", PLANS[:2])
@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[] if name in ("ping_pong", "until") else pytest.mark.slow) for name in NAMES])
def test_the_compiled_back_ends_agree(name: str, plan: str, backend: str) -> None:
    f, arguments, by = staged(plan, backend)[name]
    agree(lms.value_and_grad(f, by), lms.value_and_grad(staged(None)[name][0], by), arguments)


@pytest.mark.slow
@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("name", NAMES)
def test_the_compiled_second_derivatives_agree(name: str, plan: str) -> None:
    f, arguments, by = staged(plan, "llvm")[name]
    agree(second(f, by, "llvm"), second(staged(None)[name][0], by, "interpret"), arguments)


@pytest.mark.parametrize("n", range(5))
@pytest.mark.parametrize("plan", PLANS)
def test_short_loops(plan: str, n: int) -> None:
    def f(x, n: Rep[i64]):
        for _ in lms.range(n, checkpoint=plan):
            x = lms.sin(x)
        return x

    expected = 0.5
    slope = 1.0
    for _ in range(n):
        expected, slope = math.sin(expected), slope * math.cos(expected)
    assert lms.value_and_grad(lms.stage(f, backend="interpret"))(0.5, n) == pytest.approx((expected, slope))


# ------------------------------------------------------------------------------------------ how it is said


def waves(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
    steps = 0.0
    while steps < n:
        steps += 1.0
        for k in range(3):
            x = lms.sin(x) + 0.1 * k
    return x


@pytest.mark.parametrize("plan", PLANS)
def test_a_plan_for_the_outer_loops_of_a_function(plan: str) -> None:
    f = lms.stage(waves, backend="interpret")
    assert lms.grad(f, checkpoint=plan)(0.5, 12) == pytest.approx(lms.grad(f)(0.5, 12), rel=1e-12)
    assert lms.stage(lambda x: lms.grad(waves, checkpoint=plan)(x, 12))(0.5) == pytest.approx(lms.grad(f)(0.5, 12), rel=1e-12)


@pytest.mark.parametrize("plan", PLANS)
def test_a_while_that_lengthens_what_it_carries(plan: str) -> None:
    def f(x):
        while np.sum(x) < 8.0:
            x = np.concatenate([x, np.sin(x[:1]) * 1.2])
        return np.sum(x * x)

    x = np.array([1.1, 0.9, 1.3])
    f = lms.stage(f, backend="interpret")
    np.testing.assert_allclose(lms.grad(f, checkpoint=plan)(x), lms.grad(f)(x), rtol=1e-12)


def test_loops_without_source_take_a_plan() -> None:
    def f(x):
        return lms.fori_loop(0, 20, lambda i, s: lms.sin(s) + 0.1 * i, x, checkpoint="revolve(2)")

    def g(x):
        return lms.fori_loop(0, 20, lambda i, s: lms.sin(s) + 0.1 * i, x)

    assert lms.grad(f)(0.5) == pytest.approx(lms.grad(g)(0.5), rel=1e-12)


def test_enumerate_zip_and_reversed_keep_the_plan() -> None:
    @lms.stage(backend="interpret")
    def f(x: Rep[f64], w: Rep[Array[f64, "n"]]) -> Rep[f64]:
        for k, (_, v) in enumerate(zip(reversed(lms.range(len(w), checkpoint="sqrt")), w, strict=True)):
            x = lms.sin(x + v) + 0.1 * k
        return x

    text = f.specialize().ir
    assert 'checkpoint="sqrt"' in text


def test_outside_of_staged_code_a_plan_is_checked_and_no_more() -> None:
    assert list(lms.range(3, checkpoint="sqrt")) == [0, 1, 2]
    with pytest.raises(lms.StagingError, match="no plan"):
        lms.range(3, checkpoint="root")


def vibrates(x):
    """A `while` that carries an array, and what decides when it stops."""
    y, t = x * 1.0, np.sum(x)
    while t < 5.0:
        y = np.sin(y) * x + y
        t = t + np.sum(y * y) * 0.1 + 0.3
    return np.sum(y * y) + t


W = np.array([1.0, 2.0])
NESTED: dict[str, Callable[[Any, str | None], Callable[[Any], Any]]] = {
    "rr": lambda f, plan: lms.grad(lambda x: np.sum(lms.grad(f, checkpoint=plan)(x) * W)),
    "rf": lambda f, plan: lms.grad(lambda x: lms.jvp(f, (x,), (W,))[1], checkpoint=plan),
    "fr": lambda f, plan: lambda x: lms.jvp(lms.grad(f, checkpoint=plan), (x,), (W,))[1],
    "rfr": lambda f, plan: lms.grad(lambda x: np.sum(lms.jvp(lms.grad(f, checkpoint=plan), (x,), (W,))[1])),
    "jr": lambda f, plan: lms.jacobian(lms.grad(f, checkpoint=plan)),
}


@pytest.mark.parametrize(("nesting", "plan"), [
    pytest.param(nesting, plan, marks=pytest.mark.slow if nesting == "rfr" or (nesting, plan) == ("rr", PLANS[2]) else [])
    for nesting in NESTED for plan in PLANS])
def test_a_while_with_arrays_in_every_nesting(nesting: str, plan: str) -> None:
    x, f = np.array([0.5, 0.3]), lms.stage(vibrates, backend="interpret")
    np.testing.assert_allclose(NESTED[nesting](f, plan)(x), NESTED[nesting](f, None)(x), rtol=1e-10)


# -------------------------------------------------------------------------------------------- calls


def test_a_checkpointed_call() -> None:
    def layer(x, w):
        return np.tanh(w @ x)

    def net(run, w, x):
        for k in range(3):
            x = run(x, w[k])
        return np.sum(x * x)

    w, x = np.cos(np.arange(27.0)).reshape(3, 3, 3), np.ones(3)
    kept = lms.checkpoint(layer)
    np.testing.assert_allclose(kept(x, w[0]), layer(x, w[0]))
    found, expected = (lms.grad(lambda w, x, run=run: net(run, w, x), (0, 1))(w, x) for run in (kept, layer))
    for g, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(g, e, rtol=1e-12)


def test_a_checkpointed_call_that_writes_and_prints(capsys: pytest.CaptureFixture[str]) -> None:
    def scale(a, x):
        a[0] = a[0] * x
        print("scaled")
        return a[0] * a[1]

    def twice(run, x):
        a = np.ones(2) * x
        y = run(a, x)
        return y + run(a, x) * a[0]

    kept = lms.checkpoint(scale)
    found = lms.value_and_grad(lambda x: twice(kept, x))(1.5)
    assert capsys.readouterr().out == "scaled\n" * 2
    assert found == pytest.approx(lms.value_and_grad(lambda x: twice(scale, x))(1.5), rel=1e-12)
    again = lms.grad(lms.grad(lambda x: twice(kept, x)))(1.5)
    assert again == pytest.approx(lms.grad(lms.grad(lambda x: twice(scale, x)))(1.5), rel=1e-12)


@pytest.mark.parametrize("plan", [None, "sqrt", "revolve(4)"])
def test_the_derivative_of_what_is_checkpointed_is_checkpointed(plan: str | None) -> None:
    """Reverse over forward, and reverse over forward over reverse: what is kept are the arguments of the calls."""
    def steps(x):
        for _ in lms.range(100, checkpoint=plan):
            x = lms.sin(x)
        return x

    def loop(run, x):
        for _ in lms.range(100):
            x = run(x)
        return x

    kept = steps if plan else lms.checkpoint(steps)
    over = {
        "rf": lambda run: lms.grad(lambda x: lms.jvp(lambda x: loop(run, x), (x,), (1.0,))[1]),
        "rfr": lambda run: lms.grad(lambda x: lms.jvp(lms.grad(lambda x: loop(run, x)), (x,), (1.0,))[1]),
    }
    for nested in over.values():
        g = nested(kept)
        tape = lms.memory(nested(lambda x: loop(lms.sin, x)), 0.5).peak  # of a hundredth of the steps
        assert lms.memory(g, 0.5).peak < 25 * tape
    assert over["rf"](kept)(0.5) == pytest.approx(lms.grad(lms.grad(lambda x: loop(kept, x)))(0.5), rel=1e-10)


# ------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(("plan", "message"), [
    ("root", "'root' is no plan"), ("revolve", "is no plan"), ("revolve(x)", "is no plan"), (20, "20 is no plan"),
    ("revolve(0)", "cannot work"), ("revolve(-3)", "cannot work"), ("", "is no plan"),
])
def test_what_is_no_plan(plan: Any, message: str) -> None:
    def by_range(x):
        for _ in lms.range(10, checkpoint=plan):  # here
            x = lms.sin(x)
        return x

    with pytest.raises(lms.StagingError, match=message) as found:
        lms.grad(by_range)(0.5)
    assert "# here" in str(found.value) and "fix:" in str(found.value)
    for attempt in (lambda: lms.grad(waves, checkpoint=plan)(0.5, 3),
                    lambda: lms.while_loop(lambda x: x < 1.0, lambda x: x + 1.0, 0.0, checkpoint=plan),
                    lambda: lms.fori_loop(0, 3, lambda i, x: x, 0.0, checkpoint=plan)):
        with pytest.raises(lms.StagingError, match=message):
            attempt()


def test_python_is_not_called_twice() -> None:
    def f(x):
        for _ in lms.range(10, checkpoint="sqrt"):
            x = lms.sin(x) + lms.py_call(lambda: 0.5, f64)  # here
        return x

    with pytest.raises(lms.StagingError, match="runs this again") as found:
        lms.grad(f)(0.5)
    assert "# here" in str(found.value)


def test_an_array_by_two_names_is_refused() -> None:
    def f(x, c: Rep[i64]):
        a, b = np.zeros(3) + x, np.ones(3)
        both = a if c > 0 else b
        for i in lms.range(10, checkpoint="sqrt"):  # here
            a[i % 3] *= x
            x = x + both[i % 3]
        return x

    with pytest.raises(lms.StagingError, match="may share") as found:
        lms.grad(f)(0.5, 1)
    assert "# here" in str(found.value)


def test_an_array_made_before_a_loop_may_be_the_one_it_carries() -> None:
    def f(x):
        a = np.ones(3) * x
        b = a
        for i in lms.range(10, checkpoint="sqrt"):  # here
            if x > 0.7:
                b = np.zeros(3)
            b[i % 3] = np.sin(x + a[(i + 1) % 3])
            x = x + 0.1 * b[i % 3]
        return x

    with pytest.raises(lms.StagingError, match="'b' and another name may share"):
        lms.grad(f)(0.5)


def test_an_array_that_is_changed_and_left_behind() -> None:
    def f(x, copied: bool, plan=None):
        a = np.ones(3) * x
        b = a.copy() if copied else a
        for i in lms.range(10, checkpoint=plan):  # here
            b[i % 3] *= np.sin(x)
            b = b * 0.9
        return np.sum(a * a) + b[1]

    for copied, plans in ((True, ("sqrt", "revolve(2)")), (False, ("sqrt",))):
        for plan in plans:
            assert lms.grad(f)(0.5, copied, plan) == pytest.approx(lms.grad(f)(0.5, copied), rel=1e-12)
    with pytest.raises(lms.StagingError, match="changes 'b' and may go on with another in its place") as found:
        lms.grad(f)(0.5, False, "revolve(2)")
    assert "# here" in str(found.value)


@pytest.mark.parametrize("plan", ["sqrt", "revolve(2)"])
def test_buffers_that_are_exchanged_are_not_left_behind(plan: str) -> None:
    def f(x, by=None):
        a, b = np.ones(4) * x, np.zeros(4)
        first = a
        for _ in lms.range(9, checkpoint=by):
            b[1:] = np.sin(a[:-1] * x)
            a, b = b, a
        return np.sum(a * b) + first[2]

    assert lms.grad(f)(0.5, plan) == pytest.approx(lms.grad(f)(0.5), rel=1e-12)


@dataclass(frozen=True)
class Link:
    head: float
    tail: "Link | None"


Chain = Link | None


@lms.stage
def added(chain: Rep[Chain]) -> Rep[f64]:
    return 0.0 if chain is None else np.sin(chain.head) + added(chain.tail)


@lms.stage
def longer(x: Rep[f64], chain: Rep[Chain]) -> Rep[Chain]:
    return Link(x, chain)


@pytest.mark.parametrize("plan", PLANS[:2])
def test_records_are_read_but_not_carried(plan: str) -> None:
    def reads(x: Rep[f64], chain: Rep[Chain], n: Rep[i64]):
        for _ in lms.range(n, checkpoint=plan):
            x = np.sin(x) + added(chain)
        return x

    def carries(x: Rep[f64], chain: Rep[Chain], n: Rep[i64]):
        for _ in lms.range(n, checkpoint=plan):  # carried
            chain = longer(x * added(chain), chain)
        return added(chain)

    start = Link(1.0, None)
    by_x, by_chain = lms.grad(reads, (0, 1))(0.5, start, 4)
    step = 1e-6
    differences = [(lms.stage(reads)(0.5 + step * (1 - k), Link(1.0 + step * k, None), 4)
                    - lms.stage(reads)(0.5 - step * (1 - k), Link(1.0 - step * k, None), 4)) / (2 * step) for k in (0, 1)]
    np.testing.assert_allclose([by_x, by_chain.head], differences, rtol=1e-6)
    with pytest.raises(lms.StagingError, match="what is checkpointed here gives Link_or_NoneType, which holds floats") as found:
        lms.grad(carries)(0.5, start, 4)
    assert "# carried" in str(found.value)


def test_snapshots_that_exceed_the_full_tape() -> None:
    def known(x):
        a = np.zeros(1_000_000)
        for i in lms.range(30, checkpoint="revolve(20)"):  # here
            a[i] = a[i + 1] + x
            x = x + 0.1 * a[i]
        return x

    with pytest.raises(lms.StagingError, match="snapshots take 160000160 bytes, and the full tape .* no more than 1920") as found:
        lms.grad(known)(0.5)
    assert "# here" in str(found.value)

    @lms.stage(backend="interpret")
    def later(a: Mut[Array[f64, "n"]], x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
        for i in lms.range(n, checkpoint="sqrt"):  # there
            a[i] *= x
            x = x + 0.1 * a[i]
        return x

    lms.grad(later)(np.ones(100), 0.5, 100)  # too little to matter
    with pytest.raises(ValueError, match="snapshots take 5600056 bytes") as late:
        lms.grad(later)(np.ones(100_000), 0.5, 50)
    assert "# there" in str(late.value)


# ---------------------------------------------------------------------------------------------- memory


RESIDENT = """
import resource
import numpy as np
import lms
from lms import Rep, f64, i64

@lms.stage
def scan(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
    for i in lms.range(n, checkpoint={plan!r}):
        x = lms.sin(x) + 0.1
    return x

slope = lms.grad(scan)
for call in range(1000):
    slope(0.5, 2000)
    if call == 99:
        early = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - early)
"""


@pytest.mark.parametrize("plan", [None, *PLANS[:2]])
def test_a_thousand_calls_keep_nothing(plan: str | None, tmp_path: Path) -> None:
    (tmp_path / "resident.py").write_text(RESIDENT.format(plan=plan))
    out = subprocess.run([sys.executable, tmp_path / "resident.py"], capture_output=True, text=True, check=True)
    assert int(out.stdout) <= 2048, "kilobytes above the peak after call 100"
