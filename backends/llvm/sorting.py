"""`argsort_into`: a stable order, nan last. Keys become 64-bit numbers of the same order, which a radix sort puts in order."""

from __future__ import annotations

from lms.core import primitives as p
from lms.core.ir import Node
from lms.core.types import Scalar, f64, i64

from .abi import DATA, Site
from .arrays import multiply, offset, strides
from .control import counted
from .scalar import convert
from .values import float_literal, llvm_type
from .writer import Writer, rule

SMALL = 48  # so few are put in order by insertion


@rule(p.array.argsort_into)
def _argsort_into(w: Writer, node: Node) -> None:
    (_, out), (t, keys) = (w.array(v) for v in node.operands)
    dtype = t.dtype
    assert isinstance(dtype, Scalar)
    (n,), (out_step,), (key_step,) = keys.dims, strides(w, out), strides(w, keys)
    scratch = w.op(f"call noalias ptr @lms_new(ptr %ctx, i64 {w.op(f'mul i64 {n}, 32')}, i64 0)")
    site = Site(node.span, "MemoryError", "no memory to sort {} elements", (i64,))
    w.check(w.op(f"icmp ne ptr {scratch}, null"), site, [(i64, n)])
    space = w.op(f"getelementptr inbounds i8, ptr {scratch}, i64 {DATA}")

    def fill(i: str, _: list[str]) -> list[str]:
        key = w.load(dtype, offset(w, t, keys.data, multiply(w, i, key_step)), w.meta(node.operands[1]))
        w.do(f"store i64 {_number(w, dtype, str(key))}, ptr {w.op(f'getelementptr inbounds i64, ptr {space}, i64 {i}')}, align 8")
        return []

    counted(w, "0", n, [], [], fill)
    w.module.helper("lms_argsort", argsort_text)
    w.do(f"call void @lms_argsort(ptr {space}, ptr {out.data}, i64 {out_step}, i64 {n})")
    w.do(f"call void @lms_release(ptr %ctx, ptr {scratch})")


def _number(w: Writer, t: Scalar, x: str) -> str:
    """An unsigned 64-bit number that is less where the key is less; all nan are the greatest."""
    if t.kind == "b" or t.kind == "u":
        return x if t.bits == 64 else w.op(f"zext {llvm_type(t)} {x} to i64")
    sign = str(-(2**63))
    if t.kind == "i":
        return w.op(f"xor i64 {convert(w, t, i64, x)}, {sign}")
    wide = w.op(f"fadd double {convert(w, t, f64, x)}, {float_literal(0.0, f64)}")  # the two zeros are equal
    bits = w.op(f"bitcast double {wide} to i64")
    flip = w.op(f"or i64 {w.op(f'ashr i64 {bits}, 63')}, {sign}")
    return w.op(f"select i1 {w.op(f'fcmp uno double {wide}, {wide}')}, i64 -1, i64 {w.op(f'xor i64 {bits}, {flip}')}")


def argsort_text() -> str:
    """The sort. The scratch memory is keys, positions, and room for as many again."""
    return f"""
define internal void @lms_argsort(ptr %scratch, ptr %out, i64 %step, i64 %n) noinline nounwind {{
entry:
  %counts = alloca [2048 x i64], align 64
  %positions = getelementptr i64, ptr %scratch, i64 %n
  %keys.2 = getelementptr i64, ptr %positions, i64 %n
  %positions.2 = getelementptr i64, ptr %keys.2, i64 %n
  br label %number
number:
  %f = phi i64 [ 0, %entry ], [ %f.next, %number.more ]
  %f.in = icmp slt i64 %f, %n
  br i1 %f.in, label %number.more, label %size
number.more:
  %f.at = getelementptr i64, ptr %positions, i64 %f
  store i64 %f, ptr %f.at
  %f.next = add i64 %f, 1
  br label %number
size:
  %small = icmp sle i64 %n, {SMALL}
  br i1 %small, label %insertion, label %clear

insertion:
  %i = phi i64 [ 1, %size ], [ %i.next, %insert ]
  %i.in = icmp slt i64 %i, %n
  br i1 %i.in, label %take, label %result
take:
  %key.at = getelementptr i64, ptr %scratch, i64 %i
  %key = load i64, ptr %key.at
  %position.at = getelementptr i64, ptr %positions, i64 %i
  %position = load i64, ptr %position.at
  br label %shift
shift:
  %j = phi i64 [ %i, %take ], [ %j.next, %move ]
  %j.in = icmp sgt i64 %j, 0
  br i1 %j.in, label %compare, label %insert
compare:
  %j.next = sub i64 %j, 1
  %before.at = getelementptr i64, ptr %scratch, i64 %j.next
  %before = load i64, ptr %before.at
  %greater = icmp ugt i64 %before, %key
  br i1 %greater, label %move, label %insert
move:
  %to.at = getelementptr i64, ptr %scratch, i64 %j
  store i64 %before, ptr %to.at
  %before.position.at = getelementptr i64, ptr %positions, i64 %j.next
  %before.position = load i64, ptr %before.position.at
  %to.position.at = getelementptr i64, ptr %positions, i64 %j
  store i64 %before.position, ptr %to.position.at
  br label %shift
insert:
  %hole.at = getelementptr i64, ptr %scratch, i64 %j
  store i64 %key, ptr %hole.at
  %hole.position.at = getelementptr i64, ptr %positions, i64 %j
  store i64 %position, ptr %hole.position.at
  %i.next = add i64 %i, 1
  br label %insertion

clear:
  call void @llvm.memset.p0.i64(ptr align 64 %counts, i8 0, i64 16384, i1 false)
  br label %count
count:
  %c = phi i64 [ 0, %clear ], [ %c.next, %count.more ]
  %c.in = icmp slt i64 %c, %n
  br i1 %c.in, label %count.more, label %digits
count.more:
  %c.key.at = getelementptr i64, ptr %scratch, i64 %c
  %c.key = load i64, ptr %c.key.at
{_count_digits()}  %c.next = add i64 %c, 1
  br label %count

digits:
  %digit = phi i64 [ 0, %count ], [ %digit.next, %pass.end ]
  %from = phi ptr [ %scratch, %count ], [ %from.next, %pass.end ]
  %from.positions = phi ptr [ %positions, %count ], [ %from.positions.next, %pass.end ]
  %to = phi ptr [ %keys.2, %count ], [ %to.next, %pass.end ]
  %to.positions = phi ptr [ %positions.2, %count ], [ %to.positions.next, %pass.end ]
  %more = icmp ult i64 %digit, 8
  br i1 %more, label %look, label %result
look:
  %row = shl i64 %digit, 8
  %bits = shl i64 %digit, 3
  %places = getelementptr i64, ptr %counts, i64 %row
  %first = load i64, ptr %from
  %first.shifted = lshr i64 %first, %bits
  %first.digit = and i64 %first.shifted, 255
  %first.at = getelementptr i64, ptr %places, i64 %first.digit
  %first.count = load i64, ptr %first.at
  %all = icmp eq i64 %first.count, %n
  br i1 %all, label %pass.end, label %sum
sum:
  %s = phi i64 [ 0, %look ], [ %s.next, %sum ]
  %total = phi i64 [ 0, %look ], [ %total.next, %sum ]
  %s.at = getelementptr i64, ptr %places, i64 %s
  %s.count = load i64, ptr %s.at
  store i64 %total, ptr %s.at
  %total.next = add i64 %total, %s.count
  %s.next = add i64 %s, 1
  %summed = icmp eq i64 %s.next, 256
  br i1 %summed, label %scatter, label %sum
scatter:
  %k = phi i64 [ 0, %sum ], [ %k.next, %scatter ]
  %k.at = getelementptr i64, ptr %from, i64 %k
  %k.key = load i64, ptr %k.at
  %k.position.at = getelementptr i64, ptr %from.positions, i64 %k
  %k.position = load i64, ptr %k.position.at
  %k.shifted = lshr i64 %k.key, %bits
  %k.digit = and i64 %k.shifted, 255
  %place.at = getelementptr i64, ptr %places, i64 %k.digit
  %place = load i64, ptr %place.at
  %place.next = add i64 %place, 1
  store i64 %place.next, ptr %place.at
  %to.key.at = getelementptr i64, ptr %to, i64 %place
  store i64 %k.key, ptr %to.key.at
  %to.where = getelementptr i64, ptr %to.positions, i64 %place
  store i64 %k.position, ptr %to.where
  %k.next = add i64 %k, 1
  %scattered = icmp eq i64 %k.next, %n
  br i1 %scattered, label %pass.end, label %scatter
pass.end:
  %same = phi i1 [ true, %look ], [ false, %scatter ]
  %from.next = select i1 %same, ptr %from, ptr %to
  %to.next = select i1 %same, ptr %to, ptr %from
  %from.positions.next = select i1 %same, ptr %from.positions, ptr %to.positions
  %to.positions.next = select i1 %same, ptr %to.positions, ptr %from.positions
  %digit.next = add i64 %digit, 1
  br label %digits

result:
  %sorted = phi ptr [ %positions, %insertion ], [ %from.positions, %digits ]
  br label %give
give:
  %g = phi i64 [ 0, %result ], [ %g.next, %give.more ]
  %g.in = icmp slt i64 %g, %n
  br i1 %g.in, label %give.more, label %done
give.more:
  %g.at = getelementptr i64, ptr %sorted, i64 %g
  %g.value = load i64, ptr %g.at
  %g.step = mul i64 %g, %step
  %g.out = getelementptr i64, ptr %out, i64 %g.step
  store i64 %g.value, ptr %g.out
  %g.next = add i64 %g, 1
  br label %give
done:
  ret void
}}
"""


def _count_digits() -> str:
    """Count each of the eight digits of a key."""
    text = ""
    for d in range(8):
        text += (f"  %shifted.{d} = lshr i64 %c.key, {8 * d}\n  %digit.{d} = and i64 %shifted.{d}, 255\n"
                 f"  %row.{d} = add i64 %digit.{d}, {256 * d}\n  %at.{d} = getelementptr i64, ptr %counts, i64 %row.{d}\n"
                 f"  %n.{d} = load i64, ptr %at.{d}\n  %more.{d} = add i64 %n.{d}, 1\n  store i64 %more.{d}, ptr %at.{d}\n")
    return text
