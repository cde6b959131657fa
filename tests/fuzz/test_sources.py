"""Any text is a program or has mistakes with codes: never a traceback, a hang, or a crash. What parses can be laid out.

`LMS_FUZZ_EXAMPLES=10000 python -m pytest tests/fuzz/test_sources.py -m fuzz` tries more; a failure shows the text.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lms.files import loads
from lms.frontend.check.types import is_later
from lms.frontend.codes import CODES
from lms.frontend.diagnostics import Diagnostic, SourceErrors
from lms.frontend.parse.parser import parse, tokens
from lms.frontend.parse.walk import same
from lms.frontend.tools.editing import Document
from lms.frontend.tools.format import format_source
from tests.fuzz.sources import source

ROOT = Path(__file__).parents[2]
FOLDERS = ("examples", "frontend/library", "tests/frontend/layouts", "tests/frontend/mistakes")
EXAMPLES = [path.read_text(encoding="utf-8") for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.lms"))]
COUNT = int(os.environ.get("LMS_FUZZ_EXAMPLES", 500))
SEED = int(os.environ.get("LMS_FUZZ_SEED", 0)) * 1_000_000
PIECE = 50
SECONDS = 2.0  # of processor time, so that other work on the machine fails nothing


@contextmanager
def watchdog() -> Iterator[None]:
    """Two seconds, and what is inside fails."""
    if not hasattr(signal, "SIGPROF"):
        yield
        return

    def bark(number: int, frame: object) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGPROF, bark)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def answered(text: str, question: Callable[[str], object]) -> bool:
    """Whether a question to a text has an answer; if not, there are mistakes, with codes and places."""
    try:
        with watchdog():
            question(text)
    except (SourceErrors, Diagnostic) as e:
        found = e.diagnostics if isinstance(e, SourceErrors) else (e,)
        assert found and all(d.code in CODES and d.message for d in found)
        assert str(e)
        return False
    return True


def made(text: str) -> None:
    """Check a text, and stage what it exports for values of later."""
    module = loads(text, "generated.lms")
    for name in module.__all__:
        f = getattr(module, name)
        if all(map(is_later, f.form.types)):
            assert "entry def " in f.specialize().ir


def asked(text: str) -> None:
    """What an editor asks, at every seventh place of a text."""
    document = Document(text, "generated.lms")
    document.symbols()
    places = [(number, column) for number, line in enumerate(text.split("\n"), 1) for column in range(len(line.encode()) + 1)]
    for place in places[::max(7, len(places) // 20)]:
        document.hover(*place)
        document.definition(*place)
        document.completions(*place)


def laid_out(text: str) -> None:
    out = format_source(text)
    assert same(parse(text), parse(out))
    assert format_source(out) == out
    for kind in ("//", "/*"):  # what ends a line may come to stand behind a `/* */` of the next, where the two are joined
        assert comments(text, kind) == comments(out, kind)


def comments(text: str, kind: str) -> list[str]:
    return [c.text for c in tokens(text)[1] if c.text.startswith(kind)]


@pytest.mark.fuzz(sample=True)
@pytest.mark.parametrize("first", range(SEED, SEED + COUNT, PIECE))
def test_a_text_is_a_program_or_has_mistakes(first: int) -> None:
    parsed = right = 0
    for seed in range(first, first + PIECE):
        text = source(seed, EXAMPLES)
        try:
            if answered(text, parse):
                parsed += 1
                assert answered(text, laid_out)
            right += answered(text, made)
            assert answered(text, asked)
        except BaseException as e:
            e.add_note(f"seed {seed}:\n{text}")
            raise
    assert parsed > PIECE // 3 and right > PIECE // 8  # the generators know the grammar, and the types


@pytest.mark.parametrize("text", [
    "data Tree = Leaf(word: Nothing) | Node(left: Tree)\nLeaf(1)\n",  # fields that could not be made out
    "f(// c\n)",
    "let x = // one\n{ // two\n}",  # two comments that would share a line
])
def test_what_was_found_stays_found(text: str) -> None:
    answered(text, made)
    if answered(text, parse):
        assert answered(text, laid_out)
