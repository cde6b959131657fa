"""Several pieces of LLVM text as one module: each declares what it needs, and LLVM wants every name said once."""

from __future__ import annotations

import re

_NAME = re.compile(r'[^@]*@([\w.$]+|"[^"]*")')  # the first in a line, which is what the line defines or declares


def merge(*pieces: str) -> str:
    """The pieces in a row, without declarations of what is declared before or defined anywhere."""
    lines = "\n".join(pieces).split("\n")
    said = [line.startswith("declare ") or line.startswith("@") and " = external " in line for line in lines]
    known = {_name(line) for line, other in zip(lines, said, strict=True) if not other and line.startswith(("define ", "@"))}
    kept = []
    for line, other in zip(lines, said, strict=True):
        if other:
            name = _name(line)
            if name in known:
                continue
            known.add(name)
        kept.append(line)
    return "\n".join(kept) + "\n"


def _name(line: str) -> str:
    found = _NAME.match(line)
    assert found is not None, line
    return found[1]
