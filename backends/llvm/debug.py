"""Source positions in machine code: DWARF line tables, so that debuggers, profilers and remarks name the user's line."""

from __future__ import annotations

import os
from collections.abc import Callable

from lms.core.errors import Span
from lms.core.ir import Function


class DebugInfo:
    """Makes the metadata of one module; `meta` appends a metadata node and gives its name."""

    def __init__(self, meta: Callable[[str], str]) -> None:
        self._meta = meta
        self._files: dict[str, str] = {}
        self._functions: dict[str, str] = {}
        self._locations: dict[tuple[str, int, int], str] = {}
        self._unit = meta(f'distinct !DICompileUnit(language: DW_LANG_Python, file: {self._file("<lms>")}, producer: "lms", '
                          "isOptimized: true, runtimeVersion: 0, emissionKind: FullDebug)")
        self._type = meta(f"!DISubroutineType(types: {meta('!{}')})")
        self.flags = [meta('!{i32 2, !"Dwarf Version", i32 4}'), meta('!{i32 2, !"Debug Info Version", i32 3}')]

    @property
    def named(self) -> str:
        """The named metadata of the module."""
        return f"!llvm.dbg.cu = !{{{self._unit}}}\n!llvm.module.flags = !{{{', '.join(self.flags)}}}\n"

    def _file(self, path: str) -> str:
        if path not in self._files:
            folder, name = os.path.split(path)
            quote = str.maketrans({"\\": "\\5C", '"': "\\22"})
            name, folder = name.translate(quote), folder.translate(quote)
            self._files[path] = self._meta(f'!DIFile(filename: "{name}", directory: "{folder}")')
        return self._files[path]

    def subprogram(self, function: Function) -> str:
        """The metadata node of a function."""
        if function.name not in self._functions:
            span = function.span or next((n.span for n in function.body.nodes if n.span), None) or Span("<lms>", 1)
            file = self._file(span.file)
            where = f"scope: {file}, file: {file}, line: {span.line}, scopeLine: {span.line}"
            self._functions[function.name] = self._meta(
                f'distinct !DISubprogram(name: "{function.name}", {where}, type: {self._type}, unit: {self._unit}, '
                "spFlags: DISPFlagDefinition | DISPFlagOptimized)")
        return self._functions[function.name]

    def location(self, function: Function, span: Span | None) -> str:
        """The attachment for an instruction."""
        line, column = (span.line, span.column + 1) if span else (0, 0)
        key = (function.name, line, column)
        if key not in self._locations:
            scope = self.subprogram(function)
            self._locations[key] = self._meta(f"!DILocation(line: {line}, column: {column}, scope: {scope})")
        return f", !dbg {self._locations[key]}"
