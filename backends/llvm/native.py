"""Objects whose call is native code: a type with a patchable code pointer, and the layout of CPython's and NumPy's objects.

`NativeCallable` is a type made by CPython's own `PyType_FromSpec`. The word behind the object header is the instance's
vectorcall function. While it is null, a call runs the Python method `__call__` of the subclass: the slow path.
`set_entries` puts generated code there: the fast path. The next word points to a table of entries for several types of
arguments, ended by null: an entry hands what it does not recognise to the one after it, and the last to `__call__`.
The third word says what entries must leave to `__call__`, which may choose other code for it. The fourth points to a table of
guards: variables that must hold what they held when the code was made, else the call runs `__call__`. The fifth points to
fronts (`front.py`), for calls with containers, static values and keywords.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from ctypes import c_char_p, c_int, c_ssize_t, c_uint, c_ulong, c_void_p, py_object
from enum import IntFlag
from importlib import import_module
from types import CellType
from typing import TYPE_CHECKING, Any

import numpy as np

# ------------------------------------------------------------------------------------------------ object layout

POINTER_AT = object.__basicsize__  # the vectorcall word follows the object header
TABLE_AT = POINTER_AT + 8
CHOOSY_AT = TABLE_AT + 8
GUARDS_AT = CHOOSY_AT + 8
FRONTS_AT = GUARDS_AT + 8


class Layout:
    """Byte offsets of the fields that generated code reads, as on 64-bit CPython with NumPy 1.26 to 2.x."""

    type = 8
    float_value = cell_content = size = 16
    tuple_items = list_items = 24
    array_data, array_rank, array_dims, array_strides, array_descr, array_flags = 16, 24, 32, 40, 56, 64
    descr_byteorder, descr_number = 26, 28


def _word(obj: object, offset: int, kind: type[Any] = c_void_p) -> Any:
    return kind.from_address(id(obj) + offset).value


def _layout_holds() -> bool:
    """Whether this interpreter and this NumPy lay their objects out as `Layout` says."""
    if POINTER_AT != 16 or ctypes.sizeof(c_void_p) != 8 or sys.byteorder != "little" or hasattr(sys, "pypy_version_info"):
        return False
    number, cell, pair, both = 1.5, CellType(np), (np, sys), [np, sys]
    if _word(cell, Layout.cell_content) != id(np):
        return False
    if (_word(pair, Layout.size, c_ssize_t) != 2 or _word(pair, Layout.tuple_items + 8) != id(sys)
            or _word(both, Layout.size, c_ssize_t) != 2
            or c_void_p.from_address(_word(both, Layout.list_items) + 8).value != id(sys)):
        return False
    if _word(number, Layout.type) != id(float) or _word(number, Layout.float_value, ctypes.c_double) != number:
        return False
    for array in (np.arange(6, dtype=np.int32).reshape(2, 3), np.zeros((4, 1, 2))[:, :, ::-1], np.zeros(3, np.uint8)):
        rank = _word(array, Layout.array_rank, c_int)
        if (_word(array, Layout.type) != id(np.ndarray) or rank != array.ndim
                or _word(array, Layout.array_data) != array.ctypes.data or _word(array, Layout.array_descr) != id(array.dtype)):
            return False
        for at, expected in ((Layout.array_dims, array.shape), (Layout.array_strides, array.strides)):
            if tuple((c_ssize_t * rank).from_address(_word(array, at))) != expected:
                return False
        flags = _word(array, Layout.array_flags, c_int)
        named = {1: array.flags.c_contiguous, 0x100: array.flags.aligned, 0x400: array.flags.writeable}
        if any(bool(flags & bit) != value for bit, value in named.items()):
            return False
        if (_word(array.dtype, Layout.descr_number, c_int) != array.dtype.num
                or chr(_word(array.dtype, Layout.descr_byteorder, ctypes.c_uint8)) != array.dtype.byteorder):
            return False
    return True


LAYOUT_HOLDS = _layout_holds()  # else generated entries are not used: calls go through Python and ctypes


def array_api(index: int) -> int:
    """A function or type of NumPy's C interface, by its place in the table."""
    core = import_module("numpy._core._multiarray_umath" if np.__version__ >= "2" else "numpy.core._multiarray_umath")
    return int(ctypes.cast(capsule_pointer(core._ARRAY_API), ctypes.POINTER(c_void_p))[index] or 0)


_capsule_name = ctypes.pythonapi.PyCapsule_GetName
_capsule_name.restype, _capsule_name.argtypes = c_char_p, [py_object]
_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype, _capsule_pointer.argtypes = c_void_p, [py_object, c_char_p]


def capsule_pointer(capsule: object) -> int:
    """The address in a capsule, whatever its name."""
    return int(_capsule_pointer(capsule, _capsule_name(capsule)))


# ------------------------------------------------------------------------------------------------ the type


class _Member(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("type", c_int), ("offset", c_ssize_t), ("flags", c_int), ("doc", c_char_p)]


class _Slot(ctypes.Structure):
    _fields_ = [("slot", c_int), ("function", c_void_p)]


class _Spec(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("basicsize", c_int), ("itemsize", c_int), ("flags", c_uint),
                ("slots", ctypes.POINTER(_Slot))]


_TP_CALL, _TP_NEW, _TP_MEMBERS, _TP_DOC = 50, 65, 72, 56
_BASETYPE, _HAVE_VECTORCALL, _DEFAULT = 1 << 10, 1 << 11, 1 << 18
_T_PYSSIZET, _READONLY = 19, 1

# everything below is referred to by the type, so it stays in this module for ever
_members = (_Member * 2)(_Member(b"__vectorcalloffset__", _T_PYSSIZET, POINTER_AT, _READONLY, None))
_doc = b"A callable whose call is native code once there is any; until then, and for other arguments, `__call__`."
_slots = (_Slot * 5)(
    _Slot(_TP_CALL, ctypes.cast(ctypes.pythonapi.PyVectorcall_Call, c_void_p)),
    _Slot(_TP_NEW, ctypes.cast(ctypes.pythonapi.PyType_GenericNew, c_void_p)),
    _Slot(_TP_MEMBERS, ctypes.cast(_members, c_void_p)),
    _Slot(_TP_DOC, ctypes.cast(c_char_p(_doc), c_void_p)),
)
_spec = _Spec(b"lms.backends.llvm.native._Callable", POINTER_AT + 40, 0, _BASETYPE | _HAVE_VECTORCALL | _DEFAULT, _slots)
_from_spec = ctypes.pythonapi.PyType_FromSpec
_from_spec.restype, _from_spec.argtypes = py_object, [ctypes.POINTER(_Spec)]

if TYPE_CHECKING:
    class _Callable:
        """What CPython makes of the specification above."""
else:
    _Callable = _from_spec(ctypes.byref(_spec))


def _flags_offset() -> int | None:
    """Where a type object keeps its flags; found by looking, `None` if it is not where CPython has always had it."""
    offset = 168
    return offset if all(_word(t, offset, c_ulong) == t.__flags__ for t in (int, dict, np.ndarray, _Callable)) else None


_FLAGS_AT = _flags_offset()


class NativeCallable(_Callable):
    """The base of callables that generated code may enter. Subclasses define `__call__`, the slow path.

    Instances have a `__dict__` and can be weakly referenced. A subclass that is to be copied or pickled defines `__reduce__`.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _enable(cls)

    if TYPE_CHECKING:
        def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


def _enable(cls: type) -> None:
    """Let calls of a Python subclass's instances look for a vectorcall first: CPython assumes `__call__` replaces it."""
    if _FLAGS_AT is not None:
        flags = c_ulong.from_address(id(cls) + _FLAGS_AT)
        flags.value |= _HAVE_VECTORCALL
        _modified(cls)


_modified = ctypes.pythonapi.PyType_Modified
_modified.restype, _modified.argtypes = None, [py_object]

_enable(NativeCallable)


_TABLES = 64  # are kept of those that were replaced: a thread that was reading one when it was has long moved on

Guard = tuple["dict[str, Any] | CellType", str, object]
"""A namespace and a name in it, or a closure cell; and the object it must hold."""


class Choosy(IntFlag):
    """What the entries of an object leave to its `__call__`, which may have other code for it."""

    NO = 0
    SIZES = 1    # arrays where a symbolic size is 1: there may be code that broadcasts them
    NUMBERS = 2  # NumPy's scalars of the types that Python has numbers for: their types are stronger
    YES = 3


def set_entries(obj: NativeCallable, addresses: Sequence[int], keepalive: Iterable[object], *, choosy: Choosy = Choosy.YES,
                guards: Sequence[Guard] = (), fronts: int = 0, tables: object = None) -> None:
    """Let calls of `obj` try the code at these addresses in order; `obj` keeps `keepalive`, the code's owners.

    Code that was entered before stays alive with it: another thread may still be inside. So do the last tables.
    """
    table = (c_void_p * (len(addresses) + 1))(*addresses, None)
    names = [sys.intern(name) for _, name, _ in guards]
    words = [(id(place), id(name) if isinstance(place, dict) else None, id(held))
             for (place, _, held), name in zip(guards, names, strict=True)]
    guarded = (c_void_p * (3 * len(words) + 1))(*(word for row in words for word in row), None)
    held = obj.__dict__.setdefault("__entered__", ([], {}))
    held[0].append((table, guarded, tuple(guards), names, tables))
    del held[0][:-_TABLES]
    held[1].update((id(owner), owner) for owner in keepalive)
    if LAYOUT_HOLDS and _FLAGS_AT is not None:
        c_void_p.from_address(id(obj) + TABLE_AT).value = ctypes.addressof(table)
        c_void_p.from_address(id(obj) + CHOOSY_AT).value = int(choosy)
        c_void_p.from_address(id(obj) + GUARDS_AT).value = ctypes.addressof(guarded) if guards else None
        c_void_p.from_address(id(obj) + FRONTS_AT).value = fronts or None
        c_void_p.from_address(id(obj) + POINTER_AT).value = addresses[0] if addresses else None


@contextmanager
def suspended() -> Iterator[None]:
    """Inside, calls of choosy objects run `__call__`, whatever entries they have: it decides what a call means here."""
    with _suspending:
        SUSPENDED.value += 1
    try:
        yield
    finally:
        with _suspending:
            SUSPENDED.value -= 1


SUSPENDED = ctypes.c_int64(0)  # entries read it
_suspending = threading.Lock()


def entries(obj: NativeCallable) -> list[int]:
    """The addresses that calls of `obj` try, in order; none while it has only its slow path."""
    found: list[int] = []
    at = c_void_p.from_address(id(obj) + TABLE_AT).value
    while at and (address := c_void_p.from_address(at + 8 * len(found)).value):
        found.append(address)
    return found
