"""Sample programs with arguments and closed-form answers, for every back end and every pass.

    @pytest.mark.parametrize("sample", SAMPLES, ids=str)
    def test_it(sample):
        check(sample, my_backend(sample.program()))
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lms.core.ir import Program
from lms.core.primitives.record import Record
from lms.core.types import ArrayType, Constructor, Scalar, SumType, bool_, f32, f64, fresh_symbol, i8, i64, u8, u32

from .build import Emit, dims, vector


@dataclass(frozen=True)
class Sample:
    """A program, made anew by `program()`; arguments, made anew by `args()`; what it gives, and leaves in its arrays.

    `level` is "scalar" (bit for bit in every back end), "float" (libm: within ulps) or "array" (needs lowering).
    """

    name: str
    build: Callable[[Emit], None]
    args: Callable[[], tuple[Any, ...]]
    results: tuple[Any, ...] = ()
    leaves: tuple[Any, ...] = ()
    raises: tuple[type[Exception], str] | None = None
    level: str = "scalar"

    def __str__(self) -> str:
        return self.name

    def program(self) -> Program:
        e = Emit()
        self.build(e)
        return e.program


SAMPLES: list[Sample] = []


def sample(*args: Any, gives: Any = (), leaves: tuple[Any, ...] = (), raises: Any = None,
           level: str = "scalar") -> Callable[[Callable[[Emit], None]], Callable[[Emit], None]]:
    """Register a builder; arrays among the arguments are copied for each run."""

    def register(build: Callable[[Emit], None]) -> Callable[[Emit], None]:
        def fresh() -> tuple[Any, ...]:
            return tuple(a.copy() if isinstance(a, np.ndarray) else a for a in args)

        results = gives if isinstance(gives, tuple) else (gives,)
        SAMPLES.append(Sample(build.__name__, build, fresh, results, leaves, raises, level))
        return build

    return register


def same(found: Any, expected: Any, rtol: float = 0.0) -> bool:
    """Equal in type class, shape and bits (nan is nan, -0.0 is not 0.0); with `rtol`, floats may differ by so much."""
    if isinstance(expected, Record):
        return isinstance(found, Record) and found.tag == expected.tag and all(
            same(x, y, rtol) for x, y in zip(found.fields, expected.fields, strict=True))
    x, y = np.asarray(found), np.asarray(expected)
    if x.shape != y.shape or (isinstance(expected, np.ndarray | np.generic) and x.dtype != y.dtype):
        return False
    if y.dtype == object:
        return all(map(same, x.flat, y.flat))
    if rtol and y.dtype.kind in "fc":
        return bool(np.allclose(x, y, rtol=rtol, atol=0.0, equal_nan=True))
    return bool(np.array_equal(x, y, equal_nan=y.dtype.kind in "fc") and np.array_equal(np.signbit(x.real), np.signbit(y.real)))


def check(sample: Sample, run: Callable[[tuple[Any, ...]], Sequence[Any]]) -> None:
    """Run a sample and compare what it gives, what it leaves, or what it raises."""
    args = sample.args()
    if sample.raises is not None:
        kind, message = sample.raises
        try:
            run(args)
        except kind as error:
            assert message in str(error), str(error)
            return
        raise AssertionError(f"{sample.name} did not raise {kind.__name__}")
    found = run(args)
    rtol = 0.0 if sample.level == "scalar" else 1e-14
    assert len(found) == len(sample.results)
    for x, y in zip(found, sample.results, strict=True):
        assert same(x, y, rtol), f"{sample.name}: {x!r} is not {y!r}"
    for x, y in zip((a for a in args if isinstance(a, np.ndarray)), sample.leaves, strict=False):
        assert same(x, y, rtol), f"{sample.name} leaves {x!r}, not {y!r}"


# --------------------------------------------------------------------------------------- straight lines


@sample(3.0, 2.0, gives=3.0 * 3.0 - 2.0 / 3.0)
def straight_line(e: Emit) -> None:
    with e.function("f", f64, f64, names="x y") as f:
        x, y = f.body.params
        e.ret(f, e.sub(e.mul(x, x), e.div(y, x)))


@sample(2.0, gives=math.exp(math.sin(2.0)) + math.log(2.0), level="float")
def functions_of_libm(e: Emit) -> None:
    with e.function("f", f64, names="x") as f:
        (x,) = f.body.params
        e.ret(f, e.add(e.exp(e.sin(x)), e.log(x)))


@sample(100, 200, -7, gives=(np.int8(44), np.uint8(144), np.int64(-3), np.int64(2), np.int64(-4), np.int64(1), np.uint32(0)))
def integers_wrap(e: Emit) -> None:
    """100 + 200 in 8 bits, signed and not; -7 by 2, truncated and floored; 2**31 doubled in 32 bits."""
    with e.function("f", i64, i64, i64, names="a b c") as f:
        a, b, c = f.body.params
        def narrow(t: Scalar) -> Any:
            return e.add(e.convert(a, dtype=t), e.convert(b, dtype=t))
        big = e.shl(e.convert(e.value(1), dtype=u32), e.convert(e.value(31), dtype=u32))
        e.ret(f, narrow(i8), e.sub(narrow(u8), e.const(156, u8)), e.quot(c, 2), e.neg(e.rem(c, -5)), e.floordiv(c, 2),
              e.mod(c, 2), e.add(big, big))


@sample(math.nan, -0.0, gives=(math.nan, -0.0, True, math.inf, False))
def ieee(e: Emit) -> None:
    """x - x of nan is nan; -0.0 survives; comparisons with nan are false."""
    with e.function("f", f64, f64, names="x z") as f:
        x, z = f.body.params
        e.ret(f, e.sub(x, x), e.mul(z, 1.0), e.isnan(x), e.div(1.0, e.abs(z)), e.lt(x, x))


@sample(np.float32(0.1), gives=np.float32(0.1) * np.float32(0.1) + np.float32(1) / np.float32(3))
def single_precision(e: Emit) -> None:
    with e.function("f", f32, names="x") as f:
        (x,) = f.body.params
        e.ret(f, e.add(e.mul(x, x), e.div(e.const(1.0, f32), e.const(3.0, f32))))


@sample(3.0, -4.0, gives=(complex(-7.0, -24.0), 5.0, 3.0, complex(3.0, 4.0)), level="float")
def complex_numbers(e: Emit) -> None:
    with e.function("f", f64, f64, names="re im") as f:
        z = e.complex(*f.body.params)
        e.ret(f, e.mul(z, z), e.abs(z), e.real(z), e.conj(z))


@sample(True, 7, gives=(False, True, np.int64(5), 1.5))
def logic(e: Emit) -> None:
    with e.function("f", bool_, i64, names="p k") as f:
        p, k = f.body.params
        big = e.gt(k, 3)
        e.ret(f, e.and_(p, e.not_(big)), e.or_(p, big), e.xor(k, 2), e.select(big, 1.5, 2.5))


# ----------------------------------------------------------------------------------------------- control


@sample(np.array([2.0, 3.0, 4.0]), gives=24.0)
def product(e: Emit) -> None:
    """for i in range(n): prod *= x[i]"""
    with e.function("f", vector(), names="x") as f:
        (x,) = f.body.params
        e.ret(f, e.loop(0, e.dim(x), [1.0], lambda i, prod: e.mul(prod, e.at(x, i)), names="i prod"))


@sample(1.5, gives=1.5 ** 16)
def square_until(e: Emit) -> None:
    """while y < 100: y *= y"""
    with e.function("f", f64, names="x") as f:
        (x,) = f.body.params
        e.ret(f, e.loop_while([x], lambda y: e.lt(y, 100.0), lambda y: e.mul(y, y), names="y"))


@sample(0, gives=(-1.0, 0.0))
def zero_trips(e: Emit) -> None:
    """Loops that run no times give what they started from."""
    with e.function("f", i64, names="n") as f:
        (n,) = f.body.params
        once = e.loop(n, 0, [-1.0], lambda i, a: e.add(a, 1.0), names="i a")
        e.ret(f, once, e.loop_while([0.0], lambda y: e.gt(y, 1.0), lambda y: e.add(y, 1.0), names="y"))


@sample(5, gives=(np.int64(5 + 4 + 3 + 2 + 1), np.int64(5 * 7 + 3 * 7)))
def backwards(e: Emit) -> None:
    """for i in range(n, 0, -1), and by -2 down to 2"""
    with e.function("f", i64, names="n") as f:
        (n,) = f.body.params
        down = e.loop(n, 0, [0], lambda i, s: e.add(s, i), step=-1, names="i s")
        e.ret(f, down, e.loop(n, 2, [0], lambda i, s: e.add(s, e.mul(i, 7)), step=-2, names="i s"))


@sample(6, gives=(np.int64(sum(j if (i + j) % 2 == 0 else -i for i in range(6) for j in range(i))), np.int64(15)))
def nested_loops(e: Emit) -> None:
    """Triangular loops with a branch in the middle; the outer one counts the inner steps."""
    with e.function("f", i64, names="n") as f:
        (n,) = f.body.params

        def inner(i: Any, j: Any, s: Any, count: Any) -> Any:
            even = e.eq(e.mod(e.add(i, j), 2), 0)
            return e.branch(even, lambda: (e.add(s, j), e.add(count, 1)), lambda: (e.sub(s, i), e.add(count, 1)))

        e.ret(f, *e.loop(0, n, [0, 0], lambda i, s, count: e.loop(
            0, i, [s, count], lambda j, s, count: inner(i, j, s, count), names="j s count"), names="i s count"))


@sample(-3.0, gives=(9.0, -1.0))
def nested_branches(e: Emit) -> None:
    with e.function("f", f64, names="x") as f:
        (x,) = f.body.params
        def negative() -> Any:
            return e.branch(e.lt(x, -2.0), lambda: (e.mul(x, x), e.value(-1.0)), lambda: (x, e.value(0.0)))
        e.ret(f, *e.branch(e.lt(x, 0.0), negative, lambda: (e.sqrt(x), e.value(1.0))))


@sample(10, gives=(np.int64(55), np.int64(89)))
def swap(e: Emit) -> None:
    """a, b = b, a + b: the carried values change at once"""
    with e.function("f", i64, names="n") as f:
        (n,) = f.body.params
        e.ret(f, *e.loop(0, n, [0, 1], lambda i, a, b: (b, e.add(a, b)), names="i a b"))


@sample(5, gives=np.int64(120))
def factorial(e: Emit) -> None:
    with e.function("factorial", i64, names="n") as f:
        (n,) = f.body.params
        def step() -> Any:
            return e.mul(n, e.call("factorial", e.sub(n, 1), types=(i64,)))
        e.ret(f, e.branch(e.le(n, 1), lambda: e.value(1), step))


@sample(100_000, gives=np.int64(100_000))
def deep_recursion(e: Emit) -> None:
    with e.function("depth", i64, names="n") as f:
        (n,) = f.body.params
        def step() -> Any:
            return e.add(1, e.call("depth", e.sub(n, 1), types=(i64,)))
        e.ret(f, e.branch(e.le(n, 0), lambda: e.value(0), step))


@sample(7, gives=(False, True))
def mutual_recursion(e: Emit) -> None:
    with e.function("main", i64, names="n") as f:
        (n,) = f.body.params
        e.ret(f, e.call("even", n, types=(bool_,)), e.call("odd", n, types=(bool_,)))
    for name, other, base in (("even", "odd", True), ("odd", "even", False)):
        with e.function(name, i64, names="n") as g:
            (k,) = g.body.params
            def step(other: str = other, k: Any = k) -> Any:
                return e.call(other, e.sub(k, 1), types=(bool_,))
            e.ret(g, e.branch(e.eq(k, 0), lambda base=base: e.const(base, bool_), step))


# ------------------------------------------------------------------------------------------------ memory


@sample(np.array([0.0, 1.0, 2.0, 3.0]), gives=5.0, leaves=(np.array([0.0, 5.0, 2.0, 3.0]),))
def slice_write_read(e: Emit) -> None:
    """x = a[1:3]; a[1] = 5; return x[0]"""
    with e.function("f", vector(), names="a", mut=frozenset({0})) as f:
        (a,) = f.body.params
        x = e.view(a, 1, 2, spec=(("slice", 1),), dims=(2,))
        e.store(a, 5.0, 1)
        e.ret(f, e.load(x, 0))


@sample(np.array([1.0, 2.0, 3.0]), np.zeros(3), leaves=(np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 9.0])))
def out_parameter(e: Emit) -> None:
    """for i in range(n): out[i] = x[i] ** 2"""
    with e.function("f", vector(), vector(), names="x out", mut=frozenset({1})) as f:
        x, out = f.body.params
        e.loop(0, e.dim(x), [], lambda i: e.store(out, e.mul(e.load(x, i), e.load(x, i)), i))
        e.ret(f)


@sample(np.array([1.0, 0.0, 0.0, 0.0]), 3, gives=np.array([8.0, 0.0, 0.0, 0.0]), leaves=(np.array([1.0, 0.0, 0.0, 0.0]),))
def ping_pong(e: Emit) -> None:
    """Two buffers that swap roles: b[i] = 2 * a[i]; a, b = b, a"""
    with e.function("f", vector(), i64, names="x steps") as f:
        x, steps = f.body.params
        n = e.dim(x)
        a, b = e.copy(x), e.empty(n, dims=dims(x), dtype=f64)

        def step(k: Any, a: Any, b: Any) -> Any:
            e.loop(0, n, [], lambda i: e.store(b, e.mul(2.0, e.load(a, i)), i))
            return b, a

        e.ret(f, e.loop(0, steps, [a, b], step, names="k a b")[0])


@sample(np.arange(12.0).reshape(3, 4), gives=(np.array([11.0, 10.0, 9.0, 8.0]), np.array([9.0, 5.0, 1.0]), 99.0))
def views(e: Emit) -> None:
    """a[2, ::-1], a.T[1, ::-1], and a write through a reshaped slice of a copy that the copy shows"""
    with e.function("f", vector(f64, "n", "m"), names="a") as f:
        (a,) = f.body.params
        n, m = e.dim(a, 0), e.dim(a, 1)
        row = e.view(a, 2, e.sub(m, 1), m, spec=(("at",), ("slice", -1)), dims=(dims(a)[1],))
        flipped = e.view(e.transpose(a, perm=(1, 0)), 1, e.sub(n, 1), n, spec=(("at",), ("slice", -1)), dims=(dims(a)[0],))
        b = e.copy(a)
        flat = e.reshape(e.view(b, 1, 2, spec=(("slice", 1), ("all",)), dims=(2, dims(a)[1])), 1, e.mul(2, m),
                         dims=(1, 2 * dims(a)[1]))
        e.store(flat, 99.0, 0, 3)
        e.ret(f, e.copy(row), e.copy(flipped), e.load(b, 1, 3))


@sample(np.array([3, 1, 3, 0]), gives=np.array([1, 1, 0, 2]))
def histogram(e: Emit) -> None:
    """counts[x[i]] += 1"""
    with e.function("f", vector(i64), names="x") as f:
        (x,) = f.body.params
        n = e.dim(x)
        counts = e.empty(n, dims=dims(x), dtype=i64)
        e.loop(0, n, [], lambda i: e.store(counts, 0, i))
        e.loop(0, n, [], lambda i: e.accumulate(counts, 1, e.index(e.load(x, i), n)))
        e.ret(f, counts)


@sample(np.array([1.0, 2.0]), 2, raises=(IndexError, "index 2 is out of bounds for axis of size 2"))
def out_of_bounds(e: Emit) -> None:
    with e.function("f", vector(), i64, names="x k") as f:
        x, k = f.body.params
        e.ret(f, e.at(x, k))


@sample(np.array([1.0, 2.0]), -2, gives=1.0)
def negative_index(e: Emit) -> None:
    with e.function("f", vector(), i64, names="x k") as f:
        x, k = f.body.params
        e.ret(f, e.at(x, k))


@sample(1, 0, raises=(ZeroDivisionError, "1 divided by zero"))
def failing_check(e: Emit) -> None:
    with e.function("f", i64, i64, names="a b") as f:
        a, b = f.body.params
        e.check(e.ne(b, 0), a, error="ZeroDivisionError", message="{} divided by zero")
        e.ret(f, e.floordiv(a, b))


# ----------------------------------------------------------------------------------------------- records


def tree_type() -> SumType:
    tree = SumType("Tree")
    tree.constructors = (Constructor("Leaf", (("value", f64),)), Constructor("Branch", (("left", tree), ("right", tree))))
    return tree


def bag_type() -> SumType:
    """A list whose cells hold an array."""
    bag = SumType("Bag")
    bag.constructors = (Constructor("Empty", ()),
                        Constructor("More", (("head", ArrayType(f64, (fresh_symbol(),))), ("tail", bag))))
    return bag


TREE, BAG = tree_type(), bag_type()
LEAVES = [Record(TREE, 0, (np.float64(x),)) for x in (1.0, 2.0, 4.0)]


@sample(Record(TREE, 1, (LEAVES[0], Record(TREE, 1, (LEAVES[1], LEAVES[2])))), gives=7.0)
def tree_sum(e: Emit) -> None:
    with e.function("total", TREE, names="t") as f:
        (t,) = f.body.params
        def left_and_right() -> Any:
            parts = (e.call("total", e.project(t, tag=1, field=k), types=(f64,)) for k in (0, 1))
            return e.add(*parts)
        e.ret(f, e.branch(e.eq(e.tag(t), 0), lambda: e.project(t, tag=0, field=0), left_and_right))


@sample(3, gives=Record(TREE, 1, (Record(TREE, 1, (Record(TREE, 1, (
    Record(TREE, 0, (-1.0,)), Record(TREE, 0, (0.0,)))), Record(TREE, 0, (1.0,)))), Record(TREE, 0, (2.0,)))))
def tree_of_depth(e: Emit) -> None:
    """A degenerate tree, made by a loop that carries records."""
    with e.function("f", i64, names="n") as f:
        (n,) = f.body.params
        def leaf(x: Any) -> Any:
            return e.construct(x, type=TREE, tag=0)
        def grow(i: Any, t: Any) -> Any:
            return e.construct(t, leaf(e.convert(i, dtype=f64)), type=TREE, tag=1)
        e.ret(f, e.loop(0, n, [leaf(-1.0)], grow, names="i t"))


@sample(4, gives=0.0 + 1.0 + 2.0 + 3.0)
def bag_of_arrays(e: Emit) -> None:
    """Cells with arrays of different lengths, made in one loop, emptied in the next."""
    with e.function("f", i64, names="n") as f:
        (n,) = f.body.params

        def push(i: Any, bag: Any) -> Any:
            a = e.empty(e.add(i, 1), dims=(fresh_symbol(),), dtype=f64)
            e.store(a, e.convert(i, dtype=f64), i)
            return e.construct(a, bag, type=BAG, tag=1)

        def pop(bag: Any, s: Any) -> Any:
            head = e.project(bag, tag=1, field=0, dims=(fresh_symbol(),))
            return e.project(bag, tag=1, field=1), e.add(s, e.load(head, e.sub(e.dim(head), 1)))

        bag = e.loop(0, n, [e.construct(type=BAG, tag=0)], push, names="i bag")
        e.ret(f, e.loop_while([bag, 0.0], lambda bag, s: e.eq(e.tag(bag), 1), pop, names="bag s")[1])


# ------------------------------------------------------------------------------------------ array level

_X, _W = np.array([[0.5, 1.0], [1.5, -0.5], [2.0, 0.25]]), np.array([0.25, -1.0])


@sample(_X, _W, gives=float(np.log(np.exp(_X * _W).sum(axis=1)).sum()), level="array")
def log_sum_exp(e: Emit) -> None:
    """log(exp(x * w).sum(1)).sum()"""
    with e.function("f", vector(f64, "n", "m"), vector(f64, "m"), names="x w") as f:
        x, w = f.body.params
        wide = e.broadcast(w, *e.b.dims(x), dims=dims(x), axes=(1,))
        rows = e.reduce_sum(e.exp(e.mul(x, wide)), axes=(1,), fast=True)
        e.ret(f, e.reduce_sum(e.log(rows), axes=(0,), fast=True))


@sample(_X, _W, gives=(_X @ _W, _X.T @ _X, float(np.max(_X)), np.argmin(_X, 0)), level="array")
def matrix_products(e: Emit) -> None:
    with e.function("f", vector(f64, "n", "m"), vector(f64, "m"), names="x w") as f:
        x, w = f.body.params
        e.ret(f, e.contract(x, w, spec=("ij", "j", "i")), e.contract(x, x, spec=("ij", "ik", "jk")),
              e.reduce_max(x, axes=(0, 1)), e.argmin(x, axis=0))


@sample(np.array([3.0, 1.0, 2.0]), np.array([2, 0, 2]), level="array", gives=(
    np.array([2.0, 3.0, 2.0]), np.array([1.0, 2.0, 3.0]), np.array([3.0, 0.0, 15.0]), np.array([3.0, 1.0, 6.0]),
    np.array([3.0, 4.0, 6.0])))
def gather_and_scatter(e: Emit) -> None:
    """x[k]; x sorted; a[k] += 3 * x; b[k] = 3 * x, where of equal indices the last wins; cumulative sum"""
    with e.function("f", vector(), vector(i64), names="x k") as f:
        x, k = f.body.params
        n = e.dim(x)
        added, put = e.broadcast(0.0, n, dims=dims(x), axes=()), e.copy(x)
        tripled = e.mul(x, e.broadcast(3.0, n, dims=dims(x), axes=()))
        e.add_at(added, k, tripled, axis=0)
        e.put(put, k, tripled, axis=0)
        e.ret(f, e.take(x, k, axis=0), e.take(x, e.argsort(x, axis=0), axis=0), added, put, e.cumsum(x, axis=0))
