"""The reference back end."""

from typing import Any

import numpy as np
import pytest

from lms.backends.interpret import run
from lms.core.errors import LmsError, ShapeError, StagingTypeError
from lms.core.ir import Program
from lms.core.parse_text import parse_program
from lms.core.primitives.control import ERRORS
from lms.core.types import ArrayType, Dim, Scalar, bool_, f32, f64, i8, i64, symbol, u8
from tests.support.build import Emit, vector
from tests.support.programs import SAMPLES, Sample, check
from tests.support.rows import Row, rows, shaped_as, type_of


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_samples(sample: Sample) -> None:
    check(sample, lambda args: run(sample.program(), args))


@pytest.mark.parametrize("row", rows(), ids=str)
def test_results_are_of_their_types(row: Row) -> None:
    program = row.program()
    found = run(program, row.fresh())
    assert len(found) == len(program.main.body.results)
    for value, v in zip(found, program.main.body.results, strict=True):
        assert shaped_as(value, v.type)


def identity(*types: Any) -> Program:
    e = Emit()
    with e.function("f", *types, names="x y z"[: 2 * len(types) - 1]) as f:
        e.ret(f, *f.body.params)
    return e.program


@pytest.mark.parametrize(("t", "given", "dtype"), [
    (f64, 2, "float64"), (f32, 0.5, "float32"), (i8, np.int64(5), "int8"), (bool_, True, "bool"), (i64, np.uint8(3), "int64")])
def test_numbers_take_the_parameters_type(t: Scalar, given: Any, dtype: str) -> None:
    (x,) = run(identity(t), (given,))
    assert x == given
    assert x.dtype == dtype


def test_arrays_are_the_callers_own() -> None:
    a = np.arange(3.0)
    assert run(identity(vector()), (a,))[0] is a


@pytest.mark.parametrize(("t", "given", "message"), [
    (f64, "two", "argument x of f is f64, found str"),
    (i64, 1.5, "argument x of f is i64, found float"),
    (vector(), 2.0, r"argument x of f is f64\[n\], found float"),
    (vector(), np.ones(3, np.float32), r"argument x of f is f64\[n\], found float32 array of rank 1"),
    (vector(), np.ones((3, 3)), r"argument x of f is f64\[n\], found float64 array of rank 2"),
    (vector(), [1.0, 2.0], r"argument x of f is f64\[n\], found list"),
])
def test_wrong_arguments_are_named(t: Any, given: Any, message: str) -> None:
    with pytest.raises(StagingTypeError, match=message):
        run(identity(t), (given,))


def test_the_number_of_arguments() -> None:
    with pytest.raises(TypeError, match="f takes 1 arguments, found 2"):
        run(identity(f64), (1.0, 2.0))


@pytest.mark.parametrize(("dims", "shapes", "message"), [
    (("n", "n"), (3, 4), "axis 0 of argument y of f has size 4, and n is 3 by axis 0 of argument x"),
    (("n", symbol("n") + 1), (3, 3), r"argument y of f has size 3, and n\+1 is 4"),
    ((symbol("n") + 1, "n"), (4, 3), ""),
    ((2 * symbol("k"), symbol("k") + 1), (6, 4), ""),
    ((2 * symbol("k"), 1), (5, 1), r"axis 0 of argument x of f has size 5, and 2\*k is -1 of no possible size"),
    ((3, "n"), (2, 1), "axis 0 of argument x of f has size 2, and 3 is 3"),
])
def test_sizes_must_agree(dims: tuple[str | int | Dim, ...], shapes: tuple[int, ...], message: str) -> None:
    types = [ArrayType(f64, (symbol(d) if isinstance(d, str) else d,)) for d in dims]
    args = tuple(map(np.ones, shapes))
    if not message:
        assert len(run(identity(*types), args)) == 2
    else:
        with pytest.raises(ShapeError, match=message):
            run(identity(*types), args)


def test_strided_arguments() -> None:
    """A row-major parameter copies a strided argument; one that is written to refuses it."""
    strided = np.arange(6.0)[::2]
    assert run(identity(vector()), (strided,))[0].flags.c_contiguous
    e = Emit()
    with e.function("f", vector(), names="x", mut=frozenset({0})) as f:
        e.store(f.body.params[0], 1.0, 0)
    with pytest.raises(TypeError, match="argument x of f, .*, is written to: pass a contiguous array"):
        run(e.program, (strided,))


def test_errors_name_the_users_line() -> None:
    with pytest.raises(IndexError, match=r"build\.py:\d+: index 2 is out of bounds"):
        run(next(s for s in SAMPLES if s.name == "out_of_bounds").program(), (np.ones(2), 2))


def test_recursion_has_a_limit() -> None:
    program = next(s for s in SAMPLES if s.name == "deep_recursion").program()
    assert run(program, (50,), limit=100) == (50,)
    with pytest.raises(RecursionError, match="depth: maximum recursion depth exceeded"):
        run(program, (10**12,), limit=100)


@pytest.mark.parametrize("t", [i8, u8])
def test_small_integers_wrap_in_loops(t: Scalar) -> None:
    e = Emit()
    with e.function("f", i64, names="n") as f:
        start = e.const(1, t)
        e.ret(f, e.loop(0, f.body.params[0], [start], lambda i, x: e.mul(x, e.const(3, t)), names="i x"))
    (x,) = run(e.program, (7,))
    assert x == np.array(3**7).astype(t.dtype)
    assert type_of(x) == t


def test_a_view_of_a_transposed_sum_is_written_through() -> None:
    """Fresh arrays are row-major whatever NumPy would keep, so `reshape` is a view."""
    e = Emit()
    with e.function("f", vector(f64, 2, 3), names="a") as f:
        turned = e.transpose(f.body.params[0], perm=(1, 0))
        total = e.add(turned, turned)
        flat = e.reshape(total, 6, dims=(6,))
        e.store(flat, -1.0, 1)
        e.ret(f, e.load(total, 0, 1))
    assert run(e.program, (np.ones((2, 3)),)) == (-1.0,)


def test_an_unexpanded_derivative_is_an_error() -> None:
    program = parse_program("""\
entry def f(%x: f64) -> (f64) {
  %one: f64 = 1.0
  %y: f64, %dx: f64 = vjp @g(%x, %one) {types=(f64), wrt=(0)}
  return %dx
}
def g(%x: f64) -> (f64) {
  return %x
}
""")
    with pytest.raises(LmsError, match="vjp of 'g' is not expanded: differentiate the program first"):
        run(program, (1.0,))


@pytest.mark.parametrize("error", sorted(ERRORS))
def test_every_error_a_check_may_raise(error: str) -> None:
    e = Emit()
    with e.function("f", bool_, names="ok") as f:
        e.branch(e.not_(*f.body.params), lambda: e.check(*f.body.params, error=error, message="too bad"), lambda: None)
        e.ret(f)
    assert run(e.program, (True,)) == ()
    with pytest.raises(ERRORS[error], match="too bad") as found:
        run(e.program, (False,))
    assert type(found.value) is ERRORS[error]


def wrong(x: Any) -> Any:
    return np.ones(3)


def failing(x: Any) -> Any:
    raise KeyError("nothing here")


def alias(x: Any) -> Any:
    return x


def test_python_functions() -> None:
    e = Emit()
    with e.function("f", vector(), names="x") as f:
        (x,) = f.body.params
        e.ret(f, e.py_call(x, function=alias, types=(x.type,)))
    a = np.ones(2)
    (b,) = run(e.program, (a,))
    assert not np.shares_memory(a, b)


@pytest.mark.parametrize(("function", "error", "message"), [
    (wrong, TypeError, "a result was declared f64, found float64 of rank 1"), (failing, KeyError, "nothing here")])
def test_python_functions_that_fail(function: Any, error: type[Exception], message: str) -> None:
    e = Emit()
    with e.function("f", f64, names="x") as f:
        e.ret(f, e.py_call(*f.body.params, function=function, types=(f64,)))
    with pytest.raises(error, match=message):
        run(e.program, (1.0,))


def test_printing(capsys: pytest.CaptureFixture[str]) -> None:
    e = Emit()
    with e.function("f", f64, names="x") as f:
        e.print(*f.body.params, template="x is {}", end="!\n")
    assert run(e.program, (1.5,)) == ()
    assert capsys.readouterr().out == "x is 1.5!\n"
