"""Libraries that are imported when first needed: SciPy's functions take a quarter of a second to load."""

from __future__ import annotations

import importlib
import sys
from functools import cache
from typing import Any


class Deferred:
    """A function of a library, by name. The library is imported at the first call."""

    __slots__ = ("__name__", "module")

    def __init__(self, module: str, name: str) -> None:
        self.module, self.__name__ = module, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.resolve()(*args, **kwargs)

    def __repr__(self) -> str:
        return f"{self.module}.{self.__name__}"

    @property
    def loaded(self) -> bool:
        """Whether somebody has imported the library."""
        return self.module in sys.modules

    def resolve(self) -> Any:
        """The function itself."""
        return getattr(importlib.import_module(self.module), self.__name__)


class Library:
    """A library whose attributes are `Deferred` functions, one object for each name."""

    def __init__(self, module: str) -> None:
        self._deferred = cache(lambda name: Deferred(module, name))

    def __getattr__(self, name: str) -> Deferred:
        return self._deferred(name)


special = Library("scipy.special")
