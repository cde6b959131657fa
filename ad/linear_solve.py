"""Linear systems given by functions: `a(v) = b`, for a linear `a` that is only applied.

A number is divided by; a small system becomes a matrix, one column at a time, and is solved by its factors; a large one is
solved by GMRES (Saad and Schultz, 1986), which asks for nothing but `a(v)`. The derivative of a solution is the solution of a
system with the transpose, so the iteration is not differentiated either.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from lms.core.builder import current
from lms.core.data import dataclass
from lms.core.types import ArrayType, element, f64, is_differentiable
from lms.staging.arguments import Signature
from lms.staging.control.choices import cond
from lms.staging.control.loops import fori_loop, while_loop
from lms.staging.library import arrays, linalg, shaping
from lms.staging.library import elementary as el
from lms.staging.library.creation import zeros
from lms.staging.library.derivatives import columns
from lms.staging.library.elementwise import check
from lms.staging.rep import Rep

from . import api, custom
from .continuations import Steps

LINEAR = ("auto", "dense", "gmres")
SMALL = 256     # unknowns of which `auto` makes a matrix
SPACE = 30      # directions that GMRES keeps
CYCLES = 200    # times that it starts again
Function = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Operator:
    """A function `apply(v, *params)`, linear in `v`, and what errors call it."""

    apply: Function
    name: str


def solve_linear(a: Operator, transpose: Operator, right: Rep, params: Sequence[Rep], how: str) -> Any:
    """The `v` with `a.apply(v, *params) == right`. Raises `LinAlgError` or `RuntimeError`, later, where none is found."""
    if not isinstance(right.type, ArrayType):
        return el.divide(right, a.apply(Rep(current().const(1.0, element(right.type))), *params))
    if how == "auto" and isinstance(n := right.size, int):
        how = "dense" if n <= SMALL else "gmres"
    if how == "dense":
        return _dense(a, right, params)
    free = System(a, transpose, len(params)).solve
    if how == "gmres":
        return free(right, *params)
    return cond(el.less_equal(right.size, SMALL), lambda: _dense(a, right, params), lambda: free(right, *params))


def _dense(a: Operator, right: Rep, params: Sequence[Rep]) -> Any:
    n = right.size
    matrix = shaping.reshape(columns(right, lambda v: a.apply(v, *params)), (n, n))
    return shaping.reshape(linalg.solve(matrix, shaping.ravel(right)), right.shape)


# ------------------------------------------------------------------------------------------------ without a matrix


class System:
    """A system solved by GMRES: a call of a function that iterates, with a rule that solves the system with the transpose."""

    def __init__(self, a: Operator, transpose: Operator, count: int) -> None:
        self.a, self.transpose = a, transpose
        names = [f"p{k}" for k in range(1 + count)]
        self.apply = _named(lambda v, *params: a.apply(v, *params), "applied", names)
        self.run = _named(lambda right, *params: _gmres(lambda v: a.apply(v, *params), right, a.name), "gmres", names)
        self.signature, self.rules = Signature(self.run), custom.Rules(self.backward, self.forward)

    @cached_property
    def turned(self) -> System:
        """The system with the transpose, whose own is this one."""
        other = System(self.transpose, self.a, len(self.signature.signature.parameters) - 1)
        other.__dict__["turned"] = self
        return other

    def solve(self, right: Rep, *params: Rep) -> Any:
        return custom.call(self.run, self.signature, self.rules, (right, *params), {})

    def backward(self, right: Rep, *params: Rep) -> Steps:
        v = self.solve(right, *params)
        bar = yield v
        moved = self.turned.solve(bar, *params)
        call, _ = api.prepare(self.apply, (v, *params), {})
        wrt = [k for k, x in enumerate(params, 1) if is_differentiable(x.type)]
        found = dict(zip(wrt, api.pull(call, wrt, [(-moved).value])[1], strict=True))
        return moved, *(found.get(k) for k in range(1, len(params) + 1))

    def forward(self, primals: Sequence[Rep], tangents: Sequence[Any]) -> tuple[Rep, Rep]:
        v = self.solve(*primals)
        _, moved = api.jvp(self.apply, (v, *primals[1:]), (v * 0.0, *tangents[1:]))
        return v, self.solve(tangents[0] - moved, *primals[1:])


def _named(f: Any, name: str, names: Sequence[str]) -> Any:
    """A function with so many parameters."""
    f.__name__ = name
    f.__signature__ = inspect.Signature([inspect.Parameter(k, inspect.Parameter.POSITIONAL_ONLY) for k in names])
    return f


def _gmres(apply: Callable[[Rep], Rep], right: Rep, name: str) -> Any:
    """Cycles of at most `SPACE` directions, each from what the one before has left."""
    shape, dtype = right.shape, element(right.type)
    b = shaping.ravel(right)
    small = 1e-11 if dtype == f64 else 1e-5
    n, size = b.shape[0], arrays.norm(b)

    def product(v: Rep) -> Any:
        return shaping.ravel(apply(shaping.reshape(v, shape)))

    def goes_on(state: tuple[Rep, Rep, Rep]) -> Any:
        _, left, count = state
        return el.logical_and(el.greater(arrays.norm(left), small * size), el.less(count, CYCLES))

    def cycle(state: tuple[Rep, Rep, Rep]) -> tuple[Any, ...]:
        x, left, count = state
        x = el.add(x, _correction(product, left, n, dtype))
        return x, el.subtract(b, product(x)), el.add(count, 1)

    start = zeros(n, dtype), b.copy(), Rep(current().const(0))
    x, left, count = while_loop(goes_on, cycle, start)
    check(el.less_equal(arrays.norm(left), small * size), "RuntimeError",
          f"GMRES did not converge for {name}: after {{}} cycles {{}} of the right side is left", count,
          el.divide(arrays.norm(left), size))
    return shaping.reshape(x, shape)


def _correction(product: Callable[[Rep], Rep], left: Rep, n: Any, dtype: Any) -> Any:
    """What makes the residual `left` least, in the space of its images: an Arnoldi process, and least squares."""
    size = arrays.norm(left)
    space, image = zeros((SPACE + 1, n), dtype), zeros((SPACE + 1, SPACE), dtype)
    space[0] = el.divide(left, size)

    def grows(state: tuple[Rep, Rep]) -> Any:
        k, rest = state
        return el.logical_and(el.less(k, SPACE), el.greater(rest, 1e-14 if dtype == f64 else 1e-6))

    def extend(state: tuple[Rep, Rep]) -> tuple[Any, ...]:
        k, _ = state
        w = product(space[k].copy())
        whole = arrays.norm(w)

        def orthogonal(i: Rep, w: Rep) -> Any:
            part = arrays.dot(space[i], w)
            image[i, k] = image[i, k] + part
            return el.subtract(w, el.multiply(part, space[i]))

        for _ in range(2):  # once more, for what rounding has left
            w = fori_loop(0, el.add(k, 1), orthogonal, w)
        rest = arrays.norm(w)
        image[el.add(k, 1), k] = rest
        space[el.add(k, 1)] = el.divide(w, el.where(el.equal(rest, 0.0), 1.0, rest))
        return el.add(k, 1), el.divide(rest, el.where(el.equal(whole, 0.0), 1.0, whole))

    while_loop(grows, extend, (Rep(current().const(0)), Rep(current().const(1.0, dtype))))
    u, s, v = linalg.svd(image, full_matrices=False)
    some = el.greater(s, 1e-14 * s[0])
    weights = el.where(some, el.divide(el.multiply(size, u[0]), el.where(some, s, 1.0)), 0.0)
    return arrays.matmul(arrays.matmul(weights, v), space[:SPACE])
