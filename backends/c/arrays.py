"""Arrays in C: making them, their elements, views of them; contractions and sorting as the loops they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lms.core import primitives as p
from lms.core.ir import Node, Value
from lms.core.types import ArrayType, Scalar, SumType, Type, i64

from ..ownership import static_bytes
from .expressions import SIZES, Expr, cast, join, literal, number, plus, times, variable
from .function import Array, FunctionWriter, rule
from .scalars import accumulated, product


@rule(p.array.const)
def _const(w: FunctionWriter, node: Node) -> None:
    t = node.attrs["type"]
    w.env[node.result] = literal(node.attrs["value"], t)


@rule(p.array.dim)
def _dim(w: FunctionWriter, node: Node) -> None:
    w.env[node.result] = w.array(node.operands[0])[1].dims[node.attrs["axis"]]


# ----------------------------------------------------------------------------------------------- making


@rule(p.array.empty)
def _empty(w: FunctionWriter, node: Node) -> None:
    v, t = node.result, node.result.type
    assert isinstance(t, ArrayType)
    given = w.take(node.operands)
    dims = tuple(number(d) if isinstance(d, int) else _size(w, x) for d, x in zip(t.dims, given, strict=True))
    if v in w.signature.into:
        w.env[v] = Array(w.place_of(v), dims, None, "NULL")
        return
    name = w.name(v.name, "a")
    if v in w.ownership.on_stack:
        count = max(static_bytes(t) or 0, 1) * 8 // t.dtype.bits if isinstance(t.dtype, Scalar) else 1
        w.write(f"{w.typed(t.dtype, name)}[{max(count, 1)}] = {{{_zero(t.dtype)}}};", sets=name)
        w.env[v] = Array(name, dims, None, "NULL")
        return
    if v in w.ownership.in_arena:
        w.write(f"{w.typed(t, name)} = ({w.typed(t, '')})(arena + {w.ownership.in_arena[v]});".replace(" )", ")"), sets=name)
        w.env[v] = Array(name, dims, None, "NULL")
        return
    kind = int(isinstance(t.dtype, SumType))
    item = f"sizeof({w.module.c_type(t.dtype)})"
    shape = f"{len(dims)}, (int64_t[]){{{', '.join(d.text for d in dims)}}}" if dims else "0, NULL"
    w.write(f"{w.typed(t, name)} = lms_array(lms, {w.place(node.span)}, {item}, {kind}, {shape});")
    w.write(f"if ({name} == NULL) return lms->status;")
    w.env[v] = Array(name, dims, None, name)


def _zero(t: Type) -> str:
    return "{0, 0}" if isinstance(t, Scalar) and t.is_complex else "0"


def _size(w: FunctionWriter, x: Expr) -> Expr:
    """A size as something that can be said again and again."""
    if x.text.isidentifier() or x.constant is not None:
        return Expr(x.text, x.prec, _meet(x.range, SIZES), names=x.names)
    return w.declare(i64, "", Expr(x.text, x.prec, _meet(x.range, SIZES), x.reads, x.names), "size")


def _meet(x: tuple[int, int], y: tuple[int, int]) -> tuple[int, int]:
    lo, hi = max(x[0], y[0]), min(x[1], y[1])
    return (lo, hi) if lo <= hi else x


# --------------------------------------------------------------------------------------------- elements


def position(a: Array, index: Sequence[Expr]) -> Expr:
    """The distance of an element from the first."""
    at = number(0)
    if a.strides is not None:
        for i, s in zip(index, a.strides, strict=True):
            at = plus(at, times(i, s))
        return at
    for k, i in enumerate(index):
        at = plus(times(at, a.dims[k]), i) if k else i
    return at


def element(a: Array, index: Sequence[Expr]) -> Expr:
    """An element, as a place or as a value."""
    at = position(a, index)
    return join(f"{a.data}[{at.text}]", [at, Expr("", names=frozenset({a.data}))])


@rule(p.array.load)
def _load(w: FunctionWriter, node: Node) -> None:
    array, *index = node.operands
    t, a = w.array(array)
    x = element(a, w.take(index))
    if isinstance(t.dtype, SumType):
        name = w.declare(t.dtype, node.result.name, x)
        w.write(f"lms_retain_node({name.text});")
        w.env[node.result] = name
        return
    w.offer(node, x)


@rule(p.array.store)
def _store(w: FunctionWriter, node: Node) -> None:
    array, value, *index = node.operands
    t, a = w.array(array)
    changes = w.effects.of(node).changes
    if isinstance(t.dtype, SumType):
        place = element(a, w.take(index)).text
        if 1 not in w.ownership.moved.get(node, ()):
            w.retain(value)
        new = w.one(value)
        w.settle(lambda v, x: bool(x.reads))
        w.write(f"lms_release_node(lms, {place});")
        w.write(f"{place} = {new.text};")
        return
    x, place = w.one(value), element(a, w.take(index)).text
    w.statement(f"{place} = {x.text};", changes)


@rule(p.array.accumulate)
def _accumulate(w: FunctionWriter, node: Node) -> None:
    array, value, *index = node.operands
    t, a = w.array(array)
    assert isinstance(t.dtype, Scalar)
    x, place = w.one(value), element(a, w.take(index))
    w.statement(_added(t.dtype, place, x), w.effects.of(node).changes)


def _added(t: Scalar, place: Expr, x: Expr) -> str:
    """`place += x;`"""
    if t.is_float or t.kind == "u" and t.bits >= 32:
        return f"{place.text} -= {x.text[1:]};" if x.prec == 90 and x.text.startswith("-") and t.is_float else (
            f"{place.text} += {x.text};")
    return f"{place.text} = {accumulated(t, place, x).text};"


@rule(p.array.index)
def _index(w: FunctionWriter, node: Node) -> None:
    i, n = w.take(node.operands)
    if not i.text.isidentifier() and i.constant is None:
        i = w.declare(i64, node.operands[0].name, i, "k")
    if w.module.options.boundscheck:
        low = "" if i.range[0] >= 0 else f"{i.at(70)} < {_minus(n) if p.array.wraps(node.attrs) else 0} || "
        w.write(f"if ({low}{i.at(70)} >= {n.at(70)}) return lms_index_error(lms, {w.place(node.span)}, {i.text}, {n.text});")
    if i.range[0] >= 0:
        x = Expr(i.text, i.prec, (i.range[0], min(i.range[1], SIZES[1])), i.reads, i.names)
    elif not p.array.wraps(node.attrs):
        x = Expr(i.text, i.prec, (0, SIZES[1]), i.reads, i.names)
    elif i.constant is not None:
        x = Expr(plus(n, i).text, 70, SIZES, n.reads, n.names)
    else:
        x = join(f"{i.text} < 0 ? {i.text} + {n.at(70)} : {i.text}", [i, n], 5, SIZES)
    w.offer(node, x)


def _minus(n: Expr) -> str:
    return str(-n.constant) if n.constant is not None else f"-{n.at(90)}"


# ------------------------------------------------------------------------------------------------ views


@rule(p.array.view)
def _view(w: FunctionWriter, node: Node) -> None:
    source, *operands = node.operands
    _, a = w.array(source)
    out, v = node.result.type, node.result
    assert isinstance(out, ArrayType)
    steps, rest = w.strides(a), iter([_again(w, x) for x in w.take(operands)])
    at, axis, empty = number(0), 0, list[str]()
    dims, jumps = list[Expr](), list[Expr]()
    for what, *detail in node.attrs["spec"]:
        if what == "new":
            dims.append(number(1))
            jumps.append(number(0))
            continue
        if what == "all":
            dims.append(a.dims[axis])
            jumps.append(steps[axis])
        elif what == "at":
            at = plus(at, times(next(rest), steps[axis]))
        else:
            start, size = next(rest), next(rest)
            at = plus(at, times(start, steps[axis]))
            dims.append(Expr(size.text, size.prec, _meet(size.range, SIZES), names=size.names))
            jumps.append(times(number(detail[0]), steps[axis]))
            if detail[0] < 0 and start.range[0] < 0:
                empty.append(f"{size.at(70)} > 0")
        axis += 1
    dims = [number(d) if isinstance(d, int) else found for d, found in zip(out.dims, dims, strict=True)]
    data = a.data
    if at.constant != 0:
        shift = f"({' && '.join(empty)} ? {at.text} : 0)" if empty else at.at(71)  # an empty view may start anywhere
        data = _pointer(w, v, out, a, f"{a.data} + {shift}")
    w.env[v] = Array(data, tuple(dims), tuple(jumps) if out.layout == "S" else None, a.owner, a.const)


def _again(w: FunctionWriter, x: Expr) -> Expr:
    """An expression that may be written more than once."""
    if x.reads or len(x.text) > 24:
        return w.declare(i64, "", x, "k")
    return x


def _pointer(w: FunctionWriter, v: Value, t: ArrayType, a: Array, text: str) -> str:
    name = w.name(v.name, "view")
    w.write(f"{w.typed(t, name, a.const)} = {text};", sets=name)
    return name


@rule(p.array.transpose)
def _transpose(w: FunctionWriter, node: Node) -> None:
    _, a = w.array(node.operands[0])
    out, perm = node.result.type, node.attrs["perm"]
    assert isinstance(out, ArrayType)
    steps = w.strides(a)
    strides = None if out.layout == "C" else tuple(steps[k] for k in perm)
    w.env[node.result] = Array(a.data, tuple(a.dims[k] for k in perm), strides, a.owner, a.const)


@rule(p.array.reshape)
def _reshape(w: FunctionWriter, node: Node) -> None:
    source, *sizes = node.operands
    _, a = w.array(source)
    out = node.result.type
    assert isinstance(out, ArrayType)
    dims = tuple(number(d) if isinstance(d, int) else _size(w, x) for d, x in zip(out.dims, w.take(sizes), strict=True))
    w.env[node.result] = Array(a.data, dims, None, a.owner, a.const)


# -------------------------------------------------------------------------------- contraction and sorting


def nest(w: FunctionWriter, letters: Sequence[tuple[str, Expr]], body: Callable[[dict[str, Expr]], None],
         index: dict[str, Expr] | None = None) -> None:
    """Nested loops over letters with their sizes."""
    index = index or {}
    if not letters:
        body(index)
        return
    (letter, high), *rest = letters
    name = w.name(letter, "i")
    w.write(f"for (int64_t {name} = 0; {name} < {high.at(70)}; {name}++) {{")
    with w.inner() as lines:
        nest(w, rest, body, {**index, letter: variable(name, SIZES)})
    w.lines += lines
    w.close()
    w.names.free(name)


@rule(p.array.contract_into)
def _contract_into(w: FunctionWriter, node: Node) -> None:
    left, right, out = node.attrs["spec"]
    (t, c), (_, a), (_, b) = (w.array(v) for v in node.operands)
    assert isinstance(t.dtype, Scalar)
    dtype, add = t.dtype, node.attrs["accumulate"]
    w.settle(lambda v, x: bool(x.reads & w.effects.of(node).changes))
    size = {x: d for letters, array in ((left, a), (right, b), (out, c)) for x, d in zip(letters, array.dims, strict=True)}
    sums = [x for x in left if x in right and x not in out]
    sums += [x for x in left + right if x not in out and (x in left) != (x in right)]

    def at(array: Array, letters: str, index: dict[str, Expr]) -> Expr:
        return element(array, [index[x] for x in letters])

    def term(index: dict[str, Expr]) -> Expr:
        return product(dtype, at(a, left, index), at(b, right, index))

    def runs(array: Array, letters: str, letter: str) -> bool:
        return letter not in letters or w.strides(array)[letters.index(letter)].constant == 1

    if sums and out and runs(a, left, out[-1]) and runs(b, right, out[-1]) and not (
            runs(a, left, sums[-1]) and runs(b, right, sums[-1])):
        # the result's last letter runs through memory, and no sum does
        if not add:
            nest(w, [(x, size[x]) for x in out], lambda index: w.write(f"{at(c, out, index).text} = {literal(0, dtype).text};"))
        nest(w, [(x, size[x]) for x in [*out[:-1], *sums, out[-1]]],
             lambda index: w.write(_added(dtype, at(c, out, index), term(index))))
        return

    def one(index: dict[str, Expr]) -> None:
        total = w.declare(dtype, "sum", at(c, out, index) if add else literal(0, dtype))
        nest(w, [(x, size[x]) for x in sums], lambda more: w.write(_added(dtype, total, term(more))), index)
        w.write(f"{at(c, out, index).text} = {total.text};")

    nest(w, [(x, size[x]) for x in out], one)


@rule(p.array.argsort_into)
def _argsort_into(w: FunctionWriter, node: Node) -> None:
    (_, out), (t, keys) = (w.array(v) for v in node.operands)
    assert isinstance(t.dtype, Scalar)
    (n,) = keys.dims
    w.settle(lambda v, x: bool(x.reads & w.effects.of(node).changes))
    scratch, name = w.name("scratch"), w.name("i", "i")
    w.write(f"uint64_t *{scratch} = lms_array(lms, {w.place(node.span)}, 4 * sizeof(uint64_t), 0, 1, (int64_t[]){{{n.text}}});")
    w.write(f"if ({scratch} == NULL) return lms->status;")
    key = element(keys, [variable(name, SIZES)])
    w.write(f"for (int64_t {name} = 0; {name} < {n.at(70)}; {name}++) {scratch}[{name}] = {_key(t.dtype, key).text};")
    w.names.free(name)
    w.write(f"lms_argsort({scratch}, {out.data}, {w.strides(out)[0].text}, {n.text});")
    w.write(f"lms_release(lms, {scratch});")


def _key(t: Scalar, x: Expr) -> Expr:
    """An unsigned number that is less where the key is less; all NaN are the greatest."""
    if t.kind in "bu":
        return cast("uint64_t", x)
    if t.kind == "i":
        return join(f"(uint64_t){x.at(90)} ^ (uint64_t)INT64_MIN", [x], 35)
    return join(f"lms_order({x.text})", [x])


