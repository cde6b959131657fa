"""The colours of `.lms` programs, for Pygments: `pygmentize -l lms model.lms`, Sphinx, notebooks.

Found by its entry point in `pygments.lexers`; nothing here is imported by lms itself, which does not need Pygments.
"""

from __future__ import annotations

from typing import ClassVar

from pygments.lexer import RegexLexer, bygroups, words
from pygments.token import (
    Comment,
    Generic,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    Text,
    Whitespace,
)

from ..parse.words import CONSTANTS, CONTROL, DEFINING, INTERFACES, STAGE, TYPES

_NAME = r"[^\W\d]\w*"


class LmsLexer(RegexLexer):  # type: ignore[misc, unused-ignore]  # Pygments ships no types
    """The lexer of the .lms language."""

    name = "lms"
    aliases: ClassVar[list[str]] = ["lms"]
    filenames: ClassVar[list[str]] = ["*.lms"]
    url = "https://pypi.org/project/lms-lang/"

    tokens: ClassVar[dict[str, list[object]]] = {
        "root": [
            (r"\s+", Whitespace),
            (r"//>.*", Generic.Output),
            (r"///(?!/).*", String.Doc),
            (r"//.*", Comment.Single),
            (r"/\*", Comment.Multiline, "comment"),
            (rf"(def|derivative)(\s+)({_NAME})", bygroups(Keyword.Declaration, Whitespace, Name.Function)),
            (rf"(data)(\s+)({_NAME})", bygroups(Keyword.Declaration, Whitespace, Name.Class)),
            (words(CONTROL, prefix=r"\b", suffix=r"\b"), Keyword),
            (words(DEFINING, prefix=r"\b", suffix=r"\b"), Keyword.Declaration),
            (words(CONSTANTS, prefix=r"\b", suffix=r"\b"), Keyword.Constant),
            (rf"\b{STAGE}\b", Keyword.Reserved),
            (words((*TYPES, *INTERFACES), prefix=r"\b", suffix=r"\b"), Keyword.Type),
            (r"0[xX][0-9a-fA-F_]+(?:[iu](?:8|16|32|64))?", Number.Hex),
            (r"0[bB][01_]+(?:[iu](?:8|16|32|64))?", Number.Bin),
            (r"\d[\d_]*(?:\.\d[\d_]*(?:[eE][+-]?\d[\d_]*)?|[eE][+-]?\d[\d_]*)(?:f32|f64)?", Number.Float),
            (r"\d[\d_]*f(?:32|64)", Number.Float),
            (r"\d[\d_]*(?:[iu](?:8|16|32|64))?", Number.Integer),
            (r'"', String, "string"),
            (r"'(?:[^'\\\n]|\\(?:x[0-9a-fA-F]{2}|.))'", String.Char),
            (rf"({_NAME})(\s*)(\()", bygroups(Name.Function, Whitespace, Punctuation)),
            (_NAME, Name),
            (r"=>|->|\.\.=?|\*\*=?|<<=?|>>=?|&&|\|\||[=!<>+\-*/%@&|^]=?|!", Operator),
            (r"[()\[\]{},:;.]", Punctuation),
        ],
        "comment": [
            (r"[^*/]+", Comment.Multiline),
            (r"/\*", Comment.Multiline, "#push"),
            (r"\*/", Comment.Multiline, "#pop"),
            (r"[*/]", Comment.Multiline),
        ],
        "string": [
            (r'[^"\\{}\n]+', String),
            (r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", String.Escape),
            (r"[{}]", String.Interpol),
            (r'"', String, "#pop"),
            (r"\n", Text, "#pop"),
        ],
    }
