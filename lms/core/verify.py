"""The law of programs, executable: types, scope, blocks. Runs between passes under test."""

from __future__ import annotations

from .ir import Program


def verify(program: Program, after: str = "") -> None:
    """Raise `VerifyError` if the program breaks the law; `after` names the pass to blame."""
