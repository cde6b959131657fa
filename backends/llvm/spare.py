"""Large blocks of memory that calls have given back, kept for the next call: fresh pages cost more than filling them.

    ptr  lms_take(i64 bytes)             memory, spare or fresh; null where there is none
    void lms_keep(ptr raw, i64 bytes)    gives it back

What is kept is bounded, and the newest stay. A slot is empty or holds a block, and changes hands by one exchange, so threads need
no lock; the sizes beside the slots are hints, and a block that is spare says in its first word how large it is.
"""

from __future__ import annotations

import sys

LEAST = 1 << 17  # smaller blocks are malloc's: it keeps their pages itself
MOST = 1 << 27   # bytes kept in all
SLOTS = 32
HUGE = 1 << 22   # fresh blocks from this size on ask for huge pages

_ADVICE = "%ignored = call i32 @madvise(ptr %page, i64 %length, i32 14)" if sys.platform == "linux" else ""

TEXT = f"""
declare ptr @malloc(i64)
declare void @free(ptr)
declare ptr @llvm.ptrmask.p0.i64(ptr, i64)
{"declare i32 @madvise(ptr, i64, i32)" if sys.platform == "linux" else ""}
@spares = internal global [{SLOTS} x ptr] zeroinitializer
@hints = internal global [{SLOTS} x i64] zeroinitializer
@kept = internal global i64 0
@turn = internal global i64 0

define ptr @lms_take(i64 %bytes) {{
entry:
  %quarter = lshr i64 %bytes, 2
  %most = add i64 %bytes, %quarter
  br label %each
each:
  %k = phi i64 [ 0, %entry ], [ %next, %other ]
  %done = icmp eq i64 %k, {SLOTS}
  br i1 %done, label %fresh, label %look
look:
  %hint.p = getelementptr i64, ptr @hints, i64 %k
  %hint = load atomic i64, ptr %hint.p monotonic, align 8
  %enough = icmp uge i64 %hint, %bytes
  %tight = icmp ule i64 %hint, %most
  %fits = and i1 %enough, %tight
  br i1 %fits, label %take, label %other
take:
  %slot.p = getelementptr ptr, ptr @spares, i64 %k
  %raw = atomicrmw xchg ptr %slot.p, ptr null acq_rel
  %gone = icmp eq ptr %raw, null
  br i1 %gone, label %other, label %measure
measure:
  %size = load i64, ptr %raw, align 8
  %less = atomicrmw sub ptr @kept, i64 %size monotonic
  %large = icmp uge i64 %size, %bytes
  br i1 %large, label %got, label %wrong
got:
  ret ptr %raw
wrong:
  call void @free(ptr %raw)
  br label %other
other:
  %next = add i64 %k, 1
  br label %each
fresh:
  %new = call ptr @malloc(i64 %bytes)
  %none = icmp eq ptr %new, null
  %small = icmp ult i64 %bytes, {HUGE}
  %plain = or i1 %none, %small
  br i1 %plain, label %out, label %advise
advise:
  %first = getelementptr i8, ptr %new, i64 4095
  %page = call ptr @llvm.ptrmask.p0.i64(ptr %first, i64 -4096)
  %inside = sub i64 %bytes, 4096
  %length = and i64 %inside, -4096
  {_ADVICE}
  br label %out
out:
  ret ptr %new
}}

define internal void @empty(i64 %k) {{
  %slot.p = getelementptr ptr, ptr @spares, i64 %k
  %raw = atomicrmw xchg ptr %slot.p, ptr null acq_rel
  %none = icmp eq ptr %raw, null
  br i1 %none, label %out, label %drop
drop:
  %size = load i64, ptr %raw, align 8
  %less = atomicrmw sub ptr @kept, i64 %size monotonic
  call void @free(ptr %raw)
  br label %out
out:
  ret void
}}

define void @lms_keep(ptr %raw, i64 %bytes) {{
entry:
  %large = icmp ugt i64 %bytes, {MOST}
  br i1 %large, label %drop, label %note
drop:
  call void @free(ptr %raw)
  ret void
note:
  store i64 %bytes, ptr %raw, align 8
  %before = atomicrmw add ptr @kept, i64 %bytes monotonic
  br label %each
each:
  %k = phi i64 [ 0, %note ], [ %next, %full ]
  %done = icmp eq i64 %k, {SLOTS}
  br i1 %done, label %replace, label %try
try:
  %slot.p = getelementptr ptr, ptr @spares, i64 %k
  %pair = cmpxchg ptr %slot.p, ptr null, ptr %raw acq_rel monotonic
  %mine = extractvalue {{ ptr, i1 }} %pair, 1
  br i1 %mine, label %hint, label %full
full:
  %next = add i64 %k, 1
  br label %each
replace:
  %turn = atomicrmw add ptr @turn, i64 1 monotonic
  %oldest = and i64 %turn, {SLOTS - 1}
  call void @empty(i64 %oldest)
  %slot2.p = getelementptr ptr, ptr @spares, i64 %oldest
  %pair2 = cmpxchg ptr %slot2.p, ptr null, ptr %raw acq_rel monotonic
  %mine2 = extractvalue {{ ptr, i1 }} %pair2, 1
  br i1 %mine2, label %hint, label %give_up
give_up:
  %less = atomicrmw sub ptr @kept, i64 %bytes monotonic
  call void @free(ptr %raw)
  ret void
hint:
  %at = phi i64 [ %k, %try ], [ %oldest, %replace ]
  %hint.p = getelementptr i64, ptr @hints, i64 %at
  store atomic i64 %bytes, ptr %hint.p monotonic, align 8
  br label %bound
bound:
  %tries = phi i64 [ 0, %hint ], [ %more, %pick ], [ %more, %trim ]
  %kept = load atomic i64, ptr @kept monotonic, align 8
  %over = icmp ugt i64 %kept, {MOST}
  %some = icmp ult i64 %tries, {SLOTS}
  %again = and i1 %over, %some
  br i1 %again, label %pick, label %out
pick:
  %more = add i64 %tries, 1
  %turn3 = atomicrmw add ptr @turn, i64 1 monotonic
  %victim = and i64 %turn3, {SLOTS - 1}
  %newest = icmp eq i64 %victim, %at
  br i1 %newest, label %bound, label %trim
trim:
  call void @empty(i64 %victim)
  br label %bound
out:
  ret void
}}
"""
