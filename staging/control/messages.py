"""Text that is made later: f-strings with staged numbers in `print`, `assert` and `raise`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.errors import StagingError, StagingTypeError, here
from lms.core.ir import Value
from lms.core.types import Scalar

from ..rep import Rep


class Template:
    """An f-string that holds staged numbers: text, and (value, conversion, format) for each that is filled in later."""

    __slots__ = ("parts",)

    def __init__(self, parts: tuple[str | tuple[Any, str, str], ...]) -> None:
        self.parts = parts

    def __add__(self, other: Any) -> Template:
        return Template((*self.parts, *_parts(other)))

    def __radd__(self, other: Any) -> Template:
        return Template((*_parts(other), *self.parts))

    def __str__(self) -> str:
        raise StagingError("this text holds numbers that exist later", here(),
                           fix="use it in `print`, `assert` or `raise` only")

    def __len__(self) -> int:
        return len(str(self))

    def __getattr__(self, name: str) -> Any:
        if hasattr(str, name) and not name.startswith("__"):
            return getattr(str(self), name)
        raise AttributeError(f"'str' object has no attribute {name!r}")

    __repr__ = object.__repr__


def _parts(x: Any) -> tuple[Any, ...]:
    if not isinstance(x, str | Template):
        raise TypeError(f"can only concatenate str (not {type(x).__name__!r}) to str")
    return (x,) if isinstance(x, str) else x.parts


def text(*parts: Any) -> Any:
    """An f-string: a str if all its values are known now, else a `Template`. Parts are str or (value, conversion, format)."""
    staged = [x for part in parts if isinstance(part, tuple) for x in (part[0], part[2]) if isinstance(x, Rep | Template)]
    if not staged:
        return "".join(part if isinstance(part, str) else format(_converted(part[0], part[1]), part[2]) for part in parts)
    out: list[str | tuple[Any, str, str]] = []
    for part in parts:
        if isinstance(part, str):
            out.append(part)
        elif isinstance(part[0], Template):
            out.extend(part[0].parts)
        elif isinstance(part[0], Rep):
            if isinstance(part[2], Template):
                raise StagingError("the format of a staged number must be known now", here())
            out.append(part)
        else:
            out.append(format(_converted(part[0], part[1]), part[2]))
    return Template(tuple(out))


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {"": lambda x: x, "s": str, "r": repr, "a": ascii}


def _converted(x: Any, conversion: str) -> Any:
    return _CONVERSIONS[conversion](x)


def template(xs: Sequence[Any]) -> str:
    """The text of values printed side by side, with a `{}` for each staged number."""
    return " ".join(_template(x) for x in xs)


def operands_of(xs: Sequence[Any]) -> list[Value]:
    """What fills the `{}` of `template`."""
    return [v for x in xs for v in _operands(x)]


def _template(x: Any) -> str:
    if isinstance(x, Template):
        return "".join(_escaped(part) if isinstance(part, str) else _field(part) for part in x.parts)
    if isinstance(x, Rep):
        _printable(x)
        return "{}"
    if type(x) in (list, tuple):
        inner = ", ".join(_template(y) if isinstance(y, Rep | list | tuple) else _escaped(repr(y)) for y in x)
        return f"[{inner}]" if isinstance(x, list) else f"({inner}{',' if len(x) == 1 else ''})"
    return _escaped(str(x))


def _field(part: tuple[Any, str, str]) -> str:
    _printable(part[0])
    return "{" + (f"!{part[1]}" if part[1] else "") + (f":{part[2]}" if part[2] else "") + "}"


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _operands(x: Any) -> list[Value]:
    if isinstance(x, Template):
        return [part[0].value for part in x.parts if not isinstance(part, str)]
    if isinstance(x, Rep):
        return [x.value]
    if type(x) in (list, tuple):
        return [v for y in x for v in _operands(y)]
    return []


def _printable(x: Rep) -> None:
    if not isinstance(x.type, Scalar):
        raise StagingTypeError(f"only numbers can be printed later, found {x.type}", here(),
                               fix="print its elements, or return it")


def print_later(*xs: Any, sep: Any = " ", end: Any = "\n", file: Any = None, flush: bool = False) -> None:
    """`print` in staged code: once for each time the program gets here, in its order."""
    if file is not None:
        raise StagingError("staged code prints to sys.stdout only", here(), fix="leave `file` out, or write `lms.print_now`")
    sep, end = " " if sep is None else sep, "\n" if end is None else end
    line = _escaped(sep).join(_template(x) for x in xs)
    current().emit(p.control.print_, *operands_of(xs), template=line, end=end)
