"""An independent reverse mode: operator overloading, one node an operation, run on the very text of a program.

It shares nothing with lms. Beside values and derivatives it records the *path* (the outcome of every comparison and of
every float made an int), and the first-order effect of rounding each operation by one ulp. A number also carries its
derivative in one direction, and so does a partial: one sweep gives the gradient and the Hessian times the direction.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

Number = Any  # a Var or a float


class Tape:
    """The operations of one run in order, the path it took, and whether two compared numbers were equal."""

    def __init__(self) -> None:
        self.nodes: list[Var] = []
        self.path: list[Any] = []
        self.tie = False
        self.largest = 0.0

    def sweep(self, seeds: Sequence[tuple[Number, float]]) -> None:
        """Set every node's adjoint for `sum(seed * result)`."""
        for node in self.nodes:
            node.adjoint = node.bent = 0.0
        for result, seed in seeds:
            if isinstance(result, Var):
                result.adjoint += seed
        for node in reversed(self.nodes):
            for parent, partial, moved in node.parents:
                if isinstance(parent, Var):
                    parent.adjoint += partial * node.adjoint if node.adjoint else 0.0
                    parent.bent += (partial * node.bent if node.bent else 0.0) + (moved * node.adjoint if node.adjoint else 0.0)

    def rounding(self) -> float:
        """After a sweep: how far the result moves, at first order, if every operation is off by one ulp."""
        return sum(abs(node.adjoint) * node.scale for node in self.nodes) * 2.0**-52


def _scalar(operator: Callable[[Var, Number], Var]) -> Callable[[Var, Number], Var]:
    """An operator that leaves arrays to themselves: they apply it to each element."""
    return lambda x, y: NotImplemented if isinstance(y, np.ndarray) else operator(x, y)


class Var:
    """A float that remembers how it was made: `parents` are operand, partial derivative, and how that one moves.

    `dot` is its derivative in the direction; `bent` is that of its adjoint.
    """

    __slots__ = ("adjoint", "bent", "dot", "parents", "scale", "tape", "value")

    def __init__(self, tape: Tape, value: float, *parents: tuple[Number, float, float], scale: float | None = None,
                 dot: float = 0.0) -> None:
        self.tape, self.value, self.parents, self.adjoint, self.bent = tape, value, parents, 0.0, 0.0
        self.dot = dot + sum(partial * moving(x) for x, partial, _ in parents)
        self.scale = abs(value) if scale is None else scale  # what one relative rounding error is relative to
        tape.largest = builtins.max(tape.largest, self.scale) if math.isfinite(self.scale) else math.inf
        tape.nodes.append(self)

    @_scalar
    def __add__(self, y: Number) -> Var:
        return Var(self.tape, self.value + val(y), (self, 1.0, 0.0), (y, 1.0, 0.0))

    @_scalar
    def __sub__(self, y: Number) -> Var:
        return Var(self.tape, self.value - val(y), (self, 1.0, 0.0), (y, -1.0, 0.0))

    def __rsub__(self, y: Number) -> Var:
        return Var(self.tape, val(y) - self.value, (self, -1.0, 0.0))

    @_scalar
    def __mul__(self, y: Number) -> Var:
        return Var(self.tape, self.value * val(y), (self, val(y), moving(y)), (y, self.value, self.dot))

    @_scalar
    def __truediv__(self, y: Number) -> Var:
        return self._quotient(self, y)

    def __rtruediv__(self, y: Number) -> Var:
        return self._quotient(y, self)

    def _quotient(self, x: Number, y: Number) -> Var:
        z, by = val(x) / val(y), val(y)
        dz = (moving(x) - z * moving(y)) / by
        return Var(self.tape, z, (x, 1.0 / by, -moving(y) / by**2), (y, -z / by, (z * moving(y) / by - dz) / by))

    def __mod__(self, y: float) -> Var:
        self.tape.path.append(self.value // y)
        return Var(self.tape, self.value % y, (self, 1.0, 0.0), scale=abs(self.value))

    def __pow__(self, y: float) -> Var:
        slope, curve = y * self.value ** (y - 1), y * (y - 1) * self.value ** (y - 2)
        return Var(self.tape, self.value**y, (self, slope, curve * self.dot))

    def __neg__(self) -> Var:
        return Var(self.tape, -self.value, (self, -1.0, 0.0))

    def __abs__(self) -> Var:
        return -self if self < 0.0 else self

    def __int__(self) -> int:
        self.tape.path.append(int(self.value))
        return int(self.value)

    def __floor__(self) -> int:
        self.tape.path.append(math.floor(self.value))
        return math.floor(self.value)

    def _compare(self, y: Number, outcome: bool) -> bool:
        self.tape.tie |= self.value == val(y)
        self.tape.path.append(outcome)
        return outcome

    def __lt__(self, y: Number) -> bool:
        return self._compare(y, self.value < val(y))

    def __le__(self, y: Number) -> bool:
        return self._compare(y, self.value <= val(y))

    def __gt__(self, y: Number) -> bool:
        return self._compare(y, self.value > val(y))

    def __ge__(self, y: Number) -> bool:
        return self._compare(y, self.value >= val(y))

    __radd__, __rmul__ = __add__, __mul__


def val(x: Number) -> float:
    return x.value if isinstance(x, Var) else x


def moving(x: Number) -> float:
    return x.dot if isinstance(x, Var) else 0.0


Derivative = Callable[[float, float], float]  # from argument and result


def _lifted(f: Callable[[float], float], first: Derivative, second: Derivative) -> Callable[[Any], Any]:
    """`f` on floats, `Var`s and object arrays, by its derivatives."""

    def one(x: Number) -> Number:
        y = f(val(x))
        return Var(x.tape, y, (x, first(x.value, y), second(x.value, y) * x.dot)) if isinstance(x, Var) else y

    return lambda x: np.frompyfunc(one, 1, 1)(x) if isinstance(x, np.ndarray) else one(x)


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sqrt": _lifted(math.sqrt, lambda x, y: 0.5 / y, lambda x, y: -0.25 / y**3),
    "exp": _lifted(math.exp, lambda x, y: y, lambda x, y: y),
    "log": _lifted(math.log, lambda x, y: 1.0 / x, lambda x, y: -1.0 / x**2),
    "sin": _lifted(math.sin, lambda x, y: math.cos(x), lambda x, y: -y),
    "cos": _lifted(math.cos, lambda x, y: -math.sin(x), lambda x, y: -y),
    "tanh": _lifted(math.tanh, lambda x, y: 1.0 - y * y, lambda x, y: -2.0 * y * (1.0 - y * y)),
    "atan": _lifted(math.atan, lambda x, y: 1.0 / (1.0 + x * x), lambda x, y: -2.0 * x / (1.0 + x * x) ** 2),
}


def _objects(shape: Any, fill: Number = 0.0, dtype: Any = None) -> np.ndarray:
    return np.full(shape, fill, dtype=object if dtype is None else dtype)


def _sum(x: np.ndarray, axis: int | None = None) -> Any:
    """A sum may be taken in any order: its rounding is relative to the sum of magnitudes."""
    if axis is not None:
        columns = np.moveaxis(x, axis, -1)
        out = _objects(columns.shape[:-1])
        for index in np.ndindex(out.shape):
            out[index] = _sum(columns[index])
        return out
    terms = list(x.flat)
    tape = next((t.tape for t in terms if isinstance(t, Var)), None)
    value = math.fsum(map(val, terms))
    if tape is None:
        return value
    return Var(tape, value, *((t, 1.0, 0.0) for t in terms), scale=sum(abs(val(t)) for t in terms))


# What `math`, `np` and `lms` mean to a program that runs on the tape.
MATH = SimpleNamespace(floor=math.floor, **FUNCTIONS)
NUMPY = SimpleNamespace(
    int64=np.int64,
    arange=np.arange,
    copy=np.copy,
    zeros=_objects,
    ones=lambda shape: _objects(shape, 1.0),
    full=lambda shape, fill: _objects(shape, fill),
    zeros_like=lambda x: _objects(x.shape),
    maximum=np.maximum,
    minimum=np.minimum,
    abs=np.frompyfunc(abs, 1, 1),
    where=np.frompyfunc(lambda c, x, y: x if c else y, 3, 1),
    sum=_sum,
    mean=lambda x: _sum(x) / float(x.size),
    dot=lambda x, y: _sum(x * y),
    max=np.max,
    min=np.min,
    outer=lambda x, y: x[:, None] * y[None, :],
    **FUNCTIONS,
)
