"""The tokens of a text with the comments between them: what a formatter writes again, in the same order.

Between two tokens A and B, comments stand behind A up to the end of its line, on lines of their own, or before B on its line.
"""

from __future__ import annotations

from collections.abc import Sequence

from lms.core.data import dataclass, field
from lms.core.errors import Span

from ..parse.lexer import CLOSES, OPENS
from ..source import Comment, Token
from .layout import BLANK, FRESH, HARD, Concat, Doc, Either, Spaced, Suffix

_CLOSING = frozenset((")", "]", ","))


@dataclass(slots=True)
class Gap:
    """What stands before a token: `blanks` says of each comment on a line of its own, and last of the token, whether an empty
    line stands above."""

    behind: list[Comment] = field(default_factory=list)  # on the line of the token before
    own: list[Comment] = field(default_factory=list)
    before: list[Comment] = field(default_factory=list)  # on the line of the token that follows
    blanks: list[bool] = field(default_factory=list)
    newline: bool = False  # whether the token begins a line


class Tokens:
    """The tokens of a text, to be written one after another, each with the comments around it."""

    def __init__(self, tokens: Sequence[Token], comments: Sequence[Comment]) -> None:
        self.tokens = [t for t in tokens if t.type != "SEP"]
        last = max([t.span.end_line for t in self.tokens] + [c.span.end_line for c in comments], default=0) + 1
        self.gaps = _gaps(self.tokens, comments, last)
        self.at = 0
        self.closing = _closing(self.tokens)

    def next(self, text: str) -> bool:
        """Whether this is the next token."""
        return self.at < len(self.tokens) and self.tokens[self.at].text == text

    def take(self, text: str) -> Doc:
        """Write the next token, which is this one."""
        assert self.next(text), (text, self.tokens[self.at])
        return self._token()

    def encloses(self, span: Span) -> bool:
        """Whether the next token is a parenthesis that stands around what has this place, and around no more."""
        if not self.next("("):
            return False
        opening, closing = self.tokens[self.at], self.tokens[self.closing[self.at]]
        return (_start(opening.span) < _start(span)) and _start(closing.span) >= (span.end_line, span.end_column)

    def newline(self) -> bool:
        """Whether the next token begins a line in the source."""
        return self.gaps[self.at].newline

    def behind(self) -> bool:
        """Whether a comment stands behind the last token, up to the end of its line."""
        return bool(self.gaps[self.at].behind)

    def blank(self) -> bool:
        """Whether an empty line follows the last token, before comments or the next token."""
        return self.gaps[self.at].blanks[0]

    def comma(self, text: str = ",") -> Doc:
        """Write a comma behind the last of several, if they stand on lines of their own."""
        written: Doc = Either(text) if text else ""
        return Concat([written, self._skip()]) if self.next(",") else written

    def drop(self, text: str) -> Doc:
        """Leave out a token, but not its comments."""
        return self._skip() if self.next(text) else ""

    def above(self) -> Concat:
        """The comments on lines of their own before the next token, for what begins with it."""
        gap = self.gaps[self.at]
        parts: list[Doc] = []
        for k, comment in enumerate(gap.own):
            parts += [BLANK if k and gap.blanks[k] else FRESH, comment.text]
        if gap.own:
            parts.append(BLANK if gap.blanks[-1] else HARD)
            gap.own, gap.blanks = [], [False]
        return Concat(parts)

    def rest(self) -> Concat:
        """The comments on lines of their own before the next token: for the end of a block or a file."""
        gap = self.gaps[self.at]
        parts: list[Doc] = []
        for blank, comment in zip(gap.blanks, gap.own, strict=False):
            parts += [BLANK if blank else HARD, comment.text]
        gap.own, gap.blanks = [], [False]
        return Concat(parts)

    # ------------------------------------------------------------------------------------------------- one token

    def _token(self) -> Doc:
        gap, text = self.gaps[self.at], self.tokens[self.at].text
        if not (gap.own or gap.before or self.gaps[self.at + 1].behind):
            self.at += 1
            return text
        space = " " if gap.before and text not in _CLOSING else ""
        return Concat([self.above(), *self._before(), space, text, *self._pass()])

    def _skip(self) -> Doc:
        gap = self.gaps[self.at]
        parts = [*self._before(), *self._pass()]
        following = self.gaps[self.at]
        following.blanks[:0] = gap.blanks[:len(gap.own)]
        following.own[:0] = gap.own
        return Concat(parts)

    def _before(self) -> list[Doc]:
        return [Spaced(c.text) for c in self.gaps[self.at].before]

    def _pass(self) -> list[Doc]:
        self.at += 1
        return [Suffix(" " + c.text) for c in self.gaps[self.at].behind]


def _start(span: Span) -> tuple[int, int]:
    return span.line, span.column


def _closing(tokens: Sequence[Token]) -> dict[int, int]:
    """Where each bracket closes."""
    found, open_ = {}, []
    for k, token in enumerate(tokens):
        if token.type in OPENS:
            open_.append(k)
        elif token.type in CLOSES:
            found[open_.pop()] = k
    return found


def _gaps(tokens: Sequence[Token], comments: Sequence[Comment], last: int) -> list[Gap]:
    """The gap before each token, and that before the end."""
    gaps, k, line = [], 0, 0
    begins = [_start(t.span) for t in tokens] + [(last, 0)]
    for n, begin in enumerate(begins):
        gap = Gap()
        between = []
        while k < len(comments) and _start(comments[k].span) < begin:
            between.append(comments[k])
            k += 1
        ends = [line, *(c.span.end_line for c in between)]  # where what stands before each ends
        starts = [*(c.span.line for c in between), begin[0]]
        breaks = [start > end for start, end in zip(starts, ends, strict=True)]
        gap.newline = any(breaks)
        first = breaks.index(True) if True in breaks else 0
        final = len(breaks) - 1 - breaks[::-1].index(True) if True in breaks else 0
        gap.behind, gap.own, gap.before = between[:first], between[first:final], between[final:]
        gap.blanks = [starts[j] > ends[j] + 1 for j in range(first, final + 1)]
        gaps.append(gap)
        line = tokens[n].span.end_line if n < len(tokens) else last
    return gaps
