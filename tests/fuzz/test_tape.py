"""The oracle itself: the tape agrees with plain Python on values, and with differences on derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings

from tests.fuzz.programs import programs
from tests.fuzz.worlds import Program, derive, plain, same_path


@settings(max_examples=50)
@given(programs(smooth=True))
def test_the_tape_computes_what_python_computes(program: Program) -> None:
    derived, computed = derive(program), plain(program)
    assume(derived.bounded)
    for result, on_tape, bound in zip(computed.results, derived.results, derived.rounding, strict=True):
        assert (np.abs(np.ravel(result) - on_tape) <= 8.0 * np.asarray(bound)).all()


@settings(max_examples=50)
@given(programs(smooth=True))
def test_the_tape_differentiates(program: Program) -> None:
    derived = derive(program)
    assume(derived.bounded and not derived.tie and same_path(program, derived, 1e-6))
    moved = [derive(program, shift) for shift in (1e-6, -1e-6)]
    up, down = (sum(s @ np.asarray(r) for s, r in zip(derived.seeds, d.results, strict=True)) for d in moved)
    slope = sum(c.sum() for c in derived.cotangents)
    size = sum(np.abs(c).sum() for c in derived.cotangents)
    assert (up - down) / 2e-6 == pytest.approx(slope, rel=1e-4, abs=1e-4 * (1.0 + size))
    ones = [np.ones_like(d) for d in derived.directions]
    turned = zip(*(d.cotangents for d in moved), derive(program, directions=ones).bent, strict=True)
    for above, below, bent in turned:
        assert (above - below) / 2e-6 == pytest.approx(bent, rel=1e-3, abs=1e-3 * (1.0 + size + np.abs(bent).max(initial=0.0)))
