"""Where lms keeps on disk what takes long to make: object code, the tables of its own language.

`LMS_CACHE_DIR`, else `lms` in the XDG cache, else a temporary folder. What belongs to lms itself is in a folder of its own in
there, `library`: like bytecode it is made at the first run after an install.
"""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

LIBRARY = "library"
OBJECT, TABLE = SUFFIXES = ".lmso", ".lmst"  # of object code; of a grammar's tables


def directory() -> Path | None:
    """Where to keep what is made of programs; `None` where nothing can be kept."""
    return _usable(os.environ.get("LMS_CACHE_DIR"), os.environ.get("XDG_CACHE_HOME"), os.environ.get("HOME"))


def library() -> Path | None:
    """Where to keep what belongs to lms itself."""
    place = directory()
    return None if place is None else _usable(str(place / LIBRARY), None, None)


@cache
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
