"""A generated program, and what it means in the worlds that need no lms: plain Python, and the tape."""

from __future__ import annotations
import __future__

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.fuzz import tape as taped


@dataclass(frozen=True)
class Program:
    """The text of a function `f` and its helpers, f's parameters with their annotations, and a seed for arguments."""

    text: str
    params: tuple[tuple[str, str], ...]
    results: int
    smooth: bool
    raising: bool
    seed: int

    def __repr__(self) -> str:
        return f"\n{self.text}\n# seed {self.seed}\n"

    def arguments(self, shift: float = 0.0) -> list[Any]:
        """Fresh arguments, the floats moved by `shift`."""
        rng = np.random.default_rng(self.seed)
        n, m, k = int(rng.integers(0 if self.raising else 2, 6)), int(rng.integers(1, 4)), int(rng.integers(0, 5))
        made: dict[str, Callable[[], Any]] = {
            "s": lambda: float(rng.uniform(-2, 2)) + shift,
            "x": lambda: rng.uniform(-2, 2, n) + shift,
            "k": lambda: k,
            "out": lambda: rng.uniform(-2, 2, n) + shift,
            "y": lambda: rng.uniform(-2, 2, (n, m)) + shift,
        }
        return [made[name]() for name, _ in self.params]

    def directions(self, number: int) -> list[Any]:
        """A direction for every active argument, another for every number."""
        rng, arguments = np.random.default_rng(self.seed + number), self.arguments()
        made = [rng.uniform(-1, 1, np.shape(arguments[i])) for i in self.active]
        return [d if d.ndim else float(d) for d in made]

    @property
    def active(self) -> tuple[int, ...]:
        """The positions of the parameters that have a derivative."""
        return tuple(i for i, (name, _) in enumerate(self.params) if name != "k")

    @property
    def mut(self) -> tuple[int, ...]:
        return tuple(i for i, (_, annotation) in enumerate(self.params) if annotation.startswith("Mut"))

    def function(self, **meanings: Any) -> Callable[..., Any]:
        """`f`, where the names math, np and lms mean what they are given."""
        code = compile(self.text, "<generated>", "exec", flags=__future__.annotations.compiler_flag)
        space: dict[str, Any] = {"math": math, "np": np, "lms": SimpleNamespace(stage=lambda f: f), **meanings}
        exec(code, space)
        f: Callable[..., Any] = space["f"]
        return f


@dataclass(frozen=True)
class Outcome:
    """What a call left: results or the class of an exception, and the arguments afterwards."""

    results: tuple[Any, ...]
    arguments: list[Any]
    error: type[BaseException] | None = None


RAISED = (IndexError, ZeroDivisionError, AssertionError, ValueError)  # what programs may raise


def leaves(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


def outcome(f: Callable[..., Any], arguments: list[Any]) -> Outcome:
    """Call `f`; of exceptions only those a program may raise are an outcome."""
    try:
        return Outcome(leaves(f(*arguments)), arguments)
    except RAISED as error:
        return Outcome((), arguments, next(kind for kind in RAISED if isinstance(error, kind)))


def plain(program: Program) -> Outcome:
    """What Python computes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where values are not finite, the program is drawn again
        return outcome(program.function(), program.arguments())


@dataclass(frozen=True)
class Derived:
    """A program on the tape: results, the path, a rounding bound for each result, cotangents of the active arguments."""

    results: list[list[float]]
    path: tuple[Any, ...]
    bounded: bool
    tie: bool  # two compared numbers were equal, where a derivative is a matter of convention
    rounding: list[list[float]]
    cotangents: list[np.ndarray]
    seeds: list[np.ndarray]
    directions: list[Any]  # of the active arguments
    bent: list[np.ndarray]  # how the cotangents move in the direction


def derive(program: Program, shift: float = 0.0, directions: Sequence[Any] = ()) -> Derived:
    """Run a program on the tape and sweep it back, from seeds and in a direction that the program's own seed decides."""
    tape = taped.Tape()
    given = program.arguments(shift)
    directions = directions or program.directions(2)
    for i, direction in zip(program.active, directions, strict=True):
        variable = np.frompyfunc(lambda x, dot: taped.Var(tape, x, scale=0.0, dot=dot), 2, 1)
        given[i] = variable(np.asarray(given[i], dtype=object), np.asarray(direction, dtype=object))
    entry = [given[i].copy() if isinstance(given[i], np.ndarray) else given[i] for i in program.active]
    f = program.function(math=taped.MATH, np=taped.NUMPY, abs=abs, min=min, max=max)
    results = [list(np.asarray(r, dtype=object).flat) for r in leaves(f(*given))]
    rng = np.random.default_rng(program.seed + 1)
    seeds = [rng.uniform(0.5, 1.5, len(r)) for r in results]
    rounding = [[_rounding(tape, number) for number in r] for r in results]
    tape.sweep([(number, seed) for r, s in zip(results, seeds, strict=True) for number, seed in zip(r, s, strict=True)])
    cotangents = [np.asarray(np.frompyfunc(lambda v: v.adjoint, 1, 1)(a), dtype=float) for a in entry]
    bent = [np.asarray(np.frompyfunc(lambda v: v.bent, 1, 1)(a), dtype=float) for a in entry]
    bounded = tape.largest < 1e6 and all(np.abs(c).max(initial=0.0) < 1e6 for c in cotangents)
    return Derived([[taped.val(number) for number in r] for r in results], tuple(tape.path), bounded, tape.tie,
                   rounding, cotangents, seeds, list(directions), bent)


def _rounding(tape: taped.Tape, number: Any) -> float:
    tape.sweep([(number, 1.0)])
    return tape.rounding()


def same_path(program: Program, first: Derived, shift: float = 1e-10) -> bool:
    """Whether the program goes the same way when its inputs move a little either way."""
    return all(derive(program, step).path == first.path for step in (shift, -shift))
