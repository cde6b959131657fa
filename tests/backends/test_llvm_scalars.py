"""Every scalar operation against its meaning on NumPy values, special values included, bit for bit where it is exact."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lms.backends.llvm.scalar import REAL
from lms.backends.llvm.writer import RULES
from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.errors import LmsError
from lms.core.ir import Program
from lms.core.primitives import PRIMITIVES, Primitive
from lms.core.types import SCALARS, Scalar, Type, bool_

ROUNDED = ("cbrt exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh "
           "erf erfc gamma lgamma digamma trigamma atan2 hypot pow").split()
SCALAR_ROWS = [row for row in PRIMITIVES.values() if row.elementwise]
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -2.5, 2.0, -3.7, 7.25, 1e-310, -5e-324, 1e300, -1e19, 3e9, 2.0**31, -(2.0**31),
          -2147483648.5, 2.0**53 + 2, np.inf, -np.inf, np.nan]
ANY_COMPLEX = "add sub neg conj eq ne isnan isinf isfinite real imag select convert stop_gradient".split()  # exact for all values
ROUNDED_COMPLEX = "mul div exp log sin cos sqrt pow abs".split()


def samples(t: Scalar) -> list[Any]:
    if t.kind == "b":
        return [np.bool_(False), np.bool_(True)]
    if t.is_int:
        info = np.iinfo(t.dtype)
        values = {0, 1, 2, 3, 7, 8, 31, 33, 63, 64, 100, info.max, info.max - 1, info.min, info.min + 1, -1, -2, -7, -100}
        return [t.dtype.type(v) for v in sorted(values) if info.min <= v <= info.max]
    if t.is_float:
        with np.errstate(all="ignore"):
            return [t.dtype.type(v) for v in FLOATS]
    return [t.dtype.type(complex(a, b)) for a, b in itertools.product([0.0, -0.0, 1.5, -2.25, 1e3, np.inf, np.nan], repeat=2)]


def program(op: Primitive, types: tuple[Type, ...], **attrs: Any) -> Program:
    """The program of one operation. Raises what its type rule raises."""
    result = Program(entry="f")
    b = Builder(result)
    with b.function("f", types) as f:
        f.body.results = b.emit(op, *f.body.params, **attrs)
    return result


def cases() -> list[Any]:
    found = []
    for op in SCALAR_ROWS:
        for t in SCALARS.values():
            for types in ((t,), (t, t), (bool_, t, t)):
                for target in SCALARS.values() if op is p.scalar.convert else (None,):
                    attrs = {"dtype": target} if target else {}
                    try:
                        program(op, types, **attrs)
                    except (LmsError, ValueError, KeyError, IndexError):
                        continue
                    if len(types) == 3 and op is not p.scalar.select:
                        continue
                    found.append(pytest.param(op, types, attrs, id="-".join(map(str, (op.name, *types, *attrs.values())))))
    return found


def test_every_row_is_there() -> None:
    assert {row.name for row in SCALAR_ROWS} <= {param.values[0].name for param in cases()}


@pytest.mark.parametrize(("op", "types", "attrs"), cases())
def test_scalar(op: Primitive, types: tuple[Scalar, ...], attrs: dict[str, Any], native: Callable[..., Any]) -> None:
    f = native(program(op, types, **attrs))
    for xs in itertools.product(*map(samples, types)):
        if outside(op, xs):
            continue
        assert op.eager is not None
        expected, (found,) = op.eager(*xs, **attrs), f(*xs)
        assert same(op, types, expected, found), f"{op.name}{xs}: {found!r}, expected {expected!r}"


def outside(op: Primitive, xs: tuple[Any, ...]) -> bool:
    """What the row leaves open: poles and far ends of special functions, complex infinities."""
    if any(np.iscomplexobj(x) for x in xs):
        finite = op.name in ANY_COMPLEX or np.all(np.isfinite(xs))
        return not finite or op.name == "pow" and (not all(xs) or abs(xs[1]) > 100)
    if op is p.scalar.pow and xs[0] == -np.inf:  # NumPy takes the square root for exponent 0.5: nan; Python and C say inf
        return True
    if op is p.scalar.complex_:
        return not np.all(np.isfinite(xs))
    return op.name in ("digamma", "trigamma", "gamma", "lgamma") and not 0.1 < xs[0] < 1e10


def same(op: Primitive, types: tuple[Scalar, ...], expected: Any, found: Any) -> bool:
    if np.isnan(expected) and np.isnan(found):
        return True
    inexact = op.name in (ROUNDED_COMPLEX if types[0].is_complex else ROUNDED)
    if not inexact:
        if isinstance(expected, np.complexfloating):
            return np.array_equal(expected, found, equal_nan=True) and type(found) is type(expected)
        return expected.tobytes() == found.tobytes() and found.dtype == expected.dtype
    if not np.isfinite(expected):
        return not np.isfinite(found) if types[0].is_complex else bool(expected == found)
    ulp = 64 if types[0].is_complex and op is p.scalar.pow else \
        16 if types[0].is_complex or op.name in ("gamma", "lgamma", "digamma", "trigamma") else 5
    return bool(abs(complex(expected) - complex(found)) <= ulp * np.spacing(abs(expected)))


def test_what_is_lowered_has_a_rule_and_nothing_else() -> None:
    assert {row.name for row in PRIMITIVES.values() if row.lowered} == {op.name for op in RULES}
    assert all(op.elementwise for op in REAL)
