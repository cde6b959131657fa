"""What a specialisation read of the world around its function, and whether that still holds.

Numbers, strings, functions and containers of them are part of the memo key: change a global, and the next call specialises
again. Arrays that became inputs may change their contents, and may be replaced by others of their type. An array that was
read while staging may not: its contents are in the program.
"""

from __future__ import annotations

import dis
import hashlib
import sys
from collections.abc import Collection, Mapping
from functools import lru_cache
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from lms.core.data import dataclass

from .rep import Rep

_CONSTANT = (FunctionType, BuiltinFunctionType, MethodType, ModuleType, type)
_DEPTH = 6


@dataclass(frozen=True, slots=True)
class Dependency:
    """A global, a closure cell or an object that was read while staging: where it is, what it held, and what that looked like."""

    place: dict[str, Any] | CellType
    name: str
    held: Any
    looks: Any = None

    def now(self) -> Any:
        """What it holds now; the dependency itself when it is gone."""
        if isinstance(self.place, dict):
            return self.place.get(self.name, self)
        try:
            return self.place.cell_contents
        except ValueError:
            return self

    def fixed(self, inputs: Mapping[int, Dependency]) -> Dependency:
        """The same, with what it looks like noted; `inputs` says of arrays that are inputs, by identity, where they are found."""
        source = inputs.get(id(self.held))
        if source is not None and (source.place is not self.place or source.name != self.name):
            return Dependency(self.place, self.name, self.held, ("alias", source))
        return Dependency(self.place, self.name, self.held, snapshot(self.held, inputs))

    @property
    def fast(self) -> bool:
        """Whether holding the same object is enough: a function, module, class, number or string."""
        return is_constant(self.held) or isinstance(self.held, int | float | complex | str | bytes | None)

    def holds(self) -> bool:
        """Whether it still holds what it held, as far as the program depends on it."""
        new = self.now()
        if new is self.held and is_constant(new):
            return True
        if isinstance(self.looks, tuple) and self.looks[0] == "alias":
            return new is self.looks[1].now()  # two variables of one array are one input
        if isinstance(new, np.ndarray) and isinstance(self.held, np.ndarray) and _is_input(self.looks):
            return _like(self.held, new)
        return _matches(self.looks, new) if self.looks is not None else _identical(self.held, new)


@lru_cache(maxsize=4096)
def global_names(code: CodeType) -> frozenset[str]:
    """The global names a code object and those inside it may read; names of attributes are none."""
    own = {i.argval for i in dis.get_instructions(code) if i.opcode in _GLOBALS}
    return frozenset(own).union(*(global_names(inner) for inner in code.co_consts if isinstance(inner, CodeType)))


_GLOBALS = {n for name, n in dis.opmap.items() if name.startswith("LOAD_") and name.endswith(("_GLOBAL", "_GLOBALS", "_NAME"))}


def is_constant(x: Any) -> bool:
    """Whether an object means the same as long as it is the same: functions, modules, classes, staged functions."""
    return isinstance(x, _CONSTANT) or getattr(type(x), "__lms_staged__", False) is True


def _identical(old: Any, new: Any) -> bool:
    """Inside one staging: the same object, staged value or number."""
    if isinstance(old, Rep):
        return isinstance(new, Rep) and new.value is old.value
    return new is old or (type(new) is type(old) and isinstance(old, bool | int | str | bytes | float | complex) and new == old)


def _like(old: np.ndarray[Any, Any], new: np.ndarray[Any, Any]) -> bool:
    return (old.dtype == new.dtype and old.ndim == new.ndim and old.flags.c_contiguous == new.flags.c_contiguous
            and all((m == 1) == (n == 1) for m, n in zip(old.shape, new.shape, strict=True)))


# ---------------------------------------------------------------------------------------------- snapshots


def snapshot(x: Any, inputs: Collection[int] = (), depth: int = _DEPTH) -> Any:
    """What a value looks like: equal for values that stage the same program."""
    if isinstance(x, bool | int | str | bytes | None | type(Ellipsis)):
        return type(x), x
    if isinstance(x, float | complex):
        return type(x), repr(x)
    if isinstance(x, np.ndarray):
        return ("input", id(x)) if id(x) in inputs else ("array", x.shape, str(x.dtype), _digest(x))
    if isinstance(x, np.generic):
        return type(x), x.tobytes()
    if depth and isinstance(x, list | tuple):
        return type(x), tuple(snapshot(part, inputs, depth - 1) for part in x)
    if depth and isinstance(x, dict):
        return type(x), tuple((snapshot(k, inputs, 1), snapshot(v, inputs, depth - 1)) for k, v in x.items())
    if depth and is_plain_object(x):
        return "object", id(x), tuple((k, snapshot(v, inputs, depth - 3)) for k, v in vars(x).items() if depth > 3)
    return "object", id(x)


def _digest(x: np.ndarray[Any, Any]) -> bytes:
    if x.dtype.hasobject:
        return repr(id(x)).encode()
    return hashlib.blake2b(np.ascontiguousarray(x).view(np.uint8).data if x.size else b"", digest_size=16).digest()


def is_plain_object(x: Any) -> bool:
    """Whether `x` is a plain object of a class that is neither Python's nor ours."""
    root = (type(x).__module__ or "").partition(".")[0]
    library = root in sys.stdlib_module_names or root in ("lms", "numpy")
    return hasattr(x, "__dict__") and not isinstance(x, _CONSTANT) and not library


def _is_input(looks: Any) -> bool:
    return isinstance(looks, tuple) and looks[0] == "input"


def _matches(looks: Any, new: Any) -> bool:
    return bool(snapshot(new, _inputs_of(looks)) == looks)


def _inputs_of(looks: Any) -> set[int]:
    """The arrays that a snapshot has as inputs."""
    if not isinstance(looks, tuple):
        return set()
    if len(looks) == 2 and looks[0] == "input":
        return {looks[1]}
    return set().union(*map(_inputs_of, looks))


@dataclass(frozen=True, slots=True)
class Hidden:
    """A NumPy array that staged code uses without its being an argument: the variable that holds it, if one does."""

    array: np.ndarray[Any, Any]
    source: Dependency | None

    def now(self) -> np.ndarray[Any, Any]:
        """The array to pass."""
        found = self.source.now() if self.source is not None else self.array
        assert isinstance(found, np.ndarray)
        return found
