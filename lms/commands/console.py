"""What goes to the terminal: colours where somebody looks, and mistakes in what was typed."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable
from typing import IO, TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # generic to type checkers only


class UsageError(Exception):
    """A mistake in what was typed: one line, exit status 2."""


class Failed(Exception):
    """A mistake in a program that has been shown already, or is the text of this: exit status 1."""


def add(commands: Commands, name: str, run: Callable[[argparse.Namespace], int | None], about: str,
        examples: str) -> argparse.ArgumentParser:
    """A command: `about` is its line of help, `examples` are shown below its options."""
    shown = "\n".join(f"  {line}" for line in examples.strip().splitlines())
    parser = commands.add_parser(
        name, description=about[0].upper() + about[1:] + ".", epilog=f"examples:\n{shown}",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(run=run)
    return parser


# ------------------------------------------------------------------------------------------------------- colours

_COLOURS = {"bold": "1", "red": "1;31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36", "grey": "90"}


def coloured(stream: IO[str]) -> bool:
    """Whether colours are wanted: on a terminal, unless `NO_COLOR` is set (no-color.org) or the terminal has none."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, stream: IO[str]) -> str:
    """The text in a colour, if it has one and the stream shows colours."""
    return f"\033[{_COLOURS[colour]}m{text}\033[0m" if text and colour and coloured(stream) else text


def paint_report(text: str, stream: IO[str]) -> str:
    """An error in colours: its first line, the carets, and the fix."""
    if not coloured(stream):
        return text
    parts = {"code": "red", "caret": "red", "gutter": "blue", "fix": "green"}

    def dress(m: re.Match[str]) -> str:
        return paint(m[0], parts[m.lastgroup or ""], stream)

    return re.sub(r"(?m)(?P<code>\bE\d{4}\b)|(?P<caret>(?<=\| )\s*\^+$)|^(?P<gutter>\s*\d* \|)|^(?P<fix>fix:)", dress, text)


def say(text: str) -> None:
    """A message, as opposed to a result: on standard error."""
    print(paint_report(text, sys.stderr), file=sys.stderr)
