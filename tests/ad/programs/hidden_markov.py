"""A hidden Markov model's log likelihood by the forward algorithm, rescaled at every step; its tables are normalised logits."""

import numpy as np

import lms

OBSERVED = np.array([0, 2, 1, 1, 0, 2, 2, 1, 0, 0, 1])


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


@lms.stage
def program(start, transition, emission):
    pi = softmax(start)
    T = np.stack([softmax(row) for row in transition])
    B = np.stack([softmax(row) for row in emission])
    alpha = pi * B[:, OBSERVED[0]]
    loglik = 0.0
    for o in OBSERVED[1:]:
        scale = alpha.sum()
        loglik += np.log(scale)
        alpha = (alpha / scale) @ T * B[:, o]
    return loglik + np.log(alpha.sum())


rng = np.random.default_rng(6)
POINT = (rng.normal(size=3), rng.normal(size=(3, 3)), rng.normal(size=(3, 3)))
