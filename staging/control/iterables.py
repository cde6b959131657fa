"""What a loop that runs later goes over: a staged range, an array, `enumerate`, `zip`, `reversed`, `map` of such."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from lms.core.data import dataclass
from lms.core.errors import StagingError, StagingTypeError, here
from lms.core.types import ArrayType, Scalar, i64

from ..joins import describe
from ..library import elementary, elementwise
from ..rep import Rep, Weak, scalar, size_arg
from ..shapes import array_type, rename

Count = Any  # an int or a staged i64


class Later:
    """A sequence whose length is known later: `count` items, each a function of its index."""

    count: Count
    checkpoint: str | None = None  # how the gradient of a loop over it trades memory for time

    def item(self, k: Any) -> Any:
        raise LookupError

    def __iter__(self) -> Iterator[Any]:
        raise StagingError("this sequence exists later, but Python iterates over it now", here(),
                           fix="loop over it with `for` in a function with source, or use `lms.fori_loop`")


class Range(Later):
    """`range` that is gone through later, with Python's meaning: ends before `stop`, `step` may be negative."""

    def __init__(self, *args: Any, checkpoint: str | None = None) -> None:
        self.checkpoint = checkpoint
        if not 1 <= len(args) <= 3:
            raise TypeError(f"range expected 1 to 3 arguments, got {len(args)}")
        for x in args:
            size_arg(x, "an argument of `range`")
        self.start, self.stop, self.step = (0, args[0], 1) if len(args) == 1 else (*args, 1) if len(args) == 2 else args
        if not isinstance(self.step, Rep) and self.step == 0:
            raise ValueError("range() arg 3 must not be zero")

    @property
    def count(self) -> Count:
        start, stop, step = self.start, self.stop, self.step
        if not any(isinstance(x, Rep) for x in (start, stop, step)):
            return len(range(start, stop, step))
        if isinstance(step, Rep):
            elementwise.check(elementary.not_equal(step, 0), "ValueError", "range() arg 3 must not be zero")
            up = _steps(start, stop, step)
            return elementary.maximum(up, 0)
        return elementary.maximum(_steps(start, stop, step), 0)

    def item(self, k: Any) -> Any:
        return self.start + k * self.step


def _steps(start: Any, stop: Any, step: Any) -> Any:
    """How many steps lead from start to stop, rounded up; negative if they lead away."""
    gap = stop - start
    return gap if not isinstance(step, Rep) and step == 1 else -((-gap) // step)


@dataclass(eq=False)
class Items(Later):
    """An array, along its first axis."""

    array: Rep

    def __post_init__(self) -> None:
        if not isinstance(self.array.type, ArrayType) or not self.array.type.rank:
            raise StagingTypeError(f"{describe(self.array)} cannot be iterated over", here(),
                                   fix="loop over `range(n)`" if self.array.type == i64 else "loop over an array")
        self.count = self.array.shape[0]

    def item(self, k: Any) -> Any:
        return self.array[k]


@dataclass(eq=False)
class Sequence(Later):
    """Items of now whose number is not needed: a range, or anything with a rule for its items."""

    count: Count
    rule: Callable[[Any], Any]
    checkpoint: str | None = None

    def item(self, k: Any) -> Any:
        return self.rule(k)


def later(x: Any) -> Later | None:
    """The loop that runs later over `x`; None if `x` is gone through now."""
    if isinstance(x, Later):
        return x
    return Items(x) if isinstance(x, Rep) else None


def range_(*args: Any) -> Any:
    """`range`: later if an argument is staged."""
    return Range(*args) if any(isinstance(x, Rep) for x in args) else range(*args)


def enumerate_(xs: Any, start: Any = 0) -> Any:
    """`enumerate`: later if what it goes over is."""
    source = later(xs)
    if source is None:
        return enumerate(xs, start) if not isinstance(start, Rep) else ((start + k, x) for k, x in enumerate(xs))
    return Sequence(source.count, lambda k: (start + k, source.item(k)), source.checkpoint)


def reversed_(xs: Any) -> Any:
    """`reversed`: later if what it goes over is."""
    source = later(xs)
    if source is None:
        return reversed(xs)
    n = source.count
    return Sequence(n, lambda k: source.item(n - 1 - k), source.checkpoint)


def zip_(*xss: Any, strict: bool = False) -> Any:
    """`zip`: later if any of the sequences is; ends with the shortest, or checks that all have one length."""
    sources = [later(xs) for xs in xss]
    if not any(sources):
        return zip(*xss, strict=strict)
    if (now := _zip_now(xss, sources)) is not None:
        return zip(*now, strict=strict)
    found = [s if s is not None else _as_later(xs) for s, xs in zip(sources, xss, strict=True)]
    counts = [s.count for s in found]
    if strict:
        for n in counts[1:]:
            if not isinstance(n, Rep) and not isinstance(counts[0], Rep):
                if n != counts[0]:
                    raise ValueError("zip() arguments have different lengths")
            else:
                elementwise.check(elementary.equal(counts[0], n), "ValueError", "zip() arguments have different lengths")
    plan = next((s.checkpoint for s in found if s.checkpoint), None)
    return Sequence(shortest(counts), lambda k: tuple(s.item(k) for s in found), plan)


def _zip_now(xss: tuple[Any, ...], sources: list[Later | None]) -> list[Any] | None:
    """The sequences as sequences of now, if one of them is and the arrays' lengths are known."""
    if not any(s is None and not isinstance(xs, range) for s, xs in zip(sources, xss, strict=True)):
        return None
    if not all(s is None or isinstance(s, Items) and isinstance(s.count, int) for s in sources):
        return None
    return [xs if s is None else [s.item(k) for k in range(s.count)] for s, xs in zip(sources, xss, strict=True)]


def _as_later(xs: Any) -> Later:
    if isinstance(xs, range):
        return Range(xs.start, xs.stop, xs.step)
    raise StagingTypeError(f"`zip` of a staged sequence and {describe(xs)}, whose items exist now", here(),
                           fix="make it an array: `np.array(...)`")


def shortest(counts: list[Count]) -> Count:
    """The least of some sizes; one value where they are known to be equal."""
    n = counts[0]
    for m in counts[1:]:
        if isinstance(n, Rep) and isinstance(m, Rep) and n.value is m.value:
            continue
        n = elementary.minimum(n, m) if isinstance(n, Rep) or isinstance(m, Rep) else min(n, m)
    return n


def map_(f: Any, *xss: Any) -> Any:
    """`map`: later if what it goes over is."""
    from .runtime import call

    if not any(later(xs) for xs in xss):
        return map(lambda *xs: call(f, *xs), *xss)
    source = zip_(*xss)
    assert isinstance(source, Later)
    return Sequence(source.count, lambda k: call(f, *source.item(k)), source.checkpoint)


def counter(n: Count) -> Any:
    """A count as a value of the program."""
    return scalar(n, i64)


def index_value(v: Any) -> Weak:
    """The index of an iteration: a Python int that exists later."""
    assert isinstance(v.type, Scalar)
    return Weak(v)


@dataclass(frozen=True, slots=True)
class Unrolled:
    """`lms.unroll(xs)`: gone through now, however long."""

    items: Any

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)


def unroll(xs: Any) -> Any:
    """Go through `xs` now, in a staged function, however many times that repeats the loop's body in the program.

        @lms.stage
        def cubes(x: Rep[f64]) -> Rep[f64]:
            total = 0.0
            for k in lms.unroll(range(4)):
                total += k * x**3
            return total

        cubes(2.0)      # 48.0
    """
    return Unrolled(xs)


def lms_range(*args: Any, checkpoint: str | None = None) -> Any:
    """`range` as a loop of the next stage, also where its bounds are known now.

        @lms.stage
        def total(x: Rep[f64]) -> Rep[f64]:
            s = 0.0
            for i in lms.range(1000000):
                s += x
            return s

        total(1.0)      # 1000000.0

    With `checkpoint="sqrt"` or `checkpoint="revolve(20)"` the gradient of the loop keeps snapshots of what it carries, and runs
    parts of the loop again, instead of keeping something of every iteration. Raises `StagingError` for another plan.
    Outside staged code it is Python's `range`.
    """
    from lms.core.builder import staging

    from ..checkpoints import plan

    checkpoint = plan(checkpoint)
    return Range(*args, checkpoint=checkpoint) if staging() else range(*args)


# --------------------------------------------------------------------------------------------- taken apart


Parts = tuple[Any, ...] | None


def unpack(x: Any, parts: Parts) -> Any:
    """What `a, (b, c) = x` takes apart, as Python can. An array whose length is known later has as many items as there are
    targets: the program checks it.
    """
    if parts is None:
        return x
    if isinstance(x, Rep) and x.ndim:
        x = _of_length(x, len(parts))
    if isinstance(x, list | tuple) and len(x) == len(parts) and any(part is not None for part in parts):
        return tuple(map(unpack, x, parts))
    return x


def _of_length(x: Rep, n: int) -> Any:
    size = x.shape[0]
    if isinstance(size, int):
        return list(x)
    elementwise.check(size >= n, "ValueError", f"not enough values to unpack (expected {n}, got {{}})", size)
    elementwise.check(size <= n, "ValueError", f"too many values to unpack (expected {n})")
    return list(Rep(rename(x.value, (n, *array_type(x.value).dims[1:]))))
