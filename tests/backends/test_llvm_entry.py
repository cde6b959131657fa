"""The door of compiled code: what it takes, what it gives back, and what it says when it refuses."""

import gc
import io
import re
import sys
import time
import traceback
from contextlib import AbstractContextManager, redirect_stdout
from typing import Any

import numpy as np
import pytest

from lms.backends.llvm import CompiledFunction, NativeCallable, compile, set_entries
from lms.backends.llvm.native import suspended
from lms.core.errors import ShapeError, StagingTypeError
from lms.core.primitives.record import Record
from lms.core.types import SCALARS, ArrayType, Constructor, Scalar, SumType, bool_, c128, f32, f64, i8, i64, symbol
from tests.support.build import Emit, vector
from tests.support.entries import BOTH, HERE, careful, compiled, native, program
from tests.support.native import without


def fast_only() -> AbstractContextManager[None]:
    """Fails where a call leaves the native path."""
    return without(CompiledFunction.__call__)


# --------------------------------------------------------------------------------------------------- scalars

VALUES: dict[str, list[Any]] = {
    "bool": [True, False], "f64": [1.5, -0.0, np.inf, np.float64(2.5)], "f32": [np.float32(0.1)], "c64": [np.complex64(1 - 2j)],
    "c128": [1 + 2j, np.complex128(3 - 0.5j)],
    **{name: [t.dtype.type(n) for n in (0, 7, (1 << (t.bits - (t.kind == "i"))) - 1, -(1 << (t.bits - 1)) * (t.kind == "i"))]
       for name, t in SCALARS.items() if t.is_int},
}
VALUES["i64"] += [-1, 2**63 - 1, -2**63]


@BOTH
@pytest.mark.parametrize("t", SCALARS.values(), ids=str)
def test_every_scalar_goes_through_unchanged(make: Any, t: Scalar) -> None:
    f = make([t], lambda e, x: x)
    for value in VALUES[t.name]:
        if make is compiled:
            with fast_only():
                got = f(value)
        else:
            got = f(value)
        assert got == value
        assert np.signbit(np.real(got)) == np.signbit(np.real(value))
        assert type(got) is {"f64": float, "i64": int, "bool": bool}.get(t.name, t.dtype.type)


@BOTH
def test_conversions_that_lose_nothing_are_made(make: Any) -> None:
    half = make([f64], lambda e, x: e.mul(x, 0.5))
    assert (half(3), half(True), half(np.int32(4)), half(np.float32(0.5)), half(np.array(8.0))) == (1.5, 0.5, 2.0, 0.25, 4.0)
    assert make([f32], lambda e, x: x)(0.1) == np.float32(0.1)
    assert make([i8], lambda e, x: x)(-128) == -128
    assert make([i64], lambda e, x: x)(True) == 1
    assert make([c128], lambda e, x: x)(2) == 2


@BOTH
def test_what_does_not_fit_is_refused(make: Any) -> None:
    f = make([f64, i64, bool_], lambda e, x, n, b: x, "speed steps verbose")
    for args, error, message in [
        ((1.0, 2), TypeError, "f takes 3 arguments, found 2"),
        (("1", 2, True), TypeError, "argument speed of f is f64, found a str"),
        ((1.0, 2.5, True), TypeError, "argument steps of f is i64, found a float"),
        ((1.0, 2**63, True), OverflowError, "argument steps of f is i64"),
        ((10**400, 2, True), OverflowError, "argument speed of f is f64: an int of 1329 bits does not fit"),
        ((1.0, 2, 1), TypeError, "argument verbose of f is bool, found an int"),
        ((1j, 2, True), TypeError, "argument speed of f is f64, found a complex"),
        ((np.ones(3), 2, True), TypeError, "found an array of float64"),
        ((None, 2, True), TypeError, "found a NoneType"),
    ]:
        with pytest.raises(error, match=message):
            f(*args)
        assert f(1.0, 2, True) == 1.0


# ---------------------------------------------------------------------------------------------------- arrays


def total(e: Emit, x: Any) -> Any:
    return e.loop(0, e.dim(x), [0.0], lambda i, s: e.add(s, e.load(x, i)))


STRIDED = ArrayType(f64, (symbol("n"),), "S")


@BOTH
def test_arrays_of_any_stride(make: Any) -> None:
    f = make([STRIDED], total)
    x = np.arange(10.0)
    for view in (x, x[::2], x[::-1], x[3:3], np.asfortranarray(x.reshape(2, 5))[1]):
        assert f(view) == view.sum()
    raw = np.zeros(83, np.uint8)[3:]
    odd = raw.view(np.float64)
    odd[...] = x
    assert not odd.flags.aligned
    assert f(odd) == 45.0
    assert f(x.astype(">f8")) == 45.0
    record = np.zeros(10, [("flag", "i4"), ("value", "f8")])["value"]
    record[...] = x
    assert f(record) == 45.0, "a stride that is no multiple of the item"


class Sub(np.ndarray[Any, Any]):
    pass


@BOTH
def test_other_c_names_and_subclasses_of_the_same(make: Any) -> None:
    f = make([vector(i64)], lambda e, x: e.load(x, 1))
    assert f(np.arange(3, dtype=np.longlong)) == 1
    assert f(np.arange(3).view(Sub)) == 1


@BOTH
def test_what_is_no_such_array_is_explained(make: Any) -> None:
    f = make([vector(), ArrayType(f64, (symbol("n"), 3)), ArrayType(f64, (symbol("n") + 1,))],
             lambda e, x, w, y: e.load(x, 0), "x w y")
    x, w, y = np.zeros(4), np.zeros((4, 3)), np.zeros(5)
    for args, error, message in [
        ((x.astype("f4"), w, y), StagingTypeError,
         r"(?s)argument x of f is f64\[n\], found an array of float32.*x\.astype\(np\.float64\)"),
        ((list(x), w, y), StagingTypeError, r"(?s)argument x of f is f64\[n\], found a list.*np\.asarray"),
        ((x, w[0], y), StagingTypeError, "argument w of f .* rank 2; found an array of rank 1"),
        ((x, w[:3], y), ShapeError,
         "axis 0 of argument w of f has size 3; expected n = 4, since axis 0 of argument x of f makes n 4"),
        ((x, w[:, :2].copy(), y), ShapeError, "axis 1 of argument w of f has size 2; expected 3"),
        ((x, w, x), ShapeError, r"axis 0 of argument y of f has size 4; expected n\+1 = 5"),
        ((x.astype(object), w, y), StagingTypeError, "found an array of object"),
    ]:
        with pytest.raises(error, match=message):
            f(*args)
        assert f(x, w, y) == 0.0


@BOTH
def test_sizes_that_only_sums_name(make: Any) -> None:
    n, m = symbol("n"), symbol("m")
    f = make([ArrayType(f64, (n + m,)), ArrayType(f64, (n + m + 1,)), ArrayType(f64, (2 * n,))],
             lambda e, a, b, c: e.load(a, 0), "a b c")
    assert f(np.zeros(5), np.zeros(6), np.zeros(4)) == 0
    with pytest.raises(ShapeError, match="argument b of f has size 7"):
        f(np.zeros(5), np.zeros(7), np.zeros(4))
    with pytest.raises(ShapeError, match="argument c of f has size 3"):
        f(np.zeros(5), np.zeros(6), np.zeros(3))
    with pytest.raises(ShapeError, match="size 0, which no `n`"):
        make([ArrayType(f64, (n + 1,))], lambda e, a: e.dim(a), "a")(np.zeros(0))


# ------------------------------------------------------------------------------------------- written arrays


def fill(e: Emit, x: Any, *more: Any) -> Any:
    e.loop(0, e.dim(x), [], lambda i: e.store(x, 7.0, i))
    return x


@BOTH
@pytest.mark.parametrize("layout", ["C", "S"])
def test_a_written_argument_comes_back_as_itself(make: Any, layout: Any) -> None:
    f = make([ArrayType(f64, (symbol("n"),), layout)], fill, "x", mut=(0,))
    whole = np.zeros(12)
    for x in (whole, whole[::2], whole[::-1], np.zeros(3, ">f8"), np.zeros(3).view(Sub), np.zeros(0)):
        x[...] = 0
        assert f(x) is x
        assert (np.asarray(x) == 7).all()


@BOTH
def test_written_memory_may_not_overlap(make: Any) -> None:
    f = make([vector(), ArrayType(f64, (symbol("m"),), "S"), vector(f64, "k")], fill, "out x y", mut=(0,))
    a = np.zeros(10)
    for args in [(a, a, np.zeros(1)), (a[2:6], a[5::-1], np.zeros(3)), (a[:5], np.zeros(2), a[4:])]:
        with pytest.raises(ValueError, match="argument out of f is written to, and its memory overlaps that of argument [xy]"):
            f(*args)
        assert not a.any()
    f(a[:5], a[5:], np.zeros(0))
    f(a[:0], a, a), f(a[5:], a[4::-1], a[:0])
    assert a.tolist() == [7.0] * 10


@BOTH
def test_read_only_memory_is_not_written(make: Any) -> None:
    x = np.zeros(3)
    x.flags.writeable = False
    with pytest.raises(ValueError, match="argument x of f is written to, and the array is read-only"):
        make([vector()], fill, "x", mut=(0,))(x)
    assert make([vector()], total)(x) == 0


@BOTH
@pytest.mark.parametrize("n", [0, 1, 5, 5000])
def test_fresh_results_own_their_memory_and_alias_nothing(make: Any, n: int) -> None:
    def double(e: Emit, x: Any) -> Any:
        y = e.empty(e.dim(x), dims=x.type.dims, dtype=f64)
        e.loop(0, e.dim(x), [], lambda i: e.store(y, e.add(e.load(x, i), e.load(x, i)), i))
        return y, x, x

    f = make([vector()], double)
    x = np.arange(float(n))
    y, same, again = f(x)
    assert y.tolist() == (2 * x).tolist()
    assert same.tolist() == again.tolist() == x.tolist()
    assert not np.shares_memory(same, x)
    assert y.flags.writeable
    assert y.flags.c_contiguous
    kept = [f(x)[0] for _ in range(50)]
    del f
    gc.collect()
    assert all((k == y).all() for k in kept), "results outlive the code that made them"


# --------------------------------------------------------------------------------------------------- results


@BOTH
def test_none_one_and_many_results(make: Any) -> None:
    assert make([f64], lambda e, x: None)(1.0) is None
    assert make([f64], lambda e, x: (x, e.const(3, i64)))(1.0) == (1.0, 3)
    f = make([f64], lambda e, x: None)
    assert (f.call_leaves([1]), make([f64], lambda e, x: x).call_leaves([1])) == ((), (1.0,))


TREE = SumType("EntryTree")
TREE.constructors = (Constructor("Leaf", (("x", f64), ("data", vector(f64, "k")), ("z", c128), ("small", i8))),
                     Constructor("Node", (("left", TREE), ("right", TREE))))


@BOTH
def test_records_go_in_and_come_out(make: Any) -> None:
    f = make([TREE, f64], lambda e, t, x: (t, e.mul(x, 2.0), e.construct(t, t, type=TREE, tag=1)))
    leaf = Record(TREE, 0, (np.float64(1.5), np.arange(3.0), np.complex128(1 - 2j), np.int8(-3)))
    back, x, node = f(Record(TREE, 1, (leaf, leaf)), 4)
    assert x == 8.0
    assert back.tag == node.tag == 1
    assert back.fields[0] is back.fields[1], "shared parts stay shared"
    assert node.fields[0] is node.fields[1]
    a, data, z, small = back.fields[0].fields
    assert (a, data.tolist(), z, small) == (1.5, [0.0, 1.0, 2.0], 1 - 2j, -3)
    with pytest.raises(StagingTypeError, match="argument t of f is EntryTree, found a float"):
        make([TREE], lambda e, t: t, "t")(1.0)


@BOTH
def test_records_a_hundred_thousand_deep(make: Any) -> None:
    f = make([TREE], lambda e, t: e.construct(t, t, type=TREE, tag=1))
    tree = leaf = Record(TREE, 0, (np.float64(0.0), np.zeros(1), np.complex128(0), np.int8(0)))
    for _ in range(100_000):
        tree = Record(TREE, 1, (leaf, tree))
    start = time.process_time()
    out = f(tree)
    assert time.process_time() - start < 4
    depth = 0
    while out.tag == 1:
        depth, out = depth + 1, out.fields[1]
    assert depth == 100_001


# ---------------------------------------------------------------------------------------------------- errors


@BOTH
def test_errors_have_the_users_line_and_a_frame(make: Any) -> None:
    f = make([vector(), i64], careful)
    assert f(np.arange(3.0), -1) == 2.0
    for _ in range(2):
        with pytest.raises(IndexError) as caught:
            f(np.arange(3.0), 3)
        assert f"{HERE.file}:3: index 3 is out of bounds for axis" in str(caught.value)
        assert "size 3" in str(caught.value)
        frames = traceback.extract_tb(caught.value.__traceback__)
        assert (frames[-1].filename, frames[-1].lineno, frames[-1].name) == (HERE.file, 3, "f")
        assert f(np.arange(3.0), 1) == 1.0


@native
def test_on_the_fast_path_no_frame_is_ours() -> None:
    f = compiled([vector(), i64], careful)
    with pytest.raises(IndexError) as caught:
        f(np.arange(3.0), 3)
    assert len(traceback.extract_tb(caught.value.__traceback__)) == 2


@BOTH
def test_checks_format_their_operands(make: Any) -> None:
    def positive(e: Emit, x: Any) -> Any:
        e.check(e.gt(x, 0.0), x, error="ValueError", message="{} is not positive")
        return x

    f = make([f64], positive)
    assert f(2.0) == 2.0
    with pytest.raises(ValueError, match="-1.0 is not positive"):
        f(-1.0)


@BOTH
def test_print_goes_to_sys_stdout_in_order(make: Any) -> None:
    f = make([i64, f64], lambda e, n, x: e.loop(0, n, [], lambda i: e.print(i, x, template="{} of {}", end=";")))
    out = io.StringIO()
    with redirect_stdout(out):
        f(3, 0.5)
    assert out.getvalue() == "0 of 0.5;1 of 0.5;2 of 0.5;"


@BOTH
def test_an_error_in_print_comes_through(make: Any) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError("disk full")

    f = make([f64], lambda e, x: e.print(x, template="{}"))
    with redirect_stdout(Full()), pytest.raises(OSError, match="disk full"):
        f(1.0)
    f(2.0)


@BOTH
def test_calls_of_python_functions(make: Any) -> None:
    def outside(x: float, a: Any) -> Any:
        if x < 0:
            raise LookupError("below zero")
        return float(x) + a.sum(), a * 2

    def build(e: Emit, x: Any, a: Any) -> Any:
        y, b = e.py_call(x, a, function=outside, types=(f64, a.type))
        return y, b, e.load(b, 0)

    f = make([f64, vector()], build)
    y, b, first = f(1.0, np.array([3.0, 4.0]))
    assert (y, b.tolist(), first) == (8.0, [6.0, 8.0], 6.0)
    for _ in range(3):
        with pytest.raises(LookupError, match="below zero") as caught:
            f(-1.0, np.zeros(2))
        assert "outside" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert f(1.0, np.zeros(2))[0] == 1.0
    assert not f._sites._lent, "nothing borrowed is kept"


# ------------------------------------------------------------------------------------- a callable of one's own


class Mine(NativeCallable):
    def __call__(self, *args: Any) -> Any:
        return "slow", args


@native
def test_entries_of_compiled_functions_in_an_object_of_ones_own() -> None:
    single, double = compiled([f32], lambda e, x: x), compiled([f64], lambda e, x: x)
    ones = compiled([vector()], total)
    mine = Mine()
    set_entries(mine, [f.entry for f in (single, double, ones)], [f.keepalive for f in (single, double, ones)])
    del single, double, ones
    gc.collect()
    assert type(mine(0.1)) is float, "a Python float is never taken for an f32"
    assert type(mine(np.float32(0.1))) is np.float32
    assert mine(np.ones(3)) == 3.0
    assert mine(np.ones(1))[0] == "slow", "an axis of size 1 may mean other code"
    assert mine(1) == ("slow", (1,))
    with suspended():
        assert mine(0.5) == ("slow", (0.5,))
        assert compiled([f64], lambda e, x: x)(1) == 1.0, "compiled functions themselves are not suspended"
    assert mine(0.5) == 0.5


@native
def test_nothing_leaks() -> None:
    f = compiled([vector(), i64], careful)
    x, big = np.arange(4.0), np.zeros(70_000)
    out = compiled([vector()], lambda e, a: e.empty(e.dim(a), dims=a.type.dims, dtype=f64))

    def once() -> None:
        f(x, 1)
        try:
            f(x, 9)
        except IndexError:
            pass
        out(big)
        try:
            f(1, 2)
        except TypeError:
            pass

    for _ in range(50):
        once()
    gc.collect()
    before, objects = sys.getrefcount(x), len(gc.get_objects())
    for _ in range(300):
        once()
    gc.collect()
    assert sys.getrefcount(x) == before
    assert len(gc.get_objects()) - objects < 100


def test_large_results_of_a_function_of_many_arrays() -> None:
    """So many that a function unpacks them, and results so large that their memory is looked for among what was kept."""
    f = compiled([vector() for _ in range(12)], lambda e, *xs: tuple(e.empty(e.dim(x), dims=x.type.dims, dtype=f64) for x in xs))
    for _ in range(2):
        assert [y.size for y in f(*(np.zeros(30_000) for _ in range(12)))] == [30_000] * 12


# ----------------------------------------------------------------------------------------- options, and to look at


@pytest.mark.parametrize("options", [{"opt": 0}, {"debug": True}, {"opt": 0, "debug": True}, {"boundscheck": False},
                                     {"fastmath": True}])
def test_every_way_to_compile_gives_the_same(options: dict[str, Any]) -> None:
    f = compile(program([vector(), i64], lambda e, x, i: (total(e, x), careful(e, x, i))), **options)
    assert f(np.arange(5.0), 2) == (10.0, 2.0)
    assert f(np.arange(5.0)[::-1], -5) == (10.0, 4.0)


@pytest.mark.parametrize("name", ["f", "grad(f)", "größe", "free"])
def test_what_is_shown_is_the_function_and_not_its_entry(name: str) -> None:
    """So that a loop is found at once, and a name as C's is no call of C's function."""
    f = compile(program([vector()], lambda e, x: total(e, x), name=name))
    assert "@lms_entry" not in f.llvm and "Py" not in f.llvm
    assert len(re.findall(r"^define (?!internal)", f.llvm, re.MULTILINE)) == 1
    assert f.llvm.index("define ") < f.llvm.index("fadd double")
    assert "lms_entry" not in f.asm


def test_a_compiled_function_shows_itself() -> None:
    f = compiled([f64], lambda e, x: e.mul(x, x))
    assert "fmul double" in f.llvm
    assert "mul" in f.asm
    assert repr(f) == "<compiled f(f64) -> (f64)>"
