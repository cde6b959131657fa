"""A forest of decision trees stored in arrays: each row walks down to a leaf; boosting's loss by the values of the leaves."""

import numpy as np

import lms

FEATURE = np.array([[0, 1, 2, -1, -1, -1, -1], [2, 0, -1, -1, -1, -1, -1]])
LEFT = np.array([[1, 3, 5, 0, 0, 0, 0], [1, 3, 0, 0, 0, 0, 0]])
RIGHT = np.array([[2, 4, 6, 0, 0, 0, 0], [2, 4, 0, 0, 0, 0, 0]])
THRESHOLD = np.array([[0.1, -0.3, 0.5, 0, 0, 0, 0], [0.2, 0.4, 0, 0, 0, 0, 0]])


@lms.stage
def program(leaves, rate, rows, labels):
    loss = 0.0
    for row, label in zip(rows, labels):
        score = 0.0
        for tree in range(len(leaves)):
            node = 0
            while FEATURE[tree, node] >= 0:
                if row[FEATURE[tree, node]] <= THRESHOLD[tree, node]:
                    node = LEFT[tree, node]
                else:
                    node = RIGHT[tree, node]
            score += rate * leaves[tree, node]
        loss += np.log1p(np.exp(-label * score))
    return loss / len(labels)


rng = np.random.default_rng(20)
POINT = (rng.normal(size=(2, 7)), 0.4, rng.normal(size=(9, 3)), np.sign(rng.normal(size=9)))
WRT = (0, 1)
