"""From lowered programs to C: one file for all of them, a header, a `main`."""

from __future__ import annotations

import linecache
import re
from collections.abc import Sequence

from lms.core.errors import LmsError
from lms.core.ir import Program

from . import arrays, control, linalg, records, runtime, speaking
from .distinct import distinct
from .function import FunctionWriter, Line
from .helpers import closure
from .interface import Interface, documentation, finisher, handles, head, interface, needs_wrapper, wrapper
from .names import comment, quoted
from .scalars import LIBM
from .signature import Module, Options, Signature

_ = (arrays, control, linalg, speaking)  # imported for the rules they register

_MATH = "|".join(sorted(LIBM))
_INCLUDES = {
    "complex.h": r"\b_Complex\b",
    "math.h": rf"\b(?:{_MATH}|isnan|isinf|isfinite|signbit|modf)f?\(|\bNAN\b|\bINFINITY\b",
    "errno.h": r"\berrno\b",
    "stdarg.h": r"\bva_list\b",
    "stdbool.h": r"\b(?:bool|true|false)\b",
    "stddef.h": r"\b(?:size_t|NULL)\b",
    "stdint.h": r"\bu?int(?:\d+|ptr)_t\b|\bU?INT\d+_|PTRDIFF_MAX",
    "stdio.h": r"\b(?:printf|snprintf|vsnprintf|fprintf|FILE|fputs)\b",
    "stdlib.h": r"\b(?:malloc|calloc|free|strtod|strtoll|strtoull|strtol|exit)\b",
    "string.h": r"\b(?:mem(?:cpy|set|cmp)|str(?:len|cpy|n?cmp|chr|str|spn|cspn))\b",
}
_CONTRACT = """#if defined(__FAST_MATH__)
#error "this program means what IEEE 754 says: compile it without -ffast-math"
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif"""


WIDTH = 110


class File:
    """A C file in the making."""

    def __init__(self, programs: Sequence[Program], options: Options) -> None:
        programs = distinct(programs)
        self.module = module = Module(programs, options)
        self.faces: list[Interface] = []
        self.functions: list[list[Line]] = []
        entries = [unit.signatures[unit.program.entry] for unit in module.units]
        names = [module.fresh(s.function.name, "function") for s in entries]
        for s, name in zip(entries, names, strict=True):
            face = interface(s, name)
            s.public = not needs_wrapper(s, face)
            s.name = name if s.public else module.fresh(f"{name}_body", "body")
            self.faces.append(face)
        for unit in module.units:
            for s in unit.signatures.values():
                s.name = s.name or module.fresh(s.function.name, "function")
        for unit, face, entry in zip(module.units, self.faces, entries, strict=True):
            self._unit(unit.ordered(), face, entry)

    def _unit(self, signatures: list[Signature], face: Interface, entry: Signature) -> None:
        heads: list[Line] = []
        written: list[list[Line]] = []
        for s in signatures:
            lines = FunctionWriter(self.module, s).source()
            if s.recursive and list(s.unit.recursive.values()).count(s.unit.recursive[s.function.name]) > 1:
                heads.append(Line(lines[0].text.removesuffix(" {") + ";"))
            doc = [Line(text) for text in (documentation(face) if s.public else _about(s))]
            written.append([*doc, *lines])
        if heads:
            self.functions.append(heads)
        self.functions += written
        if not entry.public:
            text = "\n".join(line.text for f in written for line in f)
            entry.allocates = re.search(r"\blms_(?:array|node_new)\(", text) is not None
            self.functions.append(wrapper(self.module, entry, face))

    # ------------------------------------------------------------------------------------------- text

    def declarations(self) -> list[str]:
        """Types that the public heads name."""
        out = []
        if re.search(r"\blms_c(?:64|128)\b", self.body() + "\n".join(records.declarations(self.module))):
            out += ["", runtime.COMPLEX]
        if any(face.context for face in self.faces) or self.module.sums:
            out += ["", runtime.CONTEXT]
        if self.module.sums:
            out += ["", *records.declarations(self.module)]
        if found := handles(self.module, self.faces):
            out += ["", *found]
        return out

    def body(self) -> str:
        """The functions of the programs, without what they need."""
        return "\n\n".join("\n".join(text for line in f for text in wrapped(line.text)) for f in self.functions)

    def text(self, more: str = "") -> str:
        """The whole file; `more` stands at its end."""
        names = " and ".join(face.name for face in self.faces)
        body = self.body() + more
        parts = self._runtime(body)
        helpers = closure("\n".join([*parts, body]))
        before = [*self.declarations(), *(text for part in (*parts, *helpers) for text in ("", part))]
        whole = "\n".join([*before, body])
        includes = [f"#include <{name}>" for name, pattern in _INCLUDES.items() if re.search(pattern, whole)]
        start = [f"/* {comment(names)}: compile with -std=c11, link with -lm */", "", *includes, "", _CONTRACT, *before]
        lines = "\n".join(start).split("\n")
        for f in self.functions:
            lines.append("")
            lines += self._rendered(f, len(lines))
        return "\n".join(lines) + "\n" + more

    def _runtime(self, body: str) -> list[str]:
        """The parts of the runtime that a text names, and those they name."""
        children = records.children(self.module)
        chosen: dict[str, str] = {}
        text = body
        while text:
            words = set(re.findall(r"\b(?:lms|LMS)_\w+", text))
            new = {name: part for name, part in runtime.PARTS.items() if name in words and name not in chosen}
            chosen |= new
            text = "\n".join([*new.values(), *([children] if "lms_release" in new else [])])
        out = [part for name, part in runtime.PARTS.items() if name in chosen]
        return [*out, *([children] if "lms_release" in chosen else [])]

    def _rendered(self, function: list[Line], at: int) -> list[str]:
        """A function's lines, with the user's source in comments, or, for debuggers, in directives."""
        out: list[str] = []
        shown: tuple[str, int] | None = None
        implied: tuple[str, int] | None = None
        for line in function:
            span = line.span
            here = (span.short.rpartition(":")[0], span.line) if span else None
            if self.module.options.lines:
                if here is not None and here != implied:
                    out.append(f"#line {here[1]} {quoted(here[0])}")
                    implied = here
                if implied is not None:
                    implied = implied[0], implied[1] + 1
            elif span is not None and here != shown and (source := linecache.getline(span.file, span.line).strip()):
                margin = line.text[:len(line.text) - len(line.text.lstrip())]
                out.append(f"{margin}/* {span.line}: {comment(source)} */")
            shown = here or shown
            out += wrapped(line.text)
        if implied is not None:
            out.append(f"#line {at + len(out) + 2} {quoted(self.faces[0].name + '.c')}")
        return out

    def header(self) -> str:
        """The header."""
        guard = f"{self.faces[0].name.upper()}_H"
        prototypes = [line for face in self.faces for line in (
            "", *documentation(face), f"{head(self.module, face)};", *([f"{finisher(face)};"] if face.keeps else []))]
        text = "\n".join([*self.declarations(), *prototypes])
        includes = [f"#include <{name}>" for name in ("stdbool.h", "stddef.h", "stdint.h", "stdlib.h")
                    if re.search(_INCLUDES[name], text)]
        start = [f"#ifndef {guard}", f"#define {guard}", "", *includes, "", "#ifdef __cplusplus", 'extern "C" {', "#endif"]
        return "\n".join([*start, text, "", "#ifdef __cplusplus", "}", "#endif", "#endif"]) + "\n"


def wrapped(head: str) -> list[str]:
    """A function's head in lines that a page holds."""
    if len(head) <= WIDTH or head[:1] in " #/" or "(" not in head:
        return [head]
    start, rest = head[:head.index("(") + 1], head[head.index("(") + 1:].split(", ")
    lines, margin = [start + rest[0]], " " * len(start)
    for part in rest[1:]:
        if len(lines[-1]) + len(part) + 3 > WIDTH:
            lines[-1] += ","
            lines.append(margin + part)
        else:
            lines[-1] += f", {part}"
    return lines


def _about(s: Signature) -> list[str]:
    return [f"/* {comment(s.function.doc.strip().splitlines()[0])} */"] if s.function.doc.strip() and not s.entry else []


def emit(*programs: Program, main: bool = False, boundscheck: bool = True, lines: bool = False) -> str:
    """Lowered programs as one file of C11. `main` adds a main program that runs the only one of them.

    Raises `LmsError` for what has no counterpart in C: calls of Python, formats of Python's own.
    """
    file = File(programs, Options(boundscheck, lines))
    if not main:
        return file.text()
    if len(programs) != 1:
        raise LmsError("a main program runs one function")
    from .main import main_program

    return file.text(main_program(file.module, file.faces[0]))


def header(*programs: Program) -> str:
    """The header of the C that `emit` gives for the same programs."""
    return File(programs, Options()).header()


def interfaces(*programs: Program) -> list[Interface]:
    """How each of the programs is called."""
    return File(programs, Options()).faces
