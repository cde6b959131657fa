"""`lms test`: files that hold their own expected output, in lines that begin with `//>`."""

from __future__ import annotations

import argparse
from pathlib import Path

from lms.core.errors import LmsError

from .console import Commands, add, say
from .files import read, shown, sources, write


def register(commands: Commands) -> None:
    parser = add(commands, "test", test, "compare what .lms files print with their lines `//>`", """
lms test                   # every .lms file here and below
lms test model.lms
lms test --update model.lms
""")
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", default=[Path(".")], help="files and folders; default: .")
    parser.add_argument("--update", action="store_true", help="write the lines anew instead of comparing them")


def test(options: argparse.Namespace) -> int:
    failed = 0
    paths = sources(options.paths)
    for path in paths:
        try:
            failed += not _file(path, options.update)
        except LmsError as e:
            say(str(e))
            failed += 1
    ok = len(paths) - failed
    silent = 0 if options.update else sum(map(_expects_nothing, paths))
    say(f"{ok} of {len(paths)} {'file' if len(paths) == 1 else 'files'} ok" + (", written" if options.update else "")
        + (f"; {silent} without a line `//>` to compare with" if silent else ""))
    return 1 if failed else 0


def _expects_nothing(path: Path) -> bool:
    from lms.frontend.tools.quines import MARK

    return not any(line.lstrip().startswith(MARK) for line in read(path).splitlines())


def _file(path: Path, update: bool) -> bool:
    """Run one file; whether its output is what it expects, or has been written."""
    from lms.files import execute
    from lms.frontend.tools import quines

    text = read(path)
    if update:
        after = quines.update(text, shown(path), execute)
        if after != text:
            write(path, after)
        return True
    wrong = quines.check(text, shown(path), execute)
    for each in wrong:
        say(str(each))
    return not wrong
