"""Products by SciPy's BLAS: functions that turn sizes and strides into its calls, and do what it cannot by loops.

They belong to a library of ours, which is compiled once for each type of number. Small products are left to `products.py`;
the first that is not has SciPy loaded, which takes as long as a compilation, and starts threads that wait busily.

BLAS counts columns first and takes everything by reference, sizes as 32-bit integers.
"""

from __future__ import annotations

import ctypes
from functools import cache
from importlib.util import find_spec

from lms.core.types import SCALARS, Scalar

from . import extensions, products
from .values import llvm_type

LETTER = {"f32": "s", "f64": "d", "c64": "c", "c128": "z"}
MODULE = "scipy.linalg.cython_blas"


def gemm(t: Scalar) -> str:
    """`c[m, n] (+)= sum_k a[m, k] b[k, n]`. BLAS is given the transposed product, `c' = b' a'`, or, where the rows of `c` lie
    closer, `c = a b` itself; strides that BLAS cannot express go to plain loops."""
    lt, letter = llvm_type(t), LETTER[t.name]
    one = f"{{ {lt}, {lt} }} {{ {lt} 1.0, {lt} 0.0 }}" if t.is_complex else f"{lt} 1.0"
    nought = f"{{ {lt}, {lt} }} zeroinitializer" if t.is_complex else f"{lt} 0.0"
    number = f"{{ {lt}, {lt} }}" if t.is_complex else lt
    value, zero = one.removeprefix(number), nought.removeprefix(number)
    return f"""
@lms_gemm_{t.name}_one = private constant {number}{value}
@lms_gemm_{t.name}_zero = private constant {number}{zero}
{_found(letter + "gemm")}
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

define void @lms_gemm_{t.name}(i64 %m, i64 %n, i64 %k, ptr %c, i64 %cm, i64 %cn, ptr %a, i64 %am, i64 %ak,
                                        ptr %b, i64 %bk, i64 %bn, i1 %add) noinline nounwind {{
entry:
  %ip = alloca [6 x i32], align 4
  %flags = alloca [2 x i8], align 1
  %biggest.0 = call i64 @llvm.smax.i64(i64 %m, i64 %n)
  %biggest = call i64 @llvm.smax.i64(i64 %biggest.0, i64 %k)
  %small = icmp slt i64 %biggest, 2147483648
  %swap = icmp ne i64 %cn, 1
{_small(t)}  ; BLAS rows are n, columns m; or, swapped, rows m and columns n
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
  br i1 %fits, label %find, label %plain
find:
  %gemm = call ptr @lms_found_{letter}gemm()
  %found = icmp ne ptr %gemm, null
  br i1 %found, label %blas, label %plain
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
  call void %gemm(ptr %flags, ptr %flag1, ptr %ip, ptr %i1, ptr %i2, ptr @lms_gemm_{t.name}_one,
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


def _small(t: Scalar) -> str:
    """What is small enough for `products.py` goes there, with the rows of `c` where they lie close."""
    if t.is_complex:
        return ""
    taken = f"call void @lms_product_{t.name}("
    return f"""
  %thinnest = call i64 @llvm.smin.i64(i64 %m, i64 %n)
  %thick = icmp sge i64 %thinnest, {products.THICK}
  %most = select i1 %thick, i64 {products.MOST}, i64 {products.FEW}
  %narrow = icmp sle i64 %biggest, {products.MOST}
  %mn = mul i64 %m, %n
  %mnk = mul i64 %mn, %k
  %few = icmp sle i64 %mnk, %most
  %some = icmp sgt i64 %mnk, 0
  %c_unit = icmp eq i64 %cm, 1
  %c_close = select i1 %swap, i1 %c_unit, i1 true
  %p0 = and i1 %narrow, %few
  %p1 = and i1 %some, %c_close
  %little = and i1 %p0, %p1
  br i1 %little, label %product, label %large
product:
  br i1 %swap, label %swapped, label %straight
straight:
  {taken}i64 %m, i64 %n, i64 %k, ptr %c, i64 %cm, ptr %a, i64 %am, i64 %ak, ptr %b, i64 %bk, i64 %bn, i1 %add)
  ret void
swapped:
  {taken}i64 %n, i64 %m, i64 %k, ptr %c, i64 %cn, ptr %b, i64 %bn, i64 %bk, ptr %a, i64 %ak, i64 %am, i1 %add)
  ret void
large:
"""


def _found(name: str) -> str:
    """A function that answers with the address of one of BLAS, found when first asked for; null where it cannot be had."""
    return f"""
@lms_blas_{name} = internal global ptr null
@lms_name_{name} = private constant [{len(name) + 1} x i8] c"{name}\\00"
define internal ptr @lms_found_{name}() nounwind {{
  %known = load atomic ptr, ptr @lms_blas_{name} monotonic, align 8
  %is = icmp ne ptr %known, null
  br i1 %is, label %there, label %find
there:
  ret ptr %known
find:
  call void @lms_find_blas(ptr @lms_name_{name}, ptr @lms_blas_{name})
  %found = load atomic ptr, ptr @lms_blas_{name} monotonic, align 8
  ret ptr %found
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


def gemv(t: Scalar) -> str:
    """`y[m] (+)= sum_k a[m, k] x[k]`; what BLAS cannot address is left to `gemm`, whose loops can."""
    letter = LETTER[t.name]
    return f"""{_found(letter + "gemv")}
define void @lms_gemv_{t.name}(i64 %m, i64 %k, ptr %a, i64 %am, i64 %ak, ptr %x, i64 %xs, ptr %y, i64 %ys, i1 %add)
    noinline nounwind {{
entry:
  %ip = alloca [5 x i32], align 4
  %flag = alloca i8, align 1
  %biggest = call i64 @llvm.smax.i64(i64 %m, i64 %k)
  %x.single = icmp sle i64 %k, 1
  %y.single = icmp sle i64 %m, 1
  %incx = select i1 %x.single, i64 1, i64 %xs
  %incy = select i1 %y.single, i64 1, i64 %ys
  %step = call i64 @llvm.smax.i64(i64 %incx, i64 %incy)
  %most = call i64 @llvm.smax.i64(i64 %biggest, i64 %step)
  %small = icmp slt i64 %most, 2147483648
  %x.forward = icmp sgt i64 %incx, 0
  %y.forward = icmp sgt i64 %incy, 0
  %some = icmp sgt i64 %k, 0
  %a3 = call {{ i1, i1, i64 }} @lms_leading_{t.name}(i64 %m, i64 %k, i64 %am, i64 %ak)
  %a.fits = extractvalue {{ i1, i1, i64 }} %a3, 0
  %f0 = and i1 %small, %x.forward
  %f1 = and i1 %y.forward, %some
  %f2 = and i1 %f0, %f1
  %fits = and i1 %f2, %a.fits
  br i1 %fits, label %find, label %plain
find:
  %gemv = call ptr @lms_found_{letter}gemv()
  %found = icmp ne ptr %gemv, null
  br i1 %found, label %blas, label %plain
blas:
  %turned = extractvalue {{ i1, i1, i64 }} %a3, 1
  %lda = extractvalue {{ i1, i1, i64 }} %a3, 2
  %trans = select i1 %turned, i8 84, i8 78
  store i8 %trans, ptr %flag
  %rows = select i1 %turned, i64 %k, i64 %m
  %columns = select i1 %turned, i64 %m, i64 %k
  %rows32 = trunc i64 %rows to i32
  %columns32 = trunc i64 %columns to i32
  %lda32 = trunc i64 %lda to i32
  %incx32 = trunc i64 %incx to i32
  %incy32 = trunc i64 %incy to i32
  %i1 = getelementptr i32, ptr %ip, i64 1
  %i2 = getelementptr i32, ptr %ip, i64 2
  %i3 = getelementptr i32, ptr %ip, i64 3
  %i4 = getelementptr i32, ptr %ip, i64 4
  store i32 %rows32, ptr %ip
  store i32 %columns32, ptr %i1
  store i32 %lda32, ptr %i2
  store i32 %incx32, ptr %i3
  store i32 %incy32, ptr %i4
  %beta = select i1 %add, ptr @lms_gemm_{t.name}_one, ptr @lms_gemm_{t.name}_zero
  call void %gemv(ptr %flag, ptr %ip, ptr %i1, ptr @lms_gemm_{t.name}_one, ptr %a, ptr %i2, ptr %x, ptr %i3,
                  ptr %beta, ptr %y, ptr %i4)
  ret void
plain:
  call void @lms_gemm_{t.name}(i64 %m, i64 1, i64 %k, ptr %y, i64 %ys, i64 1, ptr %a, i64 %am, i64 %ak, ptr %x, i64 %xs, i64 1,
                               i1 %add)
  ret void
}}
"""


DECLARATIONS = {  # what calls of them look like; `{}` is the type
    "gemm": f"declare void @lms_gemm_{{}}({', '.join(['i64'] * 3 + ['ptr', 'i64', 'i64'] * 3 + ['i1'])}) nounwind",
    "gemv": "declare void @lms_gemv_{}(i64, i64, ptr, i64, i64, ptr, i64, ptr, i64, i1) nounwind",
}


def library(name: str) -> tuple[str, tuple[str, ...]] | None:
    """The text of the library that has the function `lms_gemm_f64` or one like it, and the names it defines."""
    if not name.startswith(("lms_gemm_", "lms_gemv_")):
        return None
    t = SCALARS[name.rpartition("_")[2]]
    small = "" if t.is_complex else products.product(t)
    text = gemm(t) + gemv(t) + small + "declare void @lms_find_blas(ptr, ptr)\ndeclare i64 @llvm.smax.i64(i64, i64)\n"
    return text, (f"lms_gemm_{t.name}", f"lms_gemv_{t.name}")


def address(name: str) -> int | None:
    """The address of `lms_find_blas`, for such a library. Raises `ImportError` where there is no SciPy."""
    if name != "lms_find_blas":
        return None
    if find_spec("scipy") is None:
        raise ImportError("products of matrices need SciPy's BLAS, and SciPy is not installed", name="scipy")
    return ctypes.cast(_finder(), ctypes.c_void_p).value


@cache
def _finder() -> ctypes._FuncPointer:
    return ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_void_p)(_find)  # it takes the GIL itself


def _find(name: bytes, place: int) -> None:
    """Put the address of a function of BLAS into a word of compiled code. What is raised is shown; products are loops then."""
    ctypes.c_void_p.from_address(place).value = extensions.function(MODULE, name.decode())
