"""The passes a program goes through, in order: a table of contents.

    for step in pipeline([Differentiate(simplify)]): print(step.name)

Before differentiation everything is simplified; after it, once more; then arrays become loops, and the loops are cleaned up.
What plans memory comes after the last differentiation, for until then an allocation is a value with an identity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lms.core.ir import Program
from lms.passes.assemble import Assemble
from lms.passes.base import Pass, Step, room, run
from lms.passes.bounds import Bounds
from lms.passes.carry import Carry
from lms.passes.clone import clone
from lms.passes.copies import Copies
from lms.passes.covered import Covered
from lms.passes.cse import Cse
from lms.passes.dce import Dce
from lms.passes.fission import Fission
from lms.passes.fold import Fold
from lms.passes.forward import Forward, Shrink
from lms.passes.inline import Inline
from lms.passes.licm import Licm
from lms.passes.loops import FuseLoops
from lms.passes.lower import Lower
from lms.passes.options import DropIndexChecks, FastMath
from lms.passes.recurrences import Recurrences
from lms.passes.reuse import Reuse
from lms.passes.scalars import Scalars
from lms.passes.share import Share
from lms.passes.spots import Spots
from lms.passes.stores import LateFills, MergeStores
from lms.passes.sums import Sums
from lms.passes.turn import Turn
from lms.passes.twins import Twins
from lms.passes.unpack import Unpack
from lms.passes.version import Version

SIMPLIFY: tuple[Pass, ...] = (Fold(), Cse(), Bounds(), Licm(), Dce())

# What is differentiated is inlined where it is short, and has numbers for its small arrays.
DIFFERENTIATED: tuple[Pass, ...] = (
    Inline(),
    *SIMPLIFY,
    Assemble(),
    Unpack(),
    Dce(),
    Carry(),
    Scalars(),
    *SIMPLIFY,
)

AFTER: tuple[Pass, ...] = (
    Inline(),
    Fold(),
    Cse(),
    Licm(),
    Spots(),
    Dce(),
    Copies(),
    Lower(),
)

# Only with `fastmath`: factors of a cotangent may overflow together where each alone does not.
FAST: tuple[Pass, ...] = (Recurrences(),)

CLEANUP: tuple[Pass, ...] = (
    *SIMPLIFY,
    Carry(),
    Scalars(),
    Covered(),
    LateFills(),
    Turn(),
    FuseLoops(),
    Forward(),
    MergeStores(),
    FuseLoops(),
    Sums(),
    Cse(),
    Twins(),
    Fold(final=True),
    *FAST,
    Fission(),
    Dce(),
    Shrink(),
    Reuse(),
    Version(),
    Share(),
)


def simplify(program: Program) -> Program:
    """The program as differentiation likes it."""
    return run(DIFFERENTIATED, program)


def pipeline(differentiate: Sequence[Pass] = (), *, fastmath: bool = False, boundscheck: bool = True) -> list[Pass]:
    """All passes, with those that differentiate in their place; these simplify what they differentiate themselves."""
    loose: list[Pass] = [FastMath()] if fastmath else []
    believing: list[Pass] = [] if boundscheck else [DropIndexChecks()]
    cleanup = [step for step in CLEANUP if fastmath or step not in FAST]
    return [*differentiate, *loose, *AFTER, *believing, *cleanup]


def shown(differentiate: Sequence[Pass] = ()) -> list[Pass]:
    """The passes for who looks at a program: derivatives are expanded, operations on whole arrays still in one piece."""
    return [Inline(trivial=True), *SIMPLIFY, Scalars(), *differentiate, Inline(), *SIMPLIFY]


def optimize(program: Program, differentiate: Sequence[Pass] = (), *, fastmath: bool = False, boundscheck: bool = True,
             observe: Callable[[Step], None] | None = None) -> Program:
    """The program in the form compiled back ends take; the one given is left as it is."""
    with room():
        return run(pipeline(differentiate, fastmath=fastmath, boundscheck=boundscheck), clone(program), observe)
