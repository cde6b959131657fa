"""Counting the memory of a call: the same module, whose blocks add to counters when they are made and when they are given back.

A counter is four words: bytes that are live, their peak, bytes in all, blocks in all. The arrays that one line makes share one,
residuals apart from others; then there is one for what has no line (nodes of records, scratch memory), one for all residuals,
and one for everything.
"""

from __future__ import annotations

import ctypes

import numpy as np

from lms.core.data import dataclass, replace
from lms.core.errors import Span
from lms.core.ir import Node

from . import memory
from .abi import BLOCK, Module

SYMBOL = "lms_counts"
LIVE, PEAK, TOTAL, MADE = range(4)
_SITE = 48  # in the header of a block, beyond what `BLOCK` names
_ASKED = "  %block = call noalias ptr @lms_new(ptr %ctx, i64 %"
_MADE = "done:\n  ret ptr %block\nnone:"
_GIVEN = "  call void @lms_unlink(ptr %ctx, ptr %block)\n  call void @lms_give"
_CHUNK = "  store ptr %chunk, ptr %chunk, align 8\n"
assert max(BLOCK.values()) + 8 <= _SITE
assert all(place in memory.BLOCKS + memory.NODES + memory.make(1) for place in (_ASKED, _MADE, _GIVEN, _CHUNK))


@dataclass(frozen=True)
class Group:
    """The arrays made at one line (None where the program has none), by the nodes that make them."""

    place: Span | None
    residual: bool
    nodes: tuple[Node, ...]


def groups(arrays: dict[int, Node]) -> tuple[Group, ...]:
    """The nodes that make arrays, by line; residuals first."""
    found: dict[tuple[bool, Span | None], list[Node]] = {}
    for node in arrays.values():
        place = node.span and Span(node.span.file, node.span.line)
        found.setdefault((bool(node.attrs.get("residual")), place), []).append(node)
    return tuple(Group(place, residual, tuple(found[residual, place]))
                 for residual, place in sorted(found, key=lambda key: not key[0]))


def counted(module: Module, arrays: dict[int, Node]) -> Module:
    """The module with counters, for sites that make arrays."""
    made = groups(arrays)
    other = len(made)
    number = {node: k for k, group in enumerate(made) for node in group.nodes}
    table = [number[arrays[site]] if site in arrays else other for site in range(len(module.sites))]
    text = module.text
    for place, instead in (
        (_ASKED,
         "  %group_at = getelementptr i64, ptr @lms_groups, i32 %site\n  %group = load i64, ptr %group_at, align 8\n"
         f"  store i64 %group, ptr @lms_group, align 8\n{_ASKED}"),
        (_MADE,
         f"done:\n  %group = load i64, ptr @lms_group, align 8\n  store i64 {other}, ptr @lms_group, align 8\n"
         f"  %group_at = getelementptr i8, ptr %block, i64 {_SITE}\n  store i64 %group, ptr %group_at, align 8\n"
         "  call void @lms_count(i64 %group, i64 %bytes)\n  ret ptr %block\nnone:"),
        (_GIVEN,
         f"  call void @lms_unlink(ptr %ctx, ptr %block)\n  %group_at = getelementptr i8, ptr %block, i64 {_SITE}\n"
         "  %group = load i64, ptr %group_at, align 8\n"
         f"  %bytes_at = getelementptr i8, ptr %block, i64 {BLOCK['bytes']}\n  %bytes = load i64, ptr %bytes_at, align 8\n"
         "  %less = sub i64 0, %bytes\n  call void @lms_count(i64 %group, i64 %less)\n  call void @lms_give"),
        (_CHUNK, f"{_CHUNK}  call void @lms_count(i64 {other}, i64 %size)\n"),
    ):
        text = text.replace(place, instead)
    words = ", ".join(f"i64 {k}" for k in table) or "i64 0"
    text += f"@lms_groups = internal constant [{max(len(table), 1)} x i64] [{words}], align 8\n"
    return replace(module, text=text + _text(other, sum(g.residual for g in made)), groups=made, apart=False)


def _text(other: int, residuals: int) -> str:
    return f"""
@{SYMBOL} = global [{4 * (other + 3)} x i64] zeroinitializer, align 8
@lms_group = internal global i64 {other}, align 8

define internal void @lms_count(i64 %group, i64 %bytes) noinline nounwind {{
  call void @lms_count_one(i64 %group, i64 %bytes)
  call void @lms_count_one(i64 {other + 2}, i64 %bytes)
  %kept = icmp ult i64 %group, {residuals}
  br i1 %kept, label %keep, label %done
keep:
  call void @lms_count_one(i64 {other + 1}, i64 %bytes)
  br label %done
done:
  ret void
}}

define internal void @lms_count_one(i64 %k, i64 %bytes) nounwind {{
  %at = getelementptr [4 x i64], ptr @{SYMBOL}, i64 %k
  %live = load i64, ptr %at, align 8
  %now = add i64 %live, %bytes
  store i64 %now, ptr %at, align 8
  %peak_at = getelementptr i64, ptr %at, i64 {PEAK}
  %peak = load i64, ptr %peak_at, align 8
  %higher = icmp sgt i64 %now, %peak
  %most = select i1 %higher, i64 %now, i64 %peak
  store i64 %most, ptr %peak_at, align 8
  %new = icmp sgt i64 %bytes, 0
  %more = select i1 %new, i64 %bytes, i64 0
  %total_at = getelementptr i64, ptr %at, i64 {TOTAL}
  %total = load i64, ptr %total_at, align 8
  %total.more = add i64 %total, %more
  store i64 %total.more, ptr %total_at, align 8
  %one = zext i1 %new to i64
  %made_at = getelementptr i64, ptr %at, i64 {MADE}
  %made = load i64, ptr %made_at, align 8
  %made.more = add i64 %made, %one
  store i64 %made.more, ptr %made_at, align 8
  ret void
}}
"""


def counters(module: Module, address: int) -> np.ndarray:
    """The counters of linked code, as they are now: a row for each group, for the rest, for residuals, for everything."""
    words = (ctypes.c_int64 * (4 * (len(module.groups or ()) + 3))).from_address(address)
    return np.array(words, dtype=np.int64).reshape(-1, 4)
