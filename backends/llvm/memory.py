"""The memory of a call, in LLVM text that lives in every module that needs it and inlines into it.

A long module calls the functions for blocks instead: `shared` is compiled once, with what else modules share.

Array blocks hang in a list from the context, so that `lms_finish` frees whatever an error or an interrupt left behind.
Record nodes are cut from chunks (the pool) and recycled by size; the pool goes as a whole when the call is finished.
What falls to zero references waits in a list until it is torn down, so a long chain needs no deep stack.
"""

from __future__ import annotations

import re

from .abi import BLOCK, CONTEXT, DATA, VALUES, Status
from .spare import LEAST

DECLARES = ("declare { i64, i1 } @llvm.smul.with.overflow.i64(i64, i64)", "declare noalias ptr @malloc(i64)",
            "declare void @free(ptr)", "declare ptr @llvm.ptrmask.p0.i64(ptr, i64)",
            "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)", "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)",
            "declare ptr @lms_take(i64)", "declare void @lms_keep(ptr, i64)")


def _each(name: str, next_at: int, *give: str) -> str:
    """`name`, which goes through a list of blocks, linked at an offset, and gives back each of them."""
    lines = "\n  ".join(give)
    return f"""define internal void @{name}(ptr %head) nounwind {{
entry:
  br label %each
each:
  %block = phi ptr [ %head, %entry ], [ %next, %some ]
  %null = icmp eq ptr %block, null
  br i1 %null, label %done, label %some
some:
  %next_at = getelementptr i8, ptr %block, i64 {next_at}
  %next = load ptr, ptr %next_at, align 8
  {lines}
  br label %each
done:
  ret void
}}"""


BLOCKS = f"""
define internal noalias ptr @lms_new(ptr noalias %ctx, i64 %bytes, i64 %kind) noinline nounwind {{
  %too_large = icmp ugt i64 %bytes, {2**62}
  br i1 %too_large, label %none, label %allocate, !prof !1
allocate:
  %whole = add i64 %bytes, {2 * DATA}
  %large = icmp uge i64 %whole, {LEAST}
  br i1 %large, label %take, label %cut, !prof !1
take:
  %taken = call ptr @lms_take(i64 %whole)
  br label %check
cut:
  %cut.raw = call ptr @malloc(i64 %whole)
  br label %check
check:
  %raw = phi ptr [ %taken, %take ], [ %cut.raw, %cut ]
  %null = icmp eq ptr %raw, null
  br i1 %null, label %none, label %some, !prof !1
some:
  %up = getelementptr i8, ptr %raw, i64 {DATA - 1}
  %block = call ptr @llvm.ptrmask.p0.i64(ptr %up, i64 -{DATA})
  store ptr %raw, ptr %block, align 8
  %references = getelementptr i8, ptr %block, i64 {BLOCK["references"]}
  store i64 1, ptr %references, align 8
  %size = getelementptr i8, ptr %block, i64 {BLOCK["bytes"]}
  store i64 %bytes, ptr %size, align 8
  %previous = getelementptr i8, ptr %block, i64 {BLOCK["previous"]}
  store ptr null, ptr %previous, align 8
  %next = getelementptr i8, ptr %block, i64 {BLOCK["next"]}
  %head = load ptr, ptr %ctx, align 8
  store ptr %head, ptr %next, align 8
  %kinds = getelementptr i8, ptr %block, i64 {BLOCK["kind"]}
  store i64 %kind, ptr %kinds, align 8
  store ptr %block, ptr %ctx, align 8
  %empty = icmp eq ptr %head, null
  br i1 %empty, label %records, label %link
link:
  %back = getelementptr i8, ptr %head, i64 {BLOCK["previous"]}
  store ptr %block, ptr %back, align 8
  br label %records
records:
  %references_inside = icmp ne i64 %kind, 0
  br i1 %references_inside, label %clear, label %done, !prof !1
clear:
  %data = getelementptr i8, ptr %block, i64 {DATA}
  call void @llvm.memset.p0.i64(ptr align {DATA} %data, i8 0, i64 %bytes, i1 false)
  br label %done
done:
  ret ptr %block
none:
  ret ptr null
}}

define internal void @lms_unlink(ptr noalias %ctx, ptr %block) nounwind {{
  %previous_at = getelementptr i8, ptr %block, i64 {BLOCK["previous"]}
  %next_at = getelementptr i8, ptr %block, i64 {BLOCK["next"]}
  %previous = load ptr, ptr %previous_at, align 8
  %next = load ptr, ptr %next_at, align 8
  %first = icmp eq ptr %previous, null
  %forward = getelementptr i8, ptr %previous, i64 {BLOCK["next"]}
  %from = select i1 %first, ptr %ctx, ptr %forward
  store ptr %next, ptr %from, align 8
  %last = icmp eq ptr %next, null
  br i1 %last, label %done, label %back
back:
  %backward = getelementptr i8, ptr %next, i64 {BLOCK["previous"]}
  store ptr %previous, ptr %backward, align 8
  br label %done
done:
  ret void
}}

define internal void @lms_drop(ptr noalias %ctx, ptr %block) noinline nounwind {{
  call void @lms_unlink(ptr %ctx, ptr %block)
  call void @lms_give(ptr %block)
  ret void
}}

define internal void @lms_retain(ptr %owner) alwaysinline nounwind {{
  %null = icmp eq ptr %owner, null
  br i1 %null, label %done, label %count
count:
  %at = getelementptr i8, ptr %owner, i64 {BLOCK["references"]}
  %n = load i64, ptr %at, align 8
  %more = add nuw nsw i64 %n, 1
  store i64 %more, ptr %at, align 8
  br label %done
done:
  ret void
}}

define internal void @lms_release(ptr noalias %ctx, ptr %owner) alwaysinline nounwind {{
  %null = icmp eq ptr %owner, null
  br i1 %null, label %done, label %count
count:
  %at = getelementptr i8, ptr %owner, i64 {BLOCK["references"]}
  %n = load i64, ptr %at, align 8
  %fewer = sub nuw nsw i64 %n, 1
  store i64 %fewer, ptr %at, align 8
  %zero = icmp eq i64 %fewer, 0
  br i1 %zero, label %drop, label %done
drop:
  call void @lms_drop(ptr %ctx, ptr %owner)
  br label %done
done:
  ret void
}}

; a result leaves the call: off the list, once
define internal void @lms_detach(ptr noalias %ctx, ptr %owner) noinline nounwind {{
  %null = icmp eq ptr %owner, null
  br i1 %null, label %done, label %owned
owned:
  %next_at = getelementptr i8, ptr %owner, i64 {BLOCK["next"]}
  %next = load ptr, ptr %next_at, align 8
  %already = icmp eq ptr %next, %owner
  br i1 %already, label %done, label %listed
listed:
  call void @lms_unlink(ptr %ctx, ptr %owner)
  store ptr %owner, ptr %next_at, align 8
  br label %done
done:
  ret void
}}

{_each("lms_give_all", BLOCK["next"], "call void @lms_give(ptr %block)")}
"""


RANKS = range(5)  # of the arrays for which `make` is among what is shared
SHARED = ("lms_new", "lms_unlink", "lms_drop", "lms_retain", "lms_release", "lms_detach", "lms_give_all",
          *(f"lms_make_{rank}" for rank in RANKS))


def make(rank: int) -> str:
    """`lms_make_2`, which allocates an array with two axes, of elements of `item` bytes.

    On failure it is null, and the context has the error: at `site` that for a negative size, then for bytes beyond 64 bits, then
    for no memory; with all sizes as operands.
    """
    lines, bytes_, signs, beyond = [], "%item", "0", "false"
    for k in range(rank):
        lines += [f"%sign{k} = or i64 {signs}, %d{k}",
                  f"%product{k} = call {{ i64, i1 }} @llvm.smul.with.overflow.i64(i64 {bytes_}, i64 %d{k})",
                  f"%bytes{k} = extractvalue {{ i64, i1 }} %product{k}, 0",
                  f"%over{k} = extractvalue {{ i64, i1 }} %product{k}, 1",
                  f"%beyond{k} = or i1 {beyond}, %over{k}"]
        bytes_, signs, beyond = f"%bytes{k}", f"%sign{k}", f"%beyond{k}"
    stores = [line for k in range(rank) for line in (
        f"%at{k} = getelementptr i8, ptr %ctx, i64 {VALUES + 8 * k}", f"store i64 %d{k}, ptr %at{k}, align 8")]
    indented = "\n  ".join
    params = ", ".join(["ptr noalias %ctx, i32 %site, i64 %item, i64 %kind", *(f"i64 %d{k}" for k in range(rank))])
    return f"""
define internal noalias ptr @lms_make_{rank}({params}) noinline nounwind {{
entry:
  {indented([*lines, f"%negative = icmp slt i64 {signs}, 0"])}
  br i1 %negative, label %fail, label %bounded, !prof !1
bounded:
  br i1 {beyond}, label %fail, label %allocate, !prof !1
allocate:
  %block = call noalias ptr @lms_new(ptr %ctx, i64 {bytes_}, i64 %kind)
  %null = icmp eq ptr %block, null
  br i1 %null, label %fail, label %done, !prof !1
done:
  ret ptr %block
fail:
  %which = phi i32 [ 0, %entry ], [ 1, %bounded ], [ 2, %allocate ]
  {indented([*stores, "%place = add i32 %site, %which"])}
  %site_at = getelementptr i8, ptr %ctx, i64 {CONTEXT["site"]}
  store i32 %place, ptr %site_at, align 4
  %status_at = getelementptr i8, ptr %ctx, i64 {CONTEXT["status"]}
  store i32 {int(Status.CHECK)}, ptr %status_at, align 4
  ret ptr null
}}
"""


GIVE = f"""
define internal void @lms_give(ptr %block) nounwind {{
  %raw = load ptr, ptr %block, align 8
  %bytes.p = getelementptr i8, ptr %block, i64 {BLOCK["bytes"]}
  %bytes = load i64, ptr %bytes.p, align 8
  %whole = add i64 %bytes, {2 * DATA}
  %large = icmp uge i64 %whole, {LEAST}
  br i1 %large, label %keep, label %drop
keep:
  call void @lms_keep(ptr %raw, i64 %whole)
  ret void
drop:
  call void @free(ptr %raw)
  ret void
}}
"""

FREE = GIVE + f"""
define void @lms_free(ptr %owner) nounwind {{
  %null = icmp eq ptr %owner, null
  br i1 %null, label %done, label %count
count:
  %at = getelementptr i8, ptr %owner, i64 {BLOCK["references"]}
  %n = load i64, ptr %at, align 8
  %fewer = sub i64 %n, 1
  store i64 %fewer, ptr %at, align 8
  %zero = icmp eq i64 %fewer, 0
  br i1 %zero, label %drop, label %done
drop:
  call void @lms_give(ptr %owner)
  br label %done
done:
  ret void
}}
"""

def shared() -> str:
    """The functions for blocks, once for the process; what frees one and the weights of branches come with their user."""
    text = (BLOCKS + "".join(map(make, RANKS))).replace("define internal", "define").replace("alwaysinline", "noinline")
    return text + "\n".join(DECLARES) + "\n"


def declarations() -> str:
    """The same functions for a module that calls them."""
    return "".join(f"declare {signature}\n" for signature in re.findall(r"^define (.*) \{$", shared(), re.MULTILINE))


# a node's size class is its bytes / 16; classes from `CLASSES` on are not recycled
CLASSES = 17
_HEAD = 24 + 8 * CLASSES  # of a chunk: itself (as `raw`), the next chunk, where free space ends; the first chunk has the lists
FIRST_CHUNK, CHUNK = 1 << 12, 1 << 16  # each is twice as long as the one before, until they are long

NODES = f"""
; pool -> {{raw, older chunk, end, free space, lists of recycled nodes}}: the newest chunk takes the lists over
define internal ptr @lms_node_slow(ptr noalias %ctx, i64 %bytes) noinline nounwind {{
entry:
  %pool_at = getelementptr i8, ptr %ctx, i64 {CONTEXT["pool"]}
  %old = load ptr, ptr %pool_at, align 8
  %needed = add i64 %bytes, {_HEAD + 16}
  %only = icmp eq ptr %old, null
  br i1 %only, label %allocate, label %grow
grow:
  %last_at = getelementptr i8, ptr %old, i64 16
  %last = load ptr, ptr %last_at, align 8
  %from = ptrtoint ptr %old to i64
  %to = ptrtoint ptr %last to i64
  %length = sub i64 %to, %from
  %twice = shl i64 %length, 1
  %enough = icmp ugt i64 %twice, {CHUNK}
  %next = select i1 %enough, i64 {CHUNK}, i64 %twice
  br label %allocate
allocate:
  %usual = phi i64 [ {FIRST_CHUNK}, %entry ], [ %next, %grow ]
  %larger = icmp ugt i64 %needed, %usual
  %size = select i1 %larger, i64 %needed, i64 %usual
  %chunk = call ptr @malloc(i64 %size)
  %null = icmp eq ptr %chunk, null
  br i1 %null, label %none, label %some, !prof !1
some:
  store ptr %chunk, ptr %chunk, align 8
  %older = getelementptr i8, ptr %chunk, i64 8
  store ptr %old, ptr %older, align 8
  %end_at = getelementptr i8, ptr %chunk, i64 16
  %end = getelementptr i8, ptr %chunk, i64 %size
  store ptr %end, ptr %end_at, align 8
  %lists = getelementptr i8, ptr %chunk, i64 32
  %first = icmp eq ptr %old, null
  br i1 %first, label %fresh, label %inherit
fresh:
  call void @llvm.memset.p0.i64(ptr align 8 %lists, i8 0, i64 {8 * CLASSES}, i1 false)
  br label %ready
inherit:
  %old_lists = getelementptr i8, ptr %old, i64 32
  call void @llvm.memcpy.p0.p0.i64(ptr align 8 %lists, ptr align 8 %old_lists, i64 {8 * CLASSES}, i1 false)
  br label %ready
ready:
  %node = getelementptr i8, ptr %chunk, i64 {(_HEAD + 8 + 15) // 16 * 16}
  %free_at = getelementptr i8, ptr %chunk, i64 24
  %free = getelementptr i8, ptr %node, i64 %bytes
  store ptr %free, ptr %free_at, align 8
  store ptr %chunk, ptr %pool_at, align 8
  ret ptr %node
none:
  ret ptr null
}}

define internal ptr @lms_node(ptr noalias %ctx, i64 %bytes) nounwind {{
  %pool_at = getelementptr i8, ptr %ctx, i64 {CONTEXT["pool"]}
  %pool = load ptr, ptr %pool_at, align 8
  %null = icmp eq ptr %pool, null
  br i1 %null, label %slow, label %look, !prof !1
look:
  %class = lshr i64 %bytes, 4
  %small = icmp ult i64 %class, {CLASSES}
  br i1 %small, label %list, label %cut
list:
  %lists = getelementptr i8, ptr %pool, i64 32
  %list_at = getelementptr ptr, ptr %lists, i64 %class
  %recycled = load ptr, ptr %list_at, align 8
  %none = icmp eq ptr %recycled, null
  br i1 %none, label %cut, label %reuse
reuse:
  %next = load ptr, ptr %recycled, align 8
  store ptr %next, ptr %list_at, align 8
  ret ptr %recycled
cut:
  %free_at = getelementptr i8, ptr %pool, i64 24
  %free = load ptr, ptr %free_at, align 8
  %end_at = getelementptr i8, ptr %pool, i64 16
  %end = load ptr, ptr %end_at, align 8
  %after = getelementptr i8, ptr %free, i64 %bytes
  %full = icmp ugt ptr %after, %end
  br i1 %full, label %slow, label %fits
fits:
  store ptr %after, ptr %free_at, align 8
  ret ptr %free
slow:
  %new = call ptr @lms_node_slow(ptr %ctx, i64 %bytes)
  ret ptr %new
}}

define internal void @lms_recycle(ptr noalias %ctx, ptr %node, i64 %bytes) nounwind {{
  %class = lshr i64 %bytes, 4
  %small = icmp ult i64 %class, {CLASSES}
  br i1 %small, label %list, label %done
list:
  %pool_at = getelementptr i8, ptr %ctx, i64 {CONTEXT["pool"]}
  %pool = load ptr, ptr %pool_at, align 8
  %lists = getelementptr i8, ptr %pool, i64 32
  %list_at = getelementptr ptr, ptr %lists, i64 %class
  %head = load ptr, ptr %list_at, align 8
  store ptr %head, ptr %node, align 8
  store ptr %node, ptr %list_at, align 8
  br label %done
done:
  ret void
}}

{_each("lms_free_chunks", 8, "%raw = load ptr, ptr %block, align 8", "call void @free(ptr %raw)")}

define internal void @lms_retain_node(ptr %node) alwaysinline nounwind {{
  %null = icmp eq ptr %node, null
  br i1 %null, label %done, label %look
look:
  %n = load i64, ptr %node, align 8
  %lent = icmp slt i64 %n, 0
  br i1 %lent, label %done, label %count
count:
  %more = add nuw nsw i64 %n, 1
  store i64 %more, ptr %node, align 8
  br label %done
done:
  ret void
}}

define internal void @lms_release_node(ptr noalias %ctx, ptr %node) alwaysinline nounwind {{
  %last = call i1 @lms_forget_node(ptr %ctx, ptr %node)
  br i1 %last, label %drop, label %done
drop:
  call void @lms_tear_down(ptr %ctx)
  br label %done
done:
  ret void
}}

; one reference less; at zero the node joins those to be torn down
define internal i1 @lms_forget_node(ptr noalias %ctx, ptr %node) nounwind {{
  %null = icmp eq ptr %node, null
  br i1 %null, label %alive, label %look
look:
  %n = load i64, ptr %node, align 8
  %lent = icmp slt i64 %n, 0
  br i1 %lent, label %alive, label %count
count:
  %fewer = sub nuw nsw i64 %n, 1
  %zero = icmp eq i64 %fewer, 0
  br i1 %zero, label %wait, label %keep
keep:
  store i64 %fewer, ptr %node, align 8
  br label %alive
wait:
  %pending_at = getelementptr i8, ptr %ctx, i64 {CONTEXT["pending"]}
  %pending = load ptr, ptr %pending_at, align 8
  store ptr %pending, ptr %node, align 8
  store ptr %node, ptr %pending_at, align 8
  ret i1 true
alive:
  ret i1 false
}}

; array blocks of references: drop what they hold, then the block
define internal void @lms_release_references(ptr noalias %ctx, ptr %owner) noinline nounwind {{
  %null = icmp eq ptr %owner, null
  br i1 %null, label %done, label %count
count:
  %at = getelementptr i8, ptr %owner, i64 {BLOCK["references"]}
  %n = load i64, ptr %at, align 8
  %fewer = sub nuw nsw i64 %n, 1
  store i64 %fewer, ptr %at, align 8
  %zero = icmp eq i64 %fewer, 0
  br i1 %zero, label %drop, label %done
drop:
  %bytes_at = getelementptr i8, ptr %owner, i64 {BLOCK["bytes"]}
  %bytes = load i64, ptr %bytes_at, align 8
  %data = getelementptr i8, ptr %owner, i64 {DATA}
  br label %each
each:
  %k = phi i64 [ 0, %drop ], [ %more, %element ]
  %inside = icmp ult i64 %k, %bytes
  br i1 %inside, label %element, label %free
element:
  %element_at = getelementptr i8, ptr %data, i64 %k
  %node = load ptr, ptr %element_at, align 8
  %ignored = call i1 @lms_forget_node(ptr %ctx, ptr %node)
  %more = add nuw i64 %k, 8
  br label %each
free:
  call void @lms_drop(ptr %ctx, ptr %owner)
  br label %done
done:
  ret void
}}
"""


def finish(blocks: bool, records: bool, recursive: bool) -> str:
    """`lms_finish`: all that the call still holds."""
    listed = """
  %blocks = load ptr, ptr %ctx, align 8
  call void @lms_give_all(ptr %blocks)
  store ptr null, ptr %ctx, align 8""" if blocks or records else ""
    pool = f"""
  %pool_at = getelementptr i8, ptr %ctx, i64 {CONTEXT["pool"]}
  %pool = load ptr, ptr %pool_at, align 8
  call void @lms_free_chunks(ptr %pool)
  store ptr null, ptr %pool_at, align 8""" if records else ""
    stack = "\n  call void @lms_stack_release(ptr %ctx)" if recursive else ""
    return f"""
define void @lms_finish(ptr %ctx) nounwind {{{listed}{pool}{stack}
  ret void
}}
"""
