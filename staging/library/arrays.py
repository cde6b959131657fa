"""Whole-array functions under NumPy's names: reductions and products."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.errors import StagingTypeError, here
from lms.core.lazy import special
from lms.core.primitives import Primitive
from lms.core.types import Scalar, element, f64, i64, u64

from ..annotations import scalar_type
from ..joins import describe, promote
from ..rep import Rep, convert
from ..shapes import array_type, like, rename, require_equal
from ..table import stages
from . import elementary as el
from .creation import asarray
from .elementwise import admit, check, truth

# ------------------------------------------------------------------------------------------- reductions


def axes_of(x: Rep, axis: Any) -> tuple[int, ...]:
    """The axes a reduction is over, from 0. Raises `StagingTypeError` for one that `x` has not."""
    given = range(x.ndim) if axis is None else axis if isinstance(axis, tuple | list) else (axis,)
    return tuple(sorted({one_axis(x, k) for k in given}))


def one_axis(x: Rep, k: Any, ndim: int | None = None) -> int:
    """An axis, from 0."""
    n = x.ndim if ndim is None else ndim
    if isinstance(k, Rep) or not isinstance(k, int | np.integer):
        raise StagingTypeError(f"an axis is an int that is known now, found {describe(k)}", here())
    if not -n <= int(k) < n:
        raise StagingTypeError(f"axis {k} is out of bounds for an array of {n} axes", here())
    return int(k) % n


def _reduce(op: Primitive, x: Any, axis: Any, keepdims: bool, **attrs: Any) -> Any:
    x = asarray(x)
    axes = axes_of(x, axis)
    if not axes:
        return x
    return _kept(x, Rep(current().emit1(op, x.value, axes=axes, **attrs)), axes, keepdims)


def _kept(x: Rep, out: Rep, axes: Sequence[int], keepdims: bool) -> Rep:
    """The reduced axes put back, of size 1."""
    if not keepdims:
        return out
    if not out.ndim:
        b = current()
        return Rep(b.emit1(p.array.broadcast, out.value, *[b.const(1)] * x.ndim, dims=(1,) * x.ndim, axes=()))
    rest = iter(array_type(out.value).dims)
    spec = tuple(("new",) if k in axes else ("all",) for k in range(x.ndim))
    return Rep(current().emit1(p.array.view, out.value, spec=spec, dims=tuple(1 if s == ("new",) else next(rest) for s in spec)))


def summable(x: Any, dtype: Any = None) -> Rep:
    """Small ints and bools are summed in 64 bits."""
    x = asarray(x)
    kind = element(x.type)
    if dtype is not None:
        return Rep(convert(x.value, scalar_type(dtype)))
    return Rep(convert(x.value, u64 if kind.kind == "u" else i64 if kind.kind in "bi" else kind))


def not_empty(x: Rep, axis: Any, name: str) -> Rep:
    for k in axes_of(x, axis):
        n = x.shape[k]
        if isinstance(n, Rep):
            check(el.greater(n, 0), "ValueError", f"{name} of an empty array")
        elif n == 0:
            raise StagingTypeError(f"{name} of an empty array", here())
    return x


@stages(np.sum)
def sum(x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """The sum over some axes, or all."""
    return _reduce(p.array.reduce_sum, summable(x, dtype), axis, keepdims, fast=True)


@stages(np.prod)
def prod(x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """The product over some axes, or all."""
    return _reduce(p.array.reduce_prod, summable(x, dtype), axis, keepdims, fast=True)


@stages(np.max)
def max(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest element; NaN if there is one. Raises `ValueError` for an empty array."""
    return _reduce(p.array.reduce_max, not_empty(asarray(x), axis, "maximum"), axis, keepdims)


@stages(np.min)
def min(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The smallest element; NaN if there is one. Raises `ValueError` for an empty array."""
    return _reduce(p.array.reduce_min, not_empty(asarray(x), axis, "minimum"), axis, keepdims)


@stages(np.any)
def any(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether some element is true."""
    return _reduce(p.array.reduce_any, truth(asarray(x)), axis, keepdims)


@stages(np.all)
def all(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether every element is true."""
    return _reduce(p.array.reduce_all, truth(asarray(x)), axis, keepdims)


@stages(np.count_nonzero)
def count_nonzero(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """How many elements are true."""
    return sum(truth(asarray(x)), axis, keepdims=keepdims)


def count(x: Rep, axis: Any) -> Any:
    """How many elements a reduction is over."""
    n: Any = 1
    for k in axes_of(x, axis):
        n = n * x.shape[k]
    return n


@stages(np.mean)
def mean(x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """The arithmetic mean, a float."""
    x = asarray(x)
    kind = admit(promote(x), "fc") if dtype is None else scalar_type(dtype)
    return el.divide(sum(Rep(convert(x.value, kind)), axis, keepdims=keepdims), _as(count(x, axis), kind))


def _as(n: Any, kind: Scalar) -> Any:
    return Rep(convert(n.value, kind)) if isinstance(n, Rep) else float(n)


@stages(np.average)
def average(x: Any, axis: Any = None, weights: Any = None) -> Any:
    """The mean, weighted."""
    if weights is None:
        return mean(x, axis)
    x, weights = asarray(x), asarray(weights)
    if weights.ndim == 1 and x.ndim > 1 and axis is not None:
        k = one_axis(x, axis)
        weights = weights[tuple(slice(None) if j == k else None for j in range(x.ndim))]
        return el.divide(sum(el.multiply(x, weights), k), sum(weights))
    return el.divide(sum(el.multiply(x, _same_shape(weights, x)), axis), sum(weights, axis))


def _same_shape(x: Rep, other: Rep) -> Rep:
    return Rep(like(x.value, other.value, "average: shapes do not fit"))


@stages(np.var)
def var(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
    """The mean squared deviation from the mean."""
    x = asarray(x)
    d = el.subtract(x, mean(x, axis, keepdims=True))
    return el.divide(sum(el.multiply(d, d), axis, keepdims=keepdims), el.subtract(_as(count(x, axis), f64), float(ddof)))


@stages(np.std)
def std(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
    """The standard deviation. Where it is zero its derivative is taken as zero."""
    return _safe_sqrt(var(x, axis, ddof, keepdims))


def _safe_sqrt(x: Any) -> Any:
    zero = el.equal(x, 0.0)
    return el.where(zero, 0.0, el.sqrt(el.where(zero, 1.0, x)))


@stages(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The length of a vector, or of all elements. Where it is zero its derivative is taken as zero.

        lms.norm(np.array([3.0, 4.0]))      # 5.0
    """
    of_matrix = isinstance(axis, tuple) or (axis is None and asarray(x).ndim > 1)
    if of_matrix and ord not in (None, "fro"):
        return _matrix_norm(asarray(x), ord, axis, keepdims)
    if ord == 1:
        return sum(el.abs(x), axis, keepdims=keepdims)
    if ord in (np.inf, -np.inf):
        return (max if ord > 0 else min)(el.abs(x), axis, keepdims=keepdims)
    if ord not in (None, 2, "fro"):
        return _power_norm(x, ord, axis, keepdims)
    size = el.abs(x) if promote(x).is_complex else asarray(x)
    scale = _scale(size, axis)
    scaled = el.multiply(size, scale)
    whole = _safe_sqrt(sum(el.multiply(scaled, scaled), axis, keepdims=True))
    out = el.divide(whole, scale)
    return out if keepdims else _dropped(out, axes_of(size, axis))


def _power_norm(x: Any, ord: Any, axis: Any, keepdims: bool) -> Any:
    """`sum(abs(x)**ord) ** (1 / ord)`, of elements beside the largest; for 0 how many are not zero."""
    if not isinstance(ord, int | float):
        raise StagingTypeError(f"norm: ord={ord!r} cannot be staged", here(), fix="ord is a number that is known now")
    size = el.abs(x)
    size = size if promote(size).is_float else _as(size, f64)
    if ord == 0:
        return sum(_as(el.not_equal(size, 0.0), admit(promote(size), "f")), axis, keepdims=keepdims)
    total = el.stop_gradient(sum(size, axis, keepdims=True))
    scale = el.where(el.logical_and(el.greater(total, 0.0), el.isfinite(total)), total, 1.0)
    found = sum(el.power(el.divide(size, scale), ord), axis, keepdims=True)
    some = el.greater(found, 0.0)
    out = el.where(some, el.multiply(scale, el.power(el.where(some, found, 1.0), 1.0 / ord)), found)
    axes = range(x.ndim) if axis is None else [one_axis(x, k) for k in (axis if isinstance(axis, tuple) else (axis,))]
    return out if keepdims else _dropped(out, tuple(axes))


def _matrix_norm(x: Rep, ord: Any, axis: Any, keepdims: bool) -> Any:
    """The largest or least sum of a column (1, -1) or row (inf, -inf), or singular value (2, -2); the sum of those ("nuc")."""
    from .linalg import svdvals

    of_values = {2: max, -2: min, "nuc": sum}
    of_sums = {1: (max, 0), -1: (min, 0), np.inf: (max, 1), -np.inf: (min, 1)}
    if x.ndim != 2 or axis is not None or keepdims or ord not in (*of_sums, *of_values):
        raise StagingTypeError(f"norm: ord={ord!r} of {x.type} cannot be staged", here(),
                               fix="give the axis for norms of vectors; a matrix's ord is 'fro', 'nuc', 1, 2, inf, -1, -2, -inf")
    if ord in of_values:
        return of_values[ord](svdvals(x))
    pick, along = of_sums[ord]
    return pick(sum(el.abs(x), along))


def _scale(x: Rep, axis: Any) -> Any:
    """A power of two that brings the elements near one: their squares neither overflow nor vanish, and nothing is rounded."""
    kind = admit(promote(x), "f")
    most = 1000.0 if kind == f64 else 100.0
    share = el.divide(1.0, el.maximum(_as(count(x, axis), kind), 1.0))
    mean = sum(el.multiply(el.stop_gradient(el.abs(x)), share), axis, keepdims=True)
    usual = el.logical_and(el.greater(mean, 0.0), el.isfinite(mean))
    exponent = el.floor(el.log2(el.where(usual, mean, 1.0)))
    return el.exp2(el.negative(el.minimum(el.maximum(exponent, -most), most)))


def _argument(op: Primitive, x: Any, axis: Any, keepdims: bool, name: str) -> Any:
    from .shaping import ravel

    x = asarray(x)
    flat = ravel(x) if axis is None and x.ndim != 1 else x
    not_empty(flat, axis, name)
    k = 0 if axis is None else one_axis(x, axis)
    out = Rep(current().emit1(op, flat.value, axis=k))
    return _kept(x, out, range(x.ndim) if axis is None else (k,), keepdims)


@stages(np.argmax)
def argmax(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Where the largest element is first met. Raises `ValueError` for an empty array."""
    return _argument(p.array.argmax, x, axis, keepdims, "argmax")


@stages(np.argmin)
def argmin(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Where the smallest element is first met. Raises `ValueError` for an empty array."""
    return _argument(p.array.argmin, x, axis, keepdims, "argmin")


@stages(np.cumsum)
def cumsum(x: Any, axis: Any = None, dtype: Any = None) -> Any:
    """The sums of the elements so far."""
    from .shaping import ravel

    x = summable(x, dtype)
    flat = ravel(x) if axis is None and x.ndim != 1 else x
    return Rep(current().emit1(p.array.cumsum, flat.value, axis=0 if axis is None else one_axis(x, axis)))


@stages(special.logsumexp)
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """`log(sum(exp(x)))`, without overflow."""
    x = asarray(x)
    x = not_empty(Rep(convert(x.value, admit(promote(x), "f"))), axis, "logsumexp")
    return _reduce(p.array.logsumexp, x, axis, keepdims)


@stages(special.softmax)
def softmax(x: Any, axis: Any = None) -> Any:
    """`exp(x) / sum(exp(x))`, without overflow."""
    x = asarray(x)
    e = el.exp(el.subtract(x, el.stop_gradient(max(x, axis, keepdims=True))))
    return el.divide(e, sum(e, axis, keepdims=True))


@stages(special.log_softmax)
def log_softmax(x: Any, axis: Any = None) -> Any:
    """The logarithm of `softmax`."""
    return el.subtract(x, logsumexp(x, axis, keepdims=True))


def _dropped(x: Any, axes: Sequence[int]) -> Any:
    """Without axes of size 1."""
    if x.ndim == len(axes):
        return x[(0,) * x.ndim]
    return x[tuple(0 if k in axes else slice(None) for k in range(x.ndim))]


# --------------------------------------------------------------------------------------------- products


def contract(a: Rep, b: Rep, spec: tuple[str, str, str], name: str) -> Rep:
    """`sum` over the letters that are not in the result of the products of what two arrays hold, as `einsum`."""
    kind = admit(promote(a, b), "iufc")
    x, y = convert(a.value, kind), convert(b.value, kind)
    dims = list(array_type(y).dims)
    for k, letter in enumerate(spec[1]):
        if (at := spec[0].find(letter)) >= 0:
            require_equal(x, at, y, k, f"{name}: shapes do not fit")
            dims[k] = array_type(x).dims[at]
    return Rep(current().emit1(p.array.contract, x, rename(y, dims), spec=spec, fast=True))


@stages(np.matmul)
def matmul(a: Any, b: Any, /) -> Any:
    """The matrix product `a @ b`; of stacks of matrices, one by one."""
    a, b = asarray(a), asarray(b)
    if not a.ndim or not b.ndim:
        raise StagingTypeError("matmul: a number is not a matrix", here(), fix="write `a * b`")
    batch = "abcdefgh"[: builtins.max(a.ndim, b.ndim, 2) - 2]
    left = batch[len(batch) - builtins.max(a.ndim - 2, 0):] + ("ik" if a.ndim > 1 else "k")
    right = batch[len(batch) - builtins.max(b.ndim - 2, 0):] + ("kj" if b.ndim > 1 else "k")
    out = batch + ("i" if a.ndim > 1 else "") + ("j" if b.ndim > 1 else "")
    return contract(a, b, (left, right, out), "matmul")


@stages(np.dot)
def dot(a: Any, b: Any) -> Any:
    """NumPy's `dot`: the sum over the last axis of `a` and the last but one of `b`."""
    a, b = asarray(a), asarray(b)
    if not a.ndim or not b.ndim:
        return el.multiply(a, b)
    left = "abcdefgh"[: a.ndim - 1] + "z"
    right = "ABCDEFGH"[: b.ndim - 1]
    right = right[:-1] + "z" + right[-1:] if b.ndim > 1 else "z"
    return contract(a, b, (left, right, (left + right).replace("z", "")), "dot")


@stages(np.inner)
def inner(a: Any, b: Any, /) -> Any:
    """The sum over the last axes."""
    a, b = asarray(a), asarray(b)
    if not a.ndim or not b.ndim:
        return el.multiply(a, b)
    left, right = "abcdefgh"[: a.ndim - 1] + "z", "ABCDEFGH"[: b.ndim - 1] + "z"
    return contract(a, b, (left, right, (left + right).replace("z", "")), "inner")


@stages(np.vdot)
def vdot(a: Any, b: Any, /) -> Any:
    """The inner product of all elements, of the conjugate of `a`."""
    from .shaping import ravel

    return inner(ravel(el.conj(asarray(a))), ravel(asarray(b)))


@stages(np.outer)
def outer(a: Any, b: Any) -> Any:
    """Every product of an element of `a` and one of `b`."""
    from .shaping import ravel

    return contract(ravel(asarray(a)), ravel(asarray(b)), ("i", "j", "ij"), "outer")


@stages(np.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """The sum over chosen axes of two arrays."""
    a, b = asarray(a), asarray(b)
    if isinstance(axes, int):
        axes = range(a.ndim - axes, a.ndim), range(axes)
    ours = [one_axis(a, k) for k in (axes[0] if not isinstance(axes[0], int) else (axes[0],))]
    theirs = [one_axis(b, k) for k in (axes[1] if not isinstance(axes[1], int) else (axes[1],))]
    left, right = list("abcdefgh"[: a.ndim]), list("ABCDEFGH"[: b.ndim])
    for m, n in zip(ours, theirs, strict=True):
        right[n] = left[m]
    shared = {left[m] for m in ours}
    out = [letter for letter in (*left, *right) if letter not in shared]
    return contract(a, b, ("".join(left), "".join(right), "".join(out)), "tensordot")


@stages(np.einsum)
def einsum(spec: str, *operands: Any, optimize: Any = None) -> Any:
    """Einstein's summation, of any number of operands, each letter at most once in each."""
    inputs, arrow, out = spec.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if not arrow:
        letters = inputs.replace(",", "")
        out = "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    if len(terms) != len(operands) or "." in spec:
        raise StagingTypeError(f"einsum: {spec!r} does not fit {len(operands)} operands", here())
    arrays = [asarray(x) for x in operands]
    for term, x in zip(terms, arrays, strict=True):
        if len(set(term)) != len(term) or len(term) != x.ndim:
            raise StagingTypeError(f"einsum: {term!r} does not fit {x.type}", here(),
                                   fix="each letter at most once in each operand")
    return _einsum(terms, arrays, out)


def _einsum(terms: list[str], arrays: list[Rep], out: str) -> Any:
    term, x = terms[0], arrays[0]
    for k in range(1, len(terms)):
        later = "".join(terms[k + 1:]) + out
        term, x = _alone(term, x, terms[k] + later)
        other, y = _alone(terms[k], arrays[k], term + later)
        kept = "".join(dict.fromkeys(c for c in term + other if c in later))
        if k == len(terms) - 1:
            kept = out
        x = contract(x, y, (term, other, kept), "einsum") if term and other else el.multiply(x, y)
        term = kept if term and other else term + other
    term, x = _alone(term, x, out)
    return x if term == out else Rep(current().emit1(p.array.transpose, x.value, perm=tuple(term.index(c) for c in out)))


def _alone(term: str, x: Rep, needed: str) -> tuple[str, Rep]:
    """Sum over the letters that nothing else needs."""
    axes = tuple(k for k, c in enumerate(term) if c not in needed)
    return ("".join(c for c in term if c in needed), sum(x, axes)) if axes else (term, x)


