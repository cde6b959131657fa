"""The prompt: fed from a pipe, and from a terminal."""

from __future__ import annotations

import io
import os
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lms.cli import main

Captured = pytest.CaptureFixture[str]


def converse(text: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    status = main(["repl", *words])
    return status, *capsys.readouterr()


@pytest.mark.parametrize(("text", "printed"), [
    ("1 + 2\n", "3\n"),
    ("let x = 2\nx * x\nlet x = 0.5\nx * x\n", "4\n0.25\n"),
    ("def f(x: Rep[f64]): Rep[f64] = {\n  x * x\n}\nf(3.0)\n", "9.0\n"),
    ("var n = 1\nn += 4\nn\n", "5\n"),
    ("data T = A(x: i64) | B\nmatch A(3) {\n  A(x) => x\n  B => 0\n}\n", "3\n"),
    ("reset { 1 + shift { k => k(k(10)) } }", "12\n"),
    (":type 1.5\n", "f64  // known now\n"),
    (":t fn(x: Rep[f64]) => x + 1.0\n", "(Rep[f64]) -> Rep[f64]  // known now: calls make code of what is known later\n"),
    ("var a = zeros(2)\na[0] = 3.0\nlet b = a\na[1] = 1.0\n(a, b)\n", "([3.0, 1.0], [3.0, 0.0])\n"),
    ("var v: Rep[f64] = 1.0\nv = v + 1.0\nv\n", "2.0\n"), ("1\n:quit\n2\n", "1\n"), ("{\n1\n}\n:q\n2\n", "1\n"),
    ("def f(x: Rep[f64]): Rep[f64] = x * x\n:ir f\n",
     "entry def f(%x: f64) -> (f64) {\n  %0: f64 = mul %x, %x\n  return %0\n}\n\n"),
])
def test_what_is_typed_is_answered(text: str, printed: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    assert converse(text, monkeypatch, capsys) == (0, printed, "")


@pytest.mark.parametrize(("text", "said"), [
    ("nope\n1\n", "<prompt 1>:1: E0201: `nope` is not defined\n    1 | nope\n      | ^^^^\n"),
    ("f(\n", "E0102"),
    (":what\n1\n", "lms: no command :what; there are :type, "),
    (":type\n1\n", "lms: of what? for example :type x + 1\n"),
    (":load nowhere.lms\n1\n", "lms: no such file: nowhere.lms\n"),
    ("lift(1) / lift(0)\n1\n", "<prompt 1>:1: ZeroDivisionError: integer division or modulo by zero\n    1 | lift(1)"),
    ("def f(x: f64): f64 = y\n1\n", "E0201"),
])
def test_a_mistake_ends_nothing(text: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    status, out, err = converse(text, monkeypatch, capsys)
    assert status == 1 and said in err and "Traceback" not in err
    assert out == ("1\n" if text.endswith("1\n") else "")


def test_a_file_is_loaded_where_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    (tmp_path / "one.lms").write_text("def one(): i64 = 1\n")
    (tmp_path / "two.lms").write_text("import one\ndef two(): i64 = one.one() + 1\ntwo()\n")
    (tmp_path / "wrong.lms").write_text("let a = 1\nnope\n")
    load = f":load {tmp_path}"
    assert converse(f"{load}/two.lms\ntwo() + one.one()\n", monkeypatch, capsys) == (0, "2\n3\n", "")
    _, _, err = converse(f"{load}/wrong.lms\n", monkeypatch, capsys)
    assert err.startswith(f"{tmp_path}/wrong.lms:2: E0201: `nope` is not defined\n")


def test_what_failed_is_not_remembered(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    _, out, _ = converse("let x = 1\nlet x = 1 / 0\nx\n", monkeypatch, capsys)
    assert out == "1\n"


def test_a_program_in_its_other_forms(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    text = "def f(x: Rep[f64]): Rep[f64] = x * x\n:c f\n:python grad(f)(lift(3.0))\n:help\n"
    status, out, err = converse(text, monkeypatch, capsys)
    assert (status, err) == (0, "")
    assert "double f(double x) {" in out and "def it():" in out and ":type    The type of an expression" in out


def test_a_file_to_begin_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    path = tmp_path / "model.lms"
    path.write_text("def double(x: i64): i64 = 2 * x\n", encoding="utf-8")
    assert converse("double(21)\n", monkeypatch, capsys, str(path)) == (0, "42\n", "")


def test_words_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    from lms.commands.repl import Prompt
    from lms.files import execute
    from lms.frontend.tools.session import Session

    prompt = Prompt(Session(execute))
    list(prompt.session.enter("let winter = 1"))
    assert [prompt.complete("wi", k) for k in range(3)] == ["winter", "with", None]
    assert prompt.complete(":ty", 0) == ":type" and prompt.complete("tan", 0) == "tan"


def test_at_a_terminal(tmp_path: Path) -> None:
    """Prompts for what is not complete, Ctrl-C drops it, Ctrl-D ends; what was typed is kept."""
    pty = pytest.importorskip("pty")
    outer, inner = pty.openpty()
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "TERM": "dumb"}
    command = ("import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"  # so that Ctrl-C reaches it
               "from lms.cli import main; raise SystemExit(main(['repl']))")
    with subprocess.Popen([sys.executable, "-c", command], stdin=inner, stdout=inner, stderr=inner, env=environment,
                          start_new_session=True) as process:
        os.close(inner)
        seen = ""

        def until(mark: str) -> None:
            """Read on until the terminal shows this."""
            nonlocal seen
            while mark not in seen:
                assert select.select([outer], [], [], 20)[0], f"{mark!r} does not come"
                seen += os.read(outer, 1000).decode()
            seen = seen.partition(mark)[2]

        def type(text: str) -> None:
            """Type as a person does: readline shows its prompt before it listens."""
            time.sleep(0.3)
            os.write(outer, text.encode())

        try:
            until("lms> ")
            for typed, *answers in (("{ 20 +\n", "...> "), ("22 }\n", "42", "lms> "), ("{\n", "...> "), ("\x03", "lms> "),
                                    ("1.5\n", "1.5", "1.5", "lms> ")):
                type(typed)
                for answer in answers:
                    until(answer)
            type("\x04")
            assert process.wait(60) == 0
        finally:
            process.kill()
    os.close(outer)
    assert "1.5" in (tmp_path / "lms" / "history").read_text(encoding="utf-8")
