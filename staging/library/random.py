"""Random numbers without state: a key and a counter give the numbers, always the same, staged or not.

A `Key` is two words. Nothing changes it: use it once, and make new ones with `split` or `fold_in`.

    key = lms.random.key(7)
    a, b = lms.random.split(key)
    x = lms.random.normal(a, 100)

Source: Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011), Threefry-2x64 with 20 rounds.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from lms.core.errors import StagingTypeError, here

from ..rep import Rep
from ..table import STAGED
from . import creation  # noqa: F401  # fills the table with np.arange

_U = np.uint64
_PARITY = _U(0x1BD11BDAA9FC1A22)
_ROTATIONS = ((16, 42, 12, 31), (16, 32, 24, 21))
_DATA, _SPLIT, _FOLD = _U(0), _U(1), _U(2)  # the second counter word: what the numbers are for


class Key(NamedTuple):
    """What a stream of random numbers depends on: two 64-bit words."""

    high: np.uint64
    low: np.uint64


def key(seed: Any) -> Key:
    """The key of a seed: an int, known now or staged. Raises `TypeError` for anything else."""
    if isinstance(seed, Rep):
        return Key(_U(0), seed.astype(np.uint64))
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise StagingTypeError(f"a seed is an int, found {type(seed).__name__}", here())
    return Key(_U((int(seed) >> 64) % 2**64), _U(int(seed) % 2**64))


def split(key: Key, n: int = 2) -> list[Key]:
    """`n` keys (a number known now) whose streams have nothing to do with each other, nor with the key's own."""
    return [Key(*_threefry(key, _U(k), _SPLIT)) for k in range(n)]


def fold_in(key: Key, data: Any) -> Key:
    """The key for one of many things of the same kind: a step, a particle. `data` is an int, known now or staged."""
    word = data.astype(np.uint64) if isinstance(data, Rep) else _U(int(data) % 2**64)
    return Key(*_threefry(key, word, _FOLD))


def bits(key: Key, shape: Any = ()) -> Any:
    """Uniform 64-bit words: one for `shape=()`, else an array."""
    return _words(key, shape)[0]


def uniform(key: Key, shape: Any = (), low: Any = 0.0, high: Any = 1.0) -> Any:
    """Uniform floats in `[low, high)`, multiples of 2**-53 of the width."""
    return low + (high - low) * _unit(bits(key, shape))


def normal(key: Key, shape: Any = ()) -> Any:
    """Standard normal floats, by Box and Muller's transform."""
    a, b = _words(key, shape)
    return np.sqrt(-2.0 * np.log(1.0 - _unit(a))) * np.cos(2.0 * math.pi * _unit(b))


def exponential(key: Key, shape: Any = ()) -> Any:
    """Floats with density `exp(-x)`."""
    return -np.log(1.0 - _unit(bits(key, shape)))


def bernoulli(key: Key, p: Any = 0.5, shape: Any = ()) -> Any:
    """Bools that are true with probability `p`."""
    return uniform(key, shape) < p


def randint(key: Key, low: Any, high: Any, shape: Any = ()) -> Any:
    """Ints in `[low, high)`, `low < high`."""
    width = high - low
    width = width.astype(np.uint64) if isinstance(width, Rep | np.ndarray) else _U(width)
    return low + (bits(key, shape) % width).astype(np.int64)


def permutation(key: Key, n: Any) -> Any:
    """The ints below `n` in random order."""
    return np.argsort(bits(key, (n,)), kind="stable")


# ------------------------------------------------------------------------------------------ the generator


def _unit(words: Any) -> Any:
    return (words >> _U(11)).astype(np.float64) * 2.0**-53


def _words(key: Key, shape: Any) -> tuple[Any, Any]:
    """Two words for each element."""
    shape = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    if not shape:
        return _threefry(key, _DATA, _DATA)
    n: Any = 1
    for size in shape:
        n = n * size
    staged = any(isinstance(x, Rep) for x in (*key, n))
    counter = (STAGED[np.arange] if staged else np.arange)(n, dtype=np.uint64)
    a, b = _threefry(key, counter, _DATA)
    return (a, b) if len(shape) == 1 else (a.reshape(shape), b.reshape(shape))


def _threefry(key: Key, x: Any, y: Any) -> tuple[Any, Any]:
    """The block cipher: a bijection of the counter (x, y) for each key."""
    with np.errstate(over="ignore"):
        schedule = (key[0], key[1], key[0] ^ key[1] ^ _PARITY)
        x, y = x + schedule[0], y + schedule[1]
        for group in range(5):
            for r in _ROTATIONS[group % 2]:
                x = x + y
                y = (y << _U(r)) | (y >> _U(64 - r))
                y = x ^ y
            x = x + schedule[(group + 1) % 3]
            y = y + (schedule[(group + 2) % 3] + _U(group + 1))
        return x, y
