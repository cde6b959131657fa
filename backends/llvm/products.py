"""Small products of matrices, without BLAS: SciPy's takes longer to load than a hundred thousand of them.

    void lms_product_f64(i64 m, i64 n, i64 k, ptr c, i64 cm, ptr a, i64 am, i64 ak, ptr b, i64 bk, i64 bn, i1 add)

is `c[m, n] (+)= sum_k a[m, k] b[k, n]`, where the rows of `c` lie close and no size is 0. A block of the result, some rows by
some vectors, stays in registers while the sums run; the last columns are masked, and of the last rows those that are missing
are another's, not stored. Where the rows of `b` do not lie close they are copied first.

What is small takes as long as in OpenBLAS, or less. Sizes alone decide: a product has the same bits each time.

Source: Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication (2008), section 4, its innermost kernel.
"""

from __future__ import annotations

from lms.core.types import Scalar

from .values import llvm_type
from .vecmath import widths

ROWS = 4         # of a block; its columns are one or two vectors
THICK = ROWS     # rows and columns from which on a small product is one
MOST = 1 << 15   # of so many multiplications at most,
FEW = 512        # or, where it is thinner, of so few


def product(t: Scalar) -> str:
    """The function's text, and what it calls."""
    block = _Block(t)
    number = llvm_type(t)
    return f"""
define internal void @lms_product_rows(i64 %m, i64 %n, i64 %k, ptr %c, i64 %cm, ptr %a, i64 %am, i64 %ak, ptr %b, i64 %bk,
                                       i1 %add) nounwind {{
entry:
  %whole = and i64 %n, -{2 * block.lanes}
  %rest = sub i64 %n, %whole
{block.mask("low", 0)}{block.mask("high", block.lanes)}  %wide = icmp sgt i64 %rest, {block.lanes}
  br label %rows
rows:
  %i = phi i64 [ 0, %entry ], [ %i.next, %rows.end ]
  %rows.more = icmp slt i64 %i, %m
  br i1 %rows.more, label %block, label %done
block:
  %left = sub i64 %m, %i
  %last = sub i64 %left, 1
{"".join(block.row(r) for r in range(ROWS))}  br label %columns
columns:
  %j = phi i64 [ 0, %block ], [ %j.next, %whole.end ]
  %columns.more = icmp slt i64 %j, %whole
  br i1 %columns.more, label %whole.start, label %tail
{block.text("whole", "%j", ["", ""])}whole.end:
  %j.next = add i64 %j, {2 * block.lanes}
  br label %columns
tail:
  %some = icmp sgt i64 %rest, 0
  br i1 %some, label %some.columns, label %rows.end
some.columns:
  br i1 %wide, label %two.start, label %one.start
{block.text("two", "%whole", ["%low", "%high"])}two.end:
  br label %rows.end
{block.text("one", "%whole", ["%low"])}one.end:
  br label %rows.end
rows.end:
  %i.next = add i64 %i, {ROWS}
  br label %rows
done:
  ret void
}}

define void @lms_product_{t.name}(i64 %m, i64 %n, i64 %k, ptr %c, i64 %cm, ptr %a, i64 %am, i64 %ak, ptr %b, i64 %bk, i64 %bn,
                                  i1 %add) noinline nounwind {{
entry:
  %close = icmp eq i64 %bn, 1
  br i1 %close, label %there, label %copy
there:
  call void @lms_product_rows(i64 %m, i64 %n, i64 %k, ptr %c, i64 %cm, ptr %a, i64 %am, i64 %ak, ptr %b, i64 %bk, i1 %add)
  ret void
copy:
  %size = mul i64 %k, %n
  %room = alloca {number}, i64 %size, align 64
  br label %column
column:
  %j = phi i64 [ 0, %copy ], [ %j.next, %column.end ]
  %b.j = mul i64 %j, %bn
  %from = getelementptr {number}, ptr %b, i64 %b.j
  %to = getelementptr {number}, ptr %room, i64 %j
  br label %element
element:
  %l = phi i64 [ 0, %column ], [ %l.next, %element ]
  %b.l = mul i64 %l, %bk
  %b.at = getelementptr {number}, ptr %from, i64 %b.l
  %x = load {number}, ptr %b.at
  %r.l = mul i64 %l, %n
  %r.at = getelementptr {number}, ptr %to, i64 %r.l
  store {number} %x, ptr %r.at
  %l.next = add i64 %l, 1
  %element.more = icmp slt i64 %l.next, %k
  br i1 %element.more, label %element, label %column.end
column.end:
  %j.next = add i64 %j, 1
  %column.more = icmp slt i64 %j.next, %n
  br i1 %column.more, label %column, label %copied
copied:
  call void @lms_product_rows(i64 %m, i64 %n, i64 %k, ptr %c, i64 %cm, ptr %a, i64 %am, i64 %ak, ptr %room, i64 %n, i1 %add)
  ret void
}}
{block.declarations}declare i64 @llvm.smin.i64(i64, i64)
"""


class _Block:
    """A block of the result: its rows, and the text that computes it."""

    def __init__(self, t: Scalar) -> None:
        self.number, self.bytes = llvm_type(t), t.dtype.itemsize
        self.lanes = lanes = widths()[-1] // self.bytes
        self.vector, self.bits = f"<{lanes} x {self.number}>", f"<{lanes} x i1>"
        self.suffix = f"v{lanes}f{8 * self.bytes}"
        self.declarations = (
            f"declare {self.vector} @llvm.masked.load.{self.suffix}.p0(ptr, i32, {self.bits}, {self.vector})\n"
            f"declare void @llvm.masked.store.{self.suffix}.p0({self.vector}, ptr, i32, {self.bits})\n"
            f"declare {self.vector} @llvm.fmuladd.{self.suffix}({self.vector}, {self.vector}, {self.vector})\n")

    def mask(self, name: str, first: int) -> str:
        """Which of a vector's columns there are, when `%rest` columns are left."""
        wide = f"<{self.lanes} x i64>"
        count = ", ".join(f"i64 {first + k}" for k in range(self.lanes))
        return (f"  %{name}.rest = insertelement {wide} poison, i64 %rest, i64 0\n"
                f"  %{name}.all = shufflevector {wide} %{name}.rest, {wide} poison, <{self.lanes} x i32> zeroinitializer\n"
                f"  %{name} = icmp slt {wide} <{count}>, %{name}.all\n")

    def row(self, r: int) -> str:
        """Where a row of the block starts, in `a` and in `c`; a row too many is the last one again."""
        return (f"  %r{r} = call i64 @llvm.smin.i64(i64 {r}, i64 %last)\n  %i{r} = add i64 %i, %r{r}\n"
                f"  %a.i{r} = mul i64 %i{r}, %am\n  %a{r} = getelementptr {self.number}, ptr %a, i64 %a.i{r}\n"
                f"  %c.i{r} = mul i64 %i{r}, %cm\n  %c{r} = getelementptr {self.number}, ptr %c, i64 %c.i{r}\n")

    def text(self, name: str, column: str, masks: list[str]) -> str:
        """From the label `name.start` to `name.end`: a block from `column` on, with a vector for each mask."""
        v, x = self.vector, name
        vectors = range(len(masks))
        lines = [f"{x}.start:"]
        lines += [f"  %{x}.b{q} = getelementptr {self.number}, ptr %b, i64 {column}" for q in vectors[:1]]
        lines += [f"  br label %{x}.sum", f"{x}.sum:", f"  %{x}.l = phi i64 [ 0, %{x}.start ], [ %{x}.l.next, %{x}.sum ]",
                  f"  %{x}.b = phi ptr [ %{x}.b0, %{x}.start ], [ %{x}.b.next, %{x}.sum ]"]
        lines += [f"  %{x}.a{r} = phi ptr [ %a{r}, %{x}.start ], [ %{x}.a{r}.next, %{x}.sum ]" for r in range(ROWS)]
        lines += [f"  %{x}.s{r}.{q} = phi {v} [ zeroinitializer, %{x}.start ], [ %{x}.s{r}.{q}.next, %{x}.sum ]"
                  for r in range(ROWS) for q in vectors]
        for q in vectors:
            lines += self._load(f"%{x}.from{q}", f"%{x}.b", q, masks[q])
        for r in range(ROWS):
            lines += [f"  %{x}.x{r} = load {self.number}, ptr %{x}.a{r}",
                      f"  %{x}.x{r}.first = insertelement {v} poison, {self.number} %{x}.x{r}, i64 0",
                      f"  %{x}.x{r}.all = shufflevector {v} %{x}.x{r}.first, {v} poison, <{self.lanes} x i32> zeroinitializer",
                      *(f"  %{x}.s{r}.{q}.next = call {v} @llvm.fmuladd.{self.suffix}({v} %{x}.x{r}.all, {v} %{x}.from{q}, "
                        f"{v} %{x}.s{r}.{q})" for q in vectors),
                      f"  %{x}.a{r}.next = getelementptr {self.number}, ptr %{x}.a{r}, i64 %ak"]
        lines += [f"  %{x}.b.next = getelementptr {self.number}, ptr %{x}.b, i64 %bk", f"  %{x}.l.next = add i64 %{x}.l, 1",
                  f"  %{x}.more = icmp slt i64 %{x}.l.next, %k", f"  br i1 %{x}.more, label %{x}.sum, label %{x}.row0"]
        for r in range(ROWS):
            after = f"{x}.row{r + 1}" if r + 1 < ROWS else f"{x}.end"
            lines += [f"{x}.row{r}:", f"  %{x}.has{r} = icmp sgt i64 %left, {r}",
                      f"  br i1 %{x}.has{r}, label %{x}.put{r}, label %{x}.end", f"{x}.put{r}:",
                      f"  %{x}.c{r} = getelementptr {self.number}, ptr %c{r}, i64 {column}",
                      f"  br i1 %add, label %{x}.add{r}, label %{x}.store{r}", f"{x}.add{r}:"]
            for q in vectors:
                lines += [*self._load(f"%{x}.old{r}.{q}", f"%{x}.c{r}", q, masks[q]),
                          f"  %{x}.new{r}.{q} = fadd {v} %{x}.old{r}.{q}, %{x}.s{r}.{q}.next"]
            lines += [f"  br label %{x}.store{r}", f"{x}.store{r}:"]
            lines += [f"  %{x}.v{r}.{q} = phi {v} [ %{x}.s{r}.{q}.next, %{x}.put{r} ], [ %{x}.new{r}.{q}, %{x}.add{r} ]"
                      for q in vectors]
            for q in vectors:
                lines += self._store(f"%{x}.v{r}.{q}", f"%{x}.c{r}", q, masks[q])
            lines.append(f"  br label %{after}")
        return "\n".join(lines) + "\n"

    def _at(self, result: str, base: str, q: int) -> str:
        return f"  {result} = getelementptr {self.vector}, ptr {base}, i64 {q}"

    def _load(self, result: str, base: str, q: int, mask: str) -> list[str]:
        v = self.vector
        how = (f"call {v} @llvm.masked.load.{self.suffix}.p0(ptr {result}.at, i32 {self.bytes}, {self.bits} {mask}, "
               f"{v} zeroinitializer)" if mask else f"load {v}, ptr {result}.at, align {self.bytes}")
        return [self._at(f"{result}.at", base, q), f"  {result} = {how}"]

    def _store(self, value: str, base: str, q: int, mask: str) -> list[str]:
        v = self.vector
        how = (f"call void @llvm.masked.store.{self.suffix}.p0({v} {value}, ptr {value}.at, i32 {self.bytes}, {self.bits} {mask})"
               if mask else f"store {v} {value}, ptr {value}.at, align {self.bytes}")
        return [self._at(f"{value}.at", base, q), f"  {how}"]
