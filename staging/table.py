"""The table from Python callables to their staged forms: one entry for each, made where the staged form is written."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lms.core.builder import staging
from lms.core.lazy import Deferred

from .rep import Rep


class Table(dict[Any, Callable[..., Any]]):
    """A dictionary by callables. Those of a library that is not loaded yet are looked for once it is."""

    def find(self, f: Any) -> Callable[..., Any] | None:
        """The staged form of a callable, or None."""
        found = super().get(f)
        if found is None and (waiting := [d for d in self if isinstance(d, Deferred) and d.loaded]):
            for d in waiting:
                self.setdefault(d.resolve(), self.pop(d))
            found = super().get(f)
        return found


STAGED = Table()
"""What a call of the key means when a staged value is among its arguments."""

ALWAYS: set[Any] = set()
"""The keys of `STAGED` that stage also without a staged value among their arguments."""


def form(f: Callable[..., Any]) -> Callable[..., Any]:
    """What is run to stage a function: the staged form of a library's, any other itself."""
    try:
        return STAGED.find(f) or f
    except TypeError:  # an object that cannot be hashed
        return f


def holds_rep(args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> bool:
    """Whether a staged value is among the arguments, or in a list or tuple among them."""
    return any(map(_holds, args)) or (bool(kwargs) and any(map(_holds, (kwargs or {}).values())))


def _holds(x: Any) -> bool:
    return isinstance(x, Rep) or (isinstance(x, list | tuple) and any(map(_holds, x))) or (
        isinstance(x, slice) and (_holds(x.start) or _holds(x.stop) or _holds(x.step)))


def stages(eager: Callable[..., Any], *same: Callable[..., Any],
           always: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Say that the decorated function is the staged form of `eager` (and of those that mean the same).

    The result is the public name: it stages when a staged value is among its arguments, else it is `eager`.
    `always`: in staged code it stages whatever its arguments. So do functions that make arrays, which can be stored into.
    """

    def register(staged: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(staged)
        def public(*args: Any, **kwargs: Any) -> Any:
            if (always and staging()) or holds_rep(args, kwargs):
                return staged(*args, **kwargs)
            return eager(*args, **kwargs)

        for f in (eager, *same):
            STAGED[f] = staged
        if always:
            ALWAYS.update((eager, *same, public))
        STAGED[public] = staged
        return public

    return register
