"""Arrays in LLVM: making them, their elements, views of them, and their references."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from lms.core import primitives as p
from lms.core.ir import Node, Value
from lms.core.types import ArrayType, Scalar, SumType, Type, i64

from ..ownership import static_bytes
from . import complexes, memory, scalar
from .abi import DATA, Site, Status
from .values import Array, V, item_size, memory_type
from .writer import Writer, rule

# ------------------------------------------------------------------------------------------- references


def retain(w: Writer, v: Value) -> None:
    """One reference more to an array or record."""
    found = w.get(v)
    if isinstance(found, Array):
        if found.owner != "null":
            w.do(f"call void @lms_retain(ptr {found.owner})")
    else:
        w.do(f"call void @lms_retain_node(ptr {found})")


def release(w: Writer, v: Value) -> None:
    """One reference less."""
    found = w.get(v)
    if not isinstance(found, Array):
        w.do(f"call void @lms_release_node(ptr %ctx, ptr {found})")
    elif isinstance(v.type, ArrayType) and isinstance(v.type.dtype, SumType):
        w.do(f"call void @lms_release_references(ptr %ctx, ptr {found.owner})")
        w.do("call void @lms_tear_down(ptr %ctx)")
    elif found.owner != "null":
        w.do(f"call void @lms_release(ptr %ctx, ptr {found.owner})")


# ----------------------------------------------------------------------------------------------- making


@rule(p.array.empty)
def _empty(w: Writer, node: Node) -> Sequence[V]:
    t = node.result.type
    assert isinstance(t, ArrayType)
    if node.result in w.ownership.on_stack:
        return [_on_stack(w, t)]
    if node.result in w.ownership.in_arena:
        return [Array("null", "", tuple(map(str, t.dims)))]  # its address is found where it is used
    dims = tuple(str(d) if isinstance(d, int) else w.scalar(v) for d, v in zip(t.dims, node.operands, strict=True))
    values = [(i64, d) for d in dims]
    types = (i64,) * len(dims)
    shape = ", ".join(["{}"] * len(dims))
    item = item_size(t.dtype)
    known = item * prod(int(d) for d in dims if _is_number(d))
    negative = any(_is_number(d) and int(d) < 0 for d in dims)
    site, *_ = [w.module.site(Site(node.span, error, message, types)) for error, message in (
        ("ValueError", f"an array has no negative size, found ({shape})"),
        ("ValueError", f"the bytes of a {t.dtype} array of shape ({shape}) do not fit in 64 bits"),
        ("MemoryError", f"no memory for a {t.dtype} array of shape ({shape})"))]
    if w.module.options.count:
        w.module.arrays[site] = node
    if negative or known >= 2**63:
        w.store_values(values)
        w.fail(Status.CHECK, str(site if negative else site + 1))
        w.start(w.new_label("never"))
    name = w.module.helper(f"lms_make_{len(dims)}", lambda: memory.make(len(dims)))
    arguments = ", ".join([f"i64 {item}", f"i64 {int(isinstance(t.dtype, SumType))}", *(f"i64 {d}" for d in dims)])
    block = w.op(f"call noalias ptr @{name}(ptr %ctx, i32 {site}, {arguments})")
    w.unless_null(block)
    return [Array(block, w.op(f"getelementptr inbounds i8, ptr {block}, i64 {DATA}"), dims)]


def _is_number(text: str) -> bool:
    return text.lstrip("-").isdigit()


def _on_stack(w: Writer, t: ArrayType) -> Array:
    """A small array of known size: zeroed, for LLVM makes anything of what was never written."""
    size = static_bytes(t)
    data = w.alloca(f"[{max(size or 0, 1)} x i8]", 32)
    if size:
        w.module.declares.add("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
        w.do(f"call void @llvm.memset.p0.i64(ptr align 32 {data}, i8 0, i64 {size}, i1 false)")
    return Array("null", data, tuple(map(str, t.dims)))


def open_arena(w: Writer) -> None:
    """Get the memory of the small arrays that have no place on the stack."""
    if w.ownership.arena:
        size = w.ownership.arena
        w.arena = w.op(f"call noalias ptr @lms_new(ptr %ctx, i64 {size}, i64 0)")
        w.check(w.op(f"icmp ne ptr {w.arena}, null"),
                Site(w.function.span, "MemoryError", f"no memory for {size} bytes of small arrays"), [])


def close_arena(w: Writer) -> None:
    if w.ownership.arena:
        w.do(f"call void @lms_release(ptr %ctx, ptr {w.arena})")


@rule(p.array.dim)
def _dim(w: Writer, node: Node) -> Sequence[V]:
    return [w.array(node.operands[0])[1].dims[node.attrs["axis"]]]


# --------------------------------------------------------------------------------------------- elements


def strides(w: Writer, a: Array) -> tuple[str, ...]:
    """The strides of an array of either layout, in elements."""
    if a.strides is not None:
        return a.strides
    out: list[str] = []
    for d in reversed(a.dims[1:]):
        out.append(d if not out else multiply(w, out[-1], d))
    return (*reversed(out), "1") if a.dims else ()


def multiply(w: Writer, x: str, y: str) -> str:
    if x == "1":
        return y
    if y == "1":
        return x
    if _is_number(x) and _is_number(y):
        return str(int(x) * int(y))
    return w.op(f"mul nsw i64 {x}, {y}")


def add(w: Writer, x: str, y: str) -> str:
    return y if x == "0" else x if y == "0" else w.op(f"add nsw i64 {x}, {y}")


def position(w: Writer, a: Array, index: Sequence[str]) -> str:
    """The distance of an element from the first, in elements."""
    at = "0"
    if a.strides is not None:
        for i, s in zip(index, a.strides, strict=True):
            at = add(w, at, multiply(w, i, s))
        return at
    for k, i in enumerate(index):
        at = add(w, multiply(w, at, a.dims[k]) if k and at != "0" else at, i)
    return at


def offset(w: Writer, t: ArrayType, data: str, at: str) -> str:
    """The address so many elements on."""
    return data if at == "0" else w.op(f"getelementptr inbounds {memory_type(t.dtype)}, ptr {data}, i64 {at}")


def address(w: Writer, array: Value, index: Sequence[Value]) -> str:
    t, a = w.array(array)
    return offset(w, t, a.data, position(w, a, [w.scalar(i) for i in index]))


@rule(p.array.load)
def _load(w: Writer, node: Node) -> Sequence[V]:
    array, *index = node.operands
    t, _ = w.array(array)
    v = w.load(t.dtype, address(w, array, index), w.meta(array))
    if isinstance(t.dtype, SumType):
        w.do(f"call void @lms_retain_node(ptr {v})")
    return [v]


@rule(p.array.store)
def _store(w: Writer, node: Node) -> None:
    array, value, *index = node.operands
    t, _ = w.array(array)
    at, v = address(w, array, index), w.get(value)
    if isinstance(t.dtype, SumType):
        if 1 not in w.ownership.moved.get(node, ()):
            retain(w, value)
        old = w.load(t.dtype, at, w.meta(array))
        w.store(t.dtype, v, at, w.meta(array))
        w.do(f"call void @lms_release_node(ptr %ctx, ptr {old})")
    else:
        w.store(t.dtype, v, at, w.meta(array))


@rule(p.array.accumulate)
def _accumulate(w: Writer, node: Node) -> None:
    array, value, *index = node.operands
    t, _ = w.array(array)
    at, meta = address(w, array, index), w.meta(array)
    assert isinstance(t.dtype, Scalar)
    w.store(t.dtype, plus(w, t.dtype, w.load(t.dtype, at, meta), w.get(value), w.flags(node)), at, meta)


def plus(w: Writer, t: Scalar, x: V, y: V, flags: str) -> V:
    """A sum, of real or complex numbers; of bools, `or`."""
    if t.is_complex:
        return complexes.COMPLEX[p.scalar.add](w, t, (x, y), flags)
    op = p.scalar.or_ if t.kind == "b" else p.scalar.add
    return scalar.REAL[op](w, t, (str(x), str(y)), flags)


def times(w: Writer, t: Scalar, x: V, y: V, flags: str) -> V:
    """A product, of real or complex numbers."""
    if t.is_complex:
        return complexes.COMPLEX[p.scalar.mul](w, t, (x, y), flags)
    return scalar.REAL[p.scalar.mul](w, t, (str(x), str(y)), flags)


@rule(p.array.index)
def _index(w: Writer, node: Node) -> Sequence[V]:
    i, n = (w.scalar(v) for v in node.operands)
    if w.module.options.boundscheck:
        # -n <= i < n, for a size n >= 0; or 0 <= i < n
        below = w.op(f"icmp slt i64 {i}, {n}")
        above = w.op(f"icmp sge i64 {i}, {w.op(f'sub nsw i64 0, {n}') if p.array.wraps(node.attrs) else 0}")
        site = Site(node.span, "IndexError", "index {} is out of bounds for axis of size {}", (i64, i64))
        w.check(w.op(f"and i1 {below}, {above}"), site, [(i64, i), (i64, n)])
    if not p.array.wraps(node.attrs):
        return [str(i)]
    negative = w.op(f"icmp slt i64 {i}, 0")
    return [w.op(f"select i1 {negative}, i64 {w.op(f'add i64 {i}, {n}')}, i64 {i}")]


# ------------------------------------------------------------------------------------------------ views


@rule(p.array.view)
def _view(w: Writer, node: Node) -> Sequence[V]:
    source, *operands = node.operands
    t, a = w.array(source)
    out = node.result.type
    assert isinstance(out, ArrayType)
    steps, rest = strides(w, a), iter(operands)
    at, axis = "0", 0
    dims: list[str] = []
    jumps: list[str] = []
    for what, *detail in node.attrs["spec"]:
        if what == "new":
            dims.append("1")
            jumps.append("0")
            continue
        if what == "all":
            dims.append(a.dims[axis])
            jumps.append(steps[axis])
        elif what == "at":
            at = add(w, at, multiply(w, w.scalar(next(rest)), steps[axis]))
        else:
            start, size = w.scalar(next(rest)), w.scalar(next(rest))
            at = add(w, at, multiply(w, start, steps[axis]))
            dims.append(size)
            jumps.append(multiply(w, str(detail[0]), steps[axis]))
        axis += 1
    dims = [str(d) if isinstance(d, int) else found for d, found in zip(out.dims, dims, strict=True)]
    # an empty view may start anywhere, so the address is not claimed to be inside
    data = a.data if at == "0" else w.op(f"getelementptr {memory_type(t.dtype)}, ptr {a.data}, i64 {at}")
    return [Array(a.owner, data, tuple(dims), tuple(jumps) if out.layout == "S" else None)]


@rule(p.array.transpose)
def _transpose(w: Writer, node: Node) -> Sequence[V]:
    t, a = w.array(node.operands[0])
    out, perm = node.result.type, node.attrs["perm"]
    assert isinstance(out, ArrayType)
    dims = tuple(a.dims[k] for k in perm)
    if out.layout == "C":
        return [Array(a.owner, a.data, dims)]
    steps = strides(w, a)
    return [Array(a.owner, a.data, dims, tuple(steps[k] for k in perm))]


@rule(p.array.reshape)
def _reshape(w: Writer, node: Node) -> Sequence[V]:
    source, *sizes = node.operands
    _, a = w.array(source)
    out = node.result.type
    assert isinstance(out, ArrayType)
    dims = tuple(str(d) if isinstance(d, int) else w.scalar(v) for d, v in zip(out.dims, sizes, strict=True))
    return [Array(a.owner, a.data, dims)]


def coerce(w: Writer, v: V, source: Type, target: Type) -> V:
    """A value where another type is expected: a row-major array where strides are, static sizes where they are known."""
    if not isinstance(v, Array) or source == target:
        return v
    assert isinstance(target, ArrayType)
    dims = tuple(str(d) if isinstance(d, int) else found for d, found in zip(target.dims, v.dims, strict=True))
    return Array(v.owner, v.data, dims, strides(w, v) if target.layout == "S" else None)
