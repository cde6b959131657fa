"""Every primitive has a rule or a reason not to; every rule agrees with differences, in both modes, to second order."""

from typing import Any

import numpy as np
import pytest

from lms.ad.continuations import check_form
from lms.ad.differentiate import Differentiate
from lms.ad.rules import MEMORY, NONE, RULES
from lms.ad.rules.complex import is_complex
from lms.backends.interpret import run
from lms.core import primitives as p
from lms.core.builder import Builder, building, current
from lms.core.errors import StagingError
from lms.core.ir import Program
from lms.core.parse_text import parse_program
from lms.core.primitives import PRIMITIVES
from lms.core.types import ArrayType, Scalar, f64, is_differentiable
from lms.staging.library.elementary import stop_gradient
from lms.staging.library.linalg import pinv
from lms.staging.rep import Rep
from tests.ad.emitted import check, emit, load, program, total
from tests.support.rows import Row, rows

CONTROL = {p.control.if_, p.control.for_, p.control.while_, p.control.call, p.control.vjp, p.control.jvp}
RECORDS = {p.record.construct, p.record.project}
INERT_BY_LINE = [p.scalar.floordiv, p.scalar.sign, p.scalar.floor, p.scalar.ceil, p.scalar.trunc, p.scalar.rint]


@pytest.mark.parametrize("op", PRIMITIVES.values(), ids=str)
def test_a_rule_or_a_reason(op: p.Primitive) -> None:
    has = [op in RULES or op in MEMORY, op in NONE, op in CONTROL, op in RECORDS]
    assert sum(has) == 1, f"{op} needs a rule in ad/rules, or a reason in NONE"


@pytest.mark.parametrize("op", [*RULES, *MEMORY], ids=str)
def test_form(op: p.Primitive) -> None:
    check_form(RULES.get(op) or MEMORY[op])


def _floats(row: Row) -> list[int]:
    return [k for k, t in enumerate(row.types) if isinstance(t, Scalar | ArrayType) and (
        t == f64 or (isinstance(t, ArrayType) and t.dtype == f64))]


def _differentiable(row: Row) -> bool:
    return (row.op in RULES or row.op in MEMORY) and bool(_floats(row)) and not any(
        np.asarray(a).dtype in (np.float32, np.complex64, np.complex128) for a in row.args) and (
        row.attrs.get("dtype", f64) == f64)


ROWS = [row for row in rows() if _differentiable(row)]


def _sum(x: Any) -> Any:
    if is_complex(x.type):
        return _sum(emit(p.scalar.real, x) + 0.7 * emit(p.scalar.imag, x))
    if isinstance(x.type, ArrayType) and x.type.rank == 0:
        return np.sin(load(x))
    return total(x) if isinstance(x.type, ArrayType) else np.sin(x)


def _run(row: Row) -> Any:
    """The operation on copies of its arrays, and a number that depends on all that it gives or writes."""

    def build(*operands: Rep) -> Any:
        own = [emit(p.array.copy, x) if k in row.written else x for k, x in enumerate(operands)]
        if row.op is p.linalg.pinv:  # the inverse is that of the matrix, wherever that moves
            own[1] = stop_gradient(pinv(own[0]))
        out = [Rep(v) for v in current().emit(row.op, *(x.value for x in own), **row.attrs)]
        whole = 0.0
        for x in [*out, *(own[k] for k in row.written)]:
            if is_differentiable(x.type):
                whole = _sum(x) + whole
        return whole

    return build


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_rule(row: Row) -> None:
    args = [a + 0.1 * np.cos(np.arange(a.size)).reshape(a.shape) if isinstance(a, np.ndarray) and a.dtype == float else a
            for a in row.fresh()]  # no ties, no zeros
    check(_run(row), row.types, args, order=2, wrt=_floats(row), tolerance=1e-5)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_modes_agree(row: Row) -> None:
    """The derivative in a direction is the gradient times the direction."""
    wrt = tuple(_floats(row))
    made = Program()
    b = Builder(made)
    types = row.types
    with building(b):
        with b.function("f", types) as f:
            out = _run(row)(*map(Rep, f.body.params))
            f.body.results = (out.value if isinstance(out, Rep) else b.const(out, f64),)
        with b.function("both", [*types, *(types[k] for k in wrt)]) as g:
            xs, ds = g.body.params[: len(types)], g.body.params[len(types):]
            forward = b.emit(p.control.jvp, *xs, *ds, callee="f", wrt=wrt, types=(f64,))
            reverse = b.emit(p.control.vjp, *xs, b.const(1.0, f64), callee="f", wrt=wrt, types=(f64,))
            g.body.results = (*forward, *reverse)
    made.entry = "both"
    random = np.random.default_rng(0)
    args = row.fresh()
    directions = [random.normal(size=np.shape(args[k])) if np.ndim(args[k]) else random.normal() for k in wrt]
    value, slope, again, *gradient = run(Differentiate().run(made), [*args, *directions])
    assert value == again or (np.isnan(value) and np.isnan(again))
    assert slope == pytest.approx(sum(np.sum(g * d) for g, d in zip(gradient, directions, strict=True)), rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_lanes_agree(row: Row) -> None:
    """Three directions in one sweep are three sweeps."""
    wrt, types, n = tuple(_floats(row)), row.types, 3
    made = Program()
    b = Builder(made)
    wide = [t for k in wrt for t in p.control.tangents(types[k], n)]
    with building(b):
        with b.function("f", types) as f:
            out = _run(row)(*map(Rep, f.body.params))
            f.body.results = (out.value if isinstance(out, Rep) else b.const(out, f64),)
        apart = [types[k] for k in wrt] * n
        with b.function("both", [*types, *wide, *apart]) as g:
            xs, rest = g.body.params[: len(types)], g.body.params[len(types):]
            together = b.emit(p.control.jvp, *xs, *rest[: len(wide)], callee="f", wrt=wrt, types=(f64,), lanes=n)[1:]
            each = [rest[len(wide) + lane * len(wrt):][: len(wrt)] for lane in range(n)]
            ones = [b.emit(p.control.jvp, *xs, *ds, callee="f", wrt=wrt, types=(f64,))[1] for ds in each]
            g.body.results = (*together, *ones)
    made.entry = "both"
    assert str(parse_program(str(made))) == str(made)
    random = np.random.default_rng(0)
    directions = [[np.asarray(random.normal(size=np.shape(row.args[k])))[()] for _ in range(n)] for k in wrt]
    packed = [part for ds in directions for part in ([np.stack(ds, axis=-1)] if ds[0].ndim else ds)]
    found = run(Differentiate().run(made), [*row.fresh(), *packed, *(ds[lane] for lane in range(n) for ds in directions)])
    assert found[:n] == pytest.approx(found[n:], rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("op", INERT_BY_LINE, ids=str)
def test_steps_have_derivative_zero(op: p.Primitive) -> None:
    def build(x):
        args = (x, x * 0.5) if op is p.scalar.floordiv else (x,)
        return emit(op, *args) * 1.0

    (slope,) = check(build, [f64], [1.3])
    assert slope == 0.0


def test_rules_run_on_numpy_values() -> None:
    """The text of a rule does not know whether its operands exist now or later."""
    for row in ROWS:
        if row.op in RULES and all(part[0] in ("all", "new") for part in row.attrs.get("spec", ()) if row.op is p.array.view):
            rule: Any = RULES[row.op]
            steps = rule(*row.fresh(), **row.attrs)
            z = next(steps)
            assert row.op.eager is not None
            again = row.op.eager(*row.fresh(), **row.attrs)
            for mine, expected in zip(z, again, strict=True) if isinstance(z, tuple) else [(z, again)]:
                np.testing.assert_array_equal(mine, expected)
            ones = tuple(map(np.ones_like, z)) if isinstance(z, tuple) else np.ones_like(z)
            with pytest.raises(StopIteration) as end:
                steps.send(ones if isinstance(z, tuple | np.ndarray) else np.float64(1.0))
            assert isinstance(end.value.value, tuple) and len(end.value.value) == len(row.args)


def test_stop_gradient() -> None:
    made = program(lambda x: x * emit(p.scalar.stop_gradient, x * x), [f64], order=1, wrt=[0])
    assert run(made, [2.0]) == (4.0,)


def test_what_cannot_be_differentiated_says_why() -> None:
    with pytest.raises(StagingError, match="py_call cannot be differentiated: Python's code is not seen"):
        check(lambda x: emit(p.control.py_call, x, function=abs, types=(f64,)), [f64], [1.0])
