"""Plans of checkpointing: what `checkpoint=` may say, and what it cannot.

A plan says how the gradient of a loop trades memory for time. It travels with the loop as text; differentiation reads it.
"""

from __future__ import annotations

import re
from typing import Any

from lms.core.errors import StagingError, here

SQRT = "sqrt"
_REVOLVE = re.compile(r"revolve\(\s*([+-]?\d+)\s*\)")
_FIX = "write checkpoint=\"sqrt\", or checkpoint=\"revolve(20)\" for at most 20 snapshots"


def plan(given: Any, what: str = "this loop") -> str | None:
    """A plan as loops carry it; None for none. Raises `StagingError` for anything that is no plan."""
    if given is None:
        return None
    if not isinstance(given, str):
        raise StagingError(f"checkpoint={given!r} is no plan for {what}: it is no text", here(), fix=_FIX)
    if given.strip() == SQRT:
        return SQRT
    found = _REVOLVE.fullmatch(given.strip())
    if found is None:
        raise StagingError(f"checkpoint={given!r} is no plan for {what}", here(), fix=_FIX)
    if int(found[1]) < 1:
        raise StagingError(f"checkpoint={given!r} cannot work for {what}: the loop cannot be run again without a snapshot of "
                           "its start", here(), fix="allow at least one snapshot: checkpoint=\"revolve(1)\"")
    return f"revolve({int(found[1])})"


def planned(plan: str | None) -> dict[str, Any]:
    """The attribute of a loop, or of a derivative, that has a plan."""
    return {} if plan is None else {"checkpoint": plan}


def snapshots(plan: str) -> int | None:
    """How many snapshots a plan of `revolve` may hold at once; None for "sqrt"."""
    found = _REVOLVE.fullmatch(plan)
    return int(found[1]) if found else None
