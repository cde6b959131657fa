"""Values as text: as `print` shows them, and as a line `//>` expects them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lms.core.types import f32

from ..check.types import AnyType, DataOf, Later, ListOf, TupleOf, prune

Part = str | tuple[Any, AnyType | None]


def shown(x: Any, kind: AnyType | None = None, quoted: bool = True) -> str:
    """A value in the language's own spelling: floats as the shortest text that reads back, strings with quotes where asked.

    Without recursion, so that a list of a million links prints too.
    """
    if isinstance(x, str) and not quoted:
        return x
    text: list[str] = []
    open_: list[Iterator[Part]] = [iter([(x, kind)])]
    while open_:
        part = next(open_[-1], None)
        if part is None:
            open_.pop()
        elif isinstance(part, str):
            text.append(part)
        else:
            open_.append(iter(parts(*part)))
    return "".join(text)


def parts(x: Any, kind: AnyType | None) -> Sequence[Part]:
    """The text of a value, with values in it that are still to be shown."""
    found = prune(kind) if kind is not None else None
    if isinstance(found, Later):
        found = prune(found.inner)
    if isinstance(x, bool | np.bool_):
        return ("true" if x else "false",)
    if isinstance(x, str):
        return (repr_string(x),)
    if isinstance(x, float | np.floating):
        return (number(np.float32(x) if found == f32 else x),)
    if isinstance(x, int | np.integer):
        return (str(int(x)),)
    if isinstance(x, np.ndarray):
        return _between("[", [(v, None) for v in x], "]") if x.ndim else ((x[()], None),)
    if isinstance(x, tuple):
        items = found.items if isinstance(found, TupleOf) else (None,) * len(x)
        return _between("(", list(zip(x, items, strict=True)), ",)" if len(x) == 1 else ")")
    if isinstance(x, list):
        item = found.item if isinstance(found, ListOf) else None
        return _between("[", [(v, item) for v in x], "]")
    constructor = getattr(type(x), "__lms_constructor__", None)
    if constructor is None:
        return (str(x),)
    kinds = dict(found.fields(constructor)) if isinstance(found, DataOf) and found.declaration is constructor.data else {}
    fields: list[Part] = []
    for name, _ in constructor.fields:
        fields += [", " if fields else "", f"{name} = ", (getattr(x, name), kinds.get(name))]
    return (constructor.name, "(", *fields, ")") if fields else (constructor.name,)


def _between(left: str, values: list[tuple[Any, Any]], right: str) -> list[Part]:
    out: list[Part] = [left]
    for k, value in enumerate(values):
        out += [", ", value] if k else [value]
    return [*out, right]


def number(x: Any) -> str:
    """A float as the shortest decimal that reads back, with a dot."""
    return str(x) if isinstance(x, np.float32) else repr(float(x))


def repr_string(x: str) -> str:
    for c, escape in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r")):
        x = x.replace(c, escape)
    return f'"{x}"'
