"""Object code, kept: in this process and on disk, by the text it was compiled from.

The key is a digest of the LLVM text itself and of all that decides what LLVM makes of it: the processor and its
features, the versions of LLVM, llvmlite and lms, the level of optimisation. What changed in any way has another key, so
nothing stale is ever served. What belongs to lms itself (the vector functions, what entries share) is kept in a folder
of its own, `library`: like bytecode it is made at the first run after an install. Files are written beside their place
and renamed into it; each begins with a digest of the rest, and one that does not hold is compiled again. While one
process compiles, others that want the same wait for it, at most ten seconds.

Directory: `LMS_CACHE_DIR`, else `lms` in the XDG cache, else a temporary one. Where none can be written there is no disk cache.
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

from lms.core.version import VERSION

from . import jit

CAP = 1 << 30          # bytes on disk; the least recently used go first
REMEMBERED = 64 << 20  # bytes in this process
PATIENCE = 10.0        # seconds to wait for another process
_MAGIC = b"lms object 1\n"
_SUFFIX = ".lmso"
LIBRARY = "library"  # the folder of what belongs to lms itself

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


# ------------------------------------------------------------------------------------------------- the directory


def directory() -> Path | None:
    """Where objects are kept on disk; `None` where nothing can be."""
    return _usable(os.environ.get("LMS_CACHE_DIR"), os.environ.get("XDG_CACHE_HOME"), os.environ.get("HOME"))


@once
def _usable(chosen: str | None, xdg: str | None, home: str | None) -> Path | None:
    places = [Path(chosen)] if chosen else []
    if not chosen:
        if xdg:
            places.append(Path(xdg) / "lms")
        if home:
            places.append(Path(home) / ".cache" / "lms")
        places.append(Path(tempfile.gettempdir()) / f"lms-{os.getuid() if hasattr(os, 'getuid') else 'user'}")
    return next((place for place in places if _writable(place)), None)


def _writable(place: Path) -> bool:
    """Whether we can keep files there, and nobody else can put any: code from there is run."""
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if hasattr(os, "getuid"):
            status = place.stat()
            if status.st_uid != os.getuid() or status.st_mode & 0o022:
                return False
        with tempfile.TemporaryFile(dir=place):
            return True
    except OSError:
        return False


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
    place = directory()
    if place is not None and library:
        place = _usable(str(place / LIBRARY), None, None)
    if place is None:
        return _compile(text, opt)
    path = place / (name + _SUFFIX)
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
    """Last use, size and path of every object on disk, oldest first."""
    place = directory()
    found = []
    for path in place.rglob("*" + _SUFFIX) if place else ():
        with contextlib.suppress(OSError):
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    return sorted(found)


def info() -> dict[str, object]:
    """Where the disk cache is, how much is in it, and how much may be."""
    files = _files()
    return {"directory": str(directory() or "none can be written"), "files": len(files),
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
