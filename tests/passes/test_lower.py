"""Lowering: every whole-array operation becomes loops that compute what the operation does."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.errors import StagingError
from lms.core.ir import Program, Value, walk
from lms.core.primitives import PRIMITIVES, Primitive
from lms.core.types import SCALARS, ArrayType, Scalar, bool_, f32, f64, i32, i64, symbol, u8
from lms.core.verify import verify
from lms.passes.lower import Lower
from lms.passes.search import CHUNK
from tests.passes.programs import (
    MAT,
    VEC,
    branch,
    everywhere,
    k,
    loop,
    m,
    n,
    nodes,
    number,
    ops,
    outcome,
    program,
    same,
    spread,
    window,
)

s, a = p.scalar, p.array
INTS = ArrayType(i64, (n,))
NOT_LOWERED = {op.name for op in PRIMITIVES.values() if not op.lowered}


def lowered(prog: Program) -> Program:
    """The lowered program, checked to hold only what back ends know."""
    out = Lower().run(prog)
    verify(out, after="lower")
    assert not NOT_LOWERED & set(ops(out))
    for f in out.functions.values():
        for node in walk(f.body):
            if node.op.elementwise:
                assert not isinstance(node.result.type, ArrayType), node.op
    return out


def check(prog: Program, *args: Any) -> Program:
    """Lower, and compare what the two programs do."""
    expected = outcome(prog, args)
    low = lowered(prog)
    same(expected, outcome(low, args))
    return low


def floats(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(sum(shape)).uniform(0.5, 2.0, shape)


# ----------------------------------------------------------------------------------------- each row, alone


@pytest.mark.parametrize("axes", [c for r in (1, 2, 3) for c in itertools.combinations(range(3), r)])
@pytest.mark.parametrize("op", [a.reduce_sum, a.reduce_prod, a.reduce_max, a.reduce_min])
def test_reductions_of_every_choice_of_axes(op: Any, axes: tuple[int, ...]) -> None:
    prog = program([ArrayType(f64, (n, m, k))], lambda b, x: b.emit1(op, x, axes=axes))
    check(prog, floats(2, 3, 5))


@pytest.mark.parametrize("dtype", [t for t in SCALARS.values() if t.kind != "b"])
def test_sums_and_products_of_every_number(dtype: Scalar) -> None:
    prog = program([ArrayType(dtype, (n,))], lambda b, x: [b.emit1(op, x, axes=(0,)) for op in (a.reduce_sum, a.reduce_prod)])
    x = np.array([1, 2, 3, 100, 7], dtype.dtype)
    same([np.asarray(v, np.complex128) for v in outcome(prog, (x,))[:2]],
         [np.asarray(v, np.complex128) for v in outcome(lowered(prog), (x,))[:2]])


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("op", [a.argmax, a.argmin])
@pytest.mark.parametrize("dtype", [f64, i32, u8, bool_])
def test_argmax_and_argmin(op: Any, dtype: Scalar, axis: int) -> None:
    prog = program([ArrayType(dtype, (n, m))], lambda b, x: b.emit1(op, x, axis=axis))
    values = np.array([[3, 1, 4, 1], [5, 9, 2, 6], [5, 3, 5, 9]])
    check(prog, (values % 2).astype(bool) if dtype is bool_ else values.astype(dtype.dtype))


@pytest.mark.parametrize("size", [1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 5])
def test_the_search_for_what_holds_ends_where_it_is_found(size: int) -> None:
    """Chunk by chunk: the first, the last, one at the border of two chunks, several, none."""
    prog = program([VEC], lambda b, x: b.emit1(a.argmax, b.emit1(s.gt, x, everywhere(b, number(b, 0.0), x)), axis=0))
    low = lowered(prog)
    assert "while" in ops(low)
    for places in ([0], [size - 1], [size // 2, size - 1], [min(CHUNK, size - 1)], []):
        x = np.zeros(size)
        x[places] = 1.0
        same(outcome(prog, (x,)), outcome(low, (x,)))
    static = program([ArrayType(bool_, (6,))], lambda b, x: b.emit1(a.argmax, x, axis=0))
    assert "while" not in ops(check(static, np.arange(6) == 4))


@pytest.mark.parametrize("op", [a.argmax, a.argmin, a.reduce_max, a.reduce_min])
def test_the_first_nan_wins(op: Any) -> None:
    attrs = {"axis": 0} if op in (a.argmax, a.argmin) else {"axes": (0,)}
    prog = program([VEC], lambda b, x: b.emit1(op, x, **attrs))
    for x in ([1.0, np.nan, 3.0, np.nan], [np.nan, np.inf], [-np.inf, -np.inf], [np.inf, np.inf]):
        check(prog, np.array(x))


@pytest.mark.parametrize("op", [a.argmax, a.argmin, a.reduce_max, a.reduce_min])
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (2, 2)])
@pytest.mark.parametrize("axis", [0, 1])
def test_nothing_has_no_maximum(op: Any, shape: tuple[int, int], axis: int) -> None:
    attrs = {"axis": axis} if op in (a.argmax, a.argmin) else {"axes": (axis,)}
    check(program([MAT], lambda b, x: b.emit1(op, x, **attrs)), np.zeros(shape))


@pytest.mark.parametrize("axis", [0, 1])
def test_cumsum(axis: int) -> None:
    check(program([MAT], lambda b, x: b.emit1(a.cumsum, x, axis=axis)), floats(3, 4))


SPECS = ["ij,jk->ik", "ij,j->i", "i,ij->j", "ji,jk->ki", "i,i->", "i,j->ij", "aij,ajk->aik", "aij,jk->aik", "ij,ij->",
         "ij,ij->i", "ijk,jkl->il", "ij,k->ijk", "ai,aj->aij"]


@pytest.mark.parametrize("einsum", SPECS)
@pytest.mark.parametrize("dtype", [f64, i64])
def test_contractions(einsum: str, dtype: Scalar) -> None:
    spec = tuple(einsum.replace("->", ",").split(","))
    sizes = {"i": 2, "j": 3, "k": 4, "l": 5, "a": 6}
    types = [ArrayType(dtype, tuple(symbol(c) for c in part)) for part in spec[:2]]
    prog = program(types, lambda b, x, y: b.emit1(a.contract, x, y, spec=spec))
    args = [(10 * floats(*(sizes[c] for c in part))).astype(dtype.dtype) for part in spec[:2]]
    low = check(prog, *args)
    matrices = len(set("".join(spec))) == len(spec[2]) + 1 > 1 and spec != ("ij", "ij", "i")
    assert ("contract_into" in ops(low)) == (dtype is f64 and matrices)


@pytest.mark.parametrize("axis", [0, 1])
def test_concatenate(axis: int) -> None:
    other = ArrayType(f64, (k, m) if axis == 0 else (n, k))
    dims = (n + k, m) if axis == 0 else (n, m + k)
    prog = program([MAT, other], lambda b, x, y: b.emit1(a.concatenate, x, b.emit1(s.neg, y), axis=axis, dims=dims))
    check(prog, floats(2, 3), floats(4, 3) if axis == 0 else floats(2, 5))


@pytest.mark.parametrize("axis", [0, 1])
def test_take_put_and_add_at(axis: int) -> None:
    def body(b: Builder, x: Value, i: Value) -> Value:
        t = b.emit1(a.take, x, i, axis=axis)
        b.emit(a.put, x, i, b.emit1(s.neg, t), axis=axis)
        b.emit(a.add_at, x, i, t, axis=axis)
        return b.emit1(a.take, x, i, axis=axis)

    prog = program([MAT, ArrayType(i64, (k,))], body, mut=[0])
    check(prog, floats(3, 3), np.array([2, 0, 2, 2]))


def test_take_with_an_index_of_two_axes() -> None:
    prog = program([MAT, ArrayType(i64, (k, k))], lambda b, x, i: b.emit1(a.take, x, i, axis=1))
    check(prog, floats(2, 3), np.array([[2, 0], [1, 1]]))


@pytest.mark.parametrize("axis", [0, 1])
def test_take_along_and_argsort(axis: int) -> None:
    def body(b: Builder, x: Value) -> Value:
        order = b.emit1(a.argsort, x, axis=axis)
        b.emit(a.add_along, x, order, everywhere(b, number(b, 1.0), x), axis=axis)
        return b.emit1(a.take_along, x, order, axis=axis)

    check(program([MAT], body, mut=[0]), floats(3, 4))


def test_argsort_of_what_is_not_contiguous() -> None:
    prog = program([ArrayType(f64, (n, m), "S")], lambda b, x: b.emit1(a.argsort, x, axis=1))
    check(prog, floats(4, 6)[::2, ::-1])


def test_nonzero() -> None:
    prog = program([VEC], lambda b, x: b.emit1(a.nonzero, b.emit1(s.gt, x, everywhere(b, number(b, 1.2), x)), dims=(k,)))
    check(prog, floats(9))
    check(prog, np.zeros(0))


def test_grow_copy_iota_index() -> None:
    def body(b: Builder, x: Value, i: Value, count: Value) -> tuple[Value, ...]:
        big = b.emit1(a.grow, x, count, dims=(k,))
        head = window(b, big, 0, b.dim(x, 0), n)
        return (b.emit1(a.copy, head), b.emit1(a.iota, count, dims=(k,), dtype=f32), b.emit1(a.index, i, b.dim(x, 0)))

    prog = program([VEC, ArrayType(i64, (m,)), i64], body)
    check(prog, floats(3), np.array([-1, 0, 2]), 5)
    check(prog, floats(3), np.array([-1, 0, 3, 7]), 5)


def operands_of(op: Primitive) -> tuple[Scalar, ...]:
    """Element types that the row of an elementwise operation takes."""
    for types in [(t,) * j for j in (1, 2) for t in (f64, i64, bool_, SCALARS["c128"])] + [(bool_, f64, f64)]:
        try:
            op.type(types, {"dtype": i32})
        except StagingError:
            continue
        return types
    raise AssertionError(f"no operands for {op}")


@pytest.mark.parametrize("op", [op for op in PRIMITIVES.values() if op.elementwise], ids=str)
def test_elementwise(op: Primitive) -> None:
    attrs = {"dtype": i32} if op is s.convert else {}
    values = {"f": floats(3), "c": floats(3) + 1j, "b": floats(3) > 1, "i": np.array([1, 3, 2])}
    types = operands_of(op)
    prog = program([ArrayType(t, (n,)) for t in types], lambda b, *v: b.emit1(op, *v, **attrs))
    check(prog, *(values[t.kind] for t in types))


# ------------------------------------------------------------------------------------------------ fusion


def test_a_reduction_of_an_outer_product_is_two_loops_without_arrays() -> None:
    def body(b: Builder, x: Value, w: Value) -> Value:
        dims = (n, m)
        sizes = (b.dim(x, 0), b.dim(w, 0))
        rows = b.emit1(a.broadcast, x, *sizes, dims=dims, axes=(0,))
        columns = b.emit1(a.broadcast, w, *sizes, dims=dims, axes=(1,))
        e = b.emit1(s.exp, b.emit1(s.mul, rows, columns))
        return b.emit1(a.reduce_sum, b.emit1(s.log, b.emit1(a.reduce_sum, e, axes=(1,))), axes=(0,))

    low = check(program([VEC, ArrayType(f64, (m,))], body), floats(4), floats(5))
    assert ops(low).count("for") == 2
    assert "empty" not in ops(low) and "store" not in ops(low)
    assert [node.attrs.get("fast") for node in nodes(low, "add")] == [True, True]


def test_an_expression_used_twice_in_step_is_computed_once() -> None:
    def body(b: Builder, x: Value) -> Value:
        e = b.emit1(s.exp, x)
        return b.emit1(a.reduce_sum, b.emit1(s.mul, e, b.emit1(s.sub, everywhere(b, number(b, 1.0), x), e)), axes=(0,))

    low = check(program([VEC], body), floats(6))
    assert ops(low).count("exp") == 1 and "empty" not in ops(low)


def test_what_is_costly_and_used_again_and_again_is_stored() -> None:
    def body(b: Builder, x: Value, w: Value) -> Value:
        e = b.emit1(s.exp, w)
        columns = b.emit1(a.broadcast, e, b.dim(x, 0), b.dim(w, 0), dims=(n, m), axes=(1,))
        return b.emit1(a.reduce_sum, columns, axes=(1,))

    low = check(program([VEC, ArrayType(f64, (m,))], body), floats(4), floats(5))
    assert ops(low).count("empty") == 2  # exp(w), and the result


def test_views_are_read_through() -> None:
    def body(b: Builder, x: Value) -> Value:
        double = b.emit1(s.mul, x, everywhere(b, number(b, 2.0), x))
        turned = b.emit1(a.transpose, double, perm=(1, 0))
        row = b.emit1(a.view, turned, b.const(1), spec=(("at",), ("all",)), dims=(n,))
        return b.emit1(a.reduce_sum, row, axes=(0,))

    low = check(program([MAT], body), floats(3, 4))
    assert "empty" not in ops(low)


def test_slices_with_steps() -> None:
    def body(b: Builder, x: Value) -> Value:
        back = b.emit1(a.view, x, b.emit1(s.sub, b.dim(x, 0), b.const(1)), b.dim(x, 0), spec=(("slice", -1),), dims=(n,))
        return b.emit1(s.add, x, back)

    check(program([VEC], body), floats(5))


# ------------------------------------------------------------------------- reads stay at their place (W9)


def test_a_write_between_producer_and_consumer_is_seen_by_neither() -> None:
    def body(b: Builder, x: Value) -> Value:
        y = b.emit1(s.mul, x, everywhere(b, number(b, 2.0), x))
        b.emit(a.store, x, number(b, 5.0), b.const(0))
        return b.emit1(a.reduce_sum, y, axes=(0,))

    low = check(program([VEC], body, mut=[0]), floats(3))
    assert "empty" in ops(low)


def test_a_write_through_a_view_counts() -> None:
    def body(b: Builder, x: Value) -> Value:
        y = b.emit1(s.exp, window(b, x, 0, b.const(2), 2))
        z = b.emit1(s.exp, y)
        b.emit(a.store, window(b, x, 1, b.const(2), 2), number(b, 5.0), b.const(0))
        return b.emit1(a.reduce_sum, z, axes=(0,))

    check(program([VEC], body, mut=[0]), floats(3))


def test_a_write_in_a_loop_or_branch_between_counts() -> None:
    def body(b: Builder, x: Value, c: Value) -> Value:
        y = b.emit1(s.exp, x)
        branch(b, c, lambda: b.emit(a.store, x, number(b, 5.0), b.const(0)) or None, lambda: None)
        z = b.emit1(s.exp, x)
        loop(b, b.dim(x, 0), lambda i: b.emit(a.accumulate, x, number(b, 5.0), i) or None)
        return b.emit1(a.reduce_sum, b.emit1(s.add, y, z), axes=(0,))

    prog = program([VEC, bool_], body, mut=[0])
    for c in (True, False):
        check(prog, floats(3), c)


@pytest.mark.parametrize("op", [a.assign, a.add_into])
def test_updating_in_place_needs_no_copy(op: Any) -> None:
    def body(b: Builder, x: Value) -> None:
        b.emit(op, x, b.emit1(s.mul, x, b.emit1(s.exp, x)))

    low = check(program([VEC], body, mut=[0]), floats(4))
    assert "empty" not in ops(low)


@pytest.mark.parametrize("op", [a.assign, a.add_into])
@pytest.mark.parametrize("shift", [-1, 1])
@pytest.mark.parametrize("fused", [True, False])
def test_overlapping_windows(op: Any, shift: int, fused: bool) -> None:
    """`x[1:] = x[:-1]`, `x[:-1] += exp(x[1:])`: the right-hand side is read before anything is written."""

    def body(b: Builder, x: Value) -> None:
        size = b.emit1(s.sub, b.dim(x, 0), b.const(1))
        dst, src = (window(b, x, int(first), size, n - 1) for first in (shift > 0, shift < 0))
        b.emit(op, dst, b.emit1(s.exp, src) if fused else src)

    check(program([VEC], body, mut=[0]), floats(6))


def test_a_transposed_update_reads_first() -> None:
    square = ArrayType(f64, (n, n))

    def body(b: Builder, x: Value) -> None:
        b.emit(a.assign, x, b.emit1(s.exp, b.emit1(a.transpose, x, perm=(1, 0))))

    check(program([square], body, mut=[0]), floats(3, 3))


def test_scatter_into_what_is_read() -> None:
    def body(b: Builder, x: Value, i: Value) -> None:
        b.emit(a.put, x, i, b.emit1(s.neg, x), axis=0)
        b.emit(a.put, x, i, x, axis=0)
        b.emit(a.add_at, x, i, x, axis=0)

    check(program([VEC, INTS], body, mut=[0]), floats(4), np.array([1, 2, 3, 0]))


def test_an_index_array_that_is_scattered_into() -> None:
    def body(b: Builder, i: Value) -> None:
        b.emit(a.put, i, i, b.emit1(s.neg, i), axis=0)

    check(program([INTS], body, mut=[0]), np.array([1, 2, 0]))


def test_a_producer_used_in_a_loop_is_made_before_it() -> None:
    def body(b: Builder, x: Value) -> Value:
        y = b.emit1(s.exp, x)
        (total,) = loop(b, b.dim(x, 0), lambda i, t: b.emit1(s.add, t, b.emit1(a.load, y, i)), number(b, 0.0))
        return total

    low = check(program([VEC], body), floats(4))
    assert ops(low).count("exp") == 1
    check(program([VEC], body), np.zeros(0))


def test_a_double_buffer() -> None:
    """Two arrays that change places each time: a handle may be either."""

    def body(b: Builder, x: Value) -> Value:
        y = b.emit1(a.copy, x)

        def step(i: Value, u: Value, v: Value) -> tuple[Value, Value]:
            e = b.emit1(s.sin, u)
            b.emit(a.assign, v, b.emit1(s.neg, u))
            b.emit(a.add_into, v, e)
            return v, u

        u, _ = loop(b, b.const(5), step, x, y)
        return b.emit1(a.reduce_sum, u, axes=(0,))

    check(program([VEC], body, mut=[0]), floats(4))


def test_short_static_axes_are_unrolled() -> None:
    t = ArrayType(f64, (n, 3))
    low = check(program([t], lambda b, x: b.emit1(s.exp, x)), floats(4, 3))
    assert ops(low).count("for") == 1 and ops(low).count("exp") == 3
    low = check(program([ArrayType(f64, (3,))], lambda b, x: b.emit1(s.exp, x)), floats(3))
    assert "for" not in ops(low)


@pytest.mark.parametrize("written", [False, True])
def test_a_product_is_added_where_it_belongs(written: bool) -> None:
    square = ArrayType(f64, (n, n))

    def body(b: Builder, x: Value, y: Value, z: Value) -> None:
        xy = b.emit1(a.contract, x, y, spec=("ij", "jk", "ik"))
        if written:
            b.emit(a.store, y, number(b, 5.0), b.const(0), b.const(0))
        b.emit(a.add_into, z, xy)
        b.emit(a.add_into, z, b.emit1(a.contract, z, x, spec=("ij", "jk", "ik")))  # reads what it adds to

    low = check(program([square] * 3, body, mut=[1, 2]), floats(3, 3), floats(3, 3), floats(3, 3))
    assert [v.attrs["accumulate"] for v in nodes(low, "contract_into")] == [not written, False]


def test_a_long_chain_is_cut() -> None:
    def body(b: Builder, x: Value) -> Value:
        for _ in range(500):
            x = b.emit1(s.sin, x)
        return x

    low = check(program([VEC], body), floats(2))
    assert 10 < ops(low).count("empty") < 40


def test_lowering_twice_changes_nothing() -> None:
    def body(b: Builder, x: Value) -> Value:
        return b.emit1(a.reduce_sum, b.emit1(s.exp, x), axes=(0,))

    low = lowered(program([VEC], body))
    assert ops(Lower().run(low)) == ops(low)


def test_a_fused_array_leaves_no_dim_behind() -> None:
    def body(b: Builder, x: Value) -> tuple[Value, ...]:
        y = b.emit1(s.exp, b.emit1(a.take, x, b.emit1(a.iota, b.const(3), dims=(3,), dtype=i64), axis=1))
        return b.emit1(a.reduce_sum, y, axes=(0, 1)), b.emit1(a.dim, y, axis=0), b.emit1(a.dim, y, axis=1)

    check(program([MAT], body), floats(2, 5))


_: Callable[..., Any] = spread
