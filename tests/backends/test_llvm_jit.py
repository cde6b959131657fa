"""From LLVM text to code: optimised, linked, unloaded; objects whose call is native."""

import ctypes
import gc
import os
import threading
import weakref
from typing import Any

import numpy as np
import pytest

from lms.backends.llvm import jit, support
from lms.backends.llvm.merge import merge
from lms.backends.llvm.native import LAYOUT_HOLDS, NativeCallable, array_api, entries, set_entries

NOTHING = dict[str, int]().get
TWICE = "define i64 @twice(i64 %x) {\n  %y = add i64 %x, %x\n  ret i64 %y\n}\n"


def linked(text: str, *names: str, opt: int = 3, **options: Any) -> jit.Code:
    return jit.link(jit.object_code(jit.optimise(text, opt), opt), names, NOTHING, **options)


@pytest.mark.parametrize("opt", [0, 3])
@pytest.mark.parametrize("debug", [False, True])
def test_text_becomes_code(opt: int, debug: bool) -> None:
    code = linked(TWICE, "twice", opt=opt, debug=debug)
    assert ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(code["twice"])(21) == 42


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="counts the pages of a process in /proc")
def test_compiling_keeps_nothing() -> None:
    """llvmlite would keep every pass manager: 100 KiB for each module, here 10 MiB."""
    def pages() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1])

    def compile_many(count: int) -> None:
        for _ in range(count):
            jit.object_code(jit.optimise(TWICE))

    compile_many(20)
    before = pages()
    compile_many(200)
    assert (pages() - before) * os.sysconf("SC_PAGE_SIZE") < 2 << 20


def test_invalid_text_is_a_compile_error() -> None:
    with pytest.raises(jit.CompileError, match="undefined value"):
        jit.optimise("define i64 @f() {\n  ret i64 %nothing\n}\n")


def test_a_missing_symbol_is_named_before_anything_is_linked() -> None:
    with pytest.raises(jit.MissingSymbol, match="^nowhere_to_be_found$"):
        linked("declare void @nowhere_to_be_found()\n"
               "define void @f() {\n  call void @nowhere_to_be_found()\n  ret void\n}\n", "f")


def test_undefined_names_of_an_object() -> None:
    code = jit.object_code(jit.optimise("declare double @cbrt(double)\ndefine double @f(double %x) {\n"
                                        "  %y = call double @cbrt(double %x)\n  ret double %y\n}\n"))
    if code[:4] != b"\x7fELF":
        pytest.skip("this platform's objects are not ELF")
    assert "cbrt" in jit.undefined(code)
    assert "f" not in jit.undefined(code)


def test_assembly_is_this_machines() -> None:
    assert "twice" in jit.assembly(jit.optimise(TWICE))


def test_merge_says_every_name_once() -> None:
    one = "declare i64 @twice(i64)\ndeclare double @sin(double)\n@x = external global i8\n"
    text = merge(one, TWICE, one, "@x = global i8 0\n")
    jit.optimise(text)
    assert text.count("@sin") == 1
    assert text.count("@twice") == 1


# ------------------------------------------------------------------------------------------ callable objects

FIRST_ARGUMENT = """
declare ptr @lms_slow(ptr, ptr, i64, ptr, ptr)
declare void @Py_IncRef(ptr)
@PyLong_Type = external global i8
@PyFloat_Type = external global i8
define ptr @entry(ptr %self, ptr %args, i64 %nargsf, ptr %kwnames) {
  %x = load ptr, ptr %args
  %type.p = getelementptr i8, ptr %x, i64 8
  %type = load ptr, ptr %type.p
  %known = icmp eq ptr %type, @KIND
  br i1 %known, label %fast, label %slow
fast:
  call void @Py_IncRef(ptr %x)
  ret ptr %x
slow:
  %r = call ptr @lms_slow(ptr %self, ptr %args, i64 %nargsf, ptr %kwnames, ptr @entry)
  ret ptr %r
}
"""


def entry(kind: str) -> jit.Code:
    return jit.link(jit.object_code(jit.optimise(FIRST_ARGUMENT.replace("KIND", kind))), ["entry"], support.resolve)


class Echo(NativeCallable):
    def __init__(self, says: str = "slow") -> None:
        self.says = says

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if args == ("fail",):
            raise KeyError("slow path")
        return self.says, args, kwargs


def test_without_code_a_call_is_python() -> None:
    echo = Echo("python")
    assert echo(1, x=2) == ("python", (1,), {"x": 2})
    assert entries(echo) == []


@pytest.mark.skipif(not LAYOUT_HOLDS, reason="objects are laid out otherwise here")
def test_entries_are_tried_in_order_then_python() -> None:
    ints, floats = entry("PyLong_Type"), entry("PyFloat_Type")
    echo, other = Echo(), Echo()
    set_entries(echo, [ints["entry"]], [ints])
    assert echo(7) == 7
    assert echo(7.5) == ("slow", (7.5,), {})
    set_entries(echo, [ints["entry"], floats["entry"]], (ints, floats))
    assert entries(echo) == [ints["entry"], floats["entry"]]
    assert (echo(7), echo(7.5), echo("x", y=1)) == (7, 7.5, ("slow", ("x",), {"y": 1}))
    assert other(7) == ("slow", (7,), {})
    with pytest.raises(KeyError, match="slow path"):
        echo("fail")


@pytest.mark.skipif(not LAYOUT_HOLDS, reason="objects are laid out otherwise here")
def test_code_lives_as_long_as_who_can_call_it_and_no_longer() -> None:
    code, echo = entry("PyLong_Type"), Echo()
    set_entries(echo, [code["entry"]], [code])
    echo.loop = echo  # a cycle, for the collector
    seen = weakref.ref(code), weakref.ref(echo)
    del code
    gc.collect()
    assert echo(3) == 3
    del echo
    gc.collect()
    assert [r() for r in seen] == [None, None]


def test_the_layout_of_objects_is_known() -> None:
    assert array_api(2) == id(np.ndarray)
    assert LAYOUT_HOLDS or not hasattr(os, "sysconf")


def test_threads_may_compile_at_once() -> None:
    found: list[int] = []

    def work(k: int) -> None:
        code = linked(TWICE.replace("%x, %x", f"%x, {k}"), "twice")
        found.append(ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(code["twice"])(1) - k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert found == [1] * 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_can_compile_while_its_parent_was_compiling() -> None:
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            jit.object_code(jit.optimise(TWICE))

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                code = linked(TWICE, "twice")
                os._exit(0 if ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(code["twice"])(2) == 4 else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        thread.join()
