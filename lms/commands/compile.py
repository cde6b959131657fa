"""`lms compile`, `lms ir`, `lms grad`, `lms graph`: a staged function in the forms it takes on the way to native code."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

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
    _target(parser)
    _form(parser, "ir")
    parser.add_argument("--grad", action="store_true", help="take the gradient first")

    parser = add(commands, "ir", ir, "show the program a function is staged to, or what a pass makes of it", """
lms ir power.py:power n=5
lms ir power.py:power n=5 --after lower
lms ir power.py:power n=5 --after all
""")
    _target(parser)
    parser.add_argument("--after", metavar="PASS", help="the program after a pass, by its name; after each, for `all`")

    parser = add(commands, "grad", grad, "show the gradient of a function, as Python or in another form", """
lms grad power.py:power n=5
lms grad power.py:power n=5 --emit llvm
lms grad model.py:loss --wrt weights
""")
    _target(parser)
    parser.add_argument("--wrt", metavar="NAME", action="append", help="by which parameter; the first, if none is named")
    _form(parser, "python")

    parser = add(commands, "graph", graph, "draw a function: its program as a graph", """
lms graph power.py:power n=5                # for graphviz, to standard output
lms graph power.py:power n=5 -o power.html  # a page that draws itself
lms graph power.py:power n=5 -o power.svg   # by the program dot
""")
    _target(parser)


def _target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("function", metavar="file.py:function")
    parser.add_argument("statics", nargs="*", metavar="name=value", help="the values of static parameters")
    parser.add_argument("-o", "--output", type=Path, help="default: standard output")


def _form(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("--emit", choices=FORMS, default=default, help=f"default: {default}; obj and shared take a C compiler")
    parser.add_argument("--main", action="store_true", help="add a main program to C: it reads numbers and .npy files")
    parser.add_argument("--lines", action="store_true", help="in C, #line directives for debuggers")


def compile_(options: argparse.Namespace) -> None:
    _emit(_staged(options, gradient=options.grad), options)


def ir(options: argparse.Namespace) -> None:
    specialization = _staged(options)
    _write(specialization.ir if options.after is None else _after(specialization, options.after), options.output)


def grad(options: argparse.Namespace) -> None:
    _emit(_staged(options, gradient=True, wrt=options.wrt), options)


def graph(options: argparse.Namespace) -> None:
    forms = {".dot": "dot", ".gv": "dot", ".svg": "svg", ".html": "html"}
    suffix = options.output.suffix if options.output else ".dot"
    if suffix not in forms:
        raise UsageError(f"a graph is written to .dot, .svg or .html, not to {suffix or 'a file without suffix'}")
    _write(emit([_staged(options)], forms[suffix]), options.output)


def _staged(options: argparse.Namespace, *, gradient: bool = False, wrt: list[str] | None = None) -> Any:
    """The function for the static values that were given, or its gradient."""
    what = function(options.function)
    from lms.api import stage
    from lms.derivatives import grad

    if gradient:
        staged = grad(what, tuple(wrt) if wrt and len(wrt) > 1 else wrt[0] if wrt else 0)
    else:
        staged = what if hasattr(what, "specialize") else stage(what)
    return staged.specialize(**statics(options.statics))


def _emit(specialization: Any, options: argparse.Namespace) -> None:
    if options.emit in BINARY and options.output is None:
        raise UsageError(f"--emit {options.emit} makes a file: name it with -o")
    _write(emit([specialization], options.emit, main=options.main, lines=options.lines), options.output)


def _after(specialization: Any, name: str) -> str:
    """The program after each pass of a name, with the name above where there are several."""
    from lms.ad.differentiate import Differentiate
    from lms.passes.base import Step
    from lms.pipeline import optimize, simplify

    names = specialization.plan()
    if name != "all" and name not in names:
        raise UsageError(f"no pass {name!r}; the passes are {', '.join(dict.fromkeys(names))}")
    shown: list[str] = []

    def observe(step: Step) -> None:
        if name in ("all", step.name):
            shown.append(f"// after {step.name}\n{step.program}")

    optimize(specialization.staged, [Differentiate(simplify)] if specialization.differentiates else [], observe=observe)
    return "\n".join(shown)


def _write(made: str | bytes, output: Path | None) -> None:
    if isinstance(made, bytes) or output is not None:
        assert output is not None
        write(output, made)
    else:
        print(made, end="" if made.endswith("\n") else "\n")
