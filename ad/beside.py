"""Tangents and cotangents as they are given: containers like what they stand beside, with None for what does not move."""

from __future__ import annotations

from typing import Any

from lms.core.builder import current
from lms.core.errors import StagingTypeError, here
from lms.core.ir import Value
from lms.core.types import ArrayType, Scalar, SumType, is_differentiable
from lms.staging import shapes, trees
from lms.staging.arguments import Later
from lms.staging.joins import describe
from lms.staging.library.elementwise import cast
from lms.staging.rep import Rep, lift_value

from .tangents import zero

Found = list[tuple[str, Any]]  # what stands beside each float, and where


def beside(spec: Any, x: Any, path: str, what: str) -> Found:
    """The parts of a tangent or cotangent (`what`) that stand beside the floats of `spec`; `path` is where that is.

    Raises `StagingTypeError` for a container of another form, and for a float beside what has no derivative.
    """
    if isinstance(spec, Later) and is_differentiable(spec.type):
        return [(path, x)]
    if not isinstance(spec, trees.Tree):
        if isinstance(spec, Later) and (isinstance(x, float) or (isinstance(x, Rep) and is_differentiable(x.type))):
            raise StagingTypeError(f"{path} is {spec.type} and has no derivative, and its {what} is {describe(x)}", here(),
                                   fix=f"its {what} is None")
        return []
    found = (type(x), spec.keys, [None] * len(spec.parts), None) if x is None else trees.children(x)
    if found is None or tuple(found[1]) != tuple(spec.keys):
        wanted = f"a {spec.cls.__name__} of {', '.join(map(repr, spec.keys)) or 'nothing'}"
        raise StagingTypeError(f"the {what} of {path} is {_shown(x, found)}, and {path} is {wanted}", here(),
                               fix=f"a {what} has the form of what it stands beside, with None for what does not move")
    return [leaf for key, part, y in zip(spec.keys, spec.parts, found[2], strict=True)
            for leaf in beside(part, y, f"{path}[{key!r}]", what)]


def _shown(x: Any, found: Any) -> str:
    return describe(x) if found is None else f"a {found[0].__name__} of {', '.join(map(repr, found[1])) or 'nothing'}"


def converted(x: Any, like: Value, path: str, what: str) -> Value:
    """A tangent or cotangent as a value of the type of `like`, zero for None; sizes that may differ are checked later."""
    b, t = current(), like.type
    if isinstance(t, SumType) or (isinstance(t, ArrayType) and isinstance(t.dtype, SumType)):
        return lift_value(x, None if isinstance(t, ArrayType) else t)
    if x is None:
        return zero(b, like)[0]
    v = lift_value(x, t if isinstance(t, Scalar) else None)
    if (v.type.rank if isinstance(v.type, ArrayType) else -1) != (t.rank if isinstance(t, ArrayType) else -1):
        raise StagingTypeError(f"the {what} of {path} is {describe(x)}, and {path} is {t}", here(),
                               fix=f"give it the shape of {path}")
    if not isinstance(t, ArrayType):
        return v
    assert isinstance(t.dtype, Scalar) and isinstance(v.type, ArrayType)
    if v.type.dtype != t.dtype:
        v = cast(Rep(v), t.dtype).value
    return shapes.like(v, like, f"the {what} of {path} has another shape")
