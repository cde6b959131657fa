"""Files that hold their own expected output: what an item at the top prints and gives stands below it after `//>`.

    reset { 1 + shift { k => k(k(10)) } }
    //> 12

`check` compares and `update` rewrites. Where a file has any such line, all output is compared, so nothing is printed unseen;
where it has none, what goes wrong in it is wrong all the same.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from contextlib import redirect_stdout

from lms.core.data import dataclass
from lms.core.errors import Span

from ..check.modules import Module
from ..check.program import checked
from ..diagnostics import Diagnostic
from ..parse import syntax as s
from ..run.evaluate import Evaluation, Execute
from ..run.printing import shown
from ..source import ending_like, lines_of

MARK = "//>"


@dataclass(frozen=True)
class Ran:
    """An item at the top that has been run: its place, the lines below it that are expected, and those that it gave.

    The last of these says what it has raised, if that is how it ended.
    """

    span: Span
    expected: tuple[str, ...]
    found: tuple[str, ...]
    raised: bool

    @property
    def ok(self) -> bool:
        return self.expected == self.found

    def __str__(self) -> str:
        """The difference, line by line."""
        return "\n  ".join([f"{self.span}: expected", *self.expected]) + "\n  ".join(["\nfound", *self.found])


def run(text: str, path: str, execute: Execute) -> list[Ran]:
    """Run a file. Raises `SourceErrors` for mistakes that checking finds; those of an item's run are its output."""
    module = checked(text, path)
    expected = _expected(module.syntax)
    return [Ran(item.span, expected.get(item.span.end_line, ()), tuple(lines), raised)
            for item, lines, raised in _outputs(module, execute)]


def check(text: str, path: str, execute: Execute) -> list[Ran]:
    """The items whose output is not what is expected; where the file expects nothing at all, those that raise an error."""
    ran = run(text, path, execute)
    compared = any(r.expected for r in ran)
    return [r for r in ran if not r.ok and (compared or r.raised)]


def update(text: str, path: str, execute: Execute) -> str:
    """The text with the output of every item below it."""
    found = {r.span.end_line: r.found for r in run(text, path, execute)}
    out: list[str] = []
    for number, line in enumerate(lines_of(text.rstrip("\r\n")), 1):
        if not line.lstrip().startswith(MARK):
            out.append(line)
        out += [f"{MARK} {x}".rstrip() for x in found.get(number, ())]
    return ending_like("\n".join(out) + "\n", text) if text else text


def _outputs(module: Module, execute: Execute) -> list[tuple[s.Item, list[str], bool]]:
    """What each item at the top prints, and the value it gives or what it raises, as lines; and whether it raises."""
    evaluation = Evaluation(module, execute)
    found: list[tuple[s.Item, list[str], bool]] = []
    for top in module.tops:
        printed = io.StringIO()
        lines: list[str] = []
        raised = True
        with redirect_stdout(printed):
            try:
                result = evaluation.step(top)
                if result is not None and not result.is_unit:
                    lines = lines_of(shown(result.value, result.type))
                raised = False
            except Diagnostic as e:
                lines = [f"{e.code}: {e.message}"]
            except (ArithmeticError, LookupError, ValueError, AssertionError, RecursionError) as e:
                lines = [f"{type(e).__name__}: {_first_line(e)}"]
        found.append((top.syntax, [*lines_of(printed.getvalue())[:-1], *lines], raised))
    return found


def _first_line(e: BaseException) -> str:
    return re.sub(r"^.*?\.lms:\d+: ", "", str(getattr(e, "message", e)).partition("\n")[0])


def _expected(tree: s.Module) -> dict[int, tuple[str, ...]]:
    """The expected lines by the last line of the item above them."""
    ends = sorted(item.span.end_line for item in tree.items)
    found: dict[int, list[str]] = {}
    for c in tree.comments:
        if c.kind == MARK and c.own_line:
            above = _last_before(ends, c.span.line)
            found.setdefault(above, []).append(c.text.removeprefix(MARK).removeprefix(" "))
    return {line: tuple(texts) for line, texts in found.items()}


def _last_before(ends: Sequence[int], line: int) -> int:
    return max((e for e in ends if e < line), default=0)
