"""Generated programs with the loops of their gradients checkpointed: the same gradients, and the same memory afterwards."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, note
from hypothesis import strategies as st

import lms
from tests.fuzz.programs import programs
from tests.fuzz.test_programs import close, folder, fuzz, load
from tests.fuzz.worlds import Program, derive, same_path

__all__ = ["folder"]
pytestmark = [pytest.mark.fuzz(sample=True), pytest.mark.timeout(0)]

PLANS = ("sqrt", "revolve(1)", "revolve(2)", "revolve(5)")


def gradients(f: Any, program: Program, plan: str | None) -> tuple[list[Any], list[Any]]:
    """The gradient under a plan, and the arguments afterwards."""
    arguments = program.arguments()
    staged = lms.stage(backend="interpret")(f)
    return list(lms.grad(staged, program.active, checkpoint=plan)(*arguments)), arguments


@fuzz(25)
@given(program=programs(smooth=True, single=True), plan=st.sampled_from(PLANS))
def test_plans_change_no_gradient(program: Program, plan: str, folder: Path) -> None:
    derived = derive(program)
    assume(derived.bounded and not derived.tie and same_path(program, derived))
    f = load(program, folder)
    expected, left = gradients(f, program, None)
    try:
        found, mine = gradients(f, program, plan)
    except lms.StagingError as e:
        # two names for one array that changes, or one for two: refused, and rightly, or for want of a proof
        assert re.search("may share|in a record|in its place", e.message)
        assume(False)
    note(f"{plan}: {found}\nwithout: {expected}")
    assert close(found, expected)
    assert close(mine, left), "an argument was left otherwise"
