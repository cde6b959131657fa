"""Every example of docs/errors.md raises what it should, where it should, at once; and the next good call succeeds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bad_input import page

# What each must be, whatever else it is.
EXPECTED = {
    "An array of another dtype": "TypeError",
    "An array of another rank": "TypeError",
    "Two sizes of one name that differ": "ValueError",
    "Something that is no array": "TypeError",
    "Arguments that overlap": "ValueError",
    "Writing to an argument that is not `Mut`": "StagingError",
    "Reading past the end": "IndexError",
    "Reading before the beginning": "IndexError",
    "Writing past the end": "IndexError",
    "Writing before the beginning": "IndexError",
    "Dividing an int by zero": "ZeroDivisionError",
    "A name that one path leaves undefined": "UnboundLocalError",
    "Branches of different types": "TypeError",
    "A staged value that outlives its block": "LeakError",
    "A text that holds numbers of later": "LeakError",
    "A decision where there is no source to read": "StagingError",
    "`with`": "StagingError",
    "`yield`": "StagingError",
    "`async`": "StagingError",
    "Changing an outer object in a loop that runs later": "StagingError",
    "A random number drawn now": "StagingError",
    "An object whose state changes in a loop that runs later": "StagingError",
    "A list at a place that is known later": "StagingError",
    "A long loop that runs now": "StagingError",
    "Runaway recursion": "RecursionError",
    "A size whose bytes overflow 64 bits": "ValueError",
    "10^14 elements": "MemoryError",
    "10^9 elements where memory is limited to 2 GiB": "MemoryError",
    "A negative size": "ValueError",
    "A singular matrix": "LinAlgError",
    "A root that is not found": "RuntimeError",
    "No plan": "StagingError",
    "Snapshots larger than the full tape": "StagingError",
    "An array by two names, run again": "StagingError",
    "Python, run again": "StagingError",
}
IN_A_PROCESS = {"Runaway recursion": None, "A size whose bytes overflow 64 bits": None, "10^14 elements": None,
                "10^9 elements where memory is limited to 2 GiB": 2 << 30}
SECONDS = {"Runaway recursion": 5.0}
EXAMPLES = {e.title: e for e in page.examples()}


def report_of(example: page.Example, folder: Path) -> page.Report:
    if example.title not in IN_A_PROCESS:
        return page.run(example, folder)
    limit = [str(bytes_) for bytes_ in [IN_A_PROCESS[example.title]] if bytes_]
    command = [sys.executable, "-W", "error", "-m", "tests.bad_input.page", example.title, str(folder), *limit]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # whose threads reserve address space
    done = subprocess.run(command, capture_output=True, text=True, cwd=page.PAGE.parents[1], env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    return page.Report(**json.loads(done.stdout))


def test_the_page_lists_them_all() -> None:
    assert list(EXAMPLES) == list(EXPECTED)


@pytest.mark.parametrize("title", EXPECTED)
def test_bad_input(title: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    example = EXAMPLES[title]
    report = report_of(example, tmp_path)

    assert EXPECTED[title] in report.kinds, report
    assert report.again < SECONDS.get(title, 1.0), report

    message = report.message.splitlines()
    assert f"example.py:{example.line}: " in report.message, f"line {example.line} is not named in:\n{report.message}"
    source = example.code.splitlines()[example.line - 1].strip()
    shown = f"{example.line:>5} | {source}"
    assert shown in message, f"the line is not shown in:\n{report.message}"
    assert "^" in message[message.index(shown) + 1], f"no caret in:\n{report.message}"

    if request.config.getoption("--update-golden"):
        page.write({title: report.message})
    else:
        assert report.message == example.message, "write the page by: python -m pytest tests/bad_input --update-golden"


def test_equal_functions_in_two_files(tmp_path: Path) -> None:
    said = []
    for name in ("one", "other"):
        file = tmp_path / name / "example.py"
        file.parent.mkdir()
        file.write_text(EXAMPLES["Reading past the end"].code, encoding="utf-8")
        with pytest.raises(IndexError) as caught:
            exec(compile(EXAMPLES["Reading past the end"].code, str(file), "exec"), page.names(file))
        said.append(str(caught.value))
    assert [str(tmp_path / name) in message for name, message in zip(("one", "other"), said, strict=True)] == [True, True], said
