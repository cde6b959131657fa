"""Sums of records: nodes on the pool of the call, made, looked into and torn down."""

from __future__ import annotations

from collections.abc import Sequence

from lms.core import primitives as p
from lms.core.ir import Node
from lms.core.types import ArrayType, Constructor, SumType, Type

from ..ownership import managed
from .abi import CONTEXT, NODE_FIELDS, Site, offsets
from .arrays import coerce, retain
from .values import V
from .writer import Writer, rule


def kinds(types: dict[str, SumType]) -> dict[tuple[str, int], int]:
    """A number for every constructor of a program, which its nodes carry."""
    found: dict[tuple[str, int], int] = {}
    for name, t in types.items():
        for tag in range(len(t.constructors)):
            found[name, tag] = len(found)
    return found


def node_bytes(c: Constructor) -> int:
    return (NODE_FIELDS + 8 * offsets(tuple(t for _, t in c.fields))[-1] + 15) // 16 * 16


@rule(p.record.construct)
def _construct(w: Writer, node: Node) -> Sequence[V]:
    t, tag = node.attrs["type"], node.attrs["tag"]
    c = t.constructors[tag]
    address = w.op(f"call ptr @lms_node(ptr %ctx, i64 {node_bytes(c)})")
    ok = w.op(f"icmp ne ptr {address}, null")
    w.check(ok, Site(node.span, "MemoryError", f"no memory is left for another {c.name}"))
    w.do(f"store i64 1, ptr {address}, align 8")
    header = w.op(f"getelementptr inbounds i8, ptr {address}, i64 8")
    w.do(f"store i64 {tag | w.module.kinds[t.name, tag] << 32}, ptr {header}, align 8")
    types = tuple(f for _, f in c.fields)
    for k, (v, f, slot) in enumerate(zip(node.operands, types, offsets(types), strict=False)):
        if managed(f) and k not in w.ownership.moved.get(node, ()):
            retain(w, v)
        w.store_slots(address, NODE_FIELDS + 8 * slot, f, coerce(w, w.get(v), v.type, f))
    return [address]


@rule(p.record.tag)
def _tag(w: Writer, node: Node) -> Sequence[V]:
    header = w.op(f"getelementptr inbounds i8, ptr {w.scalar(node.operands[0])}, i64 8")
    return [w.op(f"zext i32 {w.op(f'load i32, ptr {header}, align 8')} to i64")]


@rule(p.record.project)
def _project(w: Writer, node: Node) -> Sequence[V]:
    t = node.operands[0].type
    assert isinstance(t, SumType)
    types = tuple(f for _, f in t.constructors[node.attrs["tag"]].fields)
    slot = offsets(types)[node.attrs["field"]]
    return [w.load_slots(w.scalar(node.operands[0]), NODE_FIELDS + 8 * slot, node.result.type)]


def tear_down(types: dict[str, SumType], kind: dict[tuple[str, int], int]) -> str:
    """`lms_tear_down`: takes waiting nodes apart, one after the other, until none waits."""
    cases, blocks = [], []
    for name, t in types.items():
        for tag, c in enumerate(t.constructors):
            number = kind[name, tag]
            cases.append(f"i32 {number}, label %kind{number}")
            blocks.append(f"kind{number}:\n{_fields(c, number)}"
                          f"  call void @lms_recycle(ptr %ctx, ptr %node, i64 {node_bytes(c)})\n  br label %each\n")
    return f"""
define internal void @lms_tear_down(ptr noalias %ctx) noinline nounwind {{
  %pending_at = getelementptr i8, ptr %ctx, i64 {CONTEXT["pending"]}
  br label %each
each:
  %node = load ptr, ptr %pending_at, align 8
  %null = icmp eq ptr %node, null
  br i1 %null, label %done, label %some
some:
  %next = load ptr, ptr %node, align 8
  store ptr %next, ptr %pending_at, align 8
  %kind_at = getelementptr i8, ptr %node, i64 12
  %kind = load i32, ptr %kind_at, align 4
  switch i32 %kind, label %done [ {" ".join(cases)} ]
{"".join(blocks)}done:
  ret void
}}
"""


def _fields(c: Constructor, number: int) -> str:
    """Release the references a node of one constructor holds."""
    text = ""
    types = tuple(f for _, f in c.fields)
    for k, (f, slot) in enumerate(zip(types, offsets(types), strict=False)):
        if not managed(f):
            continue
        name = f"%f{number}.{k}"
        text += (f"  {name}.at = getelementptr i8, ptr %node, i64 {NODE_FIELDS + 8 * slot}\n"
                 f"  {name} = load ptr, ptr {name}.at, align 8\n  {_forget(f, name)}\n")
    return text


def _forget(f: Type, name: str) -> str:
    if isinstance(f, SumType):
        return f"{name}.last = call i1 @lms_forget_node(ptr %ctx, ptr {name})"
    assert isinstance(f, ArrayType)
    release_ = "lms_release_references" if isinstance(f.dtype, SumType) else "lms_release"
    return f"call void @{release_}(ptr %ctx, ptr {name})"
