"""A rod that is heated at one end, stepped in place; how far it is from the temperatures that were measured."""

import numpy as np

import lms

MEASURED = np.array([0.9, 0.7, 0.55, 0.4, 0.3, 0.22, 0.17, 0.12, 0.1, 0.08])


@lms.stage
def program(u, conductivity, heating):
    u = u.copy()
    n = len(u)
    dx, dt = 0.1, 0.002
    for step in lms.range(80):
        left = u[0]
        u[0] += dt * heating
        for i in range(1, n - 1):
            here = u[i]
            k = conductivity * (1.0 + 0.3 * here)
            u[i] = here + dt / dx**2 * k * (left - 2.0 * here + u[i + 1])
            left = here
        u[-1] = u[-2]
    return np.sum((u - MEASURED) ** 2)


POINT = (np.linspace(1.0, 0.0, 10), 0.8, 2.0)
ANALYTIC = True
