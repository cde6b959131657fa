"""`root` and `fixed_point` outside staged code: staged functions that solve, kept with the function they solve for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lms.ad import implicit
from lms.core.builder import staging

from .api import Staged
from .derivatives import Derived, as_staged, kept


def root(f: Callable[..., Any], x0: Any, *args: Any, tolerance: float | None = None, max_iterations: int = 50,
         step: Callable[..., Any] | None = None, linear: str = "auto") -> Any:
    """The `x` near `x0` with `f(x, *args) == 0`: Newton's iteration, differentiated by the implicit function theorem.

    `x0` is a float or an array of floats, and `f` gives what has its shape. The iteration ends when a step is at most `tolerance`
    times the size of `x` (1e-10; in single precision 1e-5). `step(x, *args)` is an iteration of your own, in Newton's place.
    The derivatives, by `args` and by all that `f` captures, of both modes and every order, cost a linear solve each: nothing of
    the iteration is kept. `linear` says how: "dense" makes the matrix, "gmres" only multiplies by it, "auto" goes by the size.
    Raises `RuntimeError` where there is no convergence, `LinAlgError` for a singular matrix.

        lms.root(lambda x, a: x * x - a, 1.0, 2.0)      # 1.4142135623730951

    Source: Griewank and Walther, Evaluating Derivatives (2008), chapter 15.
    """
    settings = {"tolerance": tolerance, "max_iterations": max_iterations, "step": step, "linear": linear}
    return _solve(implicit.root, f, x0, args, settings)


def fixed_point(f: Callable[..., Any], x0: Any, *args: Any, tolerance: float | None = None, max_iterations: int = 1000,
                linear: str = "auto") -> Any:
    """The `x` with `f(x, *args) == x` that `x = f(x, *args)` leads to from `x0`; differentiated as `root` is.

        lms.fixed_point(lambda x, a: (x + a / x) / 2, 1.0, 2.0)     # 1.414213562373095
    """
    settings = {"tolerance": tolerance, "max_iterations": max_iterations, "linear": linear}
    return _solve(implicit.fixed_point, f, x0, args, settings)


def _solve(solve: Callable[..., Any], f: Callable[..., Any], x0: Any, args: Sequence[Any], settings: dict[str, Any]) -> Any:
    if staging():
        return solve(f, x0, *args, **settings)
    return _solver(as_staged(f), solve, (x0, *args), settings)(x0, *args)


def _solver(s: Staged[..., Any], solve: Callable[..., Any], values: tuple[Any, ...],
            settings: dict[str, Any]) -> Staged[..., Any]:
    def make() -> Staged[..., Any]:
        def body(*args: Any) -> Any:
            return solve(s, *args, **settings)

        signature = s.signature.positional(values, [], f"{solve.__name__}({s.signature.name})")
        return Derived(_solver, s, {"solve": solve, "values": values, "settings": settings}, body, signature)

    return kept(s, (solve, len(values), *settings.items()), make)
