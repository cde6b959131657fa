"""What the options of a staged function ask of its program."""

from __future__ import annotations

from typing import ClassVar

from lms.core import primitives as p
from lms.core.data import dataclass
from lms.core.ir import Block, Node, Program, Value, walk
from lms.core.types import Scalar, i64

from .rewrite import constant, make

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
    """`boundscheck=False`: indices are believed. One that may be negative still counts from the end, as in NumPy."""

    name: ClassVar[str] = "drop-index-checks"

    def run(self, program: Program) -> Program:
        for function in program.functions.values():
            _believe(function.body, {})
        return program


def _believe(block: Block, env: dict[Value, Value]) -> None:
    nodes: list[Node] = []
    for node in block.nodes:
        node.operands = tuple(env.get(v, v) for v in node.operands)
        for inner in node.blocks:
            _believe(inner, env)
        if node.op is p.array.index and isinstance(node.result.type, Scalar):
            i, n = node.operands
            if not p.array.wraps(node.attrs):
                env[node.result] = i
                continue
            zero = constant(0, i64, node, block)
            negative = make(s.lt, (i, zero.result), {}, node, block)
            wrapped = make(s.add, (i, n), {}, node, block)
            nodes += [zero, negative, wrapped]
            node.op, node.operands, node.attrs = s.select, (negative.result, wrapped.result, i), {}
        elif node.op is p.control.check and node.attrs["error"] == "IndexError":
            continue
        nodes.append(node)
    block.nodes[:] = nodes
    block.results = tuple(env.get(v, v) for v in block.results)
