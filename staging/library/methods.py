"""Attributes and methods of staged values: those of NumPy's arrays and numbers, and the fields of records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.errors import StagingTypeError, here
from lms.core.types import SumType, bool_, element

from ..joins import describe, promote
from ..rep import Rep
from ..shapes import array_type
from . import arrays, creation, shaping
from . import elementary as el
from .elementwise import cast


def attribute(x: Rep, name: str) -> Any:
    """`x.name`. Raises `AttributeError` for what neither NumPy nor the record has."""
    if isinstance(x.type, SumType):
        from ..records import field

        return field(x, name)
    if name in _ATTRIBUTES:
        return _ATTRIBUTES[name](x)
    if name in _METHODS:
        method = _METHODS[name]
        return lambda *args, **kwargs: method(x, *args, **kwargs)
    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(f"{describe(x)} has no attribute {name!r}")


def _item(x: Rep, *index: Any) -> Any:
    """The only element, or the one at an index."""
    if index:
        return x[index if len(index) == x.ndim else shaping.ravel(x)[index]]
    return shaping.reshape(x, (1,))[0] if x.ndim else x


def _fill(x: Rep, value: Any) -> None:
    x[...] = value


def _reshape(x: Rep, *shape: Any, order: str = "C") -> Any:
    return shaping.reshape(x, shape[0] if len(shape) == 1 else shape, order)


def _transpose(x: Rep, *axes: Any) -> Any:
    return shaping.transpose(x, None if not axes else axes[0] if len(axes) == 1 else axes)


def _astype(x: Rep, dtype: Any, copy: bool = True) -> Any:
    from ..annotations import scalar_type

    wanted = scalar_type(dtype)
    return cast(x, wanted) if copy or element(x.type) != wanted else x


def _conj(x: Rep) -> Any:
    return el.conj(x) if promote(x).is_complex else x  # a real array itself, unlike `np.conj`


def _sort(x: Rep, axis: int = -1, kind: Any = None) -> None:
    x[...] = shaping.sort(x, axis)


def _round(x: Rep, decimals: int = 0) -> Any:
    from ..calls import rounded_to

    return rounded_to(x, decimals)


def _flatten(x: Rep, order: str = "C") -> Any:
    return Rep(current().emit1(p.array.copy, shaping.ravel(x, order).value))


def _flat(x: Rep) -> Any:
    if x.ndim and array_type(x.value).layout != "C":
        raise StagingTypeError(f"`.flat` of {describe(x)}, which is not contiguous", here(), fix="write `x.ravel()` for a copy")
    return shaping.ravel(x)


def _no(what: str, fix: str) -> Callable[..., Any]:
    def refuse(x: Rep, *args: Any, **kwargs: Any) -> Any:
        raise StagingTypeError(f"`.{what}` of {describe(x)} is needed now, but it exists later", here(), fix=fix)

    return refuse


_ATTRIBUTES: dict[str, Callable[[Rep], Any]] = {
    "T": shaping.transpose,
    "real": el.real,
    "imag": el.imag,
    "flat": _flat,
    "nbytes": lambda x: x.size * x.dtype.itemsize,
    "itemsize": lambda x: x.dtype.itemsize,
}

_METHODS: dict[str, Callable[..., Any]] = {
    "sum": arrays.sum, "prod": arrays.prod, "mean": arrays.mean, "var": arrays.var, "std": arrays.std,
    "max": arrays.max, "min": arrays.min, "any": arrays.any, "all": arrays.all,
    "argmax": arrays.argmax, "argmin": arrays.argmin, "cumsum": arrays.cumsum, "dot": arrays.dot,
    "reshape": _reshape, "ravel": shaping.ravel, "flatten": _flatten, "transpose": _transpose,
    "swapaxes": shaping.swapaxes, "squeeze": shaping.squeeze, "repeat": shaping.repeat, "take": shaping.take,
    "argsort": shaping.argsort, "sort": _sort, "nonzero": shaping.nonzero, "diagonal": shaping.diagonal, "trace": shaping.trace,
    "astype": _astype, "copy": creation.copy, "fill": _fill, "item": _item, "clip": el.clip, "round": _round,
    "conj": _conj, "conjugate": _conj,
    "is_integer": lambda x: el.equal(x, el.floor(x)) if promote(x).is_float else creation.full((), True, bool_),
    "tolist": _no("tolist()", "return the array, and make the list outside"),
    "append": _no("append()", "arrays have a size: make one of the size that is needed and store into it"),
}
