"""The passes a program goes through, in order: a table of contents.

    for step in pipeline([Differentiate()]): print(step.name)

Before differentiation everything is simplified; after it, once more; then arrays become loops, and the loops are cleaned up.
What plans memory comes after the last differentiation, for until then an allocation is a value with an identity.
"""

from __future__ import annotations

from collections.abc import Sequence

from lms.passes.base import Pass
from lms.passes.cse import Cse
from lms.passes.dce import Dce
from lms.passes.fold import Fold
from lms.passes.inline import Inline
from lms.passes.licm import Licm
from lms.passes.lower import Lower

SIMPLIFY: tuple[Pass, ...] = (Fold(), Cse(), Licm(), Dce())

BEFORE: tuple[Pass, ...] = (*SIMPLIFY,)

AFTER: tuple[Pass, ...] = (
    Inline(),
    *SIMPLIFY,
    Lower(),
    *SIMPLIFY,
)


def pipeline(differentiate: Sequence[Pass] = ()) -> list[Pass]:
    """All passes, with those that differentiate in their place."""
    return [*BEFORE, *differentiate, *AFTER]
