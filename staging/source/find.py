"""From a function to its place in the parsed source file: by name, line, and for lambdas by column."""

from __future__ import annotations

import ast
import linecache
from functools import lru_cache
from types import CodeType, FunctionType

from lms.core.data import dataclass
from lms.core.errors import Span, StagingError

from .nodes import children

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class Found:
    """A definition, and the classes and functions around it, outermost first."""

    node: Definition
    around: tuple[ast.AST, ...]

    @property
    def owner(self) -> str | None:
        """The class whose private names (`__x`) the definition sees."""
        return next((n.name for n in reversed(self.around) if isinstance(n, ast.ClassDef)), None)


def find(f: FunctionType) -> Found | None:
    """The definition of a function in its source; None where no source is at hand. Raises `StagingError` if it has changed."""
    code = f.__code__
    lines = linecache.getlines(code.co_filename, f.__globals__)
    if not lines:
        return None
    found = [d for d in definitions("".join(lines), code.co_filename)
             if _first_line(d.node) == code.co_firstlineno and _name(d.node) == code.co_name]
    if len(found) > 1:
        found = _by_position(found, code)
    if not found:
        raise StagingError(f"the source of {f.__qualname__!r} is not where it was: the file has changed since it was imported",
                           Span(code.co_filename, code.co_firstlineno), fix="import it again")
    return found[0]


@lru_cache(maxsize=64)
def definitions(source: str, file: str) -> tuple[Found, ...]:
    """Every function and lambda of a file, in order."""
    out: list[Found] = []

    def visit(node: ast.AST, around: tuple[ast.AST, ...]) -> None:
        if isinstance(node, _SCOPES):
            if not isinstance(node, ast.ClassDef):
                out.append(Found(node, around))
            around = (*around, node)
        for child in children(node):
            visit(child, around)

    try:
        visit(ast.parse(source, file), ())
    except SyntaxError as e:
        raise StagingError(f"the source file cannot be parsed: {e.msg}", Span(file, e.lineno or 0)) from None
    return tuple(out)


def _name(node: Definition) -> str:
    return "<lambda>" if isinstance(node, ast.Lambda) else node.name


def _first_line(node: Definition) -> int:
    if isinstance(node, ast.Lambda) or not node.decorator_list:
        return node.lineno
    return min(d.lineno for d in node.decorator_list)


def _by_position(found: list[Found], code: CodeType) -> list[Found]:
    """Those whose body holds every position the code mentions: several lambdas may share a line."""
    start_of_code = code.co_firstlineno, 0  # what Python says of instructions without a place of their own
    positions = {(line, column) for line, _, column, _ in code.co_positions() if line is not None and column is not None}
    at = positions - {start_of_code}

    def holds(d: Found) -> bool:
        body = d.node.body if isinstance(d.node, ast.Lambda) else d.node
        assert isinstance(body, ast.expr | ast.stmt)
        start, end = (body.lineno, body.col_offset), (body.end_lineno or body.lineno, body.end_col_offset or 0)
        return all(start <= position <= end for position in at)

    inner = [d for d in found if holds(d)]
    # of nested lambdas that all hold the positions, the innermost is meant: it has the shortest body
    return sorted(inner, key=lambda d: len(ast.dump(d.node)))[:1]
