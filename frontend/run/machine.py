"""The machine that evaluates the present stage: explicit continuations, no Python recursion.

A continuation is a chain of frames, each a tuple `(resume, next, ...)`; `resume(frame, value)` gives the next state. A state is
`(f, a, b)`: the machine calls `f(a, b)` until there is none. Code is `run(env, k)`; environments are tuples. Nothing is changed
in place, so a captured continuation, which is a piece of the chain, can be resumed any number of times (Felleisen and Friedman,
1986; Danvy and Filinski, 1990).
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from lms.core.errors import Span

from ..diagnostics import Diagnostic

State = tuple[Any, Any, Any]
Frame = tuple[Any, ...]
Run = Callable[[Any, Any], State]

STEPS = 1_000_000  # what may run while compiling one definition
BOUNDARIES: dict[Any, Callable[[Frame], tuple[str, Span]]] = {}  # frames that end a block of later: what it is, and where


class Budget:
    """How many steps are left, and where the machine is, for the error when none is."""

    def __init__(self, steps: int) -> None:
        self.left, self.total = steps, steps
        self.span: Span | None = None


_budget: ContextVar[Budget | None] = ContextVar("lms_budget", default=None)


def run(f: Any, a: Any, b: Any) -> Any:
    """Run from a state to the end; the value that arrives there. Raises `Diagnostic` when it takes too long."""
    budget = _budget.get()
    if budget is None:
        token = _budget.set(Budget(STEPS))
        try:
            return run(f, a, b)
        finally:
            _budget.reset(token)
    while f is not None:
        for _ in range(1024):
            f, a, b = f(a, b)
            if f is None:
                break
        budget.left -= 1024
        if budget.left <= 0:
            raise Diagnostic("E0505", f"this runs now, and has not ended after {budget.total:,} steps", budget.span,
                             fix="let what it depends on be known later (`Rep`), or end the recursion")
    return a


def _halt(frame: Frame, value: Any) -> State:
    return None, value, None


BOUNDARIES[_halt] = lambda frame: ("a function of the generated program", frame[2] if len(frame) > 2
                                   else None)  # type: ignore[assignment,return-value]  # some have no place


def halting(span: Span | None) -> Frame:
    """The end of a run of the machine inside another: the body of a function of later."""
    return _halt, None, span


def give(value: Any, k: Frame) -> State:
    """Give a value to a continuation."""
    return k[0], k, value


# ---------------------------------------------------------------------------------------------- closures


class Closure:
    """A function of now: code, and the environment where it was made."""

    __slots__ = ("arity", "code", "env", "name", "span")

    def __init__(self, code: Run, env: tuple[Any, ...], arity: int, name: str, span: Span) -> None:
        self.code, self.env, self.arity, self.name, self.span = code, env, arity, name, span

    def enter(self, args: tuple[Any, ...], k: Frame, span: Span) -> State:
        """Call it."""
        return self.code, self.env + args, k

    def __repr__(self) -> str:
        return f"<function {self.name or 'fn'}>"


class Primitive:
    """A function of now that Python computes: `f(*args)`."""

    def __init__(self, name: str, f: Callable[..., Any]) -> None:
        self.name, self.f = name, f

    def enter(self, args: tuple[Any, ...], k: Frame, span: Span) -> State:
        return k[0], k, self.f(*args)

    def __repr__(self) -> str:
        return f"<function {self.name}>"


# ------------------------------------------------------------------------------------------ continuations


def reset_done(frame: Frame, value: Any) -> State:
    """The end of a `reset`: its value is that of its body."""
    return give(value, frame[1])


class Continuation:
    """What `shift` captures: the frames between it and its `reset`, innermost first."""

    def __init__(self, frames: tuple[Frame, ...]) -> None:
        self.frames = frames

    def enter(self, args: tuple[Any, ...], k: Frame, span: Span) -> State:
        """Resume it, under a `reset` of its own."""
        chain: Frame = (reset_done, k)
        for frame in reversed(self.frames):
            chain = (frame[0], chain, *frame[2:])
        return give(args[0], chain)

    def __repr__(self) -> str:
        return "<continuation>"


def capture(k: Frame, span: Span) -> tuple[Continuation, Frame]:
    """The continuation up to the nearest `reset`, and what lies beyond. Raises `Diagnostic` for a staged block between."""
    frames: list[Frame] = []
    while k[0] is not reset_done:
        if k[0] in BOUNDARIES:
            what, where = BOUNDARIES[k[0]](k)
            if what == "the file":
                raise Diagnostic("E0604", "there is no `reset` around this `shift`", span,
                                 fix="write `reset { ... }` around what it captures")
            raise Diagnostic("E0601", f"this `shift` would capture past {what} that is decided later", span,
                             notes=(("it begins here", where),) if where else (),
                             fix="capture the continuation first and make it a function: `shift { k => let j = reify(k); ... }`")
        frames.append(k)
        k = k[1]
    return Continuation(tuple(frames)), k


def spend(span: Span) -> None:
    """Note where the machine is."""
    budget = _budget.get()
    if budget is not None:
        budget.span = span


def charge(steps: int) -> None:
    """Count what takes long as so many steps."""
    budget = _budget.get()
    if budget is not None:
        budget.left -= steps
