"""What entries have in common, as LLVM text: what they declare, and the function that tests and unpacks one array."""

from __future__ import annotations

from .native import Layout

DECLARES = """
declare ptr @lms_slow(ptr, ptr, i64, ptr, ptr)
declare i1 @lms_holds(ptr)
declare ptr @lms_box_array(ptr, i32, i32, i64, i32)
declare void @lms_fail(ptr, ptr)
declare ptr @lms_ask(ptr, ptr)
declare ptr @lms_numpy_scalar(ptr, ptr, ptr)
declare ptr @PyFloat_FromDouble(double)
declare ptr @PyLong_FromLongLong(i64)
declare ptr @PyBool_FromLong(i64)
declare i64 @PyLong_AsLongLong(ptr)
declare ptr @PyErr_Occurred()
declare void @PyErr_Clear()
declare ptr @PyCapsule_GetPointer(ptr, ptr)
declare ptr @PyTuple_New(i64)
declare i32 @PyTuple_SetItem(ptr, i64, ptr)
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
@PyFloat_Type = external global i8
@PyLong_Type = external global i8
@PyComplex_Type = external global i8
@PyCapsule_Type = external global i8
@_Py_TrueStruct = external global i8
@_Py_FalseStruct = external global i8
@_Py_NoneStruct = external global i8
@lms_ndarray = external global i8
@lms_suspended = external global i64
@lms_here = global [4 x ptr] zeroinitializer
"""


UNPACK = f"""
define internal i1 @lms_unpack(ptr %array, ptr %slots, i32 %rank, i32 %number, i8 %order, i32 %need) noinline {{
entry:
  %type.p = getelementptr i8, ptr %array, i64 {Layout.type}
  %type = load ptr, ptr %type.p
  %is = icmp eq ptr %type, @lms_ndarray
  br i1 %is, label %look, label %no
look:
  %rank.p = getelementptr i8, ptr %array, i64 {Layout.array_rank}
  %rank.is = load i32, ptr %rank.p
  %a = icmp eq i32 %rank.is, %rank
  %flags.p = getelementptr i8, ptr %array, i64 {Layout.array_flags}
  %flags = load i32, ptr %flags.p
  %have = and i32 %flags, %need
  %b = icmp eq i32 %have, %need
  %descr.p = getelementptr i8, ptr %array, i64 {Layout.array_descr}
  %descr = load ptr, ptr %descr.p
  %number.p = getelementptr i8, ptr %descr, i64 {Layout.descr_number}
  %number.is = load i32, ptr %number.p
  %c = icmp eq i32 %number.is, %number
  %order.p = getelementptr i8, ptr %descr, i64 {Layout.descr_byteorder}
  %order.is = load i8, ptr %order.p
  %d = icmp eq i8 %order.is, %order
  %ab = and i1 %a, %b
  %cd = and i1 %c, %d
  %abcd = and i1 %ab, %cd
  br i1 %abcd, label %take, label %no
take:
  store ptr null, ptr %slots
  %data.p = getelementptr i8, ptr %array, i64 {Layout.array_data}
  %data = load ptr, ptr %data.p
  %data.s = getelementptr ptr, ptr %slots, i64 1
  store ptr %data, ptr %data.s
  %dims.p = getelementptr i8, ptr %array, i64 {Layout.array_dims}
  %dims = load ptr, ptr %dims.p
  %sizes = getelementptr i64, ptr %slots, i64 2
  br label %axes
axes:
  %k = phi i32 [0, %take], [%next, %axis]
  %done = icmp eq i32 %k, %rank
  br i1 %done, label %yes, label %axis
axis:
  %size.p = getelementptr i64, ptr %dims, i32 %k
  %size = load i64, ptr %size.p
  %size.s = getelementptr i64, ptr %sizes, i32 %k
  store i64 %size, ptr %size.s
  %next = add i32 %k, 1
  br label %axes
yes:
  ret i1 true
no:
  ret i1 false
}}
"""
