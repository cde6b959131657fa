"""The language server, over its protocol: a process is asked what an editor asks."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TEXT = """\
/// The square of a number.
def square(x: Rep[f64]): Rep[f64] = x * x

data Point = Point(left: f64, right: f64)
def scaled[n](a: Rep[f64[n]], to: i64): Rep[f64[n]] = {
  let θ = f64(to)
  square(2.0) * θ * a
}
let p = Point(1.0, 2.0)
p.left
"""


class Editor:
    """The other end of the protocol."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen([sys.executable, "-m", "lms", "lsp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.uri = (folder / "model.lms").as_uri()
        self.numbers = itertools.count(1)
        self.heard: list[dict[str, Any]] = []

    def send(self, method: str, params: dict[str, Any], number: int | None = None) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params} | ({} if number is None else {"id": number})
        body = json.dumps(message).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        length = 0
        while line := self.process.stdout.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        assert length, "the server has gone"
        message: dict[str, Any] = json.loads(self.process.stdout.read(length))
        return message

    def ask(self, method: str, **params: Any) -> Any:
        number = next(self.numbers)
        self.send(method, params, number)
        while (message := self.read()).get("id") != number or "method" in message:
            self.heard.append(message)
        assert "error" not in message, message["error"]
        return message["result"]

    def about(self, method: str, line: int, character: int) -> Any:
        return self.ask(f"textDocument/{method}", textDocument={"uri": self.uri}, position={"line": line, "character": character})

    def mistakes(self) -> list[dict[str, Any]]:
        """What the server says next of the mistakes in the text."""
        while True:
            message = self.heard.pop(0) if self.heard else self.read()
            if message.get("method") == "textDocument/publishDiagnostics":
                found: list[dict[str, Any]] = message["params"]["diagnostics"]
                return found

    def change(self, text: str, version: int) -> None:
        document = {"uri": self.uri, "version": version}
        self.send("textDocument/didChange", {"textDocument": document, "contentChanges": [{"text": text}]})


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    made = Editor(tmp_path_factory.mktemp("project"))
    with made.process:
        try:
            made.ask("initialize", processId=None, rootUri=None, capabilities={})
            made.send("initialized", {})
            document = {"uri": made.uri, "languageId": "lms", "version": 1, "text": TEXT}
            made.send("textDocument/didOpen", {"textDocument": document})
            assert made.mistakes() == []
            yield made
            made.ask("shutdown")
            made.send("exit", {})
            assert made.process.wait(20) == 0
        finally:
            made.process.kill()


@pytest.mark.parametrize(("line", "character", "shown"), [
    (1, 36, ["x: Rep[f64]", "known later: when the generated program runs"]),
    (6, 4, ["def square(x: Rep[f64]): Rep[f64]", "makes code of what is known later", "The square of a number."]),
    (5, 6, ["θ: f64", "known now"]),
    (4, 5, ["def scaled[n](a: Rep[f64[n]], to: i64)", "specialised for what is known now"]),
    (4, 14, ["a: Rep[f64[n]]", "known later"]),
    (8, 9, ["data Point = Point(left: f64, right: f64)"]),
    (9, 3, ["left: f64", "known now"]),
])
def test_hover_shows_type_and_stage(line: int, character: int, shown: list[str], editor: Editor) -> None:
    found = editor.about("hover", line, character)["contents"]["value"]
    assert all(each in found for each in shown), found


@pytest.mark.parametrize(("line", "character", "to"), [
    (6, 4, (1, 4)),    # square
    (6, 16, (5, 6)),   # θ
    (6, 20, (4, 14)),  # a
    (8, 9, (3, 13)),   # Point
    (9, 0, (8, 4)),    # p
])
def test_go_to_definition(line: int, character: int, to: tuple[int, int], editor: Editor) -> None:
    start = editor.about("definition", line, character)["range"]["start"]
    assert (start["line"], start["character"]) == to


def test_nothing_is_nowhere(editor: Editor) -> None:
    assert editor.about("hover", 2, 0) is None and editor.about("definition", 2, 0) is None
    assert editor.about("hover", 400, 7) is None


def test_outline(editor: Editor) -> None:
    found = editor.ask("textDocument/documentSymbol", textDocument={"uri": editor.uri})
    assert [each["name"] for each in found] == ["square", "Point", "scaled", "p"]
    assert [inner["name"] for inner in found[1]["children"]] == ["Point"]


def test_completion(editor: Editor) -> None:
    words = {each["label"]: each for each in editor.about("completion", 6, 2)}
    assert {"square", "scaled", "θ", "to", "a", "Point", "sin", "grad", "while", "Rep", "f64"} <= words.keys()
    assert words["square"]["detail"] == "def square(x: Rep[f64]): Rep[f64]" and words["θ"]["detail"] == "f64"
    fields = editor.about("completion", 9, 2)
    assert [(each["label"], each["detail"]) for each in fields] == [("left", "f64"), ("right", "f64")]


def test_layout(editor: Editor) -> None:
    def edits() -> Any:
        options = {"tabSize": 2, "insertSpaces": True}
        return editor.ask("textDocument/formatting", textDocument={"uri": editor.uri}, options=options)

    assert edits() == []
    editor.change("let  x=1\n", 2)
    edit, = edits()
    assert edit["newText"] == "let x = 1\n"
    editor.change("let = 1\n", 3)
    assert edits() is None
    editor.change(TEXT, 4)
    while editor.mistakes():
        pass


def test_mistakes_come_while_one_types(editor: Editor) -> None:
    editor.change(TEXT + "let 𝜃 = squar(1.0)\n", 5)
    found, = editor.mistakes()
    assert found["code"] == "E0201" and found["source"] == "lms" and "did you mean `square`?" in found["message"]
    assert found["range"] == {"start": {"line": 10, "character": 9}, "end": {"line": 10, "character": 14}}  # in UTF-16
    editor.change(TEXT, 6)
    assert editor.mistakes() == []
