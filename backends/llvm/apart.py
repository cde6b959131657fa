"""A module as two: the functions that compute, and what only calls them, which is compiled in a fifth of the time, as it is.

A model of many layers is an entry of a thousand instructions, each run once, and a few loops. LLVM's better register allocator
spends longer on the entry than on the loops.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import takewhile

_NAME = r'"[^"]*"|[\w.$]+'
_NAMED = re.compile(rf"@({_NAME})|(!\d+)")
_USED = "llvm.compiler.used"
_COMPUTES = '"lms.f.'  # how the names of the program's own functions begin


def split(text: str, roots: Iterable[str]) -> tuple[str, tuple[str, ...], str]:
    """The text of what computes, the symbols it offers, and the text of the rest, which is what the roots reach without it."""
    parts = _parts(text)
    calling = _reached(parts, roots, lambda name: not name.startswith(_COMPUTES))
    offered = [name for name in calling if name.startswith(_COMPUTES)]
    computing = _reached(parts, [*offered, *([_USED] if _USED in parts else [])], lambda name: True)
    bodies = {name: parts[name].replace("define internal ", "define ", 1) for name in offered}
    heads = {name: parts[name].partition(" {\n")[0].replace("define internal ", "declare ", 1) for name in offered}
    return _written(computing, parts | bodies), tuple(map(_symbol, offered)), _written(calling, parts | heads)


def _parts(text: str) -> dict[str, str]:
    """Definitions, declarations, variables and nodes of metadata, by name. The first name in a line is what it is about."""
    parts = {}
    lines = iter(text.split("\n"))
    for line in lines:
        if line.startswith(("define ", "declare ", "@", "!")) and (m := _NAMED.search(line)):
            whole = line
            if line.startswith("define "):
                whole = "\n".join([line, *takewhile(lambda inner: inner != "}", lines), "}"])
            parts[m[1] or m[2]] = whole
    return parts


def _reached(parts: dict[str, str], roots: Iterable[str], enter: Callable[[str], bool]) -> list[str]:
    """The parts that the roots name, directly or by others that are entered, in order."""
    found = dict.fromkeys(roots)
    waiting = list(found)
    while waiting:
        name = waiting.pop()
        for m in _NAMED.finditer(parts[name]) if enter(name) else ():
            other = m[1] or m[2]
            if other in parts and other not in found:
                found[other] = None
                waiting.append(other)
    return [name for name in parts if name in found]


def _written(names: Iterable[str], parts: dict[str, str]) -> str:
    return "".join(f"{parts[name]}\n" for name in names)


def _symbol(name: str) -> str:
    """What a quoted name of LLVM text stands for."""
    return re.sub(rb"\\([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]), name.strip('"').encode()).decode()
