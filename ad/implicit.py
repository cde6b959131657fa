"""Roots and fixed points: solved by iteration, differentiated by the implicit function theorem.

Where `f(x, p) = 0`, the solution moves by `dx = -inv(df/dx) df/dp dp`. So the iteration is not differentiated, and nothing of it
is kept: a derivative, of either mode and any order, is one linear solve at the solution, and one derivative of `f`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.data import dataclass
from lms.core.errors import StagingError, StagingTypeError, here
from lms.core.ir import Value
from lms.core.types import ArrayType, element, f64, fresh_symbol, is_differentiable
from lms.staging import shapes
from lms.staging.arguments import Signature
from lms.staging.control.choices import cond
from lms.staging.control.loops import while_loop
from lms.staging.functions import Call
from lms.staging.joins import describe, promote
from lms.staging.library import arrays
from lms.staging.library import elementary as el
from lms.staging.library.creation import asarray
from lms.staging.library.elementwise import cast, check
from lms.staging.rep import Rep

from . import api, custom
from .continuations import Steps
from .linear_solve import LINEAR, Operator, solve_linear

HALVINGS = 30  # of a Newton step that does not bring the residual down


@dataclass(frozen=True, eq=False)
class Equation:
    """`f(x, p...) = 0`, or `f(x, p...) = x`, with `f` a function of the program. What `f` captures is among the parameters."""

    call: Call
    name: str
    fixed: bool
    linear: str

    def __post_init__(self) -> None:
        x, types = self.call.operands[0], self.call.types
        if self.call.function.mut:
            raise StagingError(f"{self.name} writes to its arguments, so it has no root to solve for", here())
        if len(types) != 1 or _shapeless(types[0]) != _shapeless(x.type):
            found = ", ".join(map(str, types)) or "nothing"
            raise StagingTypeError(f"{self.name} gives {found} where {self.unknown} is {x.type}", here(),
                                   fix="the unknown and what must be solved are of one type and shape")

    @property
    def unknown(self) -> str:
        """The parameter that is solved for."""
        return next(iter(self.call.bound.spec))

    def _types(self, x: Rep) -> tuple[Any, ...]:
        """The type of the result, for the caller: the sizes of `x` if they are known to be, else sizes of its own."""
        (t,) = self.call.types
        if not isinstance(t, ArrayType) or t.dims == getattr(self.call.operands[0].type, "dims", None):
            return (x.type,)
        return (ArrayType(t.dtype, tuple(fresh_symbol("d") for _ in t.dims)),)

    def _like(self, v: Value, x: Rep) -> Rep:
        if isinstance(v.type, ArrayType) and v.type != x.type:
            v = shapes.like(v, x.value, f"{self.name} must give what {self.unknown} is")
        return Rep(v)

    def value(self, x: Rep, params: Sequence[Rep]) -> Rep:
        (out,) = current().emit(p.control.call, *_values(x, *params), callee=self.call.function.name, types=self._types(x))
        return self._like(out, x)

    def forward(self, x: Rep, params: Sequence[Rep], dots: Sequence[Rep], wrt: Sequence[int]) -> Rep:
        """The derivative of `f` in a direction of the operands at the positions `wrt`."""
        *_, out = current().emit(p.control.jvp, *_values(x, *params, *dots), callee=self.call.function.name, wrt=tuple(wrt),
                                 types=self._types(x))
        return self._like(out, x)

    def backward(self, x: Rep, params: Sequence[Rep], bar: Rep, wrt: Sequence[int]) -> list[Rep]:
        """The cotangents of the operands at the positions `wrt`, for one of the result."""
        (t,) = self._types(x)
        seed = bar.value if t == bar.type or not isinstance(t, ArrayType) else shapes.rename(bar.value, t.dims)
        _, *out = current().emit(p.control.vjp, *_values(x, *params), seed, callee=self.call.function.name, wrt=tuple(wrt),
                                 types=(t,))
        return list(map(Rep, out))

    def solve(self, x: Rep, params: Sequence[Rep], right: Rep, transposed: bool) -> Any:
        """The linear solve with what the solution must satisfy to first order."""

        def along(v: Rep, x: Rep, *params: Rep) -> Rep:
            moved = self.forward(x, params, [v], (0,))
            return v - moved if self.fixed else moved

        def back(v: Rep, x: Rep, *params: Rep) -> Rep:
            (moved,) = self.backward(x, params, v, (0,))
            return v - moved if self.fixed else moved

        operators = Operator(along, f"the derivative of {self.name}"), Operator(back, f"the derivative of {self.name}")
        return solve_linear(*(operators[::-1] if transposed else operators), right, (x, *params), self.linear)


def _values(*xs: Rep) -> tuple[Value, ...]:
    return tuple(x.value for x in xs)


def _shapeless(t: Any) -> Any:
    return (t.dtype, t.rank) if isinstance(t, ArrayType) else t


# ------------------------------------------------------------------------------------------------- in staged code


def root(f: Callable[..., Any], x0: Any, *args: Any, tolerance: float | None = None, max_iterations: int = 50,
         step: Callable[..., Any] | None = None, linear: str = "auto") -> Any:
    """The `x` near `x0` with `f(x, *args) == 0`, see `lms.root`."""
    equation, operands = _prepared(f, x0, args, False, linear)
    if step is None:
        move: Callable[..., Any] = _newton(equation)
    else:
        follow, _ = _prepared(step, x0, args, True, linear)
        move = _following(follow, len(operands))
        operands = (*operands, *map(Rep, follow.call.operands[1:]))
    return _solved(equation, operands, move, tolerance, max_iterations)


def fixed_point(f: Callable[..., Any], x0: Any, *args: Any, tolerance: float | None = None, max_iterations: int = 1000,
                linear: str = "auto") -> Any:
    """The `x` with `f(x, *args) == x` that iteration from `x0` leads to, see `lms.fixed_point`."""
    equation, operands = _prepared(f, x0, args, True, linear)
    return _solved(equation, operands, _following(equation, 1), tolerance, max_iterations)


def _prepared(f: Callable[..., Any], x0: Any, args: Sequence[Any], fixed: bool, linear: str) -> tuple[Equation, tuple[Rep, ...]]:
    if linear not in LINEAR:
        raise StagingError(f"linear={linear!r} is no way to solve", here(), fix=f"it is one of {', '.join(map(repr, LINEAR))}")
    call, signature = api.prepare(f, (_unknown(x0), *args), {})
    return Equation(call, signature.name, fixed, linear), tuple(map(Rep, call.operands))


def _unknown(x0: Any) -> Rep:
    if isinstance(x0, list | tuple | dict) or promote(x0).kind not in "iuf":
        raise StagingTypeError(f"the unknown is one float or one array of floats, found {describe(x0)}", here(),
                               fix="put the unknowns into one array")
    x = asarray(x0) if getattr(x0, "ndim", 0) else x0
    x = x if promote(x).is_float else cast(x, f64)
    return x if isinstance(x, Rep) else Rep(current().const(x, f64))


Move = Callable[[Rep, Sequence[Rep]], tuple[Rep, Rep]]


def _solved(equation: Equation, operands: tuple[Rep, ...], move: Move, tolerance: float | None, max_iterations: int) -> Any:
    """The solution, as a call of a function that iterates; its rule is the theorem."""
    count = len(equation.call.operands)
    wrt = [k for k in range(1, count) if is_differentiable(operands[k].type)]

    def iterate(x: Rep, *params: Rep) -> Rep:
        return _iterate(equation, lambda x: move(x, params), x, tolerance, max_iterations)

    def again(*operands: Rep) -> Rep:
        return custom.call(iterate, signature, rules, operands, {})  # type: ignore[no-any-return]  # what `iterate` gives

    def backward(x0: Rep, *params: Rep) -> Steps:
        x = again(x0, *params)
        bar = yield x
        mine = params[: count - 1]
        moved = equation.solve(x, mine, bar, transposed=True)
        found = dict(zip(wrt, equation.backward(x, mine, moved if equation.fixed else -moved, wrt) if wrt else (), strict=True))
        return tuple(found.get(k) for k in range(len(operands)))

    def forward(primals: Sequence[Rep], tangents: Sequence[Any]) -> tuple[Rep, Rep]:
        x = again(*primals)
        mine = primals[1:count]
        if not wrt:
            return x, x * 0.0
        moved = equation.forward(x, mine, [tangents[k] for k in wrt], wrt)
        return x, equation.solve(x, mine, moved if equation.fixed else -moved, transposed=False)

    names = [f"p{k}" for k in range(len(operands))]
    kind = inspect.Parameter.POSITIONAL_ONLY
    iterate.__signature__ = inspect.Signature([inspect.Parameter(k, kind) for k in names])  # type: ignore[attr-defined]  # a function's own
    iterate.__name__ = f"{'fixed_point' if equation.fixed else 'root'}_of_{equation.name}"
    signature, rules = Signature(iterate), custom.Rules(backward, forward)
    return again(*operands)


def _own(x: Rep) -> Rep:
    return Rep(current().emit1(p.array.copy, x.value)) if isinstance(x.type, ArrayType) else x


# -------------------------------------------------------------------------------------------------- iterating


def _norm(x: Rep) -> Any:
    """The largest magnitude; NaN if there is one, and 0 for no elements."""
    if not x.ndim:
        return el.abs(x)
    some = el.greater(x.size, 0)
    return cond(some, lambda: arrays.max(el.abs(x)), lambda: Rep(current().const(0.0, element(x.type))))


def _iterate(equation: Equation, move: Callable[[Rep], tuple[Rep, Rep]], x0: Rep, tolerance: float | None, most: int) -> Rep:
    """Move until a step is small beside `x`. Raises `RuntimeError`, later, where none of `most` is."""
    dtype = element(x0.type)
    small = tolerance if tolerance is not None else 1e-10 if dtype == f64 else 1e-5

    def goes_on(state: tuple[Rep, Rep, Rep]) -> Any:
        _, size, count = state
        return el.logical_and(el.greater(size, small), el.less(count, most))

    def body(state: tuple[Rep, Rep, Rep]) -> tuple[Any, ...]:
        x, _, count = state
        new, moved = move(x)
        return new, el.divide(_norm(moved), el.add(_norm(x), 1.0)), el.add(count, 1)

    b = current()
    start = _own(x0), Rep(b.const(float("inf"), dtype)), Rep(b.const(0))
    x, size, count = while_loop(goes_on, body, start)
    what = "fixed point" if equation.fixed else "root"
    check(el.less_equal(size, small), "RuntimeError",
          f"the {what} of {equation.name} did not converge: after {{}} iterations the last step of {equation.unknown} was {{}} "
          f"of its size, where {small:g} is asked", count, size)
    return x  # type: ignore[no-any-return]  # a staged value


def _following(equation: Equation, first: int) -> Move:
    """The user's own iteration; its parameters stand at `first` among the operands."""
    count = len(equation.call.operands) - 1

    def move(x: Rep, params: Sequence[Rep]) -> tuple[Rep, Rep]:
        new = equation.value(x, params[first - 1 : first - 1 + count])
        return new, new - x

    return move


def _newton(equation: Equation) -> Move:
    """Newton's step, halved until the residual is less than it was. The size of the whole step says how far the root is."""

    def move(x: Rep, params: Sequence[Rep]) -> tuple[Rep, Rep]:
        params = params[: len(equation.call.operands) - 1]
        residual = equation.value(x, params)
        whole = equation.solve(x, params, residual, transposed=False)
        if not x.ndim:
            whole = el.where(el.equal(residual, 0.0), 0.0, whole)
        now = _norm(residual)

        def too_far(state: tuple[Rep, Rep]) -> Any:
            factor, then = state
            return el.logical_and(el.logical_not(el.less_equal(then, now)), el.greater(factor, 0.5**HALVINGS))

        def halve(state: tuple[Rep, Rep]) -> tuple[Any, ...]:
            half = state[0] * 0.5
            return half, _norm(equation.value(x - half * whole, params))

        one = Rep(current().const(1.0, element(x.type)))
        factor, _ = while_loop(too_far, halve, (one, _norm(equation.value(x - whole, params))))
        return x - factor * whole, whole

    return move
