"""Calls whose way is known: from the types of the arguments, and the values of the static ones, straight to native code.

The native entries of a staged function take calls that are their leaves. This is the next faster way, in Python: for static
arguments, for captured values that must be looked at again, for results that are containers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lms.core.types import ArrayType, Scalar, SumType, bool_, c128, f64, i64
from lms.staging.arguments import Bound, Later, Now

from .specialization import Specialization

Call = Callable[[Sequence[Any]], Any]

_STATIC = frozenset({int, bool, str, type(None)})
_SCALARS = (f64, i64, bool_, c128)
_MANY = 1024


class KnownCalls:
    """What was called before, by a key that is cheap to make."""

    def __init__(self) -> None:
        self._modes: dict[tuple[type, ...], tuple[str, ...]] = {}
        self._calls: dict[Any, tuple[Specialization, Call]] = {}

    def get(self, args: Sequence[Any]) -> Call | None:
        """How to make a call; None if it was not made before, or something it depends on has changed."""
        modes = self._modes.get(tuple(map(type, args)))
        if modes is None:
            return None
        found = self._calls.get(_key(args, modes))
        if found is None or (found[0].traced.dependencies and not found[0].traced.current()):
            return None
        return found[1]

    def add(self, args: Sequence[Any], bound: Bound, s: Specialization) -> None:
        """Remember a call, if its way is short: numbers and arrays, and static numbers and strings."""
        specs = list(bound.spec.values())
        modes = tuple(map(_mode, args, specs[:len(args)]))
        plain = all(isinstance(spec, Now) for spec in specs[len(args):])
        if not plain or "" in modes or any(isinstance(v.type, SumType) for v in s.staged.main.body.results):
            return
        if len(self._calls) >= _MANY:
            self._calls.clear()
        self._modes[tuple(map(type, args))] = modes
        self._calls[_key(args, modes)] = s, _call(modes, s)


def _mode(x: Any, spec: Any) -> str:
    """`n` for an argument known now, `s` for a staged number, `a` for an array; nothing where the way is longer."""
    if isinstance(spec, Now):
        return "n" if type(x) in _STATIC else ""
    if not isinstance(spec, Later):
        return ""
    if isinstance(spec.type, Scalar):
        return "s" if spec.type in _SCALARS else ""
    return "a" if isinstance(spec.type, ArrayType) and type(x) is np.ndarray else ""


def _key(args: Sequence[Any], modes: Sequence[str]) -> Any:
    return tuple([type(x) if m == "s" else (type(x), x) if m == "n" else _looks(x) for x, m in zip(args, modes, strict=True)])


def _looks(x: np.ndarray[Any, Any]) -> Any:
    return x.dtype, x.flags.c_contiguous, *[n == 1 for n in x.shape]


def _call(modes: Sequence[str], s: Specialization) -> Call:
    places = [k for k, m in enumerate(modes) if m != "n"]
    hidden, run, traced = s.traced.hidden, s.compiled, s.traced
    single = isinstance(traced.result, Later)

    def call(args: Sequence[Any]) -> Any:
        out = run(*[args[k] for k in places], *[h.now() for h in hidden])
        return out if single else traced.rebuild(out if len(s.staged.main.body.results) > 1 else (out,))

    return call
