"""`lms.explain`: which lines ran now, which were left for later."""

from __future__ import annotations

import numpy as np

import lms
from lms import Array, Rep, f64
from lms.staging.explain import explain


def helper(v, k):
    if k > 1:
        return v * k  # grows
    return v


@lms.stage
def f(x: Array[f64, "n"], n: int):
    s = 0.0
    for i in range(n):
        s += helper(x[i], i)
    for v in x:  # later
        if v > 3:
            s -= v
    label = "text"
    return s if label else 0.0


def test_lines():
    import numpy as np

    found = explain(f, np.ones(5), 3)
    assert found.line("for v in x").later["for"] == 1
    assert found.line("s -= v").later == {"sub": 1}
    assert found.line("# grows").later == {"mul": 1}
    assert not found.line("for i in range(n)").later and found.line("for i in range(n)").now
    assert not found.line("label =").later and found.line("label =").now == 1
    assert not found.line("@lms.stage").now
    text = str(found)
    assert __file__ in text and "later |             s -= v" in text and "now |     label" in text


def test_plain_functions():
    def g(x: Rep[f64]):
        return x * x if x > 0 else -x

    assert explain(g, 2.0).line("return x * x").later["if"] == 1


def test_a_sum_of_exponentials_that_may_overflow() -> None:
    def naive(x):
        return np.log(np.sum(np.exp(x)))

    def shifted(x):
        top = np.max(x)
        return top + np.log(np.sum(np.exp(x - top)))

    assert "`lms.logsumexp` is not" in str(explain(naive, np.ones(3)).line("np.log"))
    assert not explain(shifted, np.ones(3)).line("np.log").remarks
