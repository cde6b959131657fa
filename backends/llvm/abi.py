"""How compiled code meets the world: the call's context, slots, statuses, error sites, exported and imported symbols.

Everything crosses the border in 8-byte *slots*, in one encoding (`slots`) for arguments, results, fields of records,
operands of `print` and of failing checks:

    scalar     one slot, the value in its low bytes, the others left open (bool: 0 or 1; complex: two slots, real then imaginary)
    array      owner, data, every dimension (static ones too), and for layout `S` every stride, counted in elements
    record     a pointer to its node: {i64 references, i32 tag, i32 kind}, then the slots of its fields in order

`owner` is the block of the array's memory (`Block` below), or null for memory that the caller lends. A node whose count of
references is negative is lent too: nothing counts or frees it (the kind of such a node is never read).

    i32  lms_inner(ptr context, ptr args, ptr results)     the entry function, internal; nonzero is a `Status`
    void lms_finish(ptr context)                           frees all memory the call still holds; call it once, after every call
    void lms_free(ptr owner)                               gives back one reference to an array block that a call returned

The caller makes the context: `Module.context_size` bytes, zeroed, `CONTEXT["module"]` set to whatever the callbacks need
to find `Module.sites`. Results are valid when the status is `OK`. An array result whose owner is not null has been taken
off the context's list and belongs to the caller, who calls `lms_free(owner)` once for each result it appears in; one whose owner
is null is a view of an argument (compare `data` to tell a returned `Mut` argument), to be copied before the argument goes.
Records in results live until `lms_finish`. Arrays that `Mut` parameters name must not overlap other arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

from lms.core.data import dataclass, field
from lms.core.errors import Span
from lms.core.types import ArrayType, Scalar, SumType, Type


class Status(IntEnum):
    """What `lms_inner` returns. For all but `OK`, `CONTEXT["site"]` says where: an index into `Module.sites`."""

    OK = 0
    CHECK = 1      # raise the site's error; its operands are in the context, from `VALUES` on
    RECURSION = 2  # RecursionError
    INTERRUPT = 3  # `lms_poll` answered nonzero: the Python exception is already set (or pending)
    PYTHON = 4     # `lms_print` or `lms_py_call` answered nonzero: likewise


# ---------------------------------------------------------------------------------------------- context

# byte offsets of the fields of the context; all are 8 bytes but `status` and `site` (i32)
CONTEXT: dict[str, int] = {
    "blocks": 0,        # head of the list of array blocks that the call holds
    "pool": 8,          # chunks that nodes of records are cut from
    "pending": 16,      # nodes waiting to be torn down
    "fuel": 24,         # work left before `lms_poll` is called; `lms_poll` sets it again
    "clock": 32,        # for `lms_poll`: when it last looked at the clock
    "native": 40,       # the native stack pointer, while running on a stack of our own; else null
    "stack": 48,        # our own stack, while the call holds one
    "limit": 56,        # the lowest address recursion may reach
    "module": 64,       # for the callbacks: set by the caller
    "status": 72,       # what went wrong
    "site": 76,         # and where
    "quantum": 80,      # for `lms_poll`: how much fuel it gave last
    "thread": 88,       # the Python thread state, while the call runs without the GIL; else null
    "checked": 96,      # for `lms_poll`: when it last looked for signals
}
VALUES = 104  # from here on, the slots of a failed check's operands


# fields of an array block; its data follow at `DATA`, aligned to 64 bytes
BLOCK: dict[str, int] = {"raw": 0, "references": 8, "bytes": 16, "previous": 24, "next": 32, "kind": 40}
DATA = 64
NODE_FIELDS = 16  # a node's fields follow its header


# ------------------------------------------------------------------------------------------------ slots


def slots(t: Type) -> int:
    """How many slots a value of a type takes."""
    if isinstance(t, Scalar):
        return 2 if t.is_complex else 1
    if isinstance(t, ArrayType):
        return 2 + t.rank * (2 if t.layout == "S" else 1)
    if isinstance(t, SumType):
        return 1
    raise TypeError(f"a value of type {t} does not cross the border")


def offsets(types: tuple[Type, ...]) -> tuple[int, ...]:
    """The first slot of each of several values that lie in a row, and the total."""
    out, at = [0], 0
    for t in types:
        at += slots(t)
        out.append(at)
    return tuple(out)


def many_arrays(types: tuple[Type, ...]) -> bool:
    """Whether arguments hold so many arrays that the entry is long: it is compiled as it is written."""
    return sum(isinstance(t, ArrayType) for t in types) >= 8


# --------------------------------------------------------------------------------------------- callbacks

# Symbols the JIT provides, by signature. Each answers nonzero after setting a Python exception, and the call unwinds.
CALLBACKS: dict[str, str] = {
    "lms_poll": "i32 (ptr)",                    # context: check for signals now and then; set the fuel again
    "lms_print": "i32 (ptr, i64, ptr)",         # context, site, slots of the operands
    "lms_py_call": "i32 (ptr, i64, ptr, ptr)",  # context, site, slots of the operands, slots for the results (lent arrays)
    "lms_stack": "ptr",                         # data, not code: one pointer, null at first: a spare recursion stack
}


@dataclass(frozen=True, slots=True)
class Site:
    """A place that may fail or speak: what to raise or print, the types of its operands, and the user's source.

    `error` and `message` are those of `check`; the message is formatted with the operands. `print` sites have the
    message's `end`; `py_call` sites the Python `function` and the types of its `results`.
    """

    span: Span | None
    error: str = ""
    message: str = ""
    operands: tuple[Type, ...] = ()
    end: str = "\n"
    function: Callable[..., Any] | None = None
    results: tuple[Type, ...] = ()


@dataclass(frozen=True, slots=True)
class Module:
    """LLVM text and what is needed to link and call it."""

    text: str
    params: tuple[Type, ...]
    results: tuple[Type, ...]
    mut: frozenset[int]
    sites: tuple[Site, ...] = ()
    callbacks: frozenset[str] = frozenset()  # names in CALLBACKS that the text uses and leaves to others to declare or define
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)  # symbol -> (module, name in its __pyx_capi__)
    loops: bool = False  # whether a call may take long enough to release the GIL for
    apart: bool = False  # whether `lms_inner` only calls what computes, and is long: it is compiled apart, as it is
    groups: tuple[Any, ...] | None = None  # of arrays that are counted together (`counting`); None where nothing is counted

    @property
    def context_size(self) -> int:
        """Bytes of the context, a multiple of 16."""
        most = max((offsets(s.operands)[-1] for s in self.sites if s.error), default=0)
        return (VALUES + 8 * most + 15) // 16 * 16
