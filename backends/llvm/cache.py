"""Object code, kept: in this process and on disk, by the text it was compiled from.

The key is a digest of the LLVM text itself and of all that decides what LLVM makes of it: the processor and its
features, the versions of LLVM, llvmlite and lms, the level of optimisation. What changed in any way has another key, so
nothing stale is ever served. What belongs to lms itself (the vector functions, what entries share) is kept in a folder
of its own. Files are written beside their place and renamed into it; each begins with a digest of the rest, and one that does
not hold is compiled again. While one process compiles, others that want the same wait for it, at most ten seconds. Where
`disk.directory` knows no place there is no disk cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from functools import cache as once
from pathlib import Path

import llvmlite

from lms.core import disk
from lms.core.version import VERSION

from . import jit

CAP = 1 << 30          # bytes on disk; the least recently used go first
REMEMBERED = 64 << 20  # bytes in this process
PATIENCE = 10.0        # seconds to wait for another process
_MAGIC = b"lms object 1\n"

_memory: OrderedDict[str, bytes] = OrderedDict()


# ------------------------------------------------------------------------------------------------------- keys


@once
def _setting() -> str:
    """Everything but the text that decides the object code."""
    import llvmlite.binding as llvm

    try:
        how = hashlib.blake2b(Path(jit.__file__).read_bytes()).hexdigest()  # the passes, and their order
    except OSError:
        how = ""
    return repr((_MAGIC, jit.host(), llvm.llvm_version_info, llvmlite.__version__, VERSION, how))


def key(text: str, opt: int) -> str:
    """The name under which the object of this text is kept."""
    return hashlib.blake2b(f"{_setting()}\0{opt}\0{text}".encode(), digest_size=20).hexdigest()


# -------------------------------------------------------------------------------------------------- files


def _read(path: Path) -> bytes | None:
    """The object in a file; `None` where there is none, or one that was damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    head = len(_MAGIC) + 32
    if not content.startswith(_MAGIC) or hashlib.blake2b(content[head:], digest_size=32).digest() != content[len(_MAGIC):head]:
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # used now
    return content[head:]


def _write(path: Path, code: bytes) -> None:
    """Put an object into its place, whole or not at all. A full or read-only disk is not an error."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".new")
    except OSError:
        return
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_MAGIC + hashlib.blake2b(code, digest_size=32).digest() + code)
        os.replace(name, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(name)
        return
    global _written
    _written += len(code)
    if _written > CAP // 64:
        _written = 0
        trim()


_written = CAP  # so that the first write of a process looks at the size


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock of a file, or stop waiting for it after `PATIENCE` seconds: two who compile the same do no harm."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield
        return
    try:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > until:
                    break
                time.sleep(0.005)
        yield
    finally:
        os.close(lock)


# ------------------------------------------------------------------------------------------------------- objects


def _compile(text: str, opt: int) -> bytes:
    return jit.object_code(jit.optimise(text, opt), opt)


def object_code(text: str, opt: int = 3, *, fresh: bool = False, library: bool = False) -> bytes:
    """The object of a module's text: from this process, from disk, or compiled now. `fresh` compiles in any case."""
    name = key(text, opt)
    with jit.lock:
        if not fresh and (code := _memory.get(name)) is not None:
            _memory.move_to_end(name)
            return code
        code = _from_disk(text, opt, name, fresh, library)
        _memory[name] = code
        while sum(map(len, _memory.values())) > REMEMBERED and len(_memory) > 1:
            _memory.popitem(last=False)
        return code


def _from_disk(text: str, opt: int, name: str, fresh: bool, library: bool) -> bytes:
    place = disk.library() if library else disk.directory()
    if place is None:
        return _compile(text, opt)
    path = place / (name + disk.OBJECT)
    if not fresh and (code := _read(path)) is not None:
        return code
    locks = place / f"lock-{name[:2]}"  # few files, of which two texts seldom share one
    with _alone(locks):
        if not fresh and (code := _read(path)) is not None:
            return code
        code = _compile(text, opt)
        _write(path, code)
        return code


def code(text: str, exports: Iterable[str], resolve: jit.Resolve, *, opt: int = 3, debug: bool = False,
         library: bool = False) -> jit.Code:
    """The linked code of a module's text. An object from the cache that this process cannot link is compiled again."""
    exports = tuple(exports)
    try:
        return jit.link(object_code(text, opt, library=library), exports, resolve, debug=debug)
    except jit.MissingSymbol:
        return jit.link(object_code(text, opt, fresh=True, library=library), exports, resolve, debug=debug)


# ---------------------------------------------------------------------------------------------------- housekeeping


def _files() -> list[tuple[float, int, Path]]:
    """Last use, size and path of every file of ours on disk, oldest first."""
    place = disk.directory()
    found = []
    for path in place.rglob("*") if place else ():
        if path.suffix not in disk.SUFFIXES:
            continue
        with contextlib.suppress(OSError):
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    return sorted(found)


def info() -> dict[str, object]:
    """Where the disk cache is, how much is in it, and how much may be."""
    files = _files()
    return {"directory": str(disk.directory() or "none can be written"), "files": len(files),
            "bytes": sum(size for _, size, _ in files), "cap": CAP}


def trim(cap: int = CAP) -> int:
    """Remove what was used longest ago until at most `cap` bytes are left; the number of bytes removed."""
    files = _files()
    total, removed = sum(size for _, size, _ in files), 0
    for _, size, path in files:
        if total - removed <= cap:
            break
        with contextlib.suppress(OSError):
            path.unlink()
            removed += size
    return removed


def clear() -> int:
    """Forget everything, in this process and on disk; the number of bytes removed from disk."""
    with jit.lock:
        _memory.clear()
    return trim(0)
