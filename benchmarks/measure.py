"""Measuring: interleaved rounds, medians, ranges, ratios. Nothing here knows what is measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

ROUNDS = 21


@dataclass
class Case:
    """Contenders for one job. `ours` is what ratios are taken of; `goals` are the largest welcome ratios to others."""

    name: str
    contenders: dict[str, Callable[[], object]]
    goals: dict[str, float] = field(default_factory=dict)
    ours: str = "lms"
    rounds: int = ROUNDS


@dataclass
class Result:
    """Seconds a call: one row a contender, one column a round."""

    case: Case
    seconds: dict[str, np.ndarray]

    def ratio(self, other: str) -> tuple[float, float, float]:
        """Ours over the other's, round by round: 10 %, median, 90 %."""
        r = self.seconds[self.case.ours] / self.seconds[other]
        low, middle, high = np.percentile(r, [10, 50, 90])
        return float(low), float(middle), float(high)


def _repeats(call: Callable[[], object], least: float = 0.01) -> int:
    """How many calls take at least `least` seconds."""
    n = 1
    while True:
        start = time.perf_counter()
        for _ in range(n):
            call()
        if (spent := time.perf_counter() - start) >= least or n >= 1 << 20:
            return n
        n = max(2 * n, min(16 * n, int(1.2 * n * least / max(spent, 1e-9))))


def measure(case: Case) -> Result:
    """Warm every contender up, then time them in turn, round after round, so that a noisy moment hits them all.

    Each turn begins with a call that is not timed: nobody pays for what the one before left in the caches.
    """
    counts = {}
    for name, call in case.contenders.items():
        call()
        counts[name] = _repeats(call)
    seconds = {name: np.empty(case.rounds) for name in case.contenders}
    for k in range(case.rounds):
        for name, call in case.contenders.items():
            call()
            start = time.perf_counter()
            for _ in range(counts[name]):
                call()
            seconds[name][k] = (time.perf_counter() - start) / counts[name]
    return Result(case, seconds)


def _unit(seconds: float) -> str:
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= scale:
            return f"{seconds / scale:8.3f} {unit}"
    return f"{seconds / 1e-9:8.1f} ns"


def verdict(least: float, goal: float, unit: str = "") -> str:
    """What was wanted, and whether it is so. Of a range, the lower end counts: a goal is met that it touches."""
    return f"goal <= {goal:g}{unit}: {'met' if least <= goal else 'MISSED'}"


def report(result: Result) -> list[str]:
    """A table: median and range of each contender, our ratio to it, and whether the goal is met (its range touches it)."""
    lines = [result.case.name]
    for name, seconds in result.seconds.items():
        low, middle, high = np.percentile(seconds, [10, 50, 90])
        line = f"  {name:28} {_unit(float(middle))}  [{_unit(float(low)).strip()} .. {_unit(float(high)).strip()}]"
        if name != result.case.ours:
            a, b, c = result.ratio(name)
            line += f"   ours/this {b:.3f} [{a:.3f} .. {c:.3f}]"
            if name in result.case.goals:
                line += f"   {verdict(a, result.case.goals[name])}"
        lines.append(line)
    return lines
