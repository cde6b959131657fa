"""The peers, each where it is installed: JAX, Numba, PyTorch, a C compiler. All on one thread."""

from __future__ import annotations

import ctypes
import importlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1",
           "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1", "JAX_PLATFORMS": "cpu",
           "JAX_ENABLE_X64": "1"}


def one_thread() -> None:
    """Ask every library for one thread, and the system for one core, before anything is imported."""
    os.environ.update(THREADS)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def peer(name: str) -> Any:
    """A module, or None where it is not installed."""
    try:
        module = importlib.import_module(name)
    except ImportError:
        return None
    if name == "torch":
        module.set_num_threads(1)
    return module


def c_library(source: str) -> ctypes.CDLL | None:
    """A shared library of some C, compiled as a careful person would; None without a compiler."""
    cc = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if cc is None:
        return None
    folder = Path(tempfile.mkdtemp(prefix="lms-bench-"))
    (folder / "peer.c").write_text(source)
    library = folder / "peer.so"
    subprocess.run([cc, "-O3", "-march=native", "-shared", "-fPIC", "-o", library, folder / "peer.c", "-lm"], check=True)
    return ctypes.CDLL(str(library))
