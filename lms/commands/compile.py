"""`lms compile`: a staged function in every form it takes on the way to native code."""

from __future__ import annotations

import argparse
from pathlib import Path

from .console import Commands, add
from .files import write
from .targets import function, statics

EMIT = ("ir", "python", "llvm", "asm", "dot", "svg", "html")


def register(commands: Commands) -> None:
    parser = add(commands, "compile", compile_, "show or write what a staged function becomes", """
lms compile power.py:power n=5
lms compile power.py:power n=5 --emit python
lms compile power.py:power n=5 --grad --emit llvm -o dpower.ll
""")
    parser.add_argument("function", metavar="file.py:function")
    parser.add_argument("statics", nargs="*", metavar="name=value", help="the values of static parameters")
    parser.add_argument("--emit", choices=EMIT, default="ir", help="default: ir")
    parser.add_argument("--grad", action="store_true", help="take the gradient first")
    parser.add_argument("-o", "--output", type=Path, help="default: standard output")


def compile_(options: argparse.Namespace) -> None:
    what = function(options.function)
    from lms.api import stage
    from lms.derivatives import grad

    staged = grad(what) if options.grad else what if hasattr(what, "specialize") else stage(what)
    specialization = staged.specialize(**statics(options.statics))
    emit = options.emit
    text = specialization.graph(emit) if emit in ("dot", "svg", "html") else getattr(specialization, emit)
    if options.output is None:
        print(text, end="" if text.endswith("\n") else "\n")
    else:
        write(options.output, text)
