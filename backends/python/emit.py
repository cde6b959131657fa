"""The program as Python: source that reads as a person would have written it, and runs on NumPy.

Names come from hints; what is used once and does nothing is written where it is used; loops and branches are Python's own.
Scalars are NumPy scalars (see `operations`), so integers wrap and a float program gives the interpreter's bits. What may
raise, reads and writes happens in the program's order. Recursion is Python's own, and stops where Python's stack does.
"""

from __future__ import annotations

import builtins
import keyword
import linecache
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lms.core import primitives as p
from lms.core.effects import Effects
from lms.core.ir import Program, sum_types, walk
from lms.core.lazy import special
from lms.core.primitives.record import Record
from lms.core.text import qualified

from ..identifiers import unused
from ..values import arguments, fields_of, rebuild
from .function import FunctionWriter, spelled
from .prelude import HELPERS, class_names, record_classes

DEEPEST = 200_000
RESERVED = {*keyword.kwlist, *dir(builtins), "np", "special", *HELPERS}


def emit(program: Program) -> str:
    """The program as Python source. Python functions that it calls (`py_call`) are named in a comment, and expected."""
    return _Module(program).source()


def compile(program: Program) -> Callable[..., tuple[Any, ...]]:
    """The entry function, run from the emitted source: NumPy values in, a tuple of them out, as `interpret.run`.

        compile(program)(2.0, np.ones(3))
    """
    module = _Module(program)
    source, file = module.source(), f"<lms {program.entry} {id(program):x}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    namespace: dict[str, Any] = {"np": np, "special": special, **{name: f for f, name in module.outside.items()}}
    exec(builtins.compile(source, file, "exec"), namespace)
    entry, main = namespace[module.functions[program.entry]], program.main
    classes = {place: namespace[name] for place, name in module.classes.items()}
    records = {classes[t.name, k]: (t, k, [name for name, _ in c.fields])
               for t in module.types for k, c in enumerate(t.constructors)}

    def take_apart(x: Any) -> tuple[Any, ...] | None:
        return tuple(getattr(x, name) for name in records[type(x)][2]) if type(x) in records else None

    def run(*args: Any) -> tuple[Any, ...]:
        values = rebuild(arguments(main, args), fields_of, lambda x, fields: classes[x.type.name, x.tag](*fields))
        out = _deep(entry, values)
        results = () if out is None else (out,) if len(main.body.results) == 1 else out
        return tuple(rebuild(results, take_apart, lambda x, fields: Record(*records[type(x)][:2], fields)))

    return run


def _deep(entry: Callable[..., Any], values: Sequence[Any]) -> Any:
    """Call with room for recursion: frames of plain Python functions live on the heap."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, DEEPEST))
    try:
        with np.errstate(all="ignore"):
            return entry(*values)
    finally:
        sys.setrecursionlimit(before)


class _Module:
    """What the functions of one program share: names, record classes, helpers, Python functions from outside."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.effects = Effects(program)
        self.types = list(sum_types(program).values())
        self.classes = class_names(self.types)
        self.taken = {*RESERVED, *self.classes.values()}
        self.functions = {name: self.fresh(name, "function") for name in program.functions}
        self.outside: dict[Any, str] = {}
        self.helpers: dict[str, None] = {}

    def fresh(self, hint: str, otherwise: str) -> str:
        name, _ = unused(spelled(hint, otherwise), 0, self.taken)
        self.taken.add(name)
        return name

    def given(self, function: Any) -> str:
        """The name of a Python function that the program calls."""
        if function not in self.outside:
            self.outside[function] = self.fresh(getattr(function, "__name__", ""), "given")
        return self.outside[function]

    def source(self) -> str:
        nodes = (node for f in self.program.functions.values() for node in walk(f.body))
        # a decorated function would recurse on the C stack
        recursive = any(node.op is p.control.call and node.attrs["callee"] == self.program.entry for node in nodes)
        functions = [line for name, f in self.program.functions.items()
                     for line in ("", "", *FunctionWriter(self, f, name == self.program.entry and not recursive).source())]
        text = "\n".join(functions)
        used = [code for name, code in HELPERS.items() if re.search(rf"\b{name}\(", text)]
        helpers = [line for code in used for line in ("", *code.rstrip().split("\n"))]
        head = ["import numpy as np", *(["from scipy import special"] if "special." in text else [])]
        given = [f"# {name}: the Python function {qualified(f)}" for f, name in self.outside.items()]
        return "\n".join([*head, *([""] if given else []), *given, *helpers, *record_classes(self.types), *functions]) + "\n"
