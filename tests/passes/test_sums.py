"""What loops add up at one place: which loops become sums, and which have to go on touching memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lms
from lms import Array, Rep, f64
from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Program, Value
from lms.core.types import ArrayType
from lms.core.verify import verify
from lms.passes.clone import clone
from lms.passes.sums import Sums
from tests.passes.programs import VEC, loop, m, nodes, number, outcome, program, same

s, a, c = p.scalar, p.array, p.control
X = np.array([0.5, -1.5, 2.0, 0.25])
At = Callable[[Builder, Value], Any]


def apply(prog: Program, *args: Any) -> Program:
    new = Sums().run(clone(prog))
    verify(new, after="sums")
    same(outcome(prog, args), outcome(new, args))
    return new


def carried(prog: Program) -> list[int]:
    """How much each loop carries."""
    return [len(node.results) for node in nodes(prog, "for")]


def adding(start: int, body: At, *, fast: bool = True, stop: int | None = None) -> Program:
    """`for i in range(start, len(x)): x[1] += x[i] * 2`, after whatever `body` does with `x`, `i`."""
    def main(b: Builder, x: Value) -> Any:
        one = b.const(1)

        def step(i: Value) -> None:
            body(b, x, i)
            twice = b.emit1(s.mul, b.emit1(a.load, x, i), number(b, 2.0))
            b.emit(a.accumulate, x, twice, one, **({"fast": True} if fast else {}))

        loop(b, b.dim(x, 0) if stop is None else b.const(stop), step, start=b.const(start))
        return b.emit1(a.load, x, b.const(0))

    return program([VEC], main, mut=[0])


def nothing(b: Builder, x: Value, i: Value) -> None: ...


def test_a_sum_apart_from_what_the_loop_reads() -> None:
    assert carried(apply(adding(2, nothing), X)) == [1]


def test_a_loop_that_reads_the_place_goes_on_touching_it() -> None:
    assert carried(apply(adding(0, nothing), X)) == [0]
    assert carried(apply(adding(1, nothing), X)) == [0]


def test_additions_may_go_anywhere() -> None:
    def also(b: Builder, x: Value, i: Value) -> None:
        b.emit(a.accumulate, x, number(b, 0.5), b.emit1(s.sub, i, b.const(1)), fast=True)

    assert carried(apply(adding(2, also), X)) == [1]


def test_strict_additions_keep_their_order() -> None:
    def also(b: Builder, x: Value, i: Value) -> None:
        b.emit(a.accumulate, x, number(b, 0.5), b.emit1(s.sub, i, b.const(1)))

    assert carried(apply(adding(2, nothing, fast=False), X)) == [0]
    assert carried(apply(adding(2, also), X)) == [0]


def test_stores_elsewhere_and_stores_that_may_be_there() -> None:
    def there(b: Builder, x: Value, i: Value) -> None:
        b.emit(a.store, x, number(b, 0.5), i)

    def perhaps(b: Builder, x: Value, i: Value) -> None:
        b.emit(a.store, x, number(b, 0.5), b.emit1(s.sub, i, b.const(1)))

    assert carried(apply(adding(2, there), X)) == [1]
    assert carried(apply(adding(2, perhaps), X)) == [0]


def test_what_an_error_shows_is_up_to_date() -> None:
    def body(b: Builder, x: Value) -> None:
        zero = b.const(0)

        def step(i: Value) -> None:
            fits = b.emit1(s.lt, i, b.const(3))
            b.emit(a.accumulate, x, number(b, 1.0), zero, fast=True)
            b.emit(c.check, fits, error="ValueError", message="no")

        loop(b, b.dim(x, 0), step)

    assert carried(apply(program([VEC], body, mut=[0]), X)) == [0]


def test_the_place_of_a_loop_that_does_not_run_need_not_exist() -> None:
    """One branch adds the sum, where the loop may not run; where it surely runs there is none."""
    def body(b: Builder, x: Value, y: Value) -> None:
        zero = b.const(0)
        loop(b, b.dim(x, 0), lambda i: b.emit(a.accumulate, y, b.emit1(a.load, x, i), zero, fast=True) or None)

    prog = program([VEC, ArrayType(VEC.dtype, (m,))], body, mut=[1])
    apply(prog, np.empty(0), np.empty(0))
    assert len(nodes(apply(prog, X, X.copy()), "if")) == 1
    assert not nodes(apply(adding(2, nothing, stop=4), X), "if")


@pytest.mark.parametrize("n", [1, 2, 7])
def test_the_gradient_of_an_elimination_reduces_in_values(n: int) -> None:
    @lms.stage
    def eliminated(x: Rep[Array[f64, "n", "n"]]) -> Rep[f64]:
        u = x.copy()
        for k in range(len(x)):
            for i in range(k + 1, len(x)):
                u[i, k] /= u[k, k]
                for j in range(k + 1, len(x)):
                    u[i, j] -= u[i, k] * u[k, j]
        return np.sum(np.log(np.abs(np.diag(u))))

    at = n * np.eye(n) + np.sin(np.arange(float(n * n)).reshape(n, n))
    np.testing.assert_allclose(lms.grad(eliminated)(at), np.linalg.inv(at).T, rtol=1e-9)
    (f,) = lms.grad(eliminated).specialize(at).program.functions.values()
    innermost = [node for node in nodes(Program({"f": f}, "f"), "for") if node.results and node.half == "backward"]
    assert len(innermost) == 2, "the place of the pivot, and that of the factor"
