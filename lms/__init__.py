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
        import gc
        from importlib import import_module, util

        if util.find_spec(f"lms.{name}"):
            return import_module(f"lms.{name}")
        collecting = gc.isenabled()
        gc.disable()  # there is no garbage among what two hundred modules define
        try:
            public = import_module("lms.public")
        finally:
            if collecting:
                gc.enable()
        globals().update({each: x for each, x in vars(public).items() if each == "__all__" or not each.startswith("_")})
        if name not in globals():
            raise AttributeError(f"module 'lms' has no attribute {name!r}")
        return globals()[name]

    def __dir__() -> list[str]:
        return sorted({*globals(), *__getattr__("__all__")})
