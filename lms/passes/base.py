"""What a pass is: a frozen dataclass with a name that maps programs to programs. A pipeline is a flat list of them."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Protocol, runtime_checkable

from lms.core.data import dataclass
from lms.core.ir import Program
from lms.core.verify import verify

DEPTH = 50_000  # frames, some ten for a block inside a block


@runtime_checkable
class Pass(Protocol):
    """A step of a pipeline. Passes own the program they are given and may change it in place."""

    name: ClassVar[str]

    def run(self, program: Program) -> Program: ...


@dataclass(frozen=True, slots=True)
class Step:
    """What `run` tells its observer after each pass."""

    name: str
    seconds: float
    program: Program


def run(passes: Sequence[Pass], program: Program, observe: Callable[[Step], None] | None = None) -> Program:
    """Run passes in order. Under `LMS_VERIFY=1` (as in the tests) the law of programs is checked before and between them."""
    with room():
        return _run(passes, program, observe)


@contextmanager
def room() -> Iterator[None]:
    """Room for large programs. Blocks may be nested deeply, and passes walk them by recursion, which needs none of C's stack;
    and looking for garbage among a program's nodes, all of them live, would take longer than the passes themselves."""
    with _lock:
        if not _inside:
            _before[:] = gc.isenabled(), sys.getrecursionlimit()
            gc.disable()
            sys.setrecursionlimit(max(_before[1], DEPTH))
        _inside.append(None)
    try:
        yield
    finally:
        with _lock:
            _inside.pop()
            if not _inside:
                if sys.getrecursionlimit() == DEPTH:  # nobody else has changed it
                    sys.setrecursionlimit(_before[1])
                if _before[0]:
                    gc.enable()


_lock = threading.Lock()
_inside: list[None] = []           # one entry for each thread that runs passes, and each run inside a run
_before: list[int] = [True, 1000]  # how the collector and the limit were found


def _run(passes: Sequence[Pass], program: Program, observe: Callable[[Step], None] | None) -> Program:
    checked = os.environ.get("LMS_VERIFY") == "1"
    if checked:
        verify(program)
    for step in passes:
        start = time.perf_counter()
        program = step.run(program)
        if checked:
            verify(program, after=step.name)
        if observe is not None:
            observe(Step(step.name, time.perf_counter() - start, program))
    return program
