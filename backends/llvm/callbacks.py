"""The cold side of a call, in Python: what went wrong, `print`, calls of Python functions.

Compiled code names a *site*; `Sites` knows what stands there in the user's program. Exceptions cannot pass through native
frames, so a callback keeps its exception here and answers 1; when the call has unwound, `fail` hands it over.
"""

from __future__ import annotations

import ast
import ctypes
import threading
from collections.abc import Sequence
from functools import lru_cache
from types import CodeType, TracebackType
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from lms.core.errors import Span
from lms.core.primitives.control import ERRORS
from lms.core.types import Type

from ..values import from_python, located
from .abi import CONTEXT, VALUES, Site, Status
from .slots import read, write

_living: WeakValueDictionary[int, Sites] = WeakValueDictionary()
_numbers = iter(range(1, 1 << 62))


class Sites:
    """The sites of one module, and what calls in progress have left behind."""

    def __init__(self, name: str, sites: Sequence[Site], results: Sequence[Type]) -> None:
        self.name, self.sites, self.results = name, sites, results
        self.number = next(_numbers)
        self._pending: dict[int, BaseException] = {}
        self._lent: dict[int, list[Any]] = {}
        self._lock = threading.Lock()
        _living[self.number] = self

    # -------------------------------------------------------------------------- called by the entry

    def fail(self, context: int, raised: BaseException | None) -> BaseException:
        """The exception of a call whose status is not OK, with the user's line as its innermost frame."""
        status = Status(_i32(context, "status"))
        site = self._site(context)
        error = self._pending.pop(context, None) or raised or self._failure(status, site, context)
        self.done(context)
        return with_frame(error, site.span, self.name) if site and site.span else error

    def box(self, results: int) -> Any:
        """The results of a call, from their slots, as the entry would have boxed them."""
        values = [v.item() if isinstance(v, np.float64 | np.int64 | np.bool_) else v for v in read(self.results, results)]
        return values[0] if len(values) == 1 else tuple(values)

    def done(self, context: int) -> None:
        """Let go of what a call borrowed."""
        self._lent.pop(context, None)

    def _site(self, context: int) -> Site | None:
        k = _i32(context, "site")
        return self.sites[k] if 0 <= k < len(self.sites) else None

    def _failure(self, status: Status, site: Site | None, context: int) -> BaseException:
        if status is Status.RECURSION:
            return located(RecursionError(site.message if site else f"{self.name}: maximum recursion depth exceeded"),
                           site.span if site else None)
        if status is not Status.CHECK or site is None:
            return SystemError(f"{self.name}: compiled code failed with status {status.name} and no exception")
        values = read(site.operands, context + VALUES)
        shown = site.message.format(*(v.item() if isinstance(v, np.generic) else v for v in values))
        return located(ERRORS[site.error](shown), site.span)

    # ------------------------------------------------------------------------------ called by the code

    def speak(self, site: Site, operands: int) -> None:
        values = read(site.operands, operands)
        print(site.message.format(*(v.item() if isinstance(v, np.generic) else v for v in values)), end=site.end)

    def call(self, context: int, site: Site, operands: int, results: int) -> None:
        assert site.function is not None
        out = from_python(site.function(*read(site.operands, operands)), site.results, site.span)
        with self._lock:
            self._lent.setdefault(context, []).extend(write(site.results, out, results))

    def keep(self, context: int, error: BaseException) -> int:
        self._pending[context] = error
        return 1


def _i32(context: int, name: str) -> int:
    return int(ctypes.c_int32.from_address(context + CONTEXT[name]).value)


def _sites(context: int) -> Sites:
    return _living[ctypes.c_int64.from_address(context + CONTEXT["module"]).value]


def _print(context: int, site: int, operands: int) -> int:
    sites = _sites(context)
    try:
        sites.speak(sites.sites[site], operands or 0)
    except BaseException as error:  # noqa: BLE001  # whatever it is, it goes on when the call has unwound
        return sites.keep(context, error)
    return 0


def _py_call(context: int, site: int, operands: int, results: int) -> int:
    sites = _sites(context)
    try:
        sites.call(context, sites.sites[site], operands or 0, results or 0)
    except BaseException as error:  # noqa: BLE001  # the same
        return sites.keep(context, error.with_traceback(_without_ours(error.__traceback__)))
    return 0


_native = {  # they take the GIL themselves; kept for ever, for generated code calls them
    "lms_print": ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)(_print),
    "lms_py_call": ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(_py_call),
}
ADDRESSES = {name: ctypes.cast(function, ctypes.c_void_p).value for name, function in _native.items()}

# ------------------------------------------------------------------------------------------ frames that point


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without its outer frames that are in this file."""
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return trace


def with_frame(error: BaseException, span: Span, name: str) -> BaseException:
    """The exception with one more frame outside those it has: the user's function, at the user's line."""
    try:
        exec(_raiser(span, name), {"__name__": name, "Here": _Here})
    except _Here as here:
        assert here.__traceback__ is not None and here.__traceback__.tb_next is not None
        at = here.__traceback__.tb_next
        return error.with_traceback(TracebackType(error.__traceback__, at.tb_frame, at.tb_lasti, at.tb_lineno))
    raise AssertionError("the code above raises")


class _Here(Exception):
    """Raised to be caught at once: it makes a frame."""


@lru_cache(maxsize=1024)
def _raiser(span: Span, name: str) -> CodeType:
    """Code that raises `_Here`, at the user's place."""
    module = ast.parse("raise Here")
    where = {"lineno": span.line, "col_offset": span.column, "end_lineno": span.end_line or span.line,
             "end_col_offset": span.end_column or span.column + 1}
    for node in ast.walk(module):
        for attribute, value in where.items():
            if hasattr(node, attribute):
                setattr(node, attribute, value)
    return compile(module, span.file, "exec", dont_inherit=True).replace(co_name=name, co_qualname=name)
