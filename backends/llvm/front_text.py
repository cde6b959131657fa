"""`lms_front`, the entry that walks the tables `front.py` writes, as LLVM text."""

from __future__ import annotations

from .front import LEAVES, PARAMETERS
from .native import CHOOSY_AT, FRONTS_AT, Layout

_COUNT = (1 << 63) - 1

TEXT = f"""
declare void @Py_DecRef(ptr)
@_Py_NotImplementedStruct = external global i8
@lms_suspended = external global i64

define internal void @forget(ptr %from, ptr %end) {{
entry:
  br label %look
look:
  %at = phi ptr [%from, %entry], [%next, %drop]
  %done = icmp eq ptr %at, %end
  br i1 %done, label %out, label %drop
drop:
  %x = load ptr, ptr %at
  call void @Py_DecRef(ptr %x)
  %next = getelementptr ptr, ptr %at, i64 1
  br label %look
out:
  ret void
}}

define ptr @lms_front(ptr %self, ptr %args, i64 %nargsf, ptr %kwnames) {{
entry:
  %given = alloca [{PARAMETERS} x ptr]
  %leaves = alloca [{LEAVES} x ptr]
  %to = alloca [2 x ptr]
  %state = alloca [2 x ptr]
  %alone = alloca ptr
  %n = and i64 %nargsf, {_COUNT}
  %choosy.p = getelementptr i8, ptr %self, i64 {CHOOSY_AT}
  %choosy = load i64, ptr %choosy.p
  %suspended = load i64, ptr @lms_suspended
  %off = mul i64 %suspended, %choosy
  %active = icmp eq i64 %off, 0
  br i1 %active, label %guards, label %python
guards:
  %holds = call i1 @lms_holds(ptr %self)
  br i1 %holds, label %first, label %python
first:
  %fronts.p = getelementptr i8, ptr %self, i64 {FRONTS_AT}
  %fronts = load ptr, ptr %fronts.p
  %keywords = icmp ne ptr %kwnames, null
  br i1 %keywords, label %count, label %front
count:
  %m.p = getelementptr i8, ptr %kwnames, i64 {Layout.size}
  %m.k = load i64, ptr %m.p
  br label %front

front:
  %row = phi ptr [%fronts, %first], [%fronts, %count], [%row2, %miss]
  %m = phi i64 [0, %first], [%m.k, %count], [%m, %miss]
  %words = load ptr, ptr %row
  %end = icmp eq ptr %words, null
  br i1 %end, label %python, label %arity
arity:
  %params.p = getelementptr i64, ptr %row, i64 3
  %params = load i64, ptr %params.p
  %names.p = getelementptr i64, ptr %row, i64 4
  %names = load ptr, ptr %names.p
  %defaults.p = getelementptr i64, ptr %row, i64 5
  %defaults = load ptr, ptr %defaults.p
  %all = add i64 %n, %m
  %own.p = getelementptr i64, ptr %row, i64 8
  %own = load i64, ptr %own.p
  %many = icmp sgt i64 %all, %own
  br i1 %many, label %miss, label %position
position:
  %k = phi i64 [0, %arity], [%k2, %positioned]
  %left = icmp slt i64 %k, %params
  br i1 %left, label %place, label %keyword
place:
  %by.position = icmp slt i64 %k, %n
  %arg.p = getelementptr ptr, ptr %args, i64 %k
  %default.p = getelementptr ptr, ptr %defaults, i64 %k
  %source = select i1 %by.position, ptr %arg.p, ptr %default.p
  %arg = load ptr, ptr %source
  br label %positioned
positioned:
  %slot = getelementptr ptr, ptr %given, i64 %k
  store ptr %arg, ptr %slot
  %k2 = add i64 %k, 1
  br label %position
keyword:
  %j = phi i64 [0, %position], [%j2, %matched]
  %some = icmp slt i64 %j, %m
  br i1 %some, label %search, label %fill
search:
  %kw.items = getelementptr i8, ptr %kwnames, i64 {Layout.tuple_items}
  %kw.p = getelementptr ptr, ptr %kw.items, i64 %j
  %kw = load ptr, ptr %kw.p
  br label %compare
compare:
  %c = phi i64 [%n, %search], [%c2, %different]
  %within = icmp slt i64 %c, %own
  br i1 %within, label %named, label %miss
named:
  %name.p = getelementptr ptr, ptr %names, i64 %c
  %name = load ptr, ptr %name.p
  %hit = icmp eq ptr %name, %kw
  br i1 %hit, label %matched, label %different
different:
  %c2 = add i64 %c, 1
  br label %compare
matched:
  %value.i = add i64 %n, %j
  %value.p = getelementptr ptr, ptr %args, i64 %value.i
  %value = load ptr, ptr %value.p
  %target = getelementptr ptr, ptr %given, i64 %c
  store ptr %value, ptr %target
  %j2 = add i64 %j, 1
  br label %keyword

fill:
  store ptr %leaves, ptr %to
  %last = getelementptr ptr, ptr %leaves, i64 {LEAVES}
  %last.p = getelementptr ptr, ptr %to, i64 1
  store ptr %last, ptr %last.p
  br label %argument
argument:
  %a = phi i64 [0, %fill], [%a2, %taken]
  %code = phi ptr [%words, %fill], [%rest, %taken]
  %unread = icmp slt i64 %a, %params
  br i1 %unread, label %read, label %call
read:
  %x.p = getelementptr ptr, ptr %given, i64 %a
  %x = load ptr, ptr %x.p
  %missing = icmp eq ptr %x, null
  br i1 %missing, label %undo, label %take
take:
  %rest = call ptr @take(ptr %code, ptr %x, ptr %to)
  %bad = icmp eq ptr %rest, null
  br i1 %bad, label %undo, label %taken
taken:
  %a2 = add i64 %a, 1
  br label %argument
undo:
  %stop.u = load ptr, ptr %to
  call void @forget(ptr %leaves, ptr %stop.u)
  br label %miss
miss:
  %row2 = getelementptr i64, ptr %row, i64 9
  br label %front

call:
  %stop = load ptr, ptr %to
  %stop.i = ptrtoint ptr %stop to i64
  %start.i = ptrtoint ptr %leaves to i64
  %bytes = sub i64 %stop.i, %start.i
  %number = lshr i64 %bytes, 3
  %entry.p = getelementptr i64, ptr %row, i64 2
  %entry.f = load ptr, ptr %entry.p
  %refuse.p = getelementptr i64, ptr %row, i64 7
  %refuse = load ptr, ptr %refuse.p
  %result = call ptr %entry.f(ptr %refuse, ptr %leaves, i64 %number, ptr null)
  call void @forget(ptr %leaves, ptr %stop)
  %raised = icmp eq ptr %result, null
  br i1 %raised, label %error, label %answered
answered:
  %refused = icmp eq ptr %result, @_Py_NotImplementedStruct
  br i1 %refused, label %another, label %shape
another:
  call void @Py_DecRef(ptr %result)
  br label %miss
shape:
  %shape.p = getelementptr i64, ptr %row, i64 1
  %shape.w = load ptr, ptr %shape.p
  %bare = icmp eq ptr %shape.w, null
  br i1 %bare, label %out, label %wrap
wrap:
  store ptr %shape.w, ptr %state
  store ptr %result, ptr %alone
  %results.p = getelementptr i64, ptr %row, i64 6
  %results = load i64, ptr %results.p
  %single = icmp eq i64 %results, 1
  %several = getelementptr i8, ptr %result, i64 {Layout.tuple_items}
  %values = select i1 %single, ptr %alone, ptr %several
  %values.p = getelementptr ptr, ptr %state, i64 1
  store ptr %values, ptr %values.p
  %whole = call ptr @make(ptr %state)
  call void @Py_DecRef(ptr %result)
  ret ptr %whole
out:
  ret ptr %result
error:
  ret ptr null
python:
  %slow = tail call ptr @lms_slow(ptr %self, ptr %args, i64 %nargsf, ptr %kwnames, ptr @lms_front)
  ret ptr %slow
}}
"""
