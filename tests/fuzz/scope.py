"""What names mean at a place of a generated program."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Kind:
    """The type of a name: `float`, `int` or `bool`, or one of the arrays below, with the dimension of a vector."""

    name: str
    dim: str = ""


@dataclass(frozen=True)
class Vector(Kind):
    """A vector of floats, and whether it is strided (a reversed or a column view)."""

    strided: bool = False


@dataclass(frozen=True)
class Matrix(Kind):
    rows: str = ""
    columns: str = ""


@dataclass(frozen=True)
class Permutation(Kind):
    """A vector of ints, each in the range of the dimension."""


FLOAT, INT, BOOL = Kind("float"), Kind("int"), Kind("bool")


def matrix(rows: str, columns: str) -> Matrix:
    return Matrix("matrix", "", rows, columns)


def vector(dim: str, strided: bool = False) -> Vector:
    return Vector("vector", dim, strided)


@dataclass(frozen=True)
class Name:
    """A name in scope. `index_of` is the dimension an int is known to index; only `assignable` names are rebound."""

    text: str
    kind: Kind
    writable: bool = False
    assignable: bool = True
    index_of: str = ""


@dataclass
class Scope:
    """The names at a place; an inner scope sees them, and its own vanish with it."""

    names: dict[str, Name] = field(default_factory=dict)
    sizes: dict[str, str] = field(default_factory=dict)  # how a dimension is spelled here
    functions: list[str] = field(default_factory=list)  # closures of one float
    looping: bool = False  # assignments are squashed
    breakable: bool = False
    closed: bool = False  # inside a nested function: nothing is assigned

    def inner(self, **changes: Any) -> Scope:
        scope = Scope(dict(self.names), dict(self.sizes), list(self.functions), self.looping, self.breakable, self.closed)
        for name, change in changes.items():
            setattr(scope, name, change)
        return scope

    def add(self, text: str, kind: Kind, **info: Any) -> None:
        self.names[text] = Name(text, kind, **info)

    def vectors(self, dim: str) -> list[str]:
        return [name.text for name in self.all(Vector) if name.kind.dim == dim]

    def all(self, *kinds: Any) -> list[Name]:
        """The names of given kinds: instances of `Kind`, or its subclasses."""
        return [name for name in self.names.values()
                if any(name.kind == kind if isinstance(kind, Kind) else isinstance(name.kind, kind) for kind in kinds)]
