"""Programs of several files."""

from pathlib import Path

import pytest

from lms.files import execute
from lms.frontend.check.program import check_file
from lms.frontend.diagnostics import SourceErrors
from lms.frontend.run.evaluate import Evaluation

OTHER = """
def _hidden(x: f64): f64 = x
def shown(x: f64): f64 = _hidden(x) + 1.0
data Tree = Leaf | Node(left: Tree, right: Tree)
var cell = zeros(2)
def put(x: Rep[f64]): unit = { cell[0] = x }
"""


def results(folder: Path, text: str) -> list[object]:
    (folder / "other.lms").write_text(OTHER)
    (folder / "main.lms").write_text(text)
    return [r.value for r in Evaluation(check_file(str(folder / "main.lms")), execute).results() if not r.is_unit]


@pytest.mark.parametrize(("text", "value"), [
    ("import other\nother.shown(1.0)", 2.0), ("import other as o\no.shown(1.0)", 2.0),
    ("from other import shown\nshown(1.0)", 2.0),
    ("import other\ndef depth(t: other.Tree): i64 = match t { other.Leaf => 0, other.Node(_, r) => 1 + depth(r) }\n"
     "depth(other.Node(other.Leaf, other.Leaf))", 1),
    ("import other\nfrom other import Tree, Leaf, Node\n"
     "def depth(t: Tree): i64 = match t { Leaf => 0, Node(_, r) => 1 + depth(r) }\n"
     "depth(Node(Leaf, other.Leaf))", 1),
    ("import other\nother.put(3.0)\nother.cell[0] + 1.0", 4.0),
])
def test_what_another_file_has(text: str, value: object, tmp_path: Path) -> None:
    assert results(tmp_path, text) == [value]


@pytest.mark.parametrize(("text", "code", "said"), [
    ("from other import _hidden", "E0201", "`_hidden` is private to its file"),
    ("import other\nother._hidden(1.0)", "E0201", "`_hidden` is private to its file"),
    ("import other\nother.nothing", "E0201", "`nothing` is not defined"),
    ("from other import shown\ndef shown(x: f64): f64 = x", "E0206", "`shown` is defined twice"),
    ("import other\nlet other = 1", "E0206", "`other` is defined twice"),
    ("import other\nlet a = other", "E0301", "a module is not a value"),
    ("import main", "E0210", "`main` imports this file"),
])
def test_what_another_file_does_not_have(text: str, code: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SourceErrors) as caught:
        results(tmp_path, text)
    assert [d.code for d in caught.value.diagnostics] == [code] and said in str(caught.value)
