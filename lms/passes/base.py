"""What a pass is: a frozen dataclass with a name that maps programs to programs. A pipeline is a flat list of them."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from lms.core.ir import Program
from lms.core.verify import verify


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
    with _no_collection():
        return _run(passes, program, observe)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Programs are large and live: looking for garbage among their nodes takes longer than the passes themselves."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


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
