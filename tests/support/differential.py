"""A Python function beside its staged self: the same arguments, the same results, the same exceptions."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import lms
from lms.core.errors import LmsError
from lms.core.ir import walk

COUNTS = [(k,) for k in (0, 1, 2, 3, 7, 20)]
VECTORS = [(np.array(v, float),) for v in ([], [1.0], [3.0, -1.0, 4.0], [1.0, 11.0, 5.0, -2.0, 0.0])]


def operations(f: Callable[..., Any], *args: Any) -> list[str]:
    """The names of the primitives in the program that a call makes."""
    return [node.op.name for node in walk(lms.stage(backend="interpret")(f).specialize(*args).staged.main.body)]


def outcome(f: Callable[..., Any], args: Sequence[Any]) -> Any:
    """What a call gives: its result and the arrays it was given, or the class and text of what it raises."""
    args = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
    try:
        result = f(*args)
    except Exception as e:  # noqa: BLE001  # whatever Python raises, the staged function must raise too
        return type(e), message(e)
    return plain(result), [plain(a) for a in args if isinstance(a, np.ndarray)]


def message(e: Exception) -> str:
    """The text of an exception without the place that lms adds."""
    text = str(e).splitlines()[0] if str(e) else ""
    return re.sub(r"^.*?\.py:\d+: ", "", text)


def plain(x: Any) -> Any:
    """Results that can be compared: numbers by value, arrays as lists."""
    if isinstance(x, np.ndarray):
        return x.tolist()
    if isinstance(x, np.generic):
        return x.item()
    if isinstance(x, list | tuple):
        return type(x)(map(plain, x))
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    return x


def agrees(f: Callable[..., Any], *calls: Sequence[Any]) -> None:
    """Staged and run by the interpreter, `f` gives what Python gives, for each tuple of arguments."""
    staged = lms.stage(backend="interpret")(f)
    for args in calls:
        expected, found = outcome(f, args), outcome(staged, args)
        assert found == expected, f"{f.__name__}{tuple(args)}"


def refused(f: Callable[..., Any], *args: Any) -> LmsError:
    """The error of staging `f`."""
    try:
        lms.stage(backend="interpret")(f)(*args)
    except LmsError as e:
        return e
    raise AssertionError(f"{f.__name__} was staged")


def points_at(e: LmsError, source: Callable[..., Any] | str, text: str) -> None:
    """The error's caret stands under `text`, in the source of the function."""
    assert e.span is not None
    lines = str(e).splitlines()
    shown, carets = lines[1].split("| ", 1)[1], lines[2].split("| ", 1)[1]
    start = carets.index("^")
    assert shown[start: start + len(carets.strip())] == text
    if not isinstance(source, str):
        body, first = inspect.getsourcelines(source)
        assert first <= e.span.line < first + len(body)
