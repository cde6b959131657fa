"""Stars that attract each other, by the leapfrog method: the energy at the end, and how far the first one went."""

import numpy as np

import lms


def accelerations(positions, masses, softening):
    n = len(masses)
    acc = np.zeros_like(positions)
    for i in range(n):
        for j in range(i + 1, n):
            d = positions[j] - positions[i]
            r2 = d @ d + softening**2
            pull = d / (r2 * np.sqrt(r2))
            acc[i] += masses[j] * pull
            acc[j] -= masses[i] * pull
    return acc


@lms.stage
def program(positions, velocities, masses, softening):
    x, v = positions.copy(), velocities.copy()
    dt = 0.02
    a = accelerations(x, masses, softening)
    for _ in lms.range(25):
        v += 0.5 * dt * a
        x += dt * v
        a = accelerations(x, masses, softening)
        v += 0.5 * dt * a
    energy = 0.0
    for i in range(len(masses)):
        energy += 0.5 * masses[i] * (v[i] ** 2).sum()
        for j in range(i):
            energy -= masses[i] * masses[j] / np.sqrt(((x[i] - x[j]) ** 2).sum() + softening**2)
    return energy + np.linalg.norm(x[0] - positions[0])


POINT = (
    np.array([[1.0, 0.0], [-0.5, 0.8], [-0.4, -0.9]]),
    np.array([[0.0, 0.6], [-0.5, -0.3], [0.5, -0.3]]),
    np.array([1.0, 0.8, 1.2]),
    0.1,
)
