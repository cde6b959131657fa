"""What a backward loop carries is multiplied once an iteration; the forward half keeps its order, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Node, Program, Value
from lms.core.types import f64
from lms.core.verify import verify
from lms.passes.clone import clone
from lms.passes.dce import Dce
from lms.passes.recurrences import Recurrences
from tests.passes.programs import VEC, branch, loop, nodes, number, outcome, program, same

s, a = p.scalar, p.array


def backward(step: Any, carried: int = 1, half: Any = "backward") -> Program:
    """A loop over the elements of an array, backwards in name, that carries cotangents."""

    def body(b: Builder, x: Value, d: Value) -> Any:
        with b.on(half):
            return loop(b, b.dim(x, 0), lambda i, *v: step(b, b.emit1(a.load, x, i), *v), *[d] * carried)

    return program([VEC, f64], body)


def apply(prog: Program) -> Program:
    new = Dce().run(Recurrences().run(clone(prog)))
    verify(new)
    for size in (0, 1, 5):
        args = np.linspace(0.5, 1.5, size), 0.75
        same(outcome(prog, args), outcome(new, args))
    return new


def waits(prog: Program) -> int:
    """How many operations in a row wait for the iteration before."""
    block = nodes(prog, "for")[0].blocks[0]
    depth: dict[Value, int] = dict.fromkeys(block.params[1:], 0)
    for node in block.nodes:
        on = [depth[v] for v in node.operands if v in depth]
        if on:
            depth.update(dict.fromkeys(node.results, 1 + max(on)))
    return max(depth.get(v, 0) for v in block.results)


def logistic(b: Builder, x: Value, d: Value) -> Value:
    """The cotangent of `x * a + 0.1 * x * (1 - x)`, as the rules write it."""
    half = b.emit1(s.mul, b.emit1(s.mul, d, b.emit1(s.sub, number(b, 1.0), x)), number(b, 0.1))
    other = b.emit1(s.mul, b.emit1(s.neg, d), b.emit1(s.div, x, number(b, 3.0)))
    return b.emit1(s.add, b.emit1(s.sub, half, other, fast=True), b.emit1(s.div, d, x), fast=True)


def test_a_chain_becomes_one_factor() -> None:
    prog = backward(logistic)
    assert waits(prog) == 4 and waits(apply(prog)) == 1


def test_the_forward_half_is_left_alone() -> None:
    assert waits(apply(backward(logistic, half="forward"))) == 4
    assert waits(apply(backward(logistic, half=""))) == 4


def chosen(b: Builder, x: Value, d: Value) -> Value:
    big = b.emit1(s.gt, x, number(b, 1.0))
    return b.emit1(s.mul, b.emit1(s.select, big, b.emit1(s.mul, d, x), d), x)


def test_a_choice_of_the_loop_is_part_of_the_factor() -> None:
    assert waits(apply(backward(chosen))) == 1


NOT_LINEAR: dict[str, Any] = {
    "a square": lambda b, x, d: b.emit1(s.mul, b.emit1(s.mul, d, d), x),
    "a constant added": lambda b, x, d: b.emit1(s.add, b.emit1(s.mul, b.emit1(s.mul, d, x), x), x),
    "a divisor": lambda b, x, d: b.emit1(s.mul, b.emit1(s.div, x, d), x),
    "a choice by it": lambda b, x, d: b.emit1(s.mul, b.emit1(s.select, b.emit1(s.gt, d, x), d, b.emit1(s.neg, d)), x),
    "a function of it": lambda b, x, d: b.emit1(s.mul, b.emit1(s.sin, d), x),
    "a branch on it": lambda b, x, d: b.emit1(s.mul, branch(b, b.emit1(s.gt, d, x), lambda: d, lambda: x)[0], x),
}


@pytest.mark.parametrize("name", NOT_LINEAR)
def test_what_is_not_linear_is_left_alone(name: str) -> None:
    prog = backward(NOT_LINEAR[name])
    new = apply(prog)
    assert [v.op for v in body(new)] == [v.op for v in body(Dce().run(clone(prog)))]


def body(prog: Program) -> list[Node]:
    return nodes(prog, "for")[0].blocks[0].nodes


def test_two_cotangents_that_depend_on_each_other_are_left_alone() -> None:
    def step(b: Builder, x: Value, d: Value, e: Value) -> Any:
        twice = b.emit1(s.mul, b.emit1(s.mul, d, x), x)
        return b.emit1(s.add, twice, b.emit1(s.mul, e, x)), b.emit1(s.mul, e, b.emit1(s.neg, x))

    assert waits(apply(backward(step, 2))) == 3


def test_what_else_reads_the_chain_still_finds_it() -> None:
    def step(b: Builder, x: Value, d: Value, total: Value) -> Any:
        first = b.emit1(s.mul, d, x)
        return b.emit1(s.mul, first, x), b.emit1(s.add, total, first, fast=True)

    apply(backward(step, 2))
