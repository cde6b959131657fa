"""Derivatives of arrays by arrays: a loop over directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lms.core.builder import current

from ..control.loops import fori_loop
from ..joins import promote
from . import elementary as el
from . import shaping
from .creation import asarray, filled, iota
from .elementwise import cast


def columns(x: Any, along: Callable[[Any], Any]) -> Any:
    """The derivative by each element of `x`: `along` gives it for a direction. The axes of `x` come last in the result."""
    x = asarray(x)
    if not x.ndim:
        return along(1.0)
    kind = promote(x)
    index = shaping.reshape(iota(x.size), x.shape)
    shape = asarray(along(cast(el.less(index, 0), kind))).shape
    out = filled((x.size, _product(shape)), current().const(0, kind))

    def row(k: Any, out: Any) -> Any:
        found = asarray(along(cast(el.equal(index, k), kind)))
        out[k] = shaping.ravel(found) if found.ndim else found
        return out

    out = fori_loop(0, x.size, row, out)
    return shaping.reshape(shaping.transpose(out), (*shape, *x.shape))


def _product(shape: tuple[Any, ...]) -> Any:
    n: Any = 1
    for k in shape:
        n = n * k
    return n
