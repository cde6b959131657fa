"""The driver: a decorated function becomes an object that stages, compiles and runs itself, and remembers."""

from __future__ import annotations

import functools
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar, overload

import numpy as np

from lms.core.builder import staging
from lms.core.errors import LmsError, SpecializationWarning, is_ours
from lms.core.ir import Program
from lms.core.primitives.array import Record
from lms.core.types import SumType, bool_, f64, i64
from lms.staging import functions, records
from lms.staging.arguments import Bound, Now, Signature
from lms.staging.functions import Traced

P = ParamSpec("P")
R = TypeVar("R")

MANY = 33  # specialisations of one function after which we say so

_unstaged: ContextVar[bool] = ContextVar("lms_unstaged", default=False)


@contextmanager
def unstaged() -> Iterator[None]:
    """Inside, staged functions run as plain Python, under the debugger."""
    token = _unstaged.set(True)
    try:
        yield
    finally:
        _unstaged.reset(token)


def runs_plainly() -> bool:
    """Whether staged functions run as plain Python here: `lms.unstaged()`, or `LMS_STAGE=0`."""
    return _unstaged.get() or os.environ.get("LMS_STAGE") == "0"


# --------------------------------------------------------------------------------------- specialisations


@dataclass(frozen=True, slots=True)
class Options:
    """How a function is compiled."""

    backend: str = "interpret"
    fastmath: bool = False
    boundscheck: bool = True


@dataclass(slots=True)
class Specialization:
    """One function for one set of static arguments and argument types: every stage of its making can be looked at."""

    traced: Traced
    options: Options
    _optimized: Program | None = None
    _run: Callable[[Sequence[Any]], Sequence[Any]] | None = None
    lock: Any = field(default_factory=threading.RLock, repr=False)

    @property
    def staged(self) -> Program:
        """The program as it was staged."""
        return self.traced.program

    @property
    def program(self) -> Program:
        """The program after the passes, in the form the back ends take."""
        with self.lock:
            if self._optimized is None:
                from . import pipeline

                self._optimized = pipeline.optimize(self.staged, fastmath=self.options.fastmath, boundscheck=self.options.boundscheck)
            return self._optimized

    @property
    def ir(self) -> str:
        """The staged program as text."""
        return str(self.staged)

    def run(self, leaves: Sequence[Any]) -> Sequence[Any]:
        """The program's results for the leaves of one call."""
        if self._run is None:
            with self.lock:
                if self._run is None:
                    self._run = _BACKENDS[self.options.backend](self)
        return self._run(leaves)


def _interpret(s: Specialization) -> Callable[[Sequence[Any]], Sequence[Any]]:
    from lms.backends import interpret

    return functools.partial(interpret.run, s.staged)


_BACKENDS: dict[str, Callable[[Specialization], Callable[[Sequence[Any]], Sequence[Any]]]] = {"interpret": _interpret}


# ------------------------------------------------------------------------------------------------ staged


class Staged(Generic[P, R]):
    """A function that is staged: called, it specialises itself for its arguments, compiles, remembers, and runs.

    Inside another staged function a call of it becomes a call in the program. `unstaged` is the plain function.
    """

    def __init__(self, function: Callable[P, R], options: Options, local: Mapping[str, Any] | None = None) -> None:
        functools.update_wrapper(self, function)
        self.unstaged = function
        self.options = options
        self.signature = Signature(function, local)
        self.specializations: dict[Any, list[Specialization]] = {}
        self._values: dict[str, set[Any]] = {}
        self._lock = threading.RLock()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if staging():
            return self.inside(args, kwargs)  # type: ignore[no-any-return]  # what the function returns, staged
        if runs_plainly():
            return self.unstaged(*args, **kwargs)
        try:
            return self._outside(args, kwargs)  # type: ignore[no-any-return]  # the function's own result
        except LmsError as e:
            raise e.with_traceback(_theirs(e.__traceback__)) from None

    def inside(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """A call from staged code."""
        return functions.call(self.body, self.signature, args, kwargs)

    @property
    def body(self) -> Callable[..., Any]:
        """What is run to stage it."""
        return self.unstaged

    def _outside(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        bound = self.signature.bind(args, kwargs)
        s = self._find(bound)
        results = s.run([*map(_input, bound.values, bound.leaves, bound.paths), *(h.now() for h in s.traced.hidden)])
        return s.traced.rebuild([_output(v) for v in results])

    def _find(self, bound: Bound) -> Specialization:
        key = bound.key
        for s in self.specializations.get(key, ()):
            if s.traced.current():
                return s
        with self._lock:
            for s in self.specializations.get(key, ()):
                if s.traced.current():
                    return s
            self._count(bound)
            s = Specialization(functions.trace(self.body, self.signature, bound), self.options)
            self.specializations.setdefault(key, []).append(s)
            return s

    def _count(self, bound: Bound) -> None:
        """Warn once for a parameter that keeps changing."""
        for name, spec in bound.spec.items():
            if isinstance(spec, Now):
                values = self._values.setdefault(name, set())
                values.add(spec)
                if len(values) == MANY:
                    last = ", ".join(repr(v.value) for v in list(values)[-3:])
                    warnings.warn(f"{self.signature.name} has been compiled for {MANY} values of {name!r} (such as {last}); "
                                  f"annotate `{name}: Rep[i64]` to make it a value of the compiled code", SpecializationWarning, stacklevel=5)

    def specialize(self, *args: Any, **kwargs: Any) -> Specialization:
        """The specialisation for some arguments; those that are left out stand for any value of their annotated type.

            power.specialize(n=5).ir
        """
        from lms.staging.examples import complete

        with self._lock:
            return self._find(self.signature.bind(*complete(self.signature, args, kwargs)))

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __repr__(self) -> str:
        return f"<staged {self.signature.name}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        module = sys.modules.get(self.__module__)
        found: Any = module
        for part in self.__qualname__.split("."):
            found = getattr(found, part, None)
        if found is self:
            return _by_name, (self.__module__, self.__qualname__)
        return stage_with, (self.unstaged, self.options)

    def __copy__(self) -> Staged[P, R]:
        return self

    def __deepcopy__(self, memo: Any) -> Staged[P, R]:
        return self


def _by_name(module: str, qualname: str) -> Any:
    __import__(module)
    return functools.reduce(getattr, qualname.split("."), sys.modules[module])


def stage_with(function: Callable[P, R], options: Options, local: Mapping[str, Any] | None = None) -> Staged[P, R]:
    """`function`, staged with these options."""
    return Staged(function, options, local)


@overload
def stage(function: Callable[P, R], /) -> Staged[P, R]: ...
@overload
def stage(*, backend: str = ..., fastmath: bool = ..., boundscheck: bool = ...) -> Callable[[Callable[P, R]], Staged[P, R]]: ...


def stage(function: Callable[..., Any] | None = None, /, *, backend: str = "interpret", fastmath: bool = False,
          boundscheck: bool = True) -> Any:
    """Make a function a staged one: its staged arguments exist later, everything else happens now.

    `backend` is `"llvm"` (native code) or `"interpret"` (NumPy, for reference); `fastmath` allows
    floating-point arithmetic to be reassociated and contracted; `boundscheck=False` removes the checks of indices.

        @lms.stage
        def power(b: Rep[f64], n: int) -> Rep[f64]:
            return 1.0 if n == 0 else b * power(b, n - 1)
    """
    options = Options(backend, fastmath, boundscheck)
    local = sys._getframe(1).f_locals
    if function is None:
        return lambda f: stage_with(f, options, local)
    return stage_with(function, options, local)


# ------------------------------------------------------------------------------------- leaves in and out


def _input(value: Any, leaf: Any, path: str) -> Any:
    """One leaf of an argument as the program takes it."""
    if isinstance(leaf.type, SumType):
        return records.to_record(value, leaf.type, path)
    return value


def _output(value: Any) -> Any:
    """One leaf of a result as Python has it: `f64 i64 bool` as Python numbers, records as objects."""
    if isinstance(value, Record):
        return records.from_record(value)
    if isinstance(value, np.generic) and value.dtype in (f64.dtype, i64.dtype, bool_.dtype):
        return value.item()
    return value


def _theirs(traceback: TracebackType | None) -> TracebackType | None:
    """A traceback without our own frames."""
    frames = []
    while traceback is not None:
        if not is_ours(traceback.tb_frame.f_code):
            frames.append(traceback)
        traceback = traceback.tb_next
    out: TracebackType | None = None
    for t in reversed(frames):
        out = TracebackType(out, t.tb_frame, t.tb_lasti, t.tb_lineno)
    return out
