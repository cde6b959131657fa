"""Functions that compiled code takes from other people's extension modules, by address."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

from .native import capsule_pointer


def function(module: str, name: str) -> int:
    """The address of a function that a Cython module offers to others. Imported only when something needs it."""
    return capsule_pointer(_extension(module).__pyx_capi__[name])


def _extension(name: str) -> ModuleType:
    """An extension module, without the package around it where that has not been imported: it would take ten times as long."""
    if name in sys.modules:
        return sys.modules[name]
    top, *path, last = name.split(".")
    folder = os.path.join(*import_module(top).__path__, *path)
    found = PathFinder.find_spec(last, [folder])
    if found is None or found.origin is None or not found.origin.endswith(tuple(EXTENSION_SUFFIXES)):
        return import_module(name)
    spec = spec_from_file_location(name, found.origin)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
