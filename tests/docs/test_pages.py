"""The pages run: the Python blocks of a page, in order, as one program; an `output` block is what the block before prints."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "docs/c.md", "docs/gradients.md", "docs/tutorial.md"]
BLOCK = re.compile(r"^```(python|output)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = "\N{BULLET}\N{BULLET}\N{BULLET}"


@pytest.mark.parametrize("page", PAGES)
def test_page(page: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> None:
    path = ROOT / page
    text = path.read_text(encoding="utf-8")
    blocks = [(m[1], m[2]) for m in BLOCK.finditer(text)]
    codes = [code for kind, code in blocks if kind == "python"]
    script = tmp_path / "page.py"
    script.write_text(f"\nprint({MARK!r})\n".join(codes), encoding="utf-8")
    runpy.run_path(str(script))
    printed = capsys.readouterr().out.split(f"{MARK}\n")
    assert len(printed) == len(codes)
    if request.config.getoption("--update-golden"):
        path.write_text(_with_outputs(text, printed), encoding="utf-8")
        return
    assert _with_outputs(text, printed) == text, "run pytest --update-golden and look at the difference"


def _with_outputs(text: str, printed: list[str]) -> str:
    """The page with an `output` block behind every Python block that prints."""
    text = re.sub(r"(^```python\n.*?^```$)\n\n```output\n.*?^```$", r"\1", text, flags=re.MULTILINE | re.DOTALL)
    rest = iter(printed)

    def behind(m: re.Match[str]) -> str:
        out = next(rest)
        return m[0] + (f"\n\n```output\n{out}```" if out else "")

    return re.sub(r"^```python\n.*?^```$", behind, text, flags=re.MULTILINE | re.DOTALL)
