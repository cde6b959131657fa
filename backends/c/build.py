"""C compilers: finding one, and shared libraries made by it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lms.core.errors import LmsError

STRICT = ("-std=c11", "-Wall", "-Wextra", "-Werror")
PLAIN = ("-std=c11", "-O2", "-ffp-contract=off")


def compiler() -> str | None:
    """The C compiler: what the variable CC names, else `cc`, `gcc` or `clang`; None where there is none."""
    names = [os.environ.get("CC", ""), "cc", "gcc", "clang"]
    return next((found for name in names if name and (found := shutil.which(name))), None)


def build(sources: Sequence[Path], output: Path, flags: Sequence[str] = PLAIN) -> Path:
    """Compile and link; by the name of the output an object (`.o`), a shared library (`.so`, `.dylib`), or a program.

    Raises `LmsError` where there is no compiler, or with what it said.
    """
    cc = compiler()
    if cc is None:
        raise LmsError("there is no C compiler here", fix="install one (cc, gcc or clang), or name it in the variable CC")
    kind = {".o": ["-c"], ".so": ["-shared", "-fPIC"], ".dylib": ["-shared", "-fPIC"]}.get(output.suffix, [])
    libraries = [] if output.suffix == ".o" else ["-lm"]
    run = subprocess.run([cc, *flags, *kind, *map(str, sources), "-o", str(output), *libraries], capture_output=True, text=True)
    if run.returncode:
        raise LmsError(f"{cc} refused {', '.join(map(str, sources))}:\n{run.stderr.strip()}")
    return output


def shared_suffix() -> str:
    return ".dylib" if sys.platform == "darwin" else ".so"
