"""`lms repl`: a prompt for expressions and definitions of the language."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lms.core.errors import LmsError, Span
from lms.core.version import VERSION

from .console import Commands, Failed, UsageError, add, paint, say
from .files import existing, read

if TYPE_CHECKING:
    from lms.frontend.tools.session import Session

PROMPT, MORE = "lms> ", "...> "
QUIT = (":quit", ":q")


def register(commands: Commands) -> None:
    parser = add(commands, "repl", repl, "evaluate expressions and definitions as you type them", """
lms repl
lms repl model.lms         # with what the file defines
echo '1 + 2' | lms repl
""")
    parser.add_argument("file", nargs="?", type=Path, help="a file to begin with")


def repl(options: argparse.Namespace) -> int:
    from lms.files import execute
    from lms.frontend.tools.session import Session

    prompt = Prompt(Session(execute))
    if options.file is not None:
        prompt.answer(f":load {existing(options.file)}")
    return prompt.converse() if sys.stdin.isatty() else prompt.read()


class Prompt:
    """Reads texts, as many lines each as they need, and answers them."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.commands: dict[str, Callable[[str], None]] = {
            ":type": self.type, ":ir": self.ir, ":python": self.python, ":c": self.c, ":load": self.load, ":help": self.help}

    # ------------------------------------------------------------------------------------------- reading

    def converse(self) -> int:
        """With somebody at a terminal, until the end of input. Ctrl-C drops what has been typed."""
        say(f"lms {VERSION}; :help says what can be typed, Ctrl-D ends")
        with history(self.complete):
            while True:
                try:
                    text = input(PROMPT)
                    while not self.is_complete(text):
                        text += "\n" + input(MORE)
                except EOFError:
                    print()
                    return 0
                except KeyboardInterrupt:
                    print()
                    continue
                if text.strip() in QUIT:
                    return 0
                with contextlib.suppress(KeyboardInterrupt):
                    self.answer(text)

    def read(self) -> int:
        """From a pipe or file: no prompts; exit status 1 if anything was wrong."""
        text, ok = "", True
        for line in sys.stdin:
            if not text.strip() and line.strip() in QUIT:
                break
            text += line
            if self.is_complete(text):
                ok = self.answer(text) and ok
                text = ""
        if text.strip():
            ok = self.answer(text) and ok
        return 0 if ok else 1

    def is_complete(self, text: str) -> bool:
        from lms.frontend.parse.parser import is_complete

        return text.lstrip().startswith(":") or is_complete(text)

    # ----------------------------------------------------------------------------------------- answering

    def answer(self, text: str) -> bool:
        """Evaluate a text, or do what a command asks; whether that went well."""
        from .programs import RAISED, raised

        word, _, rest = text.strip().partition(" ")
        try:
            if word.startswith(":"):
                self.command(word)(rest.strip())
            else:
                self.evaluate(text)
        except UsageError as e:
            say(f"lms: {e}")
        except (LmsError, Failed) as e:
            say(str(e))
        except RAISED as e:
            say(raised(e, Span(f"<prompt {self.session.entered}>", 1)))
        else:
            return True
        return False

    def command(self, word: str) -> Callable[[str], None]:
        """The command that a word, or the beginning of one, names."""
        if word in self.commands:
            return self.commands[word]
        meant = [name for name in self.commands if name.startswith(word)]
        if len(meant) != 1:
            raise UsageError(f"no command {word}; there are {', '.join(self.commands)} and :quit")
        return self.commands[meant[0]]

    def evaluate(self, text: str, path: str = "") -> None:
        from lms.frontend.run.printing import shown

        for result in self.session.enter(text, path):
            if not result.is_unit:
                print(shown(result.value, result.type))

    def type(self, text: str) -> None:
        """The type of an expression, and when its value is known."""
        from lms.frontend.check.types import show
        from lms.frontend.tools.editing import stage

        known = self.session.type(_given(text, ":type x + 1"))
        print(f"{show(known)}  {paint('// ' + stage(known), 'grey', sys.stdout)}")

    def ir(self, text: str) -> None:
        """The program a function or an expression is staged to."""
        print(self.specialization(_given(text, ":ir f")).ir)

    def python(self, text: str) -> None:
        """The same program after the passes, as Python."""
        print(self.specialization(_given(text, ":python f")).python, end="")

    def c(self, text: str) -> None:
        """The same as C."""
        from lms.emit import emit

        print(emit([self.specialization(_given(text, ":c f"))], "c"))

    def load(self, text: str) -> None:
        """Evaluate a file; what it defines stays."""
        path = existing(Path(_given(text, ":load model.lms")))
        self.evaluate(read(path), str(path))

    def help(self, text: str) -> None:
        """What can be typed."""
        print("an expression or a definition, on as many lines as it needs; or")
        for name, function in self.commands.items():
            print(f"  {name:8} {(function.__doc__ or '').strip()}")
        print("  :quit    End; so does Ctrl-D.")

    def specialization(self, text: str) -> Any:
        from lms.files import Loaded
        from lms.specialization import Options

        try:
            form = self.session.function(text)
        except KeyError:
            raise UsageError(f"`{text}` is generic over types: name a function that uses it for the types you want") from None
        return Loaded(form, Options(), "<prompt>", form.body.__name__).specialize()

    # ---------------------------------------------------------------------------------------- completing

    def complete(self, text: str, state: int) -> str | None:
        """The `state`-th word that begins with `text`, as readline asks."""
        from lms.frontend.parse.words import INTERFACES, KEYWORDS, STAGE, TYPES

        words = {*self.commands, *KEYWORDS, STAGE, *TYPES, *INTERFACES, *self.session.builtins, *self.session.values,
                 *self.session.data}
        fitting = sorted(word for word in words if word.startswith(text))
        return fitting[state] if state < len(fitting) else None


def _given(text: str, example: str) -> str:
    if not text:
        raise UsageError(f"of what? for example {example}")
    return text


@contextlib.contextmanager
def history(complete: Callable[[str, int], str | None]) -> Iterator[None]:
    """Keys that move in the line and through what was typed before, where Python has readline; kept, where it can be."""
    try:
        import readline
    except ImportError:
        yield
        return
    path = Path(os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()) / "lms" / "history"
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    readline.set_completer(complete)
    readline.set_completer_delims(" \t\n()[]{}+-*/%@&|^<>=!,;.")
    readline.parse_and_bind("tab: complete")
    readline.set_history_length(2000)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(path)
