"""One door to everything a program can be written as: `emit(specializations, "c")`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .specialization import Specialization

TEXT = ("ir", "python", "c", "h", "llvm", "asm", "dot", "svg", "html")
BINARY = ("obj", "shared")
FORMS = (*TEXT, *BINARY)
_SUFFIXES = {"obj": ".o"}


def emit(specializations: Sequence[Specialization], form: str, *, main: bool = False, lines: bool = False) -> str | bytes:
    """Programs in one of `FORMS`: text, or, for `obj` and `shared`, bytes.

    C, its header and what is compiled hold all programs; the other forms are one program's, and several stand one after the
    other. `main` adds a main program to C, `lines` gives debuggers `#line` directives.

    Raises `LmsError` for what a form cannot hold, and where it takes a C compiler and there is none.
    """
    if form in ("c", "h", *BINARY):
        return _c(specializations, form, main, lines)
    write: Callable[[Specialization], str] = (lambda s: s.graph(form)) if form in ("dot", "svg", "html") else (
        lambda s: str(getattr(s, form)))
    return "\n".join(map(write, specializations))


def _c(specializations: Sequence[Specialization], form: str, main: bool, lines: bool) -> str | bytes:
    from lms.backends import c

    programs = [s.program for s in specializations]
    if form == "h":
        return c.header(*programs)
    checked = all(s.options.boundscheck for s in specializations)
    text = c.emit(*programs, main=main, lines=lines, boundscheck=checked)
    return text if form == "c" else _built(text, form)


def _built(text: str, form: str) -> bytes:
    """The bytes of what a C compiler makes of C."""
    from lms.backends.c.build import PLAIN, build, shared_suffix

    with tempfile.TemporaryDirectory(prefix="lms-c-") as folder:
        source = Path(folder) / "program.c"
        source.write_text(text, encoding="utf-8")
        output = Path(folder) / f"program{_SUFFIXES.get(form) or shared_suffix()}"
        return build([source], output, (*PLAIN, "-fPIC")).read_bytes()

