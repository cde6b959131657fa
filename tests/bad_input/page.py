"""The examples of docs/errors.md: their text, running them, and putting what they say back on the page."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
SECTION = re.compile(
    r"^### (?P<title>[^\n]*)\n(?:(?!```|###).)*```python\n(?P<code>.*?)```\n\n```text\n(?P<message>.*?)```\n\n"
    r"Instead:\n\n```python\n(?P<cure>.*?)```\n",
    re.MULTILINE | re.DOTALL,
)
MARK = "# here"
PRELUDE = "import lms\nimport numpy as np\nfrom lms import Array, Mut, Rep, f64, i64\n"


@dataclass(frozen=True)
class Example:
    """One section of the page: a program that fails, what it says, and the program that does not fail."""

    title: str
    code: str
    message: str
    cure: str

    @property
    def line(self) -> int:
        """The line that the message must name."""
        (line,) = (k for k, text in enumerate(self.code.splitlines(), 1) if text.endswith(MARK))
        return line


@dataclass(frozen=True)
class Report:
    """What became of an example: the exception's bases by name, its message, and seconds until it came."""

    kinds: list[str]
    message: str
    seconds: float
    again: float  # the same error in a warm process


def examples() -> list[Example]:
    return [Example(m["title"], m["code"], m["message"], m["cure"]) for m in SECTION.finditer(PAGE.read_text(encoding="utf-8"))]


def write(reports: dict[str, str]) -> None:
    """Put messages on the page, by title."""

    def replaced(m: re.Match[str]) -> str:
        start, stop = m.start("message") - m.start(), m.end("message") - m.start()
        return m[0][:start] + reports.get(m["title"], m["message"]) + m[0][stop:]

    PAGE.write_text(SECTION.sub(replaced, PAGE.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


def attempt(file: Path, space: dict[str, Any]) -> tuple[BaseException | None, float]:
    """Run a file in a namespace; the exception it raises and the seconds it took."""
    code = compile(file.read_text(encoding="utf-8"), str(file), "exec")
    start = time.perf_counter()
    try:
        exec(code, space)
    except BaseException as error:  # noqa: BLE001  # whatever it raises is what the page shows
        return error, time.perf_counter() - start
    return None, time.perf_counter() - start


def names(file: Path) -> dict[str, Any]:
    """What an example begins with."""
    space: dict[str, Any] = {"__name__": "example", "__file__": str(file)}
    exec(PRELUDE, space)
    return space


def run(example: Example, folder: Path) -> Report:
    """Run an example twice and then its cure, which must not fail."""
    file, cure = folder / "example.py", folder / "cure.py"
    file.write_text(example.code, encoding="utf-8")
    cure.write_text(example.cure, encoding="utf-8")
    space = names(file)
    first, seconds = attempt(file, space)
    second, again = attempt(file, space)
    assert first is not None, "nothing was raised"
    assert str(first) == str(second), "the second time it says something else"
    assert type(first) is type(second)
    failure, _ = attempt(cure, space)
    assert failure is None, f"the cure fails: {failure!r}"
    kinds = [kind.__name__ for kind in type(first).__mro__]
    builtin = next(kind.__name__ for kind in type(first).__mro__ if kind.__module__ == "builtins")
    name = kinds[0] if builtin in (kinds[0], "Exception") else f"{kinds[0]} (a {builtin})"
    return Report(kinds, f"{name}\n{first}\n".replace(str(file), file.name), seconds, again)


def limited(bytes_: int) -> None:
    """No more address space than this."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (bytes_, bytes_))


if __name__ == "__main__":  # title, folder, and perhaps a limit on memory: a report as JSON
    if len(sys.argv) > 3:
        limited(int(sys.argv[3]))
    (chosen,) = (e for e in examples() if e.title == sys.argv[1])
    with contextlib.redirect_stdout(sys.stderr):
        report = run(chosen, Path(sys.argv[2]))
    print(json.dumps(asdict(report)))
