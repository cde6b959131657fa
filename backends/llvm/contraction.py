"""`contract_into`: sums of products over shared letters, by BLAS where it pays, else by loops of our own.

The letters of a contraction are the rows `m` (left and result), the columns `n` (right and result), the sums `k` (both) and the
rest, over which we loop. At most one letter of each of the three goes to the kernel, the one that is last in its operand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from lms.core import primitives as p
from lms.core.ir import Node
from lms.core.types import ArrayType, Scalar

from .arrays import add, multiply, offset, plus, strides, times
from .control import counted
from .values import Complex, V, literal, llvm_type, parts
from .writer import FAST, Writer, rule

SMALL = 16**3  # products below which we write the loops ourselves, if all sizes are known
_BLAS = {"f32": "s", "f64": "d", "c64": "c", "c128": "z"}
_MODULE = "scipy.linalg.cython_blas"


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
    kernel = dtype.name in _BLAS and not alone and bool(sums) and bool(rows or columns) and not known
    if not kernel:
        _loops(w, c, a, b, size, out, [*sums, *alone], node.attrs["accumulate"])
        return
    inner = (rows[-1:], columns[-1:], sums[-1:])
    m, n, k = (x[0] if x else None for x in inner)
    outer = [x for x in out if x not in (m, n)]
    more = sums[:-1]
    beta = node.attrs["accumulate"]
    if more:  # several sums: the first kernel call may not be the only one
        beta = True
        if not node.attrs["accumulate"]:
            _zero(w, c, size, out)

    def body(index: Sequence[tuple[str, str]]) -> None:
        addresses = [x.at(w, x.data, index) for x in (c, a, b)]
        _gemm(w, dtype, [size[x] if x else "1" for x in (m, n, k)], addresses,
              [[x.strides.get(letter, "1") if letter else "1" for letter in pair]
               for x, pair in ((c, (m, n)), (a, (m, k)), (b, (k, n)))], beta)

    _nest(w, [(x, size[x]) for x in [*outer, *more]], body)


def _known(n: str) -> bool:
    return n.lstrip("-").isdigit()


def _nest(w: Writer, letters: Sequence[tuple[str, str]], body: Callable[[Sequence[tuple[str, str]]], None],
          index: Sequence[tuple[str, str]] = ()) -> None:
    """Nested loops over letters."""
    if not letters:
        body(index)
        return
    (letter, high), *rest = letters

    def run(i: str, _: list[str]) -> list[str]:
        _nest(w, rest, body, [*index, (letter, i)])
        return []

    counted(w, "0", high, [], [], run)


def _zero(w: Writer, c: _Operand, size: dict[str, str], out: str) -> None:
    t = c.t.dtype
    assert isinstance(t, Scalar)
    _nest(w, [(x, size[x]) for x in out], lambda index: w.store(t, literal(0, t), c.at(w, c.data, index), c.meta))


def _loops(w: Writer, c: _Operand, a: _Operand, b: _Operand, size: dict[str, str], out: str, sums: list[str],
           accumulate: bool) -> None:
    """Any contraction. Where the result's last letter runs through memory and no sum does, it is the innermost loop."""
    t = c.t.dtype
    assert isinstance(t, Scalar)
    flags = FAST if t.is_float or t.is_complex else ""
    if sums and out and _unit(a, b, out[-1]) and not _unit(a, b, sums[-1]):
        if not accumulate:
            _zero(w, c, size, out)

        def update(index: Sequence[tuple[str, str]]) -> None:
            at = c.at(w, c.data, index)
            w.store(t, plus(w, t, w.load(t, at, c.meta), product(index), flags), at, c.meta)

        def product(index: Sequence[tuple[str, str]]) -> V:
            return times(w, t, w.load(t, a.at(w, a.data, index), a.meta), w.load(t, b.at(w, b.data, index), b.meta), flags)

        _nest(w, [(x, size[x]) for x in [*out[:-1], *sums, out[-1]]], update)
        return

    def element(index: Sequence[tuple[str, str]]) -> None:
        at = c.at(w, c.data, index)
        first = w.load(t, at, c.meta) if accumulate else literal(0, t)
        w.store(t, total(index, sums, first), at, c.meta)

    def total(index: Sequence[tuple[str, str]], rest: Sequence[str], value: V) -> V:
        if not rest:
            return plus(w, t, value, times(w, t, w.load(t, a.at(w, a.data, index), a.meta),
                                           w.load(t, b.at(w, b.data, index), b.meta), flags), flags)

        def run(i: str, registers: list[str]) -> list[str]:
            return _registers(total([*index, (rest[0], i)], rest[1:], _value(t, registers)))

        return _value(t, counted(w, "0", size[rest[0]], parts(t), _registers(value), run))

    _nest(w, [(x, size[x]) for x in out], element)


def _unit(a: _Operand, b: _Operand, letter: str) -> bool:
    """Whether a letter moves both operands by single elements, or not at all."""
    return all(x.strides.get(letter, "1") == "1" for x in (a, b))


def _registers(v: V) -> list[str]:
    return [v.re, v.im] if isinstance(v, Complex) else [str(v)]


def _value(t: Scalar, registers: Sequence[str]) -> V:
    return Complex(*registers) if t.is_complex else registers[0]


# ------------------------------------------------------------------------------------------------- BLAS


def _gemm(w: Writer, t: Scalar, sizes: Sequence[str], data: Sequence[str], steps: Sequence[Sequence[str]],
          accumulate: bool) -> None:
    """`c[m, n] (+)= sum_k a[m, k] b[k, n]` by a helper that looks at the strides."""
    name = w.module.helper(f"lms_gemm_{t.name}", lambda: gemm_text(t))
    w.module.imports[f"lms_blas_{_BLAS[t.name]}gemm"] = (_MODULE, f"{_BLAS[t.name]}gemm")
    w.module.declares.add("declare i64 @llvm.smax.i64(i64, i64)")
    arguments = [f"i64 {x}" for x in sizes]
    for address, pair in zip(data, steps, strict=True):
        arguments += [f"ptr {address}", *(f"i64 {x}" for x in pair)]
    w.do(f"call void @{name}({', '.join(arguments)}, i1 {'true' if accumulate else 'false'})")


def gemm_text(t: Scalar) -> str:
    """The helper. BLAS counts columns first, so it is given the transposed product, `c' = b' a'`, or, where the rows of `c` lie
    closer, `c = a b` itself; strides that BLAS cannot express go to plain loops."""
    lt, letter = llvm_type(t), _BLAS[t.name]
    one = f"{{ {lt}, {lt} }} {{ {lt} 1.0, {lt} 0.0 }}" if t.is_complex else f"{lt} 1.0"
    nought = f"{{ {lt}, {lt} }} zeroinitializer" if t.is_complex else f"{lt} 0.0"
    number = f"{{ {lt}, {lt} }}" if t.is_complex else lt
    value, zero = one.removeprefix(number), nought.removeprefix(number)
    return f"""
@lms_gemm_{t.name}_one = private constant {number}{value}
@lms_gemm_{t.name}_zero = private constant {number}{zero}
declare void @lms_blas_{letter}gemm(ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr)

; whether BLAS can address a matrix, and how: steps along what BLAS calls rows and columns -> transposed?, leading size
define internal {{ i1, i1, i64 }} @lms_leading_{t.name}(i64 %rows, i64 %columns, i64 %row, i64 %column) alwaysinline nounwind {{
  %thin = icmp sle i64 %columns, 1
  %flat = icmp sle i64 %rows, 1
  %row_unit = icmp eq i64 %row, 1
  %plain = or i1 %row_unit, %flat
  %least = call i64 @llvm.smax.i64(i64 %rows, i64 1)
  %lead = select i1 %thin, i64 %least, i64 %column
  %enough = icmp sge i64 %lead, %least
  %normal = and i1 %plain, %enough
  %column_unit = icmp eq i64 %column, 1
  %turned = or i1 %column_unit, %thin
  %least_turned = call i64 @llvm.smax.i64(i64 %columns, i64 1)
  %lead_turned = select i1 %flat, i64 %least_turned, i64 %row
  %enough_turned = icmp sge i64 %lead_turned, %least_turned
  %transposed = and i1 %turned, %enough_turned
  %fits = or i1 %normal, %transposed
  %leading = select i1 %normal, i64 %lead, i64 %lead_turned
  %small = icmp slt i64 %leading, 2147483648
  %usable = and i1 %fits, %small
  %flip = xor i1 %normal, true
  %r0 = insertvalue {{ i1, i1, i64 }} poison, i1 %usable, 0
  %r1 = insertvalue {{ i1, i1, i64 }} %r0, i1 %flip, 1
  %r2 = insertvalue {{ i1, i1, i64 }} %r1, i64 %leading, 2
  ret {{ i1, i1, i64 }} %r2
}}

define internal void @lms_gemm_{t.name}(i64 %m, i64 %n, i64 %k, ptr %c, i64 %cm, i64 %cn, ptr %a, i64 %am, i64 %ak,
                                        ptr %b, i64 %bk, i64 %bn, i1 %add) noinline nounwind {{
entry:
  %ip = alloca [6 x i32], align 4
  %flags = alloca [2 x i8], align 1
  %biggest.0 = call i64 @llvm.smax.i64(i64 %m, i64 %n)
  %biggest = call i64 @llvm.smax.i64(i64 %biggest.0, i64 %k)
  %small = icmp slt i64 %biggest, 2147483648
  %swap = icmp ne i64 %cn, 1
  ; BLAS rows are n, columns m; or, swapped, rows m and columns n
  %rows = select i1 %swap, i64 %m, i64 %n
  %columns = select i1 %swap, i64 %n, i64 %m
  %c_row = select i1 %swap, i64 %cm, i64 %cn
  %c_column = select i1 %swap, i64 %cn, i64 %cm
  %x = select i1 %swap, ptr %a, ptr %b
  %x_row = select i1 %swap, i64 %am, i64 %bn
  %x_column = select i1 %swap, i64 %ak, i64 %bk
  %y = select i1 %swap, ptr %b, ptr %a
  %y_row = select i1 %swap, i64 %bk, i64 %ak
  %y_column = select i1 %swap, i64 %bn, i64 %am
  %c3 = call {{ i1, i1, i64 }} @lms_leading_{t.name}(i64 %rows, i64 %columns, i64 %c_row, i64 %c_column)
  %x3 = call {{ i1, i1, i64 }} @lms_leading_{t.name}(i64 %rows, i64 %k, i64 %x_row, i64 %x_column)
  %y3 = call {{ i1, i1, i64 }} @lms_leading_{t.name}(i64 %k, i64 %columns, i64 %y_row, i64 %y_column)
  %c_fits = extractvalue {{ i1, i1, i64 }} %c3, 0
  %c_turned = extractvalue {{ i1, i1, i64 }} %c3, 1
  %x_fits = extractvalue {{ i1, i1, i64 }} %x3, 0
  %y_fits = extractvalue {{ i1, i1, i64 }} %y3, 0
  %c_plain = xor i1 %c_turned, true
  %f0 = and i1 %c_fits, %c_plain
  %f1 = and i1 %x_fits, %y_fits
  %f2 = and i1 %f0, %f1
  %fits = and i1 %f2, %small
  br i1 %fits, label %blas, label %plain
blas:
  %x_turned = extractvalue {{ i1, i1, i64 }} %x3, 1
  %y_turned = extractvalue {{ i1, i1, i64 }} %y3, 1
  %tx = select i1 %x_turned, i8 84, i8 78
  %ty = select i1 %y_turned, i8 84, i8 78
  %flag1 = getelementptr i8, ptr %flags, i64 1
  store i8 %tx, ptr %flags
  store i8 %ty, ptr %flag1
  %i1 = getelementptr i32, ptr %ip, i64 1
  %i2 = getelementptr i32, ptr %ip, i64 2
  %i3 = getelementptr i32, ptr %ip, i64 3
  %i4 = getelementptr i32, ptr %ip, i64 4
  %i5 = getelementptr i32, ptr %ip, i64 5
  %rows32 = trunc i64 %rows to i32
  %columns32 = trunc i64 %columns to i32
  %k32 = trunc i64 %k to i32
  %ldx = extractvalue {{ i1, i1, i64 }} %x3, 2
  %ldx32 = trunc i64 %ldx to i32
  %ldy = extractvalue {{ i1, i1, i64 }} %y3, 2
  %ldy32 = trunc i64 %ldy to i32
  %ldc = extractvalue {{ i1, i1, i64 }} %c3, 2
  %ldc32 = trunc i64 %ldc to i32
  store i32 %rows32, ptr %ip
  store i32 %columns32, ptr %i1
  store i32 %k32, ptr %i2
  store i32 %ldx32, ptr %i3
  store i32 %ldy32, ptr %i4
  store i32 %ldc32, ptr %i5
  %beta = select i1 %add, ptr @lms_gemm_{t.name}_one, ptr @lms_gemm_{t.name}_zero
  call void @lms_blas_{letter}gemm(ptr %flags, ptr %flag1, ptr %ip, ptr %i1, ptr %i2, ptr @lms_gemm_{t.name}_one,
                                   ptr %x, ptr %i3, ptr %y, ptr %i4, ptr %beta, ptr %c, ptr %i5)
  ret void
plain:
  br label %row
row:
  %i = phi i64 [ 0, %plain ], [ %i.next, %row.end ]
  %row.more = icmp slt i64 %i, %m
  br i1 %row.more, label %column.start, label %done
column.start:
  br label %column
column:
  %j = phi i64 [ 0, %column.start ], [ %j.next, %sum.end ]
  %column.more = icmp slt i64 %j, %n
  br i1 %column.more, label %element, label %row.end
element:
  %c.i = mul i64 %i, %cm
  %c.j = mul i64 %j, %cn
  %c.ij = add i64 %c.i, %c.j
  %c.at = getelementptr {number}, ptr %c, i64 %c.ij
{_start(t)}  br label %sum
sum:
  %l = phi i64 [ 0, %element ], [ %l.next, %term ]
{_phis(t)}  %sum.more = icmp slt i64 %l, %k
  br i1 %sum.more, label %term, label %sum.end
term:
  %a.i = mul i64 %i, %am
  %a.l = mul i64 %l, %ak
  %a.il = add i64 %a.i, %a.l
  %a.at = getelementptr {number}, ptr %a, i64 %a.il
  %b.l = mul i64 %l, %bk
  %b.j = mul i64 %j, %bn
  %b.lj = add i64 %b.l, %b.j
  %b.at = getelementptr {number}, ptr %b, i64 %b.lj
{_term(t)}  %l.next = add i64 %l, 1
  br label %sum
sum.end:
{_finish(t)}  %j.next = add i64 %j, 1
  br label %column
row.end:
  %i.next = add i64 %i, 1
  br label %row
done:
  ret void
}}
"""


def _start(t: Scalar) -> str:
    lt, zero = llvm_type(t), "0.0"
    text = ""
    for part, k in _halves(t):
        text += (f"  %c.at{part} = getelementptr {lt}, ptr %c.at, i64 {k}\n  %c.old{part} = load {lt}, ptr %c.at{part}\n"
                 f"  %c.first{part} = select i1 %add, {lt} %c.old{part}, {lt} {zero}\n")
    return text


def _halves(t: Scalar) -> list[tuple[str, int]]:
    return [(".re", 0), (".im", 1)] if t.is_complex else [(".re", 0)]


def _phis(t: Scalar) -> str:
    return "".join(f"  %s{part} = phi {llvm_type(t)} [ %c.first{part}, %element ], [ %s.next{part}, %term ]\n"
                   for part, _ in _halves(t))


def _term(t: Scalar) -> str:
    lt, text = llvm_type(t), ""
    for v in "ab":
        for part, k in _halves(t):
            text += f"  %{v}.at{part} = getelementptr {lt}, ptr %{v}.at, i64 {k}\n  %{v}{part} = load {lt}, ptr %{v}.at{part}\n"
    if not t.is_complex:
        return text + f"  %ab = fmul contract {lt} %a.re, %b.re\n  %s.next.re = fadd contract {lt} %s.re, %ab\n"
    return text + (f"  %rr = fmul {lt} %a.re, %b.re\n  %ii = fmul {lt} %a.im, %b.im\n  %ri = fmul {lt} %a.re, %b.im\n"
                   f"  %ir = fmul {lt} %a.im, %b.re\n  %re = fsub {lt} %rr, %ii\n  %im = fadd {lt} %ri, %ir\n"
                   f"  %s.next.re = fadd {lt} %s.re, %re\n  %s.next.im = fadd {lt} %s.im, %im\n")


def _finish(t: Scalar) -> str:
    return "".join(f"  store {llvm_type(t)} %s{part}, ptr %c.at{part}\n" for part, _ in _halves(t))
