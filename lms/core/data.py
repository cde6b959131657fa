"""Dataclasses as the standard library has them, made in a tenth of the time: importing lms makes two hundred.

Two things make them quick: a method is written when it is first called, which most never are, and a frozen object with slots is
filled by its slots. A class whose objects others take apart by `dataclasses.fields` stays one of the standard library's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import MemberDescriptorType
from typing import Any, NamedTuple, TypeVar, dataclass_transform

T = TypeVar("T")

_MISSING: Any = object()
_FIELDS = "__lms_fields__"  # of a class: its fields by name, in order, those of its bases first


class _Field(NamedTuple):
    default: Any = _MISSING
    factory: Callable[[], Any] | None = None
    repr: bool = True


_REQUIRED = _Field()


def field(*, default: Any = _MISSING, default_factory: Callable[[], Any] | None = None, repr: bool = True) -> Any:
    """A field with a default that is made anew for each object, or one that is not shown."""
    return _Field(default, default_factory, repr)


@dataclass_transform(field_specifiers=(field,))
def dataclass(cls: Any = None, /, *, eq: bool = True, frozen: bool = False, slots: bool = False) -> Any:
    """Make a class one of records: its annotations are its fields, in order, those of its bases first.

        @dataclass(frozen=True, slots=True)
        class Point:
            x: float
            y: float = 0.0
    """
    if cls is None:
        return lambda cls: _made(cls, eq, frozen, slots)
    return _made(cls, eq, frozen, slots)


def fields(cls: Any) -> tuple[str, ...]:
    """The names of the fields, in order."""
    return tuple(getattr(cls, _FIELDS))


def replace(x: T, /, **changes: Any) -> T:
    """A record like `x` but for some fields."""
    return type(x)(**{name: getattr(x, name) for name in fields(x)} | changes)


def _made(cls: type, eq: bool, frozen: bool, slots: bool) -> type:
    own = _own_fields(cls)
    if slots:
        cls = _with_slots(cls, own)
    known = {name: f for base in reversed(cls.__mro__) for name, f in base.__dict__.get(_FIELDS, {}).items()} | own
    methods: dict[str, Any] = {
        _FIELDS: known, "__match_args__": tuple(known), "__repr__": _repr,
        "__init__": _written_later(cls, "__init__", _constructor),
    }
    if eq:
        methods["__eq__"] = _written_later(cls, "__eq__", _equality)
        methods["__hash__"] = _written_later(cls, "__hash__", _hash) if frozen else None
    if frozen:
        methods |= {"__setattr__": _refuse, "__delattr__": _refuse, "__reduce__": _again}
    for name, method in methods.items():
        if cls.__dict__.get(name) is None:  # what the class says itself stays; `__hash__` is None where it says `__eq__`
            setattr(cls, name, method)
    return cls


def _own_fields(cls: type) -> dict[str, _Field]:
    """The fields that a class adds, and of its attributes only the defaults left."""
    found = {}
    for name, annotation in cls.__dict__.get("__annotations__", {}).items():
        if not annotation.startswith("ClassVar"):
            default = cls.__dict__.get(name, _MISSING)
            found[name] = f = default if isinstance(default, _Field) else _REQUIRED if default is _MISSING else _Field(default)
            if f is default:
                setattr(cls, name, f.default) if f.default is not _MISSING else delattr(cls, name)
    return found


def _with_slots(cls: type, names: Iterable[str]) -> type:
    """The class again, with these slots: they cannot be added to one that exists."""
    kept = {name: x for name, x in cls.__dict__.items() if name not in (*names, "__dict__", "__weakref__")}
    made = type(cls)(cls.__name__, cls.__bases__, kept | {"__slots__": tuple(names)})
    made.__qualname__ = cls.__qualname__
    return made


# -------------------------------------------------------------------------------- methods, written when first called


Text = tuple[str, dict[str, Any]]  # of a function, and what it names


def _written_later(cls: type, name: str, text: Callable[[type], Text]) -> Callable[..., Any]:
    def first(self: Any, *args: Any, **kwargs: Any) -> Any:
        written, names = text(cls)
        exec(written, names)
        setattr(cls, name, names[name])
        return names[name](self, *args, **kwargs)

    return first


def _constructor(cls: type) -> Text:
    names: dict[str, Any] = {"_missing": _MISSING, "_set": object.__setattr__}
    parameters, body = ["self"], []
    frozen = cls.__dict__.get("__setattr__") is _refuse
    for name, f in cls.__dict__[_FIELDS].items():
        value, slot = name, getattr(cls, name, None)
        if f.factory is not None:
            names[f"_make_{name}"] = f.factory
            parameters.append(f"{name}=_missing")
            value = f"_make_{name}() if {name} is _missing else {name}"
        elif f.default is not _MISSING:
            names[f"_default_{name}"] = f.default
            parameters.append(f"{name}=_default_{name}")
        else:
            parameters.append(name)
        if not frozen:
            body.append(f"self.{name} = {value}")
        elif isinstance(slot, MemberDescriptorType):
            names[f"_set_{name}"] = slot.__set__
            body.append(f"_set_{name}(self, {value})")
        else:
            body.append(f"_set(self, {name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    return f"def __init__({', '.join(parameters)}):\n " + ("\n ".join(body) or "pass"), names


def _equality(cls: type) -> Text:
    mine, its = _tuple("self", fields(cls)), _tuple("other", fields(cls))
    return f"def __eq__(self, other): return {mine} == {its} if other.__class__ is self.__class__ else NotImplemented", {}


def _hash(cls: type) -> Text:
    return f"def __hash__(self): return hash({_tuple('self', fields(cls))})", {}


def _tuple(x: str, fields: Iterable[str]) -> str:
    return "(" + "".join(f"{x}.{name}, " for name in fields) + ")"


# ------------------------------------------------------------------------------------------ methods that all share


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name, f in getattr(self, _FIELDS).items() if f.repr)
    return f"{type(self).__qualname__}({shown})"


def _refuse(self: Any, name: str, value: Any = None) -> None:
    raise AttributeError(f"{type(self).__qualname__} is frozen: {name!r} cannot be changed")


def _again(self: Any) -> tuple[Any, ...]:
    """How a frozen object is copied and pickled: by what it was made from."""
    return type(self), tuple(getattr(self, name) for name in fields(self))
