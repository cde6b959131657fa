"""Calls a shared library made of logistic.py, by ctypes and nothing else of lms:

    lms compile logistic.py:loss --grad --emit shared -o gradient.so
    python call.py gradient.so
"""

import ctypes
import os
import sys

import numpy as np


def gradient(library: ctypes.CDLL, w: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The gradient by w. The library takes no context (NULL), sizes, then arrays of doubles, the result last."""
    result = np.empty_like(w)
    sizes = [ctypes.c_int64(n) for n in (w.size, y.size)]
    arrays = [a.ctypes.data_as(ctypes.POINTER(ctypes.c_double)) for a in (w, x, y, result)]
    status = library.grad_loss(None, *sizes, *arrays)
    if status != 0:
        raise RuntimeError(f"the library gave status {status}")
    return result


def main() -> None:
    library = ctypes.CDLL(os.path.abspath(sys.argv[1]))  # a name alone would be looked for where the system has its libraries
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 3))
    y = np.sign(x @ np.array([1.0, -2.0, 0.5]))
    w = np.zeros(3)
    for _ in range(100):
        w -= gradient(library, w, x, y)
    print(f"{np.mean(np.sign(x @ w) == y):.0%} right")


if __name__ == "__main__":
    main()
