"""Which calls staged values reach, and whose functions they are: what is virtualised, and what runs now."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import os
import sys
import textwrap
from collections.abc import Callable
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import Any

from lms.core.errors import is_ours

from .rep import Rep


@functools.cache
def _libraries() -> tuple[str, ...]:
    import sysconfig

    paths = map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib"))
    return tuple({os.path.join(os.path.realpath(path), "") for path in paths if path})


def reaches(x: Any, depth: int = 6, seen: set[int] | None = None) -> bool:
    """Whether a staged value can be reached from `x`: in containers, objects, closures, bound methods."""
    if isinstance(x, Rep):
        return True
    if depth == 0 or x is None or isinstance(x, bool | int | float | complex | str | bytes | type | CodeType):
        return False
    seen = set() if seen is None else seen
    if id(x) in seen:
        return False
    seen.add(id(x))
    return any(reaches(part, depth - 1, seen) for part in _parts(x))


def _parts(x: Any) -> list[Any]:
    if isinstance(x, list | tuple | set | frozenset):
        return list(x)
    if isinstance(x, dict):
        return list(x.values())
    if isinstance(x, MethodType):
        return [x.__self__, x.__func__]
    if isinstance(x, functools.partial):
        return [x.func, *x.args, *x.keywords.values()]
    if isinstance(x, FunctionType):
        return [*_cells(x), *(x.__defaults__ or ()), *(x.__kwdefaults__ or {}).values()]
    if isinstance(x, BuiltinFunctionType):
        return [] if x.__self__ is None or isinstance(x.__self__, type(sys)) else [x.__self__]
    if isinstance(x, slice):
        return [x.start, x.stop, x.step]
    if dataclasses.is_dataclass(x) or type(x).__module__ not in sys.stdlib_module_names:
        return list(getattr(x, "__dict__", {}).values())
    return []


def _cells(f: FunctionType) -> list[Any]:
    out = []
    for cell in f.__closure__ or ():
        try:
            out.append(cell.cell_contents)
        except ValueError:
            continue
    return out


def is_library(f: FunctionType) -> bool:
    """Whether a Python function belongs to the standard library or an installed package that has not opted in."""
    if is_ours(f.__code__):
        return True
    if not in_library(f.__code__.co_filename):
        return False
    package = sys.modules.get((f.__module__ or "").partition(".")[0])
    return not getattr(package, "__lms_stage__", False)


def in_library(file: str) -> bool:
    """Whether a file belongs to the standard library or an installed package."""
    return file.startswith("<frozen") or os.path.realpath(file).startswith(_libraries())


def python_function(f: Any) -> FunctionType | None:
    """The user's Python function behind a callable, None where there is none to virtualise."""
    if isinstance(f, MethodType):
        f = f.__func__
    return f if isinstance(f, FunctionType) and not is_library(f) and not is_straight_generator(f.__code__) else None


@functools.lru_cache(maxsize=1024)
def is_straight_generator(code: CodeType) -> bool:
    """Whether code is that of a generator without control flow, such as a derivative rule: it can run as it stands."""
    if not code.co_flags & inspect.CO_GENERATOR:
        return False
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    except (OSError, SyntaxError):
        return False
    return not any(isinstance(node, _TURNS) for node in ast.walk(tree))


_TURNS = (ast.If, ast.For, ast.While, ast.Try, ast.With, ast.Match, ast.IfExp, ast.BoolOp, ast.Assert, ast.YieldFrom,
          ast.comprehension)


# ------------------------------------------------------------------------------------------ impure calls

_IMPURE_MODULES = {
    "random": "use `lms.random` with a key: `lms.random.uniform(key)`",
    "numpy.random": "use `lms.random` with a key: `lms.random.normal(key, n)`",
    "time": "pass the time as an argument",
    "secrets": "use `lms.random` with a key",
    "uuid": "pass the value as an argument",
}
_IMPURE = {"input": "pass the value as an argument", "open": "read or write the file outside the staged function"}


def impure(f: Callable[..., Any]) -> tuple[str, str] | None:
    """The name of a call whose result differs from time to time, and the fix; None for others."""
    owner = getattr(f, "__self__", None)
    name = getattr(f, "__name__", "")
    module = getattr(f, "__module__", None) or ""
    if owner is not None and not isinstance(owner, type(sys)):
        kind = owner if isinstance(owner, type) else type(owner)
        module = kind.__module__ or ""
        if kind.__module__ == "datetime" and name in ("now", "today", "utcnow"):
            return f"{kind.__name__}.{name}", _IMPURE_MODULES["time"]
    if module in ("_io", "io", "builtins") and owner is not None and isinstance(owner, type(sys)) and name in _IMPURE:
        return name, _IMPURE[name]
    if name == "urandom" and module in ("posix", "nt"):
        return f"os.{name}", _IMPURE_MODULES["random"]
    root = "numpy.random" if module.startswith("numpy.random") else module.lstrip("_")
    if root in _IMPURE_MODULES and not (root == "time" and name in ("sleep", "struct_time")) and name not in ("Random", "UUID"):
        return f"{'np.random' if root == 'numpy.random' else root}.{name}", _IMPURE_MODULES[root]
    return None
