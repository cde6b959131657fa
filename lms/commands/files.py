"""Reading and writing the files that were named on the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from .console import UsageError


class NotUtf8(UsageError):
    """A file in another encoding; `line` is the first that shows it."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def read(path: Path) -> str:
    """The text of a file, `-` for standard input. Raises `UsageError` for what is no text."""
    try:
        content = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as e:
        raise UsageError(f"cannot read {path}: {reason(e)}") from None
    if b"\0" in content[:4096]:
        raise UsageError(f"{shown(path)} is a binary file, not text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = content.count(b"\n", 0, e.start) + 1
        raise NotUtf8(f"{shown(path)}:{line} is not UTF-8: save the file in that encoding", line) from None


def write(path: Path, content: str | bytes) -> None:
    try:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as e:
        raise UsageError(f"cannot write {path}: {reason(e)}") from None


def sources(paths: Iterable[Path], suffix: str = ".lms") -> list[Path]:
    """The files among some paths, and those of the language in the folders among them, hidden folders left out."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [p for p in sorted(path.rglob(f"*{suffix}")) if not _hidden(p.relative_to(path))]
            if not inside:
                raise UsageError(f"no {suffix} files in {path}")
            found += inside
        else:
            found.append(existing(path))
    return found


def existing(path: Path) -> Path:
    """The path, of a file that is there (or `-`)."""
    if str(path) != "-" and not path.exists():
        raise UsageError(f"no such file: {path}")
    if path.is_dir():
        raise UsageError(f"{path} is a directory, expected a file")
    return path


def shown(path: Path) -> str:
    return "standard input" if str(path) == "-" else str(path)


def reason(e: OSError) -> str:
    return (e.strerror or str(e)).lower()


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts) or "node_modules" in path.parts


def silence_stdout() -> None:
    """After the reader of a pipe has left: say nothing more, not even on exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
