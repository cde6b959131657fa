"""The pages that list what there is list all of it."""

import re
from pathlib import Path

import pytest

from lms import pipeline

ROOT = Path(__file__).parents[2]


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
