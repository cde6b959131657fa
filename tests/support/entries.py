"""Functions compiled on their own, called through their native entry or through ctypes."""

from collections.abc import Callable
from typing import Any

import pytest

from lms.backends.llvm import CompiledFunction, Options, compile, emit_module
from lms.backends.llvm.native import LAYOUT_HOLDS
from lms.core.errors import Span
from lms.core.types import Type

from .build import Emit

HERE = Span(__file__, 1, 0, 1, 3)
native = pytest.mark.skipif(not LAYOUT_HOLDS, reason="objects are laid out otherwise here")


def program(types: list[Type], build: Callable[..., Any], names: str = "", mut: tuple[int, ...] = (), name: str = "f") -> Any:
    e = Emit()
    with e.function(name, *types, names=names, mut=frozenset(mut), span=HERE) as f:
        e.ret(f, *e.values(build(e, *f.body.params)))
    return e.program


def compiled(types: list[Type], build: Callable[..., Any], names: str = "", mut: tuple[int, ...] = ()) -> CompiledFunction:
    return compile(program(types, build, names, mut))


def through_ctypes(types: list[Type], build: Callable[..., Any], names: str = "", mut: tuple[int, ...] = ()) -> CompiledFunction:
    p = program(types, build, names, mut)
    return CompiledFunction(emit_module(p, Options()), p.main, native=False)


BOTH = pytest.mark.parametrize("make", [pytest.param(compiled, marks=native), through_ctypes])


def careful(e: Emit, x: Any, i: Any) -> Any:
    """`x[i]`, with a check of line 3."""
    with e.b.at(Span(__file__, 3, 0, 3, 6)):
        return e.load(x, e.index(i, e.dim(x)))
