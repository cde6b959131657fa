"""Every mistake in mistakes/ is reported as golden/ shows; every code of the table is shown there."""

import re
from pathlib import Path

import pytest

from lms.files import execute
from lms.frontend.check.program import check_text
from lms.frontend.codes import CODES
from lms.frontend.diagnostics import Diagnostic, explain
from lms.frontend.run.evaluate import Evaluation
from tests.conftest import GOLDEN, Golden

MISTAKES = sorted((Path(__file__).parent / "mistakes").glob("*.lms"))


def report(path: Path) -> list[Diagnostic]:
    """Every mistake that checking finds; or else the one that evaluation meets."""
    module, errors = check_text(path.read_text(encoding="utf-8"), str(path))
    if errors:
        return errors
    with pytest.raises(Diagnostic) as caught:
        for _ in Evaluation(module, execute).results():
            pass
    return [caught.value]


@pytest.mark.parametrize("path", MISTAKES, ids=lambda path: path.stem)
def test_a_mistake_is_explained(path: Path, golden: Golden) -> None:
    found = report(path)
    assert {e.code for e in found} == {path.stem[:5]}
    text = "\n\n".join(map(str, found)).replace(f"{path.parent}/", "")
    golden("\n".join(line[:150] for line in text.splitlines()))


def test_every_code_has_a_mistake_and_every_mistake_a_code() -> None:
    shown = {code for file in (GOLDEN / "frontend").glob("test_a_mistake*.txt")
             for code in re.findall(r"\bE\d{4}\b", file.read_text(encoding="utf-8"))}
    assert shown == CODES.keys()


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_page(code: str) -> None:
    title, text = CODES[code]
    assert explain(code).startswith(f"{code}: {title}\n")
    assert not title.endswith(".") and text.endswith((".", "`"))
