"""A prompt's memory: each text entered sees what the ones before it defined, and may define it anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..check.instances import bound_names
from ..check.modules import Definition, Module
from ..check.program import Program
from ..check.types import AnyType, DataDeclaration, default
from ..diagnostics import SourceErrors
from ..parse import syntax as s
from ..parse.parser import deep_recursion, parse
from ..run.evaluate import Evaluation, Execute, Result, exported
from ..run.functions import StagedFunction


class Session:
    """What has been defined so far. `execute` runs a staged program, as `Evaluation` asks it to."""

    def __init__(self, execute: Execute) -> None:
        self.execute = execute
        self.program = Program()
        self.values: dict[str, Any] = {}
        self.data: dict[str, DataDeclaration] = {}
        self.entered = 0
        self.builtins: dict[str, Any] = self.checked("").builtins

    def checked(self, text: str, path: str = "") -> Module:
        """A text, of a file or typed, as a module that sees what is defined. Raises `SourceErrors`."""
        tree = parse(text, path or f"<prompt {self.entered + 1}>")
        new = {name for item in tree.items for name in defined(item)}
        with deep_recursion():
            values, data = ({k: v for k, v in known.items() if k not in new} for known in (self.values, self.data))
            module = self.program.module(tree, values, data)
            if errors := module.check():
                raise SourceErrors(errors)
        return module

    def enter(self, text: str, path: str = "") -> Iterator[Result]:
        """Evaluate a text; the value of each expression in it. Its definitions stay if nothing is raised."""
        module = self.checked(text, path)
        self.entered += 1
        evaluation = Evaluation(module, self.execute)
        for top in module.tops:
            result = evaluation.step(top)
            if result is not None:
                yield result
        self.values, self.data = module.values, module.data

    def type(self, text: str) -> AnyType:
        """The type of an expression. Raises `SourceErrors`."""
        typed = self.checked(text).tops[-1].typed
        assert typed is not None
        return default(typed.type)

    def function(self, text: str) -> StagedFunction:
        """The function of a name, or one that takes nothing and gives an expression. Raises `SourceErrors`, and `KeyError`
        for what is generic."""
        found = self.values.get(text.strip())
        if isinstance(found, Definition):
            return exported(found.module, found.name).staged
        return exported(self.checked(f"def it() = {{\n{text}\n}}"), "it").staged


def defined(item: s.Item) -> Iterator[str]:
    """The names an item at the top defines."""
    match item:
        case s.Def():
            yield item.name
        case s.Data():
            yield from (item.name, *(c.name for c in item.constructors))
        case s.Import():
            yield item.alias
        case s.FromImport():
            yield from (n.name for n in item.names)
        case s.Let() | s.Var():
            yield from (name for name, _ in bound_names(item))
