"""Ctrl-C and the GIL: the function that long loops call now and then, as LLVM text.

A counter, then the clock, then the GIL: most polls only find that little time has passed and set the interval for the
next. A call that turns out to be long gives up the GIL at its first slow poll, so short calls never pay for releasing it.
Signals are looked at every 50 ms; a Python handler that raises (Ctrl-C does) unwinds the call.
"""

from __future__ import annotations

import sys

from .abi import CONTEXT

FIRST, MOST = 16, 16384                        # loop iterations between looks at the clock
LONG, SHORT = 20_000_000, 1_000_000            # ns between looks at the clock that are too many, too few
RELEASE, SIGNALS = 200_000, 50_000_000         # ns before the GIL is given up; between looks for signals
_MONOTONIC = 6 if sys.platform == "darwin" else 1


def _field(name: str) -> str:
    return f"getelementptr inbounds i8, ptr %ctx, i64 {CONTEXT[name]}"


TEXT = f"""
declare i32 @clock_gettime(i32, ptr)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare i32 @PyErr_CheckSignals()

define internal i64 @lms_now() nounwind {{
entry:
  %time = alloca [2 x i64]
  %failed = call i32 @clock_gettime(i32 {_MONOTONIC}, ptr %time)
  %seconds = load i64, ptr %time
  %rest = getelementptr inbounds i64, ptr %time, i64 1
  %ns = load i64, ptr %rest
  %whole = mul i64 %seconds, 1000000000
  %now = add i64 %whole, %ns
  ret i64 %now
}}

define i32 @lms_poll(ptr %ctx) {{
entry:
  %fuel.p = {_field("fuel")}
  %clock.p = {_field("clock")}
  %quantum.p = {_field("quantum")}
  %thread.p = {_field("thread")}
  %checked.p = {_field("checked")}
  %quantum = load i64, ptr %quantum.p
  %first = icmp eq i64 %quantum, 0
  br i1 %first, label %start, label %look
start:
  store i64 {FIRST}, ptr %quantum.p
  store i64 {FIRST}, ptr %fuel.p
  %begun = call i64 @lms_now()
  store i64 %begun, ptr %clock.p
  store i64 %begun, ptr %checked.p
  ret i32 0
look:
  %now = call i64 @lms_now()
  %then = load i64, ptr %clock.p
  %passed = sub i64 %now, %then
  store i64 %now, ptr %clock.p
  %short = icmp slt i64 %passed, {SHORT}
  %long = icmp sgt i64 %passed, {LONG}
  %more = shl i64 %quantum, 2
  %most = call i64 @llvm.umin.i64(i64 %more, i64 {MOST})
  %less = lshr i64 %quantum, 2
  %least = call i64 @llvm.umax.i64(i64 %less, i64 1)
  %grown = select i1 %short, i64 %most, i64 %quantum
  %next = select i1 %long, i64 %least, i64 %grown
  store i64 %next, ptr %quantum.p
  store i64 %next, ptr %fuel.p
  %checked = load i64, ptr %checked.p
  %since = sub i64 %now, %checked
  %thread = load ptr, ptr %thread.p
  %held = icmp eq ptr %thread, null
  %worth = icmp sgt i64 %since, {RELEASE}
  %release = and i1 %held, %worth
  br i1 %release, label %save, label %signals
save:
  %saved = call ptr @PyEval_SaveThread()
  store ptr %saved, ptr %thread.p
  br label %signals
signals:
  %due = icmp sgt i64 %since, {SIGNALS}
  br i1 %due, label %check, label %go
check:
  store i64 %now, ptr %checked.p
  %mine = load ptr, ptr %thread.p
  call void @PyEval_RestoreThread(ptr %mine)
  %raised = call i32 @PyErr_CheckSignals()
  %again = call ptr @PyEval_SaveThread()
  store ptr %again, ptr %thread.p
  %stop = icmp ne i32 %raised, 0
  %answer = zext i1 %stop to i32
  ret i32 %answer
go:
  ret i32 0
}}
declare i64 @llvm.umin.i64(i64, i64)
declare i64 @llvm.umax.i64(i64, i64)
"""
