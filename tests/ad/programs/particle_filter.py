"""A particle filter with numbers drawn beforehand: particles move, are weighed by what was seen, and are drawn again systematically."""

import numpy as np

import lms

rng = np.random.default_rng(16)
COUNT = 12
SEEN = np.array([0.2, 0.7, 1.1, 1.9, 2.1])
FIRST = rng.normal(size=COUNT)
MOVES = rng.normal(size=(len(SEEN), COUNT))
COMBS = rng.uniform(size=len(SEEN))


def resample(particles, weights, u):
    n = len(particles)
    chosen = np.empty_like(particles)
    total, k = weights[0], 0
    for i in range(n):
        tooth = (u + i) / n
        while total < tooth and k < n - 1:
            k += 1
            total += weights[k]
        chosen[i] = particles[k]
    return chosen


@lms.stage
def program(drift, log_noise, log_error):
    noise, error = np.exp(log_noise), np.exp(log_error)
    particles = FIRST.copy()
    loglik = 0.0
    for t, z in enumerate(SEEN):
        particles = particles + drift + noise * MOVES[t]
        weights = np.exp(-0.5 * ((z - particles) / error) ** 2) / (error * np.sqrt(2 * np.pi))
        loglik += np.log(weights.mean())
        particles = resample(particles, weights / weights.sum(), COMBS[t])
    return loglik + 0.1 * particles.mean()


POINT = (0.45, -1.0, -0.6)
STEP = 1e-4
