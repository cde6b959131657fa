"""Errors that point: the user's file and line, a caret, what was found, how to mend it.

Each class's docstring is its page in the documentation: cause, example, cure.
"""

from __future__ import annotations

import linecache
import os
import sys
from functools import lru_cache
from types import CodeType, FrameType

from .data import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the user's source: file, first line (from 1) and column (from 0), last line and column."""

    file: str
    line: int
    column: int = 0
    end_line: int = 0
    end_column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def short(self) -> str:
        """The place without the folders: the same wherever the program stands."""
        return f"{os.path.basename(self.file)}:{self.line}"

    def show(self) -> str:
        """The source line with carets under the span; nothing where the source is not at hand."""
        text = linecache.getline(self.file, self.line).rstrip("\n")
        if not text.strip():
            return ""
        # columns count UTF-8 bytes, as CPython's positions do
        start = len(text.encode()[: self.column].decode(errors="replace"))
        stop = len(text.encode()[: self.end_column].decode(errors="replace")) if self.end_line == self.line else len(text)
        margin = len(text) - len(text.lstrip())
        start = max(start, margin)
        shown, start, stop = _window(text.strip(), start - margin, stop - margin)
        gutter = f"{self.line:>5} | "
        return f"{gutter}{shown}\n{' ' * (len(gutter) - 2)}| {' ' * start}{'^' * max(1, stop - start)}"


WIDEST = 160  # characters of a line that are shown


def _window(text: str, start: int, stop: int) -> tuple[str, int, int]:
    """The part of a line around a stretch of it, and where that stands in the part: long lines are cut."""
    if len(text) <= WIDEST:
        return text, start, stop
    first = min(max(0, start - WIDEST // 4), len(text) - WIDEST)
    last = first + WIDEST
    before, behind = "..." if first else "", "..." if last < len(text) else ""
    shown = before + text[first:last] + behind
    return shown, start - first + len(before), min(stop, last) - first + len(before)


class LmsError(Exception):
    """What every error that lms itself raises has in common: a message, and where in the user's source.

    `notes` are further places, each with its own line, as in "first defined here".
    """

    def __init__(self, message: str, span: Span | None = None, *, fix: str = "",
                 notes: tuple[tuple[str, Span | None], ...] = ()) -> None:
        self.message, self.span, self.fix, self.notes = message, span, fix, notes
        super().__init__(message)

    def __str__(self) -> str:
        parts = [f"{self.span}: {self.message}" if self.span else self.message]
        if self.span and (shown := self.span.show()):
            parts.append(shown)
        for note, span in self.notes:
            parts.append(f"{span}: {note}" if span else note)
            if span and (shown := span.show()):
                parts.append(shown)
        if self.fix:
            parts.append(f"fix: {self.fix}")
        return "\n".join(parts)


class StagingError(LmsError):
    """Something that cannot be staged, found while the program was being made.

    Cause: a construct or a call whose meaning cannot be moved to the next stage, or that would have run at the
    wrong time. The message says which, and `fix` what to write instead.
    """


class StagingTypeError(StagingError, TypeError):
    """A value of the wrong type or dtype: in a call, in an operation, or where two branches meet."""


class ShapeError(StagingError, ValueError):
    """Two shapes that do not fit, found while staging. Names both arrays and both dimensions."""


class UndefinedError(StagingError, UnboundLocalError):
    """A name that some path through the program leaves undefined. Names both paths."""


class LeakError(StagingError):
    """A staged value used outside the block that made it: after the loop or branch, or in another program."""


class VerifyError(LmsError):
    """A program that breaks the law of programs: a defect of lms, never of its user."""


class SpecializationWarning(UserWarning):
    """One function was compiled for many values of the same static parameter. Annotate it `Rep[...]` instead."""


# ------------------------------------------------------------------------------------- where is the user?

_OURS = tuple(os.path.join(root, "") for root in {
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
    *(os.path.realpath(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), part))
      for part in ("ad", "staging", "frontend", "backends")),
})
_ours: dict[str, bool] = {}


def is_ours(code: CodeType) -> bool:
    """Whether a code object belongs to lms (or to a library it was called through), not to the user."""
    file = code.co_filename
    known = _ours.get(file)
    if known is None:
        known = _ours[file] = (file.startswith(_OURS) or file.startswith("<frozen") or
                               f"{os.sep}site-packages{os.sep}numpy{os.sep}" in file or file == _CONTEXTLIB)
    return known


_CONTEXTLIB = os.path.join(os.path.dirname(os.__file__), "contextlib.py")


def user_frame() -> FrameType | None:
    """The innermost frame on the stack that is the user's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and (_ours.get(frame.f_code.co_filename) or is_ours(frame.f_code)):
        frame = frame.f_back
    return frame


def here() -> Span | None:
    """Where the user's program stands now, to the column: in the innermost frame that has a source, if any has."""
    inner = frame = user_frame()
    while frame is not None and (is_ours(frame.f_code) or not _readable(frame.f_code.co_filename)):
        frame = frame.f_back
    frame = frame or inner
    return None if frame is None else _span(frame.f_code, frame.f_code.co_filename, frame.f_lasti, frame.f_lineno)


def _readable(file: str) -> bool:
    """Whether a file's lines can be shown: those of `eval`, `exec` and a bare prompt cannot."""
    return not file.startswith("<") or bool(linecache.getline(file, 1))


@lru_cache(maxsize=4096)
def _span(code: CodeType, file: str, lasti: int, lineno: int) -> Span:  # equal code can stand in two files
    line, end_line, column, end_column = _positions(code)[lasti // 2]
    return Span(file, line or lineno, column or 0, end_line or 0, end_column or 0)


@lru_cache(maxsize=64)
def _positions(code: CodeType) -> tuple[tuple[int | None, int | None, int | None, int | None], ...]:
    """What each instruction belongs to."""
    return tuple(code.co_positions())
