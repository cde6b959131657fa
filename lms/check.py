"""Comparing derivatives with differences, or with a complex step: for tests of one's own functions and rules."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lms.ad import api as ad
from lms.ad.differentiate import derivatives as asked
from lms.backends.llvm.native import suspended
from lms.core.errors import StagingTypeError, here
from lms.staging import functions, trees
from lms.staging.joins import describe

from . import derivatives
from .api import inputs
from .derivatives import as_staged

EXACT = 1e-8  # relative: what a complex step is good for, after a long program
SHOWN = 64  # elements of an argument that are looked at one by one


def check_grads(f: Callable[..., Any], args: Sequence[Any], order: int = 2, modes: Sequence[str] = ("forward", "reverse"),
                tolerance: float = 1e-5, eps: float = 1e-5, seed: int = 0) -> None:
    """Compare the derivatives of `f` at `args` with differences, in a random direction; raise `AssertionError` where they differ.

    The derivative in the direction must be the central difference (forward), and the gradient times the direction must be the
    same number (reverse). Of order 2 and more, the derivative in the direction is checked in its turn. `f` may be staged or
    not; arguments may be containers, and only their floats and complex numbers are moved. `tolerance` is relative to the
    largest number compared; where `f` is analytic, a complex step takes the place of differences, and 1e-8 that of `tolerance`.
    In single precision steps are 1e-2 and the tolerance is 1e-3, or what you ask for if that is more.
    Raises `TypeError` where there is nothing to compare: no float among the arguments, or in the result. The error names the
    arguments whose gradient is off, and the rule of yours that is, with the line of its call.

        lms.check_grads(lambda x: x**3, (2.0,))

    Source: Squire and Trapp, Using complex variables to estimate derivatives of real functions (SIAM Review 40, 1998).
    """
    _refuse_nothing(f, args, order, modes)
    if _is_single(args):
        tolerance, eps = max(tolerance, 1e-3), max(eps, 1e-2)
    _Check(f, args, tuple(modes), tolerance, eps, np.random.default_rng(seed)).run()
    if order > 1:
        direction = _direction(np.random.default_rng(seed), args)

        def slope(*xs: Any) -> Any:
            return derivatives.jvp(f, xs, direction)[1]

        slope.__name__ = f"the derivative of {_name(f)}"
        check_grads(_with_signature_of(f, slope, args), args, order - 1, modes, 10 * tolerance, eps, seed + 1)


def _refuse_nothing(f: Callable[..., Any], args: Any, order: int, modes: Any) -> None:
    """Raise `StagingTypeError` where nothing would be checked."""
    ad.callable_or_error(f)
    if not isinstance(args, tuple | list):
        raise StagingTypeError(f"check_grads takes the arguments in a tuple, found {describe(args)}", here(),
                               fix="for one argument: `lms.check_grads(f, (x,))`")
    if not isinstance(order, int) or order < 1:
        raise StagingTypeError(f"check_grads: order={order!r} is no order of a derivative", here(), fix="it is 1, 2, ...")
    if isinstance(modes, str) or not modes or not set(modes) <= {"forward", "reverse"}:
        raise StagingTypeError(f"check_grads: modes={modes!r} are no modes", here(), fix='("forward", "reverse"), or one of them')
    if not _floats(tuple(args)):
        raise StagingTypeError(f"the arguments of {_name(f)} hold no float, so there is no derivative to check", here(),
                               fix="pass a float: `2.0` for `2`")


def _is_single(args: Sequence[Any]) -> bool:
    """Whether some argument is of single precision: then differences are too."""
    return any(x.dtype in (np.float32, np.complex64) for x in _floats(tuple(args)))


class _Check:
    """The derivatives of a function at one point."""

    def __init__(self, f: Callable[..., Any], args: Sequence[Any], modes: Sequence[str], tolerance: float, eps: float,
                 random: np.random.Generator) -> None:
        self.f, self.args, self.modes, self.eps = f, tuple(args), modes, eps
        self.direction = _direction(random, args)
        self.found = trees.copied(f(*trees.copied(tuple(args))))
        if not _floats(self.found):
            raise StagingTypeError(f"{_name(f)} gives no float, so there is no derivative to check", here())
        self.rounding = 1e-5 if _is_single([*self.args, self.found]) else 1e-12
        alone = isinstance(self.found, float)  # then what is shown is its gradient
        self.cotangent = 1.0 if alone else trees.map_leaves(lambda x: _normal(random, x), self.found)
        exact = self._by_complex_step()
        self.tolerance = tolerance if exact is None else min(tolerance, EXACT)
        self.expected = _difference(f, args, self.direction, eps) if exact is None else exact

    def run(self) -> None:
        name = _name(self.f)
        if "forward" in self.modes:
            value, moved = derivatives.jvp(self.f, trees.copied(self.args), trees.copied(self.direction))
            self._compare(f"{name}: the value in forward mode", _floats(value), _floats(self.found), self.rounding)
            self._compare(f"{name}: the derivative in forward mode", _beside(moved, self.found), self.expected, self.tolerance)
        if "reverse" in self.modes:
            value, pull = derivatives.vjp(self.f, *trees.copied(self.args))
            self._compare(f"{name}: the value in reverse mode", _floats(value), _floats(self.found), self.rounding)
            gradients = pull(self.cotangent)
            outward = _inner(_floats(self.cotangent), self.expected)
            inward = _inner(_beside(gradients, self.args), _floats(self.direction))
            self._compare(f"{name}: the gradient times the direction, in reverse mode", [np.array(inward)], [np.array(outward)],
                          self.tolerance, gradients)

    def _compare(self, what: str, found: Sequence[Any], expected: Sequence[Any], tolerance: float, gradients: Any = None) -> None:
        largest = max((float(np.max(np.abs(e[np.isfinite(e)]), initial=0.0)) for e in map(np.asarray, expected)), default=0.0)
        for g, e in zip(found, expected, strict=True):
            if not np.all(np.isclose(g, e, rtol=0.0, atol=tolerance * max(1.0, largest), equal_nan=True)):
                said = [f"{what} is {g}, and by differences {e}", *self._arguments(gradients), *self._rules()]
                raise AssertionError("\n".join(said))

    # ---------------------------------------------------------------------------------- where it is off

    def _arguments(self, gradients: Any) -> list[str]:
        """The arguments whose part of the gradient is not that of differences."""
        if gradients is None:
            gradients = derivatives.vjp(self.f, *trees.copied(self.args))[1](self.cotangent)
        names = list(inspect.signature(getattr(self.f, "unstaged", self.f)).bind(*self.args).arguments)
        out = []
        for k, arg in enumerate(self.args):
            shape = trees.flatten(arg)[1]
            paths = trees.paths(shape, names[k] if k < len(names) else f"argument {k}")
            gradient = trees.flatten(gradients[k])[0]
            for place, (path, x) in enumerate(zip(paths, trees.flatten(arg)[0], strict=True)):
                if _kind(x):
                    out += self._argument(path, k, place, gradient[place])
        return out

    def _argument(self, path: str, k: int, place: int, gradient: Any) -> list[str]:
        """One leaf: the element where its gradient is furthest from differences."""
        leaf = trees.flatten(self.args[k])[0][place]
        worst, said = 0.0, list[str]()
        for index in list(np.ndindex(np.shape(leaf)))[:SHOWN]:
            slope = self._slope(k, place, index, 1.0)
            if _kind(leaf) == "c":
                slope += 1j * self._slope(k, place, index, 1j)
            mine = np.asarray(gradient)[index]
            if (error := abs(mine - slope)) > max(worst, 1e-4 * max(1.0, abs(slope))):
                element = path + (f"[{', '.join(map(str, index))}]" if index else "")
                worst, said = float(error), [f"by {element} it is {mine:.6g}, and by differences {slope:.6g}"]
        return said

    def _slope(self, k: int, place: int, index: tuple[int, ...], by: complex) -> Any:
        """The difference along one element."""
        directions = [trees.map_leaves(lambda _: None, x) for x in self.args]
        leaves, shape = trees.flatten(self.args[k])
        unit = np.zeros(np.shape(leaves[place]), type(by))
        unit[index] = by
        directions[k] = trees.unflatten(shape, [unit[()] if j == place else None for j in range(len(leaves))])
        return _inner(_floats(self.cotangent), _difference(self.f, self.args, directions, self.eps))

    def _rules(self) -> list[str]:
        """The rule of the user's that is off, if there is one."""
        from .suspects import rule_that_is_off

        def leaves(by: float) -> Any:
            return self._program(_moved(self.args, self.direction, by))

        (program, at), (_, before), (_, after) = leaves(0.0), leaves(-self.eps), leaves(self.eps)
        if any(True for _ in asked(program)):
            return []  # derivatives of derivatives: their rules are ordinary functions
        said = rule_that_is_off(program, at, before, after, self.eps, 1e-4, 0)
        return [said] if said else []

    def _program(self, args: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The function as staged, rules of its own included, and the leaves of a call."""
        body, signature = ad.plain(as_staged(self.f))
        bound = signature.bind(trees.copied(tuple(args)), {})
        with suspended():
            traced = functions.trace(body, signature, bound)
        return traced.program, [*bound.values, *(h.now() for h in traced.hidden)]

    def _by_complex_step(self) -> list[Any] | None:
        """The derivative in the direction, if the function is analytic in its floats and they are all double."""
        from .analytic import along, is_analytic

        f = as_staged(self.f)
        bound = f.signature.bind(trees.copied(self.args), {})
        s = f.found(bound)
        program = s.simplified()
        if not is_analytic(program) or any(_kind(x) == "c" or (_kind(x) == "f" and np.asarray(x).dtype != np.float64)
                                           for x in bound.values):
            return None
        leaves = inputs(s, bound)
        moving = iter([d for d in trees.flatten(self.direction)[0] if d is not None])
        directions = [next(moving, None) if _kind(x) == "f" else None for x in bound.values]  # defaults stay
        values, slopes = along(program, leaves, [*directions, *[None] * (len(leaves) - len(directions))])
        known = _floats(self.found)
        same = len(values) == len(known) and all(np.allclose(v, x, 1e-9, 1e-9) for v, x in zip(values, known, strict=True))
        return slopes if same else None  # outside the domain on the real line


def _with_signature_of(f: Callable[..., Any], slope: Callable[..., Any], args: Sequence[Any]) -> Callable[..., Any]:
    """The derivative as a function of the parameters that these arguments fill."""
    signature = inspect.signature(getattr(f, "unstaged", f))
    filled = [signature.parameters[name] for name in signature.bind(*args).arguments]
    slope.__signature__ = signature.replace(parameters=filled)  # type: ignore[attr-defined]  # how functions state theirs
    return slope


def _name(f: Callable[..., Any]) -> str:
    return getattr(f, "__name__", "f")


def _kind(x: Any) -> str:
    """`f` for floats, `c` for complex numbers, arrays of them included; nothing for the rest."""
    if not isinstance(x, float | complex | np.inexact | np.ndarray):
        return ""
    kind = np.asarray(x).dtype.kind
    return kind if kind in "fc" else ""


def _normal(random: np.random.Generator, x: Any) -> Any:
    if not _kind(x):
        return None
    drawn = np.asarray(random.normal(size=np.shape(x)))
    if _kind(x) == "c":
        drawn = drawn + 1j * random.normal(size=np.shape(x))
    return drawn.astype(x.dtype) if isinstance(x, np.ndarray) else drawn.item()


def _direction(random: np.random.Generator, args: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(trees.map_leaves(lambda x: _normal(random, x), x) for x in args)


def _inner(xs: Sequence[Any], ys: Sequence[Any]) -> float:
    """The inner product of what a cotangent and a tangent hold."""
    return sum(float(np.sum(np.conj(x) * y).real) for x, y in zip(xs, ys, strict=True))


def _floats(x: Any) -> list[Any]:
    return [np.asarray(leaf) for leaf in trees.flatten(x)[0] if _kind(leaf)]


def _beside(derivative: Any, primal: Any) -> list[Any]:
    """The parts of a derivative that stand beside floats."""
    pairs = zip(trees.flatten(derivative)[0], trees.flatten(primal)[0], strict=True)
    return [np.asarray(d) for d, x in pairs if _kind(x)]


def _moved(args: Sequence[Any], direction: Sequence[Any], by: float) -> list[Any]:
    return [trees.map_leaves(lambda x, d: trees.copied(x) if d is None else x + by * d, x, d)
            for x, d in zip(args, direction, strict=True)]


def _difference(f: Callable[..., Any], args: Sequence[Any], direction: Sequence[Any], eps: float) -> list[Any]:
    def at(by: float) -> list[Any]:
        return _floats(trees.copied(f(*_moved(args, direction, by))))

    near, far = (zip(at(h), at(-h), strict=True) for h in (eps, 2 * eps))
    with np.errstate(all="ignore"):  # of infinite values
        return [(8 * (a - b) - (c - d)) / (12 * eps) for (a, b), (c, d) in zip(near, far, strict=True)]
