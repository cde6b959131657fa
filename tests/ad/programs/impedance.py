"""A crossover network: impedances as complex numbers, in series and in parallel; how far its response is from what is wanted."""

import numpy as np

import lms

FREQUENCIES = np.array([60.0, 250.0, 1000.0, 4000.0])
WANTED = np.array([0.95, 0.9, 0.5, 0.05])


def parallel(a, b):
    return a * b / (a + b)


@lms.stage
def program(resistance, inductance, capacitance, load):
    loss = 0.0
    for f, wanted in zip(FREQUENCIES, WANTED):
        s = 2j * np.pi * f
        coil = resistance + s * inductance * 1e-3
        shunt = parallel(load + 0.1 * s * 1e-3, 1.0 / (s * capacitance * 1e-6))
        gain = shunt / (coil + shunt)
        loss += (abs(gain) - wanted) ** 2 + 0.01 * np.angle(gain) ** 2
    return loss


POINT = (0.3, 1.2, 18.0, 7.5)
