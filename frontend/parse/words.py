"""The words of the language by what they are for: read by what colours and completes programs."""

from __future__ import annotations

from lms.core.types import SCALARS

CONTROL = ("break", "by", "continue", "else", "for", "if", "in", "match", "reset", "return", "shift", "while", "with")
DEFINING = ("as", "data", "def", "derivative", "export", "fn", "from", "import", "let", "mut", "var")
CONSTANTS = ("false", "true")
KEYWORDS = tuple(sorted((*CONTROL, *DEFINING, *CONSTANTS)))

STAGE = "Rep"  # the type of what exists later
TYPES = ("List", "string", "unit", *SCALARS)
INTERFACES = ("Bool", "Eq", "Num", "Ord")
