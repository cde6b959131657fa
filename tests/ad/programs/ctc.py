"""Connectionist temporal classification: minus the log probability of a transcript, over all its alignments with the frames."""

import numpy as np

import lms

LABELS = np.array([1, 2, 2, 3])
BLANK = 0


def logsumexp(values):
    top = max(values)
    if top == -np.inf:
        return top
    return top + np.log(sum(np.exp(v - top) for v in values))


@lms.stage
def program(logits):
    frames = logits.shape[0]
    log_probs = np.zeros_like(logits)
    for t in range(frames):
        row = logits[t] - np.max(logits[t])
        log_probs[t] = row - np.log(np.sum(np.exp(row)))
    extended = np.full(2 * len(LABELS) + 1, BLANK)
    extended[1::2] = LABELS
    size = len(extended)
    alpha = np.full(size, -np.inf)
    alpha[0] = log_probs[0, BLANK]
    alpha[1] = log_probs[0, extended[1]]
    for t in range(1, frames):
        new = np.full(size, -np.inf)
        for s in range(size):
            ways = alpha[s]
            if s > 0:
                ways = np.logaddexp(ways, alpha[s - 1])
            if s > 1 and extended[s] != BLANK and extended[s] != extended[s - 2]:
                ways = np.logaddexp(ways, alpha[s - 2])
            new[s] = ways + log_probs[t, extended[s]]
        alpha = new
    return -logsumexp([alpha[size - 1], alpha[size - 2]])


rng = np.random.default_rng(5)
POINT = (rng.normal(size=(7, 4)),)
