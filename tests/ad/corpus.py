"""The corpus: programs as people write them, one a file in `programs/`, and what their derivatives are compared with.

A file has a docstring that says what it models, `program`, a staged function with one float result, and `POINT`, its arguments.
It may also say

    WRT        by which arguments it is differentiated; by default by all that hold floats
    STEP       the widest step of the differences, 1e-3 by default
    ULPS       how far the value may be from plain Python's, 4 by default
    ANALYTIC   the plain program takes complex numbers, so its gradient is also known by the complex step

Everything is compared with the plain function, run by Python. Differences only mean something where the program takes the same
branches on both sides: its path, every bytecode that it executes, is recorded, and must not depend on the step.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import lms
from lms.staging import trees

FOLDER = Path(__file__).parent / "programs"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
LEVELS = 3  # of Richardson's extrapolation
Vector = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Entry:
    """One program of the corpus at its point."""

    name: str
    program: Any
    point: tuple[Any, ...]
    wrt: tuple[int, ...]
    step: float
    ulps: int
    analytic: bool

    @cached_property
    def gradient(self) -> Any:
        """The staged function that gives the value and the gradient."""
        return lms.value_and_grad(self.program, argnums=self.wrt)

    @property
    def here(self) -> Vector:
        """Where the program stands: all numbers that it is differentiated by."""
        return self.numbers([self.point[k] for k in self.wrt])

    def at(self, numbers: Any) -> tuple[Any, ...]:
        """The arguments, fresh, with these numbers in place."""
        moved = self.beside(numbers, lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf)
        kept = trees.map_leaves(lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf, self.point)
        return tuple(moved[self.wrt.index(k)] if k in self.wrt else each for k, each in enumerate(kept))

    def along(self, direction: Any) -> tuple[Any, ...]:
        """A direction as tangents of the arguments: None for what does not move."""
        moved = self.beside(direction, lambda leaf: None)
        return tuple(moved[self.wrt.index(k)] if k in self.wrt else trees.map_leaves(_still, each)
                     for k, each in enumerate(self.point))

    def beside(self, numbers: Any, otherwise: Callable[[Any], Any]) -> tuple[Any, ...]:
        """Containers like the arguments differentiated by, with these numbers for their floats."""
        rest = iter(numbers)

        def put(leaf: Any) -> Any:
            if not is_float(leaf):
                return otherwise(leaf)
            if isinstance(leaf, np.ndarray):
                return np.array([next(rest) for _ in range(leaf.size)]).reshape(leaf.shape)
            return np.asarray(next(rest)).item()

        return tuple(trees.map_leaves(put, self.point[k]) for k in self.wrt)

    def numbers(self, derivative: Any) -> Vector:
        """What stands beside the floats of the arguments, in one row."""
        pairs = zip(trees.flatten(tuple(derivative))[0], trees.flatten([self.point[k] for k in self.wrt])[0], strict=True)
        return np.concatenate([np.ravel(d) for d, leaf in pairs if is_float(leaf)])

    def plain(self, numbers: Any) -> Any:
        """The value by Python."""
        with lms.unstaged():
            return self.program(*self.at(numbers))

    def traced(self, numbers: Any) -> tuple[float, int]:
        """The value by Python, and its path."""
        args = self.at(numbers)
        with lms.unstaged(), path_of(self.program.unstaged.__code__.co_filename) as path:
            value = self.program(*args)
        return value, hash(tuple(path))


def is_float(leaf: Any) -> bool:
    return isinstance(leaf, float) or (isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f")


def _still(leaf: Any) -> Any:
    return np.zeros_like(leaf) if isinstance(leaf, np.ndarray) and is_float(leaf) else 0.0 if is_float(leaf) else None


def load(name: str) -> Entry:
    """The program of that name."""
    spec = importlib.util.spec_from_file_location(f"corpus_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    assert module.__doc__, f"{name} does not say what it models"
    said = vars(module)
    floats = [k for k, each in enumerate(module.POINT) if any(map(is_float, trees.flatten(each)[0]))]
    return Entry(name, module.program, module.POINT, tuple(said.get("WRT", floats)), said.get("STEP", 1e-3),
                 said.get("ULPS", 4), said.get("ANALYTIC", False))


class path_of:
    """Inside, every bytecode that the functions of one file execute is recorded."""

    def __init__(self, filename: str) -> None:
        self.filename = filename
        self.path: list[int] = []

    def __enter__(self) -> list[int]:
        self.before = sys.gettrace()
        sys.settrace(self.call)
        return self.path

    def __exit__(self, *exc: object) -> None:
        sys.settrace(self.before)

    def call(self, frame: FrameType, event: str, arg: Any) -> Any:
        if frame.f_code.co_filename != self.filename:
            return None
        self.path.append(-frame.f_code.co_firstlineno)
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self.step

    def step(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "opcode":
            self.path.append(frame.f_lasti)
        return self.step


# ------------------------------------------------------------------------------------------- differences


def richardson(f: Callable[[float], Any], step: float) -> Any:
    """The derivative of `f` at 0: central differences of halved steps, extrapolated to none (Richardson 1911)."""
    row = [(f(h) - f(-h)) / (2.0 * h) for h in steps(step)]
    for order in range(1, LEVELS):
        row = [(4**order * fine - coarse) / (4**order - 1) for coarse, fine in zip(row, row[1:], strict=False)]
    return row[0]


def steps(step: float) -> Iterator[float]:
    return (step / 2**k for k in range(LEVELS))


def axes(n: int) -> Vector:
    """The directions along the coordinates."""
    return np.eye(n)


def by_differences(entry: Entry) -> Vector:
    """The gradient of the plain program by differences. Raises `AssertionError` where its path depends on the step."""
    here = entry.here
    _, path = entry.traced(here)

    def along(axis: Vector) -> Callable[[float], float]:
        def at(h: float) -> float:
            value, taken = entry.traced(here + h * axis)
            assert taken == path, f"{entry.name} takes another path at a distance of {h} along {axis.argmax()}"
            return value

        return at

    return np.array([richardson(along(axis), entry.step) for axis in axes(len(here))])


def by_complex_step(entry: Entry) -> Vector:
    """The gradient of the plain program by steps into the complex plane (Squire and Trapp 1998)."""
    h = 1e-30
    return np.array([entry.plain(entry.here + 1j * h * axis).imag / h for axis in axes(len(entry.here))])
