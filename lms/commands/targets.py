"""What a command is about: `file.py:function`, `file.lms:function`, or all that `file.lms` exports."""

from __future__ import annotations

import ast
import importlib.util
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lms.core.errors import LmsError

from .console import Failed, UsageError
from .files import existing, read


def split(what: str) -> tuple[Path, str]:
    """`power.py:power` to its file and its name, empty where there is none."""
    if Path(what).exists():
        return Path(what), ""
    file, colon, name = what.rpartition(":")
    return (Path(file), name) if colon and file else (Path(what), "")


def functions(what: str) -> list[Any]:
    """The staged functions that `file.py:function`, `file.lms:function` or `file.lms` names."""
    path, name = split(what)
    if not name and path.suffix != ".lms":
        raise UsageError(f"expected file.py:function, file.lms:function or file.lms, found {what!r}")
    existing(path)
    if path.suffix == ".lms":
        return _of_lms(path, name)
    module = python_module(path)
    found = getattr(module, name, None)
    if not callable(found):
        known = [k for k, v in vars(module).items() if hasattr(v, "specialize")]
        raise UsageError(f"{path} has no function {name!r}; staged functions there: {', '.join(known) or 'none'}")
    return [found]


def _of_lms(path: Path, name: str) -> list[Any]:
    from lms.loading import load

    read(path)  # says what is wrong with a file that is no text
    module = load(path)
    exports = ", ".join(module.__all__) or "nothing"
    if not name:
        if not module.__all__:
            raise UsageError(f"{path} exports nothing: write `export` before a `def`, or name a function, {path}:function")
        return [getattr(module, each) for each in module.__all__]
    found = getattr(module, name, None)
    if not hasattr(found, "specialize"):
        raise UsageError(f"{path} has no function {name!r} that can be compiled alone; it exports {exports}")
    return [found]


def python_module(path: Path) -> Any:
    """A Python file as a module, with its folder on the path, as if it were run."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.resolve().parent))
    with users_program(path):
        spec.loader.exec_module(module)
    return module


@contextmanager
def users_program(path: Path) -> Iterator[None]:
    """What a Python file raises is shown as Python would, from the file's own first frame on."""
    try:
        yield
    except LmsError:
        raise
    except Exception as e:  # noqa: BLE001  # whatever the user's program raises
        trace = e.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename != str(path):
            trace = trace.tb_next
        raise Failed("".join(traceback.format_exception(type(e), e, trace)).rstrip()) from None


def statics(texts: Sequence[str]) -> dict[str, Any]:
    """`n=5 kind=fast` as the values of static parameters."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"expected name=value, found {text!r}")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = value
    return found
