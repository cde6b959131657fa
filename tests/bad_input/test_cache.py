"""A damaged cache file and a cache folder that cannot be written to are no errors: the program is compiled again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = """\
import lms
import numpy as np
from lms import Array, Rep, f64

@lms.stage(backend="llvm")
def f(x: Rep[Array[f64, "n"]]):
    total = 0.0
    for i in range(len(x)):
        total += x[i] * x[i]
    return total

print(f(np.arange(4.0)), lms.grad(f)(np.arange(4.0)).tolist())
"""
ANSWER = "14.0 [0.0, 2.0, 4.0, 6.0]\n"


def run(file: Path, cache: Path) -> str:
    """What the program prints; nothing may be said on stderr."""
    environment = {**os.environ, "LMS_CACHE_DIR": str(cache)}
    done = subprocess.run([sys.executable, "-W", "error", str(file)], capture_output=True, text=True, env=environment, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def program(tmp_path: Path) -> Path:
    file = tmp_path / "program.py"
    file.write_text(PROGRAM, encoding="utf-8")
    return file


def flipped(data: bytes) -> bytes:
    """A bit wrong in each quarter."""
    broken = bytearray(data)
    for at in range(len(data) // 8, len(data), max(1, len(data) // 4)):
        broken[at] ^= 0x10
    return bytes(broken)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "flipped": flipped,
    "replaced": lambda data: b"not ours" * 100,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_corrupted_cache_file(program: Path, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    cache = tmp_path / "cache"
    assert run(program, cache) == ANSWER
    files = [file for file in cache.rglob("*") if file.is_file() and file.stat().st_size]
    assert files, "nothing is cached"
    for file in files:
        file.write_bytes(damage(file.read_bytes()))
    assert run(program, cache) == ANSWER
    assert run(program, cache) == ANSWER


def test_an_unwritable_cache_folder(program: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")  # permissions would not stop root
    assert run(program, tmp_path / "file" / "cache") == ANSWER


def test_a_cache_folder_that_vanishes(program: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.symlink_to(tmp_path / "nowhere")
    assert run(program, cache) == ANSWER
