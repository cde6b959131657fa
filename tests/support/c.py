"""Programs compiled by a C compiler, many at once: it is slow to start.

    batch = Batch(tmp_path)
    k = batch.add(program)
    batch[k](*args)
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lms.backends import c
from lms.backends.c.build import STRICT
from lms.core.ir import Program

SANITIZERS = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
needs_compiler = pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler")


def sanitized() -> bool:
    """Whether programs are to be compiled with sanitizers: this process then runs with their library."""
    return "LMS_C_SANITIZED" in os.environ


def flags() -> tuple[str, ...]:
    return (*STRICT, *(SANITIZERS if sanitized() else ("-O2", "-ffp-contract=off")))


def sanitized_environment() -> dict[str, str]:
    """For a process that runs what is compiled with sanitizers."""
    library = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True).stdout.strip()
    return {**os.environ, "LD_PRELOAD": library, "ASAN_OPTIONS": "detect_leaks=0", "LMS_C_SANITIZED": "1"}


class Batch:
    """Programs that are compiled together when the first of them is called. No call may leave memory behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs: list[Program] = []
        self._called: list[c.Called] = []
        self._failure: Exception | None = None

    def add(self, program: Program) -> int:
        self.programs.append(program)
        return len(self.programs) - 1

    def __getitem__(self, k: int) -> c.Called:
        if self._failure is not None:
            raise self._failure
        if not self._called:
            self._failure = RuntimeError("the compiler has refused these programs before")
            with open(self.folder / "lock", "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # another process may want the same
                self._called = c.compile_all(self.programs, flags=flags(), folder=self.folder)
            self._failure = None
            for called in self._called:
                called.context = _watched
        return self._called[k]

    def of(self, program: Program, **options: Any) -> c.Called:
        """The compiled form of a program that was added: what `c.compile` may be replaced by."""
        return self[next(k for k, each in enumerate(self.programs) if each is program)]


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """A folder for all processes of this run of the tests."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


class _watched(c.Context):
    """A context that must be empty when it goes."""

    def __del__(self) -> None:
        LEFT.append((self.held, self.blocks)) if self.held or self.blocks else None


LEFT: list[Any] = []  # what calls have left behind
