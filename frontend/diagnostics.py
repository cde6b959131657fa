"""What can be wrong with a `.lms` file: every diagnostic has a code, and every code an explanation for `lms explain`."""

from __future__ import annotations

import linecache
from collections.abc import Iterable

from lms.core.errors import LmsError, Span

from .codes import CODES
from .source import lines_of


class Diagnostic(LmsError):
    """One mistake: its code (a key of `CODES`), a message that says what was expected and found, its place, and the fix."""

    def __init__(self, code: str, message: str, span: Span | None, *, fix: str = "",
                 notes: tuple[tuple[str, Span | None], ...] = (), consequence: bool = False) -> None:
        assert code in CODES, code
        super().__init__(message, span, fix=fix, notes=notes)
        self.code = code
        self.consequence = consequence  # of another mistake, which is reported

    def __str__(self) -> str:
        place = f"{self.span}: " if self.span else ""
        text = super().__str__()
        return f"{place}{self.code}: {text.removeprefix(place)}"


class SourceErrors(LmsError):
    """The mistakes in a file, in the order of the source."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        first = self.diagnostics[0]
        super().__init__(first.message, first.span, fix=first.fix, notes=first.notes)

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.diagnostics))


def remember(path: str, text: str) -> None:
    """Let errors show the lines of a text that is in no file, or not yet as it is here (a prompt, an editor)."""
    lines = [f"{line}\n" for line in lines_of(text)]
    linecache.cache[path] = (len(text), None, lines, path)


def explain(code: str) -> str:
    """The page on a code. Raises `KeyError` where there is none."""
    title, text = CODES[code]
    return f"{code}: {title}\n\n{text}\n"
