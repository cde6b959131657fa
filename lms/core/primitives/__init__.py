"""What the language can do: a closed table of operations, one row each."""

from . import array, control, linalg, record, scalar
from .table import PRIMITIVES, PURE, Effect, Primitive, row

__all__ = ["PRIMITIVES", "PURE", "Effect", "Primitive", "array", "control", "linalg", "record", "row", "scalar"]
