"""Every mistake in mistakes/ is reported as golden/ shows; every code of the table is shown there."""

import re
from pathlib import Path

import pytest

from lms.frontend.codes import CODES
from lms.frontend.diagnostics import SourceErrors, explain
from lms.frontend.parse import parse
from tests.conftest import GOLDEN, Golden

MISTAKES = sorted((Path(__file__).parent / "mistakes").glob("*.lms"))


def report(path: Path) -> SourceErrors:
    with pytest.raises(SourceErrors) as caught:
        parse(path.read_text(encoding="utf-8"), path.name)
    return caught.value


@pytest.mark.parametrize("path", MISTAKES, ids=lambda path: path.stem)
def test_a_mistake_is_explained(path: Path, golden: Golden) -> None:
    found = report(path)
    assert {e.code for e in found.diagnostics} == {path.stem[:5]}
    golden("\n".join(line[:150] for line in str(found).splitlines()))


def test_every_code_has_a_mistake_and_every_mistake_a_code() -> None:
    shown = {code for file in (GOLDEN / "frontend").glob("test_a_mistake*.txt")
             for code in re.findall(r"\bE\d{4}\b", file.read_text(encoding="utf-8"))}
    assert shown == CODES.keys()


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_page(code: str) -> None:
    title, text = CODES[code]
    assert explain(code).startswith(f"{code}: {title}\n")
    assert not title.endswith(".") and text.endswith((".", "`"))
