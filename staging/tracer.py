"""The builder that stages Python functions: functions inside functions, and what they use of the world around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import CellType, FunctionType, ModuleType
from typing import Any

import numpy as np

from lms.core.builder import Builder, current
from lms.core.errors import StagingError, StagingTypeError, here, is_ours
from lms.core.ir import Block, Function, Node, Program, Value, free_values, substitute
from lms.core.primitives import Primitive
from lms.core.types import ArrayType, Type, symbol

from .dependencies import Dependency, Hidden, global_names
from .joins import describe, scalar_like
from .rep import Rep

NODE_BUDGET = 100_000


class Tracer(Builder):
    """A builder whose functions may use the values of functions around them: these become parameters when a function closes."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.entered: list[tuple[Function, list[Any]]] = []  # functions being filled, with the scopes around each
        self.captures: dict[str, dict[Value, Value]] = {}  # function -> value outside -> parameter inside
        self.calls: dict[str, list[tuple[str, Node]]] = {}  # callee -> (caller, node)
        self.hidden: dict[int, tuple[Hidden, Value]] = {}
        self.dependencies: dict[tuple[int, str], Dependency] = {}
        self.inner: set[tuple[int, str]] = set()  # dependencies on variables of the staged code itself
        self.memo: dict[Any, Any] = {}
        self.nodes = 0

    # --------------------------------------------------------------------------------------- functions

    @contextmanager
    def function(self, name: str, types: Sequence[Type], names: Sequence[str] = (), **info: Any) -> Iterator[Function]:
        around = self.scopes
        with super().function(name, types, names, **info) as function:
            self.entered.append((function, around))
            self.captures[function.name] = {}
            try:
                yield function
            finally:
                self.entered.pop()

    def see(self, v: Value) -> None:
        if not any(scope.block is v.block for scope in self.scopes) and any(
            scope.block is v.block for _, scopes in self.entered for scope in scopes
        ):
            return
        super().see(v)

    def emit(self, op: Primitive, *operands: Value, blocks: Sequence[Block] = (), names: Sequence[str] = (),
             **attrs: Any) -> tuple[Value, ...]:
        results = super().emit(op, *operands, blocks=blocks, names=names, **attrs)
        self.nodes += 1
        if self.nodes > NODE_BUDGET:
            raise StagingError(f"staging this made more than {NODE_BUDGET:,} operations", here(),
                               fix="a loop or a recursion runs now and is unrolled: loop over `lms.range`, or stage an argument")
        if "callee" in attrs:
            self.calls.setdefault(attrs["callee"], []).append((self.entered[-1][0].name, self.block.nodes[-1]))
        return results

    def operands(self, name: str) -> tuple[Value, ...]:
        """What a call of a closed function passes after its arguments."""
        return tuple(self.captures[name])

    def lift(self, function: Function) -> None:
        """Turn what a function uses of the functions around it into parameters, and pass it in every call made so far.

        This is lambda lifting: an operand that a call gains may be free where the call stands, so callers are closed too.
        """
        work, still_open = [function.name], {f.name for f, _ in self.entered} - {function.name}
        while work:
            name = work.pop()
            body = self.program.functions[name].body
            mine = self.captures[name]
            free = [v for v in free_values(body) if v not in mine]
            before = len(body.params)
            for v in free:
                mine[v] = Value(v.type, v.name, block=body)
                body.params = (*body.params, mine[v])
            substitute(body, mine)
            for caller, node in self.calls.get(name, ()) if free else ():
                node.operands = (*node.operands[:before], *free, *node.operands[before:])
                if caller not in still_open:
                    work.append(caller)
            if any(v not in mine.values() for v in free_values(body) if v not in body.params):
                work.append(name)

    # ------------------------------------------------------------------------------- arrays from outside

    def capture(self, array: np.ndarray[Any, Any]) -> Value:
        """A NumPy array of now as a hidden input of the program, by reference."""
        known = self.hidden.get(id(array))
        if known is not None:
            return known[1]
        if (dtype := scalar_like(array)) is None:
            raise StagingTypeError(f"{describe(array)} cannot be staged", here(),
                                   fix="use an array of numbers or bools")
        source = next((d for d in self.dependencies.values() if d.held is array), None)
        name = source.name if source else "data"
        dims = tuple(n if source is None or n == 1 else symbol(f"{name}_{k}") for k, n in enumerate(array.shape))
        main = self.program.main.body
        value = Value(ArrayType(dtype, dims, "C" if array.flags.c_contiguous else "S"), name, block=main)
        main.params = (*main.params, value)
        self.hidden[id(array)] = Hidden(array, source), value
        return value

    def depend(self, function: Callable[..., Any]) -> None:
        """Note the globals and closure cells that a Python function reads."""
        function = getattr(function, "__func__", function)
        if not isinstance(function, FunctionType) or is_ours(function.__code__):
            return
        from .source.virtualize import is_virtual

        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self._depend(cell, name)
            if is_virtual(function):
                self.inner.add((id(cell), name))
        for name in global_names(function.__code__):
            if name in function.__globals__:
                self._depend(function.__globals__, name)

    def _depend(self, place: dict[str, Any] | CellType, name: str) -> None:
        key = (id(place), name)
        if key in self.dependencies:
            return
        found = Dependency(place, name, None)
        held = found.now()
        if held is not found and not isinstance(held, ModuleType) and not is_ours_function(held):
            self.dependencies[key] = Dependency(place, name, held)


def is_ours_function(x: Any) -> bool:
    """Whether a global is one of our own functions or types (`from lms import exp, f64`), which nobody changes."""
    if isinstance(x, Rep) or getattr(x, "__lms_staged__", False):
        return False
    return (getattr(x, "__module__", None) or "").partition(".")[0] == "lms"


def tracer() -> Tracer:
    """The builder of the function being staged. Raises `StagingError` outside staging."""
    builder = current()
    if not isinstance(builder, Tracer):
        raise StagingError("a Python function is staged, but the program being built is not one of Python's", here())
    return builder


