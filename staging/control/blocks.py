"""Blocks that are open while the user's own code runs between two calls of ours.

A `with` cannot span the user's statements, so a block is opened and closed by hand; whoever closes one closes what was left
open inside it. A *provisional* block is where code runs before we know whether it runs now or later: it is kept
(spliced into the block around it) or thrown away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from lms.core.builder import Builder
from lms.core.data import dataclass, field
from lms.core.ir import Block
from lms.core.types import Type


@dataclass(slots=True)
class Blocks:
    """What staging knows of the blocks of one program: those opened by hand, and the objects of now made in each."""

    opened: list[Block] = field(default_factory=list)
    provisional: set[Block] = field(default_factory=set)
    expressions: set[Block] = field(default_factory=set)  # parts of expressions: a `try` cannot stand around them
    made: dict[int, tuple[Any, Block]] = field(default_factory=dict)
    attempts: dict[Block, Attempt] = field(default_factory=dict)  # the bodies of loops


@dataclass(slots=True)
class Memory:
    """What is known of a loop from an earlier attempt at the loop around it; in turn of the loops inside it."""

    found: Any = None
    inner: dict[tuple[int, int], Memory] = field(default_factory=dict)


@dataclass(slots=True)
class Attempt:
    """One attempt at the body of a loop: its memory, and how often each loop inside has been met."""

    memory: Memory
    met: Counter[int] = field(default_factory=Counter)


def remembered(b: Builder, site: object) -> Memory:
    """The memory of the loop at `site` that begins here."""
    attempts = blocks(b).attempts
    around = next((attempts[scope.block] for scope in reversed(b.scopes) if scope.block in attempts), None)
    if around is None:
        return Memory()
    key = id(site), around.met[id(site)]
    around.met[id(site)] += 1
    return around.memory.inner.setdefault(key, Memory())


_of: WeakKeyDictionary[Builder, Blocks] = WeakKeyDictionary()


def blocks(b: Builder) -> Blocks:
    if b not in _of:
        _of[b] = Blocks()
    return _of[b]


def open_block(b: Builder, types: Sequence[Type] = (), names: Sequence[str] = (), *, provisional: bool = False,
               expression: bool = False) -> Block:
    """Fill a new block from here on."""
    block, state = b.begin(types, names), blocks(b)
    state.opened.append(block)
    if provisional:
        state.provisional.add(block)
    if expression:
        state.expressions.add(block)
    return block


def close_block(b: Builder, block: Block) -> None:
    """Close a block, and what an exception left open inside it."""
    unwind(b, block)
    if blocks(b).opened:
        blocks(b).opened.pop()
        b.end()


def unwind(b: Builder, block: Block) -> None:
    """Close what was left open inside `block`."""
    opened = blocks(b).opened
    while opened and opened[-1] is not block:
        opened.pop()
        b.end()


def splice(b: Builder, block: Block) -> None:
    """Move the nodes of a closed block to the end of the one being filled."""
    for node in block.nodes:
        for v in node.results:
            v.block = b.block
    b.block.nodes.extend(block.nodes)
    block.nodes = []


def home(b: Builder) -> Block:
    """The block being filled, or the one around it where it is provisional."""
    return settled(b)[-1]


def settled(b: Builder) -> list[Block]:
    """The open blocks that will certainly be part of the program, innermost last."""
    provisional = blocks(b).provisional
    return [scope.block for scope in b.scopes if scope.block not in provisional]


def inside(b: Builder) -> bool:
    """Whether a block inside the function's own is being filled: code that may run later, or many times, or never."""
    return len(settled(b)) > 1
