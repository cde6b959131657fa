"""Generated programs mean the same everywhere, and so do their derivatives.

`LMS_FUZZ_EXAMPLES=10000 python -m pytest tests/fuzz` (or `make fuzz`) runs more of them; a failure prints the program.
"""

from __future__ import annotations

import itertools
import linecache
import os
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, note, seed, settings

import lms
from lms.core.parse_text import parse_program
from tests.fuzz.programs import programs
from tests.fuzz.worlds import Derived, Outcome, Program, derive, leaves, outcome, plain, same_path

HEADER = """\
from __future__ import annotations

import math

import numpy as np

import lms
from lms import Array, Mut, Rep, f64, i64


"""
BACKENDS = ("interpret", "python", "llvm")
ROUNDING = 4.0  # ulp

EXAMPLES = int(os.environ.get("LMS_FUZZ_EXAMPLES", 200))

pytestmark = [pytest.mark.fuzz(sample=True), pytest.mark.timeout(0)]  # a failing program takes long to shrink
numbers = itertools.count()


def fuzz(share: int) -> Callable[[Any], Any]:
    """A property of so many per cent of the programs, always of the same ones for a seed."""
    wanted = settings(max_examples=max(1, EXAMPLES * share // 100), suppress_health_check=list(HealthCheck),
                      phases=[Phase.generate, Phase.shrink])
    return lambda test: seed(int(os.environ["LMS_FUZZ_SEED"]))(wanted(test))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("programs")


def load(program: Program, folder: Path, whole: bool = False) -> Any:
    """The program's function from a file, where its source is found; or the whole module."""
    file = folder / f"program{next(numbers)}.py"
    text = HEADER + program.text
    file.write_text(text, encoding="utf-8")
    linecache.checkcache()
    module = types.ModuleType(file.stem)
    exec(compile(text, str(file), "exec"), module.__dict__)
    return module if whole else module.f


def same_bits(a: Any, b: Any) -> bool:
    """Equal as floats, zeros with their signs and NaNs included; a literal int counts as its float."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return a.shape == b.shape and bool(((a == b) & (np.signbit(a) == np.signbit(b)) | np.isnan(a) & np.isnan(b)).all())


def prints_itself(f: Any, program: Program) -> None:
    """Staged twice it is the same program, and its text reads back as it."""
    staged = lms.stage(f)
    lms.check_pure(staged, *program.arguments())
    text = staged.specialize(*program.arguments()).ir
    assert str(parse_program(text)) == text


def describe(outcome: Outcome) -> str:
    return f"{outcome.error.__name__ if outcome.error else outcome.results}, arguments now {outcome.arguments}"


# -------------------------------------------------------------------------------------------------- values


@fuzz(40)
@given(program=programs(raising=True))
def test_exact_programs_agree_to_the_bit(program: Program, folder: Path) -> None:
    expected = plain(program)
    f = load(program, folder)
    for backend in BACKENDS:
        found = outcome(lms.stage(backend=backend)(f), program.arguments())
        note(f"Python: {describe(expected)}\n{backend}: {describe(found)}")
        assert found.error is expected.error
        assert len(found.results) == len(expected.results)
        assert all(map(same_bits, found.results, expected.results)), backend
        assert all(map(same_bits, found.arguments, expected.arguments)), f"{backend}: an argument was left otherwise"


@fuzz(30)
@given(program=programs(smooth=True))
def test_smooth_programs_agree_to_rounding(program: Program, folder: Path) -> None:
    derived = derive(program)
    assume(derived.bounded and same_path(program, derived))
    f = load(program, folder)
    prints_itself(f, program)
    for backend in BACKENDS:
        found = outcome(lms.stage(backend=backend)(f), program.arguments())
        note(f"tape: {derived.results}\n{backend}: {describe(found)}")
        for result, wanted, bound in zip(found.results, derived.results, derived.rounding, strict=True):
            assert (np.abs(np.ravel(result) - wanted) <= ROUNDING * np.asarray(bound) + 1e-300).all(), backend


# --------------------------------------------------------------------------------------------- derivatives


def seeds_for(program: Program, derived: Derived, factor: float = 1.0) -> Any:
    """A cotangent for each result, of its structure."""
    made = [s * factor for s in derived.seeds]
    shaped = [s if isinstance(r, np.ndarray) else float(s[0]) for s, r in zip(made, plain(program).results, strict=True)]
    return tuple(shaped) if program.results > 1 else shaped[0]


def close(found: Sequence[Any], wanted: Sequence[Any]) -> bool:
    """Within 1e-9 of the largest entry of all."""
    largest = max((float(np.abs(w).max(initial=0.0)) for w in wanted), default=0.0)
    return all(np.shape(a) == np.shape(b) and bool((np.abs(np.asarray(a) - b) <= 1e-9 * max(largest, 1e-3)).all())
               for a, b in zip(found, wanted, strict=True))


def dot(xs: Any, ys: Any) -> float:
    return sum(float(np.sum(np.multiply(x, y))) for x, y in zip(xs, ys, strict=True))


@fuzz(30)
@given(program=programs(smooth=True))
def test_derivatives_agree(program: Program, folder: Path) -> None:
    derived = derive(program)
    assume(derived.bounded and not derived.tie and same_path(program, derived))
    f = lms.stage(backend="llvm")(load(program, folder))
    active = program.active

    arguments = program.arguments()
    value, pull = lms.vjp(f, *arguments)
    note(f"arguments {program.arguments()}, value {value}")
    assert close(arguments, plain(program).arguments), "vjp leaves an argument otherwise than the call"
    for factor in (1.0, 0.0, 1.0):  # any number of times
        cotangents = pull(seeds_for(program, derived, factor))
        note(f"seed {factor}: {cotangents}\ntape: {derived.cotangents}")
        found = [cotangents[i] for i in active]
        assert close(found, [factor * c for c in derived.cotangents])
        if factor == 0.0:
            assert all((np.asarray(c) == 0.0).all() for c in found)

    arguments = program.arguments()
    tangents: list[Any] = [None] * len(arguments)
    for i, direction in zip(active, derived.directions, strict=True):
        tangents[i] = direction
    forward, moved = lms.jvp(f, arguments, tangents)
    note(f"tangents {tangents}: {moved}")
    assert close(leaves(forward), leaves(value))
    outward = dot(leaves(moved), leaves(seeds_for(program, derived)))
    inward = dot([t for t in tangents if t is not None], derived.cotangents)
    scale = sum(float(np.abs(c).sum()) for c in derived.cotangents)
    assert abs(outward - inward) <= 1e-9 * max(scale, 1e-3), f"<u, J v> is {outward}, <J'u, v> is {inward}"
