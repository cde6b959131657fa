"""What a loop keeps for the way back: no more than the backward half needs, and nothing it can make itself."""

from __future__ import annotations

import numpy as np

import lms
from lms import Array, Rep, bool_, f64, i64
from lms.ad.differentiate import Differentiate
from lms.core import primitives as p
from lms.core.ir import Node, Program, walk
from lms.core.types import ArrayType
from lms.passes.base import run
from lms.passes.clone import clone
from lms.pipeline import SIMPLIFY, simplify


def differentiated(f: lms.Staged, *args: object) -> Program:
    """The gradient of a function, before arrays become loops."""
    return run([Differentiate(simplify), *SIMPLIFY, *SIMPLIFY], clone(lms.grad(f).specialize(*args).staged))


def kept(program: Program) -> list[Node]:
    """The allocations of arrays with an element for each iteration and more: a row, or a handle."""
    made = [node for f in program.functions.values() for node in walk(f.body)
            if node.op in (p.array.empty, p.array.broadcast) and isinstance(node.result.type, ArrayType)]
    return [node for node in made if node.result.type.rank > 1 or node.attrs.get("residual")]


@lms.stage
def steps(x: Rep[Array[f64, "n"]], s: Rep[i64]) -> Rep[f64]:
    for _ in range(s):
        dy = np.empty_like(x)
        dy[0] = 1.0
        dy[1:] = np.sin(x[:-1])
        x = x + 0.5 * dy
    return np.sum(x)


X = np.linspace(0.3, 1.7, 6)


def test_what_is_made_piece_by_piece_and_read_in_part_has_no_shadow() -> None:
    """`x[:-1]` is the one residual."""
    whole = [node for node in kept(differentiated(steps, X, 3)) if node.result.type.rank == 2]
    assert len(whole) == 1
    lms.check_grads(steps, (X, 3), order=2)


def test_a_shadow_that_the_forward_half_only_makes_is_made_by_the_backward_half() -> None:
    """Of the two shadows of an iteration only that of the carried `x` is passed on, which inner loops read."""
    @lms.stage
    def marked(x: Rep[Array[f64, "n"]], s: Rep[i64]) -> Rep[f64]:
        for k in range(s):
            dy = np.zeros_like(x)
            dy[k] = 1.0
            dy[1:] += np.sin(x[:-1])
            for j in range(len(x)):
                dy[j] *= x[j]
            x = x + 0.5 * dy
        return np.sum(x)

    whole = [node for node in kept(differentiated(marked, X, 3)) if node.result.type.rank == 2]
    assert len(whole) == 3, "what is saved, by the inner loop too, and the shadow of what is carried"
    assert sum(not node.attrs.get("residual") for node in whole) == 1
    lms.check_grads(marked, (X, 3), order=2)


def test_a_number_in_every_place_is_kept_as_a_number() -> None:
    @lms.stage
    def scaled(x: Rep[Array[f64, "n"]], s: Rep[i64]) -> Rep[f64]:
        for k in range(s):
            x = x * (1.0 / (k + 1.0)) + x[0]
        return np.sum(x)

    for node in kept(differentiated(scaled, X, 3)):
        assert node.op is not p.array.empty or node.result.type.rank == 1 or node.attrs["dtype"] != f64
    lms.check_grads(scaled, (X, 3), order=2)


def test_a_filled_array_that_is_written_to_is_not_made_again() -> None:
    """The zeros are gone when the backward half would make them: it needs what was written."""
    @lms.stage
    def written(x: Rep[Array[f64, "n"]], s: Rep[i64]) -> Rep[f64]:
        total = 0.0
        for k in range(s):
            a = np.zeros(3)
            a[k % 3] = x[k]
            b = a[::-1]
            total += np.sum(np.exp(a) * b) + a[k % 3] ** 2
        return total

    lms.check_grads(written, (X, 6), order=2)


def test_a_filled_array_written_in_an_inner_loop() -> None:
    @lms.stage
    def inner(x: Rep[Array[f64, "n"]], s: Rep[i64]) -> Rep[f64]:
        total = 0.0
        for k in range(s):
            a = np.full(2, 0.5)
            for j in range(len(x)):
                a[j % 2] += x[j] * k
            total += a[0] * a[1]
        return total

    lms.check_grads(inner, (X, 4), order=2)


def test_a_filled_array_that_a_branch_passes_on() -> None:
    @lms.stage
    def passed(x: Rep[Array[f64, "n"]], s: Rep[i64]) -> Rep[f64]:
        y = x
        for k in range(s):
            z = np.zeros_like(x)
            if x[k] > 1.0:
                y = z
            else:
                z[0] = x[k]
                y = y * z[0]
            y[1] = x[1] * x[k]
        return np.sum(y * y)

    x = np.array([0.5, 1.5, 0.7, 1.2, 0.9])
    lms.check_grads(passed, (x, 3), order=2)


def test_what_is_assigned_has_no_shadow() -> None:
    """The cotangent of an array that is only written into another is read where the other's was."""
    @lms.stage
    def assigned(x: Rep[Array[f64, "n"]]) -> Rep[f64]:
        out = np.empty((2, len(x)))
        out[0] = np.sin(x)
        out[1] = x * x
        return np.sum(out * out)

    program = differentiated(assigned, X)
    added = [node for f in program.functions.values() for node in walk(f.body)
               if node.op is p.array.add_into and node.operands[0].type.rank == 1]
    assert not added
    lms.check_grads(assigned, (X,), order=2)


def test_cheap_arithmetic_on_what_is_saved_is_done_again() -> None:
    """Of a sigmoid, `exp(-x)` is kept; neither `1 + exp(-x)` nor the result."""
    @lms.stage
    def squashed(x: Rep[Array[f64, "n"]], s: Rep[i64]) -> Rep[f64]:
        for _ in range(s):
            x = 1.0 / (1.0 + np.exp(-x))
        return np.sum(x)

    rows = [node for node in kept(differentiated(squashed, X, 3)) if node.result.type.rank == 2]
    assert len(rows) == 1
    lms.check_grads(squashed, (X, 3), order=2)


def test_nothing_is_kept_for_what_carries_no_derivative() -> None:
    """The rule of a product needs both operands, but here one of them is a constant array."""
    @lms.stage
    def weighted(x: Rep[Array[f64, "n"]], w: Rep[Array[f64, "n"]], s: Rep[i64]) -> Rep[f64]:
        for _ in range(s):
            x = np.sin(x) * w
        return np.sum(x)

    rows = [node for node in kept(differentiated(weighted, X, X, 3)) if node.result.type.rank == 2]
    assert len(rows) == 1, "`x`, for the cosine; not the sine, which only the derivative by `w` needs"


def test_residuals_that_hold_the_same_are_one() -> None:
    @lms.stage
    def twice(x: Rep[Array[f64, "n"]], s: Rep[i64]) -> Rep[f64]:
        state = x.copy()
        for _ in range(s):
            h = state[:]
            a = np.sin(h * 0.5)
            b = np.cos(h * h)
            state[:] = a * b
        return np.sum(state)

    rows = [node for f in lms.grad(twice).specialize(X, 3).program.functions.values() for node in walk(f.body)
            if node.op is p.array.empty and node.attrs.get("residual") and node.result.type.rank == 2]
    values = {store.operands[1:] for f in lms.grad(twice).specialize(X, 3).program.functions.values() for store in walk(f.body)
              if store.op is p.array.store and store.operands[0] in {node.result for node in rows}}
    assert len(values) == len(rows)
    lms.check_grads(twice, (X, 3), order=2)


def test_positions_that_were_checked_all_at_once() -> None:
    """An array of indices is given, so it might be checked again: what was checked is kept."""
    @lms.stage
    def placed(x: Rep[Array[f64, "n"]], q: Rep[Array[i64, "n"]], s: Rep[i64]) -> Rep[f64]:
        v = x.copy()
        for _ in range(s):
            v[q] = np.sin(v) * x
        return np.sum(v)

    lms.check_grads(placed, (X, np.arange(6)[::-1].copy(), 3), order=2)
    again = lms.grad(placed, checkpoint="revolve(2)")(X, np.arange(6)[::-1].copy(), 3)
    np.testing.assert_allclose(again, lms.grad(placed)(X, np.arange(6)[::-1].copy(), 3), rtol=1e-12)


def test_a_factor_that_stands_twice_is_copied_once() -> None:
    @lms.stage
    def lengths(x: Rep[Array[f64, "n"]], s: Rep[i64]) -> Rep[f64]:
        v, total = x.copy(), 0.0
        for _ in range(s):
            total += np.sum(v * v)
            v[:] = 0.5 * v
        return total

    rows = [node for node in kept(differentiated(lengths, X, 3)) if node.result.type.rank == 2]
    assert len(rows) == 1
    lms.check_grads(lengths, (X, 3), order=2)


def test_what_was_decided_is_kept_and_not_decided_again() -> None:
    """A comparison of floats is a residual of one byte, though what it compares is at hand."""
    @lms.stage
    def clipped(x: Rep[Array[f64, "n"]], top: Rep[f64]) -> Rep[f64]:
        total = 0.0
        for i in range(len(x)):
            total += lms.sin(x[i]) if x[i] < top else x[i]
        return total

    decided = [node.attrs["dtype"] for node in kept(differentiated(clipped, X, 1.0)) if node.op is p.array.empty]
    assert decided == [bool_]
    lms.check_grads(clipped, (X, 1.0))


def test_an_index_that_was_checked_is_not_kept() -> None:
    @lms.stage
    def gathered(x: Rep[Array[f64, "n"]], at: Rep[Array[i64, "m"]]) -> Rep[f64]:
        total = 0.0
        for i in range(len(at)):
            total += x[at[i]] ** 2
        return total

    at = np.array([0, -1, 2, -1])
    assert not [node for node in kept(differentiated(gathered, X, at)) if node.attrs.get("residual")]
    np.testing.assert_allclose(lms.grad(gathered)(X, at), [2 * X[0], 0, 2 * X[2], 0, 0, 4 * X[5]])
    lms.check_grads(gathered, (X, at), order=2)


def test_of_what_was_repeated_the_number_is_kept() -> None:
    """A row of each iteration is arithmetic on two numbers and rows that are there."""
    @lms.stage
    def outer(x: Rep[Array[f64, "n"]], y: Rep[f64], s: Rep[i64]) -> Rep[f64]:
        total = 0.0
        for _ in range(s):
            y = lms.sin(y)
            row = y * x + 1.0 / y
            total += np.sum(row * row * x)
        return total

    assert not [node for node in kept(differentiated(outer, X, 0.4, 3)) if node.result.type.rank == 2]
    lms.check_grads(outer, (X, 0.4, 3), order=2)
