"""Files that are not there, or no text; pipes and interruptions: one line, no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lms.cli import main

LMS = [sys.executable, "-m", "lms"]


@pytest.mark.parametrize(("content", "message"), [
    (None, "no such file"),
    (b"\x7fELF\0\0", "is a binary file, not text"),
    (b"let x = 1\nlet y = '\xff'", "wrong.lms:2 is not UTF-8"),
])
def test_no_text(content: bytes | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wrong.lms"
    if content is not None:
        path.write_bytes(content)
    assert main(["fmt", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and err.startswith("lms: ") and err.count("\n") == 1


def test_a_folder_where_a_file_is_expected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"lms: {tmp_path} is a directory, expected a file\n"
    assert main(["fmt", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"lms: no .lms files in {tmp_path}\n"


@pytest.mark.parametrize(("word", "remedy"), [("comple", "did you mean 'compile'?"), ("xyzzy", "`lms --help` lists them")])
def test_a_word_that_is_no_command(word: str, remedy: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == 2
    assert capsys.readouterr().err == f"lms: no command '{word}'; {remedy}\n"


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "long.lms"
    path.write_text(("f( " + "x" * 90 + " )\n") * 1_000, encoding="utf-8")
    with subprocess.Popen([*LMS, "fmt", "--diff", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.skipif(os.name == "nt", reason="no signals")
def test_an_interruption_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "long.py"
    path.write_text("import time\nprint('ready', flush=True)\ntime.sleep(60)\n", encoding="utf-8")
    with subprocess.Popen([*LMS, "run", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b"lms: interrupted\n"
    assert process.returncode == 130


def test_a_programs_own_error_is_shown_as_python_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wrong.py"
    path.write_text("def f():\n    return 1 // 0\nf()\n", encoding="utf-8")
    assert main(["run", str(path)]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback") and shown.endswith("ZeroDivisionError: integer division or modulo by zero\n")
    assert "runpy" not in shown and "commands" not in shown and "line 3, in <module>" in shown


def test_no_colours_but_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    from lms.commands.console import paint_report

    class Terminal:
        def isatty(self) -> bool:
            return True

    report = "a.lms:1: E0101: expected\n    1 | let = 3\n      |     ^\nfix: a name"
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    painted = paint_report(report, Terminal())
    assert "\033[1;31mE0101\033[0m" in painted and "\033[32mfix:\033[0m" in painted
    monkeypatch.setenv("NO_COLOR", "1")
    assert paint_report(report, Terminal()) == report
    monkeypatch.delenv("NO_COLOR")
    assert paint_report(report, sys.__stdout__ or sys.stdout) == report or sys.stdout.isatty()
