"""The front door for `.lms` files: `lms.load` makes a file a module, whose functions are staged functions."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from lms.core.types import SumType
from lms.frontend import evaluate
from lms.frontend.data import class_of
from lms.frontend.functions import StagedFunction
from lms.frontend.modules import Definition, Module
from lms.frontend.program import check_file, checked
from lms.frontend.types import ConstructorDeclaration
from lms.staging import records
from lms.staging.arguments import Signature
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
        return _again, (self.path, self.__name__)

    def plainly(self, args: Sequence[Any], kwargs: Any) -> Any:
        """Without staging: by the interpreter, since a file of ours is no Python."""
        return Loaded(self.form, Options("interpret"), self.path, self.__name__)._outside(args, kwargs)


def _again(path: str, name: str) -> Any:
    return getattr(load(path), name)


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


def load(path: str | os.PathLike[str], *, backend: str = "llvm", fastmath: bool = False, boundscheck: bool = True) -> LmsModule:
    """A `.lms` file as a module: its functions are staged functions, its constructors classes, its `let`s values.

    Raises `lms.frontend.diagnostics.SourceErrors`, which shows every mistake in the file, and `OSError`.

        model = lms.load("model.lms")
        model.power5(2.0), lms.grad(model.power5)(2.0)
    """
    file = os.path.abspath(os.fspath(path))
    name = os.path.splitext(os.path.basename(file))[0]
    return LmsModule(name, check_file(file), Options(backend, fastmath, boundscheck))


def loads(text: str, path: str = "<text>", *, backend: str = "llvm") -> LmsModule:
    """The same for a text."""
    return LmsModule("text", checked(text, path), Options(backend))


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `name.lms` where Python would look for `name.py`."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        for folder in sys.path if path is None else path:
            file = os.path.join(folder or os.getcwd(), fullname.rpartition(".")[2] + ".lms")
            if os.path.isfile(file):
                return importlib.util.spec_from_file_location(fullname, file, loader=self)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        assert spec.origin is not None
        return load(spec.origin)

    def exec_module(self, module: ModuleType) -> None:
        """Everything has been done."""


def install_import_hook() -> None:
    """From here on `import model` finds `model.lms` on Python's path, behind `model.py`."""
    if not any(isinstance(f, _Finder) for f in sys.meta_path):
        sys.meta_path.append(_Finder())


__all__ = ["Signature", "SumType", "execute", "install_import_hook", "load", "loads"]
