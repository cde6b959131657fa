"""Programs as C: the text a person would write, clean under every warning, and the interpreter's results to the last bit."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lms import pipeline
from lms.backends import c, interpret
from lms.backends.c.build import STRICT
from lms.backends.c.emit import File
from lms.backends.c.signature import Options
from lms.core import primitives as p
from lms.core.errors import LmsError
from lms.core.ir import Program, walk
from lms.core.parse_text import parse_program
from lms.passes.base import run
from lms.passes.clone import clone
from lms.passes.lower import Lower
from tests.passes.generate import Generator
from tests.support.c import LEFT, Batch, needs_compiler, sanitized, sanitized_environment, shared_folder
from tests.support.programs import SAMPLES, Sample, check, same
from tests.support.rows import Row, rows

SEEDS = range(40)
LAPACK = {"eigh_into", "svd_into"}
FUNCTIONS = frozenset("""cbrt exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf
erfc gamma lgamma digamma trigamma atan2 hypot pow sqrt abs div mul""".split())


def lowered(program: Program) -> Program:
    """A program as every back end takes it, and no better."""
    return run([Lower()], clone(program))


def needs_lapack(row: Row) -> bool:
    return row.op in p.linalg.LAPACK or row.op.type.__module__.endswith("linalg") and any(
        node.op.name in LAPACK for f in lowered(row.program()).functions.values() for node in walk(f.body))


@cache
def row_list() -> list[Row]:
    """Rows: of elementwise operations those on scalars; none whose results hold what was never written."""
    arrays = [row for row in rows() if not row.op.elementwise or not isinstance(row.args[0], np.ndarray)]
    return [row for row in arrays if row.op.name not in ("py_call", "empty") and not needs_lapack(row)
            and not (row.op.name == "grow" and row.args[1] > 2)]


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    """All programs of this file, in this order."""
    made = Batch(shared_folder(tmp_path_factory))
    for sample in SAMPLES:
        made.add(pipeline.optimize(sample.program()))
        made.add(lowered(sample.program()))
    for row in row_list()[::4 if sanitized() else 1]:
        made.add(lowered(row.program()))
    for seed in SEEDS:
        made.add(pipeline.optimize(Generator(seed, seed % 2 == 0).program()))
    return made


def functions(program: Program) -> str:
    """The functions of a program in C, without what they need."""
    return File([program], Options()).body()


def copied(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(a.copy() if isinstance(a, np.ndarray) else a for a in args)


def close(x: Any, y: Any, ulps: float) -> bool:
    """The same bits, or within so many units in the last place of the largest part."""
    if same(x, y):
        return True
    a, b = np.asarray(x), np.asarray(y)
    if not ulps or a.dtype != b.dtype or a.shape != b.shape or a.dtype.kind not in "fc":
        return False
    room = ulps * np.finfo(b.dtype).eps * np.maximum(np.abs(b), 0.5)
    return bool((np.abs(a - b) <= room).all())


def agree(program: Program, call: Callable[..., Any], args: tuple[Any, ...], ulps: float = 0.0) -> None:
    """The same results, the same contents of arrays left behind, or the same error; and no memory left."""
    mine, theirs = copied(args), copied(args)
    LEFT.clear()
    try:
        expected = interpret.run(program, mine)
    except Exception as error:  # noqa: BLE001  # whatever the reference raises
        with pytest.raises(type(error)) as found:
            call(*theirs)
        if not isinstance(error, RecursionError):
            assert str(found.value).splitlines()[0] == str(error).splitlines()[0].rpartition("/")[2]
    else:
        results = call(*theirs)
        assert len(results) == len(expected)
        for x, y in zip(results, expected, strict=True):
            assert close(x, y, ulps), f"{x!r} is not {y!r} in\n{functions(call.program)}"
    for x, y in zip(theirs, mine, strict=True):
        assert close(x, y, ulps), f"leaves {x!r}, not {y!r}"
    assert not LEFT


@needs_compiler
@pytest.mark.parametrize("k", range(2 * len(SAMPLES)), ids=lambda k: f"{SAMPLES[k // 2]}{'-as-it-is' if k % 2 else ''}")
def test_samples(k: int, batch: Batch) -> None:
    LEFT.clear()
    check(SAMPLES[k // 2], lambda args: batch[k](*args))
    assert not LEFT


@needs_compiler
@pytest.mark.parametrize("k", range(0, len(row_list()), 4 if sanitized() else 1), ids=lambda k: f"{k}-{row_list()[k]}")
def test_every_primitive_agrees_with_the_interpreter(k: int, batch: Batch) -> None:
    row = row_list()[k]
    at = 2 * len(SAMPLES) + k // (4 if sanitized() else 1)
    sums = row.op.name in FUNCTIONS or row.op.name.startswith(("reduce", "contract", "cumsum")) or (
        row.op.type.__module__.endswith("linalg"))
    agree(batch.programs[at], batch[at], row.fresh(), 8.0 if sums else 0.0)


@needs_compiler
@pytest.mark.parametrize("seed", SEEDS)
def test_generated_programs(seed: int, batch: Batch) -> None:
    """Views that overlap, writes between reads, empty loops, errors: the same memory and errors, and numbers within rounding."""
    whole = seed % 2 == 0
    generator = Generator(seed, whole)
    program = generator.program()
    at = len(batch.programs) - len(SEEDS) + seed
    for _ in range(3):
        args = generator.arguments()
        if len(args[0]) or not whole:  # the largest of no numbers is nobody's
            agree(program, batch[at], args, 500.0 if whole else 4.0)


@needs_compiler
def test_sanitizers_find_nothing() -> None:
    """The above once more, a quarter of the rows, with every access and every operation watched."""
    found = subprocess.run([sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", "-k",
                            "not in_c and not sanitizers", __file__],
                           env=sanitized_environment(), capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-4000:]


@pytest.mark.parametrize("name", [
    "product", "square_until", "nested_loops", "nested_branches", "factorial", "ping_pong", "tree_sum", "bag_of_arrays",
    "log_sum_exp", "failing_check", "swap"])
def test_source_in_c(name: str, golden: Callable[[str], None]) -> None:
    sample: Sample = next(sample for sample in SAMPLES if sample.name == name)
    program = pipeline.optimize(sample.program())
    for f in program.functions.values():
        forget_places(f.body)
    golden(functions(program))


def forget_places(block: Any) -> None:
    for node in block.nodes:
        node.span = None
        for inner in node.blocks:
            forget_places(inner)


@needs_compiler
def test_a_result_that_nobody_uses_is_no_variable() -> None:
    program = parse_program("""\
entry def main(mut %a: f64[3], %x: f64) -> (f64) {
  %y: f64 = call @put(%a, %x) {types=(f64)}
  %z: i64 = 0
  %r: f64 = load %a, %z
  return %r
}
def put(mut %a: f64[3], %x: f64) -> (f64) {
  %z: i64 = 0
  store %a, %x, %z
  return %x
}
""")
    assert c.compile_all([program], flags=STRICT)[0](np.zeros(3), 2.0) == (2.0,)


def test_python_cannot_be_called() -> None:
    row = next(row for row in rows() if row.op.name == "py_call")
    with pytest.raises(LmsError, match="C cannot call twice"):
        c.emit(lowered(row.program()))


