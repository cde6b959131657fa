"""lms: a multi-stage programming language for Python, with gradients by delimited continuations."""

from typing import TYPE_CHECKING

from lms.core.errors import SpecializationWarning, StagingError
from lms.core.types import bool_, c64, c128, f32, f64, i8, i16, i32, i64, u8, u16, u32, u64
from lms.staging.annotations import dims
from lms.staging.ops import *  # noqa: F403  # the array and math functions, by name in lms.staging.ops

from .api import Specialization, Staged, stage, unstaged

if TYPE_CHECKING:
    # To a type checker a staged function has the types of its unstaged self.
    from typing import Annotated, TypeVar

    _T = TypeVar("_T")
    Rep = Annotated[_T, "staged"]
    Static = Annotated[_T, "known now"]
    Mut = Annotated[_T, "written to"]
    Array = Annotated
else:
    from lms.staging.annotations import Array, Mut, Static
    from lms.staging.rep import Rep
