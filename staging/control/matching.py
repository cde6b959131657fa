"""What patterns mean: on values of now as in Python, on staged records and numbers as tests that run later.

A pattern is a tuple of its kind and its parts, as `source/match.py` writes it. Whatever part of the subject a pattern looks at
is looked up where it is needed, inside the block that has made sure of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from lms.core import primitives
from lms.core.builder import current
from lms.core.errors import Span, StagingError, StagingTypeError, here
from lms.core.types import SumType, bool_

from .. import records
from ..calls import staged_call
from ..joins import describe
from ..rep import Rep
from .choices import Choice, Dead, Logic, truth

Subject = Callable[[], Any]
Pattern = tuple[Any, ...]
_SELF_MATCHING = (bool, bytearray, bytes, dict, float, frozenset, int, list, set, str, tuple)


class Match:
    """A `match` statement: its cases are tried in order."""

    def __init__(self, subject: Any) -> None:
        self.subject = subject
        self.bound: dict[str, Subject] = {}
        self.staged = isinstance(subject, Rep)
        self.left = set(range(len(subject.type.constructors))) if self.staged and isinstance(subject.type, SumType) else None

    def case(self, pattern: Pattern, guarded: bool) -> Any:
        """Whether the subject fits: a bool of now or of later."""
        self.bound = {}
        if self.left is not None and (tags := _alternatives(self.subject, pattern)) is not None:
            mine = self.left & tags
            only = mine == self.left
            if not guarded:
                self.left -= tags
            if only:  # no other alternative is left
                self._bind(pattern)
                return True
            if not mine:
                return False
        return self._fits(pattern, lambda: self.subject)

    def get(self, name: str) -> Any:
        """What a name of the last case is bound to."""
        return self.bound[name]()

    def let(self, value: Any) -> bool:
        """Has bound a name, for a guard."""
        return True

    def unmatched(self) -> None:
        """No case fits."""
        if self.left is None:
            return
        if self.left:
            names = ", ".join(self.subject.type.constructors[k].name for k in sorted(self.left))
            raise StagingError(f"this `match` has no case for {names}", here(),
                               fix=f"add `case {names.split(',')[0]}(...)`, or `case _`")
        b = current()
        b.emit(primitives.control.check, b.const(False, bool_), error="RuntimeError", message="no case matches")
        raise Dead(b)

    # -------------------------------------------------------------------------------------- patterns

    def _bind(self, pattern: Pattern) -> None:
        assert self._fits(pattern, lambda: self.subject, sure=True) is True

    def _fits(self, pattern: Pattern, x: Subject, sure: bool = False) -> Any:
        kind, *parts = pattern
        match kind:
            case "as":
                inner, name = parts
                fits = True if inner is None else self._fits(inner, x, sure)
                if name is not None:
                    self.bound[name] = x
                return fits
            case "value":
                return truth(x() == parts[0])
            case "is":
                return x() is parts[0] if not isinstance(x(), Rep) else _is(x(), parts[0])
            case "or":
                return self._any(parts[0], x)
            case "class":
                return self._class(x, (*parts,), sure)
            case "sequence":
                return self._sequence(parts[0], x)
            case "mapping":
                return self._mapping(x, *parts)
        raise AssertionError(kind)

    def _any(self, patterns: Sequence[Pattern], x: Subject) -> Any:
        fits = self._fits(patterns[0], x)
        for k in range(1, len(patterns)):
            if fits is True:
                return True
            fits = _decide(False, fits, partial(self._fits, patterns[k], x))
        for name in captures(patterns[0]):  # every alternative binds the same names
            self.bound[name] = partial(self._chosen, patterns, x, name)
        return fits

    def _chosen(self, patterns: Sequence[Pattern], x: Subject, name: str) -> Any:
        """What a name is bound to by the first alternative that fits; one does."""
        outer, self.bound = self.bound, {}
        fits = self._fits(patterns[0], x)
        mine, self.bound = self.bound, outer
        if len(patterns) == 1 or fits is True:
            return mine[name]()
        choice = Choice(_here(), fits)
        first = choice.side(mine[name]()) if choice.then() else None
        rest = choice.side(self._chosen(patterns[1:], x, name)) if choice.orelse() else None
        return choice.meet(first, rest)

    def _all(self, fits: Any, tests: Sequence[tuple[Pattern, Subject]]) -> Any:
        for pattern, part in tests:
            fits = _decide(True, fits, partial(self._fits, pattern, part))
        return fits

    def _class(self, x: Subject, parts: tuple[Any, ...], sure: bool) -> Any:
        cls, positional, names, named = parts
        value = x()
        if isinstance(value, Rep) and isinstance(value.type, SumType):
            return self._record(x, value, parts, sure)
        fits = staged_call(isinstance, (value, cls), {})
        if fits is False or not positional and not names:
            return fits
        if cls in _SELF_MATCHING:
            return self._all(fits, [(positional[0], x)] if positional else [])
        attributes = [*getattr(cls, "__match_args__", ())[: len(positional)], *names]
        if len(attributes) < len(positional) + len(names):
            accepts = len(getattr(cls, "__match_args__", ()))
            raise TypeError(f"{cls.__name__}() accepts {accepts} positional sub-patterns ({len(positional)} given)")
        if not all(hasattr(value, a) for a in attributes):
            return False
        tests = [(p, partial(_attribute, x, a)) for p, a in zip((*positional, *named), attributes, strict=True)]
        return self._all(fits, tests)

    def _record(self, x: Subject, value: Rep, parts: tuple[Any, ...], sure: bool) -> Any:
        cls, positional, names, named = parts
        t = value.type
        assert isinstance(t, SumType)
        tag = next((k for k, c in enumerate(records.classes_of(t)) if c is cls), None)
        if tag is None:
            raise StagingTypeError(f"{getattr(cls, '__name__', cls)} is no alternative of {t}", here())
        fields = [name for name, _ in t.constructors[tag].fields]
        if len(positional) > len(fields):
            raise StagingTypeError(f"{cls.__name__} has {len(fields)} fields, found {len(positional)} patterns", here())
        attributes = [*fields[: len(positional)], *names]
        tests = [(p, partial(_field, x, tag, a)) for p, a in zip((*positional, *named), attributes, strict=True)]
        return self._all(True if sure else records.is_instance(value, cls), tests)

    def _sequence(self, patterns: Sequence[Pattern], x: Subject) -> Any:
        value = x()
        if isinstance(value, Rep) or not isinstance(value, Sequence) or isinstance(value, str | bytes | bytearray):
            if isinstance(value, Rep):
                raise StagingTypeError(f"{describe(value)} cannot be matched as a sequence", here(), fix="index it")
            return False
        star = next((k for k, p in enumerate(patterns) if p[0] == "star"), None)
        if len(value) != len(patterns) if star is None else len(value) < len(patterns) - 1:
            return False
        if star is None:
            return self._all(True, [(p, partial(_item, x, k)) for k, p in enumerate(patterns)])
        after = len(patterns) - star - 1
        if (name := patterns[star][1]) is not None:
            self.bound[name] = lambda: list(x()[star: len(value) - after])
        head = [(p, partial(_item, x, k)) for k, p in enumerate(patterns[:star])]
        tail = [(p, partial(_item, x, k - after)) for k, p in enumerate(patterns[star + 1:])]
        return self._all(True, [*head, *tail])

    def _mapping(self, x: Subject, keys: Sequence[Any], patterns: Sequence[Pattern], rest: str | None) -> Any:
        value = x()
        if not isinstance(value, Mapping) or not all(key in value for key in keys):
            return False
        if rest is not None:
            self.bound[rest] = lambda: {k: v for k, v in x().items() if k not in keys}
        return self._all(True, [(p, partial(_item, x, key)) for key, p in zip(keys, patterns, strict=True)])


def _attribute(x: Subject, name: str) -> Any:
    return getattr(x(), name)


def _field(x: Subject, tag: int, name: str) -> Any:
    return records.project(x(), tag, name)


def _item(x: Subject, key: Any) -> Any:
    return x()[key]


def captures(pattern: Pattern) -> set[str]:
    """The names a pattern binds."""
    kind, *parts = pattern
    if kind == "as":
        return ({parts[1]} if parts[1] is not None else set()) | (captures(parts[0]) if parts[0] is not None else set())
    if kind == "star":
        return {parts[0]} if parts[0] is not None else set()
    inner = {"or": parts[:1], "sequence": parts[:1], "mapping": parts[1:2], "class": parts[1::2]}.get(kind, [])
    rest = {parts[2]} if kind == "mapping" and parts[2] is not None else set()
    return rest.union(*(captures(p) for group in inner for p in group))


def _is(x: Rep, singleton: Any) -> Any:
    if singleton is None:
        return isinstance(x.type, SumType) and records.is_instance(x, type(None))
    return x.type == bool_ and truth(x == singleton)


def _alternatives(x: Rep, pattern: Pattern) -> set[int] | None:
    """The alternatives that surely fit, whatever their fields; None if that depends on the fields."""
    kind, *parts = pattern
    t = x.type
    assert isinstance(t, SumType)
    if kind == "as":
        return set(range(len(t.constructors))) if parts[0] is None else _alternatives(x, parts[0])
    if kind == "class" and all(p[0] == "as" and p[1] is None for p in (*parts[1], *parts[3])):
        return {k for k, c in enumerate(records.classes_of(t)) if c is parts[0]} or None
    if kind == "or":
        found = [_alternatives(x, p) for p in parts[0]]
        return None if any(f is None for f in found) else set().union(*(f for f in found if f is not None))
    return None


def _decide(both: bool, left: Any, right: Callable[[], Any]) -> Any:
    """`left and right()`, or `left or right()`, in the order of patterns."""
    logic = Logic(_here(), both, left)
    return logic.meet(truth(right()) if logic.open() else None)


def _here() -> Span:
    return here() or Span("<unknown>", 0)
