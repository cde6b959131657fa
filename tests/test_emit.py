"""What programs are written as, and what others make of it: C programs, C compilers, the command line, ctypes."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lms
from lms import Array, Mut, Rep, f64, i64
from lms.backends.c.build import STRICT, build
from lms.core.errors import LmsError
from lms.emit import FORMS, TEXT, emit
from tests.support.c import needs_compiler

EXAMPLES = Path(__file__).parents[1] / "examples" / "c"
FLAGS = (*STRICT, "-O1")


@lms.stage
def scale(x: Rep[Array[f64, "n", "m"]], k: Rep[f64], shift: Rep[i64]):
    """k x + shift, and the sum of it."""
    y = k * x + shift
    return y, np.sum(y)


@lms.stage
def pick(x: Rep[Array[f64, "n"]], k: Rep[i64]):
    return x[k]


@lms.stage
def positive(x: Rep[Array[f64, "n"]]):
    """The positive numbers among x."""
    return x[x > 0.0]


@lms.stage
def bump(x: Mut[Array[f64, "n"]], by: Rep[f64]):
    for i in lms.range(len(x)):
        print(f"{x[i]} becomes {x[i] + by:8.3f}")
        x[i] += by


def main_of(f: lms.api.Staged, folder: Path) -> Path:
    source = folder / "program.c"
    source.write_text(f.specialize().emit_c(main=True))
    return build([source], folder / "program", FLAGS)


def said(program: Path, *arguments: object) -> str:
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("form", TEXT)
def test_every_text(form: str) -> None:
    if form == "svg" and not shutil.which("dot"):
        with pytest.raises(LmsError, match="the program `dot` is not found"):
            emit([pick.specialize()], form)
        return
    text = emit([pick.specialize()], form)
    assert isinstance(text, str) and "pick" in text


@needs_compiler
@pytest.mark.parametrize("form", sorted(set(FORMS) - set(TEXT)))
def test_what_is_compiled_exports_the_functions(form: str, tmp_path: Path) -> None:
    (tmp_path / "lib.o").write_bytes(emit([pick.specialize(), positive.specialize()], form))
    names = subprocess.run(["nm", "-g", tmp_path / "lib.o"], capture_output=True, text=True, check=True).stdout
    assert {"pick", "positive", "positive_finish"} <= {line.split()[-1] for line in names.splitlines() if " T " in line}


def test_without_a_compiler_there_is_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    assert "pick" in emit([pick.specialize()], "c")
    with pytest.raises(LmsError, match="no C compiler"):
        emit([pick.specialize()], "shared")


# ------------------------------------------------------------------------------------------ main programs


@needs_compiler
def test_main_reads_npy_files(tmp_path: Path) -> None:
    program = main_of(scale, tmp_path)
    x = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "x.npy", x)
    rows = said(program, tmp_path / "x.npy", 0.1, -2).splitlines()
    expected, total = scale(x, 0.1, -2)
    assert np.array_equal([list(map(float, row.split())) for row in rows[:2]], expected)
    assert float(rows[2]) == total


@needs_compiler
@pytest.mark.parametrize("saved, message", [
    (np.arange(6), "expected numbers of type <f8"), (np.arange(6.0), "has another number of axes"),
    (np.asfortranarray(np.ones((2, 3))), "Fortran"), (np.ones((2, 3), ">f8"), "expected numbers"), (None, "cannot be read")])
def test_main_refuses_other_files(saved: object, message: str, tmp_path: Path) -> None:
    program = main_of(scale, tmp_path)
    if saved is not None:
        np.save(tmp_path / "x.npy", saved)
    run = subprocess.run([program, tmp_path / "x.npy", "1", "2"], capture_output=True, text=True)
    assert run.returncode == 2 and message in run.stderr


@needs_compiler
def test_main_reads_lists_and_says_what_fails_where(tmp_path: Path) -> None:
    program = main_of(pick, tmp_path)
    assert float(said(program, "1.5,2.5,-3", -1)) == -3.0
    run = subprocess.run([program, "1,2", "2"], capture_output=True, text=True)
    line = pick.unstaged.__code__.co_firstlineno + 2
    assert run.returncode == 1
    assert run.stderr == f"test_emit.py:{line}: index 2 is out of bounds for axis of size 2\n"
    for wrong in (["1,x", "0"], ["1,2", "0.5"], ["1,2"]):
        assert subprocess.run([program, *wrong], capture_output=True).returncode == 2


@needs_compiler
def test_main_prints_as_python_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.array([0.1, 1e22, -0.0, np.nan, np.inf, 123456.789, 5e-324, 1e16])
    program = main_of(bump, tmp_path)
    out = said(program, ",".join(map(repr, x.tolist())), 0.25).splitlines()
    bump(x, 0.25)
    assert out[:8] == capsys.readouterr().out.splitlines()
    assert same_numbers(out[8], x)


def same_numbers(text: str, x: np.ndarray) -> bool:
    return np.array_equal(list(map(float, text.split())), x, equal_nan=True)


def test_main_takes_no_records() -> None:
    with pytest.raises(LmsError, match="a main program runs one function"):
        emit([pick.specialize(), positive.specialize()], "c", main=True)


# --------------------------------------------------------------------------------------------- from C, by ctypes


def written(folder: Path, *functions: lms.api.Staged) -> list[Path]:
    """The C and the header of some functions."""
    programs = [f.specialize() for f in functions]
    for form in ("c", "h"):
        (folder / f"made.{form}").write_text(str(emit(programs, form)))
    return [folder / "made.c"]


CALLER = """
#include <stdio.h>
#include "made.h"

int main(void) {
    double x[] = {1, -2, 3, -4, 5}, at;
    lms_context lms = {0};
    lms_array_f64_1 found;
    if (positive(&lms, 5, x, &found) != LMS_OK || found.shape[0] != 3) return 1;
    for (int i = 0; i < 3; i++) printf("%g ", found.data[i]);
    if (pick(NULL, 5, x, -5, &at) != LMS_OK || at != 1) return 2;
    if (pick(&lms, 5, x, 5, &at) != LMS_INDEX_ERROR) return 3;
    printf("%s:%d %s", lms.file, lms.line, lms.message);
    if (positive(&lms, 5, x, &found) != LMS_OK) return 4;
    lms_finish(&lms);
    return lms.held == 0 && lms.blocks == NULL ? 0 : 5;
}
"""


@needs_compiler
def test_a_c_program_calls_them(tmp_path: Path) -> None:
    (tmp_path / "caller.c").write_text(CALLER)
    program = build([tmp_path / "caller.c", *written(tmp_path, positive, pick)], tmp_path / "caller", FLAGS)
    line = pick.unstaged.__code__.co_firstlineno + 2
    assert said(program) == f"1 3 5 test_emit.py:{line} index 5 is out of bounds for axis of size 5"


@needs_compiler
def test_the_header_is_one_for_cplusplus_too(tmp_path: Path) -> None:
    written(tmp_path, positive, pick)
    (tmp_path / "use.c").write_text('#include "made.h"\n#include "made.h"\nint main(void) { return 0; }\n')
    build([tmp_path / "use.c"], tmp_path / "use", FLAGS)
    if (cxx := shutil.which("g++")) is not None:
        flags = ["-x", "c++", "-std=c++17", "-Wall", "-Werror"]
        subprocess.run([cxx, *flags, tmp_path / "use.c", "-o", tmp_path / "use"], check=True)


@needs_compiler
def test_memory_may_be_the_callers(tmp_path: Path) -> None:
    """Enough of it serves any number of calls; too little is an error, after which it is whole again."""
    from lms.backends import c

    @lms.stage
    def chain(x: Rep[Array[f64, "n"]], steps: Rep[i64]):
        a, b = np.copy(x), np.zeros_like(x)
        for _ in lms.range(steps):
            t = np.cumsum(a)
            b[:] = t / t[-1]
            a, b = b, a
        return a

    called = c.compile(chain.specialize().program)
    memory = (ctypes.c_char * 8192)()
    context = c.Context(workspace=ctypes.addressof(memory) + (-ctypes.addressof(memory)) % 16, workspace_size=8176)
    called.context = lambda: context
    x = np.linspace(1.0, 2.0, 40)
    for steps in (0, 1, 50):
        np.testing.assert_allclose(called(x, steps)[0], chain(x, steps), rtol=1e-12)
        assert context.held == 0 and 0 < context.most <= 8176
    for _ in range(3):
        with pytest.raises(MemoryError, match="no memory"):
            called(np.ones(600), 2)
        assert context.held == 0
    np.testing.assert_allclose(called(x, 9)[0], chain(x, 9), rtol=1e-12)


@needs_compiler
def test_lines_for_debuggers(tmp_path: Path) -> None:
    """The compiler speaks of the user's lines, and the file's own lines go on after a function."""
    text = pick.specialize().emit_c(lines=True)
    line = pick.unstaged.__code__.co_firstlineno + 2
    assert f'#line {line} "test_emit.py"' in text
    numbers = [(k, text.splitlines()[k - 1]) for k in range(1, len(text.splitlines()) + 1)]
    back = [(k, each) for k, each in numbers if each.startswith("#line") and "pick.c" in each]
    assert back and all(each == f'#line {k + 1} "pick.c"' for k, each in back)
    (tmp_path / "pick.c").write_text(text)
    build([tmp_path / "pick.c"], tmp_path / "pick.o", FLAGS)


# ---------------------------------------------------------------------------------------------- examples


def lms_compile(folder: Path, form: str, output: str) -> None:
    subprocess.run([sys.executable, "-m", "lms", "compile", f"{EXAMPLES / 'logistic.py'}:loss", "--grad", "--emit", form, "-o",
                    folder / output], check=True, timeout=120)


@needs_compiler
def test_the_example_in_c(tmp_path: Path) -> None:
    lms_compile(tmp_path, "c", "gradient.c")
    lms_compile(tmp_path, "h", "gradient.h")
    program = build([EXAMPLES / "train.c", tmp_path / "gradient.c"], tmp_path / "train", (*FLAGS, f"-I{tmp_path}"))
    assert said(program) == "6 of 6 rows right, in 96 bytes of memory\n"


@needs_compiler
def test_the_example_by_ctypes(tmp_path: Path) -> None:
    lms_compile(tmp_path, "shared", "gradient.so")
    call = [sys.executable, EXAMPLES / "call.py", "gradient.so"]  # as its first lines say
    assert subprocess.run(call, capture_output=True, text=True, check=True, cwd=tmp_path).stdout == "99% right\n"
