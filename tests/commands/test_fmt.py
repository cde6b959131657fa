"""`lms fmt`: what it writes where, and its exit status."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from lms.cli import main

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    path = tmp_path / "messy.lms"
    path.write_text("let x=1 // one\n", encoding="utf-8")
    return path


def test_a_file_is_laid_out_in_place_and_then_left_alone(messy: Path, capsys: Captured) -> None:
    assert main(["fmt", str(messy)]) == 0
    assert messy.read_text(encoding="utf-8") == "let x = 1 // one\n"
    assert capsys.readouterr() == ("", "1 file changed\n")
    assert main(["fmt", str(messy)]) == 0
    assert capsys.readouterr().err == "0 files changed\n"


@pytest.mark.parametrize("option", ["--check", "--diff"])
def test_nothing_changes_where_one_only_asks(option: str, messy: Path, capsys: Captured) -> None:
    before = messy.read_bytes()
    assert main(["fmt", option, str(messy)]) == 1
    assert messy.read_bytes() == before
    captured = capsys.readouterr()
    assert captured.err.endswith("1 file would change\n")
    assert ("-let x=1 // one\n+let x = 1 // one\n" in captured.out) == (option == "--diff")
    main(["fmt", str(messy)])
    assert main(["fmt", option, str(messy)]) == 0


def test_a_folder_means_the_files_in_it(messy: Path, capsys: Captured) -> None:
    inner = messy.parent / "inner"
    inner.mkdir()
    (inner / "other.lms").write_text("f( )", encoding="utf-8")
    hidden = messy.parent / ".hidden"
    hidden.mkdir()
    (hidden / "third.lms").write_text("f( )", encoding="utf-8")
    assert main(["fmt", str(messy.parent)]) == 0
    assert capsys.readouterr().err == "2 files changed\n"
    assert (hidden / "third.lms").read_text(encoding="utf-8") == "f( )"


def test_standard_input_goes_to_standard_output(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"f( )"), encoding="ascii"))
    assert main(["fmt", "-"]) == 0
    assert capsys.readouterr() == ("f()\n", "")


def test_what_cannot_be_read_is_said_and_the_rest_laid_out(messy: Path, capsys: Captured) -> None:
    wrong = messy.parent / "a_wrong_one.lms"
    wrong.write_text("let = 3", encoding="utf-8")
    assert main(["fmt", str(messy.parent)]) == 1
    shown = capsys.readouterr().err
    assert "a_wrong_one.lms:1: E0101: expected" in shown and shown.endswith("1 file changed\n")
    assert wrong.read_text(encoding="utf-8") == "let = 3"


def test_lines_end_as_they_did(tmp_path: Path) -> None:
    path = tmp_path / "dos.lms"
    path.write_bytes(b"let a=1\r\nlet b = 2\r\n")
    assert main(["fmt", str(path)]) == 0
    assert path.read_bytes() == b"let a = 1\r\nlet b = 2\r\n"
    assert main(["fmt", "--check", str(path)]) == 0
