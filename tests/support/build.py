"""Programs written by hand, without staging: `e.add(x, y)` emits any primitive, `e.loop` and `e.branch` take Python functions."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lms.core.builder import Builder
from lms.core.ir import Function, Program, Value
from lms.core.primitives import PRIMITIVES
from lms.core.types import ArrayType, Scalar, Size, Type, f64, i64, symbol

Body = Callable[..., Sequence[Value] | Value | None]


def vector(dtype: Scalar = f64, *dims: int | str) -> ArrayType:
    """`vector(f64, "n", 3)`: the type of an array; one axis of size `n` where nothing is said."""
    return ArrayType(dtype, tuple(symbol(d) if isinstance(d, str) else d for d in dims or ("n",)))


def dims(array: Value) -> tuple[Size, ...]:
    """The dimensions of an array's type."""
    assert isinstance(array.type, ArrayType)
    return array.type.dims


class Emit:
    """A builder with every primitive as a method: `e.add(x, y)`, `e.view(a, i, n, spec=..., dims=...)`.

    A method gives the only result, a tuple of several, or None. Numbers among the operands become constants: `int` an
    `i64`, `float` an `f64`. Keywords that Python reserves end in an underscore: `e.and_`, `e.not_`, `e.if_`.
    """

    def __init__(self, program: Program | None = None) -> None:
        self.b = Builder(program or Program())

    @property
    def program(self) -> Program:
        return self.b.program

    def value(self, v: Value | float | int) -> Value:
        return v if isinstance(v, Value) else self.b.const(v, f64 if isinstance(v, float) else i64)

    def values(self, given: Sequence[Value] | Value | None) -> tuple[Value, ...]:
        return () if given is None else (given,) if isinstance(given, Value) else tuple(map(self.value, given))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        op = PRIMITIVES.get(name) or PRIMITIVES[name.removesuffix("_")]

        def emit(*operands: Value | float | int, **attrs: Any) -> Any:
            results = self.b.emit(op, *map(self.value, operands), **attrs)
            return results[0] if len(results) == 1 else results or None

        return emit

    def const(self, value: Any, type: Scalar = f64) -> Value:
        return self.b.const(value, type)

    @contextmanager
    def function(self, name: str, *types: Type, names: str = "", **info: Any) -> Iterator[Function]:
        """Fill a function; the first one is the entry."""
        with self.b.function(name, types, names.split(), **info) as f:
            self.program.entry = self.program.entry or f.name
            yield f

    def ret(self, function: Function, *results: Value | float | int) -> None:
        function.body.results = tuple(map(self.value, results))

    # ---------------------------------------------------------------------------------------- control

    def branch(self, condition: Value, then: Body, otherwise: Body) -> Any:
        blocks = []
        for body in (then, otherwise):
            with self.b.reify() as block:
                block.results = self.values(body())
            blocks.append(block)
        types = tuple(v.type for v in blocks[0].results)
        return self._only(self.b.emit(PRIMITIVES["if"], condition, blocks=blocks, types=types))

    def loop(self, start: Any, stop: Any, inits: Sequence[Any], body: Body, step: int = 1, names: str = "i") -> Any:
        """`for i in range(start, stop, step)` with carried values: `body(i, *carried)` gives the next ones."""
        carried = self.values([self.value(v) for v in inits])
        bounds = [self.value(v) for v in (start, stop, step)]
        with self.b.reify((i64, *(v.type for v in carried)), names.split()) as block:
            block.results = self.values(body(*block.params))
        types = tuple(v.type for v in carried)
        return self._only(self.b.emit(PRIMITIVES["for"], *bounds, *carried, blocks=(block,), types=types))

    def loop_while(self, inits: Sequence[Any], condition: Body, body: Body, names: str = "") -> Any:
        carried = self.values([self.value(v) for v in inits])
        types = tuple(v.type for v in carried)
        blocks = []
        for fill in (condition, body):
            with self.b.reify(types, names.split()) as block:
                block.results = self.values(fill(*block.params))
            blocks.append(block)
        return self._only(self.b.emit(PRIMITIVES["while"], *carried, blocks=blocks, types=types))

    def call(self, callee: str, *operands: Any, types: Sequence[Type]) -> Any:
        values = self.values([self.value(v) for v in operands])
        return self._only(self.b.emit(PRIMITIVES["call"], *values, callee=callee, types=tuple(types)))

    def dim(self, array: Value, axis: int = 0) -> Value:
        return self.b.dim(array, axis)

    def at(self, array: Value, *index: Any) -> Value:
        """`array[index]`, checked."""
        checked = [self.index(i, self.dim(array, axis)) for axis, i in enumerate(index)]
        return self.b.emit1(PRIMITIVES["load"], array, *checked)

    @staticmethod
    def _only(results: tuple[Value, ...]) -> Any:
        return results[0] if len(results) == 1 else results or None
