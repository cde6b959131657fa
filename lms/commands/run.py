"""`lms run`: a program in either language, its errors shown with a caret."""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

from .console import Commands, UsageError, add
from .files import existing, read, shown
from .programs import value
from .targets import users_program


def register(commands: Commands) -> None:
    parser = add(commands, "run", run, "run a .lms or Python file, errors of staged programs shown with a caret", """
lms run model.lms          # prints the value of each expression at the top
lms run train.py --epochs 3
""")
    parser.add_argument("file", type=Path)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="what the program finds in sys.argv")


def run(options: argparse.Namespace) -> None:
    path = existing(options.file)
    if path.suffix == ".py":
        _run_python(path, options.arguments)
    elif options.arguments:
        raise UsageError(f"{shown(path)} takes no arguments")
    else:
        _run_lms(path)


def _run_python(path: Path, arguments: list[str]) -> None:
    sys.argv = [str(path), *arguments]
    sys.path.insert(0, str(path.resolve().parent))
    with users_program(path):
        runpy.run_path(str(path), run_name="__main__")


def _run_lms(path: Path) -> None:
    """Evaluate what stands at the top of a file in order, and print each value that is not the unit."""
    from lms.files import execute
    from lms.frontend.check.program import checked
    from lms.frontend.run.evaluate import Evaluation

    module = checked(read(path), shown(path))
    evaluation = Evaluation(module, execute)
    for top in module.tops:
        if text := value(evaluation, top):
            print(text)
