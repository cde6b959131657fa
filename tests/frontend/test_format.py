"""The formatter: one layout for each tree; comments stay between the tokens they stood between; twice is as once."""

import itertools
from pathlib import Path

import pytest

from lms.frontend.parse.parser import parse, parse_partial, tokens
from lms.frontend.parse.walk import same
from lms.frontend.tools.format import format_source
from tests.conftest import Golden

LAYOUTS = Path(__file__).parent / "layouts"


def check(text: str) -> str:
    """The text laid out: the same tree, the same comments in their order, and nothing to change the second time."""
    out = format_source(text)
    assert same(parse(text), parse(out))
    assert [c.text for c in tokens(text)[1]] == [c.text for c in tokens(out)[1]]
    assert format_source(out) == out
    assert not any(line.endswith((" ", "\t")) for line in out.splitlines())
    return out


@pytest.mark.parametrize("path", sorted(LAYOUTS.glob("*.lms")), ids=lambda path: path.stem)
def test_layout(path: Path, golden: Golden) -> None:
    golden(check(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(("text", "expected"), [
    ("", ""),
    ("\n\n", ""),
    ("// a\n\n\n\n// b", "// a\n\n// b\n"),
    ("let x=f( 1,2 )", "let x = f(1, 2)\n"),
    ("a;b", "a\nb\n"),
    ("a\r\n\r\n\r\nb\r\n", "a\n\nb\n"),
    ("let x = (a) // b", "let x = (a) // b\n"),
    ("((a))", "((a))\n"),
    ("(a,)", "(a,)\n"),
    ("f(a,)", "f(a)\n"),
    ("match x { A=>1; B=>2, }", "match x { A => 1, B => 2 }\n"),
    ("a[ .. , 1 .., ..=2 ]", "a[.., 1.., ..=2]\n"),
    ("- x**-y", "-x ** -y\n"),
    ("{}", "{}\n"),
    ("if a {} else {}", "if a {} else {}\n"),
    ("f(// c\n)", "f() // c\n"),
    ("def f(x:(f64,)):((f64)->f64)=x", "def f(x: (f64)): ((f64) -> f64) = x\n"),
    ("1\n//> 1", "1\n//> 1\n"),
    ("let θ = 'a'", "let θ = 'a'\n"),
])
def test_a_short_text(text: str, expected: str) -> None:
    assert check(text) == expected


@pytest.mark.parametrize("width", [1, 30, 45, 60, 100])
def test_what_does_not_fit_is_broken(width: int) -> None:
    name = "x" * width
    out = check(f"let y = f({name}, {name}) * ({name} + {name}) || if {name} {{ {name} }} else {{ {name} }}\n"
                f"def g[n]({name}: f64, b: f64): f64 = match {name} {{ A => {name}, B => {name} }}\n")
    assert max(map(len, out.splitlines())) <= max(100, width + 20)


EVERYTHING = (LAYOUTS / "everything.lms").read_text(encoding="utf-8")
ITEMS = ["\n".join(EVERYTHING.split("\n")[item.span.line - 1:item.span.end_line]) for item in parse(EVERYTHING).items]


@pytest.mark.parametrize("text", ITEMS, ids=lambda text: text[:20])
def test_a_comment_may_stand_anywhere(text: str) -> None:
    """Between any two tokens of a program where a new line may stand, a comment, of each kind in turn."""
    whole = parse(text)
    tried = 0
    kinds = itertools.cycle((b"// c\n", b"/* c */", b"\n// c\n"))
    for token, comment in zip(tokens(text)[0], kinds, strict=False):
        lines = text.encode().split(b"\n")
        at = sum(len(line) + 1 for line in lines[:token.span.line - 1]) + token.span.column
        changed = (text.encode()[:at] + comment + text.encode()[at:]).decode()
        found, errors = parse_partial(changed)
        if not errors and same(found, whole):  # no statement ends there now
            check(changed)
            tried += 1
    assert tried


EXAMPLES = Path(__file__).parents[2] / "examples" / "lms"


@pytest.mark.parametrize("path", sorted(p for p in EXAMPLES.glob("*.lms") if p.stem != "backprop"), ids=lambda p: p.stem)
def test_the_examples_are_laid_out(path: Path) -> None:
    """But for the one that fits on a page."""
    text = path.read_text(encoding="utf-8")
    assert format_source(text) == text
