"""The reference back end: runs a program, node by node, on NumPy scalars, arrays and `Record`s.

Arrays are NumPy arrays and views are NumPy views, so writes go where the program says. Numbers keep their width:
integers wrap. An activation is a generator that yields a `_Call` where the program calls, so recursion in the program
uses no Python stack.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from lms.core import primitives as p
from lms.core.errors import LmsError
from lms.core.ir import Block, Node, Program, Value
from lms.core.primitives.control import ERRORS

from .values import arguments, from_python, located, settle

Env = dict[Value, Any]
RAISED = tuple(ERRORS.values())  # what a check may raise


class _Call(NamedTuple):
    """What an activation asks of the driver: run this function, resume me with its results."""

    callee: str
    args: tuple[Any, ...]


Activation = Generator[_Call, tuple[Any, ...], tuple[Any, ...]]


def run(program: Program, args: Sequence[Any], limit: int = 200_000) -> tuple[Any, ...]:
    """The results of the entry function.

    `args` are numbers, NumPy arrays of the parameters' dtypes (not copied), and `Record`s; results are NumPy scalars,
    arrays and `Record`s. Raises what the program's checks raise, with the user's line in the message, what Python
    functions that it calls raise, and `RecursionError` for more than `limit` activations.

        run(program, (2.0, np.ones(3)))
    """
    return execute(program, arguments(program.main, args), NumPy(), limit)


class Meaning(Protocol):
    """What values are and operations do; control flow is the interpreter's."""

    def plain(self, node: Node, operands: tuple[Any, ...]) -> tuple[Any, ...]:
        """The results of an operation."""

    def called(self, node: Node, operands: tuple[Any, ...], results: tuple[Any, ...]) -> tuple[Any, ...]:
        """The results of a call, from those of the function."""

    def number(self, x: Any) -> Any:
        """The number that decides where the program goes."""

    def index(self, i: int) -> Any:
        """The number of an iteration, as a value."""


class NumPy:
    """Operations do what their rows say: on NumPy scalars, arrays and `Record`s."""

    def plain(self, node: Node, operands: tuple[Any, ...]) -> tuple[Any, ...]:
        return _plain(node, operands)

    def called(self, node: Node, operands: tuple[Any, ...], results: tuple[Any, ...]) -> tuple[Any, ...]:
        return results

    def number(self, x: Any) -> Any:
        return x

    def index(self, i: int) -> Any:
        return np.int64(i)


def execute(program: Program, values: Sequence[Any], meaning: Meaning, limit: int = 200_000) -> tuple[Any, ...]:
    """The results of the entry function for values of some meaning."""
    main = program.main
    stack: list[Activation] = [_block(main.body, main.body.params, values, {}, meaning)]
    answer: tuple[Any, ...] | None = None
    while stack:
        try:
            request = stack[-1].send(answer) if answer is not None else next(stack[-1])
        except StopIteration as done:
            stack.pop()
            answer = done.value
            continue
        except RuntimeError as e:
            if isinstance(e.__cause__, StopIteration):  # the program's own: a generator cannot let it out as it is
                raise e.__cause__ from None
            raise
        if len(stack) >= limit:
            callee = program.functions[request.callee]
            raise located(RecursionError(f"{program.known_as(callee)}: maximum recursion depth exceeded"), callee.span)
        body = program.functions[request.callee].body
        stack.append(_block(body, body.params, request.args, {}, meaning))
        answer = None
    assert answer is not None
    return answer


def _block(block: Block, params: Sequence[Value], values: Sequence[Any], env: Env, meaning: Meaning) -> Activation:
    """Run a block with its parameters bound; give its results. One environment serves a whole activation."""
    env.update(zip(params, values, strict=True))
    for node in block.nodes:
        operands = tuple(env[v] for v in node.operands)
        control = node.op.effect.control
        results = (yield from _control(node, operands, env, meaning)) if control else meaning.plain(node, operands)
        env.update(zip(node.results, results, strict=True))
    return tuple(env[v] for v in block.results)


def _plain(node: Node, operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """Run an operation by its NumPy meaning."""
    assert node.op.eager is not None
    attrs = {k: v for k, v in node.attrs.items() if k != "fast"} if "fast" in node.attrs else node.attrs
    if node.op is p.control.py_call:
        return from_python(node.op.eager(*operands, **attrs), node.attrs["types"], node.span)
    try:
        out = node.op.eager(*operands, **attrs)
    except RAISED as e:
        raise located(e, node.span) from e
    if not node.results:
        return ()
    if len(node.results) > 1:
        return tuple(settle(x, v.type) for x, v in zip(out, node.results, strict=True))
    return (out if node.op.effect.view is not None else settle(out, node.result.type),)


def _control(node: Node, operands: tuple[Any, ...], env: Env, meaning: Meaning) -> Activation:
    if node.op is p.control.if_:
        return (yield from _block(node.blocks[0 if meaning.number(operands[0]) else 1], (), (), env, meaning))
    if node.op is p.control.for_:
        return (yield from _for(node, operands, env, meaning))
    if node.op is p.control.while_:
        return (yield from _while(node, operands, env, meaning))
    if node.op is p.control.call:
        return meaning.called(node, operands, (yield _Call(node.attrs["callee"], operands)))
    raise LmsError(f"{node.op} of {node.attrs['callee']!r} is not expanded: differentiate the program first", node.span)


def _for(node: Node, operands: tuple[Any, ...], env: Env, meaning: Meaning) -> Activation:
    start, stop, step = (int(meaning.number(x)) for x in operands[:3])
    state = list(operands[3:])
    (body,) = node.blocks
    for i in range(start, stop, step):
        state = list((yield from _block(body, body.params, (meaning.index(i), *state), env, meaning)))
    return tuple(state)


def _while(node: Node, operands: tuple[Any, ...], env: Env, meaning: Meaning) -> Activation:
    state = operands
    condition, body = node.blocks
    while meaning.number((yield from _block(condition, condition.params, state, env, meaning))[0]):
        state = yield from _block(body, body.params, state, env, meaning)
    return state
