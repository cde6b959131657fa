"""Long rows of operators, which are written by programs: they are no deep nesting."""

import pytest

from lms.files import loads
from lms.frontend.diagnostics import SourceErrors
from lms.frontend.parse.parser import parse
from lms.frontend.parse.walk import same
from lms.frontend.tools.format import format_source

LONG = 1500


def row(op: str, term: str) -> str:
    return f" {op} ".join([term] * LONG)


@pytest.mark.parametrize(("head", "body", "given", "expected"), [
    ("(x: Rep[f64]): Rep[f64]", row("+", "x"), 1.0, float(LONG)),
    ("(x: Rep[f64]): Rep[f64]", row("+", "1.0") + " + x", 1.0, LONG + 1.0),
    ("(x: Rep[f64]): Rep[f64]", row("-", "g(x)"), 1.0, 2.0 - LONG),
    ("(x: Rep[i64]): Rep[bool]", row("&&", "x > 0"), 1, True),
    ("(x: Rep[i64]): Rep[bool]", row("||", "x > 0"), 0, False),
    ("(x: i64): bool", row("&&", "x > 0"), 1, True),
    ("(x: Rep[f64]): Rep[f64]", f"reset {{ {row('+', '2.0')} + shift {{ k => k(x) }} + {row('+', 'x')} }}", 1.0, 3.0 * LONG + 1),
])
def test_a_long_row(head: str, body: str, given: object, expected: object) -> None:
    text = f"def g(x: Rep[f64]): Rep[f64] = x\nexport def f{head} = {body}\n"
    module = loads(text, backend="interpret")
    assert module.f(given) == expected


def test_a_long_row_is_laid_out() -> None:
    text = f"let a = {row('+', '1.0')} + {row('*', '2.0')}\n"
    assert same(parse(format_source(text)), parse(text))


def test_a_long_row_as_c() -> None:
    module = loads(f"export def f(x: Rep[f64]): Rep[f64] = {row('+', 'x')}\n")
    assert module.f.specialize(1.0).c.count("+") >= LONG - 1
    assert module.f(2.0) == 2.0 * LONG


def test_a_mistake_in_a_long_line_is_shown_with_what_is_around_it() -> None:
    with pytest.raises(SourceErrors) as caught:
        loads(f"let a = {row('+', '1')} + true + {row('+', '1')}\n")
    line, carets = str(caught.value).splitlines()[1:3]
    assert len(line) < 180 and line[carets.index("^"):].startswith("true")
