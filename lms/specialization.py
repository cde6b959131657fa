"""One function for one set of static arguments and argument types, and every form it takes on the way to native code."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lms.ad.differentiate import Differentiate, derivatives
from lms.core.data import dataclass
from lms.core.errors import ShapeError
from lms.core.ir import Program
from lms.passes.base import Pass, Step, room, run
from lms.passes.clone import clone
from lms.staging.functions import Traced

from . import pipeline

if TYPE_CHECKING:
    from lms.backends.llvm import CompiledFunction

Run = Callable[[Sequence[Any]], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Options:
    """How a function is compiled."""

    backend: str = "llvm"
    fastmath: bool = False
    boundscheck: bool = True


class Specialization:
    """One function for one set of static arguments and argument types: every stage of its making can be looked at.

        s: lms.Specialization = lms.stage(lambda x: x * x).specialize(3.0)
        print(s.ir, s.llvm)
    """

    def __init__(self, traced: Traced, options: Options) -> None:
        self.traced, self.options = traced, options
        self.lock = threading.RLock()
        self._run: Run | None = None

    @property
    def staged(self) -> Program:
        """The program as it was staged."""
        return self.traced.program

    @cached_property
    def program(self) -> Program:
        """The program after the passes, in the form the compiled back ends take."""
        return self.optimized()

    def optimized(self, observe: Callable[[Step], None] | None = None) -> Program:
        """The program after the passes, made anew; `observe` is shown what each of them makes of it."""
        return pipeline.optimize(self.staged, self._differentiate, fastmath=self.options.fastmath,
                                 boundscheck=self.options.boundscheck, observe=observe)

    @property
    def differentiates(self) -> bool:
        """Whether a derivative is asked for."""
        return any(True for _ in derivatives(self.staged))

    @property
    def _differentiate(self) -> list[Pass]:
        return [Differentiate(pipeline.simplify)] if self.differentiates else []

    @cached_property
    def compiled(self) -> CompiledFunction:
        """The native code, a callable on leaves."""
        return self._native()

    def counting(self) -> CompiledFunction:
        """Native code that counts the memory of its calls."""
        return self._native(count=True)

    def _native(self, count: bool = False) -> CompiledFunction:
        from lms.backends import llvm

        with room():
            return llvm.compile(self.program, fastmath=self.options.fastmath, boundscheck=self.options.boundscheck, count=count)

    def running(self, run: Run) -> Specialization:
        """The same, run by something else."""
        other = Specialization(self.traced, self.options)
        other._run = run
        return other

    # ------------------------------------------------------------------------------------ to look at

    @property
    def ir(self) -> str:
        """The program as it was staged, as text."""
        return str(self.staged)

    @property
    def python(self) -> str:
        """The program after the passes, as Python and NumPy."""
        from lms.backends import python

        return python.emit(self.simplified())

    @property
    def c(self) -> str:
        """The program after the passes, as a file of C11 that stands alone."""
        return self.emit_c()

    @property
    def h(self) -> str:
        """The header of the C."""
        from lms.backends import c

        return c.header(self.program)

    def emit_c(self, *, main: bool = False, lines: bool = False) -> str:
        """The C; `main` adds a main program, `lines` gives debuggers `#line` directives.

        Raises `LmsError` for what has no counterpart in C, such as calls of Python.
        """
        from lms.backends import c

        with room():
            return c.emit(self.program, main=main, lines=lines, boundscheck=self.options.boundscheck)

    @property
    def llvm(self) -> str:
        """The optimised LLVM module."""
        return self.compiled.llvm

    @property
    def asm(self) -> str:
        """The machine code, as assembly."""
        return self.compiled.asm

    def graph(self, form: str = "html") -> str:
        """A picture of the program: blocks as boxes, data and effects as arrows.

        As `"html"`, a page that draws itself; as `"dot"`, for graphviz; or as `"svg"`, where the program `dot` is installed.
        """
        from lms.backends import dot, html

        if form == "svg":
            with tempfile.TemporaryDirectory() as folder:
                return dot.write(self.simplified(), Path(folder) / "graph.svg").read_text(encoding="utf-8")
        return {"html": html.page, "dot": dot.emit}[form](self.simplified())

    def plan(self) -> list[str]:
        """The names of the passes that make the program what it is."""
        return [step.name for step in pipeline.pipeline(self._differentiate, fastmath=self.options.fastmath,
                                                        boundscheck=self.options.boundscheck)]

    def simplified(self) -> Program:
        """The program simplified, derivatives expanded, whole-array operations still in one piece."""
        return run(pipeline.shown(self._differentiate), clone(self.staged))

    # ----------------------------------------------------------------------------------------- to run

    def run(self, leaves: Sequence[Any]) -> Sequence[Any]:
        """The program's results for the leaves of one call. Raises what its checks raise."""
        if self._run is None:
            with self.lock:
                if self._run is None:
                    self._run = _BACKENDS[self.options.backend](self)
        return self._run(leaves)


def _llvm(s: Specialization) -> Run:
    return s.compiled.call_leaves


def _expanded(s: Specialization) -> Program:
    program = clone(s.staged)
    return Differentiate().run(program) if s.differentiates else program


def _interpret(s: Specialization) -> Run:
    from lms.backends import interpret

    program = _expanded(s)
    return lambda leaves: _fresh(program, interpret.run(program, _apart(program, leaves)), leaves)


def _python(s: Specialization) -> Run:
    from lms.backends import python

    program = _expanded(s)
    call = python.compile(program)
    return lambda leaves: _fresh(program, call(*_apart(program, leaves)), leaves)


def _c(s: Specialization) -> Run:
    from lms.backends import c

    call = c.compile(s.program, boundscheck=s.options.boundscheck)
    return lambda leaves: _fresh(s.program, call(*_apart(s.program, leaves)), leaves)


def _apart(program: Program, leaves: Sequence[Any]) -> Sequence[Any]:
    """The arguments, if none that is written to overlaps another. Raises `ShapeError`, a `ValueError`, naming both."""
    params = program.main.body.params
    for k in program.main.mut:
        for j, other in enumerate(leaves):
            both = isinstance(leaves[k], np.ndarray) and isinstance(other, np.ndarray)
            if j != k and both and np.shares_memory(leaves[k], other):
                raise ShapeError(f"{params[k].name or k} is written to, and overlaps {params[j].name or j}", program.main.span)
    return leaves


def _fresh(program: Program, results: Sequence[Any], leaves: Sequence[Any]) -> Sequence[Any]:
    """Results that are no other name of an argument, but for a returned argument that is written to."""
    written = [leaves[k] for k in program.main.mut]

    def own(x: Any) -> Any:
        if not isinstance(x, np.ndarray) or any(x is w for w in written):
            return x
        return x.copy() if x.base is not None or any(x is leaf for leaf in leaves) else x

    return [own(x) for x in results]


_BACKENDS: dict[str, Callable[[Specialization], Run]] = {
    "llvm": _llvm, "c": _c, "interpret": _interpret, "python": _python}
