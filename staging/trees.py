"""Containers of values: taken apart into leaves with their paths, and put together again.

Dicts, lists, tuples, named tuples, dataclasses, and classes that were registered are containers; all else is a leaf.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from lms.core.data import dataclass


@dataclass(frozen=True, slots=True)
class Leaf:
    """The place of one leaf."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The shape of a container: its class, the keys of its parts, the shapes of the parts, and what the class adds."""

    cls: type
    keys: tuple[Any, ...]
    parts: tuple[Shape, ...]
    extra: Any = None


Shape = Leaf | Tree
LEAF = Leaf()

# class -> (take apart: parts and what is left; put together again)
_registered: dict[type, tuple[Callable[[Any], tuple[Sequence[Any], Any]], Callable[[Any, Sequence[Any]], Any]]] = {}


def register(cls: type, take_apart: Callable[[Any], tuple[Sequence[Any], Any]],
             put_together: Callable[[Any, Sequence[Any]], Any]) -> None:
    """Make a class a container: `take_apart(x)` gives its parts and something hashable, `put_together` the reverse."""
    _registered[cls] = take_apart, put_together


def is_record(x: Any) -> bool:
    """Whether `x` is an instance of a dataclass."""
    return dataclasses.is_dataclass(x) and not isinstance(x, type)


def children(x: Any) -> tuple[type, tuple[Any, ...], Sequence[Any], Any] | None:
    """The class, keys, parts and extra of a container; None for a leaf."""
    cls = type(x)
    if cls in _registered:
        parts, extra = _registered[cls][0](x)
        return cls, tuple(range(len(parts))), parts, extra
    if cls is dict:
        return cls, tuple(x), tuple(x.values()), None
    if cls is list or cls is tuple:
        return cls, tuple(range(len(x))), x, None
    if isinstance(x, tuple) and hasattr(cls, "_fields"):
        return cls, tuple(cls._fields), tuple(x), None
    if is_record(x):
        names = tuple(f.name for f in dataclasses.fields(x))
        return cls, names, tuple(getattr(x, name) for name in names), None
    return None


def flatten(x: Any, is_leaf: Callable[[Any], bool] = lambda _: False) -> tuple[list[Any], Shape]:
    """The leaves in order, and the shape that holds them."""
    leaves: list[Any] = []

    def visit(x: Any) -> Shape:
        found = None if is_leaf(x) else children(x)
        if found is None:
            leaves.append(x)
            return LEAF
        cls, keys, parts, extra = found
        return Tree(cls, keys, tuple(map(visit, parts)), extra)

    return leaves, visit(x)


def leaves(x: Any) -> Iterator[Any]:
    """The leaves in order, of containers in each other to any depth."""
    waiting = [x]
    while waiting:
        x = waiting.pop()
        found = children(x)
        if found is None:
            yield x
        else:
            waiting += reversed(found[2])


def unflatten(shape: Shape, leaves: Iterable[Any]) -> Any:
    """The container of that shape with these leaves. Dataclasses are made without `__init__`."""
    rest = iter(leaves)

    def build(shape: Shape) -> Any:
        if isinstance(shape, Leaf):
            return next(rest)
        return rebuild(shape.cls, shape.keys, [build(part) for part in shape.parts], shape.extra)

    return build(shape)


def rebuild(cls: type, keys: Sequence[Any], parts: Sequence[Any], extra: Any = None) -> Any:
    """One container from its parts."""
    if cls in _registered:
        return _registered[cls][1](extra, parts)
    if cls is dict:
        return dict(zip(keys, parts, strict=True))
    if cls is list or cls is tuple:
        return cls(parts)
    if hasattr(cls, "_fields"):
        return cls(*parts)
    new: Any = object.__new__(cls)
    for key, part in zip(keys, parts, strict=True):
        object.__setattr__(new, key, part)
    return new


def paths(shape: Shape, root: str) -> Iterator[str]:
    """How each leaf is written in Python: `params['w'][0]`."""
    if isinstance(shape, Leaf):
        yield root
        return
    for key, part in zip(shape.keys, shape.parts, strict=True):
        attribute = isinstance(key, str) and shape.cls is not dict
        yield from paths(part, f"{root}.{key}" if attribute else f"{root}[{key!r}]")


def map_leaves(f: Callable[..., Any], x: Any, *others: Any) -> Any:
    """`f` of the leaves of containers of one shape, in a container of that shape."""
    leaves, shape = flatten(x)
    return unflatten(shape, map(f, leaves, *(flatten(y)[0] for y in others)))


def copied(x: Any) -> Any:
    """A container like `x`, with copies of its arrays."""
    return map_leaves(lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf, x)


def size(shape: Shape) -> int:
    """How many leaves there are."""
    return 1 if isinstance(shape, Leaf) else sum(map(size, shape.parts))
