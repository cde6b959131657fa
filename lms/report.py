"""What a call needs in memory, and what its derivatives keep: `lms.memory(f, *args)`."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lms.ad.differentiate import Differentiate
from lms.backends.llvm import CompiledFunction
from lms.backends.llvm.counting import MADE, PEAK, Group
from lms.core import primitives as p
from lms.core.ir import Node, Value
from lms.core.types import ArrayType, Scalar
from lms.passes.base import room
from lms.passes.clone import clone
from lms.staging import trees

from . import derivatives, pipeline
from .derivatives import as_staged
from .specialization import Specialization

_s, _a = p.scalar, p.array


@dataclass(frozen=True)
class Line:
    """The arrays that one line of the user's program has made: `formulas` are their bytes, where a size is known by name.

    `kept` says whether they are residuals, which are made for the backward half. `peak` bytes of them were live at once,
    in `made` blocks over the whole call.
    """

    file: str
    line: int
    source: str
    kept: bool
    formulas: tuple[str, ...]
    peak: int
    made: int


@dataclass(frozen=True)
class Again:
    """The operations of one line of the user's program that the backward half does again, so that nothing is kept for them."""

    file: str
    line: int
    source: str
    operations: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """The memory of one call, in bytes that were live at once; prints as a table, and below it what is done again instead.

    `residuals` are all arrays kept for the backward half; `records` the frames of calls, what branches keep, and scratch memory;
    `peak` is everything the call made, its results included.
    """

    name: str
    lines: tuple[Line, ...]
    residuals: int
    records: int
    peak: int
    again: tuple[Again, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self._rows())

    __repr__ = __str__

    def _rows(self) -> Iterator[str]:
        yield f"{self.name}: {_bytes(self.peak)} at most, {_bytes(self.residuals)} of them kept for the backward half"
        cells = [("bytes", "made", "kept", "formula", "line")]
        cells += [(f"{x.peak:,}", f"{x.made:,}", "yes" if x.kept else "", " + ".join(x.formulas),
                   f"{Path(x.file).name}:{x.line}: {x.source}") for x in self.lines]
        if self.records:
            cells.append((f"{self.records:,}", "", "", "", "records: frames of calls, results of branches, and scratch memory"))
        widths = [max(len(row[k]) for row in cells) for k in range(4)]
        for row in cells:
            yield f"{row[0]:>{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:<{widths[2]}}  {row[3]:<{widths[3]}}  {row[4]}".rstrip()
        if self.again:
            yield "not kept but done again by the backward half:"
        for x in self.again:
            yield f"  {Path(x.file).name}:{x.line}: {', '.join(x.operations)}: {x.source}"


def _bytes(n: int) -> str:
    size = float(n)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{n:,} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError


def memory(f: Callable[..., Any], *args: Any) -> Report:
    """The memory that a call needs, by line of the user's program, and its peak; with formulas where sizes have names.

    The function runs once on copies of `args`, as native code that counts. A function that holds no derivative and whose result
    is one float stands for its gradient by all arguments that hold floats: the report says what the derivative keeps.
    Raises what the call raises.

        print(lms.memory(lms.grad(lambda x: np.sum(np.exp(x))), np.ones(3)))
    """
    staged = as_staged(f)
    bound = staged.signature.bind(trees.copied(args), {})
    s = staged.found(bound)
    by = tuple(k for k, x in enumerate(args) if _holds_floats(x))
    if by and not s.differentiates and _is_number(s):
        return memory(derivatives.grad(staged, by), *args)
    compiled = s.counting()
    staged.run(s.running(compiled.call_leaves), bound)
    return _report(s, compiled)


def _is_number(s: Specialization) -> bool:
    results = s.staged.main.body.results
    return len(results) == 1 and isinstance(results[0].type, Scalar) and results[0].type.is_float


def _holds_floats(x: Any) -> bool:
    return any(isinstance(leaf, float | np.floating) or (isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f")
               for leaf in trees.flatten(x)[0])


def _report(s: Specialization, compiled: CompiledFunction) -> Report:
    *counts, other, kept, everything = compiled.counts()
    found = [_line(group, count) for group, count in zip(compiled.module.groups or (), counts, strict=True) if count[MADE]]
    return Report(s.staged.main.name, tuple(sorted(found, key=lambda x: (-x.peak, x.file, x.line))), int(kept[PEAK]),
                  int(other[PEAK]), int(everything[PEAK]), tuple(_again(s)))


def _again(s: Specialization) -> Iterator[Again]:
    """What the backward halves do again, by line; names of sizes and parts of arrays are left out."""
    if not s.differentiates:
        return
    differentiate = Differentiate(pipeline.simplify)
    with room():
        differentiate.run(clone(s.staged))
    places: dict[tuple[str, int], dict[str, None]] = {}
    for node in differentiate.again:
        if node.span is not None and node.op is not _a.const and node.op is not _a.dim and node.op.effect.view is None:
            places.setdefault((node.span.file, node.span.line), {})[node.op.name] = None
    for (file, line), names in sorted(places.items()):
        yield Again(file, line, linecache.getline(file, line).strip(), tuple(names))


def _line(group: Group, count: np.ndarray) -> Line:
    file, line = (group.place.file, group.place.line) if group.place else ("", 0)
    formulas = dict.fromkeys(map(formula, group.nodes))
    if "" in formulas:  # arrays that grow
        formulas = {}
    return Line(file, line, linecache.getline(file, line).strip(), group.residual, tuple(formulas), int(count[PEAK]),
                int(count[MADE]))


# ------------------------------------------------------------------------------------------------- formulas


def formula(node: Node) -> str:
    """The bytes of an array in terms of the sizes and numbers the function was given; empty where it cannot be said."""
    t = node.result.type
    assert isinstance(t, ArrayType)
    size = t.dtype.dtype.itemsize if isinstance(t.dtype, Scalar) else 8
    factors = [str(size)]
    for v in node.operands:
        text = _said(v)
        if not text:
            return ""
        factors.append(f"({text})" if " " in text else text)
    return " * ".join(factors)


def _said(v: Value, depth: int = 6) -> str:
    node = v.node
    if node is None or depth == 0:
        return v.name
    if node.op is _a.const:
        return str(node.attrs["value"])
    if node.op is _a.dim:
        t = node.operands[0].type
        assert isinstance(t, ArrayType)
        return str(t.dims[node.attrs["axis"]]).partition("$")[0]
    parts = [_said(x, depth - 1) for x in node.operands]
    if not all(parts):
        return v.name
    if node.op is _s.maximum and "0" in parts:
        return next(x for x in parts if x != "0")
    sign = {_s.add: "+", _s.sub: "-", _s.mul: "*", _s.floordiv: "//"}.get(node.op)
    if sign is None:
        return v.name
    return f" {sign} ".join(f"({x})" if " " in x and sign in "*//" else x for x in parts)
