"""A compiled program as a Python object: the fast path is its entry, the slow path converts and explains."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lms.core.ir import Function

from . import cache, counting, extensions, flat, jit, support
from .abi import Module
from .apart import split
from .callbacks import ADDRESSES, Sites
from .emit import declaration
from .entry import entry_text
from .leaves import Parameters
from .merge import merge
from .native import LAYOUT_HOLDS, Choosy, NativeCallable, set_entries
from .writer import escaped, quoted

EXPORTS = ("lms_entry", "lms_here")
_SPECIAL = {"lms_psi": ("scipy.special.cython_special", "__pyx_fuse_1psi")}


class CompiledFunction(NativeCallable):
    """Native code for a program. Called with leaves, it returns the result (a tuple of several, `None` for none).

    Floats, ints and bools come back as Python's, other scalars as NumPy's, arrays as fresh `ndarray`s, records as `Record`s.
    """

    def __init__(self, module: Module, function: Function, opt: int = 3, debug: bool = False,
                 native: bool = LAYOUT_HOLDS) -> None:
        self.module, self.function = module, function
        self.opt, self.debug, self.native = opt, debug, native
        self.text = _whole(module, native)
        self._parameters = Parameters(function)
        self._sites = sites = Sites(function.name, module.sites, module.results)
        exports = (*(EXPORTS if native else flat.EXPORTS), *([] if module.groups is None else [counting.SYMBOL]))
        self._code, self._computing = self._linked(exports)
        callbacks = sites.fail, sites.box, sites.done
        self.keepalive: object = (self._code, self._computing, sites, callbacks)
        self._inner: Callable[[Sequence[Any]], Any]
        if not native:
            self._inner = flat.caller(module, self._code, sites)
            return
        words = (ctypes.c_void_p * 4).from_address(self._code["lms_here"])
        words[:] = [*map(id, callbacks), sites.number]
        strict = _Strict()
        self._inner = lambda args: strict(*args)
        set_entries(strict, [self.entry], [self.keepalive], choosy=Choosy.NO)
        set_entries(self, [self.entry], [self.keepalive], choosy=Choosy.NO)

    def _linked(self, exports: tuple[str, ...]) -> tuple[jit.Code, jit.Code | None]:
        """The code with the entry, and what it calls where that is compiled apart."""
        if not self.module.apart:
            return cache.code(self.text, exports, self._resolve, opt=self.opt, debug=self.debug), None
        text, names, calling = split(self.text, exports)
        computing = cache.code(text, names, self._resolve, opt=self.opt)
        known = computing.addresses
        return cache.code(calling, exports, lambda name: known.get(name) or self._resolve(name), opt=0), computing

    @property
    def entry(self) -> int:
        """The address of the native entry, for an object of one's own (`set_entries`) that holds `keepalive`; 0 for none."""
        return self._code.addresses.get("lms_entry", 0)

    def __call__(self, *args: Any) -> Any:
        """The slow path: converts what the entry does not take as it is. Raises what `Parameters.convert` raises."""
        converted = self._parameters.convert(args, capsules=self.native)
        try:
            result = self._inner(converted.values)
        finally:
            converted.finish()
        if converted.back:
            result = (tuple(map(converted.original, result)) if isinstance(result, tuple) else converted.original(result))
        return result

    def call_leaves(self, args: Sequence[Any]) -> tuple[Any, ...]:
        """The results as a tuple, whatever their number."""
        result = self(*args)
        return result if len(self.module.results) > 1 else (result,) if self.module.results else ()

    def counts(self) -> np.ndarray:
        """What was counted so far, in a module that counts (`counting.counters`)."""
        return counting.counters(self.module, self._code[counting.SYMBOL])

    # ------------------------------------------------------------------------------------ to look at

    @property
    def llvm(self) -> str:
        """The program as optimised LLVM text: the function by its name, without the entry that Python calls."""
        return str(self._optimised())

    @property
    def asm(self) -> str:
        """The same as assembly."""
        with jit.lock:
            return jit.assembly(self._optimised(), self.opt)

    def _optimised(self) -> Any:
        text, name = _whole(self.module, native=True, entry=False), f'"{escaped(self.function.name)}"'
        if f"@{self.function.name}(" in text:  # the name of a function that it calls
            name = quoted(self.function.name, "program")
        return jit.optimise(text.replace("define internal i32 @lms_inner(", f"define i32 @{name}("), self.opt)

    def __reduce__(self) -> tuple[Any, ...]:
        return CompiledFunction, (self.module, self.function, self.opt, self.debug, self.native)

    def __repr__(self) -> str:
        return f"<compiled {self.function.name}{self.function.type}>"

    # ------------------------------------------------------------------------------------------ linking

    def _resolve(self, name: str) -> int | None:
        if name in ADDRESSES:
            return ADDRESSES[name]
        where = self.module.imports.get(name) or _SPECIAL.get(name)
        if where is not None:
            return extensions.function(*where)
        return support.resolve(name)


def _whole(module: Module, native: bool, entry: bool = True) -> str:
    """The module with its entry and what it calls. All but the entry is internal: what is not called is not compiled."""
    provided = "".join(map(declaration, sorted(module.callbacks)))
    text = module.text
    for name in ("lms_free", "lms_finish") if native else ():
        text = text.replace(f"define void @{name}(", f"define internal void @{name}(")
    return merge(text, (entry_text(module) if native else flat.TEXT) if entry else "", provided)


class _Strict(NativeCallable):
    """The entry without a slow path: the arguments have been converted already."""

    def __call__(self, *args: Any) -> Any:
        shown = ", ".join(type(a).__name__ for a in args)
        raise SystemError(f"the entry refused converted arguments ({shown}): a defect of lms, please report it")
