"""The distance of two words whose costs of editing are learned: a softened table of Wagner and Fischer."""

import numpy as np

import lms

SOURCE = "intention"
TARGET = "execution"
LETTERS = "ceinotux"


def softmin(a, b, c, temperature):
    low = min(a, b, c)
    total = np.exp((low - a) / temperature) + np.exp((low - b) / temperature) + np.exp((low - c) / temperature)
    return low - temperature * np.log(total)


@lms.stage
def program(insertion, deletion, substitution, temperature):
    source = np.array([LETTERS.index(c) for c in SOURCE])
    target = np.array([LETTERS.index(c) for c in TARGET])
    n, m = len(source), len(target)
    row = np.zeros(m + 1)
    for j in range(m):
        row[j + 1] = row[j] + insertion[target[j]]
    for i in lms.range(n):
        diagonal = row[0]
        row[0] += deletion[source[i]]
        for j in lms.range(m):
            a, b = source[i], target[j]
            change = 0.0 if a == b else substitution[a, b] ** 2 + substitution[b, a] ** 2
            best = softmin(row[j] + insertion[b], row[j + 1] + deletion[a], diagonal + change, temperature)
            diagonal = row[j + 1]
            row[j + 1] = best
    return row[m]


rng = np.random.default_rng(8)
POINT = (rng.uniform(0.5, 1.5, 8), rng.uniform(0.5, 1.5, 8), rng.uniform(0.3, 1.0, (8, 8)), 0.1)
