"""Modules that are compiled as two: what computes, and what only calls it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lms
from lms.backends.llvm.apart import split
from lms.backends.llvm.compiled import EXPORTS, CompiledFunction

LAYERS = 12
TEXT = """
@lms_here = global [4 x ptr] zeroinitializer
@other = global i64 0
declare void @unused()
declare double @exp(double)
define internal double @"lms.f.na\\C3\\AFve(x)"(double %x) noinline {
  %y = call double @helper(double %x), !note !7
  ret double %y
}
define internal { double, i32 } @"lms.f.alone"(double %x) {
  ret { double, i32 } poison
}
define internal double @helper(double %x) {
  %y = call double @exp(double %x)
  ret double %y
}
define i64 @lms_entry(double %x) {
  %y = call double @"lms.f.na\\C3\\AFve(x)"(double %x), !prof !0
  %n = load i64, ptr @other
  ret i64 %n
}
!0 = !{i32 1}
!7 = !{!8}
!8 = !{i32 2}
!9 = !{i32 3}
"""


def test_what_is_reached_goes_with_what_reaches_it() -> None:
    computing, names, calling = split(TEXT, EXPORTS)
    assert names == ("lms.f.naïve(x)",)
    assert computing.startswith("declare double @exp(double)\ndefine double @")
    assert "@helper" in computing and "!8 = " in computing and "!0" not in computing and "!9" not in computing
    assert 'declare double @"lms.f.na\\C3\\AFve(x)"(double %x) noinline\n' in calling
    assert "@other = global" in calling and "@helper" not in calling and "!0 = " in calling and "!7" not in calling
    assert "lms.f.alone" not in computing + calling and "@unused" not in computing + calling


def model(p: dict[str, Any], x: Any) -> Any:
    for k in range(LAYERS):
        x = np.tanh(x @ p[f"w{k}"] + p[f"b{k}"])
        x = x * 1.01 + 0.1 * np.sin(x) + np.exp(-x * x) * 0.01
    return np.sum(x * x)


def test_a_model_of_many_layers() -> None:
    rng = np.random.default_rng(0)
    p = {f"w{k}": rng.normal(size=(5, 5)) for k in range(LAYERS)} | {f"b{k}": rng.normal(size=5) for k in range(LAYERS)}
    x = rng.normal(size=(7, 5))
    gradient = lms.grad(lms.stage(model))
    found, again = gradient(p, x), gradient(p, x)
    (s,) = gradient.specializations[gradient.signature.bind((p, x), {}).key]
    assert isinstance(s.compiled, CompiledFunction) and s.compiled.module.apart
    for name in ("w0", "b0", f"w{LAYERS - 1}"):
        np.testing.assert_array_equal(found[name], again[name])
        step, at = 1e-6, (0,) * p[name].ndim
        values = []
        for sign in (1, -1):
            moved = p[name].copy()
            moved[at] += sign * step
            values.append(model({**p, name: moved}, x))
        assert found[name][at] == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5)
    with pytest.raises(ValueError, match="do not fit"):
        gradient(p, np.ones((7, 4)))
