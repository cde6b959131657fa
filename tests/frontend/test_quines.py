"""Files that hold their own output: the language by example, in quines/ and in examples/lms/."""

from pathlib import Path

import pytest

from lms.files import execute
from lms.frontend.tools import quines

HERE = Path(__file__).parent
FILES = [*sorted((HERE / "quines").glob("*.lms")), *sorted((HERE.parents[1] / "examples" / "lms").glob("*.lms"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_gives_what_it_says(path: Path) -> None:
    ran = quines.run(path.read_text(encoding="utf-8"), str(path), execute)
    assert not [str(r) for r in ran if not r.ok]
    assert any(r.expected for r in ran) or path.stem == "backprop", "it says nothing"  # gradients.lms imports backprop.lms


def test_a_wrong_line_is_found_and_mended() -> None:
    text = "let a = 1\na + 1\n//> 3\nprint(\"x\") // and more\n// a comment\n//> y\na\n"
    wrong = quines.check(text, "wrong.lms", execute)
    assert [(r.expected, r.found) for r in wrong] == [(("3",), ("2",)), (("y",), ("x",)), ((), ("1",))]
    mended = quines.update(text, "wrong.lms", execute)
    assert mended == "let a = 1\na + 1\n//> 2\nprint(\"x\") // and more\n//> x\n// a comment\na\n//> 1\n"
    assert not quines.check(mended, "wrong.lms", execute)
    assert quines.update(mended, "wrong.lms", execute) == mended


def test_a_file_that_expects_nothing_is_not_compared() -> None:
    assert not quines.check("1 + 1\nprint(2)\n", "quiet.lms", execute)


@pytest.mark.parametrize(("text", "said"), [
    ("1 + 1\n1 / 0\n", "E0502: 1 / 0: division by zero"), ("lift(1) / lift(0)\n", "ZeroDivisionError: ")])
def test_an_error_that_nobody_expects_is_wrong(text: str, said: str) -> None:
    (wrong,) = quines.check(text, "quiet.lms", execute)
    assert wrong.found[-1].startswith(said)


def test_backprop_is_short() -> None:
    path = HERE.parents[1] / "examples" / "lms" / "backprop.lms"
    assert len(path.read_text(encoding="utf-8").splitlines()) < 60


@pytest.mark.parametrize(("before", "after"), [
    ("1\r\n//> 3\r\n2", "1\r\n//> 1\r\n2\r\n//> 2\r\n"),
    ('let s = "a\u2028b\x0cc"\ns\n//> old', 'let s = "a\u2028b\x0cc"\ns\n//> "a\u2028b\x0cc"\n'),
    ('print("x\\ry\\nz")\n\t\n', 'print("x\\ry\\nz")\n//> x\n//> y\n//> z\n\t\n'),
    ('let θ = "\t"\nθ', 'let θ = "\t"\nθ\n//> "\\t"\n'), ("", ""), ("// only this", "// only this\n"),
])
def test_the_rest_of_a_file_stays_as_it_is(before: str, after: str) -> None:
    assert quines.update(before, "odd.lms", execute) == after
    assert not quines.check(after, "odd.lms", execute)
