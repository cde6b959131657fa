"""Taking containers apart and putting them together, by the words of a table (`front.py`), as LLVM text."""

from __future__ import annotations

from .front import DICT, INT, LEAF, LIST, NUMBER, OBJECT, SAME, STR, TUPLE, WIDEN
from .native import Layout

TEXT = f"""
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
declare i64 @PyLong_AsLongLong(ptr)
declare double @PyLong_AsDouble(ptr)
declare ptr @PyFloat_FromDouble(double)
declare ptr @PyErr_Occurred()
declare void @PyErr_Clear()
declare i32 @PyUnicode_Compare(ptr, ptr)
declare i64 @PyDict_Size(ptr)
declare ptr @PyDict_GetItem(ptr, ptr)
declare ptr @PyObject_GetAttr(ptr, ptr)
declare ptr @PyTuple_New(i64)
declare i32 @PyTuple_SetItem(ptr, i64, ptr)
declare ptr @PyList_New(i64)
declare i32 @PyList_SetItem(ptr, i64, ptr)
declare ptr @PyDict_New()
declare i32 @PyDict_SetItem(ptr, ptr, ptr)
declare i32 @PyObject_GenericSetAttr(ptr, ptr, ptr)
declare ptr @PyObject_CallFunctionObjArgs(ptr, ...)
@PyLong_Type = external global i8
@PyUnicode_Type = external global i8
@PyTuple_Type = external global i8
@PyList_Type = external global i8
@PyDict_Type = external global i8
@lms_new_tuple = external global i8
@lms_new_object = external global i8

; Takes `x` apart as the words at `code` say; leaves go to the array at `to`, with a reference each.
; `to` points to the next free place and the end. Gives the words after these, or null where `x` is something else.
define internal ptr @take(ptr %code, ptr %x, ptr %to) {{
entry:
  %op = load i64, ptr %code
  %w1.p = getelementptr i64, ptr %code, i64 1
  %w2.p = getelementptr i64, ptr %code, i64 2
  %w3.p = getelementptr i64, ptr %code, i64 3
  %kind.p = getelementptr i8, ptr %x, i64 {Layout.type}
  %kind = load ptr, ptr %kind.p
  switch i64 %op, label %no [
    i64 {LEAF}, label %leaf
    i64 {NUMBER}, label %number
    i64 {SAME}, label %same
    i64 {INT}, label %int
    i64 {STR}, label %str
    i64 {TUPLE}, label %tuple
    i64 {LIST}, label %list
    i64 {DICT}, label %dict
    i64 {OBJECT}, label %object
    i64 {WIDEN}, label %widen
  ]
widen:
  %whole = icmp eq ptr %kind, @PyLong_Type
  br i1 %whole, label %float, label %leaf
float:
  %wide = call double @PyLong_AsDouble(ptr %x)
  %new = call ptr @PyFloat_FromDouble(double %wide)
  %huge = call ptr @PyErr_Occurred()
  %made = icmp eq ptr %huge, null
  br i1 %made, label %leaf, label %clear
number:
  %class = load ptr, ptr %w1.p
  %is = icmp eq ptr %kind, %class
  br i1 %is, label %leaf, label %no
leaf:
  %after = phi ptr [%w1.p, %entry], [%w2.p, %number], [%w1.p, %widen], [%w1.p, %float]
  %v = phi ptr [%x, %entry], [%x, %number], [%x, %widen], [%new, %float]
  %owned = phi i1 [false, %entry], [false, %number], [false, %widen], [true, %float]
  %place = load ptr, ptr %to
  %end.p = getelementptr ptr, ptr %to, i64 1
  %end = load ptr, ptr %end.p
  %full = icmp eq ptr %place, %end
  br i1 %full, label %no, label %put
put:
  br i1 %owned, label %keep, label %share
share:
  call void @Py_IncRef(ptr %v)
  br label %keep
keep:
  store ptr %v, ptr %place
  %free = getelementptr ptr, ptr %place, i64 1
  store ptr %free, ptr %to
  ret ptr %after
same:
  %it = load ptr, ptr %w1.p
  %very = icmp eq ptr %x, %it
  br i1 %very, label %yes2, label %no
yes2:
  ret ptr %w2.p
int:
  %long = icmp eq ptr %kind, @PyLong_Type
  br i1 %long, label %read, label %no
read:
  %value = call i64 @PyLong_AsLongLong(ptr %x)
  %expected = load i64, ptr %w2.p
  %equal = icmp eq i64 %value, %expected
  %odd = icmp eq i64 %value, -1
  br i1 %odd, label %doubt, label %decide
doubt:
  %error = call ptr @PyErr_Occurred()
  %sound = icmp eq ptr %error, null
  br i1 %sound, label %decide, label %clear
clear:
  call void @PyErr_Clear()
  br label %no
decide:
  br i1 %equal, label %yes3, label %no
yes3:
  ret ptr %w3.p
str:
  %text = load ptr, ptr %w1.p
  %itself = icmp eq ptr %x, %text
  br i1 %itself, label %yes2, label %other
other:
  %unicode = icmp eq ptr %kind, @PyUnicode_Type
  br i1 %unicode, label %compare, label %no
compare:
  %order = call i32 @PyUnicode_Compare(ptr %x, ptr %text)
  %alike = icmp eq i32 %order, 0
  br i1 %alike, label %yes2, label %no

tuple:
  %cls = load ptr, ptr %w1.p
  %its = icmp eq ptr %kind, %cls
  br i1 %its, label %tuple.size, label %no
tuple.size:
  %n.t = load i64, ptr %w2.p
  %size.t.p = getelementptr i8, ptr %x, i64 {Layout.size}
  %size.t = load i64, ptr %size.t.p
  %fits.t = icmp eq i64 %size.t, %n.t
  br i1 %fits.t, label %tuple.next, label %no
tuple.next:
  %i.t = phi i64 [0, %tuple.size], [%i2.t, %tuple.took]
  %code.t = phi ptr [%w3.p, %tuple.size], [%rest.t, %tuple.took]
  %more.t = icmp slt i64 %i.t, %n.t
  br i1 %more.t, label %tuple.item, label %tuple.done
tuple.item:
  %items.t = getelementptr i8, ptr %x, i64 {Layout.tuple_items}
  %item.t.p = getelementptr ptr, ptr %items.t, i64 %i.t
  %item.t = load ptr, ptr %item.t.p
  %rest.t = call ptr @take(ptr %code.t, ptr %item.t, ptr %to)
  %bad.t = icmp eq ptr %rest.t, null
  br i1 %bad.t, label %no, label %tuple.took
tuple.took:
  %i2.t = add i64 %i.t, 1
  br label %tuple.next
tuple.done:
  ret ptr %code.t

list:
  %is.l = icmp eq ptr %kind, @PyList_Type
  %n.l = load i64, ptr %w2.p
  br i1 %is.l, label %list.next, label %no
list.next:
  %i.l = phi i64 [0, %list], [%i2.l, %list.took]
  %code.l = phi ptr [%w3.p, %list], [%rest.l, %list.took]
  %size.l.p = getelementptr i8, ptr %x, i64 {Layout.size}
  %size.l = load i64, ptr %size.l.p
  %fits.l = icmp eq i64 %size.l, %n.l
  br i1 %fits.l, label %list.more, label %no
list.more:
  %more.l = icmp slt i64 %i.l, %n.l
  br i1 %more.l, label %list.item, label %list.done
list.item:
  %items.l.p = getelementptr i8, ptr %x, i64 {Layout.list_items}
  %items.l = load ptr, ptr %items.l.p
  %item.l.p = getelementptr ptr, ptr %items.l, i64 %i.l
  %item.l = load ptr, ptr %item.l.p
  call void @Py_IncRef(ptr %item.l)
  %rest.l = call ptr @take(ptr %code.l, ptr %item.l, ptr %to)
  call void @Py_DecRef(ptr %item.l)
  %bad.l = icmp eq ptr %rest.l, null
  br i1 %bad.l, label %no, label %list.took
list.took:
  %i2.l = add i64 %i.l, 1
  br label %list.next
list.done:
  ret ptr %code.l

dict:
  %is.d = icmp eq ptr %kind, @PyDict_Type
  br i1 %is.d, label %dict.size, label %no
dict.size:
  %n.d = load i64, ptr %w2.p
  %size.d = call i64 @PyDict_Size(ptr %x)
  %fits.d = icmp eq i64 %size.d, %n.d
  br i1 %fits.d, label %keyed, label %no
object:
  %cls.o = load ptr, ptr %w1.p
  %is.o = icmp eq ptr %kind, %cls.o
  %n.o = load i64, ptr %w2.p
  br i1 %is.o, label %keyed, label %no
keyed:
  %n.k = phi i64 [%n.d, %dict.size], [%n.o, %object]
  %record = icmp eq i64 %op, {OBJECT}
  br label %keyed.next
keyed.next:
  %i.k = phi i64 [0, %keyed], [%i2.k, %keyed.took]
  %code.k = phi ptr [%w3.p, %keyed], [%rest.k, %keyed.took]
  %more.k = icmp slt i64 %i.k, %n.k
  br i1 %more.k, label %keyed.name, label %keyed.done
keyed.name:
  %key = load ptr, ptr %code.k
  %inner = getelementptr i64, ptr %code.k, i64 1
  br i1 %record, label %attribute, label %entry.of
attribute:
  %got = call ptr @PyObject_GetAttr(ptr %x, ptr %key)
  %lost = icmp eq ptr %got, null
  br i1 %lost, label %clear, label %keyed.item
entry.of:
  %lent = call ptr @PyDict_GetItem(ptr %x, ptr %key)
  %absent = icmp eq ptr %lent, null
  br i1 %absent, label %no, label %hold
hold:
  call void @Py_IncRef(ptr %lent)
  br label %keyed.item
keyed.item:
  %item.k = phi ptr [%got, %attribute], [%lent, %hold]
  %rest.k = call ptr @take(ptr %inner, ptr %item.k, ptr %to)
  call void @Py_DecRef(ptr %item.k)
  %bad.k = icmp eq ptr %rest.k, null
  br i1 %bad.k, label %no, label %keyed.took
keyed.took:
  %i2.k = add i64 %i.k, 1
  br label %keyed.next
keyed.done:
  ret ptr %code.k
no:
  ret ptr null
}}

; Puts a result together as the words say; `state` points to the next word and the next leaf. A new reference, or null.
define internal ptr @make(ptr %state) {{
entry:
  %code = load ptr, ptr %state
  %op = load i64, ptr %code
  %w1.p = getelementptr i64, ptr %code, i64 1
  %w1 = load ptr, ptr %w1.p
  %w2.p = getelementptr i64, ptr %code, i64 2
  %w3.p = getelementptr i64, ptr %code, i64 3
  switch i64 %op, label %parts [
    i64 {LEAF}, label %leaf
    i64 {SAME}, label %known
    i64 {STR}, label %known
    i64 {INT}, label %number
  ]
leaf:
  store ptr %w1.p, ptr %state
  %leaf.p = getelementptr ptr, ptr %state, i64 1
  %at = load ptr, ptr %leaf.p
  %value = load ptr, ptr %at
  %behind = getelementptr ptr, ptr %at, i64 1
  store ptr %behind, ptr %leaf.p
  call void @Py_IncRef(ptr %value)
  ret ptr %value
number:
  br label %known
known:
  %next = phi ptr [%w2.p, %entry], [%w2.p, %entry], [%w3.p, %number]
  store ptr %next, ptr %state
  call void @Py_IncRef(ptr %w1)
  ret ptr %w1
parts:
  store ptr %w3.p, ptr %state
  %n = load i64, ptr %w2.p
  switch i64 %op, label %none [
    i64 {TUPLE}, label %tuple
    i64 {LIST}, label %list
    i64 {DICT}, label %dict
    i64 {OBJECT}, label %object
  ]
tuple:
  %new.t = call ptr @PyTuple_New(i64 %n)
  br label %fill
list:
  %new.l = call ptr @PyList_New(i64 %n)
  br label %fill
dict:
  %new.d = call ptr @PyDict_New()
  br label %fill
object:
  %new.o = call ptr (ptr, ...) @PyObject_CallFunctionObjArgs(ptr @lms_new_object, ptr %w1, ptr null)
  br label %fill
fill:
  %new = phi ptr [%new.t, %tuple], [%new.l, %list], [%new.d, %dict], [%new.o, %object]
  %unmade = icmp eq ptr %new, null
  br i1 %unmade, label %none, label %part
part:
  %i = phi i64 [0, %fill], [%i2, %set]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %key, label %done
key:
  %names = icmp sge i64 %op, {DICT}
  br i1 %names, label %name, label %one
name:
  %here = load ptr, ptr %state
  %said = load ptr, ptr %here
  %past = getelementptr i64, ptr %here, i64 1
  store ptr %past, ptr %state
  br label %one
one:
  %key.k = phi ptr [null, %key], [%said, %name]
  %item = call ptr @make(ptr %state)
  %failed = icmp eq ptr %item, null
  br i1 %failed, label %drop, label %place
place:
  switch i64 %op, label %as.attribute [
    i64 {TUPLE}, label %as.tuple
    i64 {LIST}, label %as.list
    i64 {DICT}, label %as.item
  ]
as.tuple:
  %s1 = call i32 @PyTuple_SetItem(ptr %new, i64 %i, ptr %item)
  br label %set
as.list:
  %s2 = call i32 @PyList_SetItem(ptr %new, i64 %i, ptr %item)
  br label %set
as.item:
  %s3 = call i32 @PyDict_SetItem(ptr %new, ptr %key.k, ptr %item)
  call void @Py_DecRef(ptr %item)
  br label %set
as.attribute:
  %s4 = call i32 @PyObject_GenericSetAttr(ptr %new, ptr %key.k, ptr %item)
  call void @Py_DecRef(ptr %item)
  br label %set
set:
  %status = phi i32 [%s1, %as.tuple], [%s2, %as.list], [%s3, %as.item], [%s4, %as.attribute]
  %i2 = add i64 %i, 1
  %fine = icmp eq i32 %status, 0
  br i1 %fine, label %part, label %drop
drop:
  call void @Py_DecRef(ptr %new)
  br label %none
none:
  ret ptr null
done:
  %is.t = icmp eq i64 %op, {TUPLE}
  %plain = icmp eq ptr %w1, @PyTuple_Type
  %not.t = xor i1 %is.t, true
  %ready = or i1 %plain, %not.t
  br i1 %ready, label %give, label %named
named:
  %titled = call ptr (ptr, ...) @PyObject_CallFunctionObjArgs(ptr @lms_new_tuple, ptr %w1, ptr %new, ptr null)
  call void @Py_DecRef(ptr %new)
  ret ptr %titled
give:
  ret ptr %new
}}
"""
