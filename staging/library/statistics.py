"""Statistics under NumPy's names: quantiles, covariances, bins, and reductions that leave out what is not a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lms.core.errors import StagingTypeError, here

from ..rep import Rep
from ..shapes import array_type
from ..table import stages
from . import arrays, joining, shaping
from . import elementary as el
from .creation import asarray
from .numeric import require, searchsorted

# ---------------------------------------------------------------------------------------------- quantiles


@stages(np.quantile)
def quantile(x: Any, q: Any, axis: int | None = None, *, method: str = "linear", keepdims: bool = False) -> Any:
    """What a part `q` of the elements lies below, between its neighbours in order. Raises `ValueError` for `q` outside 0 to 1."""
    return _quantile(x, q, axis, method, keepdims, "quantile", el.logical_and(el.less_equal(0.0, q), el.less_equal(q, 1.0)))


@stages(np.percentile)
def percentile(x: Any, q: Any, axis: int | None = None, *, method: str = "linear", keepdims: bool = False) -> Any:
    """What `q` per cent of the elements lie below. Raises `ValueError` for `q` outside 0 to 100."""
    inside = el.logical_and(el.less_equal(0.0, q), el.less_equal(q, 100.0))
    return _quantile(x, el.divide(q, 100.0), axis, method, keepdims, "percentile", inside)


def _quantile(x: Any, q: Any, axis: int | None, method: str, keepdims: bool, name: str, inside: Any) -> Any:
    if method != "linear" or asarray(q).ndim:
        raise StagingTypeError(f"{name} takes one number, and the linear method", here(), fix="call it once for each number")
    require(inside, f"{name}: the number is out of its range")
    x = asarray(x)
    rank = x.ndim
    if axis is None:
        x, k = shaping.ravel(x), 0
    else:
        k = arrays.one_axis(x, axis)
    arrays.not_empty(x, k, name)
    ordered, last = shaping.sort(x, k), el.subtract(x.shape[k], 1)
    place = el.multiply(q, last)
    below = el.astype(el.floor(place), np.int64)
    low, high = (ordered[(*[slice(None)] * k, at)] for at in (below, el.minimum(el.add(below, 1), last)))
    part, gap = el.subtract(place, below), el.subtract(high, low)
    up, down = el.add(low, el.multiply(gap, part)), el.subtract(high, el.multiply(gap, el.subtract(1.0, part)))
    out = el.where(el.greater_equal(part, 0.5), down, up)
    out = el.where(arrays.any(el.isnan(x), k), np.nan, out)
    if not keepdims:
        return out
    return shaping.expand_dims(out, tuple(range(rank)) if axis is None else k)


# -------------------------------------------------------------------------------------------- covariances


@stages(np.cov)
def cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None) -> Any:
    """The covariances of variables, the rows of `m`: a matrix; of one variable, a number."""
    rows = _variables(m, rowvar)
    if y is not None:
        rows = joining.concatenate([rows, _variables(y, rowvar)], 0)
    centred = el.subtract(rows, arrays.mean(rows, 1, keepdims=True))
    count = el.subtract(rows.shape[1], (0 if bias else 1) if ddof is None else ddof)
    out = el.divide(arrays.matmul(centred, centred.T), count)
    return out[0, 0] if array_type(rows.value).dims[0] == 1 else out


def _variables(x: Any, rowvar: bool) -> Any:
    x = asarray(x)
    if x.ndim > 2:
        raise StagingTypeError("cov takes a matrix, or a vector", here())
    return shaping.expand_dims(x, 0) if x.ndim < 2 else x if rowvar else x.T


@stages(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Any:
    """The correlations of variables."""
    c = cov(x, y, rowvar)
    if not c.ndim:
        return el.divide(c, c)
    spread = el.sqrt(shaping.diagonal(c))
    return el.clip(el.divide(el.divide(c, spread[:, None]), spread[None, :]), -1.0, 1.0)


# --------------------------------------------------------------------------------------------------- bins


@stages(np.digitize)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """The number of the bin of each element, among bins with increasing bounds. Raises `ValueError` for others."""
    bounds = asarray(bins)
    require(arrays.all(el.less_equal(bounds[:-1], bounds[1:])), "digitize: bins must increase")
    return searchsorted(bounds, x, side="left" if right else "right")


# ------------------------------------------------------------------------------------- but what is no number


def _known(x: Any, otherwise: float) -> tuple[Rep, Rep]:
    """Which elements are numbers, and the array with others in the place of what is not."""
    x = asarray(x)
    known = el.logical_not(el.isnan(x))
    return known, el.where(known, x, otherwise)


@stages(np.nansum)
def nansum(x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """The sum of the elements that are numbers."""
    return arrays.sum(_known(x, 0.0)[1], axis, keepdims=keepdims)


@stages(np.nanmean)
def nanmean(x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """The mean of the elements that are numbers."""
    known, filled = _known(x, 0.0)
    return el.divide(arrays.sum(filled, axis, keepdims=keepdims), arrays.sum(known, axis, keepdims=keepdims))


@stages(np.nanmin)
def nanmin(x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """The least of the elements that are numbers."""
    return _extreme(arrays.min, np.inf, x, axis, keepdims)


@stages(np.nanmax)
def nanmax(x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """The largest of the elements that are numbers."""
    return _extreme(arrays.max, -np.inf, x, axis, keepdims)


def _extreme(of: Callable[..., Any], worst: float, x: Any, axis: Any, keepdims: bool) -> Any:
    known, filled = _known(x, worst)
    return el.where(arrays.any(known, axis, keepdims=keepdims), of(filled, axis, keepdims=keepdims), np.nan)
