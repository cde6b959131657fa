"""Comparing derivatives with differences: for tests of one's own functions and rules."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lms.staging import trees

from . import derivatives


def check_grads(f: Callable[..., Any], args: Sequence[Any], order: int = 2, modes: Sequence[str] = ("forward", "reverse"),
                tolerance: float = 1e-5, eps: float = 1e-5, seed: int = 0) -> None:
    """Compare the derivatives of `f` at `args` with differences, in a random direction; raise `AssertionError` where they differ.

    The derivative in the direction must be the central difference (forward), and the gradient times the direction must be the
    same number (reverse). Of order 2 and more, the derivative in the direction is checked in its turn. `f` may be staged or
    not; arguments may be containers, and only their floats are moved. `tolerance` is relative to the largest number compared.

        lms.check_grads(lambda x: x**3, (2.0,))
    """
    random = np.random.default_rng(seed)
    direction = tuple(trees.map_leaves(lambda x: _normal(random, x), x) for x in args)
    found = trees.map_leaves(_copied, f(*_copies(args)))
    name = getattr(f, "__name__", "f")
    expected = _difference(f, args, direction, eps)
    if "forward" in modes:
        value, moved = derivatives.jvp(f, _copies(args), _copies(direction))
        _compare(f"{name}: the value in forward mode", _floats(value), _floats(found), 1e-12)
        _compare(f"{name}: the derivative in forward mode", _beside(moved, found), expected, tolerance)
    if "reverse" in modes:
        value, pull = derivatives.vjp(f, *_copies(args))
        _compare(f"{name}: the value in reverse mode", _floats(value), _floats(found), 1e-12)
        cotangent = trees.map_leaves(lambda x: _normal(random, x), found)
        gradients = pull(cotangent)
        outward = sum(float(np.sum(u * v)) for u, v in zip(_floats(cotangent), expected, strict=True))
        inward = sum(float(np.sum(g * d)) for g, d in zip(_beside(gradients, args), _floats(direction), strict=True))
        _compare(f"{name}: the gradient times the direction, in reverse mode", [np.array(inward)], [np.array(outward)],
                 tolerance)
    if order > 1:
        def slope(*xs: Any) -> Any:
            return derivatives.jvp(f, xs, direction)[1]

        slope.__name__ = f"the derivative of {name}"
        check_grads(_with_signature_of(f, slope, args), args, order - 1, modes, 10 * tolerance, eps, seed + 1)


def _with_signature_of(f: Callable[..., Any], slope: Callable[..., Any], args: Sequence[Any]) -> Callable[..., Any]:
    """The derivative as a function of the parameters that these arguments fill."""
    signature = inspect.signature(getattr(f, "unstaged", f))
    filled = [signature.parameters[name] for name in signature.bind(*args).arguments]
    slope.__signature__ = signature.replace(parameters=filled)  # type: ignore[attr-defined]  # how functions state theirs
    return slope


def _is_float(x: Any) -> bool:
    return isinstance(x, float | np.floating) or (isinstance(x, np.ndarray) and x.dtype.kind == "f")


def _normal(random: np.random.Generator, x: Any) -> Any:
    if not _is_float(x):
        return None
    drawn = random.normal(size=np.shape(x))
    return drawn.astype(x.dtype) if isinstance(x, np.ndarray) else float(drawn)


def _copied(x: Any) -> Any:
    return x.copy() if isinstance(x, np.ndarray) else x


def _copies(xs: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(trees.map_leaves(_copied, x) for x in xs)


def _floats(x: Any) -> list[Any]:
    return [np.asarray(leaf) for leaf in trees.flatten(x)[0] if _is_float(leaf)]


def _beside(derivative: Any, primal: Any) -> list[Any]:
    """The parts of a derivative that stand beside floats."""
    pairs = zip(trees.flatten(derivative)[0], trees.flatten(primal)[0], strict=True)
    return [np.asarray(d) for d, x in pairs if _is_float(x)]


def _difference(f: Callable[..., Any], args: Sequence[Any], direction: Sequence[Any], eps: float) -> list[Any]:
    def at(by: float) -> list[Any]:
        moved = [trees.map_leaves(lambda x, d: _copied(x) if d is None else x + by * d, x, d)
                 for x, d in zip(args, direction, strict=True)]
        return _floats(trees.map_leaves(_copied, f(*moved)))

    near, far = (zip(at(h), at(-h), strict=True) for h in (eps, 2 * eps))
    return [(8 * (a - b) - (c - d)) / (12 * eps) for (a, b), (c, d) in zip(near, far, strict=True)]


def _compare(what: str, found: Sequence[Any], expected: Sequence[Any], tolerance: float) -> None:
    largest = max((float(np.max(np.abs(e), initial=0.0)) for e in expected), default=0.0)
    for g, e in zip(found, expected, strict=True):
        if not np.all(np.isclose(g, e, rtol=0.0, atol=tolerance * max(1.0, largest), equal_nan=True)):
            raise AssertionError(f"{what} is {g}, and by differences {e}")
