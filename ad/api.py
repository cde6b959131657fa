"""Derivatives as functions of staged code: each stages the function it is given, and leaves a `vjp` or `jvp` node.

`differentiate` expands the nodes when the program is compiled. What the function uses of the code around it becomes
further operands, so derivatives nest without confusion: d/dx (x * d/dy (x + y)) is 1.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from lms.core import primitives as p
from lms.core.builder import current
from lms.core.errors import StagingTypeError, here
from lms.core.ir import Value
from lms.core.types import ArrayType, Scalar, Type, is_differentiable
from lms.staging import functions, trees
from lms.staging.arguments import Bound, Later, Signature
from lms.staging.checkpoints import plan, planned
from lms.staging.functions import Call
from lms.staging.joins import describe
from lms.staging.rep import Rep, lift_value

from .beside import beside, converted
from .jacobian import across, along, dense

Argnums = int | str | Sequence[int | str]


def plain(f: Callable[..., Any]) -> tuple[Callable[..., Any], Signature]:
    """What is run to stage a function, staged already or not, and its signature."""
    signature = getattr(f, "signature", None)
    if not isinstance(signature, Signature):
        return f, Signature(callable_or_error(f))
    return _ruled(f) if getattr(f, "rule", None) is not None else getattr(f, "body", f), signature


def callable_or_error(f: Any) -> Callable[..., Any]:
    """What is differentiated. Raises `StagingTypeError` where it is no function."""
    if not callable(f):
        raise StagingTypeError(f"a function is differentiated, found {f!r}", here(),
                               fix="pass the function, and call what comes back")
    return f  # type: ignore[no-any-return]  # any callable


def taking_the_same(f: Callable[..., Any], made: Callable[..., Any]) -> Callable[..., Any]:
    """A function made of `f`, with its name and parameters; if `f` is staged, with its annotations as they were resolved."""
    functools.update_wrapper(made, f, updated=())
    signature = getattr(f, "signature", None)
    if isinstance(signature, Signature):
        made.signature = signature.returning(signature.name)  # type: ignore[attr-defined]  # what `plain` looks for
    return made


def _ruled(staged: Any) -> Callable[..., Any]:
    """A function whose body is a call of one with a derivative of its own; always the same one."""

    def body(*args: Any, **kwargs: Any) -> Any:
        return staged(*args, **kwargs)

    made: Callable[..., Any] = staged.__dict__.setdefault("_ruled", functools.wraps(staged.unstaged)(body))
    return made


def prepare(f: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Call, Signature]:
    """The function of the program for these arguments, staged and not called."""
    body, signature = plain(f)
    return functions.prepare(body, signature, args, kwargs), signature


# ------------------------------------------------------------------------------------------------- reverse


def value_and_grad(f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False,
                   checkpoint: str | None = None) -> Callable[..., Any]:
    """A function that gives what `f` gives, and the gradient of its float result.

    The gradient is a container like the argument; what is no float has None. With `has_aux`, `f` gives the float and
    something else, and so does the value. `checkpoint` is the plan of the outermost loops that have none.
    Raises `StagingTypeError` for an argument without floats, or another result.
    """
    checkpoint = plan(checkpoint, "the loops of this function")

    def valued(*args: Any, **kwargs: Any) -> Any:
        call, signature = prepare(f, args, kwargs)
        selected = select_each(call.bound, signature, argnums)
        seeds = _seed_one(call, signature, has_aux)
        value, gradients = pull(call, [k for s in selected for k in s.positions], seeds, checkpoint=checkpoint)
        rest = iter(gradients)
        found = tuple(like(s.spec, rest) for s in selected)
        return value, found if _several(argnums) else found[0]

    return taking_the_same(f, valued)


def grad(f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False,
         checkpoint: str | None = None) -> Callable[..., Any]:
    """The gradient of a function whose result is one float; see `value_and_grad`. With `has_aux`: gradient, and the rest."""
    valued = value_and_grad(f, argnums, has_aux, checkpoint)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, found = valued(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return taking_the_same(f, gradient)


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f`, of which a gradient keeps the arguments, and runs it again in the backward half."""

    def kept(*args: Any, **kwargs: Any) -> Any:
        call, _ = prepare(f, args, kwargs)
        return call.emit(again=call.function.name)

    return taking_the_same(f, kept)


def hvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The derivative of the gradient of `f` in the direction `tangents`: of all arguments, None beside what is no float."""

    def gradient(*args: Any, **kwargs: Any) -> Any:
        call, signature = prepare(f, args, kwargs)
        selected = leading(call, signature, len(primals))
        _, gradients = pull(call, [k for s in selected for k in s.positions], _seed_one(call, signature, has_aux=False))
        rest = iter(gradients)
        return tuple(like(s.spec, rest) for s in selected)

    _, found = jvp(taking_the_same(f, gradient), primals, tangents)
    return found[0] if len(found) == 1 else found


def vjp(f: Callable[..., Any], *primals: Any, checkpoint: str | None = None) -> tuple[Any, Callable[[Any], Any]]:
    """What `f` gives, and a function from a cotangent of that to the cotangents of the arguments, a tuple of them.

    The second may be called any number of times; it works on copies of the arrays it was given.
    """
    checkpoint = plan(checkpoint, "the loops of this function")
    call, signature = prepare(f, primals, {})
    b = current()
    kept = tuple(b.emit1(p.array.copy, v) if isinstance(v.type, ArrayType) else v for v in call.operands)
    selected = leading(call, signature, len(primals))
    out = b.emit(p.control.call, *call.operands, callee=call.function.name, types=call.types)
    floats = [v for v in out if is_differentiable(v.type)]

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        given = beside(call.result, cotangent, f"the result of {signature.name}", "cotangent")
        seeds = [converted(x, v, path, "cotangent") for (path, x), v in zip(given, floats, strict=True)]
        operands = [b.emit1(p.array.copy, v) if isinstance(v.type, ArrayType) else v for v in kept]
        wrt = [k for s in selected for k in s.positions]
        _, gradients = pull(call, wrt, seeds, operands, checkpoint)
        rest = iter(gradients)
        return tuple(like(s.spec, rest) for s in selected)

    return call.rebuild(out), pullback


def pull(call: Call, wrt: Sequence[int], seeds: Sequence[Value],
         operands: Sequence[Value] | None = None, checkpoint: str | None = None) -> tuple[Any, list[Rep]]:
    """Emit a `vjp` node: the function's result, and the cotangents of the operands at the positions `wrt`."""
    out = current().emit(p.control.vjp, *(call.operands if operands is None else operands), *seeds,
                         callee=call.function.name, wrt=tuple(wrt), types=call.types, **planned(checkpoint))
    n = len(call.types)
    return call.rebuild(out[:n]), list(map(Rep, out[n:]))


def _seed_one(call: Call, signature: Signature, has_aux: bool) -> list[Value]:
    """Cotangents of the results: one for the float, zero for what comes with it."""
    first = call.types[0] if call.types else None
    floats = [t for t in call.types if is_differentiable(t)]
    if not (isinstance(first, Scalar) and first.is_float) or (len(call.types) > 1 and not has_aux):
        raise StagingTypeError(
            f"grad takes a function whose result is one float; {signature.name} gives {_shown(call.types)}", here(),
            fix="sum it up, or use `lms.vjp`; with `has_aux=True` the float may come with something else")
    return [_zero(t) if k else current().const(1.0, first) for k, t in enumerate(floats)]


def _zero(t: Type) -> Value:
    if isinstance(t, Scalar):
        return current().const(0.0, t)
    raise StagingTypeError(f"the second result of a function with `has_aux` holds {t}, whose size is known later", here(),
                           fix="wrap it in lms.stop_gradient")


def _shown(types: Sequence[Type]) -> str:
    return ", ".join(map(str, types)) or "nothing"


# ------------------------------------------------------------------------------------------------- forward


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """What `f` gives at `primals`, and its derivative in the direction `tangents`, containers like the primals."""
    call, signature = prepare(f, tuple(primals), {})
    selected = leading(call, signature, len(primals))
    wrt = [k for s in selected for k in s.positions]
    require_beside(signature, primals, tangents)
    directions = _directions(call, signature, tangents)
    out = current().emit(p.control.jvp, *call.operands, *directions, callee=call.function.name, wrt=tuple(wrt), types=call.types)
    n = len(call.types)
    return call.rebuild(out[:n]), _tangent(call.result, iter(out[n:]))


def jacobian(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """A function that gives the derivative of every element of the result by every element of the arguments.

    It is a container like the result, of containers like the argument; the axes of the argument come last.
    """

    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        call, signature = prepare(f, args, kwargs)
        selected = select_each(call.bound, signature, argnums)

        def by_arguments(blocks: Sequence[Value]) -> Any:
            rest = map(Rep, blocks)
            found = tuple(like(s.spec, rest) for s in selected)
            return found if _several(argnums) else found[0]

        return like(call.result, map(by_arguments, dense(call, [k for s in selected for k in s.positions])))

    return taking_the_same(f, jacobian_of)


def compressed(f: Callable[..., Any], argnums: Argnums, args: Sequence[Any], seed: Any, mode: str) -> tuple[Any, ...]:
    """Products of the Jacobian: with the columns of `seed` on its right (forward), or the rows on its left (reverse).

    Forward, an array for each float result, whose last axis counts the columns; in reverse one for each argument, whose first
    axis counts the rows.
    """
    call, signature = prepare(f, args, {})
    positions = [k for s in select_each(call.bound, signature, argnums) for k in s.positions]
    return tuple(map(Rep, (along if mode == "forward" else across)(call, positions, lift_value(seed))))


def require_beside(signature: Signature, primals: Sequence[Any], tangents: Sequence[Any]) -> None:
    """Raises `StagingTypeError` unless there are as many tangents as primals."""
    if len(tangents) != len(primals):
        raise StagingTypeError(f"{signature.name} is given {len(primals)} arguments and {len(tangents)} tangents", here(),
                               fix="give a tangent for every argument, None for what is no float")


def _directions(call: Call, signature: Signature, tangents: Sequence[Any]) -> list[Value]:
    out: list[Value] = []
    for (name, s), tangent in zip(passed(call.bound, signature), tangents, strict=False):
        for (path, x), k in zip(beside(s.spec, tangent, name, "tangent"), s.positions, strict=True):
            v = converted(x, call.arguments[k], path, "tangent")
            out.append(current().emit1(p.array.copy, v) if k in call.function.mut else v)  # it is written to as the argument is
    return out


def _tangent(spec: Any, rest: Any) -> Any:
    """The tangent of a result: a container like it, None for what is no float."""
    return like(spec, map(Rep, rest))


# ---------------------------------------------------------------------------------- arguments by number or name


class Selected:
    """An argument that is differentiated: how it is made up, and where its float leaves stand among the operands."""

    def __init__(self, spec: Any, first: int) -> None:
        self.spec = spec
        leaves = list(_leaves(spec))
        self.positions = [first + k for k, leaf in enumerate(leaves) if is_differentiable(leaf.type)]


def _leaves(spec: Any) -> Any:
    if isinstance(spec, Later):
        yield spec
    elif isinstance(spec, trees.Tree):
        for part in spec.parts:
            yield from _leaves(part)


def numbers(argnums: Argnums) -> list[int | str]:
    """Arguments by number or name, as a list. Raises `StagingTypeError` for anything else."""
    out: list[Any] = list(argnums) if isinstance(argnums, list | tuple) else [argnums]
    for n in out:
        if not isinstance(n, int | str) or isinstance(n, bool):
            raise StagingTypeError(f"`argnums` says which arguments: a number, a name, or several; found {n!r}", here())
    return out


def _several(argnums: Argnums) -> bool:
    return not isinstance(argnums, int | str)


def passed(bound: Bound, signature: Signature) -> list[tuple[str, Selected]]:
    """The arguments as they are passed, by position first: each of `*args` is one."""
    out: list[tuple[str, Selected]] = []
    first = 0
    for name, spec in bound.spec.items():
        several = signature.signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
        for each, part in [(f"{name}[{k}]", part) for k, part in enumerate(spec.parts)] if several else [(name, spec)]:
            out.append((each, Selected(part, first)))
            first += len(list(_leaves(part)))
    return out


def leading(call: Call, signature: Signature, count: int) -> list[Selected]:
    """The first arguments, floats or not."""
    return [selected for _, selected in passed(call.bound, signature)[:count]]


def select(bound: Bound, signature: Signature, which: int | str) -> Selected:
    """The argument of that number or name. Raises `StagingTypeError` where there is none, or none that holds a float."""
    arguments = passed(bound, signature)
    names = [name for name, _ in arguments]
    k = names.index(which) if which in names else which
    if not isinstance(k, int) or not -len(names) <= k < len(names):
        raise StagingTypeError(f"{signature.name} has no argument {which!r}: it takes {', '.join(names)}", here())
    name, found = arguments[k]
    if not found.positions:
        what = found.spec.value if hasattr(found.spec, "value") else found.spec
        raise StagingTypeError(f"the argument {name!r} of {signature.name} holds no float to differentiate: it is "
                               f"{_described(what)}", here(),
                               fix="differentiate by another argument (`argnums`), or pass a float")
    return found


def select_each(bound: Bound, signature: Signature, argnums: Argnums) -> list[Selected]:
    """The arguments of those numbers and names. Raises `StagingTypeError` as `select` does, and for one that is named twice."""
    found = [select(bound, signature, n) for n in numbers(argnums)]
    seen: set[int] = set()
    for n, s in zip(numbers(argnums), found, strict=True):
        if not seen.isdisjoint(s.positions):
            raise StagingTypeError(f"`argnums` names the argument {n!r} of {signature.name} twice", here(),
                                   fix="name every argument once")
        seen.update(s.positions)
    return found


def _described(x: Any) -> str:
    return str(x.type) if isinstance(x, Later) else "a container without floats" if isinstance(x, trees.Tree) else describe(x)


def like(spec: Any, rest: Any) -> Any:
    """A container as `spec` describes it, of the next values for its floats and None for everything else."""
    if isinstance(spec, Later):
        return next(rest) if is_differentiable(spec.type) else None
    if isinstance(spec, trees.Tree):
        return trees.rebuild(spec.cls, spec.keys, [like(part, rest) for part in spec.parts], spec.extra)
    return None
