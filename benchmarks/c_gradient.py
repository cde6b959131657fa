"""The gradient of a logistic regression: the C we print, C written by hand, and native code, with and without vector math."""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np

import lms
from lms import Array, Rep, f64
from lms.backends import c
from lms.backends.c.build import build, compiler, shared_suffix

from .measure import Case

N, M = 2000, 50

HAND = """
#include <math.h>
#include <stdint.h>

void by_hand(int64_t n, int64_t m, const double *restrict w, const double *restrict x, const double *restrict y,
             double *restrict dw) {
    for (int64_t j = 0; j < m; j++) dw[j] = 0.0;
    for (int64_t i = 0; i < n; i++) {
        double z = 0.0;
        for (int64_t j = 0; j < m; j++) z += x[i * m + j] * w[j];
        double e = exp(-y[i] * z);
        double d = 1.0 / (double)n / (1.0 + e) * e * -y[i];
        for (int64_t j = 0; j < m; j++) dw[j] += d * x[i * m + j];
    }
}
"""


def loops(w: Rep[Array[f64, "m"]], x: Rep[Array[f64, "n", "m"]], y: Rep[Array[f64, "n"]]) -> Rep[f64]:
    s = 0.0
    for i in lms.range(x.shape[0]):
        z = 0.0
        for j in lms.range(x.shape[1]):
            z += x[i, j] * w[j]
        s += np.log1p(np.exp(-y[i] * z))
    return s / x.shape[0]


def arrays(w: Rep[Array[f64, "m"]], x: Rep[Array[f64, "n", "m"]], y: Rep[Array[f64, "n"]]) -> Rep[f64]:
    return np.mean(np.log1p(np.exp(-y * (x @ w))))


def cases() -> Iterator[Case]:
    if compiler() is None:
        return
    rng = np.random.default_rng(0)
    w, x, y = rng.normal(size=M), rng.normal(size=(N, M)), np.sign(rng.normal(size=N))
    dw = np.zeros(M)
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in (w, x, y, dw)]
    for flags in (("-O2",), ("-O3", "-march=native")):
        every = ("-std=c11", "-ffp-contract=off", *flags)
        hand = _library(HAND, every).by_hand
        for name, f in (("loops", loops), ("arrays", arrays)):
            gradient = lms.grad(lms.stage(f))
            program = gradient.specialize(w, x, y).program
            ours = _library(c.emit(program), every)[c.interfaces(program)[0].name]
            order = (M, N) if list(c.interfaces(program)[0].sizes) == ["m", "n"] else (N, M)
            contenders: dict[str, Callable[[], object]] = {
                "lms, C": lambda f=ours, k=order: f(None, *map(ctypes.c_int64, k), *pointers),
                "C by hand": lambda f=hand: f(ctypes.c_int64(N), ctypes.c_int64(M), *pointers),
                "lms, native": lambda f=gradient: f(w, x, y),
                "lms, native, no vector math": _plain(f, w, x, y),
            }
            _agree(contenders, dw)
            yield Case(f"gradient of a logistic regression, {name}, {N} by {M}, cc {' '.join(flags)}", contenders,
                       {"C by hand": 1.1}, ours="lms, C")


def _library(source: str, flags: tuple[str, ...]) -> ctypes.CDLL:
    folder = Path(tempfile.mkdtemp(prefix="lms-bench-"))
    (folder / "program.c").write_text(source)
    return ctypes.CDLL(str(build([folder / "program.c"], folder / f"program{shared_suffix()}", flags)))


def _plain(f: Callable[..., object], *args: np.ndarray) -> Callable[[], object]:
    """The native gradient, its functions those of libm."""
    gradient = lms.grad(lms.stage(f))
    with patch("lms.backends.llvm.writer.parallel_nodes", lambda *_: set()):
        gradient(*args)
    return lambda: gradient(*args)


def _agree(contenders: dict[str, Callable[[], object]], dw: np.ndarray) -> None:
    """All of them compute the same thing."""
    found = []
    for call in contenders.values():
        dw[:] = 0.0
        out = call()
        found.append(out.copy() if isinstance(out, np.ndarray) else dw.copy())
    assert all(np.allclose(each, found[0], rtol=1e-10) for each in found), "the contenders disagree"
