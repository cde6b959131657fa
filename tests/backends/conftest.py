"""A minimal way to run the LLVM text of a program, apart from the entry that Python uses: slots, context, callbacks by ctypes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from lms.backends.llvm import Options, emit_module, jit, support
from lms.backends.llvm.abi import BLOCK, CALLBACKS, CONTEXT, NODE_FIELDS, VALUES, Module, Site, Status, offsets
from lms.backends.llvm.emit import declaration
from lms.backends.values import fields_of, rebuild
from lms.core.ir import Program
from lms.core.primitives.control import ERRORS
from lms.core.primitives.record import Record
from lms.core.types import ArrayType, Scalar, SumType, Type

_MAIN = """
define i32 @lms_main(ptr %ctx, ptr %args, ptr %results) {
  %status = call i32 @lms_inner(ptr %ctx, ptr %args, ptr %results)
  ret i32 %status
}
"""
_PROTOTYPES = {"lms_poll": ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p),
               "lms_print": ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p),
               "lms_py_call": ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)}


class Native:
    """A compiled program: call it with NumPy values and `Record`s, as the interpreter is called."""

    def __init__(self, program: Program, edit: Callable[[str], str] = str, exports: Sequence[str] = (),
                 poison: bool = False, **options: Any) -> None:
        self.module: Module = emit_module(program, Options(**options))
        self.text = edit(self.module.text + _MAIN + "".join(map(declaration, sorted(self.module.callbacks))))
        self.optimised = jit.optimise(self.text)
        self.spare = ctypes.c_void_p(None)
        self.polls, self.interrupt_at, self.error = 0, -1, None
        self.callbacks = {name: prototype(getattr(self, f"_{name}")) for name, prototype in _PROTOTYPES.items()}
        self._poison = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(poisoned) if poison else None
        self.code = jit.link(jit.object_code(self.optimised), ["lms_main", "lms_finish", "lms_free", *exports], self._resolve)
        self.main = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 3)(self.code["lms_main"])
        self.finish = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.code["lms_finish"])
        self.free = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.code["lms_free"])
        self.left = 0  # array blocks the last call still held when it came back

    def _resolve(self, name: str) -> int | None:
        if name == "free" and self._poison:
            return ctypes.cast(self._poison, ctypes.c_void_p).value
        if name == "lms_stack":
            return ctypes.addressof(self.spare)
        if name in CALLBACKS:
            return ctypes.cast(self.callbacks[name], ctypes.c_void_p).value
        if name in self.module.imports:
            module, function = self.module.imports[name]
            capsule = import_module(module).__pyx_capi__[function]
            get_name, get = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
            get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
            get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
            return int(get(capsule, get_name(capsule)))
        return support.resolve(name)

    # ------------------------------------------------------------------------------------------- callbacks

    def _lms_poll(self, context: int) -> int:
        self.polls += 1
        _write(context + CONTEXT["fuel"], np.int64(65536))
        return int(self.polls == self.interrupt_at)

    def _lms_print(self, context: int, site: int, slots: int) -> int:
        s = self.module.sites[site]
        print(s.message.format(*map(_python, self._values(s.operands, slots))), end=s.end)
        return 0

    def _lms_py_call(self, context: int, site: int, slots: int, out: int) -> int:
        s = self.module.sites[site]
        assert s.function is not None
        try:
            results = s.function(*self._values(s.operands, slots))
        except ZeroDivisionError as e:
            self.error = e
            return 1
        results = results if isinstance(results, tuple) else (results,)
        for t, v, slot in zip(s.results, results, offsets(s.results), strict=False):
            self._put(out + 8 * slot, t, v)
        return 0

    # ---------------------------------------------------------------------------------------------- slots

    def _put(self, at: int, t: Type, v: Any) -> None:
        if isinstance(t, ArrayType):
            assert isinstance(v, np.ndarray) and isinstance(t.dtype, Scalar) and v.dtype == t.dtype.dtype
            assert t.layout == "S" or v.flags.c_contiguous
            self.keep.append(v)
            words = [0, v.ctypes.data, *v.shape, *([s // v.itemsize for s in v.strides] if t.layout == "S" else ())]
            _write(at, np.array(words, np.int64))
        elif isinstance(t, SumType):
            _write(at, np.int64(self._node(v)))
        elif t.is_complex:
            part = np.float64 if t.bits == 128 else np.float32
            _write(at, part(v.real))
            _write(at + 8, part(v.imag))
        else:
            _write(at, t.dtype.type(v))

    def _node(self, root: Record) -> int:
        def node(r: Record, parts: tuple[Any, ...]) -> int:
            types = tuple(t for _, t in r.type.constructors[r.tag].fields)
            buffer = np.zeros(2 + offsets(types)[-1], np.int64)
            self.keep.append(buffer)
            buffer[:2] = -1, r.tag
            for part, t, slot in zip(parts, types, offsets(types), strict=False):
                if isinstance(t, SumType):
                    buffer[2 + slot] = part  # its address
                else:
                    self._put(buffer.ctypes.data + NODE_FIELDS + 8 * slot, t, part)
            return buffer.ctypes.data

        (address,) = rebuild([root], fields_of, node)
        return int(address)

    def _values(self, types: Sequence[Type], at: int) -> list[Any]:
        return [self._take(t, at + 8 * slot) for t, slot in zip(types, offsets(tuple(types)), strict=False)]

    def _take(self, t: Type, at: int) -> Any:
        if isinstance(t, ArrayType):
            words = _read(at, np.int64, 2 + t.rank * (2 if t.layout == "S" else 1))
            shape = tuple(int(n) for n in words[2:2 + t.rank])
            assert isinstance(t.dtype, Scalar)
            strides = tuple(int(s) * t.dtype.dtype.itemsize for s in words[2 + t.rank:]) if t.layout == "S" else None
            if 0 in shape:
                return np.zeros(shape, t.dtype.dtype)
            low = min(0, sum(min(0, (n - 1) * s) for n, s in zip(shape, strides or (), strict=False)))
            span = sum(abs((n - 1) * s) for n, s in zip(shape, strides, strict=True)) + t.dtype.dtype.itemsize if strides else \
                int(np.prod(shape)) * t.dtype.dtype.itemsize
            raw = np.frombuffer((ctypes.c_char * span).from_address(int(words[1]) + low), np.uint8)
            return np.ndarray(shape, t.dtype.dtype, raw, -low, strides).copy()
        if isinstance(t, SumType):
            return self._record(t, int(_read(at, np.int64, 1)[0]))
        if t.is_complex:
            part = np.float64 if t.bits == 128 else np.float32
            return t.dtype.type(complex(_read(at, part, 1)[0], _read(at + 8, part, 1)[0]))
        return _read(at, t.dtype, 1)[0]

    def _record(self, t: SumType, node: int) -> Record:
        done: dict[int, Record] = {}
        work = [(t, node)]
        while work:
            t, node = work[-1]
            tag = int(_read(node + 8, np.int32, 1)[0])
            types = tuple(f for _, f in t.constructors[tag].fields)
            at = [node + NODE_FIELDS + 8 * slot for slot in offsets(types)]
            inner = {a: int(_read(a, np.int64, 1)[0]) for f, a in zip(types, at, strict=False) if isinstance(f, SumType)}
            missing = [(f, inner[a]) for f, a in zip(types, at, strict=False) if isinstance(f, SumType) and inner[a] not in done]
            if missing:
                work += missing
                continue
            work.pop()
            done[node] = Record(t, tag, tuple(done[inner[a]] if isinstance(f, SumType) else self._take(f, a)
                                              for f, a in zip(types, at, strict=False)))
        return done[node]

    # --------------------------------------------------------------------------------------------- calling

    def __call__(self, *args: Any) -> tuple[Any, ...]:
        self.keep: list[np.ndarray] = []
        m = self.module
        context = np.zeros(m.context_size // 8, np.int64)
        slots, out = np.zeros(offsets(m.params)[-1] + 1, np.int64), np.zeros(offsets(m.results)[-1] + 1, np.int64)
        for t, v, slot in zip(m.params, args, offsets(m.params), strict=False):
            self._put(slots.ctypes.data + 8 * slot, t, v)
        status = self.main(context.ctypes.data, slots.ctypes.data, out.ctypes.data)
        try:
            if status:
                self._raise(Status(status), context)
            results = tuple(self._values(m.results, out.ctypes.data))
            self.left = _length(int(context[CONTEXT["blocks"] // 8]))
            for t, slot in zip(m.results, offsets(m.results), strict=False):
                if isinstance(t, ArrayType):
                    self.free(int(out[slot]))
            return results
        finally:
            self.finish(context.ctypes.data)

    def _raise(self, status: Status, context: np.ndarray) -> None:
        site: Site = self.module.sites[int(context.view(np.int32)[CONTEXT["site"] // 4])]
        if status is Status.INTERRUPT:
            raise KeyboardInterrupt
        if status is Status.PYTHON:
            assert self.error is not None
            raise self.error
        values = map(_python, self._values(site.operands, context.ctypes.data + VALUES))
        raise ERRORS[site.error](site.message.format(*values))


def _write(at: int, v: Any) -> None:
    data = np.asarray(v).tobytes()
    ctypes.memmove(at, data, len(data))


def _read(at: int, dtype: Any, n: int) -> np.ndarray:
    return np.frombuffer(ctypes.string_at(at, n * np.dtype(dtype).itemsize), dtype)


def _python(v: Any) -> Any:
    return v.item() if isinstance(v, np.generic) else v


def poisoned(raw: int) -> None:
    """In the place of `free`: overwrite and keep. `raw` is a block's whole memory, with room for header and alignment."""
    block = (raw + 63) // 64 * 64
    size = int(_read(block + BLOCK["bytes"], np.int64, 1)[0]) if _read(block, np.int64, 1)[0] == raw else 64
    if 0 <= size < 1 << 20:
        ctypes.memset(block + 64, 0xAA, size)


def _length(block: int) -> int:
    n = 0
    while block:
        n, block = n + 1, int(_read(block + BLOCK["next"], np.int64, 1)[0])
    return n


@pytest.fixture
def native() -> Callable[..., Native]:
    """Compile a program to native code that can be called with NumPy values."""
    return Native
