"""The chores: `make test` runs `python3 lms/dev.py test`, and so may you where there is no make.

Each chore first brings `.venv` up to date and then runs inside it. This file imports nothing of ours and nothing
installed: it runs on the bare interpreter that is about to be given an environment.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file, whose modules would pass for the standard library's

import configparser
import contextlib
import hashlib
import html
import json
import os
import re
import shutil
import ssl
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
READY, BEGUN = VENV / ".ready", VENV / ".begun"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


class Chore(NamedTuple):
    """What a word on the command line does: its line of help, the extra it needs, and what python then runs."""

    help: str
    extra: str = "test"
    runs: tuple[tuple[str, ...], ...] = ()


CHORES = {
    "demo": Chore("train a network on handwritten digits, and draw what it did", runs=(("examples/digits/train.py",),)),
    "test": Chore("run the tests; ARGS='-k name' chooses among them", runs=(("-m", "pytest"),)),
    "lint": Chore("check style with ruff, types with mypy and pyright", "lint",
                  (("-m", "ruff", "check"), ("-m", "mypy"), ("-m", "pyright"))),
    "bench": Chore("measure, beside Numba and JAX", "bench", (("-m", "benchmarks"),)),
    "bench-gradients": Chore("measure gradients, beside JAX, PyTorch and C", "bench", (("-m", "benchmarks", "gradients"),)),
    "fuzz": Chore("try N=10000 generated programs", runs=(("-m", "pytest", "tests/fuzz", "-m", "fuzz"),)),
    "setup": Chore("only bring .venv up to date"),
    "help": Chore("say this"),
}


def main(words: list[str]) -> int:
    name, *arguments = words or ["help"]
    if sys.version_info < (3, 11):  # noqa: UP036  # this file meets whatever `python3` is
        say(f"Python 3.11 or later is needed; {sys.executable} is {sys.version.split()[0]}")
        say("name a newer one: make PYTHON=python3.12 ...")
        return 2
    if name not in CHORES or name == "help":
        for each, chore in CHORES.items():
            print(f"make {each:15} {chore.help}")
        return 0 if name == "help" else 2
    for variable in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX"):
        os.environ.pop(variable, None)  # they would lead out of .venv
    os.environ.update(PIP_USER="0", PIP_NO_INPUT="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
    if name == "fuzz":
        os.environ.setdefault("LMS_FUZZ_EXAMPLES", "10000")
    try:
        with locked():
            set_up(CHORES[name].extra)
        runs = [subprocess.call([str(PYTHON), *run, *arguments], cwd=ROOT) for run in CHORES[name].runs]
    except KeyboardInterrupt:
        return 130
    except SetupError as error:
        say(str(error))
        return 1
    return max(map(abs, runs), default=0)


class SetupError(Exception):
    """What went wrong, and the one thing that helps."""


def say(line: str) -> None:
    print(f"lms: {line}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """One set-up at a time: `make -j demo test` starts two."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with open(ROOT / "pyproject.toml", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# -- set-up -----------------------------------------------------------------------------------------------------------


def set_up(extra: str) -> None:
    """Bring `.venv` to what pyproject.toml and `extra` ask for.

    `.ready` holds what was asked for, and takes that name only when all of it is there. Until then it is `.begun`:
    where that name is found a set-up was interrupted, and starts over.
    """
    import tomllib

    text = (ROOT / "pyproject.toml").read_bytes()
    project = tomllib.loads(text.decode())["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]

    done: dict[str, Any] = json.loads(READY.read_text()) if READY.exists() else {}
    wanted = {
        "root": str(ROOT),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "project": hashlib.sha256(text).hexdigest(),
        "extras": sorted({"test", extra, *done.get("extras", ())} & extras.keys()),
    }
    if done == wanted and works(PYTHON, "-c", ""):
        return
    moved = bool(done) and any(done.get(key) != wanted[key] for key in ("root", "python"))
    if BEGUN.exists() or moved or not works(PYTHON, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"):
        create()
        done = {}
    if READY.exists():
        READY.rename(BEGUN)
    BEGUN.write_text(json.dumps(wanted) + "\n")

    say(f"installing into .venv: {', '.join(wanted['extras'])} (the first time, about 400 MB: a minute or so)")
    # Ourselves only where pyproject.toml changed: another chore may be running in this environment.
    ours = [] if done.get("project") == wanted["project"] else ["--editable", "."]
    requirements = [*project["dependencies"], *(each for name in wanted["extras"] for each in extras[name])]
    command = [*installer(), "install", "-qq", "--prefer-binary", "--progress-bar", "off", *ours, *requirements]
    if subprocess.call(command, cwd=ROOT):
        raise SetupError("installing failed, as pip says above; name a proxy in HTTPS_PROXY, a mirror in PIP_INDEX_URL")
    BEGUN.rename(READY)


def works(*command: str | Path) -> bool:
    try:
        return subprocess.run([str(word) for word in command], capture_output=True, cwd=ROOT).returncode == 0
    except OSError:
        return False


def create() -> None:
    """Make `.venv` anew; without pip where the interpreter came without `ensurepip`, as Debian's does."""
    say(f"making .venv with Python {sys.version.split()[0]}")
    base = getattr(sys, "_base_executable", sys.executable)  # we may be running in the very .venv being replaced
    for options in ([], ["--without-pip"]):
        shutil.rmtree(VENV, ignore_errors=True)
        VENV.mkdir()
        BEGUN.touch()
        if works(base, "-m", "venv", *options, VENV):
            return
    raise SetupError(f"{base} cannot make virtual environments; on Debian: apt install python3-venv")


def installer() -> list[str]:
    """A pip for `.venv`: its own, else the system's, else one run straight from its wheel."""
    for command in ([str(PYTHON), "-m", "pip"], [sys.executable, "-m", "pip", "--python", str(PYTHON)]):
        if works(*command, "--version"):
            return command
    try:
        return [str(PYTHON), str(fetch_pip() / "pip")]
    except OSError as error:
        raise SetupError(f"no pip here, none at the index ({error}); on Debian: apt install python3-venv") from None


# -- pip, where there is none -----------------------------------------------------------------------------------------


WHEEL = re.compile(r'(<a\s[^>]*?href="([^"]*?pip-([\d.]+)-py[^"/]*-none-any\.whl[^"]*)"[^>]*>)')


def fetch_pip() -> Path:
    """The newest wheel of pip that the configured index has, put into `.venv`."""
    context = ssl.create_default_context(cafile=setting("cert") or None)

    def read(url: str) -> bytes:
        with urllib.request.urlopen(url, timeout=60, context=context) as answer:  # heeds HTTPS_PROXY
            content: bytes = answer.read()
            return content

    found: list[tuple[list[int], str, str]] = []
    trouble = "no wheel of pip is listed"
    for index in [setting("index-url") or "https://pypi.org/simple", *setting("extra-index-url").split()]:
        page = f"{index.rstrip('/')}/pip/" + ("index.html" if index.startswith("file:") else "")
        try:
            text = read(page).decode()
        except OSError as error:
            trouble = f"{page}: {error}"
            continue
        for tag, link, version in WHEEL.findall(text):
            least = re.search(r">=\s*(\d+)\.(\d+)", html.unescape(tag.partition("data-requires-python")[2]))
            if least is None or (int(least[1]), int(least[2])) <= sys.version_info[:2]:
                found.append(([int(part) for part in version.split(".")], page, html.unescape(link)))
    if not found:
        raise OSError(trouble)
    _, page, link = max(found)
    url, _, fragment = urllib.parse.urljoin(page, link).partition("#")
    content = read(url)
    if fragment.startswith("sha256=") and hashlib.sha256(content).hexdigest() != fragment[7:]:
        raise OSError(f"{url} is not what the index says it is")
    wheel = VENV / url.rpartition("/")[2]
    wheel.write_bytes(content)
    return wheel


def setting(name: str) -> str:
    """What pip would read for `name`: its environment variable, else its files, the most personal last."""
    given = os.environ.get("PIP_" + name.upper().replace("-", "_"))
    if given is not None:
        return given
    home, personal = Path("~").expanduser(), os.environ.get("PIP_CONFIG_FILE", "")
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = ["/etc/xdg/pip/pip.conf", "/etc/pip.conf", f"{home}/.pip/pip.conf", f"{config}/pip/pip.conf", personal]
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read([] if personal == os.devnull else files, encoding="utf-8")
    return parser.get("install", name, fallback=parser.get("global", name, fallback=""))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
