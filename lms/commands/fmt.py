"""`lms fmt`: lay out files of the language."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

from lms.core.errors import LmsError

from .console import Commands, add, paint, say
from .files import read, shown, sources, write


def register(commands: Commands) -> None:
    parser = add(commands, "fmt", fmt, "lay out .lms files, in place", """
lms fmt model.lms
lms fmt --check .          # exit status 1 if a file would change
lms fmt --diff model.lms
lms fmt - < model.lms      # to standard output
""")
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files, folders, or - for standard input")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="change nothing; exit status 1 if something would change")
    what.add_argument("--diff", action="store_true", help="change nothing; show what would change")


def fmt(options: argparse.Namespace) -> int:
    changed = failed = 0
    for path in sources(options.paths):
        try:
            changed += _file(path, options)
        except LmsError as e:
            say(str(e))
            failed += 1
    if str(options.paths[0]) != "-":
        verb = "would change" if options.check or options.diff else "changed"
        say(f"{changed} {'file' if changed == 1 else 'files'} {verb}")
    return 1 if failed or (changed and (options.check or options.diff)) else 0


def _file(path: Path, options: argparse.Namespace) -> bool:
    """Lay out one file; whether that changed it."""
    from lms.frontend.source import ending_like
    from lms.frontend.tools.format import format_source

    before = read(path)
    after = ending_like(format_source(before, shown(path)), before)
    if options.diff:
        _show_difference(before, after, shown(path))
    elif options.check:
        if after != before:
            say(f"{shown(path)} is not laid out as `lms fmt` does")
    elif str(path) == "-":
        sys.stdout.write(after)
    elif after != before:
        write(path, after)
    return after != before


def _show_difference(before: str, after: str, name: str) -> None:
    colours = {"+": "green", "-": "red", "@": "cyan"}
    lines = difflib.unified_diff(before.split("\n"), after.split("\n"), name, name, lineterm="")
    for line in lines:
        print(paint(line, colours.get(line[0], ""), sys.stdout))
