"""The public names of `lms`: what `import lms` gives, loaded at the first use of one of them, some at their own."""

from typing import TYPE_CHECKING

from lms.core.errors import SpecializationWarning, StagingError
from lms.staging.annotations import dims
from lms.staging.calls import print_now, py_call
from lms.staging.control.choices import cond
from lms.staging.control.iterables import lms_range as range  # the language's own, as its arrays are
from lms.staging.control.iterables import unroll
from lms.staging.control.loops import fori_loop, while_loop
from lms.staging.explain import explain
from lms.staging.library import linalg, ops, random
from lms.staging.library.ops import *  # noqa: F403  # the array and math functions: the list is `ops.__all__`

from .api import Staged, check_pure, stage, unstaged
from .derivatives import checkpoint, derivative, grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from .specialization import Specialization

LATER = {  # names that most programs do without, and the modules they come from
    "block_jacobian": "lms.sparse", "check_grads": "lms.check", "explain": "lms.staging.explain", "fixed_point": "lms.roots",
    "install_import_hook": "lms.loading", "load": "lms.loading", "memory": "lms.report", "root": "lms.roots",
    "sparse_hessian": "lms.sparse", "sparse_jacobian": "lms.sparse",
}

if TYPE_CHECKING:
    # To a type checker a staged function has the types of its unstaged self: `Rep[T]` is `T`, and the types of the next
    # stage accept what Python and NumPy pass for them.
    from typing import Annotated, Any, TypeAlias, TypeVar
    from typing import Annotated as Array

    from lms.staging.explain import explain

    from .check import check_grads
    from .loading import install_import_hook, load
    from .report import memory
    from .roots import fixed_point, root
    from .sparse import block_jacobian, sparse_hessian, sparse_jacobian

    _T = TypeVar("_T")
    Rep = Annotated[_T, "staged"]
    Static = Annotated[_T, "known now"]
    Mut = Annotated[_T, "written to"]
    bool_: TypeAlias = Any
    i8: TypeAlias = Any
    i16: TypeAlias = Any
    i32: TypeAlias = Any
    i64: TypeAlias = Any
    u8: TypeAlias = Any
    u16: TypeAlias = Any
    u32: TypeAlias = Any
    u64: TypeAlias = Any
    f32: TypeAlias = Any
    f64: TypeAlias = Any
    c64: TypeAlias = Any
    c128: TypeAlias = Any
else:
    from lms.core.types import bool_, c64, c128, f32, f64, i8, i16, i32, i64, u8, u16, u32, u64
    from lms.staging.annotations import Array, Mut, Static
    from lms.staging.rep import Rep

__all__ = [
    "Array", "Mut", "Rep", "Specialization", "SpecializationWarning", "Staged", "StagingError", "Static",
    "block_jacobian", "bool_", "c128", "c64", "check_grads", "check_pure", "checkpoint", "cond", "derivative", "dims",
    "explain", "f32", "f64", "fixed_point", "fori_loop", "grad", "hessian", "hvp", "i16", "i32", "i64", "i8",
    "install_import_hook", "jacobian", "jvp", "linalg", "load", "memory", "print_now", "py_call", "random", "range", "root",
    "sparse_hessian", "sparse_jacobian", "stage", "u16", "u32", "u64", "u8", "unroll", "unstaged", "value_and_grad",
    "vjp", "while_loop",
]
__all__ += ops.__all__
