"""How often a staged function has been specialised."""

from typing import Any


def specializations(f: Any) -> int:
    return sum(map(len, f.specializations.values()))
