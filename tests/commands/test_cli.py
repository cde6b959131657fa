"""The command line: what it prints, and its exit status for mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lms.cli import main


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "compile" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.startswith("lms ")


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
