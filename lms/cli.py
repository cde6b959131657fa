"""The command line: which commands there are, and what a mistake becomes: exit status 1 in a program, 2 in the call."""

from __future__ import annotations

import argparse
import difflib
import errno
import sys
from collections.abc import Sequence

from lms.core.errors import LmsError
from lms.core.version import VERSION

from .commands import cache, check, compile, doctor, fmt, lsp, repl, run, test
from .commands.console import Failed, UsageError, say
from .commands.files import silence_stdout

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # what writing gives on a full or broken device
GROUPS = (
    ("Programs", (run, repl, check, test, fmt)),
    ("What a program becomes", (compile,)),
    ("This machine", (cache, doctor, lsp)),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit status: 1 for the user's mistake, with a caret, 2 for a wrong call."""
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        options = _options(words)
        status = int(options.run(options) or 0)
        sys.stdout.flush()
        return status
    except UsageError as e:
        say(f"lms: {e}")
        return 2
    except (LmsError, Failed) as e:
        say(str(e))
        return 1
    except BrokenPipeError:
        silence_stdout()  # the reader has left
        return 1
    except OSError as e:
        if e.errno not in FULL:
            raise
        silence_stdout()
        say(f"lms: cannot write: {(e.strerror or '').lower()}")
        return 2
    except KeyboardInterrupt:
        say("lms: interrupted")
        return 130


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser, commands = _parser()
    word = next(iter(words), "-")
    if not word.startswith("-") and word not in commands:
        close = difflib.get_close_matches(word, commands, 1)
        raise UsageError(f"no command {word!r}; " + (f"did you mean {close[0]!r}?" if close else "`lms --help` lists them"))
    return parser.parse_args(words)


def _parser() -> tuple[argparse.ArgumentParser, list[str]]:
    """The parser of the command line, and the names of the commands."""
    parser = argparse.ArgumentParser(prog="lms", usage="lms COMMAND ...", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"lms {VERSION}")
    parser.set_defaults(run=lambda options: parser.print_help())
    commands = parser.add_subparsers(prog="lms", metavar="COMMAND", help=argparse.SUPPRESS)
    lines = ["Multi-stage programs, with gradients."]
    for title, modules in GROUPS:
        before = len(commands.choices)
        for module in modules:
            module.register(commands)
        lines += ["", f"{title}:"]
        lines += [f"  {name:9}{(each.description or '').rstrip('.')}" for name, each in list(commands.choices.items())[before:]]
    parser.description = "\n".join(lines)
    parser.epilog = "`lms COMMAND --help` shows a command's options, and examples."
    return parser, list(commands.choices)
