"""Questions to a tree of `syntax`: are two the same, what is below a node."""

from __future__ import annotations

from typing import Any

from lms.core.data import fields

from .syntax import Binary, Expression, Module, Node

_IGNORED = frozenset(("span", "name_span", "module_span", "text", "path", "comments", "parenthesised", "broken"))


def same(a: Any, b: Any) -> bool:
    """Whether two trees are the same but for places, comments, and the spelling of literals."""
    left = [(a, b)]
    while left:
        a, b = left.pop()
        if type(a) is not type(b):
            return False
        if isinstance(a, tuple):
            if len(a) != len(b):
                return False
            left += zip(a, b, strict=True)
        elif isinstance(a, Node | Module):
            left += [(getattr(a, f), getattr(b, f)) for f in parts(type(a))]
        elif a != b and not (a != a and b != b):
            return False
    return True


_parts: dict[type, tuple[str, ...]] = {}


def parts(kind: type) -> tuple[str, ...]:
    """The names of the fields of a kind of node that make up the program: no places, no spelling."""
    if kind not in _parts:
        _parts[kind] = tuple(name for name in fields(kind) if name not in _IGNORED)
    return _parts[kind]


def row(e: Binary) -> tuple[Expression, list[Binary]]:
    """`a + b + c` hangs to the left: what stands leftmost, and the operators after it, from left to right."""
    operators = [e]
    while isinstance(operators[-1].left, Binary):
        operators.append(operators[-1].left)
    return operators[-1].left, operators[::-1]


def below(node: Node | Module) -> list[Node]:
    """The nodes a level below a node; the operands of a row of operators are all on one level, however many there are."""
    if not isinstance(node, Binary):
        return children(node)
    first, operators = row(node)
    return [first, *(o.right for o in operators)]


def children(node: Node | Module) -> list[Node]:
    """The nodes directly below a node, in the order of the source."""
    found: list[Node] = []
    for name in parts(type(node)):
        value = getattr(node, name)
        if isinstance(value, Node):
            found.append(value)
        elif isinstance(value, tuple):
            found += [v for v in value if isinstance(v, Node)]
    return found
