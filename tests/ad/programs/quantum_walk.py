"""A particle on a ring of sites with phases: its state evolves by small unitary steps; the chance to be found on the far side."""

import numpy as np

import lms


@lms.stage
def program(hopping, energies, phase):
    n = len(energies)
    state = np.zeros(n, dtype=complex)
    state[0] = 1.0
    dt = 0.1
    for _ in lms.range(20):
        for i in range(n):
            state[i] *= np.exp(-1j * dt * energies[i])
        for start in range(2):
            for i in range(start, n - 1 + start, 2):
                j = (i + 1) % n
                c, s = np.cos(dt * hopping[i]), np.sin(dt * hopping[i])
                turn = np.exp(1j * phase)
                a, b = state[i], state[j]
                state[i] = c * a - 1j * s * turn * b
                state[j] = c * b - 1j * s / turn * a
    return abs(state[n // 2]) ** 2 + 0.5 * abs(state[1]) ** 2


POINT = (np.array([1.0, 0.8, 1.3, 0.9, 1.1, 0.7]), np.array([0.0, 0.2, -0.3, 0.4, 0.1, -0.2]), 0.3)
ULPS = 16  # NumPy rounds its sines and exponentials otherwise, and a hundred of them are multiplied
