"""A regular-expression matcher, specialised to its pattern: an interpreter turned compiler.

`matches` is the matcher of Kernighan and Pike: literal characters, `.`, `*`, `^` and `$`. The pattern is a `str`, known now, so
all decisions about it are made while staging; the text is an array of bytes, known later. What is left is the code
someone would write by hand for that one pattern.
"""

from __future__ import annotations

import numpy as np

import lms
from lms import Array, Rep, bool_, i64, u8

Text = Rep[Array[u8, "n"]]


@lms.stage
def matches(pattern: str, text: Text) -> Rep[bool_]:
    """Whether the pattern matches anywhere in the text."""
    if pattern.startswith("^"):
        return match_here(pattern[1:], text, 0)
    start = 0
    while start <= len(text):
        if match_here(pattern, text, start):
            return True
        start += 1
    return False


def match_here(pattern: str, text: Text, at: Rep[i64]) -> Rep[bool_]:
    """Whether the pattern matches at one place."""
    if pattern == "":
        return True
    if pattern == "$":
        return at == len(text)
    if pattern[1:2] == "*":
        return match_star(pattern[0], pattern[2:], text, at)
    return at < len(text) and match_one(pattern[0], text[at]) and match_here(pattern[1:], text, at + 1)


def match_star(char: str, rest: str, text: Text, at: Rep[i64]) -> Rep[bool_]:
    """Whether any number of `char`, and then the rest, match at one place."""
    while not match_here(rest, text, at):
        if not (at < len(text) and match_one(char, text[at])):
            return False
        at += 1
    return True


def match_one(char: str, byte: Rep[u8]) -> Rep[bool_]:
    return True if char == "." else byte == ord(char)


def text(s: str) -> np.ndarray:
    return np.frombuffer(s.encode(), np.uint8)


if __name__ == "__main__":
    for s in ("aab", "xaaby", "ab", "ba", ""):
        print(f"{s!r:8} {matches('^a*ab', text(s))}")
    print(matches.specialize("^a*b$", text("aab")).python)
