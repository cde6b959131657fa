"""Which elements of the results depend on which elements of the arguments: the pattern of a sparse Jacobian.

The program runs in the interpreter on pairs: a number and the set of elements that its derivative may depend on; an array,
and an array of such sets. So a pattern holds for one path through the program: `sparse` makes sure that it still does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lms.ad.activity import INERT
from lms.ad.lanes import LINEAR, WRITES
from lms.backends.interpret import NumPy, execute
from lms.core import primitives as p
from lms.core.ir import Node, Program
from lms.core.primitives.record import Record
from lms.core.types import is_differentiable

_a = p.array


class Elements(frozenset[int]):
    """A set of elements, whose sum is the union: operations that are sums and moves work on it as they are."""

    __slots__ = ()

    def __add__(self, other: frozenset[int]) -> Elements:
        if not other or other is self:
            return self
        return other if not self and isinstance(other, Elements) else Elements(self | other)


NO_ELEMENTS = Elements()


class Pair(NamedTuple):
    """A value, and what its derivative depends on: elements beside a number, an array of them beside an array of floats."""

    value: Any
    elements: Any = None


def dependence(program: Program, leaves: Sequence[Any], variables: Sequence[int]) -> list[list[Elements]]:
    """For every float result the elements that each of its own depends on; those of the `variables` are numbered in turn."""
    first, values = 0, list[Any]()
    for k, leaf in enumerate(leaves):
        if k in variables:
            values.append(Pair(leaf, _numbered(leaf, first)))
            first += np.size(leaf)
        else:
            values.append(_constant(leaf))
    out = execute(program, values, Dependence())
    return [[x.elements] if np.ndim(x.value) == 0 and not isinstance(x.value, np.ndarray) else list(x.elements.flat)
            for x, v in zip(out, program.main.body.results, strict=True) if is_differentiable(v.type)]


def _numbered(x: Any, first: int) -> Any:
    if not isinstance(x, np.ndarray):
        return Elements((first,))
    out = np.empty(x.size, object)
    out[:] = [Elements((first + k,)) for k in range(x.size)]
    return out.reshape(x.shape)


def _constant(x: Any) -> Any:
    if isinstance(x, Record):
        return Record(x.type, x.tag, tuple(map(_constant, x.fields)))
    return Pair(x, none_of(x))


def none_of(x: Any) -> Any:
    """The elements beside a value that depends on none; nothing beside what is no float."""
    if not isinstance(x, float | np.floating | np.ndarray) or (isinstance(x, np.ndarray) and x.dtype.kind != "f"):
        return None
    return np.full(x.shape, NO_ELEMENTS, object) if isinstance(x, np.ndarray) else NO_ELEMENTS


class Dependence:
    """Operations on pairs."""

    def __init__(self) -> None:
        self.numbers = NumPy()

    def number(self, x: Any) -> Any:
        return x.value

    def index(self, i: int) -> Pair:
        return Pair(np.int64(i))

    def called(self, node: Node, operands: tuple[Any, ...], results: tuple[Any, ...]) -> tuple[Any, ...]:
        """What a rule of the user's makes depend on what is not seen here."""
        if "halves" not in node.attrs:
            return results
        own = [x.elements for x in operands if isinstance(x, Pair) and x.elements is not None]
        return tuple(Pair(x.value, _everything(own, x.value)) if isinstance(x, Pair) and x.elements is not None else x
                     for x in results)

    def plain(self, node: Node, operands: tuple[Any, ...]) -> tuple[Any, ...]:
        op, attrs = node.op, node.attrs
        if op is p.record.construct:
            return (Record(attrs["type"], attrs["tag"], operands),)
        if op is p.record.tag:
            return (Pair(np.int64(operands[0].tag)),)
        if op is p.record.project:
            return (operands[0].fields[attrs["field"]],)
        values = tuple(x.value if isinstance(x, Pair) else x for x in operands)
        found = self.numbers.plain(node, values)
        if op in WRITES and operands[0].elements is not None:
            self._write(node, operands, values)
        results: list[Pair | Record] = []
        for v, x in zip(node.results, found, strict=True):
            if isinstance(x, Record):  # from an array of records, which holds them as they are
                results.append(x)
            else:
                results.append(Pair(x, self._elements(node, operands, values, x) if is_differentiable(v.type) else None))
        return tuple(results)

    def _write(self, node: Node, operands: tuple[Any, ...], values: tuple[Any, ...]) -> None:
        place = WRITES[node.op]
        source = operands[place].elements if operands[place].elements is not None else none_of(values[place])
        given = [operands[0].elements, *values[1:]]
        given[place] = source
        assert node.op.eager is not None
        node.op.eager(*given, **{k: v for k, v in node.attrs.items() if k != "fast"})

    def _elements(self, node: Node, operands: tuple[Any, ...], values: tuple[Any, ...], found: Any) -> Any:
        op, attrs = node.op, {k: v for k, v in node.attrs.items() if k != "fast"}
        if isinstance(found, np.ndarray) and found.dtype.kind != "f":
            return None  # an array of records: they bring their own
        if op in INERT:
            return none_of(found)
        own = [x.elements for x in operands if isinstance(x, Pair) and x.elements is not None]
        if op.elementwise:
            return sum(own[1:], own[0]) if own else none_of(found)
        if op is _a.reduce_sum or op in (_a.reduce_prod, _a.reduce_max, _a.reduce_min):
            return _together(own[0], attrs["axes"])
        if op is _a.contract:
            return _contracted(operands, attrs["spec"], found)
        if op is _a.grow:
            return _grown(operands[0].elements, found)
        if op in LINEAR:
            linear = LINEAR[op]
            given = [x.elements if linear is None or k in linear else value
                     for k, (x, value) in enumerate(zip(operands, values, strict=True))]
            assert op.eager is not None
            return op.eager(*given, **attrs)
        return _everything(own, found)


def _together(elements: np.ndarray, axes: tuple[int, ...]) -> Any:
    """The union over some axes."""
    kept = [k for k in range(elements.ndim) if k not in axes]
    shape = tuple(elements.shape[k] for k in kept)
    gone = int(np.prod([elements.shape[k] for k in axes]))
    rows = np.transpose(elements, (*kept, *axes)).reshape(*shape, gone)
    out = np.empty(shape, object)
    for index in np.ndindex(shape):
        out[index] = Elements(frozenset().union(*rows[index]))
    return out if kept else out[()]


def _contracted(operands: tuple[Any, ...], spec: tuple[str, str, str], found: Any) -> Any:
    """What is summed over is of no more interest: the union of one row and of one column."""
    *letters, out = spec
    total = none_of(found)
    for x, mine in zip(operands, letters, strict=True):
        gone = tuple(k for k, c in enumerate(mine) if c not in out)
        kept = [c for c in mine if c in out]
        rows = _together(x.elements, gone) if gone else x.elements
        if kept:
            order = sorted(range(len(kept)), key=lambda k: out.index(kept[k]))
            rows = np.transpose(rows, order)
            rows = rows.reshape([rows.shape[sorted(kept, key=out.index).index(c)] if c in kept else 1 for c in out])
        total = total + rows
    return total


def _grown(elements: np.ndarray, found: np.ndarray) -> np.ndarray:
    out: np.ndarray = none_of(found)
    n = min(len(elements), len(out))
    out[:n] = elements[:n]
    return out


def _everything(own: Sequence[Any], found: Any) -> Any:
    """All that any operand depends on, beside every element of a result: of operations of which no more is known."""
    union = Elements(frozenset().union(*(e for x in own for e in (x.flat if isinstance(x, np.ndarray) else [x]))))
    return np.full(found.shape, union, object) if isinstance(found, np.ndarray) else union
