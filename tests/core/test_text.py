"""Programs as text, and back."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lms.core.errors import LmsError
from lms.core.ir import Program, walk
from lms.core.parse_text import parse_program
from lms.core.primitives.scalar import add
from lms.core.text import print_function, print_program
from lms.core.types import Scalar, bool_, c128, f32, f64, fresh_symbol, i64
from lms.core.verify import verify
from tests.passes.generate import Generator
from tests.support.build import Emit, vector
from tests.support.programs import SAMPLES, Sample
from tests.support.rows import Row, rows


def twice(text: str) -> Program:
    """Read, print, read again: the text stays."""
    program = parse_program(text)
    assert print_program(program) == text
    verify(program)
    return program


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_samples_come_back_equal(sample: Sample) -> None:
    twice(str(sample.program()))


@pytest.mark.parametrize("row", rows(), ids=str)
def test_every_primitive_comes_back_equal(row: Row) -> None:
    twice(str(row.program()))


@pytest.mark.parametrize("seed", range(20))
def test_generated_programs_come_back_equal(seed: int) -> None:
    twice(str(Generator(seed).program()))


@pytest.mark.parametrize("name", ["nested_loops", "bag_of_arrays", "square_until", "log_sum_exp", "out_parameter"])
def test_listing(name: str, golden: Callable[[str], None]) -> None:
    golden(str(next(sample for sample in SAMPLES if sample.name == name).program()))


@pytest.mark.parametrize(("value", "t", "text"), [
    (0.1, f64, "0.1"), (-0.0, f64, "-0.0"), (1e300, f64, "1e+300"), (5e-324, f64, "5e-324"), (math.inf, f64, "inf"),
    (-math.inf, f64, "-inf"), (np.float32(0.1).item(), f32, "0.1"), (16777217.0, f32, "1.6777216e+07"), (-7, i64, "-7"),
    (True, bool_, "true"), (complex(-0.0, math.inf), c128, "complex(-0.0, inf)"), (math.nan, f64, "nan"),
])
def test_constants_are_exact(value: Any, t: Scalar, text: str) -> None:
    e = Emit()
    with e.function("f") as f:
        e.ret(f, e.const(value, t))
    listing = str(e.program)
    assert f"= {text}\n" in listing
    (node,) = walk(twice(listing).main.body)
    kept = node.attrs["value"]
    assert np.array(kept).tobytes() == np.array(t.dtype.type(value).item()).tobytes()
    assert type(kept) is type(t.dtype.type(value).item())


def test_hints_are_kept_and_made_unique() -> None:
    e = Emit()
    with e.function("f", f64, f64, f64, names="x x a.b") as f:
        e.ret(f, e.b.emit1(add, *f.body.params[:2], name="x_1"))
    twice(listing := str(e.program))
    assert listing.splitlines()[:2] == ["entry def f(%x: f64, %x_1: f64, %a_b: f64) -> (f64) {", "  %x_1_1: f64 = add %x, %x_1"]


def test_fresh_symbols_are_renumbered() -> None:
    """The text does not say what was staged before."""
    def build() -> str:
        e = Emit()
        with e.function("f", i64, i64, names="p q") as f:
            late, early = sorted([fresh_symbol("late"), fresh_symbol("d")], key=str)
            a = e.empty(f.body.params[0], dims=(late,), dtype=f64)
            b = e.empty(f.body.params[1], dims=(early,), dtype=f64)
            e.ret(f, e.concatenate(a, b, axis=0, dims=(late + early + 1,)))
        return str(e.program)

    first = build()
    for _ in range(12):
        fresh_symbol()
    assert first == build()
    twice(first)


def test_marks_of_nodes_survive() -> None:
    e = Emit()
    with e.function("f", vector(), names="x", mut=frozenset({0}), doc='Adds "up".') as f:
        (x,) = f.body.params
        with e.b.on("forward"):
            total = e.reduce_sum(x, axes=(0,), fast=True)
        with e.b.on("backward"):
            e.store(x, total, 0, residual=True)
        e.ret(f, total)
    program = twice(str(e.program))
    summed, _, stored = walk(program.main.body)
    assert (summed.half, summed.attrs["fast"], stored.half, stored.attrs["residual"]) == ("forward", True, "backward", True)
    assert program.main.doc == 'Adds "up".'
    assert program.main.mut == frozenset({0})


def test_spans_are_comments() -> None:
    e = Emit()
    with e.function("f", f64, names="x") as f:
        e.ret(f, e.neg(f.body.params[0]))
    listing = print_function(f, spans=True)
    assert "build.py:" in listing
    assert str(parse_program("entry " + listing)) == str(e.program)


def test_deep_nesting() -> None:
    e = Emit()
    with e.function("f", bool_, f64, names="p x") as f:
        p, x = f.body.params

        def nest(depth: int) -> Any:
            return x if depth == 0 else e.branch(p, lambda: nest(depth - 1), lambda: x)

        e.ret(f, nest(40))
    twice(str(e.program))


def test_names_that_are_not_identifiers() -> None:
    e = Emit()
    with e.function("outer.<locals>.f", f64, names="x") as f:
        e.ret(f, f.body.params[0])
    assert list(twice(str(e.program)).functions) == ["outer.<locals>.f"]


HEAD = "entry def f(%x: f64, %n: i64) -> (f64) {\n"


@pytest.mark.parametrize(("text", "line", "message"), [
    (HEAD + "  %y: f64 = add %x, %z\n  return %y\n}\n", 2, "%z is not defined here"),
    (HEAD + "  %y: f64 = plus %x, %x\n  return %y\n}\n", 2, "there is no operation called plus"),
    (HEAD + "  %y: f64 = add %x, %n\n  return %y\n}\n", 2, "add: types differ: f64 and i64"),
    (HEAD + "  %y: f32 = add %x, %x\n  return %x\n}\n", 2, "add gives (f64), not (f32)"),
    (HEAD + "  %y: f99 = add %x, %x\n  return %y\n}\n", 2, "there is no type called f99"),
    (HEAD + "  %x: f64 = add %x, %x\n  return %x\n}\n", 2, "%x is defined twice"),
    (HEAD + "  return %n\n}\n", 1, "f returns (i64), not what it declares"),
    (HEAD + "  %y: i64 = 1.5\n  return %x\n}\n", 2, "1.5 is not a constant of type i64"),
    (HEAD + "  %y: i8 = 300\n  return %x\n}\n", 2, "300 does not fit in i8"),
    (HEAD + "  %y: f64 = add %x, %x extra\n  return %x\n}\n", 2, "expected the end of the line, found 'extra'"),
    (HEAD + "  %y: f64 = add %x; %x\n  return %x\n}\n", 2, "unexpected character ';'"),
    (HEAD + "  return %x\n", 3, "expected '}', found the end of the text"),
    (HEAD + "  %a: f64[n] = view %x {spec=((\"all\")), dims=[n]}\n  return %x\n}\n", 2, "expected an array, found f64"),
    (HEAD + "  %a: f64[n] = empty %n {dtype=f64}\n  return %x\n}\n", 2, "an attribute is missing or wrong ('dims')"),
    ("def f() -> () {\n}\ndef f() -> () {\n}\n", 3, "f is defined twice"),
])
def test_malformed_text_points(text: str, line: int, message: str) -> None:
    with pytest.raises(LmsError) as found:
        parse_program(text, file=f"<{message}>")
    assert message in str(found.value)
    assert found.value.span is not None
    assert found.value.span.line == line
    if line <= text.count("\n"):
        assert "^" in str(found.value)


def test_a_python_function_must_be_importable() -> None:
    e = Emit()
    with e.function("f", f64, names="x") as f:
        e.ret(f, e.py_call(*f.body.params, function=lambda x: x, types=(f64,)))
    with pytest.raises(LmsError, match="cannot be imported"):
        parse_program(str(e.program))
