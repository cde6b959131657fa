"""Native code through LLVM."""

from .emit import Options, emit, emit_module

__all__ = ["Options", "emit", "emit_module"]
