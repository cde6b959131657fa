"""Derivatives of programs that overwrite their arrays, with writes undone where that pays, and wherever that is allowed."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

import lms
from lms.ad.reversal.choice import Choice, Group
from lms.core.ir import Node
from tests.fuzz.overwrites import overwrites
from tests.fuzz.programs import indented
from tests.fuzz.test_orders import NESTINGS, WAYS, differentiable, nested, second
from tests.fuzz.test_programs import close, folder, fuzz, load
from tests.fuzz.worlds import Program

__all__ = ["folder"]
pytestmark = [pytest.mark.fuzz(sample=True), pytest.mark.timeout(0)]


def most(self: Choice, group: Group, reads: Sequence[Node], undone: Sequence[Node]) -> float:
    """What to undo is worth, if everything that may be undone should be."""
    return 1.0 + len(undone)


def weighed(program: Program) -> Program:
    """The program as a function to one number, with its permutation beside it: results times `c` and `d`."""
    *lines, last = program.text.rstrip().split("\n")
    results = last.replace("return ", "", 1)
    ends = [f"r, w = ({results.strip()})", "return c * r + np.sum(d * w), q"]
    if program.results == 1:
        ends = [f"return c * ({results.strip()}), q"]
    return dataclasses.replace(program, text="\n".join([*lines, *indented(ends), ""]))


def gradient(f: Any, program: Program, plan: str | None) -> tuple[Any, Any]:
    """The gradient and what comes beside it; without the plan where that is refused, for an array by two names or two by one."""
    try:
        return lms.grad(lms.stage(f), program.active, has_aux=True, checkpoint=plan)(*program.arguments())
    except lms.StagingError as e:
        if plan is None or not re.search("may share|in its place", e.message):
            raise
        return gradient(f, program, None)


@fuzz(10)
@given(program=overwrites(), plan=st.sampled_from([None, None, "sqrt", "revolve(2)"]))
def test_gradients_agree(program: Program, plan: str | None, folder: Path) -> None:
    derived = differentiable(program)
    module = load(weighed(program), folder, whole=True)
    module.c, module.d = float(derived.seeds[0][0]), derived.seeds[-1]
    _, permutation = module.f(*program.arguments())
    for pays in (Choice.pays, most):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Choice, "pays", pays)
            found, left = gradient(module.f, program, plan)
            note(f"{pays.__name__}: {found}\ntape: {derived.cotangents}")
            assert close(found, derived.cotangents)
            assert (left == permutation).all(), "what is returned is not what the program leaves"


@fuzz(1)
@given(program=overwrites(single=True), allowed=st.booleans())
def test_all_nestings_agree(program: Program, allowed: bool, folder: Path) -> None:
    derived = differentiable(program)
    row, turned, largest = second(program, derived)
    module = load(nested(program), folder, whole=True)
    for kind, directions in (("d", program.directions(2)), ("e", program.directions(3))):
        for i, direction in zip(program.active, directions, strict=True):
            setattr(module, f"{kind}_{program.params[i][0]}", direction)
    with pytest.MonkeyPatch.context() as patch:
        if allowed:
            patch.setattr(Choice, "pays", most)
        for nesting in NESTINGS:
            for way in WAYS:
                found = way(getattr(module, nesting), program.arguments())
                note(f"{nesting}, {way.__name__}: {found}\ntape: {row}")
                wanted = [turned] if nesting == "ff" else row
                found = [found] if nesting == "ff" else [g for g in found if g is not None]
                assert close([g / largest for g in found], [w / largest for w in wanted])
