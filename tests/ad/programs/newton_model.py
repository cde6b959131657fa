"""A star with a planet: the orbit solves Kepler's equation by Newton's method, inside the model that is fitted."""

import math

import numpy as np

import lms

TIMES = np.linspace(0.0, 7.0, 9)
SEEN = np.array([0.1, -0.4, 0.8, 0.3, -0.7, 0.5, 0.2, -0.1, 0.4])


def eccentric_anomaly(mean, e):
    E = mean + e * math.sin(mean)
    for _ in range(20):
        step = (E - e * math.sin(E) - mean) / (1.0 - e * math.cos(E))
        E -= step
        if abs(step) < 1e-12:
            break
    return E


@lms.stage
def program(period, eccentricity, amplitude, argument):
    loss = 0.0
    for i in range(len(TIMES)):
        mean = 2.0 * math.pi * TIMES[i] / period
        E = eccentric_anomaly(mean, eccentricity)
        true = 2.0 * math.atan2(math.sqrt(1.0 + eccentricity) * math.sin(E / 2), math.sqrt(1.0 - eccentricity) * math.cos(E / 2))
        velocity = amplitude * (math.cos(true + argument) + eccentricity * math.cos(argument))
        loss += (velocity - SEEN[i]) ** 2
    return loss


POINT = (3.1, 0.35, 0.9, 0.4)
