"""A text and the places in it: tokens, comments, and the way from characters to spans."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import Literal, NamedTuple

from lms.core.data import dataclass
from lms.core.errors import Span


def unix(text: str) -> str:
    """A text whose lines end in one character, whatever they ended in."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def lines_of(text: str) -> list[str]:
    """The lines of a text as places count them: what Python splits at besides (form feeds, U+2028) stands in lines."""
    return unix(text).split("\n")


def ending_like(text: str, before: str) -> str:
    """The text with lines that end as the first line of another does."""
    return text.replace("\n", "\r\n") if before.partition("\n")[0].endswith("\r") else text


class Token(NamedTuple):
    """A token: the name of its terminal (the parser asks for it as `type`), its text, and its place."""

    type: str
    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Source:
    """A text and the way from places in it to spans."""

    path: str
    text: str
    starts: tuple[int, ...]

    @staticmethod
    def of(path: str, text: str) -> Source:
        return Source(path, text, tuple(accumulate((len(line) for line in text.split("\n")), lambda a, n: a + n + 1, initial=0)))

    def span(self, start: int, stop: int) -> Span:
        line, end = bisect_right(self.starts, start), bisect_right(self.starts, max(start, stop))
        return Span(self.path, line, self._column(line, start), end, self._column(end, stop))

    def _column(self, line: int, at: int) -> int:
        start = self.starts[line - 1]
        return at - start if self.text.isascii() else len(self.text[start:at].encode(errors="surrogatepass"))


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment with its marks: `kind` is `//`, `/*`, `///` (documentation) or `//>` (expected output).

    `own_line` says that nothing but space stands before it on its line.
    """

    span: Span
    kind: Literal["//", "/*", "///", "//>"]
    text: str
    own_line: bool
