"""The operators and how tightly they bind: read by the parser, the formatter and the reference."""

COMPARISONS = frozenset(("==", "!=", "<", "<=", ">", ">="))
UNARY = 12  # `-x`, `!x`: tighter than every operator but `**`
BINARY: dict[str, int] = {  # how tightly each operator binds; `**` groups to the right, comparisons not at all
    "**": 13, "*": 11, "/": 11, "%": 11, "@": 11, "+": 10, "-": 10, "<<": 9, ">>": 9, "&": 8, "^": 7, "|": 6,
    "..": 5, "..=": 5, "by": 4, **dict.fromkeys(sorted(COMPARISONS), 3), "&&": 2, "||": 1,
}
