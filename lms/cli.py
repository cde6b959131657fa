"""The command line: `lms doctor`, `lms cache`, `lms compile file.py:function`, `lms run file.py`."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import os
import platform
import runpy
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lms.core.errors import LmsError
from lms.core.version import VERSION

EMIT = ("ir", "python", "llvm", "asm", "dot", "svg", "html")


class UsageError(Exception):
    """A mistake in what was typed: one line, exit status 2."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit status: 1 for the user's mistake, with a caret, 2 for a wrong call."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.command is None:
        parser.print_help()
        return 0
    try:
        return int(options.run(options) or 0)
    except UsageError as e:
        print(f"lms: {e}", file=sys.stderr)
        return 2
    except LmsError as e:
        print(e, file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has left: say nothing more
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lms", description="Multi-stage programs for Python, with gradients.")
    parser.add_argument("--version", action="version", version=f"lms {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="command")

    run = commands.add_parser("run", help="run a Python file, errors of staged programs shown with a caret")
    run.add_argument("file", type=Path)
    run.add_argument("arguments", nargs=argparse.REMAINDER)
    run.set_defaults(run=_run)

    compile_ = commands.add_parser("compile", help="show or write what a staged function becomes",
                                   epilog="Static arguments: lms compile power.py:power n=5 --emit python")
    compile_.add_argument("function", metavar="file.py:function")
    compile_.add_argument("statics", nargs="*", metavar="name=value")
    compile_.add_argument("--emit", choices=EMIT, default="ir", help="default: ir")
    compile_.add_argument("--grad", action="store_true", help="take the gradient first")
    compile_.add_argument("-o", "--output", type=Path, help="default: standard output")
    compile_.set_defaults(run=_compile)

    cache = commands.add_parser("cache", help="show, clear or trim the cache of compiled code")
    cache.add_argument("action", choices=("info", "clear", "trim"), nargs="?", default="info")
    cache.set_defaults(run=_cache)

    doctor = commands.add_parser("doctor", help="what was found on this machine")
    doctor.set_defaults(run=_doctor)
    return parser


def _run(options: argparse.Namespace) -> None:
    if not options.file.is_file():
        raise UsageError(f"no such file: {options.file}")
    sys.argv = [str(options.file), *options.arguments]
    sys.path.insert(0, str(options.file.resolve().parent))
    runpy.run_path(str(options.file), run_name="__main__")


def _load(what: str) -> Any:
    """The staged function that `file.py:function` names."""
    file, _, name = what.rpartition(":")
    if not file or not name:
        raise UsageError(f"expected file.py:function, found {what!r}")
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"no such file: {file}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.resolve().parent))
    spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        known = [k for k, v in vars(module).items() if hasattr(v, "specialize")]
        raise UsageError(f"{file} has no function {name!r}; staged functions there: {', '.join(known) or 'none'}")
    return function


def _statics(texts: Sequence[str]) -> dict[str, Any]:
    statics = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"expected name=value, found {text!r}")
        try:
            statics[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            statics[name] = value
    return statics


def _compile(options: argparse.Namespace) -> None:
    function = _load(options.function)
    from lms.api import stage
    from lms.derivatives import grad

    staged = grad(function) if options.grad else function if hasattr(function, "specialize") else stage(function)
    specialization = staged.specialize(**_statics(options.statics))
    emit = options.emit
    text = specialization.graph(emit) if emit in ("dot", "svg", "html") else getattr(specialization, emit)
    if options.output is None:
        print(text, end="" if text.endswith("\n") else "\n")
    else:
        options.output.write_text(text, encoding="utf-8")


def _cache(options: argparse.Namespace) -> None:
    from lms.backends.llvm import cache

    if options.action == "clear":
        cache.clear()
    elif options.action == "trim":
        cache.trim()
    for key, value in cache.info().items():
        print(f"{key:10} {value}")


def _doctor(options: argparse.Namespace) -> None:
    import llvmlite.binding as llvm
    import numpy
    import scipy  # type: ignore[import-untyped, unused-ignore]  # SciPy ships no types

    rows = [
        ("lms", VERSION),
        ("python", f"{platform.python_version()} ({platform.machine()}, {platform.system()})"),
        ("numpy", numpy.__version__),
        ("scipy", scipy.__version__),
        ("llvm", ".".join(map(str, llvm.llvm_version_info))),
        ("cpu", f"{llvm.get_host_cpu_name()}, {os.cpu_count()} cores"),
        ("dot", shutil.which("dot") or "not found: graphs are written as .dot and .html"),
        ("cc", shutil.which("cc") or shutil.which("gcc") or "not found: needed by benchmarks only"),
    ]
    for key, value in rows:
        print(f"{key:8} {value}")
