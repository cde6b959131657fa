"""Rules as generators: their form, their driver, and the example that shows the idea in the open."""

import importlib.util
import math
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from lms.ad.continuations import check_form, resume, start
from lms.core.errors import StagingError

EXAMPLE = Path(__file__).parents[2] / "examples" / "shift_reset.py"


def good(x, y):
    dz = yield x * y
    return dz * y, dz * x


def in_a_loop(x):
    for _ in range(2):
        yield x


def in_a_with(x):
    with open(x) as file:
        yield file


def twice(x):
    dz = yield x
    dz = yield dz
    return (dz,)


def never(x):
    return (x,)


@pytest.mark.parametrize("rule", [in_a_loop, in_a_with, twice, never])
def test_a_rule_yields_once_at_the_top_level(rule) -> None:
    check_form(good)
    with pytest.raises(StagingError, match="exactly one `yield`"):
        check_form(rule)


def test_the_halves_of_a_rule() -> None:
    steps = good(2.0, 3.0)
    assert start(steps, "mul") == 6.0
    assert resume(steps, 10.0, 2, "mul") == (30.0, 20.0)


def test_one_operand_needs_no_tuple() -> None:
    def double(x):
        dz = yield 2.0 * x
        return 2.0 * dz

    steps = double(1.0)
    start(steps, "double")
    assert resume(steps, 1.0, 1, "double") == (2.0,)


def test_what_a_rule_returns_is_counted() -> None:
    steps = good(2.0, 3.0)
    start(steps, "mul")
    with pytest.raises(StagingError, match="returned 2 cotangents for 3 operands"):
        resume(steps, 1.0, 3, "mul")


def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("shift_reset", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_now_and_later() -> None:
    e = example()
    x, y = 0.5, 2.0
    exact = math.sin(x * y) + x * y * math.cos(x * y), x * x * math.cos(x * y) + 1.0
    assert e.reset(e.example, x, y) == pytest.approx(exact, rel=1e-15)
    assert e.staged(x, y) == pytest.approx(exact, rel=1e-15)


def test_nothing_of_the_continuations_is_left_in_the_program() -> None:
    ir = example().staged.specialize(x=0.5, y=2.0).ir
    assert "call" not in ir and "for" not in ir and ir.count("cos") == 1


def test_the_example_prints() -> None:
    out = subprocess.run([sys.executable, str(EXAMPLE)], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[:3] == ["now   1.381773290676 1.135075576467", "later 1.381773290676 1.135075576467",
                                    "exact 1.381773290676 1.135075576467"]
