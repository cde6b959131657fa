"""Native code through LLVM: `compile` makes a callable of a lowered program; `emit` shows the text LLVM is given."""

from __future__ import annotations

from lms.core.ir import Program

from .compiled import CompiledFunction
from .emit import emit, emit_module
from .native import NativeCallable, set_entries
from .writer import Options

__all__ = ["CompiledFunction", "NativeCallable", "Options", "compile", "emit", "emit_module", "set_entries"]


def compile(program: Program, *, fastmath: bool = False, boundscheck: bool = True, opt: int = 3,
            debug: bool = False, count: bool = False) -> CompiledFunction:
    """Native code for a lowered program, from the cache where it is there.

    `opt=0` is the fast tier: some 20 times quicker to compile, for code that runs once. `debug=True` keeps the user's lines
    for gdb. `count=True` counts the memory of calls (`CompiledFunction.counts`).
    """
    module = emit_module(program, Options(fastmath=fastmath, boundscheck=boundscheck, debug=debug, count=count))
    return CompiledFunction(module, program.main, opt, debug)
