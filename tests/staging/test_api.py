"""The front door: derivatives, specialisations to look at, running plainly, pickling, threads, purity."""

from __future__ import annotations

import copy
import functools
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest

import lms
from lms import Array, Mut, Rep, f64, i64
from tests.support.specializations import specializations

BACKENDS = ["llvm", "interpret", "python"]


@lms.stage
def power(b: Rep[f64], n: int) -> Rep[f64]:
    """The power of a number."""
    if n == 0:
        return 1.0
    return b * power(b, n - 1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_back_ends_agree(backend):
    @lms.stage(backend=backend)
    def f(x, n: Rep[i64], a):
        s = 0.0
        for i in range(n):
            s += x * a[i % len(a)]
        return {"s": s, "a": a * s}

    out = f(2.0, 5, np.arange(3.0))
    assert out["s"] == 2 * (0 + 1 + 2 + 0 + 1)
    np.testing.assert_array_equal(out["a"], [0.0, 8.0, 16.0])


def test_a_back_end_that_is_not_there():
    with pytest.raises(lms.StagingError, match="no back end 'cuda'"):
        lms.stage(backend="cuda")


def test_it_looks_like_the_function():
    assert power.__name__ == "power" and power.__doc__ == "The power of a number." and repr(power) == "<staged power>"
    assert power.unstaged(2.0, 3) == 8.0


def test_every_stage_can_be_looked_at():
    s = power.specialize(n=3)
    assert "entry def power" in s.ir
    assert "def power(b):" in s.python
    assert "define" in s.llvm and ".text" in s.asm
    assert "digraph" in s.graph("dot") and "<html" in s.graph().lower()
    assert "lower" in s.plan()
    assert power.specialize(n=3) is s


# ------------------------------------------------------------------------------------------- derivatives


class Point(NamedTuple):
    x: float
    y: float


@dataclass
class Params:
    w: np.ndarray
    b: float
    n: int = 3


@pytest.mark.parametrize("backend", ["llvm", "interpret"])
def test_gradients_have_the_structure_of_the_argument(backend):
    @lms.stage(backend=backend)
    def f(p, k: int):
        return p["a"][0] * p["point"].x * p["point"].y * k + p["params"].b * p["params"].w.sum() * p["n"]

    p = {"a": (2.0,), "point": Point(3.0, 5.0), "params": Params(np.ones(2), 7.0), "n": 2}
    g = lms.grad(f)(p, 1)
    assert g["a"] == (15.0,) and g["point"] == Point(10.0, 6.0) and g["n"] is None
    assert isinstance(g["params"], Params) and g["params"].b == 4.0 and g["params"].n is None
    np.testing.assert_array_equal(g["params"].w, [14.0, 14.0])


def test_argnums_by_number_and_name():
    def f(x, y, z=3.0):
        return x * y * z

    assert lms.grad(f)(2.0, 5.0) == 15.0
    assert lms.grad(f, argnums=1)(2.0, 5.0) == 6.0
    assert lms.grad(f, argnums="z")(2.0, 5.0) == 10.0
    assert lms.grad(f, argnums=(0, "y"))(2.0, 5.0) == (15.0, 6.0)
    assert lms.grad(f, argnums=-1)(2.0, 5.0) == 10.0
    assert lms.value_and_grad(f)(2.0, 5.0) == (30.0, 15.0)


def test_has_aux():
    def f(x):
        return x * x, {"twice": 2 * x, "n": 3}

    assert lms.grad(f, has_aux=True)(3.0) == (6.0, {"twice": 6.0, "n": 3})
    assert lms.value_and_grad(f, has_aux=True)(3.0) == ((9.0, {"twice": 6.0, "n": 3}), 6.0)


@pytest.mark.parametrize("f, argnums, args, said", [
    (lambda n: n * 2.0, 0, (3,), "holds no float"),
    (lambda x, n: x * n, 1, (3.0, 2), "holds no float"),
    (power, 1, (3.0, 2), "holds no float"),
    (lambda x: x, 5, (3.0,), "no argument 5"),
    (lambda x: x * 2, 0, (np.ones(3),), "one float"),
    (lambda x: (x, x), 0, (1.0,), "one float"),
])
def test_what_cannot_be_differentiated(f, argnums, args, said):
    with pytest.raises(TypeError, match=said) as e:
        lms.grad(f, argnums=argnums)(*args)
    assert __file__ in str(e.value) and "^" in str(e.value)


def test_nested_derivatives():
    assert lms.grad(lambda x: x * lms.grad(lambda y: x + y)(x))(3.0) == 1.0
    assert lms.grad(lms.grad(lms.grad(lambda x: x**5)))(2.0) == 240.0
    assert lms.jvp(lms.grad(lambda x: x**3), (2.0,), (1.0,)) == (12.0, 12.0)


def test_jvp_and_vjp():
    assert lms.jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 0.5)) == (6.0, 4.0)
    assert lms.jvp(power, (2.0, 3), (1.0, None)) == (8.0, 12.0)
    a = np.arange(3.0)
    value, pull = lms.vjp(lambda x, a: x * a, 3.0, a)
    np.testing.assert_array_equal(value, [0.0, 3.0, 6.0])
    a[:] = 100.0  # the pullback has its own
    for _ in range(2):
        dx, da = pull(np.ones(3))
        assert dx == 3.0
        np.testing.assert_array_equal(da, [3.0, 3.0, 3.0])


def test_hvp_jacobian_hessian():
    x = np.arange(1.0, 4.0)
    np.testing.assert_allclose(lms.hvp(lambda x: (x**3).sum(), (x,), (np.ones(3),)), 6 * x)
    np.testing.assert_allclose(lms.jacobian(lambda x: x * x[0])(x), [[2, 0, 0], [2, 1, 0], [3, 0, 1]])
    np.testing.assert_allclose(lms.hessian(lambda x: (x**3).sum())(x), np.diag(6 * x))
    assert lms.jacobian(lambda x: x * x)(3.0) == 6.0
    assert lms.jacobian(lambda x: np.outer(x, x))(x).shape == (3, 3, 3)


def test_after_grad_memory_is_what_the_primal_leaves():
    @lms.stage
    def f(x, out: Mut[Array[f64, "n"]]):
        for i in range(len(out)):
            out[i] = x * x * i
        return out.sum()

    out = np.zeros(3)
    assert lms.grad(f)(2.0, out) == 12.0
    np.testing.assert_array_equal(out, [0.0, 4.0, 8.0])


# ----------------------------------------------------------------------------------------- running plainly


def test_unstaged():
    seen = []

    @lms.stage
    def f(x):
        seen.append(type(x))
        return x * 2

    with lms.unstaged():
        assert f(2.0) == 4.0
        assert lms.grad(lambda x: x * x)(3.0) == 6.0
    assert seen == [float]


def test_a_process_that_never_stages():
    code = "import lms; f = lms.stage(lambda x: type(x).__name__); print(f(2.0), lms.grad(lambda x: x * x)(3.0))"
    out = subprocess.run([sys.executable, "-c", code], env={**os.environ,
    "LMS_STAGE": "0"}, capture_output=True, text=True, check=False)
    assert out.stdout == "float 6.0\n", out.stderr


def test_functions_of_the_namespace_run_now_on_values_of_now():
    assert lms.exp(0.0) == 1.0 and lms.logsumexp(np.zeros(2)) == np.log(2)
    assert lms.cond(True, lambda: 1, lambda: 2) == 1
    assert list(lms.range(3)) == [0, 1, 2]


# ------------------------------------------------------------------------------- pickling, copies, threads


def test_pickling_hashing_copying():
    assert pickle.loads(pickle.dumps(power)) is power
    assert pickle.loads(pickle.dumps(lms.grad(power)))(2.0, 5) == 80.0
    assert pickle.loads(pickle.dumps(lms.grad(lms.grad(power), argnums=0)))(2.0, 3) == 12.0
    assert copy.copy(power) is power and copy.deepcopy([power])[0] is power
    assert len({power, power}) == 1


def test_the_first_call_from_several_threads_compiles_once():
    @lms.stage
    def f(x):
        return x * 3

    results = []
    threads = [threading.Thread(target=lambda: results.append(f(2.0))) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [6.0] * 8
    assert specializations(f) == 1


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes(method):
    assert power(2.0, 3) == 8.0
    with multiprocessing.get_context(method).Pool(1) as pool:
        if method == "fork":
            assert pool.starmap(power, [(2.0, 3), (3.0, 2)]) == [8.0, 9.0]


# ----------------------------------------------------------------------------------------------- purity


def test_check_pure():
    counter = Counter()

    def impure(x):
        counter["n"] += 1
        return x * counter["n"]

    with pytest.raises(lms.StagingError):
        lms.check_pure(impure, 1.0)
    lms.check_pure(power, 2.0, 3)
    lms.check_pure(lambda x: x[1:] + x[:-1], np.ones(3))


# ------------------------------------------------------------------------------------------- bad input


def test_the_next_good_call_succeeds():
    @lms.stage
    def f(a, i: Rep[i64]):
        return a[i]

    for _ in range(3):
        with pytest.raises(IndexError):
            f(np.ones(3), 5)
        assert f(np.ones(3), 2) == 1.0


def test_a_leaked_rep():
    """Refused where it is kept, if that is seen; else where it is used."""
    kept = []

    @lms.stage
    def seen(x):
        kept.append(x * 2)
        return x

    with pytest.raises(lms.StagingError, match="changes a list made outside"):
        seen(1.0)
    keep = functools.partial(kept.append)

    @lms.stage
    def unseen(x):
        keep(x * 2)
        return x

    assert unseen(1.0) == 1.0
    with pytest.raises(lms.StagingError, match="a staged value is used, but no program is being staged") as e:
        kept[0] + 1
    assert __file__ in str(e.value)
    with pytest.raises(lms.StagingError, match="is used outside the block that made it"):
        lms.stage(lambda y: y + kept[0])(1.0)


def test_a_rep_as_a_python_bool_where_there_is_no_source():
    f = eval("lambda x: 1.0 if x > 0 else 2.0")
    with pytest.raises(lms.StagingError, match=r"lms\.cond"):
        lms.stage(f)(1.0)


def test_arguments_that_are_no_arrays():
    @lms.stage
    def f(x: Rep[Array[f64, "n"]]):
        return x.sum()

    for wrong in ("text", None, object(), [1.0], {"a": 1.0}, 1.0):
        with pytest.raises(TypeError) as e:
            f(wrong)
        assert __file__ in str(e.value) and "^" in str(e.value)
    assert f(np.ones(2)) == 2.0


def test_tracebacks_hold_no_frame_of_ours():
    import traceback

    @lms.stage
    def f(x):
        return x @ 3

    with pytest.raises(TypeError) as e:
        f(np.ones(3))
    files = {frame.filename for frame in traceback.extract_tb(e.value.__traceback__)}
    assert not [name for name in files if "/staging/" in name and "tests" not in name]


def test_debugging_checks_every_specialisation(monkeypatch):
    monkeypatch.setenv("LMS_DEBUG", "1")
    state = {"n": 0}

    class Impure:
        @property
        def scale(self):
            state["n"] += 1
            return state["n"]

    thing = Impure()
    with pytest.raises(lms.StagingError, match="twice gave two programs"):
        lms.stage(lambda x: x * thing.scale)(1.0)
    assert power(2.0, 6) == 64.0


def test_a_function_is_staged_once_and_goes_with_its_staged_form():
    import gc
    import weakref

    def make():
        def f(x):
            return x * x

        assert lms.grad(f)(3.0) == 6.0 and lms.jvp(f, (3.0,), (1.0,)) == (9.0, 6.0)
        return weakref.ref(f)

    gone = make()
    gc.collect()
    assert gone() is None


def test_calls_that_were_made_before():
    table = np.arange(3.0)

    @lms.stage
    def f(x, n: int, flag: bool, name: str = "a"):
        return {"sum": x * table.sum() * n, "flag": flag, "name": name}

    assert f(2.0, 3, True) == {"sum": 18.0, "flag": True, "name": "a"}
    for _ in range(3):
        assert f(2.0, 3, True) == {"sum": 18.0, "flag": True, "name": "a"}
        assert f(4.0, 1, False, "b") == {"sum": 12.0, "flag": False, "name": "b"}
    table += 1
    assert f(2.0, 3, True)["sum"] == 36.0
    np.testing.assert_array_equal(f(np.ones(2), 1, True)["sum"], [6.0, 6.0])
    np.testing.assert_array_equal(f(np.ones((1, 2)), 1, True)["sum"], [[6.0, 6.0]])
    np.testing.assert_array_equal(f(np.ones(2, np.float32), 1, True)["sum"].dtype, np.float64)
    with pytest.raises(TypeError):
        f("text", 1, [])
    assert f(2, 3, True)["sum"] == 36.0
