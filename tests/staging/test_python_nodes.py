"""A program for every row of docs/python.md: each node of `ast` is staged, runs now, or is an error; and its gradient."""

from __future__ import annotations

import ast
import inspect
import math
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lms
from lms import Rep, f64, i64
from lms.core.errors import StagingError
from tests.support.differential import agrees, refused

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
CALLS = [(x, n) for x in (-1.25, 0.5, 1.375, 4.0) for n in (0, 1, 3, 6)]  # exact in binary, however it is summed

Program = Callable[..., Any]
PROGRAMS: dict[str, Program] = {}
EXCEPT = {"Module", "Interactive", "Expression", "FunctionType", "TypeIgnore"}  # what no function contains

scale = 2.0


def shows(*nodes: str) -> Callable[[Program], Program]:
    """The decorated function is the program for these rows."""

    def register(f: Program) -> Program:
        PROGRAMS.update(dict.fromkeys(nodes, f))
        return f

    return register


# ------------------------------------------------------------------------------------------ the programs


@shows("FunctionDef", "arguments", "arg", "keyword", "Starred", "Call", "Return", "Lambda", "Expr", "Constant", "Name", "Load")
def functions(x: Rep[f64], n: Rep[i64]):
    """A function inside."""

    def power(y, *rest, k=2, **more):
        if y > 3:
            return y
        return y**k + sum(rest) + more["z"]

    return power(x, *[x, 1.0], k=3, z=x) * (lambda v: v if v > 0 else -v)(x)


@shows("Store", "Assign", "AugAssign", "AnnAssign", "Tuple", "List", "Subscript", "Attribute", "Slice", "Delete", "Del", "Dict")
def assignments(x: Rep[f64], n: Rep[i64]):
    a: float = 1.0
    a, (b, *c) = x, [a, x * 2, 3.0]
    d = {"a": a, **{"b": b}}
    e = np.zeros(4)
    e[1:3] = x
    e[n % 4] += b
    e[-1] -= d["b"]
    e *= 2.0
    del d["a"], b
    return e.sum() + c[1] + len(d) + e[0:2].sum() + e.shape[0]


@shows("If", "IfExp", "BoolOp", "And", "Or", "Not", "Compare", "Gt", "GtE", "Lt", "LtE", "Eq", "NotEq", "In", "NotIn", "Is",
       "IsNot", "Pass")
def choices(x: Rep[f64], n: Rep[i64]):
    y = 0
    if x > 1 and not n == 0 or n in (1, 3):
        y = x * x
    elif 0 <= x < 3 != n:
        y = -x
    elif n not in [6]:
        pass
    else:
        y = x if x is not None and n <= 6 else 1.0
    return y if y is None or y >= 0 else y * 2


@shows("For", "Continue", "Break")
def for_loops(x: Rep[f64], n: Rep[i64]):
    s = 1.0
    for i in range(n):
        if i == 1:
            continue
        for k in range(2):
            s = s * x + k
        if s > 40:
            break
    else:
        s = s + x
    return s


@shows("While", "NamedExpr")
def while_loops(x: Rep[f64], n: Rep[i64]):
    s = x
    while (t := s * s) < 30 and n > 0:
        s = s + t / 4 + 1
        n -= 1
    return s * t


@shows("BinOp", "Add", "Sub", "Mult", "Div", "Pow", "UnaryOp", "USub", "UAdd", "Mod", "FloorDiv")
def arithmetic(x: Rep[f64], n: Rep[i64]):
    return +x * 2 - (-x) / 3 + x**3 + x % 7 + x // 2 + n // 2 % 2


@shows("BitAnd", "BitOr", "BitXor", "Invert", "LShift", "RShift")
def bits(x: Rep[f64], n: Rep[i64]):
    return (n & 5 | 8 ^ ~n) + (n << 2) + (n >> 1)


@shows("MatMult")
def matmul(x: Rep[f64], n: Rep[i64]):
    w = np.ones((3, 2)) * x
    return (np.ones(3) @ w).sum()


@shows("ListComp", "comprehension", "GeneratorExp")
def comprehensions(x: Rep[f64], n: Rep[i64]):
    table = [x * i for i in range(n)]
    rows = [[x + i * j for j in range(3)] for i in range(n)]
    now = [x * k for k in (1, 2, 3) if k % 2]
    return sum(table) + sum(now) + sum(x * i for i in range(n)) + sum([sum(row) for row in rows])


@shows("SetComp", "DictComp", "Set")
def comprehensions_of_now(x: Rep[f64], n: Rep[i64]):
    d = {k: x * k for k in range(3)}
    return d[2] * len({k % 2 for k in range(5)} | {1, 7})


@shows("Match", "match_case", "MatchValue", "MatchAs", "MatchOr", "MatchClass")
def matches(x: Rep[f64], n: Rep[i64]):
    match n:
        case 0:
            return x
        case 1 | 2:
            return x * x
        case int(k) if k > 5:
            return x * k
        case _:
            return -x


@shows("MatchSequence", "MatchStar", "MatchMapping", "MatchSingleton")
def matches_of_now(x: Rep[f64], n: Rep[i64]):
    match {"a": [1, 2, 3], "b": None}:
        case {"a": [first, *rest], "b": None, **more}:
            return x * first + len(rest) + len(more)
    return x


@shows("Assert", "Raise", "JoinedStr", "FormattedValue")
def errors_of_later(x: Rep[f64], n: Rep[i64]):
    assert n < 6, f"{n} is {x:.1f}"
    if x > 3:
        raise ValueError(f"x = {x!r:>8}")
    return x * x


@shows("Try", "ExceptHandler")
def tries(x: Rep[f64], n: Rep[i64]):
    try:
        k = {"a": 1}["b"]
    except KeyError:
        k = 2
    finally:
        x = x + 1
    return x * k


@shows("Import", "ImportFrom", "alias")
def imports(x: Rep[f64], n: Rep[i64]):
    import math as m
    from math import cos

    return m.sin(x) + cos(x)


@shows("Nonlocal")
def nonlocals(x: Rep[f64], n: Rep[i64]):
    k = 0

    def count():
        nonlocal k
        k += 1

    count()
    count()
    return x * k


@shows("Global")
def globals_are_read(x: Rep[f64], n: Rep[i64]):
    global scale
    return x * scale


@shows("ClassDef")
def classes(x: Rep[f64], n: Rep[i64]):
    class Scaled:
        def __init__(self, k):
            self.k = k

        def __call__(self, y):
            return y * self.k if y > 0 else y

    return Scaled(x)(x + 1)


@shows("AsyncFunctionDef", "Await", "AsyncFor", "AsyncWith")
async def asynchronous(x: Rep[f64], n: Rep[i64]):
    async with x:
        async for _ in x:
            await x


@shows("Yield", "YieldFrom")
def generators(x: Rep[f64], n: Rep[i64]):
    yield x
    yield from (x * 2, x * 3)


@shows("With", "withitem")
def with_(x: Rep[f64], n: Rep[i64]):
    with np.errstate(all="ignore"):
        return x


@shows("TryStar")
def try_star(x: Rep[f64], n: Rep[i64]):
    try:
        return x
    except* ValueError:
        x = x + 1
    return x


# -------------------------------------------------------------------------------------------- the table


@dataclass(frozen=True)
class Row:
    node: str
    stage: str
    gradient: str


def rows() -> Iterator[Row]:
    for line in PAGE.read_text().splitlines():
        if found := re.match(r"\| `(\w+)` \|[^|]*\| (\w[\w ]*) \| ([^|]+) \|", line.replace(r"\|", "or")):
            yield Row(found[1], found[2], found[3].strip())


ROWS = list(rows())


def nodes() -> set[str]:
    """Every node of the `ast` module that is not an alias kept for old programs."""
    def leaves(cls: type) -> Iterator[type]:
        for sub in cls.__subclasses__():
            if sub.__subclasses__() and sub is not ast.Constant:
                yield from leaves(sub)
            else:
                yield sub

    old = {"Num", "Str", "Bytes", "NameConstant", "Ellipsis", "Index", "ExtSlice", "Suite", "AugLoad", "AugStore", "Param",
           "slice"}
    return {c.__name__ for c in leaves(ast.AST) if c.__module__ in ("ast", "_ast")} - old


NEWER = {"TypeAlias", "TypeVar", "ParamSpec", "TypeVarTuple", "TemplateStr", "Interpolation"}  # than Python 3.11


def test_the_table_has_a_row_for_every_node():
    assert {r.node for r in ROWS} == nodes() - NEWER
    assert len(ROWS) == len({r.node for r in ROWS})


def test_every_row_has_a_program():
    assert set(PROGRAMS) == {r.node for r in ROWS} - EXCEPT
    assert all(issubclass(getattr(ast, name), ast.mod | ast.type_ignore) for name in EXCEPT)
    for name, f in PROGRAMS.items():
        body = ast.parse(textwrap.dedent(inspect.getsource(f))).body[0]
        assert any(isinstance(n, getattr(ast, name)) for n in ast.walk(body)), name


@pytest.mark.parametrize("row", [r for r in ROWS if r.node not in EXCEPT], ids=lambda r: r.node)
def test_row(row):
    f = PROGRAMS[row.node]
    assert row.stage in ("later", "now", "error")
    if row.stage == "error":
        e = refused(f, 1.0, 1)
        assert isinstance(e, StagingError) and e.span is not None and e.fix
        assert row.gradient == "-"
    else:
        agrees(f, *CALLS)
        assert row.gradient in ("yes", "zero", "-")


DIFFERENTIATED = dict.fromkeys(PROGRAMS[r.node] for r in ROWS if r.stage in ("later", "now"))


def central(f: Program, x: float, n: int, h: float = 1e-6) -> float:
    return (f(x + h, n) - f(x - h, n)) / (2 * h)


@pytest.mark.parametrize("f", DIFFERENTIATED, ids=lambda f: f.__name__)
def test_gradient(f):
    """Of the program of every row that is no error: in both modes, of first and second order."""

    def g(x: Rep[f64], n: Rep[i64]):
        return f(x, n) * x  # some give ints

    dg = lms.grad(g)
    along = lms.stage(lambda x, n: lms.jvp(g, (x, n), (1.0, None)))
    twice = lms.stage(lambda x, n: (lms.hvp(g, (x, n), (1.0, None))[0], lms.grad(lms.grad(g))(x, n)))
    interpreted = lms.grad(lms.stage(backend="interpret")(g))
    for x, n in [(1.3, 3), (0.5, 1), (-1.25, 3), (1.45, 0)]:
        slope = dg(x, n)
        assert math.isclose(slope, central(g, x, n), rel_tol=1e-6, abs_tol=1e-6), (x, n)
        assert math.isclose(interpreted(x, n), slope, rel_tol=1e-12, abs_tol=1e-12), (x, n)
        value, moved = along(x, n)
        assert math.isclose(value, g(x, n), rel_tol=1e-12) and math.isclose(moved, slope, rel_tol=1e-12, abs_tol=1e-12), (x, n)
        for second in twice(x, n):
            assert math.isclose(second, central(dg, x, n), rel_tol=1e-6, abs_tol=1e-6), (x, n)


ZERO = {
    "FloorDiv": lambda x, n: x // 0.75 + n // 2, "Invert": lambda x, n: ~n * 1.0 + 0 * x, "BitAnd": lambda x, n: (n & 3) + 0 * x,
    "BitOr": lambda x, n: (n | 4) + 0 * x, "BitXor": lambda x, n: (n ^ 5) + 0 * x, "LShift": lambda x, n: (n << 2) + 0 * x,
    "RShift": lambda x, n: (n >> 1) + 0 * x,
}


@pytest.mark.parametrize("row", [r for r in ROWS if r.gradient == "zero"], ids=lambda r: r.node)
def test_zero(row):
    f = ZERO[row.node]
    assert lms.grad(f)(1.3, 5) == 0.0 and lms.jvp(f, (1.3, 5), (1.0, None))[1] == 0.0
