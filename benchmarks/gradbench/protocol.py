"""What an eval is to the tool: functions from JSON to JSON, of which only the middle is timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Function:
    """One function of an eval: arguments made of the input, the run that is timed, JSON made of its result."""

    arguments: Callable[[Any], tuple[Any, ...]]
    run: Callable[..., Any]
    output: Callable[[Any], Any]


@dataclass(frozen=True)
class Eval:
    """A module of functions, and an input as small as they come: running on that is what compiles."""

    functions: dict[str, Function]
    smallest: Any

    def define(self) -> None:
        """Compile every function. Sizes are symbols of the programs, so that one compilation serves all of them."""
        for function in self.functions.values():
            function.run(*function.arguments(self.smallest))


def evaluate(function: Function, data: Any) -> tuple[Any, list[int]]:
    """The output, and the nanoseconds of each run: at least `min_runs`, and of `min_seconds` together."""
    arguments = function.arguments(data)
    asked = data if isinstance(data, dict) else {}  # `hello` gives a number
    runs, least = max(1, asked.get("min_runs", 1)), int(asked.get("min_seconds", 0) * 1e9)
    spent: list[int] = []
    while len(spent) < runs or least > 0:
        start = time.perf_counter_ns()
        result = function.run(*arguments)
        spent.append(time.perf_counter_ns() - start)
        least -= spent[-1]
    return function.output(result), spent
