"""The pinball loss of a linear model's residuals about their own quantile, which quicksort finds."""

import numpy as np

import lms


def quicksort(a):
    stack = [0] * 64
    stack = np.array(stack)
    stack[0], stack[1] = 0, len(a) - 1
    top = 2
    while top > 0:
        lo, hi = stack[top - 2], stack[top - 1]
        top -= 2
        if lo >= hi:
            continue
        pivot = a[(lo + hi) // 2]
        i, j = lo, hi
        while i <= j:
            while a[i] < pivot:
                i += 1
            while a[j] > pivot:
                j -= 1
            if i <= j:
                a[i], a[j] = a[j], a[i]
                i += 1
                j -= 1
        stack[top], stack[top + 1] = lo, j
        stack[top + 2], stack[top + 3] = i, hi
        top += 4


@lms.stage
def program(w, bias, X, y, tau):
    residuals = y - X @ w - bias
    ordered = residuals.copy()
    quicksort(ordered)
    position = tau * (len(ordered) - 1)
    k = int(np.floor(position))
    q = ordered[k] + (position - k) * (ordered[k + 1] - ordered[k])
    loss = 0.0
    for r in residuals:
        if r > q:
            loss += tau * (r - q)
        else:
            loss += (1.0 - tau) * (q - r)
    return loss / len(residuals) + 0.1 * w @ w


rng = np.random.default_rng(7)
POINT = (rng.normal(size=3), 0.2, rng.normal(size=(12, 3)), rng.normal(size=12), 0.3)
WRT = (0, 1, 3, 4)
