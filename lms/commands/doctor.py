"""`lms doctor`: what was found on this machine, and what is missed without the rest."""

from __future__ import annotations

import argparse
import ctypes.util
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator

from lms.core.version import VERSION

from .console import Commands, add


def register(commands: Commands) -> None:
    add(commands, "doctor", doctor, "what was found on this machine", "lms doctor")


def doctor(options: argparse.Namespace) -> None:
    for key, value in found():
        print(f"{key:11} {value}")


def found() -> Iterator[tuple[str, str]]:
    """What was found, by name; what was not, with what it would be needed for."""
    import llvmlite
    import llvmlite.binding as llvm
    import numpy

    yield "lms", VERSION
    yield "python", f"{platform.python_version()} ({platform.machine()}, {platform.system()})"
    yield "numpy", numpy.__version__
    yield "llvm", f"{'.'.join(map(str, llvm.llvm_version_info))} (llvmlite {llvmlite.__version__})"
    yield "cpu", f"{llvm.get_host_cpu_name()}, {os.cpu_count()} cores, {_vectors()}"
    yield "vector math", _vector_math()
    yield "blas", _blas()
    openmp = ctypes.util.find_library("gomp") or ctypes.util.find_library("omp") or "not found"
    yield "openmp", f"{openmp}; nothing needs it: loops run on one thread"
    yield "dot", _version("dot", "-V") or "not found: graphs are written as .dot and .html"
    yield "c compiler", _version("cc", "--version") or _version("gcc", "--version") or "not found: needed to build the C we print"


def _vectors() -> str:
    from lms.backends.llvm.jit import host

    features = host().features.split(",")
    known = ("avx512f", "avx2", "avx", "sse2", "sve", "neon")
    return f"vectors by {next((name for name in known if '+' + name in features), 'the compiler alone')}"


def _vector_math() -> str:
    from lms.backends.llvm.vecmath import libmvec

    names = libmvec()
    return f"our own, and {len(names)} functions of libmvec" if names else "our own; no libmvec: the rest is called one by one"


def _blas() -> str:
    import scipy  # type: ignore[import-untyped, unused-ignore]  # SciPy ships no types

    built = scipy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{built['name']} {built['version']}, by scipy {scipy.__version__}"


def _version(program: str, option: str) -> str:
    """The path of a program and the first line it says about itself; nothing where there is no such program."""
    path = shutil.which(program)
    if path is None:
        return ""
    said = subprocess.run([path, option], capture_output=True, text=True, timeout=10, errors="replace")
    lines = (said.stdout or said.stderr).splitlines()
    return f"{path} ({lines[0]})" if lines else path
