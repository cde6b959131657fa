"""Calls whose arguments are containers, static values or keywords, made native: taken apart here, then handed to an entry.

A `Front` says how the arguments of one kind of call hold the leaves of a compiled function, and what container its results go
into. It becomes a table of words; `lms_front`, linked once, walks the table. Nothing is compiled for a new front, and what does
not match goes on to the next one, at last to `__call__`.

    Leaf()                         the next parameter; of exactly the class `cls`, where one is given
    Leaf(widen=True)               the next parameter; an int becomes a float
    Known(value)                   this very value: an `int`, a `str`, or the object itself
    Parts(cls, keys, parts)        a tuple, list, dict, named tuple or dataclass, with its parts in order
"""

from __future__ import annotations

import ctypes
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from lms.core.data import dataclass

from .native import Choosy, Guard, NativeCallable, set_entries

LEAVES, PARAMETERS = 256, 64  # at most, in one call
LEAF, NUMBER, SAME, INT, STR, TUPLE, LIST, DICT, OBJECT, WIDEN = range(10)  # what the words begin with


@dataclass(frozen=True, slots=True)
class Leaf:
    """A parameter of the compiled function, or a result."""

    cls: type | None = None
    widen: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """A value known now: an argument must be it, a result is it."""

    value: Any


@dataclass(frozen=True, slots=True)
class Parts:
    """A container: its class, the keys or names of its parts, the parts."""

    cls: type
    keys: tuple[Any, ...]
    parts: tuple[Pattern, ...]


Pattern = Leaf | Known | Parts
NOTHING = object()


@dataclass(frozen=True, slots=True)
class Front:
    """One kind of call: the parameters' names, patterns and defaults (`NOTHING` for none), the result, the entry behind.

    `results` is how many leaves the entry gives: it returns one by itself, several as a tuple. `world` is what every call finds
    outside: further patterns, and the objects that must match them, whose leaves come after those of the arguments.
    """

    names: tuple[str, ...]
    patterns: tuple[Pattern, ...]
    defaults: tuple[Any, ...]
    result: Pattern
    results: int
    entry: int
    keepalive: object
    world: tuple[tuple[Pattern, Any], ...] = ()


def fits(pattern: Pattern) -> bool:
    """Whether a pattern can be a table."""
    if isinstance(pattern, Leaf):
        return True
    if isinstance(pattern, Known):
        value = pattern.value
        return not isinstance(value, float | complex) and (type(value) is not int or -(1 << 63) <= value < 1 << 63)
    return _kind(pattern.cls) is not None and all(map(fits, pattern.parts))


def _kind(cls: type) -> int | None:
    """How containers of a class are taken apart."""
    if cls in (tuple, list, dict):
        return {tuple: TUPLE, list: LIST, dict: DICT}[cls]
    if issubclass(cls, tuple) and hasattr(cls, "_fields") and cls.__new__ is not tuple.__new__:
        return TUPLE
    return OBJECT if dataclasses.is_dataclass(cls) else None


def enter(obj: NativeCallable, direct: Sequence[int], fronts: Sequence[Front], keepalive: Sequence[object],
          guards: Sequence[Guard] = ()) -> None:
    """Let calls of `obj` try the entries in `direct`, which take the arguments as they are, then the fronts."""
    from . import support

    table = _Table(fronts)
    addresses = [*direct, *([support.resolve("lms_front") or 0] if fronts else [])]
    set_entries(obj, addresses, keepalive, guards=guards, fronts=table.address, tables=table)


class _Refuse(NativeCallable):
    """Who an entry behind a front is called for: an entry that does not take its arguments says so."""

    def __call__(self, *args: Any) -> Any:
        return NotImplemented


class _Table:
    """Fronts as words in memory, with all they point to."""

    def __init__(self, fronts: Sequence[Front]) -> None:
        self.keep: list[Any] = []
        rows = [word for front in fronts for word in self._row(front)]
        self.address = self._words([*rows, 0]) if fronts else 0

    def _row(self, front: Front) -> Iterator[int]:
        refuse = _Refuse()
        set_entries(refuse, [front.entry], [front.keepalive], choosy=Choosy.SIZES)
        outside = [pattern for pattern, _ in front.world]
        objects = (*front.defaults, *(x for _, x in front.world))
        yield self._words([word for pattern in (*front.patterns, *outside) for word in self._pattern(pattern)] or [0])
        yield 0 if isinstance(front.result, Leaf) else self._words(self._pattern(front.result))
        yield front.entry
        yield len(front.names) + len(outside)
        yield self._words([*map(self._name, front.names), *(self._name("\0") for _ in outside)] or [0])
        yield self._words([0 if d is NOTHING else self._object(d) for d in objects] or [0])
        yield front.results
        yield self._object(refuse)
        yield len(front.names)

    def _pattern(self, p: Pattern) -> list[int]:
        if isinstance(p, Leaf):
            return [WIDEN] if p.widen else [LEAF] if p.cls is None else [NUMBER, self._object(p.cls)]
        if isinstance(p, Known):
            at = self._object(p.value)
            return [INT, at, p.value] if type(p.value) is int else [STR, at] if type(p.value) is str else [SAME, at]
        kind = _kind(p.cls)
        assert kind is not None
        head = [kind, self._object(p.cls), len(p.parts)]
        for key, part in zip(p.keys, p.parts, strict=True):
            if kind in (DICT, OBJECT):
                head.append(self._name(key) if isinstance(key, str) else self._object(key))
            head += self._pattern(part)
        return head

    def _name(self, name: str) -> int:
        return self._object(sys.intern(name))

    def _object(self, x: Any) -> int:
        self.keep.append(x)
        return id(x)

    def _words(self, words: Sequence[int]) -> int:
        memory = (ctypes.c_int64 * len(words))(*words)
        self.keep.append(memory)
        return ctypes.addressof(memory)
