"""What runs now must not pretend to run later: changes of objects made outside the block that is being staged.

Objects made by staged code are remembered with their block. Changing any other object is an error, for it would
happen once, while staging, however often the block runs.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import BuiltinFunctionType, FrameType, FunctionType, GeneratorType, MethodType, ModuleType
from typing import Any, NoReturn

import numpy as np

from lms.core.builder import current, staging
from lms.core.errors import StagingError, here
from lms.core.ir import Block

from ..reach import is_straight_generator
from ..rep import Rep
from .blocks import blocks, home, inside

VALUES = (bool, int, float, complex, str, bytes, tuple, frozenset, range, slice, type(None), type, FunctionType,
          BuiltinFunctionType, MethodType, ModuleType, np.generic, Rep)
"""What cannot be changed, or is changed by other means."""

MUTATORS = frozenset((
    "append", "extend", "insert", "pop", "remove", "clear", "sort", "reverse", "add", "discard", "update", "setdefault",
    "popitem", "appendleft", "popleft", "extendleft", "rotate", "difference_update", "intersection_update",
    "symmetric_difference_update", "__setitem__", "__delitem__", "__iadd__", "send", "__next__", "fill", "put", "partition"))

_FIXES: dict[Any, str] = {
    "append": "store into an array made before: `out[i] = x`, or carry a count",
    list: "make it an array before: `xs = np.array(xs)`, which the program may store into",
    dict: "make a new one and assign it: `d = {**d, key: value}`",
}


def made(x: Any) -> Any:
    """`x`, which was made in the block that is being filled."""
    if staging() and not isinstance(x, VALUES):
        b = current()
        blocks(b).made[id(x)] = x, home(b)
    return x


def made_by_call(x: Any) -> Any:
    """The result of a call, which is new if nobody else holds it."""
    return made(x) if not isinstance(x, VALUES) and sys.getrefcount(x) <= _FRESH else x


def _references(x: Any) -> int:
    return sys.getrefcount(x)


_FRESH = _references(object())  # to an object that only the one who asks holds


def is_made_here(x: Any) -> bool:
    """Whether staged code made `x` in this block; or code that we do not see did, for an object made here and no other."""
    b = current()
    known = blocks(b).made.get(id(x))
    if known is None and _is_part(x, DEPTH):
        made(x)
        return True
    return known is not None and known[1] is home(b)


DEPTH = 4  # of objects inside objects that a class or a factory makes for itself


def _is_part(x: Any, depth: int) -> bool:
    """Whether the one object that holds `x` was made here. Asked only where the answer is else an error: it takes a while."""
    b = current()
    known = blocks(b).made
    holders = [h for h in gc.get_referrers(x) if not isinstance(h, _PASSING)]
    if len(holders) != 1:
        return False
    (holder,) = holders
    if id(holder) in known:
        return known[id(holder)][1] is home(b)
    if any(block is home(b) and getattr(o, "__dict__", None) is holder for o, block in known.values()):
        return True
    return depth > 0 and _is_part(holder, depth - 1)


_PASSING = (FrameType, BuiltinFunctionType, MethodType)  # what holds an object while it is used


def may_change(x: Any, how: str = "") -> Any:
    """`x`, an object of now that is about to be changed."""
    if not staging() or isinstance(x, Rep) or is_made_here(x):
        return x
    if isinstance(x, GeneratorType) and is_straight_generator(x.gi_code):
        return x  # a derivative rule: it holds nothing but its own values
    refuse(x, how)


def refuse(x: Any, how: str) -> NoReturn:
    kind = type(x).__name__
    article = "an" if kind[0] in "aeiouAEIOU" else "a"
    where = "the staged `if` or loop" if inside(current()) else "the staged function"
    fix = _FIXES.get(how) or _FIXES.get(type(x)) or (
        "keep what changes in variables that the block assigns: let a method return the new state, `s = step(s, u)`")
    raise StagingError(f"this changes {article} {kind} made outside {where}: it would happen once, while staging", here(),
                       fix=fix)


def assigns_global(name: str) -> None:
    """A global is about to be assigned."""
    if staging():
        raise StagingError(f"the global {name!r} is assigned in staged code: it would happen once, while staging", here(),
                           fix="return the new value, or pass a `Mut` array")


def assigns_nonlocal(name: str, where: Block | None, here_: Block | None) -> None:
    """A variable of the function around, which lives in the block `where`, is about to be assigned by a call made in `here_`."""
    if staging() and where is not here_:
        raise StagingError(f"{name!r} belongs to a function around and is assigned in a block that runs later", here(),
                           fix="return the new value and assign it where the variable is")


# ----------------------------------------------------------------------------------------------- calls


def check_call(f: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Refuse a call of Python's own that changes an object made outside."""
    if f is next and args:
        may_change(args[0])
    owner = getattr(f, "__self__", None)
    name = getattr(f, "__name__", "")
    if name in MUTATORS and isinstance(f, BuiltinFunctionType) and not isinstance(owner, Rep | ModuleType | type | None):
        may_change(owner, name)
