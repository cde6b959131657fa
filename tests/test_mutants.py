"""Twenty defects of one line, each of which must make the tests fail.

A defect is applied to a copy of the tree, where the tests that should see it run. A text that is not found exactly once
is a failure too: the list is kept up with the code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("lms", "ad", "staging", "backends", "frontend", "tests", "examples", "docs", "pyproject.toml")


class Mutant(NamedTuple):
    """A defect: what is wrong, the file, its text and the text that replaces it, and the tests that must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: str


LOOPS, MEANING, CSE = "tests/rivals/test_loops.py", "tests/rivals/test_meaning.py", "tests/passes/test_cse_dce_licm.py"

MUTANTS = [
    # derivatives
    Mutant("the sign of a subtraction's rule", "ad/rules/scalar.py",
           "dz = yield x - y\n    return dz, -dz", "dz = yield x - y\n    return dz, dz", "tests/ad/test_rules.py -k sub"),
    Mutant("a tie of maximum counted twice", "ad/rules/scalar.py",
           "(_s.maximum)(x, y)\n    half = 0.5 * dz", "(_s.maximum)(x, y)\n    half = dz", "tests/ad/test_conventions.py"),
    Mutant("a load sets the shadow", "ad/rules/memory.py",
           "emit(_a.accumulate, shadow, dz, *index)", "emit(_a.store, shadow, dz, *index)", f"{LOOPS} -k zygote_75"),
    Mutant("a store leaves its shadow", "ad/rules/memory.py",
           "emit(_a.store, shadow, full(v, 0.0), *index)", "pass", f"{LOOPS} -k warp_1294"),
    Mutant("every load can be repeated", "ad/memory.py",
           "return not self.effects.roots(v) & self.unsteady", "return True", f"{MEANING} -k w1_"),
    Mutant("a residual of the iteration before", "ad/residuals/keepers.py",
           "k = self._count(self.crossing.backward.params[0])",
           "k = b.emit1(_s.maximum, b.emit1(_s.sub, self._count(self.crossing.backward.params[0]), b.const(1)), b.const(0))",
           f"{LOOPS} -k product"),
    Mutant("a reversed while that forgets its first trip", "ad/control.py",
           "b.emit1(_s.sub, before[-1][0], b.const(1)), b.const(-1)", "before[-1][0], b.const(-1)", f"{LOOPS} -k squaring"),
    Mutant("a trip count one too high", "ad/control.py",
           "rounded = b.emit1(_s.add, distance, b.const(abs(by) - 1))", "rounded = b.emit1(_s.add, distance, b.const(abs(by)))",
           "tests/ad/test_mut.py -k stride"),
    Mutant("the residuals of the other branch", "ad/control.py",
           "if other is mine else stand_in", "if other is not mine else stand_in", f"{LOOPS} -k taichi_1074"),
    Mutant("a tangent that is written to", "ad/api.py",
           "if k in call.function.mut else v)", "if False else v)", "tests/ad/test_mut.py -k tangent"),
    # effects and passes
    Mutant("a store that writes nothing", "lms/core/primitives/array.py",
           "_store_eager, Effect(writes=(0,)), lowered", "_store_eager, Effect(), lowered", f"{MEANING} -k slice"),
    Mutant("equal loads with a write between", "lms/passes/cse.py",
           "reads = self.effects.of(node).reads & self.written", "reads = frozenset()", f"{CSE} -k apart"),
    Mutant("a load that leaves a loop which writes", "lms/passes/licm.py",
           "if self.effects.of(node).reads & changes:", "if False:", f"{CSE} -k what_the_loop_writes"),
    Mutant("an error that leaves a loop which may not run", "lms/passes/licm.py",
           "block, _runs(node))", "block, True)", f"{CSE} -k may_not_run"),
    Mutant("a number minus itself", "lms/passes/rules.py",
           "if _exact(x):\n        if x is y:", "if x is y or _exact(x):\n        if x is y:",
           "tests/passes/test_fold.py -k left_alone"),
    Mutant("a store that is loaded is dropped", "lms/passes/dce.py",
           "if root not in self.roots:", "if False:", f"{CSE} -k read_later"),
    Mutant("a read that moves over a write", "lms/passes/fuse.py",
           "if k < len(places) and places[k] < last:", "if False:", f"{MEANING} -k w9_"),
    Mutant("a negative index in range", "lms/passes/bounds.py",
           "return self.facts.prove(low) and", "return", "tests/passes/test_bounds.py"),
    Mutant("numbers for an array that is written to afterwards", "lms/passes/carry.py",
           "is block and self.place[w][1] < last for w", "is block for w",
           "tests/passes/test_carry.py -k written_after_the_branch"),
    Mutant("a clear that somebody sees", "lms/passes/stores.py",
           "(access.changes & mine) - access.reads - read", "(access.changes & mine) - access.reads",
           "tests/passes/test_stores.py -k clear"),
    Mutant("a recurrence for a sum", "lms/passes/turn.py",
           "and _sums(body)", "", "tests/passes/test_stores.py -k order_shows"),
    Mutant("a shadow that is passed on is made again", "ad/residuals/closing.py",
           "return v not in self._given_away and all(", "return all(", "tests/ad/test_residuals.py"),
    Mutant("a decision that is taken again", "ad/residuals/closing.py",
           "return node.op.elementwise and not _is_real(node.result) and any(map(_is_real, node.operands))", "return False",
           "tests/ad/test_residuals.py -k decided"),
    Mutant("memory that is wanted only where it is read", "ad/activity.py",
           "return bool(changed & self.roots) or any(", "return any(",
           "tests/ad/test_activity.py -k read_later"),
    # the back end, and the front
    Mutant("a remainder with the sign of the dividend", "backends/llvm/scalar.py",
           "opposite = w.op(f\"icmp slt", "opposite = w.op(f\"icmp sgt", "tests/backends/test_llvm_scalars.py -k mod"),
    Mutant("arguments that overlap", "backends/llvm/leaves.py",
           "if k != m and isinstance", "if k < m and isinstance", f"{MEANING} -k w4_aliased"),
    Mutant("an int divided by zero", "staging/library/elementwise.py",
           "if known is None or known == 0:", "if known == 0:", f"{MEANING} -k w10_"),
    Mutant("a global that changes", "staging/functions.py",
           "return all(d.holds() for d in self.dependencies)", "return True", f"{MEANING} -k w11_"),
    Mutant("code that was compiled at another level", "backends/llvm/cache.py",
           "\\0{opt}\\0", "\\0", "tests/backends/test_cache.py -k another_text"),
]
SAMPLE = frozenset({"a store leaves its shadow", "equal loads with a write between",
                    "a residual of the iteration before"})  # what runs by default; `-m slow` runs all


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the tree, links as links."""
    root = tmp_path_factory.mktemp("copy")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, root / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        else:
            shutil.copy(ROOT / part, root / part)
    yield root
    shutil.rmtree(root)


def run(root: Path, tests: str, names: str = "") -> subprocess.CompletedProcess[str]:
    """Run tests in the copy, whose modules are found before the installed ones."""
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests.split()]
    command += ["-k", names] if names else []
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=240)


def test_every_defect_has_its_place() -> None:
    assert not [m.name for m in MUTANTS if (ROOT / m.file).read_text(encoding="utf-8").count(m.old) != 1]


@pytest.mark.slow(sample=True)
def test_the_copy_is_what_runs(copy: Path) -> None:
    (copy / "tests" / "test_copy.py").write_text(
        f"import lms.ad.activity\ndef test(): assert lms.ad.activity.__file__.startswith({str(copy)!r})\n", encoding="utf-8")
    done = run(copy, "tests/test_copy.py")
    assert done.returncode == 0, done.stdout


@pytest.mark.slow(sample=True)
def test_without_a_defect_they_pass(copy: Path) -> None:
    chosen = [mutant.tests.partition(" -k ") for mutant in MUTANTS if mutant.name in SAMPLE]
    files = {file for file, _, _ in chosen}
    done = run(copy, " ".join(files), " or ".join(name for _, _, name in chosen))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("mutant", [
    pytest.param(m, id=m.name, marks=pytest.mark.slow(sample=m.name in SAMPLE)) for m in MUTANTS
])
def test_mutant(mutant: Mutant, copy: Path) -> None:
    file = copy / mutant.file
    text = file.read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1, f"{mutant.file} has this text {text.count(mutant.old)} times: {mutant.old!r}"
    try:
        file.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        done = run(copy, mutant.tests)
    finally:
        file.write_text(text, encoding="utf-8")
    crashed = done.returncode < 0  # out of bounds, for example
    assert crashed or done.returncode == pytest.ExitCode.TESTS_FAILED, f"not seen by {mutant.tests}:\n{done.stdout[-2000:]}"


def test_there_are_twenty() -> None:
    assert len(MUTANTS) >= 20
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
