"""`lms run` and `lms test` of .lms files."""

from __future__ import annotations

from pathlib import Path

import pytest

from lms.cli import main

Captured = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]


def write(folder: Path, text: str) -> str:
    path = folder / "model.lms"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_values_at_the_top_are_printed_in_order(tmp_path: Path, capsys: Captured) -> None:
    path = write(tmp_path, 'let x = 2\nx + 1\nprint("x is {x}")\ndef f(y: Rep[f64]): Rep[f64] = y * y\nf(1.5)\n()\n"s"\n')
    assert main(["run", path]) == 0
    assert capsys.readouterr() == ('3\nx is 2\n2.25\n"s"\n', "")


@pytest.mark.parametrize(("text", "shown"), [
    ("1\nlet x = y\n", "model.lms:2: E0201: `y` is not defined\n    2 | let x = y\n      |         ^\n"),
    ("1 / 0\n", "model.lms:1: E0502: 1 / 0: division by zero\n    1 | 1 / 0\n      | ^^^^^\n"),
    ("1\n[1][lift(2)]\n", "model.lms:2: E0401: "),
    ("1\nlift(1) / lift(0)\n", "model.lms:2: ZeroDivisionError: integer division or modulo by zero\n    2 | lift(1) / lift(0)\n"),
    ("def f(a: Rep[f64[n]]): Rep[f64] = a[3]\n", "model.lms:1: E0201: the dimension `n` is not declared\n"),
    ("def f[n](a: Rep[f64[n]]): Rep[f64] =\n  a[3]\nf(array([1.0]))\n", "model.lms:2: IndexError: "),
])
def test_a_mistake_is_shown_at_its_line(text: str, shown: str, tmp_path: Path, capsys: Captured) -> None:
    assert main(["run", write(tmp_path, text)]) == 1
    err = capsys.readouterr().err
    assert shown in err and "Traceback" not in err


def test_a_file_of_ours_takes_no_arguments(tmp_path: Path, capsys: Captured) -> None:
    assert main(["run", write(tmp_path, "1\n"), "2"]) == 2
    assert capsys.readouterr().err.endswith("model.lms takes no arguments\n")


def test_expected_output_is_compared_and_written(tmp_path: Path, capsys: Captured) -> None:
    path = write(tmp_path, "1 + 1\n//> 3\n")
    assert main(["test", path]) == 1
    assert capsys.readouterr().err == f"{path}:1: expected\n  3\nfound\n  2\n0 of 1 file ok\n"
    assert main(["test", "--update", path]) == 0
    assert Path(path).read_text(encoding="utf-8") == "1 + 1\n//> 2\n"
    assert main(["test", str(tmp_path)]) == 0
    assert capsys.readouterr().err.endswith("1 of 1 file ok\n")


def test_files_that_expect_nothing_are_counted(tmp_path: Path, capsys: Captured) -> None:
    path = write(tmp_path, "1 + 1\n")
    assert main(["test", path]) == 0
    assert capsys.readouterr().err == "1 of 1 file ok; 1 without a line `//>` to compare with\n"
    assert main(["test", write(tmp_path, "1 / 0\n")]) == 1
    assert "E0502: 1 / 0: division by zero\n0 of 1 file ok" in capsys.readouterr().err


def test_what_cannot_be_checked_fails(tmp_path: Path, capsys: Captured) -> None:
    assert main(["test", write(tmp_path, "1 +\n")]) == 1
    assert "E0102" in capsys.readouterr().err
