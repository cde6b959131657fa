"""Contraction and sorting in native code: every form of `contract_into`, by loops and by BLAS, and stable order with nan last."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lms.core import primitives as p
from lms.core.builder import Builder
from lms.core.ir import Program
from lms.core.types import SCALARS, ArrayType, Scalar, c128, f32, f64, i64, symbol, u8

SPECS = ["ik,kj->ij", "ki,kj->ij", "ik,jk->ij", "ki,jk->ij", "ik,kj->ji", "ij,j->i", "ji,j->i", "j,ij->i", "i,j->ij",
         "bik,bkj->bij",
         "bik,bkj->ijb", "ikl,lkj->ij", "ij,ij->i", "ij,i->ij", "ik,kj->j", "abik,kbj->abij", "ij,kl->ijkl"]


def contraction(spec: str, dtype: Scalar, layout: Any, accumulate: bool, sizes: dict[str, int] | None) -> Program:
    left, rest = spec.split(",")
    right, out = rest.split("->")
    types = [ArrayType(dtype, tuple(sizes[x] if sizes else symbol(x) for x in letters), layout) for letters in (out, left, right)]
    program = Program(entry="f")
    b = Builder(program)
    with b.function("f", types, mut=frozenset([0])) as f:
        b.emit(p.array.contract_into, *f.body.params, spec=(left, right, out), accumulate=accumulate)
    return program


def strided(x: np.ndarray, kind: str) -> np.ndarray:
    """The same values with other strides."""
    if kind == "F":
        return np.array(x, order="F")
    wide = np.zeros([2 * k + 1 for k in x.shape], x.dtype)
    back = [slice(k - 1, None, -1) if k else slice(0, 0) for k in x.shape]
    view = wide[tuple([slice(1, 2 * k + 1, 2) for k in x.shape] if kind == "gaps" else back)]
    view[...] = x
    return view


@pytest.mark.parametrize("dtype", [f64, f32, c128, i64, u8], ids=str)
@pytest.mark.parametrize("spec", SPECS)
def test_contraction(spec: str, dtype: Scalar, native: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    letters = sorted(set(spec) - set(",->"))
    left, right, out = spec.replace("->", ",").split(",")
    for layout, accumulate in (("C", False), ("S", True), ("S", False)):
        f = native(contraction(spec, dtype, layout, accumulate, None))
        for round_ in range(6):
            size = {x: int(rng.integers(0 if round_ < 2 else 1, 5 if round_ < 4 else 9)) for x in letters}
            c, a, b = (rng.integers(0, 9, size=[size[x] for x in word]).astype(dtype.dtype) for word in (out, left, right))
            expected = np.einsum(spec, a, b) + (c if accumulate else 0)
            for kind in ("C",) if layout == "C" else ("F", "gaps", "back"):
                mine = c.copy() if kind == "C" else strided(c, kind)
                f(mine, *((a, b) if kind == "C" else (strided(a, kind), strided(b, kind))))
                np.testing.assert_array_equal(mine, expected.astype(dtype.dtype), err_msg=f"{size} {kind}")


def test_blas_or_loops(native: Callable[..., Any]) -> None:
    small = native(contraction("ik,kj->ij", f64, "C", False, {"i": 4, "k": 4, "j": 4}))
    assert "@lms_gemm" not in small.text
    large = native(contraction("ik,kj->ij", f64, "C", False, None))
    assert "call void @lms_gemm_f64(" in large.text
    rng = np.random.default_rng(1)
    for f, k in ((small, 4), (large, 70)):
        a, b, c = (rng.normal(size=(k, k)) for _ in range(3))
        f(c, a, b)
        np.testing.assert_allclose(c, a @ b, rtol=1e-12)


@pytest.mark.parametrize("dtype", [f64, f32], ids=str)
@pytest.mark.parametrize("spec", ["ik,kj->ij", "ki,kj->ij", "ik,jk->ij", "ki,jk->ij", "ik,kj->ji"])
def test_small_products(spec: str, dtype: Scalar, native: Callable[..., Any]) -> None:
    """Around every width of vector and every number of rows; what lies beside the result stays."""
    rng = np.random.default_rng(3)
    left, right, out = spec.replace("->", ",").split(",")
    for accumulate in (False, True):
        f = native(contraction(spec, dtype, "S", accumulate, None))
        for n in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 64, 70):
            size = {"i": int(rng.integers(1, 12)), "k": int(rng.integers(1, 12)), "j": n}
            wide, a, b = (rng.integers(0, 9, size=[size[x] + 3 for x in word]).astype(dtype.dtype) for word in (out, left, right))
            c, a, b = (x[1:-2, 1:-2] for x in (wide, a, b))
            expected = wide.copy()
            expected[1:-2, 1:-2] = np.einsum(spec, a, b) + (c if accumulate else 0)
            f(c, a, b)
            np.testing.assert_array_equal(wide, expected, err_msg=f"{size}")


_UNTIL_IT_IS_LARGE = """
import sys
import numpy as np
import lms

f = lms.stage(lambda x, y: x @ y)
x = np.ones((32, 32))
assert (f(x, x) == 32).all() and "scipy" not in sys.modules
if sys.argv[1:]:
    sys.modules["scipy.linalg.cython_blas"] = None
x = np.ones((50, 50))
assert (f(x, x) == 50).all()
"""


@pytest.mark.parametrize("broken", [False, True])
def test_scipy_is_loaded_for_the_first_large_product(broken: bool) -> None:
    """Where it cannot be, that is said, and the product is one of loops."""
    ran = subprocess.run([sys.executable, "-c", _UNTIL_IT_IS_LARGE, *["broken"] * broken], text=True, check=True,
                         stderr=subprocess.PIPE)
    assert ("_find" in ran.stderr) == broken, ran.stderr


@pytest.mark.parametrize("dtype", [t for t in SCALARS.values() if not t.is_complex], ids=str)
def test_argsort(dtype: Scalar, native: Callable[..., Any]) -> None:
    program = Program(entry="f")
    b = Builder(program)
    n = symbol("n")
    with b.function("f", [ArrayType(i64, (n,)), ArrayType(dtype, (n,), "S")], mut=frozenset([0])) as f:
        b.emit(p.array.argsort_into, *f.body.params)
    sort = native(program)
    rng = np.random.default_rng(2)
    for k in (0, 1, 2, 3, 10, 63, 64, 65, 1000):
        keys = rng.integers(0, 40, size=k).astype(dtype.dtype)
        special = [-3.5, 0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1e-40, -1e30] if dtype.is_float else \
            [np.iinfo(dtype.dtype).min, np.iinfo(dtype.dtype).max] if dtype.is_int else []
        for value in special * (k > 3):
            keys[rng.integers(0, k, 3)] = value
        for view in (keys, np.repeat(keys, 3)[::3], keys[::-1]):
            out = np.zeros(k, np.int64)
            sort(out, view)
            np.testing.assert_array_equal(out, np.argsort(view, kind="stable"))
