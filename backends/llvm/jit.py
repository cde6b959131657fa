"""From LLVM text to addresses: optimise, emit an object, link it into this process.

There is one road, cold or cached: text -> module -> object bytes -> linked code. Objects are position independent, so the same
bytes serve the process, the disk cache and `cc -shared`. LLVM is used by one thread at a time: llvmlite holds one lock anyway.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import cache

import llvmlite.binding as llvm
import numpy as np
from llvmlite.binding import ffi
from llvmlite.binding.newpassmanagers import NewPassManager

from lms.core.data import dataclass

lock = threading.RLock()  # around every use of LLVM, and around a fork: a child must not inherit it locked
_theirs = getattr(ffi.lib, "_lock", nullcontext())  # llvmlite's own, which it also takes when it frees things


def _before_fork() -> None:
    lock.acquire()
    _theirs.__enter__()


def _after_fork() -> None:
    _theirs.__exit__(None, None, None)
    lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)

Resolve = Callable[[str], "int | None"]


@dataclass(frozen=True, slots=True)
class Target:
    """The machine we compile for."""

    triple: str
    cpu: str
    features: str


@cache
def host() -> Target:
    """The machine we run on."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()  # for the inline assembly that changes stacks
    return Target(llvm.get_process_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())


@cache
def _machine(opt: int) -> llvm.TargetMachine:
    t = host()
    return llvm.Target.from_triple(t.triple).create_target_machine(
        cpu=t.cpu, features=t.features, opt=opt, reloc="pic", codemodel="small")


class CompileError(RuntimeError):
    """LLVM refused what a back end wrote: a defect of lms."""


def optimise(text: str, opt: int = 3) -> llvm.ModuleRef:
    """The module in this text, verified and optimised for this machine. `opt=0` is the fast tier, compiled 20 times quicker.

    Raises `CompileError` for text that is not a valid module.
    """
    with lock:
        machine = _machine(opt)
        try:
            module = llvm.parse_assembly(text)
            module.triple = host().triple
            module.data_layout = str(machine.target_data)
            module.verify()
        except RuntimeError as e:
            raise CompileError(str(e)) from None
        tuning = llvm.create_pipeline_tuning_options(opt)
        if opt == 0:
            tuning.loop_vectorization = tuning.loop_unrolling = False
        builder = llvm.create_pass_builder(machine, tuning)
        passes = builder.getModulePassManager()
        try:
            passes.run(module, builder)
        finally:
            # llvmlite 0.50 finds `ObjectRef`'s empty `_dispose` before this one, and so keeps some 100 KiB for each module
            NewPassManager._dispose(passes)
            passes.detach()
        return module


def object_code(module: llvm.ModuleRef, opt: int = 3) -> bytes:
    """Machine code for this machine, as a relocatable object."""
    with lock:
        return bytes(_machine(opt).emit_object(module))


def assembly(module: llvm.ModuleRef, opt: int = 3) -> str:
    """The same as text."""
    with lock:
        return str(_machine(opt).emit_assembly(module))


# ---------------------------------------------------------------------------------------------------- linking


def undefined(code: bytes) -> tuple[str, ...]:
    """The names an ELF object needs from outside, in order; nothing for other formats."""
    if code[:5] != b"\x7fELF\x02":
        return ()
    word = np.dtype("<u8" if code[5] == 1 else ">u8")
    order = word.byteorder if word.byteorder in "<>" else "="
    offset = int(np.frombuffer(code, word, 1, 0x28)[0])
    size, count = (int(n) for n in np.frombuffer(code, f"{order}u2", 2, 0x3A))
    section = np.dtype({"names": ["type", "offset", "size", "link"], "formats": [f"{order}u4", word, word, f"{order}u4"],
                        "offsets": [4, 0x18, 0x20, 0x28], "itemsize": size})
    sections = np.frombuffer(code, section, count, offset)
    symbol = np.dtype({"names": ["name", "section"], "formats": [f"{order}u4", f"{order}u2"], "offsets": [0, 6], "itemsize": 24})
    names = []
    for table in sections[sections["type"] == 2]:
        strings = int(sections[table["link"]]["offset"])
        for entry in np.frombuffer(code, symbol, int(table["size"]) // 24, int(table["offset"])):
            if entry["section"] == 0 and entry["name"]:
                start = strings + int(entry["name"])
                names.append(code[start:code.index(b"\0", start)].decode())
    return tuple(names)


class MissingSymbol(RuntimeError):
    """An object needs a function that this process does not have. From a cache it is compiled again; else a defect of lms."""


class Code:
    """Linked code. It is unloaded when the last reference goes, so whoever can still call it must hold one."""

    def __init__(self, tracker: llvm.ResourceTracker, exports: tuple[str, ...]) -> None:
        self._tracker = tracker
        self.addresses: dict[str, int] = {name: tracker[name] for name in exports}

    def __getitem__(self, name: str) -> int:
        return self.addresses[name]


@cache
def _linker(debug: bool) -> llvm.LLJIT:
    return llvm.create_lljit_compiler(_machine(3), use_jit_link=not debug)  # gdb sees lines only without JITLink


_serial = itertools.count()


def link(code: bytes, exports: Iterable[str], resolve: Resolve, *, debug: bool = False) -> Code:
    """Load an object into this process. Names it lacks come from `resolve`, else from the process and its libraries.

    Raises `MissingSymbol`, naming it, before anything is linked.
    """
    exports = tuple(exports)
    with lock:
        linker = _linker(debug)
        library = llvm.JITLibraryBuilder().add_object_img(code)
        for name in undefined(code):
            if name == "_GLOBAL_OFFSET_TABLE_":
                continue
            address = resolve(name)
            if address is None:
                address = llvm.address_of_symbol(name)
            if address is None:
                raise MissingSymbol(name)
            library.import_symbol(name, address)
        if code[:4] != b"\x7fELF":
            library.add_current_process()
        for name in exports:
            library.export_symbol(name)
        return Code(library.link(linker, f"lms{next(_serial)}"), exports)
