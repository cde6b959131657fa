"""`lms compile`, `lms ir`, `lms grad`, `lms graph`: a staged function in the forms it takes on the way to native code."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .console import Commands, UsageError, add
from .files import write
from .targets import function, statics

EMIT = ("ir", "python", "llvm", "asm", "dot", "svg", "html")


def register(commands: Commands) -> None:
    parser = add(commands, "compile", compile_, "show or write what a staged function becomes", """
lms compile power.py:power n=5
lms compile power.py:power n=5 --emit python
lms compile power.py:power n=5 --grad --emit llvm -o dpower.ll
""")
    _target(parser)
    parser.add_argument("--emit", choices=EMIT, default="ir", help="default: ir")
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
    parser.add_argument("--emit", choices=EMIT, default="python", help="default: python")

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


def compile_(options: argparse.Namespace) -> None:
    _write(_emitted(_staged(options, gradient=options.grad), options.emit), options.output)


def ir(options: argparse.Namespace) -> None:
    specialization = _staged(options)
    _write(specialization.ir if options.after is None else _after(specialization, options.after), options.output)


def grad(options: argparse.Namespace) -> None:
    _write(_emitted(_staged(options, gradient=True, wrt=options.wrt), options.emit), options.output)


def graph(options: argparse.Namespace) -> None:
    forms = {".dot": "dot", ".gv": "dot", ".svg": "svg", ".html": "html"}
    suffix = options.output.suffix if options.output else ".dot"
    if suffix not in forms:
        raise UsageError(f"a graph is written to .dot, .svg or .html, not to {suffix or 'a file without suffix'}")
    _write(_emitted(_staged(options), forms[suffix]), options.output)


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


def _emitted(specialization: Any, form: str) -> str:
    text: str = specialization.graph(form) if form in ("dot", "svg", "html") else getattr(specialization, form)
    return text


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


def _write(text: str, output: Path | None) -> None:
    if output is None:
        print(text, end="" if text.endswith("\n") else "\n")
    else:
        write(output, text)
