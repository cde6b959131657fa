"""The command line: what it prints, and its exit status for mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lms.cli import main

POWER = str(Path(__file__).parents[2] / "examples" / "power.py")


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "compile" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.startswith("lms ")


@pytest.mark.parametrize("emit, expected", [("python", "def power(b):"), ("c", "double power(double b)"),
                                            ("h", "double power(double b);"), ("ir", "entry def power"), ("llvm", "define"),
                                            ("asm", ".text"), ("dot", "digraph"), ("html", "<!doctype html>")])
def test_compile(emit: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", f"{POWER}:power", "n=5", "--emit", emit]) == 0
    assert expected.lower() in capsys.readouterr().out.lower()


def test_compile_a_gradient_into_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "dpower.py"
    assert main(["compile", f"{POWER}:power", "n=3", "--grad", "--emit", "python", "-o", str(out)]) == 0
    assert capsys.readouterr().out == ""
    compile(out.read_text(), str(out), "exec")


@pytest.mark.parametrize("call, message", [
    (["compile", "nowhere.py:f"], "no such file"),
    (["compile", "power"], "expected file.py:function"),
    (["compile", f"{POWER}:nope"], "staged functions there: power"),
    (["compile", f"{POWER}:power", "n"], "expected name=value"),
    (["run", "nowhere.py"], "no such file"),
])
def test_a_wrong_call(call: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(call) == 2
    assert message in capsys.readouterr().err


def test_the_users_mistake_is_shown_with_a_caret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.py"
    path.write_text("import lms\n@lms.stage\ndef f(x):\n    if x > 0.0:\n        y = x\n    return y\nf(1.0)\n")
    assert main(["run", str(path)]) == 1
    shown = capsys.readouterr().err
    assert f"{path}:6" in shown and "^" in shown and "fix:" in shown


def test_cache_and_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache"]) == 0
    assert "directory" in capsys.readouterr().out
    assert main(["doctor"]) == 0
    assert "llvm" in capsys.readouterr().out
