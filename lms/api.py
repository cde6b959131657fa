"""The front door: `stage` makes a function an object that stages, compiles and runs itself, and remembers."""

from __future__ import annotations

import functools
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import zip_longest
from types import MethodType, TracebackType
from typing import Any, Generic, ParamSpec, TypeVar, overload

import numpy as np

from lms.backends.llvm.compiled import CompiledFunction
from lms.backends.llvm.front import Front, enter
from lms.backends.llvm.native import NativeCallable, suspended
from lms.core.builder import staging
from lms.core.errors import LmsError, SpecializationWarning, StagingError, here, is_ours
from lms.core.primitives.record import Record
from lms.core.types import SumType, bool_, f64, i64
from lms.staging import functions, records
from lms.staging.arguments import Bound, Later, Now, Signature
from lms.staging.functions import Traced

from . import fronts
from .known import KnownCalls
from .specialization import Options, Specialization

P = ParamSpec("P")
R = TypeVar("R")

MANY = 33  # specialisations on one parameter after which we say so
OFTEN = 9  # changes of captured values
RENEWALS = 4  # of the native ways, for captured arrays that are replaced: each keeps what it knew

_NEVER = os.environ.get("LMS_STAGE") == "0"
_unstaged: ContextVar[bool] = ContextVar("lms_unstaged", default=False)


@contextmanager
def unstaged() -> Iterator[None]:
    """Inside, staged functions run as plain Python, under the debugger.

        with lms.unstaged():
            lms.stage(lambda x: x * x)(3.0)     # 9.0
    """
    token = _unstaged.set(True)
    try:
        with suspended():
            yield
    finally:
        _unstaged.reset(token)


def runs_plainly() -> bool:
    """Whether staged functions run as plain Python here: inside `lms.unstaged()`, or in a process started with `LMS_STAGE=0`."""
    return _unstaged.get() or _NEVER


class Staged(NativeCallable, Generic[P, R]):
    """A function that is staged: called, it specialises itself for its arguments, compiles, remembers, and runs.

    Inside another staged function a call of it becomes a call in the program. `unstaged` is the plain function.

        square: lms.Staged = lms.stage(lambda x: x * x)
        square(3.0), square.unstaged(3)         # (9.0, 9)
        print(square.specialize(3.0).ir)        # the program
    """

    __lms_staged__ = True
    rule: Any = None  # the derivative that `lms.derivative` gave it

    def __init__(self, function: Callable[P, R], options: Options, signature: Signature) -> None:
        functools.update_wrapper(self, function)
        self.unstaged = function
        self.options = options
        self.signature = signature
        self.specializations: dict[Any, list[Specialization]] = {}
        self._counted: dict[str, dict[Any, None]] = {}
        self._changes = 0
        self._lock = threading.RLock()
        self._guarded: list[tuple[Any, Any]] = []  # what the native ways depend on, and the objects they know
        self._renewals = 0
        self._ways: dict[Specialization, tuple[CompiledFunction | Front | None, ...]] = {}
        self._known_calls = KnownCalls()

    @property
    def body(self) -> Callable[..., Any]:
        """What is run to stage it."""
        return self.unstaged

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if staging():
            return self.inside(args, kwargs)  # type: ignore[no-any-return]  # what the function returns, staged
        try:
            if runs_plainly():
                return self.plainly(args, kwargs)  # type: ignore[no-any-return]  # the function's own result
            if not kwargs and not self._stale() and (known := self._known_calls.get(args)) is not None:
                return known(args)  # type: ignore[no-any-return]  # the function's own result
            return self._outside(args, kwargs)  # type: ignore[no-any-return]  # the function's own result
        except LmsError as e:
            raise e.with_traceback(_theirs(e.__traceback__)) from None
        except Exception as e:
            e.__traceback__ = _theirs(e.__traceback__)
            raise

    def inside(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """A call from staged code: a call in the program. One with a derivative of its own says so."""
        if self.rule is not None:
            from lms.ad import custom

            return custom.call(self.body, self.signature, self.rule, args, kwargs)
        return functions.call(self.body, self.signature, args, kwargs)

    def plainly(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """A call without staging."""
        return self.unstaged(*args, **kwargs)

    def _outside(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        bound = self.signature.bind(args, kwargs)
        s = self.found(bound)
        self._enter(s, bound)
        if not kwargs and self.options.backend == "llvm":
            self._known_calls.add(args, bound, s)
        return self.run(s, bound)

    def run(self, s: Specialization, bound: Bound) -> Any:
        """The result of one call, by the specialisation for it."""
        try:
            results = s.run(inputs(s, bound))
        except LmsError as e:
            if e.span is s.staged.main.span:  # these arguments do not fit: the place is the call
                e.span = here()
            raise
        return s.traced.rebuild([_output(v) for v in results])

    # ------------------------------------------------------------------------------- specialisations

    def found(self, bound: Bound) -> Specialization:
        """The specialisation for some arguments, made now unless there is one that is still valid."""
        key = bound.key
        if (found := self._known(key)) is not None:
            return found
        with self._lock:
            if (found := self._known(key)) is not None:
                return found
            self._count(bound)
            self._count_changes(key)
            with suspended():  # a call of a staged function becomes a call in the program, or runs plainly
                traced = functions.trace(self.body, self.signature, bound)
                if _debugging():
                    _check_again(self, traced, bound)
            s = Specialization(traced, self.options)
            self.specializations[key] = [*(old for old in self.specializations.get(key, ()) if old.traced.current()), s]
            return s

    def _known(self, key: Any) -> Specialization | None:
        return next((s for s in self.specializations.get(key, ()) if s.traced.current()), None)

    def _enter(self, s: Specialization, bound: Bound) -> None:
        """Let calls like this one go straight into native code, as long as what the program depends on is what it was.

        Where the arguments are the leaves, first by its entry; a call that came here all the same (keywords, an int for a
        float) also by a front.
        """
        with self._lock:
            if self._stale():
                self._ways, self._guarded = {}, []
                self._renewals += 1
            ways = self._ways.get(s, ())
            if len(ways) == 2 or not fronts.native(s):
                return
            flat = not ways and fronts.is_flat(s, bound)
            ways = (s.compiled,) if flat else (*ways[:1], *[None] * (not ways), fronts.front(s, bound, self.signature))
            self._ways = {each: its for each, its in self._ways.items() if each.traced.current()}
            if len(self._ways) >= MANY:
                del self._ways[next(iter(self._ways))]
            self._ways[s] = ways
            known = [way for its in self._ways.values() for way in its if way is not None]
            found = {(id(d.place), d.name): d for each in self._ways for d in each.traced.dependencies}
            self._guarded = [(d, d.now()) for d in found.values()]
            enter(self, [way.entry for way in known if not isinstance(way, Front)],
                  [way for way in known if isinstance(way, Front)], [way.keepalive for way in known],
                  [(d.place, d.name, held) for d, held in self._guarded])

    def _stale(self) -> bool:
        """Whether a variable holds another object than the native ways know, such as a new array of data."""
        return self._renewals < RENEWALS and any(d.now() is not held for d, held in self._guarded)

    def _count(self, bound: Bound) -> None:
        """Warn once for a parameter that keeps changing."""
        for name, spec in bound.spec.items():
            if not isinstance(spec, Now):
                continue
            values = self._counted.setdefault(name, {})
            values[spec] = None
            if len(values) == MANY:
                last = ", ".join(repr(v.value) for v in list(values)[-3:])
                warnings.warn(f"{self.signature.name} has been compiled for {MANY} values of {name!r} (the last are {last}); "
                              f"annotate `{name}: Rep[i64]` to make it a value of the compiled code", SpecializationWarning,
                              stacklevel=_depth_of_user())

    def _count_changes(self, key: Any) -> None:
        """Warn once where what the program read of the world around it keeps changing."""
        gone = [s for s in self.specializations.get(key, ()) if not s.traced.current()]
        self._changes += bool(gone)
        if gone and self._changes == OFTEN:
            names = ", ".join(repr(d.name) for d in gone[-1].traced.dependencies if not d.holds())
            warnings.warn(f"{self.signature.name} has been compiled again {OFTEN} times because {names} changed; "
                          "pass it as an argument", SpecializationWarning, stacklevel=_depth_of_user())

    def specialize(self, *args: Any, **kwargs: Any) -> Specialization:
        """The specialisation for some arguments; those that are left out stand for any value of their annotated type.

            power.specialize(n=5).ir
        """
        with self._lock:
            return self.found(self.signature.bind_types(args, kwargs))

    # ------------------------------------------------------------------------------ as Python's functions are

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<staged {self.signature.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        place = self.__module__, getattr(self, "__qualname__", "")
        if _by_name_or_none(*place) is self:
            return _by_name, place
        return staged, (self.unstaged, self.options)

    def __copy__(self) -> Staged[P, R]:
        return self

    def __deepcopy__(self, memo: Any) -> Staged[P, R]:
        return self



def _by_name(module: str, qualname: str) -> Any:
    __import__(module)
    return functools.reduce(getattr, qualname.split("."), sys.modules[module])


def _by_name_or_none(module: str, qualname: str) -> Any:
    try:
        return _by_name(module, qualname)
    except (ImportError, AttributeError, KeyError):
        return None


def staged(function: Callable[P, R], options: Options | None = None, local: Mapping[str, Any] | None = None) -> Staged[P, R]:
    """`function`, staged with these options."""
    return Staged(function, options or Options(), Signature(function, local))


@overload
def stage(function: Callable[P, R], /) -> Staged[P, R]: ...
@overload
def stage(*, backend: str = ..., fastmath: bool = ..., boundscheck: bool = ...) -> Callable[[Callable[P, R]], Staged[P, R]]: ...


def stage(function: Callable[..., Any] | None = None, /, *, backend: str = "llvm", fastmath: bool = False,
          boundscheck: bool = True) -> Any:
    """Make a function a staged one: its staged arguments exist later, everything else happens now.

    `backend` is `"llvm"` (native code), `"c"` (what a C compiler makes of the C we print), or `"interpret"` or `"python"` for
    reference; `fastmath` allows floating-point arithmetic to be reassociated and contracted, and the sign of a zero to change;
    `boundscheck=False` removes the checks of indices.

        @lms.stage
        def power(b: Rep[f64], n: int) -> Rep[f64]:
            return 1.0 if n == 0 else b * power(b, n - 1)

        power(2.0, 5)       # 32.0

    Raises `StagingError` for what cannot be staged, when the function is called.
    Source: Rompf and Odersky, Lightweight Modular Staging (GPCE 2010).
    """
    if backend not in ("llvm", "c", "interpret", "python"):
        raise StagingError(f"there is no back end {backend!r}", here(), fix='"llvm", "c", "interpret" or "python"')
    options = Options(backend, fastmath, boundscheck)
    local = dict(sys._getframe(1).f_locals)
    if function is None:
        return lambda f: staged(f, options, local)
    return staged(function, options, local)


def check_pure(f: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Stage a call twice and compare the programs. Raises `StagingError` if something that ran now changed between the two.

    Under `LMS_DEBUG=1` every specialisation is checked so.

        lms.check_pure(lambda x: x * x, 3.0)
    """
    s = f if isinstance(f, Staged) else staged(f)
    with suspended():
        first = functions.trace(s.body, s.signature, s.signature.bind(args, kwargs))
        _check_again(s, first, s.signature.bind(args, kwargs))


def _check_again(s: Staged[..., Any], first: Traced, bound: Bound) -> None:
    one, other = (_numbered(str(t.program)).splitlines() for t in (first, functions.trace(s.body, s.signature, bound)))
    for a, b in zip_longest(one, other, fillvalue="nothing"):
        if a != b:
            raise StagingError(f"staging {s.signature.name} twice gave two programs: `{a.strip()}`, then `{b.strip()}`",
                               s.signature.span, fix="what runs now must not depend on time, random numbers or mutable state")


def _numbered(text: str) -> str:
    """A program's text with fresh symbols numbered from 0."""
    seen: dict[str, str] = {}
    return re.sub(r"\$\d+", lambda m: seen.setdefault(m[0], f"${len(seen)}"), text)


# ------------------------------------------------------------------------------------- leaves in and out


def inputs(s: Specialization, bound: Bound) -> list[Any]:
    """The arguments of a program for one call: the leaves, then the arrays that it captured."""
    leaves = [_input(*leaf) for leaf in zip(bound.values, bound.leaves, bound.paths, strict=True)]
    return [*leaves, *(h.now() for h in s.traced.hidden)]


def _input(value: Any, leaf: Later, path: str) -> Any:
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


def _debugging() -> bool:
    return os.environ.get("LMS_DEBUG") == "1"


def _theirs(traceback: TracebackType | None) -> TracebackType | None:
    """A traceback without our own frames; whole under `LMS_DEBUG=1`."""
    if _debugging():
        return traceback
    frames = []
    while traceback is not None:
        if not is_ours(traceback.tb_frame.f_code):
            frames.append(traceback)
        traceback = traceback.tb_next
    out: TracebackType | None = None
    for t in reversed(frames):
        out = TracebackType(out, t.tb_frame, t.tb_lasti, t.tb_lineno)
    return out


def _depth_of_user() -> int:
    """The `stacklevel` of the user's frame, for a warning raised by our caller."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and is_ours(frame.f_code):
        level, frame = level + 1, frame.f_back
    return level
