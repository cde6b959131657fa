"""The corpus of tests/ad/programs: seconds to compile each program and its gradient, and the gradient's time over the value's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.ad import corpus

from .measure import Case, measure

OUTLIER = 5.0  # a gradient that takes longer, in evaluations of the program, is marked


def _compiling(f: Any, args: Any) -> float:
    """Seconds from the function to its native code; of little if the code was kept from an earlier run."""
    start = time.perf_counter()
    _ = f.specialize(*args).compiled
    return time.perf_counter() - start


def run() -> Iterator[str]:
    yield f"{'':22}{'compile':>9}{'gradient':>10}{'value':>11}{'gradient':>11}{'ratio':>7}"
    ratios = []
    for name in corpus.NAMES:
        entry = corpus.load(name)
        args = entry.at(entry.here)
        seconds = [_compiling(f, args) for f in (entry.program, entry.gradient)]
        calls = {"lms": lambda e=entry, a=args: e.gradient(*a), "value": lambda e=entry, a=args: e.program(*a)}
        result = measure(Case(name, calls, rounds=7))
        value, gradient = (float(np.median(result.seconds[each])) for each in ("value", "lms"))
        ratio = result.ratio("value")[1]
        ratios.append(ratio)
        mark = "  above 5" if ratio > OUTLIER else ""
        yield f"{name:22}{seconds[0]:7.2f} s{seconds[1]:8.2f} s{1e6 * value:8.1f} us{1e6 * gradient:8.1f} us{ratio:7.2f}{mark}"
    yield f"{len(ratios)} programs; ratios: median {np.median(ratios):.2f}, largest {max(ratios):.2f}"
