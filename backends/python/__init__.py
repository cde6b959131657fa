"""Python for a program: `emit` gives the source, which runs on NumPy, `compile` a callable of it."""

from .emit import compile, emit

__all__ = ["compile", "emit"]
