"""The table of diagnostics: code, title, and a paragraph that says what is wrong, why it is an error, and what to write.

E01 syntax, E02 names and modules, E03 types, E04 stages, E05 evaluation, E06 continuations, E07 derivatives and exports.
"""

from __future__ import annotations

CODES: dict[str, tuple[str, str]] = {
    # ------------------------------------------------------------------------------------------------- syntax
    "E0101": ("this cannot stand here", """\
The parser met a token that continues nothing that is allowed at this place. The message lists what could stand there.
Common causes: a missing `=` before the body of a `def`, a missing brace, two statements on one line without `;`
between them."""),
    "E0102": ("the file ends too early", """\
A brace, bracket or parenthesis that was opened is never closed, or a definition has no body. The second place in the
message is where the innermost one was opened."""),
    "E0103": ("not a character of the language", """\
The source holds a character that starts no token, such as `$` or `?`. In strings and comments every character is
allowed."""),
    "E0104": ("a string or character is not closed", """\
A string ends on the line it begins on, with `"`. A character such as 'a' is one byte between single quotes. Write
`\\n` for the end of a line and `\\"` for a quote."""),
    "E0105": ("a comment is not closed", """\
`/*` opens a comment that ends with `*/`. They nest: every `/*` inside needs its own `*/`."""),
    "E0106": ("a malformed number", """\
A float has digits on both sides of its dot: `1.0`, `0.5`. A number may end in a type, `1u8`, `2.5f32`, in which it
must fit; only floats have a fraction or an exponent. Underscores may stand between digits."""),
    "E0107": ("comparisons do not chain", """\
`a < b < c` could mean two things. Write `a < b && b < c`."""),
    "E0108": ("this cannot be assigned to", """\
The left of `=` is a variable, or an element of an array (`a[i] = x`, `a[1..3] = x`). Fields of records do not change:
`p with (x = 2.0)` is the record with another field."""),
    "E0109": ("nested too deeply", """\
An expression is nested more deeply than 200 levels. Give a part of it a name with `let`, or move it into a function."""),
    "E0110": ("a malformed escape or interpolation", """\
After a backslash in a string stands one of `n t r 0 \\ " ' { }`, `x` and two hexadecimal digits, or `u` and four. In
the texts of `print` and `error`, `{` begins an expression that ends with `}`; `\\{` is a brace."""),
    "E0111": ("a malformed range", """\
`by` gives the step of a range: `0..n by 2`. A range has two ends, except in a subscript, where `a[1..]` and `a[..]`
are allowed."""),
    "E0112": ("a malformed dimension", """\
A dimension is a sum of names and whole numbers: `n`, `n + 1`, `2 * n - 3`."""),
    "E0113": ("this cannot be exported or placed here", """\
`export` stands before a `def` at the top of a file. `data`, `import` and `derivative` stand at the top of a file too."""),
    "E0114": ("a pattern that is not allowed", """\
In a list pattern `..` stands once, and last: `[first, ..rest]`. A literal pattern is a number, a string, a character,
`true` or `false`."""),
}
