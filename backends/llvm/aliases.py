"""What memory accesses may alias, told to LLVM: one alias scope for each class of allocation roots of a function.

Two handles whose sets of roots do not meet never touch the same memory (`lms.core.effects`). That holds for parameters as
long as the callers keep to it, so roots of parameters that some caller fills with handles of one root form one class, and
where records hold arrays, everything that crosses a call is in the class of what records hold.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

from lms.core import primitives as p
from lms.core.effects import Effects, Root, Roots
from lms.core.ir import Function, Program, Value, sum_types, walk
from lms.core.types import ArrayType

MOST = 128  # classes in one function: beyond, the metadata would outgrow the program
_HELD, _READ = "held by records", "only read"


Class = tuple[str, Root]  # of a function, by one of its roots


class Aliases:
    """The classes of roots of every function of a program."""

    def __init__(self, program: Program) -> None:
        self.effects = Effects(program)
        self._parent: dict[Class, Class] = {}
        self._own = {name: _values(f) for name, f in program.functions.items()}
        records = any(isinstance(f, ArrayType) for t in sum_types(program).values() for c in t.constructors for _, f in c.fields)
        calls = [(name, node) for name, f in program.functions.items() for node in walk(f.body) if node.op is p.control.call]
        if records:
            for name, f in program.functions.items():
                for v in f.body.params if name != program.entry else ():
                    self._join(name, self.effects.roots(v) | {_HELD})
            for name, node in calls:
                for v in (*node.operands, *node.results):
                    if self.effects.roots(v):
                        self._join(name, self.effects.roots(v) | {_HELD})
        changed = True
        while changed:
            changed = False
            for name, node in calls:
                callee = program.functions[node.attrs["callee"]]
                for (a, x), (b, y) in combinations(zip(callee.body.params, node.operands, strict=True), 2):
                    if self.classes(name, x) & self.classes(name, y):
                        changed |= self._join(callee.name, self.effects.roots(a) | self.effects.roots(b))

    def classes(self, function: str, v: Value) -> frozenset[Class]:
        """The classes of the roots a handle may have."""
        return frozenset(self._find(function, root) for root in self.effects.roots(v))

    def written(self, function: Function) -> frozenset[Class]:
        """The classes that running a function may write to."""
        return frozenset(self._find(function.name, root) for root in self.effects.changed(function))

    def _find(self, function: str, root: Root) -> Class:
        key = (function, root if root in self._own[function] else _HELD)
        while key in self._parent:
            key = self._parent[key]
        return key

    def rank(self, c: Class) -> int:
        """A place for every class, the same in every run: the text is a key of the cache."""
        return -1 if isinstance(c[1], str) else self._own[c[0]][c[1]]

    def _join(self, function: str, roots: Roots) -> bool:
        first, *rest = sorted({self._find(function, r) for r in roots}, key=self.rank) or [(function, _HELD)]
        for other in rest:
            self._parent[other] = first
        return bool(rest)


def _values(function: Function) -> dict[Root, int]:
    """The array values of a function, numbered: roots that are none of them came from elsewhere."""
    values = [*function.body.params, *(v for node in walk(function.body) for v in node.results)]
    return {v: k for k, v in enumerate(values) if isinstance(v.type, ArrayType)}


class Scopes:
    """The alias metadata of one function; `meta` makes metadata nodes. What nothing writes to is one class."""

    def __init__(self, aliases: Aliases, function: Function, meta: Callable[[str], str]) -> None:
        self._aliases, self._name, self._meta = aliases, function.name, meta
        self._written = aliases.written(function)
        handles = [v for v in _values(function) if isinstance(v, Value)]
        self._all = sorted({c for v in handles for c in self._classes(v)}, key=lambda c: (aliases.rank(c), str(c[1])))
        self._scopes: dict[Class, str] = {}
        self._texts: dict[frozenset[Class], str] = {}

    def metadata(self, handle: Value) -> str:
        """The attachment for an access through a handle; empty where there is nothing to tell apart."""
        if not 1 < len(self._all) <= MOST:
            return ""
        mine = self._classes(handle)
        if mine not in self._texts:
            self._texts[mine] = self._attachment(mine)
        return self._texts[mine]

    def _classes(self, handle: Value) -> frozenset[Class]:
        return frozenset(c if c in self._written else (self._name, _READ) for c in self._aliases.classes(self._name, handle))

    def _attachment(self, mine: frozenset[Class]) -> str:
        if not self._scopes:
            domain = self._meta('distinct !{!"' + self._name.replace('"', "") + '"}')
            self._scopes = {c: self._meta(f'distinct !{{!"{k}", {domain}}}') for k, c in enumerate(self._all)}
        inside = [self._scopes[c] for c in self._all if c in mine]
        outside = [self._scopes[c] for c in self._all if c not in mine]
        text = f", !alias.scope {self._meta('!{' + ', '.join(inside) + '}')}" if inside else ""
        return text + (f", !noalias {self._meta('!{' + ', '.join(outside) + '}')}" if outside and inside else "")
