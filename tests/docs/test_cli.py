"""docs/cli.md: every command on the page is run, and what it prints stands below it."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lms.cli import main

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "cli.md"
COMMAND = re.compile(r"^```console\n\$ (.*)\n```\n(?:\n```output\n(?:.*\n)*?```\n)?", re.MULTILINE)


def files(text: str) -> dict[str, str]:
    """The files the page begins with."""
    (python,), (lms,) = (re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) for kind in ("python", "lms"))
    return {"power.py": python, "model.lms": lms}


def run(command: str, folder: Path) -> str:
    """All that a command prints: here if it is `lms` alone or reads from `printf`, else by a shell."""
    if m := re.fullmatch(r"(?:printf '(.*)' \| )?lms ([^|&>]*)", command):
        printed, given = io.StringIO(), (m[1] or "").replace(r"\n", "\n")
        before = sys.stdin
        sys.stdin = io.TextIOWrapper(io.BytesIO(given.encode()), encoding="utf-8")
        try:
            with contextlib.chdir(folder), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                main(shlex.split(m[2]))
        finally:
            sys.stdin = before
        return printed.getvalue()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    command = re.sub(r"\blms (?=\w+ )", f"{shlex.quote(sys.executable)} -m lms ", command, count=1)
    ran = subprocess.run(command, shell=True, cwd=folder, env=environment, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, timeout=120)
    return ran.stdout


def test_the_page_shows_what_the_commands_print(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    text = PAGE.read_text(encoding="utf-8")
    for name, content in files(text).items():
        (tmp_path / name).write_text(content, encoding="utf-8")

    def shown(m: re.Match[str]) -> str:
        out = run(m[1], tmp_path)
        assert "Traceback" not in out, out
        return f"```console\n$ {m[1]}\n```\n" + (f"\n```output\n{out.rstrip()}\n```\n" if out else "")

    found = COMMAND.sub(shown, text)
    if request.config.getoption("--update-golden"):
        PAGE.write_text(found, encoding="utf-8")
        return
    assert found == text, "run pytest --update-golden and look at the difference"


def test_the_page_has_every_command() -> None:
    from lms.cli import _parser

    text = PAGE.read_text(encoding="utf-8")
    missing = [name for name in _parser()[1] if f"`lms {name}`" not in text]
    assert not missing
