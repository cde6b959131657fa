"""Programs as Python: the text a person would write, and the interpreter's results to the last bit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lms.backends import interpret
from lms.backends.python import compile, emit
from lms.core import primitives as p
from lms.core.ir import Program
from lms.core.parse_text import parse_program
from lms.core.primitives.record import Record
from lms.core.types import ArrayType, bool_, f64, i64, symbol
from tests.passes.generate import Generator
from tests.support.build import Emit, dims, vector
from tests.support.programs import SAMPLES, TREE, Sample, check, same
from tests.support.rows import Row, rows


def agree(program: Program, args: tuple[Any, ...], rtol: float = 0.0) -> None:
    """The same results, the same contents of arrays left behind, or the same error."""
    mine, theirs = ([a.copy() if isinstance(a, np.ndarray) else a for a in args] for _ in range(2))
    try:
        expected = interpret.run(program, mine)
    except Exception as error:  # noqa: BLE001  # whatever the reference raises
        with pytest.raises(type(error)) as found:
            compile(program)(*theirs)
        assert str(found.value).splitlines()[0] == str(error).splitlines()[0].rpartition("/")[2]  # no folders in Python text
    else:
        found_results = compile(program)(*theirs)
        assert len(found_results) == len(expected)
        for x, y in zip(found_results, expected, strict=True):
            assert same(x, y, rtol), f"{x!r} is not {y!r} in\n{emit(program)}"
    for x, y in zip(theirs, mine, strict=True):
        assert same(x, y, rtol), f"leaves {x!r}, not {y!r} in\n{emit(program)}"


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_samples(sample: Sample) -> None:
    check(sample, lambda args: compile(sample.program())(*args))


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.level == "scalar" and s.name != "deep_recursion"], ids=str)
def test_samples_give_the_interpreters_bits(sample: Sample) -> None:
    agree(sample.program(), sample.args())


@pytest.mark.parametrize("row", rows(), ids=str)
def test_every_primitive_agrees_with_the_interpreter(row: Row) -> None:
    by_lapack = row.op in vars(p.linalg).values()  # which may be called in another way
    agree(row.program(), row.fresh(), 1e-13 if by_lapack else 0.0)


@pytest.mark.parametrize("name", [
    "product", "square_until", "nested_loops", "nested_branches", "factorial", "ping_pong", "tree_sum", "bag_of_arrays",
    "log_sum_exp", "failing_check", "swap"])
def test_source(name: str, golden: Callable[[str], None]) -> None:
    program = next(sample for sample in SAMPLES if sample.name == name).program()
    for f in program.functions.values():
        _forget_places(f.body)
    golden(emit(program))


def _forget_places(block: Any) -> None:
    for node in block.nodes:
        node.span = None
        for inner in node.blocks:
            _forget_places(inner)


@pytest.mark.parametrize("seed", range(60))
def test_generated_programs(seed: int) -> None:
    """Views that overlap, writes between reads, empty loops, errors: the same bits, memory and errors; sums may be regrouped."""
    whole = seed % 2 == 0
    generator = Generator(seed, whole)
    generated = generator.program()
    for _ in range(3):
        args = generator.arguments()
        if len(args[0]) or not whole:  # the largest of no numbers is nobody's
            agree(generated, args, 1e-13 if whole else 0.0)


def test_what_only_dead_code_uses_is_dead() -> None:
    text = """\
entry def f(%x: f64, %p: bool) -> (f64) {
  %0: f64 = if %p {
    %1: f64 = exp %x
    %2: f64 = neg %1
    yield %x
  } else {
    yield %x
  }
  %3: f64 = sin %0
  return %x
}
"""
    assert "np.exp" not in emit(parse_program(text))
    assert "np.sin" not in emit(parse_program(text))


EDGES = [0, 1, -1, 2, -2, 7, -7, 2**62, -2**62, 2**63 - 1, -2**63]


@pytest.mark.parametrize("op", ["add", "sub", "mul", "floordiv", "mod", "quot", "rem", "and", "or", "xor", "minimum"])
def test_integer_edges(op: str) -> None:
    """Also where an operand is a constant, which Python would compute without end."""
    for y in EDGES:
        e = Emit()
        with e.function("f", i64, names="x") as f:
            (x,) = f.body.params
            operation = getattr(e, f"{op}_") if op in ("and", "or") else getattr(e, op)
            e.ret(f, operation(x, y), operation(y, x), operation(e.value(y), e.value(y)))
        run = compile(e.program)
        for number in EDGES:
            assert run(number) == interpret.run(e.program, (number,)), (op, number, y)


FLOATS = [0.0, -0.0, 1.0, -1.5, 3.0, 1e308, -1e308, 5e-324, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div", "floordiv", "mod", "rem", "pow", "minimum", "copysign", "lt", "ge"])
def test_float_edges(op: str) -> None:
    """Division by a literal zero is infinite, not an error."""
    for y in FLOATS:
        e = Emit()
        with e.function("f", f64, names="x") as f:
            (x,) = f.body.params
            e.ret(f, getattr(e, op)(x, float(y)), getattr(e, op)(float(y), x), getattr(e, op)(float(y), float(y)))
        for number in FLOATS:
            agree(e.program, (float(number),))


def test_a_load_stays_before_the_store_that_follows_it() -> None:
    text = """\
entry def f(mut %a: f64[n], %x: f64) -> (f64) {
  %0: i64 = 0
  %1: f64 = load %a, %0
  store %a, %x, %0
  %2: f64 = mul %1, %x
  return %2
}
"""
    agree(parse_program(text), (np.array([3.0]), 2.0))
    assert compile(parse_program(text))(np.array([3.0]), 2.0) == (6.0,)


def test_a_load_stays_before_a_loop_that_writes() -> None:
    text = """\
entry def f(mut %a: f64[n], %n: i64) -> (f64) {
  %0: i64 = 0
  %1: i64 = 1
  %2: f64 = load %a, %0
  for %i in %0, %n, %1 {
    %3: f64 = load %a, %i
    %4: f64 = add %3, %3
    store %a, %4, %i
  }
  %5: f64 = load %a, %0
  %6: f64 = sub %5, %2
  return %6
}
"""
    assert compile(parse_program(text))(np.array([3.0, 1.0]), 2) == (3.0,)


@pytest.mark.parametrize("i", [0, 5])
@pytest.mark.parametrize("j", [1, 9])
def test_the_first_error_is_raised(i: int, j: int) -> None:
    """b[j] - a[i], where a[i] comes first: Python's own order would be the other."""
    e = Emit()
    with e.function("f", vector(), i64, i64, names="a i j") as f:
        a, first, second = f.body.params
        x = e.at(a, first)
        e.ret(f, e.sub(e.at(a, second), x))
    agree(e.program, (np.array([1.0, 2.0]), i, j))


def test_an_error_comes_before_the_write_that_follows_it() -> None:
    e = Emit()
    with e.function("f", vector(), i64, names="a i", mut=frozenset({0})) as f:
        a, i = f.body.params
        x = e.at(a, i)
        e.store(a, 7.0, 0)
        e.ret(f, x)
    for k in (0, 3):
        agree(e.program, (np.array([1.0, 2.0]), k))


def test_an_unused_error_is_raised() -> None:
    e = Emit()
    with e.function("f", i64, names="i") as f:
        e.index(f.body.params[0], 2)
        e.ret(f, 1.0)
    for i in (1, 2):
        agree(e.program, (i,))


@pytest.mark.parametrize("p", [True, False])
def test_both_sides_of_a_selection_are_checked(p: bool) -> None:
    """`select` evaluates both; Python's `if` expression would not."""
    e = Emit()
    with e.function("f", bool_, vector(), i64, i64, names="p a i j") as f:
        p_, a, i, j = f.body.params
        e.ret(f, e.select(p_, e.at(a, i), e.at(a, j)))
    for here, there in ((0, 1), (9, 0), (0, 9)):
        agree(e.program, (p, np.array([1.0, 2.0]), here, there))


def test_carried_values_change_at_once() -> None:
    """a, b, c = b, c, a + c, where a branch would gladly assign early."""
    e = Emit()
    with e.function("f", i64, f64, names="n x") as f:
        n, x = f.body.params

        def step(i: Any, a: Any, b: Any, c: Any) -> Any:
            chosen = e.branch(e.lt(a, b), lambda: e.add(a, c), lambda: e.mul(b, 2.0))
            return b, chosen, e.sub(a, chosen)

        e.ret(f, *e.loop(0, n, [x, 1.0, 2.0], step, names="i a b c"))
    for count in range(6):
        agree(e.program, (count, 0.25))


def test_a_branch_updates_a_carried_value_in_place() -> None:
    e = Emit()
    with e.function("f", vector(), names="x") as f:
        (x,) = f.body.params

        def step(i: Any, s: Any) -> Any:
            xi = e.load(x, i)
            return e.branch(e.gt(xi, 0.0), lambda: e.add(s, xi), lambda: s)

        e.ret(f, e.loop(0, e.dim(x), [0.0], step, names="i s"))
    agree(e.program, (np.array([1.0, -2.0, 3.0]),))
    assert "            s = s + t\n" in emit(e.program)
    assert "else" not in emit(e.program)


def test_an_argument_that_a_loop_starts_from_is_kept_where_it_is_used_again() -> None:
    text = """\
entry def f(%x: f64, %n: i64) -> (f64) {
  %0: i64 = 0
  %1: i64 = 1
  %2: f64 = 2.0
  %3: f64 = for %k in %0, %n, %1 with %s: f64 = %2 {
    %4: f64 = for %i in %0, %n, %1 with %y: f64 = %x {
      %5: f64 = mul %y, %2
      yield %5
    }
    %6: f64 = add %s, %4
    yield %6
  }
  return %3
}
"""
    agree(parse_program(text), (1.5, 3))
    assert compile(parse_program(text))(1.5, 3) == (2.0 + 3 * 1.5 * 8,)


def test_chains_of_branches_read_as_elif() -> None:
    e = Emit()
    with e.function("f", i64, f64, names="k x") as f:
        k, x = f.body.params

        def other() -> Any:
            return e.branch(e.eq(k, 1), lambda: e.mul(x, 3.0), lambda: e.neg(x))

        e.ret(f, e.mul(2.0, e.branch(e.eq(k, 0), lambda: e.mul(x, x), other)))
    assert "    elif k == 1:\n" in emit(e.program)
    for case in range(3):
        agree(e.program, (case, 2.5))


def test_a_condition_with_statements_of_its_own() -> None:
    e = Emit()
    with e.function("f", vector(), i64, names="a n") as f:
        a, n = f.body.params

        def again(i: Any, s: Any) -> Any:
            x = e.at(a, i)
            return e.and_(e.lt(x, 10.0), e.lt(s, e.mul(x, x)))

        e.ret(f, *e.loop_while([n, 0.0], again, lambda i, s: (e.add(i, 1), e.add(s, 1.0)), names="i s"))
    for first in (0, 1, 5):
        agree(e.program, (np.array([2.0, 3.0, 11.0]), first))


def test_names_that_python_reserves() -> None:
    e = Emit()
    with e.function("lambda", f64, f64, f64, names="for np index") as f:
        x, y, z = f.body.params
        e.ret(f, e.exp(e.add(x, e.mul(y, z))))
    agree(e.program, (0.5, 1.5, -1.0))


def test_deep_records() -> None:
    """Depth costs no stack, neither where the records are made nor where they are converted."""
    deep = next(s for s in SAMPLES if s.name == "tree_of_depth").program()
    (tree,) = compile(deep)(100_000)
    depth = 0
    while tree.tag == 1:
        tree, depth = tree.fields[0], depth + 1
    assert depth == 100_000


def test_shared_records_stay_shared() -> None:
    e = Emit()
    with e.function("f", TREE, names="t") as f:
        (t,) = f.body.params
        e.ret(f, e.construct(t, t, type=TREE, tag=1), t)
    leaf = Record(TREE, 0, (np.float64(1.0),))
    branch, again = compile(e.program)(leaf)
    assert branch.fields[0] is branch.fields[1] is again


def test_python_functions_are_handed_in() -> None:
    e = Emit()
    with e.function("f", f64, names="x") as f:
        (x,) = f.body.params
        e.ret(f, e.py_call(x, function=lambda v: v + 0.5, types=(f64,)), e.py_call(x, function=abs, types=(f64,)))
    assert compile(e.program)(-2.0) == (-1.5, 2.0)
    assert "the Python function builtins:abs" in emit(e.program)


def test_printing(capsys: pytest.CaptureFixture[str]) -> None:
    e = Emit()
    with e.function("f", f64, i64, names="x k") as f:
        e.print(*f.body.params, template='{{"x"}}: {} and {}', end=";\n")
    compile(e.program)(1.5, 3)
    interpret.run(e.program, (1.5, 3))
    first, second = capsys.readouterr().out.splitlines()
    assert first == second == '{"x"}: 1.5 and 3;'


def test_views_of_any_kind_agree() -> None:
    """Slices that reach the ends, backwards too, on axes of every size."""
    n, m = symbol("n"), symbol("m")
    for step in (1, 2, -1, -2):
        e = Emit()
        with e.function("f", ArrayType(f64, (n,)), i64, i64, names="a start size") as f:
            a, start, size = f.body.params
            e.ret(f, e.copy(e.view(a, start, size, spec=(("slice", step),), dims=(m,))))
        for length in (1, 4):
            for first in range(length):
                for count in range(length + 1):
                    if count == 0 or 0 <= first + (count - 1) * step < length:
                        agree(e.program, (np.arange(float(length)), first, count))


def test_a_broadcast_array_keeps_what_it_held() -> None:
    """NumPy broadcasts by itself, but only where nothing writes to the operand before it is used."""
    e = Emit()
    with e.function("f", vector(f64, "n", 2), vector(f64, 2), names="x w", mut=frozenset({1})) as f:
        x, w = f.body.params
        wide = e.broadcast(w, e.dim(x), 2, dims=dims(x), axes=(1,))
        e.store(w, 7.0, 0)
        e.ret(f, e.mul(x, wide))
    agree(e.program, (np.ones((3, 2)), np.array([2.0, 3.0])))


def test_a_broadcast_that_is_written_to_is_an_array() -> None:
    e = Emit()
    with e.function("f", f64, i64, names="x n") as f:
        x, n = f.body.params

        def spread(value: Any) -> Any:
            return e.broadcast(value, n, dims=(symbol("m"),), axes=())

        a = spread(x)
        e.add_into(a, a)
        e.ret(f, e.mul(a, spread(x)), e.add(spread(1.0), spread(x)))
    agree(e.program, (1.5, 3))
