"""Running what stands at the top of a `.lms` file, for `run` and the prompt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lms.core.errors import LmsError, Span

from .console import Failed

if TYPE_CHECKING:
    from lms.frontend.check.modules import Top
    from lms.frontend.run.evaluate import Evaluation

# what Python or NumPy would raise, and the program that was made raises likewise
RAISED = (ArithmeticError, AssertionError, LookupError, MemoryError, RecursionError, TypeError, ValueError)


def value(evaluation: Evaluation, top: Top) -> str:
    """Evaluate one thing at the top; its value as text, empty for the unit. Raises `LmsError`; `Failed` for what a run raises."""
    from lms.frontend.run.printing import shown

    try:
        result = evaluation.step(top)
    except LmsError:
        raise
    except RAISED as e:
        raise Failed(raised(e, top.syntax.span)) from None
    return "" if result is None or result.is_unit else shown(result.value, result.type)


def raised(e: Exception, span: Span) -> str:
    """An exception of the program that was made: at the place it names itself, or else where what was evaluated stands."""
    kind, text = type(e).__name__, str(e)
    if m := re.match(r"(?s)(.+?:\d+): (.*)", text):
        return f"{m[1]}: {kind}: {m[2]}"
    return f"{span}: {kind}: {text}\n{span.show()}".rstrip()
