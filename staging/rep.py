"""`Rep`: a value of the next stage. Every operation on one reflects a node of the program being staged."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.errors import StagingError, StagingTypeError, here
from lms.core.ir import Value
from lms.core.types import ArrayType, Scalar, SumType, Type, element, i64

from .joins import describe, is_weak, promote, scalar_like

if TYPE_CHECKING:
    from .annotations import Annotation


class Rep:
    """A value that exists later: number, array or record of the program being staged.

    `Rep[T]` in an annotation says that a parameter or result is staged. Operators, `abs`, indexing, NumPy's functions and
    the array methods stage themselves; a Python literal takes the type of the other operand. Float division follows IEEE
    (`1.0 / 0.0` is `inf`, as in NumPy); integer division by zero raises `ZeroDivisionError` when the program runs.

        @lms.stage
        def f(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
            return x**2 + n

        f(3.0, 1)       # 10.0
    """

    __slots__ = ("value",)
    adapts = False  # whether its type gives way as a literal's does
    __array_priority__ = 1000.0

    def __init__(self, value: Value) -> None:
        self.value = value

    def __class_getitem__(cls, item: Any) -> Annotation:
        from .annotations import staged_annotation

        return staged_annotation(item)

    # ------------------------------------------------------------------------------------- what it is

    @property
    def type(self) -> Type:
        """The type it has in the program."""
        return self.value.type

    @property
    def dtype(self) -> np.dtype[Any]:
        return element(self.type).dtype

    @property
    def ndim(self) -> int:
        return self.type.rank if isinstance(self.type, ArrayType) else 0

    @property
    def shape(self) -> tuple[Any, ...]:
        """Sizes by axis: ints where they are known now, else `Rep`s of type `i64`."""
        t = self.type
        return tuple(d if isinstance(d, int) else Weak(current().dim(self.value, k))
                     for k, d in enumerate(t.dims)) if isinstance(t, ArrayType) else ()

    @property
    def size(self) -> Any:
        return functools.reduce(operator.mul, self.shape or (1,))

    def __repr__(self) -> str:
        name = self.value.name
        return f"Rep[{self.type}]" + (f"({name})" if name else "")

    def __len__(self) -> int:
        n = self.shape[0] if self.ndim else None
        if isinstance(n, int):
            return n
        return _too_early(self, "its length is known later", "write `x.shape[0]`")

    # ---------------------------------------------------------------------- what it is not: a value of now

    def __bool__(self) -> bool:
        return _too_early(self, "Python asks now whether it is true", "use `lms.cond` or `lms.where`; "
                          "in a function with source, `if`, `while`, `and`, `or` and `not` are staged")

    def __index__(self) -> int:
        return _too_early(self, "Python asks now for its value as an int",
                          "loop over `lms.range(n)`, or make the parameter static (`lms.Static[int]`)")

    def __int__(self) -> int:
        return _too_early(self, "Python asks now for its value as an int", "write `x.astype(lms.i64)`")

    def __float__(self) -> float:
        return _too_early(self, "Python asks now for its value as a float", "write `x.astype(lms.f64)`, or `lms` functions")

    def __complex__(self) -> complex:
        return _too_early(self, "Python asks now for its value as a complex", "write `x.astype(lms.c128)`")

    def __hash__(self) -> int:
        return _too_early(self, "a dict, set or cache asks now for its hash", "use an array and an index")

    def __format__(self, spec: str) -> str:
        return _too_early(self, "a string is made of it now", "print it: `print(x)` in staged code happens later")

    def __iter__(self) -> Iterator[Any]:
        n = self.shape[0] if self.ndim else None
        if not isinstance(n, int):
            return _too_early(self, "Python iterates over it now",
                              "write a `for` loop over it, or index it: `x[0]`; an array of known length is iterated over now")
        return iter([self[k] for k in range(n)])

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        _too_early(self, "a NumPy array is made of it now", "pass it to NumPy's functions as it is, or use those of `lms`")

    # ------------------------------------------------------------------------------------- arithmetic

    def __add__(self, other: Any) -> Any:
        return _binary("add", self, other)

    def __radd__(self, other: Any) -> Any:
        return _binary("add", other, self)

    def __sub__(self, other: Any) -> Any:
        return _binary("subtract", self, other)

    def __rsub__(self, other: Any) -> Any:
        return _binary("subtract", other, self)

    def __mul__(self, other: Any) -> Any:
        return _binary("multiply", self, other)

    def __rmul__(self, other: Any) -> Any:
        return _binary("multiply", other, self)

    def __truediv__(self, other: Any) -> Any:
        return _binary("divide", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _binary("divide", other, self)

    def __floordiv__(self, other: Any) -> Any:
        return _binary("floor_divide", self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return _binary("floor_divide", other, self)

    def __mod__(self, other: Any) -> Any:
        return _binary("remainder", self, other)

    def __rmod__(self, other: Any) -> Any:
        return _binary("remainder", other, self)

    def __divmod__(self, other: Any) -> Any:
        return _binary("floor_divide", self, other), _binary("remainder", self, other)

    def __rdivmod__(self, other: Any) -> Any:
        return _binary("floor_divide", other, self), _binary("remainder", other, self)

    def __pow__(self, other: Any) -> Any:
        return _binary("power", self, other)

    def __rpow__(self, other: Any) -> Any:
        return _binary("power", other, self)

    def __matmul__(self, other: Any) -> Any:
        return _binary("matmul", self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return _binary("matmul", other, self)

    def __and__(self, other: Any) -> Any:
        return _binary("bitwise_and", self, other)

    def __rand__(self, other: Any) -> Any:
        return _binary("bitwise_and", other, self)

    def __or__(self, other: Any) -> Any:
        return _binary("bitwise_or", self, other)

    def __ror__(self, other: Any) -> Any:
        return _binary("bitwise_or", other, self)

    def __xor__(self, other: Any) -> Any:
        return _binary("bitwise_xor", self, other)

    def __rxor__(self, other: Any) -> Any:
        return _binary("bitwise_xor", other, self)

    def __lshift__(self, other: Any) -> Any:
        return _binary("left_shift", self, other)

    def __rlshift__(self, other: Any) -> Any:
        return _binary("left_shift", other, self)

    def __rshift__(self, other: Any) -> Any:
        return _binary("right_shift", self, other)

    def __rrshift__(self, other: Any) -> Any:
        return _binary("right_shift", other, self)

    def __iadd__(self, other: Any) -> Any:
        return _in_place("add", self, other)

    def __isub__(self, other: Any) -> Any:
        return _in_place("subtract", self, other)

    def __imul__(self, other: Any) -> Any:
        return _in_place("multiply", self, other)

    def __itruediv__(self, other: Any) -> Any:
        return _in_place("divide", self, other)

    def __ifloordiv__(self, other: Any) -> Any:
        return _in_place("floor_divide", self, other)

    def __imod__(self, other: Any) -> Any:
        return _in_place("remainder", self, other)

    def __ipow__(self, other: Any) -> Any:
        return _in_place("power", self, other)

    def __imatmul__(self, other: Any) -> Any:
        return _in_place("matmul", self, other)

    def __iand__(self, other: Any) -> Any:
        return _in_place("bitwise_and", self, other)

    def __ior__(self, other: Any) -> Any:
        return _in_place("bitwise_or", self, other)

    def __ixor__(self, other: Any) -> Any:
        return _in_place("bitwise_xor", self, other)

    def __neg__(self) -> Any:
        return _ops().negative(self)

    def __pos__(self) -> Any:
        return _ops().positive(self)

    def __abs__(self) -> Any:
        return _ops().abs(self)

    def __invert__(self) -> Any:
        return _ops().invert(self)

    # ------------------------------------------------------------------------------------- comparison

    def __lt__(self, other: Any) -> Any:
        return _binary("less", self, other)

    def __le__(self, other: Any) -> Any:
        return _binary("less_equal", self, other)

    def __gt__(self, other: Any) -> Any:
        return _binary("greater", self, other)

    def __ge__(self, other: Any) -> Any:
        return _binary("greater_equal", self, other)

    def __eq__(self, other: Any) -> Any:
        return _binary("equal", self, other)

    def __ne__(self, other: Any) -> Any:
        return _binary("not_equal", self, other)

    # -------------------------------------------------------------------------- elements, attributes, methods

    def __getitem__(self, key: Any) -> Any:
        from .library.indexing import get

        return get(self, key)

    def __setitem__(self, key: Any, item: Any) -> None:
        from .library.indexing import put

        put(self, key, item)

    def __getattr__(self, name: str) -> Any:
        from .library.methods import attribute

        return attribute(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "value" and isinstance(value, Value):
            object.__setattr__(self, name, value)
            return
        raise StagingError(f"cannot set {name!r} of {describe(self)}: records are immutable", here(),
                           fix="make a new record, or store into an array")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        from .library.protocol import array_ufunc

        return array_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        from .library.protocol import array_function

        return array_function(function, args, kwargs)

    def __copy__(self) -> Rep:
        from .library.creation import copy

        return copy(self) if self.ndim else self

    def __deepcopy__(self, memo: Any) -> Rep:
        return self.__copy__()

    def __reduce__(self) -> NoReturn:
        _too_early(self, "it is pickled now", "return it from the staged function first")


class Weak(Rep):
    """A Python number that exists later (an argument, a loop's counter, `k` after `k = 1 if c else 2`): its type adapts."""

    __slots__ = ()
    adapts = True


Weak.__name__ = "Rep"  # in Python's own messages, such as "unsupported operand type(s)"


def _ops() -> Any:
    from .library import ops

    return ops


def _binary(name: str, x: Any, y: Any) -> Any:
    if not (is_operand(x) and is_operand(y)):
        return NotImplemented
    return getattr(_ops(), name)(x, y)


def _in_place(name: str, x: Rep, y: Any) -> Any:
    """`x op= y`: an array changes, as in NumPy; a number is another number."""
    if not (is_operand(y) and x.ndim):
        return NotImplemented
    from .library.indexing import in_place

    return in_place(x, name, y)


def _too_early(x: Rep, why: str, fix: str) -> NoReturn:
    raise StagingError(f"{describe(x)} exists later, but {why}", here(), fix=fix)


def is_operand(x: object) -> bool:
    """Whether `x` can be an operand of a staged operation: staged, a number, or a NumPy value."""
    return isinstance(x, Rep | np.ndarray | np.generic | bool | int | float | complex)


# ------------------------------------------------------------------------------------------------ lifting

# How an array of now becomes an input of the program: set by whoever traces a function.
capture: ContextVar[Callable[[np.ndarray[Any, Any]], Value] | None] = ContextVar("lms_capture", default=None)


_KINDS = {"b": 0, "i": 1, "u": 1, "f": 2, "c": 3}  # what is lifted to a type of a lower kind would lose something


def lift(x: Any, type: Type | None = None) -> Rep:
    """`x` as a staged value: a constant, a hidden input, or itself; converted to the element type of `type`, if given.

    Raises `StagingTypeError` for what has no staged form, and `StagingError` for an int that does not fit.
    """
    return Rep(lift_value(x, type))


def lift_value(x: Any, type: Type | None = None) -> Value:
    """`lift` for those who speak to the builder."""
    if isinstance(x, Rep | Value):
        v = x.value if isinstance(x, Rep) else x
        if type is None or isinstance(type, SumType):
            return v
        wanted = element(type)
        if _KINDS[element(v.type).kind] > _KINDS[wanted.kind]:
            raise StagingTypeError(f"expected {wanted}, found {describe(x)}", here(), fix=f"convert it: `.astype(\"{wanted}\")`")
        if isinstance(x, Weak):
            _must_fit(v, wanted)
        return convert(v, wanted)
    if isinstance(x, np.ndarray):
        return lift_value(_captured(x), type)
    if isinstance(type, SumType):
        from .records import lift_record

        return lift_record(x, type)
    target = None if type is None else element(type)
    if (own := scalar_like(x)) is None:
        raise StagingTypeError(f"expected a number or an array, found {describe(x)}", here())
    if target is not None and promote(*(np.zeros((), target.dtype), x)) != target and not (is_weak(x) and own.kind in "bi"):
        raise StagingTypeError(f"expected {target}, found {describe(x)}", here(), fix=f"convert it: `.astype(\"{target}\")`")
    return current().const(x, own if target is None else target)


def _must_fit(v: Value, target: Scalar) -> None:
    """A Python int that becomes a narrower integer must fit, as in NumPy: `OverflowError` later."""
    if v.type != i64 or not target.is_int or target == i64 or v.number is not None:
        return
    b, info = current(), np.iinfo(str(target.dtype))
    ok = b.emit1(p.scalar.ge, v, b.const(int(info.min)))
    if target.bits < 64:
        ok = b.emit1(p.scalar.and_, ok, b.emit1(p.scalar.le, v, b.const(int(info.max))))
    b.emit(p.control.check, ok, v, error="OverflowError", message=f"Python integer {{}} out of bounds for {target.dtype}")


def convert(v: Value, target: Scalar) -> Value:
    """`v` with elements of another scalar type."""
    if element(v.type) == target:
        return v
    if v.number is not None and target.kind not in "iu":
        return current().const(v.number, target)
    return current().emit1(p.scalar.convert, v, dtype=target)


def _captured(x: np.ndarray[Any, Any]) -> Value:
    if (dtype := scalar_like(x)) is None:
        raise StagingTypeError(f"{describe(x)} cannot be staged", here(), fix="use an array of numbers or bools")
    if x.ndim == 0:
        return current().const(x[()], dtype)
    if (take := capture.get()) is not None:
        return take(x)
    if x.size > 256:
        raise StagingError(f"{describe(x)} is used, but no function is being staged", here())
    b = current()
    out = b.emit1(p.array.empty, *(b.const(n) for n in x.shape), dims=x.shape, dtype=dtype)
    for index in np.ndindex(x.shape):
        b.emit(p.array.store, out, b.const(x[index], dtype), *(b.const(k) for k in index))
    return out


def scalar(x: Any, type: Scalar = i64) -> Value:
    """A number as a staged scalar of the given type (rank-0 arrays are read)."""
    v = lift_value(x)
    if isinstance(v.type, ArrayType):
        if v.type.rank:
            raise StagingTypeError(f"expected a number, found {describe(v)}", here())
        v = current().emit1(p.array.load, v)
    return convert(v, type)


def size_arg(x: Any, what: str = "a size") -> Value:
    """An int, staged or not, as an `i64`. Raises `StagingTypeError` for floats."""
    if (s := scalar_like(x)) is None or not s.is_int:
        raise StagingTypeError(f"{what} must be an integer, found {describe(x)}", here(),
                               fix="convert it: `int(...)`, or divide by `//`")
    return scalar(x, i64)
