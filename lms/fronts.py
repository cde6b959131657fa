"""How calls go straight into native code: which arguments hold the leaves of a specialisation, what its result is made of."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from lms.backends.llvm.front import LEAVES, NOTHING, PARAMETERS, Front, Known, Leaf, Parts, Pattern, fits
from lms.core.types import ArrayType, Scalar, SumType, c128, f64, i64
from lms.staging import trees
from lms.staging.arguments import Bound, Later, Now, Signature
from lms.staging.dependencies import is_constant

from .specialization import Specialization

_NUMBERS: dict[Scalar, type] = {f64: float, i64: int, c128: complex}
_BY_POSITION = inspect.Parameter.POSITIONAL_ONLY
_PLAIN = (inspect.Parameter.POSITIONAL_OR_KEYWORD, _BY_POSITION)


def native(s: Specialization) -> bool:
    """Whether a specialisation's native code can be entered without Python: nothing is a record, and the world can be matched."""
    main = s.staged.main.body
    return s.options.backend == "llvm" and world(s) is not None and not any(
        isinstance(v.type, SumType) or (isinstance(v.type, ArrayType) and isinstance(v.type.dtype, SumType))
        for v in (*main.params, *main.results))


World = tuple[tuple[Pattern, Any], ...]


def world(s: Specialization) -> World | None:
    """What a call finds around the function: containers that must be what they were, and the arrays that are inputs.

    That a variable holds the same object is its guard's business. None where that, and a pattern, do not say enough.
    """
    inputs = {id(h.now()) for h in s.traced.hidden}
    out: list[tuple[Pattern, Any]] = []
    for d in s.traced.dependencies:
        if d.fast or id(found := d.now()) in inputs:
            continue
        if not isinstance(found, list | tuple) or (pattern := _frozen(found, inputs)) is None:
            return None
        out.append((pattern, found))
    return *out, *((Leaf(), h.now()) for h in s.traced.hidden)


def _frozen(x: Any, inputs: Collection[int]) -> Pattern | None:
    """What is found of now as a pattern: numbers and text by value or as the same object, lists and tuples part by part."""
    if type(x) in (list, tuple):
        inner = _all([_frozen(part, inputs) for part in x])
        return None if inner is None else Parts(type(x), tuple(range(len(x))), inner)
    if type(x) is int and not -(1 << 63) <= x < 1 << 63:
        return None
    return Known(x) if is_constant(x) or isinstance(x, _CONSTANTS) or id(x) in inputs else None


_CONSTANTS = (bool, int, float, complex, str, bytes, np.generic, type(None))


def is_flat(s: Specialization, bound: Bound) -> bool:
    """Whether a call is its leaves: every argument is one, and so is the result, or each of several."""
    result = s.traced.result
    flat = isinstance(result, Later) or (isinstance(result, trees.Tree) and result.cls is tuple and len(result.parts) > 1
                                         and all(isinstance(part, Later) for part in result.parts))
    return flat and not world(s) and all(isinstance(spec, Later) for spec in bound.spec.values()) and all(
        _leaf(leaf, value).cls in (None, float, int, complex) for leaf, value in zip(bound.leaves, bound.values, strict=True))


def front(s: Specialization, bound: Bound, signature: Signature) -> Front | None:
    """The way of calls like this one; None where there is none but through Python."""
    parameters = signature.signature.parameters
    if list(bound.spec) != list(parameters) or any(p.kind not in _PLAIN for p in parameters.values()):
        return None
    leaves = iter(zip(bound.leaves, bound.values, strict=True))
    patterns = [_pattern(spec, leaves) for spec in bound.spec.values()]
    result = _pattern(s.traced.result, None)
    whole = [p for p in (*patterns, result) if p is not None]
    around = world(s)
    if around is None or len(whole) <= len(patterns) or not all(map(fits, whole)):
        return None
    if len(patterns) + len(around) > PARAMETERS or len(bound.leaves) + len(s.traced.hidden) > LEAVES:
        return None
    names = tuple(f"\0{name}" if p.kind is _BY_POSITION else name for name, p in parameters.items())
    defaults = tuple(NOTHING if p.default is p.empty else p.default for p in parameters.values())
    results = len(s.staged.main.body.results)
    return Front(names, tuple(whole[:-1]), defaults, whole[-1], results, s.compiled.entry, s.compiled.keepalive, around)


def _pattern(spec: Any, leaves: Iterator[tuple[Later, Any]] | None) -> Pattern | None:
    """A specification as a pattern: of an argument, with its leaves and their values, or of a result."""
    if isinstance(spec, Later):
        return Leaf() if leaves is None else _leaf(*next(leaves))
    if isinstance(spec, Now):
        return Known(spec.value)
    if not isinstance(spec, trees.Tree) or spec.extra is not None or spec.cls in trees._registered:
        return None
    inner = _all([_pattern(part, leaves) for part in spec.parts])
    return None if inner is None else Parts(spec.cls, spec.keys, inner)


def _all(patterns: Sequence[Pattern | None]) -> tuple[Pattern, ...] | None:
    found = tuple(p for p in patterns if p is not None)
    return found if len(found) == len(patterns) else None


def _leaf(leaf: Later, value: Any) -> Leaf:
    """A leaf, and the class its values must have: a number's class decides how it is staged, unless an annotation does."""
    if not isinstance(leaf.type, Scalar) or leaf.type not in _NUMBERS:
        return Leaf()
    if leaf.weak:
        return Leaf(_NUMBERS[leaf.type])
    return Leaf(type(value)) if isinstance(value, np.generic) else Leaf(widen=leaf.type == f64)
