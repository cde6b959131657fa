"""Our dataclasses do what the standard library's do: each is made by both, and compared."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from lms.core import data


def _both(make: Callable[[Any], Any]) -> tuple[Any, Any]:
    return make(data), make(dataclasses)


def _family(module: Any, **options: Any) -> tuple[type, type]:
    @module.dataclass(**options)
    class Base:
        kind: ClassVar[str] = "shape"
        x: float
        name: str = "p"

    @module.dataclass(**options)
    class Derived(Base):
        tags: list[str] = module.field(default_factory=list)
        secret: int = module.field(default=3, repr=False)

        def __post_init__(self) -> None:
            assert self.x >= 0

    return Base, Derived


@pytest.mark.parametrize("options", [
    {}, {"eq": False}, {"slots": True}, {"frozen": True}, {"frozen": True, "slots": True}, {"frozen": True, "eq": False},
    {"eq": False, "slots": True}, {"frozen": True, "slots": True, "eq": False},
], ids=str)
def test_as_the_standard_library(options: dict[str, bool]) -> None:
    ours, theirs = _both(lambda module: _family(module, **options)[1])
    assert ours.__match_args__ == theirs.__match_args__ == data.fields(ours)
    for args, kwargs in [((1.0,), {}), ((1.0, "q", ["t"], 4), {}), ((), {"x": 2.0, "secret": 5})]:
        a, b = ours(*args, **kwargs), theirs(*args, **kwargs)
        assert [getattr(a, n) for n in ours.__match_args__] == [getattr(b, n) for n in ours.__match_args__]
        assert (a == ours(*args, **kwargs)) == (b == theirs(*args, **kwargs)) == options.get("eq", True)
        assert a == a and a != b
        assert hasattr(a, "__dict__") == hasattr(b, "__dict__")
        assert repr(a) == repr(b)
        assert repr(copy.copy(a)).split(" at ")[0] == repr(a).split(" at ")[0]
        assert data.replace(a, x=7.0).x == dataclasses.replace(b, x=7.0).x == 7.0
    assert ours(1.0).tags is not ours(1.0).tags
    assert (ours.__hash__ is None) == (theirs.__hash__ is None)
    for cls in (ours, theirs):
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
            cls()
        with pytest.raises(AssertionError):
            cls(-1.0)


def test_frozen() -> None:
    for base, _ in _both(lambda module: _family(module, frozen=True, slots=True)):
        p = base(1.0)
        with pytest.raises(AttributeError, match="x"):
            p.x = 2.0
        with pytest.raises(AttributeError, match="x"):
            del p.x
        assert {p: 1}[base(1.0)] == 1


def test_own_methods_stay() -> None:
    for cls in _both(_with_methods):
        assert repr(cls(1, 2)) == "mine"
        assert cls(1, 2) == cls(1, 3) and hash(cls(1, 2)) == 1
        assert cls.total(cls(1, 2)) == 3


def _with_methods(module: Any) -> type:
    @module.dataclass(frozen=True, slots=True)
    class Own:
        a: int
        b: int

        def __repr__(self) -> str:
            return "mine"

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Own) and self.a == other.a

        def __hash__(self) -> int:
            return self.a

        def total(self) -> int:
            return self.a + self.b

    return Own


@data.dataclass(frozen=True, slots=True)
class Kept:
    a: int
    b: str = "b"


def test_pickles() -> None:
    assert pickle.loads(pickle.dumps(Kept(1))) == Kept(1) == copy.deepcopy(Kept(1))
