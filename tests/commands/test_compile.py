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


def test_a_gradient_is_shown_as_python(capsys: Captured) -> None:
    assert main(["grad", f"{POWER}:power", "n=2", "--wrt", "b"]) == 0
    program: dict[str, object] = {}
    exec(capsys.readouterr().out, program)
    assert program["grad_power"](3.0) == 6.0  # type: ignore[operator]  # what the text defines
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
    (["compile", "power"], "expected file.py:function"),
    (["compile", f"{POWER}:nope"], "staged functions there: power"),
    (["compile", f"{POWER}:power", "n"], "expected name=value"),
])
def test_a_wrong_target(call: list[str], message: str, capsys: Captured) -> None:
    assert main(call) == 2
    assert message in capsys.readouterr().err
