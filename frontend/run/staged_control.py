"""Branches and loops of the generated program: the machine fills a block, comes back, and the ends are joined.

Each is a pair of frames around the code of a block. Such a frame bounds what a `shift` inside may capture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.errors import LmsError, Span
from lms.core.ir import Block
from lms.core.types import i64
from lms.staging.control.blocks import close_block, open_block, splice
from lms.staging.control.choices import Dead, Path, Site, cheap, merge
from lms.staging.control.iterables import later
from lms.staging.control.loops import For, Loop, While
from lms.staging.library import ops
from lms.staging.rep import Rep

from ..diagnostics import Diagnostic
from . import cells
from .cells import Variable
from .lending import lend_like, lent_in
from .machine import BOUNDARIES, Frame, State, give
from .operations import strong

Thunk = Callable[[Frame], State]


class DeadEnd:
    """The value of what never gives one: the rest of the block is not made."""


DEAD = DeadEnd()
VALUE = "value"
LOGIC = ("an `&&`", "an `||`")


def named(variables: Sequence[Variable]) -> dict[str, Variable]:
    """Variables by names that differ."""
    found: dict[str, Variable] = {}
    for v in variables:
        name, k = v.name, 1
        while name in found or name == VALUE:
            k += 1
            name = f"{v.name}_{k}"
        found[name] = v
    return found


def explained(span: Span, f: Callable[..., Any], *args: Any) -> Any:
    """A call of staging; its errors are ours."""
    try:
        return f(*args)
    except Diagnostic:
        raise
    except LmsError as e:
        raise Diagnostic("E0501", e.message, span, fix=e.fix) from None


# -------------------------------------------------------------------------------------------------- choices


def choose(span: Span, what: str, test: Rep, then: Thunk, other: Thunk, k: Frame) -> State:
    """`if test { then } else { other }`, later. An `&&` or `||` whose right side may as well be run becomes an operation."""
    block = open_block(current())
    cells.begin()
    return then((_then_done, k, span, what, test, other, block))


def _closed(block: Block, value: Any) -> tuple[Path, dict[Variable, Any]]:
    close_block(current(), block)
    return Path(block, {VALUE: value}, dead=value is DEAD), cells.end()


def _then_done(frame: Frame, value: Any) -> State:
    _, k, span, what, test, other, block = frame
    first = _closed(block, value)
    second = open_block(current())
    cells.begin()
    return other((_other_done, k, span, what, test, first, second))  # type: ignore[no-any-return]  # a state


def _other_done(frame: Frame, value: Any) -> State:
    _, k, span, what, test, (first, changed), block = frame
    second, also = _closed(block, value)
    variables = named(list({**changed, **also}))
    for path, ends in ((first, changed), (second, also)):
        for name, v in variables.items():
            path.ends[name] = ends.get(v, v.value)
    b = current()
    names = (VALUE, *variables)
    if what in LOGIC and not variables:
        right = first if what == LOGIC[0] else second
        if isinstance(right.ends[VALUE], Rep) and cheap(right.block):
            splice(b, right.block)
            with b.at(span):
                op = p.scalar.and_ if what == LOGIC[0] else p.scalar.or_
                return give(Rep(b.emit1(op, test.value, right.ends[VALUE].value)), k)
    with b.at(span):
        try:
            found = explained(span, merge, b, test.value, first, second, names, lambda name: (span, span))
        except Dead:
            return dead(k, span)
    for (name, v), x in zip(variables.items(), found[1:], strict=True):
        v.replace(lend_like(strong(x), first.ends[name], second.ends[name]))
    return give(lend_like(found[0], first.ends[VALUE], second.ends[VALUE]), k)


BOUNDARIES[_then_done] = BOUNDARIES[_other_done] = lambda frame: (frame[3], frame[2])


def dead(k: Frame, span: Span) -> State:
    """What follows here never runs: go on at the end of the block."""
    while k[0] not in BOUNDARIES:
        k = k[1]
    if k[0] not in (_then_done, _other_done):
        raise Diagnostic("E0501", "every path ends in an error here, so there is no result", span)
    return give(DEAD, k)


# ---------------------------------------------------------------------------------------------------- loops


class StagedWhile(While):
    """A `while` that is known to run later."""

    def __init__(self, site: Site, frame: dict[str, Any]) -> None:
        Loop.__init__(self, site)
        self.trial, self.switched, self.before = None, False, 0
        self.start(frame)


class Running:
    """A loop of the generated program while it is being made: what it carries, and how its body begins."""

    def __init__(self, span: Span, what: str, variables: Sequence[Variable], make: Callable[[Site, dict[str, Any]], Any],
                 condition: Thunk | None, body: Callable[[Any, Frame], State]) -> None:
        self.span, self.what, self.make, self.condition, self.body = span, what, make, condition, body
        self.variables = [v for v in dict.fromkeys(variables) if v.box is None]
        self.lent: dict[Variable, Any] = {}  # those that may hold an array that is read only, and such a one
        self.begin()

    def begin(self) -> None:
        self.names = named(self.variables)
        self.entry = {name: v.get() for name, v in self.names.items()}
        self.lend(self.entry)
        site = Site(self.span, tuple(self.names), frozenset(self.names))
        with current().at(self.span):
            self.loop = explained(self.span, self.make, site, dict(self.entry))

    def put(self, values: Sequence[Any]) -> None:
        for v, x in zip(self.names.values(), values, strict=True):
            v.value = lend_like(strong(x), self.lent.get(v))

    def lend(self, values: dict[str, Any]) -> bool:
        """Note which variables hold an array that is read only; whether there are more than was known."""
        known = len(self.lent)
        for name, v in self.names.items():
            if v not in self.lent and next(lent_in((values[name],)), None) is not None:
                self.lent[v] = values[name]
        return len(self.lent) > known

    def frame(self) -> dict[str, Any]:
        return {name: v.value for name, v in self.names.items()}


def loop(r: Running, k: Frame) -> State:
    """The loop from here on: another attempt at its body, or its end."""
    if not r.loop.again():
        ends = [v.value for v in r.names.values()]
        for (name, v), x in zip(r.names.items(), ends, strict=True):
            v.value = r.entry[name]
            v.replace(x)
        return give((), k)
    with current().at(r.span):
        r.put(explained(r.span, r.loop.enter, r.frame()))
    cells.begin()
    if r.condition is not None:
        return r.condition((_condition_done, k, r.span, r.what, r))
    return r.body(strong(r.loop.item()), (_body_done, k, r.span, r.what, r))


def _condition_done(frame: Frame, value: Any) -> State:
    _, k, span, what, r = frame
    changed = cells.end()
    if changed:
        name = next(iter(changed)).name
        raise Diagnostic("E0501", f"the condition of this `while` assigns to `{name}`", span, fix="assign in the body")
    with current().at(span):
        explained(span, r.loop.test, value)
        r.put(explained(span, r.loop.body_, r.frame()))
    cells.begin()
    return r.body(None, (_body_done, k, span, what, r))  # type: ignore[no-any-return]  # a state


def _body_done(frame: Frame, value: Any) -> State:
    _, k, span, _, r = frame
    carried = r.frame()
    ends = _after_body()
    more = [v for v in ends if v not in r.variables]
    if more or r.lend(carried):  # a function called in the body assigns to them: carry them too
        close_block(current(), r.loop.body)
        r.put(list(r.entry.values()))
        r.variables += more
        r.begin()
        return loop(r, k)
    with current().at(span):
        if value is DEAD:
            r.loop.dead_end = True
        r.put(explained(span, r.loop.leave, carried))
    return loop(r, k)


def _after_body() -> dict[Variable, Any]:
    """What the body changed of what was made outside the loop; all is what it was before the body."""
    ends = cells.end()
    return {v: x for v, x in ends.items() if v.depth < len(cells.journals().open) + 1}


BOUNDARIES[_condition_done] = BOUNDARIES[_body_done] = lambda frame: (frame[3], frame[2])


def counted(source: Any) -> Callable[[Site, dict[str, Any]], Any]:
    """A `for` over a range of later or an array."""
    return lambda site, frame: For(site, source, frame)


# ------------------------------------------------------------------------------------------- comprehensions


def collect(span: Span, sources: Sequence[Any], dtype: Any, body: Callable[[list[Any], Frame], State], k: Frame) -> State:
    """`[for i in 0..n, ... => body]`, later: an array, filled in loops in loops."""
    b = current()
    with b.at(span):
        items = [later(x) for x in sources]
        counts = [explained(span, lambda s=s: s.count) for s in items if s is not None]
        out = explained(span, lambda: ops.empty(tuple(counts), dtype=dtype))
        blocks: list[Block] = []
        values: list[Any] = []
        for s in items:
            blocks.append(open_block(b, (i64,), ("i",)))
            cells.begin()
            values.append(strong(s.item(Rep(blocks[-1].params[0]))) if s is not None else None)
    return body(values, (_collected, k, span, "an array", out, blocks, counts))


def _collected(frame: Frame, value: Any) -> State:
    _, k, span, _, out, blocks, counts = frame
    b = current()
    with b.at(span):
        if value is not DEAD:
            b.emit(p.array.store, out.value, value.value, *(block.params[0] for block in blocks))
        for block, n in zip(reversed(blocks), reversed(counts), strict=True):
            if changed := cells.end():
                name = next(iter(changed)).name
                raise Diagnostic("E0403", f"`{name}` is assigned in a comprehension", span, fix="write a `for`")
            close_block(b, block)
            stop = n.value if isinstance(n, Rep) else b.const(n)
            b.emit(p.control.for_, b.const(0), stop, b.const(1), blocks=(block,), types=())
    return give(out, k)


BOUNDARIES[_collected] = lambda frame: (frame[3], frame[2])
