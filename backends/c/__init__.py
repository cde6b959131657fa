"""C11 for lowered programs: `emit` gives the file, `header` what others include, `compile` a callable by way of a C compiler."""

from __future__ import annotations

import ctypes
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lms.core.ir import Program

from .build import PLAIN, build, shared_suffix
from .caller import Called, Context
from .emit import File, emit, header, interfaces
from .interface import Interface, Way
from .signature import Options

__all__ = ["Called", "Context", "Interface", "Way", "compile", "compile_all", "emit", "header", "interfaces"]


def compile(program: Program, *, boundscheck: bool = True) -> Called:
    """A lowered program, compiled by the C compiler and called through ctypes. Raises `LmsError` where there is none."""
    return compile_all([program], boundscheck=boundscheck)[0]


def compile_all(programs: Sequence[Program], *, boundscheck: bool = True, flags: Sequence[str] = PLAIN,
                folder: Path | None = None) -> list[Called]:
    """Programs compiled together, as one library; what was compiled before into the folder is taken from there."""
    file = File(programs, Options(boundscheck=boundscheck))
    text = file.text()
    key = hashlib.sha256("\0".join([text, *flags]).encode()).hexdigest()[:24]
    with tempfile.TemporaryDirectory(prefix="lms-c-") as scratch:
        library = (folder or Path(scratch)) / f"{key}{shared_suffix()}"
        if not library.exists():
            source, made = Path(scratch) / "program.c", Path(scratch) / f"program{shared_suffix()}"
            source.write_text(text, encoding="utf-8")
            build([source], made, flags)
            os.replace(made, library)
        loaded = ctypes.CDLL(str(library))
    return [Called(program, face, loaded) for program, face in zip(programs, file.faces, strict=True)]
