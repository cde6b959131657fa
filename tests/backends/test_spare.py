"""Large blocks that calls gave back wait for the next call: used again where they fit, never by two, never more than so much."""

from __future__ import annotations

import ctypes
import threading

import numpy as np

import lms
from lms import Array, Rep, f64
from lms.backends.llvm import support
from lms.backends.llvm.spare import LEAST, MOST

MB = 1 << 20
take = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int64)(support.resolve("lms_take"))
keep = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(support.resolve("lms_keep"))


def first_word(block: int) -> ctypes.c_int64:
    return ctypes.c_int64.from_address(block)


def test_what_was_kept_is_taken_where_it_fits() -> None:
    size = 33 * MB + 12345 * 8
    block = take(size)
    keep(block, size)
    small, large = take(size // 2), take(2 * size)
    assert block not in (small, large)
    assert take(size - 4096) == block
    for given, bytes_ in ((small, size // 2), (large, 2 * size), (block, size - 4096)):
        keep(given, bytes_)


def test_not_more_is_kept_than_the_bound() -> None:
    """A block that was kept has its size in its first word; one fresh from the system holds zeros."""
    size = 40 * MB
    blocks = [take(size) for _ in range(8)]
    for block in blocks:
        keep(block, size)
    again = [take(size) for _ in range(8)]
    spare = [block for block in again if first_word(block).value == size]
    assert 1 <= len(spare) <= MOST // size
    assert blocks[-1] in spare, "the newest stays"
    for block in again:
        keep(block, size)


def test_no_block_belongs_to_two_threads() -> None:
    wrong: list[str] = []

    def work(mine: int) -> None:
        for k in range(300):
            size = LEAST + 4096 * (k % 5)
            block = take(size)
            word = first_word(block)
            word.value = mine
            other = take(size)
            first_word(other).value = -mine
            if word.value != mine or other == block:
                wrong.append(f"thread {mine} shares a block")
            keep(other, size)
            keep(block, size)

    threads = [threading.Thread(target=work, args=(k + 1,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_results_are_never_shared() -> None:
    """An array that is alive keeps its memory, whatever is computed meanwhile; one that is gone lends it to the next result."""

    @lms.stage
    def double(x: Rep[Array[f64, "n"]]) -> Rep[Array[f64, "n"]]:
        return 2.0 * x

    x = np.arange(100_000.0)
    first = double(x)
    address = first.ctypes.data
    second = double(x + 1.0)
    assert not np.shares_memory(first, second)
    assert np.array_equal(first, 2.0 * x)
    del first
    third = double(x + 2.0)
    assert third.ctypes.data == address
    assert np.array_equal(second, 2.0 * x + 2.0) and np.array_equal(third, 2.0 * x + 4.0)
