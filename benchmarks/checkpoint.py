"""The gradient of a scan of 100,000 steps, with plans: time and memory beside those of the full tape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import lms
from lms import Rep, f64, i64

from .measure import Case, measure, report, verdict

STEPS = 100_000
PLANS = ("sqrt", "revolve(20)", "revolve(5)")
TIMES, SHARE = 5.0, 0.01  # what `revolve(20)` may take of the full tape's time, and of its memory


def scan(plan: str | None) -> Any:
    @lms.stage
    def steps(x: Rep[f64], n: Rep[i64]) -> Rep[f64]:
        for _ in lms.range(n, checkpoint=plan):
            x = lms.sin(x) + 0.1
        return x

    return lms.grad(steps)


def run() -> Iterator[str]:
    full = scan(None)
    tape = lms.memory(full, 0.5, STEPS)
    yield f"full tape: {tape.peak:,} bytes"
    for plan in PLANS:
        with_plan = scan(plan)
        goals = {"full tape": TIMES} if plan == "revolve(20)" else {}
        contenders = {plan: lambda f=with_plan: f(0.5, STEPS), "full tape": lambda: full(0.5, STEPS)}
        yield from report(measure(Case(f"gradient with {plan}", contenders, goals, ours=plan)))
        share = lms.memory(with_plan, 0.5, STEPS).peak / tape.peak
        said = f"   {verdict(share, SHARE)}" if goals else ""
        yield f"  memory, of the full tape's: {share:.4f}{said}"
