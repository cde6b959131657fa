"""The gradients in C, by hand: gradients.c and nested.c, behind functions on arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..peers import c_library

Call = Callable[[], Any]


def _passed(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return ctypes.c_void_p(value.ctypes.data)
    return ctypes.c_double(value) if isinstance(value, float) else ctypes.c_long(value)


def contenders() -> dict[str, Callable[..., Call]]:
    """By eval: what takes the arguments of our gradient and gives a call without any, whose result is the gradient."""
    here = Path(__file__).parent
    library = c_library("".join((here / name).read_text() for name in ("gradients.c", "nested.c")))
    if library is None:
        return {}

    def call(name: str, *values: Any, out: Any) -> Call:
        """The arrays are kept by the call; what it writes to is made once."""
        function, kept = library[name], (values, out)
        outs = out if isinstance(out, tuple) else (out,)
        passed = [_passed(value) for value in (*values, *outs)]

        def run(kept: Any = kept) -> Any:
            function(*passed)
            return out

        return run

    def lstm(main: Any, extra: Any, state: Any, sequence: Any) -> Call:
        sizes = len(main) // 2, *sequence.shape
        return call("lstm", main, extra, state, sequence, *sizes, out=(np.empty_like(main), np.empty_like(extra)))

    def gmm(alpha: Any, means: Any, icf: Any, x: Any, gamma: float, m: int) -> Call:
        out = tuple(np.empty_like(part) for part in (alpha, means, icf))
        return call("gmm", alpha, means, icf, x, gamma, float(m), *x.shape, len(alpha), out=out)

    def ba(cameras: Any, points: Any, weights: Any, seen: Any, pairs: Any) -> Call:
        n, m, p = len(cameras), len(points), len(weights)
        out = np.empty(3 * p + 1, np.int64), np.empty(31 * p, np.int64), np.empty(31 * p)
        return call("ba", cameras, points, weights, seen, pairs, n, m, p, out=out)

    def particle(mode: int) -> Callable[..., Call]:
        function = library.particle
        function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double, ctypes.c_int]
        return lambda w: lambda: function(w, mode)

    def saddle(mode: int) -> Callable[..., Call]:
        return lambda start: call("saddle", start, mode, out=np.empty(4))

    return {
        "llsq": lambda x, n: call("llsq", x, len(x), n, out=np.empty_like(x)),
        "lse": lambda x: call("lse", x, len(x), out=np.empty_like(x)),
        "ode": lambda x, s: call("ode", x, len(x), s, out=np.empty_like(x)),
        "lstm": lstm, "gmm": gmm, "ba": ba,
        **{f"particle {mode}": particle(mode[0] == "r") for mode in ("ff", "fr", "rf", "rr")},
        **{f"saddle {mode}": saddle(mode[0] == "r") for mode in ("ff", "fr", "rf", "rr")},
    }
