"""The spectrum of a windowed signal by a fast Fourier transform by hand: bits reversed, then butterflies in place; a ratio of powers."""

import numpy as np

import lms


def fft(re, im):
    n = len(re)
    j = 0
    for i in range(1, n):
        bit = n >> 1
        while j & bit:
            j ^= bit
            bit >>= 1
        j |= bit
        if i < j:
            re[i], re[j] = re[j], re[i]
            im[i], im[j] = im[j], im[i]
    length = 2
    while length <= n:
        angle = -2.0 * np.pi / length
        for start in range(0, n, length):
            for k in range(length // 2):
                c, s = np.cos(angle * k), np.sin(angle * k)
                a, b = start + k, start + k + length // 2
                u, v = re[b] * c - im[b] * s, re[b] * s + im[b] * c
                re[b], im[b] = re[a] - u, im[a] - v
                re[a] += u
                im[a] += v
        length *= 2


@lms.stage
def program(signal, sharpness):
    n = len(signal)
    window = np.exp(-sharpness * ((np.arange(n) - 0.5 * n) / n) ** 2)
    re, im = signal * window, np.zeros(n)
    fft(re, im)
    power = re * re + im * im
    return np.log(power[1:4].sum() / power[4 : n // 2].sum())


rng = np.random.default_rng(17)
POINT = (rng.normal(size=16), 5.0)
