"""Copies of programs, for passes change the program they are given."""

from __future__ import annotations

from lms.core.ir import Block, Function, Node, Program, Value


def clone(program: Program) -> Program:
    """A program that shares nothing that passes change."""
    out = Program(entry=program.entry)
    for name, f in program.functions.items():
        out.functions[name] = Function(f.name, _block(f.body, {}), f.mut, f.span, f.doc)
    return out


def _block(block: Block, env: dict[Value, Value]) -> Block:
    new = Block(tuple(_value(v, None, env) for v in block.params))
    for node in block.nodes:
        operands = tuple([env[v] for v in node.operands])
        made = Node(node.op, operands, dict(node.attrs), tuple(_block(b, env) for b in node.blocks), (), node.span, node.half)
        made.results = tuple(_value(v, made, env, new) for v in node.results)
        new.nodes.append(made)
    new.results = tuple(env[v] for v in block.results)
    return new


def _value(v: Value, node: Node | None, env: dict[Value, Value], block: Block | None = None) -> Value:
    env[v] = new = Value(v.type, v.name, node, block)
    return new
