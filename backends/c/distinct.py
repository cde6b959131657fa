"""Programs of one file whose records have one name and are not alike, as frames of two derivatives may: one is renamed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lms.core.builder import Builder, Replay, building
from lms.core.ir import Program, sum_types
from lms.core.types import ArrayType, Constructor, SumType, Type


def distinct(programs: Sequence[Program]) -> list[Program]:
    """The programs, where a name of a record means one thing; copies of those where it meant another."""
    known: dict[str, Any] = {}
    out = []
    for program in programs:
        types = sum_types(program)
        names: dict[str, str] = {}
        for name, t in types.items():
            found, k = name, 1
            while known.setdefault(found, _shape(t)) != _shape(t) or (found != name and found in types):
                found, k = f"{name}.{k}", k + 1
            if found != name:
                names[name] = found
        out.append(_Renamed(names).program(program) if names else program)
    return out


def _shape(t: SumType) -> dict[str, Any]:
    """What a record looks like in memory, with all that it refers to."""
    found: dict[str, Any] = {}
    stack = [t]
    while stack:
        t = stack.pop()
        if t.name not in found:
            found[t.name] = [(c.name, [(name, *_field(f)) for name, f in c.fields]) for c in t.constructors]
            inner = [f.dtype if isinstance(f, ArrayType) else f for c in t.constructors for _, f in c.fields]
            stack += [f for f in inner if isinstance(f, SumType)]
    return found


def _field(t: Type) -> tuple[Any, ...]:
    return (str(t.dtype), t.rank, t.layout) if isinstance(t, ArrayType) else (str(t),)


class _Renamed(Replay):
    """Copies a program, with other names for some of its records."""

    def __init__(self, names: dict[str, str]) -> None:
        super().__init__(Builder(Program()))
        self.names, self.made = names, dict[str, SumType]()

    def program(self, program: Program) -> Program:
        b = self.builder
        with building(b):
            for f in program.functions.values():
                types, names = [self.type(v.type) for v in f.body.params], [v.name for v in f.body.params]
                with b.function(f.name, types, names, mut=f.mut, span=f.span, doc=f.doc) as new:
                    new.body.results = self.run(f.body, new.body.params)
        b.program.entry = program.entry
        return b.program

    def attrs(self, attrs: Mapping[str, Any]) -> dict[str, Any]:
        return {key: self._in(x) for key, x in attrs.items()}

    def _in(self, x: Any) -> Any:
        if isinstance(x, tuple):
            return tuple(map(self._in, x))
        return self.type(x) if isinstance(x, ArrayType | SumType) else x

    def type(self, t: Type) -> Type:
        if isinstance(t, ArrayType) and isinstance(t.dtype, SumType):
            return ArrayType(self._sum(t.dtype), t.dims, t.layout)
        return self._sum(t) if isinstance(t, SumType) else t

    def _sum(self, t: SumType) -> SumType:
        if t.name not in self.made:
            new = self.made[t.name] = SumType(self.names.get(t.name, t.name))
            new.constructors = tuple(
                Constructor(c.name, tuple((name, self.type(f)) for name, f in c.fields)) for c in t.constructors)
        return self.made[t.name]
