"""Staged programs and their gradients by way of C: the corpus of derivatives, and generated programs, against native code."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

import lms
from lms import Rep, f64, i64
from lms.backends import c
from tests.ad import corpus
from tests.ad.corpus import NAMES
from tests.fuzz.programs import programs
from tests.fuzz.test_programs import load, same_bits
from tests.fuzz.worlds import Program, outcome
from tests.support.c import LEFT, Batch, needs_compiler, sanitized, sanitized_environment, shared_folder

pytestmark = needs_compiler
GENERATED = int(os.environ.get("LMS_FUZZ_EXAMPLES", 100)) // (4 if sanitized() else 2)
LANGUAGE = str(Path(__file__).with_name("test_c_language.py"))
SAMPLE = {"annealing", "binary_heap", "bouncing_ball", "cky", "conjugate_gradient", "dijkstra", "fft", "heat", "hidden_markov",
          "lu_pivoting", "stack_machine", "tree_lstm", "union_find"}


def in_c(function: Any) -> Any:
    return lms.stage(backend="c")(function)


# -------------------------------------------------------------------------------------------------- corpus


class Corpus:
    """Programs of the corpus with their values and gradients by way of C."""

    def __init__(self, names: list[str], folder: Path) -> None:
        self.entries = {name: corpus.load(name) for name in names}
        self.functions = {name: lms.value_and_grad(in_c(e.program.unstaged), argnums=e.wrt) for name, e in self.entries.items()}
        self.batch = Batch(folder)
        for name, e in self.entries.items():
            self.batch.add(self.functions[name].specialize(*e.at(e.here)).program)


@pytest.fixture(scope="module")
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Those that this run asks for."""
    asked = {item.callspec.params["name"] for item in request.session.items if item.path == request.path and
             "name" in getattr(getattr(item, "callspec", None), "params", {})}
    return Corpus(sorted(asked), shared_folder(tmp_path_factory))


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow(sample=n in SAMPLE)) for n in NAMES])
def test_corpus(name: str, compiled: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Value and gradient are those of native code, but for the order of sums and the last bits of libm."""
    e, f = compiled.entries[name], compiled.functions[name]
    monkeypatch.setattr(c, "compile", compiled.batch.of)
    LEFT.clear()
    value, gradient = f(*e.at(e.here))
    assert not LEFT
    expected = e.plain(e.here)
    assert abs(value - expected) <= e.ulps * np.spacing(abs(expected))
    native = e.numbers(e.gradient(*e.at(e.here))[1])
    found = e.numbers(gradient)
    assert np.linalg.norm(np.subtract(found, native)) <= 1e-11 * np.linalg.norm(native)


# ----------------------------------------------------------------------------------------------- generated


def drawn(folder: Path, count: int, **kind: bool) -> list[tuple[Program, Any]]:
    """Generated programs, the same ones for a seed, with their functions."""
    found: list[Program] = []

    @seed(int(os.environ["LMS_FUZZ_SEED"]))
    @settings(max_examples=count, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(program=programs(**kind))
    def collect(program: Program) -> None:
        found.append(program)

    collect()
    return [(program, load(program, folder)) for program in found]


def run_all(batch: Batch, made: list[tuple[Program, Any, Any]], monkeypatch: pytest.MonkeyPatch, exact: bool) -> None:
    """Each by way of C, against native code: results, arguments afterwards, errors, and nothing left in memory."""
    for program, f, _ in made:
        batch.add(f.specialize(*program.arguments()).program)
    monkeypatch.setattr(c, "compile", batch.of)
    for program, f, native in made:
        LEFT.clear()
        found, expected = outcome(f, program.arguments()), outcome(native, program.arguments())
        assert not LEFT, program
        assert found.error is expected.error, program
        for x, y in zip(itertools.chain(found.results, found.arguments), itertools.chain(expected.results, expected.arguments),
                        strict=True):
            assert same_bits(x, y) if exact else np.allclose(x, y, rtol=1e-9, atol=1e-12, equal_nan=True), (program, x, y)


def test_exact_programs_give_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [(program, in_c(f), lms.stage(f)) for program, f in drawn(tmp_path, GENERATED, raising=True)]
    run_all(Batch(tmp_path), made, monkeypatch, exact=True)


def test_smooth_programs_and_their_gradients_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for program, f in drawn(tmp_path, GENERATED // 2, smooth=True, single=True):
        made.append((program, in_c(f), lms.stage(f)))
        made.append((program, lms.grad(in_c(f), argnums=program.active), lms.grad(f, argnums=program.active)))
    run_all(Batch(tmp_path), made, monkeypatch, exact=False)


@pytest.mark.parametrize("which", [
    "heat] or tree_lstm] or exact or logistic.loss or kalman.likelihood", pytest.param("not sanitizers", marks=pytest.mark.slow)],
    ids=["some", "all"])
def test_sanitizers_find_nothing_in_programs(which: str) -> None:
    """The above once more, fewer generated programs, with every access and every operation watched."""
    few = {"LMS_FUZZ_EXAMPLES": "40", "LMS_FUZZ_SEED": os.environ["LMS_FUZZ_SEED"]}
    call = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", "-k", which, "-m", ""]
    found = subprocess.run([*call, __file__, LANGUAGE], env=sanitized_environment() | few, capture_output=True, text=True,
                           cwd=Path(__file__).parents[2])
    assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-4000:]


@needs_compiler
def test_frames_of_two_programs_in_one_file(tmp_path: Path) -> None:
    """Functions of one name, whose activations keep other things."""
    def made(power: int) -> Any:
        @lms.stage
        def h(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
            if n <= 0:
                return x
            y = np.sin(x) if power > 1 else x
            return h(y**power, n - 1) * (y if power > 1 else n)

        return h

    found = [lms.grad(made(power)) for power in (1, 2)]
    batch = Batch(tmp_path)
    for f in found:
        batch.add(f.specialize(0.7, 3).program)
    assert [batch[k](0.7, 3)[0] for k in range(2)] == pytest.approx([f(0.7, 3) for f in found], rel=1e-12)
