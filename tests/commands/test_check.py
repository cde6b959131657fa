"""`lms check` and `lms explain`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lms.cli import main
from lms.frontend.codes import CODES

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.lms"
    path.write_text("let θ = 1 2\nlet y = f(1,\n", encoding="utf-8")
    return path


def test_mistakes_are_shown_with_carets_and_counted(wrong: Path, capsys: Captured) -> None:
    assert main(["check", str(wrong)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{wrong}:1: E0101: expected" in err and "    1 | let θ = 1 2\n      |           ^\n" in err
    assert err.endswith("\n2 mistakes; `lms explain E0101` says more\n")


def test_editors_get_json(wrong: Path, capsys: Captured) -> None:
    assert main(["check", "--json", str(wrong)]) == 1
    out, err = capsys.readouterr()
    first, second = json.loads(out)
    assert err == ""
    assert first["code"] == "E0101" and first["file"] == str(wrong)
    assert (first["line"], first["column"], first["end_line"], first["end_column"]) == (1, 12, 1, 13)  # θ takes two bytes
    assert second["notes"][0]["line"] == 2 and "opened here" in second["notes"][0]["message"]


def test_another_encoding_is_a_mistake_too(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "latin.lms"
    path.write_bytes(b"let a = 1\n// caf\xe9\n")
    assert main(["check", "--json", str(path)]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["code"], found["line"]) == ("E0103", 2)


def test_a_file_without_mistakes(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "right.lms"
    path.write_text("def square(x: f64): f64 = x * x\n", encoding="utf-8")
    assert main(["check", str(path)]) == 0
    assert capsys.readouterr() == ("", "no mistakes in 1 file\n")
    assert main(["check", "--json", str(path)]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_explained(code: str, capsys: Captured) -> None:
    assert main(["explain", code.lower()]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{code}: {CODES[code][0]}\n\n") and CODES[code][1] in out


def test_the_codes_are_listed(capsys: Captured) -> None:
    assert main(["explain"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(CODES)
    assert main(["explain", "E9999"]) == 2
    assert capsys.readouterr().err == "lms: no code 'E9999'; `lms explain` lists them\n"


def test_a_module_that_is_no_text_is_a_mistake_of_the_import(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "other.lms").write_bytes(b"let x = '\xff'")
    path = tmp_path / "model.lms"
    path.write_text("import other\n", encoding="utf-8")
    assert main(["check", str(path)]) == 1
    shown = capsys.readouterr().err
    assert "model.lms:1: E0209: `other.lms` cannot be read: it is not UTF-8\n" in shown
