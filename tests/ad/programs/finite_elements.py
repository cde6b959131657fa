"""A bar of changing section under its own weight: element matrices assembled, supports applied, Newton's steps for a stiffening law."""

import numpy as np

import lms


def thomas(lower, main, upper, right):
    n = len(main)
    c, d = np.zeros(n), np.zeros(n)
    c[0], d[0] = upper[0] / main[0], right[0] / main[0]
    for i in range(1, n):
        pivot = main[i] - lower[i] * c[i - 1]
        c[i] = upper[i] / pivot
        d[i] = (right[i] - lower[i] * d[i - 1]) / pivot
    for i in range(n - 2, -1, -1):
        d[i] -= c[i] * d[i + 1]
    return d


@lms.stage
def program(areas, modulus, hardening, density):
    elements = len(areas)
    nodes = elements + 1
    h = 2.0 / elements
    u = np.zeros(nodes)
    for iteration in lms.range(25):
        lower, main, upper = np.zeros(nodes), np.zeros(nodes), np.zeros(nodes)
        residual = np.zeros(nodes)
        for e in range(elements):
            strain = (u[e + 1] - u[e]) / h
            stress = modulus * (strain + hardening * strain**3)
            tangent = modulus * (1.0 + 3.0 * hardening * strain**2) * areas[e] / h
            weight = 0.5 * density * areas[e] * h
            residual[e] += weight + areas[e] * stress
            residual[e + 1] += weight - areas[e] * stress
            main[e] += tangent
            main[e + 1] += tangent
            upper[e] -= tangent
            lower[e + 1] -= tangent
        main[0], upper[0], residual[0] = 1.0, 0.0, 0.0
        du = thomas(lower, main, upper, residual)
        u += du
        if np.sqrt((du * du).sum()) < 1e-13:
            break
    return u[-1] + 0.1 * (u * u).sum()


POINT = (np.array([1.0, 0.9, 0.75, 0.6, 0.5]), 3.0, 0.8, 1.4)
STEP = 1e-4
