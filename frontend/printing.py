"""Values as text: as `print` shows them, and as a line `//>` expects them."""

from __future__ import annotations

from typing import Any

import numpy as np

from lms.core.types import f32

from .types import AnyType, Later, ListOf, TupleOf, prune


def shown(x: Any, kind: AnyType | None = None, quoted: bool = True) -> str:
    """A value in the language's own spelling: floats as the shortest text that reads back, strings with quotes where asked."""
    found = prune(kind) if kind is not None else None
    if isinstance(found, Later):
        found = prune(found.inner)
    if isinstance(x, bool | np.bool_):
        return "true" if x else "false"
    if isinstance(x, str):
        return repr_string(x) if quoted else x
    if isinstance(x, float | np.floating):
        return number(np.float32(x) if found == f32 else x)
    if isinstance(x, int | np.integer):
        return str(int(x))
    if isinstance(x, np.ndarray):
        return f"[{', '.join(shown(v) for v in x)}]" if x.ndim else shown(x[()])
    if isinstance(x, tuple):
        items = found.items if isinstance(found, TupleOf) else (None,) * len(x)
        return f"({', '.join(shown(v, s) for v, s in zip(x, items, strict=True))}{',' if len(x) == 1 else ''})"
    if isinstance(x, list):
        item = found.item if isinstance(found, ListOf) else None
        return f"[{', '.join(shown(v, item) for v in x)}]"
    constructor = getattr(type(x), "__lms_constructor__", None)
    if constructor is not None:
        inside = ", ".join(f"{name} = {shown(getattr(x, name))}" for name, _ in constructor.fields)
        return f"{constructor.name}({inside})" if constructor.fields else str(constructor.name)
    return str(x)


def number(x: Any) -> str:
    """A float as the shortest decimal that reads back, with a dot."""
    return str(x) if isinstance(x, np.float32) else repr(float(x))


def repr_string(x: str) -> str:
    for c, escape in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r")):
        x = x.replace(c, escape)
    return f'"{x}"'
