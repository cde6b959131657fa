"""Documents: text with places where a line may be broken, and the best way to break them (Wadler, "A prettier printer", 2003).

A document is a string or one of the classes here. A `Group` stands on one line where it fits; else its own `Line`s are broken
and each group inside it decides for itself. What must be broken (`HARD`, a comment at the end of a line) breaks what is around.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lms.core.data import dataclass

WIDTH: Final = 100
STEP: Final = 2  # columns of one level of `Nest`


@dataclass(frozen=True, slots=True)
class Line:
    """A place for a new line: `flat` where the group stands on one line. `hard`: always a new line. `fresh`: only if something
    stands on this line. `blank`: an empty line."""

    flat: str = " "
    hard: bool = False
    fresh: bool = False
    blank: bool = False
    fill: bool = False


LINE, SOFT, FILL = Line(), Line(""), Line(fill=True)
HARD, FRESH, BLANK = Line(hard=True), Line(hard=True, fresh=True), Line(hard=True, blank=True)


@dataclass(frozen=True, slots=True)
class Suffix:
    """A comment that goes to the end of its line, behind whatever else will stand there; what follows begins a new line."""

    text: str


@dataclass(frozen=True, slots=True)
class Spaced:
    """A comment inside a line: a space stands before it, but where a line or bracket begins."""

    text: str


@dataclass(frozen=True, slots=True)
class Either:
    """One text where the group around is broken, such as a comma behind a last argument, and another where it is not."""

    broken: str
    flat: str = ""


class Concat:
    """Documents one after another. `hard`: a new line is forced inside. `tail`: it ends in a `Suffix`."""

    __slots__ = ("hard", "parts", "tail")

    def __init__(self, parts: Sequence[Doc]) -> None:
        self.parts = [p for p in parts if p != ""]
        self.hard = any(map(hard, self.parts)) or any(map(tail, self.parts[:-1]))
        self.tail = bool(self.parts) and tail(self.parts[-1])


class Nest(Concat):
    """A document whose lines are indented by one level more."""

    __slots__ = ()


class Group(Concat):
    """A document that stands on one line if it fits."""

    __slots__ = ()


Doc = str | Line | Suffix | Spaced | Either | Concat


def hard(doc: Doc) -> bool:
    """Whether a document cannot stand on one line."""
    return isinstance(doc, Line | Concat) and doc.hard


def tail(doc: Doc) -> bool:
    """Whether what follows a document must begin a new line."""
    return isinstance(doc, Suffix) or (isinstance(doc, Concat) and doc.tail)


def width(doc: Doc) -> int:
    """The columns a document takes on one line."""
    total, left = 0, [doc]
    while left:
        doc = left.pop()
        if isinstance(doc, str | Either | Spaced):
            total += len(_text(doc, False, "x"))
        elif isinstance(doc, Line):
            total += len(doc.flat)
        elif isinstance(doc, Concat):
            left += doc.parts
    return total


def first_line(doc: Doc) -> int:
    """The columns of a document up to its first new line that is forced."""
    total, left = 0, [doc]
    while left:
        doc = left.pop()
        if isinstance(doc, Line) and doc.hard:
            break
        if isinstance(doc, Concat):
            left += reversed(doc.parts)
        else:
            total += width(doc)
    return total


def render(doc: Doc, limit: int = WIDTH) -> str:
    """The text of a document, on lines of at most `limit` columns where it can be broken so."""
    out: list[str] = []
    column, indented = 0, False  # the indentation of a line is written with the first text on it
    suffixes: list[tuple[str, int, int]] = []  # for the end of this line: text, where it was met, indentation
    todo: list[tuple[int, bool, Doc]] = [(0, True, doc)]  # indentation, whether the group around is broken
    while todo:
        indent, broken, doc = todo.pop()
        if isinstance(doc, Line):
            if not (broken or doc.hard) or (doc.fill and column + sum(width(d) for _, _, d in todo[-2:]) < limit):
                out += [doc.flat] if doc.flat else []
                column += len(doc.flat)
            elif indented or suffixes or not doc.fresh:
                while indented and out and out[-1] == " ":
                    out.pop()
                out += [text for text, _, _ in suffixes]
                suffixes.clear()
                out.append("\n\n" if doc.blank and indented else "\n")
                column, indented = indent, False
        elif isinstance(doc, Suffix):
            if suffixes and suffixes[-1][0].startswith(" //"):
                _end_line(out, *suffixes.pop())
            suffixes.append((doc.text, len(out), indent))
        elif isinstance(doc, Group):
            flat = not doc.hard and _fits(doc, limit - (column if indented else indent), todo)
            todo += [(indent, not flat, part) for part in reversed(doc.parts)]
        elif isinstance(doc, Concat):
            inside = indent + STEP * isinstance(doc, Nest)
            todo += [(inside, broken, part) for part in reversed(doc.parts)]
        elif text := _text(doc, broken, out[-1] if indented else " "):
            if not indented:
                text = " " * indent + text
                column, indented = 0, True
            out.append(text)
            newline = text.rfind("\n")
            column = column + len(text) if newline < 0 else len(text) - newline - 1
    return "".join([*out, *(text for text, _, _ in suffixes)])


def _end_line(out: list[str], comment: str, at: int, indent: int) -> None:
    """End a line where a comment was met, since another comment is to stand behind what followed it."""
    if out[at:at + 1] == [" "]:
        del out[at]
    out.insert(at, f"{comment}\n{' ' * (indent + STEP)}")


def _text(doc: str | Spaced | Either, broken: bool, before: str) -> str:
    if isinstance(doc, str):
        return doc
    if isinstance(doc, Either):
        return doc.broken if broken else doc.flat
    return doc.text if before[-1] in " ([" else " " + doc.text


def _fits(group: Group, room: int, rest: Sequence[tuple[int, bool, Doc]]) -> bool:
    """Whether a group on one line, with what follows it up to the next new line, fits into the room."""
    todo: list[tuple[bool, Doc]] = [(False, part) for part in reversed(group.parts)]
    following = len(rest)
    while room >= 0:
        if not todo:
            if not following:
                return True
            following -= 1
            todo.append(rest[following][1:])
        broken, doc = todo.pop()
        if isinstance(doc, str):
            if "\n" in doc:
                return len(doc[:doc.index("\n")]) <= room
            room -= len(doc)
        elif isinstance(doc, Line):
            if broken or doc.hard:
                return True
            room -= len(doc.flat)
        elif isinstance(doc, Concat):
            todo += [(broken, part) for part in reversed(doc.parts)]
        elif isinstance(doc, Spaced):
            room -= len(doc.text) + 1
        elif isinstance(doc, Either):
            room -= len(doc.broken if broken else doc.flat)
    return False
