"""`lms compile`, `lms ir`, `lms grad`, `lms graph`: a staged function in the forms it takes on the way to native code."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lms.emit import BINARY, FORMS, emit

from .console import Commands, UsageError, add
from .files import write
from .targets import functions, statics


def register(commands: Commands) -> None:
    parser = add(commands, "compile", compile_, "show or write what a staged function becomes", """
lms compile power.py:power n=5
lms compile power.py:power n=5 --emit python
lms compile power.py:power n=5 --grad --emit llvm -o dpower.ll
lms compile model.lms --emit c -o model.c           # all that the file exports
lms compile model.lms:loss --emit c --main -o loss.c
lms compile model.lms --emit shared -o model.so
""")
    _target(parser)
    _form(parser, "ir")
    parser.add_argument("--grad", action="store_true", help="take the gradient first")

    parser = add(commands, "ir", ir, "show the program a function is staged to, or what a pass makes of it", """
lms ir power.py:power n=5
lms ir model.lms
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
    parser.add_argument("function", metavar="TARGET", help="file.py:function, file.lms:function, or all that file.lms exports")
    parser.add_argument("statics", nargs="*", metavar="name=value", help="the values of static parameters")
    parser.add_argument("-o", "--output", type=Path, help="default: standard output")


def _form(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("--emit", choices=FORMS, default=default, metavar="FORM",
                        help=f"{', '.join(FORMS)}; default: {default}; obj and shared take a C compiler")
    parser.add_argument("--main", action="store_true", help="add a main program to C: it reads numbers and .npy files")
    parser.add_argument("--lines", action="store_true", help="in C, #line directives for debuggers")


def compile_(options: argparse.Namespace) -> None:
    _emit(_staged(options, gradient=options.grad), options.emit, options.output, main=options.main, lines=options.lines)


def ir(options: argparse.Namespace) -> None:
    found = _staged(options)
    if options.after is None:
        _emit(found, "ir", options.output)
    else:
        _write("\n".join(_after(each, options.after) for each in found), options.output)


def grad(options: argparse.Namespace) -> None:
    _emit(_staged(options, gradient=True, wrt=options.wrt), options.emit, options.output, main=options.main, lines=options.lines)


def graph(options: argparse.Namespace) -> None:
    forms = {".dot": "dot", ".gv": "dot", ".svg": "svg", ".html": "html"}
    suffix = options.output.suffix if options.output else ".dot"
    if suffix not in forms:
        raise UsageError(f"a graph is written to .dot, .svg or .html, not to {suffix or 'a file without suffix'}")
    _emit(_staged(options), forms[suffix], options.output)


def _staged(options: argparse.Namespace, *, gradient: bool = False, wrt: list[str] | None = None) -> list[Any]:
    """The functions for the static values that were given, or their gradients."""
    from lms.api import stage
    from lms.derivatives import grad

    found = []
    for what in functions(options.function):
        if gradient:
            staged = grad(what, tuple(wrt) if wrt and len(wrt) > 1 else wrt[0] if wrt else 0)
        else:
            staged = what if hasattr(what, "specialize") else stage(what)
        found.append(staged.specialize(**statics(options.statics)))
    return found


def _emit(found: list[Any], form: str, output: Path | None, *, main: bool = False, lines: bool = False) -> None:
    if form in BINARY and output is None:
        raise UsageError(f"--emit {form} makes a file: name it with -o")
    if (main or lines) and form not in ("c", *BINARY):
        raise UsageError(f"--{'main' if main else 'lines'} belongs to C, and --emit is {form}")
    if form in ("dot", "svg", "html") and len(found) > 1:
        raise UsageError("one graph is drawn at a time: name a function, file.lms:function")
    _write(emit(found, form, main=main, lines=lines), output)


def _after(specialization: Any, name: str) -> str:
    """The program after each pass of a name, with the name above where there are several."""
    from lms.passes.base import Step

    names = specialization.plan()
    if name != "all" and name not in names:
        raise UsageError(f"no pass {name!r}; the passes are {', '.join(dict.fromkeys(names))}")
    shown: list[str] = []

    def observe(step: Step) -> None:
        if name in ("all", step.name):
            shown.append(f"// after {step.name}\n{step.program}")

    specialization.optimized(observe)
    return "\n".join(shown)


def _write(content: str | bytes, output: Path | None) -> None:
    if output is not None:
        write(output, content)
    elif isinstance(content, str):
        print(content, end="" if content.endswith("\n") else "\n")
