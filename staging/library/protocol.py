"""NumPy's own doors: `np.f(staged)` arrives here and becomes the staged form of `f`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

import numpy as np

from lms.core.errors import StagingError, here

from ..joins import promote
from ..rep import Rep, lift_value
from ..table import STAGED
from . import arrays, indexing, numeric
from . import elementary as el

_IGNORED = {"casting", "order", "subok", "like", "signature"}

_REDUCED: dict[Any, Callable[..., Any]] = {
    np.add: arrays.sum, np.multiply: arrays.prod, np.maximum: arrays.max, np.minimum: arrays.min,
    np.logical_and: arrays.all, np.logical_or: arrays.any, np.logaddexp: arrays.logsumexp,
}

_ACCUMULATED: dict[Any, Callable[[Any, Any], Any]] = {
    np.add: arrays.cumsum, np.multiply: numeric.cumprod,
    np.maximum: partial(numeric.accumulate, combine=el.maximum), np.minimum: partial(numeric.accumulate, combine=el.minimum),
}


def array_ufunc(ufunc: np.ufunc, method: str, inputs: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """`ufunc(...)`, and its methods `reduce`, `accumulate`, `outer`, `at` where they have a staged form."""
    options = {k: v for k, v in kwargs.items() if k not in _IGNORED and (v is not None or k == "axis")}
    out = options.pop("out", None)
    target = out[0] if isinstance(out, tuple) else out
    if target is not None and not isinstance(target, Rep):
        unsupported(f"np.{ufunc.__name__} with `out` an array of now")
    mask = options.pop("where", None) if method == "__call__" and target is not None else None
    if mask is not None:
        inputs = [_harmless(mask, x) for x in inputs]
    result = _ufunc(ufunc, method, inputs, options)
    if target is None:
        return result
    target[...] = result if mask is None else el.where(mask, result, target)
    return target


def _harmless(mask: Any, x: Any) -> Any:
    """An input of a ufunc where the mask is true; elsewhere a number at which neither a result nor a derivative is undefined."""
    return el.where(mask, x, 0.5 if promote(x).is_float else 1)


def _ufunc(ufunc: np.ufunc, method: str, inputs: Sequence[Any], options: dict[str, Any]) -> Any:
    library = "np" if getattr(np, ufunc.__name__, None) is ufunc else "scipy.special"
    name = f"{library}.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
    staged = STAGED.find(ufunc)
    if method == "__call__" and staged is not None:
        dtype = options.pop("dtype", None)
        if not options:
            made = staged(*inputs)
            return made if dtype is None else made.astype(dtype)
    elif method == "reduce" and ufunc in _REDUCED:
        return call_entry(ufunc.reduce, _REDUCED[ufunc], inputs, {"axis": 0, **options})
    elif method == "accumulate" and ufunc in _ACCUMULATED:
        return _ACCUMULATED[ufunc](inputs[0], options.get("axis", 0))
    elif method == "outer" and staged is not None:
        x, y = (lift_value(v) for v in inputs)
        return staged(Rep(x)[(..., *[None] * Rep(y).ndim)] if Rep(x).ndim else Rep(x), Rep(y))
    elif method == "at" and ufunc in (np.add, np.subtract):
        if not isinstance(inputs[0], Rep):
            unsupported(f"{name} on an array of now")
        return indexing.change_at(inputs[0], inputs[1], ufunc.__name__, inputs[2])
    unsupported(name + (f" with {', '.join(options)}" if options else ""))


def array_function(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """`np.f(...)` for functions that are not ufuncs."""
    staged = STAGED.find(function)
    if staged is None:
        module = "np.linalg" if getattr(function, "__module__", "") == "numpy.linalg" else "np"
        unsupported(f"{module}.{getattr(function, '__name__', function)}")
    return call_entry(function, staged, args, {k: v for k, v in kwargs.items() if v is not None and v is not np._NoValue})


def call_entry(f: Any, staged: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Call the staged form of `f`. Raises `StagingError` for arguments of `f` that the staged form does not know."""
    try:
        return staged(*args, **kwargs)
    except TypeError as e:
        if isinstance(e, StagingError) or not any(said in str(e) for said in ("keyword argument", "positional argument")):
            raise
        unsupported(f"{getattr(f, '__name__', f)}() with these arguments ({str(e).partition('() ')[2]})")


def unsupported(what: str) -> NoReturn:
    raise StagingError(f"{what} cannot be staged", here(),
                       fix="write it with the functions of `lms`, or call back into Python: `lms.py_call`")
