"""Recursion: which functions call themselves, and the stack of our own they run on.

A function in a cycle of calls takes its depth as a last parameter and fails beyond the limit, or where its frame would
leave the stack. It is entered from outside through `enter`, which switches to a stack of 1 GiB of reserved address space,
committed by use. One spare stack is kept between calls. Without such a stack (another machine than x86-64 and AArch64,
no address space) recursion runs on the native stack, a quarter of a mebibyte of it.
"""

from __future__ import annotations

import platform
import sys

from lms.core.ir import Function

from .abi import CALLBACKS, CONTEXT, Site, Status
from .values import parts
from .writer import COLD, Writer, quoted, returned

RESERVED = (1 << 30, 1 << 27, 1 << 24)  # tried in turn
ROOM = 1 << 22  # left for what recursion calls without asking: functions that do not recurse, libm, BLAS
NATIVE = 1 << 18  # what recursion may use of the native stack, where it has none of its own


def guard(w: Writer) -> None:
    """At the start of a recursive function: not too deep, and enough stack left."""
    w.module.declares.add("declare ptr @llvm.frameaddress.p0(i32)")
    shallow = w.op(f"icmp ult i64 %depth, {w.module.options.depth}")
    limit = w.op(f"load ptr, ptr {w.context('limit')}, align 8")
    inside = w.op(f"icmp ugt ptr {w.op('call ptr @llvm.frameaddress.p0(i32 0)')}, {limit}")
    ok, deep = w.new_label("ok"), w.new_label("deep")
    w.branch(w.op(f"and i1 {shallow}, {inside}"), ok, deep, COLD)
    w.start(deep)
    name = w.module.program.known_as(w.function)
    site = Site(w.function.span, "RecursionError", f"{name}: maximum recursion depth exceeded")
    w.fail(Status.RECURSION, str(w.module.site(site)))
    w.start(ok)


def enter(function: Function) -> str:
    """`enter` of a function: its arguments and result travel through a frame that both stacks see."""
    types = ["ptr", *[t for v in function.body.params for t in parts(v.type)]]
    whole, body, name = returned(function), quoted(function.name), quoted(function.name, "enter")
    frame = f"{{ {', '.join([*types, whole])} }}"
    params = ", ".join(f"{t} %a{k}" for k, t in enumerate(types))
    stores = "".join(f"  %p{k} = getelementptr {frame}, ptr %frame, i32 0, i32 {k}\n  store {t} %a{k}, ptr %p{k}\n"
                     for k, t in enumerate(types))
    loads = "".join(f"  %p{k} = getelementptr {frame}, ptr %frame, i32 0, i32 {k}\n  %a{k} = load {t}, ptr %p{k}\n"
                    for k, t in enumerate(types))
    out = f"getelementptr {frame}, ptr %frame, i32 0, i32 {len(types)}"
    return f"""
define internal void @{quoted(function.name, "leap")}(ptr %frame) nounwind {{
{loads}  %out = call {whole} @{body}({params}, i64 0)
  %at = {out}
  store {whole} %out, ptr %at
  ret void
}}

define internal {whole} @{name}({params}) noinline nounwind {{
  %frame = alloca {frame}, align 16
  %native_at = getelementptr i8, ptr %a0, i64 {CONTEXT["native"]}
  %limit_at = getelementptr i8, ptr %a0, i64 {CONTEXT["limit"]}
  %native = load ptr, ptr %native_at
  %away = icmp ne ptr %native, null
  br i1 %away, label %direct, label %find
find:
  %top = call ptr @lms_stack_acquire(ptr %a0)
  %none = icmp eq ptr %top, null
  br i1 %none, label %poor, label %switch
poor:
  %here = call ptr @llvm.frameaddress.p0(i32 0)
  %lowest = getelementptr i8, ptr %here, i64 {-NATIVE}
  store ptr %lowest, ptr %limit_at
  br label %direct
switch:
{stores}  %sp = call ptr @llvm.stacksave.p0()
  %below = getelementptr i8, ptr %sp, i64 -1024
  %aligned = call ptr @llvm.ptrmask.p0.i64(ptr %below, i64 -64)
  store ptr %aligned, ptr %native_at
  call void @lms_switch(ptr @{quoted(function.name, "leap")}, ptr %frame, ptr %top)
  store ptr null, ptr %native_at
  %at = {out}
  %out = load {whole}, ptr %at
  ret {whole} %out
direct:
  %plain = call {whole} @{body}({params}, i64 0)
  ret {whole} %plain
}}
"""


DECLARES = ("declare ptr @llvm.frameaddress.p0(i32)", "declare ptr @llvm.stacksave.p0()",
            "declare ptr @llvm.ptrmask.p0.i64(ptr, i64)")

_ASM = {
    "x86_64": ["pushq %rbp", ".cfi_def_cfa_offset 16", ".cfi_offset %rbp, -16", "movq %rsp, %rbp", ".cfi_def_cfa_register %rbp",
               "movq %rdx, %rsp", "movq %rdi, %rax", "movq %rsi, %rdi", "callq *%rax", "movq %rbp, %rsp", "popq %rbp",
               ".cfi_def_cfa %rsp, 8", "retq"],
    "aarch64": ["stp x29, x30, [sp, #-16]!", ".cfi_def_cfa_offset 16", ".cfi_offset x30, -8", ".cfi_offset x29, -16",
                "mov x29, sp", ".cfi_def_cfa_register x29", "mov x9, x0", "mov x0, x1", "mov sp, x2", "blr x9", "mov sp, x29",
                "ldp x29, x30, [sp], #16", ".cfi_def_cfa sp, 0", "ret"],
}


def runtime(machine: str = "") -> str:
    """Stacks: taking one, giving it back, running a function on it; callbacks that leave it first."""
    machine = machine or {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    if machine not in _ASM or sys.platform not in ("linux", "darwin"):
        acquire = "define internal ptr @lms_stack_acquire(ptr %ctx) nounwind {\n  ret ptr null\n}\n"
        release = "define internal void @lms_stack_release(ptr %ctx) nounwind {\n  ret void\n}\n"
        switch = "define internal void @lms_switch(ptr %f, ptr %x, ptr %sp) nounwind {\n  ret void\n}\n"
        return acquire + release + switch + _outside()
    prefix = "_" if sys.platform == "darwin" else ""
    lines = [".text", ".p2align 4", f"{prefix}lms_switch:", ".cfi_startproc", *_ASM[machine], ".cfi_endproc"]
    assembly = "".join(f'module asm "{line}"\n' for line in lines)
    return assembly + "declare void @lms_switch(ptr, ptr, ptr)\n" + _stacks() + _outside()


def _stacks() -> str:
    flags = 0x24022 if sys.platform == "linux" else 0x1042  # private, anonymous, no reserve (and, on Linux, stack)
    attempts = ""
    for k, size in enumerate(RESERVED):
        following = f"try{k + 1}" if k + 1 < len(RESERVED) else "none"
        attempts += f"""try{k}:
  %m{k} = call ptr @mmap(ptr null, i64 {size}, i32 3, i32 {flags}, i32 -1, i64 0)
  %bad{k} = icmp eq ptr %m{k}, inttoptr (i64 -1 to ptr)
  br i1 %bad{k}, label %{following}, label %got{k}
got{k}:
  store i64 {size}, ptr %m{k}
  br label %have
"""
    sources = ", ".join(f"[ %m{k}, %got{k} ]" for k in range(len(RESERVED)))
    return f"""declare ptr @mmap(ptr, i64, i32, i32, i32, i64)
declare i32 @munmap(ptr, i64)

define internal ptr @lms_stack_acquire(ptr %ctx) noinline nounwind {{
entry:
  %stack_at = getelementptr i8, ptr %ctx, i64 {CONTEXT["stack"]}
  %held = load ptr, ptr %stack_at
  %have_one = icmp ne ptr %held, null
  br i1 %have_one, label %have, label %look
look:
  %spare = atomicrmw xchg ptr @lms_stack, ptr null seq_cst
  %no_spare = icmp eq ptr %spare, null
  br i1 %no_spare, label %try0, label %have
{attempts}have:
  %stack = phi ptr [ %held, %entry ], [ %spare, %look ], {sources}
  store ptr %stack, ptr %stack_at
  %limit_at = getelementptr i8, ptr %ctx, i64 {CONTEXT["limit"]}
  %limit = getelementptr i8, ptr %stack, i64 {ROOM}
  store ptr %limit, ptr %limit_at
  %size = load i64, ptr %stack
  %top = getelementptr i8, ptr %stack, i64 %size
  ret ptr %top
none:
  ret ptr null
}}

define internal void @lms_stack_release(ptr %ctx) noinline nounwind {{
  %stack_at = getelementptr i8, ptr %ctx, i64 {CONTEXT["stack"]}
  %stack = load ptr, ptr %stack_at
  %none = icmp eq ptr %stack, null
  br i1 %none, label %done, label %some
some:
  store ptr null, ptr %stack_at
  %status_at = getelementptr i8, ptr %ctx, i64 {CONTEXT["status"]}
  %status = load i32, ptr %status_at
  %spent = icmp eq i32 %status, {int(Status.RECURSION)}
  br i1 %spent, label %unmap, label %keep
keep:
  %pair = cmpxchg ptr @lms_stack, ptr null, ptr %stack seq_cst seq_cst
  %kept = extractvalue {{ ptr, i1 }} %pair, 1
  br i1 %kept, label %done, label %unmap
unmap:
  %size = load i64, ptr %stack
  %ignored = call i32 @munmap(ptr %stack, i64 %size)
  br label %done
done:
  ret void
}}
"""


def _outside() -> str:
    """For each callback, `lms_outside_...`: the same on the native stack."""
    text = ""
    for name, signature in CALLBACKS.items():
        if not signature.startswith("i32"):
            continue
        types = signature[signature.index("(") + 1:-1].split(", ")
        frame = f"{{ {', '.join([*types, 'i32'])} }}"
        params = ", ".join(f"{t} %a{k}" for k, t in enumerate(types))
        stores = "".join(f"  %p{k} = getelementptr {frame}, ptr %frame, i32 0, i32 {k}\n  store {t} %a{k}, ptr %p{k}\n"
                         for k, t in enumerate(types))
        loads = "".join(f"  %p{k} = getelementptr {frame}, ptr %frame, i32 0, i32 {k}\n  %a{k} = load {t}, ptr %p{k}\n"
                        for k, t in enumerate(types))
        short = name.removeprefix("lms_")
        text += f"""
define internal void @lms_leap_{short}(ptr %frame) nounwind {{
{loads}  %out = call i32 @{name}({params})
  %at = getelementptr {frame}, ptr %frame, i32 0, i32 {len(types)}
  store i32 %out, ptr %at
  ret void
}}

define internal i32 @lms_outside_{short}({params}) noinline nounwind {{
  %frame = alloca {frame}, align 16
  %native_at = getelementptr i8, ptr %a0, i64 {CONTEXT["native"]}
  %native = load ptr, ptr %native_at
  %home = icmp eq ptr %native, null
  br i1 %home, label %direct, label %leave
leave:
{stores}  call void @lms_switch(ptr @lms_leap_{short}, ptr %frame, ptr %native)
  %at = getelementptr {frame}, ptr %frame, i32 0, i32 {len(types)}
  %out = load i32, ptr %at
  ret i32 %out
direct:
  %plain = call i32 @{name}({params})
  ret i32 %plain
}}
"""
    return text
