"""Several pieces of LLVM text as one module: each declares what it needs, and LLVM wants every name said once."""

from __future__ import annotations

import re

_DEFINED = re.compile(r"^define [^@\n]*@([\w.$]+|\"[^\"]*\")", re.MULTILINE)
_SAID = re.compile(r"^(?:declare [^@\n]*@([\w.$]+|\"[^\"]*\").*|@([\w.$]+|\"[^\"]*\") = external .*)$")


def merge(*pieces: str) -> str:
    """The pieces in a row, without declarations of what is declared before or defined anywhere."""
    text = "\n".join(pieces)
    known = set(_DEFINED.findall(text))
    known |= set(re.findall(r"^@([\w.$]+) = (?!external)", text, re.MULTILINE))
    lines = []
    for line in text.split("\n"):
        if (line.startswith("declare") or " external " in line) and (said := _SAID.match(line)):
            name = said[1] or said[2]
            if name in known:
                continue
            known.add(name)
        lines.append(line)
    return "\n".join(lines) + "\n"
