"""What every generated entry shares, linked once per process and never unloaded: boxing arrays, raising, the slow path.

    i1   lms_holds(ptr self)                                                    whether all guards hold what they held
    ptr  lms_slow(ptr self, ptr args, i64 nargsf, ptr kwnames, ptr me)         tries the entry after `me`, else `self.__call__`
    ptr  lms_box_array(ptr slots, i32 rank, i32 type, i64 item, i32 strided)   a fresh ndarray from an array's slots
    void lms_fail(ptr function, ptr context)                         sets the exception that `function` makes
    ptr  lms_ask(ptr function, ptr address)                          `function(address)`
    i32  lms_poll(ptr context)                                       see `poll.py`
    ptr  lms_take(i64 bytes), void lms_keep(ptr raw, i64 bytes)      see `spare.py`
    ptr  lms_new(ptr context, i64 bytes, i64 kind), ...                the memory of a call, see `memory.py`
    ptr  lms_front(ptr self, ptr args, i64 nargsf, ptr kwnames)      see `front.py`

An ndarray that takes over memory of a call holds it by a capsule whose destructor is here: it may outlive the code that made it.
"""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np

from . import blas, front_shapes, front_text, jit, memory, poll, spare, vecmath
from . import cache as objects
from .abi import BLOCK
from .merge import merge
from .native import GUARDS_AT, SUSPENDED, TABLE_AT, Layout, array_api
from .writer import WEIGHTS

COPIED = 8192  # results of at most so many bytes are copied into an ndarray's own memory, which costs less than a capsule
_NEW, _NEW_COPY, _SET_BASE, _SCALAR = 93, 85, 282, 60  # places in NumPy's table

_TEXT = f"""
declare ptr @PyObject_GetAttr(ptr, ptr)
declare ptr @PyDict_GetItem(ptr, ptr)
declare ptr @PyObject_Vectorcall(ptr, ptr, i64, ptr)
declare void @Py_DecRef(ptr)
declare void @Py_IncRef(ptr)
declare ptr @PyCapsule_New(ptr, ptr, ptr)
declare ptr @PyCapsule_GetPointer(ptr, ptr)
declare void @PyErr_Fetch(ptr, ptr, ptr)
declare void @PyErr_NormalizeException(ptr, ptr, ptr)
declare void @PyErr_SetObject(ptr, ptr)
declare ptr @PyLong_FromVoidPtr(ptr)
declare ptr @PyObject_CallFunctionObjArgs(ptr, ...)
declare void @free(ptr)
declare ptr @lms_numpy_new(ptr, i32, ptr, i32, ptr, ptr, i32, i32, ptr)
declare ptr @lms_numpy_copy(ptr, i32)
declare i32 @lms_numpy_base(ptr, ptr)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
@lms_call_name = external global i8
@lms_ndarray = external global i8
@_Py_NoneStruct = external global i8
@name = private constant [4 x i8] c"lms\\00"

define ptr @lms_slow(ptr %self, ptr %args, i64 %nargsf, ptr %kwnames, ptr %me) {{
entry:
  %table.p = getelementptr i8, ptr %self, i64 {TABLE_AT}
  %table = load ptr, ptr %table.p
  br label %look
look:
  %at = phi ptr [%table, %entry], [%after, %other]
  %here = load ptr, ptr %at
  %after = getelementptr ptr, ptr %at, i64 1
  %mine = icmp eq ptr %here, %me
  br i1 %mine, label %found, label %other
other:
  %end = icmp eq ptr %here, null
  br i1 %end, label %python, label %look
found:
  %next = load ptr, ptr %after
  %last = icmp eq ptr %next, null
  br i1 %last, label %python, label %chain
chain:
  %answer = tail call ptr %next(ptr %self, ptr %args, i64 %nargsf, ptr %kwnames)
  ret ptr %answer
python:
  %method = call ptr @PyObject_GetAttr(ptr %self, ptr @lms_call_name)
  %missing = icmp eq ptr %method, null
  br i1 %missing, label %none, label %call
call:
  %result = call ptr @PyObject_Vectorcall(ptr %method, ptr %args, i64 %nargsf, ptr %kwnames)
  call void @Py_DecRef(ptr %method)
  ret ptr %result
none:
  ret ptr null
}}

define i1 @lms_holds(ptr %self) {{
entry:
  %guards.p = getelementptr i8, ptr %self, i64 {GUARDS_AT}
  %guards = load ptr, ptr %guards.p
  %none = icmp eq ptr %guards, null
  br i1 %none, label %yes, label %guard
guard:
  %at = phi ptr [%guards, %entry], [%next, %compare]
  %place = load ptr, ptr %at
  %end = icmp eq ptr %place, null
  br i1 %end, label %yes, label %look
look:
  %name.p = getelementptr ptr, ptr %at, i64 1
  %name = load ptr, ptr %name.p
  %held.p = getelementptr ptr, ptr %at, i64 2
  %held = load ptr, ptr %held.p
  %cell = icmp eq ptr %name, null
  br i1 %cell, label %content, label %item
content:
  %content.p = getelementptr i8, ptr %place, i64 {Layout.cell_content}
  %inside = load ptr, ptr %content.p
  br label %compare
item:
  %found = call ptr @PyDict_GetItem(ptr %place, ptr %name)
  br label %compare
compare:
  %now = phi ptr [%inside, %content], [%found, %item]
  %next = getelementptr ptr, ptr %at, i64 3
  %same = icmp eq ptr %now, %held
  br i1 %same, label %guard, label %no
yes:
  ret i1 true
no:
  ret i1 false
}}

define internal void @give(ptr %owner) {{
entry:
  %count.p = getelementptr i8, ptr %owner, i64 {BLOCK["references"]}
  %before = atomicrmw sub ptr %count.p, i64 1 acq_rel
  %last = icmp sle i64 %before, 1
  br i1 %last, label %drop, label %kept
drop:
  call void @lms_give(ptr %owner)
  ret void
kept:
  ret void
}}

define internal void @give_capsule(ptr %capsule) {{
entry:
  %owner = call ptr @PyCapsule_GetPointer(ptr %capsule, ptr @name)
  call void @give(ptr %owner)
  ret void
}}

define ptr @lms_box_array(ptr %slots, i32 %rank, i32 %number, i64 %item, i32 %strided) {{
entry:
  %scaled = alloca [64 x i64]
  %owner = load ptr, ptr %slots
  %data.p = getelementptr ptr, ptr %slots, i64 1
  %data = load ptr, ptr %data.p
  %dims = getelementptr i64, ptr %slots, i64 2
  %rank64 = zext i32 %rank to i64
  %strides = getelementptr i64, ptr %dims, i64 %rank64
  %gaps = icmp ne i32 %strided, 0
  br label %axes
axes:
  %axis = phi i64 [0, %entry], [%next, %more]
  %bytes = phi i64 [%item, %entry], [%grown, %more]
  %done = icmp eq i64 %axis, %rank64
  br i1 %done, label %sized, label %more0
more0:
  %dim.p = getelementptr i64, ptr %dims, i64 %axis
  %dim = load i64, ptr %dim.p
  %grown = mul i64 %bytes, %dim
  br i1 %gaps, label %scale, label %more
scale:
  %stride.p = getelementptr i64, ptr %strides, i64 %axis
  %stride = load i64, ptr %stride.p
  %step = mul i64 %stride, %item
  %scaled.p = getelementptr i64, ptr %scaled, i64 %axis
  store i64 %step, ptr %scaled.p
  br label %more
more:
  %next = add i64 %axis, 1
  br label %axes
sized:
  %steps = select i1 %gaps, ptr %scaled, ptr null
  %empty = icmp eq i64 %bytes, 0
  br i1 %empty, label %fresh, label %lent
lent:
  %foreign = icmp eq ptr %owner, null
  br i1 %foreign, label %copy, label %mine
copy:
  %view = call ptr @lms_numpy_new(ptr @lms_ndarray, i32 %rank, ptr %dims, i32 %number, ptr %steps, ptr %data, i32 0,
                                  i32 1280, ptr null)
  %unmade = icmp eq ptr %view, null
  br i1 %unmade, label %failed, label %copied
copied:
  %twin = call ptr @lms_numpy_copy(ptr %view, i32 0)
  call void @Py_DecRef(ptr %view)
  ret ptr %twin
mine:
  %short = icmp sle i64 %bytes, {COPIED}
  %tight = xor i1 %gaps, true
  %small = and i1 %short, %tight
  br i1 %small, label %fresh, label %wrap
fresh:
  %new = call ptr @lms_numpy_new(ptr @lms_ndarray, i32 %rank, ptr %dims, i32 %number, ptr null, ptr null, i32 0, i32 0, ptr null)
  %poor = icmp eq ptr %new, null
  br i1 %poor, label %leave, label %fill
fill:
  %to.p = getelementptr i8, ptr %new, i64 {Layout.array_data}
  %to = load ptr, ptr %to.p
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %data, i64 %bytes, i1 false)
  br label %leave
leave:
  %unowned = icmp eq ptr %owner, null
  br i1 %unowned, label %out, label %pay
pay:
  call void @give(ptr %owner)
  br label %out
out:
  ret ptr %new
wrap:
  %array = call ptr @lms_numpy_new(ptr @lms_ndarray, i32 %rank, ptr %dims, i32 %number, ptr %steps, ptr %data, i32 0,
                                   i32 1281, ptr null)
  %capsule = call ptr @PyCapsule_New(ptr %owner, ptr @name, ptr @give_capsule)
  %a = icmp eq ptr %array, null
  %b = icmp eq ptr %capsule, null
  %c = or i1 %a, %b
  br i1 %c, label %failed, label %base
base:
  %refused = call i32 @lms_numpy_base(ptr %array, ptr %capsule)
  ret ptr %array
failed:
  ret ptr null
}}

define void @lms_fail(ptr %function, ptr %context) {{
entry:
  %type = alloca ptr
  %value = alloca ptr
  %trace = alloca ptr
  call void @PyErr_Fetch(ptr %type, ptr %value, ptr %trace)
  %t = load ptr, ptr %type
  %quiet = icmp eq ptr %t, null
  br i1 %quiet, label %ask, label %normal
normal:
  call void @PyErr_NormalizeException(ptr %type, ptr %value, ptr %trace)
  %v = load ptr, ptr %value
  br label %ask
ask:
  %pending = phi ptr [@_Py_NoneStruct, %entry], [%v, %normal]
  %address = call ptr @PyLong_FromVoidPtr(ptr %context)
  %error = call ptr (ptr, ...) @PyObject_CallFunctionObjArgs(ptr %function, ptr %address, ptr %pending, ptr null)
  call void @Py_DecRef(ptr %address)
  br i1 %quiet, label %set, label %drop
drop:
  %t2 = load ptr, ptr %type
  %v2 = load ptr, ptr %value
  %trace2 = load ptr, ptr %trace
  call void @Py_DecRef(ptr %t2)
  call void @Py_DecRef(ptr %v2)
  call void @Py_DecRef(ptr %trace2)
  br label %set
set:
  %none = icmp eq ptr %error, null
  br i1 %none, label %out, label %raise
raise:
  %class.p = getelementptr i8, ptr %error, i64 {Layout.type}
  %class = load ptr, ptr %class.p
  call void @PyErr_SetObject(ptr %class, ptr %error)
  call void @Py_DecRef(ptr %error)
  br label %out
out:
  ret void
}}

define ptr @lms_ask(ptr %function, ptr %address) {{
entry:
  %number = call ptr @PyLong_FromVoidPtr(ptr %address)
  %result = call ptr (ptr, ...) @PyObject_CallFunctionObjArgs(ptr %function, ptr %number, ptr null)
  call void @Py_DecRef(ptr %number)
  ret ptr %result
}}
"""

_CALL_NAME = "__call__"
_NEW_TUPLE, _NEW_OBJECT = tuple.__new__, object.__new__
EXPORTS = ("lms_slow", "lms_holds", "lms_box_array", "lms_fail", "lms_ask", "lms_poll", "lms_take", "lms_keep",
           *memory.SHARED)
_FRONT = "declare ptr @lms_slow(ptr, ptr, i64, ptr, ptr)\ndeclare i1 @lms_holds(ptr)\n"
# The spare recursion stack, which calls take and put back: one word of data.
_stack = ctypes.c_void_p()


@cache
def _code() -> jit.Code:
    foreign = {"lms_numpy_new": array_api(_NEW), "lms_numpy_copy": array_api(_NEW_COPY), "lms_numpy_base": array_api(_SET_BASE),
               "lms_call_name": id(_CALL_NAME), "lms_ndarray": id(np.ndarray), "lms_suspended": ctypes.addressof(SUSPENDED)}
    text = merge(_TEXT, memory.GIVE, memory.shared(), spare.TEXT, poll.TEXT, *WEIGHTS)
    return objects.code(text, EXPORTS, foreign.get, library=True)


@cache
def _front() -> jit.Code:
    new = {"lms_new_tuple": id(_NEW_TUPLE), "lms_new_object": id(_NEW_OBJECT)}
    text = merge(_FRONT, front_shapes.TEXT, front_text.TEXT)
    return objects.code(text, ("lms_front",), lambda name: new.get(name) or resolve(name), library=True)


_library: dict[str, jit.Code] = {}


def _of_library(name: str) -> int | None:
    """The address of a function of one of our libraries; those that belong together are linked together."""
    if name not in _library:
        found = vecmath.library(name) or blas.library(name)
        if found is None:
            return None
        text, names = found
        _library.update(dict.fromkeys(names, objects.code(text, names, blas.address, library=True)))
    return _library[name][name]


@cache
def resolve(name: str) -> int | None:
    """The address of a symbol that generated code shares with this process; `None` for one it does not know."""
    if name in EXPORTS:
        return _code()[name]
    if name == "lms_front":
        return _front()[name]
    if (found := _of_library(name)) is not None:
        return found
    if name == "lms_stack":
        return ctypes.addressof(_stack)
    if name == "lms_suspended":
        return ctypes.addressof(SUSPENDED)
    if name == "lms_ndarray":
        return id(np.ndarray)
    if name == "lms_numpy_scalar":
        return array_api(_SCALAR)
    if name.startswith("lms_class_"):  # NumPy's scalar classes and dtypes live as long as NumPy
        return id(np.dtype(name.removeprefix("lms_class_")).type)
    if name.startswith("lms_dtype_"):
        return id(np.dtype(name.removeprefix("lms_dtype_")))
    return None
