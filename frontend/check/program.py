"""A program of several files: reads what is imported, once each, and checks it."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from lms.core.errors import Span

from ..diagnostics import Diagnostic, SourceErrors
from ..parse import syntax as s
from ..parse.parser import deep_recursion, parse, parse_partial
from . import calls, control, derivatives, values
from .builtins import BUILTINS
from .modules import Definition, Module
from .types import DataDeclaration

_ = (calls, control, derivatives, values)  # imported for what they register
LIBRARY = str(Path(__file__).parents[1] / "library")


class Program:
    """Modules by their paths. `open` holds those being read, outermost first, to find cycles."""

    def __init__(self) -> None:
        self.modules: dict[str, Module] = {}
        self.open: list[str] = []

    def module(self, tree: s.Module, values: Mapping[str, Any] | None = None,
               data: Mapping[str, DataDeclaration] | None = None) -> Module:
        """The module of a tree, its names collected; `values` and `data` are what it sees of others, as if it imported them."""
        path = os.path.abspath(tree.path)
        made = Module(tree, self.find, _names())
        made.values.update(values or {})
        made.data.update(data or {})
        self.modules[path] = made
        self.open.append(path)
        made.collect()
        self.open.pop()
        return made

    def find(self, name: str, node: s.Node) -> Module:
        """The module an `import` names: the file beside the one that imports, else one of the language's own."""
        beside = os.path.join(os.path.dirname(os.path.abspath(node.span.file)), f"{name}.lms")
        path = next((p for p in (beside, os.path.join(LIBRARY, f"{name}.lms")) if os.path.isfile(p)), None)
        if path is None:
            raise Diagnostic("E0209", f"there is no file `{name}.lms` beside this one", node.span)
        if path in self.open:
            raise Diagnostic("E0210", f"`{name}` imports this file, directly or through others", node.span,
                             fix="move what both need into a third file")
        if path in self.modules:
            return self.modules[path]
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError) as e:
            why = "it is not UTF-8" if isinstance(e, UnicodeDecodeError) else (e.strerror or str(e)).lower()
            raise Diagnostic("E0209", f"`{name}.lms` cannot be read: {why}", node.span) from None
        try:
            found = self.module(parse(text, path))
        except SourceErrors as e:
            raise Diagnostic("E0209", f"`{name}.lms` cannot be read", node.span,
                             notes=((e.diagnostics[0].message, e.diagnostics[0].span),)) from None
        if errors := found.check():
            raise Diagnostic("E0209", f"`{name}.lms` has mistakes", node.span, notes=((errors[0].message, errors[0].span),))
        return found


@lru_cache(maxsize=1)
def _names() -> dict[str, object]:
    """What every file can name: what is built in, and the prelude."""
    names: dict[str, object] = dict(BUILTINS)
    path = os.path.join(LIBRARY, "prelude.lms")
    with open(path, encoding="utf-8") as file:
        prelude = Module(parse(file.read(), path), lambda name, node: _nothing(), names)
    prelude.collect()
    prelude.check()
    assert not prelude.errors, prelude.errors
    return names | {name: d for name, d in prelude.values.items() if isinstance(d, Definition)}


def _nothing() -> Module:
    raise AssertionError("the prelude imports nothing")


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the garbage collector, which would look at a growing tree again and again; there is next to no garbage."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def check_text(text: str, path: str = "<text>") -> tuple[Module, list[Diagnostic]]:
    """The module of a text and every mistake in it, in the order of the source."""
    with deep_recursion(), uncollected():
        tree, errors = parse_partial(text, path)
        module = Program().module(tree)
        found = module.check()
    return module, sorted([*errors, *found], key=lambda e: (e.span.line, e.span.column) if e.span else (0, 0))


def check_file(path: str) -> Module:
    """The module of a file. Raises `SourceErrors` with every mistake, and what opening it raises."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except UnicodeDecodeError as e:
        line = e.object.count(b"\n", 0, e.start) + 1
        raise SourceErrors([Diagnostic("E0103", "this is not UTF-8", Span(path, line, 0, line, 0),
                                       fix="save the file in that encoding")]) from None
    return checked(text, path)


def checked(text: str, path: str = "<text>") -> Module:
    """The module of a text. Raises `SourceErrors` with every mistake."""
    module, errors = check_text(text, path)
    if errors:
        raise SourceErrors(errors)
    return module
