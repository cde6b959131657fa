"""Broken `.lms` files: a diagnostic or a program, never a traceback of ours, a hang or a crash."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from random import Random
from time import process_time

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from lms.files import execute
from lms.frontend.diagnostics import SourceErrors
from lms.frontend.tools import quines
from tests.fuzz.test_programs import fuzz

pytestmark = [pytest.mark.fuzz(sample=True), pytest.mark.timeout(0)]

ROOT = Path(__file__).parents[2]
TEXTS = [path.read_text(encoding="utf-8") for folder in ("examples/lms", "tests/frontend/quines", "tests/frontend/mistakes")
         for path in sorted((ROOT / folder).glob("*.lms"))]
PIECES = [*"(){}[],:=+-*/%@.|&<>!", "=>", "->", "..", "..=", " by ", " if ", " else ", " match ", " fn(x) => ",
          " reset ", " shift ",
          "let ", "var ", "def ", "0", "1", "1.0", '"s"', "true", "x", "n", "f64", "Rep[f64]", "Rep[", "while ", "for i in 0..n ",
          "return ", "break", "\n", "()", "[]", " in ", "grad(", "sum(", "reify(", "lift(", "θ", "\0", "é"]


def broken(text: str, random: Random) -> str:
    """A piece of a text with a few bytes cut, repeated or put in."""
    lines = text.split("\n")
    first = random.randrange(len(lines))
    text = "\n".join(lines[first:first + 40]) if random.random() < 0.5 else text
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(text) + 1)
        match random.randrange(3):
            case 0:
                text = text[:at] + text[at + random.randint(1, 5):]
            case 1:
                text = text[:at] + random.choice(PIECES) + text[at:]
            case 2:
                text = text[:at] + text[max(0, at - random.randint(1, 40)):at] + text[at:]
    return text


@fuzz(100)
@given(text=st.sampled_from(TEXTS), seed=st.integers(0, 2**32))
def test_a_broken_file_gives_diagnostics(text: str, seed: int) -> None:
    text = broken(text, Random(seed))
    note(text)
    start = process_time()
    with redirect_stdout(StringIO()):
        try:
            quines.run(text, "broken.lms", execute)
        except SourceErrors as e:
            assert all(d.code in str(e) and d.span is not None for d in e.diagnostics)
    assert process_time() - start < 5.0
