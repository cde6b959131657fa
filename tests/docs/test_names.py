"""The pages that list what there is list all of it, and links lead somewhere."""

import re
from pathlib import Path

import pytest

from lms import pipeline

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(path for folder in ("docs", "editors", "examples") for path in (ROOT / folder).rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"https?:", link)]
    assert not [link for link in links if not (page.parent / link).exists()]


@pytest.mark.parametrize("folder", ["ad", "frontend"])
def test_the_architecture_names_every_file(folder: str) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    files = [path.stem for path in sorted((ROOT / folder).glob("*.py")) if path.stem != "__init__"]
    assert not [name for name in files if not re.search(rf"\b{name}\b", page) and not name.startswith("check_")]


def test_the_page_on_passes_names_every_pass() -> None:
    page = (ROOT / "docs" / "passes.md").read_text(encoding="utf-8")
    steps = [*pipeline.DIFFERENTIATED, *pipeline.pipeline(fastmath=True, boundscheck=False)]
    assert not [step.name for step in steps if f"`{step.name}`" not in page]
    listed = set(re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE))
    assert listed == {step.name for step in steps} - {"fastmath", "drop-index-checks"} | {"differentiate"}
