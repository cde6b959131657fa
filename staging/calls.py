"""What a call in staged code means: the builtins and the functions of `math` as staged ones, and the rule for all others.

NumPy's functions are in the same table (`table.STAGED`), where their staged forms are written. A call that no staged value
reaches runs now; one of the user's own functions that a staged value reaches is virtualised; a library's C function is an error.
"""

from __future__ import annotations

import builtins
import functools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.errors import StagingError, StagingTypeError, here
from lms.core.lazy import special
from lms.core.types import ArrayType, Scalar, SumType, Type, bool_, c128, element, f64, i64

from . import reach
from .annotations import Annotation, scalar_type
from .joins import describe, is_weak, promote
from .library import arrays, joining, shaping
from .library import elementary as el
from .library.creation import asarray
from .library.elementwise import anew, cast, check, select, truth
from .library.protocol import call_entry
from .rep import Rep, Weak, lift_value, scalar
from .table import ALWAYS, STAGED, holds_rep, stages
from .tracer import Tracer, tracer

DEPTH = 1_024
_depth: ContextVar[int] = ContextVar("lms_call_depth", default=0)


def staged_call(f: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """`f(*args, **kwargs)` in staged code. Raises `StagingError` for a call that cannot be moved to the next stage."""
    if isinstance(f, Rep):
        raise StagingTypeError(f"{describe(f)} is not a function", here())
    if getattr(f, "__lms_staged__", False):
        return f(*args, **kwargs)
    staged = None if isinstance(f, np.ufunc) and kwargs else _entry(f)
    if staged is not None and (f in ALWAYS or holds_rep(args, kwargs) or _holds_captured(args) or _by_key(kwargs)):
        return call_entry(f, staged, args, kwargs)
    if is_captured(owner := getattr(f, "__self__", None)):
        return getattr(Rep(lift_value(owner)), f.__name__)(*args, **kwargs)
    if (found := reach.impure(f)) is not None:
        raise StagingError(f"{found[0]}() runs now, once, and its result would be frozen into the program", here(), fix=found[1])
    if isinstance(f, functools.partial):
        return staged_call(f.func, (*f.args, *args), {**f.keywords, **kwargs})
    if not (reach.reaches(f) or reach.reaches(args) or reach.reaches(kwargs)):
        return f(*args, **kwargs)
    if reach.python_function(f) is not None:
        return _virtualized(f, args, kwargs)
    if isinstance(f, BuiltinFunctionType):
        _refuse_c_function(f, args, kwargs)
    elif isinstance(f, type) and f.__module__ == "numpy" and holds_rep(args, kwargs):
        raise StagingError(f"np.{f.__name__} cannot be staged", here(),
                           fix="write a `for` loop over the array, or a comprehension: `np.array([f(v) for v in x])`")
    elif not isinstance(f, FunctionType | MethodType | type) and isinstance(vars(type(f)).get("__call__"), FunctionType):
        return staged_call(MethodType(type(f).__call__, f), args, kwargs)
    return _of_library(f, args, kwargs)


def _of_library(f: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """A call of what is not the user's, which runs now. What cannot be staged in there is an error at the user's call."""
    try:
        return f(*args, **kwargs)
    except StagingError as e:
        if e.span is None or not reach.in_library(e.span.file):
            raise
        name = f"{f.__module__.partition('.')[0]}'s {f.__name__}"
        raise StagingError(f"{name} is a library's and runs now, but {e.message}", here(), notes=(("in the library", e.span),),
                           fix="write it as a function of your own, or call back: `lms.py_call(f, result_type, *args)`") from None


def _by_key(kwargs: Mapping[str, Any]) -> bool:
    """Whether items of now are ordered by something that exists later."""
    return reach.reaches(kwargs.get("key"))


def _holds_captured(args: Sequence[Any]) -> bool:
    return any(map(is_captured, args))


def is_captured(x: Any) -> bool:
    """Whether `x` is an array that a global or a closure cell holds: an input of the program, although it exists now."""
    return isinstance(x, np.ndarray) and isinstance(b := current(), Tracer) and any(d.held is x for d in b.dependencies.values())


def _entry(f: Any) -> Callable[..., Any] | None:
    try:
        return STAGED.find(f)
    except TypeError:  # not hashable, so not in the table
        return None


def _virtualized(f: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """A call of the user's own function: its source is virtualised, its body runs in place."""
    from .source.virtualize import virtualize

    depth = _depth.get()
    if depth >= DEPTH:
        name = getattr(f, "__name__", f)
        raise StagingError(f"{name} calls itself more than {DEPTH:,} deep while it is being staged", here(),
                           fix=f"decorate it with `@lms.stage` and state its result type: `def {name}(...) -> Rep[...]`")
    tracer().depend(f)
    token = _depth.set(depth + 1)
    try:
        return virtualize(f)(*args, **kwargs)
    finally:
        _depth.reset(token)


_HARMLESS = {isinstance, issubclass, len, getattr, setattr, hasattr, delattr, id, callable, iter, repr, print, vars, dir, locals,
             globals}


def _refuse_c_function(f: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """A C function sees through no staged value; containers' methods, and what only passes it on, do not look."""
    owner = getattr(f, "__self__", None)
    if f in _HARMLESS or (owner is not None and not isinstance(owner, type(math))):
        return
    module = getattr(f, "__module__", None) or ""
    if module in ("_operator", "operator", "itertools", "_functools", "functools", "_collections", "copy"):
        return
    if module.startswith("numpy"):
        return  # NumPy's own protocol answers
    name = f"{module}.{f.__name__}" if module not in ("", "builtins") else f.__name__
    raise StagingError(f"{name} is not Python, and cannot take {_culprit(args, kwargs)}", here(),
                       fix="use a function of `lms`, or call back into Python: `lms.py_call(f, result_type, *args)`")


def _culprit(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    return next((describe(x) for x in (*args, *kwargs.values()) if isinstance(x, Rep)), "a container of staged values")


# ---------------------------------------------------------------------------------------------- builtins


def _builtin(*names: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(staged: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            STAGED[name] = staged
        return staged

    return register


def _later(v: Any) -> Weak:
    """A Python number that exists later."""
    return Weak(lift_value(v))


@_builtin(len)
def _len(x: Any) -> Any:
    if not isinstance(x, Rep):
        return len(x)
    if not x.ndim:
        raise StagingTypeError(f"{describe(x)} has no len()", here())
    return x.shape[0]


STAGED[builtins.abs] = STAGED[np.abs]
STAGED[builtins.pow] = lambda x, y, mod=None: x ** y if mod is None else _no_mod()


def _no_mod() -> Any:
    raise StagingTypeError("pow() with a modulus cannot be staged", here(), fix="multiply and take `%` in a loop")


@_builtin(divmod)
def _divmod(x: Any, y: Any) -> Any:
    return el.floor_divide(x, y), el.remainder(x, y)


def _items(xs: tuple[Any, ...], name: str) -> Any:
    if len(xs) > 1:
        return xs
    if isinstance(xs[0], Rep) and not xs[0].ndim:
        raise StagingTypeError(f"{name}() of {describe(xs[0])}, which is one number", here())
    return xs[0]


def _least(name: str, *xs: Any, key: Any = None, default: Any = None) -> Any:
    """Python's `min` and `max`: the first of equal ones; of an array, NumPy's."""
    items = _items(xs, name)
    if isinstance(items, Rep):
        if key is not None or default is not None:
            raise StagingTypeError(f"{name}() of {describe(items)} with a key or a default", here(),
                                   fix=f"index by the best of the keys: `x[np.arg{name}(keys)]`; test `len(x)` with `if`")
        return (arrays.min if name == "min" else arrays.max)(items) if items.ndim == 1 else _not_a_vector(items, name)
    items = list(items)
    if not items:
        return min(items) if default is None else default
    better = el.less if name == "min" else el.greater
    ranks = items if key is None else [staged_call(key, (x,), {}) for x in items]
    out, rank = items[0], ranks[0]
    for x, r in zip(items[1:], ranks[1:], strict=True):
        wins = better(r, rank)
        if isinstance(wins, Rep):
            out, rank = select(wins, x, out), (select(wins, r, rank) if key is not None else None)
            rank = out if key is None else rank
        elif wins:
            out, rank = x, r
    return out


def _not_a_vector(x: Rep, name: str) -> Any:
    raise StagingTypeError(f"{name}() of {describe(x)} compares rows", here(),
                           fix=f"write `np.{name}(x)` or `x.{name}(axis=...)`")


STAGED[builtins.min] = functools.partial(_least, "min")
STAGED[builtins.max] = functools.partial(_least, "max")


@_builtin(builtins.sum)
def _sum(xs: Any, start: Any = 0) -> Any:
    if isinstance(xs, Rep):
        total = arrays.sum(xs, 0)
        return total if is_weak(start) and start == 0 else total + start
    for x in xs:
        start = start + x
    return start


@_builtin(round)
def _round(x: Any, digits: Any = None) -> Any:
    """Halves to even. To a number of digits it is NumPy's `round`."""
    if digits is None:
        return to_int(el.rint(x)) if promote(x).is_float else x
    return rounded_to(x, digits)


@stages(np.round, np.around)
def rounded_to(x: Any, decimals: int = 0) -> Any:
    """To a number of decimals, halves to even."""
    if not promote(x).is_float:
        if decimals < 0:
            raise StagingTypeError("rounding ints to tens cannot be staged", here(),
                                   fix="write `(x + 5) // 10 * 10`, or convert to float")
        return anew(x)
    if decimals == 0:
        return el.rint(x)
    scale = 10.0 ** abs(decimals)
    return el.divide(el.rint(el.multiply(x, scale)), scale) if decimals > 0 else el.multiply(el.rint(el.divide(x, scale)), scale)


def to_int(x: Any) -> Any:
    """`int(x)`: towards zero. Raises `ValueError` or `OverflowError` later for NaN, infinity and what does not fit 64 bits."""
    x = _number(x, int)
    if promote(x).is_float:
        check(el.logical_not(el.isnan(x)), "ValueError", "cannot convert float NaN to integer")
        check(el.less(el.abs(x), 2.0**63), "OverflowError", "cannot convert float {} to a 64-bit integer", x)
    return _later(cast(x, i64))


def _number(x: Any, to: Any) -> Any:
    if isinstance(x, Rep) and isinstance(x.type, ArrayType) and any(d != 1 for d in x.type.dims):
        raise StagingTypeError(f"{to.__name__}() of {describe(x)}: only a single number can be converted", here(),
                               fix=f"write `x.astype({to.__name__})`")
    return Rep(scalar(x.item() if x.ndim else x, promote(x)))


STAGED[int] = to_int
STAGED[float] = lambda x: _later(cast(_real(x, float), f64))
STAGED[bool] = lambda x: truth(_number(x, bool))
STAGED[complex] = lambda x, y=0.0: _later(_complex(x, y))


def _real(x: Any, to: Any) -> Any:
    x = _number(x, to)
    if promote(x).is_complex:
        raise StagingTypeError(f"{to.__name__}() of {describe(x)}", here(), fix="take `.real` or `abs`")
    return x


def _complex(x: Any, y: Any) -> Any:
    if promote(x).is_complex or promote(y).is_complex:
        return el.add(cast(x, c128), el.multiply(y, 1j))
    from .library.elementwise import apply

    return apply(p.scalar.complex_, x, y, kinds="f")


@_builtin(str, ascii, hash, format, bytes, chr, bin, hex, oct, ord)
def _needs_value(x: Any, *args: Any) -> Any:
    raise StagingError(f"{describe(x)} exists later, but its value is asked for now", here(),
                       fix="print it: `print(x)` in staged code happens later")


def _quantified(op: Any, whole: Callable[..., Any], neutral: bool) -> Callable[[Any], Any]:
    def staged(xs: Any) -> Any:
        if isinstance(xs, Rep):
            return whole(xs)
        out: Any = neutral
        for x in xs:
            out = truth(x) if out is neutral else op(out, x)
        return out

    return staged


STAGED[builtins.any] = _quantified(el.logical_or, arrays.any, False)
STAGED[builtins.all] = _quantified(el.logical_and, arrays.all, True)


@_builtin(sorted)
def _sorted(xs: Any, key: Any = None, reverse: bool = False) -> Any:
    x = xs if isinstance(xs, Rep) else joining.stack(list(xs))
    if x.ndim != 1:
        raise StagingTypeError(f"sorted() of {describe(x)}", here(), fix="use `np.sort` along an axis")
    if key is not None:
        raise StagingTypeError("sorted() by a key that exists later", here(),
                               fix="sort an array of the keys: `order = np.argsort(keys)`, and index by it")
    return shaping.flip(shaping.sort(x)) if reverse else shaping.sort(x)


@_builtin(isinstance)
def _isinstance(x: Any, classes: Any) -> Any:
    """By the type in the program: a staged `f64` is a `float`, an array an `np.ndarray`, a record one of its classes."""
    if not isinstance(x, Rep):
        return isinstance(x, classes)
    if isinstance(x.type, SumType):
        from .records import is_instance

        return is_instance(x, classes)
    listed = classes if isinstance(classes, tuple) else getattr(classes, "__args__", (classes,))
    wanted = tuple(c for c in listed if isinstance(c, type))
    if issubclass(Rep, wanted):
        return True
    if x.ndim:
        return issubclass(np.ndarray, wanted)
    kind = element(x.type)
    sample = {f64: 0.0, i64: 0, bool_: False, c128: 0j}.get(kind)
    return isinstance(sample, wanted) or isinstance(kind.dtype.type(0), wanted)


# -------------------------------------------------------------------------------------- the rest of math

STAGED[math.floor] = lambda x: to_int(el.floor(x)) if promote(x).is_float else x
STAGED[math.ceil] = lambda x: to_int(el.ceil(x)) if promote(x).is_float else x
STAGED[math.trunc] = to_int
STAGED[math.hypot] = lambda *xs: el.abs(xs[0]) if len(xs) == 1 else functools.reduce(el.hypot, xs)
STAGED[math.dist] = lambda x, y: arrays.norm(el.subtract(asarray(x), asarray(y)))
STAGED[math.prod] = lambda xs, start=1: (arrays.prod(xs) * start if isinstance(xs, Rep)
                                         else functools.reduce(operator.mul, xs, start))
STAGED[np.sinc] = lambda x: _sinc(el.multiply(x, math.pi))
STAGED[np.shape] = lambda x: x.shape
STAGED[np.ndim] = lambda x: x.ndim
STAGED[np.size] = lambda x, axis=None: x.size if axis is None else x.shape[axis]
STAGED[np.float_power] = el.float_power
STAGED[np.ptp] = lambda x, axis=None: arrays.max(x, axis) - arrays.min(x, axis)
STAGED[np.array_equal] = lambda x, y: arrays.all(el.equal(x, y)) if x.ndim == y.ndim else False
STAGED[special.logit] = lambda x: el.subtract(el.log(x), el.log1p(el.negative(x)))
STAGED[special.ndtr] = lambda x: el.multiply(0.5, el.erfc(el.multiply(x, -math.sqrt(0.5))))
STAGED[special.entr] = lambda x: el.negative(el.xlogy(x, x))
STAGED[special.betaln] = lambda a, b: el.subtract(el.add(el.lgamma(a), el.lgamma(b)), el.lgamma(el.add(a, b)))
STAGED[special.psi] = STAGED[special.digamma]
for _name in ("expm1", "log1p", "exp2", "cbrt"):
    STAGED[getattr(special, _name)] = STAGED[getattr(np, _name)]


@_builtin(math.isclose)
def _isclose(a: Any, b: Any, *, rel_tol: Any = 1e-9, abs_tol: Any = 0.0) -> Any:
    distance = el.abs(el.subtract(a, b))
    near = el.less_equal(distance, el.maximum(el.multiply(rel_tol, el.maximum(el.abs(a), el.abs(b))), abs_tol))
    return el.logical_or(el.equal(a, b), el.logical_and(near, el.isfinite(distance)))


@_builtin(math.modf)
def _modf(x: Any) -> Any:
    whole = el.trunc(x)
    return el.copysign(el.where(el.isinf(x), 0.0, el.subtract(x, whole)), x), whole


@_builtin(np.nan_to_num)
def _nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    if not copy:
        raise StagingError("nan_to_num with copy=False changes its argument", here(),
                           fix="assign the result: `x[...] = np.nan_to_num(x)`")
    if not promote(x).is_float:
        return anew(x)
    largest = float(np.finfo(str(promote(x).dtype)).max)
    out = el.where(el.isnan(x), nan, x)
    out = el.where(el.equal(x, np.inf), largest if posinf is None else posinf, out)
    return el.where(el.equal(x, -np.inf), -largest if neginf is None else neginf, out)


def _sinc(x: Any) -> Any:
    zero = el.equal(x, 0.0)
    safe = el.where(zero, 1.0, x)
    return el.where(zero, 1.0, el.divide(el.sin(safe), safe))


@_builtin(math.gcd)
def _gcd(*xs: Any) -> Any:
    """Euclid's algorithm, in a loop."""
    return _later(functools.reduce(_gcd_of_two, (el.abs(x) if isinstance(x, Rep) else abs(x) for x in xs)))


def _gcd_of_two(x: Any, y: Any) -> Rep:
    b = current()
    a, c = scalar(x, i64), scalar(y, i64)
    with b.reify((i64, i64), ("a", "b")) as condition:
        condition.results = (b.emit1(p.scalar.ne, condition.params[1], b.const(0)),)
    with b.reify((i64, i64), ("a", "b")) as body:
        body.results = (body.params[1], b.emit1(p.scalar.mod, *body.params))
    return Rep(b.emit(p.control.while_, a, c, blocks=(condition, body), types=(i64, i64))[0])


for _scalar_class in (np.float64, np.float32, np.int64, np.int32, np.int16, np.int8, np.uint64, np.uint32, np.uint16, np.uint8,
                      np.bool_, np.complex128, np.complex64):
    STAGED[_scalar_class] = functools.partial(lambda t, x: cast(x, t), scalar_type(_scalar_class))


# ------------------------------------------------------------------------------------- back into Python


def py_call(f: Callable[..., Any], result_type: Any, *args: Any) -> Any:
    """Call Python from compiled code: `f` gets NumPy values and returns a value of `result_type` (or a tuple of such).

    It takes the GIL. Outside staged code it is a plain call. Arrays in `result_type` have sizes known now: `Array[f64, 3]`.

        lms.stage(lambda x: lms.py_call(math.gamma, f64, x))(5.0)       # 24.0
    """
    from lms.core.builder import staging

    if not staging():
        return f(*args)
    wanted = result_type if isinstance(result_type, tuple) else (result_type,)
    types = tuple(_result_type(t) for t in wanted)
    out = current().emit(p.control.py_call, *(lift_value(x) for x in args), function=f, types=types)
    results = tuple(map(Rep, out))
    return results if isinstance(result_type, tuple) else results[0]


def _result_type(t: Any) -> Type:
    t = t.type if isinstance(t, Annotation) else t
    if isinstance(t, ArrayType | SumType):
        return t
    found = scalar_type(t)
    assert isinstance(found, Scalar)
    return found


def print_now(*values: Any, sep: str = " ", end: str = "\n") -> None:
    """Print while staging: staged values show their types. (`print` in staged code happens later.)

        lms.print_now("staged for", math.pi)
    """
    print(*values, sep=sep, end=end)
