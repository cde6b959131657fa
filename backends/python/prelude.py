"""Helpers that emitted Python brings along where it uses them, and classes for its records."""

from __future__ import annotations

from collections.abc import Iterable

from lms.core.types import SumType

from . import linalg

HELPERS = {
    **linalg.HELPERS,
    "index": '''
def index(i, n, where=""):
    """`i` as a position on an axis of size `n`: negative ones count from the end."""
    if not -n <= i < n:
        raise IndexError(f"{where}index {i} is out of bounds for axis of size {n}")
    return i + n if i < 0 else i
''',
    "indices": '''
def indices(i, n, where=""):
    """The positions on an axis of size `n` that an array of indices names."""
    wrong = i[(i < -n) | (i >= n)]
    if wrong.size:
        raise IndexError(f"{where}index {wrong.flat[0]} is out of bounds for axis of size {n}")
    return np.where(i < 0, i + n, i)
''',
    "subscript": '''
def subscript(i, n, where=""):
    """`i` as a position on an axis of size `n`, counted from 0."""
    if not 0 <= i < n:
        raise IndexError(f"{where}index {i} is out of bounds for axis of size {n}")
    return i
''',
    "subscripts": '''
def subscripts(i, n, where=""):
    """The positions, counted from 0, on an axis of size `n` that an array of indices names."""
    wrong = i[(i < 0) | (i >= n)]
    if wrong.size:
        raise IndexError(f"{where}index {wrong.flat[0]} is out of bounds for axis of size {n}")
    return i
''',
    "span": '''
def span(start, size, step):
    """The slice of `size` positions from `start`, where the step is negative."""
    stop = start + size * step
    return slice(start, stop if stop >= 0 else None, step) if size > 0 else slice(0, 0)
''',
    "quot": '''
def quot(x, y):
    """The quotient, truncated toward zero."""
    q = np.floor_divide(x, y)
    return q + ((np.remainder(x, y) != 0) & ((x < 0) != (y < 0))).astype(q.dtype)
''',
    "grow": '''
def grow(a, n):
    """The first `n` rows of `a`, with rows of zeros where it has fewer."""
    out = np.zeros((n, *a.shape[1:]), a.dtype)
    out[:min(len(a), n)] = a[:n]
    return out
''',
    "add_along": '''
def add_along(dst, idx, values, axis):
    """`dst[..., idx[k], ...] += values[k]` for every position `k`."""
    for k in np.ndindex(idx.shape):
        dst[(*k[:axis], idx[k], *k[axis + 1:])] += values[k]
''',
    "put": '''
def put(dst, idx, values, axis):
    """`dst[..., idx, ...] = values`; of equal indices the last wins."""
    rows = np.moveaxis(dst, axis, 0)
    values = np.moveaxis(values, range(axis, axis + idx.ndim), range(idx.ndim))
    for k in np.ndindex(idx.shape):
        rows[idx[k]] = values[k]
''',
    "complex_of": '''
def complex_of(re, im):
    """An array of complex numbers from their parts."""
    out = np.empty(re.shape, np.result_type(re, np.complex64))
    out.real, out.imag = re, im
    return out
''',
}


def class_names(types: Iterable[SumType]) -> dict[tuple[str, int], str]:
    """The class for each alternative of each sum: its own name, or the sum's in front where two share one."""
    types = list(types)
    count: dict[str, int] = {}
    for t in types:
        for c in t.constructors:
            count[c.name] = count.get(c.name, 0) + 1
    return {(t.name, k): _identifier(c.name if count[c.name] == 1 else f"{t.name}_{c.name}")
            for t in types for k, c in enumerate(t.constructors)}


def record_classes(types: Iterable[SumType]) -> list[str]:
    """The source of a class for each alternative of each sum."""
    types = list(types)
    names, lines = class_names(types), list[str]()
    for t in types:
        for k, c in enumerate(t.constructors):
            fields = [name for name, _ in c.fields]
            doc = f"{t.name}: {c.name}({', '.join(f'{name}: {type}' for name, type in c.fields)})"
            slots = "".join(f'"{name}", ' for name in fields).rstrip(" " if len(fields) == 1 else ", ")
            lines += ["", "", f"class {names[t.name, k]}:", f'    """{doc}"""', ""]
            lines += [f"    tag = {k}", f"    __slots__ = ({slots})"]
            if fields:
                lines += ["", f"    def __init__(self, {', '.join(fields)}):", *(f"        self.{n} = {n}" for n in fields)]
    return lines


def _identifier(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)
