"""Calls that must not come back to Python."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def without(function: Callable[..., Any]) -> Iterator[None]:
    """Fails where a function written in Python is called."""
    slow: list[Any] = []

    def profile(frame: Any, event: str, arg: Any) -> None:
        if event == "call" and frame.f_code is function.__code__:
            slow.append(dict(frame.f_locals))

    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(None)
    assert not slow, f"the slow path was taken: {slow}"
