"""The probability of a sentence under a small probabilistic grammar: the chart of Cocke, Kasami and Younger, summed."""

import numpy as np

import lms

SENTENCE = np.array([0, 1, 2, 1, 0, 2])


@lms.stage
def program(rules, words):
    """`rules[a, b, c]` scores a -> b c, `words[a, w]` scores a -> w; both are normalised here."""
    symbols = rules.shape[0]
    n = len(SENTENCE)
    rules = np.exp(rules)
    words = np.exp(words)
    for a in range(symbols):
        total = rules[a].sum() + words[a].sum()
        rules[a] /= total
        words[a] /= total
    chart = np.zeros((n, n + 1, symbols))
    for i in range(n):
        chart[i, i + 1] = words[:, SENTENCE[i]]
    for length in range(2, n + 1):
        for i in range(n - length + 1):
            j = i + length
            for k in range(i + 1, j):
                for a in range(symbols):
                    for b in range(symbols):
                        for c in range(symbols):
                            chart[i, j, a] += rules[a, b, c] * chart[i, k, b] * chart[k, j, c]
    return np.log(chart[0, n, 0])


rng = np.random.default_rng(4)
POINT = (rng.normal(size=(3, 3, 3)) * 0.3, rng.normal(size=(3, 3)) * 0.3)
