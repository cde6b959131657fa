"""The rank of a page in a web whose links have learned strengths: a walk on a sparse graph until it settles, with a chance to jump."""

import numpy as np

import lms

SOURCE = np.array([0, 0, 1, 2, 2, 3, 4, 4, 5])
TARGET = np.array([1, 2, 2, 0, 3, 4, 0, 5, 3])


@lms.stage
def program(strength, jump, n=6):
    weights = np.exp(strength)
    out = np.zeros(n)
    for e in range(len(SOURCE)):
        out[SOURCE[e]] += weights[e]
    rank = np.ones(n) / n
    change = 1.0
    while change > 1e-12:
        new = np.full(n, jump / n)
        for e in range(len(SOURCE)):
            new[TARGET[e]] += (1.0 - jump) * rank[SOURCE[e]] * weights[e] / out[SOURCE[e]]
        change = np.abs(new - rank).sum()
        rank = new
    return np.log(rank[3]) - np.log(rank[1])


POINT = (np.array([0.1, -0.3, 0.2, 0.5, -0.1, 0.0, 0.3, -0.4, 0.2]), 0.15)
STEP = 1e-5
