"""`contract_into`: sums of products over shared letters, by BLAS where it pays, else by loops of our own.

The letters of a contraction are the rows `m` (left and result), the columns `n` (right and result), the sums `k` (both) and the
rest, over which we loop. At most one letter of each of the three goes to the kernel, the one that is last in its operand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from lms.core import primitives as p
from lms.core.data import dataclass
from lms.core.errors import Span
from lms.core.ir import Node
from lms.core.types import ArrayType, Scalar

from . import blas
from .arrays import add, multiply, offset, plus, strides, times
from .control import ITERATION, charge, counted, poll
from .values import Complex, V, literal, parts
from .writer import FAST, Writer, rule

SMALL = 16**3  # products below which we write the loops ourselves, if all sizes are known


@dataclass(frozen=True, slots=True)
class _Operand:
    """An array and the stride of each of its letters; other letters do not move it."""

    t: ArrayType
    data: str
    strides: dict[str, str]
    meta: str

    def at(self, w: Writer, data: str, index: Sequence[tuple[str, str]]) -> str:
        """The address after moving along some letters."""
        at = "0"
        for letter, i in index:
            if letter in self.strides:
                at = add(w, at, multiply(w, i, self.strides[letter]))
        return offset(w, self.t, data, at)


@rule(p.array.contract_into)
def _contract_into(w: Writer, node: Node) -> None:
    left, right, out = node.attrs["spec"]
    size: dict[str, str] = {}
    operands = []
    for v, letters in zip(node.operands, (out, left, right), strict=True):
        t, handle = w.array(v)
        size.update(zip(letters, handle.dims, strict=True))
        operands.append(_Operand(t, handle.data, dict(zip(letters, strides(w, handle), strict=True)), w.meta(v)))
    c, a, b = operands
    dtype = c.t.dtype
    assert isinstance(dtype, Scalar)
    rows = [x for x in out if x in left and x not in right]
    columns = [x for x in out if x in right and x not in left]
    sums = [x for x in left if x in right and x not in out]
    alone = [x for x in left + right if x not in out and x not in sums]
    known = all(_known(n) for n in size.values()) and prod(int(n) for n in size.values()) <= SMALL
    kernel = dtype.name in blas.LETTER and not alone and bool(sums) and bool(rows or columns) and not known
    if not kernel:
        _loops(w, c, a, b, size, out, [*sums, *alone], node)
        return
    inner = (rows[-1:], columns[-1:], sums[-1:])
    m, n, k = (x[0] if x else None for x in inner)
    outer = [x for x in out if x not in (m, n)]
    more = sums[:-1]
    beta = node.attrs["accumulate"]
    if more:  # several sums: the first kernel call may not be the only one
        beta = True
        if not node.attrs["accumulate"]:
            _zero(w, c, size, out, node.span)

    def body(index: Sequence[tuple[str, str]]) -> None:
        at = [x.at(w, x.data, index) for x in (c, a, b)]

        def steps(x: _Operand, *letters: str | None) -> list[str]:
            return [x.strides.get(letter, "1") if letter else "1" for letter in letters]

        if m is None or n is None:  # a matrix times a vector
            vector, matrix = (1, 2) if m is None else (2, 1)
            rows_ = n if m is None else m
            _call_blas(w, "gemv", dtype, [size[rows_ or ""], size[k or ""]],
                       [(at[matrix], steps(operands[matrix], rows_, k)), (at[vector], steps(operands[vector], k)),
                        (at[0], steps(c, rows_))], beta)
        else:
            _call_blas(w, "gemm", dtype, [size[x or ""] for x in (m, n, k)],
                       [(at[0], steps(c, m, n)), (at[1], steps(a, m, k)), (at[2], steps(b, k, n))], beta)

    _nest(w, [(x, size[x]) for x in [*outer, *more]], body, node.span)


def _known(n: str) -> bool:
    return n.lstrip("-").isdigit()


def _nest(w: Writer, letters: Sequence[tuple[str, str]], body: Callable[[Sequence[tuple[str, str]]], None],
          span: Span | None, index: Sequence[tuple[str, str]] = ()) -> None:
    """Nested loops over letters. The outermost polls, unless all sizes are known: then it is short."""
    if not letters:
        body(index)
        return
    (letter, high), *rest = letters

    def run(i: str, _: list[str]) -> list[str]:
        _nest(w, rest, body, span, [*index, (letter, i)])
        return []

    def tail() -> None:
        charge(w, str(ITERATION))
        poll(w, span)

    polls = w.module.options.poll and not index and len(letters) > 1 and not all(_known(n) for _, n in letters)
    counted(w, "0", high, [], [], run, tail if polls else None)


def _zero(w: Writer, c: _Operand, size: dict[str, str], out: str, span: Span | None) -> None:
    t = c.t.dtype
    assert isinstance(t, Scalar)
    _nest(w, [(x, size[x]) for x in out], lambda index: w.store(t, literal(0, t), c.at(w, c.data, index), c.meta), span)


def _loops(w: Writer, c: _Operand, a: _Operand, b: _Operand, size: dict[str, str], out: str, sums: list[str],
           node: Node) -> None:
    """Any contraction. Where the result's last letter runs through memory and no sum does, it is the innermost loop."""
    t, accumulate = c.t.dtype, node.attrs["accumulate"]
    assert isinstance(t, Scalar)
    flags = FAST if t.is_float or t.is_complex else ""
    if sums and out and _unit(a, b, out[-1]) and not _unit(a, b, sums[-1]):
        if not accumulate:
            _zero(w, c, size, out, node.span)

        def update(index: Sequence[tuple[str, str]]) -> None:
            at = c.at(w, c.data, index)
            w.store(t, plus(w, t, w.load(t, at, c.meta), product(index), flags), at, c.meta)

        def product(index: Sequence[tuple[str, str]]) -> V:
            return times(w, t, w.load(t, a.at(w, a.data, index), a.meta), w.load(t, b.at(w, b.data, index), b.meta), flags)

        _nest(w, [(x, size[x]) for x in [*out[:-1], *sums, out[-1]]], update, node.span)
        return

    def element(index: Sequence[tuple[str, str]]) -> None:
        at = c.at(w, c.data, index)
        first = w.load(t, at, c.meta) if accumulate else literal(0, t)
        w.store(t, total(index, sums, first), at, c.meta)

    def total(index: Sequence[tuple[str, str]], rest: Sequence[str], value: V) -> V:
        if not rest:
            x, y = (w.load(t, each.at(w, each.data, index), each.meta) for each in (a, b))
            return plus(w, t, value, times(w, t, x, y, flags), flags)

        def run(i: str, registers: list[str]) -> list[str]:
            return _registers(total([*index, (rest[0], i)], rest[1:], _value(t, registers)))

        return _value(t, counted(w, "0", size[rest[0]], parts(t), _registers(value), run))

    _nest(w, [(x, size[x]) for x in out], element, node.span)


def _unit(a: _Operand, b: _Operand, letter: str) -> bool:
    """Whether a letter moves both operands by single elements, or not at all."""
    return all(x.strides.get(letter, "1") == "1" for x in (a, b))


def _registers(v: V) -> list[str]:
    return [v.re, v.im] if isinstance(v, Complex) else [str(v)]


def _value(t: Scalar, registers: Sequence[str]) -> V:
    return Complex(*registers) if t.is_complex else registers[0]


def _call_blas(w: Writer, kind: str, t: Scalar, sizes: Sequence[str], operands: Sequence[tuple[str, Sequence[str]]],
               accumulate: bool) -> None:
    """A product by a function of our library, which looks at the strides."""
    w.module.declares.add(blas.DECLARATIONS[kind].format(t.name))
    arguments = [f"i64 {x}" for x in sizes]
    for address, steps in operands:
        arguments += [f"ptr {address}", *(f"i64 {x}" for x in steps)]
    w.do(f"call void @lms_{kind}_{t.name}({', '.join(arguments)}, i1 {'true' if accumulate else 'false'})")
