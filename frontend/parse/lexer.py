"""Text to tokens, and which newlines end a statement (`SEP`).

A newline ends a statement except inside `( )` and `[ ]`, after a token that wants more (`CONTINUES`), and before one that
goes on (`RESUMES`). A line that starts with `-`, `(` or `[` starts a new statement.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from ..diagnostics import Diagnostic
from ..source import Comment, Source, Token

# after one of these a newline does not end the statement
CONTINUES = frozenset(("OPERATOR", "MINUS", "BAR", "BANG", "DOTS", "DOT", "COMMA", "EQUAL", "AUGMENTED", "ARROW", "FATARROW",
                       "COLON", "LBRACE", "ELSE", "IN", "SEP", "WITH", "FN"))
# and before one of these neither
RESUMES = re.compile(r"else\b|\|\||\||\.(?!\.)|&&|\)|\]|\}")

PUNCTUATION = {"(": "LPAR", ")": "RPAR", "[": "LSQB", "]": "RSQB", "{": "LBRACE", "}": "RBRACE", ",": "COMMA", ":": "COLON",
               ";": "SEP", "=>": "FATARROW", "->": "ARROW"}
OPENS = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
CLOSES = {"RPAR": "(", "RSQB": "[", "RBRACE": "{"}


_TOKEN = r"""
  (?P<SPACE>[^\S\n]+)
| (?P<NEWLINE>\n)
| (?P<COMMENT>//[^\n]*)
| (?P<LONG>/\*)
| (?P<NAME>[^\W\d]\w*)
| (?P<NUMBER>{NUMBER})
| (?P<STRING>{STRING})
| (?P<CHARACTER>{CHARACTER})
| (?P<FATARROW>=>) | (?P<ARROW>->)
| (?P<AUGMENTED>{AUGMENTED})
| (?P<DOTS>{DOTS}) | (?P<DOT>\.)
| (?P<OPERATOR>{OPERATOR})
| (?P<BAR>\|) | (?P<MINUS>-) | (?P<BANG>!) | (?P<EQUAL>=)
| (?P<PUNCTUATION>[()\[\]{{}},:;])
"""


class Lexer:
    """Makes tokens by the grammar's own terminals: `patterns` has their regular expressions, `keywords` the words."""

    def __init__(self, patterns: dict[str, str], keywords: dict[str, str]) -> None:
        self.keywords = {**keywords, "by": "OPERATOR"}
        chosen = {k: patterns[k].replace(" ", r"\x20").replace("#", r"\#")
                  for k in ("NUMBER", "STRING", "CHARACTER", "AUGMENTED", "DOTS", "OPERATOR")}
        self.token = re.compile(_TOKEN.format(**chosen), re.VERBOSE)

    def tokens(self, source: Source) -> tuple[list[Token], list[Comment], list[Diagnostic]]:
        """The tokens of a text without spaces and comments; the comments; and what is malformed."""
        return _Run(self, source).run()


class _Run:
    """One text on its way to tokens."""

    def __init__(self, lexer: Lexer, source: Source) -> None:
        self.lexer, self.source, self.text = lexer, source, source.text
        self.tokens: list[Token] = []
        self.comments: list[Comment] = []
        self.errors: list[Diagnostic] = []
        self.open: list[str] = []  # the closing brackets that are awaited
        self.newline = -1  # where a newline was met that may end a statement, or -1

    def run(self) -> tuple[list[Token], list[Comment], list[Diagnostic]]:
        at, text, match, keywords = 0, self.text, self.lexer.token.match, self.lexer.keywords
        while at < len(text):
            m = match(text, at)
            if m is None:
                at = self.malformed(at)
                continue
            kind, stop = m.lastgroup or "", m.end()
            if kind == "SPACE":
                pass
            elif kind == "NEWLINE":
                self.newline = at
            elif kind == "COMMENT":
                self.comment(at, stop)
            elif kind == "LONG":
                stop = self.long_comment(at)
            else:
                if self.newline >= 0:
                    self.end_line(at)
                word = text[at:stop]
                if kind == "NAME":
                    word = word if word.isascii() else unicodedata.normalize("NFC", word)
                    kind = keywords.get(word, kind)
                elif kind == "PUNCTUATION":
                    kind = self.bracket(PUNCTUATION[word])
                elif kind == "NUMBER":
                    stop = self.number(at, stop)
                    word = text[at:stop]
                if kind != "SEP" or (self.tokens and self.tokens[-1].type not in ("SEP", "LBRACE")):
                    self.tokens.append(Token(kind, word, self.source.span(at, stop)))
            at = stop
        while self.tokens and self.tokens[-1].type == "SEP":
            self.tokens.pop()
        return self.tokens, self.comments, self.errors

    def bracket(self, kind: str) -> str:
        """Keep count of what is open. A `SEP` before `}` separates nothing."""
        if kind in OPENS:
            self.open.append(OPENS[kind])
        elif kind in CLOSES:
            if kind == "RBRACE" and self.tokens and self.tokens[-1].type == "SEP":
                self.tokens.pop()
            if kind in self.open:
                while self.open.pop() != kind:
                    pass
        return kind

    def end_line(self, at: int) -> None:
        """Before the first token of a line: whether the newline ended a statement."""
        newline, self.newline = self.newline, -1
        if not self.tokens or self.tokens[-1].type in CONTINUES or (self.open and self.open[-1] != "RBRACE"):
            return
        if not RESUMES.match(self.text, at):
            self.tokens.append(Token("SEP", "\n", self.source.span(newline, newline)))

    def own_line(self, at: int) -> bool:
        return not self.text[self.text.rfind("\n", 0, at) + 1:at].strip()

    def comment(self, at: int, stop: int) -> None:
        text = self.text[at:stop].rstrip()
        kind: Literal["//", "///",
                      "//>"] = "//>" if text.startswith("//>") else "///" if text.startswith("///") and text[3:4] != "/" else "//"
        self.comments.append(Comment(self.source.span(at, at + len(text)), kind, text, self.own_line(at)))

    def long_comment(self, at: int) -> int:
        depth, stop = 0, at
        for m in re.compile(r"/\*|\*/").finditer(self.text, at):
            depth, stop = depth + (1 if m[0] == "/*" else -1), m.end()
            if depth == 0:
                self.comments.append(Comment(self.source.span(at, stop), "/*", self.text[at:stop], self.own_line(at)))
                return stop
        self.error("E0105", "this comment is not closed", at, at + 2, fix="end it with `*/`")
        return len(self.text)

    def number(self, at: int, stop: int) -> int:
        """What follows the digits of a number, where it should not: give where the number ends."""
        if m := re.compile(r"\.(?![.\w])").match(self.text, stop):
            self.error("E0106", f"expected a digit after the dot of `{self.text[at:stop]}.`", at, m.end(),
                       fix=f"write `{self.text[at:stop]}.0`")
            return m.end()
        if m := re.compile(r"\w+").match(self.text, stop):
            self.error("E0106", f"`{self.text[at:m.end()]}` is no number", at, m.end(),
                       fix="a number ends in nothing, or in its type: `1u8`, `2.5f32`")
            return m.end()
        return stop

    def malformed(self, at: int) -> int:
        """A character that begins no token: say so; give where to go on."""
        c = self.text[at]
        stop = self.text.find("\n", at)
        stop = len(self.text) if stop < 0 else stop
        if c in "\"'":
            what = "string" if c == '"' else "character"
            self.error("E0104", f"this {what} is not closed", at, stop, fix=f"end it with `{c}` on the same line")
            return stop
        if c == "\ufeff" and at == 0:
            return 1
        shown = f"`{c}`" if c.isprintable() else f"U+{ord(c):04X}"
        self.error("E0103", f"{shown} is not a character of the language", at, at + 1)
        return at + 1

    def error(self, code: str, message: str, start: int, stop: int, fix: str = "") -> None:
        self.errors.append(Diagnostic(code, message, self.source.span(start, stop), fix=fix))
