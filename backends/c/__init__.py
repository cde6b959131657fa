"""C11 for lowered programs: `emit` gives the file, `header` what others include."""

from __future__ import annotations

from .emit import emit, header, interfaces
from .interface import Interface, Way

__all__ = ["Interface", "Way", "emit", "header", "interfaces"]
