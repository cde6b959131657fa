"""`argsort_into`: a stable merge sort of positions, nan last."""

from __future__ import annotations

from lms.core import primitives as p
from lms.core.ir import Node
from lms.core.types import Scalar, i64

from .abi import DATA, Site
from .arrays import strides
from .values import memory_type
from .writer import Writer, rule


@rule(p.array.argsort_into)
def _argsort_into(w: Writer, node: Node) -> None:
    (_, out), (t, keys) = (w.array(v) for v in node.operands)
    assert isinstance(t.dtype, Scalar)
    dtype = t.dtype
    name = w.module.helper(f"lms_argsort_{dtype.name}", lambda: argsort_text(dtype))
    (n,), (out_step,), (key_step,) = keys.dims, strides(w, out), strides(w, keys)
    w.module.declares.add("declare i64 @llvm.smin.i64(i64, i64)")
    scratch = w.op(f"call noalias ptr @lms_new(ptr %ctx, i64 {w.op(f'mul i64 {n}, 16')}, i64 0)")
    site = Site(node.span, "MemoryError", "no memory to sort {} elements", (i64,))
    w.check(w.op(f"icmp ne ptr {scratch}, null"), site, [(i64, n)])
    space = w.op(f"getelementptr inbounds i8, ptr {scratch}, i64 {DATA}")
    w.do(f"call void @{name}(ptr {space}, ptr {out.data}, i64 {out_step}, ptr {keys.data}, i64 {key_step}, i64 {n})")
    w.do(f"call void @lms_release(ptr %ctx, ptr {scratch})")


def _after(t: Scalar) -> str:
    """Whether key `%x` comes strictly after key `%y`, as `%after`."""
    lt = memory_type(t)
    if t.is_float:  # nan is after all numbers, and equal to nan
        return (f"  %greater = fcmp ogt {lt} %x, %y\n  %x.nan = fcmp uno {lt} %x, %x\n  %y.number = fcmp ord {lt} %y, %y\n"
                "  %nan.after = and i1 %x.nan, %y.number\n  %after = or i1 %greater, %nan.after\n")
    return f"  %after = icmp {'s' if t.kind == 'i' else 'u'}gt {lt} %x, %y\n"


def argsort_text(t: Scalar) -> str:
    """Bottom-up merging of runs of 1, 2, 4, ... positions between the two halves of the scratch memory."""
    lt = memory_type(t)
    return f"""
define internal i1 @lms_after_{t.name}(ptr %keys, i64 %step, i64 %i, i64 %j) alwaysinline nounwind {{
  %i.step = mul i64 %i, %step
  %i.at = getelementptr {lt}, ptr %keys, i64 %i.step
  %x = load {lt}, ptr %i.at
  %j.step = mul i64 %j, %step
  %j.at = getelementptr {lt}, ptr %keys, i64 %j.step
  %y = load {lt}, ptr %j.at
{_after(t)}  ret i1 %after
}}

define internal void @lms_argsort_{t.name}(ptr %scratch, ptr %out, i64 %out.step, ptr %keys, i64 %step, i64 %n)
    noinline nounwind {{
entry:
  %other = getelementptr i64, ptr %scratch, i64 %n
  br label %init
init:
  %f = phi i64 [ 0, %entry ], [ %f.next, %init.more ]
  %f.in = icmp slt i64 %f, %n
  br i1 %f.in, label %init.more, label %widths
init.more:
  %f.at = getelementptr i64, ptr %scratch, i64 %f
  store i64 %f, ptr %f.at
  %f.next = add i64 %f, 1
  br label %init
widths:
  %width = phi i64 [ 1, %init ], [ %wider, %pass.end ]
  %from = phi ptr [ %scratch, %init ], [ %to, %pass.end ]
  %to = phi ptr [ %other, %init ], [ %from, %pass.end ]
  %unsorted = icmp slt i64 %width, %n
  br i1 %unsorted, label %pass, label %result
pass:
  %low = phi i64 [ 0, %widths ], [ %high, %merged ]
  %low.in = icmp slt i64 %low, %n
  br i1 %low.in, label %pair, label %pass.end
pair:
  %mid.0 = add i64 %low, %width
  %mid = call i64 @llvm.smin.i64(i64 %mid.0, i64 %n)
  %high.0 = add i64 %mid, %width
  %high = call i64 @llvm.smin.i64(i64 %high.0, i64 %n)
  br label %merge
merge:
  %i = phi i64 [ %low, %pair ], [ %i.next, %put ]
  %j = phi i64 [ %mid, %pair ], [ %j.next, %put ]
  %k = phi i64 [ %low, %pair ], [ %k.next, %put ]
  %k.in = icmp slt i64 %k, %high
  br i1 %k.in, label %choose, label %merged
choose:
  %left.gone = icmp sge i64 %i, %mid
  br i1 %left.gone, label %take.right, label %look
look:
  %right.gone = icmp sge i64 %j, %high
  br i1 %right.gone, label %take.left, label %compare
compare:
  %c.i.at = getelementptr i64, ptr %from, i64 %i
  %c.i = load i64, ptr %c.i.at
  %c.j.at = getelementptr i64, ptr %from, i64 %j
  %c.j = load i64, ptr %c.j.at
  %after = call i1 @lms_after_{t.name}(ptr %keys, i64 %step, i64 %c.i, i64 %c.j)
  br i1 %after, label %take.right, label %take.left
take.left:
  %i.more = add i64 %i, 1
  br label %put
take.right:
  %j.more = add i64 %j, 1
  br label %put
put:
  %source = phi i64 [ %i, %take.left ], [ %j, %take.right ]
  %i.next = phi i64 [ %i.more, %take.left ], [ %i, %take.right ]
  %j.next = phi i64 [ %j, %take.left ], [ %j.more, %take.right ]
  %s.at = getelementptr i64, ptr %from, i64 %source
  %s = load i64, ptr %s.at
  %k.at = getelementptr i64, ptr %to, i64 %k
  store i64 %s, ptr %k.at
  %k.next = add i64 %k, 1
  br label %merge
merged:
  br label %pass
pass.end:
  %wider = shl i64 %width, 1
  br label %widths
result:
  %g = phi i64 [ 0, %widths ], [ %g.next, %result.more ]
  %g.in = icmp slt i64 %g, %n
  br i1 %g.in, label %result.more, label %done
result.more:
  %g.at = getelementptr i64, ptr %from, i64 %g
  %g.value = load i64, ptr %g.at
  %g.step = mul i64 %g, %out.step
  %o.at = getelementptr i64, ptr %out, i64 %g.step
  store i64 %g.value, ptr %o.at
  %g.next = add i64 %g, 1
  br label %result
done:
  ret void
}}
"""
