"""`lms check` and `lms explain`: the mistakes in a file, and what a code means."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import Commands, UsageError, add, paint, say
from .files import NotUtf8, read, shown, sources

if TYPE_CHECKING:
    from lms.core.errors import Span
    from lms.frontend.diagnostics import Diagnostic


def register(commands: Commands) -> None:
    parser = add(commands, "check", check, "find the mistakes in .lms files", """
lms check model.lms
lms check .                # every .lms file here and below
lms check --json model.lms # for editors
""")
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files, folders, or - for standard input")
    parser.add_argument("--json", action="store_true", help="the mistakes as a JSON list, on standard output")

    parser = add(commands, "explain", explain, "what a code in an error means, and how to mend it", """
lms explain E0101
lms explain                # all codes
""")
    parser.add_argument("code", nargs="?", metavar="CODE")


def check(options: argparse.Namespace) -> int:
    found: list[Diagnostic] = []
    paths = sources(options.paths)
    for path in paths:
        found += mistakes(path)
    if options.json:
        print(json.dumps([_record(each) for each in found], indent=2))
    elif found:
        say("\n\n".join(map(str, found)))
        say(f"\n{len(found)} {'mistake' if len(found) == 1 else 'mistakes'}; `lms explain {found[0].code}` says more")
    else:
        say(f"{paint('no mistakes', 'green', sys.stderr)} in {len(paths)} {'file' if len(paths) == 1 else 'files'}")
    return 1 if found else 0


def mistakes(path: Path) -> list[Diagnostic]:
    """Every mistake in a file, in the order of the source."""
    from lms.core.errors import Span
    from lms.frontend.check.program import check_text
    from lms.frontend.diagnostics import Diagnostic

    try:
        return check_text(read(path), shown(path))[1]
    except NotUtf8 as e:
        return [Diagnostic("E0103", "this is not UTF-8", Span(shown(path), e.line, 0, e.line, 0), fix="save it in that encoding")]


def _record(each: Diagnostic) -> dict[str, Any]:
    return {"code": each.code, "message": each.message, **_place(each.span), "fix": each.fix,
            "notes": [{"message": message, **_place(span)} for message, span in each.notes]}


def _place(span: Span | None) -> dict[str, Any]:
    """Lines and columns from 1; columns count bytes of UTF-8, and the end is behind the last of them."""
    if span is None:
        return {}
    return {"file": span.file, "line": span.line, "column": span.column + 1, "end_line": span.end_line,
            "end_column": span.end_column + 1}


def explain(options: argparse.Namespace) -> None:
    from lms.frontend.codes import CODES
    from lms.frontend.diagnostics import explain

    if options.code is None:
        for code, (title, _) in CODES.items():
            print(f"{code}  {title}")
        return
    code = options.code.upper()
    if code not in CODES:
        raise UsageError(f"no code {options.code!r}; `lms explain` lists them")
    print(explain(code), end="")
