"""The energy of soft spins on a ring of rows, after sweeps that move each towards its neighbours' field."""

import numpy as np

import lms


@lms.stage
def program(angles, coupling, field, temperature):
    spins = np.tanh(angles)
    n, m = spins.shape
    for _ in range(3):
        for i in range(n):
            for j in range(m):
                around = spins[i - 1, j] + spins[(i + 1) % n, j] + spins[i, j - 1] + spins[i, (j + 1) % m]
                spins[i, j] = np.tanh((coupling * around + field) / temperature)
    energy = 0.0
    for i in range(n):
        for j in range(m):
            energy -= coupling * spins[i, j] * (spins[(i + 1) % n, j] + spins[i, (j + 1) % m])
            energy -= field * spins[i, j]
    return energy


rng = np.random.default_rng(14)
POINT = (rng.normal(size=(4, 5)), 0.4, 0.1, 1.7)
ANALYTIC = True
