"""Which rule of the user's is off: those that are called on the way, each compared with differences of what it computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lms.ad.differentiate import Differentiate
from lms.backends.interpret import NumPy, execute
from lms.core.ir import Node, Program
from lms.core.types import is_differentiable
from lms.passes.clone import clone
from lms.staging import trees

MOST = 10_000  # calls that are looked at


class Called(NamedTuple):
    """A call of a function with rules: what it was given, and what it gave."""

    node: Node
    operands: tuple[Any, ...]
    results: tuple[Any, ...]


class _Recorder(NumPy):
    def __init__(self) -> None:
        self.calls: list[Called] = []
        self.entered: list[tuple[Any, ...]] = []

    def called(self, node: Node, operands: tuple[Any, ...], results: tuple[Any, ...]) -> tuple[Any, ...]:
        if "halves" in node.attrs and len(self.calls) < MOST:
            self.calls.append(Called(node, trees.copied(operands), trees.copied(results)))
        return results


def rule_that_is_off(program: Program, at: Sequence[Any], before: Sequence[Any], after: Sequence[Any], step: float,
                     tolerance: float, seed: int) -> str:
    """A sentence on the first call whose rule disagrees with differences; nothing where there is none.

    `before` and `after` are the leaves moved by `step` either way.
    """
    runs = [_calls(program, leaves) for leaves in (before, at, after)]
    if len({len(run) for run in runs}) > 1:
        return ""  # another path: nothing to compare with
    random = np.random.default_rng(seed)
    for low, here, high in zip(*runs, strict=True):
        if low.node is here.node is high.node:
            dots = [_slope(a, b, step) for a, b in zip(low.operands, high.operands, strict=True)]
            moved = [_slope(a, b, step) for a, b in zip(low.results, high.results, strict=True)]
            if said := _compared(program, here, dots, moved, tolerance, random):
                return said
    return ""


def _calls(program: Program, leaves: Sequence[Any]) -> list[Called]:
    recorder = _Recorder()
    execute(program, trees.copied(leaves), recorder)
    return recorder.calls


def _slope(low: Any, high: Any, step: float) -> Any:
    kind = np.asarray(low).dtype.kind if isinstance(low, float | np.floating | np.ndarray) else ""
    return (high - low) / (2 * step) if kind == "f" else None


def _compared(program: Program, call: Called, dots: Sequence[Any], moved: Sequence[Any], tolerance: float,
              random: np.random.Generator) -> str:
    """Both rules of one call: a cotangent pulled back meets the tangents in the same number, a tangent is the difference."""
    floats = [k for k, v in enumerate(call.node.operands) if is_differentiable(v.type)]
    if any(dots[k] is None for k in floats) or any(is_differentiable(v.type) and d is None
                                                   for v, d in zip(call.node.results, moved, strict=True)):
        return ""  # records
    first, second, *own = call.node.attrs["halves"]
    results = [d for d in moved if d is not None]
    seeds = [np.asarray(random.normal(size=np.shape(d)))[()] for d in results]
    frame = _run(program, first, call.operands)[-1]
    cotangents = _run(program, second, [frame, *seeds])
    inward = sum(float(np.sum(c * dots[k])) for c, k in zip(cotangents, floats, strict=False))
    outward = sum(float(np.sum(u * d)) for u, d in zip(seeds, results, strict=True))
    if _apart(inward, outward, tolerance):
        return _said(call.node, "reverse", inward, outward)
    if own:
        count = len(program.functions[own[0]].body.params) - len(call.operands)
        found = _run(program, own[0], [*call.operands, *(dots[k] for k in floats[:count])])[len(call.results):]
        along = sum(float(np.sum(u * d)) for u, d in zip(seeds, found, strict=True))
        if _apart(along, outward, tolerance):
            return _said(call.node, "forward", along, outward)
    return ""


def _run(program: Program, name: str, operands: Sequence[Any]) -> tuple[Any, ...]:
    alone = clone(program)
    alone.entry = name
    return execute(Differentiate().run(alone), trees.copied(operands), NumPy())


def _apart(x: float, y: float, tolerance: float) -> bool:
    return not abs(x - y) <= tolerance * max(1.0, abs(y))


def _said(node: Node, mode: str, found: float, expected: float) -> str:
    place = f", called at {node.span.file}:{node.span.line}," if node.span else ""
    return f"the rule of {node.attrs['callee']} for {mode} mode{place} gives {found:.6g} where differences give {expected:.6g}"
