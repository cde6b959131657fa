"""`lms compile`, `lms ir`, `lms grad`, `lms graph`: what they print, and where to."""

from __future__ import annotations

from pathlib import Path

import pytest

from lms.cli import main

Captured = pytest.CaptureFixture[str]
POWER = str(Path(__file__).parents[2] / "examples" / "power.py")


@pytest.mark.parametrize(("emit", "expected"), [("python", "def power(b):"), ("ir", "entry def power"), ("llvm", "define"),
                                                ("asm", ".text"), ("dot", "digraph"), ("html", "<!doctype html>"),
                                                ("c", "double power(double b) {"), ("h", "double power(double b);")])
def test_compile(emit: str, expected: str, capsys: Captured) -> None:
    assert main(["compile", f"{POWER}:power", "n=5", "--emit", emit]) == 0
    assert expected.lower() in capsys.readouterr().out.lower()


def test_compile_a_gradient_into_a_file(tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "dpower.py"
    assert main(["compile", f"{POWER}:power", "n=3", "--grad", "--emit", "python", "-o", str(out)]) == 0
    assert capsys.readouterr().out == ""
    compile(out.read_text(), str(out), "exec")


def test_what_is_no_text_needs_a_file(capsys: Captured) -> None:
    assert main(["compile", f"{POWER}:power", "n=3", "--emit", "shared"]) == 2
    assert "--emit shared makes a file: name it with -o" in capsys.readouterr().err


def test_ir_after_a_pass(capsys: Captured) -> None:
    assert main(["ir", f"{POWER}:power", "n=2"]) == 0
    staged = capsys.readouterr().out
    assert staged.startswith("entry def power(%b: f64) -> (f64) {")
    assert main(["ir", f"{POWER}:power", "n=2", "--after", "all"]) == 0
    steps = capsys.readouterr().out
    assert steps.startswith("// after ") and steps.count("entry def power") == steps.count("// after ") > 10
    assert main(["ir", f"{POWER}:power", "n=2", "--after", "nothing"]) == 2
    assert "no pass 'nothing'; the passes are " in capsys.readouterr().err


def test_the_passes_are_those_of_the_functions_options(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "fast.py"
    path.write_text("import lms\n\n@lms.stage(fastmath=True)\ndef f(x: lms.Rep[lms.f64]):\n    return x * x\n", encoding="utf-8")
    assert main(["ir", f"{path}:f", "--after", "fastmath"]) == 0
    assert "mul %x, %x {fast}" in capsys.readouterr().out


def test_a_gradient_is_shown_as_python(capsys: Captured) -> None:
    assert main(["grad", f"{POWER}:power", "n=2", "--wrt", "b"]) == 0
    program: dict[str, object] = {}
    exec(capsys.readouterr().out, program)
    assert program["grad_power"](3.0) == 6.0
    assert main(["grad", f"{POWER}:power", "n=2", "--wrt", "c"]) == 1
    assert "no argument 'c'" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "begin"), [("g.dot", "digraph"), ("g.html", "<!DOCTYPE html>")])
def test_a_graph_is_written_by_its_suffix(name: str, begin: str, tmp_path: Path) -> None:
    assert main(["graph", f"{POWER}:power", "n=2", "-o", str(tmp_path / name)]) == 0
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(begin)


def test_a_graph_needs_a_suffix_it_knows(tmp_path: Path, capsys: Captured) -> None:
    assert main(["graph", f"{POWER}:power", "n=2", "-o", str(tmp_path / "g.png")]) == 2
    assert "not to .png" in capsys.readouterr().err
    assert main(["graph", f"{POWER}:power", "n=2"]) == 0
    assert capsys.readouterr().out.startswith("digraph")


@pytest.mark.parametrize(("call", "message"), [
    (["compile", "nowhere.py:f"], "no such file"),
    (["compile", str(POWER)], "expected file.py:function"),
    (["compile", f"{POWER}:nope"], "staged functions there: power"),
    (["compile", f"{POWER}:power", "n"], "expected name=value"),
])
def test_a_wrong_target(call: list[str], message: str, capsys: Captured) -> None:
    assert main(call) == 2
    assert message in capsys.readouterr().err


MODEL = """\
def power(b: Rep[f64], n: i64): Rep[f64] = if n == 0 { 1.0 } else { b * power(b, n - 1) }
/// The cube of a number.
export def cube(b: Rep[f64]): Rep[f64] = power(b, 3)
export def slope(b: Rep[f64]): Rep[f64] = grad(cube)(b)
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.lms"
    path.write_text(MODEL, encoding="utf-8")
    return path


def test_all_that_a_file_exports(model: Path, capsys: Captured) -> None:
    assert main(["ir", str(model)]) == 0
    assert capsys.readouterr().out.count("entry def ") == 2
    assert main(["compile", str(model), "--emit", "h"]) == 0
    header = capsys.readouterr().out
    assert "double cube(double b);" in header and "The cube of a number." in header and "double slope(double b);" in header


def test_one_function_of_a_file(model: Path, capsys: Captured) -> None:
    assert main(["grad", f"{model}:cube"]) == 0
    program: dict[str, object] = {}
    exec(capsys.readouterr().out, program)
    assert program["grad_cube"](2.0) == 12.0
    assert main(["compile", f"{model}:slope", "--emit", "c", "--main"]) == 0
    assert "int main(" in capsys.readouterr().out
    assert main(["ir", f"{model}:power", "n=2"]) == 0
    assert "entry def power" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "message"), [
    (["compile", "{}:nope"], "it exports cube, slope"),
    (["compile", "{}", "--emit", "obj"], "name it with -o"),
    (["compile", "{}", "--emit", "ir", "--main"], "--main belongs to C"),
    (["graph", "{}"], "one graph is drawn at a time"),
])
def test_what_cannot_be_written(words: list[str], message: str, model: Path, capsys: Captured) -> None:
    assert main([word.format(model) for word in words]) == 2
    assert message in capsys.readouterr().err


def test_a_file_that_exports_nothing_or_has_mistakes(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "model.lms"
    path.write_text("def f(x: f64): f64 = x\n", encoding="utf-8")
    assert main(["compile", str(path)]) == 2
    assert "exports nothing: write `export` before a `def`" in capsys.readouterr().err
    path.write_text("export def f(x: Rep[f64]): f64 = x\n", encoding="utf-8")
    assert main(["compile", str(path)]) == 1
    shown = capsys.readouterr().err
    assert "E0401" in shown and "^" in shown
