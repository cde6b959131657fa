"""Making programs: `emit` reflects an operation into the block being filled, `reify` opens a new block.

The builder hash-conses pure scalar operations, refuses values that are not in scope (a leak), and knows sizes:
two arrays whose dimensions are the same symbol share one size, and an `i64` that is an affine expression of sizes is known to be.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

import numpy as np

from . import primitives as p
from .data import dataclass, field
from .errors import LeakError, LmsError, Span, StagingError, here
from .ir import Block, Function, Node, Program, Value
from .primitives import Primitive
from .types import ArrayType, Dim, Scalar, Size, SumType, Type, affine, i64, symbol


@dataclass(slots=True)
class _Scope:
    """A block being filled, with what is already known in it."""

    block: Block
    memo: dict[Any, tuple[Value, ...]] = field(default_factory=dict)
    sizes: dict[Size, Value] = field(default_factory=dict)


class Builder:
    """Fills blocks of one program, innermost last.

    `provisional` blocks are in scope although they are closed: the forward halves of pairs that are still being built.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.scopes: list[_Scope] = []
        self.provisional: set[Block] = set()
        self.half: Literal["", "forward", "backward"] = ""
        self._span: Span | None = None
        self._follow = True

    # ---------------------------------------------------------------------------------- where we are

    @property
    def block(self) -> Block:
        """The block being filled."""
        return self.scopes[-1].block

    @contextmanager
    def into(self, block: Block) -> Iterator[Block]:
        """Fill `block` (again) until the end of the `with`."""
        self.scopes.append(_Scope(block))
        try:
            yield block
        finally:
            self.scopes.pop()

    @contextmanager
    def reify(self, types: Sequence[Type] = (), names: Sequence[str] = ()) -> Iterator[Block]:
        """Open a new block with parameters of the given types; the caller sets its `results`."""
        padded = (*names, *[""] * (len(types) - len(names)))
        block = Block(tuple(Value(t, name) for t, name in zip(types, padded, strict=True)))
        with self.into(block):
            yield block

    def begin(self, types: Sequence[Type] = (), names: Sequence[str] = ()) -> Block:
        """As `reify`, where a `with` cannot span what fills the block: `end` closes it."""
        padded = (*names, *[""] * (len(types) - len(names)))
        block = Block(tuple(Value(t, name) for t, name in zip(types, padded, strict=True)))
        self.scopes.append(_Scope(block))
        return block

    def end(self) -> None:
        """Close the block that was opened last."""
        self.scopes.pop()

    @contextmanager
    def function(self, name: str, types: Sequence[Type], names: Sequence[str] = (), **info: Any) -> Iterator[Function]:
        """Open a function of the program, closed to what is around it."""
        outer, self.scopes = self.scopes, []
        try:
            with self.reify(types, names) as body:
                function = Function(self.program.fresh_name(name), body, **info)
                self.program.functions[function.name] = function
                yield function
        finally:
            self.scopes = outer

    @contextmanager
    def at(self, span: Span | None) -> Iterator[None]:
        """Give the nodes emitted inside this span, instead of where the user's program stands."""
        before = self._span, self._follow
        self._span, self._follow = span, False
        try:
            yield
        finally:
            self._span, self._follow = before

    @contextmanager
    def on(self, half: Literal["", "forward", "backward"]) -> Iterator[None]:
        """Mark the nodes emitted inside as one half of a derivative."""
        before, self.half = self.half, half
        try:
            yield
        finally:
            self.half = before

    def where(self) -> Span | None:
        return here() if self._follow else self._span

    # ------------------------------------------------------------------------------------- reflecting

    def emit(self, op: Primitive, *operands: Value, blocks: Sequence[Block] = (), names: Sequence[str] = (),
             **attrs: Any) -> tuple[Value, ...]:
        """Reflect an operation: check it, share it if it may be, else append a node; give its results.

        Raises `LeakError` for an operand out of scope, and what the type rule raises, with the place filled in.
        """
        block = self.block
        for v in operands:
            if v.block is not block:
                self.see(v)
        for inner in blocks:
            for v in inner.results:
                if v.block is not inner:
                    self.see(v)
        try:
            types = op.type(tuple([v.type for v in operands]), attrs)
        except LmsError as e:
            if e.span is None:
                e.span = self.where()
                e.message = f"{op.name}: {e.message}"
            raise
        key = None
        if len(types) == 1 and types[0].__class__ is Scalar and not blocks and op.effect.pure and _plain(operands):
            key = (op, operands, types[0], tuple(sorted((k, _frozen(v)) for k, v in attrs.items())) if attrs else ())
            for scope in reversed(self.scopes):
                if (shared := scope.memo.get(key)) is not None:
                    return shared
        if len(types) == 1:
            results: tuple[Value, ...] = (Value(types[0], names[0] if names else "", None, block),)
        else:
            padded = (*names, *[""] * (len(types) - len(names)))
            results = tuple([Value(t, name, None, block) for t, name in zip(types, padded, strict=True)])
        node = Node(op, operands, attrs, tuple(blocks), results, self.where(), self.half)
        for v in results:
            v.node = node
        block.nodes.append(node)
        if key is not None:
            self.scopes[-1].memo[key] = results
        return results

    def emit1(self, op: Primitive, *operands: Value, name: str = "", **attrs: Any) -> Value:
        """`emit` for the operation with one result."""
        (value,) = self.emit(op, *operands, names=(name,) if name else (), **attrs)
        return value

    def see(self, v: Value) -> None:
        """Refuse a value that is not in scope here."""
        home = v.block
        for scope in reversed(self.scopes):
            if scope.block is home:
                return
        if home in self.provisional:
            return
        made = v.node.span if v.node else None
        name = f"{v.name!r} " if v.name else ""
        raise LeakError(f"the staged value {name}of type {v.type} is used outside the block that made it", self.where(),
                        notes=(("it was made here", made),) if made else (),
                        fix="return it from the branch or loop that makes it, or carry it in a variable assigned before")

    def const(self, value: Any, type: Scalar = i64) -> Value:
        """A constant of a scalar type. Raises `StagingError` when an int does not fit."""
        if type.is_int and not isinstance(value, np.generic):
            value, bits = int(value), type.bits - (type.kind == "i")
            if not -(1 << bits if type.kind == "i" else 0) <= value < 1 << bits:
                raise StagingError(f"{value} does not fit in {type}", self.where())
        else:
            value = type.dtype.type(value).item()
        return self.emit1(p.array.const, value=value, type=type)

    # ------------------------------------------------------------------------------------------ sizes

    def dim(self, array: Value, axis: int) -> Value:
        """The size of an axis as an `i64` value: a constant, or shared by all axes with the same symbols."""
        t = array.type
        assert isinstance(t, ArrayType)
        size = t.dims[axis]
        if isinstance(size, int):
            return self.const(size)
        for scope in reversed(self.scopes):
            if size in scope.sizes:
                return scope.sizes[size]
        value = self.emit1(p.array.dim, array, axis=axis, name=str(size) if size.const == 0 and "$" not in str(size) else "")
        self.scopes[-1].sizes[size] = value
        return value

    def dims(self, array: Value) -> tuple[Value, ...]:
        """The sizes of all axes."""
        assert isinstance(array.type, ArrayType)
        return tuple(self.dim(array, k) for k in range(array.type.rank))

    def name_size(self, size: Dim, value: Value) -> None:
        """From here on `value` is the size called `size` (a fresh symbol that was just made for it)."""
        self.scopes[-1].sizes[size] = value

    def size_of(self, value: Value, hint: str = "d") -> Size:
        """The dimension an `i64` value stands for: an int, an affine expression of symbols, or a fresh symbol."""
        known = size_expression(value)
        if known is not None:
            return known
        from .types import fresh_symbol

        for scope in reversed(self.scopes):
            for size, v in scope.sizes.items():
                if v is value:
                    return size
        size = fresh_symbol(value.name or hint)
        self.name_size(size, value)
        return size


def size_expression(value: Value, depth: int = 16) -> Size | None:
    """The affine expression of dimension symbols that a value computes, where it visibly is one."""
    node = value.node
    if node is None or depth == 0:
        return None
    if node.op is p.array.const:
        return int(node.attrs["value"])
    if node.op is p.array.dim:
        t = node.operands[0].type
        assert isinstance(t, ArrayType)
        size: Size = t.dims[node.attrs["axis"]]
        return size
    if node.op in (p.scalar.add, p.scalar.sub, p.scalar.mul):
        x, y = (size_expression(v, depth - 1) for v in node.operands)
        if x is None or y is None:
            return None
        if node.op is p.scalar.mul:
            return y * x if isinstance(x, int) else x * y if isinstance(y, int) else None
        return affine([(1, x), (1 if node.op is p.scalar.add else -1, y)])
    return None


def _plain(values: Sequence[Value]) -> bool:
    """Whether no value is memory or refers to any."""
    for v in values:  # noqa: SIM110  # takes half the time of `all`
        if isinstance(v.type, ArrayType | SumType):
            return False
    return True


def _frozen(value: Any) -> Any:
    """A hashable stand-in for an attribute that tells apart what compares equal: 0.0 and -0.0, 1 and True, nan and itself."""
    if isinstance(value, float):
        return ("f", struct.pack("d", value))
    if isinstance(value, complex):
        return ("c", np.complex128(value).tobytes())
    return (type(value).__name__, value)


# -------------------------------------------------------------------------------------- current builder

_current: ContextVar[Builder | None] = ContextVar("lms_builder", default=None)


def current() -> Builder:
    """The builder of the program being staged. Raises `StagingError` outside staging."""
    builder = _current.get()
    if builder is None:
        raise StagingError("a staged value is used, but no program is being staged", here())
    return builder


def staging() -> bool:
    """Whether a program is being staged in this context."""
    return _current.get() is not None


@contextmanager
def building(builder: Builder | None) -> Iterator[None]:
    """Make `builder` the current one (or none)."""
    token = _current.set(builder)
    try:
        yield
    finally:
        _current.reset(token)


# ---------------------------------------------------------------------------------------------- replay


class Replay:
    """Emit existing nodes again, elsewhere: values are renamed by `env`, dimension symbols by `symbols`.

    The one way to copy code: inlining, differentiation and rewriting passes go through it. Subclasses override `node`.
    """

    def __init__(self, builder: Builder, env: dict[Value, Value] | None = None) -> None:
        self.builder = builder
        self.env: dict[Value, Value] = {} if env is None else env
        self.symbols: dict[str, Size] = {}

    def value(self, v: Value) -> Value:
        return self.env.get(v, v)

    def values(self, vs: Sequence[Value]) -> tuple[Value, ...]:
        return tuple([self.env.get(v, v) for v in vs])

    def bind(self, old: Sequence[Value], new: Sequence[Value]) -> None:
        """Let `new` stand for `old`; symbols that are plain in the old types take the new sizes."""
        for o, n in zip(old, new, strict=True):
            self.env[o] = n
            if isinstance(o.type, ArrayType) and isinstance(n.type, ArrayType):
                for d, e in zip(o.type.dims, n.type.dims, strict=True):
                    if isinstance(d, Dim) and d != e and d == symbol(d.symbols[0]):
                        self.symbols.setdefault(d.symbols[0], e)
            if not n.name:
                n.name = o.name

    def size(self, size: Size) -> Size:
        if isinstance(size, int) or not self.symbols:
            return size
        return affine([(1, size.const), *((k, self.symbols.get(s, symbol(s))) for s, k in size.terms)])

    def type(self, t: Type) -> Type:
        if isinstance(t, ArrayType) and self.symbols:
            return ArrayType(t.dtype, tuple(map(self.size, t.dims)), t.layout)
        return t

    def attrs(self, attrs: Mapping[str, Any]) -> dict[str, Any]:
        if not self.symbols:
            return dict(attrs)
        out = dict(attrs)
        if "dims" in out:
            out["dims"] = tuple(map(self.size, out["dims"]))
        if "types" in out:
            out["types"] = tuple(map(self.type, out["types"]))
        return out

    def run(self, block: Block, args: Sequence[Value]) -> tuple[Value, ...]:
        """Emit a block's nodes here, its parameters bound to `args`; give its results."""
        self.bind(block.params, args)
        for node in block.nodes:
            self.node(node)
        return self.values(block.results)

    def node(self, node: Node) -> None:
        """Emit one node; its results are bound to the new ones."""
        self.emit_as(node, node.op, self.values(node.operands), self.attrs(node.attrs))

    def emit_as(self, node: Node, op: Primitive, operands: Sequence[Value], attrs: Mapping[str, Any]) -> None:
        """Emit an operation in the place of `node`, whose blocks are copied."""
        b = self.builder
        blocks = [self.nested(inner) for inner in node.blocks]
        before = b.half, b._span, b._follow  # `at` and `on`, without a context manager for every node
        b.half, b._span, b._follow = node.half or b.half, node.span, False
        try:
            new = b.emit(op, *operands, blocks=blocks, names=[v.name for v in node.results], **attrs)
        finally:
            b.half, b._span, b._follow = before
        self.bind(node.results, new)

    def nested(self, block: Block) -> Block:
        """A copy of an inner block."""
        with self.builder.reify([self.type(v.type) for v in block.params], [v.name for v in block.params]) as inner:
            inner.results = self.run(block, inner.params)
        return inner
