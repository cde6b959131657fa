"""For every primitive, operands it takes: the rows of the table made concrete, for tests that go over all of them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lms.core.errors import LmsError
from lms.core.ir import Program, Value
from lms.core.primitives import PRIMITIVES, Primitive, linalg
from lms.core.primitives.record import Record
from lms.core.types import SCALARS, ArrayType, Scalar, SumType, Type, bool_, f64, fresh_symbol, i64, scalar_of

from .build import Emit
from .programs import BAG, TREE

CONTROL = {"if", "for", "while", "call", "vjp", "jvp"}


@dataclass(frozen=True)
class Row:
    """A primitive with operands and attributes."""

    op: Primitive
    args: tuple[Any, ...]
    attrs: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.op}({', '.join(map(str, self.types))})"

    @property
    def types(self) -> tuple[Type, ...]:
        return tuple(map(type_of, self.args))

    def fresh(self) -> tuple[Any, ...]:
        return tuple(a.copy() if isinstance(a, np.ndarray) else a for a in self.args)

    @property
    def written(self) -> frozenset[int]:
        return frozenset((*self.op.effect.writes, *self.op.effect.accumulates))

    def program(self) -> Program:
        """A function that runs the operation on its parameters and gives its results."""
        e = Emit()
        with e.function("row", *self.types, mut=self.written) as f:
            f.body.results = results = e.b.emit(self.op, *f.body.params, **self.attrs)
            assert all(isinstance(v, Value) for v in results)
        return e.program


def type_of(value: Any) -> Type:
    if isinstance(value, Record):
        return value.type
    dtype = scalar_of(value.dtype)
    return ArrayType(dtype, value.shape) if isinstance(value, np.ndarray) else dtype


def sampled(op: Primitive, t: Scalar, size: int | None, seed: int) -> Any:
    """A number, or a vector of numbers, the row's domain allows."""
    random = np.random.default_rng(seed)
    n = size or 1
    x: Any
    if t.kind == "b":
        x = random.random(n) < 0.5
    elif t.is_int:
        x = random.integers(1, 7, n)
    else:
        lo, hi = op.domain
        x = random.uniform(lo, hi, n)
        if t.is_complex:
            x = x + 1j * random.uniform(lo, hi, n)
    x = np.asarray(x).astype(t.dtype)
    return x[0] if size is None else x


def _elementwise(op: Primitive) -> Iterator[Row]:
    """The element types the type rule accepts, as scalars and as vectors, found by asking it."""
    attrs: list[dict[str, Any]] = [{"dtype": s} for s in SCALARS.values()] if op.name == "convert" else [{}]
    first = (bool_,) if op.name == "select" else ()
    for t in (SCALARS[name] for name in ("bool", "i8", "i64", "u8", "u64", "f32", "f64", "c64", "c128")):
        for n in (1, 2, 3):
            kinds = (*first, *[t] * (n - len(first)))
            for each in attrs:
                try:
                    op.type(kinds, each)
                except LmsError:
                    continue
                for size in (None, 3):
                    yield Row(op, tuple(sampled(op, k, size, seed) for seed, k in enumerate(kinds)), each)


def _i(*values: int) -> tuple[Any, ...]:
    return tuple(map(np.int64, values))


X = np.array([0.5, -1.5, 2.0])
M = np.arange(6.0).reshape(2, 3)
IDX = np.array([2, 0])
SQUARE = np.array([[0.5, 2.0, -1.0], [1.5, -0.5, 0.3], [0.7, 1.1, 2.5]])
STACK = np.stack([SQUARE, SQUARE.T + np.eye(3)])
SYMMETRIC = SQUARE @ SQUARE.T + np.diag([1.0, 2.0, 3.0])
TALL = SQUARE[:, :2].copy()
SYSTEMS = (SQUARE, M.T.copy()), (STACK, STACK[:, :, :1].copy())
FACTORS: Any = linalg.lu.eager
LEAF = Record(TREE, 0, (np.float64(1.5),))


def twice(x: Any) -> Any:
    """What `py_call` calls."""
    return 2 * x


ROWS: dict[str, list[tuple[tuple[Any, ...], dict[str, Any]]]] = {
    "const": [((), {"value": v, "type": t}) for v, t in (
        (True, bool_), (-3, SCALARS["i8"]), (2**64 - 1, SCALARS["u64"]), (-2**63, i64), (0.1, f64), (-0.0, f64), (math.inf, f64),
        (np.float32(0.1).item(), SCALARS["f32"]), (1e-45, SCALARS["f32"]), (complex(-0.0, 1.5), SCALARS["c128"]))],
    "dim": [((M,), {"axis": 1})],
    "empty": [(_i(*dims), {"dims": dims, "dtype": t}) for dims, t in (((2, 3), f64), ((2,), TREE), ((), i64))],
    "broadcast": [((x, *_i(2, 3)), {"dims": (2, 3), "axes": axes}) for x, axes in (
        (np.float64(2.0), ()), (X, (1,)), (X[:2], (0,)), (M[:, :1].copy(), (0, 1)))],
    "iota": [(_i(4), {"dims": (4,), "dtype": i64}), (_i(4), {"dims": (4,), "dtype": f64})],
    "copy": [((M,), {})],
    "grow": [((M, *_i(3)), {"dims": (3,)}), ((M, *_i(1)), {"dims": (1,)})],
    "load": [((M, *_i(1, 2)), {}), ((IDX, *_i(0)), {})],
    "store": [((M, np.float64(7.0), *_i(1, 2)), {})],
    "accumulate": [((M, np.float64(7.0), *_i(1, 2)), {})],
    "assign": [((M, -M), {})],
    "add_into": [((M, -M), {})],
    "index": [(_i(-1, 3), {}), ((np.array([-1, 2]), np.int64(3)), {})],
    "view": [((a, *_i(*operands)), {"spec": spec, "dims": dims}) for a, operands, spec, dims in (
        (M, (1,), (("at",), ("all",)), (3,)), (M, (1, 2), (("at",), ("at",)), ()), (M, (2, 3), (("all",), ("slice", -1)), (2, 3)),
        (X, (0, 2), (("slice", 2),), (2,)), (X, (), (("new",), ("all",)), (1, 3)), (X, (1, 0), (("slice", 1),), (0,)),
        (X, (2, 0), (("slice", -1),), (0,)))],
    "transpose": [((M,), {"perm": (1, 0)}), ((M.reshape(1, 2, 3),), {"perm": (2, 0, 1)})],
    "reshape": [((M, *_i(3, 2)), {"dims": (3, 2)}), ((M, *_i(6)), {"dims": (6,)})],
    **{f"reduce_{name}": [((M,), {"axes": (0,)}), ((M,), {"axes": (0, 1)}), ((M.astype(np.int32),), {"axes": (1,)})]
       for name in ("sum", "prod", "max", "min")},
    **{f"reduce_{name}": [((M > 2,), {"axes": (0,)}), ((M > 2,), {"axes": (0, 1)})] for name in ("any", "all")},
    "logsumexp": [((M,), {"axes": (0,)}), ((M,), {"axes": (0, 1)}), ((X,), {"axes": (0,)})],
    **{name: [((M,), {"axis": 1}), ((X,), {"axis": 0})] for name in ("argmax", "argmin")},
    "cumsum": [((M,), {"axis": 1}), ((np.array([100, 100], np.int8),), {"axis": 0})],
    "contract": [((a, b), {"spec": spec}) for a, b, spec in (
        (M, X, ("ij", "j", "i")), (M, M, ("ij", "kj", "ik")), (X, X, ("i", "i", "")), (X, X, ("i", "j", "ji")),
        (M, M.T.copy(), ("ij", "jk", "ik")), (X, M, ("j", "ij", "i")))],
    "contract_into": [((np.ones(2), M, X), {"spec": ("ij", "j", "i"), "accumulate": a}) for a in (False, True)],
    "concatenate": [((X, X[:2]), {"axis": 0, "dims": (5,)}), ((M, M), {"axis": 1, "dims": (2, 6)})],
    "take": [((X, IDX), {"axis": 0}), ((M, IDX), {"axis": 1}), ((M, np.array([[0, 1], [1, 0]])), {"axis": 0})],
    "put": [((X, np.array([2, 2]), np.array([5.0, 6.0])), {"axis": 0}), ((M, IDX, -M[:, :2]), {"axis": 1})],
    "add_at": [((X, np.array([2, 2]), np.array([5.0, 6.0])), {"axis": 0}), ((M, IDX, -M[:, :2]), {"axis": 1})],
    "take_along": [((M, np.array([[2, 0], [1, 1]])), {"axis": 1})],
    "add_along": [((M, np.array([[2, 0], [1, 1]]), np.ones((2, 2))), {"axis": 1})],
    "argsort": [((X,), {"axis": 0}), ((-M,), {"axis": 1})],
    "argsort_into": [((np.zeros(3, np.int64), X), {})],
    "nonzero": [((X > 0,), {"dims": (2,)})],
    "lu": [((SQUARE,), {}), ((STACK,), {})],
    "solve": [((a, *FACTORS(a), b), {"transposed": t}) for a, b in SYSTEMS
              for t in (False, True)],
    **{name: [((a, *FACTORS(a)), {}) for a in (SQUARE, STACK)] for name in ("det", "logdet")},
    "triangular": [((a, b), {"lower": lower, "transposed": t, "unit": t}) for a, b in SYSTEMS
                   for t in (False, True) for lower in (False, True)],
    "cholesky": [((SYMMETRIC,), {}), ((SYMMETRIC * np.array([1.0, 2.0]).reshape(2, 1, 1),), {})],
    "eigh": [((SYMMETRIC,), {}), ((SYMMETRIC * np.array([1.0, 2.0]).reshape(2, 1, 1),), {})],
    "svd": [((a, *_i(min(a.shape[-2:]))), {"dims": (min(a.shape[-2:]),), "full": full}) for a, full in (
        (TALL, False), (TALL.T.copy(), False), (SQUARE, True), (STACK, False))],
    "qr": [((a, *_i(min(a.shape[-2:]))), {"dims": (min(a.shape[-2:]),)}) for a in (TALL, SQUARE, STACK)],
    "pinv": [((a, np.linalg.pinv(a)), {}) for a in (TALL, SQUARE, STACK)],
    "lu_into": [((np.zeros((3, 3)), np.zeros(3, np.int64), SQUARE.T.copy()), {})],
    "triangular_into": [((np.zeros((3, 2)), M.T.copy(), SQUARE), {"lower": True, "transposed": False, "unit": False})],
    "cholesky_into": [((np.zeros((3, 3)), SYMMETRIC), {})],
    "eigh_into": [((np.zeros(3), np.zeros((3, 3)), SYMMETRIC), {})],
    "svd_into": [((np.zeros((2, 3)), np.zeros(2), np.zeros((2, 2)), TALL.T.copy()), {"full": False})],
    "qr_into": [((np.zeros((3, 2)), np.zeros((2, 2)), TALL), {})],
    "construct": [((np.float64(2.0),), {"type": TREE, "tag": 0}), ((LEAF, LEAF), {"type": TREE, "tag": 1}),
                  ((), {"type": BAG, "tag": 0})],
    "tag": [((LEAF,), {})],
    "project": [((LEAF,), {"tag": 0, "field": 0}),
                ((Record(BAG, 1, (X, Record(BAG, 0, ()))),), {"tag": 1, "field": 0, "dims": (fresh_symbol(),)})],
    "check": [((np.True_, np.int64(3)), {"error": "ValueError", "message": "not {{this}}: {}"})],
    "print": [((np.float64(1.5), np.int64(2)), {"template": "x = {}, k = {}", "end": "\n"})],
    "py_call": [((x,), {"function": twice, "types": (type_of(x),)}) for x in (X, np.float64(2.0))],
}


def rows() -> list[Row]:
    """Every primitive but control, with every kind of operand worth a test."""
    found = list[Row]()
    for name, op in PRIMITIVES.items():
        if op.elementwise:
            found += _elementwise(op)
        else:
            found += [Row(op, args, attrs) for args, attrs in ROWS.get(name, ())]
    return found


def shaped_as(value: Any, t: Type) -> bool:
    """Whether a NumPy value or `Record` is of a type; symbolic dimensions are any."""
    if isinstance(t, SumType):
        return isinstance(value, Record) and value.type == t
    assert isinstance(t, Scalar | ArrayType)
    dtype = t if isinstance(t, Scalar) else t.dtype
    dims = t.dims if isinstance(t, ArrayType) else ()
    found = np.asarray(value)
    return found.ndim == len(dims) and all(d == n or not isinstance(d, int) for d, n in zip(dims, found.shape, strict=True)) and (
        found.dtype == (dtype.dtype if isinstance(dtype, Scalar) else object))
