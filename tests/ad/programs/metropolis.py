"""A Metropolis chain with numbers drawn beforehand: the mean energy along a path whose acceptances do not change."""

import numpy as np

import lms

rng = np.random.default_rng(12)
STEPS = rng.normal(size=60) * 0.6
LEVELS = np.log(rng.uniform(size=60))


def energy(x, stiffness, tilt):
    return stiffness * (x * x - 1.0) ** 2 + tilt * x


@lms.stage
def program(start, stiffness, tilt, width):
    x = start
    e = energy(x, stiffness, tilt)
    accepted = 0
    total = 0.0
    for step, level in zip(STEPS, LEVELS):
        y = x + width * step
        proposed = energy(y, stiffness, tilt)
        if level < e - proposed:
            x, e = y, proposed
            accepted += 1
        total += e
    return total / len(STEPS)


POINT = (0.8, 1.5, 0.2, 1.0)
STEP = 1e-4
