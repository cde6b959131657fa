"""Loops: `for` and `while`, now or later.

A loop that runs later goes round once for each attempt at staging its body: the names that the body assigns are carried, and the
types they are carried with are the fixpoint of their types before the loop and after one iteration. Literals adapt; an attempt
that finds a literal has moved is thrown away. The user's statements run between the calls of one iteration, in their own frame.

The block of a body has the parameters (index of a `for`, flags of the exits, what is carried, what the loop first binds).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence, Sized
from typing import Any

from lms.core import primitives as p
from lms.core.builder import Builder, current, staging
from lms.core.errors import Span, StagingError, StagingTypeError, here
from lms.core.ir import Block, Value, substitute, walk
from lms.core.types import ArrayType, Type, bool_, fresh_symbol, i64

from .. import trees
from ..checkpoints import plan, planned
from ..rep import Rep, lift_value
from .blocks import Attempt, blocks, close_block, open_block, remembered, splice, unwind
from .carried import Carried
from .choices import Dead, Site, truth
from .hygiene import may_change
from .iterables import Later, Range, Unrolled, counter, index_value, later
from .state import HIDDEN, Frame, Maybe, Slot, Undefined, Variable, one_sided, taken

UNROLL_LIMIT = 1024
NODE_LIMIT = 100_000
ATTEMPTS = 8


class Loop(ABC):
    """What `for` and `while` have in common. The user's body runs between `enter` and `leave`."""

    lead: tuple[Type, ...] = ()  # parameters of the body before all others
    body: Block
    checkpoint: str | None = None  # how its gradient trades memory for time

    def __init__(self, site: Site) -> None:
        self.site = site
        self.b: Builder | None = current() if staging() else None
        self.staged = False
        self.done = False
        self.dead_end = False
        self.attempts = self.went_round = 0

    @property
    def builder(self) -> Builder:
        assert self.b is not None
        return self.b

    def start(self, frame: Frame) -> None:
        """From here on the loop runs later."""
        self.staged = True
        self.memory = remembered(self.builder, self.site)
        self.carried = Carried(self.site, frame, self.memory.found)

    def open(self, lead: Sequence[Type] = (), names: Sequence[str] = ()) -> Block:
        return open_block(self.builder, (*lead, *[bool_] * len(self.site.exits), *self.carried.types),
                          (*names, *(x.removeprefix(HIDDEN) for x in self.site.exits), *self.carried.labels))

    def inside(self, body: Block) -> tuple[Any, ...]:
        """The values of the names at the start of the body."""
        return self.carried.inside(body.params[len(self.lead) + len(self.site.exits):])

    def dead(self, e: Dead) -> None:
        """Every iteration that gets here ends in an error."""
        if not self.staged:
            raise e
        e.ends(self.body)
        unwind(self.builder, self.body)
        self.dead_end = True

    def leave(self, frame: Frame) -> tuple[Any, ...]:
        """The end of an iteration: the values the names have from here on."""
        ends = dict(zip(self.site.names, taken(frame, self.site.names), strict=True))
        if not self.staged:
            self.leave_now(ends)
            return tuple(ends.values())
        close_block(self.builder, self.body)
        if self.dead_end:
            ends = dict(zip(self.site.names, self.inside(self.body), strict=True))
        self.attempts += 1
        with self.builder.at(self.site.span):
            if self._settles(ends):
                self.done = True
                self.memory.found = self.carried.plans
                return self.close(ends)
        if self.attempts > ATTEMPTS:
            raise StagingError("the types of the names that this loop assigns do not settle", self.site.span)
        return tuple(self.carried.entry.values())

    def _settles(self, ends: dict[str, Any]) -> bool:
        try:
            return self.carried.settle(ends, self.body)
        except StagingTypeError:
            if not self.carried.hinted:
                raise
            self.carried = Carried(self.site, {k: v for k, v in self.carried.entry.items() if not isinstance(v, Undefined)})
            return False

    def attempt(self) -> Block:
        """Open the body for an attempt."""
        self.dead_end = False
        body = self.open(self.lead, ("i",) if self.lead else ())
        blocks(self.builder).attempts[body] = Attempt(self.memory)
        return body

    @abstractmethod
    def leave_now(self, ends: dict[str, Any]) -> None:
        """The end of an iteration that ran now."""

    @abstractmethod
    def close(self, ends: dict[str, Any]) -> tuple[Any, ...]:
        """Emit the loop; the values of the names after it."""

    # ---------------------------------------------------------------------------------------- closing

    def travelling(self, ends: dict[str, Any]) -> dict[str, Variable]:
        """Every name that passes from one iteration to the next or out of the loop, in the order of the parameters."""
        flags = {name: Variable(name, trees.LEAF, (Slot(bool_),)) for name in self.site.exits}
        return {**flags, **self.carried.variables, **self._born(ends)}

    def _born(self, ends: dict[str, Any]) -> dict[str, Variable]:
        """Names that are first bound in the loop and read after it: they start as a zero that nobody reads."""
        born: dict[str, Variable] = {}
        for name, end in ends.items():
            new = isinstance(self.carried.entry[name], Undefined) and name not in self.carried.variables
            if new and name in self.site.live and not isinstance(end, Undefined):
                born[name] = one_sided(name, end)
        return born

    def complete(self, names: dict[str, Variable], ends: dict[str, Any]) -> list[Value]:
        """Give the body its last parameters and its results; the values that what travels starts with."""
        body = self.body
        known = len(self.lead) + len(self.site.exits) + len(self.carried.types)
        types = [(x.label, t) for x in names.values() for t in x.types]
        body.params += tuple(Value(t, name, block=body) for name, t in types[known - len(self.lead):])
        with self.builder.into(body):
            body.results = tuple(v for name, x in names.items() for v in x.values(ends[name]))
        return [v for name, x in names.items() for v in x.values(self.carried.entry[name])]

    def after(self, names: dict[str, Variable], results: Sequence[Value], ran: Callable[[], Any],
              ends: dict[str, Any]) -> tuple[Any, ...]:
        """The values of the names after the loop. What it first binds is undefined if it did not run."""
        values = iter(results)
        found = dict(self.carried.entry)
        for name, v in names.items():
            x = v.rebuild(values)
            surely = not isinstance(self.carried.entry[name], Undefined) or name.startswith(HIDDEN) or isinstance(x, Maybe)
            found[name] = x if surely or (flag := ran()) is True else Maybe(x, flag)
        for name, x in ends.items():
            if isinstance(x, Undefined) and x.notes:
                found[name] = x  # one path through the body leaves it so
        return tuple(found.values())


def prune(blocks: Sequence[Block], inits: Sequence[Value], dropped: frozenset[int] = frozenset()) -> list[int]:
    """Which carried values change: those that do not become the value they start with, inside the loop too.

    `blocks` end with the body; their last parameters are what is carried. `dropped` are carried and never read.
    """
    body = blocks[-1]
    offset = len(body.params) - len(inits)
    still = {k for k in range(len(inits)) if body.results[k] is body.params[offset + k]}
    keep = [k for k in range(len(inits)) if k not in still and k not in dropped]
    env = {block.params[len(block.params) - len(inits) + k]: inits[k] for block in blocks for k in still}
    for block in blocks:
        substitute(block, env)
        lead = len(block.params) - len(inits)
        block.params = (*block.params[:lead], *(block.params[lead + k] for k in keep))
    body.results = tuple(body.results[k] for k in keep)
    return keep


def result_types(inits: Sequence[Value], params: Sequence[Value]) -> list[Type]:
    """The types after a loop: sizes that change in the loop get a name of their own outside it."""
    out: list[Type] = []
    for init, param in zip(inits, params, strict=True):
        t = param.type
        if isinstance(t, ArrayType) and isinstance(init.type, ArrayType):
            dims = tuple(d if d == e else fresh_symbol() for d, e in zip(t.dims, init.type.dims, strict=True))
            t = ArrayType(t.dtype, dims, t.layout)
        out.append(t)
    return out


# --------------------------------------------------------------------------------------------------- for


class For(Loop):
    """A `for` statement over `iterable`, which has been evaluated once."""

    lead = (i64,)

    def __init__(self, site: Site, iterable: Any, frame: Frame) -> None:
        super().__init__(site)
        self.source = later(iterable) if self.b is not None else None
        if self.source is not None:
            self.checkpoint = self.source.checkpoint
            self.start(frame)
            with self.builder.at(site.span):
                self.bounds = self._bounds(self.source)
            return
        self.budget = self.b is not None and not isinstance(iterable, Unrolled)
        self.length = len(iterable) if isinstance(iterable, Sized) else None
        if isinstance(iterable, Iterator):
            may_change(iterable, "next")
        self.items: Iterator[Any] = iter(iterable)
        self.stopped = False

    def _bounds(self, source: Later) -> tuple[Value, Value, int]:
        """Start, stop and step of the index; the step is known now."""
        if self.plain:
            assert isinstance(source, Range)
            return counter(source.start), counter(source.stop), int(source.step)
        return counter(0), counter(source.count), 1

    @property
    def plain(self) -> bool:
        """Whether the loop variable is the index itself."""
        return isinstance(self.source, Range) and not isinstance(self.source.step, Rep)

    def again(self) -> bool:
        """Whether the body is to be run (once more)."""
        if self.staged:
            return not self.done
        if self.stopped:
            return False
        try:
            self.next = next(self.items)
        except StopIteration:
            return False
        self.before = len(self.b.block.nodes) if self.b is not None else 0
        return True

    def enter(self, frame: Frame) -> tuple[Any, ...]:
        if not self.staged:
            return taken(frame, self.site.names)
        self.body = self.attempt()
        return self.inside(self.body)

    def item(self) -> Any:
        """What the loop variable is bound to."""
        if not self.staged:
            return self.next
        assert self.source is not None
        k = index_value(self.body.params[0])
        return k if self.plain else self.source.item(k)

    def leave_now(self, ends: dict[str, Any]) -> None:
        self.went_round += 1
        self.stopped = any(ends[name] is True for name in self.site.exits)
        if not self.budget or self.stopped or len(self.builder.block.nodes) <= self.before:
            return
        if self.went_round > UNROLL_LIMIT or self.length is not None and self.length > UNROLL_LIMIT:
            raise unrolled(self.site.span, self.length)
        if len(self.builder.block.nodes) > NODE_LIMIT:
            raise StagingError(f"this function has more than {NODE_LIMIT} operations by now", self.site.span,
                               fix="write `lms.range(...)` to make this loop a loop later")

    def close(self, ends: dict[str, Any]) -> tuple[Any, ...]:
        b, body, (start, stop, step) = self.builder, self.body, self.bounds
        names = self.travelling(ends)
        inits = self.complete(names, ends)
        never = frozenset(k for k, name in enumerate(self.site.exits) if ends[name] is False)
        keep = prune((body,), inits, never)
        some = [inits[k] for k in keep]
        types, labels = result_types(some, body.params[1:]), [v.name for v in body.params[1:]]
        flags = len(self.site.exits) - len(never)
        if flags:
            with b.into(body):
                body.results = (b.emit1(p.scalar.add, body.params[0], b.const(step)), *body.results)
            goes_on = self._condition([v.type for v in body.params], ["i", *labels], stop, step, flags)
            out = b.emit(p.control.while_, start, *some, blocks=(goes_on, body), types=[i64, *types], names=["i", *labels],
                         **planned(self.checkpoint))[1:]
        else:
            out = b.emit(p.control.for_, start, stop, b.const(step), *some, blocks=(body,), types=types, names=labels,
                         **planned(self.checkpoint))
        arrived = dict(zip(keep, out, strict=True))
        results = [arrived.get(k, init) for k, init in enumerate(inits)]
        return self.after(names, results, lambda: self._ran(start, stop, step), ends)

    def _condition(self, types: Sequence[Type], names: Sequence[str], stop: Value, step: int, flags: int) -> Block:
        """A loop with exits goes on while none has been taken."""
        b = self.builder
        with b.reify(types, names) as block:
            ok = b.emit1(p.scalar.lt if step > 0 else p.scalar.gt, block.params[0], stop)
            for flag in block.params[1: 1 + flags]:
                ok = b.emit1(p.scalar.and_, ok, b.emit1(p.scalar.not_, flag))
            block.results = (ok,)
        return block

    def _ran(self, start: Value, stop: Value, step: int) -> Any:
        if start.number is not None and stop.number is not None:
            return bool(range(start.number, stop.number, step))
        return Rep(self.builder.emit1(p.scalar.lt if step > 0 else p.scalar.gt, start, stop))


def unrolled(span: Span, length: int | None) -> StagingError:
    """A loop that runs now, and long."""
    times = f"{length} times" if length is not None else f"more than {UNROLL_LIMIT} times"
    bound = length if length is not None else "n"
    return StagingError(f"this loop runs now and would be unrolled {times}", span,
                        fix=f"write `lms.range({bound})` to make it a loop later, or `lms.unroll(...)` to insist")


# ------------------------------------------------------------------------------------------------- while


class While(Loop):
    """A `while` statement. Its first iteration is provisional until the condition after it turns out to be known now too."""

    def __init__(self, site: Site, frame: Frame) -> None:
        super().__init__(site)
        self.trial = open_block(self.b, provisional=True) if self.b is not None else None
        self.origin = taken(frame, site.names)
        self.switched = False  # the condition has just turned out to be staged
        self.before = 0

    def again(self) -> bool:
        return not self.done

    def enter(self, frame: Frame) -> tuple[Any, ...]:
        """Before the condition."""
        if not self.staged:
            self.before = len(self.b.block.nodes) if self.b is not None else 0
            return taken(frame, self.site.names)
        self.condition = self.open()
        values = dict(zip(self.site.names, self.inside(self.condition), strict=True))
        values.update(zip(self.site.exits, map(Rep, self.condition.params), strict=False))
        return tuple(values.values())

    def test(self, value: Any) -> bool:
        """Whether the body is to be run, now or for the sake of later."""
        ok = truth(value)
        if self.staged:
            self.condition.results = (lift_value(ok, bool_),)
            close_block(self.builder, self.condition)
            self._changes_nothing()
            return True
        if isinstance(ok, Rep):
            self.switched = True
            return False
        if not ok or self.went_round:
            self._keep()
        self.done = not ok
        return bool(ok)

    def _changes_nothing(self) -> None:
        """A condition is asked, whoever asks: what it changes must be changed in the body."""
        for node in walk(self.condition):
            effect = node.op.effect
            if effect.writes or effect.accumulates or effect.io:
                raise StagingError("the condition of this `while` changes an array or prints", node.span or self.site.span,
                                   fix="write `while True:`, and in the body `if not ...: break`")

    def _keep(self) -> None:
        """What ran provisionally did run now."""
        if self.trial is not None:
            close_block(self.builder, self.trial)
            splice(self.builder, self.trial)
            self.trial = None

    def body_(self, frame: Frame) -> tuple[Any, ...]:
        """After the condition, before the body."""
        if not self.staged:
            return taken(frame, self.site.names)
        self.body = self.attempt()
        return self.inside(self.body)

    def leave(self, frame: Frame) -> tuple[Any, ...]:
        if not self.switched:
            return super().leave(frame)
        self.switched = False
        if self.trial is None:  # the iterations that ran stay; what is left is a loop of later
            self.start(frame)
        else:
            close_block(self.builder, self.trial)
            self.start({name: x for name, x in zip(self.site.names, self.origin, strict=True) if not isinstance(x, Undefined)})
        return tuple(self.carried.entry.values())

    def leave_now(self, ends: dict[str, Any]) -> None:
        self.went_round += not self.done
        if self.b is not None and self.went_round > UNROLL_LIMIT and len(self.b.block.nodes) > self.before:
            raise StagingError(f"this loop runs now and has been unrolled {UNROLL_LIMIT} times", self.site.span,
                               fix="make its condition depend on a staged value, or loop over `lms.range(n)`")

    def close(self, ends: dict[str, Any]) -> tuple[Any, ...]:
        b, body, condition = self.builder, self.body, self.condition
        names = self.travelling(ends)
        inits = self.complete(names, ends)
        for v in body.params[len(condition.params):]:
            condition.params += (Value(v.type, v.name, block=condition),)
        counted = any(isinstance(self.carried.entry[name], Undefined) and not name.startswith(HIDDEN) for name in names)
        if counted:  # carry whether it ran, for the names that it first binds
            inits.append(b.const(False, bool_))
            for block in (condition, body):
                block.params += (Value(bool_, "ran", block=block),)
            with b.into(body):
                body.results += (b.const(True, bool_),)
        keep = prune((condition, body), inits)
        some = [inits[k] for k in keep]
        out = b.emit(p.control.while_, *some, blocks=(condition, body), types=result_types(some, body.params),
                     names=[v.name for v in body.params], **planned(self.checkpoint))
        arrived = dict(zip(keep, out, strict=True))
        results = [arrived.get(k, init) for k, init in enumerate(inits)]
        ran = Rep(results.pop()) if counted else True
        return self.after(names, results, lambda: ran, ends)


# ------------------------------------------------------------------------------------------- combinators


def while_loop(test: Callable[..., Any], body: Callable[..., Any], init: Any, checkpoint: str | None = None) -> Any:
    """`while test(x): x = body(x)`, from `x = init`; needs no source. `checkpoint` is as for `lms.range`.

        lms.while_loop(lambda x: x < 100, lambda x: x * x, 3.0)     # 6561.0
    """
    frame: dict[str, Any] = {STATE: init}
    loop = While(_site(), frame)
    loop.checkpoint = plan(checkpoint)
    while loop.again():
        (frame[STATE],) = loop.enter(frame)
        if loop.test(test(frame[STATE])):
            (frame[STATE],) = loop.body_(frame)
            frame[STATE] = body(frame[STATE])
        (frame[STATE],) = loop.leave(frame)
    return frame[STATE]


def fori_loop(lower: Any, upper: Any, body: Callable[[Any, Any], Any], init: Any, checkpoint: str | None = None) -> Any:
    """`for i in range(lower, upper): x = body(i, x)`, from `x = init`; needs no source. `checkpoint` is as for `lms.range`.

        lms.fori_loop(0, 4, lambda i, total: total + i, 0)      # 6
    """
    frame: dict[str, Any] = {STATE: init}
    plans = plan(checkpoint)
    loop = For(_site(), Range(lower, upper, checkpoint=plans) if staging() else range(lower, upper), frame)
    while loop.again():
        (frame[STATE],) = loop.enter(frame)
        frame[STATE] = body(loop.item(), frame[STATE])
        (frame[STATE],) = loop.leave(frame)
    return frame[STATE]


STATE = "state"  # what a combinator carries, in errors and in the program


def _site() -> Site:
    place = here() or Span("<unknown>", 0)
    return Site(place, (STATE,), frozenset((STATE,)), {STATE: (place, place)})
