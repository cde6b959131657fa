"""`lms run`: a program, its errors shown with a caret."""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

from .console import Commands, add
from .files import existing
from .targets import users_program


def register(commands: Commands) -> None:
    parser = add(commands, "run", run, "run a Python file, errors of staged programs shown with a caret", """
lms run train.py --epochs 3
""")
    parser.add_argument("file", type=Path)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="what the program finds in sys.argv")


def run(options: argparse.Namespace) -> None:
    path = existing(options.file)
    sys.argv = [str(path), *options.arguments]
    sys.path.insert(0, str(path.resolve().parent))
    with users_program(path):
        runpy.run_path(str(path), run_name="__main__")
