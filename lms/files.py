"""`.lms` files as modules, whose functions are staged functions; and the running of what stands at their top."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from lms.frontend.check.modules import Definition, Module
from lms.frontend.check.program import check_file, checked
from lms.frontend.check.types import ConstructorDeclaration
from lms.frontend.run import evaluate
from lms.frontend.run.data import class_of
from lms.frontend.run.functions import StagedFunction
from lms.staging import records
from lms.staging.functions import Traced

from .api import Staged
from .specialization import Options, Specialization


def execute(traced: Traced, backend: str = "") -> Any:
    """Run a program that takes nothing. A short one is interpreted: that is sooner done than compiled."""
    nodes = traced.program.main.body.nodes
    short = len(traced.program.functions) == 1 and not any(node.blocks for node in nodes)
    s = Specialization(traced, Options(backend or ("interpret" if short else "llvm")))
    results = s.run([h.now() for h in traced.hidden])
    return traced.rebuild([records.from_record(x) if hasattr(x, "tag") else x.item() if hasattr(x, "item") and x.ndim == 0 else x
                           for x in results])


class Loaded(Staged[..., Any]):
    """A function of a `.lms` file, as a staged function."""

    def __init__(self, form: StagedFunction, options: Options, path: str, name: str) -> None:
        super().__init__(form.body, options, form.signature)
        self.form, self.path = form, path
        self.rule = form.rule
        self.__name__ = self.__qualname__ = name
        self.__signature__ = form.signature.signature

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.path, self.__name__, self.options)

    def plainly(self, args: Sequence[Any], kwargs: Any) -> Any:
        """Without staging: by the interpreter, since a file of ours is no Python."""
        return Loaded(self.form, Options("interpret"), self.path, self.__name__)._outside(args, kwargs)


def _again(path: str, name: str, options: Options) -> Any:
    return getattr(load(path, options), name)


class LmsModule(ModuleType):
    """A `.lms` file as a module: its functions, constructors, and the values of its names."""

    def __init__(self, name: str, module: Module, options: Options) -> None:
        super().__init__(name, _doc(module))
        self.__file__ = module.path
        self._module, self._options = module, options
        self._evaluation = evaluate.Evaluation(module, execute)
        self._evaluation.definitions()
        self.__all__ = list(module.exports)
        for k, entry in module.values.items():
            if isinstance(entry, ConstructorDeclaration):
                setattr(self, k, class_of(entry))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = self._module.values.get(name)
        if isinstance(found, Definition):
            made: Any = self._function(found, name)
        elif isinstance(found, Module):
            made = LmsModule(name, found, self._options)
        elif found is not None and name in getattr(found, "places", ()):
            made = found.places[name].value
            return made.get() if hasattr(made, "get") else made
        else:
            raise AttributeError(f"{self.__name__}.lms has no {name!r}")
        setattr(self, name, made)
        return made

    def _function(self, definition: Definition, name: str) -> Loaded:
        try:
            form = evaluate.exported(definition.module, name).staged
        except KeyError:
            raise AttributeError(f"{name!r} is generic over types: export it for the types you need") from None
        return Loaded(form, self._options, self._module.path, name)

    def __dir__(self) -> list[str]:
        return [name for name in self._module.values if not name.startswith("_")]


def _doc(module: Module) -> str:
    items = module.syntax.items
    first = items[0].span.line if items else 1 << 30
    lines = [c.text[2:].strip() for c in module.syntax.comments if c.kind == "//" and c.own_line and c.span.line < first]
    return "\n".join(lines)


def load(path: str | os.PathLike[str], options: Options) -> LmsModule:
    """A file as a module; see `lms.load`."""
    file = os.path.abspath(os.fspath(path))
    name = os.path.splitext(os.path.basename(file))[0]
    return LmsModule(name, check_file(file), options)


def loads(text: str, path: str = "<text>", *, backend: str = "llvm") -> LmsModule:
    """The same for a text."""
    return LmsModule("text", checked(text, path), Options(backend))
