"""lms: a multi-stage programming language for Python, with gradients by delimited continuations.

The public names are those of `public.py`, loaded when the first of them is used: a command such as `lms check` does without the
compiler.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lms.staging.library.ops import *  # noqa: F403  # the array and math functions

    from .public import *  # noqa: F403  # the others
else:

    def __getattr__(name: str) -> Any:
        from importlib import import_module, util

        if util.find_spec(f"lms.{name}"):
            return import_module(f"lms.{name}")
        public = _public()
        if name in public.LATER:
            globals()[name] = getattr(import_module(public.LATER[name]), name)
        if name not in globals():
            raise AttributeError(f"module 'lms' has no attribute {name!r}")
        return globals()[name]

    def _public() -> Any:
        """The module of the public names; those that it has are ours from now on."""
        import gc
        import sys

        if "__all__" in globals():
            return sys.modules["lms.public"]
        collecting = gc.isenabled()
        gc.disable()  # there is no garbage among what two hundred modules define
        try:
            from . import public
        finally:
            if collecting:
                gc.enable()
                gc.collect(1)  # it stays: looked through once, and of the oldest generation from now on
        globals().update({each: x for each, x in vars(public).items() if each == "__all__" or not each.startswith("_")})
        return public

    def __dir__() -> list[str]:
        return sorted({*globals(), *__getattr__("__all__")})
