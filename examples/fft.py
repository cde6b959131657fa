"""FFT codelets: the textbook recursive transform, run while staging, leaves straight-line real arithmetic.

The size and the twiddle factors are known now. Multiplications by 1, -1, i and -i are resolved now; the other factors are
constants in the code.
"""

from __future__ import annotations

import cmath

import numpy as np

import lms
from lms import Array, Rep, f64

Number = tuple[f64, f64]  # real and imaginary part


def times(w: complex, z: Number) -> Number:
    """A known factor times a staged number, without the operations that the factor makes idle."""
    re, im = z
    if w == 1:
        return re, im
    if w == -1:
        return -re, -im
    if w == 1j:
        return -im, re
    if w == -1j:
        return im, -re
    return w.real * re - w.imag * im, w.real * im + w.imag * re


def transform(xs: list[Number]) -> list[Number]:
    """The discrete Fourier transform of a list whose length is a power of two."""
    n = len(xs)
    if n == 1:
        return xs
    even, odd = transform(xs[0::2]), transform(xs[1::2])
    turned = [times(root(k, n), z) for k, z in enumerate(odd)]
    plus = [(e[0] + t[0], e[1] + t[1]) for e, t in zip(even, turned, strict=True)]
    minus = [(e[0] - t[0], e[1] - t[1]) for e, t in zip(even, turned, strict=True)]
    return plus + minus


def root(k: int, n: int) -> complex:
    """exp(-2 pi i k / n), exact at the quarters."""
    return {0: 1, 1: -1j, 2: -1, 3: 1j}[4 * k // n] if 4 * k % n == 0 else cmath.exp(-2j * cmath.pi * k / n)


@lms.stage
def fft(re: Rep[Array[f64, "n"]], im: Rep[Array[f64, "n"]], size: int) -> tuple[Rep[Array[f64, "n"]], Rep[Array[f64, "n"]]]:
    out = transform([(re[k], im[k]) for k in range(size)])
    real, imaginary = np.zeros(size), np.zeros(size)
    for k, (x, y) in enumerate(out):
        real[k], imaginary[k] = x, y
    return real, imaginary


if __name__ == "__main__":
    re, im = np.arange(8.0), np.zeros(8)
    real, imaginary = fft(re, im, 8)
    print(np.abs(real + 1j * imaginary - np.fft.fft(re + 1j * im)).max() < 1e-14)
    print(fft.specialize(re[:4], im[:4], 4).python)
