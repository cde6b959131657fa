"""Generated C called from Python, by ctypes: values in and out as the interpreter has them."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lms.core.ir import Function, Program
from lms.core.primitives.control import ERRORS
from lms.core.primitives.record import Record
from lms.core.types import ArrayType, Scalar, SumType, Type

from ..cycles import cycles
from ..values import arguments, fields_of, rebuild
from .interface import Interface, Result, Way
from .runtime import STATUSES

_INTS = {f"{k}{b}": getattr(ctypes, f"c_{'u' if k == 'u' else ''}int{b}") for k in "iu" for b in (8, 16, 32, 64)}
_NUMBERS: dict[str, Any] = {"bool": ctypes.c_bool, "f32": ctypes.c_float, "f64": ctypes.c_double, **_INTS}
DEEP = 256 << 20  # bytes of stack for programs that recurse


class _C64(ctypes.Structure):
    _fields_ = [("re", ctypes.c_float), ("im", ctypes.c_float)]


class _C128(ctypes.Structure):
    _fields_ = [("re", ctypes.c_double), ("im", ctypes.c_double)]


_NUMBERS |= {"c64": _C64, "c128": _C128}


class Context(ctypes.Structure):
    """`lms_context`: what belongs to one thread's calls."""

    _fields_ = [("workspace", ctypes.c_void_p), ("workspace_size", ctypes.c_size_t), ("max_depth", ctypes.c_int64),
                ("max_stack", ctypes.c_size_t), ("status", ctypes.c_int), ("line", ctypes.c_int), ("file", ctypes.c_char_p),
                ("message", ctypes.c_char * 256), ("held", ctypes.c_size_t), ("most", ctypes.c_size_t),
                ("blocks", ctypes.c_void_p), ("pending", ctypes.c_void_p), ("spare", ctypes.c_void_p),
                ("stack", ctypes.c_void_p), ("tearing", ctypes.c_bool), ("carved", ctypes.c_bool)]


class Called:
    """One entry of a shared library. Called with values of the program, it gives a tuple of them, as `interpret.run`."""

    def __init__(self, program: Program, face: Interface, library: ctypes.CDLL, context: Callable[[], Context] = Context) -> None:
        self.program = program
        self.function: Function = program.main
        self.face, self.context = face, context
        self.entry = library[face.name]
        self.finish = library[f"{face.name}_finish"] if face.keeps else None
        self.deep = bool(cycles(program))
        self.entry.restype = next((_number(r.type) for r in face.results if r.way is Way.RETURNED),
                                  ctypes.c_int if face.context else None)

    def __call__(self, *args: Any) -> tuple[Any, ...]:
        if not self.deep:
            return self._run(args)
        outcome: list[Any] = []

        def run() -> None:
            try:
                outcome.append(self._run(args))
            except Exception as e:  # noqa: BLE001  # handed to the thread that called
                outcome.append(e)

        before = threading.stack_size(DEEP)
        try:
            thread = threading.Thread(target=run)
            thread.start()
        finally:
            threading.stack_size(before)
        thread.join()
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        found: tuple[Any, ...] = outcome[0]
        return found

    def _run(self, args: Sequence[Any]) -> tuple[Any, ...]:
        values = arguments(self.function, args)
        context = self.context()
        if self.deep:
            context.max_stack = DEEP - (DEEP >> 3)
        given: list[Any] = [ctypes.byref(context)] if self.face.context else []
        keep: list[Any] = []
        sizes = self._sizes(values)
        given += [ctypes.c_int64(sizes[s]) for s in self.face.sizes]
        for (_, t, _), value in zip(self.face.params, values, strict=True):
            given += _passed(t, value, keep)
        outs = [_place(r, sizes) for r in self.face.results]
        given += [ctypes.c_void_p(out.ctypes.data) if isinstance(out, np.ndarray) else ctypes.byref(out)
                  for out in outs if out is not None]
        answer = self.entry(*given)
        if self.face.context and answer != 0:
            raise self._error(context, answer)
        results = tuple(self._result(r, out, answer, values) for r, out in zip(self.face.results, outs, strict=True))
        if self.finish is not None:
            self.finish(ctypes.byref(context))
        return results

    def _error(self, context: Context, status: int) -> Exception:
        name = next(name for name, k in STATUSES.items() if k == status)
        message = context.message.decode(errors="replace")
        file = (context.file or b"").decode()
        return ERRORS[name](f"{file}:{context.line}: {message}" if file else message)

    def _sizes(self, values: Sequence[Any]) -> dict[str, int]:
        """What each symbol is."""
        out: dict[str, int] = {}
        sized = [(d, n) for (_, t, _), v in zip(self.face.params, values, strict=True) if isinstance(t, ArrayType)
                 for d, n in zip(t.dims, v.shape, strict=True) if not isinstance(d, int)]
        while len(out) < len(self.face.sizes):
            for d, n in sized:
                unknown = [(s, k) for s, k in d.terms if s not in out]
                if len(unknown) == 1:
                    rest = n - d.const - sum(k * out[s] for s, k in d.terms if s in out)
                    out[unknown[0][0]] = rest // unknown[0][1]
        return out

    def _result(self, r: Result, out: Any, answer: Any, values: Sequence[Any]) -> Any:
        t = r.type
        if r.way is Way.ARGUMENT:
            k = self.function.body.params.index(self.function.body.results[self.face.results.index(r)])
            return values[k]
        if r.way is Way.BUFFER:
            return out
        if r.way is Way.HANDLE:
            assert isinstance(t, ArrayType)
            return _array(t, out.data, list(out.shape)[:t.rank])
        if isinstance(t, SumType):
            return _record(t, out.value)
        return _value(t, answer if r.way is Way.RETURNED else out)


def _number(t: Type) -> Any:
    return _NUMBERS[t.name] if isinstance(t, Scalar) else ctypes.c_void_p


def _value(t: Type, x: Any) -> Any:
    """A C number as a NumPy scalar."""
    assert isinstance(t, Scalar)
    if t.is_complex:
        return t.dtype.type(complex(x.re, x.im))
    return t.dtype.type(x.value if isinstance(x, ctypes._SimpleCData) else x)


def _passed(t: Type, value: Any, keep: list[Any]) -> list[Any]:
    """A value as arguments."""
    if isinstance(t, ArrayType):
        out: list[Any] = [ctypes.c_void_p(value.ctypes.data)]
        if t.layout == "S":
            keep.append(np.array([s // value.itemsize for s in value.strides], np.int64))
            out.append(ctypes.c_void_p(keep[-1].ctypes.data))
        keep.append(value)
        return out
    if isinstance(t, SumType):
        return [ctypes.c_void_p(_packed(value, keep))]
    assert isinstance(t, Scalar)
    if t.is_complex:
        return [_NUMBERS[t.name](value.real, value.imag)]
    return [_NUMBERS[t.name](value.item())]


def _place(r: Result, sizes: dict[str, int]) -> Any:
    """Memory for a result."""
    t = r.type
    if r.way in (Way.RETURNED, Way.ARGUMENT):
        return None
    if not isinstance(t, ArrayType):
        return _number(t)()
    if r.way is Way.BUFFER:
        assert isinstance(t.dtype, Scalar)
        shape = [d if isinstance(d, int) else d.const + sum(k * sizes[s] for s, k in d.terms) for d in t.dims]
        return np.empty(shape, t.dtype.dtype)
    return _structure(("data", ctypes.c_void_p), ("shape", ctypes.c_int64 * max(t.rank, 1)))()


def _structure(*fields: tuple[str, Any]) -> Any:
    return type("Structure", (ctypes.Structure,), {"_fields_": list(fields)})


# -------------------------------------------------------------------------------------------- records


def _layout(t: SumType, tag: int) -> Any:
    """The struct of a node of one alternative."""
    out: list[tuple[str, Any]] = [("tag", ctypes.c_int32), ("counted", ctypes.c_int32)]
    inside: list[tuple[str, Any]] = []
    for k, (_, f) in enumerate(t.constructors[tag].fields):
        if isinstance(f, ArrayType):
            rank = ctypes.c_int64 * max(f.rank, 1)
            strides = [("strides", rank)] if f.layout == "S" else []
            inside.append((f"f{k}", _structure(("data", ctypes.c_void_p), ("owner", ctypes.c_void_p), ("shape", rank), *strides)))
        else:
            inside.append((f"f{k}", _number(f)))
    size = max([8, *(ctypes.sizeof(_fields(t, j)) for j in range(len(t.constructors)))])
    room = ctypes.c_int64 * (size // 8 + 1)
    union = type("Case", (ctypes.Union,), {"_fields_": [("case", _structure(*inside)), ("room", room)]})
    return _structure(*out, ("as", union))


def _fields(t: SumType, tag: int) -> Any:
    inside = []
    for k, (_, f) in enumerate(t.constructors[tag].fields):
        if isinstance(f, ArrayType):
            inside.append((f"f{k}", ctypes.c_int64 * (2 + max(f.rank, 1) * (2 if f.layout == "S" else 1))))
        else:
            inside.append((f"f{k}", _number(f)))
    return _structure(*inside)


def _packed(record: Record, keep: list[Any]) -> int:
    """The address of a node for a record."""
    def node(record: Record, parts: tuple[Any, ...]) -> int:
        made = _layout(record.type, record.tag)()
        made.tag = record.tag
        case = getattr(made, "as").case
        for k, ((_, f), part) in enumerate(zip(record.type.constructors[record.tag].fields, parts, strict=True)):
            if isinstance(f, ArrayType):
                place, array = getattr(case, f"f{k}"), part if f.layout == "S" else np.ascontiguousarray(part)
                keep.append(array)
                place.data = array.ctypes.data
                place.shape[:f.rank] = array.shape
                if f.layout == "S":
                    place.strides[:f.rank] = [s // array.itemsize for s in array.strides]
            elif isinstance(f, SumType):
                setattr(case, f"f{k}", part)  # its address
            else:
                assert isinstance(f, Scalar)
                setattr(case, f"f{k}", _NUMBERS[f.name](part.real, part.imag) if f.is_complex else part.item())
        keep.append(made)
        return ctypes.addressof(made)

    (address,) = rebuild([record], fields_of, node)
    return int(address)


def _record(t: SumType, address: int) -> Record:
    """The record of a node; shared nodes stay shared."""
    done: dict[int, Record] = {}
    stack = [(t, address)]
    while stack:
        t, at = stack[-1]
        if at in done:
            stack.pop()
            continue
        tag = ctypes.c_int32.from_address(at).value
        case = getattr(_layout(t, tag).from_address(at), "as").case
        fields = [(f, getattr(case, f"f{k}")) for k, (_, f) in enumerate(t.constructors[tag].fields)]
        waiting = [(f, x) for f, x in fields if isinstance(f, SumType) and x not in done]
        if waiting:
            stack += waiting
            continue
        stack.pop()
        done[at] = Record(t, tag, tuple(done[x] if isinstance(f, SumType) else _array(f, x.data, list(x.shape)[:f.rank], list(
            x.strides)[:f.rank] if f.layout == "S" else None) if isinstance(f, ArrayType) else _value(f, x) for f, x in fields))
    return done[address]


def _array(t: ArrayType, data: int, shape: Sequence[int], strides: Sequence[int] | None = None) -> Any:
    """A copy of an array in C's memory."""
    if isinstance(t.dtype, SumType):
        count = int(np.prod(shape))
        out = np.empty(count, object)
        for k in range(count):
            at = ctypes.c_void_p.from_address(data + 8 * k).value
            out[k] = _record(t.dtype, at) if at else 0
        return out.reshape(shape)
    dtype = t.dtype.dtype
    count = int(np.prod(shape))
    if count == 0:
        return np.empty(shape, dtype)
    steps = None if strides is None else [s * dtype.itemsize for s in strides]
    low = sum(min(0, (n - 1) * s) for n, s in zip(shape, steps, strict=True)) if steps else 0
    high = sum(max(0, (n - 1) * s) for n, s in zip(shape, steps, strict=True)) if steps else (count - 1) * dtype.itemsize
    memory: Any = (ctypes.c_char * (high - low + dtype.itemsize)).from_address(data + low)
    return np.ndarray(shape, dtype, memory, -low, steps).copy()
