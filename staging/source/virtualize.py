"""`virtualize`: a Python function whose control flow stages itself.

The source is parsed with the standard `ast`, rewritten (`rewrite.py`) and compiled with the user's file and positions;
the new function has the old one's globals, closure cells, defaults and names.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable
from itertools import count
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, TypeVar, cast

from lms.core.data import dataclass
from lms.core.errors import Span, StagingError

from ..control.choices import Site
from ..control.runtime import Runtime
from ..dependencies import global_names
from . import names
from .expressions import RUNTIME, call
from .find import Definition, Found, find
from .nodes import at, copied
from .rewrite import Rewriter, refuse

F = TypeVar("F", bound=Callable[..., Any])

_FACTORY, _INNER = "_lms_factory", "_lms_function"


@dataclass(frozen=True, slots=True)
class _Rewritten:
    """The new code of a code object, and what it calls."""

    code: CodeType
    runtime: Runtime


_rewritten: dict[int, tuple[CodeType, _Rewritten | None]] = {}  # by identity: code objects of two files can be equal
_ours: dict[int, CodeType] = {}  # code made here, functions inside functions included


def virtualize(function: F) -> F:
    """The function, with control flow that asks of each condition whether it is known now or later.

    Outside staging the result behaves as `function`. Raises `StagingError` for constructs that cannot be staged, at their place.
    A function without source is given back as it is: its own `if`s and loops run now, and say so where that cannot be.
    """
    if isinstance(function, MethodType):
        return cast(F, MethodType(virtualize(function.__func__), function.__self__))
    if not isinstance(function, FunctionType) or id(function.__code__) in _ours:
        return function
    if id(function.__code__) not in _rewritten:
        found = find(function)
        new = None if found is None else _rewrite(function.__code__, found, _outside(function))
        _rewritten[id(function.__code__)] = function.__code__, new
    _, known = _rewritten[id(function.__code__)]
    return function if known is None else cast(F, _with_code(function, known))


def is_virtual(function: Callable[..., Any]) -> bool:
    """Whether a function was made here."""
    return id(getattr(function, "__code__", None)) in _ours


def is_virtual_code(code: CodeType) -> bool:
    """Whether a code object was made here."""
    return id(code) in _ours


def _with_code(f: FunctionType, new: _Rewritten) -> FunctionType:
    cells = dict(zip(f.__code__.co_freevars, f.__closure__ or (), strict=True))
    cells[RUNTIME] = CellType(new.runtime)
    g = FunctionType(new.code, f.__globals__, f.__name__, f.__defaults__, tuple(cells[name] for name in new.code.co_freevars))
    g.__kwdefaults__ = f.__kwdefaults__
    g.__qualname__, g.__module__, g.__doc__ = f.__qualname__, f.__module__, f.__doc__
    g.__annotations__ = f.__annotations__
    g.__dict__.update(f.__dict__)
    return g


GUARDS = (17, 8, 3, 0)
"""How deep the `try`s may be nested that we add: CPython allows 20 loops and `try`s inside each other, the user's included."""


def _rewrite(code: CodeType, found: Found, outside: frozenset[str]) -> _Rewritten:
    for guards in GUARDS[:-1]:
        try:
            return _rewrite_with(code, found, outside, guards)
        except SyntaxError:  # too many statically nested blocks
            continue
    return _rewrite_with(code, found, outside, GUARDS[-1])


def _rewrite_with(code: CodeType, found: Found, outside: frozenset[str], guards: int) -> _Rewritten:
    node = copied(found.node)
    file = code.co_filename
    if isinstance(node, ast.AsyncFunctionDef):
        raise StagingError("`async def` cannot be staged", Span(file, node.lineno, node.col_offset), fix="write `def`")
    if found.owner is not None:
        _Mangle(found.owner).visit(node)
    _bare(node)
    read = outside & names.read([node])
    sites: list[Site] = []
    rewriter = Rewriter(file, sites, count(), guards)
    if isinstance(node, ast.Lambda):
        refuse([node.body], file)
        node = rewriter.visit(node)
        body: ast.stmt = ast.copy_location(ast.Return(node), node)
    else:
        rewriter.function(node)
        node.name = _INNER  # its own name means the user's global or cell, as in the old function
        body = node
    if read:
        body = _Outside(read).visit(body)
    factory = ast.FunctionDef(_FACTORY, _parameters([RUNTIME, *code.co_freevars]), [body], [])
    factory.type_params = []  # type: ignore[attr-defined]  # from Python 3.12 on
    module = ast.fix_missing_locations(ast.copy_location(ast.Module([ast.copy_location(factory, node)], []), node))
    compiled = compile(module, file, "exec", dont_inherit=True, flags=code.co_flags & _FUTURES)
    outer = _inner_code(compiled, _FACTORY)
    inner = "<lambda>" if isinstance(node, ast.Lambda) else _INNER
    new = _inner_code(outer, inner).replace(co_name=code.co_name, co_qualname=code.co_qualname)
    _remember(new)
    return _Rewritten(new, Runtime(file, sites))


def _outside(f: FunctionType) -> frozenset[str]:
    """The globals and free variables that may hold an array: what is no builtin, module, function or class now."""
    fixed = (ModuleType, FunctionType, BuiltinFunctionType, type)
    named = {name for name in global_names(f.__code__) if not hasattr(builtins, name)}
    found = frozenset(name for name in named if not isinstance(f.__globals__.get(name), fixed))
    return found | frozenset(f.__code__.co_freevars)


class _Outside(ast.NodeTransformer):
    """Reads of what the function captures: an array of now is an input of the program from its first use."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return at(node, call("outside", node)) if isinstance(node.ctx, ast.Load) and node.id in self.names else node


_FUTURES = 0x1000000  # from __future__ import annotations


def _inner_code(code: CodeType, name: str) -> CodeType:
    return next(c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name)


def _remember(code: CodeType) -> None:
    _ours[id(code)] = code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            _remember(inner)


def _parameters(names: list[str]) -> ast.arguments:
    return ast.arguments([], [ast.arg(name) for name in names], None, [], [], None, [])


def _bare(node: Definition) -> None:
    """Drop what the old function already has: decorators, defaults, annotations."""
    if not isinstance(node, ast.Lambda):
        node.decorator_list, node.returns = [], None
        node.type_params = []  # type: ignore[union-attr]  # from Python 3.12 on
    args = node.args
    for a in (*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg):
        if a is not None:
            a.annotation = None
    args.defaults = [ast.copy_location(ast.Constant(None), d) for d in args.defaults]
    args.kw_defaults = [ast.copy_location(ast.Constant(None), d) if d is not None else None for d in args.kw_defaults]


class _Mangle(ast.NodeTransformer):
    """Private names of a class, as its body sees them."""

    def __init__(self, owner: str) -> None:
        self.owner = owner.lstrip("_")

    def _name(self, name: str) -> str:
        return f"_{self.owner}{name}" if self.owner and name.startswith("__") and not name.endswith("__") else name

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self._name(node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.Attribute:
        self.generic_visit(node)
        node.attr = self._name(node.attr)
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.arg = self._name(node.arg)
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.keyword:
        self.generic_visit(node)
        node.arg = self._name(node.arg) if node.arg else None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.name = self._name(node.name)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        return node  # a class of its own, with a name of its own

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.Nonlocal:
        node.names = [self._name(n) for n in node.names]
        return node


