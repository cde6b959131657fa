"""Random numbers: the published test vectors, the same numbers staged and not, and plain statistics."""

from __future__ import annotations

import numpy as np
import pytest

import lms
from lms.staging.library import random
from lms.staging.library.random import Key


@pytest.mark.parametrize("counter, key, expected", [
    ((0, 0), (0, 0), (0xC2B6E3A8C2C69865, 0x6F81ED42F350084D)),
    ((2**64 - 1,) * 2, (2**64 - 1,) * 2, (0xE02CB7C4D95D277A, 0xD06633D0893B8B68)),
    ((0x243F6A8885A308D3, 0x13198A2E03707344), (0xA4093822299F31D0, 0x082EFA98EC4E6C89),
     (0x263C7D30BB0F0AF1, 0x56BE8361D3311526)),
])
def test_known_answers(counter: tuple[int, int], key: tuple[int, int], expected: tuple[int, int]) -> None:
    # the vectors published with Random123 for threefry2x64, 20 rounds
    u = np.uint64
    x, y = random._threefry(Key(u(key[0]), u(key[1])), u(counter[0]), u(counter[1]))
    assert (int(x), int(y)) == expected


def test_the_same_numbers_staged_and_not() -> None:
    @lms.stage
    def f(k):
        a, b = random.split(k)
        return random.bits(random.fold_in(a, 3)), random.randint(b, 5, 50), random.uniform(b)

    k = random.key(42)
    assert f(k) == f.unstaged(k)


def test_arrays_and_shapes() -> None:
    @lms.stage
    def f(k):
        return random.bits(k, (3, 4)), random.uniform(k, 5)

    k = random.key(-1)
    words, u = f(k)
    np.testing.assert_array_equal(words, random.bits(k, (3, 4)))
    np.testing.assert_array_equal(u, random.uniform(k, 5))
    assert words[0, 0] == random.bits(k)


def test_statistics() -> None:
    k1, k2, k3 = random.split(random.key(0), 3)
    u, z, i = random.uniform(k1, 100_000), random.normal(k2, 100_000), random.randint(k3, -2, 3, 100_000)
    assert abs(u.mean() - 0.5) < 0.005 and abs(u.var() - 1 / 12) < 0.002 and 0.0 <= u.min() and u.max() < 1.0
    assert abs(z.mean()) < 0.01 and abs(z.var() - 1.0) < 0.02
    assert np.abs(np.bincount(i + 2) / 100_000 - 0.2).max() < 0.01
    assert abs(np.corrcoef(u, random.uniform(k2, 100_000))[0, 1]) < 0.01


def test_a_permutation() -> None:
    assert sorted(random.permutation(random.key(5), 50)) == list(range(50))


def test_a_seed_must_be_an_int() -> None:
    with pytest.raises(TypeError, match="a seed is an int"):
        random.key(1.5)
