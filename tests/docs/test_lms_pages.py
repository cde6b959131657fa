"""The pages on `.lms`: the blocks of a section are one file, with its output behind `//>`; an `lms-error` block has mistakes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lms.files import execute
from lms.frontend.check.program import checked
from lms.frontend.diagnostics import SourceErrors
from lms.frontend.tools import quines

ROOT = Path(__file__).parents[2]
PAGES = ["docs/language.md", "docs/tour.md"]
BLOCK = re.compile(r"^```lms\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ERROR = re.compile(r"^```lms-error\n(.*?)^```$(?:\n\n```output\n.*?^```$)?", re.MULTILINE | re.DOTALL)
MARK = "// \N{BULLET}\n"


@pytest.mark.parametrize("page", PAGES)
def test_page(page: str, request: pytest.FixtureRequest) -> None:
    path = ROOT / page
    text = path.read_text(encoding="utf-8")
    found = "".join(map(_true, re.split(r"^(?=## )", text, flags=re.MULTILINE)))
    if request.config.getoption("--update-golden"):
        path.write_text(found, encoding="utf-8")
        return
    assert found == text, "run pytest --update-golden and look at the difference"


def _true(section: str) -> str:
    """A section with the output of its blocks."""
    blocks = [m[1] for m in BLOCK.finditer(section)]
    done = iter(quines.update(MARK.join(blocks), "page.lms", execute).split(MARK)) if blocks else iter(())
    section = BLOCK.sub(lambda _: f"```lms\n{next(done)}```", section)
    return ERROR.sub(lambda m: f"```lms-error\n{m[1]}```\n\n```output\n{_mistakes(m[1])}\n```", section)


def test_the_grammar_is_the_parsers(request: pytest.FixtureRequest) -> None:
    path = ROOT / "docs/language.md"
    text = path.read_text(encoding="utf-8")
    grammar = (ROOT / "frontend/parse/grammar.lark").read_text(encoding="utf-8")
    found = re.sub(r"<!-- grammar -->\n(?:\n```\n.*?^```\n)?", lambda _: f"<!-- grammar -->\n\n```\n{grammar}```\n", text,
                   flags=re.MULTILINE | re.DOTALL)
    if request.config.getoption("--update-golden"):
        path.write_text(found, encoding="utf-8")
    else:
        assert found == text, "run pytest --update-golden and look at the difference"


def _mistakes(text: str) -> str:
    with pytest.raises(SourceErrors) as caught:
        checked(text, "page.lms")
    return str(caught.value)
