"""A tagger's best path, softened: maxima are log-sum-exps at a temperature, and the loss is against a given tagging."""

import numpy as np

import lms

TAGS = np.array([0, 2, 1, 1, 0, 2])


def soft_max(scores, temperature):
    top = scores.max()
    return top + temperature * np.log(np.exp((scores - top) / temperature).sum())


@lms.stage
def program(emission, transition, temperature):
    n, tags = emission.shape
    score = emission[0].copy()
    for t in range(1, n):
        new = np.empty(tags)
        for j in range(tags):
            new[j] = soft_max(score + transition[:, j], temperature) + emission[t, j]
        score = new
    gold = emission[0, TAGS[0]]
    for t in range(1, n):
        gold += transition[TAGS[t - 1], TAGS[t]] + emission[t, TAGS[t]]
    return soft_max(score, temperature) - gold


rng = np.random.default_rng(15)
POINT = (rng.normal(size=(6, 3)), rng.normal(size=(3, 3)), 0.5)
