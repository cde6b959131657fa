"""What the options of a staged function ask of its program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lms.core import primitives as p
from lms.core.ir import Program, walk
from lms.core.types import Scalar

s = p.scalar
LOOSE = {s.add, s.sub, s.mul, s.div, s.neg}


@dataclass(frozen=True)
class FastMath:
    """`fastmath=True`: all arithmetic on floats may be reassociated and contracted."""

    name: ClassVar[str] = "fastmath"

    def run(self, program: Program) -> Program:
        for function in program.functions.values():
            for node in walk(function.body):
                if node.op.elementwise and any(isinstance(v.type, Scalar) and v.type.kind in "fc" for v in node.operands):
                    node.attrs["fast"] = True
        return program


@dataclass(frozen=True)
class DropIndexChecks:
    """`boundscheck=False`: an index that is visibly not negative is taken as it is; others are normalised, as NumPy does, unchecked."""

    name: ClassVar[str] = "drop-index-checks"

    def run(self, program: Program) -> Program:
        from .rewrite import unchecked

        for function in program.functions.values():
            unchecked(function.body)
        return program
