"""`lms.load`, and `import` for `.lms` files. What reads them is imported when the first one is."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from .specialization import Options


def load(path: str | os.PathLike[str], *, backend: str = "llvm", fastmath: bool = False, boundscheck: bool = True) -> ModuleType:
    """A `.lms` file as a module: its functions are staged functions, its constructors classes, its `let`s values.

    Raises `lms.frontend.diagnostics.SourceErrors`, which shows every mistake in the file, and `OSError`.

        model = lms.load("model.lms")       # export def power5(b: Rep[f64]): Rep[f64] = b ** 5
        model.power5(2.0), lms.grad(model.power5)(2.0)      # (32.0, 80.0)
    """
    from . import files

    return files.load(path, Options(backend, fastmath, boundscheck))


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
        module = load(spec.origin)
        module.__name__ = spec.name
        module.__dict__["_new"] = True
        return module

    def exec_module(self, module: ModuleType) -> None:
        """What is new is complete; what is loaded again is filled anew."""
        if not module.__dict__.pop("_new", False):
            assert module.__spec__ is not None
            names = {"__name__", "__spec__", "__loader__", "__package__", "__file__"}
            again = self.create_module(module.__spec__).__dict__
            for name in module.__dict__.keys() - names:
                del module.__dict__[name]
            module.__dict__.update({name: x for name, x in again.items() if name not in names | {"_new"}})


def install_import_hook() -> None:
    """From here on `import model` finds `model.lms` on Python's path, behind `model.py`.

        lms.install_import_hook()
        import model
        model.power5(2.0)       # 32.0
    """
    if not any(isinstance(f, _Finder) for f in sys.meta_path):
        sys.meta_path.append(_Finder())
