"""Copies of programs, for passes change the program they are given."""

from __future__ import annotations

from lms.core.ir import Block, Function, Node, Program, Value


def clone(program: Program) -> Program:
    """A program that shares nothing that passes change."""
    out = Program(entry=program.entry)
    for name, f in program.functions.items():
        out.functions[name] = Function(f.name, clone_block(f.body, {}), f.mut, f.span, f.doc)
    return out


def clone_block(block: Block, env: dict[Value, Value]) -> Block:
    """A copy of a block; `env` renames the values around it, and is told the new names of those in it."""
    new = Block(tuple(_value(v, None, env) for v in block.params))
    for node in block.nodes:
        operands = tuple([env.get(v, v) for v in node.operands])
        blocks = tuple([clone_block(inner, env) for inner in node.blocks])
        made = Node(node.op, operands, dict(node.attrs), blocks, (), node.span, node.half)
        made.results = tuple(_value(v, made, env, new) for v in node.results)
        new.nodes.append(made)
    new.results = tuple([env.get(v, v) for v in block.results])
    return new


def _value(v: Value, node: Node | None, env: dict[Value, Value], block: Block | None = None) -> Value:
    env[v] = new = Value(v.type, v.name, node, block)
    return new
