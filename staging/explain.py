"""`explain`: a function line by line, with what ran now and what was left for later."""

from __future__ import annotations

import linecache
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from lms.core import primitives as p
from lms.core.data import dataclass
from lms.core.ir import Program, Value, walk

from .arguments import Signature
from .functions import trace
from .source.virtualize import is_virtual_code

_SILENT = frozenset((p.array.const,))  # a constant is made for what uses it, and is no step of the program


@dataclass(frozen=True, slots=True)
class Line:
    """One line of source: how often it ran while staging, the operations it left for later, and what is worth knowing of them."""

    number: int
    text: str
    now: int
    later: Counter[str]
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        kind = "later" if self.later else "now" if self.now else ""
        left = ", ".join(name if k == 1 else f"{k} {name}" for name, k in self.later.items())
        times = f"{self.now} times" if self.now > 1 and not self.later and not self.text.endswith(":") else ""
        notes = "; ".join(note for note in (left, times, *self.remarks) if note)
        return f"{self.number:>5} {kind:>5} | {self.text:<60}{'  # ' + notes if notes else ''}".rstrip()


@dataclass(frozen=True, slots=True)
class Explanation:
    """The lines of every function that took part, by file. Prints as a listing."""

    files: dict[str, tuple[Line, ...]]

    def __str__(self) -> str:
        return "\n\n".join("\n".join((file, *map(str, lines))) for file, lines in self.files.items())

    __repr__ = __str__

    def line(self, text: str) -> Line:
        """The first line that holds `text`. Raises `LookupError` if none does."""
        for lines in self.files.values():
            for line in lines:
                if text in line.text:
                    return line
        raise LookupError(text)


def explain(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Explanation:
    """Line by line, what of `f(*args, **kwargs)` ran now, while staging, and what was left for later.

        print(lms.explain(lambda x, n: x**n, 2.0, 5))

    A line that is marked `later` is followed by the operations it became; one that is marked `now` left no trace. Where a sum of
    exponentials may overflow before its logarithm is taken, the line says so.
    """
    function = getattr(f, "body", f)
    signature = getattr(f, "signature", None) or Signature(function)
    ran: dict[str, Counter[int]] = defaultdict(Counter)
    with _watching(ran):
        program = trace(function, signature, signature.bind(args, kwargs)).program
    later, remarks = _later(program), _remarks(program)
    return Explanation({file: tuple(_lines(file, ran[file], later[file], remarks)) for file in dict.fromkeys((*ran, *later))})


@contextmanager
def _watching(ran: dict[str, Counter[int]]) -> Iterator[None]:
    """Count the lines that virtual functions run."""

    def enter(frame: FrameType, event: str, arg: Any) -> Any:
        return line if is_virtual_code(frame.f_code) else None

    def line(frame: FrameType, event: str, arg: Any) -> Any:
        if event == "line":
            ran[frame.f_code.co_filename][frame.f_lineno] += 1
        return line

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        yield
    finally:
        sys.settrace(before)


def _later(program: Program) -> dict[str, dict[int, Counter[str]]]:
    found: dict[str, dict[int, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for function in program.functions.values():
        for node in walk(function.body):
            if node.span is not None and node.op not in _SILENT:
                found[node.span.file][node.span.line][node.op.name] += 1
    return found


def _remarks(program: Program) -> dict[tuple[str, int], tuple[str, ...]]:
    """What is worth knowing, by file and line."""
    found = dict[tuple[str, int], tuple[str, ...]]()
    for function in program.functions.values():
        for node in walk(function.body):
            if node.span is not None and node.op is p.scalar.log and _is_exposed(node.operands[0]):
                found[node.span.file, node.span.line] = ("inf where an exponent is above 709: `lms.logsumexp` is not",)
    return found


def _is_exposed(total: Value) -> bool:
    """Whether a value is a sum of exponentials of what has not been brought down by a subtraction before."""
    summed = total.node
    if summed is None or summed.op is not p.array.reduce_sum:
        return False
    powers = summed.operands[0].node
    if powers is None or powers.op is not p.scalar.exp:
        return False
    exponent = powers.operands[0].node
    return exponent is None or exponent.op not in (p.scalar.sub, p.scalar.neg)


def _lines(file: str, ran: Counter[int], later: dict[int, Counter[str]],
           remarks: dict[tuple[str, int], tuple[str, ...]]) -> Iterator[Line]:
    """The lines from the first to the last that took part."""
    numbers = [*ran, *later]
    for number in range(min(numbers), max(numbers) + 1):
        text = linecache.getline(file, number).rstrip("\n")
        yield Line(number, text, ran[number], later.get(number, Counter()), remarks.get((file, number), ()))
