"""Object code, kept: found again, never stale, safe against damage, crowds and full disks."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lms.backends.llvm import cache, jit
from lms.core import disk

TEXT = "define i64 @answer() {\n  ret i64 42\n}\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, on disk and in this process."""
    monkeypatch.setenv("LMS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_memory", type(cache._memory)())
    disk._usable.cache_clear()
    yield tmp_path / "cache"
    disk._usable.cache_clear()


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that are compiled, as they are."""
    texts: list[str] = []
    original = cache._compile

    def counting(text: str, opt: int) -> bytes:
        texts.append(text)
        return original(text, opt)

    monkeypatch.setattr(cache, "_compile", counting)
    return texts


def forget() -> None:
    cache._memory.clear()


def objects(place: Path) -> list[Path]:
    return sorted(place.glob("*.lmso"))


def test_compiled_once_then_from_memory_then_from_disk(place: Path, compiled: list[str]) -> None:
    first = cache.object_code(TEXT)
    assert cache.object_code(TEXT) == first
    forget()
    assert cache.object_code(TEXT) == first
    assert compiled == [TEXT]
    assert len(objects(place)) == 1


def test_another_text_level_or_machine_has_another_key(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {cache.key(TEXT, 3), cache.key(TEXT + " ", 3), cache.key(TEXT, 0)}
    cache._setting.cache_clear()
    host = jit.host()
    monkeypatch.setattr(jit, "host", lambda: jit.Target(host.triple, host.cpu, host.features + ",+new"))
    keys.add(cache.key(TEXT, 3))
    cache._setting.cache_clear()
    assert len(keys) == 4


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:-1], lambda b: b[: len(b) // 2], lambda b: b"x" * len(b),
                                    lambda b: b[:-9] + bytes([b[-9] ^ 1]) + b[-8:], lambda b: b + b"\0"])
def test_a_damaged_file_is_compiled_again(place: Path, compiled: list[str], damage: Any) -> None:
    first = cache.object_code(TEXT)
    (path,) = objects(place)
    path.write_bytes(damage(path.read_bytes()))
    forget()
    assert cache.object_code(TEXT) == first
    assert compiled == [TEXT, TEXT]
    forget()
    assert cache.object_code(TEXT) == first
    assert len(compiled) == 2, "the good file took its place"


def test_an_object_that_no_longer_links_is_compiled_again(place: Path, compiled: list[str]) -> None:
    wrong = jit.object_code(jit.optimise("declare i64 @gone()\n"
                                         "define i64 @answer() {\n  %x = call i64 @gone()\n  ret i64 %x\n}\n"))
    cache.object_code(TEXT)
    cache._write(objects(place)[0], wrong)
    forget()
    assert cache.code(TEXT, ["answer"], dict[str, int]().get)["answer"]
    assert compiled == [TEXT, TEXT]


def test_a_place_that_cannot_be_written_is_no_error(tmp_path: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LMS_CACHE_DIR", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(cache, "_memory", type(cache._memory)())
    assert disk.directory() is None
    assert cache.object_code(TEXT) == cache.object_code(TEXT)
    assert compiled == [TEXT]
    assert cache.info()["files"] == 0


def test_trim_removes_what_was_used_longest_ago(place: Path) -> None:
    texts = [TEXT.replace("42", str(k)) for k in range(4)]
    for k, text in enumerate(texts):
        cache.object_code(text)
        os.utime(place / (cache.key(text, 3) + ".lmso"), (k, k))
    forget()
    cache.object_code(texts[0])  # used just now
    size = int(str(cache.info()["bytes"])) // 4
    assert cache.trim(2 * size) == 2 * size
    left = {path.stem for path in objects(place)}
    assert left == {cache.key(texts[0], 3), cache.key(texts[3], 3)}
    cache.clear()
    assert cache.info()["files"] == 0


def test_threads_that_ask_at_once_compile_once(place: Path, compiled: list[str]) -> None:
    threads = [threading.Thread(target=cache.object_code, args=(TEXT,)) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert compiled == [TEXT]


def _ask(k: int) -> int:
    return len(cache.object_code(TEXT)) * bool(k + 1)


@pytest.mark.parametrize("method", [m for m in ("fork", "spawn") if m in multiprocessing.get_all_start_methods()])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_processes_that_ask_at_once_agree(place: Path, method: str) -> None:
    with multiprocessing.get_context(method).Pool(3) as pool:
        sizes = pool.map(_ask, range(6))
    assert len(set(sizes)) == 1
    assert len(objects(place)) == 1
    assert not list(place.glob("*.new"))


def test_patience_has_an_end(place: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(cache, "PATIENCE", 0.2)
    assert disk.directory() is not None
    with open(place / f"lock-{cache.key(TEXT, 3)[:2]}", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        start = time.monotonic()
        assert cache.object_code(TEXT)
        assert 0.2 <= time.monotonic() - start < 5
    assert compiled == [TEXT]


def test_another_process_finds_it(place: Path) -> None:
    cache.object_code(TEXT)
    program = ("from lms.backends.llvm import cache\n"
               "def fail(text, opt): raise SystemExit('compiled')\n"
               "cache._compile = fail\n"
               f"cache.object_code({TEXT!r})\n")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
