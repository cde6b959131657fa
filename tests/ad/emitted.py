"""Programs for tests of derivatives, written with `Rep`s and no source; and what they are compared with.

A test gives a function of `Rep`s with its types and arguments; `check` makes its gradient, of any order, and compares it with
central differences of the gradient of the order below. Memory afterwards must be what the program itself leaves.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lms.ad.differentiate import Differentiate
from lms.backends.interpret import run
from lms.core import primitives as p
from lms.core.builder import Builder, building, current
from lms.core.ir import Function, Program, Value
from lms.core.types import ArrayType, Dim, Scalar, Size, Type, f64, i64, is_differentiable, symbol
from lms.core.verify import verify
from lms.staging.rep import Rep

_a, _c, _s = p.array, p.control, p.scalar
Define = Callable[[Builder], None]


def floats(*dims: int | str) -> ArrayType:
    """The type of an array of floats."""
    return ArrayType(f64, tuple(symbol(d) if isinstance(d, str) else d for d in dims))


def indices(*dims: int | str) -> ArrayType:
    """The type of an array of indices."""
    return ArrayType(i64, floats(*dims).dims)


# -------------------------------------------------------------------------------------------- writing programs


def value(x: Any) -> Value:
    if isinstance(x, Rep):
        return x.value
    return current().const(x, f64 if isinstance(x, float) else i64)


def listed(x: Any) -> list[Any]:
    return [] if x is None else list(x) if isinstance(x, list | tuple) else [x]


def emit(op: p.Primitive, *operands: Any, **attrs: Any) -> Any:
    out = [Rep(v) for v in current().emit(op, *map(value, operands), **attrs)]
    return out[0] if len(out) == 1 else out


def constant(x: int) -> Rep:
    return Rep(current().const(x))


def for_(start: Any, stop: Any, inits: Sequence[Any], body: Callable[..., Any], step: int = 1) -> list[Any]:
    b, carried = current(), [value(x) for x in inits]
    types = tuple(v.type for v in carried)
    with b.reify([i64, *types]) as block:
        block.results = tuple(map(value, listed(body(*map(Rep, block.params)))))
    out = b.emit(_c.for_, value(start), value(stop), b.const(step), *carried, blocks=[block], types=types)
    return [Rep(v) for v in out]


def while_(inits: Sequence[Any], condition: Callable[..., Any], body: Callable[..., Any]) -> list[Any]:
    b, carried = current(), [value(x) for x in inits]
    types = tuple(v.type for v in carried)
    with b.reify(types) as test:
        test.results = (value(condition(*map(Rep, test.params))),)
    with b.reify(types) as block:
        block.results = tuple(map(value, listed(body(*map(Rep, block.params)))))
    return [Rep(v) for v in b.emit(_c.while_, *carried, blocks=[test, block], types=types)]


def if_(condition: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> list[Any]:
    b, blocks = current(), []
    for branch in (then, otherwise):
        with b.reify() as block:
            block.results = tuple(map(value, listed(branch())))
        blocks.append(block)
    types = tuple(v.type for v in blocks[0].results)
    return [Rep(v) for v in b.emit(_c.if_, value(condition), blocks=blocks, types=types)]


def load(a: Rep, *index: Any) -> Any:
    return emit(_a.load, a, *index)


def store(a: Rep, v: Any, *index: Any) -> None:
    emit(_a.store, a, v, *index)


def size(a: Rep, axis: int = 0) -> Rep:
    return Rep(current().dim(a.value, axis))


def zeros(*sizes: Any, dims: tuple[Size, ...] | None = None) -> Rep:
    b, ns = current(), [value(n) for n in sizes]
    return Rep(b.emit1(_a.broadcast, b.const(0.0, f64), *ns, dims=dims or tuple(map(b.size_of, ns)), axes=()))


def total(x: Any) -> Any:
    """A number that depends on every element."""
    rank = x.type.rank if isinstance(x.type, ArrayType) else 0
    return emit(_a.reduce_sum, np.sin(x) * x, axes=tuple(range(rank))) if rank else x


def call(name: str, types: Sequence[Type], *args: Any) -> list[Rep]:
    out = current().emit(_c.call, *map(value, args), callee=name, types=tuple(types))
    return [Rep(v) for v in out]


def function(name: str, types: Sequence[Type], body: Callable[..., Any], mut: Sequence[int] = ()) -> Define:
    """How to add a function that others call."""

    def define(b: Builder) -> None:
        with b.function(name, types, [f"a{k}" for k in range(len(types))], mut=frozenset(mut)) as f:
            f.body.results = tuple(map(value, listed(body(*map(Rep, f.body.params)))))

    return define


# ------------------------------------------------------------------------------------------- differentiating


def program(build: Callable[..., Any], types: Sequence[Type], functions: Sequence[Define] = (), order: int = 0,
            wrt: Sequence[int] = (), gradient: bool = True) -> Program:
    """The program `f`; or, of order n, the gradients of a weighted sum of the gradients of order n - 1.

    With `gradient` false, that weighted sum itself.
    """
    made = Program()
    b = Builder(made)
    with building(b):
        name = _primal(b, build, types, functions).name
        for k in range(order):
            name = _gradient(b, name, wrt, weighted=k < order - 1 or not gradient)
    made.entry = name
    verify(made)
    if order:
        made = Differentiate().run(made)
        verify(made)
    return made


def _primal(b: Builder, build: Callable[..., Any], types: Sequence[Type], functions: Sequence[Define]) -> Function:
    for define in functions:
        define(b)
    mut = frozenset(k for k, t in enumerate(types) if isinstance(t, ArrayType))
    with b.function("f", types, [f"x{k}" for k in range(len(types))], mut=mut) as f:
        f.body.results = tuple(map(value, listed(build(*map(Rep, f.body.params)))))
    return f


def _gradient(b: Builder, name: str, wrt: Sequence[int], weighted: bool) -> str:
    primal = b.program.functions[name]
    params = primal.body.params
    with b.function(f"d{name}", [v.type for v in params], [v.name for v in params], mut=primal.mut) as f:
        types = tuple(v.type for v in primal.body.results)
        seeds = [b.const(0.0 if k else 1.0, t) for k, t in enumerate(types) if isinstance(t, Scalar) and t.is_float]
        out = b.emit(_c.vjp, *f.body.params, *seeds, callee=name, wrt=tuple(wrt), types=types)[len(types):]
        f.body.results = (_weighted(b, out),) if weighted else out
    return f.name


def _weighted(b: Builder, values: Sequence[Value]) -> Value:
    whole = b.const(0.0, f64)
    for v in values:
        if isinstance(v.type, ArrayType):
            sizes = b.dims(v)
            weight = b.emit1(_s.convert, b.emit1(_a.iota, sizes[0], dims=v.type.dims[:1], dtype=i64), dtype=f64)
            weight = b.emit1(_a.broadcast, b.emit1(_s.sin, weight), *sizes, dims=v.type.dims, axes=(0,))
            v = b.emit1(_a.reduce_sum, b.emit1(_s.mul, v, weight), axes=tuple(range(len(sizes))))
        else:
            v = b.emit1(_s.mul, v, b.const(0.7, f64))
        whole = b.emit1(_s.add, whole, v)
    return whole


# --------------------------------------------------------------------------------------------------- checking


def copies(args: Sequence[Any]) -> list[Any]:
    return [np.array(x) if isinstance(x, np.ndarray) else x for x in args]


def difference(f: Callable[..., Any], args: Sequence[Any], k: int, eps: float = 1e-5) -> Any:
    """The central difference of `f` by its argument `k`, of fourth order."""

    def at(index: Any, by: float) -> float:
        moved = copies(args)
        if index is None:
            moved[k] = moved[k] + by
        else:
            moved[k][index] += by
        return float(f(*moved))

    def slope(index: Any) -> float:
        return (8 * (at(index, eps) - at(index, -eps)) - (at(index, 2 * eps) - at(index, -2 * eps))) / (12 * eps)

    if not isinstance(args[k], np.ndarray):
        return slope(None)
    out = np.zeros_like(args[k])
    for index in np.ndindex(out.shape):
        out[index] = slope(index)
    return out


def check(build: Callable[..., Any], types: Sequence[Type], args: Sequence[Any], *, order: int = 1,
          functions: Sequence[Define] = (), wrt: Sequence[int] | None = None, tolerance: float = 1e-6) -> list[Any]:
    """Compare gradients up to `order` with differences; give those of order 1."""
    wrt = [k for k, t in enumerate(types) if is_differentiable(t)] if wrt is None else wrt
    first: list[Any] = []
    for n in range(1, order + 1):
        below = program(build, types, functions, n - 1, wrt, gradient=False)
        found = run(program(build, types, functions, n, wrt), mine := copies(args))
        expected = [difference(lambda *xs, below=below: run(below, xs)[0], args, k) for k in wrt]
        for g, e in zip(found, expected, strict=True):
            scale = max(1.0, float(np.max(np.abs(e), initial=0.0)))
            np.testing.assert_allclose(np.asarray(g) / scale, np.asarray(e) / scale, atol=tolerance * 10 ** (n - 1), rtol=0)
        first = first or list(found)
        run(program(build, types, functions), theirs := copies(args))
        for x, y in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(x, y, err_msg="memory afterwards is not what the program leaves")
    return first


def check_forward(build: Callable[..., Any], types: Sequence[Type], args: Sequence[Any], functions: Sequence[Define] = (),
                  tolerance: float = 1e-5) -> None:
    """Compare forward derivatives, in a direction, with differences: of the program, and of a weighted sum of its gradient."""
    wrt = [k for k, t in enumerate(types) if is_differentiable(t)]
    random = np.random.default_rng(3)
    directions = [random.normal(size=np.shape(args[k])) if np.ndim(args[k]) else float(random.normal()) for k in wrt]
    for order in (0, 1):
        _, found = run(_along(build, types, functions, wrt, order), [*copies(args), *copies(directions)])
        below = program(build, types, functions, order, wrt, gradient=False)

        def at(by: float, below: Program = below) -> float:
            moved = copies(args)
            for k, d in zip(wrt, directions, strict=True):
                moved[k] = moved[k] + by * d
            return float(run(below, moved)[0])

        e = 1e-5
        expected = (8 * (at(e) - at(-e)) - (at(2 * e) - at(-2 * e))) / (12 * e)
        assert abs(found - expected) <= tolerance * max(1.0, abs(expected)), (order, found, expected)


def _along(build: Callable[..., Any], types: Sequence[Type], functions: Sequence[Define], wrt: Sequence[int],
           order: int) -> Program:
    """The derivative in a direction of the program (order 0), or of a weighted sum of its gradient (order 1)."""
    made = Program()
    b = Builder(made)
    with building(b):
        f = _primal(b, build, types, functions)
        f.body.results = f.body.results[:1]
        name = _gradient(b, f.name, wrt, weighted=True) if order else f.name
        all_types = [*types, *(types[k] for k in wrt)]
        mut = frozenset(k for k, t in enumerate(all_types) if isinstance(t, ArrayType))
        with b.function("along", all_types, mut=mut) as g:
            g.body.results = b.emit(_c.jvp, *g.body.params, callee=name, wrt=tuple(wrt), types=(f64,))
    made.entry = "along"
    made = Differentiate().run(made)
    verify(made)
    return made


__all__ = [name for name in globals() if not name.startswith("_")]
_ = Dim
