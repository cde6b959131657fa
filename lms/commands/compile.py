"""`lms compile`: a staged function in every form it takes on the way to native code."""

from __future__ import annotations

import argparse
from pathlib import Path

from lms.emit import BINARY, FORMS, emit

from .console import Commands, UsageError, add
from .files import write
from .targets import function, statics


def register(commands: Commands) -> None:
    parser = add(commands, "compile", compile_, "show or write what a staged function becomes", """
lms compile power.py:power n=5
lms compile power.py:power n=5 --emit python
lms compile power.py:power n=5 --grad --emit llvm -o dpower.ll
lms compile power.py:power n=5 --emit c --main -o power.c
""")
    parser.add_argument("function", metavar="file.py:function")
    parser.add_argument("statics", nargs="*", metavar="name=value", help="the values of static parameters")
    parser.add_argument("--emit", choices=FORMS, default="ir", help="default: ir")
    parser.add_argument("--grad", action="store_true", help="take the gradient first")
    parser.add_argument("--main", action="store_true", help="add a main program to C: it reads numbers and .npy files")
    parser.add_argument("--lines", action="store_true", help="in C, #line directives for debuggers")
    parser.add_argument("-o", "--output", type=Path, help="default: standard output")


def compile_(options: argparse.Namespace) -> None:
    what = function(options.function)
    from lms.api import stage
    from lms.derivatives import grad

    staged = grad(what) if options.grad else what if hasattr(what, "specialize") else stage(what)
    if options.emit in BINARY and options.output is None:
        raise UsageError(f"--emit {options.emit} makes a file: name it with -o")
    specialization = staged.specialize(**statics(options.statics))
    made = emit([specialization], options.emit, main=options.main, lines=options.lines)
    if isinstance(made, bytes) or options.output is not None:
        write(options.output, made)
    else:
        print(made, end="" if made.endswith("\n") else "\n")
