"""Calls through ctypes: for interpreters whose objects are not laid out as the entries assume, and as a check on the entries.

Slower than an entry (some microseconds) and the same in all else: arguments are converted already, results are as the entry's.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lms.core.types import ArrayType

from . import jit
from .abi import CONTEXT, Module, offsets
from .callbacks import Sites
from .slots import read, write

EXPORTS = ("lms_flat", "lms_finish", "lms_free")
TEXT = f"""
declare void @PyEval_RestoreThread(ptr)

; runs with the GIL and comes back with it, whatever polls did in between
define i32 @lms_flat(ptr %context, ptr %args, ptr %results) {{
entry:
  %status = call i32 @lms_inner(ptr %context, ptr %args, ptr %results)
  %thread.p = getelementptr inbounds i8, ptr %context, i64 {CONTEXT["thread"]}
  %thread = load ptr, ptr %thread.p
  %held = icmp eq ptr %thread, null
  br i1 %held, label %out, label %back
back:
  call void @PyEval_RestoreThread(ptr %thread)
  br label %out
out:
  ret i32 %status
}}
"""
_MAIN = ctypes.PYFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_FREE = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)


def caller(module: Module, code: jit.Code, sites: Sites) -> Callable[[Sequence[Any]], Any]:
    """A function from a list of converted arguments (records as `Record`s) to the result."""
    main, finish, free = _MAIN(code["lms_flat"]), _FREE(code["lms_finish"]), _FREE(code["lms_free"])
    first, result_slots = offsets(module.params), offsets(module.results)

    def call(args: Sequence[Any]) -> Any:
        slots, results = (_words(n) for n in (first[-1], result_slots[-1]))
        context = _words(module.context_size // 8)
        context[CONTEXT["module"] // 8] = sites.number
        keep = write(module.params, args, ctypes.addressof(slots))
        at = ctypes.addressof(context)
        error: BaseException | None = None
        try:
            status = main(at, slots, results)
        except BaseException as raised:  # noqa: BLE001  # the poll leaves Ctrl-C pending, which ctypes then raises here
            status, error = 1, raised.with_traceback(raised.__traceback__ and raised.__traceback__.tb_next)
        if status:
            raised_by = sites.fail(at, error)
            finish(at)
            raise raised_by
        values = read(module.results, ctypes.addressof(results))
        for k, (t, slot) in enumerate(zip(module.results, result_slots, strict=False)):
            if isinstance(t, ArrayType):
                values[k] = _same(module, args, values[k], results[slot + 1])
                if results[slot]:
                    free(results[slot])
        sites.done(at)
        finish(at)
        assert keep is not None
        plain = [v.item() if isinstance(v, np.float64 | np.int64 | np.bool_) else v for v in values]
        return plain[0] if len(plain) == 1 else tuple(plain) if plain else None

    return call


def _words(n: int) -> ctypes.Array[ctypes.c_uint64]:
    return (ctypes.c_uint64 * max(n, 1))()


def _same(module: Module, args: Sequence[Any], value: Any, data: int) -> Any:
    """The argument itself, where a result is an argument that is written to."""
    for m in module.mut:
        a = args[m]
        if isinstance(a, np.ndarray) and a.ctypes.data == data and a.shape == value.shape and a.dtype == value.dtype:
            return a
    return value
